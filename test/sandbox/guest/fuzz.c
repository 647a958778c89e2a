/* Everything that the guest reads of a connection, driven by bytes that are nearly right: `fuzz SEED CASES`.
 *
 * The loop's own parts are real: frames, requests, commands and their results, and what jobs read of their bodies. The world
 * around them is not: shells are pipes with bytes in them, jobs work in this process, and every file is missing. After each case
 * a good owner must still be answered, and all that was sent must be whole frames. */
#include "command.c"
#include "serve.c"

#define main guest_main
#include "main.c"
#undef main

#include <setjmp.h>
#include <stdio.h>

static uint64_t state;

static uint32_t any(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 32);
}

static uint32_t below(uint32_t end) { return any() % end; }

static _Noreturn void fail_case(const char *what) {
  fprintf(stderr, "fuzz: %s\n", what);
  abort();
}

/* --- the world --- */

static struct {
  int writer; /* held open by what the command left behind */
  pid_t pid;
} shells[MAX_COMMANDS * 2];
static size_t shell_count;

bool open_shell(struct shell *shell, pid_t (*make_process)(void)) {
  int ends[2];
  *shell = (struct shell)NO_SHELL;
  if (make_process() < 0 || shell_count == sizeof shells / sizeof *shells || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  shell->pid = 2 + (pid_t)below(1000000);
  shell->output = ends[0];
  shells[shell_count].writer = ends[1];
  shells[shell_count++].pid = shell->pid;
  return true;
}

bool begin_shell(struct shell *shell, struct text setup, struct text command) {
  (void)setup;
  for (size_t i = 0; i < shell_count; i++)
    for (uint32_t piece = shells[i].pid == shell->pid ? below(4) : 0; piece > 0; piece--)
      (void)!write(shells[i].writer, command.bytes, command.length);
  return below(16) != 0;
}

bool begin_shell_again(struct shell *shell, const struct shell *other) { return shell->pid != other->pid && below(4) != 0; }
bool has_read(const struct shell *shell) { return shell->pid % 4 != 0; }

pid_t __wrap_fork(void) { return below(16) == 0 ? -1 : 1; }
pid_t fork_anyway(void) { return __wrap_fork(); }

static void end_shells(void) {
  while (shell_count > 0) {
    shell_count--;
    if (below(8) != 0) shell_reaped(shells[shell_count].pid, (int)below(65536));
    close(shells[shell_count].writer);
  }
}

bool has_begun(const struct shell *shell) {
  (void)shell;
  return below(16) != 0;
}

void put_state(struct buffer *to, const struct shell *shell, char folder[PATH_MAX]) {
  (void)shell;
  folder[0] = 0;
  put_text(to, "/\0end", 6);
}

void close_shell(struct shell *shell) {
  shell->pid = -1;
  close_fd(&shell->output);
}

static jmp_buf job_end;
void end_unreadable(void) { longjmp(job_end, 1); }

void start_job(uint32_t tag, void (*work)(struct reader *, struct buffer *), struct reader *body) {
  static struct buffer reply;
  bool is_unreadable = setjmp(job_end) != 0;
  if (!is_unreadable) work(body, &reply);
  if (is_unreadable) send_error(tag, ERROR_UNREADABLE, "some of its files can't be read");
  else if (body->bad || reply.failed) send_error(tag, ERROR_PROTOCOL, "not what this request holds");
  else send_frame(REPLY_OK, tag, &reply);
  free_buffer(&reply);
}

size_t job_poll(struct pollfd *to) { return to == NULL; }
void job_ready(const struct pollfd *ready, size_t count) { (void)ready, (void)count; }
uint64_t job_due_us(void) { return UINT64_MAX; }
void job_timers(void) {}
void job_reaped(pid_t pid, int status) { (void)pid, (void)status; }
void forget_jobs(void) {}
void end_jobs(void) {}

void act_as_agent(void) {}
void signal_as_agent(pid_t pid, int signal) { (void)pid, (void)signal; }
void act_as_root(void) {}
bool kill_agent(void) { return true; }
bool is_agent_for_long(pid_t pid) { return pid % 2 == 0; }
bool is_from_engine(pid_t pid, uid_t uid) { return pid == 0 && uid == 0; }
struct process_set scan_processes(void) { return (struct process_set){0}; }
bool has_new(const struct process_set *found, const struct process_set *known, pid_t session) {
  return found->count > known->count || session != 0;
}
uint64_t memory_kills(void) { return 0; }
uint64_t refused_forks(void) { return 0; }
bool is_disk_full(const char *path) { return path[0] == 0; }
void put_stat(struct buffer *to) { put_u64(to, 0); }

/* What of libc would reach out of this process (see the linker's --wrap). */
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_lstat(const char *path, struct stat *file);
int __wrap_mkdirat(int folder, const char *path, mode_t mode);
int __wrap_fstatat(int folder, const char *path, struct stat *file, int flags);
ssize_t __wrap_write(int fd, const void *bytes, size_t length);
ssize_t __real_write(int fd, const void *bytes, size_t length);

static int missing(void) {
  errno = ENOENT;
  return -1;
}

int __wrap_open(const char *path, int flags, ...) { return (void)path, (void)flags, missing(); }
int __wrap_openat(int folder, const char *path, int flags, ...) { return (void)folder, (void)path, (void)flags, missing(); }
int __wrap_lstat(const char *path, struct stat *file) { return (void)path, (void)file, missing(); }
int __wrap_mkdirat(int folder, const char *path, mode_t mode) { return (void)folder, (void)path, (void)mode, missing(); }
int __wrap_fstatat(int folder, const char *path, struct stat *file, int flags) {
  return (void)folder, (void)path, (void)file, (void)flags, missing();
}

/* Descriptors of visitors, by their seats: none that is open. */
#define FIRST_FD (1 << 30)

static struct buffer heard[MAX_VISITORS];
static uint32_t answers;

/* A visitor takes as much as it likes. */
ssize_t __wrap_write(int fd, const void *bytes, size_t length) {
  if (fd < FIRST_FD) return __real_write(fd, bytes, length);
  struct buffer *all = &heard[fd - FIRST_FD];
  if (below(8) == 0) return errno = below(16) == 0 ? EPIPE : EAGAIN, -1;
  size_t taken = below(4) == 0 ? 1 + below((uint32_t)length) : length;
  put_bytes(all, bytes, taken);
  for (struct frame frame; all->length > 0;) {
    long size = parse_frame(all->bytes, all->length, &frame);
    if (size < 0 || (size > 0 && frame.type != REPLY_OK && frame.type != REPLY_ERROR)) fail_case("what was sent is no reply");
    if (size == 0) break;
    answers++;
    drop_front(all, (size_t)size);
  }
  return (ssize_t)taken;
}

/* --- the cases --- */

static uint32_t number(void) {
  static const uint32_t edges[] = {0, 1, 2, 63, 64, 65, 255, 256, 4096, 65535, MAX_FRAME_BYTES / 4, MAX_FRAME_BYTES,
                                   MAX_FRAME_BYTES + 1, INT32_MAX, 1u << 31, UINT32_MAX};
  return below(2) == 0 ? below(300) : edges[below(sizeof edges / sizeof *edges)];
}

static void put_any_text(struct buffer *to) {
  static const char *const texts[] = {"", "/", "/testbed", "/testbed/a/b", "//", "relative", "A=b", "0", "1", "2", "\0\0"};
  const char *text = texts[below(sizeof texts / sizeof *texts)];
  if (below(4) != 0) return put_text(to, text, strlen(text));
  uint8_t bytes[64];
  uint32_t length = below(sizeof bytes + 1);
  for (uint32_t i = 0; i < length; i++) bytes[i] = (uint8_t)any();
  put_text(to, bytes, length);
}

static void put_tree_record(struct buffer *to) {
  uint8_t kind = (uint8_t)"Dfl?"[below(4)];
  uint32_t names = below(4);
  put_u8(to, kind);
  put_any_text(to);
  put_u32(to, number());
  put_u64(to, number());
  put_u32(to, below(1000000100));
  if (kind == 'D') put_u32(to, below(8) == 0 ? number() : names);
  for (uint32_t texts = kind == 'D' ? names : 1; texts > 0; texts--) put_any_text(to);
}

static void put_request(struct buffer *to) {
  struct buffer body = {0};
  uint8_t type = (uint8_t)(below(16) == 0 ? any() : 1 + below(REQUEST_END));
  uint32_t count = below(4);
  switch (type) {
    case REQUEST_HELLO:
      put_u32(&body, WIRE_VERSION);
      put_u64(&body, below(4));
      put_u32(&body, number());
      put_u32(&body, count);
      while (count-- > 0) put_any_text(&body);
      break;
    case REQUEST_RUN:
      put_any_text(&body);
      put_u32(&body, number());
      put_u32(&body, below(2) == 0 ? below(100) : number());
      put_u32(&body, below(2) == 0 ? below(100) : number());
      put_any_text(&body);
      put_any_text(&body);
      break;
    case REQUEST_FETCH:
    case REQUEST_SAVE:
      put_u64(&body, number());
      put_u32(&body, count);
      while (count-- > 0) put_any_text(&body);
      break;
    case REQUEST_RESTORE: {
      struct buffer tree = {0};
      while (count-- > 0) put_tree_record(&tree);
      put_text(&body, tree.bytes, tree.length);
      free_buffer(&tree);
      break;
    }
    default:
      put_any_text(&body);
      put_u64(&body, number());
      put_u32(&body, number());
  }
  put_frame(to, type, any(), body.bytes, body.length);
  free_buffer(&body);
}

static void damage(struct buffer *frames) {
  for (uint32_t times = below(4); times > 0 && frames->length > 0; times--) {
    uint32_t at = below((uint32_t)frames->length), value = number();
    switch (below(4)) {
      case 0: frames->bytes[at] = (uint8_t)any(); break;
      case 1: frames->length = at; break;
      case 2: memmove(frames->bytes + at, frames->bytes + at + 1, --frames->length - at); break;
      default:
        for (size_t i = 0; i < 4 && at + i < frames->length; i++) frames->bytes[at + i] = (uint8_t)(value >> (8 * i));
    }
  }
}

static struct visitor *arrive(void) {
  uint32_t number_of_seat = below(MAX_VISITORS);
  struct visitor *seat = &visitors[number_of_seat];
  close_visitor(seat);
  int fd = FIRST_FD + (int)number_of_seat;
  *seat = (struct visitor){.fd = fd, .sink = fd};
  heard[number_of_seat].length = 0;
  return seat;
}

static void hear_bytes(struct visitor *from, const uint8_t *bytes, size_t length) {
  put_bytes(&from->in, bytes, length);
  if (from->in.failed) close_visitor(from);
  else handle_all(from);
}

static void expect_good_owner(void) {
  struct buffer hello = {0}, body = {0};
  put_u32(&body, WIRE_VERSION);
  put_u64(&body, newest_epoch);
  put_u32(&body, 1000);
  put_u32(&body, 0);
  put_frame(&hello, REQUEST_HELLO, 1, body.bytes, body.length);
  uint32_t before = answers;
  struct visitor *good = arrive();
  hear_bytes(good, hello.bytes, hello.length);
  for (int tries = 0; tries < 1000 && good->fd >= 0 && good->out.length > 0; tries++) flush_visitor(good);
  if (good->fd >= 0 && (owner != good || answers == before)) fail_case("a good owner was not answered");
  free_buffer(&hello);
  free_buffer(&body);
}

static void try_case(void) {
  struct buffer frames = {0};
  for (uint32_t count = 1 + below(6); count > 0; count--) put_request(&frames);
  if (below(8) == 0)
    for (size_t i = 0; i < frames.length; i++) frames.bytes[i] = (uint8_t)any();
  else if (below(2) == 0) damage(&frames);
  struct visitor *from = below(4) == 0 || owner == NULL ? arrive() : owner;
  uint32_t most = below(2) == 0 ? 8 : (uint32_t)frames.length + 1;
  for (size_t done = 0; done < frames.length && from->fd >= 0;) {
    size_t piece = 1 + below(most);
    if (piece > frames.length - done) piece = frames.length - done;
    /* Bytes of their own, so that reading past them is noticed. */
    uint8_t *bytes = malloc(piece);
    memcpy(bytes, frames.bytes + done, piece);
    hear_bytes(from, bytes, piece);
    free(bytes);
    done += piece;
  }
  free_buffer(&frames);
  if (below(4) == 0) end_shells();
  command_timers();
  prepare_shell();
  stopped = ended = false;
}

static void expect_bounds(void) {
  size_t count = 0;
  for (struct command *one = commands; one != NULL; one = one->next) count++;
  if (count > MAX_COMMANDS) fail_case("more commands are kept than there is room for");
  if (owner != NULL && owner->fd < 0) fail_case("the owner is a connection that ended");
}

/* Every cut of a frame is awaited, and its body is read within its bounds. */
static void try_cuts(void) {
  struct buffer frame = {0};
  put_request(&frame);
  for (size_t length = 0; length <= frame.length; length++) {
    uint8_t *bytes = malloc(length + 1);
    struct frame found;
    memcpy(bytes, frame.bytes, length);
    long size = parse_frame(bytes, length, &found);
    if (size != (length < frame.length ? 0 : (long)frame.length)) fail_case("a cut frame was taken, or a whole one was not");
    free(bytes);
  }
  free_buffer(&frame);
}

/* Head and tail are what they are of the whole. */
static void try_output(void) {
  uint8_t all[512];
  uint32_t head = below(100), tail = below(100), length = 0;
  struct output output;
  struct buffer kept = {0};
  if (!open_output(&output, head, tail)) fail_case("no memory");
  for (uint32_t pieces = below(8); pieces > 0; pieces--) {
    uint32_t piece = below(64);
    for (uint32_t i = 0; i < piece; i++) all[length + i] = (uint8_t)any();
    keep_output(&output, all + length, piece);
    length += piece;
  }
  put_output(&kept, &output);
  struct reader reader = {kept.bytes, kept.length, false};
  uint64_t total = get_u64(&reader);
  struct text first = get_text(&reader), last = get_text(&reader);
  size_t rest = length - first.length;
  if (total != length || first.length != (length < head ? length : head) || last.length != (rest < tail ? rest : tail) ||
      memcmp(first.bytes, all, first.length) != 0 || memcmp(last.bytes, all + length - last.length, last.length) != 0)
    fail_case("an output was not kept as it was written");
  close_output(&output);
  free_buffer(&kept);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  state = strtoull(argv[1], NULL, 10) * 2 + 1;
  unsigned long cases = strtoul(argv[2], NULL, 10);
  for (int i = 0; i < MAX_VISITORS; i++) visitors[i].fd = -1;
  for (unsigned long done = 0; done < cases; done++) {
    try_case();
    expect_bounds();
    if (done % 4 == 0) expect_good_owner();
    if (done % 16 == 0) try_cuts();
    if (done % 4 == 0) try_output();
  }
  printf("%lu cases, %u answers\n", cases, answers);
  return 0;
}
