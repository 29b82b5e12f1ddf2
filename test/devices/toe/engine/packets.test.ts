/** What is not TCP: addresses on the link, errors, echo, fragments, datagrams. */
import { describe, expect, it } from "vitest";
import { Stack } from "../../../../src/devices/toe/engine/index.ts";
import { fold, load, pseudoSum, store, sum16 } from "../../../../src/devices/toe/engine/words.ts";
import type { Frame } from "../../../../src/net/index.ts";
import { SEC, Simulation } from "../../../../src/sim/index.ts";
import { A4, A6, B4, B6, MAC_A, MAC_B, pair, value } from "./pair.ts";

function alone() {
  const simulation = new Simulation({ seed: 2 });
  const sent: Frame[] = [];
  const told: number[] = [];
  const stack = new Stack(simulation, "stack", {
    onSocket: (socket, events) => {
      told[socket] = (told[socket] ?? 0) | events;
    },
    transmit: (frame) => sent.push(frame) > 0,
  });
  stack.configure({
    mac: MAC_A,
    addresses: [
      { address: A4, prefix: 24 },
      { address: A6, prefix: 64 },
    ],
    routes: [{ destination: Uint8Array.of(0, 0, 0, 0), prefix: 0, gateway: Uint8Array.of(10, 0, 0, 254) }],
  });
  const step = (seconds: number) => simulation.run(simulation.now + seconds * SEC);
  return { simulation, stack, sent, told, step };
}
const hex = (frame: Frame) => Array.from(frame, (b) => b.toString(16).padStart(2, "0")).join("");
const bytes = (text: string) =>
  Uint8Array.from(text.replace(/\s/g, "").match(/../g) ?? [], (h) => Number.parseInt(h, 16));

function arp(operation: number, mac: Uint8Array, sender: Uint8Array, target: Uint8Array, to = "ffffffffffff"): Frame {
  return bytes(
    `${to} ${hex(mac)} 0806 0001 0800 06 04 000${operation} ${hex(mac)} ${hex(sender)} 000000000000 ${hex(target)}`,
  );
}

/** An IPv4 packet from B to A. */
function ip4(
  protocol: number,
  payload: Uint8Array,
  { fragment = 0, id = 7, source = B4, to = A4, mac = MAC_A } = {},
): Frame {
  const frame = new Uint8Array(34 + payload.length);
  frame.set(mac, 0);
  frame.set(MAC_B, 6);
  store(frame, 12, 0x08004500);
  frame[16] = (20 + payload.length) >> 8;
  frame[17] = 20 + payload.length;
  frame[18] = id >> 8;
  frame[19] = id;
  frame[20] = fragment >> 8;
  frame[21] = fragment;
  frame[22] = 64;
  frame[23] = protocol;
  frame.set(source, 26);
  frame.set(to, 30);
  const check = fold(sum16(frame, 14, 20));
  frame[24] = check >> 8;
  frame[25] = check;
  frame.set(payload, 34);
  return frame;
}
function ip6(protocol: number, payload: Uint8Array, { source = B6, to = A6, hop = 255 } = {}): Frame {
  const frame = new Uint8Array(54 + payload.length);
  frame.set(to[0] === 0xff ? Uint8Array.of(0x33, 0x33, ...to.subarray(12)) : MAC_A, 0);
  frame.set(MAC_B, 6);
  store(frame, 12, 0x86dd6000);
  frame[18] = payload.length >> 8;
  frame[19] = payload.length;
  frame[20] = protocol;
  frame[21] = hop;
  frame.set(source, 22);
  frame.set(to, 38);
  frame.set(payload, 54);
  return frame;
}
/** Fills in an ICMPv6 checksum. */
function icmp6(frame: Frame): Frame {
  const words = (at: number) => [0, 4, 8, 12].map((i) => load(frame, at + i)) as [number, number, number, number];
  const length = frame.length - 54;
  const check = fold(pseudoSum(6, ...words(22), ...words(38), 58) + length + sum16(frame, 54, length));
  frame[56] = check >> 8;
  frame[57] = check;
  return frame;
}
function icmp4(type: number, code: number, rest: Uint8Array): Uint8Array {
  const message = Uint8Array.of(type, code, 0, 0, ...rest);
  const check = fold(sum16(message, 0, message.length));
  message[2] = check >> 8;
  message[3] = check;
  return message;
}
/** A UDP datagram without checksum, as IPv4 allows. */
const udp = (from: number, to: number, data: Uint8Array) =>
  Uint8Array.of(from >> 8, from, to >> 8, to, (8 + data.length) >> 8, 8 + data.length, 0, 0, ...data);

