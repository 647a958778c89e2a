/* Commands: each one shell in a session of its own, its output in order on one pipe, its result kept until acknowledged. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

/* For what the command wrote last, and for processes that end with it. */
#define SETTLE_US 50000
#define SETTLE_STEP_US 5000
/* After a kill that the kernel does not carry out. */
#define UNKILLABLE_US 5000000
#define MAX_KEPT 64
#define MAX_REMEMBERED 4096

enum end { END_EXITED, END_TIMED_OUT, END_MEMORY, END_DISK, END_DISK_LIMIT };

struct command {
  struct command *next;
  char *id;
  size_t id_length;
  uint32_t waiter; /* tag to answer; 0: nobody asks */
  pid_t shell;
  int output, text;
  bool is_done, is_open, has_exited, is_timed_out, is_over_limit;
  int status;
  uint64_t started_us, deadline_us, exited_us, next_look_us;
  uint64_t total;
  uint32_t head_size, tail_size, head_length;
  uint8_t *head, *tail; /* the tail is a ring */
  uint64_t tail_total;
  uint64_t kills_before, refusals_before;
  struct buffer result;
};

static struct command *commands; /* newest first */
static struct process_set known_processes;
static uint64_t forgotten[MAX_REMEMBERED];
static size_t forgotten_count;
static bool stopped;

/* Runs the two texts of STATE_FD, set-up and command, then leaves the shell's state there: at its natural end by becoming the
 * program that does it, which costs no fork; in its EXIT trap, or beside one that the command set, as a child. All of it is one
 * line, because the shell must have read it before the command can break what it reads. */
static const char BOOT[] =
    "trap '/.twinpatch/guestd state \"$?\" 2>/dev/null' EXIT; "
    "builtin read -r -d '' -u 252; eval -- \"$REPLY\"; "
    "builtin read -r -d '' -u 252; eval -- \"$REPLY\"; "
    "{ __twinpatch_code=$?; builtin trap -p EXIT >|/proc/self/fd/252; "
    "builtin read -r REPLY </proc/self/fd/252 || :; "
    "if [[ $REPLY == *'/.twinpatch/guestd state'* ]]; then builtin trap - EXIT; builtin exec /.twinpatch/guestd state \"$__twinpatch_code\"; "
    "else /.twinpatch/guestd state \"$__twinpatch_code\"; builtin exit \"$__twinpatch_code\"; fi; } 2>/dev/null";

static uint64_t hash_of(const void *bytes, size_t length) {
  uint64_t hash = 1469598103934665603u;
  for (size_t i = 0; i < length; i++) hash = (hash ^ ((const uint8_t *)bytes)[i]) * 1099511628211u;
  return hash;
}

static struct command *find(struct text id) {
  for (struct command *one = commands; one != NULL; one = one->next)
    if (one->id_length == id.length && memcmp(one->id, id.bytes, id.length) == 0) return one;
  return NULL;
}

static void drop(struct command *gone) {
  for (struct command **link = &commands; *link != NULL; link = &(*link)->next) {
    if (*link != gone) continue;
    *link = gone->next;
    break;
  }
  if (gone->id != NULL) forgotten[forgotten_count++ % MAX_REMEMBERED] = hash_of(gone->id, gone->id_length);
  if (gone->output >= 0) close(gone->output);
  if (gone->text >= 0) close(gone->text);
  free(gone->head);
  free(gone->tail);
  free(gone->id);
  free_buffer(&gone->result);
  free(gone);
}

static bool is_forgotten(struct text id) {
  uint64_t hash = hash_of(id.bytes, id.length);
  size_t count = forgotten_count < MAX_REMEMBERED ? forgotten_count : MAX_REMEMBERED;
  for (size_t i = 0; i < count; i++)
    if (forgotten[i] == hash) return true;
  return false;
}

/* An owner that never acknowledges must not fill the memory. */
static void drop_oldest(void) {
  size_t kept = 0;
  struct command *oldest = NULL;
  for (struct command *one = commands; one != NULL; one = one->next) {
    kept++;
    if (one->is_done && one->waiter == 0) oldest = one;
  }
  if (kept >= MAX_KEPT && oldest != NULL) drop(oldest);
}

