import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SegmentJoiner } from "../../src/net/joining.ts";
import { segment } from "../../src/net/segmentation.ts";
import { check } from "../support/soak.ts";
import { type Segment, tcpFrame } from "./tcp-frames.ts";

/** As network stacks cut: PSH and FIN in the last frame only, CWR in the first. */
const FLAGS = { first: 0xff6, middle: 0xf76, last: 0xf7f };

/** `count` frames of `mss` bytes that follow one another, the last of `last` bytes. */
function flow(first: Segment, count: number, mss: number, last = mss): Uint8Array[] {
  return Array.from({ length: count }, (_, n) =>
    tcpFrame({
      ...first,
      sequence: ((first.sequence ?? 0) + n * mss) >>> 0,
      identification: ((first.identification ?? 0) + n) & 0xffff,
      payload: Uint8Array.from({ length: n === count - 1 ? last : mss }, (_, i) => i * 7 + n),
      flags: n === count - 1 ? (first.flags ?? 0x10) : 0x10,
    }),
  );
}

/** Frames that go into one send, and what it is. */
function joined(frames: readonly Uint8Array[]): { taken: number; send: Uint8Array; joiner: SegmentJoiner } {
  const joiner = new SegmentJoiner(10);
  let taken = 0;
  for (const frame of frames) {
    if (!joiner.add(frame)) break;
    taken++;
  }
  joiner.finish();
  return { taken, send: joiner.buffer.slice(10, 10 + joiner.length), joiner };
}

