/* How the agent's files are walked: which of them changed since the sandbox began, folders as they were then, and what the agent
 * closed to itself. The kernel's own change time tells: nothing inside can set it, and a clock that was set back is allowed for. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define TMPFS 0x01021994
#define RAMFS 0x858458f6

/* File times come from a clock that may lag behind by a tick. */
#define MARGIN_US 100000

struct folder {
  uint64_t path, inode;
};

static const char *const watched[] = {REPOSITORY, "/home/agent", "/tmp", "/var/tmp"};
static struct folder *folders;
static size_t folder_count, folder_room;
static int64_t started_us, least_offset_us = INT64_MAX;

static int64_t clock_us(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void watch_clock(void) {
  int64_t offset = clock_us(CLOCK_REALTIME) - clock_us(CLOCK_MONOTONIC);
  if (offset < least_offset_us) least_offset_us = offset;
}

bool is_changed(const struct stat *file) {
  int64_t at = (int64_t)file->st_ctim.tv_sec * 1000000 + file->st_ctim.tv_nsec / 1000;
  return at >= started_us + least_offset_us - MARGIN_US;
}

#define HASH_FACTOR 1099511628211u

uint64_t hash_path(uint64_t parent, const char *name) {
  uint64_t hash = (parent ^ '/') * HASH_FACTOR;
  for (; *name != 0; name++) hash = (hash ^ (uint8_t)*name) * HASH_FACTOR;
  return hash;
}

uint64_t hash_whole_path(const char *path) {
  uint64_t hash = 0;
  for (const char *at = path; *at != 0; at++) {
    if (*at == '/') continue;
    if (at == path || at[-1] == '/') hash = (hash ^ '/') * HASH_FACTOR;
    hash = (hash ^ (uint8_t)*at) * HASH_FACTOR;
  }
  return hash;
}

static int compare_folders(const void *one, const void *other) {
  const struct folder *a = one, *b = other;
  if (a->path != b->path) return a->path < b->path ? -1 : 1;
  return a->inode == b->inode ? 0 : a->inode < b->inode ? -1 : 1;
}

bool is_remembered(uint64_t path, ino_t inode) {
  struct folder wanted = {path, inode};
  return folder_count > 0 && bsearch(&wanted, folders, folder_count, sizeof *folders, compare_folders) != NULL;
}

bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

static int open_folder(int parent, const char *name) {
  return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void remember_below(int parent, const char *name, uint64_t path, int depth) {
  int fd = open_folder(parent, name);
  DIR *entries = fd < 0 ? NULL : fdopendir(fd);
  if (entries == NULL) {
    if (fd >= 0) close(fd);
    return;
  }
  struct stat file;
  if (folder_count == folder_room) {
    folder_room = folder_room == 0 ? 1024 : folder_room * 2;
    struct folder *more = realloc(folders, folder_room * sizeof *folders);
    if (more != NULL) folders = more;
    else folder_room = folder_count;
  }
  if (folder_count < folder_room && fstat(fd, &file) == 0) folders[folder_count++] = (struct folder){path, file.st_ino};
  for (struct dirent *entry; depth < MAX_DEPTH && (entry = readdir(entries)) != NULL;) {
    if ((entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) || is_dots(entry->d_name)) continue;
    remember_below(fd, entry->d_name, hash_path(path, entry->d_name), depth + 1);
  }
  closedir(entries);
}

void remember_folders(void) {
  started_us = clock_us(CLOCK_MONOTONIC);
  watch_clock();
  /* Root without its capabilities may not look into a folder of the agent's alone; the agent may. */
  act_as_agent();
  for (size_t i = 0; i < sizeof watched / sizeof *watched; i++)
    remember_below(AT_FDCWD, watched[i], hash_whole_path(watched[i]), 0);
  act_as_root();
  qsort(folders, folder_count, sizeof *folders, compare_folders);
}

bool is_watched(const char *path) {
  for (size_t i = 0; i < sizeof watched / sizeof *watched; i++) {
    size_t length = strlen(watched[i]);
    if (strncmp(path, watched[i], length) == 0 && (path[length] == '/' || path[length] == 0)) return true;
  }
  return false;
}

void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/* Opens what the agent closed to itself, as its owner may, and gives its mode back. */
int open_closed(int parent, const char *name, int flags, mode_t needed) {
  int fd = openat(parent, name, flags | O_NOFOLLOW | O_CLOEXEC);
  struct stat file;
  if (fd >= 0 || errno != EACCES || fstatat(parent, name, &file, AT_SYMLINK_NOFOLLOW) != 0 || S_ISLNK(file.st_mode)) return fd;
  if (fchmodat(parent, name, (file.st_mode | needed) & 07777, 0) != 0) return -1;
  fd = openat(parent, name, flags | O_NOFOLLOW | O_CLOEXEC);
  fchmodat(parent, name, file.st_mode & 07777, 0);
  return fd;
}

bool is_disk(int fd) {
  struct statfs disk;
  /* The kernel's own have no room to tell of. */
  return fstatfs(fd, &disk) == 0 && disk.f_blocks > 0 && disk.f_type != TMPFS && disk.f_type != RAMFS;
}

bool open_entries(struct entries *to, int parent, const char *name) {
  int fd = open_closed(parent, name, O_RDONLY | O_DIRECTORY, 0700);
  to->names = fd < 0 || !is_disk(fd) ? NULL : fdopendir(fd);
  if (to->names == NULL || fstat(fd, &to->folder) != 0) {
    if (to->names != NULL) closedir(to->names);
    else close_fd(&fd);
    return false;
  }
  /* Names may be read without the right to look at what they name. */
  mode_t mode = to->folder.st_mode;
  to->was_closed = (mode & 0100) == 0 && to->folder.st_uid == agent.uid && fchmod(fd, (mode | 0700) & 07777) == 0;
  return true;
}

void close_entries(struct entries *open) {
  if (open->was_closed) fchmod(dirfd(open->names), open->folder.st_mode & 07777);
  closedir(open->names);
}

bool put_contents(struct buffer *to, int fd, uint64_t most) {
  static uint8_t bytes[128 * 1024];
  size_t length_at = to->length;
  put_u32(to, 0);
  uint64_t total = 0;
  for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) != 0;) {
    if (got < 0) return false;
    total += (uint64_t)got;
    if (total > most) return false;
    put_bytes(to, bytes, (size_t)got);
  }
  if (to->failed) return false;
  for (int i = 0; i < 4; i++) to->bytes[length_at + (size_t)i] = (uint8_t)(total >> (8 * i));
  return true;
}
