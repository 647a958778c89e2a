/* What the parts of the guest share. */
#ifndef TWINPATCH_GUEST_H
#define TWINPATCH_GUEST_H

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "wire.h"

#define SOCKET_FOLDER "/run/twinpatch"
#define SOCKET_PATH SOCKET_FOLDER "/guestd.sock"
#define REPOSITORY "/testbed"
#define GUEST_FOLDER "/.twinpatch"
/* Where the shell of a command waits to be begun; where it finds the text it runs, and leaves its state. */
#define BEGIN_FD 251
#define STATE_FD 252
#define MAX_STATE_BYTES (256 * 1024)

/* Running and kept at once. A running command has three descriptors, the shell that waits four, the others one; all are below BEGIN_FD. */
#define MAX_COMMANDS 64
#define MAX_JOBS 24
#define MAX_VISITORS 8

/* Who the agent's processes are, and what they start with; fixed when an owner says hello. */
struct agent {
  uid_t uid;
  char **environment;
};
extern struct agent agent;

uint64_t now_us(void);
/* Writes a number as a path has it, with a NUL, which it returns the place of. */
char *put_number(char *to, uint64_t number);
/* Closes it, if it is open, and marks it so. */
void close_fd(int *fd);
/* Says a line on stderr; returns 1, for main. */
int complain(const char *what, const char *why);

/* serve.c: PID 1. Does not return. */
_Noreturn void serve(uint32_t lease_ms);
/* relay.c: copies stdin and stdout to the guest and back, until either ends. */
int relay(void);

/* process.c */
/* Becomes the agent for good, in a session of its own, with the second seccomp filter. False when any of it fails. */
bool become_agent(void);
/* Becomes one for good that may do to files what the agent may, in a session of its own, and that the agent can't signal. */
bool become_helper(void);
/* For as long as it takes: what this process does then, the agent could do. */
void act_as_agent(void);
void act_as_root(void);
/* Sends a signal as the agent would: it reaches no process but the agent's. `pid` may be -1, every one of them at once. */
void signal_as_agent(pid_t pid, int signal);
/* Kills one that has become a helper, or is about to. */
void kill_helper(pid_t pid);
/* Whether a process has been the agent's for a second or more. */
bool is_agent_for_long(pid_t pid);
/* Kills the agent's processes until none is left, also those that are born meanwhile; false when some are after a second. */
bool kill_agent(void);
struct process {
  pid_t pid, parent, session;
  char state;
};
struct process_set {
  struct process *list; /* to be freed */
  size_t count;
};
/* The living processes of the agent, but those of jobs and the shell that waits. */
struct process_set scan_processes(void);
/* Whether one that was found, of this session or (0) of any, is not among the known ones. */
bool has_new(const struct process_set *found, const struct process_set *known, pid_t session);
/* As fork. Where commands that are over left no process to be had, what they left is killed first. */
pid_t fork_anyway(void);
/* True for a process that the engine started beside us: root's, and of no parent in here. */
bool is_from_engine(pid_t pid, uid_t uid);

/* limits.c */
uint64_t memory_kills(void);
uint64_t refused_forks(void);
bool is_disk_full(const char *path);
void put_stat(struct buffer *to);

/* seccomp.c */
bool install_command_filter(void);

/* output.c */
struct output {
  uint64_t total;
  uint32_t head_size, tail_size, head_length;
  uint8_t *head, *tail; /* the tail is a ring */
};
/* False when memory ran out. */
bool open_output(struct output *output, uint32_t head_size, uint32_t tail_size);
void keep_output(struct output *output, const uint8_t *bytes, size_t length);
/* u64 bytes in all, string head, string tail */
void put_output(struct buffer *to, const struct output *output);
void close_output(struct output *output);

/* shell.c */
struct shell {
  pid_t pid;   /* -1: none */
  int input;   /* begins it, and tells whether it has noticed */
  int output;  /* what it writes, to be read without waiting */
  int text;    /* what it runs, and then the state that it leaves */
  int witness; /* tells whether it could be started */
};
#define NO_SHELL {.pid = -1, .input = -1, .output = -1, .text = -1, .witness = -1}
/* Starts a shell that waits to be begun; false when there is no process or memory for it. */
bool open_shell(struct shell *shell, pid_t (*make_process)(void));
/* Has it run a command, once; false when it had ended before. */
bool begin_shell(struct shell *shell, struct text setup, struct text command);
/* Has it run what another was begun with. */
bool begin_shell_again(struct shell *shell, const struct shell *other);
/* Whether it has noticed that it was begun; one that was killed before that has run nothing. */
bool has_read(const struct shell *shell);
/* Of a shell that has ended: false when there was no bash that could be started. */
bool has_begun(const struct shell *shell);
/* Puts the state it left; the first text of it, the working directory, is also left in `folder`. */
void put_state(struct buffer *to, const struct shell *shell, char folder[PATH_MAX]);
/* One that waits ends by itself. */
void close_shell(struct shell *shell);

