/*
 * What moves when a queue is read: messages that came are handled, messages that wait are sent.
 *
 * An endpoint has at most SIM_WINDOW pieces without an answer, so a large operation does not fill
 * the target. The target answers each piece; an answer that cannot be sent at once waits its turn.
 * Operations to one peer go out in the order in which they were posted.
 */
#include "sim.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 32
#define BATCHES 8
/* After this time without a sign of life it is looked whether the peer is still there. */
#define QUIET_MS 400
/* And each time twice as long, up to this. */
#define QUIET_MOST_MS 3000
/* What its machine, which is this one, takes to refuse a connection, and much more. */
#define ANSWER_MS 20

/* --- lanes and buffers --- */

struct sim_lane *sim_lane_locked(struct sim_endpoint *endpoint, struct sim_peer *peer) {
  if (peer->index >= endpoint->lane_count) {
    size_t count = peer->index * 2 + 8;
    struct sim_lane **grown = realloc(endpoint->lanes, count * sizeof *grown);
    if (grown == NULL) {
      return NULL;
    }
    memset(grown + endpoint->lane_count, 0,
           (count - endpoint->lane_count) * sizeof(struct sim_lane *));
    endpoint->lanes = grown;
    endpoint->lane_count = count;
  }
  if (endpoint->lanes[peer->index] == NULL) {
    endpoint->lanes[peer->index] = calloc(1, sizeof(struct sim_lane));
    if (endpoint->lanes[peer->index] != NULL) {
      endpoint->lanes[peer->index]->peer = peer;
    }
  }
  return endpoint->lanes[peer->index];
}

static struct sim_buffer *take_buffer(struct sim_endpoint *endpoint, size_t data) {
  struct sim_buffer *buffer = data == 0 ? endpoint->spare : NULL;
  if (buffer != NULL) {
    endpoint->spare = buffer->next;
  } else {
    buffer = malloc(sizeof *buffer + data);
  }
  if (buffer != NULL) {
    memset(buffer, 0, sizeof *buffer);
    buffer->length = data;
  }
  return buffer;
}

static void free_buffer(struct sim_endpoint *endpoint, struct sim_buffer *buffer) {
  if (buffer->length == 0) {
    buffer->next = endpoint->spare;
    endpoint->spare = buffer;
  } else {
    free(buffer);
  }
}

static ssize_t send_locked(struct sim_endpoint *endpoint, struct sim_buffer *buffer,
                           const struct sim_peer *peer, void *data, size_t length) {
  struct iovec iov[] = {{&buffer->header, sizeof buffer->header}, {data, length}};
  memcpy(buffer->header.from, endpoint->address, sizeof buffer->header.from);
  buffer->header.magic = SIM_WIRE_MAGIC;
  ssize_t status = fi_sendv(endpoint->inner, iov, NULL, length == 0 ? 1 : 2, peer->inner, buffer);
  if (status == 0) {
    buffer->previous = NULL;
    buffer->next = endpoint->under_way;
    if (buffer->next != NULL) {
      buffer->next->previous = buffer;
    }
    endpoint->under_way = buffer;
  }
  return status;
}

static void came_back(struct sim_endpoint *endpoint, struct sim_buffer *buffer) {
  if (buffer->previous == NULL) {
    endpoint->under_way = buffer->next;
  } else {
    buffer->previous->next = buffer->next;
  }
  if (buffer->next != NULL) {
    buffer->next->previous = buffer->previous;
  }
}

static ssize_t post_receive(struct sim_endpoint *endpoint, struct sim_buffer *buffer) {
  struct iovec iov[] = {{&buffer->header, sizeof buffer->header}, {buffer->data, SIM_PIECE}};
  return fi_recvv(endpoint->inner, iov, NULL, 2, FI_ADDR_UNSPEC, buffer);
}

/* --- the target's side --- */

