/* What a sandbox's owner changed below the repository, and its contents. More than changed may be told, never less. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

struct walk {
  struct buffer *reply;
  char *path;
  size_t length, room;
};

static bool enter(struct walk *walk, const char *name) {
  size_t length = strlen(name);
  while (walk->length + length + 2 > walk->room) {
    char *more = realloc(walk->path, walk->room * 2 + 256);
    if (more == NULL) return false;
    walk->path = more;
    walk->room = walk->room * 2 + 256;
  }
  if (walk->length > 0) walk->path[walk->length++] = '/';
  memcpy(walk->path + walk->length, name, length);
  walk->length += length;
  return true;
}

static uint8_t kind_of(mode_t mode) { return S_ISREG(mode) ? 'f' : S_ISLNK(mode) ? 'l' : S_ISDIR(mode) ? 'd' : 'o'; }

/* A record: u8 kind, u8 changed, u64 size, string path. A folder that changed is told as 'D', and then each of its entries, so
 * that those that are gone can be told; of other folders only the entries that changed. */
static void put_record(struct walk *walk, uint8_t kind, bool changed, uint64_t size) {
  put_u8(walk->reply, kind);
  put_u8(walk->reply, changed);
  put_u64(walk->reply, size);
  put_text(walk->reply, walk->path, walk->length);
}

static void changes_below(struct walk *walk, int parent, const char *name, uint64_t hash, bool is_new, int depth) {
  if (depth > MAX_DEPTH) {
    walk->reply->failed = true;
    return;
  }
  struct entries entries;
  if (!open_entries(&entries, parent, name)) end_unreadable();
  int fd = dirfd(entries.names);
  /* A folder that was moved here brings its entries along, whose own change times are old. */
  bool is_moved = is_new || !is_remembered(hash, entries.folder.st_ino);
  bool is_told = is_moved || is_changed(&entries.folder);
  if (is_told) put_record(walk, 'D', true, 0);
  for (struct dirent *entry; !walk->reply->failed && (entry = readdir(entries.names)) != NULL;) {
    struct stat file;
    if (is_dots(entry->d_name) || strcmp(entry->d_name, ".git") == 0) continue;
    if (fstatat(fd, entry->d_name, &file, AT_SYMLINK_NOFOLLOW) != 0) end_unreadable();
    size_t length = walk->length;
    if (!enter(walk, entry->d_name)) walk->reply->failed = true;
    bool changed = is_moved || is_changed(&file);
    if (is_told || (changed && !S_ISDIR(file.st_mode))) put_record(walk, kind_of(file.st_mode), changed, (uint64_t)file.st_size);
    if (S_ISDIR(file.st_mode)) changes_below(walk, fd, entry->d_name, hash_path(hash, entry->d_name), is_moved, depth + 1);
    walk->length = length;
  }
  close_entries(&entries);
}

void list_changes(struct reader *body, struct buffer *reply) {
  (void)body;
  raise_descriptor_limit();
  struct walk walk = {.reply = reply};
  changes_below(&walk, AT_FDCWD, REPOSITORY, hash_whole_path(REPOSITORY), false, 0);
}

struct fetch {
  struct buffer *reply;
  uint64_t most; /* bytes of files that may still be put */
};

static void fetch_entry(struct fetch *fetch, int parent, const char *name) {
  struct buffer *reply = fetch->reply;
  struct stat file = {0};
  uint8_t kind = fstatat(parent, name, &file, AT_SYMLINK_NOFOLLOW) == 0 ? kind_of(file.st_mode) : '-';
  int fd = kind == 'f' ? open_closed(parent, name, O_RDONLY | O_NONBLOCK, 0400) : -1;
  if (kind == 'f' && fd < 0) kind = '-';
  put_u8(reply, kind);
  put_u8(reply, (file.st_mode & S_IXUSR) != 0);
  if (kind == 'f') {
    if ((uint64_t)file.st_size > fetch->most || !put_contents(reply, fd, fetch->most)) reply->failed = true;
    else fetch->most -= (uint64_t)file.st_size;
    close(fd);
  } else if (kind == 'l') {
    static char link[PATH_MAX];
    ssize_t got = readlinkat(parent, name, link, sizeof link);
    put_text(reply, link, got < 0 ? 0 : (size_t)got);
  } else {
    put_u32(reply, 0);
  }
}

/* Fetches a path from an open folder on, with the folders on its way open as they are for listing, and no link followed. */
static void fetch_below(struct fetch *fetch, int parent, char *path) {
  struct entries folder;
  char *slash = strchr(path, '/');
  if (slash == NULL) return fetch_entry(fetch, parent, path);
  *slash = 0;
  bool is_open = open_entries(&folder, parent, path);
  fetch_below(fetch, is_open ? dirfd(folder.names) : -1, slash + 1);
  if (is_open) close_entries(&folder);
}

/* For each path: u8 kind ('-': not there, or not to be read), u8 executable, string contents or link text. */
void fetch_files(struct reader *body, struct buffer *reply) {
  struct fetch fetch = {.reply = reply, .most = get_u64(body)};
  struct entries repository;
  raise_descriptor_limit();
  if (!open_entries(&repository, AT_FDCWD, REPOSITORY)) end_unreadable();
  for (uint32_t count = get_u32(body); count > 0 && !body->bad && !reply->failed; count--) {
    char *path = to_cstring(get_text(body));
    if (path == NULL) body->bad = true;
    else fetch_below(&fetch, dirfd(repository.names), path);
    free(path);
  }
  close_entries(&repository);
}
