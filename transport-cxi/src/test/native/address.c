/*
 * Addresses and address vectors.
 *
 *   byte 0  IPv4 address of the inner endpoint
 *   byte 4  its port, high byte first
 *   byte 6  0xc0 + number of the domain
 *   byte 7  the others and 0x5a, combined by exclusive or: what is not an address shows
 *
 * Indices are given again after a removal, the lowest first, as cxi gives them again.
 */
#include "sim.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK 0xc0u

static uint8_t check_byte(const uint8_t *address) {
  uint8_t check = 0x5a;
  for (int i = 0; i < 7; i++) {
    check ^= address[i];
  }
  return check;
}

void sim_address_encode(uint8_t *address, const void *inner, unsigned domain) {
  const struct sockaddr_in *socket = inner;
  memcpy(address, &socket->sin_addr, 4);
  memcpy(address + 4, &socket->sin_port, 2);
  address[6] = (uint8_t)(MARK + domain);
  address[7] = check_byte(address);
}

bool sim_address_decode(const uint8_t *address, void *inner) {
  struct sockaddr_in *socket = inner;
  if (address[6] < MARK || address[6] >= MARK + SIM_DEVICES || address[7] != check_byte(address)) {
    return false;
  }
  *socket = (struct sockaddr_in){.sin_family = AF_INET};
  memcpy(&socket->sin_addr, address, 4);
  memcpy(&socket->sin_port, address + 4, 2);
  return true;
}

struct sim_peer *sim_av_find_locked(struct sim_av *av, fi_addr_t address) {
  return address < av->entry_count ? av->entries[address] : NULL;
}

struct sim_peer *sim_av_peer_locked(struct sim_av *av, const uint8_t *address) {
  uint64_t bits;
  memcpy(&bits, address, sizeof bits);
  struct sim_peer **bucket = &av->peers[(bits * 0x9e3779b97f4a7c15ull) >> 56];
  for (struct sim_peer *peer = *bucket; peer != NULL; peer = peer->next) {
    if (memcmp(peer->address, address, SIM_ADDRESS_LENGTH) == 0) {
      return peer;
    }
  }
  struct sockaddr_in inner;
  struct sim_peer *made = NULL;
  if (!sim_address_decode(address, &inner) || (made = calloc(1, sizeof *made)) == NULL ||
      fi_av_insert(av->inner, &inner, 1, &made->inner, 0, NULL) != 1) {
    free(made);
    return NULL;
  }
  memcpy(made->address, address, SIM_ADDRESS_LENGTH);
  made->index = av->peer_count++;
  made->next = *bucket;
  *bucket = made;
  return made;
}

static struct sim_av *av_of(struct fid_av *fid) {
  return sim_container(fid, struct sim_av, fid);
}

/* The lowest free entry, or -1 when memory is short. */
static ssize_t free_entry_locked(struct sim_av *av) {
  size_t index = 0;
  while (index < av->entry_count && av->entries[index] != NULL) {
    index++;
  }
  if (index == av->entry_count) {
    size_t count = av->entry_count * 2 + 16;
    struct sim_peer **grown = realloc(av->entries, count * sizeof *grown);
    if (grown == NULL) {
      return -1;
    }
    memset(grown + av->entry_count, 0, (count - av->entry_count) * sizeof *grown);
    av->entries = grown;
    av->entry_count = count;
  }
  return (ssize_t)index;
}

static int insert_locked(struct sim_av *av, const uint8_t *addresses, size_t count,
                         fi_addr_t *fi_addr) {
  int inserted = 0;
  for (size_t i = 0; i < count; i++) {
    ssize_t index = -1;
    struct sim_peer *peer = sim_av_peer_locked(av, addresses + i * SIM_ADDRESS_LENGTH);
    if (peer != NULL) {
      index = free_entry_locked(av);
    }
    if (index >= 0) {
      av->entries[index] = peer;
      inserted++;
    }
    if (fi_addr != NULL) {
      fi_addr[i] = index >= 0 ? (fi_addr_t)index : FI_ADDR_NOTAVAIL;
    }
  }
  return inserted;
}

static int av_insert(struct fid_av *fid, const void *addr, size_t count, fi_addr_t *fi_addr,
                     uint64_t flags, void *context) {
  (void)context;
  struct sim_av *av = av_of(fid);
  if (addr == NULL || (flags & ~(uint64_t)FI_MORE) != 0) {
    return -FI_EINVAL;
  }
  pthread_mutex_lock(&av->domain->lock);
  int inserted = insert_locked(av, addr, count, fi_addr);
  pthread_mutex_unlock(&av->domain->lock);
  return inserted;
}

