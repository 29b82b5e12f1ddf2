/**
 * Commands of one interface from the ring to their completion (docs/devices/toe.md 7 and 12): fetched ahead of the dispatcher, carried out, or kept
 * with their socket until the stack tells of an event.
 *
 * The stack's events are only noted when they come and looked at in an event of this module's own, so that no call of the stack is
 * inside another one.
 */
import { type Event, NEVER, type StatePart, type StateValue, US } from "../../sim/index.ts";
import { COUNTER, DONE, FLAG, OPCODE, STATUS, STATUS_OF } from "./codes.ts";
import { type Command, type Completion, checkForm, costOf, loadCommand, NO_BUFFER, saveCommand } from "./command.ts";
import type { Outcome } from "./engine/api.ts";
import type { ControlInterface } from "./interface.ts";
import { Operations } from "./operations.ts";
import { Fifo, IdTable } from "./queues.ts";
import { SocketRecord } from "./sockets.ts";

/** Completions of MULTI commands that may wait for room before such commands pause. */
const HELD_MAX = 64;

/** What a completion says beside its command and status. */
export type Result = Partial<
  Pick<Completion, "result" | "flags" | "socket" | "bufferId" | "buffer" | "address" | "port">
>;

const NOTHING: Readonly<Result> = {};

export class Executor implements StatePart {
  readonly of: ControlInterface;
  readonly #operations: Operations;
  /** Outstanding commands by id, those before the dispatcher among them. */
  readonly #commands = new IdTable<Command>();
  /** Ids of commands before the dispatcher, in order. */
  readonly #fetched = new Fifo<number>();
  readonly records = new Map<number, SocketRecord>();
  /** Sockets with events of the stack not looked at yet, in order, and by socket the events; -1: it is not among them. */
  #noted: number[] = [];
  #spare: number[] = [];
  readonly #bits: number[] = [];
  /** Sockets that wait for room in the completion ring, and for the pool. */
  readonly #noRoom = new Set<number>();
  readonly #noBuffer = new Set<number>();
  #next = 1;
  readonly #service: Event;
  readonly #timeout: Event;

  constructor(of: ControlInterface) {
    this.of = of;
    this.#operations = new Operations(this);
    this.#service = of.event("service", () => this.#serve());
    this.#timeout = of.event("timeout", () => this.#timedOut());
  }

  get sockets(): number {
    return this.records.size;
  }
  /** Commands that hold a place. */
  get outstanding(): number {
    return this.#commands.size + this.of.rings.heldFinal;
  }
  /** MULTI commands pause: too many completions wait. */
  get crowded(): boolean {
    return this.of.rings.held >= HELD_MAX;
  }

  // Fetch and dispatch.