describe("ARP (RFC 826)", () => {
  it("a request for our address is answered to the asker, one for another is not", () => {
    const { stack, sent } = alone();
    stack.input(arp(1, MAC_B, B4, Uint8Array.of(10, 0, 0, 77)));
    expect(sent).toEqual([]);
    stack.input(arp(1, MAC_B, B4, A4));
    expect(sent.map(hex)).toEqual([
      `02000000000b02000000000a08060001080006040002${"02000000000a0a000001"}${"02000000000b0a000002"}${"0".repeat(36)}`,
    ]);
  });
  it("RFC 1122 2.3.2.2: a packet waits for the answer; three requests a second apart, then the connection is unreachable", () => {
    const { stack, sent, step } = alone();
    const socket = value(stack.socket("tcp", 4));
    value(stack.connect(socket, { address: B4, port: 80 }));
    expect(hex(sent[0]).slice(0, 44)).toBe("ffffffffffff02000000000a08060001080006040001");
    step(3.5);
    expect(sent).toHaveLength(3);
    expect(stack.error(socket)).toBe("unreachable");
    expect(stack.getOption(socket, "state")).toEqual({ ok: true, value: 0 });
  });
  it("what waited goes out when the answer comes, to the address it tells", () => {
    const { stack, sent, step } = alone();
    value(stack.connect(value(stack.socket("tcp", 4)), { address: B4, port: 80 }));
    step(0.5);
    stack.input(arp(2, MAC_B, B4, A4, hex(MAC_A)));
    expect(sent).toHaveLength(2);
    expect(hex(sent[1]).slice(0, 28)).toBe("02000000000b02000000000a0800");
  });
  it("an address off the link is reached through the gateway", () => {
    const { stack, sent } = alone();
    value(stack.connect(value(stack.socket("tcp", 4)), { address: Uint8Array.of(192, 0, 2, 1), port: 80 }));
    expect(hex(sent[0]).slice(76, 84)).toBe("0a0000fe");
  });
  it("an unsolicited reply makes no entry, and a scan of the whole net no more than 64", () => {
    const { stack, sent } = alone();
    stack.input(arp(2, MAC_B, B4, A4, hex(MAC_A)));
    value(stack.connect(value(stack.socket("tcp", 4)), { address: B4, port: 80 }));
    expect(hex(sent[0]).slice(24, 28)).toBe("0806");
    sent.length = 0;
    for (let i = 3; i < 250; i++)
      value(stack.connect(value(stack.socket("tcp", 4)), { address: Uint8Array.of(10, 0, 0, i), port: 80 }));
    expect(sent.length).toBeLessThanOrEqual(64);
  });
});

describe("neighbour discovery (RFC 4861)", () => {
  const solicitation = (hop = 255) =>
    icmp6(
      ip6(58, bytes(`87000000 00000000 ${hex(A6)} 0101 ${hex(MAC_B)}`), {
        to: bytes("ff0200000000000000000001ff000001"),
        hop,
      }),
    );
  it("7.2.4: a solicitation is answered with a solicited advertisement of our address", () => {
    const { stack, sent } = alone();
    stack.input(solicitation());
    expect(sent).toHaveLength(1);
    const answer = hex(sent[0]);
    expect(answer.slice(0, 28)).toBe("02000000000b02000000000a86dd");
    expect(answer.slice(108, 112)).toBe("8800");
    expect(answer.slice(116)).toBe(`60000000${hex(A6)}0201${hex(MAC_A)}`);
  });
  it("7.1.1: a solicitation that came through a router is dropped", () => {
    const { stack, sent } = alone();
    stack.input(solicitation(254));
    expect(sent).toEqual([]);
  });
  it("7.2.2: an unknown neighbour is asked for at its solicited-node group", () => {
    const { stack, sent } = alone();
    value(stack.connect(value(stack.socket("tcp", 6)), { address: B6, port: 80 }));
    expect(hex(sent[0]).slice(0, 28)).toBe("3333ff00000202000000000a86dd");
    expect(hex(sent[0]).slice(76, 108)).toBe("ff0200000000000000000001ff000002");
  });
});

