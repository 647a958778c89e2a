/* How guestd runs with sanitizers: what they find goes to a file that every user may make, and ends the process. Leaks are not
 * looked for: that takes a right that no process of a sandbox has. */
#define REPORTS "log_path=/tmp/sanitizer-report:exitcode=99"

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *__asan_default_options(void) {
  return REPORTS ":detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=8:malloc_context_size=8";
}

const char *__ubsan_default_options(void) { return REPORTS ":print_stacktrace=1"; }
