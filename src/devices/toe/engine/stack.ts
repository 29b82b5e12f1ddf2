/**
 * One control interface's protocols: IPv4, IPv6, ARP, neighbour discovery, ICMP, UDP, TCP. A module; all it knows is saved and restored with
 * it. One event drives all its timers. Choices, limits and what is left out: docs/devices/toe-engine.md.
 */

import type { Frame } from "../../../net/index.ts";
import {
  type Event,
  Module,
  MS,
  NEVER,
  SEC,
  type Simulation,
  SnapshotError,
  type StatePart,
  type StateRecord,
  type StateValue,
  type Time,
} from "../../../sim/index.ts";
import type {
  Endpoint,
  Outcome,
  SocketError,
  SocketOption,
  StackApi,
  StackConfiguration,
  StackEvents,
  StackQuotas,
  StackStatistics,
} from "./api.ts";
import { Configuration } from "./configuration.ts";
import { type AnySocket, type Counters, counters, Engine, type StackOptions } from "./engine.ts";
import { Fragments } from "./fragments.ts";
import { Icmp } from "./icmp.ts";
import { Ip } from "./ip.ts";
import { Neighbours } from "./neighbours.ts";
import { getOption, setOption } from "./options.ts";
import * as calls from "./tcp/calls.ts";
import { Connection, LISTEN } from "./tcp/connection.ts";
import { Tcp } from "./tcp/tcp.ts";
import { onTimer } from "./tcp/timers.ts";
import { HOUSEKEEPING } from "./timers.ts";
import { Udp, UdpSocket } from "./udp.ts";
import { addressOf, familyOf, isGroup, isUnspecified, type Words, wordsOf } from "./words.ts";

const DONE: Outcome<void> = Object.freeze({ ok: true, value: undefined });
const fail = calls.fail;
/** Quotas until `setQuotas`. */
const SOCKETS = 1024;
const BUFFER_BYTES = 16 * 1024 * 1024;

export class Stack extends Module implements StackApi {
  /** 2: the neighbours that connections send to. */
  override readonly stateVersion = 2;
  readonly #engine: Engine;
  readonly #counts: Counters;
  readonly #timer: Event;

