/* What the agent made of its files: everything that may have changed since the sandbox began, from which another sandbox of the
 * image can go on. A tree is records, each a u8 kind and a string path, u32 mode, u64 and u32 seconds and nanoseconds of its time:
 *
 *   'D'  u32 n, n strings: a folder, and the names of all that is in it
 *   'f'  string contents
 *   'l'  string text of a symbolic link
 *
 * Devices, pipes and sockets are not in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

struct saving {
  struct buffer *to;
  uint64_t most;
  char path[PATH_MAX];
};

static void put_head(struct saving *tree, uint8_t kind, const struct stat *file) {
  put_u8(tree->to, kind);
  put_cstring(tree->to, tree->path);
  put_u32(tree->to, file->st_mode & 07777);
  put_u64(tree->to, (uint64_t)file->st_mtim.tv_sec);
  put_u32(tree->to, (uint32_t)file->st_mtim.tv_nsec);
}

static void put_names(struct saving *tree, DIR *names) {
  size_t count_at = tree->to->length;
  uint32_t count = 0;
  put_u32(tree->to, 0);
  for (struct dirent *entry; (entry = readdir(names)) != NULL;) {
    if (is_dots(entry->d_name)) continue;
    put_cstring(tree->to, entry->d_name);
    count++;
  }
  rewinddir(names);
  for (size_t i = 0; i < 4 && !tree->to->failed; i++) tree->to->bytes[count_at + i] = (uint8_t)(count >> (8 * i));
}

static void save_file(struct saving *tree, int parent, const char *name, const struct stat *file) {
  if (S_ISREG(file->st_mode)) {
    int fd = open_closed(parent, name, O_RDONLY | O_NONBLOCK, 0400);
    if (fd < 0) return; /* another user's, which the agent can't have changed */
    put_head(tree, 'f', file);
    uint64_t left = tree->to->length < tree->most ? tree->most - tree->to->length : 0;
    if ((uint64_t)file->st_size > left || !put_contents(tree->to, fd, left)) tree->to->failed = true;
    close(fd);
  } else if (S_ISLNK(file->st_mode)) {
    static char text[PATH_MAX];
    ssize_t got = readlinkat(parent, name, text, sizeof text);
    put_head(tree, 'l', file);
    put_text(tree->to, text, got < 0 ? 0 : (size_t)got);
  }
}

