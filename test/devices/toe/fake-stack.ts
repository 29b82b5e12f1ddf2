/**
 * A stack without protocols: sockets whose peer is the test. TCP connections are established when the test says so (or at once, with `auto`), bytes
 * sent pile up until the test acknowledges them, and the test puts in what is received.
 */
import type {
  Endpoint,
  Outcome,
  SocketError,
  SocketOption,
  StackApi,
  StackConfiguration,
  StackEvents,
  StackQuotas,
} from "../../../src/devices/toe/engine/api.ts";
import {
  EVENT_ACCEPTABLE,
  EVENT_ACKNOWLEDGED,
  EVENT_CLOSED,
  EVENT_CONNECTED,
  EVENT_ERROR,
  EVENT_PEER_CLOSED,
  EVENT_READABLE,
  EVENT_WRITABLE,
} from "../../../src/devices/toe/engine/api.ts";
import type { Frame } from "../../../src/net/index.ts";
import { Module, NEVER, type StateValue } from "../../../src/sim/index.ts";

interface FakeSocket {
  kind: "tcp" | "udp";
  family: 4 | 6;
  state: number;
  local: Endpoint;
  remote: Endpoint;
  sent: number;
  acknowledged: number;
  sendBuffer: number;
  received: Uint8Array[];
  from: Endpoint[];
  ended: boolean;
  error: SocketError;
  backlog: number[];
  options: { [name: string]: number };
}

const good = <T>(value: T): Outcome<T> => ({ ok: true, value });
const bad = (error: SocketError): Outcome<never> => ({ ok: false, error });
const nowhere = (family: 4 | 6): Endpoint => ({ address: new Uint8Array(family === 4 ? 4 : 16), port: 0 });

export class FakeStack extends Module implements StackApi {
  readonly events: StackEvents;
  sockets = new Map<number, FakeSocket>();
  configuration: StackConfiguration | null = null;
  quotas: StackQuotas = { sockets: 0, bufferBytes: 0 };
  /** What was sent, by socket. */
  readonly out = new Map<number, Uint8Array[]>();
  readonly frames: Frame[] = [];
  cleared = 0;
  /** Connections are established, and bytes acknowledged, at once. */
  auto = true;
  #next = 1;
  readonly statistics = {};
  readonly nextTimer = NEVER;

  constructor(parent: Module, name: string, events: StackEvents) {
    super(parent, name);
    this.events = events;
    this.part("sockets", {
      save: () =>
        [...this.sockets].map(
          ([id, s]): StateValue => ({
            id,
            ...s,
            local: { ...s.local },
            remote: { ...s.remote },
            from: s.from.map((f) => ({ ...f })),
            received: s.received.map((d) => d.slice()),
            backlog: [...s.backlog],
            options: { ...s.options },
          }),
        ),
      load: (value) => {
        this.sockets = new Map(
          (structuredClone(value) as unknown as (FakeSocket & { id: number })[]).map(({ id, ...s }) => [id, s]),
        );
        this.#next = Math.max(0, ...this.sockets.keys()) + 1;
      },
      reset: () => {
        this.sockets.clear();
        this.out.clear();
      },
    });
  }

  // The test's side.

