/** Commands, docs/devices/toe.md 7 to 10: numbers are the manual's. The stack is a fake, so that each cause can be made. */
import { describe, expect, it } from "vitest";
import { MS, US } from "../../../src/sim/index.ts";
import { bench, Driver, ip, pattern } from "./device.ts";

const up = (interfaces = 2) => {
  const b = bench(interfaces);
  return { b, d: new Driver(b, 0).start(), stack: b.stack(0) };
};

describe("completions", () => {
  it("8: carries tag, user, opcode, SQ_HEAD and the phase of the pass", () => {
    const { b, d } = up();
    for (let pass = 0; pass < 3; pass++) {
      for (let n = 0; n < 64; n++) {
        d.submit({ opcode: 0, tag: n + 1000 * pass, user: 77 });
        b.run(100 * US);
        const done = d.reap();
        expect(done.map((c) => [c.tag, c.user, c.opcode, c.status, c.bufferId])).toEqual([
          [n + 1000 * pass, 77, 0, 0, 0xffff_ffff],
        ]);
        expect(done[0]?.head).toBe((n + 1) % 64);
      }
    }
  });
  it("6: a full completion ring loses nothing", () => {
    const { b, d } = up();
    let seen = 0;
    for (let round = 0; round < 4; round++) {
      for (let n = 0; n < 40; n++) d.put({ opcode: 0, tag: 40 * round + n });
      d.ring();
      b.run();
    }
    for (let round = 0; round < 5; round++) {
      for (const c of d.reap()) expect(c.tag).toBe(seen++);
      b.run();
    }
    expect(seen).toBe(160);
  });
});

