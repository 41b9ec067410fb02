/* Reads and writes: what arrives, what is refused at the post and what at the target. */
#include "driver.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const size_t lengths[] = {0, 1, 8, 4095, 65535, 65536, 65537, 1500001, REGION};

static bool is_zero(const char *from, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (from[i] != 0) {
      return false;
    }
  }
  return true;
}

static void writes_arrive(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    size_t length = lengths[i];
    size_t offset = length == REGION ? 0 : 777;
    fill((unsigned)i);
    expect(write_outcome(&pair, length, offset, fi_mr_key(pair.region)), 0);
    expect(memcmp(destination + offset, source, length), 0);
    expect(is_zero(destination, offset), true);
    expect(is_zero(destination + offset + length, REGION - offset - length), true);
  }
  close_pair(&pair);
}

static void reads_arrive(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    size_t length = lengths[i];
    size_t offset = REGION - length;
    fill((unsigned)i);
    memcpy(destination, source, REGION);
    memset(source, 0, REGION);
    expect(read_outcome(&pair, length, offset, fi_mr_key(pair.region)), 0);
    expect(memcmp(destination + offset, source, length), 0);
    expect(is_zero(source + length, REGION - length), true);
  }
  close_pair(&pair);
}

static void unknown_key(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  char text[100];
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  write_to(&pair, source, REGION, 0, fi_mr_key(pair.region) ^ (1ull << 20), source);
  expect(outcome(&pair, &error), FI_EIO);
  expect(error.op_context == source, true);
  expect(error.prov_errno, 0x5101);
  expect(strstr(fi_cq_strerror(pair.initiator.cq, error.prov_errno, NULL, text, sizeof text),
                "simulated cxi: no enabled memory region") != NULL,
         true);
  expect(read_outcome(&pair, 8, 0, 1ull << 63), FI_EIO);
  expect(is_zero(destination, REGION), true);
  expect(write_outcome(&pair, 8, 0, fi_mr_key(pair.region)), 0);
  close_pair(&pair);
}

static void ranges(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  uint64_t key = fi_mr_key(pair.region);
  expect(write_outcome(&pair, 8, REGION - 8, key), 0);
  expect(write_outcome(&pair, 0, REGION, key), 0);
  memset(destination, 0, REGION);
  expect(provider_error(&pair, 8, REGION - 7, key), 0x5103);
  expect(provider_error(&pair, 8, (1ull << 56) - 1, key), 0x5103);
  expect(provider_error(&pair, REGION, 1, key), 0x5103);
  expect(read_outcome(&pair, REGION, 1, key), FI_EIO);
  /* Of a write that does not fit no byte is written, however many would fit. */
  expect(is_zero(destination, REGION), true);
  expect(fi_write(pair.initiator.ep, source, 8, NULL, pair.to, 1ull << 56, key, NULL), -FI_EINVAL);
  close_pair(&pair);
}

static void rights(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  static char guarded[64];
  struct fid_mr *readable = enabled_region(&pair.target, guarded, 64, FI_REMOTE_READ, 0);
  struct fid_mr *writable = enabled_region(&pair.target, guarded, 64, FI_REMOTE_WRITE, 0);
  expect(provider_error(&pair, 64, 0, fi_mr_key(readable)), 0x5102);
  expect(is_zero(guarded, 64), true);
  expect(read_outcome(&pair, 64, 0, fi_mr_key(writable)), FI_EIO);
  expect(read_outcome(&pair, 64, 0, fi_mr_key(readable)), 0);
  expect(write_outcome(&pair, 64, 0, fi_mr_key(writable)), 0);
  expect(fi_close(&readable->fid), 0);
  expect(fi_close(&writable->fid), 0);
  close_pair(&pair);
}

/* With a client's key, which is known before. */
static void not_enabled_region(void) {
  struct pair pair;
  struct fid_mr *region = NULL;
  static char memory[64];
  open_pair(&pair, (struct settings){.client_keys = true}, (struct settings){.client_keys = true});
  expect(fi_mr_reg(pair.target.domain, memory, 64, FI_REMOTE_WRITE, 0, 9, 0, &region, NULL), 0);
  expect(provider_error(&pair, 64, 0, 9), 0x5101);
  expect(fi_mr_bind(region, &pair.target.ep->fid, 0), 0);
  expect(provider_error(&pair, 64, 0, 9), 0x5101);
  expect(is_zero(memory, 64), true);
  expect(fi_mr_enable(region), 0);
  expect(write_outcome(&pair, 64, 0, 9), 0);
  expect(fi_close(&region->fid), 0);
  close_pair(&pair);
}

