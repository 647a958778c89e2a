/* The shell of one command: how it is started, and the state it leaves. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "guest.h"

/* Leaves the folder and the exported variables of the shell where its texts were; with builtins alone, because the command may
 * have lost its PATH, and because a program costs a millisecond, and with those that it may have covered or turned off. A name of
 * the folder that no longer leads there is given up. */
#define LEAVE                                                                                               \
  "unset -f builtin enable; enable builtin cd declare exit printf set trap; builtin trap - DEBUG; "         \
  "[[ . -ef ${PWD-} ]] || builtin cd -P .; "                                                                \
  "{ builtin printf \"state\\0%s\\0\" \"${PWD-}\"; builtin declare -px; builtin printf end; } >|/proc/self/fd/252; "
/* What a command that traces, echoes or traps would say of ours. */
#define UNHEARD ">/dev/null 2>&1"

/* Waits to be begun, then runs the two texts of STATE_FD, set-up and command, and leaves the shell's state there: at the natural
 * end, at an `exit`, or at any other end in its EXIT trap, unless the command set another. All of it is one line, because the
 * shell must have read it before the command can break what it reads; no variable keeps a text that it runs. */
static const char BOOT[] =
    "unset -v BASH_EXECUTION_STRING; "
    "trap '{ [[ -v __twinpatch_code ]] || { " LEAVE "}; } " UNHEARD "' EXIT; "
    "exit() { { __twinpatch_code=${1-$?}; [[ $BASHPID != $$ ]] || { " LEAVE "}; builtin set +vx; } " UNHEARD "; "
    "builtin exit \"$__twinpatch_code\"; }; "
    "builtin read -r -u 251 __twinpatch_text && builtin read -r -u 251 __twinpatch_text || builtin exit; exec 251<&-; "
    "builtin read -r -d '' -u 252 __twinpatch_text; eval -- \"$__twinpatch_text\"; "
    "builtin read -r -d '' -u 252 __twinpatch_text; eval -- \"$__twinpatch_text${__twinpatch_text:$((__twinpatch_text=0)):0}\"; "
    "{ __twinpatch_code=$?; " LEAVE "builtin set +v; builtin exit \"$__twinpatch_code\"; } " UNHEARD;

static bool write_texts(int fd, struct text setup, struct text command) {
  static uint8_t end[1];
  struct iovec parts[] = {{(void *)(uintptr_t)setup.bytes, setup.length}, {end, 1}, {(void *)(uintptr_t)command.bytes, command.length}, {end, 1}};
  return pwritev(fd, parts, 4, 0) == (ssize_t)(setup.length + command.length + 2);
}

static _Noreturn void become_shell(int input, int output, int text, int witness) {
  static const char *const shells[] = {"/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"};
  int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int adjustment = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (adjustment >= 0) (void)!write(adjustment, "1000", 4);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  /* What is ignored stays ignored in the shell and in all that it starts. */
  signal(SIGPIPE, SIG_DFL);
  umask(022);
  if (nothing >= 0 && dup2(nothing, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2 && dup2(input, BEGIN_FD) == BEGIN_FD &&
      dup2(text, STATE_FD) == STATE_FD && become_agent()) {
    (void)!chdir("/");
    char *arguments[] = {"bash", "--noprofile", "--norc", "-c", (char *)(uintptr_t)BOOT, "bash", NULL};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) execve(shells[i], arguments, agent.environment);
  }
  (void)!write(witness, "!", 1);
  _exit(255);
}

bool open_shell(struct shell *shell, pid_t (*make_process)(void)) {
  int input[2] = {-1, -1}, output[2] = {-1, -1}, witness[2] = {-1, -1};
  *shell = (struct shell)NO_SHELL;
  shell->text = memfd_create("command", MFD_CLOEXEC);
  /* Made by the agent, so that its commands may open it again by the name of /dev/stdout. */
  act_as_agent();
  bool has_output = pipe2(output, O_CLOEXEC) == 0;
  act_as_root();
  if (has_output && pipe2(input, O_CLOEXEC) == 0 && pipe2(witness, O_CLOEXEC | O_NONBLOCK) == 0 && shell->text >= 0) {
    shell->pid = make_process();
    if (shell->pid == 0) become_shell(input[0], output[1], shell->text, witness[1]);
  }
  close_fd(&input[0]);
  close_fd(&output[1]);
  close_fd(&witness[1]);
  shell->input = input[1];
  shell->output = output[0];
  shell->witness = witness[0];
  if (shell->pid < 0) {
    close_shell(shell);
    return false;
  }
  fcntl(shell->output, F_SETFL, O_NONBLOCK);
  return true;
}

/* Two lines: one that was being killed while it waited can still take the first, and has run nothing. */
static const char BEGIN[] = "\n\n";

static bool begin(struct shell *shell) {
  fcntl(shell->output, F_SETPIPE_SZ, 256 * 1024);
  return write(shell->input, BEGIN, sizeof BEGIN - 1) == sizeof BEGIN - 1;
}

bool begin_shell(struct shell *shell, struct text setup, struct text command) {
  return write_texts(shell->text, setup, command) && begin(shell);
}

bool begin_shell_again(struct shell *shell, const struct shell *other) {
  struct stat texts;
  off_t from = 0;
  return fstat(other->text, &texts) == 0 && sendfile(shell->text, other->text, &from, (size_t)texts.st_size) == texts.st_size &&
         lseek(shell->text, 0, SEEK_SET) == 0 && begin(shell);
}

/* Nothing but our end of the pipe puts anything into it, so that no command can undo this. */
bool has_read(const struct shell *shell) {
  int left = 0;
  return ioctl(shell->input, FIONREAD, &left) == 0 && left == 0;
}

bool has_begun(const struct shell *shell) {
  uint8_t refused;
  return read(shell->witness, &refused, 1) != 1;
}

void put_state(struct buffer *to, const struct shell *shell, char folder[PATH_MAX]) {
  static const char mark[] = "state", more[] = "more";
  struct stat file;
  char *bytes = NULL;
  size_t length = 0;
  if (fstat(shell->text, &file) == 0 && (bytes = malloc(MAX_STATE_BYTES)) != NULL) {
    ssize_t got = pread(shell->text, bytes, MAX_STATE_BYTES, 0);
    /* Still the command's own text where its shell left no state. */
    if (got > (ssize_t)sizeof mark && memcmp(bytes, mark, sizeof mark) == 0) length = (size_t)got - sizeof mark;
    /* Of more than is kept, the folder: the first text of it. */
    size_t first = length > 0 ? strnlen(bytes + sizeof mark, length) + 1 : 0;
    if (file.st_size > MAX_STATE_BYTES && first > 0 && first + sizeof more < length) {
      memcpy(bytes + sizeof mark + first, more, sizeof more);
      length = first + strlen(more);
    }
  }
  const char *state = length > 0 ? bytes + sizeof mark : "";
  put_text(to, state, length);
  if (memccpy(folder, state, 0, length < PATH_MAX ? length : PATH_MAX) == NULL) folder[0] = 0;
  free(bytes);
}

void close_shell(struct shell *shell) {
  shell->pid = -1;
  close_fd(&shell->input);
  close_fd(&shell->output);
  close_fd(&shell->text);
  close_fd(&shell->witness);
}
