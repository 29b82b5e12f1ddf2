/**
 * A host at the other end of the TOE's link: takes what comes in at one port, and sends without end to who connects to another. Its TCP is the TOE's
 * engine, without a device around it and without time of its own.
 */
import {
  EVENT_ACCEPTABLE,
  EVENT_CLOSED,
  EVENT_ERROR,
  EVENT_PEER_CLOSED,
  EVENT_READABLE,
  EVENT_WRITABLE,
} from "../devices/toe/engine/api.ts";
import { Stack } from "../devices/toe/engine/index.ts";
import type { Frame, Station } from "../net/index.ts";
import { Module, type Simulation } from "../sim/index.ts";

/** Takes everything; sends without end. */
export const SINK_PORT = 5001;
export const SOURCE_PORT = 5002;

export const PEER_MAC = Uint8Array.of(0x02, 0, 0, 0, 0, 1);
export const PEER_ADDRESS = [10, 0, 0, 254] as const;

const CHUNK = 65_536;
const BACKLOG = 64;

export class ToePeer extends Module implements Station {
  readonly #stack: Stack;
  readonly #chunk = new Uint8Array(CHUNK);
  /** Payload bytes taken from the host whose IPv4 address ends in n. */
  readonly #taken = this.state({ taken: new Float64Array(256) }, "taken").taken;
  /** By socket: 0 none, 1 sink, 2 source, and for sinks the sender. */
  readonly #kinds = this.state({ kinds: new Uint8Array(4096), from: new Uint8Array(4096) }, "kinds");
  readonly #listening = this.state({ sink: -1, source: -1 }, "listening");

  /** `send` puts a frame on the link; false where it has no room. */
  constructor(parent: Module | Simulation, name: string, send: (frame: Frame) => boolean) {
    super(parent, name);
    this.#stack = new Stack(this, "stack", {
      onSocket: (socket, events) => this.#happened(socket, events),
      transmit: send,
    });
  }

  receive(frame: Frame): void {
    this.#stack.input(frame);
  }

  /** Bytes taken from the host whose address ends in `last`. */
  taken(last: number): number {
    return this.#taken[last] as number;
  }

  #happened(socket: number, events: number): void {
    const { sink, source } = this.#listening;
    if (socket === sink || socket === source) {
      if ((events & EVENT_ACCEPTABLE) !== 0) this.#accept(socket, socket === sink ? 1 : 2);
      return;
    }
    const kind = this.#kinds.kinds[socket];
    if (kind === 0) return;
    if ((events & (EVENT_READABLE | EVENT_PEER_CLOSED)) !== 0) this.#take(socket);
    if (kind === 2 && (events & EVENT_WRITABLE) !== 0) this.#give(socket);
    if ((events & (EVENT_ERROR | EVENT_CLOSED)) !== 0) this.#end(socket);
  }

  #accept(listener: number, kind: number): void {
    for (;;) {
      const made = this.#stack.accept(listener);
      if (!made.ok) return;
      const socket = made.value;
      const remote = this.#stack.remote(socket);
      if (socket >= this.#kinds.kinds.length || !remote.ok) {
        this.#stack.abort(socket);
        continue;
      }
      this.#kinds.kinds[socket] = kind;
      this.#kinds.from[socket] = remote.value.address.at(-1) as number;
      if (kind === 2) this.#give(socket);
      this.#take(socket);
    }
  }

  #take(socket: number): void {
    for (;;) {
      const got = this.#stack.receive(socket, CHUNK);
      if (!got.ok) return;
      if (got.value.length === 0) {
        this.#end(socket);
        return;
      }
      const from = this.#kinds.from[socket] as number;
      this.#taken[from] = (this.#taken[from] as number) + got.value.length;
    }
  }

  #give(socket: number): void {
    for (;;) {
      const given = this.#stack.send(socket, this.#chunk);
      if (!given.ok || given.value < CHUNK) return;
    }
  }

  #end(socket: number): void {
    if (this.#kinds.kinds[socket] === 0) return;
    this.#kinds.kinds[socket] = 0;
    this.#stack.close(socket);
  }

  protected override onReset(): void {
    const stack = this.#stack;
    stack.configure({
      mac: PEER_MAC,
      addresses: [{ address: Uint8Array.from(PEER_ADDRESS), prefix: 24 }],
      routes: [],
    });
    stack.setQuotas({ sockets: 1024, bufferBytes: 256 * 2 ** 20 });
    const listen = (port: number): number => {
      const made = stack.socket("tcp", 4);
      if (!made.ok) throw new Error(`${this.fullName}: no socket: ${made.error}`);
      stack.bind(made.value, { address: Uint8Array.of(0, 0, 0, 0), port });
      stack.listen(made.value, BACKLOG);
      return made.value;
    };
    this.#listening.sink = listen(SINK_PORT);
    this.#listening.source = listen(SOURCE_PORT);
  }
}
