/*
 * Memory regions and the registry of keys, at the target: what a remote access reaches.
 *
 * The life of a region: registered, bound to one enabled endpoint, enabled; only then peers reach it.
 * Closed, it is out of reach at once, with these exceptions of cxi:
 *
 *   cached key (MR cache on, provider keys, key cache on, match events off): it names an address
 *     translation entry and an offset. A closed region stays in reach until the last region with
 *     such a key of its endpoint is closed, and any such key reaches any such region.
 *   match events off: a write of several pieces whose first was taken goes on.
 *   match events on: the close waits for such writes, and cuts them off when they take too long.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define PROVIDER_KEY (1ull << 63)
#define CACHED_KEY (1ull << 62)
#define ADDRESS_MASK ((1ull << 56) - 1)
#define CLIENT_KEY_MOST 0xffffffffull
#define REMOTE_ACCESS (FI_REMOTE_READ | FI_REMOTE_WRITE)

/* --- the registry --- */

int sim_registry_open(struct sim_registry *registry) {
  registry->slots = calloc(SIM_SLOTS, sizeof *registry->slots);
  registry->free_slots = calloc(SIM_SLOTS, sizeof *registry->free_slots);
  registry->generations = calloc(SIM_SLOTS, sizeof *registry->generations);
  return registry->slots == NULL || registry->free_slots == NULL || registry->generations == NULL
             ? -FI_ENOMEM
             : 0;
}

void sim_registry_close(struct sim_registry *registry) {
  free(registry->slots);
  free(registry->free_slots);
  free(registry->generations);
}

/* A slot that is free, or SIM_SLOTS. Those given back are taken first; generations count uses. */
static uint32_t take_slot(struct sim_registry *registry) {
  if (registry->free_slot_count > 0) {
    return registry->free_slots[--registry->free_slot_count];
  }
  return registry->slots_used < SIM_SLOTS ? registry->slots_used++ : SIM_SLOTS;
}

static uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

static struct sim_mr **bucket_of(struct sim_registry *registry, uint64_t key) {
  return &registry->buckets[mix(key) % SIM_REGISTRY_BUCKETS];
}

static struct sim_mr *find_key(struct sim_registry *registry, uint64_t key) {
  struct sim_mr *mr = *bucket_of(registry, key);
  while (mr != NULL && mr->key != key) {
    mr = mr->next_in_bucket;
  }
  return mr;
}

static void insert_key(struct sim_registry *registry, struct sim_mr *mr) {
  struct sim_mr **bucket = bucket_of(registry, mr->key);
  mr->next_in_bucket = *bucket;
  *bucket = mr;
}

static void remove_key(struct sim_registry *registry, struct sim_mr *mr) {
  struct sim_mr **link = bucket_of(registry, mr->key);
  while (*link != NULL && *link != mr) {
    link = &(*link)->next_in_bucket;
  }
  if (*link == mr) {
    *link = mr->next_in_bucket;
  }
}

static void *descriptor_of(const struct sim_registry *registry, uint32_t slot) {
  return (void *)(uintptr_t)(((uint64_t)registry->generations[slot] << 20) | slot | (1ull << 62));
}

bool sim_descriptor_covers_locked(struct sim_domain *domain, void *descriptor, const void *buffer,
                                  size_t length) {
  uint32_t slot = (uint32_t)((uintptr_t)descriptor & 0xfffff);
  if (slot >= SIM_SLOTS || domain->registry.slots[slot] == NULL ||
      descriptor_of(&domain->registry, slot) != descriptor) {
    return false;
  }
  const struct sim_mr *mr = domain->registry.slots[slot];
  const char *first = buffer;
  return first >= mr->base && (size_t)(first - mr->base) <= mr->length &&
         length <= mr->length - (size_t)(first - mr->base);
}

/* --- remote accesses --- */

/* Where the write that a piece belongs to hangs in the list of its region, or the list's end. */
static struct sim_open **find_open(struct sim_mr *mr, const struct sim_wire *wire) {
  struct sim_open **link = &mr->open;
  while (*link != NULL &&
         ((*link)->slot != wire->slot || (*link)->generation != wire->generation ||
          memcmp((*link)->from, wire->from, sizeof wire->from) != 0)) {
    link = &(*link)->next;
  }
  return link;
}

