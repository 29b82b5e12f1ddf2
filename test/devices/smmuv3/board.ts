/**
 * An SMMU with RAM, a driver that writes tables, descriptors and commands as IHI 0070 has them, and DMA ports. Numbers are typed from
 * the manual; nothing of the model's is used to make them.
 */
import { Arena, Memory, Port, Router, Transaction } from "../../../src/bus/index.ts";
import { Smmuv3, type StreamOptions } from "../../../src/devices/smmuv3/index.ts";
import { type GuestError, Simulation } from "../../../src/sim/index.ts";

export const RAM = 0x4000_0000;
export const RAM_SIZE = 0x100_0000;
export const STREAM_TABLE = RAM + 0x1_0000;
export const COMMANDS = RAM + 0x2_0000;
export const EVENTS = RAM + 0x3_0000;
export const PAGES = RAM + 0x4_0000;
/** Everything from here to the data is for page tables and context descriptors. */
export const HEAP = RAM + 0x10_0000;
export const DATA = RAM + 0x80_0000;

// register offsets, IHI 0070 6.2
export const IDR0 = 0x0;
export const CR0 = 0x20;
export const CR0ACK = 0x24;
export const CR2 = 0x2c;
export const GBPA = 0x44;
export const IRQ_CTRL = 0x50;
export const GERROR = 0x60;
export const GERRORN = 0x64;
export const STRTAB_BASE = 0x80;
export const STRTAB_BASE_CFG = 0x88;
export const CMDQ_BASE = 0x90;
export const CMDQ_PROD = 0x98;
export const CMDQ_CONS = 0x9c;
export const EVENTQ_BASE = 0xa0;
export const EVENTQ_PROD = 0x100a8;
export const EVENTQ_CONS = 0x100ac;
export const PRIQ_BASE = 0xc0;
export const PRIQ_PROD = 0x100c8;
export const PRIQ_CONS = 0x100cc;

const MASK64 = (1n << 64n) - 1n;

export interface Event {
  readonly type: number;
  readonly streamId: number;
  readonly substreamId: number | null;
  readonly pnu: boolean;
  readonly ind: boolean;
  readonly rnw: boolean;
  readonly s2: boolean;
  readonly class: number;
  readonly address: bigint;
  /** Double word 3: intermediate or fetch address. */
  readonly ipa: bigint;
}

export class Board {
  readonly simulation = new Simulation();
  readonly arena = new Arena();
  readonly bus = new Router(this.simulation, "bus");
  readonly ram = new Memory(this.simulation, "ram", this.arena, { size: RAM_SIZE });
  readonly smmu: Smmuv3;
  readonly errors: GuestError[] = [];
  readonly pulses = { eventq: 0, priq: 0, cmdqSync: 0, gerror: 0, wakeUp: 0 };
  readonly #tx = new Transaction();
  #heap = HEAP;

  constructor(options: { check?: boolean } = {}) {
    this.bus.map({ name: "ram", base: RAM, size: RAM_SIZE, target: this.ram });
    this.smmu = new Smmuv3(this.simulation, "smmu", {
      bus: this.bus,
      arena: this.arena,
      checkInvalidation: options.check ?? true,
    });
    this.simulation.reporter.observe({ guestError: (e) => void this.errors.push(e) });
    for (const name of ["eventq", "priq", "cmdqSync", "gerror", "wakeUp"] as const) {
      this.smmu[name].connect((level) => {
        if (level) this.pulses[name]++;
      });
    }
    this.simulation.reset();
  }

  /** The stream table linear with 2^8 streams, queues of 2^6 entries, everything enabled. */
  enable(): this {
    this.write64(STRTAB_BASE, BigInt(STREAM_TABLE));
    this.write(STRTAB_BASE_CFG, 8);
    this.write64(CMDQ_BASE, BigInt(COMMANDS) | 6n);
    this.write64(EVENTQ_BASE, BigInt(EVENTS) | 6n);
    this.write64(PRIQ_BASE, BigInt(PAGES) | 6n);
    this.write(CR2, 2); // RECINVSID
    this.write(IRQ_CTRL, 7);
    this.write(CR0, 0xf);
    return this;
  }

