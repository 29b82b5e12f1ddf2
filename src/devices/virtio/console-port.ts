/** One port of a virtio console: input that waits for the driver's buffers, and where output goes. */
import { SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";

/** Bytes of input that wait at most. */
const WAITING_MAX = 4096;

export interface ConsolePortOptions {
  /** 0 to 30. */
  readonly number: number;
  /** A console of the guest's (hvc); else a plain port (vport). */
  readonly console: boolean;
  /** What the guest finds in /dev/virtio-ports. */
  readonly name?: string;
}

export class ConsolePort implements StatePart {
  readonly number: number;
  readonly console: boolean;
  readonly name: string;
  /** A byte that the guest wrote; lost while null. */
  onTransmit: ((byte: number) => void) | null = null;
  /** The guest has it open; without multiport it always has. */
  open = false;
  readonly waiting: number[] = [];
  readonly #ready: (port: ConsolePort) => boolean;
  readonly #arrived: () => void;

  /** `ready`: the driver takes input of this port; `arrived` is called after input came. */
  constructor(options: ConsolePortOptions, ready: (port: ConsolePort) => boolean, arrived: () => void) {
    this.number = options.number;
    this.console = options.console;
    this.name = options.name ?? "";
    this.#ready = ready;
    this.#arrived = arrived;
  }

  /** Bytes that can be received now; none before the driver takes them. */
  get receiveSpace(): number {
    return this.#ready(this) ? WAITING_MAX - this.waiting.length : 0;
  }

  /** One byte of input; false, and it is lost, where there is no room. */
  receive(byte: number): boolean {
    if (this.receiveSpace === 0) return false;
    this.waiting.push(byte & 0xff);
    this.#arrived();
    return true;
  }

  save(): StateValue {
    return { open: this.open, waiting: Uint8Array.from(this.waiting) };
  }
  load(value: StateValue, path: string): void {
    const { open, waiting } = value as { open?: StateValue; waiting?: StateValue };
    if (typeof open !== "boolean" || !(waiting instanceof Uint8Array)) {
      throw new SnapshotError(`${path}: expected open and waiting`);
    }
    this.open = open;
    this.waiting.length = 0;
    this.waiting.push(...waiting);
  }
  reset(): void {
    this.open = false;
    this.waiting.length = 0;
  }
}

/** Control messages that wait for the driver's buffers. */
export class ControlMessages implements StatePart {
  readonly messages: Uint8Array[] = [];
  save(): StateValue {
    return [...this.messages];
  }
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list of messages`);
    this.messages.length = 0;
    for (const message of value as StateValue[]) {
      if (!(message instanceof Uint8Array)) throw new SnapshotError(`${path}: expected messages`);
      this.messages.push(message.slice());
    }
  }
  reset(): void {
    this.messages.length = 0;
  }
}