describe("sockets", () => {
  it("7: SOCKET gives a number, TCP and UDP, IPv4 and IPv6; others are INVALID", () => {
    const { d } = up();
    const a = d.call({ opcode: 1, arg0: 1, arg1: 4 });
    const c = d.call({ opcode: 1, arg0: 2, arg1: 6 });
    expect([a.status, c.status, a.socket === c.socket]).toEqual([0, 0, false]);
    expect(d.call({ opcode: 1, arg0: 3, arg1: 4 }).status).toBe(2);
    expect(d.call({ opcode: 1, arg0: 1, arg1: 5 }).status).toBe(2);
  });
  it("7: BIND gives the port; a second one is ADDRESS_IN_USE; an address of the other family INVALID", () => {
    const { d } = up();
    const { socket } = d.call({ opcode: 1, arg0: 1, arg1: 4 });
    const other = d.call({ opcode: 1, arg0: 1, arg1: 4 }).socket;
    expect(d.call({ opcode: 2, socket, port: 80 })).toMatchObject({ status: 0, port: 80 });
    expect(d.call({ opcode: 2, socket: other, port: 80 }).status).toBe(5);
    const six = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    expect(d.call({ opcode: 2, socket: other, port: 81, address: six }).status).toBe(2);
    expect(d.call({ opcode: 2, socket: other }).port).toBeGreaterThan(0);
  });
  it("7: CONNECT completes when established, or with the reason why not", () => {
    const { b, d, stack } = up();
    stack.auto = false;
    const { socket } = d.call({ opcode: 1, arg0: 1, arg1: 4 });
    d.submit({ opcode: 5, socket, address: ip(10, 0, 0, 1), port: 80 });
    b.run();
    expect(d.reap()).toEqual([]);
    stack.establish(socket);
    b.run();
    expect(d.reap().map((c) => [c.opcode, c.status])).toEqual([[5, 0]]);
    const second = d.call({ opcode: 1, arg0: 1, arg1: 4 }).socket;
    d.submit({ opcode: 5, socket: second, address: ip(10, 0, 0, 1), port: 81 });
    b.run();
    stack.fail(second, "refused");
    b.run();
    expect(d.reap().map((c) => [c.opcode, c.status])).toEqual([[5, 9]]);
  });
  it("7: ACCEPT waits; with MULTI it completes for each connection with MORE; the peer's name comes with it", () => {
    const { b, d, stack } = up();
    const { socket } = d.call({ opcode: 1, arg0: 1, arg1: 4 });
    d.call({ opcode: 2, socket, port: 80 });
    expect(d.call({ opcode: 3, socket, arg0: 8 }).status).toBe(0);
    expect(d.call({ opcode: 4, socket, flags: 2 }).status).toBe(1);
    d.submit({ opcode: 4, socket, flags: 32, tag: 5 });
    b.run();
    const peer = { address: Uint8Array.of(10, 0, 0, 9), port: 4444 };
    const made = [stack.arrive(socket, peer), stack.arrive(socket, peer)];
    b.run();
    const done = d.reap();
    expect(done.map((c) => [c.tag, c.status, c.flags, c.socket, c.port])).toEqual(made.map((s) => [5, 0, 1, s, 4444]));
    expect([...(done[0]?.address ?? [])]).toEqual([...ip(10, 0, 0, 9)]);
    expect(d.call({ opcode: 16, arg0: 5, tag: 6 }).tag).toBe(5);
  });
  it("7: commands for a socket that is not there are NO_SOCKET", () => {
    const { d } = up();
    for (const opcode of [2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 17]) {
      expect(d.call({ opcode, socket: 99, arg0: 1 }).status).toBe(3);
    }
    for (const opcode of [6, 7, 8, 9]) expect(d.call({ opcode, socket: 99, length: 1, buffer: d.data }).status).toBe(3);
  });
  it("7: GET_NAME gives both ends; options are kept; unknown ones are INVALID", () => {
    const { d } = up();
    const socket = d.connect();
    expect(d.call({ opcode: 17, socket, arg0: 1 })).toMatchObject({ status: 0, port: 80, address: ip(10, 0, 0, 1) });
    expect(d.call({ opcode: 17, socket, arg0: 2 }).status).toBe(2);
    expect(d.call({ opcode: 13, socket, arg0: 0, arg1: 1 }).status).toBe(0);
    expect(d.call({ opcode: 14, socket, arg0: 0 })).toMatchObject({ status: 0, result: 1 });
    expect(d.call({ opcode: 14, socket, arg0: 17 })).toMatchObject({ status: 0, result: 4 });
    expect(d.call({ opcode: 13, socket, arg0: 17, arg1: 1 }).status).toBe(2);
    expect(d.call({ opcode: 14, socket, arg0: 18 }).status).toBe(2);
    expect(d.call({ opcode: 14, socket, arg0: 258 })).toMatchObject({ status: 0, result: 65_536 });
  });
});

