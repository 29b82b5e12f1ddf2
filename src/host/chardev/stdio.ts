/** The terminal, or whatever standard input and output are. */
import type { CharacterSpec } from "../options/chardev-spec.ts";
import { CharacterDevice } from "./device.ts";

const CTRL_C = 3;

export interface StdioOptions {
  /** Single keys without echo, where it is a terminal. */
  readonly raw: boolean;
  /** Ctrl-C ends the program. */
  readonly signal: boolean;
  readonly onInterrupt: () => void;
}

export class StdioDevice extends CharacterDevice {
  readonly filename = "stdio";
  readonly connected = true;
  readonly #options: StdioOptions;
  #isRaw = false;
  readonly #restore = () => this.#setRaw(false);

  constructor(label: string, spec: CharacterSpec, options: StdioOptions) {
    super(label, spec);
    this.#options = options;
  }

  override get interactive(): boolean {
    return process.stdin.isTTY === true && !this.ended;
  }

  async start(): Promise<void> {
    const { stdin, stdout } = process;
    if (this.#options.raw && stdin.isTTY) {
      this.#setRaw(true);
      process.on("exit", this.#restore);
      process.on("SIGCONT", this.#resume);
    }
    stdin.on("data", this.#data);
    stdin.on("end", this.#end);
    stdin.on("error", this.#end);
    // A reader that has left: there is nobody to tell.
    stdout.on("error", this.#options.onInterrupt);
    stdin.resume();
    this.onOpen?.();
  }

  readonly #data = (data: Buffer) => {
    if (this.#isRaw && this.#options.signal && data.includes(CTRL_C)) this.#options.onInterrupt();
    else this.onData?.(data);
  };
  readonly #end = () => {
    if (this.ended) return;
    this.ended = true;
    this.onClose?.();
  };
  readonly #resume = () => this.#setRaw(true);

  protected transmit(data: Buffer): void {
    process.stdout.write(data);
  }

  override hold(held: boolean): void {
    if (held) process.stdin.pause();
    else process.stdin.resume();
  }

  override close(): void {
    this.#restore();
    const { stdin, stdout } = process;
    stdin.off("data", this.#data);
    stdin.off("end", this.#end);
    stdin.off("error", this.#end);
    stdout.off("error", this.#options.onInterrupt);
    process.off("exit", this.#restore);
    process.off("SIGCONT", this.#resume);
    stdin.pause();
    super.close();
  }

  #setRaw(raw: boolean): void {
    if (this.#isRaw === raw && !raw) return;
    this.#isRaw = raw;
    try {
      process.stdin.setRawMode(raw);
    } catch {
      // The terminal is gone; so is what there was to restore.
    }
  }
}
