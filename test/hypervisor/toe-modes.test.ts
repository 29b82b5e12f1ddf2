/**
 * One guest program on an interface of the machine's own, of the VM's own, and on an emulated one: receive pool, commands with several completions and the event
 * ring are the same in all three (docs/devices/toe.md 7, 9 and 10). The peer is a stack of the test's.
 */
import { describe, expect, it } from "vitest";
import { RAM_BASE, virtPart } from "../../platform/virt/board.ts";
import { EVENT_CONNECTED } from "../../src/devices/toe/engine/api.ts";
import { Stack } from "../../src/devices/toe/engine/index.ts";
import { enableGic } from "../../src/guests/gic.ts";
import { type ToeCommand, type ToeCompletion, ToeDriver } from "../../src/guests/toe.ts";
import { TOE_MODES, type ToeMode, ToeSystem } from "../../src/guests/toe-system.ts";
import type { Guest, GuestProgram, Routine } from "../../src/hypervisor/abstract/index.ts";
import { ToeService } from "../../src/hypervisor/toe/service.ts";
import { Module, MS, US } from "../../src/sim/index.ts";

const GICD = virtPart("gicd").base;
const GICC = virtPart("gicc").base;
const INTERRUPT = 32 + ToeService.guest.spi;
const BUFFERS = RAM_BASE + 0x10_0000;
const GUEST = Uint8Array.of(10, 0, 0, 1);

// Numbers of the manual: opcodes, flags and options (7), flags of completions (8), events (9).
const SOCKET = 1;
const BIND = 2;
const LISTEN = 3;
const ACCEPT = 4;
const RECEIVE = 7;
const RECEIVE_FROM = 9;
const CLOSE = 11;
const SET_OPTION = 13;
const GET_OPTION = 14;
const CANCEL = 16;
const POOL = 0x10;
const MULTI = 0x20;
const MORE = 1;
const END = 2;
const READABLE = 1;
const PEER_CLOSED = 0x10;

type Body = (g: Guest, d: ToeDriver) => Routine;

function guest(body: Body, result: { failure: unknown; done: boolean }): GuestProgram {
  return {
    name: "guest",
    *main(g) {
      yield g.store(GICD, 1);
      yield g.store(GICD + 0x400 + INTERRUPT, 0x80, 1);
      yield g.store(GICD + 0x800 + INTERRUPT, 1, 1);
      yield g.store(GICD + 0x100 + 4 * (INTERRUPT >> 5), (1 << (INTERRUPT & 31)) >>> 0);
      yield* enableGic(g, GICC);
      const driver = new ToeDriver({ base: ToeService.guest.base, gic: GICC, rings: RAM_BASE, log2: 6, shared: true });
      expect(yield* driver.open(g)).toBe(true);
      // TCP, UDP, both families, pool and MULTI, 64 segments, rings up to 2^15
      expect((yield g.load(ToeService.guest.base + 0xc)) >>> 0).toBe(0x003f_400f);
      try {
        yield* body(g, driver);
        result.done = true;
      } catch (error) {
        result.failure = error;
      }
      for (;;) yield g.wait();
    },
  };
}

/** A host on the link whose calls are the test's, at once. */
class Client extends Module {
  readonly stack: Stack;
  readonly news = new Map<number, number>();

  constructor(system: ToeSystem) {
    super(system.simulation, "client");
    this.stack = new Stack(this, "stack", {
      onSocket: (socket, events) => void this.news.set(socket, (this.news.get(socket) ?? 0) | events),
      transmit: (frame) => system.link.send(1, frame),
    });
    system.link.attach(1, { receive: (frame) => this.stack.input(frame) });
    const addresses = [{ address: Uint8Array.of(10, 0, 0, 200), prefix: 24 }];
    this.stack.configure({ mac: Uint8Array.of(2, 0, 0, 0, 0, 9), addresses, routes: [] });
    this.stack.setQuotas({ sockets: 1024, bufferBytes: 2 ** 26 });
  }
  open(kind: "tcp" | "udp", port: number): number {
    const made = this.stack.socket(kind, 4);
    if (!made.ok) throw new Error(made.error);
    expect(this.stack.connect(made.value, { address: GUEST, port }).ok).toBe(true);
    return made.value;
  }
  connected(socket: number): boolean {
    return ((this.news.get(socket) ?? 0) & EVENT_CONNECTED) !== 0;
  }
}

class Run {
  readonly system: ToeSystem;
  readonly client: Client;
  readonly result: { failure: unknown; done: boolean } = { failure: null, done: false };