describe("sending", () => {
  it("7: SEND takes plain buffers and scatter lists, in the order of the ring", () => {
    const { b, d, stack } = up();
    const socket = d.connect();
    const bytes = pattern(5000);
    d.store(d.data, bytes);
    const list = new Uint8Array(48);
    const v = new DataView(list.buffer);
    [
      [d.data + 1000, 1500],
      [d.data, 0],
      [d.data + 2500, 2500],
    ].forEach(([address, length], i) => {
      v.setUint32(16 * i, address as number, true);
      v.setUint32(16 * i + 8, length as number, true);
    });
    d.store(d.data + 0x8000, list);
    d.submit(
      { opcode: 6, socket, length: 1000, buffer: d.data },
      { opcode: 6, flags: 1, socket, length: 4000, buffer: d.data + 0x8000, arg1: 3 },
    );
    b.run();
    expect(d.reap().map((c) => [c.status, c.result])).toEqual([
      [0, 1000],
      [0, 4000],
    ]);
    expect(stack.sentBytes(socket)).toEqual(bytes);
  });
  it("7: with ACKNOWLEDGED a SEND completes when its last byte is acknowledged, without it when it is read", () => {
    const { b, d, stack } = up();
    const socket = d.connect();
    stack.auto = false;
    d.submit(
      { opcode: 6, flags: 4, socket, length: 100, buffer: d.data, tag: 1 },
      { opcode: 6, socket, length: 100, buffer: d.data, tag: 2 },
      { opcode: 6, flags: 4, socket, length: 100, buffer: d.data, tag: 3 },
    );
    b.run();
    expect(d.reap().map((c) => c.tag)).toEqual([2]);
    stack.acknowledge(socket, 99);
    b.run();
    expect(d.reap()).toEqual([]);
    stack.acknowledge(socket, 1);
    b.run();
    expect(d.reap().map((c) => c.tag)).toEqual([1]);
    stack.acknowledge(socket);
    b.run();
    expect(d.reap().map((c) => [c.tag, c.result])).toEqual([[3, 100]]);
  });
  it("7: each byte is read once, when the send buffer has room; NOWAIT completes with the part that went", () => {
    const { b, d, stack } = up();
    const socket = d.connect();
    stack.auto = false;
    const state = stack.sockets.get(socket);
    if (state) state.sendBuffer = 1000;
    d.store(d.data, pattern(3000));
    d.submit({ opcode: 6, socket, length: 3000, buffer: d.data });
    b.run();
    expect([d.reap(), stack.sentBytes(socket).length]).toEqual([[], 1000]);
    d.store(d.data, new Uint8Array(1000));
    stack.acknowledge(socket);
    b.run();
    stack.acknowledge(socket);
    b.run();
    expect(d.reap().map((c) => [c.status, c.result])).toEqual([[0, 3000]]);
    expect(stack.sentBytes(socket)).toEqual(pattern(3000));
    stack.acknowledge(socket);
    expect(d.call({ opcode: 6, flags: 2, socket, length: 3000, buffer: d.data })).toMatchObject({
      status: 0,
      result: 1000,
    });
    expect(d.call({ opcode: 6, flags: 2, socket, length: 3000, buffer: d.data })).toMatchObject({
      status: 1,
      result: 0,
    });
  });
  it("7: CLOSE waits for the SENDs before it, and completes what waits with CLOSED", () => {
    const { b, d, stack } = up();
    const socket = d.connect();
    stack.auto = false;
    const state = stack.sockets.get(socket);
    if (state) state.sendBuffer = 10;
    d.submit(
      { opcode: 7, socket, length: 10, buffer: d.data, tag: 1 },
      { opcode: 6, flags: 4, socket, length: 20, buffer: d.data, tag: 2 },
      { opcode: 11, socket, tag: 3 },
    );
    b.run();
    expect(d.reap()).toEqual([]);
    stack.acknowledge(socket);
    b.run();
    expect([d.reap(), stack.sentBytes(socket).length]).toEqual([[], 20]);
    stack.acknowledge(socket);
    b.run();
    expect(d.reap().map((c) => [c.tag, c.status])).toEqual([
      [2, 0],
      [1, 16],
      [3, 0],
    ]);
    expect(d.call({ opcode: 6, socket, length: 1, buffer: d.data }).status).toBe(3);
  });
  it("7: ABORT ends the socket's commands with ABORTED; a reset by the peer ends them with RESET", () => {
    const { b, d, stack } = up();
    stack.auto = true;
    const [first, second] = [d.connect(), d.connect()];
    stack.auto = false;
    for (const socket of [first, second])
      d.submit(
        { opcode: 6, flags: 4, socket, length: 20, buffer: d.data, tag: 1 },
        { opcode: 7, socket, length: 10, buffer: d.data, tag: 2 },
      );
    d.submit({ opcode: 12, socket: first, tag: 3 });
    b.run();
    stack.fail(second, "reset");
    b.run();
    expect(d.reap().map((c) => [c.socket, c.tag, c.status])).toEqual([
      [first, 2, 11],
      [first, 1, 11],
      [first, 3, 0],
      [second, 2, 10],
      [second, 1, 10],
    ]);
    expect(d.call({ opcode: 6, socket: second, length: 1, buffer: d.data }).status).toBe(10);
  });
  it("7: a SEND before CONNECT is WRONG_STATE; SENDTO and RECEIVE_FROM are for UDP", () => {
    const { d } = up();
    const { socket } = d.call({ opcode: 1, arg0: 1, arg1: 4 });
    expect(d.call({ opcode: 6, socket, length: 1, buffer: d.data }).status).toBe(4);
    expect(d.call({ opcode: 8, socket, length: 1, buffer: d.data }).status).toBe(4);
    expect(d.call({ opcode: 9, socket, length: 1, buffer: d.data }).status).toBe(4);
  });
});

