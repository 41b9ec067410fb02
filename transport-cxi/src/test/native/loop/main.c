/*
 *   loop target PROVIDER SOURCE BYTES
 *   loop initiator PROVIDER SOURCE BYTES WINDOW
 *
 * SOURCE is an IPv4 address, or "-" for a provider that has no such addresses. A target prints a line,
 * which is the first that an initiator reads. Then both read commands from stdin, and answer each
 * with a line.
 *
 *   serve spin|yield                           ok      a target makes progress from now on
 *   rest                                       ok      and does no more
 *   run write|read BYTES OPERATIONS CALLS spin|yield   ok NANOS P50    of all calls, of one
 *   quit
 *
 * Whoever spins only asks again; whoever yields leaves the core to others in between.
 */
#include "loop.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FAILED = 3 };

void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("loop: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  _exit(FAILED);
}

static size_t number(const char *text) {
  char *end;
  unsigned long value = text == NULL ? 0 : strtoul(text, &end, 10);
  if (text == NULL || *text == 0 || *end != 0 || value == 0) {
    die("%s is no number", text == NULL ? "nothing" : text);
  }
  return value;
}

/* --- what a target tells an initiator --- */

static void print_target(void) {
  struct target own = own_target();
  for (size_t i = 0; i < own.address_length; i++) {
    printf("%02x", own.address[i]);
  }
  printf(" %" PRIu64 " %" PRIu64 "\n", own.first, own.key);
}

static void read_target(void) {
  char line[2 * ADDRESS_BYTES + 64];
  char address[2 * ADDRESS_BYTES + 1];
  struct target target = {.address_length = 0};
  if (fgets(line, sizeof line, stdin) == NULL ||
      sscanf(line, "%512[0-9a-f] %" SCNu64 " %" SCNu64, address, &target.first, &target.key) != 3) {
    die("the first line describes no target");
  }
  for (const char *at = address; at[0] != 0 && at[1] != 0; at += 2) {
    unsigned byte;
    if (sscanf(at, "%2x", &byte) != 1) {
      die("the target's address is not hexadecimal");
    }
    target.address[target.address_length++] = (uint8_t)byte;
  }
  connect_to(&target);
}

/* --- commands --- */

static char line[256];
static char *words; /* what is left of the line */

static const char *word(void) {
  char *next = strtok_r(NULL, " \n", &words);
  if (next == NULL) {
    die("a command has too few words");
  }
  return next;
}

/* The first word of the next command, or NULL at the end. */
static const char *next_command(void) {
  if (fgets(line, sizeof line, stdin) == NULL) {
    return NULL;
  }
  char *first = strtok_r(line, " \n", &words);
  return first == NULL ? "" : first;
}

static bool is(const char *text, const char *one, const char *other) {
  if (strcmp(text, one) != 0 && strcmp(text, other) != 0) {
    die("%s is neither %s nor %s", text, one, other);
  }
  return strcmp(text, one) == 0;
}

/* --- the target --- */

enum state { RESTING, SERVING, OVER };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static _Atomic enum state state;
static atomic_bool yielding;

static void *serve(void *unused) {
  (void)unused;
  while (state != OVER) {
    pthread_mutex_lock(&lock);
    while (state == RESTING) {
      pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    while (state == SERVING) {
      make_progress();
      if (yielding) {
        sched_yield();
      }
    }
  }
  return NULL;
}

static void set_state(enum state next) {
  pthread_mutex_lock(&lock);
  state = next;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

static void be_target(void) {
  print_target();
  pthread_t thread;
  if (pthread_create(&thread, NULL, serve, NULL) != 0) {
    die("no thread can be started");
  }
  const char *command;
  while ((command = next_command()) != NULL && strcmp(command, "quit") != 0) {
    bool on = is(command, "serve", "rest");
    if (on) {
      yielding = is(word(), "yield", "spin");
    }
    set_state(on ? SERVING : RESTING);
    puts("ok");
  }
  set_state(OVER);
  pthread_join(thread, NULL);
}

/* --- the initiator --- */

static uint64_t nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left;
  uint64_t b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

static void run(size_t memory, size_t window) {
  bool write = is(word(), "write", "read");
  size_t bytes = number(word());
  size_t operations = number(word());
  size_t calls = number(word());
  bool yields = is(word(), "yield", "spin");
  if (operations > MOST_OPERATIONS || bytes > memory / operations) {
    die("%zu operations of %zu bytes do not fit", operations, bytes);
  }
  uint64_t *times = malloc(calls * sizeof *times);
  if (times == NULL) {
    die("no memory for %zu times", calls);
  }
  uint64_t start = nanoseconds();
  for (size_t i = 0; i < calls; i++) {
    uint64_t before = nanoseconds();
    run_call(write, bytes, operations, window, yields);
    times[i] = nanoseconds() - before;
  }
  uint64_t all = nanoseconds() - start;
  qsort(times, calls, sizeof *times, compare);
  printf("ok %" PRIu64 " %" PRIu64 "\n", all, times[calls / 2]);
  free(times);
}

static void be_initiator(size_t memory, size_t window) {
  read_target();
  const char *command;
  while ((command = next_command()) != NULL && strcmp(command, "quit") != 0) {
    if (strcmp(command, "run") != 0) {
      die("there is no command %s", command);
    }
    run(memory, window);
  }
}

int main(int count, char **arguments) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  bool initiator = count == 6 && strcmp(arguments[1], "initiator") == 0;
  bool target = count == 5 && strcmp(arguments[1], "target") == 0;
  if (!initiator && !target) {
    die("usage: loop target PROVIDER SOURCE BYTES | loop initiator PROVIDER SOURCE BYTES WINDOW");
  }
  /* The shim sets the same, before its first call of libfabric. */
  setenv("FI_MR_CACHE_MONITOR", "disabled", 0);
  setenv("FI_MR_CUDA_CACHE_MONITOR_ENABLED", "0", 0);
  size_t memory = number(arguments[4]);
  open_endpoint(arguments[2], strcmp(arguments[3], "-") == 0 ? NULL : arguments[3], memory);
  if (initiator) {
    be_initiator(memory, number(arguments[5]));
  } else {
    be_target();
  }
  /* What is registered and open ends with the process. */
  return 0;
}
