/* Commands: each one shell in a session of its own, its output in order on one pipe, its result kept until acknowledged. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

/* For what the command wrote last, and for processes that end with it. */
#define SETTLE_US 50000
#define SETTLE_STEP_US 5000
/* After a kill that the kernel does not carry out. */
#define UNKILLABLE_US 5000000
/* A writer that never pauses must leave the loop its turn. */
#define MAX_AT_ONCE (1 << 20)
#define MAX_REMEMBERED 4096

enum end { END_EXITED, END_TIMED_OUT, END_MEMORY, END_DISK, END_DISK_LIMIT, END_NO_ROOM };

struct command {
  struct command *next;
  char *id;
  size_t id_length;
  uint32_t waiter; /* tag to answer; 0: nobody asks */
  struct shell shell;
  struct output output;
  bool is_done, is_open, has_exited, has_waited, is_timed_out, is_over_limit, had_no_room;
  int status;
  uint64_t started_us, deadline_us, exited_us, next_look_us;
  uint64_t kills_before, refusals_before;
  struct buffer result;
};

static struct command *commands; /* newest first */
static struct process_set known_processes;
static uint64_t forgotten[MAX_REMEMBERED];
static size_t forgotten_count;
static bool stopped, over_limit;
static struct shell waiting_shell = NO_SHELL;
static bool is_shell_due;

static void know(struct process_set found) {
  free(known_processes.list);
  known_processes = found;
}

static bool is_alone(const struct command *command) {
  for (const struct command *one = commands; one != NULL; one = one->next)
    if (one != command && !one->is_done) return false;
  return true;
}

bool is_command_running(void) { return !is_alone(NULL); }

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
  close_shell(&gone->shell);
  close_output(&gone->output);
  free_buffer(&gone->result);
  free(gone->id);
  free(gone);
}

static void forget(struct command *done) {
  forgotten[forgotten_count++ % MAX_REMEMBERED] = hash_bytes(done->id, done->id_length);
  drop(done);
}

static bool is_forgotten(struct text id) {
  uint64_t hash = hash_bytes(id.bytes, id.length);
  size_t count = forgotten_count < MAX_REMEMBERED ? forgotten_count : MAX_REMEMBERED;
  for (size_t i = 0; i < count; i++)
    if (forgotten[i] == hash) return true;
  return false;
}

/* An owner that never acknowledges must not fill the memory: the oldest result goes. False when there is none. */
static bool make_room(void) {
  size_t count = 0;
  struct command *oldest = NULL;
  for (struct command *one = commands; one != NULL; one = one->next) {
    count++;
    if (one->is_done) oldest = one;
  }
  if (count < MAX_COMMANDS) return true;
  if (oldest != NULL) forget(oldest);
  return oldest != NULL;
}

static void answer(struct command *command) {
  uint32_t waiter = command->waiter;
  command->waiter = 0;
  if (waiter != 0) send_frame(REPLY_OK, waiter, &command->result);
}

/* Begins the shell that waits, or where it has ended, a new one. */
static bool take_shell(struct command *command, struct text setup, struct text text) {
  struct shell *shell = &command->shell;
  is_shell_due = true;
  *shell = waiting_shell;
  waiting_shell = (struct shell)NO_SHELL;
  if (shell->pid > 0) signal_as_agent(shell->pid, SIGCONT); /* what the command before left may have stopped it */
  command->has_waited = shell->pid > 0 && begin_shell(shell, setup, text);
  if (command->has_waited) return true;
  close_shell(shell);
  if (open_shell(shell, fork_anyway) && begin_shell(shell, setup, text)) return true;
  close_shell(shell);
  return false;
}

