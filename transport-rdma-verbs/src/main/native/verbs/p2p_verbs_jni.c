/*
 * The veneer of p2p_verbs.h for the Java class io.uccl.p2p.transport.rdma.VerbsShim. Structures and
 * texts are passed by the address of off-heap memory.
 */

#include "p2p_shim.h"
#include "p2p_verbs.h"

#include <jni.h>
#include <stddef.h>

#define SHIM(name) P2P_SHIM_EXPORT JNICALL Java_io_uccl_p2p_transport_rdma_VerbsShim_##name

static void *at(jlong address)
{
    return address > 0 && address % 8 == 0 ? (void *)(intptr_t)address : NULL;
}

jint SHIM(abiVersion0)(JNIEnv *env, jclass type)
{
    (void)env;
    (void)type;
    return P2P_SHIM_ABI_VERSION;
}

jlong SHIM(devices)(JNIEnv *env, jclass type, jlong library, jlong names, jlong count,
                    jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_devices(at(library), at(names), count, at(report));
}

jlong SHIM(open)(JNIEnv *env, jclass type, jlong opening, jlong found, jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_open(at(opening), at(found), at(report));
}

jlong SHIM(refresh)(JNIEnv *env, jclass type, jlong nic, jlong found, jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_refresh(nic, at(found), at(report));
}

jlong SHIM(close)(JNIEnv *env, jclass type, jlong nic, jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_close(nic, at(report));
}

jlong SHIM(register)(JNIEnv *env, jclass type, jlong nic, jlong index, jlong address, jlong length,
                     jint shift, jint access, jint dmabuf, jlong keys, jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_register(nic, index, address, length, shift, access, dmabuf, at(keys),
                              at(report));
}

jlong SHIM(closeMemory)(JNIEnv *env, jclass type, jlong nic, jlong index, jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_close_memory(nic, index, at(report));
}

jlong SHIM(lockedMemoryLimit)(JNIEnv *env, jclass type)
{
    (void)env;
    (void)type;
    return p2p_verbs_locked_memory_limit();
}

jlong SHIM(create)(JNIEnv *env, jclass type, jlong making, jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_create(at(making), at(report));
}

jlong SHIM(reduce)(JNIEnv *env, jclass type, jlong connection, jint count, jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_reduce(connection, count, at(report));
}

jlong SHIM(connect)(JNIEnv *env, jclass type, jlong connection, jlong paths, jint count,
                    jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_connect(connection, at(paths), count, at(report));
}

jlong SHIM(breakConnection)(JNIEnv *env, jclass type, jlong connection, jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_break(connection, at(report));
}

jlong SHIM(detach)(JNIEnv *env, jclass type, jlong connection, jboolean outstanding_too,
                   jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_detach(connection, outstanding_too == JNI_TRUE, at(report));
}

jlong SHIM(destroy)(JNIEnv *env, jclass type, jlong connection, jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_destroy(connection, at(report));
}

jlong SHIM(post)(JNIEnv *env, jclass type, jlong connection, jlong slots, jlong count,
                 jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_post(connection, slots, count, at(report));
}

jlong SHIM(poll)(JNIEnv *env, jclass type, jlong nic, jlong completions, jlong count,
                 jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_poll(nic, completions, count, at(report));
}

jlong SHIM(outstanding)(JNIEnv *env, jclass type, jlong connection, jlong completions, jlong count)
{
    (void)env;
    (void)type;
    return p2p_verbs_outstanding(connection, completions, count);
}

jlong SHIM(events)(JNIEnv *env, jclass type, jlong nic, jlong events, jlong count, jlong report)
{
    (void)env;
    (void)type;
    return p2p_verbs_events(nic, events, count, at(report));
}

jlong SHIM(await)(JNIEnv *env, jclass type, jlong nics, jlong count, jint wakeup, jlong nanos)
{
    (void)env;
    (void)type;
    return p2p_verbs_wait(nics, count, wakeup, nanos);
}
