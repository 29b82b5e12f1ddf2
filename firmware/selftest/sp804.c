/* SP804, Arm DDI 0271D: both timers and their three interrupt lines. Not on every board: the device tree says. */
#include "fdt.h"
#include "gicv2.h"
#include "selftest.h"
#include "sp804.h"

#define TIMER1 SP804_TIMER(BOARD_SP804_BASE, 0)
#define TIMER2 SP804_TIMER(BOARD_SP804_BASE, 1)
#define MHZ (BOARD_SP804_CLOCK_HZ / 1000000u)

static volatile u32 first, second, combined;
static u64 stamps[8];

static void on_first(u32 intid, void *argument) {
  (void)intid, (void)argument;
  if (first < ARRAY_SIZE(stamps)) stamps[first] = timer_count();
  sp804_clear(TIMER1);
  first++;
}
static void on_second(u32 intid, void *argument) {
  (void)intid, (void)argument;
  sp804_clear(TIMER2);
  second++;
}
static void on_combined(u32 intid, void *argument) {
  (void)intid, (void)argument;
  sp804_clear(TIMER1);
  sp804_clear(TIMER2);
  combined++;
}

static bool near(u64 value, u64 wanted, u64 tolerance) { return value + tolerance >= wanted && value <= wanted + tolerance; }

static void test_registers(void) {
  u32 id = identification(BOARD_SP804_BASE + TimerPeriphID0), cell = identification(BOARD_SP804_BASE + TimerPCellID0);
  check("sp804.id", (id & 0xfffff) == 0x41804 && cell == PRIMECELL_ID, "0x%08x 0x%08x", id, cell);
  u32 value = read32(TIMER1 + TimerValue), control = read32(TIMER1 + TimerControl);
  check("sp804.reset", value == 0xffffffff && control == SP804_INT_ENABLE && read32(TIMER2 + TimerValue) == 0xffffffff, "VALUE 0x%08x CONTROL 0x%02x",
        value, control);

  sp804_start(TIMER1, 0, SP804_32BIT);
  u64 start = timer_count();
  u32 from = read32(TIMER1 + TimerValue);
  timer_delay(1000);
  u32 to = read32(TIMER1 + TimerValue);
  u64 spent = timer_nanoseconds(timer_count() - start);
  sp804_stop(TIMER1);
  check("sp804.free-running", near((u64)(from - to) * 1000 / MHZ, spent, spent / 50), "%u counts in t=%luus", from - to, spent / 1000);

  /* The raw status does not wait for the enable; the masked one is raw and enable. */
  sp804_start(TIMER1, 10 * MHZ, SP804_32BIT | SP804_PERIODIC);
  timer_delay(50);
  u32 ris = read32(TIMER1 + TimerRIS), mis = read32(TIMER1 + TimerMIS);
  write32(TIMER1 + TimerControl, read32(TIMER1 + TimerControl) & ~(u32)SP804_ENABLE);
  write32(TIMER1 + TimerControl, read32(TIMER1 + TimerControl) | SP804_INT_ENABLE);
  u32 enabled = read32(TIMER1 + TimerMIS);
  write32(TIMER1 + TimerIntClr, 0);
  check("sp804.raw-and-masked", ris == 1 && mis == 0 && enabled == 1 && read32(TIMER1 + TimerRIS) == 0, "RIS %u MIS %u, enabled MIS %u, cleared by a zero", ris,
        mis, enabled);
  sp804_stop(TIMER1);

  sp804_start(TIMER1, 1000000, SP804_32BIT | SP804_PERIODIC);
  /* The counter takes its new value at an edge of its clock, 1 us at most. */
  timer_delay(5);
  write32(TIMER1 + TimerBGLoad, 5000);
  timer_delay(5);
  u32 running = read32(TIMER1 + TimerValue), load = read32(TIMER1 + TimerLoad);
  write32(TIMER1 + TimerControl, SP804_ENABLE | SP804_32BIT | SP804_PERIODIC | SP804_INT_ENABLE);
  timer_delay(5);
  u32 after = read32(TIMER1 + TimerValue);
  sp804_stop(TIMER1);
  check("sp804.background-load", running > 900000 && load == 5000 && after > 900000 && after <= running, "the count goes on from %u, LOAD reads %u", running / 1000 * 1000, load);
}