/* Saves what has the path in `tree`, whose last name is `name`. */
static void save_below(struct saving *tree, int parent, const char *name, size_t length, uint64_t hash, bool is_new, int depth) {
  struct stat file;
  struct entries entries;
  if (fstatat(parent, name, &file, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (!S_ISDIR(file.st_mode)) {
    if (is_new || is_changed(&file)) save_file(tree, parent, name, &file);
    return;
  }
  if (!open_entries(&entries, parent, name)) return;
  /* A folder that was moved here brings its entries along, whose own change times are old. */
  bool is_moved = is_new || (is_watched(tree->path) ? !is_remembered(hash, file.st_ino) : is_changed(&file));
  if (is_moved || is_changed(&file)) {
    put_head(tree, 'D', &file);
    put_names(tree, entries.names);
  }
  if (depth > MAX_DEPTH) tree->to->failed = true;
  for (struct dirent *entry; !tree->to->failed && (entry = readdir(entries.names)) != NULL;) {
    size_t added = strlen(entry->d_name);
    if (is_dots(entry->d_name)) continue;
    if (length + added + 2 > sizeof tree->path || tree->to->length > tree->most) {
      tree->to->failed = true;
      break;
    }
    tree->path[length] = '/';
    memcpy(tree->path + length + 1, entry->d_name, added + 1);
    save_below(tree, dirfd(entries.names), entry->d_name, length + 1 + added, hash_path(hash, entry->d_name), is_moved, depth + 1);
    tree->path[length] = 0;
  }
  close_entries(&entries);
}

/* u64 bytes at most, u32 n, n strings: absolute paths of where the agent can write -> a tree */
void save_tree(struct reader *body, struct buffer *reply) {
  static struct saving tree;
  tree.to = reply;
  tree.most = get_u64(body);
  raise_descriptor_limit();
  for (uint32_t count = get_u32(body); count > 0 && !body->bad && !reply->failed; count--) {
    char *path = to_cstring(get_text(body));
    size_t length = path == NULL ? 0 : strlen(path);
    if (length > 1 && length < sizeof tree.path) {
      memcpy(tree.path, path, length + 1);
      save_below(&tree, AT_FDCWD, path, length, hash_whole_path(path), false, 0);
    }
    free(path);
  }
}

struct record {
  uint8_t kind;
  char *path, *name; /* to be freed; the last name in it */
  int parent;
  mode_t mode;
  struct timespec times[2];
};

static bool remove_all(int parent, const char *name, int depth) {
  struct entries entries;
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return true;
  if (depth > MAX_DEPTH || !open_entries(&entries, parent, name)) return false;
  bool done = true;
  for (struct dirent *entry; (entry = readdir(entries.names)) != NULL;)
    if (!is_dots(entry->d_name)) done &= remove_all(dirfd(entries.names), entry->d_name, depth + 1);
  closedir(entries.names);
  return done && unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

/* Reads what all records begin with, and opens the folder that its path is in. */
static struct record open_record(struct reader *body) {
  struct record record = {.kind = get_u8(body), .parent = -1};
  record.path = to_cstring(get_text(body));
  record.mode = get_u32(body) & 07777;
  record.times[0].tv_nsec = UTIME_OMIT;
  record.times[1].tv_sec = (time_t)get_u64(body);
  record.times[1].tv_nsec = get_u32(body);
  if (record.path == NULL || record.path[0] != '/' || record.times[1].tv_nsec > 999999999) body->bad = true;
  if (body->bad) return record;
  record.parent = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  record.name = record.path + 1;
  for (char *slash; record.parent >= 0 && (slash = strchr(record.name, '/')) != NULL; record.name = slash + 1) {
    *slash = 0;
    int next = openat(record.parent, record.name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    close(record.parent);
    record.parent = next;
  }
  if (*record.name == 0 || is_dots(record.name)) body->bad = true;
  return record;
}

static void close_record(struct record *record) {
  close_fd(&record->parent);
  free(record->path);
}

static int compare_names(const void *one, const void *other) {
  const struct text *a = one, *b = other;
  if (a->length != b->length) return a->length < b->length ? -1 : 1;
  return memcmp(a->bytes, b->bytes, a->length);
}

/* Makes the folder, which then holds nothing but what the record names. */
static bool restore_folder(struct record *record, struct reader *body) {
  struct stat file;
  struct entries entries;
  uint32_t count = get_u32(body);
  struct text *names = body->bad || count > body->left / 4 ? NULL : calloc(count + 1u, sizeof *names);
  if (names == NULL) {
    body->bad = true;
    return false;
  }
  for (uint32_t i = 0; i < count; i++) names[i] = get_text(body);
  qsort(names, count, sizeof *names, compare_names);
  bool is_there = fstatat(record->parent, record->name, &file, AT_SYMLINK_NOFOLLOW) == 0;
  if (is_there && !S_ISDIR(file.st_mode)) is_there = !remove_all(record->parent, record->name, 0);
  if (!is_there) mkdirat(record->parent, record->name, 0700);
  /* What is in it may be written from now on; its own mode comes last. */
  if (is_there && file.st_uid == agent.uid) fchmodat(record->parent, record->name, (file.st_mode | 0700) & 07777, 0);
  bool done = open_entries(&entries, record->parent, record->name);
  for (struct dirent *entry = NULL; done && (entry = readdir(entries.names)) != NULL;) {
    struct text name = {(const uint8_t *)entry->d_name, strlen(entry->d_name)};
    if (is_dots(entry->d_name) || bsearch(&name, names, count, sizeof *names, compare_names) != NULL) continue;
    /* What the agent may not remove is no doing of its own. */
    if (!remove_all(dirfd(entries.names), entry->d_name, 0) && errno != EPERM && errno != EACCES) break;
  }
  if (done) closedir(entries.names);
  free(names);
  return done;
}

static bool restore_file(struct record *record, struct text contents) {
  int fd = openat(record->parent, record->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  bool done = true;
  for (size_t wrote = 0; done && wrote < contents.length;) {
    ssize_t now = write(fd, contents.bytes + wrote, contents.length - wrote);
    if (now > 0) wrote += (size_t)now;
    else done = errno == EINTR;
  }
  done = done && fchmod(fd, record->mode) == 0 && futimens(fd, record->times) == 0;
  return close(fd) == 0 && done;
}

static bool restore_link(struct record *record, struct text contents) {
  char *text = to_cstring(contents);
  bool done = text != NULL && symlinkat(text, record->parent, record->name) == 0;
  if (done) utimensat(record->parent, record->name, record->times, AT_SYMLINK_NOFOLLOW);
  free(text);
  return done;
}

static bool restore_record(struct reader *body) {
  struct record record = open_record(body);
  bool done = false;
  if (!body->bad && record.kind == 'D') {
    done = restore_folder(&record, body);
  } else if (!body->bad && (record.kind == 'f' || record.kind == 'l')) {
    struct text contents = get_text(body);
    done = !body->bad && remove_all(record.parent, record.name, 0) &&
           (record.kind == 'f' ? restore_file(&record, contents) : restore_link(&record, contents));
  } else {
    body->bad = true;
  }
  close_record(&record);
  return done;
}

/* Gives a folder the mode and time that it was saved with, where it is the agent's. */
static void finish_folder(struct reader at) {
  struct record record = open_record(&at);
  struct stat file;
  if (fstatat(record.parent, record.name, &file, AT_SYMLINK_NOFOLLOW) == 0 && file.st_uid == agent.uid) {
    utimensat(record.parent, record.name, record.times, AT_SYMLINK_NOFOLLOW);
    fchmodat(record.parent, record.name, record.mode, 0);
  }
  close_record(&record);
}

/* string a tree -> u8 restored, string why not */
void restore_tree(struct reader *body, struct buffer *reply) {
  struct text whole = get_text(body);
  struct reader tree = {whole.bytes, whole.length, false}, *folders = NULL;
  size_t count = 0, room = 0;
  bool done = true;
  raise_descriptor_limit();
  while (done && tree.left > 0) {
    if (count == room) {
      room = room * 2 + 64;
      struct reader *more = realloc(folders, room * sizeof *folders);
      if (more == NULL) break;
      folders = more;
    }
    folders[count] = tree;
    count += tree.at[0] == 'D';
    done = restore_record(&tree) && !tree.bad;
  }
  done = done && tree.left == 0;
  const char *reason = done ? "" : tree.bad ? "not a tree" : strerror(errno);
  /* The deepest first: a folder may be closed to what is in it. */
  while (done && count > 0) finish_folder(folders[--count]);
  free(folders);
  put_u8(reply, done);
  put_cstring(reply, reason);
}
