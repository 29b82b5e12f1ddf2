/** How a PL011 is built, and what may come in on its line. */

/** Flags of `receive`: what the receiver found wrong with the character. They stand as in UARTDR[10:8]. */
export const FRAMING_ERROR = 1;
export const PARITY_ERROR = 2;
export const BREAK = 4;

export interface Pl011Options {
  /** Frequency of UARTCLK in Hz; 24 MHz unless given. */
  readonly uartclk?: number;
  /**
   * "baud" (the default): a character takes its bits' time at the programmed rate. "immediate": it leaves within the write, at
   * any divisor, as over a line of infinite speed; each character then counts as a passage through the transmit trigger level.
   */
  readonly pacing?: "baud" | "immediate";
  /**
   * What a UART does that no guest has set up since reset. "disabled" (the default): nothing, as the manual has it. "enabled": until
   * UARTCR is first written it sends and receives, and until UARTLCR_H is first written characters have eight bits. Software made
   * for QEMU's machines relies on it. Its first use is reported as a guest error.
   */
  readonly unconfigured?: "disabled" | "enabled";
}
