/**
 * What comes from outside, on its way to the guest: bytes for each port, frames for each network, the buttons of the front panel. It reaches the guest between runs
 * of the simulation, at points of the grid, and in no other place; there it is recorded, or a recording takes its place.
 */
import { bytesToText, type Input, type Point, type RecordedInput, textToBytes } from "../observe/index.ts";
import { NEVER, type Time } from "../sim/index.ts";
import type { SerialPort } from "./machine.ts";
import type { OutsideNetwork } from "./net/networks.ts";

/** Label of the board's serial port; virtio consoles have labels of their own. */
export const SERIAL = "serial0";

/** Who drives the guest from outside: somebody, or a recording. */
export interface InputSource {
  /** When the recording has something next; NEVER where nobody knows. */
  readonly next: Time;
  /** What the recording has for this instant. */
  take(now: Time): readonly RecordedInput[];
}

export interface Replay extends InputSource {
  /** Called at the recording's instants; a message ends the run as failed. "end": the recording ends here. */
  check(point: Point): { readonly message: string } | "end" | null;
}

export interface InputOptions {
  readonly ports: readonly { readonly label: string; readonly port: SerialPort }[];
  readonly networks?: readonly OutsideNetwork[];
  /** What a button does. */
  readonly press: (button: PanelButton) => void;
  /** Called for each thing that reaches the guest. */
  readonly journal: ((input: Input) => void) | null;
  readonly replay: InputSource | null;
}

export type PanelButton = "reset" | "powerdown";

export class Inputs {
  readonly #ports = new Map<string, PortInput>();
  readonly #options: InputOptions;
  /** Breaks and buttons that wait for their instant. */
  #signals: Input[] = [];
  readonly #networks: readonly OutsideNetwork[];

  constructor(options: InputOptions) {
    this.#options = options;
    this.#networks = options.networks ?? [];
    for (const { label, port } of options.ports) this.#ports.set(label, new PortInput(port));
  }

  /** Bytes typed by somebody. A replay does not listen. */
  add(label: string, data: Uint8Array): void {
    if (this.#options.replay === null) this.#ports.get(label)?.add(data);
  }
  sendBreak(label: string): void {
    if (this.#options.replay === null) this.#signals.push({ device: label, signal: "break" });
  }
  press(panel: PanelButton): void {
    if (this.#options.replay === null) this.#signals.push({ panel });
  }

  /** Bytes that a port has not had room for yet. */
  pending(label: string): number {
    return this.#ports.get(label)?.pending ?? 0;
  }
  /** Something could reach the guest now. */
  get ready(): boolean {
    if (this.#signals.length > 0) return true;
    for (const port of this.#ports.values()) if (port.ready) return true;
    return this.#framesReady;
  }
  get #framesReady(): boolean {
    if (this.#options.replay !== null) return false;
    for (const { port, room } of this.#networks) if (port.ready && room > 0) return true;
    return false;
  }
  /** When a recording has something next. */
  get next(): Time {
    return this.#options.replay?.next ?? NEVER;
  }

  /** Gives the guest what it has room for. To be called between runs, at a point of the grid, or wherever the recording says. */
  deliver(now: Time): void {
    const { replay, journal } = this.#options;
    if (replay !== null) {
      for (const { input } of replay.take(now)) this.#apply(input);
      return;
    }
    const signals = this.#signals;
    this.#signals = [];
    for (const signal of signals) {
      journal?.(signal);
      this.#apply(signal);
    }
    for (const [device, port] of this.#ports) {
      const bytes = port.deliver();
      if (bytes.length > 0) journal?.({ device, bytes: bytesToText(bytes) });
    }
    for (const network of this.#networks) this.#deliverFrames(network);
  }

  /** As many as the link takes, so that what waits does so outside. */
  #deliverFrames(network: OutsideNetwork): void {
    const { journal } = this.#options;
    const frames: string[] = [];
    for (let room = network.room; room > 0; room--) {
      const frame = network.port.take();
      if (frame === null) break;
      if (journal !== null) frames.push(bytesToText(frame));
      network.enter(frame);
    }
    if (frames.length > 0) journal?.({ network: network.label, frames });
  }

  #apply(input: Input): void {
    if ("panel" in input) {
      this.#options.press(input.panel);
      return;
    }
    if ("network" in input) {
      const network = this.#networks.find(({ label }) => label === input.network);
      for (const frame of input.frames) network?.enter(textToBytes(frame));
      return;
    }
    const port = this.#ports.get(input.device);
    if ("signal" in input) port?.port.sendBreak();
    else if ("bytes" in input) for (const byte of textToBytes(input.bytes)) port?.port.receive(byte);
  }

  /** What has come and not reached the guest yet, for a snapshot. */
  save(): { readonly [label: string]: Uint8Array } {
    const out: Record<string, Uint8Array> = {};
    for (const [label, port] of this.#ports) if (port.pending > 0) out[label] = port.waiting;
    return out;
  }
  load(saved: { readonly [label: string]: Uint8Array }): void {
    for (const [label, data] of Object.entries(saved)) this.add(label, data);
  }
}

const NOTHING = new Uint8Array(0);

/** What waits for room in one port. */
class PortInput {
  readonly port: SerialPort;
  #bytes: number[] = [];
  #at = 0;

  constructor(port: SerialPort) {
    this.port = port;
  }
  add(data: Uint8Array): void {
    for (const byte of data) this.#bytes.push(byte);
  }
  get pending(): number {
    return this.#bytes.length - this.#at;
  }
  get waiting(): Uint8Array {
    return Uint8Array.from(this.#bytes.slice(this.#at));
  }
  /** Something waits, and there is room for it. */
  get ready(): boolean {
    return this.pending > 0 && this.port.receiveSpace > 0;
  }
  /** What went into the port. */
  deliver(): Uint8Array {
    if (this.pending === 0) return NOTHING;
    const from = this.#at;
    for (let room = this.port.receiveSpace; room > 0 && this.pending > 0; room--) {
      this.port.receive(this.#bytes[this.#at++] as number);
    }
    const given = Uint8Array.from(this.#bytes.slice(from, this.#at));
    if (this.pending === 0) {
      this.#bytes = [];
      this.#at = 0;
    }
    return given;
  }
}
