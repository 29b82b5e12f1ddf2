#include "pl011.h"
#include "io.h"

void pl011_init(u64 base, u32 clock_hz, u32 baud) {
  /* 3.3.6: the divisor is clock / (16 * baud), with six fraction bits, rounded. */
  u32 divisor = (clock_hz * 4u + baud / 2) / baud;
  write32(base + UARTCR, 0);
  write32(base + UARTICR, 0x7ff);
  write32(base + UARTIMSC, 0);
  write32(base + UARTIBRD, divisor >> 6);
  write32(base + UARTFBRD, divisor & 63);
  /* The divisor takes effect with the write to UARTLCR_H. */
  write32(base + UARTLCR_H, UARTLCR_H_WLEN8 | UARTLCR_H_FEN);
  write32(base + UARTCR, UARTCR_UARTEN | UARTCR_TXE | UARTCR_RXE);
}

/* 3.3.15: the revision is bits 7 to 4 of UARTPeriphID2. */
u32 pl011_fifo_depth(u64 base) { return (read32(base + UARTPeriphID0 + 8) >> 4 & 15) < 3 ? 16 : 32; }

void pl011_putc(u64 base, u8 byte) {
  while (read32(base + UARTFR) & UARTFR_TXFF) {
  }
  write32(base + UARTDR, byte);
}

void pl011_drain(u64 base) {
  while (read32(base + UARTFR) & UARTFR_BUSY) {
  }
}

s32 pl011_getc(u64 base) {
  if (read32(base + UARTFR) & UARTFR_RXFE) return -1;
  return (s32)(read32(base + UARTDR) & 0xfff);
}
