/** Runs guest programs and the firmware hypervisor on a `virt` board of their own, and takes their transcripts apart. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createVirtMachine, type VirtMachine, type VirtOptions } from "../../../platform/virt/machine.ts";
import { InterpreterCode } from "../../../src/cpu/aarch64/engine/interpreter.ts";
import { createConfiguredMachine } from "../../../src/hypervisor/config.ts";

const code = new InterpreterCode();
const SECOND = 10_000_000_000;

export type Program = "two" | "work" | "wild" | "probe";

export interface BoardRun {
  readonly machine: VirtMachine;
  /** What came out of the first and of the second UART. */
  readonly uart0: string;
  readonly uart1: string;
}

export function image(name: string): { name: string; data: Uint8Array } {
  const file = fileURLToPath(new URL(`../../../firmware/images/${name}`, import.meta.url));
  return { name, data: readFileSync(file) };
}

/** Runs until the machine is off, one simulated second at most; throws when it is not off by then. */
export function runBoard(options: VirtOptions): BoardRun {
  const machine = createVirtMachine({ code, ...options });
  const bytes: [number[], number[]] = [[], []];
  machine.uart.onTransmit = (byte) => bytes[0].push(byte);
  if (machine.uart1) machine.uart1.onTransmit = (byte) => bytes[1].push(byte);
  machine.onPower = () => machine.simulation.stop();
  machine.simulation.run(SECOND);
  const [uart0, uart1] = bytes.map((b) => Buffer.from(b).toString("latin1").replaceAll("\r", "")) as [string, string];
  if (machine.powerState !== "off") throw new Error(`the machine is not off: ${uart0.slice(-500)}`);
  return { machine, uart0, uart1 };
}

/** The program alone on the board, at EL1 without a hypervisor. */
export function runNative(program: Program, append?: string): string {
  return runBoard({ kernel: image(`vm-${program}.elf`), ...(append === undefined ? {} : { append }) }).uart0;
}

export interface HypervisorRun {
  /** What each guest printed. */
  readonly guests: readonly string[];
  /** All of the shared console. */
  readonly console: string;
  /** Exits of each guest by reason. */
  readonly exits: (guest: number, reason: string) => number;
  readonly guestInstructions: number;
  readonly hypervisorInstructions: number;
}

/** `firmware/images/hypervisor.elf` with these boot arguments; the board has the second UART and timer. */
export function runHypervisor(append: string): HypervisorRun {
  const { uart0, uart1 } = runBoard({
    kernel: image("hypervisor.elf"),
    virtualization: true,
    secondUart: true,
    secondTimer: true,
    append,
  });
  return readHypervisor(uart0, uart1);
}

export function readHypervisor(uart0: string, uart1: string): HypervisorRun {
  const lines = uart0.trimEnd().split("\n");
  const own = lines.filter((line) => line.startsWith("hypervisor: "));
  const devices = own.flatMap((line) => /^hypervisor: guest \d+ is \w+, UART (passed|trapped),/.exec(line)?.[1] ?? []);
  const guests = devices.map((how, n) =>
    how === "passed"
      ? uart1
      : lines
          .filter((line) => line.startsWith(`[${n}:`))
          .map((line) => `${line.replace(/^\[\d+:\w+\] ?/, "")}\n`)
          .join(""),
  );
  const sums = /(\d+) guest instructions, (\d+) hypervisor instructions/.exec(uart0);
  return {
    guests,
    console: uart0,
    exits: (guest, reason) => {
      const row = own.find((line) => line.slice(12).startsWith(reason.padEnd(13)));
      if (row === undefined) throw new Error(`no exits for "${reason}"`);
      return Number(
        row
          .slice(12 + 13)
          .trim()
          .split(/ +/)[guest],
      );
    },
    guestInstructions: Number(sums?.[1]),
    hypervisorInstructions: Number(sums?.[2]),
  };
}

export interface ModelRun {
  readonly guests: readonly string[];
  /** Exits of each guest at a device of the board, by its name. */
  readonly deviceExits: (guest: number, part: string) => number;
}

/** The same programs under the hypervisor model, one CPU, slices of a millisecond. */
export function runModel(
  vms: readonly { readonly program: Program; readonly mode: "trap" | "pass"; readonly append?: string }[],
): ModelRun {
  const device = (mode: "trap" | "pass", physical: string) => (mode === "trap" ? mode : ({ mode, physical } as const));
  const bytes = vms.map((): number[] => []);
  const built = createConfiguredMachine(
    {
      machine: { memory: "64M" },
      scheduler: { policy: "round-robin", options: { slice: 1 } },
      vms: vms.map(({ program, mode, append }, n) => ({
        ...(append === undefined ? {} : { append }),
        name: `vm${n}`,
        memory: "16M",
        kernel: `vm-${program}.elf`,
        devices: { uart0: device(mode, "uart1"), timer0: device(mode, "timer1") },
      })),
    },
    vms.map(({ program }) => ({ kernel: image(`vm-${program}.elf`) })),
    (vm, byte) => bytes[vm]?.push(byte),
    { code },
  );
  const { simulation } = built.machine;
  const off = () => built.vms.every((vm) => vm.status === "off");
  for (const vm of built.vms) {
    vm.onState = () => {
      if (off()) simulation.pause();
    };
  }
  simulation.run(SECOND);
  if (!off()) throw new Error(`not all VMs are off: ${built.vms.map((vm) => vm.status).join(", ")}`);
  return {
    guests: bytes.map((b) => Buffer.from(b).toString("latin1").replaceAll("\r", "")),
    deviceExits: (guest, part) =>
      built.vms[guest]?.statistics.table("regions").find(({ name }) => name === part)?.count ?? 0,
  };
}