describe("ICMP", () => {
  it("RFC 1122 3.2.2.6, RFC 4443 4.2: echo is answered with the same data, in both families", () => {
    const p = alone();
    p.stack.input(arp(1, MAC_B, B4, A4));
    p.sent.length = 0;
    p.stack.input(ip4(1, icmp4(8, 0, bytes("12340001 6162636465"))));
    expect(p.sent).toHaveLength(1);
    expect(hex(p.sent[0]).slice(68, 72)).toBe("0000");
    expect(hex(p.sent[0]).slice(76, 94)).toBe("123400016162636465");
    expect(fold(sum16(p.sent[0], 34, 13))).toBe(0);
    p.sent.length = 0;
    p.stack.input(icmp6(ip6(58, bytes("80000000 12340001 6162636465"))));
    // The neighbour is asked for first.
    p.stack.input(icmp6(ip6(58, bytes(`88000000 60000000 ${hex(B6)} 0201 ${hex(MAC_B)}`))));
    expect(hex(p.sent[1]).slice(108, 112)).toBe("8100");
  });
  it("RFC 1122 4.1.3.1: a datagram for a port nobody has is answered port unreachable, at a bounded rate", () => {
    const p = alone();
    p.stack.input(arp(1, MAC_B, B4, A4));
    p.sent.length = 0;
    for (let i = 0; i < 1000; i++) p.stack.input(ip4(17, udp(9, 1000 + i, Uint8Array.of(1))));
    expect(p.sent).toHaveLength(50);
    expect(hex(p.sent[0]).slice(68, 72)).toBe("0303");
    expect(hex(p.sent[0]).slice(84, 88)).toBe("4500");
  });
  it("RFC 1122 3.2.2: no error about an error, a group, a broadcast or a later fragment", () => {
    const p = alone();
    p.stack.input(arp(1, MAC_B, B4, A4));
    p.sent.length = 0;
    p.stack.input(
      ip4(17, udp(9, 1000, Uint8Array.of(1)), { to: Uint8Array.of(10, 0, 0, 255), mac: bytes("ffffffffffff") }),
    );
    p.stack.input(ip4(99, new Uint8Array(20), { to: Uint8Array.of(255, 255, 255, 255), mac: bytes("ffffffffffff") }));
    p.stack.input(ip4(17, udp(9, 1000, Uint8Array.of(1)), { mac: bytes("01005e000001") }));
    p.stack.input(ip4(1, icmp4(3, 3, new Uint8Array(40))));
    expect(p.sent).toEqual([]);
    p.stack.input(ip4(99, new Uint8Array(20)));
    expect(hex(p.sent[0]).slice(68, 72)).toBe("0302");
  });
  it("RFC 1191 6.4, RFC 5927 4.1: a smaller path MTU is believed where the quoted segment is under way", () => {
    const p = pair();
    const listener = value(p.b.stack.socket("tcp", 4));
    value(p.b.stack.bind(listener, { address: B4, port: 80 }));
    value(p.b.stack.listen(listener, 1));
    const client = value(p.a.stack.socket("tcp", 4));
    value(p.a.stack.connect(client, { address: B4, port: 80 }));
    p.simulation.run(SEC);
    const port = value(p.a.stack.local(client)).port;
    const frames: Frame[] = [];
    const send = p.forward.send.bind(p.forward);
    p.forward.send = (frame) => {
      frames.push(frame);
      return send(frame);
    };
    value(p.a.stack.send(client, new Uint8Array(3000)));
    const first = frames[0];
    expect((first[34] << 8) | first[35]).toBe(port);
    const quoted = first.slice(14, 14 + 28);
    const tooBig = (segment: Uint8Array) => ip4(1, icmp4(3, 4, Uint8Array.of(0, 0, 1000 >> 8, 1000 & 255, ...segment)));
    const wrong = quoted.slice();
    wrong[24] ^= 0x80;
    p.a.stack.input(tooBig(wrong));
    expect(p.a.stack.getOption(client, "mss")).toEqual({ ok: true, value: 1448 });
    p.a.stack.input(tooBig(quoted));
    expect(p.a.stack.getOption(client, "mss")).toEqual({ ok: true, value: 1000 - 40 - 12 });
    p.simulation.run(2 * SEC);
    const server = value(p.b.stack.accept(listener));
    expect(value(p.b.stack.receive(server, 10_000))).toHaveLength(3000);
  });
});