  /** Fetches what there is room for and tells the dispatcher. */
  fetch(): void {
    const { of } = this;
    const { core } = of;
    const { generation } = of;
    while (this.#fetched.length < core.prefetch && this.outstanding < core.outstanding) {
      const command = of.rings.fetch(this.#next);
      if (command === null || of.generation !== generation) return;
      this.#next++;
      this.#commands.add(command);
      this.#fetched.push(command.id);
      core.submitted(of.number, costOf(command, core.minimumCost));
    }
  }

  /** The dispatcher has chosen this interface: its first command enters the pipeline. */
  take(): Command | null {
    const id = this.#fetched.shift();
    return (id === undefined ? undefined : this.#commands.get(id)) ?? null;
  }

  /** The command's time in the pipeline is over. */
  execute(id: number): void {
    const command = this.#commands.get(id);
    if (command === undefined) return;
    this.of.count(COUNTER.DISPATCHED, 1);
    const status = checkForm(command);
    if (status !== STATUS.SUCCESS) {
      this.finish(command, status);
      return;
    }
    if (command.timeout > 0) {
      command.deadline = this.of.simulation.now + command.timeout * US;
      this.#timeout.notify(command.timeout * US);
    }
    this.#operations.execute(command);
  }

  // Completion.

  /** The last completion of a command. `moved`: payload bytes that pass the receive pipeline first. */
  finish(command: Command, status: number, result: Result = NOTHING, moved = 0): void {
    if (!this.#commands.delete(command.id)) return;
    this.#complete(command, status, result, moved);
  }
  /** One of several completions: the command stays. */
  report(command: Command, result: Result, moved: number): void {
    this.#complete(command, STATUS.SUCCESS, { ...result, flags: (result.flags ?? 0) | DONE.MORE }, moved);
  }
  /** SUCCESS, or the status of the error. */
  conclude(command: Command, outcome: Outcome<unknown>, result: Result = NOTHING): void {
    this.finish(command, outcome.ok ? STATUS.SUCCESS : STATUS_OF[outcome.error], outcome.ok ? result : NOTHING);
  }

  #complete(command: Command, status: number, result: Result, moved: number): void {
    const { of } = this;
    of.rings.hold({
      command,
      status,
      result: result.result ?? command.done,
      flags: result.flags ?? 0,
      socket: result.socket ?? command.socket,
      bufferId: result.bufferId ?? NO_BUFFER,
      buffer: result.buffer ?? 0,
      address: result.address ?? null,
      port: result.port ?? 0,
      ready: of.core.receivePipeline(moved),
    });
    of.kick();
  }

  /** All outstanding commands end with `status`; their sockets' queues are left to `clear`. */
  completeAll(status: number): void {
    for (const command of this.#commands.all()) this.finish(command, status);
  }

  /** Forgets everything. */
  clear(): void {
    this.#commands.clear();
    this.#fetched.clear();
    this.records.clear();
    this.#forgetEvents();
    this.#noRoom.clear();
    this.#noBuffer.clear();
    this.#service.cancel();
    this.#timeout.cancel();
  }

  // Cancellation and time-outs.

  /** Ends commands that wait and that `which` picks; returns how many. Not those before the dispatcher. */
  cancel(which: (command: Command) => boolean, status: number): number {
    const early = new Set(this.#fetched.toArray());
    const found = this.#commands.all().filter((c) => !early.has(c.id) && this.#waits(c) && which(c));
    for (const command of found) {
      this.recordOf(command)?.remove(command);
      this.finish(command, status);
      if (command.opcode === OPCODE.SEND) this.touch(command.socket);
    }
    return found.length;
  }
  #waits(command: Command): boolean {
    return this.recordOf(command)?.queues.some((q) => q.includes(command)) ?? false;
  }
  recordOf(command: Command): SocketRecord | undefined {
    return this.records.get(command.socket);
  }

  #timedOut(): void {
    const { now } = this.of.simulation;
    this.cancel((c) => c.deadline <= now, STATUS.COMMAND_TIMEOUT);
    let next = NEVER;
    for (const { deadline } of this.#commands.all()) if (deadline > now && deadline < next) next = deadline;
    if (next !== NEVER) this.#timeout.scheduleAt(next);
  }

  // Events of the stack.

  /** EVENT_* of a socket became true. */
  happened(socket: number, events: number): void {
    while (this.#bits.length <= socket) this.#bits.push(-1);
    const before = this.#bits[socket] as number;
    if (before < 0) this.#noted.push(socket);
    this.#bits[socket] = before < 0 ? events : before | events;
    this.#service.notify(0);
  }
  #forgetEvents(): void {
    this.#noted.length = 0;
    this.#bits.length = 0;
  }
  /** A socket's commands are looked at again. */
  touch(socket: number): void {
    this.happened(socket, 0);
  }
  /** A socket's MULTI command waits for room in the completion ring. */
  awaitRoom(socket: number): void {
    this.#noRoom.add(socket);
  }
  awaitBuffer(socket: number): void {
    this.#noBuffer.add(socket);
  }
  /** Completions were written. */
  roomAgain(): void {
    if (this.#noRoom.size > 0 && !this.crowded) this.#wake(this.#noRoom);
  }
  /** The pool was filled. */
  buffersAgain(): void {
    this.#wake(this.#noBuffer);
  }
  #wake(sockets: Set<number>): void {
    for (const socket of sockets) this.touch(socket);
    sockets.clear();
  }

  #serve(): void {
    const { of } = this;
    if (!of.running) return;
    const { generation } = of;
    const sockets = this.#noted;
    this.#noted = this.#spare;
    this.#spare = sockets;
    const events = sockets.map((socket) => this.#bits[socket] as number);
    for (const socket of sockets) this.#bits[socket] = -1;
    for (let i = 0; i < sockets.length && of.generation === generation; i++) {
      const record = this.records.get(sockets[i] as number);
      if (record !== undefined) this.#operations.serve(record, events[i] as number);
    }
    sockets.length = 0;
    if (of.generation === generation) of.kick();
  }

  // State.

  save(): StateValue {
    return {
      next: this.#next,
      commands: this.#commands.all().map(saveCommand),
      fetched: this.#fetched.toArray(),
      records: [...this.records.values()].map((r) => r.save()),
      events: this.#noted.flatMap((socket) => [socket, this.#bits[socket] as number]),
      noRoom: [...this.#noRoom],
      noBuffer: [...this.#noBuffer],
    };
  }
  load(value: StateValue, path: string): void {
    const v = value as { [name: string]: StateValue };
    const list = (name: string) => (Array.isArray(v[name]) ? (v[name] as StateValue[]) : []);
    this.#commands.clear();
    this.records.clear();
    this.#forgetEvents();
    this.#noRoom.clear();
    this.#noBuffer.clear();
    this.#next = typeof v["next"] === "number" ? v["next"] : 1;
    list("commands").forEach((saved, i) => {
      const command = loadCommand(saved, `${path}.commands[${i}]`);
      this.#commands.add(command);
    });
    this.#fetched.set(list("fetched") as number[]);
    for (const saved of list("records")) {
      const record = SocketRecord.load(saved, this.#commands);
      this.records.set(record.id, record);
    }
    const flat = list("events") as number[];
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const socket = flat[i] as number;
      while (this.#bits.length <= socket) this.#bits.push(-1);
      this.#noted.push(socket);
      this.#bits[socket] = flat[i + 1] as number;
    }
    for (const socket of list("noRoom")) this.#noRoom.add(socket as number);
    for (const socket of list("noBuffer")) this.#noBuffer.add(socket as number);
  }
  reset(): void {
    this.clear();
    this.#next = 1;
  }

  /** CANCEL, manual 7. */
  cancelCommand(command: Command): void {
    const all = (command.flags & FLAG.ALL) !== 0;
    const n = this.cancel((c) => (all ? c.socket === command.socket : c.tag === command.arg0), STATUS.CANCELED);
    this.finish(command, n > 0 ? STATUS.SUCCESS : STATUS.NOT_FOUND, { result: n });
  }
}
