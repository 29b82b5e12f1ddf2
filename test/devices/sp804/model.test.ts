import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { check } from "../../support/soak.ts";
import { buildTimer, CYCLE } from "./timer.ts";

/** A counter that does tick, one TIMCLK cycle after the other, written from DDI 0271D 2.2 and 3.3 alone. */
class Ticking {
  load = 0;
  count = 0xffff_ffff;
  control = 0x20;
  ris = 0;
  #pending = false;
  #halted = false;
  #prescaler = 0;
  /** A count of zero that was loaded, and not yet taken for an interrupt. */
  #fresh = false;

  writeLoad(value: number): void {
    this.load = value;
    this.count = (this.control & 2) !== 0 ? value : value & 0xffff;
    this.#pending = true;
    this.#halted = false;
    this.#fresh = true;
  }
  writeControl(value: number): void {
    const changed = value ^ this.control;
    if ((changed & value & 0x80) !== 0 || (changed & 0x0c) !== 0) this.#prescaler = 0;
    this.control = value;
    if ((value & 1) === 0) this.#halted = false;
  }
  clear(): void {
    this.ris = 0;
  }

  edge(): void {
    const enabled = (this.control & 0x80) !== 0;
    if (this.#pending || (enabled && this.#fresh && this.#low() === 0)) {
      this.#pending = false;
      this.#prescaler = 0;
      if (enabled && this.#low() === 0) this.#zero();
    } else if (enabled) {
      const pre = (this.control >> 2) & 3;
      if (++this.#prescaler >= (pre === 0 ? 1 : pre === 1 ? 16 : 256)) {
        this.#prescaler = 0;
        this.#decrement();
      }
    }
    if (enabled) this.#fresh = false;
  }

  #low(): number {
    return (this.control & 2) !== 0 ? this.count : this.count & 0xffff;
  }
  #set(low: number): void {
    this.count = (this.control & 2) !== 0 ? low : ((this.count & 0xffff_0000) | low) >>> 0;
  }
  #period(): number {
    return (this.control & 2) !== 0 ? this.load : this.load & 0xffff;
  }
  #decrement(): void {
    if (this.#halted) return;
    const low = this.#low();
    if (low !== 0) {
      this.#set(low - 1);
      if (low === 1) this.#zero();
    } else if ((this.control & 1) !== 0) this.#halted = true;
    else if ((this.control & 0x40) === 0) this.#set((this.control & 2) !== 0 ? 0xffff_ffff : 0xffff);
    else {
      this.#set(this.#period());
      if (this.#period() === 0) this.ris = 1;
    }
  }
  #zero(): void {
    this.ris = 1;
    if ((this.control & 1) !== 0) this.#halted = true;
    else if ((this.control & 0x40) !== 0) this.#set(this.#period());
  }
}

const small = fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constantFrom(0xffff, 0x1_0000, 0x1_0003, 0xffff_ffff));
const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("load" as const), value: small }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("bgload" as const), value: small }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("control" as const),
      value: fc.constantFrom(0xe2, 0xe3, 0xa2, 0xa3, 0xe0, 0xa0, 0xa1, 0xe1, 0x62, 0x22, 0xc2, 0xe6, 0xa4),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("clear" as const), value: fc.constant(0) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("run" as const), value: fc.integer({ min: 1, max: 40 }) }) },
);

describe("SP804 against a counter that ticks, DDI 0271D 2.2", () => {
  it("has the same value, status and line at every edge, after any sequence of writes", () => {
    check(
      fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
        const t = buildTimer();
        const model = new Ticking();
        // All accesses lie half a cycle before the next edge.
        t.run(CYCLE / 2);
        for (const { kind, value } of steps) {
          if (kind === "load") {
            t.write(0x00, value);
            model.writeLoad(value);
          } else if (kind === "bgload") {
            t.write(0x18, value);
            model.load = value;
          } else if (kind === "control") {
            t.write(0x08, value);
            model.writeControl(value);
          } else if (kind === "clear") {
            t.write(0x0c, 0);
            model.clear();
          } else {
            for (let i = 0; i < value; i++) {
              t.run(CYCLE);
              model.edge();
              expect(t.peek(0x04)).toBe(model.count);
            }
          }
          const enabled = (model.control & 0x20) !== 0;
          expect([t.peek(0x00), t.peek(0x04), t.peek(0x10), t.timer.timer1Interrupt.level]).toEqual([
            model.load,
            model.count,
            model.ris,
            enabled && model.ris === 1,
          ]);
        }
      }),
      { numRuns: 300, seed: 804 },
    );
  });
});
