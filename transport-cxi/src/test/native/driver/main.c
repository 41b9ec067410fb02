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

#define SECONDS_A_CASE 20

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

static bool passes(const struct test_case *test, const char *provider) {
  char counts_file[] = "/tmp/simulated-cxi-counts-XXXXXX";
  int fd = mkstemp(counts_file);
  if (fd < 0) {
    perror("mkstemp");
    return false;
  }
  close(fd);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    alarm(SECONDS_A_CASE);
    set_environment(test, provider, counts_file);
    test->run();
    exit(0);
  }
  int status = 0;
  bool passed = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
                WEXITSTATUS(status) == 0;
  if (child > 0 && WIFSIGNALED(status)) {
    printf("  ended by signal %d%s\n", WTERMSIG(status),
           WTERMSIG(status) == SIGALRM ? ": took too long" : "");
  }
  unlink(counts_file);
  return passed;
}

static bool is_chosen(const struct test_case *test, char **rules, int count) {
  bool chosen = count == 0;
  for (int i = 0; i < count; i++) {
    chosen = chosen || strstr(test->rule, rules[i]) != NULL;
  }
  return chosen;
}

int main(int argc, char **argv) {
  int failed = 0;
  int run = 0;
  if (argc < 2) {
    fprintf(stderr, "usage: driver PROVIDER_FOLDER [RULE...]\n");
    return 2;
  }
  for (size_t group = 0; group < sizeof groups / sizeof *groups; group++) {
    for (const struct test_case *test = groups[group]; test->rule != NULL; test++) {
      if (is_chosen(test, argv + 2, argc - 2)) {
        bool passed = passes(test, argv[1]);
        printf("%s: %s\n", passed ? "ok" : "FAILED", test->rule);
        failed += passed ? 0 : 1;
        run++;
      }
    }
  }
  printf("simulated cxi: %d cases, %d failed\n", run, failed);
  return failed == 0 && run > 0 ? 0 : 1;
}
