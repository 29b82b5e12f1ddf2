/* A guest that does what no sound guest does: random accesses to devices and holes, random calls, interrupts without end. It must harm nobody but itself.
 * Boot arguments:
 *   wild.seed=N    (1)
 *   wild.steps=N   (3000)
 *   wild.end=N     how it ends: 0 by SYSTEM_OFF; 1 an exception whose vector is a hole; 2 translation tables in a hole; 3 code from a device; 4 an endless loop
 *                  with interrupts masked; 5 an exception whose vector faults in turn, without end; 6 vectors of random instructions */
#include "vm.h"

const char program_name[] = "wild";

#define HOLE 0x0b000000UL
static u64 state;

/* Each one once, until it is enabled again by chance: or nothing else would ever run. */
static void on_any(u32 intid, void *argument) {
  (void)argument;
  gic_disable(intid);
}

static u64 random(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static u64 address(u32 size) {
  static const u64 bases[] = { BOARD_GICD_BASE, BOARD_GICC_BASE, BOARD_UART0_BASE, BOARD_SP804_BASE, BOARD_GICD_BASE, BOARD_SP804_BASE, HOLE, BOARD_GICH_BASE, BOARD_RTC_BASE };
  u64 at = bases[random() % ARRAY_SIZE(bases)] + (random() % 3 ? random() & 0xfff : random() & 0xffff);
  /* Mostly aligned: an unaligned access to a device faults at stage 1 already. */
  return random() % 8 ? at & ~(size - 1UL) : at;
}

static void access(void) {
  u32 size = 1u << (random() & 3);
  u64 at = address(size), value = random(), a, b;
  /* The console stays readable: no characters from here. */
  if ((at & ~0xfffUL) == BOARD_UART0_BASE && (at & 0xfff) < 4) return;
  fault_expect(RESUME_NEXT);
  switch (random() % 12) {
    case 0: write8(at, (u8)value); break;
    case 1: write16(at, (u16)value); break;
    case 2:
    case 3: write32(at, (u32)value); break;
    case 4: write64(at, value); break;
    case 5: read8(at); break;
    case 6: read16(at); break;
    case 7: read32(at); break;
    case 8: __asm__ volatile("ldp %w0, %w1, [%2], #8" : "=&r"(a), "=&r"(b), "+r"(at)::"memory"); break;
    case 9: __asm__ volatile("stp %1, %2, [%0, #-16]!" : "+r"(at) : "r"(value), "r"(value) : "memory"); break;
    case 10: __asm__ volatile("ldxr %w0, [%1]\n clrex" : "=&r"(a) : "r"(at) : "memory"); break;
    default: __asm__ volatile("dc civac, %0" ::"r"(at) : "memory"); break;
  }
  fault_taken();
}

static void ask(void) {
  u64 function = random() % 2 ? 0x84000000 | (random() & 0x1f) | (random() & 0x40000000) : random();
  u32 low = (u32)function & 0x1f;
  /* Not what ends or stops this CPU: SUSPEND, CPU_OFF, the SYSTEM functions. */
  if ((function & 0xbfffffe0) == 0x84000000 && (low == 1 || low == 2 || low == 8 || low == 9 || low >= 12)) return;
  register u64 x0 __asm__("x0") = function;
  register u64 x1 __asm__("x1") = random();
  fault_expect(RESUME_NEXT);
  if (random() % 2) __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1)::"x2", "x3", "memory");
  else __asm__ volatile("smc #7" : "+r"(x0), "+r"(x1)::"x2", "x3", "memory");
  fault_taken();
}

static void privileged(void) {
  u64 value = 0;
  fault_expect(RESUME_NEXT);
  switch (random() % 8) {
    case 0: value = read_sysreg(pmcr_el0); break;
    case 1: write_sysreg(cntp_ctl_el0, random() & 3); break;
    case 2: value = read_sysreg(hcr_el2); break;
    case 3: write_sysreg(vttbr_el2, random()); break;
    case 4: write_sysreg(cnthp_ctl_el2, 0); break;
    case 5: value = read_sysreg(mdscr_el1); break;
    case 6: write_sysreg(actlr_el1, random()); break;
    default: value = read_sysreg(cntp_cval_el0); break;
  }
  (void)value;
  fault_taken();
}

static void storm(void) {
  u64 timer = SP804_TIMER(BOARD_SP804_BASE, random() & 1);
  switch (random() % 4) {
    case 0: write32(timer + TimerLoad, (u32)(random() & 3)); write32(timer + TimerControl, SP804_ENABLE | SP804_PERIODIC | SP804_INT_ENABLE | SP804_32BIT); break;
    case 1: gicd_write(GICD_ISPENDR + 4 * (random() % 9), (u32)random()); break;
    case 2: gicd_write(GICD_SGIR, (u32)random()); break;
    default: gicd_write(GICD_ISENABLER + 4 * (random() % 9), (u32)random()); break;
  }
  delay(1);
}

static void end(u32 how) {
  irq_disable();
  switch (how) {
    case 1:
      __asm__ volatile("msr sctlr_el1, %0\n msr vbar_el1, %1\n isb\n svc #0" ::"r"(0x30d00800UL), "r"(HOLE));
      return;
    case 2:
      write_sysreg(ttbr0_el1, HOLE);
      isb();
      __asm__ volatile("dsb sy\n tlbi vmalle1\n dsb sy\n isb");
      return;
    case 3:
      /* Executable by turning translation off. */
      __asm__ volatile("msr sctlr_el1, %0\n isb\n br %1" ::"r"(0x30d00800UL), "r"(BOARD_UART0_BASE));
      return;
    case 4:
      for (;;) __asm__ volatile("");
    case 5:
      write_sysreg(vbar_el1, 0x80000000UL);
      break;
    case 6:
      for (u32 i = 0; i < 2048 / 4; i++) ((volatile u32 *)(BOARD_RAM_BASE + 0x10000))[i] = (u32)random();
      __asm__ volatile("dsb sy\n ic iallu\n dsb sy\n msr sctlr_el1, %0\n isb" ::"r"(0x30d00800UL));
      write_sysreg(vbar_el1, BOARD_RAM_BASE + 0x10000);
      break;
    default:
      return;
  }
  isb();
  __asm__ volatile("svc #0");
}

void program(void) {
  u32 steps = parameter("wild.steps", 3000), how = parameter("wild.end", 0);
  state = parameter("wild.seed", 1) * 0x9e3779b97f4a7c15UL | 1;
  say("begins");
  for (u32 i = 0; i < GIC_LINES; i++) gic_handle(i, on_any, NULL);
  for (u32 i = 0; i < steps; i++) {
    switch (random() % 16) {
      case 0: ask(); break;
      case 1: privileged(); break;
      case 2: storm(); break;
      default: access(); break;
    }
  }
  irq_disable();
  end(how);
  pl011_init(BOARD_UART0_BASE, BOARD_UART0_CLOCK_HZ, 1500000u);
  say("still here");
}
