/** Interrupt status, moderation by count and time, and the line of one interface (manual 11). */
import { type Event, US } from "../../sim/index.ts";
import { COUNTER, IRQ } from "./codes.ts";
import type { InterfaceFrame } from "./frame.ts";

interface Moderated {
  /** Completions or events since the bit was last set. */
  count: number;
}

export class Interrupts {
  readonly #of: InterfaceFrame;
  readonly #completion: Moderated;
  readonly #event: Moderated;
  readonly #completionTimer: Event;
  readonly #eventTimer: Event;
  /** A message is to be sent: the interrupt has become asserted, or is so still after software wrote to it. */
  onMessage: (() => void) | null = null;

  constructor(of: InterfaceFrame) {
    this.#of = of;
    this.#completion = of.cells({ count: 0 }, "completionModeration");
    this.#event = of.cells({ count: 0 }, "eventModeration");
    this.#completionTimer = of.event("completionTimer", () => this.set(IRQ.COMPLETION));
    this.#eventTimer = of.event("eventTimer", () => this.set(IRQ.EVENT));
  }

  /** A completion or an event was written. */
  happened(bit: number): void {
    const completion = bit === IRQ.COMPLETION;
    const moderated = completion ? this.#completion : this.#event;
    const setting = this.#of.reg(completion ? "COMPLETION_MODERATION" : "EVENT_MODERATION");
    moderated.count++;
    if (moderated.count >= (setting & 0xffff)) {
      this.set(bit);
      return;
    }
    const time = setting >>> 16;
    const timer = completion ? this.#completionTimer : this.#eventTimer;
    if (time > 0 && !timer.pending) timer.notify(time * US);
  }

  /** Sets bits of INTERRUPT_STATUS. */
  set(bits: number): void {
    if ((bits & IRQ.COMPLETION) !== 0) {
      this.#completion.count = 0;
      this.#completionTimer.cancel();
    }
    if ((bits & IRQ.EVENT) !== 0) {
      this.#event.count = 0;
      this.#eventTimer.cancel();
    }
    this.#of.setReg("INTERRUPT_STATUS", this.#of.reg("INTERRUPT_STATUS") | bits);
    this.update(false);
  }

  /** Drives the line; `written`: software wrote to status or enable. */
  update(written: boolean): void {
    const of = this.#of;
    const asserted = (of.reg("INTERRUPT_STATUS") & of.reg("INTERRUPT_ENABLE")) !== 0;
    const rises = asserted && !of.interrupt.level;
    if (rises) of.count(COUNTER.INTERRUPTS, 1);
    of.interrupt.set(asserted);
    if (rises || (asserted && written)) this.onMessage?.();
  }

  reset(): void {
    this.#completion.count = 0;
    this.#event.count = 0;
    this.#completionTimer.cancel();
    this.#eventTimer.cancel();
    this.update(false);
  }
}
