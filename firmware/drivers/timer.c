#include "timer.h"
#include "board.h"
#include "gicv2.h"

u64 timer_ticks(u64 microseconds) { return microseconds * timer_frequency() / 1000000; }
u64 timer_microseconds(u64 ticks) { return ticks * 1000000 / timer_frequency(); }
u64 timer_nanoseconds(u64 ticks) {
  u64 f = timer_frequency();
  return ticks / f * 1000000000 + ticks % f * 1000000000 / f;
}

void timer_delay(u64 microseconds) {
  u64 start = timer_count(), ticks = timer_ticks(microseconds);
  while (timer_count() - start < ticks) {
  }
}

/* A handler only has to silence the timer: waking up is the point. */
static void physical_wake(u32 intid, void *argument) {
  (void)intid, (void)argument;
  write_sysreg(cntp_ctl_el0, CNT_CTL_IMASK);
  isb();
}
static void virtual_wake(u32 intid, void *argument) {
  (void)intid, (void)argument;
  write_sysreg(cntv_ctl_el0, CNT_CTL_IMASK);
  isb();
}

bool wait_count(volatile u32 *counter, u32 target, u64 microseconds, enum watchdog watchdog) {
  u64 deadline = timer_count() + timer_ticks(microseconds);
  u32 intid = watchdog == WATCHDOG_PHYSICAL ? BOARD_PHYSICAL_TIMER_INTID : BOARD_VIRTUAL_TIMER_INTID;
  bool done;
  gic_handle(intid, watchdog == WATCHDOG_PHYSICAL ? physical_wake : virtual_wake, NULL);
  /* CNTVOFF_EL2 is zero: both counters are one. */
  if (watchdog == WATCHDOG_PHYSICAL) {
    write_sysreg(cntp_cval_el0, deadline);
    write_sysreg(cntp_ctl_el0, CNT_CTL_ENABLE);
  } else {
    write_sysreg(cntv_cval_el0, deadline);
    write_sysreg(cntv_ctl_el0, CNT_CTL_ENABLE);
  }
  gic_enable(intid);
  for (;;) {
    /* Masked from the test to WFI, so that no wake-up is lost: WFI ends on a pending interrupt, masked or not. */
    irq_disable();
    done = (s32)(*counter - target) >= 0;
    if (done || timer_count() >= deadline) break;
    wfi();
    irq_enable();
  }
  if (watchdog == WATCHDOG_PHYSICAL) write_sysreg(cntp_ctl_el0, 0);
  else write_sysreg(cntv_ctl_el0, 0);
  isb();
  gic_disable(intid);
  irq_enable();
  return done;
}
