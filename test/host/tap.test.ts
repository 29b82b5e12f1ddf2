/** What goes over a TAP device's descriptor, header by header (virtio 1.2, 5.1.6: struct virtio_net_hdr); the device itself is in the guest suite. */
import { beforeEach, describe, expect, it } from "vitest";
import { TapPort } from "../../src/host/net/tap.ts";
import { Waiter } from "../../src/host/net/waiter.ts";
import { internetChecksum, type Segment, tcpFrame } from "../net/tcp-frames.ts";

/** A port whose descriptor is this test. */
class Port extends TapPort {
  readonly written: { readonly bytes: Uint8Array; readonly frames: number }[] = [];

  constructor() {
    super("-netdev tap,id=n", { kind: "tap", ifname: "tap0" }, new Waiter());
  }
  protected override write(data: Uint8Array, length: number, frames: number): void {
    this.written.push({ bytes: data.slice(0, length), frames });
  }
  read(header: readonly number[], frame: Uint8Array): Uint8Array[] {
    this.received(Uint8Array.from([...header, ...frame]));
    const frames: Uint8Array[] = [];
    for (let next = this.take(); next !== null; next = this.take()) frames.push(next);
    return frames;
  }
}

const NOTHING = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const bytes = (length: number, n = 0) => Uint8Array.from({ length }, (_, i) => i * 3 + n);
const data = (n: number, more: Segment = {}) =>
  tcpFrame({ sequence: 1000 * n, identification: n, payload: bytes(1000, n), ...more });

let port: Port;
beforeEach(() => {
  port = new Port();
});

describe("TAP: frames to the host", () => {
  it("5.1.6: segments that follow one another go as one: NEEDS_CSUM, TCPV4, headers of 54, segments of 1,000, sum from 34, at 16", () => {
    const frames = [data(0), data(1), data(2, { flags: 0x18 })];
    for (const frame of frames) port.send(frame);
    expect(port.written.map(({ frames }) => frames)).toEqual([3]);
    const sent = port.written[0]?.bytes as Uint8Array;
    expect([...sent.subarray(0, 10)]).toEqual([1, 1, 54, 0, 0xe8, 3, 34, 0, 16, 0]);
    expect(sent.length).toBe(10 + 54 + 3000);
    expect(sent.subarray(64)).toEqual(Uint8Array.from([...bytes(1000, 0), ...bytes(1000, 1), ...bytes(1000, 2)]));
  });

  it("5.1.6: TCP over IPv6 is TCPV6, summed from 54", () => {
    for (const n of [0, 1]) port.send(data(n, { ipv4: false }));
    port.flush();
    expect([...(port.written[0]?.bytes.subarray(0, 10) ?? [])]).toEqual([1, 4, 74, 0, 0xe8, 3, 54, 0, 16, 0]);
  });

  it("a frame by itself goes behind a header of zeroes, at the flush, or at once with PSH; so does what is no data", () => {
    port.send(data(0));
    expect(port.written).toEqual([]);
    port.flush();
    port.send(data(5, { flags: 0x18 }));
    port.send(tcpFrame({}));
    port.send(Uint8Array.of(1, 2, 3));
    const frames = [data(0), data(5, { flags: 0x18 }), tcpFrame({}), Uint8Array.of(1, 2, 3)];
    expect(port.written).toEqual(frames.map((f) => ({ bytes: Uint8Array.from([...NOTHING, ...f]), frames: 1 })));
    port.flush();
    expect(port.written).toHaveLength(4);
  });

  it("what cannot be joined goes behind what waits, in order", () => {
    const frames = [data(0), data(1), tcpFrame({}), data(2), data(9)];
    for (const frame of frames) port.send(frame);
    port.flush();
    expect(port.written.map(({ bytes: { length } }) => length - 10)).toEqual([2054, 54, 1054, 1054]);
    expect([...(port.written[1]?.bytes.subarray(0, 10) ?? [])]).toEqual(NOTHING);
  });

  it("a frame of 65,553 bytes goes, a longer one is lost", () => {
    port.send(bytes(65_553));
    port.send(bytes(65_554));
    expect([port.written.map(({ bytes: { length } }) => length), port.lost]).toEqual([[65_563], 1]);
  });
});

describe("TAP: frames from the host", () => {
  it("5.1.6: a frame behind a header of zeroes, or with DATA_VALID, is as it is", () => {
    expect(port.read(NOTHING, bytes(60))).toEqual([bytes(60)]);
    expect(port.read([2, ...NOTHING.slice(1)], bytes(60))).toEqual([bytes(60)]);
  });

  it("5.1.6.2: NEEDS_CSUM is done: from csum_start to the end, at csum_offset, where the pseudo header's sum stands", () => {
    const wanted = tcpFrame({ payload: bytes(33) });
    const partial = wanted.slice();
    // 10.0.0.1, 10.0.0.2, protocol 6, 53 bytes
    const pseudo = ~internetChecksum([10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 53]) & 0xffff;
    partial.set([pseudo >> 8, pseudo & 0xff], 50);
    expect(port.read([1, 0, 0, 0, 0, 0, 34, 0, 16, 0], partial)).toEqual([wanted]);
  });

  it("RFC 768: a checksum of UDP that comes out as zero is sent as ones", () => {
    const frame = new Uint8Array(60);
    frame.set([0xff, 0xff], 40);
    expect(port.read([1, 0, 0, 0, 0, 0, 34, 0, 6, 0], frame)[0]?.subarray(40, 42)).toEqual(Uint8Array.of(0xff, 0xff));
  });

  it.each([[true], [false]])(
    "5.1.6.4: a large send becomes the frames of a wire, all checksums right (IPv4 %s)",
    (ipv4) => {
      const common = { ipv4, sequence: 0xffff_ff00, identification: 0xffff, options: bytes(12), flags: 0x18 };
      const send = tcpFrame({ ...common, payload: bytes(2500) });
      const tcpAt = ipv4 ? 34 : 54;
      const frames = port.read([1, ipv4 ? 1 : 4, tcpAt + 32, 0, 0xe8, 3, tcpAt, 0, 16, 0], send);
      const part = (n: number, length: number, flags: number) =>
        tcpFrame({
          ...common,
          flags,
          sequence: (0xffff_ff00 + 1000 * n) >>> 0,
          identification: (0xffff + n) & 0xffff,
          payload: bytes(2500).subarray(1000 * n, 1000 * n + length),
        });
      expect(frames).toEqual([part(0, 1000, 0x10), part(1, 1000, 0x10), part(2, 500, 0x18)]);
    },
  );

  it("whatever the header says, nothing is thrown and no frame is shorter than its headers", () => {
    for (const header of [
      [1, 1, 0, 0, 0, 0, 34, 0, 16, 0],
      [1, 1, 255, 255, 255, 255, 255, 255, 255, 255],
      [1, 3, 54, 0, 100, 0, 34, 0, 16, 0],
      [1, 0, 0, 0, 0, 0, 255, 255, 255, 255],
      [255, 255, 0, 0, 1, 0, 0, 0, 0, 0],
    ]) {
      for (const frame of [bytes(14), bytes(60), data(0), data(0, { ipv4: false })]) {
        for (const out of port.read(header, frame)) expect(out.length).toBeGreaterThanOrEqual(14);
      }
    }
    expect(port.read([1, 2, 3], new Uint8Array(0))).toEqual([]);
  });
});
