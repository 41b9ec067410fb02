/*
 * Completion queues: what has finished, in order, and how to wait for more.
 *
 * Reading a queue drives its endpoints: nothing moves by itself, at the initiator or at the target.
 * The file descriptor of FI_WAIT_FD is an epoll(7) over the inner endpoints' descriptors, an eventfd
 * for what another thread found meanwhile, and a timer for peers that may be gone.
 */
#include "sim.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define DEFAULT_SIZE 1024
/* How often waiting is interrupted while answers are missing. */
#define LOOK_AFTER_MS 200

static struct sim_cq *cq_of(struct fid_cq *fid) { return sim_container(fid, struct sim_cq, fid); }

/* --- entries --- */

static void wake_locked(struct sim_cq *cq) {
  if (cq->armed && cq->wake >= 0) {
    cq->armed = false;
    /* Cannot block: the value stays far from the limit of an eventfd. */
    eventfd_write(cq->wake, 1);
  }
}

void sim_cq_posted_locked(struct sim_cq *cq) {
  if (!cq->timed) {
    wake_locked(cq);
  }
}

void sim_cq_push_locked(struct sim_cq *cq, const struct sim_entry *entry) {
  /* There is room: every operation reserved its entry when it was posted. */
  cq->ring[(cq->first + cq->count) % cq->size] = *entry;
  cq->count++;
  sim_count(SIM_COMPLETIONS, 1);
  sim_count(SIM_FAILURES, entry->error != 0 ? 1 : 0);
  wake_locked(cq);
}

static void pop_locked(struct sim_cq *cq) {
  cq->first = (cq->first + 1) % cq->size;
  cq->count--;
  cq->reserved--;
}

static size_t entry_size(enum fi_cq_format format) {
  switch (format) {
    case FI_CQ_FORMAT_MSG:
      return sizeof(struct fi_cq_msg_entry);
    case FI_CQ_FORMAT_DATA:
      return sizeof(struct fi_cq_data_entry);
    case FI_CQ_FORMAT_TAGGED:
      return sizeof(struct fi_cq_tagged_entry);
    default:
      return sizeof(struct fi_cq_entry);
  }
}

static ssize_t read_locked(struct sim_cq *cq, char *buf, size_t count) {
  size_t size = entry_size(cq->format);
  size_t done = 0;
  while (done < count && cq->count > 0 && cq->ring[cq->first].error == 0) {
    const struct sim_entry *entry = &cq->ring[cq->first];
    struct fi_cq_tagged_entry out = {
        .op_context = entry->context,
        .flags = entry->flags,
        .len = entry->length,
    };
    memcpy(buf + done * size, &out, size); /* the shorter formats begin alike */
    pop_locked(cq);
    done++;
  }
  if (done > 0) {
    return (ssize_t)done;
  }
  return cq->count > 0 && cq->ring[cq->first].error != 0 ? -FI_EAVAIL : -FI_EAGAIN;
}

static void progress_locked(struct sim_cq *cq) {
  for (size_t i = 0; i < cq->endpoint_count; i++) {
    sim_progress_locked(cq->endpoints[i]);
  }
}

static ssize_t cq_readfrom(struct fid_cq *fid, void *buf, size_t count, fi_addr_t *from) {
  struct sim_cq *cq = cq_of(fid);
  pthread_mutex_lock(&cq->domain->lock);
  cq->armed = false;
  if (cq->count == 0 || count == 0) {
    progress_locked(cq);
  }
  ssize_t status = count == 0 ? (cq->count > 0 ? 0 : -FI_EAGAIN) : read_locked(cq, buf, count);
  pthread_mutex_unlock(&cq->domain->lock);
  for (ssize_t i = 0; from != NULL && i < status; i++) {
    from[i] = FI_ADDR_NOTAVAIL;
  }
  return status;
}

static ssize_t cq_read(struct fid_cq *fid, void *buf, size_t count) {
  return cq_readfrom(fid, buf, count, NULL);
}

static ssize_t cq_readerr(struct fid_cq *fid, struct fi_cq_err_entry *buf, uint64_t flags) {
  struct sim_cq *cq = cq_of(fid);
  ssize_t status = -FI_EAGAIN;
  pthread_mutex_lock(&cq->domain->lock);
  if (cq->count > 0 && cq->ring[cq->first].error != 0) {
    const struct sim_entry *entry = &cq->ring[cq->first];
    struct fi_cq_err_entry out = {
        .op_context = entry->context,
        .flags = entry->flags,
        .len = entry->length,
        .err = entry->error,
        .prov_errno = entry->prov_errno,
        .src_addr = FI_ADDR_NOTAVAIL,
    };
    /* The caller's structure ends earlier when it was built for an older interface. */
    uint32_t version = cq->domain->fabric->fid.api_version;
    memcpy(buf, &out,
           version < FI_VERSION(1, 20) ? offsetof(struct fi_cq_err_entry, src_addr) : sizeof out);
    if ((flags & FI_PEEK) == 0) {
      pop_locked(cq);
    }
    status = 1;
  }
  pthread_mutex_unlock(&cq->domain->lock);
  return status;
}

