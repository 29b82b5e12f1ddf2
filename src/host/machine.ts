/** What the host needs of a machine: the board's own object behind it (`virt.ts`), a small stand-in in tests. */
import type { Target } from "../bus/index.ts";
import type {
  CpuAction,
  Declarations,
  QtestDevice,
  SnapshotMachine,
  StopReason,
  TargetRegister,
  WatchKind,
} from "../observe/index.ts";
import type { Simulation } from "../sim/index.ts";
import type { OutsideNetwork } from "./net/networks.ts";
import type { CharacterSpec } from "./options/chardev-spec.ts";

/** A serial port's far end. */
export interface SerialPort {
  onTransmit: ((byte: number) => void) | null;
  /** Characters that can be received now without an overrun. */
  readonly receiveSpace: number;
  receive(byte: number): void;
  sendBreak(): void;
}

/** The far end of a UART or of a console's port. */
export function serialPort(
  device: {
    onTransmit: ((byte: number) => void) | null;
    readonly receiveSpace: number;
    receive(byte: number): unknown;
  },
  sendBreak: () => void,
): SerialPort {
  return {
    get onTransmit() {
      return device.onTransmit;
    },
    set onTransmit(listener) {
      device.onTransmit = listener;
    },
    get receiveSpace() {
      return device.receiveSpace;
    },
    receive: (byte) => void device.receive(byte),
    sendBreak,
  };
}

/** The debugger's way to the CPUs. Calls come while the machine stands still. */
export interface DebugPort {
  readonly cpus: number;
  readonly registers: readonly TargetRegister[];
  readRegister(cpu: number, index: number): Uint8Array | null;
  writeRegister(cpu: number, index: number, value: Uint8Array): boolean;
  readMemory(cpu: number, address: bigint, length: number): Uint8Array;
  writeMemory(cpu: number, address: bigint, data: Uint8Array): boolean;
  readPhysical(address: bigint, length: number): Uint8Array;
  writePhysical(address: bigint, data: Uint8Array): boolean;
  setBreakpoint(address: bigint, hardware: boolean): boolean;
  clearBreakpoint(address: bigint, hardware: boolean): boolean;
  setWatchpoint(address: bigint, length: number, kind: WatchKind): boolean;
  clearWatchpoint(address: bigint, length: number, kind: WatchKind): boolean;
  clearAll(): void;
  describe(cpu: number): string;
  /** What each CPU does when the simulation goes on: run, stop after one instruction, or stand still. */
  arm(actions: readonly CpuAction[]): void;
  /** Why the simulation paused, if it was for the debugger; asking takes it. */
  takeStop(): StopReason | null;
}

export type PowerRequest = "off" | "reset";

/** A port of a console device, beside the serial port. */
export interface HostConsole {
  readonly label: string;
  /** The character device at its far end. */
  readonly spec: CharacterSpec;
  readonly port: SerialPort;
}

export interface HostMachine {
  readonly simulation: Simulation;
  readonly bus: Target;
  readonly serial: SerialPort | null;
  /** Ports of virtio consoles. */
  readonly consoles?: readonly HostConsole[];
  /** Networks whose far end is outside the simulation. */
  readonly outside?: readonly OutsideNetwork[];
  readonly debug: DebugPort | null;
  readonly declarations: Declarations;
  readonly deviceTree: Uint8Array;
  /** Instructions that each CPU has retired since its reset. */
  readonly instructions?: readonly number[];
  /** What a snapshot or a recording of this machine must find where it is used. */
  identity(): SnapshotMachine;
  /** No CPU has an instruction to execute before the next event. */
  readonly idle: boolean;
  /** The guest asks for power-off or reset; called inside a run, the machine stands still afterwards. */
  onPower: ((request: PowerRequest) => void) | null;
  /** Power-on reset with all images in place again. */
  reset(): void;
  pressPowerKey(): void;
  /** Lines of the address map. */
  memoryMap(): readonly string[];
  qtestDevice(path: string): QtestDevice | null;
  /** The host looks elsewhere: what was gathered for files goes out. */
  flush?(): void;
  /** Lines that tell where the guest is and what it did last. */
  report(): readonly string[];
  /** Called when the run has ended: contents of flash go back to their files. */
  finish(): void;
}