  establish(socket: number): void {
    (this.sockets.get(socket) as FakeSocket).state = 4;
    this.events.onSocket(socket, EVENT_CONNECTED | EVENT_WRITABLE);
  }
  deliver(socket: number, data: Uint8Array, from?: Endpoint): void {
    const s = this.sockets.get(socket) as FakeSocket;
    s.received.push(data);
    if (s.kind === "udp") s.from.push(from ?? nowhere(s.family));
    this.events.onSocket(socket, EVENT_READABLE);
  }
  end(socket: number): void {
    const s = this.sockets.get(socket) as FakeSocket;
    s.ended = true;
    s.state = 7;
    this.events.onSocket(socket, EVENT_PEER_CLOSED | EVENT_READABLE);
  }
  fail(socket: number, error: SocketError): void {
    const s = this.sockets.get(socket) as FakeSocket;
    s.error = error;
    if (s.kind === "tcp") s.state = 0;
    this.events.onSocket(socket, s.kind === "tcp" ? EVENT_ERROR | EVENT_CLOSED : EVENT_ERROR);
  }
  acknowledge(socket: number, bytes = Number.POSITIVE_INFINITY): void {
    const s = this.sockets.get(socket) as FakeSocket;
    s.acknowledged = Math.min(s.sent, s.acknowledged + bytes);
    this.events.onSocket(socket, EVENT_ACKNOWLEDGED | EVENT_WRITABLE);
  }
  arrive(listener: number, remote: Endpoint): number {
    const id = this.#make("tcp", 4);
    const s = this.sockets.get(id) as FakeSocket;
    s.state = 4;
    s.remote = remote;
    (this.sockets.get(listener) as FakeSocket).backlog.push(id);
    this.events.onSocket(listener, EVENT_ACCEPTABLE);
    return id;
  }
  sentBytes(socket: number): Uint8Array {
    const parts = this.out.get(socket) ?? [];
    const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const p of parts) {
      all.set(p, at);
      at += p.length;
    }
    return all;
  }

  // The device's side.

  #make(kind: "tcp" | "udp", family: 4 | 6): number {
    const id = this.#next++;
    this.sockets.set(id, {
      kind,
      family,
      state: 0,
      local: nowhere(family),
      remote: nowhere(family),
      sent: 0,
      acknowledged: 0,
      sendBuffer: 65_536,
      received: [],
      from: [],
      ended: false,
      error: "closed",
      backlog: [],
      options: {},
    });
    return id;
  }
  #with<T>(socket: number, then: (s: FakeSocket) => Outcome<T>): Outcome<T> {
    const s = this.sockets.get(socket);
    return s === undefined ? bad("no-socket") : then(s);
  }
  socket(kind: "tcp" | "udp", family: 4 | 6): Outcome<number> {
    return this.sockets.size >= this.quotas.sockets ? bad("too-many-sockets") : good(this.#make(kind, family));
  }
  bind(socket: number, local: Endpoint): Outcome<void> {
    return this.#with(socket, (s) => {
      for (const other of this.sockets.values())
        if (local.port !== 0 && other.local.port === local.port) return bad("address-in-use");
      s.local = { ...local, port: local.port === 0 ? 50_000 + socket : local.port };
      return good(undefined);
    });
  }
  listen(socket: number): Outcome<void> {
    return this.#with(socket, (s) => {
      if (s.kind !== "tcp" || s.state !== 0) return bad("wrong-state");
      s.state = 1;
      return good(undefined);
    });
  }
  accept(socket: number): Outcome<number> {
    return this.#with(socket, (s) => {
      if (s.state !== 1) return bad("wrong-state");
      const id = s.backlog.shift();
      return id === undefined ? bad("would-block") : good(id);
    });
  }
  connect(socket: number, remote: Endpoint): Outcome<void> {
    return this.#with(socket, (s) => {
      if (s.kind === "tcp" && s.state !== 0) return bad("wrong-state");
      s.remote = remote;
      if (s.kind === "tcp") {
        s.state = 2;
        if (this.auto) {
          s.state = 4;
          this.events.onSocket(socket, EVENT_CONNECTED | EVENT_WRITABLE);
        }
      }
      return good(undefined);
    });
  }
  send(socket: number, data: Uint8Array): Outcome<number> {
    return this.#with(socket, (s) => {
      if (s.state !== 4 && s.state !== 7) return bad(s.error === "closed" ? "wrong-state" : s.error);
      const n = Math.min(data.length, this.writable(socket));
      if (n === 0) return bad("would-block");
      s.sent += n;
      this.out.set(socket, [...(this.out.get(socket) ?? []), data.slice(0, n)]);
      if (this.auto) {
        s.acknowledged = s.sent;
        this.events.onSocket(socket, EVENT_ACKNOWLEDGED | EVENT_WRITABLE);
      }
      return good(n);
    });
  }
  receive(socket: number, most: number): Outcome<Uint8Array> {
    return this.#with(socket, (s) => {
      const first = s.received[0];
      if (first === undefined) {
        if (s.ended) return good(new Uint8Array(0));
        return bad(s.state === 0 ? (s.error === "closed" ? "wrong-state" : s.error) : "would-block");
      }
      const taken = first.subarray(0, most);
      if (taken.length === first.length) s.received.shift();
      else s.received[0] = first.subarray(most);
      return good(taken);
    });
  }
  sendTo(socket: number, data: Uint8Array, remote?: Endpoint): Outcome<void> {
    return this.#with(socket, (s) => {
      if (s.kind !== "udp") return bad("wrong-state");
      if (remote === undefined && s.remote.port === 0) return bad("wrong-state");
      this.out.set(socket, [...(this.out.get(socket) ?? []), data]);
      return good(undefined);
    });
  }
  receiveFrom(socket: number) {
    return this.#with(socket, (s) => {
      const data = s.received.shift();
      return data === undefined ? bad("would-block") : good({ data, from: s.from.shift() as Endpoint });
    });
  }
  receivable(socket: number): boolean {
    return (this.sockets.get(socket)?.received.length ?? 0) > 0;
  }
  readable(socket: number): number {
    return this.sockets.get(socket)?.received.reduce((n, d) => n + d.length, 0) ?? 0;
  }
  writable(socket: number): number {
    const s = this.sockets.get(socket);
    return s === undefined ? 0 : Math.max(0, s.sendBuffer - (s.sent - s.acknowledged));
  }
  acknowledged(socket: number): number {
    return this.sockets.get(socket)?.acknowledged ?? 0;
  }
  shutdown(socket: number): Outcome<void> {
    return this.#with(socket, (s) => {
      s.state = 5;
      return good(undefined);
    });
  }
  close(socket: number): Outcome<void> {
    return this.#with(socket, (s) => {
      if (s.sent === s.acknowledged) this.sockets.delete(socket);
      return good(undefined);
    });
  }
  abort(socket: number): Outcome<void> {
    return this.sockets.delete(socket) ? good(undefined) : bad("no-socket");
  }
  setOption(socket: number, option: SocketOption, value: number): Outcome<void> {
    return this.#with(socket, (s) => {
      if (value > 0x7fff_ffff) return bad("invalid");
      s.options[option] = value;
      return good(undefined);
    });
  }
  getOption(socket: number, option: SocketOption): Outcome<number> {
    return this.#with(socket, (s) => good(option === "state" ? s.state : (s.options[option] ?? 0)));
  }
  local(socket: number): Outcome<Endpoint> {
    return this.#with(socket, (s) => good(s.local));
  }
  remote(socket: number): Outcome<Endpoint> {
    return this.#with(socket, (s) => good(s.remote));
  }
  error(socket: number): SocketError {
    return this.sockets.get(socket)?.error ?? "closed";
  }
  configure(configuration: StackConfiguration): void {
    this.configuration = configuration;
  }
  setQuotas(quotas: StackQuotas): void {
    this.quotas = quotas;
  }
  input(frame: Frame): void {
    this.frames.push(frame);
  }
  clear(): void {
    this.cleared++;
    this.sockets.clear();
    this.out.clear();
  }
  get bufferBytes(): number {
    let n = 0;
    for (const s of this.sockets.values()) n += s.sent - s.acknowledged;
    return n;
  }
}