static void other_endpoint(void) {
  struct pair pair;
  struct side other;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  open_side(&other, (struct settings){.in_domain_of = &pair.target});
  fi_addr_t target = pair.to;
  pair.to = insert(&pair.initiator, other.address);
  write_to(&pair, source, 8, 0, fi_mr_key(pair.region), source);
  struct fi_cq_msg_entry entry;
  ssize_t status;
  while ((status = fi_cq_read(pair.initiator.cq, &entry, 1)) == -FI_EAGAIN) {
    expect(fi_cq_read(other.cq, NULL, 0), -FI_EAGAIN);
  }
  expect(status, -FI_EAVAIL);
  struct fi_cq_err_entry error = {0};
  expect(fi_cq_readerr(pair.initiator.cq, &error, 0), 1);
  expect(error.prov_errno, 0x5101);
  pair.to = target;
  close_side(&other);
  close_pair(&pair);
}

static void refused_posts(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){.tx_size = 16}, (struct settings){0});
  struct fid_ep *ep = pair.initiator.ep;
  uint64_t key = fi_mr_key(pair.region);
  struct iovec iov[] = {{source, 8}, {source, 8}};
  struct fi_rma_iov to = {.addr = 0, .len = 8, .key = key};
  struct fi_msg_rma message = {.msg_iov = iov,
                               .iov_count = 1,
                               .addr = pair.to,
                               .rma_iov = &to,
                               .rma_iov_count = 1};
  expect(fi_write(ep, NULL, 8, NULL, pair.to, 0, key, NULL), -FI_EINVAL);
  expect(fi_write(ep, source, 1ull << 32, NULL, pair.to, 0, key, NULL), -FI_EMSGSIZE);
  expect(fi_write(ep, source, 8, NULL, pair.to, 0, 1ull << 40, NULL), -FI_EKEYREJECTED);
  expect(fi_write(ep, source, 8, NULL, 1000, 0, key, NULL), -FI_EINVAL);
  expect(fi_writev(ep, iov, NULL, 2, pair.to, 0, key, NULL), -FI_EINVAL);
  expect(fi_readv(ep, iov, NULL, 2, pair.to, 0, key, NULL), -FI_EINVAL);
  expect(fi_inject_write(ep, source, 193, pair.to, 0, key), -FI_EMSGSIZE);
  expect(fi_writedata(ep, source, 8, NULL, 1, pair.to, 0, key, NULL), -FI_ENOSYS);
  expect(fi_writemsg(ep, &message, FI_MULTICAST), -FI_EBADFLAGS);
  expect(fi_readmsg(ep, &message, FI_INJECT), -FI_EBADFLAGS);
  expect(fi_writemsg(ep, &message, FI_FENCE), -FI_EINVAL);
  message.rma_iov_count = 2;
  expect(fi_writemsg(ep, &message, 0), -FI_EINVAL);
  expect(counted(SIM_WRITES) + counted(SIM_READS), 0);
  close_pair(&pair);
}

static void message_flags(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  static const uint64_t levels[] = {FI_COMPLETION, FI_INJECT_COMPLETE, FI_TRANSMIT_COMPLETE,
                                    FI_DELIVERY_COMPLETE, FI_MATCH_COMPLETE, FI_MORE, FI_INJECT};
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  struct iovec iov = {source, 100};
  struct fi_rma_iov to = {.addr = 5, .len = 100, .key = fi_mr_key(pair.region)};
  struct fi_msg_rma message = {.msg_iov = &iov,
                               .iov_count = 1,
                               .addr = pair.to,
                               .rma_iov = &to,
                               .rma_iov_count = 1};
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    memset(destination, 0, 200);
    expect(fi_writemsg(pair.initiator.ep, &message, levels[i]), 0);
    expect(outcome(&pair, &error), 0);
    expect(memcmp(destination + 5, source, 100), 0);
  }
  close_pair(&pair);
}

/* An injected buffer is the caller's again when the call returns. */
static void inject(void) {
  struct pair pair;
  char bytes[192];
  open_pair(&pair, (struct settings){.selective = true}, (struct settings){0});
  memset(bytes, 7, sizeof bytes);
  expect(fi_inject_write(pair.initiator.ep, bytes, 192, pair.to, 0, fi_mr_key(pair.region)), 0);
  memset(bytes, 9, sizeof bytes);
  while (destination[191] == 0) {
    progress(&pair);
  }
  expect(destination[0], 7);
  expect(destination[191], 7);
  close_pair(&pair);
}

