/**
 * The hypervisor's own control interface of the TOE, through which it runs the sockets of all VMs that have an emulated one (docs/devices/toe.md). It is
 * EL2 software: registers by the CPU that it runs on, rings in memory of its own. A command carries in its `user` field whose it is.
 */
import type { Port } from "../../bus/index.ts";
import { IRQ, OPCODE } from "../../devices/toe/codes.ts";
import { COMMAND_BYTES, EVENT_BYTES } from "../../devices/toe/command.ts";
import { TOE_INTERFACE } from "../../devices/toe/registers/index.ts";
import { Module, SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";

const R = TOE_INTERFACE.registers;
const READY = 1;
const LINK = 8;

/** Commands and completions are of one size. */
const ENTRY_BYTES = COMMAND_BYTES;
const LOG2 = 10;
/** Of each ring. */
const ENTRIES = 1 << LOG2;
const COMPLETIONS = ENTRIES * ENTRY_BYTES;
const EVENTS = 2 * COMPLETIONS;
/** Memory of the rings: commands, completions, events. */
export const BACKEND_BYTES = EVENTS + ENTRIES * EVENT_BYTES;

/** The owner of commands whose completion nobody waits for. */
const NOBODY = 0xffff_ffff;

/** Who a completion goes to. */
export interface BackendUser {
  /** `request` is what `submit` was given; the bytes are valid during the call. */
  completed(cpu: PhysicalCpu, request: number, completion: DataView): void;
  /** Events of a socket of the interface; false where it is not this user's. */
  happened(socket: number, events: number, status: number): boolean;
  /** All that has come is told. */
  settle(): void;
  linkChanged(): void;
}

/** What an emulated interface needs of it. */
export type Backend = Pick<ToeBackend, "add" | "carrier" | "start" | "nextRequest" | "submit" | "ring" | "abort">;

export interface BackendOptions {
  /** Frame of the interface. */
  readonly base: number;
  /** `BACKEND_BYTES` of the hypervisor's memory, 64-byte aligned. */
  readonly rings: number;
  readonly port: Port;
}

/** Commands that wait for room in the ring, in order. */
class Waiting implements StatePart {
  readonly list: Uint8Array[] = [];
  save(): StateValue {
    return this.list.map((c) => c.slice());
  }
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list`);
    this.list.length = 0;
    for (const item of value) {
      if (!(item instanceof Uint8Array)) throw new SnapshotError(`${path}: expected commands`);
      this.list.push(item.slice());
    }
  }
  reset(): void {
    this.list.length = 0;
  }
}

export class ToeBackend extends Module {
  readonly options: BackendOptions;
  readonly #users: BackendUser[] = [];
  readonly #c: {
    started: boolean;
    carrier: boolean;
    sqTail: number;
    sqHead: number;
    cqHead: number;
    phase: number;
    eqHead: number;
    eqPhase: number;
    outstanding: number;
    serial: number;
  };
  readonly #waiting = this.part("waiting", new Waiting());
  readonly #entry = new Uint8Array(ENTRY_BYTES);
  readonly #view = new DataView(this.#entry.buffer);
  readonly #event = new Uint8Array(EVENT_BYTES);
  readonly #eventView = new DataView(this.#event.buffer);

  constructor(parent: Module, name: string, options: BackendOptions) {
    super(parent, name);
    this.options = options;
    this.#c = this.state({
      started: false,
      carrier: true,
      sqTail: 0,
      sqHead: 0,
      cqHead: 0,
      phase: 1,
      eqHead: 0,
      eqPhase: 1,
      outstanding: 0,
      serial: 0,
    });
  }

  /** Adds a user; the number stands for it in commands. */
  add(user: BackendUser): number {
    return this.#users.push(user) - 1;
  }

  /** A number for a request that no other has, nor had. */
  nextRequest(): number {
    this.#c.serial = (this.#c.serial + 1) & 0x7fff_ffff;
    return this.#c.serial;
  }

  /** The network port has a link, as far as is known. */
  get carrier(): boolean {
    return this.#c.carrier;
  }

  /** Sets the interface up at the first use. False: it is not granted. */
  start(cpu: PhysicalCpu): boolean {
    const c = this.#c;
    if (c.started) return true;
    const { base, rings, port } = this.options;
    cpu.write(base + R.CONTROL.at, 4, 2);
    port.writeBlock(rings, new Uint8Array(BACKEND_BYTES));
    const address = (register: number, at: number): void => {
      cpu.write(base + register, 4, at >>> 0);
      cpu.write(base + register + 4, 4, Math.floor(at / 2 ** 32));
    };
    address(R.SQ_BASE.at, rings);
    cpu.write(base + R.SQ_SIZE.at, 4, LOG2);
    address(R.CQ_BASE.at, rings + COMPLETIONS);
    cpu.write(base + R.CQ_SIZE.at, 4, LOG2);
    address(R.EQ_BASE.at, rings + EVENTS);
    cpu.write(base + R.EQ_SIZE.at, 4, LOG2);
    cpu.write(base + R.INTERRUPT_ENABLE.at, 4, IRQ.COMPLETION | IRQ.EVENT | IRQ.ERROR | IRQ.LINK);
    cpu.write(base + R.CONTROL.at, 4, 1);
    this.#look(cpu);
    return c.started;
  }
  #look(cpu: PhysicalCpu): void {
    const status = cpu.read(this.options.base + R.STATUS.at, 4);
    this.#c.started = (status & READY) !== 0;
    this.#c.carrier = (status & LINK) !== 0;
  }

  /** Puts a command, but for its `user` field, into the ring, or in line for it. `ring` has to be called after the last. */
  submit(user: number, request: number, command: Uint8Array): void {
    const own = command.slice();
    const view = new DataView(own.buffer);
    view.setUint32(4, request, true);
    view.setUint32(56, request, true);
    view.setUint32(60, user >>> 0, true);
    this.#waiting.list.push(own);
  }

  /** The doorbell, when there is something new. */
  ring(cpu: PhysicalCpu): void {
    const c = this.#c;
    if (!c.started) return;
    const { base, rings, port } = this.options;
    const { list } = this.#waiting;
    let n = 0;
    while (n < list.length && (c.sqTail + 1) % ENTRIES !== c.sqHead && c.outstanding < ENTRIES - 1) {
      port.writeBlock(rings + c.sqTail * ENTRY_BYTES, list[n] as Uint8Array);
      c.sqTail = (c.sqTail + 1) % ENTRIES;
      c.outstanding++;
      n++;
    }
    if (n === 0) return;
    list.splice(0, n);
    cpu.write(base + R.SQ_TAIL.at, 4, c.sqTail);
  }

  /** Closes a socket with RST; nobody hears of it. */
  abort(socket: number): void {
    const command = new Uint8Array(ENTRY_BYTES);
    command[0] = OPCODE.ABORT;
    new DataView(command.buffer).setUint32(8, socket, true);
    this.submit(NOBODY, 0, command);
  }

  /** The interface's interrupt: events and completions go to their users. */
  interrupt(cpu: PhysicalCpu): void {
    const { base } = this.options;
    const causes = cpu.read(base + R.INTERRUPT_STATUS.at, 4);
    cpu.write(base + R.INTERRUPT_STATUS.at, 4, causes);
    // events first: a number that a completion gives to a new socket may have been another's, whose events are in the ring still
    if ((causes & IRQ.EVENT) !== 0) this.#events(cpu);
    this.#completions(cpu);
    if ((causes & IRQ.LINK) !== 0) {
      this.#look(cpu);
      for (const user of this.#users) user.linkChanged();
    }
    for (const user of this.#users) user.settle();
    this.ring(cpu);
  }

  #events(cpu: PhysicalCpu): void {
    const c = this.#c;
    const { base, rings, port } = this.options;
    for (let count = 0; ; count++) {
      port.readBlock(rings + EVENTS + c.eqHead * EVENT_BYTES, this.#event);
      if (((this.#event[15] as number) & 1) !== c.eqPhase) {
        if (count > 0) cpu.write(base + R.EQ_HEAD.at, 4, c.eqHead);
        return;
      }
      c.eqHead = (c.eqHead + 1) % ENTRIES;
      if (c.eqHead === 0) c.eqPhase ^= 1;
      const socket = this.#eventView.getUint32(0, true);
      const bits = this.#eventView.getUint32(4, true);
      for (const user of this.#users) if (user.happened(socket, bits, this.#event[8] as number)) break;
    }
  }

  #completions(cpu: PhysicalCpu): void {
    const c = this.#c;
    const { base, rings, port } = this.options;
    let count = 0;
    for (;;) {
      const at = rings + COMPLETIONS + c.cqHead * ENTRY_BYTES;
      if (((port.read(at + 60, 4) >>> 24) & 1) !== c.phase) break;
      port.readBlock(at, this.#entry);
      c.cqHead = (c.cqHead + 1) % ENTRIES;
      if (c.cqHead === 0) c.phase ^= 1;
      c.sqHead = this.#view.getUint16(50, true);
      c.outstanding--;
      count++;
      const user = this.#users[this.#view.getUint32(4, true)];
      user?.completed(cpu, this.#view.getUint32(0, true), this.#view);
    }
    if (count > 0) cpu.write(base + R.CQ_HEAD.at, 4, c.cqHead);
  }
}
