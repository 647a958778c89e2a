#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

/* How long the loop may stand still for killing. */
#define KILL_US 1000000

bool become_agent(void) {
  setsid();
  return setgroups(0, NULL) == 0 && setresgid(agent.uid, agent.uid, agent.uid) == 0 &&
         setresuid(agent.uid, agent.uid, agent.uid) == 0 && install_command_filter();
}

/* The saved id stays root's, and with it the way back. */
void act_as_agent(void) {
  if (setresuid(agent.uid, agent.uid, 0) != 0) abort();
}

void act_as_root(void) {
  if (setresuid(0, 0, 0) != 0) abort();
}

void signal_as_agent(pid_t pid, int signal) {
  /* The kernel then refuses every target that is not the agent's, so that "all" are all of its processes, in one sweep that no
   * fork escapes. */
  act_as_agent();
  kill(pid, signal);
  act_as_root();
}

struct process {
  pid_t parent, session;
  char state;
};

/* False when it is gone. */
static bool look_at(pid_t pid, struct process *process) {
  char path[40], bytes[512];
  stpcpy(put_number(stpcpy(path, "/proc/"), (uint64_t)pid), "/stat");
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t got = read(fd, bytes, sizeof bytes - 1);
  close(fd);
  if (got <= 0) return false;
  bytes[got] = 0;
  /* The name before it, in brackets, may hold anything. */
  char *after = strrchr(bytes, ')');
  if (after == NULL || strlen(after) < 4) return false;
  process->state = after[2];
  process->parent = (pid_t)strtol(after + 3, &after, 10);
  strtol(after, &after, 10); /* its group */
  process->session = (pid_t)strtol(after, NULL, 10);
  return true;
}

bool is_from_engine(pid_t pid, uid_t uid) {
  struct process process;
  return uid == 0 && pid > 1 && look_at(pid, &process) && process.parent == 0;
}

bool scan_processes(struct process_set *known, pid_t session) {
  struct process_set found = {0};
  bool is_new = false;
  DIR *proc = opendir("/proc");
  if (proc == NULL) return false;
  for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
    pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
    struct process process;
    if (pid <= 1 || !look_at(pid, &process) || process.parent == 0 || is_job(pid)) continue;
    if (process.state == 'Z' || process.state == 'X') continue;
    pid_t *pids = realloc(found.pids, (found.count + 1) * sizeof *pids);
    if (pids == NULL) break;
    found.pids = pids;
    found.pids[found.count++] = pid;
    bool was_known = false;
    for (size_t i = 0; i < known->count && !was_known; i++) was_known = known->pids[i] == pid;
    is_new |= !was_known && (session == 0 || process.session == session);
  }
  closedir(proc);
  free(known->pids);
  *known = found;
  return is_new;
}

void kill_agent(void) {
  struct process_set left = {0};
  for (uint64_t end = now_us() + KILL_US; now_us() < end;) {
    signal_as_agent(-1, SIGKILL);
    scan_processes(&left, 0);
    if (left.count == 0) break;
    usleep(1000);
  }
  free(left.pids);
}

pid_t fork_anyway(void) {
  pid_t pid = fork();
  if (pid >= 0 || errno != EAGAIN || is_command_running()) return pid;
  kill_agent();
  reap_children();
  return fork();
}