static bool add_open(struct sim_mr *mr, const struct sim_wire *wire) {
  struct sim_open *open = malloc(sizeof *open);
  if (open == NULL) {
    return false;
  }
  *open = (struct sim_open){.slot = wire->slot, .generation = wire->generation, .next = mr->open};
  memcpy(open->from, wire->from, sizeof open->from);
  mr->open = open;
  return true;
}

static void remove_open(struct sim_open **link) {
  struct sim_open *open = *link;
  *link = open->next;
  free(open);
}

static struct sim_mr *find_cached(struct sim_endpoint *endpoint, uint64_t address,
                                  uint64_t length) {
  for (struct sim_mr *mr = endpoint->regions; mr != NULL; mr = mr->next_of_endpoint) {
    uint64_t base = (uintptr_t)mr->base;
    if (mr->cached && address >= base && address - base <= mr->length &&
        length <= mr->length - (address - base)) {
      return mr;
    }
  }
  return NULL;
}

/* Finds the region and where in it the operation begins. A cached key carries no rights. */
static enum sim_error find_target(struct sim_endpoint *endpoint, const struct sim_wire *wire,
                                  struct sim_mr **found, uint64_t *offset) {
  if ((wire->key & (PROVIDER_KEY | CACHED_KEY)) == (PROVIDER_KEY | CACHED_KEY)) {
    uint64_t address = (wire->key & ADDRESS_MASK) + wire->offset;
    *found = find_cached(endpoint, address, wire->total);
    if (*found == NULL) {
      return SIM_ERROR_KEY;
    }
    *offset = address - (uintptr_t)(*found)->base;
    if (((*found)->key & ADDRESS_MASK) != (wire->key & ADDRESS_MASK)) {
      sim_count(SIM_STRAY_ACCESSES, 1);
    }
    return SIM_OK;
  }
  struct sim_mr *mr = find_key(&endpoint->domain->registry, wire->key);
  /* Of a closed region only writes that began before are left, and what remains of reads. */
  bool late = mr != NULL && (mr->closed || mr->closing) &&
              (wire->kind == SIM_WRITE ? *find_open(mr, wire) == NULL : wire->at == 0);
  if (mr == NULL || !mr->enabled || mr->endpoint != endpoint || late) {
    return SIM_ERROR_KEY;
  }
  uint64_t right = wire->kind == SIM_WRITE ? FI_REMOTE_WRITE : FI_REMOTE_READ;
  if ((mr->access & right) == 0) {
    return SIM_ERROR_ACCESS;
  }
  if (wire->offset > mr->length || wire->total > mr->length - wire->offset) {
    return SIM_ERROR_RANGE;
  }
  *found = mr;
  *offset = wire->offset;
  return SIM_OK;
}

/* For memory that may not be mapped: the kernel says so. */
static bool copy_by_kernel(void *to, void *from, size_t length, bool write) {
  struct iovec local = {.iov_base = write ? from : to, .iov_len = length};
  struct iovec remote = {.iov_base = write ? to : from, .iov_len = length};
  ssize_t done = write ? process_vm_writev(getpid(), &local, 1, &remote, 1, 0)
                       : process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
  return done == (ssize_t)length;
}

static void count_refusal(enum sim_error error) {
  sim_count(error == SIM_ERROR_KEY      ? SIM_REFUSED_KEY
            : error == SIM_ERROR_ACCESS ? SIM_REFUSED_ACCESS
                                        : SIM_REFUSED_RANGE,
            1);
}

static void free_region_locked(struct sim_mr *mr);

enum sim_error sim_remote_access_locked(struct sim_endpoint *endpoint, const struct sim_wire *wire,
                                        char *data) {
  struct sim_mr *mr = NULL;
  uint64_t offset = 0;
  enum sim_error error = SIM_ERROR_RANGE;
  if (wire->at <= wire->total && wire->length <= wire->total - wire->at) {
    error = find_target(endpoint, wire, &mr, &offset);
  }
  if (error != SIM_OK) {
    count_refusal(error);
    return error;
  }
  bool write = wire->kind == SIM_WRITE;
  bool last = wire->at + wire->length == wire->total;
  if (write && wire->at == 0 && !last && !add_open(mr, wire)) {
    return SIM_ERROR_RANGE;
  }
  char *target = mr->base + offset + wire->at;
  sim_count(write ? SIM_REMOTE_WRITES : SIM_REMOTE_READS, 1);
  if (mr->closed) {
    sim_count(SIM_LATE_ACCESSES, 1);
    if (wire->length > 0 &&
        !copy_by_kernel(write ? target : data, write ? data : target, wire->length, write)) {
      error = SIM_ERROR_RANGE;
    }
  } else if (wire->length > 0) {
    memcpy(write ? target : data, write ? data : target, wire->length);
  }
  struct sim_open **open = find_open(mr, wire);
  if (write && last && *open != NULL) {
    remove_open(open);
    if (mr->closed && !mr->cached && mr->open == NULL) {
      free_region_locked(mr);
    }
  }
  return error;
}

