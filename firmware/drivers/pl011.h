/* PL011 UART, Arm DDI 0183. */
#ifndef PL011_H
#define PL011_H
#include "types.h"

#define UARTDR 0x000u
#define UARTRSR 0x004u /* write: UARTECR */
#define UARTFR 0x018u
#define UARTIBRD 0x024u
#define UARTFBRD 0x028u
#define UARTLCR_H 0x02cu
#define UARTCR 0x030u
#define UARTIFLS 0x034u
#define UARTIMSC 0x038u
#define UARTRIS 0x03cu
#define UARTMIS 0x040u
#define UARTICR 0x044u
#define UARTDMACR 0x048u
#define UARTPeriphID0 0xfe0u
#define UARTPCellID0 0xff0u

#define UARTFR_CTS (1u << 0)
#define UARTFR_DSR (1u << 1)
#define UARTFR_DCD (1u << 2)
#define UARTFR_BUSY (1u << 3)
#define UARTFR_RXFE (1u << 4)
#define UARTFR_TXFF (1u << 5)
#define UARTFR_RXFF (1u << 6)
#define UARTFR_TXFE (1u << 7)
#define UARTFR_RI (1u << 8)

#define UARTLCR_H_BRK (1u << 0)
#define UARTLCR_H_FEN (1u << 4)
#define UARTLCR_H_WLEN8 (3u << 5)

#define UARTCR_UARTEN (1u << 0)
#define UARTCR_LBE (1u << 7)
#define UARTCR_TXE (1u << 8)
#define UARTCR_RXE (1u << 9)
#define UARTCR_DTR (1u << 10)
#define UARTCR_RTS (1u << 11)
#define UARTCR_OUT1 (1u << 12)
#define UARTCR_OUT2 (1u << 13)

/* Interrupt bits of IMSC, RIS, MIS and ICR. */
#define UART_RX (1u << 4)
#define UART_TX (1u << 5)
#define UART_RT (1u << 6)
#define UART_FE (1u << 7)
#define UART_PE (1u << 8)
#define UART_BE (1u << 9)
#define UART_OE (1u << 10)

/* 8 bits, no parity, one stop bit, FIFOs on, transmitter and receiver on, no interrupts. */
void pl011_init(u64 base, u32 clock_hz, u32 baud);
/* Depth of each FIFO: 32 characters from revision r1p5 on, 16 before. */
u32 pl011_fifo_depth(u64 base);
void pl011_putc(u64 base, u8 byte);
/* Until the last stop bit has left. */
void pl011_drain(u64 base);
/* The character with its error bits 8 to 11, or -1 when the FIFO is empty. */
s32 pl011_getc(u64 base);

#endif
