/* What the kernel counts for this sandbox, under both layouts of control groups. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "guest.h"

#define FULL_BELOW_BYTES (1024 * 1024)

struct source {
  const char *unified, *legacy, *word;
  int fd; /* 0: not opened yet; the kernel answers anew whenever it is read from its start */
};

/* The number after the word ("": the first one) at the start of a line of the first of two files that is there. */
static uint64_t counter(struct source *source) {
  char bytes[1024];
  if (source->fd == 0) source->fd = open(source->unified, O_RDONLY | O_CLOEXEC);
  if (source->fd < 0) source->fd = open(source->legacy, O_RDONLY | O_CLOEXEC);
  if (source->fd < 0) return 0;
  ssize_t got = pread(source->fd, bytes, sizeof bytes - 1, 0);
  if (got <= 0) return 0;
  bytes[got] = 0;
  size_t length = strlen(source->word);
  for (const char *line = bytes; line != NULL; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, source->word, length) == 0) return strtoull(line + length, NULL, 10);
  }
  return 0;
}

uint64_t memory_kills(void) {
  static struct source source = {"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "oom_kill ", 0};
  return counter(&source);
}

uint64_t refused_forks(void) {
  static struct source source = {"/sys/fs/cgroup/pids.events", "/sys/fs/cgroup/pids/pids.events", "max ", 0};
  return counter(&source);
}

static uint64_t task_count(void) {
  static struct source source = {"/sys/fs/cgroup/pids.current", "/sys/fs/cgroup/pids/pids.current", "", 0};
  return counter(&source);
}

static uint64_t memory_used(void) {
  static struct source source = {"/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes", "", 0};
  return counter(&source);
}

bool is_disk_full(const char *path) {
  struct statvfs disk;
  act_as_agent();
  int failed = statvfs(path, &disk);
  act_as_root();
  return failed == 0 &&
         ((uint64_t)disk.f_bavail * disk.f_frsize < FULL_BELOW_BYTES || (disk.f_files > 0 && disk.f_ffree == 0));
}

void put_stat(struct buffer *to) {
  struct statvfs disk = {0};
  statvfs("/", &disk);
  put_u64(to, (uint64_t)disk.f_bavail * disk.f_frsize);
  /* Some file systems have no table of inodes to run out of. */
  put_u64(to, disk.f_files > 0 ? disk.f_ffree : UINT64_MAX);
  put_u64(to, task_count());
  put_u64(to, memory_used());
  put_u64(to, memory_kills());
}