static void keep(struct command *command, const uint8_t *bytes, size_t length) {
  command->total += length;
  size_t room = command->head_size - command->head_length;
  size_t now = length < room ? length : room;
  memcpy(command->head + command->head_length, bytes, now);
  command->head_length += (uint32_t)now;
  bytes += now;
  length -= now;
  if (command->tail_size == 0) return;
  if (length > command->tail_size) {
    command->tail_total += length - command->tail_size;
    bytes += length - command->tail_size;
    length = command->tail_size;
  }
  while (length > 0) {
    size_t at = command->tail_total % command->tail_size;
    size_t run = command->tail_size - at < length ? command->tail_size - at : length;
    memcpy(command->tail + at, bytes, run);
    command->tail_total += run;
    bytes += run;
    length -= run;
  }
}

static bool write_texts(int fd, struct text setup, struct text command) {
  static const uint8_t end = 0;
  struct text parts[] = {setup, {&end, 1}, command, {&end, 1}};
  off_t at = 0;
  for (size_t i = 0; i < 4; i++) {
    for (size_t done = 0; done < parts[i].length;) {
      ssize_t wrote = pwrite(fd, parts[i].bytes + done, parts[i].length - done, at);
      if (wrote <= 0) return false;
      done += (size_t)wrote;
      at += wrote;
    }
  }
  return true;
}

static _Noreturn void become_shell(int output, int text, int witness) {
  static const char *const shells[] = {"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"};
  int adjustment = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (adjustment >= 0) (void)!write(adjustment, "1000", 4);
  int nothing = open("/dev/null", O_RDONLY);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  /* What is ignored stays ignored through exec, and a program whose reader has gone would complain instead of ending. */
  signal(SIGPIPE, SIG_DFL);
  umask(022);
  if (nothing >= 0 && dup2(nothing, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2 &&
      dup2(text, STATE_FD) == STATE_FD && become_agent()) {
    if (nothing > 2) close(nothing);
    (void)!chdir("/");
    char *arguments[] = {"bash", "--noprofile", "--norc", "-c", (char *)(uintptr_t)BOOT, "bash", NULL};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) execve(shells[i], arguments, agent.environment);
  }
  (void)!write(witness, "!", 1);
  _exit(255);
}

/* Starts the shell; false when it can't be. `failure` then says why. */
static bool start_shell(struct command *command, enum error_code *failure) {
  int pipes[2], witness[2];
  *failure = ERROR_INTERRUPTED;
  /* Made by the agent, so that its commands may open it again by the name of /dev/stdout. */
  act_as_agent();
  int failed = pipe2(pipes, O_CLOEXEC);
  act_as_root();
  if (failed != 0) return false;
  if (pipe2(witness, O_CLOEXEC) != 0) {
    close(pipes[0]);
    close(pipes[1]);
    return false;
  }
  pid_t pid = fork();
  if (pid < 0 && errno == EAGAIN) {
    /* What an earlier command left behind took every process there may be. */
    kill_agent();
    reap_children();
    pid = fork();
  }
  if (pid == 0) become_shell(pipes[1], command->text, witness[1]);
  close(pipes[1]);
  close(witness[1]);
  /* Ends when the shell has begun, which closes its copy; a byte says that it could not. */
  uint8_t refused;
  bool has_failed = pid < 0 || read(witness[0], &refused, 1) == 1;
  close(witness[0]);
  if (has_failed) {
    if (pid > 0) *failure = ERROR_NO_SHELL;
    close(pipes[0]);
    return false;
  }
  fcntl(pipes[0], F_SETFL, O_NONBLOCK);
  fcntl(pipes[0], F_SETPIPE_SZ, 256 * 1024);
  command->shell = pid;
  command->output = pipes[0];
  command->is_open = true;
  return true;
}

static void answer(struct command *command) {
  if (command->waiter == 0) return;
  send_frame(REPLY_OK, command->waiter, &command->result);
  command->waiter = 0;
}

