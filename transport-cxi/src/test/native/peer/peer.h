/*
 * A peer that knows of the engine what is on the wire, and nothing else: control connections with
 * blocking sockets, and one endpoint of libfabric's provider cxi. It treats what it receives as the
 * C++ UCCL P2P engine does, but where that would be deaf for ever, this process ends and says why.
 */
#ifndef PEER_H
#define PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the process with exit code 3, and says why on stderr. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

void *allocated(size_t size);

/* --- wire.c: bytes to meaning and back --- */

enum { DESCRIPTOR_BYTES = 64, MOST_FRAME_BYTES = 64 << 20 };

struct bytes {
  uint8_t *at;
  size_t length;
};

struct handshake {
  int32_t gpu;
  uint16_t port;
  const uint8_t *address;
  uint16_t address_length;
};

struct notification {
  struct notification *next;
  uint32_t type;
  struct bytes name;
  struct bytes message;
};

struct descriptor {
  uint64_t address;
  uint32_t size;
  uint64_t base;
  uint64_t key;
  uint64_t length;
};

bool is_notification(struct bytes payload);
/* Ends the process if the payload is no notification, or no handshake. */
struct notification *decode_notification(struct bytes payload);
struct handshake decode_handshake(struct bytes payload);

/* Whole frames, with their lengths; the caller frees them. */
struct bytes encode_notification(uint32_t type, struct bytes name, struct bytes message);
struct bytes encode_handshake(int32_t gpu, uint16_t port, struct bytes address, size_t trailing);

/* What the C++ engine does not set has a value that no engine would choose. */
void encode_descriptor(struct descriptor descriptor, uint8_t *bytes);
struct descriptor decode_descriptor(const uint8_t *bytes);

/* --- endpoint.c: libfabric --- */

struct region;

void open_endpoint(void);
struct bytes endpoint_address(void);
struct region *register_region(size_t length);
uint8_t *region_bytes(const struct region *region);
size_t region_length(const struct region *region);
uint64_t region_key(const struct region *region);
/* The peer's number for operations; ends the process if the provider refuses the address. */
uint64_t insert_address(const uint8_t *address);
/* Returns 0, or the error of the operation when it has ended. */
int run_operation(bool write, const struct region *local, size_t offset, size_t length,
                  uint64_t peer, uint64_t remote_offset, uint64_t key);

/* --- links.c: control connections --- */

/* How it behaves. Set by commands, between frames. */
struct behaviour {
  bool split;       /* each byte of a frame is sent alone */
  bool join;        /* frames are kept back, and sent together when this is unset */
  bool no_port;     /* its handshakes name port 0 */
  bool silent;      /* handshakes are not answered */
  unsigned late_ms; /* answers come so much later */
  size_t trailing;  /* bytes behind the address in its handshakes */
};

struct peer;

extern struct behaviour behaviour;

uint16_t listen_for_peers(void);
/* Handshakes may come from now on: the C++ engine takes none before it has registered memory. */
void has_memory(void);
/* Sends a handshake; the answer is taken by await_answer, in the order of the handshakes. */
struct peer *begin_connect(struct sockaddr_in to);
bool await_answer(const struct peer *peer);
/* Waits for a peer that shook hands, for a notification; NULL if none comes in time. */
struct peer *await_peer(void);
struct notification *await_notification(void);
/* Returns false if there is no connection to the peer. */
bool send_to(const struct peer *peer, struct bytes frame);
/* Sends what was kept back, of each connection in one piece. */
void send_joined(void);
/* Waits until all that came on every connection was looked at, and each has ended. */
bool await_ends(void);
/* Closes the connection that it dialled to the peer. */
void hang_up(const struct peer *peer);
uint64_t peer_number(const struct peer *peer);

struct tally {
  unsigned long handshakes;
  unsigned long answers;
  unsigned long notifications;
  unsigned long accepted;
};
struct tally tally(void);

#endif
