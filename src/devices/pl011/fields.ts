/** Bits of the PL011's registers that its model computes with: Arm DDI 0183G 3.3. */

export const DR_OE = 1 << 11;

export const RSR_OE = 1 << 3;
export const RSR_ERRORS = 0x7;

export const FR_RI = 1 << 8;
export const FR_TXFE = 1 << 7;
export const FR_RXFF = 1 << 6;
export const FR_TXFF = 1 << 5;
export const FR_RXFE = 1 << 4;
export const FR_BUSY = 1 << 3;
export const FR_DCD = 1 << 2;
export const FR_DSR = 1 << 1;
export const FR_CTS = 1 << 0;
export const FR_MODEM = FR_RI | FR_DCD | FR_DSR | FR_CTS;

export const LCR_FEN = 1 << 4;
export const LCR_STP2 = 1 << 3;
export const LCR_PEN = 1 << 1;
export const LCR_BRK = 1 << 0;

export const CR_CTSEn = 1 << 15;
export const CR_RTSEn = 1 << 14;
export const CR_Out2 = 1 << 13;
export const CR_Out1 = 1 << 12;
export const CR_RTS = 1 << 11;
export const CR_DTR = 1 << 10;
export const CR_RXE = 1 << 9;
export const CR_TXE = 1 << 8;
export const CR_LBE = 1 << 7;
export const CR_UARTEN = 1 << 0;

/** Bits of UARTIMSC, UARTRIS, UARTMIS and UARTICR. */
export const INT_OE = 1 << 10;
/** Framing, parity and break stand in the order of UARTDR[10:8]. */
export const INT_FE_SHIFT = 7;
export const INT_ERRORS = 0x780;
export const INT_RT = 1 << 6;
export const INT_TX = 1 << 5;
export const INT_RX = 1 << 4;
export const INT_DSR = 1 << 3;
export const INT_DCD = 1 << 2;
export const INT_CTS = 1 << 1;
export const INT_RI = 1 << 0;
export const INT_MODEM = 0xf;

export const DMACR_DMAONERR = 1 << 2;
export const DMACR_TXDMAE = 1 << 1;
export const DMACR_RXDMAE = 1 << 0;

export const TCR_TESTFIFO = 1 << 1;
export const TCR_ITEN = 1 << 0;

export const ITIP_UARTTXDMACLR = 1 << 7;
export const ITIP_UARTRXDMACLR = 1 << 6;

/** Locations of each FIFO in r1p5; earlier revisions have 16. */
export const FIFO_DEPTH = 32;
/** Locations at the levels that UARTIFLS selects; the reserved selections act as 7/8. */
export const FIFO_LEVELS: readonly number[] = [4, 8, 16, 24, 28, 28, 28, 28];
