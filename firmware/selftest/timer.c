/* The generic timer: counters, and the interrupt of each timer of this exception level. */
#include "gicv2.h"
#include "selftest.h"

#define DELAY_US 1000

static volatile u32 fired;
static u64 fired_at;
static u64 fired_status;

static void physical(u32 intid, void *argument) {
  (void)intid, (void)argument;
  fired_at = timer_count();
  fired_status = read_sysreg(cntp_ctl_el0);
  write_sysreg(cntp_ctl_el0, CNT_CTL_ENABLE | CNT_CTL_IMASK);
  isb();
  fired++;
}
static void virtual(u32 intid, void *argument) {
  (void)intid, (void)argument;
  fired_at = timer_count();
  fired_status = read_sysreg(cntv_ctl_el0);
  write_sysreg(cntv_ctl_el0, CNT_CTL_ENABLE | CNT_CTL_IMASK);
  isb();
  fired++;
}
static void hypervisor(u32 intid, void *argument) {
  (void)intid, (void)argument;
  fired_at = timer_count();
  fired_status = read_sysreg(cnthp_ctl_el2);
  write_sysreg(cnthp_ctl_el2, CNT_CTL_ENABLE | CNT_CTL_IMASK);
  isb();
  fired++;
}

static void report(const char *name, u32 intid, u64 due, bool came) {
  bool early = fired_at < due;
  check(name, came && !early && fired_status == (CNT_CTL_ENABLE | CNT_CTL_ISTATUS), "INTID %u, CTL %lu, %s, late by t=%luus", intid, fired_status,
        early ? "EARLY" : "not early", came ? timer_microseconds(fired_at - due) : 0);
}

void test_timer(void) {
  u64 a, b, due;
  bool came;
  section("Generic timer");
  a = timer_count();
  b = timer_virtual_count();
  due = timer_count();
  check("timer.counters", a <= b && b <= due, "physical, virtual and physical again do not go back");

  fired = 0;
  gic_handle(BOARD_PHYSICAL_TIMER_INTID, physical, NULL);
  gic_enable(BOARD_PHYSICAL_TIMER_INTID);
  write_sysreg(cntp_tval_el0, timer_ticks(DELAY_US));
  due = read_sysreg(cntp_cval_el0);
  write_sysreg(cntp_ctl_el0, CNT_CTL_ENABLE);
  came = wait_count(&fired, 1, 100 * DELAY_US, WATCHDOG_VIRTUAL);
  report("timer.physical", BOARD_PHYSICAL_TIMER_INTID, due, came);
  s32 left = (s32)read_sysreg(cntp_tval_el0);
  check("timer.tval-negative", left <= 0, "TimerValue counts on below zero");
  write_sysreg(cntp_ctl_el0, 0);
  gic_disable(BOARD_PHYSICAL_TIMER_INTID);

  fired = 0;
  gic_handle(BOARD_VIRTUAL_TIMER_INTID, virtual, NULL);
  gic_enable(BOARD_VIRTUAL_TIMER_INTID);
  due = timer_virtual_count() + timer_ticks(DELAY_US);
  write_sysreg(cntv_cval_el0, due);
  write_sysreg(cntv_ctl_el0, CNT_CTL_ENABLE);
  came = wait_count(&fired, 1, 100 * DELAY_US, WATCHDOG_PHYSICAL);
  report("timer.virtual", BOARD_VIRTUAL_TIMER_INTID, due, came);
  write_sysreg(cntv_ctl_el0, 0);
  gic_disable(BOARD_VIRTUAL_TIMER_INTID);

  /* Masked: the status is there, the interrupt is not. */
  fired = 0;
  write_sysreg(cntv_cval_el0, timer_virtual_count());
  write_sysreg(cntv_ctl_el0, CNT_CTL_ENABLE | CNT_CTL_IMASK);
  gic_enable(BOARD_VIRTUAL_TIMER_INTID);
  timer_delay(20);
  a = read_sysreg(cntv_ctl_el0);
  check("timer.masked", a == (CNT_CTL_ENABLE | CNT_CTL_IMASK | CNT_CTL_ISTATUS) && fired == 0 && !gic_pending(BOARD_VIRTUAL_TIMER_INTID),
        "CTL %lu, %u interrupts", a, fired);
  write_sysreg(cntv_ctl_el0, 0);
  gic_disable(BOARD_VIRTUAL_TIMER_INTID);

  if (boot_el != 2) return;
  fired = 0;
  gic_handle(BOARD_HYPERVISOR_TIMER_INTID, hypervisor, NULL);
  gic_enable(BOARD_HYPERVISOR_TIMER_INTID);
  due = timer_count() + timer_ticks(DELAY_US);
  write_sysreg(cnthp_cval_el2, due);
  write_sysreg(cnthp_ctl_el2, CNT_CTL_ENABLE);
  came = wait_count(&fired, 1, 100 * DELAY_US, WATCHDOG_PHYSICAL);
  report("timer.hypervisor", BOARD_HYPERVISOR_TIMER_INTID, due, came);
  write_sysreg(cnthp_ctl_el2, 0);
  gic_disable(BOARD_HYPERVISOR_TIMER_INTID);
  /* The virtual counter is the physical one less the offset. */
  write_sysreg(cntvoff_el2, 1000000);
  a = timer_virtual_count();
  b = timer_count();
  write_sysreg(cntvoff_el2, 0);
  check("timer.offset", b - a >= 1000000 && b - a < 1000000 + timer_frequency(), "CNTVOFF 1000000 sets the virtual counter back");
}
