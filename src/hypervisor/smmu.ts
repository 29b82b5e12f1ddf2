/**
 * The machine's SMMUv3 as the hypervisor uses it (Arm IHI 0070): a linear stream table in which a stream that belongs to a VM is translated by
 * that VM's stage 2 tables, and all others are refused. Devices that are passed through reach their VM's memory, and nothing else.
 */
import { Module, type Simulation } from "../sim/index.ts";
import type { MemoryPool } from "./memory.ts";
import type { PhysicalCpu, Stage2Root } from "./physical-cpu.ts";

const CR0 = 0x020;
const STRTAB_BASE = 0x080;
const STRTAB_BASE_CFG = 0x088;
const CMDQ_BASE = 0x090;
const CMDQ_PROD = 0x098;
const CMDQ_CONS = 0x09c;
const EVENTQ_BASE = 0x0a0;
const EVENTQ_PROD = 0x1_00a8;
const EVENTQ_CONS = 0x1_00ac;
/** CMDQEN, EVENTQEN, SMMUEN. */
const ENABLES = (1 << 3) | (1 << 2) | 1;

/** Streams 0 to 4095: requesters on PCIe buses 0 to 15. */
const STREAM_BITS = 12;
const ENTRY = 64;
const QUEUE_BITS = 6;
const COMMAND = 16;
const EVENT = 32;

const CMD_CFGI_STE = 0x03;
const CMD_TLBI_S12_VMALL = 0x28;
const CMD_SYNC = 0x46;

/** STE: V; Config 0b110, stage 1 bypassed and stage 2 translates. */
const VALID = 1;
const STAGE2 = 6 << 1;
/** STE word 5 above the copy of VTCR_EL2[18:0]: S2AA64, S2PTW, S2R. */
const S2AA64 = 1 << 19;
const S2PTW = 1 << 22;
const S2R = 1 << 26;

export const STREAMS = 2 ** STREAM_BITS;

export class HypervisorSmmu extends Module {
  readonly #base: number;
  readonly #pool: MemoryPool;
  readonly #cells: { table: number; commands: number; events: number; produced: number };

  /** `base` is where the SMMU's registers are. */
  constructor(parent: Module | Simulation, name: string, base: number, pool: MemoryPool) {
    super(parent, name);
    this.#base = base;
    this.#pool = pool;
    this.#cells = this.state({ table: -1, commands: -1, events: -1, produced: 0 });
  }

  /** Tables and queues, all streams refused, then the SMMU on. */
  setUp(cpu: PhysicalCpu): void {
    const cells = this.#cells;
    const take = (bytes: number): number => {
      const at = this.#pool.allocate(bytes, bytes);
      for (let i = 0; at >= 0 && i < bytes; i += 4) cpu.write(at + i, 4, 0);
      return at;
    };
    cells.table = take(STREAMS * ENTRY);
    cells.commands = take(Math.max(4096, COMMAND << QUEUE_BITS));
    cells.events = take(Math.max(4096, EVENT << QUEUE_BITS));
    cells.produced = 0;
    cpu.write(this.#base + CR0, 4, 0);
    this.#write64(cpu, this.#base + STRTAB_BASE, cells.table);
    cpu.write(this.#base + STRTAB_BASE_CFG, 4, STREAM_BITS);
    this.#write64(cpu, this.#base + CMDQ_BASE, cells.commands + QUEUE_BITS);
    this.#write64(cpu, this.#base + EVENTQ_BASE, cells.events + QUEUE_BITS);
    for (const index of [CMDQ_PROD, CMDQ_CONS, EVENTQ_PROD, EVENTQ_CONS]) cpu.write(this.#base + index, 4, 0);
    cpu.write(this.#base + CR0, 4, ENABLES);
  }

  /** Gives a stream to the VM whose tables these are. */
  attach(cpu: PhysicalCpu, stream: number, stage2: Stage2Root): void {
    const at = this.#cells.table + stream * ENTRY;
    const words = new Array<number>(16).fill(0);
    words[0] = VALID | STAGE2;
    words[4] = stage2.vmid;
    words[5] = (stage2.vtcr & 0x7_ffff) | S2AA64 | S2PTW | S2R;
    words[6] = stage2.base >>> 0;
    words[7] = Math.floor(stage2.base / 2 ** 32);
    // word 0 with V last (3.21.3.1)
    for (let i = 15; i >= 0; i--) cpu.write(at + 4 * i, 4, words[i] as number);
    this.#changed(cpu, stream, stage2.vmid);
  }

  /** Takes a stream away: its transactions are refused. */
  detach(cpu: PhysicalCpu, stream: number, vmid: number): void {
    cpu.write(this.#cells.table + stream * ENTRY, 4, 0);
    this.#changed(cpu, stream, vmid);
  }

  #changed(cpu: PhysicalCpu, stream: number, vmid: number): void {
    this.#command(cpu, CMD_CFGI_STE, stream, 1); // Leaf
    this.invalidate(cpu, vmid);
  }

  /** After a change of a VM's tables. */
  invalidate(cpu: PhysicalCpu, vmid: number): void {
    this.#command(cpu, CMD_TLBI_S12_VMALL, vmid, 0);
    this.#command(cpu, CMD_SYNC, 0, 0);
  }

  /** The queue never fills: it is empty after each CMD_SYNC. */
  #command(cpu: PhysicalCpu, word0: number, word1: number, word2: number): void {
    const cells = this.#cells;
    const at = cells.commands + COMMAND * (cells.produced % 2 ** QUEUE_BITS);
    [word0, word1, word2, 0].forEach((word, i) => {
      cpu.write(at + 4 * i, 4, word);
    });
    // index and wrap bit
    cells.produced = (cells.produced + 1) % 2 ** (QUEUE_BITS + 1);
    cpu.write(this.#base + CMDQ_PROD, 4, cells.produced);
  }

  #write64(cpu: PhysicalCpu, at: number, value: number): void {
    cpu.write(at, 4, value >>> 0);
    cpu.write(at + 4, 4, Math.floor(value / 2 ** 32));
  }
}