describe("joining TCP segments", () => {
  it("RFC 791 3.1, RFC 9293 3.1: the send has the length of all, the first sequence number, the sum of the pseudo header, PSH of the last", () => {
    const { taken, send, joiner } = joined(flow({ sequence: 1000, identification: 7, flags: 0x18 }, 3, 100, 50));
    expect([taken, joiner.complete, send.length]).toEqual([3, true, 54 + 250]);
    expect([...send.subarray(16, 20)]).toEqual([1, 34, 0, 7]); // 20 + 20 + 250 bytes, identification 7
    expect([...send.subarray(38, 42)]).toEqual([0, 0, 3, 232]);
    expect(send[47]).toBe(0x18);
    // 10.0.0.1, 10.0.0.2, protocol 6, 270 bytes: 0a00 + 0001 + 0a00 + 0002 + 0006 + 010e
    expect([send[50], send[51]]).toEqual([0x15, 0x17]);
  });

  it("cut again, a send gives the very frames that were joined", () => {
    const connection = fc.record({
      ipv4: fc.boolean(),
      sequence: fc.integer({ min: 0, max: 0xffff_ffff }),
      acknowledgment: fc.integer({ min: 0, max: 0xffff_ffff }),
      identification: fc.nat(0xffff),
      window: fc.nat(0xffff),
      flags: fc.constantFrom(0x10, 0x18),
      options: fc.constantFrom(0, 12, 40).map((n) => Uint8Array.from({ length: n }, (_, i) => i + 1)),
      fragment: fc.constantFrom(0, 0x4000),
      service: fc.nat(255),
    });
    check(
      fc.property(
        connection,
        fc.integer({ min: 2, max: 12 }),
        fc.integer({ min: 7, max: 200 }),
        fc.nat(),
        (c, n, mss, l) => {
          const frames = flow(c, n, mss, 1 + (l % mss));
          const { taken, send, joiner } = joined(frames);
          expect(taken).toBe(n);
          const { headers } = joiner;
          // the field holds the sum with the length; cutting wants it without
          const tcp = headers.macLength + headers.ipLength;
          const length = send.length - tcp;
          const sum = (((send[tcp + 16] as number) << 8) | (send[tcp + 17] as number)) - length;
          const bare = sum <= 0 ? sum + 0xffff : sum;
          send[tcp + 16] = bare >> 8;
          send[tcp + 17] = bare;
          expect(segment(send, headers, true, true, FLAGS)).toEqual(frames);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("what is alone stays as it is", () => {
    const [frame] = flow({ flags: 0x18 }, 1, 1000) as [Uint8Array];
    const { send, joiner } = joined([frame]);
    expect([send, joiner.complete]).toEqual([frame, true]);
  });

  it.each<[string, Partial<Segment>]>([
    ["SYN", { flags: 0x12 }],
    ["FIN", { flags: 0x11 }],
    ["RST", { flags: 0x14 }],
    ["URG", { flags: 0x30 }],
    ["ECE", { flags: 0x50 }],
    ["CWR", { flags: 0x90 }],
    ["no ACK", { flags: 0 }],
    ["nothing to carry", { payload: new Uint8Array(0) }],
    ["a fragment with more to come", { fragment: 0x2000 }],
    ["a fragment behind others", { fragment: 1 }],
    ["the reserved bit of IPv4", { fragment: 0x8000 }],
    ["options of IP", { ipOptions: 4 }],
    ["UDP's number", { protocol: 17 }],
    ["padding behind it", { padding: 3 }],
    ["a wrong checksum of TCP", { spoil: 54 }],
    ["a wrong checksum of IP", { spoil: 15 }],
  ])("a segment with %s begins no send", (_, what) => {
    expect(joined([tcpFrame({ payload: new Uint8Array(100), ...what })]).taken).toBe(0);
  });

  it.each<[string, Partial<Segment>]>([
    ["a gap before it", { sequence: 101 }],
    ["the same bytes again", { sequence: 0 }],
    ["another port", { ports: [1, 3] }],
    ["another host", { source: 9 }],
    ["another acknowledgment", { acknowledgment: 5 }],
    ["another window", { window: 5 }],
    ["other options", { options: Uint8Array.of(1, 1, 1, 1) }],
    ["another type of service", { service: 8 }],
    ["the same identification", { identification: 0 }],
    ["don't-fragment set", { fragment: 0x4000 }],
    ["more bytes than the first", { payload: new Uint8Array(101) }],
    ["FIN", { flags: 0x11 }],
    ["padding behind it", { padding: 3 }],
    ["a wrong checksum of TCP", { spoil: 60 }],
  ])("a segment with %s is not joined, and changes nothing", (_, what) => {
    const first = tcpFrame({ payload: new Uint8Array(100) });
    const second = tcpFrame({ payload: new Uint8Array(100), sequence: 100, identification: 1, ...what });
    const { taken, send } = joined([first, second]);
    expect([taken, send]).toEqual([1, first]);
  });

  it("nothing follows a short frame or PSH", () => {
    const frames = flow({}, 3, 100);
    const short = tcpFrame({ payload: new Uint8Array(60), sequence: 100, identification: 1 });
    const after = tcpFrame({ payload: new Uint8Array(60), sequence: 160, identification: 2 });
    expect(joined([frames[0] as Uint8Array, short, after]).taken).toBe(2);
    const pushed = tcpFrame({ payload: new Uint8Array(100), sequence: 100, identification: 1, flags: 0x18 });
    expect(joined([frames[0] as Uint8Array, pushed, frames[2] as Uint8Array]).taken).toBe(2);
  });

  it("RFC 791 3.1: a send has at most 65,535 bytes of IP", () => {
    const { taken, send } = joined(flow({}, 60, 1460));
    expect([taken, send.length]).toEqual([44, 14 + 40 + 44 * 1460]);
  });

  it("frames of any bytes are taken whole or not at all", () => {
    const joiner = new SegmentJoiner(0);
    check(
      fc.property(fc.uint8Array({ maxLength: 120 }), (frame) => {
        joiner.frames = 0;
        if (joiner.add(frame)) expect(joiner.buffer.subarray(0, joiner.length)).toEqual(frame);
        else expect(joiner.frames).toBe(0);
      }),
    );
  });
});
