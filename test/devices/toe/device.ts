/** A TOE with RAM for its DMA, and a driver written from docs/devices/toe.md: numbers are the manual's. */
import { Arena, Memory, Port, Router, Transaction } from "../../../src/bus/index.ts";
import { ToeCore } from "../../../src/devices/toe/index.ts";
import type { Frame } from "../../../src/net/index.ts";
import { MS, Simulation } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";
import { FakeStack } from "./fake-stack.ts";

export const RAM = 0x4000_0000;
export const RAM_SIZE = 0x40_0000;
export const MAC = Uint8Array.of(0x02, 0x00, 0x00, 0x00, 0x10, 0x00);

export interface Bench {
  readonly simulation: Simulation;
  readonly core: ToeCore;
  readonly memory: Port;
  readonly wire: Frame[];
  run(time?: number): void;
}

export interface FakeBench extends Bench {
  stack(n: number): FakeStack;
}

export function attach(simulation: Simulation, interfaces: number): Omit<FakeBench, "run"> {
  const arena = new Arena();
  const router = new Router(simulation, "memory");
  const ram = new Memory(simulation, "ram", arena, { size: RAM_SIZE });
  router.map({ name: "ram", base: RAM, size: RAM_SIZE, target: ram });
  const ports = Array.from({ length: interfaces }, () => new Port(router, arena));
  const core = new ToeCore(simulation, "toe", {
    mac: MAC,
    interfaces,
    host: { port: (n) => ports[n] as Port },
    makeStack: (parent, name, events) => new FakeStack(parent, name, events),
  });
  const wire: Frame[] = [];
  core.onTransmit = (frame) => {
    if (wire.length < 100_000) wire.push(frame);
  };
  const stack = (n: number) => core.interfaces[n]?.stack as FakeStack;
  return { simulation, core, memory: new Port(router, arena), wire, stack };
}

export function bench(interfaces = 4): FakeBench {
  const simulation = new Simulation({ seed: 1 });
  const made = attach(simulation, interfaces);
  simulation.reset();
  return { ...made, run: (time = 10 * MS) => void simulation.run(simulation.now + time) };
}

export const buildToe: DeviceFactory = (simulation) => {
  const { core } = attach(simulation, 2);
  core.writeManagement(0x1000, 1);
  return {
    module: core,
    targets: [
      { name: "management", target: core.bank, size: 0x1_0000 },
      {
        name: "interface",
        target: (core.interfaces[0] as NonNullable<(typeof core.interfaces)[0]>).bank,
        size: 0x1_0000,
      },
    ],
    stimulate: (random) => {
      const frame = new Uint8Array(10 + random.below(200));
      for (let i = 0; i < frame.length; i++) frame[i] = random.below(256);
      if (random.below(2) === 0) frame.fill(0xff, 0, 6);
      if (random.below(8) === 0) core.network.setCarrier(random.below(2) === 0);
      else core.receive(frame);
    },
  };
};
export const devices = { toe: buildToe };

/** An IPv4 address as the manual has it. */
export function ip(a: number, b: number, c: number, d: number): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d);
}

export interface CommandFields {
  opcode: number;
  flags?: number;
  tag?: number;
  socket?: number;
  length?: number;
  buffer?: number;
  arg0?: number;
  arg1?: number;
  address?: Uint8Array;
  port?: number;
  timeout?: number;
  user?: number;
}

export interface CompletionFields {
  user: number;
  tag: number;
  socket: number;
  result: number;
  bufferId: number;
  buffer: number;
  address: Uint8Array;
  port: number;
  head: number;
  opcode: number;
  flags: number;
  status: number;
}

const LOG = 6;
const ENTRIES = 64;

/** Uses interface `n` as section 15 of the manual says. Its memory is 256 KiB from `base` on: rings in the first 64 KiB. */
export class Driver {
  readonly bench: Bench;
  readonly n: number;
  readonly base: number;
  readonly #tx = new Transaction();
  tail = 0;
  head = 0;
  phase = 1;
  eventHead = 0;
  eventPhase = 1;
  poolTail = 0;

