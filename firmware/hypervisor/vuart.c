/* PL011 r1p5, Arm DDI 0183G, for a guest. Modelled: registers, receive FIFO with levels, timeout and overrun, transmission that takes no time, loopback of
 * data, interrupts. Not modelled: line errors and break, modem lines, DMA, the test registers: nothing is behind them here. */
#include "hypervisor.h"
#include "pl011.h"

#define INTERRUPTS 0x7ffu

static u32 depth(const struct vuart *u) { return u->lcr & UARTLCR_H_FEN ? VUART_DEPTH : 1; }

/* 3.3.9: characters at which the receive interrupt rises. */
static u32 receive_level(const struct vuart *u) {
  static const u8 eighths[8] = { 1, 2, 4, 6, 7, 7, 7, 7 };
  return u->lcr & UARTLCR_H_FEN ? VUART_DEPTH * eighths[u->ifls >> 3 & 7] / 8 : 1;
}

static void line(struct vm *vm) { vgic_level(vm, BOARD_UART0_INTID, (vm->uart.ris & vm->uart.imsc) != 0); }

/* 2.8.4: 32 bit periods after the last character, in counts of the generic timer: divisor / (4 * UARTCLK) seconds a bit. */
static u64 timeout_counts(const struct vuart *u) {
  return 32UL * ((u64)u->ibrd * 64 + u->fbrd) * read_sysreg(cntfrq_el0) / (4UL * BOARD_UART0_CLOCK_HZ) + 1;
}

void vuart_reset(struct vm *vm) {
  vm->uart = (struct vuart){ .cr = UARTCR_TXE | UARTCR_RXE, .ifls = 0x12, .timeout = NEVER };
}

void vuart_receive(struct vm *vm, u32 character) {
  struct vuart *u = &vm->uart;
  if ((u->cr & (UARTCR_UARTEN | UARTCR_RXE)) != (UARTCR_UARTEN | UARTCR_RXE)) return;
  if (u->count >= depth(u)) {
    u->ris |= UART_OE;
    u->rsr |= 8;
  } else {
    u->fifo[(u->head + u->count++) % VUART_DEPTH] = (u16)character;
    if (u->count >= receive_level(u)) u->ris |= UART_RX;
    u->timeout = u->lcr & UARTLCR_H_FEN ? now() + timeout_counts(u) : NEVER;
  }
  line(vm);
}

static u32 take(struct vm *vm) {
  struct vuart *u = &vm->uart;
  if (!u->count) return 0;
  u32 character = u->fifo[u->head];
  u->head = (u->head + 1) % VUART_DEPTH;
  u->count--;
  u->rsr = (u8)(character >> 8);
  if (u->count < receive_level(u)) u->ris &= (u16)~UART_RX;
  if (!u->count) {
    u->ris &= (u16)~UART_RT;
    u->timeout = NEVER;
  } else {
    u->timeout = now() + timeout_counts(u);
  }
  line(vm);
  return character;
}

u64 vuart_update(struct vm *vm, u64 time) {
  struct vuart *u = &vm->uart;
  if (time >= u->timeout) {
    u->timeout = NEVER;
    u->ris |= UART_RT;
    line(vm);
  }
  return u->timeout;
}

u32 vuart_read(struct vm *vm, u32 offset) {
  static const u8 identification[8] = { 0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };
  struct vuart *u = &vm->uart;
  if (offset == UARTFR)
    return UARTFR_TXFE | (u->count ? 0 : UARTFR_RXFE) | (u->count >= depth(u) ? UARTFR_RXFF : 0);
  if (offset >= UARTPeriphID0 && offset < 0x1000) return identification[(offset - UARTPeriphID0) / 4];
  switch (offset) {
    case UARTDR: return take(vm);
    case UARTRSR: return u->rsr;
    case UARTIBRD: return u->ibrd;
    case UARTFBRD: return u->fbrd;
    case UARTLCR_H: return u->lcr;
    case UARTCR: return u->cr;
    case UARTIFLS: return u->ifls;
    case UARTIMSC: return u->imsc;
    case UARTRIS: return u->ris;
    case UARTMIS: return u->ris & u->imsc;
    case UARTDMACR: return u->dmacr;
    default: return 0;
  }
}

static void transmit(struct vm *vm, u32 value) {
  struct vuart *u = &vm->uart;
  if ((u->cr & (UARTCR_UARTEN | UARTCR_TXE)) != (UARTCR_UARTEN | UARTCR_TXE)) return;
  /* 3.3.8: in loopback the character comes back; that it does not go out as well is nowhere said. */
  console_write(vm, (u8)value);
  if (u->cr & UARTCR_LBE) vuart_receive(vm, value & 0xff);
  /* Gone at once: the FIFO has fallen to its level. */
  u->ris |= UART_TX;
  line(vm);
}

void vuart_write(struct vm *vm, u32 offset, u32 value) {
  struct vuart *u = &vm->uart;
  switch (offset) {
    case UARTDR: transmit(vm, value); break;
    case UARTRSR: u->rsr = 0; break;
    case UARTIBRD: u->ibrd = (u16)value; break;
    case UARTFBRD: u->fbrd = value & 0x3f; break;
    case UARTLCR_H:
      /* 3.3.8: without FEN the FIFOs become one character deep; what they held is gone. */
      if (u->lcr & ~value & UARTLCR_H_FEN) u->count = 0;
      u->lcr = value & 0xff;
      break;
    case UARTCR: u->cr = value & 0xff87; break;
    case UARTIFLS: u->ifls = value & 0x3f; break;
    case UARTIMSC: u->imsc = value & INTERRUPTS; break;
    case UARTICR:
      u->ris &= (u16)~value;
      if (value & UART_RT && u->count && u->lcr & UARTLCR_H_FEN) u->timeout = now() + timeout_counts(u);
      break;
    case UARTDMACR: u->dmacr = value & 7; break;
    default: break;
  }
  line(vm);
}