describe("receiving", () => {
  it("7: RECEIVE completes with what there is; with ALL when it is full; END at the end of the stream", () => {
    const { b, d, stack } = up();
    const socket = d.connect();
    const bytes = pattern(300);
    d.submit({ opcode: 7, socket, length: 200, buffer: d.data, tag: 1 });
    b.run();
    stack.deliver(socket, bytes.subarray(0, 50));
    b.run();
    expect(d.reap().map((c) => [c.status, c.result])).toEqual([[0, 50]]);
    d.submit({ opcode: 7, flags: 8, socket, length: 200, buffer: d.data + 50, tag: 2 });
    stack.deliver(socket, bytes.subarray(50, 150));
    b.run();
    expect(d.reap()).toEqual([]);
    stack.deliver(socket, bytes.subarray(150, 300));
    b.run();
    expect(d.reap().map((c) => [c.status, c.result])).toEqual([[0, 200]]);
    expect(d.load(d.data, 250)).toEqual(bytes.subarray(0, 250));
    stack.end(socket);
    expect(d.call({ opcode: 7, flags: 8, socket, length: 200, buffer: d.data })).toMatchObject({
      result: 50,
      flags: 2,
    });
    expect(d.call({ opcode: 7, socket, length: 200, buffer: d.data })).toMatchObject({
      status: 0,
      result: 0,
      flags: 2,
    });
  });
  it("10: POOL takes the next buffer, and gives its id and address; an empty pool loses nothing", () => {
    const { b, d, stack } = up();
    const socket = d.connect();
    d.submit({ opcode: 7, flags: 16 | 32, socket, length: 4096, tag: 9 });
    stack.deliver(socket, pattern(250));
    b.run();
    expect(d.reap()).toEqual([]);
    d.give(d.data, 0, 70);
    d.give(d.data + 0x100, 100, 71);
    d.give(d.data + 0x200, 100, 72);
    b.run();
    expect(d.reap().map((c) => [c.tag, c.flags, c.result, c.bufferId, c.buffer])).toEqual([
      [9, 1, 100, 71, d.data + 0x100],
      [9, 1, 100, 72, d.data + 0x200],
    ]);
    d.give(d.data + 0x300, 100, 73);
    b.run();
    expect(d.reap().map((c) => [c.flags, c.result, c.bufferId])).toEqual([[1, 50, 73]]);
    expect(d.load(d.data + 0x200, 100)).toEqual(pattern(250).subarray(100, 200));
    stack.end(socket);
    b.run();
    expect(d.reap().map((c) => [c.tag, c.flags, c.result, c.bufferId])).toEqual([[9, 2, 0, 0xffff_ffff]]);
  });
  it("10: POOL interrupts when POOL_LOW or fewer are left; without a pool it is NO_POOL", () => {
    const { b, d, stack } = up();
    const socket = d.connect();
    d.write(0xf4, 1);
    d.write(0x40, 31);
    for (let n = 0; n < 3; n++) d.give(d.data + 256 * n, 256, n);
    for (let n = 0; n < 2; n++) {
      d.submit({ opcode: 7, flags: 16, socket, length: 10 });
      stack.deliver(socket, pattern(10));
      b.run();
      expect((d.read(0x40) >>> 4) & 1).toBe(n);
    }
    d.write(0x20, 0);
    d.write(0xe8, 0);
    d.write(0x20, 1);
    d.tail = 0;
    d.head = 0;
    d.phase = 1;
    d.store(d.base, new Uint8Array(0x3000));
    const again = d.connect();
    expect(d.call({ opcode: 7, flags: 16, socket: again, length: 10 }).status).toBe(42);
  });
  it("7: RECEIVE_FROM gives the sender, and TRUNCATED where the datagram does not fit; SENDTO names the receiver", () => {
    const { b, d, stack } = up();
    const { socket } = d.call({ opcode: 1, arg0: 2, arg1: 4 });
    stack.deliver(socket, pattern(100), { address: Uint8Array.of(10, 0, 0, 7), port: 53 });
    expect(d.call({ opcode: 9, socket, length: 40, buffer: d.data })).toMatchObject({
      status: 0,
      result: 40,
      flags: 4,
      port: 53,
      address: ip(10, 0, 0, 7),
    });
    d.store(d.data, pattern(8, 3));
    expect(d.call({ opcode: 8, socket, length: 8, buffer: d.data }).status).toBe(4);
    expect(d.call({ opcode: 8, socket, length: 8, buffer: d.data, address: ip(10, 0, 0, 7), port: 53 }).status).toBe(0);
    expect(d.call({ opcode: 8, socket, length: 0, address: ip(10, 0, 0, 7), port: 53 }).status).toBe(0);
    expect(stack.out.get(socket)?.map((p) => p.length)).toEqual([8, 0]);
    d.submit({ opcode: 9, socket, length: 40, buffer: d.data, tag: 4 });
    b.run();
    stack.fail(socket, "refused");
    b.run();
    expect(d.reap().map((c) => [c.tag, c.status])).toEqual([[4, 9]]);
  });
});

