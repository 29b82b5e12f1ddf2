/* GICv2, Arm IHI 0048B: identification and registers, then delivery as the CPU sees it. */
#include "gicv2.h"
#include "selftest.h"

/* An SPI that nothing on the board drives. */
#define FREE_SPI 232u

static u8 order[16];
static volatile u32 taken;
static u32 running_priority;

static void record(u32 intid, void *argument) {
  (void)argument;
  if (taken < sizeof order) order[taken] = (u8)intid;
  taken++;
}

static void record_end(u32 intid) {
  if (taken < sizeof order) order[taken] = (u8)(0x80 | intid);
  taken++;
}

/* Interrupts itself with a higher and a lower priority while it runs. */
static void nest(u32 intid, void *argument) {
  record(intid, argument);
  running_priority = gicc_read(GICC_RPR);
  u64 elr = read_sysreg_el(elr), spsr = read_sysreg_el(spsr);
  gic_send_self(5);
  gic_send_self(6);
  irq_enable();
  irq_disable();
  write_sysreg_el(elr, elr);
  write_sysreg_el(spsr, spsr);
  record_end(intid);
}

static void reset_order(void) {
  taken = 0;
  memset(order, 0, sizeof order);
}

static bool order_is(const char *expected, u32 length) { return taken == length && !memcmp(order, expected, length); }

void test_gic(void) {
  section("GICv2 registers");
  u32 typer = gicd_read(GICD_TYPER), lines = 32 * ((typer & 31) + 1), cpus = (typer >> 5 & 7) + 1;
  u32 id = gicd_read(GICD_ICPIDR2), cid = identification(BOARD_GICD_BASE + GICD_CIDR0);
  check("gic.id", (id >> 4 & 15) == 2 && cid == PRIMECELL_ID, "architecture %u, component 0x%08x", id >> 4 & 15, cid);
  check("gic.lines", lines == GIC_LINES, "%u interrupts, %u CPU interface%s", lines, cpus, cpus == 1 ? "" : "s");

  gic_enable(FREE_SPI);
  u32 on = gicd_read(GICD_ICENABLER + FREE_SPI / 32 * 4) >> FREE_SPI % 32 & 1;
  gicd_write(GICD_ISENABLER + FREE_SPI / 32 * 4, 0);
  u32 still = gicd_read(GICD_ISENABLER + FREE_SPI / 32 * 4) >> FREE_SPI % 32 & 1;
  gic_disable(FREE_SPI);
  u32 off = gicd_read(GICD_ISENABLER + FREE_SPI / 32 * 4) >> FREE_SPI % 32 & 1;
  check("gic.enable", on && still && !off, "set %u, zeros written %u, cleared %u", on, still, off);

  gic_set_priority(FREE_SPI, 0x50);
  u32 word = gicd_read(GICD_IPRIORITYR + FREE_SPI);
  check("gic.priority-byte", (word & 0xffff) == (GIC_DEFAULT_PRIORITY << 8 | 0x50), "0x%08x", word);
  gic_set_priority(FREE_SPI, GIC_DEFAULT_PRIORITY);

  /* 4.3.12: the first registers name the CPU that reads; RAZ/WI with one CPU. */
  u32 targets = gicd_read(GICD_ITARGETSR);
  check("gic.targets", targets == (cpus == 1 ? 0 : 0x01010101u), "0x%08x", targets);
  /* 4.3.13: SGIs are edge-triggered and cannot be changed. */
  gicd_write(GICD_ICFGR, 0);
  check("gic.sgi-config", gicd_read(GICD_ICFGR) == 0xaaaaaaaa, "0x%08x", gicd_read(GICD_ICFGR));
  gic_set_edge(FREE_SPI, true);
  u32 edge = gicd_read(GICD_ICFGR + FREE_SPI / 16 * 4);
  gic_set_edge(FREE_SPI, false);
  check("gic.spi-config", (edge >> 2 * (FREE_SPI % 16) & 2) == 2 && gicd_read(GICD_ICFGR + FREE_SPI / 16 * 4) == 0, "0x%08x", edge);
  u32 iar = gicc_read(GICC_IAR);
  check("gic.spurious", iar == GIC_SPURIOUS && gicc_read(GICC_HPPIR) == GIC_SPURIOUS && gicc_read(GICC_RPR) == 0xff, "IAR %u, RPR 0x%02x", iar,
        gicc_read(GICC_RPR));
}