static struct sim_buffer *take_reply(struct sim_endpoint *endpoint, struct sim_lane *lane) {
  struct sim_buffer *reply = lane->first_reply;
  lane->first_reply = reply->next;
  if (lane->first_reply == NULL) {
    lane->last_reply = NULL;
  }
  endpoint->replies--;
  return reply;
}

static void put_reply(struct sim_endpoint *endpoint, struct sim_lane *lane,
                      struct sim_buffer *reply, bool in_front) {
  reply->next = in_front ? lane->first_reply : NULL;
  if (lane->first_reply == NULL) {
    lane->first_reply = lane->last_reply = reply;
  } else if (in_front) {
    lane->first_reply = reply;
  } else {
    lane->last_reply->next = reply;
    lane->last_reply = reply;
  }
  endpoint->replies++;
}

static void send_replies(struct sim_endpoint *endpoint, struct sim_lane *lane) {
  while (lane->first_reply != NULL) {
    struct sim_buffer *reply = take_reply(endpoint, lane);
    ssize_t status = send_locked(endpoint, reply, lane->peer, reply->data, reply->length);
    if (status == -FI_EAGAIN) {
      put_reply(endpoint, lane, reply, true);
      return;
    }
    if (status != 0) {
      free_buffer(endpoint, reply); /* nobody is there to be answered */
    }
  }
}

static void handle_request(struct sim_endpoint *endpoint, struct sim_buffer *received,
                           size_t length) {
  const struct sim_wire *wire = &received->header;
  bool write = wire->kind == SIM_WRITE;
  if (wire->length > SIM_PIECE || (write && length != sizeof *wire + wire->length)) {
    return;
  }
  struct sim_peer *peer = sim_av_peer_locked(endpoint->av, wire->from);
  struct sim_lane *lane = peer == NULL ? NULL : sim_lane_locked(endpoint, peer);
  struct sim_buffer *reply = take_buffer(endpoint, write ? 0 : wire->length);
  if (lane == NULL || reply == NULL) {
    if (reply != NULL) {
      free_buffer(endpoint, reply);
    }
    return;
  }
  reply->header = *wire;
  reply->header.kind = write ? SIM_WRITTEN : SIM_DATA;
  if (wire->length == 0 && !write) {
    reply->header.status = (uint16_t)sim_remote_access_locked(endpoint, wire, NULL);
  } else {
    reply->header.status =
        (uint16_t)sim_remote_access_locked(endpoint, wire, write ? received->data : reply->data);
  }
  if (!write && reply->header.status != SIM_OK) {
    memset(reply->data, 0, reply->length);
  }
  put_reply(endpoint, lane, reply, false);
}

/* --- the initiator's side --- */

static void handle_answer(struct sim_endpoint *endpoint, struct sim_buffer *received,
                          size_t length) {
  const struct sim_wire *wire = &received->header;
  struct sim_operation *operation =
      sim_operation_find_locked(endpoint, wire->slot, wire->generation);
  if (operation == NULL || operation->waiting == 0) {
    return;
  }
  operation->waiting--;
  endpoint->window--;
  operation->lane->touched = sim_milliseconds();
  operation->lane->patience = QUIET_MS;
  if (wire->kind == SIM_DATA && wire->status == SIM_OK && !operation->write &&
      length == sizeof *wire + wire->length && wire->at <= operation->length &&
      wire->length <= operation->length - wire->at && wire->length > 0) {
    memcpy(operation->buffer + wire->at, received->data, wire->length);
  }
  if (wire->status != SIM_OK) {
    sim_operation_fail_locked(endpoint, operation, wire->status);
  } else {
    sim_operation_finish_locked(endpoint, operation);
  }
}