describe("polling, events, cancellation, time-outs", () => {
  it("7: POLL completes when a bit is true, with those that are", () => {
    const { b, d, stack } = up();
    const socket = d.connect();
    expect(d.call({ opcode: 15, socket, arg0: 6 })).toMatchObject({ status: 0, result: 6 });
    d.submit({ opcode: 15, socket, arg0: 1 });
    b.run();
    expect(d.reap()).toEqual([]);
    stack.deliver(socket, pattern(1));
    b.run();
    expect(d.reap().map((c) => [c.status, c.result])).toEqual([[0, 1]]);
    expect(d.call({ opcode: 15, flags: 2, socket, arg0: 16 }).status).toBe(1);
    expect(d.call({ opcode: 15, socket, arg0: 0 }).status).toBe(2);
  });
  it("7, 9: a datagram without bytes is READABLE too", () => {
    const { d, stack } = up();
    const { socket } = d.call({ opcode: 1, arg0: 2, arg1: 4 });
    d.call({ opcode: 2, socket, port: 53 });
    stack.deliver(socket, new Uint8Array(0));
    expect(d.call({ opcode: 15, socket, arg0: 1 })).toMatchObject({ status: 0, result: 1 });
    expect(d.call({ opcode: 14, socket, arg0: 257 })).toMatchObject({ status: 0, result: 0 });
  });
  it("9: EVENT_MASK chooses what is written to the event ring; what is true already comes at once", () => {
    const { b, d, stack } = up();
    const socket = d.connect();
    stack.deliver(socket, pattern(1));
    b.run();
    expect(d.events()).toEqual([]);
    d.call({ opcode: 13, socket, arg0: 256, arg1: 0x31 });
    expect(d.events()).toEqual([{ socket, bits: 1, status: 0 }]);
    stack.deliver(socket, pattern(1));
    stack.end(socket);
    b.run();
    expect(d.events()).toEqual([{ socket, bits: 0x11, status: 0 }]);
    stack.fail(socket, "timed-out");
    b.run();
    expect(d.events()).toEqual([{ socket, bits: 0x20, status: 12 }]);
  });
  it("7: CANCEL ends commands by tag or of a socket, with the bytes moved, before it completes", () => {
    const { b, d, stack } = up();
    const socket = d.connect();
    d.submit({ opcode: 7, flags: 8, socket, length: 100, buffer: d.data, tag: 7 });
    stack.deliver(socket, pattern(30));
    b.run();
    d.submit({ opcode: 16, arg0: 7, tag: 8 });
    b.run();
    expect(d.reap().map((c) => [c.tag, c.status, c.result])).toEqual([
      [7, 37, 30],
      [8, 0, 1],
    ]);
    d.submit(
      { opcode: 7, socket, length: 100, buffer: d.data, tag: 1 },
      { opcode: 15, socket, arg0: 0x10, tag: 2 },
      { opcode: 16, flags: 8, socket, tag: 3 },
      { opcode: 16, flags: 8, socket, tag: 4 },
    );
    b.run();
    expect(d.reap().map((c) => [c.tag, c.status, c.result])).toEqual([
      [1, 37, 0],
      [2, 37, 0],
      [3, 0, 2],
      [4, 41, 0],
    ]);
  });
  it("7: a timeout counts from dispatch and ends the command with COMMAND_TIMEOUT", () => {
    const { b, d } = up();
    const socket = d.connect();
    d.submit(
      { opcode: 7, socket, length: 1, buffer: d.data, tag: 1, timeout: 5000 },
      { opcode: 15, socket, arg0: 1, tag: 2, timeout: 3000 },
    );
    b.run(2 * MS);
    expect(d.reap()).toEqual([]);
    b.run(2 * MS);
    expect(d.reap().map((c) => [c.tag, c.status])).toEqual([[2, 38]]);
    b.run(2 * MS);
    expect(d.reap().map((c) => [c.tag, c.status])).toEqual([[1, 38]]);
  });
});

