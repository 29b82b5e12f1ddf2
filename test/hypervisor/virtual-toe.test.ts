/** An emulated interface of the TOE: what the hypervisor lets through of a guest's commands (docs/devices/toe.md 7 and 8, docs/hypervisor.md). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Arena, Memory, Port, Router, Transaction } from "../../src/bus/index.ts";
import type { PhysicalCpu } from "../../src/hypervisor/physical-cpu.ts";
import { VIRTUAL_TOE_BYTES, VirtualToe } from "../../src/hypervisor/toe/virtual-toe.ts";
import { Module, Simulation } from "../../src/sim/index.ts";
import { check } from "../support/soak.ts";

const RAM = 0x4000_0000;
/** The guest's 1 MiB at 0x4000_0000 lie there in the machine. */
const GUEST = 0x4040_0000;
const SIZE = 0x10_0000;
const SQ = RAM + 0x1000;
const CQ = RAM + 0x8000;
const EQ = RAM + 0x9000;
const RP = RAM + 0xa000;
const OWN = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];
const OTHER = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2];

interface Submitted {
  readonly request: number;
  readonly bytes: Uint8Array;
}

class Setting {
  readonly simulation = new Simulation({ seed: 1 });
  readonly submitted: Submitted[] = [];
  readonly aborted: number[] = [];
  readonly toe: VirtualToe;
  readonly port: Port;
  #tail = 0;
  #seen = 0;
  #events = 0;
  #given = 0;
  #serial = 0;
  readonly #cpu = { spend: () => undefined } as unknown as PhysicalCpu;
  readonly #tx = new Transaction();