  constructor(b: Bench, n: number, grant = true) {
    this.bench = b;
    this.n = n;
    this.base = RAM + n * 0x4_0000;
    if (grant) this.manage(0x1000 + 0x40 * n, 1);
  }
  get data(): number {
    return this.base + 0x1_0000;
  }
  manage(offset: number, value: number): void {
    this.bench.core.bank.write(offset, 4, value >>> 0, this.#tx);
  }
  managed(offset: number): number {
    return this.bench.core.bank.read(offset, 4, this.#tx);
  }
  write(offset: number, value: number): void {
    this.bench.core.interfaces[this.n]?.bank.write(offset, 4, value >>> 0, this.#tx);
  }
  read(offset: number): number {
    return this.bench.core.interfaces[this.n]?.bank.read(offset, 4, this.#tx) ?? 0;
  }
  start(log = LOG): this {
    this.write(0x20, 2);
    this.bench.memory.writeBlock(this.base, new Uint8Array(0x4000));
    this.write(0x80, this.base);
    this.write(0x88, log);
    this.write(0xa0, this.base + 0x1000);
    this.write(0xa8, log);
    this.write(0xc0, this.base + 0x2000);
    this.write(0xc8, log);
    this.write(0xe0, this.base + 0x3000);
    this.write(0xe8, log);
    this.write(0x20, 1);
    this.tail = 0;
    this.head = 0;
    this.phase = 1;
    this.eventHead = 0;
    this.eventPhase = 1;
    this.poolTail = 0;
    return this;
  }
  put(c: CommandFields): void {
    const bytes = new Uint8Array(64);
    const v = new DataView(bytes.buffer);
    v.setUint8(0, c.opcode);
    v.setUint8(1, c.flags ?? 0);
    v.setUint32(4, c.tag ?? 0, true);
    v.setUint32(8, c.socket ?? 0, true);
    v.setUint32(12, c.length ?? 0, true);
    v.setUint32(16, (c.buffer ?? 0) % 2 ** 32, true);
    v.setUint32(20, Math.floor((c.buffer ?? 0) / 2 ** 32), true);
    v.setUint32(24, c.arg0 ?? 0, true);
    v.setUint32(28, c.arg1 ?? 0, true);
    bytes.set(c.address ?? [], 32);
    v.setUint16(48, c.port ?? 0, true);
    v.setUint32(52, c.timeout ?? 0, true);
    v.setUint32(56, c.user ?? 0, true);
    this.bench.memory.writeBlock(this.base + 64 * this.tail, bytes);
    this.tail = (this.tail + 1) % ENTRIES;
  }
  ring(): void {
    this.write(0x8c, this.tail);
  }
  submit(...commands: CommandFields[]): void {
    for (const c of commands) this.put(c);
    this.ring();
  }
  /** Completions that are there; gives the ring back. */
  reap(most = 1000): CompletionFields[] {
    const out: CompletionFields[] = [];
    const bytes = new Uint8Array(64);
    const v = new DataView(bytes.buffer);
    while (out.length < most) {
      this.bench.memory.readBlock(this.base + 0x1000 + 64 * this.head, bytes);
      if (((bytes[63] as number) & 1) !== this.phase) break;
      out.push({
        user: v.getUint32(0, true),
        tag: v.getUint32(8, true),
        socket: v.getUint32(12, true),
        result: v.getUint32(16, true),
        bufferId: v.getUint32(20, true),
        buffer: v.getUint32(24, true) + v.getUint32(28, true) * 2 ** 32,
        address: bytes.slice(32, 48),
        port: v.getUint16(48, true),
        head: v.getUint16(50, true),
        opcode: bytes[60] as number,
        flags: bytes[61] as number,
        status: bytes[62] as number,
      });
      this.head = (this.head + 1) % ENTRIES;
      if (this.head === 0) this.phase ^= 1;
    }
    this.write(0xac, this.head);
    return out;
  }
  events(): { socket: number; bits: number; status: number }[] {
    const out: { socket: number; bits: number; status: number }[] = [];
    const bytes = new Uint8Array(16);
    const v = new DataView(bytes.buffer);
    for (;;) {
      this.bench.memory.readBlock(this.base + 0x2000 + 16 * this.eventHead, bytes);
      if (((bytes[15] as number) & 1) !== this.eventPhase) break;
      out.push({ socket: v.getUint32(0, true), bits: v.getUint32(4, true), status: bytes[8] as number });
      this.eventHead = (this.eventHead + 1) % ENTRIES;
      if (this.eventHead === 0) this.eventPhase ^= 1;
    }
    this.write(0xcc, this.eventHead);
    return out;
  }
  give(address: number, length: number, id: number): void {
    const bytes = new Uint8Array(16);
    const v = new DataView(bytes.buffer);
    v.setUint32(0, address % 2 ** 32, true);
    v.setUint32(4, Math.floor(address / 2 ** 32), true);
    v.setUint32(8, length, true);
    v.setUint32(12, id, true);
    this.bench.memory.writeBlock(this.base + 0x3000 + 16 * this.poolTail, bytes);
    this.poolTail = (this.poolTail + 1) % ENTRIES;
    this.write(0xec, this.poolTail);
  }
  /** One command, run to its completion. */
  call(c: CommandFields, time = 10 * MS): CompletionFields {
    this.submit(c);
    this.bench.run(time);
    const [done] = this.reap();
    if (done === undefined) throw new Error(`opcode ${c.opcode}: no completion`);
    return done;
  }
  /** A connected TCP socket. */
  connect(): number {
    const { socket } = this.call({ opcode: 1, arg0: 1, arg1: 4 });
    this.call({ opcode: 5, socket, address: ip(10, 0, 0, 1), port: 80 });
    return socket;
  }
  store(address: number, bytes: Uint8Array): void {
    this.bench.memory.writeBlock(address, bytes);
  }
  load(address: number, n: number): Uint8Array {
    const out = new Uint8Array(n);
    this.bench.memory.readBlock(address, out);
    return out;
  }
}

export function pattern(n: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length: n }, (_, i) => (i * 31 + seed * 17 + (i >> 8)) & 0xff);
}