describe("form", () => {
  it("7: opcodes, reserved fields, flags and lengths that are bad are refused", () => {
    const { b, d } = up();
    const socket = d.connect();
    const status = (c: Parameters<typeof d.call>[0]) => d.call({ socket, buffer: d.data, ...c }).status;
    expect(status({ opcode: 18 })).toBe(32);
    expect(status({ opcode: 255 })).toBe(32);
    expect(status({ opcode: 0, flags: 1 })).toBe(33);
    expect(status({ opcode: 6, flags: 16, length: 1 })).toBe(33);
    expect(status({ opcode: 7, flags: 32, length: 1 })).toBe(33);
    expect(status({ opcode: 6, length: 0 })).toBe(34);
    expect(status({ opcode: 6, length: 65_537 })).toBe(34);
    expect(status({ opcode: 7, length: 0 })).toBe(34);
    expect(status({ opcode: 6, flags: 1, length: 1, arg1: 0 })).toBe(35);
    expect(status({ opcode: 6, flags: 1, length: 1, arg1: 65 })).toBe(35);
    expect(status({ opcode: 6, flags: 1, length: 1, arg1: 1 })).toBe(35);
    d.put({ opcode: 0 });
    d.store(d.base + 64 * (d.tail - 1) + 50, Uint8Array.of(1));
    d.ring();
    b.run();
    expect(d.reap()[0]?.status).toBe(33);
  });
  it("8.1: buffers that nothing answers for are BUFFER_FAULT, and only that command ends", () => {
    const { d, stack } = up();
    const socket = d.connect();
    for (const buffer of [0x1000, 2 ** 47, 2 ** 60]) {
      expect(d.call({ opcode: 6, socket, length: 10, buffer }).status).toBe(36);
      expect(d.call({ opcode: 6, flags: 1, arg1: 1, socket, length: 10, buffer }).status).toBe(36);
    }
    stack.deliver(socket, pattern(4));
    expect(d.call({ opcode: 7, socket, length: 10, buffer: 0x1000 }).status).toBe(36);
    expect(d.call({ opcode: 6, socket, length: 10, buffer: d.data }).status).toBe(0);
  });
});