  constructor(pool = true) {
    const arena = new Arena();
    const bus = new Router(this.simulation, "bus");
    const memory = new Memory(this.simulation, "ram", arena, { size: 0x100_0000 });
    bus.map({ name: "ram", base: RAM, size: 0x100_0000, target: memory });
    this.port = new Port(bus, arena);
    this.toe = new VirtualToe(new Module(this.simulation, "vm"), "toe", {
      backend: {
        add: () => 0,
        carrier: true,
        start: () => true,
        nextRequest: () => ++this.#serial,
        submit: (_user, request, bytes) => void this.submitted.push({ request, bytes: bytes.slice() }),
        ring: () => undefined,
        abort: (socket) => void this.aborted.push(socket),
      },
      port: this.port,
      addresses: [{ address: Uint8Array.from(OWN), prefix: 120 }],
      physical: (ipa, length) => (ipa >= RAM && ipa + length <= RAM + SIZE ? ipa - RAM + GUEST : -1),
      cpu: () => this.#cpu,
      wake: () => this.toe.tick(),
      lists: 0x40c0_0000,
      costs: { command: 1, completion: 1 },
    });
    expect(0x40c0_0000 + VIRTUAL_TOE_BYTES).toBeLessThanOrEqual(RAM + 0x100_0000);
    this.simulation.reset();
    this.write(0x80, SQ);
    this.write(0x88, 4);
    this.write(0xa0, CQ);
    this.write(0xa8, 4);
    this.write(0xc0, EQ);
    this.write(0xc8, 4);
    this.write(0xe0, RP);
    this.write(0xe8, pool ? 4 : 0);
    this.write(0x44, 7);
    this.write(0x20, 1);
  }
  write(offset: number, value: number): void {
    this.toe.bank.write(offset, 4, value >>> 0, this.#tx);
  }
  read(offset: number): number {
    return this.toe.bank.read(offset, 4, this.#tx) >>> 0;
  }
  /** Puts a command of words by offset into the ring and rings the doorbell. */
  command(words: { readonly [offset: number]: number }, address?: readonly number[]): void {
    const entry = new Uint8Array(64);
    const view = new DataView(entry.buffer);
    for (const [offset, value] of Object.entries(words)) view.setUint32(Number(offset), value >>> 0, true);
    if (address) entry.set(address, 32);
    this.port.writeBlock(GUEST + (SQ - RAM) + 64 * this.#tail, entry);
    this.#tail = (this.#tail + 1) % 16;
    this.write(0x8c, this.#tail);
  }
  /** Puts a buffer into the pool. */
  give(address: number, length: number, id: number): void {
    const entry = new DataView(new ArrayBuffer(16));
    entry.setUint32(0, address, true);
    entry.setUint32(8, length, true);
    entry.setUint32(12, id, true);
    this.port.writeBlock(GUEST + (RP - RAM) + 16 * this.#given, new Uint8Array(entry.buffer));
    this.#given = (this.#given + 1) % 16;
    this.write(0xec, this.#given);
  }
  /** Socket and bits of the next event in the guest's ring; null where there is none. */
  event(): readonly number[] | null {
    const entry = new Uint8Array(16);
    this.port.readBlock(GUEST + (EQ - RAM) + 16 * this.#events, entry);
    if (entry[15] !== 1) return null;
    this.#events++;
    this.write(0xcc, this.#events);
    const v = new DataView(entry.buffer);
    return [v.getUint32(0, true), v.getUint32(4, true), entry[8] as number];
  }
  /** An event of the machine's TOE. */
  happens(socket: number, bits: number, status = 0): void {
    this.toe.happened(socket, bits, status);
    this.toe.settle();
  }
  /** What was submitted, from the nth on: opcode, flags and socket. */
  from(n: number): number[][] {
    return this.submitted.slice(n).map(({ bytes }) => {
      const v = new DataView(bytes.buffer);
      return [bytes[0] as number, bytes[1] as number, v.getUint32(8, true)];
    });
  }
  /** A completion of the machine's TOE. */
  completes(n: number, status: number, socket = 0, result = 0): void {
    const { request, bytes } = this.submitted[n] as Submitted;
    const c = new DataView(new ArrayBuffer(64));
    c.setUint32(12, socket, true);
    c.setUint32(16, result, true);
    c.setUint8(60, bytes[0] as number);
    c.setUint8(62, status);
    this.toe.completed(this.#cpu, request, c);
    this.toe.settle();
  }
  /** Status and socket of the next completion in the guest's ring; null where there is none. */
  next(): { status: number; socket: number; result: number; tag: number; flags: number; id: number } | null {
    const entry = new Uint8Array(64);
    this.port.readBlock(GUEST + (CQ - RAM) + 64 * (this.#seen % 16), entry);
    if (((entry[63] as number) & 1) !== (Math.floor(this.#seen / 16) & 1 ? 0 : 1)) return null;
    this.#seen++;
    this.write(0xac, this.#seen % 16);
    const v = new DataView(entry.buffer);
    return {
      status: entry[62] as number,
      socket: v.getUint32(12, true),
      result: v.getUint32(16, true),
      tag: v.getUint32(4 + 4, true),
      flags: entry[61] as number,
      id: v.getUint32(20, true),
    };
  }
  /** A socket of the guest's, behind which is `real`. */
  socket(real: number): number {
    const n = this.submitted.length;
    this.command({ 0: 1, 24: 1, 28: 4 });
    this.completes(n, 0, real);
    return (this.next() as { socket: number }).socket;
  }
  /** So many completions were read before. */
  skip(completions: number): void {
    this.#seen = completions;
  }
  last(): DataView {
    return new DataView((this.submitted.at(-1) as Submitted).bytes.buffer);
  }
}

describe("commands of an emulated interface", () => {
  it("CAPABILITY is the device's; POOL without a pool is NO_POOL", () => {
    const s = new Setting(false);
    expect(s.read(0x0c)).toBe(0x003f_400f);
    const socket = s.socket(77);
    s.command({ 0: 7 | (0x10 << 8), 8: socket, 12: 100 });
    expect(s.next()?.status).toBe(42);
    expect(s.submitted).toHaveLength(1);
  });

  it("sockets are the VM's own numbers: the machine's are not seen, and none but its own can be named", () => {
    const s = new Setting();
    expect(s.socket(4711)).toBe(0);
    expect(s.socket(4712)).toBe(1);
    s.command({ 0: 10, 8: 4711, 24: 3 });
    expect(s.next()?.status).toBe(3);
    s.command({ 0: 10, 8: 1, 24: 3 });
    expect(s.last().getUint32(8, true)).toBe(4712);
  });

  it("BIND to the address of another VM is ADDRESS_NOT_AVAILABLE; the wildcard becomes the VM's own", () => {
    const s = new Setting();
    const socket = s.socket(5);
    s.command({ 0: 2, 8: socket, 48: 80 }, OTHER);
    expect(s.next()?.status).toBe(6);
    s.command({ 0: 2, 8: socket, 48: 80 });
    expect([...(s.submitted.at(-1) as Submitted).bytes.subarray(32, 48)]).toEqual(OWN);
  });

  it.each([
    ["CONNECT", 5],
    ["LISTEN", 3],
    ["SENDTO", 8],
  ])("%s of a socket that was not bound binds it to the VM's address first", (_, opcode) => {
    const s = new Setting();
    const socket = s.socket(5);
    s.command({ 0: opcode, 8: socket, 12: 10, 16: RAM, 24: 1 }, OTHER);
    const [bind, then] = s.submitted.slice(-2) as [Submitted, Submitted];
    expect(bind.bytes[0]).toBe(2);
    expect([...bind.bytes.subarray(32, 48)]).toEqual(OWN);
    expect(then.bytes[0]).toBe(opcode);
    expect(s.next()).toBeNull();
  });

  it("buffers are translated; those outside the VM's memory are BUFFER_FAULT", () => {
    const s = new Setting();
    const socket = s.socket(5);
    s.command({ 0: 6, 8: socket, 12: 100, 16: RAM + 0x2_0000 });
    expect(s.last().getUint32(16, true)).toBe(GUEST + 0x2_0000);
    const count = s.submitted.length;
    for (const [low, high, length] of [
      [RAM - 4, 0, 8],
      [RAM + SIZE - 4, 0, 8],
      [GUEST + SIZE, 0, 8],
      [RAM, 1, 8],
    ] as const) {
      s.command({ 0: 7, 8: socket, 12: length, 16: low, 20: high });
      expect(s.next()?.status).toBe(36);
    }
    expect(s.submitted).toHaveLength(count);
  });

  it("a scatter list is copied with each entry translated, so that the guest cannot change it afterwards", () => {
    const s = new Setting();
    const socket = s.socket(5);
    const list = new DataView(new ArrayBuffer(32));
    list.setUint32(0, RAM + 0x3_0000, true);
    list.setUint32(8, 10, true);
    list.setUint32(16, RAM + 0x4_0000, true);
    list.setUint32(24, 20, true);
    s.port.writeBlock(GUEST + 0x5_0000, new Uint8Array(list.buffer));
    s.command({ 0: 6 | (1 << 8), 8: socket, 12: 30, 16: RAM + 0x5_0000, 28: 2 });
    const copy = s.last().getUint32(16, true);
    expect(copy).toBeGreaterThanOrEqual(0x40c0_0000);
    expect([s.port.read(copy, 4), s.port.read(copy + 8, 4)]).toEqual([GUEST + 0x3_0000, 10]);
    expect([s.port.read(copy + 16, 4), s.port.read(copy + 24, 4)]).toEqual([GUEST + 0x4_0000, 20]);
    list.setUint32(16, GUEST + SIZE, true);
    s.port.writeBlock(GUEST + 0x5_0000, new Uint8Array(list.buffer));
    s.command({ 0: 6 | (1 << 8), 8: socket, 12: 30, 16: RAM + 0x5_0000, 28: 2 });
    expect(s.next()?.status).toBe(36);
  });

  it("reset closes the VM's sockets, and what completes afterwards belongs to nobody", () => {
    const s = new Setting();
    s.socket(5);
    s.command({ 0: 1, 24: 1, 28: 4 });
    s.write(0x20, 2);
    expect(s.aborted).toEqual([5]);
    expect(s.next()?.status).toBe(39);
    s.completes(1, 0, 6);
    expect(s.aborted).toEqual([5, 6]);
    expect(s.next()).toBeNull();
  });

  it("a full completion ring holds the rest back; nothing is lost", () => {
    const s = new Setting();
    for (let n = 0; n < 40; n++) s.command({ 0: 0, 4: n });
    // 16 entries hold 15
    expect(s.read(0xb0)).toBe(15);
    const tags = Array.from({ length: 40 }, () => s.next()?.tag);
    expect(tags).toEqual(Array.from({ length: 40 }, (_, n) => n));
    expect(s.next()).toBeNull();
  });

  it("POOL: the TOE is asked with POLL, and a buffer is taken when it has data; MULTI goes round again", () => {
    const s = new Setting();
    const socket = s.socket(5);
    s.command({ 0: 5, 8: socket, 24: 1 }, OTHER);
    const n = s.submitted.length;
    s.give(RAM + 0x2_0000, 3000, 11);
    s.command({ 0: 7 | (0x30 << 8), 4: 99, 8: socket, 12: 2000 });
    // READABLE, PEER_CLOSED, ERROR, CLOSED
    expect(s.from(n)).toEqual([[15, 0, 5]]);
    expect(s.last().getUint32(24, true)).toBe(0xb1);
    expect(s.read(0xf0)).toBe(0);
    s.completes(n, 0, 0, 1);
    expect(s.read(0xf0)).toBe(1);
    expect(s.from(n + 1)).toEqual([[7, 2, 5]]);
    expect([s.last().getUint32(16, true), s.last().getUint32(12, true)]).toEqual([GUEST + 0x2_0000, 2000]);
    s.completes(n + 1, 0, 0, 1234);
    expect(s.next()).toEqual({ status: 0, socket, result: 1234, tag: 99, flags: 1, id: 11 });
    expect(s.from(n + 2)).toEqual([[15, 0, 5]]);
    // the next one finds no buffer, and goes on with the doorbell
    s.completes(n + 2, 0, 0, 1);
    expect(s.submitted).toHaveLength(n + 3);
    s.give(GUEST, 100, 12);
    // outside the VM's memory
    expect(s.next()).toMatchObject({ status: 36, result: 0, flags: 0, id: 12 });
  });

  it("POOL of a socket that never was connected asks what the TOE says to that, without a buffer", () => {
    const s = new Setting();
    const socket = s.socket(5);
    const n = s.submitted.length;
    s.give(RAM + 0x2_0000, 3000, 11);
    s.command({ 0: 7 | (0x10 << 8), 8: socket, 12: 2000 });
    expect(s.from(n)).toEqual([[14, 0, 5]]);
    s.completes(n, 0, 0, 0);
    expect(s.from(n + 1)).toEqual([[7, 2, 5]]);
    s.completes(n + 1, 4);
    expect(s.next()).toMatchObject({ status: 4, id: 0xffff_ffff });
    expect(s.read(0xf0)).toBe(0);
  });

  it("nothing more is asked of a socket behind its CLOSE: its number may be another VM's by then", () => {
    const s = new Setting();
    const socket = s.socket(5);
    s.command({ 0: 5, 8: socket }, OTHER);
    s.give(RAM + 0x2_0000, 3000, 11);
    const n = s.submitted.length;
    s.command({ 0: 7 | (0x30 << 8), 4: 1, 8: socket, 12: 2000 });
    s.command({ 0: 7, 4: 2, 8: socket, 12: 10, 16: RAM });
    s.command({ 0: 11, 4: 3, 8: socket });
    expect(s.from(n)).toEqual([
      [15, 0, 5],
      [11, 0, 5],
    ]);
    expect(s.next()).toMatchObject({ tag: 2, status: 16 });
    // there was data when CLOSE came
    s.completes(n, 0, 0, 1);
    expect(s.next()).toMatchObject({ tag: 1, status: 16 });
    expect(s.submitted).toHaveLength(n + 2);
    s.completes(n + 1, 0);
    expect(s.next()).toMatchObject({ tag: 3, status: 0 });
    // events of the number are nobody's, and of the next socket that has it
    s.happens(5, 0xff);
    const again = s.socket(5);
    s.command({ 0: 13, 8: again, 24: 256, 28: 1 });
    s.happens(5, 0x11);
    expect([s.event(), s.event()]).toEqual([[again, 1, 0], null]);
  });

  it("more connections than the completion ring has room for: ACCEPT with MULTI pauses, none is lost", () => {
    const s = new Setting();
    const socket = s.socket(5);
    s.command({ 0: 4 | (0x20 << 8), 4: 77, 8: socket });
    let made = 0;
    for (let n = s.submitted.length - 1; n < s.submitted.length && made < 1000; n++) s.completes(n, 0, 100 + made++);
    // 15 in the ring and 64 that wait
    expect(made).toBe(79);
    for (let n = 0; n < 79; n++) expect(s.next()).toMatchObject({ tag: 77, flags: 1, socket: 1 + n });
    expect(s.from(s.submitted.length - 1)).toEqual([[4, 0, 5]]);
    s.completes(s.submitted.length - 1, 11);
    expect(s.next()).toMatchObject({ tag: 77, flags: 0, status: 11 });
  });

  it("a timeout counts while a command waits for its turn; what is restored from a snapshot goes on alike", () => {
    const end = (s: Setting) => {
      s.simulation.run(s.simulation.now + 2_000_000);
      const ends = [s.next(), s.next()];
      return [ends, s.submitted.map(({ bytes }) => [...bytes]), s.simulation.stateHash()];
    };
    const first = new Setting();
    const socket = first.socket(5);
    first.command({ 0: 5, 8: socket }, OTHER);
    first.command({ 0: 7 | (0x30 << 8), 4: 1, 8: socket, 12: 2000 });
    first.command({ 0: 7, 4: 2, 8: socket, 12: 10, 16: RAM, 52: 100 });
    first.happens(5, 1);
    const saved = structuredClone(first.simulation.save());
    const second = new Setting();
    second.simulation.load(saved);
    expect(second.simulation.stateHash()).toBe(first.simulation.stateHash());
    expect(first.simulation.now).toBe(0);
    const [ends] = end(first) as [unknown[]];
    expect(ends).toMatchObject([{ tag: 2, status: 38 }, null]);
    second.skip(1);
    expect(end(second)[2]).toBe(first.simulation.stateHash());
  });

  it("whatever is in the ring: no exception, every address that goes to the machine's TOE lies in the VM's memory or is a copied list", () => {
    check(
      fc.property(fc.array(fc.uint8Array({ minLength: 64, maxLength: 64 }), { maxLength: 40 }), (commands) => {
        const s = new Setting();
        s.socket(9);
        for (const c of commands) {
          const v = new DataView(c.buffer, c.byteOffset);
          const words: { [offset: number]: number } = {};
          for (let at = 0; at < 64; at += 4) words[at] = v.getUint32(at, true);
          // often something near to a command
          words[0] = ((words[0] as number) % 20) | (((words[0] as number) >>> 8) & 0x3f00);
          if (((words[4] as number) & 1) === 0) words[8] = 0;
          if (((words[4] as number) & 2) === 0) words[20] = 0;
          if ((v.getUint8(5) & 3) === 0) s.give(v.getUint32(16, true), v.getUint16(12, true), 1);
          s.command(words);
          // now and then the TOE answers
          if ((v.getUint8(5) & 4) === 0 && s.submitted.length > 1) {
            s.completes(1 + (v.getUint8(6) % (s.submitted.length - 1)), v.getUint8(7) % 3, 1000, v.getUint8(8) % 3);
          }
          s.happens(9, v.getUint8(9), v.getUint8(10));
          s.next();
        }
        for (const { bytes } of s.submitted) {
          const view = new DataView(bytes.buffer);
          const opcode = bytes[0] as number;
          if (opcode < 6 || opcode > 9) continue;
          const at = view.getUint32(20, true) * 2 ** 32 + view.getUint32(16, true);
          const inside = at >= GUEST && at + view.getUint32(12, true) <= GUEST + SIZE;
          expect(inside || at === 0 || at >= 0x40c0_0000).toBe(true);
          expect([9, 1000]).toContain(view.getUint32(8, true));
        }
      }),
      { numRuns: 60 },
    );
  });
});