  constructor(mode: ToeMode, body: Body) {
    this.system = new ToeSystem({ mode });
    this.client = new Client(this.system);
    this.system.add({ program: guest(body, this.result), memory: 2 ** 21 });
  }
  run(time: number): void {
    this.system.simulation.run(this.system.simulation.now + time);
  }
  until(what: () => boolean, most = 400): void {
    for (let n = 0; !what(); n++) {
      if (n === most) throw new Error("it does not come to that");
      this.run(50 * US);
      if (this.result.failure !== null) throw this.result.failure;
    }
  }
}

function* call(g: Guest, d: ToeDriver, command: ToeCommand): Routine<ToeCompletion> {
  return yield* d.call(g, command);
}
function* good(g: Guest, d: ToeDriver, command: ToeCommand): Routine<ToeCompletion> {
  const done = yield* call(g, d, command);
  expect(done.status).toBe(0);
  return done;
}
function* submit(g: Guest, d: ToeDriver, command: ToeCommand): Routine<number> {
  const tag = yield* d.submit(g, command);
  yield* d.ring(g);
  return tag;
}
function* listener(g: Guest, d: ToeDriver, port: number): Routine<number> {
  const { socket } = yield* good(g, d, { opcode: SOCKET, arg0: 1, arg1: 4 });
  yield* good(g, d, { opcode: BIND, socket, port });
  yield* good(g, d, { opcode: LISTEN, socket, arg0: 16 });
  return socket;
}
function* udp(g: Guest, d: ToeDriver, port: number): Routine<number> {
  const { socket } = yield* good(g, d, { opcode: SOCKET, arg0: 2, arg1: 4 });
  yield* good(g, d, { opcode: BIND, socket, port });
  return socket;
}

/** Bytes of connection `n`. */
const text = (n: number, length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + n * 31 + (i >> 8)) & 0xff);

const CONNECTIONS = 5;
const LENGTH = 30_000;

/**
 * A server: ACCEPT with MULTI, for each connection EVENT_MASK and RECEIVE with POOL and MULTI from a pool of four buffers for all. It ends when all
 * connections have.
 */
function server(mode: ToeMode) {
  const received = new Map<number, number[]>();
  const events = new Map<number, number>();
  const ends: number[] = [];
  const faults: string[] = [];
  const { system, client, until, result, run } = bound(
    new Run(mode, function* (g, d) {
      const at = yield* listener(g, d, 80);
      const accepts = yield* submit(g, d, { opcode: ACCEPT, flags: MULTI, socket: at });
      for (let id = 0; id < 4; id++) yield* d.give(g, BUFFERS + 0x1000 * id, 3000, 100 + id);
      const bytes = new Uint8Array(3000);
      while (ends.length < CONNECTIONS) {
        yield* d.wait(g);
        for (const done of d.takeAll()) {
          if (done.status !== 0) faults.push(`opcode ${done.opcode}: status ${done.status}`);
          if (done.tag === accepts) {
            if (done.flags !== MORE) faults.push(`accept: flags ${done.flags}`);
            const { socket } = done;
            received.set(socket, []);
            yield* d.submit(g, { opcode: SET_OPTION, socket, arg0: 256, arg1: READABLE | PEER_CLOSED });
            yield* d.submit(g, { opcode: RECEIVE, flags: POOL | MULTI, socket, length: 65_536 });
            yield* d.ring(g);
          } else if (done.opcode === RECEIVE && (done.flags & END) !== 0) {
            if (done.flags !== END || done.result !== 0 || done.bufferId !== 0xffff_ffff) faults.push("end");
            ends.push(done.socket);
          } else if (done.opcode === RECEIVE) {
            const { buffer, bufferId } = done;
            if (done.flags !== MORE || buffer !== BUFFERS + 0x1000 * (bufferId - 100)) faults.push("buffer");
            yield g.read(buffer, bytes);
            received.get(done.socket)?.push(...bytes.subarray(0, done.result));
            yield* d.give(g, buffer, 3000, bufferId);
          }
        }
        for (const e of d.takeEvents()) events.set(e.socket, (events.get(e.socket) ?? 0) | e.events);
      }
    }),
  );
  until(() => system.simulation.now > 4 * MS);
  const sockets = Array.from({ length: CONNECTIONS }, () => {
    const socket = client.open("tcp", 80);
    until(() => client.connected(socket));
    return socket;
  });
  sockets.forEach((s, n) => {
    const data = text(n, LENGTH);
    expect(client.stack.send(s, data)).toEqual({ ok: true, value: LENGTH });
    expect(client.stack.shutdown(s, "send").ok).toBe(true);
  });
  until(() => result.done);
  run(MS);
  const streams = [...received.values()].map((r) => String(r)).sort();
  return { streams, events: [...events.values()], faults, ends: ends.length };
}

function bound(run: Run) {
  const { system, client, result } = run;
  return {
    system,
    client,
    result,
    run: (t: number) => run.run(t),
    until: (what: () => boolean) => run.until(what),
  };
}

