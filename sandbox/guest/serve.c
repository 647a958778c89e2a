/* The first process: waits, hears one owner at a time, and reaps. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define MAX_POLLED (2 + 2 * MAX_VISITORS + MAX_COMMANDS + MAX_JOBS)
/* However far away the next moment is. */
#define LONGEST_WAIT_US 60000000

/* Whoever is connected: the owner, or one that has not said hello yet. By a relay's socket, which is read and written; the one who
 * started the container has its stdin and stdout instead, and needs no relay. */
struct visitor {
  int fd, sink;
  uint64_t since_us;
  struct buffer in, out;
  size_t sent; /* of `out` */
};

static struct visitor visitors[MAX_VISITORS];
static struct visitor *owner;
static uint64_t newest_epoch;
static bool ended;
static uint64_t lease_us, alone_since_us;
static int child_pipe[2];

static void on_child(int signal) {
  (void)signal;
  int saved = errno;
  (void)!write(child_pipe[1], "", 1);
  errno = saved;
}

void reap_children(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    shell_reaped(pid, status);
    job_reaped(pid, status);
  }
}

static void close_visitor(struct visitor *gone) {
  if (gone->fd < 0) return;
  /* A job's child may still hold it. */
  shutdown(gone->fd, SHUT_RDWR);
  close(gone->fd);
  if (gone->sink != gone->fd) close(gone->sink);
  free_buffer(&gone->in);
  free_buffer(&gone->out);
  *gone = (struct visitor){.fd = -1};
  if (gone != owner) return;
  owner = NULL;
  alone_since_us = now_us();
  forget_waiters();
  forget_jobs();
}

static void flush_visitor(struct visitor *to) {
  while (to->sent < to->out.length) {
    ssize_t wrote = write(to->sink, to->out.bytes + to->sent, to->out.length - to->sent);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno == EAGAIN) break;
    if (wrote <= 0) return close_visitor(to);
    to->sent += (size_t)wrote;
  }
  /* Not each time: what is left would be moved again and again. */
  if (to->sent < to->out.length / 2) return;
  drop_front(&to->out, to->sent);
  to->sent = 0;
}

static void send_to(struct visitor *to, uint8_t type, uint32_t tag, const struct buffer *body) {
  if (to == NULL || to->fd < 0) return;
  put_frame(&to->out, type, tag, body->bytes, body->length);
  /* It does not read, or memory ran out: it may come again and ask again. */
  if (to->out.failed || body->failed) close_visitor(to);
  else flush_visitor(to);
}

static void refuse(struct visitor *to, uint32_t tag, enum error_code code, const char *reason) {
  struct buffer body = {0};
  put_u32(&body, code);
  put_cstring(&body, reason);
  send_to(to, REPLY_ERROR, tag, &body);
  free_buffer(&body);
}

void send_error(uint32_t tag, enum error_code code, const char *reason) { refuse(owner, tag, code, reason); }

void send_frame(uint8_t type, uint32_t tag, const struct buffer *body) {
  if (body->length > MAX_BODY_BYTES) send_error(tag, ERROR_TOO_MUCH, "more than one answer holds");
  else send_to(owner, type, tag, body);
}

static void set_environment(struct reader *body, uint32_t count) {
  char **entries = count > 4096 ? NULL : calloc(count + 1, sizeof *entries);
  if (entries == NULL) {
    body->bad = true;
    return;
  }
  for (uint32_t i = 0; i < count; i++)
    if ((entries[i] = to_cstring(get_text(body))) == NULL) body->bad = true;
  char **dropped = body->bad ? entries : agent.environment;
  for (uint32_t i = 0; dropped != NULL && (dropped == entries ? i < count : dropped[i] != NULL); i++) free(dropped[i]);
  free(dropped);
  if (!body->bad) agent.environment = entries;
}

