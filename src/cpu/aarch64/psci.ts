/**
 * PSCI 1.1 (DEN 0022E) as the firmware below the guest: QEMU's `virt` offers the same calls by HVC where the guest starts at EL1 and
 * by SMC where it starts at EL2. Arguments in X0 to X3, result in X0; the result is sign-extended to 64 bits. Calls that are not listed
 * return NOT_SUPPORTED.
 */
import type { Cluster } from "./cluster.ts";
import type { Cpu } from "./cpu.ts";
import * as L from "./engine/layout.ts";

export const PSCI_VERSION = 0x8400_0000;
export const PSCI_CPU_SUSPEND = 0x8400_0001;
export const PSCI_CPU_OFF = 0x8400_0002;
export const PSCI_CPU_ON = 0x8400_0003;
export const PSCI_AFFINITY_INFO = 0x8400_0004;
export const PSCI_MIGRATE_INFO_TYPE = 0x8400_0006;
export const PSCI_SYSTEM_OFF = 0x8400_0008;
export const PSCI_SYSTEM_RESET = 0x8400_0009;
export const PSCI_FEATURES = 0x8400_000a;
/** Bit 30: SMC64 and HVC64 form. */
const FORM_64 = 0x4000_0000;

const SUCCESS = 0;
const NOT_SUPPORTED = -1;
const INVALID_PARAMETERS = -2;
const ALREADY_ON = -4;

/** Functions with a 64-bit form, and all. */
const WITH_64 = [PSCI_CPU_SUSPEND, PSCI_CPU_ON, PSCI_AFFINITY_INFO];
const KNOWN = [
  PSCI_VERSION,
  PSCI_CPU_OFF,
  PSCI_MIGRATE_INFO_TYPE,
  PSCI_SYSTEM_OFF,
  PSCI_SYSTEM_RESET,
  PSCI_FEATURES,
  ...WITH_64,
  ...WITH_64.map((f) => f + FORM_64),
];

export class Psci {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** The call in the registers of `cpu`, whose PC is still at the instruction. Returns the engine's status. */
  call(cpu: Cpu): number {
    const { context } = cpu;
    const id = context.low(L.X) >>> 0;
    cpu.nextInstruction();
    switch (id) {
      case PSCI_VERSION:
        return this.#return(cpu, 0x0001_0001);
      case PSCI_CPU_SUSPEND:
      case PSCI_CPU_SUSPEND + FORM_64:
        return this.#suspend(cpu);
      case PSCI_CPU_OFF:
        return cpu.powerOff();
      case PSCI_CPU_ON:
      case PSCI_CPU_ON + FORM_64:
        return this.#return(cpu, this.#cpuOn(cpu));
      case PSCI_AFFINITY_INFO:
      case PSCI_AFFINITY_INFO + FORM_64:
        return this.#return(cpu, this.#affinityInfo(cpu));
      case PSCI_MIGRATE_INFO_TYPE:
        return this.#return(cpu, 2); // no trusted OS that would need migration
      case PSCI_SYSTEM_OFF:
        return this.#cluster.powerRequest(cpu, "off");
      case PSCI_SYSTEM_RESET:
        return this.#cluster.powerRequest(cpu, "reset");
      case PSCI_FEATURES: {
        const asked = context.low(L.X + 8) >>> 0;
        return this.#return(cpu, KNOWN.includes(asked) ? SUCCESS : NOT_SUPPORTED);
      }
      default:
        return this.#return(cpu, NOT_SUPPORTED);
    }
  }

  #return(cpu: Cpu, value: number): number {
    cpu.context.set(L.X, value, value >> 31);
    return L.REFETCH;
  }

  /** Every state is standby: the call returns when an interrupt wakes the CPU, as WFI does. */
  #suspend(cpu: Cpu): number {
    const state = cpu.context.low(L.X + 8);
    // StateID, StateType and power level: anything but standby levels is not offered
    if ((state & 0xfffe_0000) !== 0) return this.#return(cpu, INVALID_PARAMETERS);
    cpu.context.set(L.X, SUCCESS, 0);
    return cpu.exceptions.wakes() ? L.REFETCH : cpu.sleep(false);
  }

  #target(cpu: Cpu, argument: number): Cpu | undefined {
    const offset = L.X + 8 * argument;
    const affinity = cpu.context.low(offset) & 0x00ff_ffff;
    return this.#cluster.cpus.find((c) => c.affinity === affinity);
  }

  #cpuOn(cpu: Cpu): number {
    const target = this.#target(cpu, 1);
    if (target === undefined) return INVALID_PARAMETERS;
    if (!target.isOff) return ALREADY_ON;
    const { context } = cpu;
    const is64 = (context.low(L.X) & FORM_64) !== 0;
    const high = (offset: number) => (is64 ? context.high(offset) : 0);
    target.powerOn(context.low(L.X + 16), high(L.X + 16), context.low(L.X + 24), high(L.X + 24), cpu.localTime);
    return SUCCESS;
  }

  #affinityInfo(cpu: Cpu): number {
    if (cpu.context.low(L.X + 16) !== 0) return cpu.context.low(L.X + 16) > 3 ? INVALID_PARAMETERS : 0;
    const target = this.#target(cpu, 1);
    if (target === undefined) return INVALID_PARAMETERS;
    return target.isOff ? 1 : 0;
  }
}
