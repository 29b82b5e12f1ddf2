/* The generic timer, Arm ARM DDI 0487 D12: counters, and the physical, virtual and EL2 timers. */
#ifndef TIMER_H
#define TIMER_H
#include "arch.h"

#define CNT_CTL_ENABLE 1u
#define CNT_CTL_IMASK 2u
#define CNT_CTL_ISTATUS 4u

static inline u64 timer_frequency(void) { return read_sysreg(cntfrq_el0); }
static inline u64 timer_count(void) {
  isb();
  return read_sysreg(cntpct_el0);
}
static inline u64 timer_virtual_count(void) {
  isb();
  return read_sysreg(cntvct_el0);
}
u64 timer_ticks(u64 microseconds);
u64 timer_microseconds(u64 ticks);
u64 timer_nanoseconds(u64 ticks);
/* Busy wait. */
void timer_delay(u64 microseconds);

#endif