/* Sends the next piece of an operation: 0, -FI_EAGAIN, or that the peer cannot be reached. */
static ssize_t send_piece(struct sim_endpoint *endpoint, struct sim_operation *operation) {
  struct sim_buffer *buffer = take_buffer(endpoint, 0);
  if (buffer == NULL) {
    return -FI_EAGAIN;
  }
  size_t left = operation->length - operation->at;
  size_t length = left < SIM_PIECE ? left : SIM_PIECE;
  buffer->of_operation = true;
  buffer->slot = (uint32_t)(operation - endpoint->operations);
  buffer->generation = operation->generation;
  buffer->header = (struct sim_wire){
      .kind = operation->write ? SIM_WRITE : SIM_READ,
      .slot = buffer->slot,
      .generation = buffer->generation,
      .key = operation->key,
      .offset = operation->offset,
      .total = operation->length,
      .at = operation->at,
      .length = length,
  };
  ssize_t status =
      send_locked(endpoint, buffer, operation->lane->peer,
                  operation->write && length > 0 ? operation->buffer + operation->at : NULL,
                  operation->write ? length : 0);
  if (status != 0) {
    free_buffer(endpoint, buffer);
    return status;
  }
  operation->at += length;
  operation->waiting++;
  operation->sending++;
  endpoint->window++;
  return 0;
}

static void take_first(struct sim_lane *lane) {
  struct sim_operation *operation = lane->first;
  lane->first = operation->next;
  if (lane->first == NULL) {
    lane->last = NULL;
  }
  operation->queued = false;
}

static void pump_lane(struct sim_endpoint *endpoint, struct sim_lane *lane) {
  while (lane->first != NULL && endpoint->window < SIM_WINDOW) {
    struct sim_operation *operation = lane->first;
    ssize_t status = send_piece(endpoint, operation);
    if (status == -FI_EAGAIN) {
      return;
    }
    if (status != 0) {
      sim_operation_fail_locked(endpoint, operation, SIM_ERROR_UNREACHABLE);
    } else if (operation->at == operation->length) {
      take_first(lane);
    }
  }
}

void sim_pump_locked(struct sim_endpoint *endpoint) {
  for (size_t i = 0; i < endpoint->lane_count; i++) {
    struct sim_lane *lane = endpoint->lanes[i];
    if (lane != NULL) {
      send_replies(endpoint, lane);
      pump_lane(endpoint, lane);
    }
  }
}

/* --- peers that are gone --- */

/* A process that ended refuses connections; one that only does not answer takes them. */
static bool is_gone(const struct sim_peer *peer) {
  struct sockaddr_in inner;
  if (!sim_address_decode(peer->address, &inner)) {
    return true;
  }
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return false;
  }
  int error = connect(fd, (struct sockaddr *)&inner, sizeof inner) == 0 ? 0 : errno;
  struct pollfd wait = {.fd = fd, .events = POLLOUT};
  socklen_t size = sizeof error;
  if (error == EINPROGRESS && poll(&wait, 1, ANSWER_MS) == 1) {
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  close(fd);
  return error == ECONNREFUSED;
}

static void fail_lane(struct sim_endpoint *endpoint, struct sim_lane *lane) {
  while (lane->first_reply != NULL) {
    free_buffer(endpoint, take_reply(endpoint, lane));
  }
  for (size_t i = 0; i < endpoint->depth; i++) {
    struct sim_operation *operation = &endpoint->operations[i];
    if (operation->used && operation->lane == lane) {
      sim_operation_fail_locked(endpoint, operation, SIM_ERROR_UNREACHABLE);
    }
  }
}

static void look_for_peer(struct sim_endpoint *endpoint, struct sim_lane *lane, int64_t now) {
  if (lane->operations == 0 && lane->first_reply == NULL) {
    lane->touched = 0;
  } else if (lane->touched == 0) {
    lane->touched = now;
    lane->patience = QUIET_MS;
  } else if (now - lane->touched > lane->patience) {
    lane->touched = now;
    lane->patience *= 2;
    if (lane->patience > QUIET_MOST_MS) {
      lane->patience = QUIET_MOST_MS;
    }
    if (is_gone(lane->peer)) {
      fail_lane(endpoint, lane);
    }
  }
}

static void look_for_peers(struct sim_endpoint *endpoint) {
  int64_t now = sim_milliseconds();
  for (size_t i = 0; i < endpoint->lane_count; i++) {
    if (endpoint->lanes[i] != NULL) {
      look_for_peer(endpoint, endpoint->lanes[i], now);
    }
  }
}

