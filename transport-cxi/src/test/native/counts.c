/* The block of counts and faults: where it lies, what the environment sets in it, how it is used. */
#include "sim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(sizeof(struct sim_counts) == SIM_COUNTS_SIZE, "the layout in counts.h");
_Static_assert(SIM_COUNTERS <= (SIM_FAULTS_OFFSET - SIM_COUNTERS_OFFSET) / 8, "too many counters");

static struct sim_counts private_counts;
static struct sim_counts *counts = &private_counts;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Maps the file of FI_CXI_SIM_COUNTS; stays with private memory, and says so, when that fails. */
static void map_file(const char *path) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void *mapped = MAP_FAILED;
  if (fd >= 0 && ftruncate(fd, SIM_COUNTS_SIZE) == 0) {
    mapped = mmap(NULL, SIM_COUNTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  if (mapped == MAP_FAILED) {
    fprintf(stderr, "simulated cxi: FI_CXI_SIM_COUNTS: cannot map %s: %m\n", path);
  } else {
    counts = mapped;
  }
  if (fd >= 0) {
    close(fd);
  }
}

/* "every:3", "at:1", "after:0"; anything else is said and ignored. */
static void set_fault(enum sim_fault fault, const char *name) {
  static const char *const words[] = {"every:", "at:", "after:"};
  const char *text = getenv(name);
  if (text == NULL || *text == '\0') {
    return;
  }
  for (unsigned i = 0; i < 3; i++) {
    size_t length = strlen(words[i]);
    if (strncmp(text, words[i], length) == 0) {
      char *end;
      unsigned long long n = strtoull(text + length, &end, 10);
      if (end != text + length && *end == '\0' && (n > 0 || i == 2)) {
        counts->faults[fault].n = n;
        counts->faults[fault].mode = i + SIM_EVERY;
        return;
      }
    }
  }
  fprintf(stderr, "simulated cxi: %s=%s is none of every:N, at:N, after:N\n", name, text);
}

#define SIM_FAULT_VARIABLE(name) "FI_CXI_SIM_FAULT_" #name,
static const char *const fault_variables[] = {SIM_FAULT_NAMES(SIM_FAULT_VARIABLE)};

/* A misspelled name would be a fault that never strikes. */
static void check_names(void) {
  static const char *const others[] = {
      "FI_CXI_SIM_ADDRESS", "FI_CXI_SIM_COUNTS",        "FI_CXI_SIM_NO_DEVICE", "FI_CXI_SIM_OLD",
      "FI_CXI_SIM_GPU",     "FI_CXI_SIM_GPU_BY_DMABUF", "FI_CXI_SIM_CLOSE_MS",
      "FI_CXI_SIM_MATCH_WAIT_MS"};
  for (char **each = environ; *each != NULL; each++) {
    size_t length = strcspn(*each, "=");
    bool known = strncmp(*each, "FI_CXI_SIM_", 11) != 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
      known = known || (strlen(others[i]) == length && strncmp(others[i], *each, length) == 0);
    }
    for (int i = 0; i < SIM_FAULTS; i++) {
      known = known || (strlen(fault_variables[i]) == length &&
                        strncmp(fault_variables[i], *each, length) == 0);
    }
    if (!known) {
      fprintf(stderr, "simulated cxi: there is no variable %.*s\n", (int)length, *each);
    }
  }
}

static void set_up(void) {
  check_names();
  const char *path = getenv("FI_CXI_SIM_COUNTS");
  if (path != NULL && *path != '\0') {
    map_file(path);
  }
  counts->magic = SIM_COUNTS_MAGIC;
  for (int i = 0; i < SIM_FAULTS; i++) {
    set_fault((enum sim_fault)i, fault_variables[i]);
  }
}

void sim_counts_set_up(void) { pthread_once(&once, set_up); }

void sim_count(enum sim_counter counter, int64_t difference) {
  atomic_fetch_add_explicit(&counts->counters[counter], (uint64_t)difference, memory_order_relaxed);
}

bool sim_fault_strikes(enum sim_fault fault) {
  struct sim_fault_state *state = &counts->faults[fault];
  uint64_t mode = state->mode;
  if (mode == SIM_OFF) {
    return false;
  }
  uint64_t n = state->n;
  uint64_t turn = atomic_fetch_add(&state->seen, 1) + 1;
  bool strikes = (mode == SIM_EVERY && n > 0 && turn % n == 0) || (mode == SIM_AT && turn == n) ||
                 (mode == SIM_AFTER && turn > n);
  if (strikes) {
    atomic_fetch_add(&state->struck, 1);
  }
  return strikes;
}

bool sim_environment_flag(const char *name, bool otherwise) {
  const char *text = getenv(name);
  if (text == NULL || *text == '\0') {
    return otherwise;
  }
  return strcmp(text, "0") != 0 && strcasecmp(text, "false") != 0 && strcasecmp(text, "no") != 0 &&
         strcasecmp(text, "off") != 0;
}

unsigned sim_environment_number(const char *name, unsigned otherwise) {
  const char *text = getenv(name);
  char *end;
  if (text == NULL || *text == '\0') {
    return otherwise;
  }
  unsigned long value = strtoul(text, &end, 10);
  if (*end != '\0' || value > 1000000000) {
    fprintf(stderr, "simulated cxi: %s=%s is not a number\n", name, text);
    return otherwise;
  }
  return (unsigned)value;
}