describe.each(TOE_MODES)("%s", (mode) => {
  it("7, 9, 10: a server by MULTI, a shared pool and events has every byte of every connection", () => {
    const { streams, events, faults, ends } = server(mode);
    expect(faults).toEqual([]);
    expect(ends).toBe(CONNECTIONS);
    expect(streams).toEqual(Array.from({ length: CONNECTIONS }, (_, n) => String([...text(n, LENGTH)])).sort());
    expect(events).toEqual(Array.from({ length: CONNECTIONS }, () => READABLE | PEER_CLOSED));
  });

  it("7, 10: datagrams into a pool, an empty one too; what does not fit is TRUNCATED; a passing error ends MULTI with REFUSED", () => {
    const seen: (readonly number[])[] = [];
    const { client, until, result, run } = bound(
      new Run(mode, function* (g, d) {
        const socket = yield* udp(g, d, 53);
        for (let id = 0; id < 8; id++) yield* d.give(g, BUFFERS + 0x1000 * id, 100, id);
        yield* submit(g, d, { opcode: RECEIVE_FROM, flags: POOL | MULTI, socket, length: 65_536 });
        while (seen.length < 3) {
          yield* d.wait(g);
          for (const { status, flags, result: n, bufferId } of d.takeAll()) seen.push([status, flags, n, bufferId]);
        }
        // connected to a port that nobody has: the answer to a datagram is an error
        yield* good(g, d, { opcode: 5, socket, address: [10, 0, 0, 200], port: 9 });
        yield* good(g, d, { opcode: 6, socket, length: 10, buffer: BUFFERS });
        for (;;) {
          for (const { status, flags, opcode } of d.takeAll()) seen.push([status, flags, opcode]);
          if (seen.length === 4) return;
          yield* d.wait(g);
        }
      }),
    );
    run(4 * MS);
    const from = client.open("udp", 53);
    for (const length of [40, 0, 150]) {
      expect(client.stack.sendTo(from, text(1, length)).ok).toBe(true);
      run(MS);
    }
    until(() => result.done);
    expect(seen).toEqual([
      [0, MORE, 40, 0],
      [0, MORE, 0, 1],
      [0, MORE | 4, 100, 2],
      [9, 0, RECEIVE_FROM],
    ]);
  });

  it("7: RECEIVEs of one socket keep their order, with POOL and without; an empty pool holds nobody's end up", () => {
    const seen: (readonly number[])[] = [];
    const { client, until, result, run } = bound(
      new Run(mode, function* (g, d) {
        const at = yield* listener(g, d, 80);
        const { socket } = yield* good(g, d, { opcode: ACCEPT, socket: at });
        const tags = [
          yield* d.submit(g, { opcode: RECEIVE, flags: POOL, socket, length: 10 }),
          yield* d.submit(g, { opcode: RECEIVE, socket, length: 20, buffer: BUFFERS }),
          yield* d.submit(g, { opcode: RECEIVE, flags: POOL, socket, length: 30 }),
          yield* d.submit(g, { opcode: RECEIVE, flags: POOL, socket, length: 40 }),
        ];
        yield* d.ring(g);
        const note = (done: ToeCompletion) =>
          seen.push([tags.indexOf(done.tag), done.status, done.flags, done.result, done.bufferId]);
        // the first waits for a buffer, and so do those behind it
        yield g.compute(3_000_000);
        yield* d.poll(g);
        expect(d.takeAll()).toEqual([]);
        yield* d.give(g, BUFFERS + 0x1000, 64, 7);
        while (seen.length < 2) {
          yield* d.wait(g);
          for (const done of d.takeAll()) note(done);
        }
        yield* d.give(g, BUFFERS + 0x2000, 64, 8);
        // the pool is empty for the last one: the end needs no buffer
        while (seen.length < 4) {
          yield* d.wait(g);
          for (const done of d.takeAll()) note(done);
        }
        yield* good(g, d, { opcode: CLOSE, socket });
      }),
    );
    run(4 * MS);
    const s = client.open("tcp", 80);
    until(() => client.connected(s));
    expect(client.stack.send(s, text(0, 60))).toEqual({ ok: true, value: 60 });
    client.stack.shutdown(s, "send");
    until(() => result.done);
    expect(seen).toEqual([
      [0, 0, 0, 10, 7],
      [1, 0, 0, 20, 0xffff_ffff],
      [2, 0, 0, 30, 8],
      [3, 0, END, 0, 0xffff_ffff],
    ]);
  });

  it("7: CANCEL, CLOSE and the timeout end commands with several completions, and those that wait for a buffer", () => {
    const seen: (readonly number[])[] = [];
    const { client, until, result, run } = bound(
      new Run(mode, function* (g, d) {
        const at = yield* listener(g, d, 80);
        const accepts = yield* submit(g, d, { opcode: ACCEPT, flags: MULTI, socket: at });
        let socket = -1;
        while (socket < 0) {
          yield* d.wait(g);
          for (const done of d.takeAll()) {
            expect([done.tag, done.flags]).toEqual([accepts, MORE]);
            socket = done.socket;
          }
        }
        const ends = function* (count: number): Routine {
          for (let n = 0; n < count; ) {
            yield* d.wait(g);
            for (const { opcode, status, result: r } of d.takeAll()) {
              seen.push([opcode, status, r]);
              n++;
            }
          }
        };
        // data is there, no buffer: the timeout counts all the same
        yield* submit(g, d, { opcode: RECEIVE, flags: POOL, socket, length: 10, timeout: 500 });
        yield* ends(1);
        yield* submit(g, d, { opcode: RECEIVE, flags: POOL | MULTI, socket, length: 10 });
        const second = yield* submit(g, d, { opcode: RECEIVE, flags: POOL, socket, length: 10 });
        yield g.compute(200_000);
        yield* submit(g, d, { opcode: CANCEL, arg0: second });
        yield* ends(2);
        yield* submit(g, d, { opcode: CANCEL, flags: 8, socket });
        yield* ends(2);
        yield* submit(g, d, { opcode: CANCEL, flags: 8, socket });
        yield* ends(1);
        yield* submit(g, d, { opcode: CANCEL, arg0: accepts });
        yield* ends(2);
        yield* submit(g, d, { opcode: RECEIVE, flags: POOL | MULTI, socket, length: 10 });
        yield g.compute(200_000);
        yield* submit(g, d, { opcode: CLOSE, socket });
        yield* ends(2);
      }),
    );
    run(4 * MS);
    const s = client.open("tcp", 80);
    until(() => client.connected(s));
    client.stack.send(s, text(0, 60));
    until(() => result.done);
    expect(seen).toEqual([
      [RECEIVE, 38, 0],
      [RECEIVE, 37, 0],
      [CANCEL, 0, 1],
      [RECEIVE, 37, 0],
      [CANCEL, 0, 1],
      [CANCEL, 41, 0],
      [ACCEPT, 37, 0],
      [CANCEL, 0, 1],
      [RECEIVE, 16, 0],
      [CLOSE, 0, 0],
    ]);
  });

  it("7.1, 9: EVENT_MASK reads back as written; a bit that is true already gives an event at once", () => {
    const seen: unknown[] = [];
    const { client, until, result, run } = bound(
      new Run(mode, function* (g, d) {
        const socket = yield* udp(g, d, 53);
        yield* d.give(g, BUFFERS, 100, 1);
        yield* submit(g, d, { opcode: RECEIVE_FROM, flags: POOL, socket, length: 100 });
        yield* d.wait(g);
        expect(d.takeAll().map((c) => [c.status, c.result])).toEqual([[0, 10]]);
        const { result: before } = yield* good(g, d, { opcode: GET_OPTION, socket, arg0: 256 });
        // the second datagram is there, and takes the mask
        yield g.compute(3_000_000);
        yield* good(g, d, { opcode: SET_OPTION, socket, arg0: 256, arg1: READABLE });
        let found = d.takeEvents();
        while (found.length === 0) {
          yield* d.wait(g);
          found = d.takeEvents();
        }
        const { result: after } = yield* good(g, d, { opcode: GET_OPTION, socket, arg0: 256 });
        const wrong = yield* call(g, d, { opcode: SET_OPTION, socket, arg0: 256, arg1: 0x100 });
        seen.push(before, found, after, wrong.status);
        expect(found[0]?.socket).toBe(socket);
      }),
    );
    run(4 * MS);
    const from = client.open("udp", 53);
    client.stack.sendTo(from, text(0, 10));
    run(MS);
    client.stack.sendTo(from, text(0, 10));
    until(() => result.done);
    expect(seen).toMatchObject([0, [{ events: READABLE, status: 0 }], READABLE, 2]);
  });

  it("4, 11: the link goes and comes: STATUS.LINK and INTERRUPT_STATUS.LINK", () => {
    const base = ToeService.guest.base;
    const seen: number[] = [];
    const { system, until, result, run } = bound(
      new Run(mode, function* (g) {
        for (const level of [0, 8]) {
          while (((yield g.load(base + 0x24)) & 8) !== level) yield g.compute(10_000);
          seen.push(yield g.load(base + 0x40));
          yield g.store(base + 0x40, 8);
          seen.push(yield g.load(base + 0x40));
        }
      }),
    );
    run(4 * MS);
    for (const carrier of [false, true]) {
      expect(result.done).toBe(false);
      system.toe.network.setCarrier(carrier);
      run(4 * MS);
    }
    until(() => result.done);
    expect(seen).toEqual([8, 0, 8, 0]);
  });
});