static const char *text_of(int prov_errno) {
  switch (prov_errno) {
    case SIM_ERROR_KEY:
      return "simulated cxi: no enabled memory region of the target has this key";
    case SIM_ERROR_ACCESS:
      return "simulated cxi: the memory region does not grant this access";
    case SIM_ERROR_RANGE:
      return "simulated cxi: the range is not inside the memory region";
    case SIM_ERROR_INJECTED:
      return "simulated cxi: a fault that was asked for";
    case SIM_ERROR_GONE:
      return "simulated cxi: the device is gone";
    case SIM_ERROR_UNREACHABLE:
      return "simulated cxi: the target cannot be reached";
    default:
      return "simulated cxi: no such provider error";
  }
}

static const char *cq_strerror(struct fid_cq *fid, int prov_errno, const void *err_data, char *buf,
                               size_t len) {
  (void)fid;
  (void)err_data;
  const char *text = text_of(prov_errno);
  if (buf != NULL && len > 0) {
    snprintf(buf, len, "%s", text);
  }
  return text;
}

/* --- waiting --- */

/* Lets the wait end by itself after a while, or not. */
static void set_timer(struct sim_cq *cq, bool on) {
  struct itimerspec time = {0};
  if (on == cq->timed) {
    return;
  }
  cq->timed = on;
  if (on) {
    time.it_value.tv_nsec = LOOK_AFTER_MS * 1000000L;
    time.it_interval = time.it_value;
  }
  timerfd_settime(cq->timer, 0, &time, NULL);
}

static void drain(int fd) {
  uint64_t value;
  ssize_t got = read(fd, &value, sizeof value);
  (void)got; /* not blocking; nothing to read is fine */
}

static int trywait_locked(struct sim_cq *cq) {
  drain(cq->wake);
  drain(cq->timer);
  progress_locked(cq);
  if (cq->count > 0) {
    return -FI_EAGAIN;
  }
  bool answers_missing = false;
  for (size_t i = 0; i < cq->endpoint_count; i++) {
    struct sim_endpoint *endpoint = cq->endpoints[i];
    struct fid *inner = &endpoint->inner_cq->fid;
    int status = fi_trywait(cq->domain->fabric->inner, &inner, 1);
    if (status != 0) {
      return status;
    }
    answers_missing = answers_missing || endpoint->used > 0 || endpoint->replies > 0;
  }
  set_timer(cq, answers_missing);
  cq->armed = true;
  return 0;
}

int sim_cq_trywait(struct sim_cq *cq) {
  if (cq->epoll < 0) {
    return -FI_EINVAL;
  }
  pthread_mutex_lock(&cq->domain->lock);
  int status = trywait_locked(cq);
  pthread_mutex_unlock(&cq->domain->lock);
  return status;
}

static ssize_t cq_sreadfrom(struct fid_cq *fid, void *buf, size_t count, fi_addr_t *from,
                            const void *cond, int timeout) {
  (void)cond;
  struct sim_cq *cq = cq_of(fid);
  if (cq->epoll < 0) {
    return -FI_ENOSYS;
  }
  int64_t end = sim_milliseconds() + timeout;
  for (;;) {
    ssize_t status = cq_readfrom(fid, buf, count, from);
    int64_t left = timeout < 0 ? LOOK_AFTER_MS : end - sim_milliseconds();
    if (status != -FI_EAGAIN || left <= 0) {
      return status;
    }
    if (sim_cq_trywait(cq) == 0) {
      struct pollfd wait = {.fd = cq->epoll, .events = POLLIN};
      poll(&wait, 1, (int)left);
    }
  }
}

static ssize_t cq_sread(struct fid_cq *fid, void *buf, size_t count, const void *cond,
                        int timeout) {
  return cq_sreadfrom(fid, buf, count, NULL, cond, timeout);
}

/* As cxi: there is no way to end the wait of another thread. */
static int cq_signal(struct fid_cq *fid) {
  (void)fid;
  return -FI_ENOSYS;
}

static int cq_control(struct fid *fid, int command, void *arg) {
  struct sim_cq *cq = sim_container(fid, struct sim_cq, fid.fid);
  switch (command) {
    case FI_GETWAIT:
      if (cq->epoll < 0) {
        return -FI_ENODATA;
      }
      *(int *)arg = cq->epoll;
      return 0;
    case FI_GETWAITOBJ:
      *(enum fi_wait_obj *)arg = cq->wait_object;
      return 0;
    default:
      return -FI_ENOSYS;
  }
}

/* --- the endpoints of a queue --- */

