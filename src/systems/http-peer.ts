/**
 * A host at the other end of a link that fetches a file over HTTP from each of several servers, at the same time, and measures: the peer of servers inside the
 * simulation. Its TCP is the TOE's engine, without a device around it.
 */
import {
  EVENT_CLOSED,
  EVENT_CONNECTED,
  EVENT_ERROR,
  EVENT_PEER_CLOSED,
  EVENT_READABLE,
  type IpAddress,
} from "../devices/toe/engine/api.ts";
import { Stack } from "../devices/toe/engine/index.ts";
import type { Frame, Station } from "../net/index.ts";
import { type Event, Module, MS, type Simulation, TICKS_PER_SECOND, type Time } from "../sim/index.ts";

export interface HttpTarget {
  readonly name: string;
  readonly address: IpAddress;
  readonly port?: number;
  readonly path: string;
}

export interface HttpPeerOptions {
  readonly mac: Uint8Array;
  readonly address: IpAddress;
  readonly prefix: number;
  readonly targets: readonly HttpTarget[];
  readonly send: (frame: Frame) => boolean;
}

export interface HttpResult {
  readonly name: string;
  /** "done", or what is missing. */
  readonly outcome: string;
  /** Bytes of the body. */
  readonly bytes: number;
  /** CRC-32 (IEEE 802.3) of the body. */
  readonly crc: number;
  /** Seconds from the request to the last byte, and bits a second. */
  readonly seconds: number;
  readonly rate: number;
}

type Cells = {
  socket: number;
  phase: string;
  /** Bytes of the body that the header promises; -1 before it has come. */
  length: number;
  header: string;
  bytes: number;
  crc: number;
  begun: Time;
  ended: Time;
  attempts: number;
};

interface Target {
  readonly of: HttpTarget;
  readonly cells: Cells;
  readonly retry: Event;
}

/** Servers may come up later than the peer; an answer takes far less. */
const RETRY = MS;
const ATTEMPTS = 2000;
const MOST = 65_536;
/** Before that the servers have no address yet, and an ARP request without answer is sent again only after a second. */
const FIRST = 10 * MS;

export class HttpPeer extends Module implements Station {
  readonly #o: HttpPeerOptions;
  readonly #stack: Stack;
  readonly #targets: readonly Target[];
  readonly #table = crcTable();

  constructor(parent: Module | Simulation, name: string, options: HttpPeerOptions) {
    super(parent, name);
    this.#o = options;
    this.#stack = new Stack(this, "stack", {
      onSocket: (socket, events) => this.#happened(socket, events),
      transmit: options.send,
    });
    this.#targets = options.targets.map((of, n) => ({
      of,
      cells: this.state<Cells>(
        { socket: -1, phase: "waiting", length: -1, header: "", bytes: 0, crc: -1, begun: 0, ended: 0, attempts: 0 },
        `target${n}`,
      ),
      retry: this.event(`retry${n}`, () => this.#connect(n)),
    }));
  }

  receive(frame: Frame): void {
    this.#stack.input(frame);
  }

  results(): HttpResult[] {
    return this.#targets.map(({ of, cells: c }) => {
      const seconds = (c.ended - c.begun) / TICKS_PER_SECOND;
      return {
        name: of.name,
        outcome: c.phase,
        bytes: c.bytes,
        crc: ~c.crc >>> 0,
        seconds,
        rate: seconds > 0 ? (8 * c.bytes) / seconds : 0,
      };
    });
  }

  #connect(n: number): void {
    const { of, cells, retry } = this.#targets[n] as Target;
    // no answer so far: whatever is at the other end was not up when it was asked
    if (cells.socket >= 0) this.#stack.abort(cells.socket);
    cells.socket = -1;
    cells.attempts++;
    const made = this.#stack.socket("tcp", of.address.length === 4 ? 4 : 6);
    if (!made.ok) {
      this.#again(n);
      return;
    }
    cells.socket = made.value;
    cells.phase = "connecting";
    if (!this.#stack.connect(made.value, { address: of.address, port: of.port ?? 80 }).ok) this.#again(n);
    else retry.scheduleAt(this.simulation.now + RETRY);
  }

  #again(n: number): void {
    const { cells, retry } = this.#targets[n] as Target;
    if (cells.socket >= 0) this.#stack.abort(cells.socket);
    cells.socket = -1;
    if (cells.attempts >= ATTEMPTS) cells.phase = "no connection";
    else retry.scheduleAt(this.simulation.now + RETRY);
  }

  #happened(socket: number, events: number): void {
    const n = this.#targets.findIndex((t) => t.cells.socket === socket);
    const target = this.#targets[n];
    if (target === undefined) return;
    const { of, cells } = target;
    if (cells.phase === "connecting") {
      if ((events & EVENT_CONNECTED) !== 0) {
        cells.phase = "receiving";
        target.retry.cancel();
        cells.begun = this.simulation.now;
        const host = of.address.length === 4 ? of.address.join(".") : "peer";
        const request = `GET ${of.path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
        this.#stack.send(socket, new TextEncoder().encode(request));
      } else if ((events & (EVENT_ERROR | EVENT_CLOSED)) !== 0) this.#again(n);
      return;
    }
    if ((events & (EVENT_READABLE | EVENT_PEER_CLOSED)) !== 0) this.#take(cells);
    if ((events & (EVENT_ERROR | EVENT_CLOSED)) !== 0 && cells.phase === "receiving") {
      cells.phase = `broken off: ${this.#stack.error(socket)}`;
      cells.ended = this.simulation.now;
    }
  }

  #take(c: Cells): void {
    for (;;) {
      const got = this.#stack.receive(c.socket, MOST);
      if (!got.ok) return;
      let data = got.value;
      if (data.length === 0) {
        if (c.phase === "receiving") {
          c.phase = c.bytes === c.length ? "done" : `${c.bytes} of ${c.length} bytes`;
          c.ended = this.simulation.now;
        }
        this.#stack.close(c.socket);
        return;
      }
      if (c.length < 0) {
        const before = c.header.length;
        c.header += String.fromCharCode(...data.subarray(0, 4096));
        const end = c.header.indexOf("\r\n\r\n");
        if (end < 0) continue;
        c.length = Number(/content-length: *(\d+)/i.exec(c.header)?.[1] ?? "0");
        data = data.subarray(end + 4 - before);
      }
      c.bytes += data.length;
      let crc = c.crc;
      for (const byte of data) crc = (crc >>> 8) ^ (this.#table[(crc ^ byte) & 0xff] as number);
      c.crc = crc;
      c.ended = this.simulation.now;
    }
  }

  protected override onReset(): void {
    this.#stack.configure({
      mac: this.#o.mac,
      addresses: [{ address: this.#o.address, prefix: this.#o.prefix }],
      routes: [],
    });
    this.#stack.setQuotas({ sockets: 2 * this.#targets.length + 8, bufferBytes: 16 * 2 ** 20 });
    for (const { retry } of this.#targets) retry.scheduleAt(this.simulation.now + FIRST);
  }
}

function crcTable(): Int32Array {
  return Int32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = (c & 1) !== 0 ? (c >>> 1) ^ 0xedb8_8320 : c >>> 1;
    return c;
  });
}
