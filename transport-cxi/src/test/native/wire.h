/*
 * The messages between two simulated endpoints: a header of 64 bytes, then the bytes of a piece.
 *
 * A piece is up to SIM_PIECE bytes of an operation. Each gets one answer, so what the target decides
 * about any of them reaches the initiator. Messages of one endpoint to another arrive in order.
 */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include <stdint.h>

#define SIM_WIRE_MAGIC 0x49584353u
#define SIM_PIECE 65536u

enum sim_wire_kind { SIM_WRITE = 1, SIM_WRITTEN, SIM_READ, SIM_DATA };

struct sim_wire {
  uint32_t magic;
  uint16_t kind;
  uint16_t status; /* of an answer: enum sim_error */
  uint8_t from[8]; /* the sender's cxi address */
  uint32_t slot;   /* the initiator's operation */
  uint32_t generation;
  uint64_t key;
  uint64_t offset; /* of the operation in the region */
  uint64_t total;  /* bytes of the operation */
  uint64_t at;     /* where this piece begins in the operation */
  uint64_t length; /* bytes of this piece */
};

_Static_assert(sizeof(struct sim_wire) == 64, "a header of 64 bytes");

#endif
