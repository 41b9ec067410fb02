/*
 * What the simulated provider counts, and the faults that it injects: one block of memory, private
 * to the process, or a file that several processes map (FI_CXI_SIM_COUNTS=/path).
 *
 *   byte      0  magic "SIMCXI01"
 *   byte      8  SIM_COUNTERS numbers of 64 bits, in the order of SIM_COUNTER_NAMES
 *   byte   2048  SIM_FAULTS faults of 32 bytes, in the order of SIM_FAULT_NAMES:
 *                  +0 mode    0 off, 1 every n-th, 2 the n-th alone, 3 all after the n-th
 *                  +8 n
 *                 +16 seen    how often the fault was asked for
 *                 +24 struck  how often it struck
 *   4096 bytes in all, in the byte order of the machine
 *
 * Processes that map one file add up in it. Anybody may read it at any time, and may set a fault:
 * n first, then mode. A process that is killed leaves its live objects counted.
 */
#ifndef SIM_COUNTS_H
#define SIM_COUNTS_H

#include <stdatomic.h>
#include <stdint.h>

#define SIM_COUNTS_MAGIC 0x31304958434d4953ull /* the bytes "SIMCXI01" */
#define SIM_COUNTS_SIZE 4096
#define SIM_COUNTERS_OFFSET 8
#define SIM_FAULTS_OFFSET 2048

/* Append only: readers in other languages know the positions. */
#define SIM_COUNTER_NAMES(X)                                                                      \
  X(FABRICS)              /*  0 live objects */                                                    \
  X(DOMAINS)              /*  1 */                                                                 \
  X(EQS)                  /*  2 */                                                                 \
  X(AVS)                  /*  3 */                                                                 \
  X(CQS)                  /*  4 */                                                                 \
  X(ENDPOINTS)            /*  5 */                                                                 \
  X(MRS)                  /*  6 */                                                                 \
  X(LINGERING)            /*  7 closed regions that peers can still reach */                      \
  X(REGISTRATIONS)        /*  8 events from here on */                                             \
  X(WRITES)               /*  9 accepted by fi_write and its kin */                                \
  X(READS)                /* 10 accepted by fi_read and its kin */                                 \
  X(COMPLETIONS)          /* 11 entries put into completion queues, failures included */           \
  X(FAILURES)             /* 12 of these, failures */                                              \
  X(EAGAINS)              /* 13 posts answered -FI_EAGAIN */                                       \
  X(RMA_BEFORE_ENABLE)    /* 14 posts to an endpoint that is not enabled: a violation */           \
  X(DESCRIPTORS_IGNORED)  /* 15 descriptors given without hybrid mode */                           \
  X(DESCRIPTORS_USED)     /* 16 */                                                                 \
  X(DESCRIPTORS_BAD)      /* 17 of no region that covers the buffer: a violation */                \
  X(INTERNAL_MAPPINGS)    /* 18 operations whose local buffer cxi would map and unmap */           \
  X(REFUSED_KEY)          /* 19 remote accesses refused at the target */                           \
  X(REFUSED_ACCESS)       /* 20 */                                                                 \
  X(REFUSED_RANGE)        /* 21 */                                                                 \
  X(LINGERED)             /* 22 regions that stayed reachable after their close */                 \
  X(LATE_ACCESSES)        /* 23 remote accesses that reached a closed region */                    \
  X(STRAY_ACCESSES)       /* 24 accesses by a cached key that reached another region */            \
  X(CLOSES_WAITED)        /* 25 closes that waited for a write under way */                        \
  X(CLOSES_CUT)           /* 26 of these, ended by invalidation */                                 \
  X(REMOTE_WRITES)        /* 27 pieces of writes carried out at the target */                      \
  X(REMOTE_READS)         /* 28 pieces of reads carried out at the target */                       \
  X(GPU_REGISTRATIONS)    /* 29 of a GPU's memory by its address */                                \
  X(DMABUF_REGISTRATIONS) /* 30 of a GPU's memory by a dma-buf */

#define SIM_FAULT_NAMES(X)                                                                         \
  X(POST_ERROR)      /* 0 a post answers -FI_EIO */                                                \
  X(CQ_ERROR)        /* 1 a posted operation fails, nothing reaches the peer */                    \
  X(LOST_COMPLETION) /* 2 an operation is carried out and never reported */                        \
  X(EAGAIN)          /* 3 a post answers -FI_EAGAIN */                                             \
  X(GONE)            /* 4 the device is lost: the endpoint is dead from this post on */            \
  X(REGISTRATION)    /* 5 fi_mr_reg and its kin answer -FI_ENOMEM */                               \
  X(REGION_CLOSE)    /* 6 the close of a region answers -FI_EBUSY, and it stays */

#define SIM_ENUM(name) SIM_##name,
enum sim_counter { SIM_COUNTER_NAMES(SIM_ENUM) SIM_COUNTERS };
#define SIM_FAULT_ENUM(name) SIM_FAULT_##name,
enum sim_fault { SIM_FAULT_NAMES(SIM_FAULT_ENUM) SIM_FAULTS };

enum sim_fault_mode { SIM_OFF, SIM_EVERY, SIM_AT, SIM_AFTER };

struct sim_fault_state {
  _Atomic uint64_t mode;
  _Atomic uint64_t n;
  _Atomic uint64_t seen;
  _Atomic uint64_t struck;
};

struct sim_counts {
  _Atomic uint64_t magic;
  _Atomic uint64_t counters[(SIM_FAULTS_OFFSET - SIM_COUNTERS_OFFSET) / 8];
  struct sim_fault_state faults[(SIM_COUNTS_SIZE - SIM_FAULTS_OFFSET) / 32];
};

#endif
