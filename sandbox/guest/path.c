/* Where a path of the agent leads, followed name by name: what was in the repository stays in it, and nothing leads to what is
 * the kernel's or ours, by whatever other name it is asked for. Each folder is asked where it is once it is open, so that what is
 * swapped meanwhile is found where it is, not where it was. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

/* As the kernel follows. */
#define MAX_LINKS 40

struct walk {
  struct found *found;
  struct stat repository;
  bool was_inside, is_inside;
  unsigned links;
  char *at, *link_end; /* in `rest`; what begins before `link_end` is the text of a link */
  char rest[2 * PATH_MAX];
};

static bool is_below(const char *path, const char *folder) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

void put_link(char link[40], int fd) { put_number(stpcpy(link, "/proc/self/fd/"), (uint64_t)fd); }

/* Why what is open is nobody's to be used, or NULL. Its real path is left in `real`. */
static const char *why_closed(int fd, char real[PATH_MAX]) {
  char link[40];
  put_link(link, fd);
  ssize_t length = readlink(link, real, PATH_MAX - 1);
  if (length <= 0) return "it can't be told where it is";
  real[length] = 0;
  return !is_disk(fd) || is_below(real, GUEST_FOLDER) ? "it is no file of the agent" : NULL;
}

bool is_closed(int fd) {
  static char real[PATH_MAX];
  return why_closed(fd, real) != NULL;
}

static bool refuse(struct walk *walk, const char *reason) {
  walk->found->reason = reason;
  walk->found->error = 0;
  return false;
}

static bool fail(struct walk *walk, int error) {
  walk->found->reason = strerror(error);
  walk->found->error = error;
  return false;
}

/* Tells whether what is open is in the repository; false with a reason where it may not be used. */
static bool look_at(struct walk *walk, int fd) {
  static char real[PATH_MAX];
  const char *reason = why_closed(fd, real);
  if (reason != NULL) return refuse(walk, reason);
  walk->is_inside = is_below(real, REPOSITORY);
  return true;
}

static bool is_repository(const struct walk *walk, const struct stat *folder) {
  return folder->st_ino == walk->repository.st_ino && folder->st_dev == walk->repository.st_dev;
}

/* Goes on from a folder, which it takes. */
static bool enter(struct walk *walk, int folder) {
  struct stat about;
  close_fd(&walk->found->folder);
  walk->found->folder = folder;
  if (!look_at(walk, folder)) return false;
  if (fstat(folder, &about) != 0) return fail(walk, errno);
  /* Also by another name of it. */
  walk->was_inside |= walk->is_inside || is_repository(walk, &about);
  return true;
}

/* Goes on with the text of a link, and then with what was left. */
static bool follow(struct walk *walk, int link) {
  static char text[PATH_MAX];
  ssize_t got = readlinkat(link, "", text, sizeof text);
  size_t length = got < 0 ? 0 : (size_t)got, left = strlen(walk->at);
  if (length == 0) return fail(walk, ENOENT);
  if (++walk->links > MAX_LINKS) return fail(walk, ELOOP);
  if (length >= sizeof text || length + left >= sizeof walk->rest) return fail(walk, ENAMETOOLONG);
  size_t of_links = walk->link_end > walk->at ? (size_t)(walk->link_end - walk->at) : 0;
  memmove(walk->rest + length, walk->at, left + 1);
  memcpy(walk->rest, text, length);
  walk->at = walk->rest;
  walk->link_end = walk->rest + length + of_links;
  return text[0] != '/' || enter(walk, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static bool has_left(const struct walk *walk) { return walk->was_inside && !walk->is_inside; }

/* Opens what has a name in the folder; a folder that is to be there is made where nothing is. */
static int open_name(const struct walk *walk, const char *name, bool make_folder) {
  int fd = openat(walk->found->folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0 || errno != ENOENT || !make_folder || has_left(walk)) return fd;
  if (mkdirat(walk->found->folder, name, 0755) != 0 && errno != EEXIST) return -1;
  return openat(walk->found->folder, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
}

/* Takes the next name of the path; false when there is none. */
static bool next_name(struct walk *walk, char name[NAME_MAX + 2], bool *is_of_link) {
  walk->at += strspn(walk->at, "/");
  size_t length = strcspn(walk->at, "/");
  *is_of_link = walk->at < walk->link_end;
  memcpy(name, walk->at, length > NAME_MAX ? NAME_MAX + 1 : length);
  name[length > NAME_MAX ? NAME_MAX + 1 : length] = 0;
  walk->at += length;
  return length > 0;
}

/* To the end of the path; false with a reason where it can't be followed. */
static bool walk_on(struct walk *walk, bool make_folders) {
  struct found *found = walk->found;
  struct stat about = {0};
  bool is_of_link;
  while (next_name(walk, found->name, &is_of_link)) {
    if (strlen(found->name) > NAME_MAX) return fail(walk, ENAMETOOLONG);
    if (strcmp(found->name, ".") == 0) continue;
    bool is_last = *walk->at == 0 && strcmp(found->name, "..") != 0;
    int fd = open_name(walk, found->name, make_folders && !is_last && !is_of_link);
    if (fd < 0) {
      found->is_dangling = is_of_link;
      return is_last && errno == ENOENT ? true : fail(walk, errno);
    }
    if (fstat(fd, &about) == 0 && S_ISLNK(about.st_mode)) {
      bool done = follow(walk, fd);
      close(fd);
      if (!done) return false;
    } else if (is_last) {
      found->file = fd;
      return look_at(walk, fd);
    } else if (!S_ISDIR(about.st_mode)) {
      close(fd);
      return fail(walk, ENOTDIR);
    } else if (!enter(walk, fd)) {
      return false;
    }
  }
  /* It ends with a folder itself. */
  found->name[0] = 0;
  found->file = fcntl(found->folder, F_DUPFD_CLOEXEC, 3);
  return found->file >= 0 || fail(walk, errno);
}

void close_path(struct found *found) {
  close_fd(&found->file);
  close_fd(&found->folder);
}

void find_path(struct found *found, const char *asked, bool make_folders) {
  static struct walk walk;
  *found = (struct found){.folder = -1, .file = -1};
  memset(&walk, 0, sizeof walk);
  walk.found = found;
  walk.at = walk.link_end = walk.rest;
  if (asked == NULL || asked[0] != '/') {
    refuse(&walk, "the path is not an absolute path");
  } else if (strlen(asked) >= PATH_MAX) {
    fail(&walk, ENAMETOOLONG);
  } else if (fstatat(AT_FDCWD, REPOSITORY, &walk.repository, AT_SYMLINK_NOFOLLOW) != 0) {
    fail(&walk, errno);
  } else {
    strcpy(walk.rest, asked);
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) fail(&walk, errno);
    else if (enter(&walk, root)) walk_on(&walk, make_folders);
    if (has_left(&walk)) refuse(&walk, "it leads out of the repository");
  }
  if (found->reason != NULL) close_path(found);
}