static void test_priorities(void) {
  for (u32 i = 1; i < 8; i++) {
    gic_enable(i);
    gic_handle(i, record, NULL);
  }
  reset_order();
  gic_send_self(7);
  wait_count(&taken, 1, 1000, WATCHDOG_PHYSICAL);
  check("gic.sgi", order_is("\7", 1), "SGI %u from itself", order[0]);

  irq_disable();
  reset_order();
  gic_set_priority(1, 0x80);
  gic_set_priority(2, 0x40);
  gic_set_priority(3, 0xc0);
  gic_send_self(1);
  gic_send_self(3);
  gic_send_self(2);
  u32 highest = gicc_read(GICC_HPPIR);
  irq_enable();
  check("gic.priority-order", highest == 2 && order_is("\2\1\3", 3), "HPPIR %u, then %u %u %u", highest, order[0], order[1], order[2]);

  /* 4.4.2: only a priority higher than the mask is signalled; equal is not. */
  reset_order();
  gicc_write(GICC_PMR, 0x80);
  gic_send_self(1);
  timer_delay(10);
  u32 before = taken;
  bool pending = gic_pending(1);
  gicc_write(GICC_PMR, 0xff);
  timer_delay(10);
  check("gic.priority-mask", before == 0 && pending && taken == 1, "%u under the mask, %u after", before, taken);

  gic_handle(4, nest, NULL);
  gic_set_priority(4, 0xa0);
  gic_set_priority(5, 0x20);
  gic_set_priority(6, 0xd0);
  reset_order();
  gic_send_self(4);
  wait_count(&taken, 4, 1000, WATCHDOG_PHYSICAL);
  check("gic.preemption", order_is("\4\5\x84\6", 4) && running_priority == 0xa0, "%u(%u)%u, RPR 0x%02x", order[0], order[1], order[3],
        running_priority);

  /* 3.3.3: at binary point 7 the group priority of group 0 has no bits: nothing preempts. */
  gicc_write(GICC_BPR, 7);
  reset_order();
  gic_send_self(4);
  wait_count(&taken, 4, 1000, WATCHDOG_PHYSICAL);
  check("gic.binary-point", order_is("\4\x84\5\6", 4), "%u()%u %u", order[0], order[2], order[3]);
  gicc_write(GICC_BPR, 0);
}

static void test_states(void) {
  gic_handle(FREE_SPI, record, NULL);
  reset_order();
  gic_set_pending(FREE_SPI);
  timer_delay(10);
  u32 before = taken;
  gic_enable(FREE_SPI);
  wait_count(&taken, 1, 1000, WATCHDOG_PHYSICAL);
  check("gic.spi-pending", before == 0 && taken == 1 && !gic_pending(FREE_SPI) && !gic_active(FREE_SPI), "%u while disabled, %u when enabled",
        before, taken);

  irq_disable();
  reset_order();
  gic_set_pending(FREE_SPI);
  gic_clear_pending(FREE_SPI);
  irq_enable();
  check("gic.clear-pending", taken == 0 && !gic_pending(FREE_SPI), "%u taken", taken);

  /* The states of 3.2.4, by hand. */
  irq_disable();
  gic_set_pending(FREE_SPI);
  u32 iar = gicc_read(GICC_IAR);
  bool active = gic_active(FREE_SPI) && !gic_pending(FREE_SPI);
  gic_set_pending(FREE_SPI);
  bool both = gic_active(FREE_SPI) && gic_pending(FREE_SPI);
  u32 again = gicc_read(GICC_IAR);
  gicc_write(GICC_EOIR, iar);
  bool back = !gic_active(FREE_SPI) && gic_pending(FREE_SPI);
  gic_clear_pending(FREE_SPI);
  check("gic.states", iar == FREE_SPI && active && both && again == GIC_SPURIOUS && back, "acknowledged %u, active %u, active and pending %u, then %u", iar,
        active, both, again);

  /* EOImode 1: EOIR drops the priority, DIR deactivates. */
  gicc_write(GICC_CTLR, GICC_CTLR_ENABLE_GRP0 | GICC_CTLR_EOI_MODE);
  gic_set_pending(FREE_SPI);
  iar = gicc_read(GICC_IAR);
  u32 priority = gicc_read(GICC_RPR);
  gicc_write(GICC_EOIR, iar);
  bool dropped = gic_active(FREE_SPI) && gicc_read(GICC_RPR) == 0xff;
  gicc_write(GICC_DIR, iar);
  bool ended = !gic_active(FREE_SPI);
  gicc_write(GICC_CTLR, GICC_CTLR_ENABLE_GRP0);
  check("gic.eoi-mode", iar == FREE_SPI && priority == GIC_DEFAULT_PRIORITY && dropped && ended, "dropped %u, deactivated %u", dropped, ended);
  irq_enable();
}