/* --- closing --- */

static void link_region(struct sim_mr *mr) {
  struct sim_mr *first = mr->endpoint->regions;
  mr->previous_of_endpoint = NULL;
  mr->next_of_endpoint = first;
  if (first != NULL) {
    first->previous_of_endpoint = mr;
  }
  mr->endpoint->regions = mr;
}

static void unlink_region(struct sim_mr *mr) {
  if (mr->previous_of_endpoint == NULL) {
    mr->endpoint->regions = mr->next_of_endpoint;
  } else {
    mr->previous_of_endpoint->next_of_endpoint = mr->next_of_endpoint;
  }
  if (mr->next_of_endpoint != NULL) {
    mr->next_of_endpoint->previous_of_endpoint = mr->previous_of_endpoint;
  }
}

/* Takes a region out of the registry and the endpoint, and frees it. */
static void free_region_locked(struct sim_mr *mr) {
  struct sim_registry *registry = &mr->domain->registry;
  if (mr->key != FI_KEY_NOTAVAIL) {
    remove_key(registry, mr);
  }
  if (mr->enabled) {
    unlink_region(mr);
  }
  if (mr->closed) {
    sim_count(SIM_LINGERING, -1);
  }
  registry->slots[mr->slot] = NULL;
  registry->generations[mr->slot]++;
  registry->free_slots[registry->free_slot_count++] = mr->slot;
  if ((mr->access & REMOTE_ACCESS) != 0) {
    registry->regions--;
  }
  while (mr->open != NULL) {
    remove_open(&mr->open);
  }
  free(mr);
}

void sim_endpoint_forget_regions_locked(struct sim_endpoint *endpoint) {
  while (endpoint->regions != NULL) {
    free_region_locked(endpoint->regions);
  }
}

static bool has_open_cached(const struct sim_endpoint *endpoint) {
  for (const struct sim_mr *mr = endpoint->regions; mr != NULL; mr = mr->next_of_endpoint) {
    if (mr->cached && (!mr->closed || mr->open != NULL)) {
      return true;
    }
  }
  return false;
}

static void forget_cached(struct sim_endpoint *endpoint) {
  struct sim_mr *mr = endpoint->regions;
  while (mr != NULL) {
    struct sim_mr *next = mr->next_of_endpoint;
    if (mr->cached && mr->closed) {
      free_region_locked(mr);
    }
    mr = next;
  }
}

static void linger_locked(struct sim_mr *mr) {
  mr->closed = true;
  sim_count(SIM_LINGERED, 1);
  sim_count(SIM_LINGERING, 1);
}

/* Waits with the lock held, as cxi does, until no write is under way or the time is over. */
static void wait_for_writes_locked(struct sim_mr *mr) {
  static const struct timespec pause = {.tv_nsec = 20000};
  int64_t end = sim_milliseconds() + sim_environment_number("FI_CXI_SIM_MATCH_WAIT_MS", 500);
  sim_count(SIM_CLOSES_WAITED, 1);
  mr->closing = true;
  while (mr->open != NULL && sim_milliseconds() < end) {
    /* The initiator may be an endpoint of this domain too. */
    for (struct sim_endpoint *each = mr->domain->endpoints; each != NULL; each = each->next) {
      if (each->enabled) {
        sim_progress_locked(each);
      }
    }
    nanosleep(&pause, NULL);
  }
  if (mr->open != NULL) {
    sim_count(SIM_CLOSES_CUT, 1);
  }
}

