/* Linux' own use of self-hosted debug and the PMU: ptrace with hardware watchpoints, breakpoints and single steps, perf counters. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

struct dbg { uint32_t info, pad; struct { uint64_t addr; uint32_t ctrl, pad; } regs[16]; };
struct regs { uint64_t x[31], sp, pc, pstate; };

static volatile uint64_t data[4];
static volatile long sink;
__attribute__((noinline)) void target(long n) { sink += n; asm volatile("" ::: "memory"); }
/* n times: subs, b.ne, then ret: 2n + 1 instructions */
void spin(uint64_t n);
asm(".global spin\nspin: subs x0, x0, #1\n b.ne spin\n ret\n");

static int failures;
static void check(const char *name, int good, const char *format, unsigned long a, unsigned long b) {
  printf("%s %s ", good ? "PASS" : "FAIL", name);
  printf(format, a, b);
  printf("\n");
  if (!good) failures++;
}
static void set(pid_t pid, int kind, int n, uint64_t addr, uint32_t ctrl) {
  struct dbg d = {0};
  struct iovec v = {&d, sizeof d};
  if (ptrace(PTRACE_GETREGSET, pid, (void *)(long)kind, &v)) perror("GETREGSET");
  d.regs[n].addr = addr;
  d.regs[n].ctrl = ctrl;
  v.iov_len = offsetof(struct dbg, regs) + 16 * (n + 1);
  if (ptrace(PTRACE_SETREGSET, pid, (void *)(long)kind, &v)) perror("SETREGSET");
}
static struct regs get(pid_t pid) {
  struct regs r;
  struct iovec v = {&r, sizeof r};
  ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &v);
  return r;
}
static siginfo_t stop(pid_t pid, int request) {
  int status;
  siginfo_t info = {0};
  ptrace(request, pid, 0, 0);
  waitpid(pid, &status, 0);
  if (WIFSTOPPED(status)) ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
  else info.si_signo = -1;
  return info;
}
static void child(void) {
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  data[0] = 1;
  *(volatile uint8_t *)((char *)data + 13) = 7;
  sink = data[2];
  target(5);
  spin(3);
  _exit(42);
}
static int counter(uint64_t config, int exclude_kernel) {
  struct perf_event_attr a;
  memset(&a, 0, sizeof a);
  a.type = PERF_TYPE_HARDWARE;
  a.size = sizeof a;
  a.config = config;
  a.disabled = 1;
  a.exclude_kernel = exclude_kernel;
  a.exclude_hv = 1;
  return syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}
static volatile int overflows;
static void overflowed(int s) { overflows++; }