static void test_groups(void) {
  irq_disable();
  gicd_write(GICD_CTLR, 3);
  gicc_write(GICC_CTLR, GICC_CTLR_ENABLE_GRP0 | GICC_CTLR_ENABLE_GRP1);
  gic_set_group(FREE_SPI, 1);
  gic_set_pending(FREE_SPI);
  /* 4.4.4: a group 1 interrupt is not acknowledged by IAR when AckCtl is 0; 1022 says so. */
  u32 hppir = gicc_read(GICC_HPPIR), iar = gicc_read(GICC_IAR);
  check("gic.group1", hppir == GIC_SPURIOUS_GROUP1 && iar == GIC_SPURIOUS_GROUP1 && !gic_active(FREE_SPI), "HPPIR %u, IAR %u", hppir, iar);
  gicc_write(GICC_CTLR, GICC_CTLR_ENABLE_GRP0 | GICC_CTLR_ENABLE_GRP1 | GICC_CTLR_ACK_CTL);
  iar = gicc_read(GICC_IAR);
  gicc_write(GICC_EOIR, iar);
  check("gic.ack-ctl", iar == FREE_SPI && !gic_active(FREE_SPI), "IAR %u", iar);
  gicc_write(GICC_CTLR, GICC_CTLR_ENABLE_GRP0 | GICC_CTLR_ENABLE_GRP1);
  gic_set_pending(FREE_SPI);
  u32 ahppir = gicc_read(GICC_AHPPIR), aiar = gicc_read(GICC_AIAR);
  gicc_write(GICC_AEOIR, aiar);
  check("gic.aliased", ahppir == FREE_SPI && aiar == FREE_SPI && !gic_active(FREE_SPI), "AHPPIR %u, AIAR %u", ahppir, aiar);
  gic_clear_pending(FREE_SPI);
  gic_set_group(FREE_SPI, 0);

  /* FIQEn: group 0 comes as FIQ. */
  u32 irqs = gic_irqs, fiqs = gic_fiqs;
  reset_order();
  gicc_write(GICC_CTLR, GICC_CTLR_ENABLE_GRP0 | GICC_CTLR_FIQ_EN);
  gic_set_pending(FREE_SPI);
  irq_enable();
  u32 as_irq = gic_irqs - irqs;
  fiq_enable();
  timer_delay(10);
  fiq_disable();
  check("gic.fiq", as_irq == 0 && gic_fiqs - fiqs == 1 && taken == 1, "%u IRQ, %u FIQ", as_irq, gic_fiqs - fiqs);
  gicc_write(GICC_CTLR, GICC_CTLR_ENABLE_GRP0);
  gicd_write(GICD_CTLR, 1);
}

void test_gic_delivery(void) {
  section("GICv2 delivery");
  test_priorities();
  test_states();
  test_groups();
  gic_disable(FREE_SPI);
  for (u32 i = 1; i < 8; i++) {
    gic_disable(i);
    gic_set_priority(i, GIC_DEFAULT_PRIORITY);
  }
}

void test_gicv2m(void) {
  static volatile u32 count;
  u32 typer = read32(BOARD_GICV2M_BASE + 0x008), first = typer >> 16 & 0x3ff, number = typer & 0x3ff;
  u32 last = BOARD_GICV2M_FIRST_INTID + BOARD_GICV2M_COUNT - 1;
  section("GICv2m");
  check("gicv2m.typer", first == BOARD_GICV2M_FIRST_INTID && number == BOARD_GICV2M_COUNT, "%u interrupts from %u", number, first);
  gic_set_edge(last, true);
  gic_handle(last, count_irq, (void *)&count);
  gic_enable(last);
  write32(BOARD_GICV2M_BASE + 0x040, last);
  wait_count(&count, 1, 1000, WATCHDOG_PHYSICAL);
  write16(BOARD_GICV2M_BASE + 0x040, (u16)last);
  wait_count(&count, 2, 1000, WATCHDOG_PHYSICAL);
  check("gicv2m.message", count == 2, "INTID %u, %u messages of 32 and 16 bits", last, count);
  gic_disable(last);
}
