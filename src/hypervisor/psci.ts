/** PSCI 1.1 (DEN 0022E) for guests: the calls that the guest's device tree offers. Arguments in X0 to X3, result in X0, sign-extended. */
import type { PhysicalCpu } from "./physical-cpu.ts";
import type { Vcpu } from "./vcpu.ts";

const VERSION = 0x8400_0000;
const CPU_SUSPEND = 0x8400_0001;
const CPU_OFF = 0x8400_0002;
const CPU_ON = 0x8400_0003;
const AFFINITY_INFO = 0x8400_0004;
const MIGRATE_INFO_TYPE = 0x8400_0006;
const SYSTEM_OFF = 0x8400_0008;
const SYSTEM_RESET = 0x8400_0009;
const FEATURES = 0x8400_000a;
/** SMC64 and HVC64 form. */
const FORM_64 = 0x4000_0000;
const WITH_64 = [CPU_SUSPEND, CPU_ON, AFFINITY_INFO];
const KNOWN = [
  ...[VERSION, CPU_OFF, MIGRATE_INFO_TYPE, SYSTEM_OFF, SYSTEM_RESET, FEATURES],
  ...WITH_64,
  ...WITH_64.map((f) => f + FORM_64),
];

const SUCCESS = 0;
const NOT_SUPPORTED = -1;
const INVALID_PARAMETERS = -2;
const ALREADY_ON = -4;
const ON_PENDING = -5;

/** What a call asks of the hypervisor beyond its result. */
export type PsciRequest = "nothing" | "suspend" | "cpu off" | "system off" | "system reset";

export interface PsciHost {
  startVcpu(vcpu: Vcpu, entry: number, x0: number): void;
}

/** Carries out the call in X0 to X3; X0 has the result. */
export function psciCall(host: PsciHost, cpu: PhysicalCpu, vcpu: Vcpu): PsciRequest {
  const id = cpu.low(0) >>> 0;
  const give = (value: number): PsciRequest => {
    cpu.setRegister(0, value, value >> 31);
    return "nothing";
  };
  switch (id) {
    case VERSION:
      return give(0x0001_0001);
    case CPU_SUSPEND:
    case CPU_SUSPEND + FORM_64:
      // standby states alone: no StateID, StateType 0, level of the CPU
      if ((cpu.low(1) & 0xfffe_0000) !== 0) return give(INVALID_PARAMETERS);
      give(SUCCESS);
      return "suspend";
    case CPU_OFF:
      return "cpu off";
    case CPU_ON:
    case CPU_ON + FORM_64:
      return give(cpuOn(host, cpu, vcpu, (id & FORM_64) !== 0));
    case AFFINITY_INFO:
    case AFFINITY_INFO + FORM_64: {
      const target = find(vcpu, cpu.low(1));
      if (target === undefined || cpu.low(2) >>> 0 > 3) return give(INVALID_PARAMETERS);
      return give(target.activity === "off" && cpu.low(2) === 0 ? 1 : 0);
    }
    case MIGRATE_INFO_TYPE:
      return give(2);
    case SYSTEM_OFF:
      return "system off";
    case SYSTEM_RESET:
      return "system reset";
    case FEATURES:
      return give(KNOWN.includes(cpu.low(1) >>> 0) ? SUCCESS : NOT_SUPPORTED);
    default:
      return give(NOT_SUPPORTED);
  }
}

function find(vcpu: Vcpu, affinity: number): Vcpu | undefined {
  return vcpu.vm.vcpus.find((v) => v.index === (affinity & 0xff_ffff));
}

function cpuOn(host: PsciHost, cpu: PhysicalCpu, vcpu: Vcpu, is64: boolean): number {
  const target = find(vcpu, cpu.low(1));
  if (target === undefined) return INVALID_PARAMETERS;
  if (target.activity !== "off") return ALREADY_ON;
  if (target.cells.on >= 0) return ON_PENDING;
  const value = (n: number): number => (is64 ? cpu.high(n) >>> 0 : 0) * 2 ** 32 + (cpu.low(n) >>> 0);
  host.startVcpu(target, value(2), value(3));
  return SUCCESS;
}
