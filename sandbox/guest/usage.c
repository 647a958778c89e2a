/* Where in this sandbox anything can be written, and how much was: all that has a name there, and what is only held open. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

/* Folders that are deeper are not measured, and count as all there is: each level takes a descriptor and room on the stack. */
#define MAX_MEASURED_DEPTH 4096

struct place_list {
  struct buffer *paths;
  uint32_t count;
};

/* Adds `path`, or what below it the agent may change: nobody but root can add to these while the sandbox lives. */
static void find_places(struct place_list *to, int parent, const char *name, char path[PATH_MAX], size_t length, int depth) {
  struct stat file;
  if (fstatat(parent, name, &file, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (!S_ISDIR(file.st_mode) && !S_ISREG(file.st_mode)) return;
  int fd = S_ISDIR(file.st_mode) ? openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
  bool is_left_out = S_ISDIR(file.st_mode) && !is_disk(fd);
  close_fd(&fd);
  if (is_left_out) return;
  if (file.st_uid == agent.uid || faccessat(parent, name, W_OK, AT_EACCESS) == 0) {
    put_cstring(to->paths, length == 0 ? "/" : path);
    to->count++;
    return;
  }
  if (S_ISDIR(file.st_mode) && depth < MAX_DEPTH) fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *names = fd < 0 ? NULL : fdopendir(fd);
  for (struct dirent *entry; names != NULL && (entry = readdir(names)) != NULL;) {
    size_t added = strlen(entry->d_name);
    if (is_dots(entry->d_name) || length + 1 + added >= PATH_MAX) continue;
    path[length] = '/';
    memcpy(path + length + 1, entry->d_name, added + 1);
    find_places(to, fd, entry->d_name, path, length + 1 + added, depth + 1);
    path[length] = 0;
  }
  if (names != NULL) closedir(names);
}

void list_places(struct reader *body, struct buffer *reply) {
  static char path[PATH_MAX];
  struct buffer paths = {0};
  (void)body;
  raise_descriptor_limit();
  struct place_list found = {.paths = &paths};
  find_places(&found, AT_FDCWD, "/", path, 0, 0);
  put_u32(reply, found.count);
  put_bytes(reply, paths.bytes, paths.length);
  reply->failed |= paths.failed;
  free_buffer(&paths);
}

struct usage {
  uint64_t bytes, inodes;
  /* A set, 0 where it is empty, of what may be met again: files of several names, or of none. */
  uint64_t *met;
  size_t met_count, met_room;
  bool is_unmeasured;
};

static uint64_t *slot_of(uint64_t *set, size_t room, uint64_t key) {
  size_t at = (key * 0x9e3779b97f4a7c15u) >> 20;
  while (set[at % room] != 0 && set[at % room] != key) at++;
  return &set[at % room];
}

static bool is_met_first(struct usage *usage, const struct stat *file) {
  uint64_t key = file->st_ino ^ (uint64_t)file->st_dev << 44;
  if (key == 0) key = 1;
  if (usage->met_count * 2 >= usage->met_room) {
    size_t room = usage->met_room * 2 + 1024;
    uint64_t *more = calloc(room, sizeof *more);
    if (more == NULL) {
      usage->is_unmeasured = true;
      return false;
    }
    for (size_t i = 0; i < usage->met_room; i++)
      if (usage->met[i] != 0) *slot_of(more, room, usage->met[i]) = usage->met[i];
    free(usage->met);
    usage->met = more;
    usage->met_room = room;
  }
  uint64_t *slot = slot_of(usage->met, usage->met_room, key);
  if (*slot == key) return false;
  *slot = key;
  usage->met_count++;
  return true;
}

static void add_file(struct usage *usage, const struct stat *file) {
  if (!is_changed(file)) return;
  if (file->st_nlink != 1 && !S_ISDIR(file->st_mode) && !is_met_first(usage, file)) return;
  usage->bytes += (uint64_t)file->st_blocks * 512;
  usage->inodes += 1;
}

static void add_named(struct usage *usage, int parent, const char *name, int depth) {
  struct stat file;
  if (usage->is_unmeasured || fstatat(parent, name, &file, AT_SYMLINK_NOFOLLOW) != 0) return;
  add_file(usage, &file);
  if (!S_ISDIR(file.st_mode)) return;
  struct entries entries;
  errno = 0;
  if (depth > MAX_MEASURED_DEPTH || !open_entries(&entries, parent, name)) {
    /* Not where it is another user's, or is gone. */
    usage->is_unmeasured |= depth > MAX_MEASURED_DEPTH || errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    return;
  }
  for (struct dirent *entry; (entry = readdir(entries.names)) != NULL;)
    if (!is_dots(entry->d_name)) add_named(usage, dirfd(entries.names), entry->d_name, depth + 1);
  close_entries(&entries);
}

static DIR *open_names(int parent, const char *name) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *names = fd < 0 ? NULL : fdopendir(fd);
  if (names == NULL) close_fd(&fd);
  return names;
}

static void add_unnamed(struct usage *usage, DIR *descriptors) {
  for (struct dirent *entry; (entry = readdir(descriptors)) != NULL;) {
    struct stat file;
    if (is_dots(entry->d_name) || fstatat(dirfd(descriptors), entry->d_name, &file, 0) != 0) continue;
    if (!S_ISREG(file.st_mode) || file.st_nlink != 0) continue;
    int fd = openat(dirfd(descriptors), entry->d_name, O_PATH | O_CLOEXEC);
    if (is_disk(fd)) add_file(usage, &file);
    close_fd(&fd);
  }
}

/* By thread, because each may have descriptors of its own. A process that nobody but root may look into holds what can't be
 * counted, and is ended: the agent's are all open to it but those of programs that it may run and not read. */
static void add_held(struct usage *usage) {
  DIR *proc = open_names(AT_FDCWD, "/proc");
  for (struct dirent *process; proc != NULL && (process = readdir(proc)) != NULL;) {
    char path[40];
    pid_t pid = (pid_t)strtol(process->d_name, NULL, 10);
    if (pid <= 1) continue;
    stpcpy(put_number(path, (uint64_t)pid), "/task");
    DIR *threads = open_names(dirfd(proc), path);
    for (struct dirent *thread; threads != NULL && (thread = readdir(threads)) != NULL;) {
      if (is_dots(thread->d_name)) continue;
      stpcpy(put_number(path, strtoul(thread->d_name, NULL, 10)), "/fd");
      DIR *descriptors = open_names(dirfd(threads), path);
      if (descriptors != NULL) add_unnamed(usage, descriptors);
      else if (errno == EACCES && is_agent_for_long(pid)) kill(pid, SIGKILL);
      if (descriptors != NULL) closedir(descriptors);
    }
    if (threads != NULL) closedir(threads);
  }
  if (proc != NULL) closedir(proc);
}

void measure_usage(struct reader *body, struct buffer *reply) {
  struct usage usage = {0};
  raise_descriptor_limit();
  for (uint32_t count = get_u32(body); count > 0 && !body->bad; count--) {
    char *path = to_cstring(get_text(body));
    if (path != NULL) add_named(&usage, AT_FDCWD, path, 0);
    free(path);
  }
  add_held(&usage);
  put_u64(reply, usage.is_unmeasured ? UINT64_MAX : usage.bytes);
  put_u64(reply, usage.is_unmeasured ? UINT64_MAX : usage.inodes);
  free(usage.met);
}