int main(void) {
  int status;
  uint32_t info[2];
  setbuf(stdout, 0);
  pid_t pid = fork();
  if (!pid) child();
  waitpid(pid, &status, 0);
  struct dbg d;
  struct iovec v = {&d, sizeof d};
  ptrace(PTRACE_GETREGSET, pid, (void *)NT_ARM_HW_BREAK, &v);
  info[0] = d.info & 0xff;
  v.iov_len = sizeof d;
  ptrace(PTRACE_GETREGSET, pid, (void *)NT_ARM_HW_WATCH, &v);
  info[1] = d.info & 0xff;
  check("slots", info[0] == 6 && info[1] == 4, "breakpoints %lu watchpoints %lu", info[0], info[1]);
  /* ctrl: E, PAC 2 (EL0), LSC, BAS */
  set(pid, NT_ARM_HW_WATCH, 0, (uintptr_t)&data[0], 1 | 2 << 1 | 2 << 3 | 0xff << 5);
  set(pid, NT_ARM_HW_WATCH, 1, (uintptr_t)&data[1], 1 | 2 << 1 | 2 << 3 | 0x20 << 5);
  set(pid, NT_ARM_HW_WATCH, 2, (uintptr_t)&data[2], 1 | 2 << 1 | 1 << 3 | 0xff << 5);
  set(pid, NT_ARM_HW_BREAK, 0, (uintptr_t)target, 1 | 2 << 1 | 0xf << 5);
  siginfo_t s = stop(pid, PTRACE_CONT);
  check("watch-write", s.si_signo == SIGTRAP && s.si_code == 4 && s.si_addr == &data[0], "code %lu at %lx", s.si_code, (long)s.si_addr - (long)data);
  check("not-written", ptrace(PTRACE_PEEKDATA, pid, (void *)&data[0], 0) == 0, "%lu %lu", data[0], 0);
  set(pid, NT_ARM_HW_WATCH, 0, 0, 0);
  s = stop(pid, PTRACE_CONT);
  check("watch-byte", s.si_signo == SIGTRAP && (char *)s.si_addr == (char *)data + 13, "code %lu at %lx", s.si_code, (long)s.si_addr - (long)data);
  set(pid, NT_ARM_HW_WATCH, 1, 0, 0);
  s = stop(pid, PTRACE_CONT);
  check("watch-read", s.si_signo == SIGTRAP && s.si_addr == &data[2], "code %lu at %lx", s.si_code, (long)s.si_addr - (long)data);
  set(pid, NT_ARM_HW_WATCH, 2, 0, 0);
  s = stop(pid, PTRACE_CONT);
  struct regs r = get(pid);
  check("break", s.si_signo == SIGTRAP && r.pc == (uintptr_t)target && r.x[0] == 5, "pc %lx x0 %lu", r.pc, r.x[0]);
  set(pid, NT_ARM_HW_BREAK, 0, (uintptr_t)spin, 1 | 2 << 1 | 0xf << 5);
  s = stop(pid, PTRACE_CONT);
  r = get(pid);
  check("break-spin", r.pc == (uintptr_t)spin, "pc %lx x0 %lu", r.pc, r.x[0]);
  set(pid, NT_ARM_HW_BREAK, 0, 0, 0);
  int steps = 0;
  uint64_t back = r.x[30];
  while (r.pc != back && steps < 20) {
    s = stop(pid, PTRACE_SINGLESTEP);
    r = get(pid);
    steps++;
  }
  check("step", steps == 7 && r.x[0] == 0, "%lu steps, x0 %lu", steps, r.x[0]);
  ptrace(PTRACE_CONT, pid, 0, 0);
  waitpid(pid, &status, 0);
  check("goes-on", WIFEXITED(status) && WEXITSTATUS(status) == 42, "status %lx%.0s", status, 0);

  int fd = counter(PERF_COUNT_HW_INSTRUCTIONS, 1);
  check("perf-open", fd >= 0, "fd %ld errno %ld", fd, fd < 0 ? errno : 0);
  static const uint64_t times[3] = {1, 100001, 10000001};
  uint64_t counts[3];
  for (int warm = 0; warm < 2; warm++)
    for (int i = 0; i < 3; i++) {
      ioctl(fd, PERF_EVENT_IOC_RESET, 0);
      ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
      spin(times[i]);
      ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
      read(fd, &counts[i], 8);
    }
  uint64_t one = counts[1] - counts[0], two = counts[2] - counts[0];
  check("perf-instructions", one == 200000 && two == 20000000, "%lu and %lu more", one, two);
  int cycles = counter(PERF_COUNT_HW_CPU_CYCLES, 1);
  uint64_t c = 0;
  ioctl(cycles, PERF_EVENT_IOC_ENABLE, 0);
  spin(100000);
  ioctl(cycles, PERF_EVENT_IOC_DISABLE, 0);
  read(cycles, &c, 8);
  check("perf-cycles", c >= 200000 && c < 202000, "%lu%.0s", c, 0);
  struct perf_event_attr a;
  memset(&a, 0, sizeof a);
  a.type = PERF_TYPE_HARDWARE;
  a.size = sizeof a;
  a.config = PERF_COUNT_HW_INSTRUCTIONS;
  a.exclude_kernel = 1;
  a.sample_period = 100000;
  a.wakeup_events = 1;
  a.disabled = 1;
  int sampler = syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
  signal(SIGIO, overflowed);
  extern int fcntl(int, int, ...);
  fcntl(sampler, 8 /* F_SETOWN */, getpid());
  fcntl(sampler, 10 /* F_SETSIG */, SIGIO);
  fcntl(sampler, 4 /* F_SETFL */, 020000 /* O_ASYNC */);
  ioctl(sampler, PERF_EVENT_IOC_ENABLE, 0);
  spin(500000);
  ioctl(sampler, PERF_EVENT_IOC_DISABLE, 0);
  check("perf-overflow", overflows >= 8 && overflows <= 12, "%lu signals%.0s", overflows, 0);
  printf("SELFHOSTED-%s\n", failures ? "FAIL" : "OK");
  return failures != 0;
}
