/* PL011, Arm DDI 0183G, in loopback: what is sent comes back. The bytes are control characters that no terminal shows. */
#include "gicv2.h"
#include "pl011.h"
#include "selftest.h"

#define UART BOARD_UART0_BASE
#define NORMAL (UARTCR_UARTEN | UARTCR_TXE | UARTCR_RXE)

/* Bit time at the console's rate: 24 MHz / 16. */
#define CHARACTER_US 7

static volatile u32 interrupts;
static u32 seen_mis;
static u32 depth;

static void on_uart(u32 intid, void *argument) {
  (void)intid, (void)argument;
  seen_mis |= read32(UART + UARTMIS);
  write32(UART + UARTICR, 0x7ff);
  /* A received character keeps its interrupt up until it is read. */
  write32(UART + UARTIMSC, read32(UART + UARTIMSC) & ~(read32(UART + UARTMIS)));
  interrupts++;
}

static u8 pattern(u32 i) { return (u8)(i % 4 + 1); }

static void loopback_begin(u32 line_control) {
  pl011_drain(UART);
  write32(UART + UARTCR, 0);
  write32(UART + UARTLCR_H, line_control);
  write32(UART + UARTIMSC, 0);
  write32(UART + UARTCR, NORMAL | UARTCR_LBE);
  while (pl011_getc(UART) >= 0) {
  }
  write32(UART + UARTRSR, 0);
  write32(UART + UARTICR, 0x7ff);
  interrupts = 0;
  seen_mis = 0;
}