describe("fragments (RFC 791 3.2, RFC 8200 4.5, RFC 5722)", () => {
  const whole = udp(
    9,
    50,
    Uint8Array.from({ length: 3000 }, (_, i) => i),
  );
  const piece = (at: number, end: number, id = 7) =>
    ip4(17, whole.subarray(at, end), { fragment: (at >> 3) | (end < whole.length ? 0x2000 : 0), id });
  function listening() {
    const p = alone();
    const socket = value(p.stack.socket("udp", 4));
    value(p.stack.bind(socket, { address: A4, port: 50 }));
    return { ...p, socket };
  }
  const ORDERS: readonly (readonly number[])[] = [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
    [0, 0, 2, 1],
  ];
  for (const order of ORDERS) {
    it(`a datagram in three pieces is put together in the order ${order.join(" ")}, and nothing is held after`, () => {
      const { stack, socket } = listening();
      const pieces = [piece(0, 1480), piece(1480, 2960), piece(2960, whole.length)];
      for (const i of order) stack.input(pieces[i]);
      const { data, from } = value(stack.receiveFrom(socket));
      expect(data).toEqual(whole.subarray(8));
      expect(from).toEqual({ address: B4, port: 9 });
      expect(stack.bufferBytes).toBe(0);
    });
  }
  it("RFC 5722 4: pieces that overlap end the datagram", () => {
    const { stack, socket } = listening();
    for (const f of [piece(0, 1480), piece(1472, 2960), piece(2960, whole.length)]) stack.input(f);
    expect(stack.receiveFrom(socket)).toEqual({ ok: false, error: "would-block" });
    expect(stack.statistics["fragmentsDropped"]).toBe(1);
  });
  it("RFC 1122 3.3.2: after 60 s the pieces are forgotten, and the sender hears of it where the first has come", () => {
    const { stack, sent, step } = listening();
    stack.input(arp(1, MAC_B, B4, A4));
    sent.length = 0;
    stack.input(piece(0, 1480));
    stack.input(piece(1480, 2960, 8));
    expect(stack.bufferBytes).toBeGreaterThan(2900);
    step(59);
    expect(sent).toEqual([]);
    step(2);
    expect(stack.bufferBytes).toBe(0);
    // The entry has gone stale meanwhile: it is used all the same (RFC 4861 7.3.3).
    expect(sent.filter((f) => f[13] === 0).map((f) => hex(f).slice(68, 72))).toEqual(["0b01"]);
  });
  it("a thousand beginnings hold no more than an eighth of the quota", () => {
    const { stack } = listening();
    stack.setQuotas({ sockets: 8, bufferBytes: 200_000 });
    for (let id = 0; id < 1000; id++) stack.input(piece(0, 1480, id));
    expect(stack.bufferBytes).toBeLessThanOrEqual(25_000);
  });
});