/* Makes a visitor the owner, unless one of a newer epoch was here before. An owner that is still connected is sent away. */
static void hello(struct visitor *from, uint32_t tag, struct reader *body) {
  uint32_t version = get_u32(body);
  uint64_t epoch = get_u64(body);
  uint32_t lease_ms = get_u32(body);
  if (body->bad || version != WIRE_VERSION) return refuse(from, tag, ERROR_PROTOCOL, "another version of guestd");
  if (epoch < newest_epoch) return refuse(from, tag, ERROR_STALE, "an owner of a newer epoch has taken over");
  set_environment(body, get_u32(body));
  if (body->bad) return refuse(from, tag, ERROR_PROTOCOL, "not an environment");
  renew_shell();
  newest_epoch = epoch;
  lease_us = (uint64_t)lease_ms * 1000;
  if (owner != from) {
    if (owner != NULL) {
      /* The engine keeps the container's stdio open for whoever had it, so that its end has to be told. */
      refuse(owner, 0, ERROR_STALE, "another owner has taken over");
      if (owner != NULL) close_visitor(owner);
    }
    owner = from;
  }
  struct buffer reply = {0};
  send_to(from, REPLY_OK, tag, &reply);
}

static void handle(struct visitor *from, struct frame *frame) {
  struct buffer reply = {0};
  if (frame->type == REQUEST_HELLO) return hello(from, frame->tag, &frame->body);
  if (from != owner) return refuse(from, frame->tag, ERROR_PROTOCOL, "say hello first");
  if (ended && frame->type != REQUEST_END) return refuse(from, frame->tag, ERROR_STOPPED, "it is being removed");
  switch (frame->type) {
    case REQUEST_RUN: return run_command(frame->tag, &frame->body);
    case REQUEST_ACK: return acknowledge_command(&frame->body);
    case REQUEST_READ: return start_job(frame->tag, read_file, &frame->body);
    case REQUEST_WRITE: return start_job(frame->tag, write_file, &frame->body);
    case REQUEST_LIST: return start_job(frame->tag, list_folder, &frame->body);
    case REQUEST_CHANGES: return start_job(frame->tag, list_changes, &frame->body);
    case REQUEST_FETCH: return start_job(frame->tag, fetch_files, &frame->body);
    case REQUEST_PLACES: return start_job(frame->tag, list_places, &frame->body);
    case REQUEST_SAVE: return start_job(frame->tag, save_tree, &frame->body);
    case REQUEST_RESTORE: return start_job(frame->tag, restore_tree, &frame->body);
    case REQUEST_USAGE: return start_job(frame->tag, measure_usage, &frame->body);
    case REQUEST_STOP:
      end_jobs();
      if (!stop_commands()) return refuse(from, frame->tag, ERROR_INTERRUPTED, "some process can't be ended");
      break;
    case REQUEST_END:
      /* Whoever removes it may be killed before: then it goes by itself. */
      ended = true;
      lease_us = 0;
      break;
    case REQUEST_LIMIT:
      end_over_limit();
      break;
    case REQUEST_STAT:
      put_stat(&reply);
      break;
    default: return refuse(from, frame->tag, ERROR_PROTOCOL, "no such request");
  }
  send_to(from, REPLY_OK, frame->tag, &reply);
  free_buffer(&reply);
}

static void handle_all(struct visitor *from) {
  size_t done = 0;
  while (from->fd >= 0) {
    struct frame frame;
    long size = parse_frame(from->in.bytes + done, from->in.length - done, &frame);
    if (size < 0) return close_visitor(from);
    if (size == 0) break;
    handle(from, &frame);
    done += (size_t)size;
  }
  if (from->fd >= 0 && done > 0) drop_front(&from->in, done);
}

static void hear(struct visitor *from) {
  static uint8_t bytes[64 * 1024];
  ssize_t got = read(from->fd, bytes, sizeof bytes);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got > 0) put_bytes(&from->in, bytes, (size_t)got);
  if (got <= 0 || from->in.failed) close_visitor(from);
  else handle_all(from);
}

