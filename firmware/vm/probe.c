/* Random writes to the registers of a guest's devices, at rest: no timer runs, nothing is sent, the distributor forwards nothing. A line a device and round with a
 * digest of what was read: the same wherever a part is modelled alike. Boot arguments: probe.seed=N (1), probe.rounds=N (4). */
#include "vm.h"

const char program_name[] = "probe";

static u64 state, digest;

static u64 random(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static u32 look(u64 at, u32 mask) {
  u32 value = read32(at) & mask;
  digest = (digest ^ value) * 0x100000001b3UL;
  digest ^= digest >> 29;
  return value;
}

static void write(u64 at, u32 value) {
  u32 narrow = random() % 8;
  if (narrow == 0) write8(at + (random() & 3), (u8)value);
  else if (narrow == 1) write16(at + (random() & 2), (u16)value);
  else write32(at, value);
}

static void distributor(void) {
  static const u32 words[] = { GICD_IGROUPR, GICD_ISENABLER, GICD_ICENABLER, GICD_ISPENDR, GICD_ICPENDR, GICD_ISACTIVER, GICD_ICACTIVER };
  gicd_write(GICD_CTLR, 0);
  for (u32 i = 0; i < 200; i++) {
    u32 n = (u32)(random() % 9), value = (u32)random();
    /* Lines that devices drive are not at rest. */
    switch (random() % 4) {
      case 0: write32(BOARD_GICD_BASE + words[random() % ARRAY_SIZE(words)] + 4 * n, value); break;
      case 1: write32(BOARD_GICD_BASE + GICD_IPRIORITYR + 4 * (random() % 72), value); break;
      case 2: write8(BOARD_GICD_BASE + GICD_IPRIORITYR + random() % 288, (u8)value); break;
      default: write32(BOARD_GICD_BASE + GICD_ICFGR + 4 * (random() % 18), value); break;
    }
    for (u32 w = 0; w < ARRAY_SIZE(words); w++) look(BOARD_GICD_BASE + words[w] + 4 * n, ~0u);
    look(BOARD_GICD_BASE + GICD_ICFGR + 4 * (random() % 18), ~0u);
    /* The lowest priority bits are the implementation's choice. */
    look(BOARD_GICD_BASE + GICD_IPRIORITYR + 4 * (random() % 72), 0xf8f8f8f8);
    look(BOARD_GICD_BASE + GICD_ITARGETSR + 4 * (random() % 72), ~0u);
  }
  for (u32 i = 0; i < 4; i++) look(BOARD_GICD_BASE + GICD_CTLR + 4 * i, i == 2 ? 0 : ~0u);
  for (u32 w = 0; w < 9; w++) {
    gicd_write(GICD_ICENABLER + 4 * w, ~0u);
    gicd_write(GICD_ICPENDR + 4 * w, ~0u);
    gicd_write(GICD_ICACTIVER + 4 * w, ~0u);
  }
}

static void uart(void) {
  static const u16 registers[] = { UARTRSR, UARTIBRD, UARTFBRD, UARTLCR_H, UARTCR, UARTIFLS, UARTIMSC, UARTICR, UARTDMACR, UARTFR, UARTRIS, UARTMIS };
  for (u32 i = 0; i < 200; i++) {
    u16 offset = registers[random() % ARRAY_SIZE(registers)];
    u32 value = (u32)random();
    /* No break, no loopback and nothing enabled: nothing is on the line. */
    if (offset == UARTLCR_H) value &= 0xfe;
    if (offset == UARTCR) value &= 0xff06;
    if (offset == UARTCR) write32(BOARD_UART0_BASE + offset, value & ~(u32)UARTCR_LBE);
    else if (offset == UARTLCR_H) write32(BOARD_UART0_BASE + offset, value);
    else write(BOARD_UART0_BASE + offset, value);
    for (u32 r = 0; r < ARRAY_SIZE(registers); r++) look(BOARD_UART0_BASE + registers[r], ~0u);
  }
  for (u32 r = 0; r < 8; r++) look(BOARD_UART0_BASE + UARTPeriphID0 + 4 * r, ~0u);
}

static void timer(void) {
  for (u32 i = 0; i < 200; i++) {
    u64 at = SP804_TIMER(BOARD_SP804_BASE, random() & 1) + 4 * (random() % 7);
    u32 value = (u32)random();
    if ((at & 0x1f) == TimerControl) write32(at, value & ~(u32)SP804_ENABLE);
    else write(at, value);
    for (u32 r = 0; r < 7; r++) look((at & ~0x1fUL) + 4 * r, ~0u);
  }
  for (u32 r = 0; r < 8; r++) look(BOARD_SP804_BASE + TimerPeriphID0 + 4 * r, ~0u);
  sp804_stop(SP804_TIMER(BOARD_SP804_BASE, 0));
  sp804_stop(SP804_TIMER(BOARD_SP804_BASE, 1));
}

void program(void) {
  u32 rounds = parameter("probe.rounds", 4);
  state = parameter("probe.seed", 1) * 0x9e3779b97f4a7c15UL | 1;
  irq_disable();
  for (u32 i = 1; i <= rounds; i++) {
    digest = 0;
    distributor();
    say("round %u, GICD 0x%016lx", i, digest);
    digest = 0;
    pl011_drain(BOARD_UART0_BASE);
    uart();
    pl011_init(BOARD_UART0_BASE, BOARD_UART0_CLOCK_HZ, 1500000u);
    say("round %u, UART 0x%016lx", i, digest);
    digest = 0;
    timer();
    say("round %u, SP804 0x%016lx", i, digest);
  }
}