int sim_cq_add_endpoint_locked(struct sim_cq *cq, struct sim_endpoint *endpoint) {
  for (size_t i = 0; i < cq->endpoint_count; i++) {
    if (cq->endpoints[i] == endpoint) {
      return 0;
    }
  }
  struct sim_endpoint **grown =
      realloc(cq->endpoints, (cq->endpoint_count + 1) * sizeof(struct sim_endpoint *));
  if (grown == NULL) {
    return -FI_ENOMEM;
  }
  cq->endpoints = grown;
  if (cq->epoll >= 0) {
    int fd = -1;
    struct epoll_event event = {.events = EPOLLIN};
    int status = fi_control(&endpoint->inner_cq->fid, FI_GETWAIT, &fd);
    if (status != 0) {
      return status;
    }
    if (epoll_ctl(cq->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
      return -errno;
    }
  }
  grown[cq->endpoint_count++] = endpoint;
  return 0;
}

void sim_cq_remove_endpoint_locked(struct sim_cq *cq, struct sim_endpoint *endpoint) {
  size_t i = 0;
  while (i < cq->endpoint_count && cq->endpoints[i] != endpoint) {
    i++;
  }
  if (i == cq->endpoint_count) {
    return;
  }
  int fd = -1;
  if (cq->epoll >= 0 && fi_control(&endpoint->inner_cq->fid, FI_GETWAIT, &fd) == 0) {
    epoll_ctl(cq->epoll, EPOLL_CTL_DEL, fd, NULL);
  }
  cq->endpoints[i] = cq->endpoints[--cq->endpoint_count];
}

/* --- opening and closing --- */

static void free_cq(struct sim_cq *cq) {
  if (cq->epoll >= 0) {
    close(cq->epoll);
  }
  if (cq->wake >= 0) {
    close(cq->wake);
  }
  if (cq->timer >= 0) {
    close(cq->timer);
  }
  free(cq->ring);
  free(cq->endpoints);
  free(cq);
}

static int cq_close(struct fid *fid) {
  struct sim_cq *cq = sim_container(fid, struct sim_cq, fid.fid);
  if (atomic_load(&cq->users) != 0) {
    return -FI_EBUSY;
  }
  atomic_fetch_sub(&cq->domain->users, 1);
  sim_count(SIM_CQS, -1);
  free_cq(cq);
  return 0;
}

static bool open_descriptors(struct sim_cq *cq) {
  cq->epoll = epoll_create1(EPOLL_CLOEXEC);
  cq->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  cq->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN};
  return cq->epoll >= 0 && cq->wake >= 0 && cq->timer >= 0 &&
         epoll_ctl(cq->epoll, EPOLL_CTL_ADD, cq->wake, &event) == 0 &&
         epoll_ctl(cq->epoll, EPOLL_CTL_ADD, cq->timer, &event) == 0;
}

static struct fi_ops cq_fid_ops = {
    .size = sizeof(struct fi_ops),
    .close = cq_close,
    .bind = sim_no_bind,
    .control = cq_control,
    .ops_open = sim_no_ops_open,
};

static struct fi_ops_cq cq_ops = {
    .size = sizeof(struct fi_ops_cq),
    .read = cq_read,
    .readfrom = cq_readfrom,
    .readerr = cq_readerr,
    .sread = cq_sread,
    .sreadfrom = cq_sreadfrom,
    .signal = cq_signal,
    .strerror = cq_strerror,
};

int sim_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr, struct fid_cq **cq,
                void *context) {
  enum fi_wait_obj wait = attr == NULL ? FI_WAIT_NONE : attr->wait_obj;
  enum fi_cq_format format = attr == NULL ? FI_CQ_FORMAT_UNSPEC : attr->format;
  if ((wait != FI_WAIT_NONE && wait != FI_WAIT_UNSPEC && wait != FI_WAIT_FD) ||
      format > FI_CQ_FORMAT_TAGGED) {
    return -FI_ENOSYS;
  }
  struct sim_cq *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return -FI_ENOMEM;
  }
  made->epoll = made->wake = made->timer = -1;
  made->domain = sim_container(domain, struct sim_domain, fid);
  made->format = format == FI_CQ_FORMAT_UNSPEC ? FI_CQ_FORMAT_CONTEXT : format;
  made->wait_object = wait == FI_WAIT_UNSPEC ? FI_WAIT_FD : wait;
  made->size = attr == NULL || attr->size == 0 ? DEFAULT_SIZE : attr->size;
  made->ring = calloc(made->size, sizeof *made->ring);
  if (made->ring == NULL || (made->wait_object == FI_WAIT_FD && !open_descriptors(made))) {
    free_cq(made);
    return -FI_ENOMEM;
  }
  made->fid.fid = (struct fid){.fclass = FI_CLASS_CQ, .context = context, .ops = &cq_fid_ops};
  made->fid.ops = &cq_ops;
  atomic_fetch_add(&made->domain->users, 1);
  sim_count(SIM_CQS, 1);
  *cq = &made->fid;
  return 0;
}
