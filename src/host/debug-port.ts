/** The CPU cluster's debugger in the protocol's terms: addresses are 64-bit numbers, breakpoints know whether they are of the hardware kind. */
import type { Cluster } from "../cpu/aarch64/cluster.ts";
import type { StopReason, WatchKind } from "../observe/index.ts";
import type { DebugPort } from "./machine.ts";

/** Beyond this nothing is mapped on the bus. */
const PHYSICAL_END = 1n << 52n;

export function debugPort(cluster: Cluster): DebugPort {
  const { cpus } = cluster;
  const target = cluster.debugger;
  const cpu = (index: number) => {
    const found = cpus[index];
    if (found === undefined) throw new RangeError(`CPU ${index}: the machine has ${cpus.length}`);
    return found;
  };
  /** Kinds of breakpoint set at an address; planted once, whatever their number. */
  const breakpoints = new Map<bigint, Set<"hardware" | "software">>();
  const kindOf = (hardware: boolean) => (hardware ? "hardware" : "software");

  return {
    cpus: cpus.length,
    registers: target.registers,
    readRegister: (n, index) => target.readRegister(cpu(n), index),
    writeRegister: (n, index, value) => target.writeRegister(cpu(n), index, value),
    readMemory: (n, address, length) => target.readMemory(cpu(n), high(address), low(address), length),
    writeMemory: (n, address, data) => target.writeMemory(cpu(n), high(address), low(address), data),
    readPhysical: (address, length) =>
      address + BigInt(length) > PHYSICAL_END ? new Uint8Array(length) : target.readPhysical(Number(address), length),
    writePhysical: (address, data) => {
      if (address + BigInt(data.length) > PHYSICAL_END) return false;
      target.writePhysical(Number(address), data);
      return true;
    },
    setBreakpoint: (address, hardware) => {
      const kinds = breakpoints.get(address) ?? new Set();
      if (kinds.size === 0 && !target.setBreakpoint(high(address), low(address))) return false;
      breakpoints.set(address, kinds.add(kindOf(hardware)));
      return true;
    },
    clearBreakpoint: (address, hardware) => {
      const kinds = breakpoints.get(address);
      if (kinds?.delete(kindOf(hardware)) !== true) return false;
      if (kinds.size > 0) return true;
      breakpoints.delete(address);
      return target.clearBreakpoint(high(address), low(address));
    },
    setWatchpoint: (address, length, kind: WatchKind) =>
      target.setWatchpoint(high(address), low(address), length, kind),
    clearWatchpoint: (address, length, kind: WatchKind) =>
      target.clearWatchpoint(high(address), low(address), length, kind),
    clearAll: () => {
      breakpoints.clear();
      target.detach();
    },
    describe: (n) => target.describe(cpu(n)),
    arm: (actions) => target.resume(actions),
    takeStop: (): StopReason | null => {
      const { stop } = target;
      target.stop = null;
      if (stop === null || stop.kind === "step") return stop;
      if (stop.kind === "watchpoint") {
        return { kind: "watchpoint", cpu: stop.cpu, access: stop.watch, address: join(stop.high, stop.low) };
      }
      const pc = target.readRegister(cpu(stop.cpu), PC) as Uint8Array;
      const address = new DataView(pc.buffer, pc.byteOffset).getBigUint64(0, true);
      return { kind: "breakpoint", cpu: stop.cpu, hardware: breakpoints.get(address)?.has("software") !== true };
    },
  };
}

const PC = 32;

/** Halves as the CPU side has them: signed 32-bit numbers. */
function high(address: bigint): number {
  return Number(BigInt.asIntN(32, address >> 32n));
}
function low(address: bigint): number {
  return Number(BigInt.asIntN(32, address));
}
function join(h: number, l: number): bigint {
  return (BigInt(h >>> 0) << 32n) | BigInt(l >>> 0);
}