void run_command(uint32_t tag, struct reader *body) {
  struct text id = get_text(body);
  uint32_t timeout_ms = get_u32(body), head = get_u32(body), tail = get_u32(body);
  struct text setup = get_text(body), text = get_text(body);
  if (body->bad || head > MAX_FRAME_BYTES / 4 || tail > MAX_FRAME_BYTES / 4)
    return send_error(tag, ERROR_PROTOCOL, "not a command");
  struct command *command = find(id);
  if (command != NULL) {
    if (command->waiter != 0) send_error(command->waiter, ERROR_INTERRUPTED, "asked again");
    command->waiter = tag;
    if (command->is_done) answer(command);
    return;
  }
  if (stopped) return send_error(tag, ERROR_STOPPED, "the sandbox is stopped");
  if (is_forgotten(id)) return send_error(tag, ERROR_FORGOTTEN, "its result was acknowledged");
  drop_oldest();

  command = calloc(1, sizeof *command);
  if (command == NULL) return send_error(tag, ERROR_INTERRUPTED, "no memory");
  command->output = -1;
  command->text = memfd_create("command", MFD_CLOEXEC);
  command->head = malloc(head + 1);
  command->tail = malloc(tail + 1);
  command->id = malloc(id.length + 1);
  command->head_size = head;
  command->tail_size = tail;
  command->kills_before = memory_kills();
  command->refusals_before = refused_forks();
  scan_processes(&known_processes, 0);
  enum error_code failure = ERROR_INTERRUPTED;
  command->started_us = now_us();
  bool is_ready = command->text >= 0 && command->head != NULL && command->tail != NULL && command->id != NULL &&
                  write_texts(command->text, setup, text);
  if (!is_ready || !start_shell(command, &failure)) {
    free(command->id);
    command->id = NULL; /* it never ran, so it is not remembered */
    drop(command);
    return send_error(tag, failure, failure == ERROR_NO_SHELL ? "bash can't be started" : "no process or memory left");
  }
  memcpy(command->id, id.bytes, id.length);
  command->id_length = id.length;
  command->deadline_us = command->started_us + (uint64_t)timeout_ms * 1000;
  command->waiter = tag;
  command->next = commands;
  commands = command;
}

void acknowledge_command(struct reader *body) {
  struct text id = get_text(body);
  struct command *command = body->bad ? NULL : find(id);
  if (command != NULL && command->is_done) drop(command);
}

/* The state's first text is the working directory, which is left in `folder`. */
static void put_state(struct buffer *to, int fd, char folder[PATH_MAX]) {
  struct stat file;
  char *bytes = NULL;
  size_t length = 0;
  if (fstat(fd, &file) == 0 && file.st_size > 6 && file.st_size <= 256 * 1024 && (bytes = malloc((size_t)file.st_size)) != NULL) {
    ssize_t got = pread(fd, bytes, (size_t)file.st_size, 0);
    /* Still the command's own text where its shell left no state. */
    if (got > 6 && memcmp(bytes, "state", 6) == 0) length = (size_t)got;
  }
  put_text(to, length > 0 ? bytes + 6 : "", length > 0 ? length - 6 : 0);
  snprintf(folder, PATH_MAX, "%.*s", length > 6 ? (int)(length - 6) : 0, length > 6 ? bytes + 6 : "");
  free(bytes);
}

/* u8 end, i32 exit code or -1, u64 bytes in all, string head, string tail, u8 background, string state, u64 microseconds */
static void finish(struct command *command, bool is_background) {
  struct buffer *to = &command->result, state = {0};
  static char folder[PATH_MAX];
  put_state(&state, command->text, folder);
  bool is_killed = WIFSIGNALED(command->status);
  int code = is_killed ? 128 + WTERMSIG(command->status) : WEXITSTATUS(command->status);
  bool crowded = refused_forks() > command->refusals_before;
  if (crowded) kill_agent(); /* or the next command would find no process left to start with */
  enum end end = END_EXITED;
  if (command->is_over_limit) end = END_DISK_LIMIT;
  else if (command->is_timed_out) end = END_TIMED_OUT;
  else if (memory_kills() > command->kills_before) end = END_MEMORY;
  else if (code != 0 && (is_disk_full(REPOSITORY) || is_disk_full(folder))) end = END_DISK;
  put_u8(to, (uint8_t)end);
  put_u32(to, end == END_TIMED_OUT || end == END_DISK_LIMIT || !command->has_exited ? UINT32_MAX : (uint32_t)code);
  put_u64(to, command->total);
  put_text(to, command->head, command->head_length);
  size_t size = command->tail_size, kept = command->tail_total < size ? command->tail_total : size;
  size_t first = kept < size || size == 0 ? 0 : command->tail_total % size;
  put_u32(to, (uint32_t)kept);
  put_bytes(to, command->tail + first, kept - first);
  put_bytes(to, command->tail, first);
  put_u8(to, is_background && !crowded && !command->is_timed_out);
  put_bytes(to, state.bytes, state.length);
  free_buffer(&state);
  put_u64(to, (command->exited_us != 0 ? command->exited_us : now_us()) - command->started_us);
  close(command->text);
  if (command->output >= 0) close(command->output);
  command->text = command->output = -1;
  free(command->head);
  free(command->tail);
  command->head = command->tail = NULL;
  command->is_done = true;
  answer(command);
}

