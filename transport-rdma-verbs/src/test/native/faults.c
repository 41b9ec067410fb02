/*
 * libibverbs with faults that a test asks for: a queue pair goes to error, a device sends an event,
 * connecting or destroying a queue pair takes long, a device registers little at a time.
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
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* -- calls that take as long as a test wants */

enum { CONNECT, DESTROY, GATES };

static struct {
    bool is_shut;
    int waiting;
} gates[GATES];
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;

static void pass(int gate)
{
    pthread_mutex_lock(&gate_lock);
    gates[gate].waiting++;
    pthread_cond_broadcast(&gate_changed);
    while (gates[gate].is_shut) {
        pthread_cond_wait(&gate_changed, &gate_lock);
    }
    gates[gate].waiting--;
    pthread_mutex_unlock(&gate_lock);
}

/* -- the queue pairs that live, the youngest last */

enum { MOST = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ibv_qp *pairs[MOST];
static int count;

/* An event that a test asked for: to be told, then to be acknowledged. */
static struct ibv_async_event asked;
static bool is_asked;
static bool is_told;

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
    pass(DESTROY);
    /* Nobody finds it any more, so it is not broken meanwhile; others need not wait for it. */
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count; i++) {
        if (pairs[i] == pair) {
            memmove(&pairs[i], &pairs[i + 1], (size_t)(count - i - 1) * sizeof(pairs[0]));
            count--;
            break;
        }
    }
    is_asked = is_asked && asked.element.qp != pair;
    pthread_mutex_unlock(&lock);
    return destroy(pair);
}

/* -- connecting */

/* The kernel looks for the peer's address. */
int ibv_modify_qp(struct ibv_qp *pair, struct ibv_qp_attr *attributes, int mask)
{
    int (*modify)(struct ibv_qp *, struct ibv_qp_attr *, int);
    FIND(modify, "ibv_modify_qp");
    if ((mask & IBV_QP_STATE) != 0 && attributes->qp_state == IBV_QPS_RTR) {
        pass(CONNECT);
    }
    return modify(pair, attributes, mask);
}

/* -- limits */

static uint64_t longest_registration = UINT64_MAX;

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attributes)
{
    int (*query)(struct ibv_context *, struct ibv_device_attr *);
    FIND(query, "ibv_query_device");
    int result = query(context, attributes);
    if (result == 0 && attributes->max_mr_size > longest_registration) {
        attributes->max_mr_size = longest_registration;
    }
    return result;
}

/* -- events */

int ibv_get_async_event(struct ibv_context *context, struct ibv_async_event *event)
{
    pthread_mutex_lock(&lock);
    bool tell = is_asked;
    if (tell) {
        *event = asked;
        is_asked = false;
        is_told = true;
    }
    pthread_mutex_unlock(&lock);
    if (tell) {
        return 0;
    }
    int (*get)(struct ibv_context *, struct ibv_async_event *);
    FIND(get, "ibv_get_async_event");
    return get(context, event);
}

/* The kernel knows nothing of one that a test asked for, so the real library may not count it. */
void ibv_ack_async_event(struct ibv_async_event *event)
{
    pthread_mutex_lock(&lock);
    bool told = is_told;
    is_told = false;
    pthread_mutex_unlock(&lock);
    if (!told) {
        void (*acknowledge)(struct ibv_async_event *);
        FIND(acknowledge, "ibv_ack_async_event");
        acknowledge(event);
    }
}

/* -- what a test asks for */

/* Devices that are opened from now on say that they register no more at a time. */
JNIEXPORT void JNICALL Java_io_uccl_p2p_guest_VerbsFaults_limitRegistrations(JNIEnv *env,
                                                                             jclass type,
                                                                             jlong bytes)
{
    (void)env;
    (void)type;
    longest_registration = (uint64_t)bytes;
}

/* How many queue pairs this process has, those left out that the kernel is about to destroy. */
JNIEXPORT jint JNICALL Java_io_uccl_p2p_guest_VerbsFaults_queuePairs(JNIEnv *env, jclass type)
{
    (void)env;
    (void)type;
    pthread_mutex_lock(&lock);
    int result = count;
    pthread_mutex_unlock(&lock);
    return result;
}

/* From now on connecting or destroying a queue pair does not return, or returns again. */
JNIEXPORT void JNICALL Java_io_uccl_p2p_guest_VerbsFaults_shut(JNIEnv *env, jclass type, jint gate,
                                                               jboolean shut)
{
    (void)env;
    (void)type;
    pthread_mutex_lock(&gate_lock);
    gates[gate].is_shut = shut == JNI_TRUE;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

/* Returns when a queue pair is being connected or destroyed, or false after some seconds. */
JNIEXPORT jboolean JNICALL Java_io_uccl_p2p_guest_VerbsFaults_await(JNIEnv *env, jclass type,
                                                                    jint gate, jlong seconds)
{
    (void)env;
    (void)type;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += seconds;
    pthread_mutex_lock(&gate_lock);
    int result = 0;
    while (gates[gate].waiting == 0 && result == 0) {
        result = pthread_cond_timedwait(&gate_changed, &gate_lock, &end);
    }
    bool is_waiting = gates[gate].waiting > 0;
    pthread_mutex_unlock(&gate_lock);
    return is_waiting ? JNI_TRUE : JNI_FALSE;
}

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

/*
 * The next one who asks a device for its events gets one of this type. n: which queue pair it is
 * about, as above; -1: none. Returns an errno.
 */
JNIEXPORT jint JNICALL Java_io_uccl_p2p_guest_VerbsFaults_sendEvent(JNIEnv *env, jclass type,
                                                                    jint event, jint n)
{
    (void)env;
    (void)type;
    pthread_mutex_lock(&lock);
    bool good = n < count && !is_asked;
    if (good) {
        memset(&asked, 0, sizeof(asked));
        asked.event_type = (enum ibv_event_type)event;
        asked.element.qp = n < 0 ? NULL : pairs[count - 1 - n];
        is_asked = true;
    }
    pthread_mutex_unlock(&lock);
    return good ? 0 : EINVAL;
}
