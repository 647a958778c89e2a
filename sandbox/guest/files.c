/* Files of the agent, read, written and listed with its rights. What was opened is asked where it is, so that no link that is
 * swapped meanwhile leads anywhere else. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

enum file_kind { FILE_REGULAR, FILE_MISSING, FILE_FOLDER, FILE_REFUSED };

static bool is_below(const char *path, const char *folder) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* A name by which what is open can be opened again, or asked where it is. */
static void put_link(char link[40], int fd) { put_number(stpcpy(link, "/proc/self/fd/"), (uint64_t)fd); }

/* Why what was opened by the name `asked` may not be used, or NULL. Its real path is left in `real`. */
static const char *out_of_reach(int fd, const char *asked, char real[PATH_MAX]) {
  static const char *const closed[] = {"/proc", "/sys", "/dev", "/.twinpatch", SOCKET_FOLDER};
  char link[40];
  put_link(link, fd);
  ssize_t length = readlink(link, real, PATH_MAX - 1);
  if (length <= 0) return "it can't be told where it is";
  real[length] = 0;
  if (is_below(asked, REPOSITORY) && !is_below(real, REPOSITORY)) return "it leads out of the repository";
  for (size_t i = 0; i < sizeof closed / sizeof *closed; i++)
    if (is_below(real, closed[i])) return "it is no file of the agent";
  return NULL;
}

static void put_refusal(struct buffer *reply, const char *reason) {
  put_u8(reply, FILE_REFUSED);
  put_u64(reply, 0);
  put_cstring(reply, reason);
}

static void put_failure(struct buffer *reply, int error) {
  if (error != ENOENT && error != ENOTDIR) return put_refusal(reply, strerror(error));
  put_u8(reply, FILE_MISSING);
  put_u64(reply, 0);
  put_u32(reply, 0);
}

