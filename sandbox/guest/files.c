/* Files of the agent, read, written and listed with its rights. */
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

static void put_refusal(struct buffer *reply, const char *reason) {
  put_u8(reply, FILE_REFUSED);
  put_u64(reply, 0);
  put_cstring(reply, reason);
}

/* u8 kind, u64 size, string contents or reason */
void read_file(struct reader *body, struct buffer *reply) {
  static char link[40];
  struct found found;
  struct stat file = {0};
  find_path(&found, to_cstring(get_text(body)), false);
  uint64_t offset = get_u64(body);
  uint32_t most = get_u32(body);
  bool is_missing = found.reason == NULL ? found.file < 0 : found.error == ENOENT || found.error == ENOTDIR;
  if (found.reason != NULL && !is_missing) return put_refusal(reply, found.reason);
  if (!is_missing && fstat(found.file, &file) != 0) return put_refusal(reply, strerror(errno));
  if (is_missing || S_ISDIR(file.st_mode)) {
    put_u8(reply, is_missing ? FILE_MISSING : FILE_FOLDER);
    put_u64(reply, 0);
    put_u32(reply, 0);
    return close_path(&found);
  }
  if (!S_ISREG(file.st_mode)) return put_refusal(reply, "not a regular file");
  put_link(link, found.file);
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

/* Told from all other reasons by its place: others fill that disk too, and it says nothing about who wanted to write. */
static const char no_room[] = "no room on the engine's disk";

static const char *replace_file(int folder, const char *name, mode_t mode, struct text bytes) {
  char temporary[48];
  /* One name for each target, so that a repeated request clears what a killed one left. */
  put_number(stpcpy(temporary, ".twinpatch-"), hash_bytes(name, strlen(name)));
  unlinkat(folder, temporary, 0);
  int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return errno == ENOSPC && is_disk(folder) ? no_room : strerror(errno);
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
  return error == ENOSPC && is_disk(folder) ? no_room : strerror(error);
}

static const char *write_bytes(const char *asked, struct text bytes) {
  struct found found;
  struct stat file;
  char link[40];
  mode_t mode = 0644;
  find_path(&found, asked, true);
  if (found.reason != NULL) return found.reason;
  if (found.name[0] == 0) return strerror(EISDIR);
  if (found.is_dangling) return "it is a link that leads nowhere";
  if (found.file >= 0) {
    put_link(link, found.file);
    if (fstat(found.file, &file) != 0) return strerror(errno);
    if (S_ISDIR(file.st_mode)) return strerror(EISDIR);
    if (!S_ISREG(file.st_mode)) return "Not a regular file";
    if (faccessat(AT_FDCWD, link, W_OK, AT_EACCESS) != 0) return strerror(errno);
    mode = file.st_mode & 07777;
  }
  /* A link that is put in its place meanwhile is replaced, not followed. */
  const char *reason = replace_file(found.folder, found.name, mode, bytes);
  close_path(&found);
  return reason;
}

enum write_end { WRITE_REFUSED, WRITE_DONE, WRITE_NO_ROOM };

/* u8 end, string reason */
void write_file(struct reader *body, struct buffer *reply) {
  char *path = to_cstring(get_text(body));
  struct text bytes = get_text(body);
  const char *reason = body->bad ? "not what a request holds" : write_bytes(path, bytes);
  put_u8(reply, reason == NULL ? WRITE_DONE : reason == no_room ? WRITE_NO_ROOM : WRITE_REFUSED);
  put_cstring(reply, reason == NULL ? "" : reason);
}

struct listing {
  struct buffer *reply;
  uint32_t most;
  char path[PATH_MAX];
};

static void list_below(struct listing *listing, int fd, dev_t device, size_t length, uint32_t depth) {
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
    /* What is closed is on a disk of its own. */
    if (file.st_dev != device && is_closed(below)) {
      close(below);
      continue;
    }
    listing->path[length + name] = '/';
    list_below(listing, below, file.st_dev, length + name + 1, depth - 1);
  }
  closedir(entries);
}

/* u8 is a folder, then for each entry: u8 kind, u64 size, string path */
void list_folder(struct reader *body, struct buffer *reply) {
  static char link[40];
  static struct listing listing;
  struct found found;
  struct stat folder = {0};
  find_path(&found, to_cstring(get_text(body)), false);
  uint32_t depth = get_u32(body), most = get_u32(body);
  put_link(link, found.file);
  int fd = found.file < 0 ? -1 : open(link, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool is_folder = fd >= 0 && fstat(fd, &folder) == 0;
  put_u8(reply, is_folder);
  close_path(&found);
  if (!is_folder) return;
  listing.reply = reply;
  listing.most = most;
  list_below(&listing, fd, folder.st_dev, 0, depth > 64 ? 64 : depth);
}
