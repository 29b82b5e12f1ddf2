/** The registers of a vCPU on an AArch64 CPU while it is not loaded: what EL0 and EL1 software can see or change. */

import type { Context } from "../../cpu/aarch64/context.ts";
import * as L from "../../cpu/aarch64/engine/layout.ts";
import { offsetOf, type SysregName } from "../../cpu/aarch64/sysreg/table.ts";
import { Frequency, Module, NEVER, type Simulation, type Time } from "../../sim/index.ts";
import type { GuestStart, VcpuContext } from "../physical-cpu.ts";

/** System registers that are the guest's. ELR_EL2 and SPSR_EL2 hold its program counter and PSTATE while EL2 runs. */
const SYSTEM = [
  ...["SP_EL0", "SP_EL1", "ELR_EL1", "SPSR_EL1", "ELR_EL2", "SPSR_EL2", "VBAR_EL1", "ESR_EL1", "FAR_EL1"],
  ...["AFSR0_EL1", "AFSR1_EL1", "PAR_EL1", "SCTLR_EL1", "ACTLR_EL1", "CPACR_EL1", "TTBR0_EL1", "TTBR1_EL1"],
  ...["TCR_EL1", "MAIR_EL1", "AMAIR_EL1", "CONTEXTIDR_EL1", "TPIDR_EL0", "TPIDRRO_EL0", "TPIDR_EL1", "CSSELR_EL1"],
  ...["CNTKCTL_EL1", "CNTV_CTL_EL0", "CNTV_CVAL_EL0", "CNTVOFF_EL2", "VMPIDR_EL2", "MDSCR_EL1"],
] as SysregName[];
const OFFSETS = SYSTEM.map((name) => offsetOf(name));
const GENERAL_WORDS = 62;
const SYSTEM_AT = GENERAL_WORDS;
const VECTOR_AT = SYSTEM_AT + 2 * SYSTEM.length;
const WORDS = VECTOR_AT + 128 + 4;

const place = (name: SysregName): number => SYSTEM_AT + 2 * SYSTEM.indexOf(name);
const ELR = place("ELR_EL2");
const SPSR = place("SPSR_EL2");
const TIMER_CONTROL = place("CNTV_CTL_EL0");
const TIMER_COMPARE = place("CNTV_CVAL_EL0");
const TIMER_OFFSET = place("CNTVOFF_EL2");
const VMPIDR = place("VMPIDR_EL2");

/** Reset values that matter (DDI 0487J.a D1.9.1): MMU and caches off, RES1 bits of SCTLR_EL1. */
const SCTLR_RESET = 0x30d0_0800 | 0;
/** EL1h with all interrupts masked. */
const SPSR_RESET = 0x3c5;

export class Aarch64Context extends Module implements VcpuContext {
  readonly kind = "aarch64";
  readonly words: Int32Array;
  readonly #cells: { floatingPointOn: number };
  readonly #frequency: Frequency;
  readonly #affinity: number;

  constructor(parent: Module | Simulation, name: string, affinity: number, counterFrequency: number) {
    super(parent, name);
    this.words = this.state({ words: new Int32Array(WORDS) }, "registers").words;
    this.#cells = this.state({ floatingPointOn: -1 });
    this.#frequency = new Frequency(counterFrequency);
    this.#affinity = affinity;
  }

  override reset(start?: GuestStart): void {
    super.reset();
    const { words } = this;
    words.fill(0);
    this.#cells.floatingPointOn = -1;
    words[place("SCTLR_EL1")] = SCTLR_RESET;
    words[SPSR] = SPSR_RESET;
    words[VMPIDR] = 0x8000_0000 | this.#affinity;
    if (start === undefined) return;
    this.#set(ELR, start.entry);
    this.#set(0, start.x0);
    this.#set(TIMER_OFFSET, this.#frequency.cyclesAt(start.epoch ?? 0));
  }

  /** The CPU whose SIMD and floating-point registers are this vCPU's still, or -1. */
  get floatingPointOn(): number {
    return this.#cells.floatingPointOn;
  }
  set floatingPointOn(cpu: number) {
    this.#cells.floatingPointOn = cpu;
  }

  #set(at: number, value: number): void {
    this.words[at] = value | 0;
    this.words[at + 1] = Math.floor(value / 2 ** 32) | 0;
  }

  save(from: Context): void {
    const { words } = this;
    words.set(from.words.subarray(0, GENERAL_WORDS));
    for (let i = 0; i < OFFSETS.length; i++) {
      const offset = OFFSETS[i] as number;
      words[SYSTEM_AT + 2 * i] = from.low(offset);
      words[SYSTEM_AT + 2 * i + 1] = from.high(offset);
    }
  }
  load(to: Context): void {
    const { words } = this;
    for (let i = 0; i < GENERAL_WORDS; i++) to.words[i] = words[i] as number;
    for (let i = 0; i < OFFSETS.length; i++) {
      to.set(OFFSETS[i] as number, words[SYSTEM_AT + 2 * i] as number, words[SYSTEM_AT + 2 * i + 1] as number);
    }
  }
  saveFloatingPoint(from: Context): void {
    this.words.set(from.words.subarray(L.V / 4, L.V / 4 + 128), VECTOR_AT);
    this.words.set(from.words.subarray(L.FPCR / 4, L.FPCR / 4 + 4), VECTOR_AT + 128);
  }
  loadFloatingPoint(to: Context): void {
    to.words.set(this.words.subarray(VECTOR_AT, VECTOR_AT + 128), L.V / 4);
    to.words.set(this.words.subarray(VECTOR_AT + 128, VECTOR_AT + 132), L.FPCR / 4);
  }

  get timerDeadline(): Time {
    const { words } = this;
    if (((words[TIMER_CONTROL] as number) & 3) !== 1) return NEVER;
    // compare value plus offset, beyond 2^52 never
    const high = ((words[TIMER_COMPARE + 1] as number) >>> 0) + ((words[TIMER_OFFSET + 1] as number) >>> 0);
    const low = ((words[TIMER_COMPARE] as number) >>> 0) + ((words[TIMER_OFFSET] as number) >>> 0);
    const count = high * 2 ** 32 + low;
    return count < 2 ** 46 ? this.#frequency.timeOf(count) : NEVER;
  }
}
