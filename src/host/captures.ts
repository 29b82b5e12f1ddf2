/** Captures of networks: pcapng files of all frames that enter a link. */
import { closeSync, openSync, writeSync } from "node:fs";
import { InputError } from "../formats/index.ts";
import { type Link, pcapngHeader, pcapngPacket } from "../net/index.ts";
import { systemReason } from "./files.ts";
import type { CaptureOption, NetworkOption } from "./options/run-options.ts";

/** Bytes that are gathered before they are written. */
const GATHER = 1 << 16;

export class Captures {
  readonly #all: Capture[] = [];

  /** Takes the frames of `link` for each capture of its network. Nothing is written before `open`. */
  tap(link: Link, network: NetworkOption): void {
    for (const option of network.captures ?? []) {
      const capture = new Capture(option);
      this.#all.push(capture);
      link.tap((frame, end, time) => capture.add(pcapngPacket(frame, time, end === 1, option.longest)));
    }
  }

  /** To be called once the machine is built. Throws InputError for a file that cannot be written. */
  open(): void {
    for (const capture of this.#all) capture.open();
  }
  flush(): void {
    for (const capture of this.#all) capture.flush();
  }
  close(): void {
    for (const capture of this.#all) capture.close();
    this.#all.length = 0;
  }
}

/** What cannot be written is said once, and the run goes on. */
class Capture {
  readonly #option: CaptureOption;
  #file: number | null = null;
  #parts: Uint8Array[] = [];
  #gathered = 0;
  #broken = false;

  constructor(option: CaptureOption) {
    this.#option = option;
    this.add(pcapngHeader(option.name, option.longest));
  }

  open(): void {
    const { where, path } = this.#option;
    try {
      this.#file = openSync(path, "w");
    } catch (error) {
      throw new InputError(`${where}: ${path}: cannot be written: ${systemReason(error)}`);
    }
    this.flush();
  }

  add(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#gathered += bytes.length;
    if (this.#gathered >= GATHER) this.flush();
  }

  flush(): void {
    if (this.#gathered === 0 || this.#file === null) return;
    const data = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#gathered = 0;
    if (this.#broken) return;
    try {
      for (let done = 0; done < data.length; ) done += writeSync(this.#file, data, done);
    } catch (error) {
      this.#broken = true;
      const reason = `cannot be written: ${systemReason(error)}; the capture ends here`;
      process.stderr.write(`${this.#option.path}: ${reason}\n`);
    }
  }

  close(): void {
    this.flush();
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}