static void selective(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  open_pair(&pair, (struct settings){.selective = true}, (struct settings){0});
  struct iovec iov = {source, 8};
  struct fi_rma_iov to = {.addr = 0, .len = 8, .key = fi_mr_key(pair.region)};
  struct fi_msg_rma message = {.msg_iov = &iov,
                               .iov_count = 1,
                               .addr = pair.to,
                               .rma_iov = &to,
                               .rma_iov_count = 1,
                               .context = source};
  expect(fi_writemsg(pair.initiator.ep, &message, 0), 0);
  message.context = destination;
  expect(fi_writemsg(pair.initiator.ep, &message, FI_COMPLETION), 0);
  struct fi_cq_msg_entry entry;
  ssize_t status;
  while ((status = fi_cq_read(pair.initiator.cq, &entry, 1)) == -FI_EAGAIN) {
    progress(&pair);
  }
  expect(status, 1);
  expect(entry.op_context == destination, true);
  expect(entry.flags, FI_RMA | FI_WRITE);
  /* A failure is reported all the same. */
  to.key ^= 1ull << 20;
  expect(fi_writemsg(pair.initiator.ep, &message, 0), 0);
  expect(outcome(&pair, &error), FI_EIO);
  expect(counted(SIM_COMPLETIONS), 2);
  close_pair(&pair);
}

static int posts_until_again(struct pair *pair) {
  int posted = 0;
  ssize_t status;
  while ((status = fi_write(pair->initiator.ep, source, 8, NULL, pair->to, 0,
                            fi_mr_key(pair->region), NULL)) == 0) {
    posted++;
  }
  expect(status, -FI_EAGAIN);
  return posted;
}

static void all_complete(struct pair *pair, int count) {
  struct fi_cq_err_entry error = {0};
  for (int i = 0; i < count; i++) {
    expect(outcome(pair, &error), 0);
  }
}

static void depth(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){.tx_size = 16}, (struct settings){0});
  expect(posts_until_again(&pair), 16);
  all_complete(&pair, 16);
  expect(posts_until_again(&pair), 16);
  all_complete(&pair, 16);
  expect(counted(SIM_EAGAINS), 2);
  close_pair(&pair);
}

static void queue_size(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){.cq_size = 8}, (struct settings){0});
  expect(posts_until_again(&pair), 8);
  while (counted(SIM_COMPLETIONS) < 8) {
    progress(&pair);
  }
  /* Finished, and not read: there is still no room. */
  expect(posts_until_again(&pair), 0);
  all_complete(&pair, 8);
  expect(posts_until_again(&pair), 8);
  all_complete(&pair, 8);
  close_pair(&pair);
}

static void before_enable(void) {
  struct pair pair;
  struct side early;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  open_side(&early, (struct settings){.not_enabled = true});
  fi_addr_t to = insert(&early, pair.target.address);
  expect(fi_write(early.ep, source, 8, NULL, to, 0, fi_mr_key(pair.region), NULL), -FI_ENOSYS);
  expect(fi_read(early.ep, source, 8, NULL, to, 0, fi_mr_key(pair.region), NULL), -FI_ENOSYS);
  expect(counted(SIM_RMA_BEFORE_ENABLE), 2);
  close_side(&early);
  close_pair(&pair);
}

/* Bytes wait in the target's sockets; a target that does not read its queue writes none. */
static void target_must_read(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  struct fi_cq_msg_entry entry;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  expect(write_outcome(&pair, 8, 0, fi_mr_key(pair.region)), 0);
  fill(2);
  write_to(&pair, source, 8, 0, fi_mr_key(pair.region), source);
  for (int i = 0; i < 10000; i++) {
    expect(fi_cq_read(pair.initiator.cq, &entry, 1), -FI_EAGAIN);
  }
  expect(is_zero(destination, 8), true);
  expect(outcome(&pair, &error), 0);
  expect(memcmp(destination, source, 8), 0);
  close_pair(&pair);
}

static void many_in_flight(void) {
  struct pair pair;
  struct fi_cq_msg_entry entries[64];
  open_pair(&pair, (struct settings){.tx_size = 256}, (struct settings){0});
  long long finished = 0;
  size_t posted = 0;
  while (finished < 1000) {
    if (posted < 1000 && fi_write(pair.initiator.ep, source + posted * 2000, 2000, NULL, pair.to,
                                  posted * 2000, fi_mr_key(pair.region), NULL) == 0) {
      posted++;
      continue;
    }
    ssize_t count = fi_cq_read(pair.initiator.cq, entries, 64);
    finished += count > 0 ? count : 0;
    expect(fi_cq_read(pair.target.cq, NULL, 0), -FI_EAGAIN);
  }
  expect(memcmp(destination, source, 2000000), 0);
  close_pair(&pair);
}

