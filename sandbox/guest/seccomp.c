/* The second filter: what no command of an agent needs and kernels were broken through. It adds to the engine's own. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "guest.h"

#define DATA(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS_ARCH(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skip))
/* Each names how many statements lie between it and the refusal. */
#define REFUSE(number, distance) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), (distance), 0)
/* The same for what is done for nothing: PR_SET_DUMPABLE would close a process to being measured, and the caller hears that it was. */
#define LOOK_AT_PRCTL(number, distance) REFUSE(number, distance)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* io_uring_setup, _enter and _register have one number everywhere. */
#define IO_URING 425
/* From here on, numbers of x86-64 are those of its third interface, under other names. */
#define X32 0x40000000

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define COMPAT AUDIT_ARCH_I386
enum { COMPAT_BPF = 357, COMPAT_USERFAULTFD = 374, COMPAT_KEYCTL = 288, COMPAT_PERF = 336, COMPAT_PRCTL = 172 };
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#define COMPAT AUDIT_ARCH_ARM
enum { COMPAT_BPF = 386, COMPAT_USERFAULTFD = 388, COMPAT_KEYCTL = 311, COMPAT_PERF = 364, COMPAT_PRCTL = 172 };
#else
#error "guestd has no list of system calls for this architecture"
#endif

bool install_command_filter(void) {
  struct sock_filter program[] = {
      DATA(arch),
      UNLESS_ARCH(NATIVE, 11),
      DATA(nr),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 23, 0),
      REFUSE(__NR_bpf, 22),
      REFUSE(__NR_userfaultfd, 21),
      REFUSE(__NR_keyctl, 20),
      REFUSE(__NR_perf_event_open, 19),
      REFUSE(IO_URING, 18),
      REFUSE(IO_URING + 1, 17),
      REFUSE(IO_URING + 2, 16),
      LOOK_AT_PRCTL(__NR_prctl, 11),
      ALLOW,
      UNLESS_ARCH(COMPAT, 13),
      DATA(nr),
      REFUSE(COMPAT_BPF, 11),
      REFUSE(COMPAT_USERFAULTFD, 10),
      REFUSE(COMPAT_KEYCTL, 9),
      REFUSE(COMPAT_PERF, 8),
      LOOK_AT_PRCTL(COMPAT_PRCTL, 3),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, IO_URING + 3, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, IO_URING, 5, 0),
      ALLOW,
      DATA(args[0]), /* of which the kernel, too, takes the lower half */
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_DUMPABLE, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
      ALLOW,
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
  };
  struct sock_fprog filter = {.len = sizeof program / sizeof *program, .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}
