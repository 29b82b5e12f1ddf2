/** What a machine's front panel offers to those who drive it from outside: the machine protocol, the monitor, the terminal. */

/** Names as QEMU's QMP gives them. "debug": stopped by a debugger. */
export type RunState = "running" | "paused" | "prelaunch" | "shutdown" | "debug";

export type ControlEvent =
  | { readonly name: "STOP" | "RESUME" | "POWERDOWN" }
  | { readonly name: "RESET" | "SHUTDOWN"; readonly data: { readonly guest: boolean; readonly reason: string } };

export interface MachineDescription {
  /** Name given by the user, or undefined. */
  readonly guestName?: string;
  /** "virt". */
  readonly machine: string;
  /** "cortex-a57". */
  readonly cpuModel: string;
  readonly cpus: number;
  /** Bytes of RAM. */
  readonly memory: number;
}

export interface MachineControl {
  readonly description: MachineDescription;
  readonly state: RunState;
  /** Stops the simulation between two events; nothing happens where it is stopped already. */
  stop(): void;
  cont(): void;
  reset(): void;
  /** Presses the power key. */
  powerdown(): void;
  quit(): void;
  /** Tells `listener` of every event from now on; returns what removes it. */
  observe(listener: (event: ControlEvent) => void): () => void;
  /** Writes a file for the user; throws with a reason. */
  saveFile(path: string, bytes: Uint8Array): void;
}

/** A command that was refused; the message goes to whoever gave it. */
export class ControlError extends Error {
  /** QMP's class of the error. */
  readonly kind: "GenericError" | "CommandNotFound" | "DeviceNotFound";
  constructor(message: string, kind: "GenericError" | "CommandNotFound" | "DeviceNotFound" = "GenericError") {
    super(message);
    this.kind = kind;
  }
}
