/* What a guest sees of its devices: one line a fact, the same whether the devices are the board's own, trapped and emulated, or passed through. */
#include "vm.h"

const char program_name[] = "two";

#define UART BOARD_UART0_BASE
#define TIMER1 SP804_TIMER(BOARD_SP804_BASE, 0)
#define TIMER2 SP804_TIMER(BOARD_SP804_BASE, 1)
#define UART_ON (UARTCR_UARTEN | UARTCR_TXE | UARTCR_RXE)
#define LINE (UARTLCR_H_WLEN8 | UARTLCR_H_FEN)
/* Nothing on the board is here, nor in a guest. */
#define HOLE 0x0b000000UL

static u64 now_us(void) { return timer_microseconds(timer_virtual_count()); }

static void psci(void) {
  s64 version = psci_call(PSCI_VERSION, 0, 0, 0);
  say("psci: version %lu.%lu, SYSTEM_OFF known: %s", (u64)version >> 16, (u64)version & 0xffff,
      yes(psci_call(PSCI_FEATURES, PSCI_SYSTEM_OFF, 0, 0) == 0));
  say("psci: unknown function is NOT_SUPPORTED: %s", yes(psci_call(0x840000ff, 0, 0, 0) == -1));
  say("psci: this CPU is on: %s", yes(psci_call(PSCI_AFFINITY_INFO, 0, 0, 0) == 0));
  say("cpu: MPIDR affinity %lu, counter %lu Hz", read_sysreg(mpidr_el1) & 0xffffff, timer_frequency());
}

/* --- interrupt controller */

static u8 order[8];
static volatile u32 taken;
static bool was_active, was_pending;

static void record(u32 intid, void *argument) {
  (void)argument;
  if (taken < sizeof order) order[taken] = (u8)intid;
  was_active = gic_active(intid);
  was_pending = gic_pending(intid);
  taken++;
}

static void gic(void) {
  u32 typer = gicd_read(GICD_TYPER);
  say("gic: architecture %u, %u interrupts, %u CPU", gicd_read(GICD_ICPIDR2) >> 4 & 15, 32 * ((typer & 31) + 1), (typer >> 5 & 7) + 1);
  u32 word = FREE_SPI / 32 * 4, bit = 1u << FREE_SPI % 32;
  gic_enable(FREE_SPI);
  u32 on = gicd_read(GICD_ISENABLER + word) & bit;
  gic_disable(FREE_SPI);
  u32 off = gicd_read(GICD_ISENABLER + word) & bit;
  gic_set_priority(FREE_SPI, 0x50);
  gic_set_edge(FREE_SPI, true);
  say("gic: SPI enabled %s, disabled %s, priority 0x%08x, edge %u, SGI configuration 0x%08x", yes(on == bit), yes(!off), gicd_read(GICD_IPRIORITYR + FREE_SPI),
      gicd_read(GICD_ICFGR + FREE_SPI / 16 * 4) >> 2 * (FREE_SPI % 16) & 3, gicd_read(GICD_ICFGR));
  gic_set_edge(FREE_SPI, false);
  gic_set_priority(FREE_SPI, GIC_DEFAULT_PRIORITY);
  say("gic: nothing pending gives IAR %u, HPPIR %u, RPR 0x%02x", gicc_read(GICC_IAR), gicc_read(GICC_HPPIR), gicc_read(GICC_RPR));

  gic_handle(FREE_SPI, record, NULL);
  gic_set_pending(FREE_SPI);
  delay(10);
  u32 before = taken;
  gic_enable(FREE_SPI);
  wait_for(&taken, 1, 1000000);
  say("gic: pending while disabled taken %u, enabled taken %u, in the handler active %u pending %u, after it %u %u", before, taken, was_active, was_pending,
      gic_active(FREE_SPI), gic_pending(FREE_SPI));
  gic_disable(FREE_SPI);

  for (u32 i = 1; i < 8; i++) {
    gic_handle(i, record, NULL);
    gic_enable(i);
    gic_set_priority(i, (u8)(0xc0 - 0x10 * i));
  }
  irq_disable();
  taken = 0;
  for (u32 i = 1; i < 8; i++) gic_send_self(i);
  u32 highest = gicc_read(GICC_HPPIR) & 0x3ff;
  irq_enable();
  wait_for(&taken, 7, 1000000);
  say("gic: seven SGIs, highest %u, order %u %u %u %u %u %u %u", highest, order[0], order[1], order[2], order[3], order[4], order[5], order[6]);

  taken = 0;
  gicc_write(GICC_PMR, 0x80);
  gic_send_self(1);
  delay(10);
  before = taken;
  bool pending = gic_pending(1);
  gicc_write(GICC_PMR, 0xff);
  wait_for(&taken, 1, 1000000);
  say("gic: under the priority mask taken %u pending %u, after it %u", before, pending, taken);
  for (u32 i = 1; i < 8; i++) gic_disable(i);
}