void run_command(uint32_t tag, struct reader *body) {
  struct text id = get_text(body);
  uint32_t timeout_ms = get_u32(body), head = get_u32(body), tail = get_u32(body);
  struct text setup = get_text(body), text = get_text(body);
  if (body->bad || head > MAX_FRAME_BYTES / 4 || tail > MAX_FRAME_BYTES / 4)
    return send_error(tag, ERROR_PROTOCOL, "not a command");
  struct command *command = find(id);
  if (command != NULL) {
    uint32_t earlier = command->waiter;
    command->waiter = tag;
    if (earlier != 0) send_error(earlier, ERROR_INTERRUPTED, "asked again");
    if (command->is_done) answer(command);
    return;
  }
  if (stopped) return send_error(tag, ERROR_STOPPED, "the sandbox is stopped");
  if (is_forgotten(id)) return send_error(tag, ERROR_FORGOTTEN, "its result was acknowledged");
  if (!make_room()) return send_error(tag, ERROR_TOO_MUCH, "too many commands at once");

  command = calloc(1, sizeof *command);
  char *kept_id = malloc(id.length + 1);
  if (known_processes.count > 0 || !is_alone(NULL)) know(scan_processes());
  uint64_t started_us = now_us(), kills = memory_kills(), refusals = refused_forks();
  if (command == NULL || kept_id == NULL || !open_output(&command->output, head, tail) ||
      !take_shell(command, setup, text)) {
    if (command != NULL) close_output(&command->output);
    free(command);
    free(kept_id);
    return send_error(tag, ERROR_INTERRUPTED, "no process or memory left");
  }
  memcpy(kept_id, id.bytes, id.length);
  command->id = kept_id;
  command->id_length = id.length;
  command->is_open = true;
  command->started_us = started_us;
  command->deadline_us = started_us + (uint64_t)timeout_ms * 1000;
  command->kills_before = kills;
  command->refusals_before = refusals;
  command->had_no_room = is_disk_full(REPOSITORY);
  command->waiter = tag;
  command->next = commands;
  commands = command;
}

void acknowledge_command(struct reader *body) {
  struct text id = get_text(body);
  struct command *command = body->bad ? NULL : find(id);
  if (command != NULL && command->is_done) forget(command);
}

/* u8 end, i32 exit code or -1, u64 bytes in all, string head, string tail, u8 background, string state, u64 microseconds */
static void finish(struct command *command, bool is_background) {
  static char folder[PATH_MAX];
  struct buffer *to = &command->result, state = {0};
  put_state(&state, &command->shell, folder);
  bool is_killed = WIFSIGNALED(command->status);
  int code = is_killed ? 128 + WTERMSIG(command->status) : WEXITSTATUS(command->status);
  /* By what it left running, as it seems, or by itself: the next command would end so, too, or find no process to start with. */
  bool is_shot = is_killed && WTERMSIG(command->status) == SIGKILL && is_alone(command);
  bool is_cleared = is_shot || refused_forks() > command->refusals_before;
  if (is_cleared) kill_agent();
  enum end end = END_EXITED;
  if (command->is_over_limit) end = END_DISK_LIMIT;
  else if (command->is_timed_out) end = END_TIMED_OUT;
  else if (memory_kills() > command->kills_before) end = END_MEMORY;
  /* The engine's disk, which others fill too: what failed for that says nothing about the command. */
  else if (code != 0 && (command->had_no_room || is_disk_full(REPOSITORY))) end = END_NO_ROOM;
  else if (code != 0 && is_disk_full(folder)) end = END_DISK;
  put_u8(to, (uint8_t)end);
  bool is_cut = command->is_timed_out || command->is_over_limit;
  put_u32(to, is_cut || !command->has_exited ? UINT32_MAX : (uint32_t)code);
  put_output(to, &command->output);
  put_u8(to, is_background && !is_cleared && !is_cut);
  put_bytes(to, state.bytes, state.length);
  free_buffer(&state);
  put_u64(to, (command->exited_us != 0 ? command->exited_us : now_us()) - command->started_us);
  close_shell(&command->shell);
  close_output(&command->output);
  command->is_done = true;
  answer(command);
}

/* It never ran, so it may be asked for again. */
static void fail(struct command *command) {
  uint32_t waiter = command->waiter;
  drop(command);
  if (waiter != 0) send_error(waiter, ERROR_NO_SHELL, "bash can't be started");
}

static void drain(struct command *command, size_t most) {
  static uint8_t bytes[128 * 1024];
  while (command->is_open && most > 0) {
    ssize_t got = read(command->shell.output, bytes, most < sizeof bytes ? most : sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      command->is_open = false;
      return;
    }
    keep_output(&command->output, bytes, (size_t)got);
    most -= (size_t)got;
  }
}

/* Ends a command whose shell has ended, as soon as its output has, or after a short while: what it left running may hold the
 * output open for ever. */