describe("UDP (RFC 768)", () => {
  for (const family of [4, 6] as const) {
    it(`datagrams of every size cross, IPv${family}, those beyond the MTU in fragments`, () => {
      const p = pair();
      const [to, from] = family === 4 ? [B4, A4] : [B6, A6];
      const server = value(p.b.stack.socket("udp", family));
      value(p.b.stack.bind(server, { address: to, port: 53 }));
      const client = value(p.a.stack.socket("udp", family));
      for (const size of [0, 1, 1451, 1452, 1472, 1473, 4000, 20_000]) {
        const data = Uint8Array.from({ length: size }, (_, i) => i * 7);
        value(p.a.stack.sendTo(client, data, { address: to, port: 53 }));
        p.simulation.run(p.simulation.now + SEC);
        // The first three frames wait for the neighbour's address; a datagram of more is lost then.
        const got = value(p.b.stack.receiveFrom(server));
        expect(got.data).toEqual(data);
        expect(got.from.address).toEqual(from);
      }
      expect(p.b.stack.bufferBytes).toBe(0);
    });
  }
  it("RFC 1122 4.1.3.3: port unreachable reaches a connected socket", () => {
    const p = pair();
    const client = value(p.a.stack.socket("udp", 4));
    value(p.a.stack.connect(client, { address: B4, port: 53 }));
    value(p.a.stack.send(client, Uint8Array.of(1)));
    p.simulation.run(SEC);
    expect(p.a.stack.error(client)).toBe("refused");
  });
  it("RFC 8200 8.1: IPv6 datagrams without checksum are dropped, IPv4 ones taken", () => {
    const p = alone();
    const four = value(p.stack.socket("udp", 4));
    value(p.stack.bind(four, { address: A4, port: 50 }));
    const six = value(p.stack.socket("udp", 6));
    value(p.stack.bind(six, { address: A6, port: 50 }));
    p.stack.input(ip4(17, udp(9, 50, Uint8Array.of(1, 2))));
    p.stack.input(ip6(17, udp(9, 50, Uint8Array.of(1, 2))));
    expect(value(p.stack.receiveFrom(four)).data).toEqual(Uint8Array.of(1, 2));
    expect(p.stack.receiveFrom(six)).toEqual({ ok: false, error: "would-block" });
  });
  it("what nobody takes is bounded by the receive buffer", () => {
    const p = alone();
    const socket = value(p.stack.socket("udp", 4));
    value(p.stack.bind(socket, { address: A4, port: 50 }));
    value(p.stack.setOption(socket, "receive-buffer", 10_000));
    for (let i = 0; i < 100; i++) p.stack.input(ip4(17, udp(9, 50, new Uint8Array(1000))));
    expect(p.stack.bufferBytes).toBeLessThanOrEqual(10_000);
    expect(p.stack.statistics["udpDropped"]).toBe(91);
  });
});

describe("IPv6 headers (RFC 8200 4)", () => {
  const socketed = () => {
    const p = alone();
    p.stack.input(icmp6(ip6(58, bytes(`87000000 00000000 ${hex(A6)} 0101 ${hex(MAC_B)}`))));
    p.sent.length = 0;
    return p;
  };
  it("4: an unknown next header is answered with parameter problem 1, pointing to it", () => {
    const p = socketed();
    p.stack.input(ip6(200, new Uint8Array(8)));
    expect(hex(p.sent[0]).slice(108, 112)).toBe("0401");
    expect(hex(p.sent[0]).slice(116, 124)).toBe("00000006");
  });
  it("4.2: an unknown option of the kind 10 is answered with parameter problem 2", () => {
    const p = socketed();
    p.stack.input(ip6(60, bytes("3b00 9e04 00000000")));
    expect(hex(p.sent[0]).slice(108, 112)).toBe("0402");
    expect(hex(p.sent[0]).slice(116, 124)).toBe("0000002a");
  });
  it("RFC 5095: a type 0 routing header with segments left is refused", () => {
    const p = socketed();
    p.stack.input(ip6(43, bytes("3b02 0001 00000000 fd000000000000000000000000000009")));
    expect(hex(p.sent[0]).slice(108, 112)).toBe("0400");
  });
});
