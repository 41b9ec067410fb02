/*
 * The objects of the simulated cxi provider, and what its files ask of each other.
 *
 * Every object is the provider's own. A fabric, domain, address vector and endpoint hold an object
 * of libfabric's tcp provider, which only carries messages between endpoints (wire.h): keys, ranges,
 * rights, depths and orders are decided here. One mutex a domain guards all that belongs to it;
 * functions named sim_..._locked are called with it held.
 */
#ifndef SIM_H
#define SIM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "counts.h"
#include "wire.h"

#define SIM_ADDRESS_LENGTH 8
#define SIM_DEVICES 4
#define SIM_TX_MOST 16384u
#define SIM_TX_DEFAULT 1024u
#define SIM_RX_MOST 15360u
#define SIM_RX_DEFAULT 1024u
#define SIM_INJECT 192u
#define SIM_MESSAGE_MOST 0xffffffffull
#define SIM_REGIONS 65536u
/* Of local regions, which cxi does not limit. */
#define SIM_SLOTS 131072u
#define SIM_REGISTRY_BUCKETS 8192u
#define SIM_PEER_BUCKETS 256u
/* Receives posted to the inner endpoint, and pieces under way from one endpoint. */
#define SIM_RECEIVES 32
#define SIM_WINDOW 24u

#define sim_container(pointer, type, member) \
  ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

static inline int64_t sim_milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* prov_errno of a failed operation; texts in completion.c. */
enum sim_error {
  SIM_OK = 0,
  SIM_ERROR_KEY = 0x5101,
  SIM_ERROR_ACCESS,
  SIM_ERROR_RANGE,
  SIM_ERROR_INJECTED,
  SIM_ERROR_GONE,
  SIM_ERROR_UNREACHABLE,
};

struct sim_fabric {
  struct fid_fabric fid;
  struct fid_fabric *inner;
  struct fi_info *inner_info;
  atomic_int users;
};

struct sim_eq {
  struct fid_eq fid;
  struct sim_fabric *fabric;
  atomic_int users;
  pthread_mutex_t lock;
  bool failed; /* error is to be read */
  struct fi_eq_err_entry error;
};

/* A write of several pieces whose first was taken and whose last was not. */
struct sim_open {
  uint8_t from[8];
  uint32_t slot;
  uint32_t generation;
  struct sim_open *next;
};

struct sim_mr {
  struct fid_mr fid;
  struct sim_domain *domain;
  struct sim_endpoint *endpoint; /* NULL until bound */
  char *base;
  size_t length;
  uint64_t access;
  uint64_t key;
  uint32_t slot;
  bool enabled;
  bool match_events; /* the domain's setting when it was registered */
  bool cached;  /* key is an address translation entry and an offset */
  bool closing; /* its owner waits until the writes that began are done */
  bool closed;  /* by the user, and still reachable */
  struct sim_open *open;
  struct sim_mr *next_in_bucket;
  struct sim_mr *next_of_endpoint;
  struct sim_mr *previous_of_endpoint;
};

struct sim_registry {
  struct sim_mr *buckets[SIM_REGISTRY_BUCKETS];
  struct sim_mr **slots;
  uint32_t *free_slots;
  uint32_t free_slot_count;
  uint32_t slots_used; /* ever */
  uint32_t *generations;
  uint32_t regions; /* with remote access */
  uint64_t sequence;
};

struct sim_domain {
  struct fid_domain fid;
  struct sim_fabric *fabric;
  struct fid_domain *inner;
  struct fi_info *inner_info;
  pthread_mutex_t lock;
  atomic_int users;
  unsigned index;
  bool provider_keys;
  bool hmem;
  bool cache; /* the MR cache of libfabric would be on */
  bool hybrid_descriptors;
  bool match_events;
  bool optimized;
  bool key_cache;
  struct sim_registry registry;
  struct sim_endpoint *endpoints;
};

/* Whoever an endpoint talks to or is talked to by. Lives as long as the address vector. */
struct sim_peer {
  uint8_t address[SIM_ADDRESS_LENGTH];
  fi_addr_t inner;
  size_t index;
  struct sim_peer *next;
};

