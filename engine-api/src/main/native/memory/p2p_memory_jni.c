/* The veneer of p2p_memory.h and p2p_cuda.h for the Java class io.uccl.p2p.spi.nativelib.MemoryShim. */

#include "p2p_cuda.h"
#include "p2p_memory.h"
#include "p2p_shim.h"
#include "p2p_wakeup.h"

#include <errno.h>
#include <jni.h>
#include <stddef.h>

#define SHIM(name) P2P_SHIM_EXPORT JNICALL Java_io_uccl_p2p_spi_nativelib_MemoryShim_##name

jint SHIM(abiVersion0)(JNIEnv *env, jclass type)
{
    (void)env;
    (void)type;
    return P2P_SHIM_ABI_VERSION;
}

jlong SHIM(pageSize)(JNIEnv *env, jclass type)
{
    (void)env;
    (void)type;
    return p2p_memory_page_size();
}

jlong SHIM(map)(JNIEnv *env, jclass type, jlong length)
{
    (void)env;
    (void)type;
    return p2p_memory_map(length);
}

jlong SHIM(discard)(JNIEnv *env, jclass type, jlong address, jlong length)
{
    (void)env;
    (void)type;
    return p2p_memory_discard(address, length);
}

jlong SHIM(unmap)(JNIEnv *env, jclass type, jlong address, jlong length)
{
    (void)env;
    (void)type;
    return p2p_memory_unmap(address, length);
}

jlong SHIM(cudaIsPossible)(JNIEnv *env, jclass type)
{
    (void)env;
    (void)type;
    return p2p_cuda_is_possible();
}

jlong SHIM(cudaOwner)(JNIEnv *env, jclass type, jlong address, jlong length)
{
    (void)env;
    (void)type;
    return p2p_cuda_owner(address, length);
}

jlong SHIM(cudaDmabuf)(JNIEnv *env, jclass type, jlong address, jlong length)
{
    (void)env;
    (void)type;
    return p2p_cuda_dmabuf(address, length);
}

jlong SHIM(closeCudaDmabuf)(JNIEnv *env, jclass type, jint fd)
{
    (void)env;
    (void)type;
    return p2p_cuda_close_dmabuf(fd);
}

jlong SHIM(openWakeUp)(JNIEnv *env, jclass type)
{
    (void)env;
    (void)type;
    return p2p_wakeup_open();
}

jlong SHIM(giveWakeUp)(JNIEnv *env, jclass type, jint wakeup)
{
    (void)env;
    (void)type;
    return p2p_wakeup_give(wakeup);
}

jlong SHIM(closeWakeUp)(JNIEnv *env, jclass type, jint wakeup)
{
    (void)env;
    (void)type;
    return p2p_wakeup_close(wakeup);
}

/* Address of a direct buffer's byte 0, or -EINVAL if it has none. */
jlong SHIM(bufferAddress)(JNIEnv *env, jclass type, jobject buffer)
{
    (void)type;
    if (buffer == NULL) {
        return -(jlong)EINVAL;
    }
    void *address = (*env)->GetDirectBufferAddress(env, buffer);
    return address == NULL ? -(jlong)EINVAL : (jlong)(intptr_t)address;
}

/*
 * A direct buffer that does not own its memory. NULL for an address or size that is not positive,
 * and, with OutOfMemoryError pending, if the heap is full.
 */
jobject SHIM(bufferAt)(JNIEnv *env, jclass type, jlong address, jint size)
{
    (void)type;
    if (address <= 0 || size <= 0) {
        return NULL;
    }
    return (*env)->NewDirectByteBuffer(env, (void *)(intptr_t)address, size);
}