static void settle(struct command *command) {
  uint64_t now = now_us();
  bool is_late = now >= command->exited_us + SETTLE_US;
  if (command->is_open && !is_late) return;
  struct process_set found = scan_processes();
  bool left = has_new(&found, &known_processes, is_alone(command) ? 0 : command->shell.pid);
  if (left && !is_late) {
    free(found.list);
    command->next_look_us = now + SETTLE_STEP_US;
    return;
  }
  know(found);
  int waiting = 0;
  if (command->is_open && ioctl(command->shell.output, FIONREAD, &waiting) == 0 && waiting > 0) drain(command, (size_t)waiting);
  finish(command, left || command->is_open);
}

void renew_shell(void) {
  close_shell(&waiting_shell);
  is_shell_due = true;
}

/* One that ends unasked is not followed by another: there may be no bash, or something that kills it. */
void prepare_shell(void) {
  if (!is_shell_due || stopped || over_limit) return;
  is_shell_due = false;
  open_shell(&waiting_shell, fork);
}

bool is_waiting_shell(pid_t pid) { return pid == waiting_shell.pid; }

void shell_reaped(pid_t pid, int status) {
  if (pid == waiting_shell.pid) close_shell(&waiting_shell);
  for (struct command *one = commands; one != NULL; one = one->next) {
    if (one->is_done || one->has_exited || one->shell.pid != pid) continue;
    one->has_exited = true;
    one->status = status;
    one->exited_us = now_us();
    return;
  }
}

/* The command before it may have killed the shell that waited, which had not noticed yet. Once: no other shell has waited. */
static bool begin_again(struct command *command) {
  struct shell fresh;
  if (!command->has_waited || has_read(&command->shell)) return false;
  command->has_waited = false;
  if (!open_shell(&fresh, fork_anyway) || !begin_shell_again(&fresh, &command->shell)) {
    close_shell(&fresh);
    return false;
  }
  close_shell(&command->shell);
  command->shell = fresh;
  command->has_exited = false;
  command->is_open = true;
  return true;
}

void command_timers(void) {
  uint64_t now = now_us();
  for (struct command *one = commands, *next; one != NULL; one = next) {
    next = one->next;
    if (one->is_done) continue;
    if (over_limit && !one->is_over_limit) {
      one->is_over_limit = true;
      kill_agent();
    }
    bool is_cut = one->is_over_limit || one->is_timed_out || stopped;
    if (one->has_exited && !is_cut && begin_again(one)) continue;
    if (one->has_exited && !has_begun(&one->shell) && !one->is_over_limit) {
      fail(one);
    } else if (one->has_exited) {
      drain(one, MAX_AT_ONCE);
      if (now >= one->next_look_us) settle(one);
    } else if (now >= one->deadline_us && !one->is_timed_out) {
      one->is_timed_out = true;
      kill_agent();
    } else if (one->is_timed_out && now >= one->deadline_us + UNKILLABLE_US) {
      finish(one, false);
    }
  }
}

uint64_t command_due_us(void) {
  uint64_t due = UINT64_MAX;
  for (struct command *one = commands; one != NULL; one = one->next) {
    if (one->is_done) continue;
    uint64_t at = one->deadline_us;
    if (one->has_exited) at = one->is_open ? one->exited_us + SETTLE_US : one->next_look_us;
    else if (one->is_timed_out) at = one->deadline_us + UNKILLABLE_US;
    if (at < due) due = at;
  }
  return due;
}

size_t command_poll(struct pollfd *to) {
  size_t count = 0;
  for (struct command *one = commands; one != NULL; one = one->next)
    if (!one->is_done && one->is_open) to[count++] = (struct pollfd){.fd = one->shell.output, .events = POLLIN};
  return count;
}

void command_ready(const struct pollfd *ready, size_t count) {
  for (struct command *one = commands; one != NULL; one = one->next) {
    if (one->is_done || !one->is_open) continue;
    for (size_t i = 0; i < count; i++)
      if (ready[i].fd == one->shell.output && ready[i].revents != 0) drain(one, MAX_AT_ONCE);
  }
}

void forget_waiters(void) {
  for (struct command *one = commands; one != NULL; one = one->next) one->waiter = 0;
}

void end_over_limit(void) {
  over_limit = true; /* what was written stays, so that later commands end as well */
  kill_agent();
}

bool stop_commands(void) {
  stopped = true;
  return kill_agent();
}