static void drain(struct command *command, size_t most) {
  static uint8_t bytes[128 * 1024];
  while (command->is_open && most > 0) {
    ssize_t got = read(command->output, bytes, most < sizeof bytes ? most : sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      command->is_open = false;
      return;
    }
    keep(command, bytes, (size_t)got);
    most -= (size_t)got;
  }
}

static bool is_alone(const struct command *command) {
  for (const struct command *one = commands; one != NULL; one = one->next)
    if (one != command && !one->is_done) return false;
  return true;
}

/* Ends a command whose shell has ended, as soon as its output has, or after a short while: what it left running may hold the
 * output open for ever. */
static void settle(struct command *command) {
  uint64_t now = now_us();
  bool is_late = now >= command->exited_us + SETTLE_US;
  if (command->is_open && !is_late) return;
  struct process_set before = known_processes;
  known_processes.pids = before.count > 0 ? malloc(before.count * sizeof *before.pids) : NULL;
  if (known_processes.pids != NULL) memcpy(known_processes.pids, before.pids, before.count * sizeof *before.pids);
  else known_processes.count = 0;
  bool left = scan_processes(&known_processes, is_alone(command) ? 0 : command->shell);
  if (left && !is_late) {
    free(known_processes.pids);
    known_processes = before;
    command->next_look_us = now + SETTLE_STEP_US;
    return;
  }
  free(before.pids);
  if (command->is_open) {
    int waiting = 0;
    if (ioctl(command->output, FIONREAD, &waiting) == 0 && waiting > 0) drain(command, (size_t)waiting);
  }
  finish(command, left || command->is_open);
}

void shell_reaped(pid_t pid, int status) {
  for (struct command *one = commands; one != NULL; one = one->next) {
    if (one->is_done || one->has_exited || one->shell != pid) continue;
    one->has_exited = true;
    one->status = status;
    one->exited_us = now_us();
    return;
  }
}

void command_timers(void) {
  uint64_t now = now_us();
  for (struct command *one = commands; one != NULL; one = one->next) {
    if (one->is_done) continue;
    if (one->has_exited) {
      drain(one, SIZE_MAX);
      if (now >= one->next_look_us) settle(one);
    } else if (now >= one->deadline_us && !one->is_timed_out) {
      one->is_timed_out = true;
      kill_agent();
    } else if (one->is_timed_out && now >= one->deadline_us + UNKILLABLE_US) {
      finish(one, false);
    }
  }
}

int command_timeout_ms(void) {
  uint64_t now = now_us(), next = UINT64_MAX;
  for (struct command *one = commands; one != NULL; one = one->next) {
    if (one->is_done) continue;
    uint64_t at = one->deadline_us;
    if (one->has_exited) at = one->is_open ? one->exited_us + SETTLE_US : one->next_look_us;
    else if (one->is_timed_out) at = one->deadline_us + UNKILLABLE_US;
    if (at < next) next = at;
  }
  if (next == UINT64_MAX) return -1;
  return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

size_t command_poll(struct pollfd *to, size_t room) {
  size_t count = 0;
  for (struct command *one = commands; one != NULL && count < room; one = one->next)
    if (!one->is_done && one->is_open) to[count++] = (struct pollfd){.fd = one->output, .events = POLLIN};
  return count;
}

void command_ready(const struct pollfd *ready, size_t count) {
  for (struct command *one = commands; one != NULL; one = one->next) {
    if (one->is_done || !one->is_open) continue;
    for (size_t i = 0; i < count; i++)
      /* A writer that never pauses must leave the loop its turn. */
      if (ready[i].fd == one->output && ready[i].revents != 0) drain(one, 1 << 20);
  }
}

void forget_waiters(void) {
  for (struct command *one = commands; one != NULL; one = one->next) one->waiter = 0;
}

void end_over_limit(void) {
  for (struct command *one = commands; one != NULL; one = one->next)
    if (!one->is_done) one->is_over_limit = true;
  kill_agent();
}

void stop_commands(void) {
  stopped = true;
  kill_agent();
}
