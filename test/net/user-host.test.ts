import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checksum, type Frame, UserHost } from "../../src/net/index.ts";
import { Simulation } from "../../src/sim/index.ts";
import { check } from "../support/soak.ts";

const GUEST_MAC = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const HOST_MAC = [0x52, 0x55, 0x0a, 0, 2, 2];

function setUp() {
  const sent: Frame[] = [];
  const host = new UserHost(new Simulation(), "user", { send: (f) => sent.push(f) });
  return { host, sent };
}
const bytes = (...parts: number[][]) => Uint8Array.from(parts.flat());
const arpRequest = (target: number[]) =>
  bytes(
    Array(6).fill(0xff),
    GUEST_MAC,
    [8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
    GUEST_MAC,
    [10, 0, 2, 15],
    Array(6).fill(0),
    target,
  );

function ipv4(protocol: number, from: number[], to: number[], payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(34 + payload.length);
  frame.set(bytes(HOST_MAC, GUEST_MAC, [8, 0, 0x45, 0], [0, 0, 0, 0, 0, 0, 64, protocol, 0, 0], from, to));
  new DataView(frame.buffer).setUint16(16, 20 + payload.length);
  new DataView(frame.buffer).setUint16(24, checksum(frame, 14, 20));
  frame.set(payload, 34);
  return frame;
}

describe("in-process host of a user link", () => {
  it("RFC 826: answers ARP for 10.0.2.2 with its own address", () => {
    const { host, sent } = setUp();
    host.receive(arpRequest([10, 0, 2, 2]));
    expect([...(sent[0] as Frame).subarray(0, 42)]).toEqual([
      ...GUEST_MAC,
      ...HOST_MAC,
      8,
      6,
      0,
      1,
      8,
      0,
      6,
      4,
      0,
      2,
      ...HOST_MAC,
      10,
      0,
      2,
      2,
      ...GUEST_MAC,
      10,
      0,
      2,
      15,
    ]);
  });

  it("stays silent for the guest's own address (gratuitous ARP, address probes) and for other networks", () => {
    const { host, sent } = setUp();
    host.receive(arpRequest([10, 0, 2, 15]));
    host.receive(arpRequest([192, 168, 0, 1]));
    expect(sent).toEqual([]);
    expect(host.counts.dropped).toBe(2);
  });

  it("RFC 792: echoes a ping with the same identifier, sequence and data, and good checksums", () => {
    const { host, sent } = setUp();
    const icmp = Uint8Array.from([8, 0, 0, 0, 0x12, 0x34, 0, 7, 1, 2, 3, 4, 5]);
    new DataView(icmp.buffer).setUint16(2, checksum(icmp, 0, icmp.length));
    host.receive(ipv4(1, [10, 0, 2, 15], [10, 0, 2, 2], icmp));
    const reply = sent[0] as Frame;
    expect([...reply.subarray(26, 34)]).toEqual([10, 0, 2, 2, 10, 0, 2, 15]);
    expect(checksum(reply, 14, 20)).toBe(0);
    expect(checksum(reply, 34, 13)).toBe(0);
    expect([...reply.subarray(34, 36), ...reply.subarray(38, 47)]).toEqual([0, 0, 0x12, 0x34, 0, 7, 1, 2, 3, 4, 5]);
  });

  /** An echo request of `length` bytes in fragments of `room` payload bytes (RFC 791 3.2), as the guest sends it. */
  function fragments(length: number, room: number): Uint8Array[] {
    const icmp = new Uint8Array(8 + length);
    icmp.set([8, 0, 0, 0, 0x12, 0x34, 0, 7]);
    for (let i = 0; i < length; i++) icmp[8 + i] = i * 3;
    new DataView(icmp.buffer).setUint16(2, checksum(icmp, 0, icmp.length));
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < icmp.length; at += room) {
      const frame = ipv4(1, [10, 0, 2, 15], [10, 0, 2, 2], icmp.subarray(at, at + room));
      const view = new DataView(frame.buffer);
      view.setUint16(18, 0xbeef);
      view.setUint16(20, (at + room < icmp.length ? 0x2000 : 0) | (at >> 3));
      view.setUint16(24, 0);
      view.setUint16(24, checksum(frame, 14, 20));
      pieces.push(frame);
    }
    return pieces;
  }
  const payload = (frames: readonly Frame[]) =>
    frames.flatMap((f) => [...f.subarray(34, 14 + new DataView(f.buffer, f.byteOffset).getUint16(16))]);

  it("RFC 791 3.2: an echo request in fragments, in any order and one twice, is answered in fragments of at most 1500", () => {
    const { host, sent } = setUp();
    const [a, b, c] = fragments(4000, 1480) as [Frame, Frame, Frame];
    for (const piece of [c, a, a]) host.receive(piece);
    expect(sent).toEqual([]);
    host.receive(b);
    expect(sent.map((f) => [f.length, new DataView(f.buffer).getUint16(20)])).toEqual([
      [1514, 0x2000],
      [1514, 0x2000 | 185],
      [34 + 4008 - 2960, 370],
    ]);
    for (const f of sent) expect(checksum(f, 14, 20)).toBe(0);
    const icmp = Uint8Array.from(payload(sent));
    expect(checksum(icmp, 0, icmp.length)).toBe(0);
    expect([...icmp.subarray(0, 2), ...icmp.subarray(4, 8)]).toEqual([0, 0, 0x12, 0x34, 0, 7]);
    expect([...icmp.subarray(8)]).toEqual(payload([a, b, c]).slice(8));
  });

  it("a fragment that would make a datagram of more than 65535 bytes never completes one", () => {
    const { host, sent } = setUp();
    const [last] = fragments(1000, 1480) as [Frame];
    new DataView(last.buffer).setUint16(20, 0x1fff);
    new DataView(last.buffer).setUint16(24, 0);
    new DataView(last.buffer).setUint16(24, checksum(last, 14, 20));
    for (let i = 0; i < 3; i++) host.receive(last);
    expect([sent, host.counts.fragments]).toEqual([[], 3]);
  });

  it("a datagram in more than 128 pieces is given up", () => {
    const { host, sent } = setUp();
    for (const piece of fragments(1100, 8)) host.receive(piece);
    expect([sent, host.counts.fragments]).toEqual([[], 139]);
    for (const piece of fragments(900, 8)) host.receive(piece);
    expect(sent).toHaveLength(1);
  });

  it("fragments that wait are saved; of nine datagrams begun the first is forgotten", () => {
    const run = (begun: number) => {
      const { host, sent } = setUp();
      const [first, ...rest] = fragments(2000, 1480) as [Frame, Frame];
      host.receive(first);
      for (let n = 1; n < begun; n++) {
        const other = first.slice();
        new DataView(other.buffer).setUint16(18, n);
        new DataView(other.buffer).setUint16(24, 0);
        new DataView(other.buffer).setUint16(24, checksum(other, 14, 20));
        host.receive(other);
      }
      const saved = structuredClone(host.simulation.save());
      host.simulation.reset();
      host.simulation.load(saved);
      for (const piece of rest) host.receive(piece);
      return sent.length;
    };
    expect([run(1), run(8), run(9)]).toEqual([2, 2, 0]);
  });

  function dhcp(type: number, ...options: number[]): Uint8Array {
    const udp = new Uint8Array(8 + 300);
    new DataView(udp.buffer).setUint16(0, 68);
    new DataView(udp.buffer).setUint16(2, 67);
    new DataView(udp.buffer).setUint16(4, udp.length);
    udp.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef], 8);
    udp.set(GUEST_MAC, 8 + 28);
    udp.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, ...options, 255], 8 + 236);
    return ipv4(17, [0, 0, 0, 0], [255, 255, 255, 255], udp);
  }
  const reply = (f: Frame) => ({ xid: [...f.subarray(46, 50)], address: [...f.subarray(58, 62)], type: f[284] });

  it("RFC 2131 4.3: offers 10.0.2.15 to DISCOVER and acknowledges a REQUEST for it", () => {
    const { host, sent } = setUp();
    host.receive(dhcp(1));
    host.receive(dhcp(3, 50, 4, 10, 0, 2, 15));
    expect(sent.map(reply)).toEqual([
      { xid: [0xde, 0xad, 0xbe, 0xef], address: [10, 0, 2, 15], type: 2 },
      { xid: [0xde, 0xad, 0xbe, 0xef], address: [10, 0, 2, 15], type: 5 },
    ]);
  });

  it("RFC 2131 4.3.2: refuses a REQUEST for another address", () => {
    const { host, sent } = setUp();
    host.receive(dhcp(3, 50, 4, 10, 0, 2, 99));
    expect(sent.map(reply)).toEqual([{ xid: [0xde, 0xad, 0xbe, 0xef], address: [0, 0, 0, 0], type: 6 }]);
  });

  it("RFC 768: the UDP checksum of its replies holds", () => {
    const { host, sent } = setUp();
    host.receive(dhcp(1));
    const f = sent[0] as Frame;
    const pseudo = Uint8Array.from([...f.subarray(26, 34), 0, 17, f[38] as number, f[39] as number, ...f.subarray(34)]);
    expect(checksum(pseudo, 0, pseudo.length)).toBe(0);
  });

  it("property: no frame throws", () => {
    const { host } = setUp();
    check(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.constantFrom(0x0806, 0x0800),
        fc.boolean(),
        (frame, type, header) => {
          if (frame.length >= 15) {
            frame[12] = type >> 8;
            frame[13] = type & 0xff;
            if (header) frame[14] = 0x45;
          }
          host.receive(frame);
        },
      ),
      { numRuns: 3000 },
    );
    const { arp, dhcp: leases, echo, fragments, dropped } = host.counts;
    expect(arp + leases + echo + fragments + dropped).toBeGreaterThanOrEqual(3000);
  });
});
