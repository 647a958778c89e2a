/* What the parts of the guest share. */
#ifndef TWINPATCH_GUEST_H
#define TWINPATCH_GUEST_H

#include <sys/types.h>

#include "wire.h"

#define SOCKET_FOLDER "/run/twinpatch"
#define SOCKET_PATH SOCKET_FOLDER "/guestd.sock"
#define REPOSITORY "/testbed"
/* Where the shell of a command finds the text it runs, and where it leaves its state. */
#define STATE_FD 252

/* Who the agent's processes are, and what they start with; fixed when an owner says hello. */
struct agent {
  uid_t uid;
  char **environment;
};
extern struct agent agent;

uint64_t now_us(void);

/* serve.c: PID 1. Does not return. */
_Noreturn void serve(uint32_t lease_ms);
/* relay.c: copies stdin and stdout to the guest and back, until either ends. */
int relay(void);
/* state.c: leaves the working directory and environment of the shell that became this program. */
int save_state(int code);

/* process.c */
/* Becomes the agent for good, in a session of its own, with the second seccomp filter. False when any of it fails. */
bool become_agent(void);
/* For as long as it takes: what this process does then, the agent could do. */
void act_as_agent(void);
void act_as_root(void);
/* Sends a signal as the agent would: it reaches no process but the agent's. `pid` may be -1, every one of them at once. */
void signal_as_agent(pid_t pid, int signal);
/* Kills the agent's processes until none is left, also those that are born meanwhile; gives up after a second. */
void kill_agent(void);
/* Puts the living processes of the agent into `known`; true when one of them, of this session or (0) of any, was not in it. */
struct process_set {
  pid_t *pids;
  size_t count;
};
bool scan_processes(struct process_set *known, pid_t session);
/* True for a process that the engine started beside us: root's, and of no parent in here. */
bool is_from_engine(pid_t pid, uid_t uid);

/* limits.c */
uint64_t memory_kills(void);
uint64_t refused_forks(void);
bool is_disk_full(const char *path);
void put_stat(struct buffer *to);

/* seccomp.c */
bool install_command_filter(void);

/* command.c */
void run_command(uint32_t tag, struct reader *body);
void acknowledge_command(struct reader *body);
void shell_reaped(pid_t pid, int status);
/* No command, finished or not, will be answered to the connection that ended. */
void forget_waiters(void);
/* Descriptors to wait for, and what to do with them; the poll timeout in ms that the commands need, or -1. */
struct pollfd;
size_t command_poll(struct pollfd *to, size_t room);
void command_ready(const struct pollfd *ready, size_t count);
int command_timeout_ms(void);
void command_timers(void);
void stop_commands(void);
/* Ends every command with what is left of it: the sandbox has written more than it may. */
void end_over_limit(void);

/* serve.c, for the others */
void send_frame(uint8_t type, uint32_t tag, const struct buffer *body);
void send_error(uint32_t tag, enum error_code code, const char *reason);
/* Takes in every child that has ended. */
void reap_children(void);

/* job.c: a verb that runs in a child of the agent's uid and writes the body of its reply to a pipe. */
void start_job(uint32_t tag, void (*work)(struct reader *body, struct buffer *reply), struct reader *body);
size_t job_poll(struct pollfd *to, size_t room);
void job_ready(const struct pollfd *ready, size_t count);
int job_timeout_ms(void);
void job_timers(void);
void job_reaped(pid_t pid, int status);
void forget_jobs(void);
bool is_job(pid_t pid);

/* files.c: verbs, each a job */
void read_file(struct reader *body, struct buffer *reply);
void write_file(struct reader *body, struct buffer *reply);
void list_folder(struct reader *body, struct buffer *reply);

/* changes.c */
/* Remembers every folder of the repository as it is before the first command. */
void remember_folders(void);
/* Notices that the clock was set back. */
void watch_clock(void);
void list_changes(struct reader *body, struct buffer *reply);
void fetch_files(struct reader *body, struct buffer *reply);
/* Bytes and inodes of all that was written in this sandbox. */
void measure_usage(struct reader *body, struct buffer *reply);

#endif