static void test_interrupts(void) {
  gic_handle(BOARD_SP804_TIMER1_INTID, on_first, NULL);
  gic_handle(BOARD_SP804_TIMER2_INTID, on_second, NULL);
  gic_handle(BOARD_SP804_COMBINED_INTID, on_combined, NULL);
  gic_enable(BOARD_SP804_TIMER1_INTID);

  u64 start = timer_count();
  sp804_start(TIMER1, 1000 * MHZ, SP804_32BIT | SP804_PERIODIC | SP804_INT_ENABLE);
  wait_count(&first, 4, 100000, WATCHDOG_PHYSICAL);
  sp804_stop(TIMER1);
  u64 total = timer_microseconds(stamps[3] - start), period = timer_microseconds(stamps[3] - stamps[2]);
  check("sp804.periodic", first == 4 && near(total, 4000, 100) && near(period, 1000, 50), "INTID %u, %u interrupts of 1000us, last t=%luus",
        BOARD_SP804_TIMER1_INTID, first, period);

  first = 0;
  start = timer_count();
  sp804_start(TIMER1, 500 * MHZ, SP804_32BIT | SP804_ONE_SHOT | SP804_INT_ENABLE);
  wait_count(&first, 1, 100000, WATCHDOG_PHYSICAL);
  total = timer_microseconds(stamps[0] - start);
  timer_delay(1200);
  u32 value = read32(TIMER1 + TimerValue);
  sp804_stop(TIMER1);
  check("sp804.one-shot", first == 1 && near(total, 500, 50) && value == 0, "%u interrupt, VALUE stays %u, t=%luus", first, value, total);

  first = 0;
  start = timer_count();
  sp804_start(TIMER1, 4, SP804_32BIT | SP804_ONE_SHOT | SP804_INT_ENABLE | SP804_PRESCALE_256);
  wait_count(&first, 1, 100000, WATCHDOG_PHYSICAL);
  total = timer_microseconds(stamps[0] - start);
  sp804_stop(TIMER1);
  check("sp804.prescale-256", first == 1 && near(total, 4 * 256 / MHZ, 300), "4 counts of 256, nominal %uus, t=%luus", 4 * 256 / MHZ, total);

  /* 16-bit size: the upper half of LOAD does not count. */
  first = 0;
  start = timer_count();
  sp804_start(TIMER1, 0x00070000 | 200 * MHZ, SP804_ONE_SHOT | SP804_INT_ENABLE);
  wait_count(&first, 1, 100000, WATCHDOG_PHYSICAL);
  total = timer_microseconds(stamps[0] - start);
  sp804_stop(TIMER1);
  gic_disable(BOARD_SP804_TIMER1_INTID);
  check("sp804.16-bit", first == 1 && near(total, 200, 50), "nominal 200us, t=%luus", total);

  gic_enable(BOARD_SP804_TIMER2_INTID);
  sp804_start(TIMER2, 100 * MHZ, SP804_32BIT | SP804_ONE_SHOT | SP804_INT_ENABLE);
  wait_count(&second, 1, 100000, WATCHDOG_PHYSICAL);
  gic_disable(BOARD_SP804_TIMER2_INTID);
  sp804_stop(TIMER2);
  gic_enable(BOARD_SP804_COMBINED_INTID);
  sp804_start(TIMER1, 100 * MHZ, SP804_32BIT | SP804_ONE_SHOT | SP804_INT_ENABLE);
  wait_count(&combined, 1, 100000, WATCHDOG_PHYSICAL);
  sp804_start(TIMER2, 100 * MHZ, SP804_32BIT | SP804_ONE_SHOT | SP804_INT_ENABLE);
  wait_count(&combined, 2, 100000, WATCHDOG_PHYSICAL);
  gic_disable(BOARD_SP804_COMBINED_INTID);
  sp804_stop(TIMER1);
  sp804_stop(TIMER2);
  check("sp804.lines", second == 1 && combined == 2, "INTID %u: %u, combined INTID %u: %u", BOARD_SP804_TIMER2_INTID, second, BOARD_SP804_COMBINED_INTID,
        combined);
}

void test_sp804(void) {
  struct fdt_node node;
  u64 address, size;
  section("SP804");
  if (!device_tree || !fdt_compatible(device_tree, "arm,sp804", 0, &node)) {
    skip("sp804", "the device tree has none");
    return;
  }
  bool ok = fdt_reg(device_tree, &node, 0, &address, &size);
  if (!check("dtb.sp804", ok && address == BOARD_SP804_BASE, "arm,sp804 at 0x%lx", address)) return;
  test_registers();
  test_interrupts();
}
