/*
 * The veneer of p2p_cxi.h for the Java class io.uccl.p2p.transport.cxi.CxiShim. Structures are
 * passed by the address of off-heap memory.
 */

#include "p2p_cxi.h"
#include "p2p_shim.h"

#include <jni.h>
#include <stddef.h>

#define SHIM(name) P2P_SHIM_EXPORT JNICALL Java_io_uccl_p2p_transport_cxi_CxiShim_##name

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

jlong SHIM(domains)(JNIEnv *env, jclass type, jlong opening, jlong found, jlong names, jlong count,
                    jlong report)
{
    (void)env;
    (void)type;
    return p2p_cxi_domains(at(opening), at(found), at(names), count, at(report));
}

jlong SHIM(open)(JNIEnv *env, jclass type, jlong opening, jlong found, jlong report)
{
    (void)env;
    (void)type;
    return p2p_cxi_open(at(opening), at(found), at(report));
}

jlong SHIM(close)(JNIEnv *env, jclass type, jlong endpoint, jlong report)
{
    (void)env;
    (void)type;
    return p2p_cxi_close(endpoint, at(report));
}

jlong SHIM(register)(JNIEnv *env, jclass type, jlong endpoint, jlong index, jlong address,
                     jlong length, jint access, jlong key, jint kind, jint device, jint dmabuf,
                     jlong chosen, jlong report)
{
    (void)env;
    (void)type;
    return p2p_cxi_register(endpoint, index, address, length, access, key, kind, device, dmabuf,
                            at(chosen), at(report));
}

jlong SHIM(closeMemory)(JNIEnv *env, jclass type, jlong endpoint, jlong index, jboolean in_use_too,
                        jlong report)
{
    (void)env;
    (void)type;
    return p2p_cxi_close_memory(endpoint, index, in_use_too == JNI_TRUE, at(report));
}

jlong SHIM(outstanding)(JNIEnv *env, jclass type, jlong endpoint, jlong completions, jlong count)
{
    (void)env;
    (void)type;
    return p2p_cxi_outstanding(endpoint, completions, count);
}

jlong SHIM(addPeer)(JNIEnv *env, jclass type, jlong endpoint, jlong address, jlong length,
                    jlong report)
{
    (void)env;
    (void)type;
    return p2p_cxi_add_peer(endpoint, at(address), length, at(report));
}

jlong SHIM(removePeer)(JNIEnv *env, jclass type, jlong endpoint, jlong peer, jlong report)
{
    (void)env;
    (void)type;
    return p2p_cxi_remove_peer(endpoint, peer, at(report));
}

jlong SHIM(post)(JNIEnv *env, jclass type, jlong endpoint, jlong peer, jint channel, jlong slots,
                 jlong count, jlong report)
{
    (void)env;
    (void)type;
    return p2p_cxi_post(endpoint, peer, channel, slots, count, at(report));
}

jlong SHIM(poll)(JNIEnv *env, jclass type, jlong endpoint, jlong completions, jlong count,
                 jlong report)
{
    (void)env;
    (void)type;
    return p2p_cxi_poll(endpoint, completions, count, at(report));
}

jlong SHIM(await)(JNIEnv *env, jclass type, jlong endpoint, jint wakeup, jlong nanos)
{
    (void)env;
    (void)type;
    return p2p_cxi_wait(endpoint, wakeup, nanos);
}
