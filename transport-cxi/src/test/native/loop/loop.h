/*
 * The calls of libfabric that the engine makes over cxi, and nothing between them: what the engine is
 * measured against. It asks the provider for what the shim asks it for (p2p_cxi_endpoint.c).
 */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ADDRESS_BYTES = 256, MOST_OPERATIONS = 1024 };

/* Ends the process with exit code 3, and says why on stderr. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What an initiator has to know of a target. */
struct target {
  uint8_t address[ADDRESS_BYTES];
  size_t address_length;
  uint64_t first; /* of the memory, as operations name it */
  uint64_t key;
};

/* Opens an endpoint and registers memory; "source" is where IP providers are reached, or NULL. */
void open_endpoint(const char *provider, const char *source, size_t memory);
struct target own_target(void);
void connect_to(const struct target *target);

/* Makes progress once, as a target. */
void make_progress(void);

/*
 * One call: so many operations of so many bytes, one behind the other in both memories, at most
 * "window" of them under way. Returns when all have ended.
 */
void run_call(bool write, size_t bytes, size_t operations, size_t window, bool yields);

#endif
