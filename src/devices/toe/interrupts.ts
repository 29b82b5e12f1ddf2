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
  /** The registers, and where these are among them. */
  readonly #values: Int32Array;
  readonly #status: number;
  readonly #enable: number;
  readonly #completionSetting: number;
  readonly #eventSetting: number;

  constructor(of: InterfaceFrame) {
    this.#of = of;
    const { slot, values } = of.bank;
    this.#values = values;
    this.#status = slot.INTERRUPT_STATUS;
    this.#enable = slot.INTERRUPT_ENABLE;
    this.#completionSetting = slot.COMPLETION_MODERATION;
    this.#eventSetting = slot.EVENT_MODERATION;
    this.#completion = of.cells({ count: 0 }, "completionModeration");
    this.#event = of.cells({ count: 0 }, "eventModeration");
    this.#completionTimer = of.event("completionTimer", () => this.set(IRQ.COMPLETION));
    this.#eventTimer = of.event("eventTimer", () => this.set(IRQ.EVENT));
  }

  /** A completion or an event was written. */
  happened(bit: number): void {
    const completion = bit === IRQ.COMPLETION;
    const moderated = completion ? this.#completion : this.#event;
    const setting = this.#values[completion ? this.#completionSetting : this.#eventSetting] as number;
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
    this.#values[this.#status] = (this.#values[this.#status] as number) | bits;
    this.update(false);
  }

  /** Drives the line; `written`: software wrote to status or enable. */
  update(written: boolean): void {
    const of = this.#of;
    const asserted = ((this.#values[this.#status] as number) & (this.#values[this.#enable] as number)) !== 0;
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
