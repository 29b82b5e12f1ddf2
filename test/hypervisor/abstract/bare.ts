/** A machine with a handler of the test's own: guest memory 0x4000_0000 lies at 0x4000_0000 + n MiB, devices where they are, but for what is left out. */
import {
  type AbstractContext,
  type AbstractMachine,
  type AbstractMachineOptions,
  createAbstractMachine,
  type GuestProgram,
} from "../../../src/hypervisor/abstract/index.ts";
import type { El2Handler, Exit, PhysicalCpu, Stage2Root } from "../../../src/hypervisor/physical-cpu.ts";

export const RAM = 0x4000_0000;
/** 4 KiB granule, 39 bits, walks from level 1, 48-bit output (DDI 0487 D17.2.158). */
const VTCR = 0x8005_3559;

export class Bare implements El2Handler {
  readonly machine: AbstractMachine;
  readonly exits: { reason: string; syndrome: number; ipa: number; time: number; value: number }[] = [];
  onExit: (cpu: PhysicalCpu, exit: Exit) => void = () => undefined;
  readonly #guests: { context: AbstractContext; root: Stage2Root }[] = [];
  #tables = 0x47f0_0000;

  constructor(options: AbstractMachineOptions = {}) {
    this.machine = createAbstractMachine(options);
    for (const cpu of this.machine.physicalCpus) cpu.handler = this;
  }

  word(address: number, value?: number): number {
    const { ram } = this.machine;
    if (value !== undefined) ram.poke(address - RAM, 4, value);
    return ram.peek(address - RAM, 4);
  }

  /** Two levels: 1 GiB of devices as 2 MiB blocks, of which `without` are invalid, and 2 MiB of RAM at `ram`. */
  tables(ram: number, without: readonly number[] = []): number {
    const at = this.#tables;
    this.#tables += 0x4000;
    const [one, devices, memory] = [at, at + 0x1000, at + 0x2000];
    this.word(one, devices | 3);
    this.word(one + 8, memory | 3);
    for (let n = 0; n < 512; n++) {
      const block = n * 0x20_0000;
      if (!without.some((address) => address >= block && address < block + 0x20_0000)) {
        this.word(devices + 8 * n, (block | 0x4c5) >>> 0);
      }
    }
    this.word(memory, (ram | 0x7fd) >>> 0);
    return one;
  }

  /** A guest for CPU `cpu`, started with it. */
  guest(program: GuestProgram, without: readonly number[] = [], cpu = 0): AbstractContext {
    const context = this.machine.cpus.createContext(program, cpu);
    const vmid = this.#guests.length + 1;
    this.#guests[cpu] = { context, root: { base: this.tables(RAM + vmid * 0x20_0000, without), vmid, vtcr: VTCR } };
    return context;
  }

  root(cpu = 0): Stage2Root {
    return this.#guests[cpu]?.root as Stage2Root;
  }

  exit(cpu: PhysicalCpu, exit: Exit): void {
    const { reason, syndrome, ipa } = exit;
    this.exits.push({ reason, syndrome, ipa, time: cpu.time, value: cpu.storedLow });
    if (reason === "start") {
      const guest = this.#guests[cpu.index];
      if (guest && cpu.loaded === null) cpu.load(guest.context, guest.root);
      if (cpu.index === 0) for (let n = 1; n < this.#guests.length; n++) cpu.powerOn(n);
    } else if (reason === "hvc" && cpu.low(0) === (0x8400_0008 | 0)) {
      cpu.unload();
      cpu.sleep();
      return;
    }
    this.onExit(cpu, exit);
  }
}