  constructor(parent: Module | Simulation, name: string, owner: StackEvents, options: StackOptions = {}) {
    super(parent, name);
    this.#counts = this.state(counters(), "counters");
    const random = this.simulation.random(this, "secrets");
    this.#timer = this.event("timer", () => this.#onTimer());
    const soon = this.event("soon", () => this.#onSoon());
    const configuration = this.part("configuration", new Configuration());
    this.#engine = new Engine(
      {
        simulation: this.simulation,
        owner,
        counts: this.#counts,
        configuration,
        random,
        timer: this.#timer,
        soon,
        options: {
          minimumRto: options.minimumRto ?? 200 * MS,
          segmentLifetime: options.segmentLifetime ?? 30 * SEC,
          initialWindow: options.initialWindow ?? 0,
        },
      },
      (engine) => ({
        neighbours: new Neighbours(engine),
        ip: new Ip(engine),
        icmp: new Icmp(engine),
        fragments: new Fragments(engine),
        udp: new Udp(engine),
        tcp: new Tcp(engine),
      }),
    );
    this.#engine.socketLimit = SOCKETS;
    this.#engine.pool.limit = BUFFER_BYTES;
    this.part("protocols", new Protocols(this.#engine));
  }

  configure(configuration: StackConfiguration): void {
    const e = this.#engine;
    e.configuration.set(configuration);
    e.neighbours.clear();
    e.ip.clear();
    e.fragments.clear();
    e.tcp.readdress();
    e.tellLater();
  }

  setQuotas(quotas: StackQuotas): void {
    this.#engine.socketLimit = Math.max(0, Math.floor(quotas.sockets));
    this.#engine.pool.limit = Math.max(0, Math.floor(quotas.bufferBytes));
  }

  input(frame: Frame): void {
    const e = this.#engine;
    if (e.transmitting) {
      e.deliverLater(frame);
      return;
    }
    e.ip.input(frame);
    if (e.telling.length > 0) e.tell();
  }

  clear(): void {
    this.#timer.cancel();
    this.#engine.clear();
    this.#engine.tcp.newSecrets();
  }

  get statistics(): StackStatistics {
    return this.#counts;
  }
  get bufferBytes(): number {
    return this.#engine.pool.used;
  }
  get nextTimer(): Time {
    return this.#engine.timers.earliest;
  }

  socket(kind: "tcp" | "udp", family: 4 | 6): Outcome<number> {
    const e = this.#engine;
    if (kind === "tcp") {
      const c = new Connection(family);
      return e.tcp.number(c) ? { ok: true, value: c.number } : fail("too-many-sockets");
    }
    const s = new UdpSocket(family);
    s.number = e.enter(s);
    return s.number === 0 ? fail("too-many-sockets") : { ok: true, value: s.number };
  }

  bind(socket: number, local: Endpoint): Outcome<void> {
    const s = this.#find(socket);
    if (s === null) return fail("no-socket");
    const words = this.#address(s, local);
    if (words === null) return fail("invalid");
    const e = this.#engine;
    if (s.kind === "tcp") return calls.bind(e.tcp, s, words, local.port);
    if (s.port !== 0) return fail("wrong-state");
    const [w0, w1, w2, w3] = words;
    if (!isUnspecified(s.family, words) && !e.configuration.owns(s.family, w0, w1, w2, w3))
      return fail("address-not-available");
    const port = local.port === 0 ? e.udp.choose(s.family, words) : local.port;
    if (port === 0 || !e.udp.free(s.family, words, port)) return fail("address-in-use");
    s.local.set(words);
    e.udp.bind(s, port);
    return DONE;
  }

  listen(socket: number, backlog: number): Outcome<void> {
    const c = this.#tcp(socket);
    return c === null ? this.#wrong(socket) : calls.listen(this.#engine.tcp, c, backlog);
  }

  accept(socket: number): Outcome<number> {
    const c = this.#tcp(socket);
    if (c === null) return this.#wrong(socket);
    const outcome = calls.accept(this.#engine.tcp, c);
    this.#engine.tellLater();
    return outcome;
  }

  connect(socket: number, remote: Endpoint): Outcome<void> {
    const s = this.#find(socket);
    if (s === null) return fail("no-socket");
    const words = this.#address(s, remote);
    if (words === null) return fail("invalid");
    const e = this.#engine;
    if (s.kind === "tcp") {
      const outcome = calls.connect(e.tcp, s, words, remote.port);
      e.tellLater();
      return outcome;
    }
    const [w0, w1, w2, w3] = words;
    if (remote.port === 0 || isUnspecified(s.family, words) || isGroup(s.family, w0, w3)) return fail("invalid");
    const source = e.configuration.route(s.family, w0, w1, w2, w3)
      ? e.configuration.source(s.family, w0, w1, w2, w3)
      : null;
    if (source === null) return fail("no-route");
    if (s.port === 0 && !this.#bindAny(s)) return fail("address-in-use");
    if (isUnspecified(s.family, s.local)) s.local.set(source.words);
    s.remote.set(words);
    s.remotePort = remote.port;
    return DONE;
  }

  send(socket: number, data: Uint8Array): Outcome<number> {
    const c = this.#tcp(socket);
    if (c !== null) {
      const outcome = calls.send(this.#engine.tcp, c, data);
      this.#engine.tellLater();
      return outcome;
    }
    const outcome = this.sendTo(socket, data);
    return outcome.ok ? { ok: true, value: data.length } : outcome;
  }

  receive(socket: number, most: number): Outcome<Uint8Array> {
    const c = this.#tcp(socket);
    return c === null ? this.#wrong(socket) : calls.receive(this.#engine.tcp, c, most);
  }

  sendTo(socket: number, data: Uint8Array, remote?: Endpoint): Outcome<void> {
    const s = this.#find(socket);
    if (s === null) return fail("no-socket");
    if (s.kind !== "udp") return fail("wrong-state");
    if ((s.shut & 2) !== 0) return fail("closed");
    if (remote === undefined && s.remotePort === 0) return fail("wrong-state");
    const words = remote === undefined ? s.remote : this.#address(s, remote);
    const port = remote === undefined ? s.remotePort : remote.port;
    if (words === null || port === 0 || isUnspecified(s.family, words)) return fail("invalid");
    if (s.port === 0 && !this.#bindAny(s)) return fail("address-in-use");
    return this.#engine.udp.send(s, words, port, data);
  }

  receiveFrom(socket: number): Outcome<{ readonly data: Uint8Array; readonly from: Endpoint }> {
    const s = this.#find(socket);
    if (s === null) return fail("no-socket");
    if (s.kind !== "udp") return fail("wrong-state");
    const d = this.#engine.udp.take(s);
    if (d === null) return fail((s.shut & 1) !== 0 ? "closed" : "would-block");
    return { ok: true, value: { data: d.data, from: { address: d.from, port: d.port } } };
  }

  receivable(socket: number): boolean {
    const s = this.#find(socket);
    return s !== null && (s.kind === "tcp" ? s.receiving.used > 0 : s.queue.length > 0);
  }
  readable(socket: number): number {
    const s = this.#find(socket);
    if (s === null) return 0;
    return s.kind === "tcp" ? s.receiving.used : (s.queue[0]?.data.length ?? 0);
  }
  writable(socket: number): number {
    const s = this.#find(socket);
    if (s === null) return 0;
    if (s.kind === "udp") return 65_507;
    return s.state <= LISTEN || s.finQueued !== 0 ? 0 : Math.max(0, s.sendBuffer - s.sending.used);
  }
  acknowledged(socket: number): number {
    return this.#tcp(socket)?.acknowledged ?? 0;
  }

  shutdown(socket: number, direction: "send" | "receive" | "both"): Outcome<void> {
    const s = this.#find(socket);
    if (s === null) return fail("no-socket");
    if (s.kind === "udp") {
      s.shut |= direction === "receive" ? 1 : direction === "send" ? 2 : 3;
      return DONE;
    }
    const outcome = calls.shutdown(this.#engine.tcp, s, direction);
    this.#engine.tellLater();
    return outcome;
  }

  close(socket: number): Outcome<void> {
    const s = this.#find(socket);
    if (s === null) return fail("no-socket");
    if (s.kind === "udp") this.#engine.udp.close(s);
    else calls.close(this.#engine.tcp, s);
    this.#engine.tellLater();
    return DONE;
  }

  abort(socket: number): Outcome<void> {
    const s = this.#find(socket);
    if (s === null) return fail("no-socket");
    if (s.kind === "udp") this.#engine.udp.close(s);
    else calls.abort(this.#engine.tcp, s);
    this.#engine.tellLater();
    return DONE;
  }

  setOption(socket: number, option: SocketOption, value: number): Outcome<void> {
    const s = this.#find(socket);
    return s === null ? fail("no-socket") : setOption(this.#engine.tcp, s, option, value);
  }
  getOption(socket: number, option: SocketOption): Outcome<number> {
    const s = this.#find(socket);
    return s === null ? fail("no-socket") : getOption(s, option);
  }

  local(socket: number): Outcome<Endpoint> {
    const s = this.#find(socket);
    if (s === null) return fail("no-socket");
    if (s.kind === "tcp")
      return { ok: true, value: { address: addressOf(s.family, s.l0, s.l1, s.l2, s.l3), port: s.localPort } };
    return {
      ok: true,
      value: { address: addressOf(s.family, s.local[0], s.local[1], s.local[2], s.local[3]), port: s.port },
    };
  }
  remote(socket: number): Outcome<Endpoint> {
    const s = this.#find(socket);
    if (s === null) return fail("no-socket");
    if (s.remotePort === 0) return fail("wrong-state");
    if (s.kind === "tcp")
      return { ok: true, value: { address: addressOf(s.family, s.r0, s.r1, s.r2, s.r3), port: s.remotePort } };
    return {
      ok: true,
      value: { address: addressOf(s.family, s.remote[0], s.remote[1], s.remote[2], s.remote[3]), port: s.remotePort },
    };
  }
  error(socket: number): SocketError {
    return this.#find(socket)?.error ?? "no-socket";
  }

  protected override onReset(): void {
    this.#engine.socketLimit = SOCKETS;
    this.#engine.pool.limit = BUFFER_BYTES;
    this.clear();
  }

  /** A socket the owner may still name. */
  #find(number: number): AnySocket | null {
    const s = this.#engine.sockets[number] ?? null;
    return s === null || (s.kind === "tcp" && (s.released !== 0 || s.parent !== 0)) ? null : s;
  }
  #tcp(number: number): Connection | null {
    const s = this.#find(number);
    return s?.kind === "tcp" ? s : null;
  }
  #wrong(number: number): { readonly ok: false; readonly error: SocketError } {
    return fail(this.#find(number) === null ? "no-socket" : "wrong-state");
  }
  #address(s: AnySocket, end: Endpoint): Words | null {
    if (!Number.isInteger(end.port) || end.port < 0 || end.port > 0xffff) return null;
    return familyOf(end.address) === s.family ? wordsOf(end.address) : null;
  }
  #bindAny(s: UdpSocket): boolean {
    const port = this.#engine.udp.choose(s.family, s.local);
    if (port !== 0) this.#engine.udp.bind(s, port);
    return port !== 0;
  }

  #onTimer(): void {
    const e = this.#engine;
    const { now } = e;
    for (let slot = e.timers.take(now); slot >= 0; slot = e.timers.take(now)) {
      if (slot === HOUSEKEEPING) {
        const next = Math.min(e.neighbours.housekeep(now), e.fragments.housekeep(now));
        if (next < NEVER) e.timers.lower(HOUSEKEEPING, next);
        continue;
      }
      const s = e.sockets[slot];
      if (s?.kind === "tcp") onTimer(e.tcp, s);
    }
    e.armTimer();
    if (e.telling.length > 0) e.tell();
  }

  #onSoon(): void {
    const e = this.#engine;
    const frames = e.inbox.splice(0);
    for (const frame of frames) e.ip.input(frame);
    e.tell();
  }
}

/** Everything of the rooms in one part: sockets first, for others refer to them. */
class Protocols implements StatePart {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }
  save(): StateValue {
    const e = this.#engine;
    return {
      socketLimit: e.socketLimit,
      bufferLimit: e.pool.limit,
      sockets: e.sockets.map((s) =>
        s === null ? null : s.kind === "udp" ? e.udp.save(s) : { kind: "tcp", ...s.save() },
      ),
      freeNumbers: [...e.freeNumbers],
      leaving: [...e.leaving],
      telling: e.telling.map((socket) => ({ socket, bits: e.bits[socket] })),
      inbox: e.inbox.map((f) => f.slice()),
      timers: e.timers.save(),
      neighbours: e.neighbours.save(),
      ip: e.ip.save(),
      icmp: e.icmp.save(),
      fragments: e.fragments.save(),
      tcp: e.tcp.save(),
    };
  }
  load(value: StateValue, path: string): void {
    const v = value as StateRecord;
    const e = this.#engine;
    const { sockets, freeNumbers, leaving, telling, inbox } = v;
    const lists = [sockets, freeNumbers, leaving, telling, inbox];
    if (!lists.every((list) => Array.isArray(list)))
      throw new SnapshotError(`${path}: expected lists of sockets, numbers and frames`);
    e.clear();
    e.socketLimit = Number(v["socketLimit"]);
    e.pool.limit = Number(v["bufferLimit"]);
    e.sockets.length = 0;
    (sockets as readonly StateValue[]).forEach((s, i) => {
      const where = `${path}.sockets[${i}]`;
      if (s === null) e.sockets.push(null);
      else if ((s as StateRecord)["kind"] === "udp") e.sockets.push(e.udp.load(i, s, where));
      else e.sockets.push(Connection.restore(s, e.pool, where));
    });
    e.freeNumbers.push(...(freeNumbers as number[]));
    e.leaving.push(...(leaving as number[]));
    for (const { socket, bits } of telling as { socket: number; bits: number }[]) {
      e.telling.push(socket);
      e.bits[socket] = bits;
    }
    for (const frame of inbox as Uint8Array[]) e.inbox.push(frame.slice());
    e.timers.load(v["timers"] ?? null, `${path}.timers`);
    e.neighbours.load(v["neighbours"] ?? null, `${path}.neighbours`);
    e.ip.load(v["ip"] ?? null, `${path}.ip`);
    e.icmp.load(v["icmp"] ?? null, `${path}.icmp`);
    e.fragments.load(v["fragments"] ?? null, `${path}.fragments`);
    e.tcp.load(v["tcp"] ?? null, `${path}.tcp`);
  }
  /** The stack does it, when everything else has been reset. */
  reset(): void {}
}
