/* Waiting for a completion in poll(2). */
#include "driver.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

static int fd_of(struct side *side) {
  int fd = -1;
  expect(fi_control(&side->cq->fid, FI_GETWAIT, &fd), 0);
  return fd;
}

/* Blocks in poll(2) unless trywait says that there is something to read. */
static void wait_for(struct side *side) {
  struct fid *fid = &side->cq->fid;
  if (fi_trywait(side->fabric, &fid, 1) == 0) {
    struct pollfd wait = {.fd = fd_of(side), .events = POLLIN};
    expect(poll(&wait, 1, 60000), 1);
  }
}

struct server {
  struct side *side;
  _Atomic bool stop;
  _Atomic bool stopped;
  pthread_t thread;
};

/* A target that does nothing unless it is woken. */
static void *serve(void *argument) {
  struct server *server = argument;
  while (!server->stop) {
    wait_for(server->side);
    expect(fi_cq_read(server->side->cq, NULL, 0), -FI_EAGAIN);
  }
  server->stopped = true;
  return NULL;
}

static void start(struct server *server, struct side *side) {
  server->side = side;
  server->stop = false;
  server->stopped = false;
  expect(pthread_create(&server->thread, NULL, serve, server), 0);
}

/* Writes wake it: as many as it takes, because it may have handled one before it waits. */
static void stop(struct server *server, struct pair *pair) {
  struct fi_cq_msg_entry entry;
  server->stop = true;
  for (bool under_way = false; under_way || !server->stopped;) {
    if (!under_way) {
      write_to(pair, source, 8, 0, fi_mr_key(pair->region), source);
      under_way = true;
    }
    under_way = fi_cq_read(pair->initiator.cq, &entry, 1) != 1;
    if (server->stopped) {
      expect(fi_cq_read(pair->target.cq, NULL, 0), -FI_EAGAIN);
    }
  }
  expect(pthread_join(server->thread, NULL), 0);
}

static void poll_wakes(void) {
  struct pair pair;
  struct server server;
  struct fi_cq_msg_entry entry;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  start(&server, &pair.target);
  for (int i = 0; i < 300; i++) {
    size_t length = i % 3 == 0 ? 1000000 : 8;
    ssize_t status;
    write_to(&pair, source, length, 0, fi_mr_key(pair.region), &entry);
    while ((status = fi_cq_read(pair.initiator.cq, &entry, 1)) == -FI_EAGAIN) {
      wait_for(&pair.initiator);
    }
    expect(status, 1);
  }
  stop(&server, &pair);
  close_pair(&pair);
}

static void *post_later(void *argument) {
  struct pair *pair = argument;
  write_to(pair, source, 8, 0, 1ull << 63, source);
  return NULL;
}

/* The waiting thread learns of what another thread posts, a failure at the post included. */
static void other_thread_posts(void) {
  struct pair pair;
  struct server server;
  struct fi_cq_err_entry error = {0};
  struct fi_cq_msg_entry entry;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  start(&server, &pair.target);
  for (int i = 0; i < 100; i++) {
    pthread_t thread;
    struct fid *fid = &pair.initiator.cq->fid;
    set_fault(SIM_FAULT_CQ_ERROR, i % 2 == 0 ? SIM_EVERY : SIM_OFF, 1);
    while (fi_trywait(pair.initiator.fabric, &fid, 1) != 0) {
      expect(fi_cq_read(pair.initiator.cq, &entry, 1), -FI_EAGAIN);
    }
    expect(pthread_create(&thread, NULL, post_later, &pair), 0);
    ssize_t status;
    while ((status = fi_cq_read(pair.initiator.cq, &entry, 1)) == -FI_EAGAIN) {
      wait_for(&pair.initiator);
    }
    expect(status, -FI_EAVAIL);
    expect(fi_cq_readerr(pair.initiator.cq, &error, 0), 1);
    expect(error.prov_errno, i % 2 == 0 ? 0x5104 : 0x5101);
    expect(pthread_join(thread, NULL), 0);
  }
  set_fault(SIM_FAULT_CQ_ERROR, SIM_OFF, 0);
  stop(&server, &pair);
  close_pair(&pair);
}