/* --- UART */

static volatile u32 uart_irqs;
static u32 uart_mis;
static u8 received[8];
static u32 received_count;

static void on_uart(u32 intid, void *argument) {
  (void)intid, (void)argument;
  u32 mis = read32(UART + UARTMIS);
  uart_mis |= mis;
  for (s32 c; received_count < sizeof received && (c = pl011_getc(UART)) >= 0;) received[received_count++] = (u8)c;
  write32(UART + UARTICR, 0x7ff);
  if (mis) uart_irqs++;
}

static void loopback(bool on) {
  pl011_drain(UART);
  delay(20);
  write32(UART + UARTIMSC, 0);
  while (pl011_getc(UART) >= 0) {
  }
  write32(UART + UARTCR, 0);
  write32(UART + UARTLCR_H, LINE);
  write32(UART + UARTRSR, 0);
  write32(UART + UARTICR, 0x7ff);
  write32(UART + UARTCR, on ? UART_ON | UARTCR_LBE : UART_ON);
  uart_irqs = uart_mis = received_count = 0;
}

static void uart(void) {
  u32 id = identification(UART + UARTPeriphID0), cell = identification(UART + UARTPCellID0);
  say("uart: part 0x%03x, designer 0x%02x, component 0x%08x, CR 0x%03x, LCR_H 0x%02x, IFLS 0x%02x", id & 0xfff, id >> 12 & 0xff, cell,
      read32(UART + UARTCR), read32(UART + UARTLCR_H), read32(UART + UARTIFLS));
  gic_handle(BOARD_UART0_INTID, on_uart, NULL);
  gic_enable(BOARD_UART0_INTID);

  loopback(true);
  for (u8 c = 1; c <= 5; c++) pl011_putc(UART, c);
  pl011_drain(UART);
  delay(20);
  u32 good = 0;
  for (s32 c = 1; c <= 5; c++) good += pl011_getc(UART) == c;
  u32 empty = read32(UART + UARTFR) & UARTFR_RXFE;
  loopback(false);
  say("uart: loopback of 5 gave %u, then empty %s", good, yes(empty));

  loopback(true);
  write32(UART + UARTIMSC, UART_RX | UART_RT);
  for (u8 c = 1; c <= 3; c++) pl011_putc(UART, c);
  for (u32 i = 0; i < 3 && received_count < 3; i++) wait_for(&uart_irqs, uart_irqs + 1, 1000000);
  u32 ris = read32(UART + UARTRIS) & (UART_RX | UART_RT);
  loopback(false);
  say("uart: receive interrupt at INTID %u, 3 sent, %s, RIS 0x%02x after the last", BOARD_UART0_INTID,
      received[0] == 1 && received[1] == 2 && received[2] == 3 ? "all there" : "WRONG", ris);

  loopback(true);
  write32(UART + UARTIMSC, UART_TX);
  for (u32 i = 0; i < 32; i++) pl011_putc(UART, 1);
  bool came = wait_for(&uart_irqs, 1, 1000000);
  write32(UART + UARTIMSC, 0);
  u32 mis = uart_mis;
  loopback(false);
  say("uart: transmit interrupt came %s, MIS 0x%02x", yes(came), mis);

  loopback(true);
  pl011_putc(UART, 1);
  delay(40);
  u32 masked = read32(UART + UARTMIS), count = uart_irqs;
  loopback(false);
  gic_disable(BOARD_UART0_INTID);
  say("uart: masked MIS 0x%02x, interrupts %u", masked, count);
}

