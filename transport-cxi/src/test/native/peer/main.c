/*
 * Reads commands from stdin, a line each, and answers each with a line: "ok" and what was asked for,
 * or "error" and why. Peers and regions are numbered from 0 in their order. Bytes are hexadecimal,
 * none of them a hyphen.
 *
 *   register LENGTH                   ok REGION
 *   listen                            ok PORT
 *   begin-connect IP PORT             ok PEER          sends a handshake
 *   answered PEER                     ok               when it is answered
 *   connect IP PORT                   ok PEER          both
 *   accept                            ok PEER          the next that connected
 *   advertise REGION OFFSET LENGTH    ok DESCRIPTOR
 *   fill REGION SEED                  ok
 *   differs REGION SEED               ok INDEX         the first byte that fill would change, or -1
 *   write|read PEER REGION OFFSET DESCRIPTOR           ok when it has ended
 *   write-on PEER REGION OFFSET DESCRIPTOR MOST        ok COUNT ERROR
 *                                     writes again and again until one fails, or MOST have not
 *   notify PEER TYPE NAME MESSAGE     ok
 *   raw PEER BYTES                    ok               sends them as they are
 *   notification                      ok TYPE NAME MESSAGE
 *   set OPTION VALUE                  ok               see struct behaviour
 *   hang-up PEER                      ok
 *   ended                             ok               when all connections have ended
 *   tally                             ok HANDSHAKES ANSWERS NOTIFICATIONS CONNECTIONS received
 *   quit
 */
#include "peer.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 256, FAILED = 3 };

static struct peer *peers[MOST];
static size_t peer_count;
static struct region *regions[MOST];
static size_t region_count;

void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("peer: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  /* Not fflush(NULL): it would wait for the thread that reads stdin. */
  _exit(FAILED);
}

void *allocated(size_t size) {
  void *made = malloc(size == 0 ? 1 : size);
  if (made == NULL) {
    die("no memory of %zu bytes", size);
  }
  return made;
}

/* --- the words of a command --- */

static char *words; /* what is left of the line */

static const char *word(void) {
  char *next = strtok_r(NULL, " \n", &words);
  if (next == NULL) {
    die("a command has too few words");
  }
  return next;
}

static unsigned long number(void) {
  const char *text = word();
  char *end;
  unsigned long value = strtoul(text, &end, 10);
  if (*end != 0) {
    die("%s is no number", text);
  }
  return value;
}

static unsigned nibble(char c) {
  const char *digits = "0123456789abcdef";
  const char *found = c == 0 ? NULL : strchr(digits, c);
  if (found == NULL) {
    die("%c is no hexadecimal digit", c);
  }
  return (unsigned)(found - digits);
}

static struct bytes hexadecimal(void) {
  const char *text = word();
  size_t length = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
  struct bytes made = {allocated(length), length};
  for (size_t i = 0; i < length; i++) {
    made.at[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
  }
  return made;
}

static void print_hexadecimal(struct bytes bytes) {
  putchar(' ');
  if (bytes.length == 0) {
    putchar('-');
  }
  for (size_t i = 0; i < bytes.length; i++) {
    putchar("0123456789abcdef"[bytes.at[i] >> 4]);
    putchar("0123456789abcdef"[bytes.at[i] & 15]);
  }
}

static struct peer *peer(void) {
  size_t index = number();
  if (index >= peer_count) {
    die("there is no peer %zu", index);
  }
  return peers[index];
}

static struct region *region(void) {
  size_t index = number();
  if (index >= region_count) {
    die("there is no region %zu", index);
  }
  return regions[index];
}

/* --- the commands --- */

static void ok(void) { puts("ok"); }

static void ok_or(bool well, const char *otherwise) {
  if (well) {
    ok();
  } else {
    printf("error %s\n", otherwise);
  }
}

static void add_peer(struct peer *made, const char *otherwise) {
  if (made == NULL) {
    printf("error %s\n", otherwise);
    return;
  }
  if (peer_count == MOST) {
    die("too many peers");
  }
  peers[peer_count] = made;
  printf("ok %zu\n", peer_count++);
}

static void run_register(void) {
  if (region_count == MOST) {
    die("too many regions");
  }
  regions[region_count] = register_region(number());
  has_memory();
  printf("ok %zu\n", region_count++);
}

static void run_listen(void) { printf("ok %u\n", listen_for_peers()); }

static struct peer *started(void) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  const char *ip = word();
  if (inet_pton(AF_INET, ip, &to.sin_addr) != 1) {
    die("%s is no IPv4 address", ip);
  }
  to.sin_port = htons((uint16_t)number());
  return begin_connect(to);
}

static void run_begin_connect(void) { add_peer(started(), "nobody listens there"); }

static void run_answered(void) { ok_or(await_answer(peer()), "no answer"); }

static void run_connect(void) {
  struct peer *made = started();
  add_peer(made == NULL || await_answer(made) ? made : NULL, "no answer, or nobody listens there");
}

static void run_accept(void) { add_peer(await_peer(), "nobody came"); }

static void run_advertise(void) {
  const struct region *of = region();
  uint64_t offset = number();
  uint8_t bytes[DESCRIPTOR_BYTES];
  uint64_t base = (uint64_t)(uintptr_t)region_bytes(of);
  encode_descriptor((struct descriptor){.address = base + offset,
                                        .size = (uint32_t)number(),
                                        .base = base,
                                        .key = region_key(of),
                                        .length = region_length(of)},
                    bytes);
  fputs("ok", stdout);
  print_hexadecimal((struct bytes){bytes, sizeof bytes});
  putchar('\n');
}

static uint8_t pattern(size_t index, unsigned long seed) {
  return (uint8_t)(index * 131 + index / 251 + seed * 29 + 1);
}