struct sim_av {
  struct fid_av fid;
  struct sim_domain *domain;
  struct fid_av *inner;
  atomic_int users;
  struct sim_peer **entries; /* by fi_addr_t; NULL is free */
  size_t entry_count;
  size_t peer_count;
  struct sim_peer *peers[SIM_PEER_BUCKETS];
};

/* A finished operation that waits to be read. */
struct sim_entry {
  void *context;
  uint64_t flags;
  size_t length;
  int error; /* positive errno, 0 for success */
  int prov_errno;
};

struct sim_cq {
  struct fid_cq fid;
  struct sim_domain *domain;
  atomic_int users;
  enum fi_cq_format format;
  enum fi_wait_obj wait_object;
  int epoll; /* over wake, timer and the inner queues of the endpoints; -1 without FI_WAIT_FD */
  int wake;
  int timer;
  bool armed; /* somebody may be waiting */
  bool timed; /* and is woken by the timer */
  struct sim_entry *ring;
  size_t size;
  size_t first;
  size_t count;
  size_t reserved; /* count, and the operations that may still add to it */
  struct sim_endpoint **endpoints;
  size_t endpoint_count;
};

/* A posted operation. */
struct sim_operation {
  struct sim_operation *next; /* free list, or the lane's queue of those not sent in full */
  struct sim_lane *lane;
  uint32_t generation;
  bool used;
  bool write;
  bool queued;
  bool report;      /* success makes an entry */
  bool lost;
  char *buffer;
  size_t length;
  uint64_t offset;
  uint64_t key;
  size_t at;         /* bytes sent or asked for */
  unsigned waiting;  /* pieces without an answer */
  unsigned sending;  /* pieces that the inner endpoint still reads from */
  int status;
  void *context;
  char inject[SIM_INJECT];
};

/* What an endpoint has under way to one peer. */
struct sim_lane {
  struct sim_peer *peer;
  struct sim_operation *first; /* operations that are not sent in full */
  struct sim_operation *last;
  struct sim_buffer *first_reply; /* answers that are not sent */
  struct sim_buffer *last_reply;
  unsigned operations; /* without an end */
  int64_t touched;     /* milliseconds: the last sign of life that was looked for or seen; 0: idle */
  int64_t patience;    /* milliseconds from then on until it is looked */
};

/* A message that the inner endpoint receives into or sends from. */
struct sim_buffer {
  struct sim_buffer *next;
  struct sim_buffer *previous; /* in the list of those under way */
  uint32_t slot;
  uint32_t generation;
  bool receive;
  bool of_operation;
  size_t length; /* of what follows the header in data */
  struct sim_wire header;
  char data[];
};

struct sim_endpoint {
  struct fid_ep fid;
  struct sim_domain *domain;
  struct sim_av *av;
  struct sim_cq *tx_cq;
  struct sim_cq *rx_cq;
  struct sim_eq *eq;
  struct sim_endpoint *next;
  struct fid_ep *inner;
  struct fid_cq *inner_cq;
  uint8_t address[SIM_ADDRESS_LENGTH];
  uint64_t caps;
  uint64_t op_flags;
  bool selective;
  bool enabled;
  bool gone;
  bool hybrid_descriptors;
  struct sim_mr *regions; /* enabled ones, and closed ones that linger */
  unsigned bound_regions;
  struct sim_operation *operations;
  struct sim_operation *free_operations;
  size_t depth;
  size_t used;
  unsigned window;
  struct sim_lane **lanes; /* by the peer's index */
  size_t lane_count;
  struct sim_buffer *receives[SIM_RECEIVES];
  unsigned replies; /* that wait to be sent, in all lanes */
  struct sim_buffer *under_way; /* sends that the inner endpoint has not given back */
  struct sim_buffer *spare;     /* without data */
};

/* counts.c */
void sim_counts_set_up(void);
void sim_count(enum sim_counter counter, int64_t difference);
bool sim_fault_strikes(enum sim_fault fault);
bool sim_environment_flag(const char *name, bool otherwise);
unsigned sim_environment_number(const char *name, unsigned otherwise);