/* Loads and stores that a syndrome describes, and those it does not: pairs, writeback. The divisor is a register that keeps what it is given. */
static void widths(void) {
  u64 at;
  u32 a, b;
  loopback(false);
  write32(UART + UARTCR, 0);
  __asm__ volatile("stp %w1, %w2, [%0]" ::"r"(UART + UARTIBRD), "r"(0x1234), "r"(0x15) : "memory");
  __asm__ volatile("ldp %w0, %w1, [%2]" : "=&r"(a), "=&r"(b) : "r"(UART + UARTIBRD) : "memory");
  u32 pair_a = a, pair_b = b;
  at = UART + UARTIBRD;
  __asm__ volatile("ldr %w1, [%0], #4\n ldr %w2, [%0], #-4" : "+&r"(at), "=&r"(a), "=&r"(b)::"memory");
  u32 post_a = a, post_b = b;
  bool back = at == UART + UARTIBRD;
  at = UART + UARTIBRD - 4;
  __asm__ volatile("str %w1, [%0, #4]!\n strb %w2, [%0, #4]!" : "+&r"(at) : "r"(0x321), "r"(0x2a) : "memory");
  bool moved = at == UART + UARTFBRD;
  __asm__ volatile("ldrh %w0, [%2]\n ldrb %w1, [%2, #4]" : "=&r"(a), "=&r"(b) : "r"(UART + UARTIBRD) : "memory");
  u32 half = a, byte = b;
  s64 sign;
  u64 wide;
  write32(UART + UARTIBRD, 0x8081);
  __asm__ volatile("ldrsh %0, [%1]" : "=r"(sign) : "r"(UART + UARTIBRD) : "memory");
  __asm__ volatile("ldrsb %w0, [%1]" : "=r"(wide) : "r"(UART + UARTIBRD) : "memory");
  /* Without offset and to the zero register. */
  __asm__ volatile("str wzr, [%0]\n ldr wzr, [%0]" ::"r"(UART + UARTIBRD) : "memory");
  u32 zero = read32(UART + UARTIBRD);
  pl011_init(UART, BOARD_UART0_CLOCK_HZ, 1500000u);
  say("widths: pair 0x%x 0x%x, post-index 0x%x 0x%x address %s, pre-index half 0x%x byte 0x%x address %s", pair_a, pair_b, post_a, post_b,
      back ? "back" : "WRONG", half, byte, moved ? "moved" : "WRONG");
  say("widths: signed half %ld, signed byte 0x%lx, zero register 0x%x", sign, wide, zero);

  /* A timer's CONTROL and INTCLR in one store; LOAD and VALUE in one load. */
  sp804_stop(TIMER1);
  write32(TIMER1 + TimerLoad, 0x4321);
  at = TIMER1 + TimerControl;
  __asm__ volatile("stp %w1, %w2, [%0], #-8" : "+r"(at) : "r"(SP804_32BIT), "r"(1) : "memory");
  bool down = at == TIMER1;
  at = TIMER1 + 8;
  __asm__ volatile("ldp %w0, %w1, [%2, #-8]!" : "=&r"(a), "=&r"(b), "+r"(at)::"memory");
  say("widths: timer CONTROL 0x%02x by pair, LOAD and VALUE 0x%x 0x%x, addresses %s", read32(TIMER1 + TimerControl), a, b, down && at == TIMER1 ? "right" : "WRONG");

  fault_expect(RESUME_NEXT);
  read32(HOLE);
  bool fault = fault_taken();
  say("hole: a load where nothing is aborts %s, class 0x%x, status 0x%lx, address 0x%lx", yes(fault), esr_class(last_fault.esr), last_fault.esr & 0x3f, last_fault.far);
}

