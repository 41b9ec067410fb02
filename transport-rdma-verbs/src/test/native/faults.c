/*
 * libibverbs with faults that a test asks for: a queue pair goes to error, a device fails.
 *
 * UCCL_IBV_SO names this library. It has the few functions that faults need, and all the others
 * are found behind it, in the real libibverbs that it is linked to. A test loads the same file and
 * asks for faults through JNI (io.uccl.p2p.guest.VerbsFaults).
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <infiniband/verbs.h>
#include <jni.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The one behind this library. */
static void *real(const char *name)
{
    void *address = dlvsym(RTLD_NEXT, name, "IBVERBS_1.1");
    if (address == NULL) {
        abort();
    }
    return address;
}

/* Sets a pointer to the real function; POSIX lets one of dlsym become one this way (dlsym(3)). */
#define FIND(function, name)                                                                       \
    do {                                                                                           \
        void *address = real(name);                                                                \
        memcpy(&(function), &address, sizeof(address));                                            \
    } while (0)

/* -- the queue pairs that live, the youngest last */

enum { MOST = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ibv_qp *pairs[MOST];
static int count;

struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attributes)
{
    struct ibv_qp *(*create)(struct ibv_pd *, struct ibv_qp_init_attr *);
    FIND(create, "ibv_create_qp");
    struct ibv_qp *pair = create(pd, attributes);
    pthread_mutex_lock(&lock);
    if (pair != NULL && count < MOST) {
        pairs[count++] = pair;
    }
    pthread_mutex_unlock(&lock);
    return pair;
}

int ibv_destroy_qp(struct ibv_qp *pair)
{
    int (*destroy)(struct ibv_qp *);
    FIND(destroy, "ibv_destroy_qp");
    /* Held until it is gone, so that it is not broken meanwhile. */
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count; i++) {
        if (pairs[i] == pair) {
            memmove(&pairs[i], &pairs[i + 1], (size_t)(count - i - 1) * sizeof(pairs[0]));
            count--;
            break;
        }
    }
    int result = destroy(pair);
    pthread_mutex_unlock(&lock);
    return result;
}

/* -- events */

static atomic_bool device_fails;

int ibv_get_async_event(struct ibv_context *context, struct ibv_async_event *event)
{
    if (atomic_exchange(&device_fails, false)) {
        /* Of such events nothing is counted: the real library acknowledges this one too. */
        memset(event, 0, sizeof(*event));
        event->event_type = IBV_EVENT_DEVICE_FATAL;
        return 0;
    }
    int (*get)(struct ibv_context *, struct ibv_async_event *);
    FIND(get, "ibv_get_async_event");
    return get(context, event);
}

/* -- what a test asks for */

/* Moves the n-th youngest queue pair to error, the youngest one is 0; returns an errno. */
JNIEXPORT jint JNICALL Java_io_uccl_p2p_guest_VerbsFaults_breakQueuePair(JNIEnv *env, jclass type,
                                                                         jint n)
{
    (void)env;
    (void)type;
    int (*modify)(struct ibv_qp *, struct ibv_qp_attr *, int);
    FIND(modify, "ibv_modify_qp");
    struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};
    pthread_mutex_lock(&lock);
    int result = n < 0 || n >= count ? EINVAL
                                     : modify(pairs[count - 1 - n], &attributes, IBV_QP_STATE);
    pthread_mutex_unlock(&lock);
    return result;
}

/* The next one who asks a device for its events is told that it failed. */
JNIEXPORT void JNICALL Java_io_uccl_p2p_guest_VerbsFaults_failDevice(JNIEnv *env, jclass type)
{
    (void)env;
    (void)type;
    atomic_store(&device_fails, true);
}
