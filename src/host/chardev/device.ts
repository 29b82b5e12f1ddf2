/** Character devices of the host: what serial ports, monitors and protocol servers talk through. */
import { closeSync, openSync, writeSync } from "node:fs";
import { InputError } from "../../formats/index.ts";
import { systemReason } from "../files.ts";
import type { CharacterSpec } from "../options/chardev-spec.ts";

export abstract class CharacterDevice {
  readonly label: string;
  /** What it is connected to, for people. */
  abstract readonly filename: string;
  /** Data from the other side. */
  onData: ((data: Buffer) => void) | null = null;
  /** Somebody has connected, or left. Devices that are always there open once, in `start`. */
  onOpen: (() => void) | null = null;
  onClose: (() => void) | null = null;
  /** Nothing will come any more. */
  ended = false;
  readonly #log: number | null;

  constructor(label: string, spec: CharacterSpec) {
    this.label = label;
    this.#log = spec.logFile === undefined ? null : openOutput(spec.logFile, spec.logAppend === true);
  }

  /** True while data can get through. */
  abstract readonly connected: boolean;
  /** A person or another program may type at any moment. */
  get interactive(): boolean {
    return false;
  }

  /** Opens it; for a server that waits, resolves when the first client is there. */
  abstract start(): Promise<void>;
  protected abstract transmit(data: Buffer): void;
  /** Stops and resumes taking data from the other side. */
  hold(_held: boolean): void {}
  close(): void | Promise<void> {
    if (this.#log !== null) closeSync(this.#log);
  }

  write(data: Buffer): void {
    if (data.length === 0) return;
    if (this.#log !== null) writeSync(this.#log, data);
    this.transmit(data);
  }

  /** Text of characters below 256. */
  print(text: string): void {
    this.write(Buffer.from(text, "latin1"));
  }
}

/** Opens a file for output; InputError where it cannot be. */
export function openOutput(path: string, append: boolean): number {
  try {
    return openSync(path, append ? "a" : "w");
  } catch (error) {
    throw new InputError(`${path}: cannot be written: ${systemReason(error)}`);
  }
}

export class NullDevice extends CharacterDevice {
  readonly filename = "null";
  readonly connected = true;
  override ended = true;
  async start(): Promise<void> {
    this.onOpen?.();
  }
  protected transmit(): void {}
}
