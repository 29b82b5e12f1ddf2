/**
 * The hypervisor's driver of the SMMUv3 (Arm IHI 0070): DMA of a device that a VM has passed through is translated by the VM's own stage 2
 * tables, everything else is aborted. Two-level stream table, one command queue, one event queue; all in the hypervisor's memory.
 */
import { Module, type Simulation, SnapshotError, type StatePart, type StateValue } from "../sim/index.ts";
import type { MemoryPool } from "./memory.ts";
import { clear, PAGE } from "./memory.ts";
import type { PhysicalCpu, Stage2Root } from "./physical-cpu.ts";
import type { Service } from "./service.ts";
import type { Vm } from "./vm.ts";

const CR0 = 0x20;
const CR0ACK = 0x24;
const CR1 = 0x28;
const CR2 = 0x2c;
const IRQ_CTRL = 0x50;
const STRTAB_BASE = 0x80;
const STRTAB_BASE_CFG = 0x88;
const CMDQ_BASE = 0x90;
const CMDQ_PROD = 0x98;
const CMDQ_CONS = 0x9c;
const EVENTQ_BASE = 0xa0;
const EVENTQ_PROD = 0x1_00a8;
const EVENTQ_CONS = 0x1_00ac;

const SMMUEN = 1;
const EVENTQEN = 1 << 2;
const CMDQEN = 1 << 3;
/** Queues and tables: Inner Shareable, Write-Back. */
const ATTRIBUTES = (3 << 10) | (1 << 8) | (1 << 6) | (3 << 4) | (1 << 2) | 1;

const STREAM_BITS = 16;
const SPLIT = 8;
const TWO_LEVEL = 1 << 16;
/** 2^(span - 1) entries below a descriptor of the first level. */
const SPAN = SPLIT + 1;
const STE_BYTES = 64;
const STE_VALID = 1;
const STE_BYPASS = 4 << 1;
const STE_STAGE2 = 6 << 1;
/** SHCFG: use the incoming shareability; bits 45:44 of the second word. */
const SHCFG_INCOMING = 1 << 12;
/** S2AA64 (bit 51), S2PTW (54), S2R (58) of the third word. */
const S2_CONTROLS = (1 << 19) | (1 << 22) | (1 << 26);

const QUEUE_LOG2 = 6;
const QUEUE = 1 << QUEUE_LOG2;
const EVENT_BYTES = 32;
const CMD_CFGI_STE = 0x03;
const CMD_TLBI_S12_VMALL = 0x28;
const CMD_SYNC = 0x46;

export interface HypervisorSmmuOptions {
  readonly base: number;
  /** SPI of the event queue. */
  readonly eventSpi: number;
  readonly pool: MemoryPool;
  readonly physicalAddressSize: number;
  /** Streams of the hypervisor's own devices: not translated. */
  readonly own: readonly number[];
  /** Streams that a VM has beside those of its regions. */
  readonly streams?: (vm: Vm) => readonly number[];
}

/** Stream table of the second level by the upper bits of the stream, and who has which stream. */
class Streams implements StatePart {
  readonly tables = new Map<number, number>();
  readonly owners = new Map<number, number>();
  save(): StateValue {
    return { tables: [...this.tables].flat(), owners: [...this.owners].flat() };
  }
  load(value: StateValue, path: string): void {
    const { tables, owners } = value as { tables?: StateValue; owners?: StateValue };
    this.reset();
    for (const [map, list] of [
      [this.tables, tables],
      [this.owners, owners],
    ] as const) {
      if (!Array.isArray(list)) throw new SnapshotError(`${path}: expected tables and owners`);
      for (let i = 0; i + 1 < list.length; i += 2) map.set(list[i] as number, list[i + 1] as number);
    }
  }
  reset(): void {
    this.tables.clear();
    this.owners.clear();
  }
}

