/** Opens the character devices that options name; each declaration once, however many use it. */
import { InputError } from "../../formats/index.ts";
import type { CharacterSpec } from "../options/chardev-spec.ts";
import { type CharacterDevice, NullDevice } from "./device.ts";
import { FileDevice, PipeDevice, RingDevice } from "./files.ts";
import { Multiplexer, type MuxUser } from "./mux.ts";
import { SocketDevice } from "./socket.ts";
import { StdioDevice } from "./stdio.ts";

export interface CharacterHost {
  /** Ctrl-C on a terminal that is not the guest's, or the terminal's other end is gone. */
  interrupt(): void;
  /** Ctrl-A X. */
  leave(): void;
  /** Ctrl-A S; returns what to tell. */
  save(): string;
  /** Host time in milliseconds. */
  now(): number;
}

/** A user's end of a device: alone on it, or one of several. */
export interface CharacterLine {
  readonly device: CharacterDevice;
  write(data: Buffer): void;
}

interface Opened {
  readonly device: CharacterDevice;
  readonly mux: Multiplexer | null;
  user: string | null;
  readonly opened: (() => void)[];
  readonly closed: (() => void)[];
}

export class CharacterDevices {
  readonly #declared: ReadonlyMap<string, CharacterSpec>;
  readonly #opened = new Map<CharacterSpec, Opened>();
  readonly #host: CharacterHost;
  readonly #escape: number;
  #closed = false;

  constructor(declared: ReadonlyMap<string, CharacterSpec>, escapeCharacter: number, host: CharacterHost) {
    this.#declared = declared;
    this.#host = host;
    this.#escape = escapeCharacter;
    for (const [id, spec] of declared) this.#open(spec, id);
  }

  /**
   * Connects `user` to the device of `spec`. `raw` asks a terminal for single keys. Two users of one device need mux=on.
   */
  connect(
    label: string,
    spec: CharacterSpec,
    raw: boolean,
    user: MuxUser & { opened?(): void; closed?(): void },
  ): CharacterLine {
    const real = this.#resolve(label, spec);
    const entry = this.#open(real, label, raw);
    const { device, mux } = entry;
    if (user.opened) entry.opened.push(() => user.opened?.());
    if (user.closed) entry.closed.push(() => user.closed?.());
    if (mux !== null) {
      mux.add(user);
      return { device, write: (data) => device.write(mux.decorate(data)) };
    }
    if (entry.user !== null) {
      throw new InputError(
        `${label}: "${device.label}" is already used by ${entry.user}: expected mux=on for several users`,
      );
    }
    entry.user = label;
    device.onData = (data) => user.receive(data);
    return { device, write: (data) => device.write(data) };
  }

  get all(): readonly CharacterDevice[] {
    return [...this.#opened.values()].map((o) => o.device);
  }

  find(label: string): CharacterDevice | null {
    return this.all.find((d) => d.label === label) ?? null;
  }

  /** Opens all of them; servers that wait have their client afterwards. */
  async start(): Promise<void> {
    for (const { device, mux, opened, closed } of this.#opened.values()) {
      device.onOpen = () => {
        for (const tell of opened) tell();
      };
      device.onClose = () => {
        for (const tell of closed) tell();
      };
      if (mux !== null) device.onData = (data) => mux.receive(data);
      if (device instanceof SocketDevice && device.waits) this.#announce(device);
      await device.start();
    }
  }

  #announce(device: SocketDevice): void {
    process.stderr.write(`${device.label}: waiting for a connection on ${device.filename}\n`);
  }

  /** May be called again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#opened.values()].map(({ device }) => device.close()));
  }

  #resolve(label: string, spec: CharacterSpec): CharacterSpec {
    if (spec.kind !== "chardev") return spec;
    const found = this.#declared.get(spec.id);
    if (found === undefined) {
      throw new InputError(`${label}: there is no -chardev with id=${spec.id}`);
    }
    return found;
  }

  #open(spec: CharacterSpec, label: string, raw = true): Opened {
    const known = this.#opened.get(spec);
    if (known) return known;
    if (spec.kind === "stdio" && [...this.#opened.keys()].some((s) => s.kind === "stdio")) {
      throw new InputError(`${label}: standard input and output are in use already: expected one device on stdio`);
    }
    const device = this.#make(spec, label, raw);
    const host = this.#host;
    const mux =
      spec.mux === true
        ? new Multiplexer(
            this.#escape,
            { exit: () => host.leave(), write: (text) => device.print(text), save: () => host.save() },
            host.now,
          )
        : null;
    const entry: Opened = { device, mux, user: null, opened: [], closed: [] };
    this.#opened.set(spec, entry);
    return entry;
  }

  #make(spec: CharacterSpec, label: string, raw: boolean): CharacterDevice {
    switch (spec.kind) {
      case "null":
        return new NullDevice(label, spec);
      case "stdio":
        return new StdioDevice(label, spec, {
          raw,
          signal: spec.signal,
          onInterrupt: () => this.#host.interrupt(),
        });
      case "file":
        return new FileDevice(label, spec);
      case "pipe":
        return new PipeDevice(label, spec);
      case "ringbuf":
        return new RingDevice(label, spec);
      case "socket":
        return new SocketDevice(label, spec);
      case "chardev":
        throw new InputError(`${label}: a -chardev cannot stand for another`);
    }
  }
}
