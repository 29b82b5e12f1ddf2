/**
 * virtio console (Virtual I/O Device Version 1.2, clause 5.3): one port, or several with the control queues (MULTIPORT), and the
 * emergency write. Port 0 is the console that drivers without MULTIPORT know.
 * Not modelled: F_SIZE (the far end has no size to tell), ports that come and go while the machine runs.
 * Choices: the host's end of every port is open from the start; input waits at the host's end until the guest has opened the port.
 */
import type { Event, Module, Simulation } from "../../sim/index.ts";
import { ConsolePort, type ConsolePortOptions, ControlMessages } from "./console-port.ts";
import { VirtioDevice, type VirtioOptions } from "./device.ts";
import { type Chain, lengthOf, type Virtqueue } from "./queue.ts";

export interface VirtioConsoleOptions extends VirtioOptions {
  /** Ports that there may be, 1 to 31; 1, without MULTIPORT, unless given. */
  readonly maxPorts?: number;
  /** One console, port 0, unless given. */
  readonly ports?: readonly ConsolePortOptions[];
}

const QUEUE_SIZE = 128;
const CONTROL_QUEUE_SIZE = 32;
/** Queues of the control channel (5.3.2). */
const CONTROL_RECEIVE = 2;
const CONTROL_TRANSMIT = 3;
const PIECE = 4096;
/** Bytes taken of one transmitted buffer, so that no length that a driver writes takes for ever. */
const TRANSMIT_MAX = 1 << 20;
const MESSAGES_MAX = 256;

const F_MULTIPORT = 1;
const F_EMERG_WRITE = 2;

/** Control events (5.3.6.2). */
const DEVICE_READY = 0;
const DEVICE_ADD = 1;
const PORT_READY = 3;
const CONSOLE_PORT = 4;
const PORT_OPEN = 6;
const PORT_NAME = 7;

export class VirtioConsole extends VirtioDevice {
  readonly deviceId = 3;
  readonly configurationBytes = 12;
  protected readonly ownFeatures: number;
  readonly ports: readonly ConsolePort[];
  readonly #maxPorts: number;
  readonly #control: ControlMessages;
  readonly #input: Event;

  /** Throws RangeError for port numbers that do not fit. */
  constructor(parent: Module | Simulation, name: string, options: VirtioConsoleOptions) {
    const maxPorts = options.maxPorts ?? 1;
    super(parent, name, options, queueSizes(maxPorts));
    this.#maxPorts = maxPorts;
    this.ownFeatures = (1 << F_EMERG_WRITE) | (maxPorts > 1 ? 1 << F_MULTIPORT : 0);
    this.#input = this.event("input", () => this.#deliverAll());
    const wanted = options.ports ?? [{ number: 0, console: true }];
    if (wanted.some((p) => !(p.number < maxPorts)) || new Set(wanted.map((p) => p.number)).size < wanted.length) {
      throw new RangeError(`${this.fullName}: ports: expected different numbers below ${maxPorts}`);
    }
    this.ports = wanted.map((p) => {
      const port = new ConsolePort(
        p,
        (self) => this.#takesInput(self),
        () => {
          if (!this.#input.pending) this.#input.notify(0);
        },
      );
      return this.part(`port${p.number}`, port);
    });
    this.#control = this.part("control", new ControlMessages());
  }

  configurationByte(offset: number): number {
    return offset === 4 ? this.#maxPorts : 0; // max_nr_ports; cols, rows and emerg_wr read as zero
  }

  /** Emergency write (5.3.4): a character before any queue is set up. */
  override writeConfiguration(offset: number, size: number, value: number): void {
    if (offset === 8) this.#port(0)?.onTransmit?.(value & 0xff);
    else super.writeConfiguration(offset, size, value);
  }

  protected serve(queue: Virtqueue): void {
    const { index } = queue;
    if (this.#multiport && index === CONTROL_RECEIVE) this.#sendMessages();
    else if (this.#multiport && index === CONTROL_TRANSMIT) this.#takeMessages(queue);
    else if (index % 2 === 0) this.#deliverTo(queue);
    else this.#transmit(queue);
  }

  protected override stopped(): void {
    for (const port of this.ports) port.reset();
    this.#control.reset();
    this.#input.cancel();
  }

  get #multiport(): boolean {
    return this.accepted(F_MULTIPORT);
  }

  #port(number: number): ConsolePort | undefined {
    return this.ports.find((p) => p.number === number);
  }

  /** The port that a data queue belongs to (5.3.2). */
  #portOf(queue: number): ConsolePort | undefined {
    return this.#port(queue < 2 ? 0 : queue < 4 ? -1 : (queue >> 1) - 1);
  }

  #takesInput(port: ConsolePort): boolean {
    return this.running && (this.#multiport ? port.open : port.number === 0);
  }

