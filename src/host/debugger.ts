/** Joins the GDB stub, the runner and the machine's debug port: who runs, who stopped, who is told. */
import type { CpuAction, DebugTarget, Monitor, StopReason, TargetRegister, WatchKind } from "../observe/index.ts";
import type { DebugPort } from "./machine.ts";
import type { DebugHook, Runner } from "./runner.ts";

export class MachineDebugger implements DebugTarget, DebugHook {
  readonly #runner: Runner;
  readonly #port: DebugPort;
  onStop: ((reason: StopReason) => void) | null = null;
  /** Runs monitor lines; set when the monitor is there. */
  monitorCommands: Monitor | null = null;
  /** Nothing may be written: a run that is recorded, or a recording that is repeated. */
  frozen = false;
  #stopping = false;
  #resuming = false;

  constructor(runner: Runner, port: DebugPort) {
    this.#runner = runner;
    this.#port = port;
    runner.debugHook = this;
    runner.observe((event) => {
      // Another one has stopped the machine.
      if (event.name === "STOP" && !this.#stopping) this.onStop?.({ kind: "interrupt", cpu: 0 });
      // ... or lets it go on: from the instruction it stopped at.
      if (event.name === "RESUME" && !this.#resuming) port.arm(new Array(port.cpus).fill("continue"));
    });
  }

  get cpus(): number {
    return this.#port.cpus;
  }
  get registers(): readonly TargetRegister[] {
    return this.#port.registers;
  }
  get running(): boolean {
    return this.#runner.state === "running";
  }
  readRegister(cpu: number, index: number): Uint8Array | null {
    return this.#port.readRegister(cpu, index);
  }
  writeRegister(cpu: number, index: number, value: Uint8Array): boolean {
    return !this.frozen && this.#port.writeRegister(cpu, index, value);
  }
  readMemory(cpu: number, address: bigint, length: number): Uint8Array {
    return this.#port.readMemory(cpu, address, length);
  }
  writeMemory(cpu: number, address: bigint, data: Uint8Array): boolean {
    return !this.frozen && this.#port.writeMemory(cpu, address, data);
  }
  readPhysical(address: bigint, length: number): Uint8Array {
    return this.#port.readPhysical(address, length);
  }
  writePhysical(address: bigint, data: Uint8Array): boolean {
    return !this.frozen && this.#port.writePhysical(address, data);
  }
  setBreakpoint(address: bigint, hardware: boolean): boolean {
    return this.#port.setBreakpoint(address, hardware);
  }
  clearBreakpoint(address: bigint, hardware: boolean): boolean {
    return this.#port.clearBreakpoint(address, hardware);
  }
  setWatchpoint(address: bigint, length: number, kind: WatchKind): boolean {
    return this.#port.setWatchpoint(address, length, kind);
  }
  clearWatchpoint(address: bigint, length: number, kind: WatchKind): boolean {
    return this.#port.clearWatchpoint(address, length, kind);
  }
  describe(cpu: number): string {
    return this.#port.describe(cpu);
  }

  resume(actions: readonly CpuAction[]): void {
    this.#port.arm(actions);
    this.#resuming = true;
    this.#runner.cont();
    this.#resuming = false;
  }

  interrupt(): void {
    this.#runner.halt("paused");
  }

  detach(): void {
    this.#port.clearAll();
    this.#port.arm(new Array(this.#port.cpus).fill("continue"));
    this.#runner.cont();
  }

  kill(): void {
    this.#runner.quit();
  }

  monitor(line: string, cpu: number): string {
    return this.monitorCommands?.run(line, cpu) ?? "";
  }

  paused(): boolean {
    const reason = this.#port.takeStop();
    if (reason === null) return false;
    this.#stopping = true;
    this.#runner.halt("debug");
    this.#stopping = false;
    this.onStop?.(reason);
    return true;
  }

  ended(code: number): void {
    this.onStop?.({ kind: "exit", code });
  }
}