static void loopback_end(void) {
  pl011_drain(UART);
  timer_delay(2 * CHARACTER_US);
  write32(UART + UARTIMSC, 0);
  while (pl011_getc(UART) >= 0) {
  }
  write32(UART + UARTCR, 0);
  write32(UART + UARTLCR_H, UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  write32(UART + UARTICR, 0x7ff);
  write32(UART + UARTRSR, 0);
  write32(UART + UARTCR, NORMAL);
}

static void send(u32 count) {
  for (u32 i = 0; i < count; i++) pl011_putc(UART, pattern(i));
}

static void settle(void) {
  pl011_drain(UART);
  timer_delay(2 * CHARACTER_US);
}

/* How many of the characters came back in order. */
static u32 receive(u32 count) {
  u32 good = 0;
  for (u32 i = 0; i < count; i++) good += pl011_getc(UART) == pattern(i);
  return good;
}

static void test_data(void) {
  loopback_begin(UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  send(depth);
  settle();
  u32 flags = read32(UART + UARTFR), good = receive(depth), after = read32(UART + UARTFR);
  loopback_end();
  check("uart.loopback", good == depth && (flags & UARTFR_RXFF) && (after & UARTFR_RXFE), "a FIFO full came back%s, FR full %u, then empty %u",
        good == depth ? "" : " wrong", !!(flags & UARTFR_RXFF),
        !!(after & UARTFR_RXFE));

  loopback_begin(UARTLCR_H_WLEN8);
  write32(UART + UARTDR, 3);
  settle();
  flags = read32(UART + UARTFR);
  s32 byte = pl011_getc(UART);
  after = read32(UART + UARTFR);
  loopback_end();
  check("uart.one-deep", byte == 3 && (flags & UARTFR_RXFF) && (after & UARTFR_RXFE), "FIFOs off: full after one character");

  /* 3.3.8: in loopback the modem outputs reach the inputs: DTR DSR, RTS CTS, Out1 DCD, Out2 RI; the flags are their complement at the pin, 1 when asserted. */
  static const struct {
    u32 output, input;
  } wires[] = { { UARTCR_RTS, UARTFR_CTS }, { UARTCR_DTR, UARTFR_DSR }, { UARTCR_OUT1, UARTFR_DCD }, { UARTCR_OUT2, UARTFR_RI } };
  u32 all = UARTFR_CTS | UARTFR_DSR | UARTFR_DCD | UARTFR_RI, right = 0;
  loopback_begin(UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  for (u32 i = 0; i < ARRAY_SIZE(wires); i++) {
    write32(UART + UARTCR, NORMAL | UARTCR_LBE | wires[i].output);
    right += (read32(UART + UARTFR) & all) == wires[i].input;
  }
  loopback_end();
  check("uart.modem-loopback", right == 4, "%u of 4 wires", right);
}

static void test_rate(void) {
  /* 16 characters of 10 bits at 115200 baud: 24 MHz / 16 / (13 + 1/64). */
  loopback_begin(UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  write32(UART + UARTCR, 0);
  write32(UART + UARTIBRD, 13);
  write32(UART + UARTFBRD, 1);
  write32(UART + UARTLCR_H, UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  write32(UART + UARTCR, NORMAL | UARTCR_LBE);
  u64 nominal = 160UL * 16 * (13 * 64 + 1) * 1000000 / 64 / BOARD_UART0_CLOCK_HZ;
  u64 start = timer_count();
  send(16);
  bool busy = read32(UART + UARTFR) & UARTFR_BUSY;
  pl011_drain(UART);
  u64 spent = timer_microseconds(timer_count() - start);
  write32(UART + UARTCR, 0);
  write32(UART + UARTIBRD, 1);
  write32(UART + UARTFBRD, 0);
  loopback_end();
  /* A model whose transmitter takes no time is never busy. */
  bool exact = spent * 100 >= nominal * 99 && spent * 100 <= nominal * 101;
  check("uart.rate", exact || !busy, "160 bits at 115.2 kbaud, nominal %luus, t=%luus", nominal, spent);
}

static void test_interrupts(void) {
  gic_handle(BOARD_UART0_INTID, on_uart, NULL);
  gic_enable(BOARD_UART0_INTID);

  loopback_begin(UARTLCR_H_WLEN8);
  write32(UART + UARTIMSC, UART_RX);
  write32(UART + UARTDR, 4);
  bool came = wait_count(&interrupts, 1, 10000, WATCHDOG_PHYSICAL);
  u32 mis = seen_mis;
  s32 byte = pl011_getc(UART);
  u32 ris = read32(UART + UARTRIS) & UART_RX;
  loopback_end();
  check("uart.rx-interrupt", came && mis == UART_RX && byte == 4 && !ris, "INTID %u, MIS 0x%03x, RIS 0x%03x when read", BOARD_UART0_INTID, mis, ris);

  /* The transmit interrupt rises when the FIFO falls to its level, and stays clear once cleared. */
  loopback_begin(UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  write32(UART + UARTIMSC, UART_TX);
  send(depth);
  came = wait_count(&interrupts, 1, 10000, WATCHDOG_PHYSICAL);
  mis = seen_mis;
  settle();
  write32(UART + UARTICR, UART_TX);
  ris = read32(UART + UARTRIS) & UART_TX;
  loopback_end();
  check("uart.tx-interrupt", came && mis == UART_TX && !ris, "MIS 0x%03x, RIS 0x%03x cleared with the FIFO empty", mis, ris);

  loopback_begin(UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  write32(UART + UARTDR, 1);
  settle();
  u32 masked = read32(UART + UARTMIS), came_masked = interrupts;
  loopback_end();
  check("uart.masked", masked == 0 && came_masked == 0, "MIS 0x%03x, %u interrupts", masked, came_masked);
  gic_disable(BOARD_UART0_INTID);
}

static void test_levels(void) {
  /* 3.3.9: UARTIFLS at reset is 0x12, both FIFOs at half. */
  u32 ifls = read32(UART + UARTIFLS);
  check("uart.ifls-reset", ifls == 0x12, "0x%02x", ifls);
  loopback_begin(UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  send(depth / 2 - 1);
  settle();
  u32 below = read32(UART + UARTRIS) & UART_RX;
  pl011_putc(UART, 1);
  settle();
  u32 at = read32(UART + UARTRIS) & UART_RX;
  loopback_end();
  check("uart.rx-level", !below && at == UART_RX, "RIS 0x%03x with one character less than half, 0x%03x with half", below, at);

  /* 2.8.4: the receive timeout rises 32 bit periods after the last character. */
  loopback_begin(UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  send(3);
  settle();
  timer_delay(40);
  u32 timeout = read32(UART + UARTRIS) & UART_RT;
  receive(3);
  u32 read = read32(UART + UARTRIS) & UART_RT;
  loopback_end();
  check("uart.rx-timeout", timeout == UART_RT && !read, "RIS 0x%03x, when read 0x%03x", timeout, read);
}

void test_uart(void) {
  section("PL011");
  u32 id = identification(UART + UARTPeriphID0), cell = identification(UART + UARTPCellID0);
  /* Part 0x011, designer 0x41; the revision differs from board to board. */
  check("uart.id", (id & 0xfffff) == 0x41011 && cell == PRIMECELL_ID, "part 0x%03x designer 0x%02x, component 0x%08x", id & 0xfff, id >> 12 & 0xff, cell);
  depth = pl011_fifo_depth(UART);
  test_levels();
  test_data();
  test_rate();
  test_interrupts();
}

void test_uart_errors(void) {
  loopback_begin(UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  write32(UART + UARTLCR_H, UARTLCR_H_WLEN8 | UARTLCR_H_FEN | UARTLCR_H_BRK);
  timer_delay(5 * CHARACTER_US);
  write32(UART + UARTLCR_H, UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  settle();
  u32 ris = read32(UART + UARTRIS) & UART_BE;
  u32 data = read32(UART + UARTDR), status = read32(UART + UARTRSR) & 4;
  write32(UART + UARTRSR, 0);
  u32 cleared = read32(UART + UARTRSR);
  loopback_end();
  check("uart.break", (data & 0x4ff) == 0x400 && status == 4 && !cleared, "DR 0x%03x, RSR %u, then %u", data & 0x4ff, status, cleared);
  check("uart.break-interrupt", ris == UART_BE, "RIS 0x%03x", ris);

  loopback_begin(UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  send(depth + 2);
  settle();
  ris = read32(UART + UARTRIS) & UART_OE;
  u32 good = receive(depth);
  s32 more = pl011_getc(UART);
  loopback_end();
  check("uart.overrun", good == depth && more < 0, "two more than fit: the first are kept, the last %s", more < 0 ? "lost" : "kept too");
  check("uart.overrun-interrupt", ris == UART_OE, "RIS 0x%03x", ris);
}
