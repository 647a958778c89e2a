#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest.h"

static bool write_all(int fd, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t wrote = write(fd, bytes, length);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    bytes += wrote;
    length -= (size_t)wrote;
  }
  return true;
}

static bool copy(int from, int to) {
  static uint8_t bytes[64 * 1024];
  ssize_t got = read(from, bytes, sizeof bytes);
  if (got < 0 && errno == EINTR) return true;
  return got > 0 && write_all(to, bytes, (size_t)got);
}

int relay(void) {
  int guest = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_PATH};
  if (guest < 0 || connect(guest, (struct sockaddr *)&address, sizeof address) < 0) {
    return complain("guestd relay: ", strerror(errno));
  }
  for (;;) {
    struct pollfd ends[2] = {{.fd = 0, .events = POLLIN}, {.fd = guest, .events = POLLIN}};
    if (poll(ends, 2, -1) < 0 && errno != EINTR) return 1;
    if (ends[1].revents != 0 && !copy(guest, 1)) return 0;
    if (ends[0].revents != 0 && !copy(0, guest)) return 0;
  }
}