static void run_fill(void) {
  const struct region *of = region();
  unsigned long seed = number();
  for (size_t i = 0; i < region_length(of); i++) {
    region_bytes(of)[i] = pattern(i, seed);
  }
  ok();
}

static void run_differs(void) {
  const struct region *of = region();
  unsigned long seed = number();
  size_t i = 0;
  while (i < region_length(of) && region_bytes(of)[i] == pattern(i, seed)) {
    i++;
  }
  printf("ok %ld\n", i == region_length(of) ? -1L : (long)i);
}

/* What the words of a transfer say. */
struct transfer {
  uint64_t peer;
  const struct region *local;
  size_t offset;
  size_t length;
  uint64_t remote_offset;
  uint64_t key;
};

/* Returns false, and has answered, if the descriptor is wrong. */
static bool read_transfer(struct transfer *of) {
  of->peer = peer_number(peer());
  of->local = region();
  of->offset = number();
  struct bytes bytes = hexadecimal();
  if (bytes.length != DESCRIPTOR_BYTES) {
    die("a descriptor of %zu bytes", bytes.length);
  }
  struct descriptor remote = decode_descriptor(bytes.at);
  free(bytes.at);
  of->length = remote.size;
  of->remote_offset = remote.address - remote.base;
  of->key = remote.key;
  if (of->offset > region_length(of->local) ||
      of->length > region_length(of->local) - of->offset) {
    die("a local range that is outside its region");
  }
  if (remote.base == 0 || of->remote_offset > remote.length ||
      of->length > remote.length - of->remote_offset) {
    puts("error the descriptor's range is outside its region");
    return false;
  }
  return true;
}

static int run_once(const struct transfer *transfer, bool write_it) {
  return run_operation(write_it, transfer->local, transfer->offset, transfer->length,
                       transfer->peer, transfer->remote_offset, transfer->key);
}

static void run_transfer(bool write_it) {
  struct transfer transfer;
  if (!read_transfer(&transfer)) {
    return;
  }
  int error = run_once(&transfer, write_it);
  if (error == 0) {
    ok();
  } else {
    printf("error %d\n", error);
  }
}

static void run_write_on(void) {
  struct transfer transfer;
  if (!read_transfer(&transfer)) {
    return;
  }
  unsigned long most = number();
  unsigned long count = 0;
  int error = 0;
  while (count < most && error == 0) {
    error = run_once(&transfer, true);
    count += error == 0;
  }
  printf("ok %lu %d\n", count, error);
}

static void run_write(void) { run_transfer(true); }

static void run_read(void) { run_transfer(false); }

static void run_notify(void) {
  const struct peer *to = peer();
  uint32_t type = (uint32_t)number();
  struct bytes name = hexadecimal();
  struct bytes message = hexadecimal();
  ok_or(send_to(to, encode_notification(type, name, message)), "no connection to that peer");
  free(name.at);
  free(message.at);
}

static void run_raw(void) {
  const struct peer *to = peer();
  ok_or(send_to(to, hexadecimal()), "no connection to that peer");
}

static void run_notification(void) {
  struct notification *taken = await_notification();
  if (taken == NULL) {
    puts("error none came");
    return;
  }
  printf("ok %u", taken->type);
  print_hexadecimal(taken->name);
  print_hexadecimal(taken->message);
  putchar('\n');
  free(taken->name.at);
  free(taken->message.at);
  free(taken);
}

static void run_set(void) {
  const char *option = word();
  unsigned long value = number();
  if (strcmp(option, "split") == 0) {
    behaviour.split = value != 0;
  } else if (strcmp(option, "join") == 0) {
    behaviour.join = value != 0;
    if (!behaviour.join) {
      send_joined();
    }
  } else if (strcmp(option, "no-port") == 0) {
    behaviour.no_port = value != 0;
  } else if (strcmp(option, "silent") == 0) {
    behaviour.silent = value != 0;
  } else if (strcmp(option, "late") == 0) {
    behaviour.late_ms = (unsigned)value;
  } else if (strcmp(option, "trailing") == 0) {
    behaviour.trailing = value;
  } else {
    die("there is no option %s", option);
  }
  ok();
}

static void run_hang_up(void) {
  hang_up(peer());
  ok();
}

static void run_ended(void) { ok_or(await_ends(), "a connection is still there"); }

static void run_tally(void) {
  struct tally now = tally();
  printf("ok %lu %lu %lu %lu\n", now.handshakes, now.answers, now.notifications, now.accepted);
}

static void run_quit(void) { _exit(0); }

static const struct {
  const char *name;
  void (*run)(void);
} commands[] = {
    {"register", run_register},
    {"listen", run_listen},
    {"begin-connect", run_begin_connect},
    {"answered", run_answered},
    {"connect", run_connect},
    {"accept", run_accept},
    {"advertise", run_advertise},
    {"fill", run_fill},
    {"differs", run_differs},
    {"write", run_write},
    {"read", run_read},
    {"write-on", run_write_on},
    {"notify", run_notify},
    {"raw", run_raw},
    {"notification", run_notification},
    {"set", run_set},
    {"hang-up", run_hang_up},
    {"ended", run_ended},
    {"tally", run_tally},
    {"quit", run_quit},
};

static void run(char *line) {
  char *name = strtok_r(line, " \n", &words);
  if (name == NULL) {
    die("an empty command");
  }
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
    if (strcmp(name, commands[i].name) == 0) {
      commands[i].run();
      fflush(stdout);
      return;
    }
  }
  die("there is no command %s", name);
}

int main(void) {
  char *line = NULL;
  size_t size = 0;
  open_endpoint();
  while (getline(&line, &size, stdin) >= 0) {
    run(line);
  }
  /* Whoever gave the commands is gone. */
  free(line);
  _exit(0);
}
