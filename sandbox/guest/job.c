/* Jobs: requests about files, each in a child of its own, because only the agent's rights may touch the agent's files, and so
 * that nothing in them holds up the loop. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define TIMEOUT_US 120000000
#define KILL_AGAIN_US 10000

/* How a job's child ends. */
enum { JOB_DONE, JOB_FAILED, JOB_TOO_MUCH, JOB_MISREAD, JOB_UNREADABLE };

struct job {
  struct job *next;
  uint32_t tag;
  pid_t child;
  int output;
  uint64_t deadline_us;
  struct buffer reply;
  bool has_waiter, has_exited, is_ended, is_late;
  int status;
};

static struct job *jobs;

static _Noreturn void work_in_child(int output, void (*work)(struct reader *, struct buffer *), struct reader *body) {
  struct buffer reply = {0};
  signal(SIGXFSZ, SIG_IGN);
  umask(022);
  if (!become_helper()) _exit(JOB_FAILED);
  work(body, &reply);
  if (body->bad) _exit(JOB_MISREAD);
  if (reply.failed) _exit(JOB_TOO_MUCH);
  for (size_t done = 0; done < reply.length;) {
    ssize_t wrote = write(output, reply.bytes + done, reply.length - done);
    if (wrote <= 0 && errno != EINTR) _exit(JOB_FAILED);
    if (wrote > 0) done += (size_t)wrote;
  }
  _exit(JOB_DONE);
}

void end_unreadable(void) { _exit(JOB_UNREADABLE); }

static size_t count_jobs(void) {
  size_t count = 0;
  for (struct job *one = jobs; one != NULL; one = one->next) count++;
  return count;
}

void start_job(uint32_t tag, void (*work)(struct reader *body, struct buffer *reply), struct reader *body) {
  struct job *job = calloc(1, sizeof *job);
  int pipes[2] = {-1, -1};
  pid_t child = -1;
  if (job != NULL && count_jobs() < MAX_JOBS && pipe2(pipes, O_CLOEXEC) == 0) {
    child = fork_anyway();
    if (child == 0) work_in_child(pipes[1], work, body);
    close(pipes[1]);
  }
  if (child < 0) {
    close_fd(&pipes[0]);
    free(job);
    return send_error(tag, ERROR_INTERRUPTED, "no process or memory left");
  }
  fcntl(pipes[0], F_SETFL, O_NONBLOCK);
  *job = (struct job){.next = jobs, .tag = tag, .child = child, .output = pipes[0], .has_waiter = true, .deadline_us = now_us() + TIMEOUT_US};
  jobs = job;
}

static void finish(struct job *job) {
  if (job->has_waiter) {
    int code = WIFEXITED(job->status) ? WEXITSTATUS(job->status) : JOB_FAILED;
    if (job->reply.failed || job->is_late) code = JOB_TOO_MUCH;
    if (code == JOB_DONE) send_frame(REPLY_OK, job->tag, &job->reply);
    else if (code == JOB_TOO_MUCH) send_error(job->tag, ERROR_TOO_MUCH, "more than one answer holds, or two minutes");
    else if (code == JOB_MISREAD) send_error(job->tag, ERROR_PROTOCOL, "not what this request holds");
    else if (code == JOB_UNREADABLE) send_error(job->tag, ERROR_UNREADABLE, "some of its files can't be read");
    else send_error(job->tag, ERROR_INTERRUPTED, "the helper was killed");
  }
  for (struct job **link = &jobs; *link != NULL; link = &(*link)->next) {
    if (*link != job) continue;
    *link = job->next;
    break;
  }
  close(job->output);
  free_buffer(&job->reply);
  free(job);
}

void job_reaped(pid_t pid, int status) {
  for (struct job *one = jobs; one != NULL; one = one->next) {
    if (one->child != pid) continue;
    one->has_exited = true;
    one->status = status;
  }
}

size_t job_poll(struct pollfd *to) {
  size_t count = 0;
  for (struct job *one = jobs; one != NULL; one = one->next)
    if (!one->is_ended) to[count++] = (struct pollfd){.fd = one->output, .events = POLLIN};
  return count;
}

void job_ready(const struct pollfd *ready, size_t count) {
  static uint8_t bytes[128 * 1024];
  for (struct job *one = jobs; one != NULL; one = one->next) {
    for (size_t i = 0; i < count; i++) {
      if (ready[i].fd != one->output || ready[i].revents == 0 || one->is_ended) continue;
      ssize_t got = read(one->output, bytes, sizeof bytes);
      if (got > 0) put_bytes(&one->reply, bytes, (size_t)got);
      else if (got == 0 || (errno != EAGAIN && errno != EINTR)) one->is_ended = true;
    }
  }
}

void job_timers(void) {
  for (struct job *one = jobs, *next; one != NULL; one = next) {
    next = one->next;
    if (one->has_exited && one->is_ended) {
      finish(one);
    } else if (!one->has_exited && now_us() >= one->deadline_us) {
      one->is_late = true;
      kill_helper(one->child);
      one->deadline_us = now_us() + KILL_AGAIN_US;
    }
  }
}

uint64_t job_due_us(void) {
  uint64_t due = UINT64_MAX;
  for (struct job *one = jobs; one != NULL; one = one->next)
    if (!one->has_exited && one->deadline_us < due) due = one->deadline_us;
  return due;
}

void forget_jobs(void) {
  for (struct job *one = jobs; one != NULL; one = one->next) one->has_waiter = false;
}

bool is_job(pid_t pid) {
  for (struct job *one = jobs; one != NULL; one = one->next)
    if (one->child == pid) return true;
  return false;
}

void end_jobs(void) {
  for (struct job *one = jobs; one != NULL; one = one->next) {
    if (one->has_exited) continue;
    kill_helper(one->child);
    one->has_exited = waitpid(one->child, &one->status, 0) == one->child;
  }
}
