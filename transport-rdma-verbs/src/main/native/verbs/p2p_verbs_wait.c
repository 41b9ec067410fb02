#define _GNU_SOURCE

#include "p2p_verbs_nic.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct p2p_verbs_event) == 8, "as drawn");

/* -- waiting */

/*
 * Arms the queue, and reads it once more: what was completed before it was armed sends no event.
 * Returns true if there is something to poll already, or the next poll will say why not.
 */
static bool has_something(struct p2p_verbs_nic *nic)
{
    struct p2p_verbs_report told_again;
    if (p2p_verbs_keep(nic, &told_again) != 0) {
        return true;
    }
    if (!nic->armed) {
        if (ibv_req_notify_cq(nic->cq, 0) != 0) {
            nic->broken = true;
            return true;
        }
        nic->armed = true;
    }
    return p2p_verbs_keep(nic, &told_again) != 0;
}

/* Reads the events of the completion queue: it has to be armed again. */
static void take_completion_events(struct p2p_verbs_nic *nic)
{
    struct ibv_cq *cq;
    void *context;
    unsigned int count = 0;
    while (nic->library.get_cq_event(nic->channel, &cq, &context) == 0) {
        count++;
    }
    if (count > 0) {
        nic->library.ack_cq_events(nic->cq, count);
    }
    nic->armed = false;
}

int64_t p2p_verbs_wait(int64_t nics, int64_t count, int32_t wakeup, int64_t nanos)
{
    if (nics <= 0 || nics % 8 != 0 || count < 0 || count > P2P_VERBS_NICS || nanos < 0) {
        return -(int64_t)EINVAL;
    }
    const int64_t *handles = (const int64_t *)(intptr_t)nics;
    struct timespec timeout = {.tv_sec = nanos / 1000000000, .tv_nsec = nanos % 1000000000};
    struct p2p_verbs_nic *each[P2P_VERBS_NICS];
    struct pollfd fds[2 * P2P_VERBS_NICS + 1];
    for (int64_t i = 0; i < count; i++) {
        each[i] = p2p_verbs_nic_of(handles[i]);
        if (each[i] == NULL) {
            return -(int64_t)EINVAL;
        }
        fds[2 * i] = (struct pollfd){.fd = each[i]->channel->fd, .events = POLLIN};
        fds[2 * i + 1] = (struct pollfd){.fd = each[i]->context->async_fd, .events = POLLIN};
        if (has_something(each[i])) {
            timeout = (struct timespec){.tv_sec = 0, .tv_nsec = 0};
        }
    }
    /* Descriptors below 0 are left out. */
    fds[2 * count] = (struct pollfd){.fd = wakeup, .events = POLLIN};
    int ready = ppoll(fds, (nfds_t)(2 * count + 1), &timeout, NULL);
    if (ready < 0) {
        return errno == EINTR ? 0 : -(int64_t)errno;
    }
    bool eventful = false;
    for (int64_t i = 0; i < count; i++) {
        if (fds[2 * i].revents != 0) {
            take_completion_events(each[i]);
        }
        eventful |= fds[2 * i + 1].revents != 0;
    }
    if (fds[2 * count].revents != 0) {
        uint64_t given;
        if (read(wakeup, &given, sizeof(given)) < 0 && errno != EAGAIN) {
            return -(int64_t)errno;
        }
    }
    return eventful;
}

/* -- events */

static bool is_of_queue_pair(enum ibv_event_type type)
{
    switch (type) {
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
    case IBV_EVENT_COMM_EST:
    case IBV_EVENT_SQ_DRAINED:
    case IBV_EVENT_PATH_MIG:
    case IBV_EVENT_PATH_MIG_ERR:
    case IBV_EVENT_QP_LAST_WQE_REACHED:
        return true;
    default:
        return false;
    }
}

static bool is_of_port(enum ibv_event_type type)
{
    switch (type) {
    case IBV_EVENT_PORT_ACTIVE:
    case IBV_EVENT_PORT_ERR:
    case IBV_EVENT_LID_CHANGE:
    case IBV_EVENT_PKEY_CHANGE:
    case IBV_EVENT_SM_CHANGE:
    case IBV_EVENT_CLIENT_REREGISTER:
    case IBV_EVENT_GID_CHANGE:
        return true;
    default:
        return false;
    }
}

int64_t p2p_verbs_events(int64_t handle, int64_t events, int64_t count,
                         struct p2p_verbs_report *report)
{
    struct p2p_verbs_nic *nic = p2p_verbs_nic_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (nic == NULL || events <= 0 || events % 8 != 0 || count < 0) {
        return p2p_verbs_failed("p2p_verbs_events", EINVAL, "arguments", report);
    }
    struct p2p_verbs_event *out = (struct p2p_verbs_event *)(intptr_t)events;
    int64_t n = 0;
    while (n < count) {
        struct ibv_async_event event;
        if (nic->library.get_async_event(nic->context, &event) != 0) {
            int error = errno;
            return n > 0 || error == EAGAIN || error == EINTR
                       ? n
                       : p2p_verbs_failed("ibv_get_async_event", error, "", report);
        }
        bool own = !is_of_port(event.event_type) || event.element.port_num == nic->port;
        if (own) {
            out[n].type = (int32_t)event.event_type;
            out[n].tag = -1;
            if (is_of_queue_pair(event.event_type)) {
                const struct p2p_verbs_queue_pair *pair = event.element.qp->qp_context;
                out[n].tag = pair->connection->detached ? -1 : pair->connection->tag;
            }
            n++;
        }
        nic->library.ack_async_event(&event);
    }
    return n;
}