/* --- two processes --- */

struct introduction {
  uint8_t address[8];
  uint64_t key;
};

/* A target that serves until the pipe to it is closed, then exits. */
static void serve(int out, int in) {
  struct side side;
  static char memory[1 << 20];
  open_side(&side, (struct settings){0});
  struct fid_mr *region =
      enabled_region(&side, memory, sizeof memory, FI_REMOTE_READ | FI_REMOTE_WRITE, 0);
  struct introduction me = {.key = fi_mr_key(region)};
  memcpy(me.address, side.address, sizeof me.address);
  expect(write(out, &me, sizeof me), sizeof me);
  struct fi_cq_msg_entry entry;
  while (getppid() != 1 && in >= 0) {
    expect(fi_cq_sread(side.cq, &entry, 1, NULL, 10), -FI_EAGAIN);
  }
}

static pid_t start_server(struct introduction *peer) {
  int pipes[2];
  expect(pipe(pipes), 0);
  pid_t child = fork();
  if (child == 0) {
    serve(pipes[1], pipes[0]);
    _exit(0);
  }
  expect(read(pipes[0], peer, sizeof *peer), sizeof *peer);
  return child;
}

static int next_outcome(struct side *side, struct fi_cq_err_entry *error) {
  struct fi_cq_msg_entry entry;
  ssize_t status;
  while ((status = fi_cq_sread(side->cq, &entry, 1, NULL, 100)) == -FI_EAGAIN) {
  }
  if (status == 1) {
    return 0;
  }
  expect(fi_cq_readerr(side->cq, error, 0), 1);
  return error->err;
}

static void stop(pid_t child) {
  kill(child, SIGKILL);
  expect(waitpid(child, NULL, 0), child);
}

static void two_processes(void) {
  struct introduction peer;
  struct side side;
  struct fi_cq_err_entry error = {0};
  static char back[1 << 20];
  pid_t child = start_server(&peer);
  open_side(&side, (struct settings){0});
  fi_addr_t to = insert(&side, peer.address);
  fill(3);
  expect(fi_write(side.ep, source, 1 << 20, NULL, to, 0, peer.key, NULL), 0);
  expect(next_outcome(&side, &error), 0);
  expect(fi_read(side.ep, back, 1 << 20, NULL, to, 0, peer.key, NULL), 0);
  expect(next_outcome(&side, &error), 0);
  expect(memcmp(back, source, 1 << 20), 0);
  expect(fi_write(side.ep, source, 8, NULL, to, 0, peer.key ^ (1ull << 20), NULL), 0);
  expect(next_outcome(&side, &error), FI_EIO);
  stop(child);
  close_side(&side);
}

static void dead_peer(void) {
  struct introduction peer;
  struct side side;
  struct fi_cq_err_entry error = {0};
  pid_t child = start_server(&peer);
  open_side(&side, (struct settings){0});
  fi_addr_t to = insert(&side, peer.address);
  expect(fi_write(side.ep, source, 8, NULL, to, 0, peer.key, NULL), 0);
  expect(next_outcome(&side, &error), 0);
  stop(child);
  for (int i = 0; i < 3; i++) {
    expect(fi_write(side.ep, source, 100000, NULL, to, 0, peer.key, NULL), 0);
    expect(next_outcome(&side, &error), FI_EHOSTUNREACH);
    expect(error.prov_errno, 0x5106);
  }
  close_side(&side);
}

/* An initiator that is gone when the target answers: the answers to others do not queue behind. */
static void gone_initiator(void) {
  struct pair pair;
  struct side other;
  struct fi_cq_err_entry error = {0};
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  open_side(&other, (struct settings){0});
  uint64_t key = fi_mr_key(pair.region);
  expect(write_outcome(&pair, 8, 0, key), 0);
  for (int i = 0; i < 8; i++) {
    expect(fi_read(pair.initiator.ep, source, 65536, NULL, pair.to, 0, key, NULL), 0);
  }
  close_side(&pair.initiator);
  pair.initiator = other;
  pair.to = insert(&pair.initiator, pair.target.address);
  for (int i = 0; i < 100; i++) {
    expect(read_outcome(&pair, 100000, 0, key), 0);
  }
  expect(fi_read(pair.initiator.ep, source, 8, NULL, pair.to, 0, key, NULL), 0);
  expect(outcome(&pair, &error), 0);
  close_pair(&pair);
}

