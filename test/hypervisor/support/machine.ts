/** Machines of VMs from configurations and images, run to their end. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { InterpreterCode } from "../../../src/cpu/aarch64/engine/interpreter.ts";
import {
  type ConfiguredMachine,
  createConfiguredMachine,
  type HypervisorConfiguration,
  type VmConfiguration,
  type VmImages,
} from "../../../src/hypervisor/config.ts";

export const code = new InterpreterCode();
const SECOND = 10_000_000_000;

export function image(name: string): { name: string; data: Uint8Array } {
  const file = fileURLToPath(new URL(`../../../firmware/images/${name}`, import.meta.url));
  return { name, data: readFileSync(file) };
}

/** Instruction words as a flat binary. */
export function program(...words: number[]): { name: string; data: Uint8Array } {
  const data = new Uint8Array(4 * words.length);
  const view = new DataView(data.buffer);
  words.forEach((w, i) => {
    view.setUint32(4 * i, w, true);
  });
  return { name: "program", data };
}

export interface Guests extends ConfiguredMachine {
  /** What each VM has printed, without carriage returns. */
  readonly output: (vm: number) => string;
  /** Lets it run until all VMs have ended, at most so many simulated seconds from the start. */
  readonly run: (seconds: number) => void;
}

export function guests(
  config: HypervisorConfiguration,
  images: readonly VmImages[],
  options: Parameters<typeof createConfiguredMachine>[3] = {},
): Guests {
  const bytes: number[][] = config.vms.map(() => []);
  const made = createConfiguredMachine(config, images, (vm, byte) => bytes[vm]?.push(byte), {
    code,
    ...options,
  });
  const { machine, vms } = made;
  for (const vm of vms) {
    vm.onState = () => {
      if (vms.every((v) => v.status === "off" || v.status === "stopped")) machine.simulation.pause();
    };
  }
  return {
    ...made,
    output: (vm) =>
      (bytes[vm] ?? [])
        .map((b) => String.fromCharCode(b))
        .join("")
        .replaceAll("\r", ""),
    run: (seconds) => {
      machine.simulation.run(seconds * SECOND);
    },
  };
}

/** A VM of 8 MiB with UART and timer as given. */
export function vm(name: string, mode: "trap" | "pass", more: Partial<VmConfiguration> = {}): VmConfiguration {
  const devices =
    mode === "trap"
      ? { uart0: mode, timer0: mode }
      : { uart0: { mode, physical: "uart1" }, timer0: { mode, physical: "timer1" } };
  return { name, memory: "8M", kernel: "k", devices, ...more };
}