  #transmit(queue: Virtqueue): void {
    const port = this.#portOf(queue.index);
    const piece = new Uint8Array(PIECE);
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      const length = Math.min(lengthOf(chain.readable), TRANSMIT_MAX);
      if (lengthOf(chain.readable) > TRANSMIT_MAX) {
        this.guestError({ kind: "unimplemented", detail: "of a buffer of more than 1 MiB the rest is not sent" });
      }
      for (let done = 0; done < length; ) {
        const n = queue.read(chain, piece.subarray(0, Math.min(PIECE, length - done)), done);
        if (n === 0) break;
        for (let i = 0; i < n; i++) port?.onTransmit?.(piece[i] as number);
        done += n;
      }
      queue.push(chain, 0);
    }
    this.flush(queue);
  }

  #deliverAll(): void {
    if (!this.running) return;
    for (const port of this.ports) this.#deliver(port);
  }
  #deliverTo(queue: Virtqueue): void {
    const port = this.#portOf(queue.index);
    if (port) this.#deliver(port);
  }
  #deliver(port: ConsolePort): void {
    const queue = this.queues[port.number === 0 ? 0 : 2 * port.number + 2] as Virtqueue;
    if (!queue.state.ready || port.waiting.length === 0) return;
    while (port.waiting.length > 0) {
      const chain = queue.pop();
      if (chain === null) break;
      const n = Math.min(port.waiting.length, lengthOf(chain.writable));
      queue.push(chain, queue.write(chain, Uint8Array.from(port.waiting.splice(0, n))));
    }
    this.flush(queue);
  }

  // Control channel

  /** Id of the port, event, value (5.3.6.2), all little-endian; then the name of PORT_NAME. */
  #say(port: number, event: number, value: number, text = ""): void {
    const { messages } = this.#control;
    if (messages.length >= MESSAGES_MAX) {
      this.guestError({ kind: "sequence", detail: "control messages without buffers to take the answers" });
      return;
    }
    const name = new TextEncoder().encode(text);
    const message = new Uint8Array(8 + name.length);
    const view = new DataView(message.buffer);
    view.setUint32(0, port, true);
    view.setUint16(4, event, true);
    view.setUint16(6, value, true);
    message.set(name, 8);
    messages.push(message);
  }

  #sendMessages(): void {
    const queue = this.queues[CONTROL_RECEIVE] as Virtqueue;
    const { messages } = this.#control;
    if (!queue.state.ready) return;
    while (messages.length > 0) {
      const chain = queue.pop();
      if (chain === null) break;
      queue.push(chain, queue.write(chain, messages.shift() as Uint8Array));
    }
    this.flush(queue);
  }

  #takeMessages(queue: Virtqueue): void {
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      this.#takeMessage(queue, chain);
      queue.push(chain, 0);
    }
    this.flush(queue);
    this.#sendMessages();
  }

  #takeMessage(queue: Virtqueue, chain: Chain): void {
    const message = new Uint8Array(8);
    if (queue.read(chain, message) < 8) {
      this.guestError({ kind: "value", detail: "control message of less than 8 bytes", clause: "VIRTIO 1.2 5.3.6.2" });
      return;
    }
    const view = new DataView(message.buffer);
    const event = view.getUint16(4, true);
    const value = view.getUint16(6, true);
    if (event === DEVICE_READY) {
      if (value === 1) for (const port of this.ports) this.#say(port.number, DEVICE_ADD, 1);
      return;
    }
    const port = this.#port(view.getUint32(0, true));
    if (port === undefined || (event !== PORT_READY && event !== PORT_OPEN)) {
      this.guestError({
        kind: "value",
        value: event,
        detail: "control message for a port that does not exist, or of an unknown kind",
        clause: "VIRTIO 1.2 5.3.6.2",
      });
    } else if (event === PORT_OPEN) port.open = value !== 0;
    else if (value === 1) this.#introduce(port);
  }

  /** The driver has set a port up: what it is, what it is called, and that the host's end is open. */
  #introduce(port: ConsolePort): void {
    if (port.console) this.#say(port.number, CONSOLE_PORT, 1);
    if (port.name !== "") this.#say(port.number, PORT_NAME, 1, port.name);
    this.#say(port.number, PORT_OPEN, 1);
  }
}

/** Receive and transmit queue of port 0, those of the control channel, then those of the other ports (5.3.2). */
function queueSizes(maxPorts: number): number[] {
  if (!Number.isInteger(maxPorts) || maxPorts < 1 || maxPorts > 31) {
    throw new RangeError(`console: ${maxPorts} ports: expected 1 to 31`);
  }
  if (maxPorts === 1) return [QUEUE_SIZE, QUEUE_SIZE];
  const sizes = new Array<number>(2 * (maxPorts + 1)).fill(QUEUE_SIZE);
  sizes[CONTROL_RECEIVE] = sizes[CONTROL_TRANSMIT] = CONTROL_QUEUE_SIZE;
  return sizes;
}
