/* The shell of one command: how it is started, and the state it leaves. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

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
  int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  /* What is ignored stays ignored in the shell and in all that it starts. */
  signal(SIGPIPE, SIG_DFL);
  umask(022);
  if (nothing >= 0 && dup2(nothing, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2 &&
      dup2(text, STATE_FD) == STATE_FD && become_agent()) {
    (void)!chdir("/");
    char *arguments[] = {"bash", "--noprofile", "--norc", "-c", (char *)(uintptr_t)BOOT, "bash", NULL};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) execve(shells[i], arguments, agent.environment);
  }
  (void)!write(witness, "!", 1);
  _exit(255);
}

bool start_shell(struct shell *shell, struct text setup, struct text command) {
  int output[2] = {-1, -1}, witness[2] = {-1, -1};
  *shell = (struct shell){.pid = -1, .output = -1, .text = memfd_create("command", MFD_CLOEXEC), .witness = -1};
  /* Made by the agent, so that its commands may open it again by the name of /dev/stdout. */
  act_as_agent();
  bool has_output = pipe2(output, O_CLOEXEC) == 0;
  act_as_root();
  if (has_output && pipe2(witness, O_CLOEXEC | O_NONBLOCK) == 0 && shell->text >= 0 && write_texts(shell->text, setup, command)) {
    shell->pid = fork_anyway();
    if (shell->pid == 0) become_shell(output[1], shell->text, witness[1]);
  }
  close_fd(&output[1]);
  close_fd(&witness[1]);
  shell->output = output[0];
  shell->witness = witness[0];
  if (shell->pid < 0) {
    close_shell(shell);
    return false;
  }
  fcntl(shell->output, F_SETFL, O_NONBLOCK);
  fcntl(shell->output, F_SETPIPE_SZ, 256 * 1024);
  return true;
}

bool has_begun(const struct shell *shell) {
  uint8_t refused;
  return read(shell->witness, &refused, 1) != 1;
}

void put_state(struct buffer *to, const struct shell *shell, char folder[PATH_MAX]) {
  static const char mark[] = "state";
  struct stat file;
  char *bytes = NULL;
  size_t length = 0;
  if (fstat(shell->text, &file) == 0 && file.st_size <= MAX_STATE_BYTES && (bytes = malloc((size_t)file.st_size + 1)) != NULL) {
    ssize_t got = pread(shell->text, bytes, (size_t)file.st_size, 0);
    /* Still the command's own text where its shell left no state. */
    if (got > (ssize_t)sizeof mark && memcmp(bytes, mark, sizeof mark) == 0) length = (size_t)got - sizeof mark;
  }
  const char *state = length > 0 ? bytes + sizeof mark : "";
  put_text(to, state, length);
  if (memccpy(folder, state, 0, length < PATH_MAX ? length : PATH_MAX) == NULL) folder[0] = 0;
  free(bytes);
}

void close_shell(struct shell *shell) {
  close_fd(&shell->output);
  close_fd(&shell->text);
  close_fd(&shell->witness);
}
