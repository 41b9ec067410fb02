/* The formats of the control channel and of descriptors. */
#include "peer.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX_BYTES = 4, HEADER_BYTES = 16 };

static const uint32_t notification_magic = 0xDEADDEAD;
static const uint32_t handshake_magic = 0x43584950;
static const uint32_t version = 1;

static uint16_t get16(const uint8_t *at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return le16toh(value);
}

static uint32_t get32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return le32toh(value);
}

static uint64_t get64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return le64toh(value);
}

static void put16(uint8_t *at, uint16_t value) {
  value = htole16(value);
  memcpy(at, &value, sizeof value);
}

static void put32(uint8_t *at, uint32_t value) {
  value = htole32(value);
  memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value) {
  value = htole64(value);
  memcpy(at, &value, sizeof value);
}

static void copy(uint8_t *to, struct bytes from) {
  if (from.length > 0) {
    memcpy(to, from.at, from.length);
  }
}

static struct bytes copy_of(const uint8_t *from, size_t length) {
  struct bytes made = {allocated(length), length};
  copy(made.at, (struct bytes){(uint8_t *)from, length});
  return made;
}

bool is_notification(struct bytes payload) {
  return payload.length >= HEADER_BYTES && get32(payload.at) == notification_magic &&
         (uint64_t)HEADER_BYTES + get32(payload.at + 8) + get32(payload.at + 12) == payload.length;
}

struct notification *decode_notification(struct bytes payload) {
  if (!is_notification(payload)) {
    die("a frame of %zu bytes is no notification", payload.length);
  }
  struct notification *made = allocated(sizeof *made);
  size_t name_length = get32(payload.at + 8);
  made->next = NULL;
  made->type = get32(payload.at + 4);
  made->name = copy_of(payload.at + HEADER_BYTES, name_length);
  made->message = copy_of(payload.at + HEADER_BYTES + name_length, get32(payload.at + 12));
  return made;
}

struct handshake decode_handshake(struct bytes payload) {
  if (payload.length < HEADER_BYTES || get32(payload.at) != handshake_magic) {
    die("a frame of %zu bytes, the first of them %08x, is neither handshake nor notification",
        payload.length, payload.length < 4 ? 0 : get32(payload.at));
  }
  if (get32(payload.at + 4) != version) {
    die("a handshake of version %u", get32(payload.at + 4));
  }
  struct handshake made = {
      .gpu = (int32_t)get32(payload.at + 8),
      .port = get16(payload.at + 12),
      .address_length = get16(payload.at + 14),
      .address = payload.at + HEADER_BYTES,
  };
  if (made.address_length == 0 || payload.length != (size_t)HEADER_BYTES + made.address_length) {
    die("a handshake of %zu bytes that announces %u behind its 16", payload.length,
        made.address_length);
  }
  return made;
}

static struct bytes frame(size_t payload_length) {
  struct bytes made = {allocated(PREFIX_BYTES + payload_length), PREFIX_BYTES + payload_length};
  uint32_t prefix = htobe32((uint32_t)payload_length);
  memcpy(made.at, &prefix, sizeof prefix);
  return made;
}

struct bytes encode_notification(uint32_t type, struct bytes name, struct bytes message) {
  struct bytes made = frame(HEADER_BYTES + name.length + message.length);
  uint8_t *payload = made.at + PREFIX_BYTES;
  put32(payload, notification_magic);
  put32(payload + 4, type);
  put32(payload + 8, (uint32_t)name.length);
  put32(payload + 12, (uint32_t)message.length);
  copy(payload + HEADER_BYTES, name);
  copy(payload + HEADER_BYTES + name.length, message);
  return made;
}

struct bytes encode_handshake(int32_t gpu, uint16_t port, struct bytes address, size_t trailing) {
  struct bytes made = frame(HEADER_BYTES + address.length + trailing);
  uint8_t *payload = made.at + PREFIX_BYTES;
  put32(payload, handshake_magic);
  put32(payload + 4, version);
  put32(payload + 8, (uint32_t)gpu);
  put16(payload + 12, port);
  put16(payload + 14, (uint16_t)(address.length + trailing));
  copy(payload + HEADER_BYTES, address);
  memset(payload + HEADER_BYTES + address.length, 0xA5, trailing);
  return made;
}

void encode_descriptor(struct descriptor descriptor, uint8_t *bytes) {
  memset(bytes, 0, DESCRIPTOR_BYTES);
  put64(bytes, descriptor.address);
  put32(bytes + 8, descriptor.size);
  memset(bytes + 16, 0xA5, 16); /* nmsgs, rid and idx */
  put64(bytes + 32, descriptor.base);
  put64(bytes + 40, descriptor.key);
  put64(bytes + 48, descriptor.length);
}

struct descriptor decode_descriptor(const uint8_t *bytes) {
  return (struct descriptor){
      .address = get64(bytes),
      .size = get32(bytes + 8),
      .base = get64(bytes + 32),
      .key = get64(bytes + 40),
      .length = get64(bytes + 48),
  };
}
