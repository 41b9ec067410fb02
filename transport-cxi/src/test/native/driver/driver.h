/* What the cases of the driver share: a case, a check, and two endpoints that talk. */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>

#include "../counts.h"

/* Runs in a process of its own, with the environment set: NAME, VALUE, ..., NULL. */
struct test_case {
  const char *rule;
  void (*run)(void);
  const char *environment[9];
};

extern const struct test_case info_cases[];
extern const struct test_case memory_cases[];
extern const struct test_case rma_cases[];
extern const struct test_case order_cases[];
extern const struct test_case wait_cases[];
extern const struct test_case trap_cases[];
extern const struct test_case fault_cases[];

/* Ends the case as failed, with the place and the values, unless they are equal. */
#define expect(actual, expected) expect_equal(__FILE__, __LINE__, #actual, (actual), (expected))
void expect_equal(const char *file, int line, const char *what, long long actual,
                  long long expected);

/* --- fixtures: anything that fails in them ends the case --- */

struct fi_info *hints(void);
/* The description of a domain, with provider or client keys. */
struct fi_info *describe(const char *domain, bool provider_keys);

struct side {
  struct fi_info *info;
  struct fid_fabric *fabric;
  struct fid_domain *domain;
  struct fid_cq *cq;
  struct fid_av *av;
  struct fid_ep *ep;
  uint8_t address[8];
};

/* Settings of a side; zeros are the usual. */
struct settings {
  bool client_keys;
  bool hmem;
  bool hybrid;
  bool match_events;
  bool selective;
  bool not_enabled;
  size_t tx_size;
  size_t cq_size;
  struct side *in_domain_of;
};

void open_side(struct side *side, struct settings settings);
void close_side(struct side *side);
fi_addr_t insert(struct side *side, const uint8_t *address);

struct fid_mr *enabled_region(struct side *side, void *base, size_t length, uint64_t access,
                              uint64_t key);

/* An initiator and a target, and the region of the target that the initiator reaches. */
struct pair {
  struct side initiator;
  struct side target;
  fi_addr_t to;
  struct fid_mr *region;
};

/* More than one endpoint has under way, so that a write of all of it can be met half done. */
enum { REGION = 2 << 20 };
extern char source[REGION];
extern char destination[REGION];

void open_pair(struct pair *pair, struct settings initiator, struct settings target);
void close_pair(struct pair *pair);
/* Fills source with a pattern of the seed and destination with zeros. */
void fill(unsigned seed);

/* Posts once more while -FI_EAGAIN is answered. */
void write_to(struct pair *pair, const void *from, size_t length, uint64_t offset, uint64_t key,
              void *context);
/* Reads both queues until the initiator has an entry: 0, or the errno of the failure. */
int outcome(struct pair *pair, struct fi_cq_err_entry *error);
/* write_to and outcome. */
int write_outcome(struct pair *pair, size_t length, uint64_t offset, uint64_t key);
int read_outcome(struct pair *pair, size_t length, uint64_t offset, uint64_t key);
void progress(struct pair *pair);
int provider_error(struct pair *pair, size_t length, uint64_t offset, uint64_t key);

/* The block of counts, as another process would read it. */
struct sim_counts *counts(void);
long long counted(enum sim_counter counter);
void set_fault(enum sim_fault fault, enum sim_fault_mode mode, uint64_t n);

#endif