/* getinfo.c */
int sim_getinfo(uint32_t version, const char *node, const char *service, uint64_t flags,
                const struct fi_info *hints, struct fi_info **info);
/* The inner provider's information, for the caller to free. */
int sim_inner_getinfo(struct fi_info **info);
/* The number of a domain's name, or -1. */
int sim_domain_index(const char *name);

/* fabric.c */
int sim_fabric_open(struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context);
void sim_eq_endpoint_gone(struct sim_eq *eq, struct fid *endpoint);
int sim_no_bind(struct fid *fid, struct fid *other, uint64_t flags);
int sim_no_control(struct fid *fid, int command, void *arg);
int sim_no_ops_open(struct fid *fid, const char *name, uint64_t flags, void **ops, void *context);

/* domain.c */
int sim_domain_open(struct fid_fabric *fabric, struct fi_info *info, struct fid_domain **domain,
                    void *context);

/* memory.c */
extern struct fi_ops_mr sim_mr_ops;
int sim_registry_open(struct sim_registry *registry);
void sim_registry_close(struct sim_registry *registry);
/* Whether a descriptor is of a region that covers the buffer. */
bool sim_descriptor_covers_locked(struct sim_domain *domain, void *descriptor, const void *buffer,
                                  size_t length);
/* Forgets what lingers of an endpoint. */
void sim_endpoint_forget_regions_locked(struct sim_endpoint *endpoint);
/* Carries out one piece of a remote access, or says in an error why not. */
enum sim_error sim_remote_access_locked(struct sim_endpoint *endpoint, const struct sim_wire *wire,
                                        char *data);

/* address.c */
int sim_av_open(struct fid_domain *domain, struct fi_av_attr *attr, struct fid_av **av,
                void *context);
void sim_address_encode(uint8_t *address, const void *inner, unsigned domain);
bool sim_address_decode(const uint8_t *address, void *inner);
struct sim_peer *sim_av_find_locked(struct sim_av *av, fi_addr_t address);
/* The peer of an address, new or known; NULL if the address is malformed or memory is short. */
struct sim_peer *sim_av_peer_locked(struct sim_av *av, const uint8_t *address);

/* completion.c */
int sim_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr, struct fid_cq **cq,
                void *context);
int sim_cq_add_endpoint_locked(struct sim_cq *cq, struct sim_endpoint *endpoint);
void sim_cq_remove_endpoint_locked(struct sim_cq *cq, struct sim_endpoint *endpoint);
void sim_cq_push_locked(struct sim_cq *cq, const struct sim_entry *entry);
/* Whoever waits must look for answers from now on. */
void sim_cq_posted_locked(struct sim_cq *cq);
int sim_cq_trywait(struct sim_cq *cq);

/* endpoint.c */
int sim_endpoint_open(struct fid_domain *domain, struct fi_info *info, struct fid_ep **endpoint,
                      void *context);

/* operations.c */
extern struct fi_ops_rma sim_rma_ops;
void sim_operation_finish_locked(struct sim_endpoint *endpoint, struct sim_operation *operation);
struct sim_operation *sim_operation_find_locked(struct sim_endpoint *endpoint, uint32_t slot,
                                                uint32_t generation);
/* No piece of it is sent any more; it ends with this status when its sends have come back. */
void sim_operation_fail_locked(struct sim_endpoint *endpoint, struct sim_operation *operation,
                               enum sim_error status);
void sim_endpoint_gone_locked(struct sim_endpoint *endpoint);

/* progress.c */
int sim_progress_start_locked(struct sim_endpoint *endpoint);
void sim_progress_stop_locked(struct sim_endpoint *endpoint);
void sim_progress_locked(struct sim_endpoint *endpoint);
/* Sends what can be sent. */
void sim_pump_locked(struct sim_endpoint *endpoint);
/* The lane to a peer; NULL when memory is short. */
struct sim_lane *sim_lane_locked(struct sim_endpoint *endpoint, struct sim_peer *peer);

#endif
