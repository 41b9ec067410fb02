/*
 * Runs the cases of the simulated provider, each in a process of its own.
 *
 *   driver PROVIDER_FOLDER [RULE...]
 *
 * Prints a line for each case and one at the end; 0 when all passed. Each case has counts of its own,
 * unless FI_CXI_SIM_COUNTS names a file, which is then left for the caller to read.
 */
#include "driver.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS_A_CASE 60
#define AT_A_TIME 2

/*
 * libfabric's tcp forgets a connection that was made and dropped again at the moment when the
 * endpoint is closed. The leak sanitizer asks for this function.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:xnet_accept_sock\n"; }

static const struct test_case *const groups[] = {info_cases,  memory_cases, rma_cases, order_cases,
                                                 wait_cases,  trap_cases,   fault_cases};

static void set_environment(const struct test_case *test, const char *provider,
                            const char *counts_file) {
  setenv("FI_PROVIDER_PATH", provider, 1);
  setenv("FI_CXI_SIM_COUNTS", counts_file, 0);
  setenv("FI_MR_CACHE_MONITOR", "disabled", 1);
  /* Else the provider beneath fills 17 MB with zeros for each domain. */
  setenv("FI_TCP_MAX_RX_SIZE", "2048", 1);
  /* Refusals are what is tested; libfabric warns of each unless it is given names that it has not. */
  setenv("FI_LOG_PROV", "none", 0);
  setenv("FI_LOG_SUBSYS", "av", 0);
  for (const char *const *each = test->environment; *each != NULL; each += 2) {
    setenv(each[0], each[1], 1);
  }
}

/* A case whose process was started. What it prints is kept until it ends. */
struct running {
  const struct test_case *test; /* NULL: none */
  pid_t process;
  FILE *output;
  char counts_file[40];
};

static bool start(struct running *running, const struct test_case *test, const char *provider) {
  strcpy(running->counts_file, "/tmp/simulated-cxi-counts-XXXXXX");
  int fd = mkstemp(running->counts_file);
  running->output = tmpfile();
  if (fd < 0 || running->output == NULL) {
    perror("temporary files");
    return false;
  }
  close(fd);
  fflush(NULL);
  running->test = test;
  running->process = fork();
  if (running->process == 0) {
    alarm(SECONDS_A_CASE);
    dup2(fileno(running->output), STDOUT_FILENO);
    dup2(fileno(running->output), STDERR_FILENO);
    set_environment(test, provider, running->counts_file);
    test->run();
    exit(0);
  }
  return running->process > 0;
}

/* What the case printed, and whether it passed. */
static bool report(struct running *running, int status) {
  bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  char line[512];
  printf("%s: %s\n", passed ? "ok" : "FAILED", running->test->rule);
  rewind(running->output);
  while (fgets(line, sizeof line, running->output) != NULL) {
    printf("    %s", line);
  }
  if (WIFSIGNALED(status)) {
    printf("    ended by signal %d%s\n", WTERMSIG(status),
           WTERMSIG(status) == SIGALRM ? ": took too long" : "");
  }
  fclose(running->output);
  unlink(running->counts_file);
  running->test = NULL;
  return passed;
}

/* Waits until one of the running cases ends: 1 when it failed, else 0. */
static int finish_one(struct running *running) {
  int status = 0;
  pid_t ended = wait(&status);
  for (int i = 0; i < AT_A_TIME; i++) {
    if (running[i].test != NULL && running[i].process == ended) {
      return report(&running[i], status) ? 0 : 1;
    }
  }
  return 0; /* a process that a case left behind */
}

static bool is_any(const struct running *running) {
  bool any = false;
  for (int i = 0; i < AT_A_TIME; i++) {
    any = any || running[i].test != NULL;
  }
  return any;
}

static struct running *idle(struct running *running) {
  for (int i = 0; i < AT_A_TIME; i++) {
    if (running[i].test == NULL) {
      return &running[i];
    }
  }
  return NULL;
}

static bool is_chosen(const struct test_case *test, char **rules, int count) {
  bool chosen = count == 0;
  for (int i = 0; i < count; i++) {
    chosen = chosen || strstr(test->rule, rules[i]) != NULL;
  }
  return chosen;
}

int main(int argc, char **argv) {
  struct running running[AT_A_TIME] = {{0}};
  int failed = 0;
  int run = 0;
  if (argc < 2) {
    fprintf(stderr, "usage: driver PROVIDER_FOLDER [RULE...]\n");
    return 2;
  }
  for (size_t group = 0; group < sizeof groups / sizeof *groups; group++) {
    for (const struct test_case *test = groups[group]; test->rule != NULL; test++) {
      if (!is_chosen(test, argv + 2, argc - 2)) {
        continue;
      }
      struct running *free_place;
      while ((free_place = idle(running)) == NULL) {
        failed += finish_one(running);
      }
      run++;
      if (!start(free_place, test, argv[1])) {
        return 1;
      }
    }
  }
  while (is_any(running)) {
    failed += finish_one(running);
  }
  printf("simulated cxi: %d cases, %d failed\n", run, failed);
  return failed == 0 && run > 0 ? 0 : 1;
}