static int mr_close(struct fid *fid) {
  struct sim_mr *mr = sim_container(fid, struct sim_mr, fid.fid);
  struct sim_domain *domain = mr->domain;
  if (sim_fault_strikes(SIM_FAULT_REGION_CLOSE)) {
    return -FI_EBUSY;
  }
  pthread_mutex_lock(&domain->lock);
  struct sim_endpoint *endpoint = mr->endpoint;
  if (mr->enabled && mr->open != NULL && mr->match_events) {
    wait_for_writes_locked(mr);
    free_region_locked(mr);
  } else if (mr->enabled && (mr->cached || mr->open != NULL)) {
    bool cached = mr->cached;
    linger_locked(mr);
    if (cached && !has_open_cached(endpoint)) {
      forget_cached(endpoint);
    }
  } else {
    free_region_locked(mr);
  }
  if (endpoint != NULL) {
    endpoint->bound_regions--;
  }
  pthread_mutex_unlock(&domain->lock);
  atomic_fetch_sub(&domain->users, 1);
  sim_count(SIM_MRS, -1);
  return 0;
}

/* --- binding and enabling --- */

static int mr_bind(struct fid *fid, struct fid *other, uint64_t flags) {
  (void)flags;
  struct sim_mr *mr = sim_container(fid, struct sim_mr, fid.fid);
  if (other->fclass != FI_CLASS_EP) {
    return -FI_EINVAL;
  }
  struct sim_endpoint *endpoint = sim_container(other, struct sim_endpoint, fid.fid);
  int status = -FI_EINVAL;
  pthread_mutex_lock(&mr->domain->lock);
  if (endpoint->domain == mr->domain && endpoint->enabled && mr->endpoint == NULL) {
    mr->endpoint = endpoint;
    endpoint->bound_regions++;
    status = 0;
  }
  pthread_mutex_unlock(&mr->domain->lock);
  return status;
}

static void choose_key_locked(struct sim_mr *mr) {
  struct sim_domain *domain = mr->domain;
  mr->cached = domain->cache && domain->key_cache && !mr->match_events && mr->length > 0;
  if (mr->cached) {
    mr->key = PROVIDER_KEY | CACHED_KEY | ((uintptr_t)mr->base & ADDRESS_MASK);
  } else {
    /* 16 bits name the region, the others differ from one use of a name to the next. */
    uint64_t use = mix(++domain->registry.sequence) & ((1ull << 45) - 1);
    mr->key = PROVIDER_KEY | (use << 16) | (mr->slot & 0xffff);
  }
  mr->fid.key = mr->key;
  insert_key(&domain->registry, mr);
}

static int enable_locked(struct sim_mr *mr) {
  if (mr->endpoint == NULL) {
    return -FI_EINVAL;
  }
  if (mr->enabled || (mr->access & REMOTE_ACCESS) == 0) {
    return 0;
  }
  if (mr->domain->provider_keys) {
    choose_key_locked(mr);
  }
  mr->enabled = true;
  link_region(mr);
  return 0;
}

static int mr_control(struct fid *fid, int command, void *arg) {
  (void)arg;
  struct sim_mr *mr = sim_container(fid, struct sim_mr, fid.fid);
  if (command != FI_ENABLE) {
    return -FI_EINVAL;
  }
  pthread_mutex_lock(&mr->domain->lock);
  int status = enable_locked(mr);
  pthread_mutex_unlock(&mr->domain->lock);
  return status;
}

static struct fi_ops mr_fid_ops = {
    .size = sizeof(struct fi_ops),
    .close = mr_close,
    .bind = mr_bind,
    .control = mr_control,
    .ops_open = sim_no_ops_open,
};

/* --- registering --- */

/* Gives the region its slot and a client's key its place; -FI_ENOKEY when it is taken. */
static int admit_locked(struct sim_domain *domain, struct sim_mr *mr, uint64_t requested_key) {
  struct sim_registry *registry = &domain->registry;
  bool remote = (mr->access & REMOTE_ACCESS) != 0;
  bool client_key = remote && !domain->provider_keys;
  if (client_key && requested_key > CLIENT_KEY_MOST) {
    return -FI_EKEYREJECTED;
  }
  if (remote && registry->regions == SIM_REGIONS) {
    return -FI_ENOSPC;
  }
  if (client_key && find_key(registry, requested_key) != NULL) {
    return -FI_ENOKEY;
  }
  mr->slot = take_slot(registry);
  if (mr->slot == SIM_SLOTS) {
    return -FI_ENOSPC;
  }
  registry->slots[mr->slot] = mr;
  registry->regions += remote ? 1 : 0;
  mr->fid.mem_desc = descriptor_of(registry, mr->slot);
  mr->key = FI_KEY_NOTAVAIL;
  if (client_key) {
    mr->key = requested_key;
    insert_key(registry, mr);
  }
  mr->fid.key = mr->key;
  return 0;
}