/* What peers do that look whether it is still there: they connect, and go. */
static void looked_for(void) {
  struct pair pair;
  struct sockaddr_in target = {.sin_family = AF_INET};
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  memcpy(&target.sin_addr, pair.target.address, 4);
  memcpy(&target.sin_port, pair.target.address + 4, 2);
  for (int i = 0; i < 300; i++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(connect(fd, (struct sockaddr *)&target, sizeof target), 0);
    expect(close(fd), 0);
    expect(write_outcome(&pair, i % 2 == 0 ? 8 : 100000, 0, fi_mr_key(pair.region)), 0);
  }
  close_pair(&pair);
}

/* Posted after somebody began to wait, when nothing was under way. */
static void dead_peer_wakes(void) {
  struct introduction peer;
  struct side side;
  struct fi_cq_err_entry error = {0};
  pid_t child = start_server(&peer);
  open_side(&side, (struct settings){0});
  struct fid *fid = &side.cq->fid;
  struct pollfd wait = {.events = POLLIN};
  expect(fi_control(fid, FI_GETWAIT, &wait.fd), 0);
  stop(child);
  fi_addr_t to = insert(&side, peer.address);
  expect(fi_trywait(side.fabric, &fid, 1), 0);
  expect(fi_write(side.ep, source, 8, NULL, to, 0, peer.key, NULL), 0);
  struct fi_cq_msg_entry entry;
  ssize_t status;
  while ((status = fi_cq_read(side.cq, &entry, 1)) == -FI_EAGAIN) {
    expect(poll(&wait, 1, 10000), 1);
    while (fi_trywait(side.fabric, &fid, 1) == -FI_EAGAIN && counted(SIM_COMPLETIONS) == 0) {
    }
  }
  expect(status, -FI_EAVAIL);
  expect(fi_cq_readerr(side.cq, &error, 0), 1);
  expect(error.err, FI_EHOSTUNREACH);
  close_side(&side);
}

static void never_there(void) {
  struct introduction peer;
  struct side side;
  struct fi_cq_err_entry error = {0};
  pid_t child = start_server(&peer);
  stop(child);
  open_side(&side, (struct settings){0});
  fi_addr_t to = insert(&side, peer.address);
  expect(fi_write(side.ep, source, 8, NULL, to, 0, peer.key, NULL), 0);
  expect(next_outcome(&side, &error), FI_EHOSTUNREACH);
  close_side(&side);
}

const struct test_case rma_cases[] = {
    {"writes of all lengths arrive at their offset and nowhere else", writes_arrive, {NULL}},
    {"reads of all lengths arrive", reads_arrive, {NULL}},
    {"an unknown key is EIO with a provider errno and text, and writes nothing",
     unknown_key,
     {NULL}},
    {"a range outside the region is EIO, and writes nothing", ranges, {NULL}},
    {"a region grants what it was registered for", rights, {NULL}},
    {"a region that is not enabled is not reached", not_enabled_region, {NULL}},
    {"a region is not reached through another endpoint", other_endpoint, {NULL}},
    {"a post checks buffer, length, key, address, iovs and flags", refused_posts, {NULL}},
    {"all completion levels are taken", message_flags, {NULL}},
    {"an injected buffer is free at once", inject, {NULL}},
    {"selective completion reports what was asked for and failures", selective, {NULL}},
    {"the depth of the queue is -FI_EAGAIN", depth, {NULL}},
    {"a full completion queue is -FI_EAGAIN", queue_size, {NULL}},
    {"RMA before enable is refused and counted", before_enable, {NULL}},
    {"nothing arrives while the target does not read its queue", target_must_read, {NULL}},
    {"many operations in flight arrive", many_in_flight, {NULL}},
    {"two processes write and read", two_processes, {NULL}},
    {"an initiator that is gone keeps nobody from being answered", gone_initiator, {NULL}},
    {"an endpoint that others look for goes on", looked_for, {NULL}},
    {"a peer that died is EHOSTUNREACH", dead_peer, {NULL}},
    {"a peer that died ends a wait that began before", dead_peer_wakes, {NULL}},
    {"a peer that is not there is EHOSTUNREACH", never_there, {NULL}},
    {NULL, NULL, {NULL}},
};
