/* guestd: the first process of a sandbox. It runs the agent's commands and touches its files for a worker outside, which it
 * hears through one relay at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "guest.h"

struct agent agent;

uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "serve") == 0) {
    prctl(PR_SET_DUMPABLE, 0);
    agent.uid = (uid_t)strtoul(argv[2], NULL, 10);
    serve((uint32_t)strtoul(argv[3], NULL, 10));
  }
  if (argc == 2 && strcmp(argv[1], "relay") == 0) {
    prctl(PR_SET_DUMPABLE, 0);
    return relay();
  }
  if (argc == 3 && strcmp(argv[1], "state") == 0) return save_state(atoi(argv[2]));
  if (argc == 2 && strcmp(argv[1], "version") == 0) return printf("guestd %d\n", WIRE_VERSION) < 0;
  fprintf(stderr, "usage: guestd serve UID LEASE_MS | relay | state CODE | version\n");
  return 2;
}