static void trywait_says(void) {
  struct pair pair;
  struct fid *fid = NULL;
  struct fi_cq_msg_entry entry;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  fid = &pair.initiator.cq->fid;
  write_to(&pair, source, 8, 0, fi_mr_key(pair.region), source);
  while (counted(SIM_COMPLETIONS) == 0) {
    progress(&pair);
  }
  expect(fi_trywait(pair.initiator.fabric, &fid, 1), -FI_EAGAIN);
  expect(fi_cq_read(pair.initiator.cq, &entry, 1), 1);
  close_pair(&pair);
}

static void no_descriptor(void) {
  struct side side;
  struct fid_cq *cq = NULL;
  struct fi_cq_attr attr = {.format = FI_CQ_FORMAT_CONTEXT, .wait_obj = FI_WAIT_NONE};
  int fd = -1;
  open_side(&side, (struct settings){0});
  expect(fi_cq_open(side.domain, &attr, &cq, NULL), 0);
  expect(fi_control(&cq->fid, FI_GETWAIT, &fd), -FI_ENODATA);
  expect(fi_cq_sread(cq, NULL, 1, NULL, 0), -FI_ENOSYS);
  expect(fi_close(&cq->fid), 0);
  close_side(&side);
}

static int threads(void) {
  int count = 0;
  DIR *tasks = opendir("/proc/self/task");
  expect(tasks != NULL, true);
  while (readdir(tasks) != NULL) {
    count++;
  }
  closedir(tasks);
  return count;
}

enum { WRITERS = 4, WRITES = 200 };

struct writer {
  struct pair *pair;
  int number;
  _Atomic int finished;
  pthread_t thread;
};

/* Writes its own part of the region, and registers and closes regions of its own meanwhile. */
static void *write_many(void *argument) {
  struct writer *writer = argument;
  struct pair *pair = writer->pair;
  size_t part = REGION / WRITERS;
  size_t offset = part * (size_t)writer->number;
  for (int i = 0; i < WRITES; i++) {
    ssize_t status;
    while ((status = fi_write(pair->initiator.ep, source + offset, i % 8 == 0 ? part : 100, NULL,
                              pair->to, offset, fi_mr_key(pair->region), writer)) == -FI_EAGAIN) {
      /* Who only asks again keeps the lock from the thread that makes room. */
      sched_yield();
    }
    expect(status, 0);
    struct fid_mr *own = enabled_region(&pair->target, source, 64, FI_REMOTE_READ, 0);
    expect(fi_close(&own->fid), 0);
  }
  return NULL;
}

static void shared_endpoint(void) {
  struct pair pair;
  struct server server;
  static struct writer writers[WRITERS];
  struct fi_cq_msg_entry entries[16];
  open_pair(&pair, (struct settings){.tx_size = 64}, (struct settings){0});
  start(&server, &pair.target);
  for (int i = 0; i < WRITERS; i++) {
    writers[i].pair = &pair;
    writers[i].number = i;
    expect(pthread_create(&writers[i].thread, NULL, write_many, &writers[i]), 0);
  }
  for (int left = WRITERS * WRITES; left > 0;) {
    ssize_t count = fi_cq_read(pair.initiator.cq, entries, 16);
    if (count == -FI_EAGAIN) {
      wait_for(&pair.initiator);
      continue;
    }
    expect(count > 0, true);
    for (ssize_t i = 0; i < count; i++) {
      ((struct writer *)entries[i].op_context)->finished++;
    }
    left -= (int)count;
  }
  for (int i = 0; i < WRITERS; i++) {
    expect(pthread_join(writers[i].thread, NULL), 0);
    expect(writers[i].finished, WRITES);
  }
  expect(memcmp(source, destination, REGION), 0);
  stop(&server, &pair);
  close_pair(&pair);
}

static void no_threads(void) {
  struct pair pair;
  int before = threads();
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  expect(write_outcome(&pair, 100000, 0, fi_mr_key(pair.region)), 0);
  expect(threads(), before);
  close_pair(&pair);
}

const struct test_case wait_cases[] = {
    {"poll(2) on the queue's descriptor ends when there is something to read",
     poll_wakes,
     {NULL}},
    {"a waiting thread learns of what another one posted", other_thread_posts, {NULL}},
    {"fi_trywait says when there is something to read", trywait_says, {NULL}},
    {"without FI_WAIT_FD there is no descriptor", no_descriptor, {NULL}},
    {"threads share an endpoint, and register and close meanwhile", shared_endpoint, {NULL}},
    {"there are no threads of its own", no_threads, {NULL}},
    {NULL, NULL, {NULL}},
};