static int av_remove(struct fid_av *fid, fi_addr_t *fi_addr, size_t count, uint64_t flags) {
  (void)flags;
  struct sim_av *av = av_of(fid);
  int status = 0;
  pthread_mutex_lock(&av->domain->lock);
  for (size_t i = 0; i < count; i++) {
    if (sim_av_find_locked(av, fi_addr[i]) == NULL) {
      status = -FI_EINVAL;
    } else {
      av->entries[fi_addr[i]] = NULL;
    }
  }
  pthread_mutex_unlock(&av->domain->lock);
  return status;
}

static int av_lookup(struct fid_av *fid, fi_addr_t fi_addr, void *addr, size_t *addrlen) {
  struct sim_av *av = av_of(fid);
  int status = -FI_EINVAL;
  pthread_mutex_lock(&av->domain->lock);
  const struct sim_peer *peer = sim_av_find_locked(av, fi_addr);
  if (peer != NULL) {
    memcpy(addr, peer->address, *addrlen < SIM_ADDRESS_LENGTH ? *addrlen : SIM_ADDRESS_LENGTH);
    *addrlen = SIM_ADDRESS_LENGTH;
    status = 0;
  }
  pthread_mutex_unlock(&av->domain->lock);
  return status;
}

static const char *av_straddr(struct fid_av *fid, const void *addr, char *buf, size_t *len) {
  (void)fid;
  const uint8_t *a = addr;
  int length = snprintf(buf, *len, "simulated cxi%u %u.%u.%u.%u:%u", a[6] - MARK, a[0], a[1], a[2],
                        a[3], (unsigned)a[4] << 8 | a[5]);
  *len = (size_t)length + 1;
  return buf;
}

static int no_insertsvc(struct fid_av *av, const char *node, const char *service,
                        fi_addr_t *fi_addr, uint64_t flags, void *context) {
  (void)av;
  (void)node;
  (void)service;
  (void)fi_addr;
  (void)flags;
  (void)context;
  return -FI_ENOSYS;
}

static int no_insertsym(struct fid_av *av, const char *node, size_t nodecnt, const char *service,
                        size_t svccnt, fi_addr_t *fi_addr, uint64_t flags, void *context) {
  (void)nodecnt;
  (void)svccnt;
  return no_insertsvc(av, node, service, fi_addr, flags, context);
}

static int av_close(struct fid *fid) {
  struct sim_av *av = sim_container(fid, struct sim_av, fid.fid);
  if (atomic_load(&av->users) != 0) {
    return -FI_EBUSY;
  }
  pthread_mutex_lock(&av->domain->lock);
  fi_close(&av->inner->fid);
  pthread_mutex_unlock(&av->domain->lock);
  for (size_t i = 0; i < SIM_PEER_BUCKETS; i++) {
    while (av->peers[i] != NULL) {
      struct sim_peer *peer = av->peers[i];
      av->peers[i] = peer->next;
      free(peer);
    }
  }
  free(av->entries);
  atomic_fetch_sub(&av->domain->users, 1);
  sim_count(SIM_AVS, -1);
  free(av);
  return 0;
}

static struct fi_ops av_fid_ops = {
    .size = sizeof(struct fi_ops),
    .close = av_close,
    .bind = sim_no_bind,
    .control = sim_no_control,
    .ops_open = sim_no_ops_open,
};

static struct fi_ops_av av_ops = {
    .size = sizeof(struct fi_ops_av),
    .insert = av_insert,
    .insertsvc = no_insertsvc,
    .insertsym = no_insertsym,
    .remove = av_remove,
    .lookup = av_lookup,
    .straddr = av_straddr,
};

int sim_av_open(struct fid_domain *domain, struct fi_av_attr *attr, struct fid_av **av,
                void *context) {
  if (attr == NULL || attr->name != NULL || (attr->flags & FI_EVENT) != 0) {
    return -FI_ENOSYS;
  }
  struct sim_av *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return -FI_ENOMEM;
  }
  made->domain = sim_container(domain, struct sim_domain, fid);
  struct fi_av_attr inner = {.type = FI_AV_TABLE};
  pthread_mutex_lock(&made->domain->lock);
  int status = fi_av_open(made->domain->inner, &inner, &made->inner, NULL);
  pthread_mutex_unlock(&made->domain->lock);
  if (status != 0) {
    free(made);
    return status;
  }
  if (attr->type == FI_AV_UNSPEC) {
    attr->type = FI_AV_TABLE;
  }
  made->fid.fid = (struct fid){.fclass = FI_CLASS_AV, .context = context, .ops = &av_fid_ops};
  made->fid.ops = &av_ops;
  atomic_fetch_add(&made->domain->users, 1);
  sim_count(SIM_AVS, 1);
  *av = &made->fid;
  return 0;
}