/* As cxi, which pins the pages: the memory must be there. Its ends stand for all of it. */
static bool is_mapped(char *base, size_t length) {
  char first;
  char last;
  return length == 0 || (base != NULL && length - 1 <= UINTPTR_MAX - (uintptr_t)base &&
                         copy_by_kernel(&first, base, 1, false) &&
                         copy_by_kernel(&last, base + length - 1, 1, false));
}

static int register_range(struct sim_domain *domain, void *base, size_t length, uint64_t access,
                          uint64_t requested_key, void *context, struct fid_mr **mr) {
  if (sim_fault_strikes(SIM_FAULT_REGISTRATION)) {
    return -FI_ENOMEM;
  }
  if (!is_mapped(base, length)) {
    return -FI_EFAULT;
  }
  struct sim_mr *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return -FI_ENOMEM;
  }
  made->fid.fid = (struct fid){.fclass = FI_CLASS_MR, .context = context, .ops = &mr_fid_ops};
  made->domain = domain;
  made->base = base;
  made->length = length;
  made->access = access;
  pthread_mutex_lock(&domain->lock);
  made->match_events = domain->match_events;
  int status = admit_locked(domain, made, requested_key);
  pthread_mutex_unlock(&domain->lock);
  if (status != 0) {
    free(made);
    return status;
  }
  atomic_fetch_add(&domain->users, 1);
  sim_count(SIM_MRS, 1);
  sim_count(SIM_REGISTRATIONS, 1);
  *mr = &made->fid;
  return 0;
}

static int mr_regattr(struct fid *fid, const struct fi_mr_attr *attr, uint64_t flags,
                      struct fid_mr **mr) {
  if (fid->fclass != FI_CLASS_DOMAIN || attr == NULL || attr->iov_count == 0) {
    return -FI_EINVAL;
  }
  if (attr->iov_count != 1) {
    return -FI_ENOSYS;
  }
  struct sim_domain *domain = sim_container(fid, struct sim_domain, fid.fid);
  /* Without FI_HMEM the caller's structure may end before these fields. */
  bool device = domain->hmem && attr->iface != FI_HMEM_SYSTEM;
  bool dmabuf = domain->hmem && (flags & FI_MR_DMABUF) != 0;
  if ((device && attr->iface != FI_HMEM_CUDA) ||
      ((device || dmabuf) && !sim_environment_flag("FI_CXI_SIM_GPU", false)) ||
      (device && !dmabuf && sim_environment_flag("FI_CXI_SIM_GPU_BY_DMABUF", false)) ||
      (!domain->hmem && (flags & FI_MR_DMABUF) != 0)) {
    return -FI_EOPNOTSUPP;
  }
  if (device || dmabuf) {
    sim_count(dmabuf ? SIM_DMABUF_REGISTRATIONS : SIM_GPU_REGISTRATIONS, 1);
  }
  if (dmabuf) {
    return register_range(domain, (char *)attr->dmabuf->base_addr + attr->dmabuf->offset,
                          attr->dmabuf->len, attr->access, attr->requested_key, attr->context, mr);
  }
  return register_range(domain, attr->mr_iov->iov_base, attr->mr_iov->iov_len, attr->access,
                        attr->requested_key, attr->context, mr);
}

static int mr_regv(struct fid *fid, const struct iovec *iov, size_t count, uint64_t access,
                   uint64_t offset, uint64_t requested_key, uint64_t flags, struct fid_mr **mr,
                   void *context) {
  struct fi_mr_attr attr = {
      .mr_iov = iov,
      .iov_count = count,
      .access = access,
      .offset = offset,
      .requested_key = requested_key,
      .context = context,
  };
  return mr_regattr(fid, &attr, flags, mr);
}

static int mr_reg(struct fid *fid, const void *buf, size_t len, uint64_t access, uint64_t offset,
                  uint64_t requested_key, uint64_t flags, struct fid_mr **mr, void *context) {
  struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
  return mr_regv(fid, &iov, 1, access, offset, requested_key, flags, mr, context);
}

struct fi_ops_mr sim_mr_ops = {
    .size = sizeof(struct fi_ops_mr),
    .reg = mr_reg,
    .regv = mr_regv,
    .regattr = mr_regattr,
};
