/* Load: a process at EL0 that computes and makes system calls, a kernel at EL1 with a periodic tick and a log on the console. The amount of work is
 * fixed; how long it takes, and how many ticks come meanwhile, depends on who else runs. Boot arguments:
 *   work.calls=N    system calls in all (4000)
 *   work.rounds=N   rounds of arithmetic between two, 132 instructions each (40)
 *   work.log=N      a console line each N calls (500); 0: none
 *   work.tick=N     microseconds between ticks of the virtual timer (1000); 0: none
 *   work.read=N     the SP804 read each N calls, as a clock (20); 0: never */
#include "mmu.h"
#include "vm.h"

const char program_name[] = "work";

extern char work_process[];
#define SPSR_EL0T 0x3c0UL
/* Pages of the window: the process's code and data. */
#define CODE_PAGE 0
#define DATA_PAGE 1

static u64 buffer[512] __attribute__((aligned(4096)));
static u64 interval;
static volatile u32 ticks;

static void on_tick(u32 intid, void *argument) {
  (void)intid, (void)argument;
  ticks++;
  write_sysreg(cntv_cval_el0, timer_virtual_count() + interval);
  isb();
}

/* The rounds lie behind the 16 words of the process. */
static u64 run(u32 rounds) {
  struct lower_exit seen;
  buffer[16] = rounds;
  lower_call(WINDOW_BASE + CODE_PAGE * 4096UL, SPSR_EL0T, WINDOW_BASE + DATA_PAGE * 4096UL, &seen);
  if (esr_class(seen.esr) != EC_SVC64) {
    say("the process stopped: ESR 0x%lx FAR 0x%lx", seen.esr, seen.far);
    power_off();
  }
  return seen.x0;
}

/* The sum so far lives in vector registers too, where others that use them must not disturb it. */
static void vectors_put(u64 value) {
  __asm__ volatile(".arch_extension simd\n dup v8.2d, %0\n add v31.2d, v8.2d, v8.2d" ::"r"(value));
}
static bool vectors_hold(u64 value) {
  u64 low, high;
  __asm__ volatile(".arch_extension simd\n mov %0, v8.d[1]\n mov %1, v31.d[0]" : "=r"(low), "=r"(high));
  return low == value && high == 2 * value;
}

void program(void) {
  u32 calls = parameter("work.calls", 4000), rounds = parameter("work.rounds", 40), log = parameter("work.log", 500);
  u32 tick = parameter("work.tick", 1000), reading = parameter("work.read", 20);
  u64 sum = 0;
  u32 last = ~0u;
  bool forwards = true, held = true;
  if (!rounds) rounds = 1;
  say("%u calls of %u rounds", calls, rounds);
  mmu_window(CODE_PAGE, (u64)work_process, PAGE_READ_ONLY | PAGE_EXECUTE | PAGE_EL0);
  mmu_window(DATA_PAGE, (u64)buffer, PAGE_NORMAL | PAGE_EL0);
  for (u32 i = 0; i < 16; i++) buffer[i] = i * 0x9e3779b97f4a7c15UL;
  sp804_start(SP804_TIMER(BOARD_SP804_BASE, 0), 0, SP804_32BIT);
  if (tick) {
    interval = timer_ticks(tick);
    gic_handle(BOARD_VIRTUAL_TIMER_INTID, on_tick, NULL);
    gic_enable(BOARD_VIRTUAL_TIMER_INTID);
    write_sysreg(cntv_cval_el0, timer_virtual_count() + interval);
    write_sysreg(cntv_ctl_el0, CNT_CTL_ENABLE);
  }
  /* CPACR_EL1.FPEN: vector registers at EL1 and EL0. */
  write_sysreg(cpacr_el1, 3UL << 20);
  isb();
  vectors_put(sum);
  for (u32 n = 1; n <= calls; n++) {
    u64 next = sum * 31 + run(rounds);
    held = held && vectors_hold(sum);
    sum = next;
    vectors_put(sum);
    if (reading && n % reading == 0) {
      u32 value = read32(SP804_TIMER(BOARD_SP804_BASE, 0) + TimerValue);
      forwards = forwards && value <= last;
      last = value;
    }
    if (log && n % log == 0) say("%u calls, sum 0x%016lx", n, sum);
  }
  write_sysreg(cntv_ctl_el0, 0);
  isb();
  say("done, sum 0x%016lx, ticks came: %s, clock went on: %s, vectors kept: %s", sum, yes(!tick || ticks), yes(forwards), yes(held));
}
