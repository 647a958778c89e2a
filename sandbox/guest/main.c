/* guestd: the first process of a sandbox. It runs the agent's commands and touches its files for a worker outside, which it
 * hears through one relay at a time. */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)

struct agent agent;

uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

char *put_number(char *to, uint64_t number) {
  char digits[20];
  size_t count = 0;
  do digits[count++] = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  while (count > 0) *to++ = digits[--count];
  *to = 0;
  return to;
}

void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void say(int fd, const char *text) { (void)!write(fd, text, strlen(text)); }

int complain(const char *what, const char *why) {
  say(2, what);
  say(2, why);
  say(2, "\n");
  return 1;
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "serve") == 0) {
    prctl(PR_SET_DUMPABLE, 0);
    agent.uid = (uid_t)strtoul(argv[2], NULL, 10);
    if (agent.uid == 0) return complain("guestd: no uid for the agent: ", argv[2]);
    serve((uint32_t)strtoul(argv[3], NULL, 10));
  }
  if (argc == 2 && strcmp(argv[1], "relay") == 0) {
    prctl(PR_SET_DUMPABLE, 0);
    return relay();
  }
  if (argc == 2 && strcmp(argv[1], "version") == 0) {
    say(1, "guestd " TEXT(WIRE_VERSION) "\n");
    return 0;
  }
  complain("usage: guestd serve UID LEASE_MS | relay | version", "");
  return 2;
}