/* u8 kind, u64 size, string contents or reason */
void read_file(struct reader *body, struct buffer *reply) {
  static char real[PATH_MAX], link[40];
  char *path = to_cstring(get_text(body));
  uint64_t offset = get_u64(body);
  uint32_t most = get_u32(body);
  if (path == NULL || path[0] != '/') return put_refusal(reply, "the path is not an absolute path");
  struct stat file;
  int found = open(path, O_PATH | O_CLOEXEC);
  if (found < 0 || fstat(found, &file) != 0) return put_failure(reply, errno);
  const char *reason = out_of_reach(found, path, real);
  if (reason != NULL) return put_refusal(reply, reason);
  if (S_ISDIR(file.st_mode)) {
    put_u8(reply, FILE_FOLDER);
    put_u64(reply, 0);
    return put_u32(reply, 0);
  }
  if (!S_ISREG(file.st_mode)) return put_refusal(reply, "not a regular file");
  put_link(link, found);
  int fd = open(link, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return put_refusal(reply, strerror(errno));
  uint8_t *bytes = malloc(most > 0 ? most : 1);
  size_t length = 0;
  for (ssize_t got = 1; bytes != NULL && length < most && got > 0; length += (size_t)got) {
    got = pread(fd, bytes + length, most - length, (off_t)(offset + length));
    if (got < 0) return put_refusal(reply, strerror(errno));
  }
  if (bytes == NULL) reply->failed = true;
  put_u8(reply, FILE_REGULAR);
  put_u64(reply, (uint64_t)file.st_size);
  put_text(reply, bytes, length);
}

/* The folder that a file is to be in, made where it is missing; the file's name is left in `name`. -1 with a reason. */
static int open_target_folder(char *path, char **name, const char *asked, const char **reason) {
  static char real[PATH_MAX];
  int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  char *at = path + 1;
  for (char *slash; (slash = strchr(at, '/')) != NULL; at = slash + 1) {
    if (slash == at) continue;
    *slash = 0;
    int next = openat(fd, at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (next < 0 && errno == ENOENT) {
      *reason = out_of_reach(fd, asked, real);
      if (*reason == NULL && mkdirat(fd, at, 0755) != 0 && errno != EEXIST) *reason = strerror(errno);
      if (*reason == NULL) next = openat(fd, at, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (next < 0 && *reason == NULL) *reason = strerror(errno);
    close(fd);
    if (*reason != NULL) return -1;
    fd = next;
  }
  *name = at;
  *reason = out_of_reach(fd, asked, real);
  if (*reason == NULL) return fd;
  close(fd);
  return -1;
}

static const char *replace_file(int folder, const char *name, mode_t mode, struct text bytes) {
  char temporary[48];
  /* One name for each target, so that a repeated request clears what a killed one left. */
  put_number(stpcpy(temporary, ".twinpatch-"), hash_bytes(name, strlen(name)));
  unlinkat(folder, temporary, 0);
  int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return strerror(errno);
  int error = 0;
  for (size_t done = 0; error == 0 && done < bytes.length;) {
    ssize_t wrote = write(fd, bytes.bytes + done, bytes.length - done);
    if (wrote > 0) done += (size_t)wrote;
    else if (errno != EINTR) error = errno;
  }
  if (error == 0 && fchmod(fd, mode) != 0) error = errno;
  if (close(fd) != 0 && error == 0) error = errno;
  if (error == 0 && renameat(folder, temporary, folder, name) != 0) error = errno;
  if (error == 0) return NULL;
  unlinkat(folder, temporary, 0);
  return strerror(error);
}

static const char *write_bytes(char *asked, struct text bytes) {
  static char real[PATH_MAX];
  struct stat file;
  mode_t mode = 0644;
  const char *target = asked, *reason = NULL;
  if (asked[strlen(asked) - 1] == '/') return strerror(EISDIR);
  int found = open(asked, O_PATH | O_CLOEXEC);
  if (found >= 0) {
    if ((reason = out_of_reach(found, asked, real)) != NULL) return reason;
    if (fstat(found, &file) != 0) return strerror(errno);
    if (S_ISDIR(file.st_mode)) return strerror(EISDIR);
    if (!S_ISREG(file.st_mode)) return "Not a regular file";
    if (faccessat(AT_FDCWD, real, W_OK, AT_EACCESS) != 0) return strerror(errno);
    mode = file.st_mode & 07777;
    target = real;
  } else if (lstat(asked, &file) == 0 && S_ISLNK(file.st_mode)) {
    return "it is a link that leads nowhere";
  }
  char *path = strdup(target), *name;
  if (path == NULL) return strerror(ENOMEM);
  int folder = open_target_folder(path, &name, asked, &reason);
  if (folder < 0) return reason;
  /* A link that is put in its place meanwhile is replaced, not followed. */
  return replace_file(folder, name, mode, bytes);
}

/* u8 written, string reason */
void write_file(struct reader *body, struct buffer *reply) {
  char *path = to_cstring(get_text(body));
  struct text bytes = get_text(body);
  const char *reason = path == NULL || path[0] != '/' || body->bad ? "the path is not an absolute path" : write_bytes(path, bytes);
  put_u8(reply, reason == NULL);
  put_cstring(reply, reason == NULL ? "" : reason);
}

struct listing {
  struct buffer *reply;
  uint32_t most;
  char path[PATH_MAX];
};

static void list_below(struct listing *listing, int fd, size_t length, uint32_t depth) {
  DIR *entries = fdopendir(fd);
  if (entries == NULL) {
    close(fd);
    return;
  }
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    struct stat file;
    size_t name = strlen(entry->d_name);
    if (entry->d_name[0] == '.' || length + name + 2 > sizeof listing->path) continue;
    if (fstatat(dirfd(entries), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) != 0) continue;
    memcpy(listing->path + length, entry->d_name, name + 1);
    if (listing->reply->length + name + length > listing->most) break;
    put_u8(listing->reply, S_ISREG(file.st_mode) ? 'f' : S_ISDIR(file.st_mode) ? 'd' : S_ISLNK(file.st_mode) ? 'l' : 'o');
    put_u64(listing->reply, (uint64_t)file.st_size);
    put_text(listing->reply, listing->path, length + name);
    if (!S_ISDIR(file.st_mode) || depth <= 1) continue;
    int below = openat(dirfd(entries), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0) continue;
    listing->path[length + name] = '/';
    list_below(listing, below, length + name + 1, depth - 1);
  }
  closedir(entries);
}

/* u8 is a folder, then for each entry: u8 kind, u64 size, string path */
void list_folder(struct reader *body, struct buffer *reply) {
  static char real[PATH_MAX];
  char *path = to_cstring(get_text(body));
  uint32_t depth = get_u32(body), most = get_u32(body);
  int fd = path == NULL || path[0] != '/' ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool is_folder = fd >= 0 && out_of_reach(fd, path, real) == NULL;
  put_u8(reply, is_folder);
  if (!is_folder) return;
  static struct listing listing;
  listing.reply = reply;
  listing.most = most;
  list_below(&listing, fd, 0, depth > 64 ? 64 : depth);
}
