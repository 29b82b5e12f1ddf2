import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BufferPool, Ring } from "../../../../src/devices/toe/engine/ring.ts";
import { Connection, SACK_RECOVERY } from "../../../../src/devices/toe/engine/tcp/connection.ts";
import {
  noteEarly,
  noteSacked,
  pipe,
  takeEarly,
  trimSacked,
  updateLossEdge,
} from "../../../../src/devices/toe/engine/tcp/sack.ts";
import { Segment } from "../../../../src/devices/toe/engine/tcp/segment.ts";
import { TimerHeap } from "../../../../src/devices/toe/engine/timers.ts";
import { fold, Summer, sum16 } from "../../../../src/devices/toe/engine/words.ts";
import { check } from "../../../support/soak.ts";

describe("rings", () => {
  it("a ring holds what a list of bytes would, whatever is written, read and dropped, and the pool's account is right", () => {
    const step = fc.record({ kind: fc.constantFrom("write", "drop"), size: fc.integer({ min: 1, max: 3000 }) });
    check(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pool = new BufferPool();
        pool.limit = 16_384;
        const ring = new Ring();
        let model: number[] = [];
        let next = 0;
        for (const { kind, size } of steps) {
          if (kind === "write") {
            const data = Uint8Array.from({ length: size }, () => next++);
            if (ring.write(pool, ring.used, data, 0, size, ring.used)) {
              ring.used += size;
              model.push(...data);
            } else expect(model.length + size).toBeGreaterThan(8192);
          } else {
            const n = Math.min(size, model.length);
            if (n > 0) ring.drop(pool, n, false);
            model = model.slice(n);
          }
          const copy = new Uint8Array(ring.used);
          ring.read(0, copy, 0, ring.used);
          expect([...copy]).toEqual(model);
          expect(pool.used).toBe(ring.capacity);
          expect(model.length === 0).toBe(ring.capacity === 0);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("timers", () => {
  it("come up in the order of their times, as a sorted list would have them", () => {
    const step = fc.record({
      slot: fc.integer({ min: 0, max: 200 }),
      at: fc.integer({ min: 0, max: 1000 }),
      remove: fc.boolean(),
    });
    check(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const heap = new TimerHeap();
        const model = new Map<number, number>();
        for (const { slot, at, remove } of steps) {
          if (remove) {
            heap.remove(slot);
            model.delete(slot);
          } else {
            heap.lower(slot, at);
            model.set(slot, Math.min(at, model.get(slot) ?? at));
          }
        }
        const copy = new TimerHeap();
        copy.load(heap.save(), "copy");
        const times: number[] = [];
        for (let slot = copy.take(1000); slot >= 0; slot = copy.take(1000)) {
          times.push(model.get(slot) ?? -1);
          model.delete(slot);
        }
        expect(times).toEqual([...times].sort((a, b) => a - b));
        expect(model.size).toBe(0);
      }),
    );
  });
});

describe("checksums (RFC 1071)", () => {
  it("by 32 bits at a time as by 16, at every alignment and length", () => {
    const summer = new Summer();
    check(
      fc.property(fc.uint8Array({ minLength: 100, maxLength: 3000 }), fc.nat(20), fc.nat(20), (data, from, less) => {
        const length = data.length - from - less;
        expect(fold(summer.sum(data, from, length))).toBe(fold(sum16(data, from, length)));
      }),
    );
  });
});

describe("ranges", () => {
  const blocks = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 6 })), { maxLength: 30 });
  /** In the middle of the numbers' wrap. */
  const base = 0x7fff_fff0;

  it("RFC 6675 4: the pipe is what a map of octets says, and SACKed ranges are in order and apart", () => {
    check(
      fc.property(blocks, fc.integer({ min: 0, max: 10 }), (list, acknowledged) => {
        const c = new Connection(4);
        c.smss = 3;
        c.sndUna = base;
        c.sndNxt = (base + 48) | 0;
        c.highRxt = base;
        c.mode = SACK_RECOVERY;
        const octets = new Set<number>();
        for (const [start, length] of list) {
          const s = new Segment();
          s.blocks = 1;
          s.sack[0] = (base + start) | 0;
          s.sack[1] = (base + start + length) | 0;
          noteSacked(c, s);
          for (let i = start; i < start + length; i++) octets.add(i);
        }
        c.sndUna = (base + acknowledged) | 0;
        c.highRxt = c.sndUna;
        trimSacked(c);
        const held = new Set<number>();
        for (let i = 0; i < c.sacked.length; i += 2) {
          for (let n = (c.sacked[i] - base) | 0; n < ((c.sacked[i + 1] - base) | 0); n++) held.add(n);
          if (i > 0) expect((c.sacked[i] - c.sacked[i - 1]) | 0).toBeGreaterThan(0);
        }
        expect(held).toEqual(new Set([...octets].filter((n) => n >= acknowledged).sort((a, b) => a - b)));
        updateLossEdge(c);
        // IsLost(): three ranges above, or more than two segments' worth of bytes.
        let expected = 0;
        for (let n = acknowledged; n < 48; n++) {
          if (held.has(n)) continue;
          const above = [...held].filter((m) => m > n);
          const ranges = above.filter((m) => !held.has(m - 1)).length;
          if (above.length <= 2 * 3 && ranges < 3) expected++;
        }
        expect(pipe(c)).toBe(expected);
      }),
    );
  });

  it("early data is taken up to where a map of octets has its first gap", () => {
    check(
      fc.property(blocks, (list) => {
        const c = new Connection(4);
        c.rcvNxt = base;
        const octets = new Set<number>();
        for (const [start, length] of list) {
          noteEarly(c, (base + start) | 0, (base + start + length) | 0);
          for (let i = start; i < start + length; i++) octets.add(i);
        }
        c.rcvNxt = (base + 1) | 0;
        let end = 1;
        while (octets.has(end)) end++;
        expect((takeEarly(c) - base) | 0).toBe(end);
      }),
    );
  });
});