/* --- SP804 */

static volatile u32 ticks, others, combined;

/* A level that has gone when its interrupt is taken is nothing to count: a list register may hold one that the physical line no longer asks for. */
static void on_tick(u32 intid, void *argument) {
  (void)intid, (void)argument;
  ticks += read32(TIMER1 + TimerMIS);
  sp804_clear(TIMER1);
}
static void on_other(u32 intid, void *argument) {
  (void)intid, (void)argument;
  others += read32(TIMER2 + TimerMIS);
  sp804_clear(TIMER2);
}
static void on_combined(u32 intid, void *argument) {
  (void)intid, (void)argument;
  combined += read32(TIMER1 + TimerMIS) | read32(TIMER2 + TimerMIS);
  sp804_clear(TIMER1);
  sp804_clear(TIMER2);
}

static void sp804(void) {
  u32 id = identification(BOARD_SP804_BASE + TimerPeriphID0), cell = identification(BOARD_SP804_BASE + TimerPCellID0);
  say("sp804: part 0x%03x, designer 0x%02x, component 0x%08x", id & 0xfff, id >> 12 & 0xff, cell);
  gic_handle(BOARD_SP804_TIMER1_INTID, on_tick, NULL);
  gic_handle(BOARD_SP804_TIMER2_INTID, on_other, NULL);
  gic_handle(BOARD_SP804_COMBINED_INTID, on_combined, NULL);
  gic_enable(BOARD_SP804_TIMER1_INTID);

  u64 start = now_us();
  sp804_start(TIMER1, 1000, SP804_32BIT | SP804_PERIODIC | SP804_INT_ENABLE);
  for (u32 n = 1; n <= 4; n++) {
    bool came = wait_for(&ticks, n, 1000000);
    u64 spent = now_us() - start;
    say("sp804: tick %u at INTID %u %s, %s", n, BOARD_SP804_TIMER1_INTID, came ? "came" : "MISSING", spent >= 1000 * n ? "not early" : "EARLY");
  }
  sp804_stop(TIMER1);
  say("sp804: stopped, RIS %u", read32(TIMER1 + TimerRIS));

  ticks = 0;
  start = now_us();
  sp804_start(TIMER1, 500, SP804_32BIT | SP804_ONE_SHOT | SP804_INT_ENABLE);
  wait_for(&ticks, 1, 1000000);
  u64 spent = now_us() - start;
  delay(1500);
  say("sp804: one-shot %u, %s, VALUE %u", ticks, spent >= 499 ? "not early" : "EARLY", read32(TIMER1 + TimerValue));

  ticks = 0;
  start = now_us();
  sp804_start(TIMER1, 0x00070000 | 200, SP804_ONE_SHOT | SP804_INT_ENABLE | SP804_PRESCALE_16);
  wait_for(&ticks, 1, 1000000);
  spent = now_us() - start;
  sp804_stop(TIMER1);
  gic_disable(BOARD_SP804_TIMER1_INTID);
  say("sp804: 16 bits, divided by 16: %u, %s", ticks, spent >= 199 * 16 && spent < 0x70000 ? "not early" : "EARLY");

  sp804_start(TIMER1, 20, SP804_32BIT | SP804_PERIODIC);
  delay(100);
  u32 raw = read32(TIMER1 + TimerRIS), masked = read32(TIMER1 + TimerMIS);
  sp804_stop(TIMER1);
  sp804_start(TIMER1, 0, SP804_32BIT);
  u32 from = read32(TIMER1 + TimerValue);
  delay(1000);
  u32 counted = from - read32(TIMER1 + TimerValue);
  write32(TIMER1 + TimerBGLoad, 77);
  u32 load = read32(TIMER1 + TimerLoad);
  sp804_stop(TIMER1);
  say("sp804: not enabled RIS %u MIS %u, free-running counts down: %s, background load reads %u", raw, masked, yes(counted >= 999), load);

  gic_enable(BOARD_SP804_TIMER2_INTID);
  sp804_start(TIMER2, 100, SP804_32BIT | SP804_ONE_SHOT | SP804_INT_ENABLE);
  wait_for(&others, 1, 1000000);
  gic_disable(BOARD_SP804_TIMER2_INTID);
  sp804_stop(TIMER2);
  gic_enable(BOARD_SP804_COMBINED_INTID);
  sp804_start(TIMER1, 100, SP804_32BIT | SP804_ONE_SHOT | SP804_INT_ENABLE);
  wait_for(&combined, 1, 1000000);
  sp804_start(TIMER2, 100, SP804_32BIT | SP804_ONE_SHOT | SP804_INT_ENABLE);
  wait_for(&combined, 2, 1000000);
  gic_disable(BOARD_SP804_COMBINED_INTID);
  sp804_stop(TIMER1);
  sp804_stop(TIMER2);
  say("sp804: timer 2 at INTID %u: %u, combined at INTID %u: %u", BOARD_SP804_TIMER2_INTID, others, BOARD_SP804_COMBINED_INTID, combined);
}