  read(offset: number): number {
    return this.smmu.registers.read(offset, 4, this.#tx);
  }
  write(offset: number, value: number): void {
    this.smmu.registers.write(offset, 4, value >>> 0, this.#tx);
  }
  write64(offset: number, value: bigint): void {
    this.write(offset, Number(value & 0xffff_ffffn));
    this.write(offset + 4, Number(value >> 32n));
  }

  load(address: number | bigint): bigint {
    const at = Number(address);
    return BigInt(this.bus.peek(at, 4)) | (BigInt(this.bus.peek(at + 4, 4)) << 32n);
  }
  store(address: number | bigint, ...words: bigint[]): void {
    words.forEach((word, i) => {
      this.#tx.high = Number((word & MASK64) >> 32n);
      this.bus.write(Number(address) + 8 * i, 8, Number(word & 0xffff_ffffn), this.#tx);
    });
  }

  /** Zeroed memory for tables. */
  allocate(bytes: number, align = bytes): number {
    const at = Math.ceil(this.#heap / align) * align;
    this.#heap = at + bytes;
    if (this.#heap > DATA) throw new Error("the test's heap is used up");
    return at;
  }

  ste(streamId: number, ...words: bigint[]): void {
    this.store(STREAM_TABLE + 64 * streamId, ...words, ...Array<bigint>(8 - words.length).fill(0n));
  }

  /** A stream with stage 1 alone and one context descriptor, whose address is returned. */
  stageOne(streamId: number, cd: readonly bigint[]): number {
    const at = this.allocate(64);
    this.store(at, ...cd);
    this.ste(streamId, ste0(5, at), 0n);
    this.invalidateAll();
    return at;
  }

  /** Puts commands in the queue and lets the SMMU have them. */
  command(...commands: readonly (readonly [bigint, bigint])[]): void {
    let index = this.read(CMDQ_PROD);
    for (const words of commands) {
      this.store(COMMANDS + 16 * (index & 63), ...words);
      index = (index + 1) & 127;
    }
    this.write(CMDQ_PROD, index);
  }
  sync(): void {
    this.command([0x46n, 0n]);
  }
  invalidateAll(): void {
    this.command([4n, 31n], [0x30n, 0n], [0x20n, 0n], [0x46n, 0n]);
  }

  /** Takes all event records. */
  events(): Event[] {
    const out: Event[] = [];
    let index = this.read(EVENTQ_CONS) & 127;
    while (index !== (this.read(EVENTQ_PROD) & 127)) {
      const at = EVENTS + 32 * (index & 63);
      const w = [0, 8, 16, 24].map((o) => this.load(at + o)) as [bigint, bigint, bigint, bigint];
      const bit = (n: bigint) => ((w[1] >> n) & 1n) === 1n;
      out.push({
        type: Number(w[0] & 0xffn),
        streamId: Number(w[0] >> 32n),
        substreamId: (w[0] >> 11n) & 1n ? Number((w[0] >> 12n) & 0xf_ffffn) : null,
        pnu: bit(33n),
        ind: bit(34n),
        rnw: bit(35n),
        s2: bit(39n),
        class: Number((w[1] >> 40n) & 3n),
        address: w[2],
        ipa: w[3],
      });
      index = (index + 1) & 127;
    }
    this.write(EVENTQ_CONS, ((this.read(EVENTQ_PROD) & 0x8000_0000) | index) >>> 0);
    return out;
  }

  port(streamId: number, options?: StreamOptions): Port {
    const port = new Port(this.smmu.target(streamId, options), this.arena);
    port.transaction.requesterId = streamId;
    return port;
  }
  /** A port whose transactions say substream and privilege. */
  sideband(streamId: number, substreamId = -1, privileged = false): Port {
    const port = this.port(streamId, { sideband: true });
    port.transaction.substreamId = substreamId;
    port.transaction.exceptionLevel = privileged ? 1 : 0;
    return port;
  }
  staleReports(): string[] {
    return this.errors.filter((e) => e.kind === "sequence").map((e) => e.detail ?? "");
  }
}

/** STE double word 0: V, Config, S1ContextPtr, S1Fmt, S1CDMax (5.2). */
export function ste0(config: number, contexts = 0, format = 0, contextBits = 0): bigint {
  return 1n | (BigInt(config) << 1n) | (BigInt(format) << 4n) | BigInt(contexts) | (BigInt(contextBits) << 59n);
}

export interface Stage2 {
  readonly base: number;
  readonly vmid?: number;
  /** Bits of the intermediate address. */
  readonly bits?: number;
  readonly sl0?: number;
  readonly tg?: number;
  readonly ps?: number;
  readonly extra?: bigint;
}
/** STE double words 2 and 3: S2VMID, S2T0SZ, S2SL0, S2TG, S2PS, S2AA64, S2R, S2TTB. */
export function ste23(s: Stage2): [bigint, bigint] {
  const t0sz = BigInt(64 - (s.bits ?? 39));
  return [
    BigInt(s.vmid ?? 0) |
      (t0sz << 32n) |
      (BigInt(s.sl0 ?? 1) << 38n) |
      (BigInt(s.tg ?? 0) << 46n) |
      (BigInt(s.ps ?? 4) << 48n) |
      (1n << 51n) |
      (1n << 58n) |
      (s.extra ?? 0n),
    BigInt(s.base),
  ];
}

export interface Cd {
  readonly t0?: number;
  /** Bits of the input address, lower and upper half. */
  readonly bits?: number;
  readonly bits1?: number;
  readonly t1?: number;
  /** 0: 4 KiB, 1: 64 KiB, 2: 16 KiB. */
  readonly tg0?: number;
  /** 2: 4 KiB, 3: 64 KiB, 1: 16 KiB. */
  readonly tg1?: number;
  readonly asid?: number;
  readonly ips?: number;
  /** Bits to set, and to clear, in double word 0. */
  readonly set?: bigint;
  readonly clear?: bigint;
  readonly set1?: bigint;
}
/** A context descriptor (5.4): V, AA64, R, A, TBI off. */
export function cd(c: Cd): bigint[] {
  const t0sz = BigInt(64 - (c.bits ?? 39));
  const t1sz = BigInt(64 - (c.bits1 ?? 39));
  const epd0 = c.t0 === undefined ? 1n << 14n : 0n;
  const epd1 = c.t1 === undefined ? 1n << 30n : 0n;
  const zero =
    t0sz |
    (BigInt(c.tg0 ?? 0) << 6n) |
    epd0 |
    (t1sz << 16n) |
    (BigInt(c.tg1 ?? 2) << 22n) |
    epd1 |
    (1n << 31n) |
    (BigInt(c.ips ?? 4) << 32n) |
    (1n << 41n) |
    (1n << 45n) |
    (1n << 46n) |
    (BigInt(c.asid ?? 1) << 48n) |
    (c.set ?? 0n);
  return [
    zero & ~(c.clear ?? 0n),
    BigInt(c.t0 ?? 0) | (c.set1 ?? 0n),
    BigInt(c.t1 ?? 0),
    0xffn, // MAIR: attribute 0 is Normal Write-Back
    0n,
    0n,
    0n,
    0n,
  ];
}

// descriptor bits of stage 1 (DDI 0487 D8.3)
export const USER = 1n << 6n;
export const READ_ONLY = 1n << 7n;
export const ACCESS = 1n << 10n;
export const NOT_GLOBAL = 1n << 11n;
export const XN = 1n << 54n;
export const PXN = 1n << 53n;
/** Of stage 2: read, write, Normal Write-Back memory. */
export const S2_READ = 1n << 6n;
export const S2_WRITE = 1n << 7n;
export const S2_NORMAL = 15n << 2n;
export const RW = USER | ACCESS | NOT_GLOBAL;
export const S2_RW = S2_READ | S2_WRITE | S2_NORMAL | ACCESS;

/** Tables of one stage. */
export class Tables {
  readonly base: number;
  readonly #board: Board;
  readonly #granule: number;
  readonly #start: number;

  /** `start` is the level of the first table. */
  constructor(board: Board, granule: number, start: number, firstBytes = 2 ** granule) {
    this.#board = board;
    this.#granule = granule;
    this.#start = start;
    this.base = board.allocate(firstBytes, Math.max(firstBytes, 2 ** granule));
  }

  /** Address of the descriptor of `level` for an input address; tables on the way are made. */
  place(input: bigint, level = 3): number {
    const stride = BigInt(this.#granule - 3);
    let table = this.base;
    for (let l = this.#start; ; l++) {
      const shift = BigInt(3 - l) * stride + BigInt(this.#granule);
      let index = input >> shift;
      if (l > this.#start) index &= (1n << stride) - 1n;
      const at = table + Number(index) * 8;
      if (l === level) return at;
      const found = this.#board.load(at);
      if ((found & 1n) === 1n) table = Number(found & 0xffff_ffff_f000n);
      else {
        table = this.#board.allocate(2 ** this.#granule);
        this.#board.store(at, BigInt(table) | 3n);
      }
    }
  }

  map(input: bigint, output: number | bigint, attributes: bigint, level = 3): number {
    const at = this.place(input, level);
    this.#board.store(at, BigInt(output) | attributes | (level === 3 ? 3n : 1n));
    return at;
  }
}
