/** Character devices on files: a plain file, a pair of named pipes, and a ring of the last output in memory. */
import { closeSync, constants, createReadStream, openSync, type ReadStream, writeSync } from "node:fs";
import { InputError } from "../../formats/index.ts";
import { readInput, systemReason } from "../files.ts";
import type { CharacterSpec } from "../options/chardev-spec.ts";
import { CharacterDevice, openOutput } from "./device.ts";

export class FileDevice extends CharacterDevice {
  readonly filename: string;
  readonly connected = true;
  readonly #fd: number;
  readonly #input: Uint8Array | null;

  constructor(label: string, spec: CharacterSpec & { kind: "file" }) {
    super(label, spec);
    this.filename = spec.path;
    this.#input = spec.input === undefined ? null : readInput(`${label}: input-path`, spec.input);
    this.#fd = openOutput(spec.path, spec.append);
    this.ended = this.#input === null;
  }

  async start(): Promise<void> {
    this.onOpen?.();
    if (this.#input !== null) this.onData?.(Buffer.from(this.#input));
    this.ended = true;
  }

  protected transmit(data: Buffer): void {
    writeSync(this.#fd, data);
  }

  override close(): void {
    closeSync(this.#fd);
    super.close();
  }
}

/** PATH.in and PATH.out where they exist, else PATH for both directions. */
export class PipeDevice extends CharacterDevice {
  readonly filename: string;
  readonly connected = true;
  readonly #out: number;
  readonly #in: ReadStream;

  constructor(label: string, spec: CharacterSpec & { kind: "pipe" }) {
    super(label, spec);
    this.filename = spec.path;
    // Reading and writing: opening a pipe for one of them would wait for the other end.
    const both = constants.O_RDWR | constants.O_NONBLOCK;
    let input: number;
    try {
      input = openSync(`${spec.path}.in`, both);
      this.#out = openSync(`${spec.path}.out`, both);
    } catch {
      try {
        input = openSync(spec.path, both);
        this.#out = input;
      } catch (error) {
        throw new InputError(
          `${spec.path}: cannot be opened as a pipe: ${systemReason(error)}; expected a FIFO (mkfifo)`,
        );
      }
    }
    this.#in = createReadStream("", { fd: input, autoClose: false });
  }

  override get interactive(): boolean {
    return true;
  }

  async start(): Promise<void> {
    this.#in.on("data", (data) => this.onData?.(data as Buffer));
    this.#in.on("error", () => {
      this.ended = true;
    });
    this.onOpen?.();
  }

  protected transmit(data: Buffer): void {
    try {
      writeSync(this.#out, data);
    } catch {
      // Full, or nobody reads: a serial line does not wait either.
    }
  }

  override close(): void {
    this.#in.destroy();
    super.close();
  }
}

/** Keeps the last bytes written; the machine protocol's ringbuf-read takes them out. */
export class RingDevice extends CharacterDevice {
  readonly filename = "ringbuf";
  readonly connected = true;
  readonly #size: number;
  #data = Buffer.alloc(0);

  constructor(label: string, spec: CharacterSpec & { kind: "ringbuf" }) {
    super(label, spec);
    this.#size = spec.size;
    this.ended = true;
  }

  async start(): Promise<void> {
    this.onOpen?.();
  }

  protected transmit(data: Buffer): void {
    const all = Buffer.concat([this.#data, data]);
    this.#data = all.subarray(Math.max(0, all.length - this.#size));
  }

  /** Takes out up to `size` bytes, the oldest first. */
  take(size: number): Buffer {
    const taken = this.#data.subarray(0, size);
    this.#data = this.#data.subarray(taken.length);
    return taken;
  }
}