export class HypervisorSmmu extends Module implements Service {
  readonly #o: HypervisorSmmuOptions;
  readonly #c: {
    root: number;
    commands: number;
    events: number;
    prod: number;
    cons: number;
    faults: number;
    /** Of each VM, by its number. */
    refused: number[];
  };
  readonly #streams = this.part("streams", new Streams());

  constructor(parent: Module | Simulation, name: string, options: HypervisorSmmuOptions) {
    super(parent, name);
    this.#o = options;
    this.#c = this.state({ root: -1, commands: -1, events: -1, prod: 0, cons: 0, faults: 0, refused: [] as number[] });
  }

  /** Event records that the SMMU has written: DMA that was refused. */
  get faults(): number {
    return this.#c.faults;
  }
  /** Those of streams that the VM had when they were read. */
  refusedDma(vm: Vm): number {
    return this.#c.refused[vm.id] ?? 0;
  }

  setUp(cpu: PhysicalCpu): void {
    const c = this.#c;
    const { base } = this.#o;
    c.root = this.#zeroed(cpu, (8 << STREAM_BITS) >> SPLIT);
    c.commands = this.#zeroed(cpu, 16 * QUEUE);
    c.events = this.#zeroed(cpu, EVENT_BYTES * QUEUE);
    c.prod = 0;
    c.cons = 0;
    cpu.write(base + CR1, 4, ATTRIBUTES);
    cpu.write(base + CR2, 4, 2); // RECINVSID: streams beyond the table are recorded
    this.#address(cpu, STRTAB_BASE, c.root, 0);
    cpu.write(base + STRTAB_BASE_CFG, 4, TWO_LEVEL | (SPLIT << 6) | STREAM_BITS);
    this.#address(cpu, CMDQ_BASE, c.commands, QUEUE_LOG2);
    cpu.write(base + CMDQ_PROD, 4, 0);
    cpu.write(base + CMDQ_CONS, 4, 0);
    this.#address(cpu, EVENTQ_BASE, c.events, QUEUE_LOG2);
    cpu.write(base + EVENTQ_PROD, 4, 0);
    cpu.write(base + EVENTQ_CONS, 4, 0);
    for (const stream of this.#o.own) this.#entry(cpu, stream, null);
    cpu.write(base + IRQ_CTRL, 4, 1 << 2);
    cpu.write(base + CR0, 4, CMDQEN | EVENTQEN | SMMUEN);
    if (cpu.read(base + CR0ACK, 4) !== (CMDQEN | EVENTQEN | SMMUEN))
      throw new Error(`${this.fullName}: no SMMU answers`);
  }

  readonly edge = true;
  get interrupts(): readonly number[] {
    return [32 + this.#o.eventSpi];
  }

  /** Streams of what the VM has passed through are its own from here on. */
  started(cpu: PhysicalCpu, vm: Vm): void {
    const wanted = new Set<number>(this.#o.streams?.(vm) ?? []);
    for (const r of vm.options.regions) {
      if (vm.modeOf(r.name) === "pass") for (const stream of r.physical?.streams ?? []) wanted.add(stream);
    }
    const { owners } = this.#streams;
    for (const [stream, owner] of owners) {
      if (owner !== vm.id || wanted.has(stream)) continue;
      owners.delete(stream);
      this.#abort(cpu, stream);
    }
    for (const stream of wanted) {
      owners.set(stream, vm.id);
      this.#entry(cpu, stream, vm.dma.root(this.#o.physicalAddressSize));
    }
    this.#invalidate(cpu, vm);
  }

  /** The VM's devices reach no memory any more. */
  halted(cpu: PhysicalCpu, vm: Vm): void {
    const { owners } = this.#streams;
    let any = false;
    for (const [stream, owner] of owners) {
      if (owner !== vm.id) continue;
      owners.delete(stream);
      this.#abort(cpu, stream);
      any = true;
    }
    if (any) this.#invalidate(cpu, vm);
  }

  /** The event queue's interrupt: records are counted, each for the VM whose stream it names, and given back. */
  interrupt(cpu: PhysicalCpu, id: number): boolean {
    if (id !== 32 + this.#o.eventSpi) return false;
    const { base } = this.#o;
    const c = this.#c;
    const prod = cpu.read(base + EVENTQ_PROD, 4);
    for (; ((prod - c.cons) & (2 * QUEUE - 1)) !== 0; c.cons = (c.cons + 1) & (2 * QUEUE - 1)) {
      c.faults++;
      const stream = cpu.read(c.events + EVENT_BYTES * (c.cons & (QUEUE - 1)) + 4, 4);
      const owner = this.#streams.owners.get(stream);
      if (owner === undefined) continue;
      for (let n = c.refused.length; n <= owner; n++) c.refused.push(0);
      c.refused[owner] = (c.refused[owner] as number) + 1;
    }
    c.cons = prod;
    cpu.write(base + EVENTQ_CONS, 4, prod);
    return true;
  }

  // --- tables

  #zeroed(cpu: PhysicalCpu, bytes: number): number {
    const size = Math.ceil(bytes / PAGE) * PAGE;
    const at = this.#o.pool.allocate(size, size);
    if (at < 0) throw new RangeError(`${this.fullName}: no memory is left for the SMMU's tables`);
    clear(cpu, at, size);
    return at;
  }
  #address(cpu: PhysicalCpu, register: number, at: number, log2: number): void {
    cpu.write(this.#o.base + register, 4, (at | log2) >>> 0);
    cpu.write(this.#o.base + register + 4, 4, Math.floor(at / 2 ** 32));
  }

  /** Address of a stream's entry, its table made where there is none. */
  #place(cpu: PhysicalCpu, stream: number): number {
    const upper = stream >> SPLIT;
    let table = this.#streams.tables.get(upper);
    if (table === undefined) {
      table = this.#zeroed(cpu, STE_BYTES << SPLIT);
      this.#streams.tables.set(upper, table);
      // absent entries are invalid: their DMA is aborted and recorded
      cpu.write(this.#c.root + 8 * upper + 4, 4, Math.floor(table / 2 ** 32));
      cpu.write(this.#c.root + 8 * upper, 4, (table | SPAN) >>> 0);
    }
    return table + STE_BYTES * (stream & ((1 << SPLIT) - 1));
  }

  /** Made invalid, then written with its valid word last (IHI 0070 3.21.3.1). */
  #entry(cpu: PhysicalCpu, stream: number, root: Stage2Root | null): void {
    const at = this.#place(cpu, stream);
    cpu.write(at, 4, 0);
    this.#changed(cpu, stream);
    cpu.write(at + 4, 4, 0);
    cpu.write(at + 8, 4, 0);
    cpu.write(at + 12, 4, SHCFG_INCOMING);
    if (root !== null) {
      cpu.write(at + 16, 4, root.vmid);
      cpu.write(at + 20, 4, ((root.vtcr & 0x7_ffff) | S2_CONTROLS) >>> 0);
      cpu.write(at + 24, 4, root.base >>> 0);
      cpu.write(at + 28, 4, Math.floor(root.base / 2 ** 32));
    }
    cpu.write(at, 4, STE_VALID | (root === null ? STE_BYPASS : STE_STAGE2));
    this.#changed(cpu, stream);
  }
  #abort(cpu: PhysicalCpu, stream: number): void {
    cpu.write(this.#place(cpu, stream), 4, 0);
    this.#changed(cpu, stream);
  }

  // --- commands

  #changed(cpu: PhysicalCpu, stream: number): void {
    if ((cpu.read(this.#o.base + CR0, 4) & CMDQEN) === 0) return;
    this.#command(cpu, CMD_CFGI_STE, stream, 1);
    this.#command(cpu, CMD_SYNC, 0, 0);
    this.#ring(cpu);
  }
  #invalidate(cpu: PhysicalCpu, vm: Vm): void {
    this.#command(cpu, CMD_TLBI_S12_VMALL, vm.stage2.vmid, 0);
    this.#command(cpu, CMD_SYNC, 0, 0);
    this.#ring(cpu);
  }
  #command(cpu: PhysicalCpu, opcode: number, high: number, second: number): void {
    const c = this.#c;
    const at = c.commands + 16 * (c.prod & (QUEUE - 1));
    cpu.write(at, 4, opcode);
    cpu.write(at + 4, 4, high);
    cpu.write(at + 8, 4, second);
    cpu.write(at + 12, 4, 0);
    c.prod = (c.prod + 1) & (2 * QUEUE - 1);
  }
  /** Commands are taken at once by this model; a real SMMU would be waited for at the sync. */
  #ring(cpu: PhysicalCpu): void {
    const { base } = this.#o;
    cpu.write(base + CMDQ_PROD, 4, this.#c.prod);
    for (let n = 0; n < 1000 && (cpu.read(base + CMDQ_CONS, 4) & (2 * QUEUE - 1)) !== this.#c.prod; n++);
  }
}
