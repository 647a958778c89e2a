#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

extern char **environ;

/* As `pwd` would say it: the name that was taken to get there, while it is still that folder. */
static const char *working_directory(char *room, size_t size) {
  const char *named = getenv("PWD");
  bool is_absolute = named != NULL && named[0] == '/';
  struct stat here, there;
  if (is_absolute && stat(named, &there) == 0 && stat(".", &here) == 0 && here.st_ino == there.st_ino &&
      here.st_dev == there.st_dev)
    return named;
  if (getcwd(room, size) != NULL && room[0] == '/') return room;
  return is_absolute ? named : "/";
}

int save_state(int code) {
  static char room[4096];
  struct buffer state = {0};
  const char *folder = working_directory(room, sizeof room);
  put_bytes(&state, "state", 6);
  put_bytes(&state, folder, strlen(folder) + 1);
  for (char **entry = environ; *entry != NULL; entry++) put_bytes(&state, *entry, strlen(*entry) + 1);
  put_bytes(&state, "end", 4);
  if (!state.failed && state.length <= MAX_STATE_BYTES && ftruncate(STATE_FD, 0) == 0 &&
      pwrite(STATE_FD, state.bytes, state.length, 0) != (ssize_t)state.length)
    (void)!ftruncate(STATE_FD, 0);
  return code;
}