/* command.c */
void run_command(uint32_t tag, struct reader *body);
void acknowledge_command(struct reader *body);
/* Has a shell wait for the next command, so that nobody waits for it to start. */
void prepare_shell(void);
bool is_waiting_shell(pid_t pid);
/* The shell that waits is of no use any more: it is killed, or has another environment. */
void renew_shell(void);
void shell_reaped(pid_t pid, int status);
bool is_command_running(void);
/* No command, finished or not, will be answered to the connection that ended. */
void forget_waiters(void);
/* Descriptors to wait for, and what to do with them; when the timers want to be called at the latest, or UINT64_MAX. */
struct pollfd;
size_t command_poll(struct pollfd *to);
void command_ready(const struct pollfd *ready, size_t count);
uint64_t command_due_us(void);
void command_timers(void);
/* Ends every process, and refuses every later command; false when some process is left. */
bool stop_commands(void);
/* Ends every command with what is left of it: the sandbox has written more than it may. */
void end_over_limit(void);

/* serve.c, for the others */
void send_frame(uint8_t type, uint32_t tag, const struct buffer *body);
void send_error(uint32_t tag, enum error_code code, const char *reason);
/* Takes in every child that has ended. */
void reap_children(void);

/* job.c: a verb that runs in a child with the agent's rights and writes the body of its reply to a pipe. */
void start_job(uint32_t tag, void (*work)(struct reader *body, struct buffer *reply), struct reader *body);
/* In a job: something that must be in its answer can't be read. */
_Noreturn void end_unreadable(void);
size_t job_poll(struct pollfd *to);
void job_ready(const struct pollfd *ready, size_t count);
uint64_t job_due_us(void);
void job_timers(void);
void job_reaped(pid_t pid, int status);
void forget_jobs(void);
/* Kills all of them, and waits until they are gone. */
void end_jobs(void);
bool is_job(pid_t pid);

/* path.c */
/* What a path names. */
struct found {
  int folder;              /* what it is in, open as a path */
  char name[NAME_MAX + 2]; /* its name there; empty where the path ends with a folder itself */
  int file;                /* it, open as a path; -1 where there is none of that name */
  bool is_dangling;        /* a link leads to where nothing is */
  const char *reason;      /* why it can't be had; nothing is open then */
  int error;               /* that the reason stands for, or 0 */
};
/* Follows an absolute path, also where nothing is yet; with `make_folders` the folders on its way are made. */
void find_path(struct found *found, const char *asked, bool make_folders);
void close_path(struct found *found);
/* Whether what is open is the kernel's or ours, and no file of the agent. */
bool is_closed(int fd);
/* A name by which what is open can be opened again. */
void put_link(char link[40], int fd);

/* files.c: verbs, each a job */
void read_file(struct reader *body, struct buffer *reply);
void write_file(struct reader *body, struct buffer *reply);
void list_folder(struct reader *body, struct buffer *reply);

/* walk.c */
#define MAX_DEPTH 256
/* Remembers the folders below the repository and the agent's usual places as they are before the first command. */
void remember_folders(void);
/* Notices that the clock was set back. */
void watch_clock(void);
bool is_changed(const struct stat *file);
/* Of a path, made name by name from 0 for the root. */
uint64_t hash_path(uint64_t parent, const char *name);
uint64_t hash_whole_path(const char *path);
/* Whether folders below this path were remembered, and whether this one was. */
bool is_watched(const char *path);
bool is_remembered(uint64_t path, ino_t inode);
bool is_dots(const char *name);
void raise_descriptor_limit(void);
/* Opens what the agent closed to itself, as its owner may, and gives its mode back. */
int open_closed(int parent, const char *name, int flags, mode_t needed);
/* Whether what is in an open folder takes room on a disk: it is not in memory, nor of the kernel's own. */
bool is_disk(int fd);
struct entries {
  DIR *names;
  struct stat folder;
  bool was_closed;
};
/* Opens a folder of a disk for looking at its entries, also one that the agent closed to itself. */
bool open_entries(struct entries *to, int parent, const char *name);
void close_entries(struct entries *open);
/* The contents of an open file as a string; false when they are more, or can't be read. */
bool put_contents(struct buffer *to, int fd, uint64_t most);

/* changes.c: verbs, each a job */
void list_changes(struct reader *body, struct buffer *reply);
void fetch_files(struct reader *body, struct buffer *reply);

/* usage.c: verbs, each a job */
/* Where in this sandbox anything can be written, and bytes and inodes of what was: the largest number where that can't be told. */
void list_places(struct reader *body, struct buffer *reply);
void measure_usage(struct reader *body, struct buffer *reply);

/* tree.c: verbs, each a job */
void save_tree(struct reader *body, struct buffer *reply);
void restore_tree(struct reader *body, struct buffer *reply);

#endif