static void admit(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  struct ucred peer = {0};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || !is_from_engine(peer.pid, peer.uid)) {
    close(fd);
    return;
  }
  /* Those that never say hello must not keep others out: the oldest of them goes. */
  struct visitor *seat = NULL;
  for (struct visitor *one = visitors; one < visitors + MAX_VISITORS; one++)
    if (one != owner && (seat == NULL || one->since_us < seat->since_us)) seat = one;
  close_visitor(seat);
  *seat = (struct visitor){.fd = fd, .sink = fd, .since_us = now_us()};
}

/* The engine opens stdin only for whoever starts the container; nothing in here can reach either end. */
static void admit_starter(void) {
  struct stat input;
  if (fstat(0, &input) != 0 || !S_ISFIFO(input.st_mode)) return;
  struct visitor starter = {.fd = fcntl(0, F_DUPFD_CLOEXEC, 3), .sink = fcntl(1, F_DUPFD_CLOEXEC, 3), .since_us = now_us()};
  int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (starter.fd < 0 || starter.sink < 0 || dup2(nothing, 0) != 0 || dup2(nothing, 1) != 1) exit(1);
  close(nothing);
  fcntl(starter.fd, F_SETFL, O_NONBLOCK);
  fcntl(starter.sink, F_SETFL, O_NONBLOCK);
  visitors[0] = starter;
}

static int listen_for_relays(void) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_PATH};
  umask(0077);
  if (chmod(SOCKET_FOLDER, 0700) < 0 || fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0) {
    exit(complain("guestd: " SOCKET_PATH ": ", strerror(errno)));
  }
  return fd;
}

static uint64_t sooner(uint64_t one, uint64_t other) { return one < other ? one : other; }

static int timeout_ms(void) {
  uint64_t lease_end = owner == NULL ? alone_since_us + lease_us : UINT64_MAX, now = now_us();
  uint64_t due = sooner(sooner(command_due_us(), job_due_us()), sooner(lease_end, now + LONGEST_WAIT_US));
  return due <= now ? 0 : (int)((due - now + 999) / 1000);
}

_Noreturn void serve(uint32_t lease_ms) {
  lease_us = (uint64_t)lease_ms * 1000;
  alone_since_us = now_us();
  for (int i = 0; i < MAX_VISITORS; i++) visitors[i].fd = -1;
  if (pipe2(child_pipe, O_CLOEXEC | O_NONBLOCK) < 0) exit(1);
  struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
  sigaction(SIGCHLD, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  int listener = listen_for_relays();
  remember_folders();
  admit_starter();

  for (;;) {
    struct pollfd polled[MAX_POLLED] = {{.fd = listener, .events = POLLIN}, {.fd = child_pipe[0], .events = POLLIN}};
    size_t count = 2;
    for (struct visitor *one = visitors; one < visitors + MAX_VISITORS; one++) {
      polled[count++] = (struct pollfd){.fd = one->fd, .events = POLLIN};
      polled[count++] = (struct pollfd){.fd = one->out.length > 0 ? one->sink : -1, .events = POLLOUT};
    }
    size_t first_command = count;
    count += command_poll(polled + count);
    size_t first_job = count;
    count += job_poll(polled + count);
    if (poll(polled, count, timeout_ms()) < 0 && errno != EINTR) exit(1);

    char drained[64];
    while (read(child_pipe[0], drained, sizeof drained) > 0) {}
    watch_clock();
    reap_children();
    command_ready(polled + first_command, first_job - first_command);
    job_ready(polled + first_job, count - first_job);
    for (int i = 0; i < MAX_VISITORS; i++) {
      struct visitor *one = &visitors[i];
      if (one->fd < 0 || one->fd != polled[2 + 2 * i].fd) continue;
      if (polled[3 + 2 * i].revents != 0) flush_visitor(one);
      if (one->fd >= 0 && polled[2 + 2 * i].revents != 0) hear(one);
    }
    if (polled[0].revents != 0) admit(listener);
    command_timers();
    job_timers();
    prepare_shell();
    if (owner == NULL && now_us() >= alone_since_us + lease_us) {
      kill_agent();
      exit(0);
    }
  }
}
