/* Jobs: requests about files, each in a child of its own, because only the agent's uid may touch the agent's files, and so
 * that nothing in them holds up the loop. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

#define TIMEOUT_US 120000000

struct job {
  struct job *next;
  uint32_t tag;
  pid_t child;
  int output;
  uint64_t deadline_us;
  struct buffer reply;
  bool has_waiter, has_exited, is_ended;
  int status;
};

static struct job *jobs;

static _Noreturn void work_in_child(int output, void (*work)(struct reader *, struct buffer *), struct reader *body) {
  struct buffer reply = {0};
  signal(SIGXFSZ, SIG_IGN);
  if (!become_agent()) _exit(1);
  work(body, &reply);
  if (reply.failed) _exit(2);
  for (size_t done = 0; done < reply.length;) {
    ssize_t wrote = write(output, reply.bytes + done, reply.length - done);
    if (wrote <= 0 && errno != EINTR) _exit(1);
    if (wrote > 0) done += (size_t)wrote;
  }
  _exit(0);
}

void start_job(uint32_t tag, void (*work)(struct reader *body, struct buffer *reply), struct reader *body) {
  struct job *job = calloc(1, sizeof *job);
  int pipes[2] = {-1, -1};
  pid_t child = -1;
  if (job != NULL && pipe2(pipes, O_CLOEXEC) == 0) {
    child = fork();
    if (child == 0) work_in_child(pipes[1], work, body);
    close(pipes[1]);
  }
  if (child < 0) {
    if (pipes[0] >= 0) close(pipes[0]);
    free(job);
    return send_error(tag, ERROR_INTERRUPTED, "no process or memory left");
  }
  fcntl(pipes[0], F_SETFL, O_NONBLOCK);
  *job = (struct job){.next = jobs, .tag = tag, .child = child, .output = pipes[0], .has_waiter = true, .deadline_us = now_us() + TIMEOUT_US};
  jobs = job;
}

static void finish(struct job *job) {
  if (job->has_waiter) {
    bool is_whole = WIFEXITED(job->status) && WEXITSTATUS(job->status) == 0 && !job->reply.failed;
    bool too_much = job->reply.failed || (WIFEXITED(job->status) && WEXITSTATUS(job->status) == 2);
    if (is_whole) send_frame(REPLY_OK, job->tag, &job->reply);
    else if (too_much) send_error(job->tag, ERROR_TOO_MUCH, "more than one answer holds");
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

size_t job_poll(struct pollfd *to, size_t room) {
  size_t count = 0;
  for (struct job *one = jobs; one != NULL && count < room; one = one->next)
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
    if (one->has_exited && one->is_ended) finish(one);
    else if (!one->has_exited && now_us() >= one->deadline_us) signal_as_agent(one->child, SIGKILL);
  }
}

int job_timeout_ms(void) {
  uint64_t now = now_us();
  int least = -1;
  for (struct job *one = jobs; one != NULL; one = one->next) {
    int left = one->deadline_us <= now ? 10 : (int)((one->deadline_us - now) / 1000 + 1);
    if (least < 0 || left < least) least = left;
  }
  return least;
}

void forget_jobs(void) {
  for (struct job *one = jobs; one != NULL; one = one->next) one->has_waiter = false;
}

bool is_job(pid_t pid) {
  for (struct job *one = jobs; one != NULL; one = one->next)
    if (one->child == pid) return true;
  return false;
}