/* --- generic timer and sleep */

static volatile u32 expiries;

static void on_virtual(u32 intid, void *argument) {
  (void)intid, (void)argument;
  write_sysreg(cntv_ctl_el0, CNT_CTL_IMASK);
  isb();
  expiries++;
}

static void sleep(void) {
  gic_handle(BOARD_VIRTUAL_TIMER_INTID, on_virtual, NULL);
  gic_enable(BOARD_VIRTUAL_TIMER_INTID);
  u32 early = 0;
  for (u32 n = 1; n <= 3; n++) {
    u64 until = timer_virtual_count() + timer_ticks(300);
    write_sysreg(cntv_cval_el0, until);
    write_sysreg(cntv_ctl_el0, CNT_CTL_ENABLE);
    isb();
    while (expiries < n) {
      irq_disable();
      if (expiries < n) wfi();
      irq_enable();
    }
    if (timer_virtual_count() < until) early++;
  }
  /* ISTATUS has a meaning only while ENABLE is set. */
  u64 status = read_sysreg(cntv_ctl_el0) & 3;
  write_sysreg(cntv_ctl_el0, 0);
  isb();
  gic_disable(BOARD_VIRTUAL_TIMER_INTID);
  say("timer: 3 expiries at INTID %u: %u, early %u, CNTV_CTL 0x%lx", BOARD_VIRTUAL_TIMER_INTID, expiries, early, status);

  u64 first = timer_virtual_count(), last = first;
  bool forwards = true;
  for (u32 i = 0; i < 1000; i++) {
    u64 next = timer_virtual_count();
    forwards = forwards && next >= last;
    last = next;
  }
  write_sysreg(cntv_tval_el0, 62500);
  isb();
  s32 left = (s32)read_sysreg(cntv_tval_el0);
  say("timer: CNTVCT goes forwards %s, CNTV_TVAL counts down %s", yes(forwards), yes(left <= 62500));

  /* WFI ends on an interrupt that PSTATE masks. */
  irq_disable();
  taken = 0;
  gic_enable(1);
  gic_send_self(1);
  wfi();
  u32 before = taken;
  irq_enable();
  wait_for(&taken, 1, 1000000);
  gic_disable(1);
  say("sleep: WFI with a masked interrupt went on with %u taken, then %u", before, taken);
}

void program(void) {
  say("hello at EL%u", boot_el);
  psci();
  gic();
  uart();
  widths();
  sp804();
  sleep();
  say("interrupts without a handler: %u", gic_unclaimed);
  say("goodbye");
}
