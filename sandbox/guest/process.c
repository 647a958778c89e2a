#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

/* Nobody's in here but the helpers'. */
#define HELPER_UID (agent.uid + 1)
/* How long the loop may stand still for killing. */
#define KILL_US 1000000

static bool become(uid_t own, uid_t acting) {
  setsid();
  return setgroups(0, NULL) == 0 && setresgid(agent.uid, agent.uid, agent.uid) == 0 && setresuid(own, acting, own) == 0 &&
         install_command_filter();
}

bool become_agent(void) { return become(agent.uid, agent.uid); }

/* Files are opened with the acting user's rights; a signal has to come from the real or the saved one. */
bool become_helper(void) { return become(HELPER_UID, agent.uid); }

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

void kill_helper(pid_t pid) {
  if (kill(pid, SIGKILL) == 0 || errno != EPERM) return;
  if (setresuid(HELPER_UID, HELPER_UID, 0) != 0) abort();
  kill(pid, SIGKILL);
  act_as_root();
}

/* Reads the start of a file about a process; false when it is gone. */
static bool read_about(pid_t pid, const char *file, char *bytes, size_t size) {
  char path[40];
  stpcpy(put_number(stpcpy(path, "/proc/"), (uint64_t)pid), file);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t got = read(fd, bytes, size - 1);
  close(fd);
  if (got <= 0) return false;
  bytes[got] = 0;
  return true;
}

/* False when it is gone. */
static bool look_at(pid_t pid, struct process *process) {
  char bytes[512];
  if (!read_about(pid, "/stat", bytes, sizeof bytes)) return false;
  /* The name before it, in brackets, may hold anything. */
  char *after = strrchr(bytes, ')');
  if (after == NULL || strlen(after) < 4) return false;
  process->state = after[2];
  process->parent = (pid_t)strtol(after + 3, &after, 10);
  strtol(after, &after, 10); /* its group */
  process->session = (pid_t)strtol(after, NULL, 10);
  return true;
}

bool is_agent_for_long(pid_t pid) {
  char bytes[1024];
  struct timespec now;
  const char *user = read_about(pid, "/status", bytes, sizeof bytes) ? strstr(bytes, "\nUid:\t") : NULL;
  if (user == NULL || strtoul(user + 6, NULL, 10) != agent.uid) return false;
  char *at = read_about(pid, "/stat", bytes, sizeof bytes) ? strrchr(bytes, ')') : NULL;
  /* Its start is the 20th number after the name. */
  for (int field = 0; at != NULL && field < 20; field++) at = strchr(at + 1, ' ');
  if (at == NULL || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return false;
  return (uint64_t)now.tv_sec > strtoull(at, NULL, 10) / (uint64_t)sysconf(_SC_CLK_TCK) + 1;
}

bool is_from_engine(pid_t pid, uid_t uid) {
  struct process process;
  return uid == 0 && pid > 1 && look_at(pid, &process) && process.parent == 0;
}

struct process_set scan_processes(void) {
  struct process_set found = {0};
  DIR *proc = opendir("/proc");
  if (proc == NULL) return found;
  for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
    struct process process = {.pid = (pid_t)strtol(entry->d_name, NULL, 10)};
    if (process.pid <= 1 || is_job(process.pid) || is_waiting_shell(process.pid)) continue;
    if (!look_at(process.pid, &process) || process.parent == 0) continue;
    if (process.state == 'Z' || process.state == 'X') continue;
    struct process *list = realloc(found.list, (found.count + 1) * sizeof *list);
    if (list == NULL) break;
    found.list = list;
    found.list[found.count++] = process;
  }
  closedir(proc);
  return found;
}

bool has_new(const struct process_set *found, const struct process_set *known, pid_t session) {
  for (size_t i = 0; i < found->count; i++) {
    if (session != 0 && found->list[i].session != session) continue;
    bool was_known = false;
    for (size_t k = 0; k < known->count && !was_known; k++) was_known = known->list[k].pid == found->list[i].pid;
    if (!was_known) return true;
  }
  return false;
}

bool kill_agent(void) {
  renew_shell();
  for (uint64_t end = now_us() + KILL_US;;) {
    signal_as_agent(-1, SIGKILL);
    struct process_set left = scan_processes();
    free(left.list);
    if (left.count == 0) return true;
    if (now_us() >= end) return false;
    usleep(1000);
  }
}

pid_t fork_anyway(void) {
  pid_t pid = fork();
  if (pid >= 0 || errno != EAGAIN || is_command_running()) return pid;
  kill_agent();
  reap_children();
  return fork();
}
