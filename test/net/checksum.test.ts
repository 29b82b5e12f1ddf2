import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sum } from "../../src/net/checksum.ts";
import { check } from "../support/soak.ts";

/** RFC 1071 as its text has it: 16-bit words, carries added in, an odd byte padded with zero. */
function plain(b: Uint8Array, from: number, end: number): number {
  let s = 0;
  for (let i = from; i < end; i += 2) {
    s += ((b[i] as number) << 8) | (i + 1 < end ? (b[i + 1] as number) : 0);
    if (s > 0xffff) s -= 0xffff;
  }
  return s;
}

describe("the Internet checksum over frames", () => {
  it("RFC 1071: sums any stretch of a frame, wherever it lies in its buffer", () => {
    check(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(40), fc.nat(400), fc.nat(3), (bytes, from, length, at) => {
        const buffer = new Uint8Array(bytes.length + at);
        buffer.set(bytes, at);
        const frame = buffer.subarray(at);
        const start = Math.min(from, frame.length);
        const end = Math.min(start + length, frame.length);
        expect(sum(frame, start, end)).toBe(plain(frame, start, end));
      }),
    );
  });

  it("RFC 1071: 1500 bytes of ones are FFFFh, of zeros 0", () => {
    expect(sum(new Uint8Array(1500).fill(0xff), 0, 1500)).toBe(0xffff);
    expect(sum(new Uint8Array(1500), 0, 1500)).toBe(0);
  });
});