/* --- the inner queue --- */

static void sent(struct sim_endpoint *endpoint, struct sim_buffer *buffer, bool failed) {
  came_back(endpoint, buffer);
  if (buffer->of_operation) {
    struct sim_operation *operation =
        sim_operation_find_locked(endpoint, buffer->slot, buffer->generation);
    if (operation != NULL) {
      operation->sending--;
      if (failed) {
        sim_operation_fail_locked(endpoint, operation, SIM_ERROR_UNREACHABLE);
      } else {
        sim_operation_finish_locked(endpoint, operation);
      }
    }
  }
  free_buffer(endpoint, buffer);
}

static void received(struct sim_endpoint *endpoint, struct sim_buffer *buffer, size_t length) {
  if (length >= sizeof buffer->header && buffer->header.magic == SIM_WIRE_MAGIC &&
      !endpoint->gone) {
    switch (buffer->header.kind) {
      case SIM_WRITE:
      case SIM_READ:
        handle_request(endpoint, buffer, length);
        break;
      case SIM_WRITTEN:
      case SIM_DATA:
        handle_answer(endpoint, buffer, length);
        break;
      default:
        break; /* of no version of this provider */
    }
  }
  /* Cannot fail: it takes the place of one that was just used up. */
  post_receive(endpoint, buffer);
}

static bool read_error(struct sim_endpoint *endpoint) {
  struct fi_cq_err_entry error = {0};
  if (fi_cq_readerr(endpoint->inner_cq, &error, 0) != 1) {
    return false;
  }
  struct sim_buffer *buffer = error.op_context;
  if (buffer->receive) {
    post_receive(endpoint, buffer);
  } else {
    sent(endpoint, buffer, true);
  }
  return true;
}

void sim_progress_locked(struct sim_endpoint *endpoint) {
  struct fi_cq_msg_entry entries[BATCH];
  for (int batch = 0; batch < BATCHES; batch++) {
    ssize_t count = fi_cq_read(endpoint->inner_cq, entries, BATCH);
    if (count == -FI_EAVAIL && read_error(endpoint)) {
      continue;
    }
    if (count <= 0) {
      break;
    }
    for (ssize_t i = 0; i < count; i++) {
      struct sim_buffer *buffer = entries[i].op_context;
      if (buffer->receive) {
        received(endpoint, buffer, entries[i].len);
      } else {
        sent(endpoint, buffer, false);
      }
    }
    sim_pump_locked(endpoint);
  }
  if (endpoint->used > 0 || endpoint->replies > 0) {
    sim_pump_locked(endpoint);
    look_for_peers(endpoint);
  }
}

int sim_progress_start_locked(struct sim_endpoint *endpoint) {
  for (int i = 0; i < SIM_RECEIVES; i++) {
    struct sim_buffer *buffer = calloc(1, sizeof *buffer + SIM_PIECE);
    endpoint->receives[i] = buffer;
    if (buffer == NULL) {
      return -FI_ENOMEM;
    }
    buffer->receive = true;
    ssize_t status = post_receive(endpoint, buffer);
    if (status != 0) {
      return (int)status;
    }
  }
  return 0;
}

static void free_all(struct sim_buffer **list) {
  while (*list != NULL) {
    struct sim_buffer *buffer = *list;
    *list = buffer->next;
    free(buffer);
  }
}

/* After the inner endpoint is closed: nothing reads from these any more. */
void sim_progress_stop_locked(struct sim_endpoint *endpoint) {
  for (int i = 0; i < SIM_RECEIVES; i++) {
    free(endpoint->receives[i]);
    endpoint->receives[i] = NULL;
  }
  free_all(&endpoint->under_way);
  free_all(&endpoint->spare);
  for (size_t i = 0; i < endpoint->lane_count; i++) {
    if (endpoint->lanes[i] != NULL) {
      free_all(&endpoint->lanes[i]->first_reply);
    }
  }
}
