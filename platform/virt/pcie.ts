/** Functions on the board's PCIe bus, as options ask for them: buses by name, places given or found. */
import { InputError } from "../../src/formats/index.ts";
import { PcieBridge, type PcieBus, type PcieFunction, type PcieHost } from "../../src/pcie/index.ts";
import type { Module } from "../../src/sim/index.ts";

/** Name of the root bus, as QEMU calls it. */
export const ROOT_BUS = "pcie.0";

export interface PcieSlot {
  /** Name of the function's module, below the host bridge's. */
  readonly name: string;
  /** "pcie.0" unless given, or the `name` of a port that comes before. */
  readonly bus?: string;
  /** The lowest free one unless given. */
  readonly device?: number;
  readonly functionNumber?: number;
  readonly make: (host: PcieHost, name: string) => PcieMade;
}

/** A function, or a device's module with the function that it puts on the bus. */
export type PcieMade = PcieFunction | (Module & { readonly function: PcieFunction });

/** Builds the functions and puts them in place. Throws InputError where that cannot be. Returns modules by name. */
export function populatePcie(host: PcieHost, slots: readonly PcieSlot[]): Map<string, Module> {
  const buses = new Map<string, PcieBus>([[ROOT_BUS, host.bus]]);
  const modules = new Map<string, Module>();
  for (const { name, bus = ROOT_BUS, device, functionNumber = 0, make } of slots) {
    const where = buses.get(bus);
    if (where === undefined) {
      throw new InputError(`${name}: there is no PCIe bus "${bus}": expected ${[...buses.keys()].join(", ")}`);
    }
    const at = device ?? where.freeDevice();
    if (at < 0) throw new InputError(`${name}: every device number of ${bus} is taken`);
    const made = make(host, name);
    const fn = "function" in made ? made.function : made;
    try {
      where.attach(fn, at, functionNumber);
    } catch (error) {
      throw new InputError(`${name}: bus=${bus}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const first = where.functions.find((f) => f.device === at && f.functionNumber === 0);
    if (functionNumber !== 0 && first && (first.config.peek(0x0e, 1) & 0x80) === 0) {
      throw new InputError(
        `${name}: function 0 of device ${at} on ${bus} has no multifunction=on: nobody would look for others`,
      );
    }
    modules.set(name, made);
    if (fn instanceof PcieBridge) buses.set(name, fn.below);
  }
  return modules;
}
