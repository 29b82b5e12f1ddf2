/** Emulation of a load or store from the syndrome of its abort (ESR_EL2.ISV = 1). */
import { FAULT_ALIGNMENT } from "../mmu/index.ts";
import { externalAbort, isSecondHalf } from "./instruction.ts";
import { PAGE } from "./memory.ts";
import type { AccessFault, Exit, PhysicalCpu } from "./physical-cpu.ts";
import type { Vcpu } from "./vcpu.ts";

/** An access that is not aligned is an alignment fault, as to any Device memory (DDI 0487J.a B2.8.2). */
export function emulateAccess(cpu: PhysicalCpu, vcpu: Vcpu, exit: Exit): "done" | AccessFault {
  const { ipa, size, write } = exit;
  // one that left at the start of a page may have begun in the page before, which is memory
  if (ipa % size !== 0 || (size > 1 && ipa % PAGE === 0 && isSecondHalf(cpu))) return { status: FAULT_ALIGNMENT };
  const { vm } = vcpu;
  const tx = vm.transaction;
  tx.cpu = vcpu.index;
  tx.response = 0;
  tx.delay = 0;
  tx.high = write ? cpu.storedHigh : 0;
  if (write) vm.bus.write(ipa, size, lanes(cpu.storedLow, size), tx);
  const low = write ? 0 : vm.bus.read(ipa, size, tx);
  if (tx.response !== 0) return { status: externalAbort(tx.response) };
  cpu.complete(low, tx.high);
  return "done";
}

function lanes(value: number, size: number): number {
  return size >= 4 ? value >>> 0 : value & ((1 << (8 * size)) - 1);
}
