/**
 * The hypervisor's own control interface of the TOE, through which it runs the sockets of all VMs that have an emulated one (docs/devices/toe.md). It is
 * EL2 software: registers by the CPU that it runs on, rings in memory of its own. A command carries in its `user` field whose it is.
 */
import type { Port } from "../../bus/index.ts";
import { IRQ, OPCODE } from "../../devices/toe/codes.ts";
import { COMMAND_BYTES } from "../../devices/toe/command.ts";
import { TOE_INTERFACE } from "../../devices/toe/registers/index.ts";
import { Module, SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";

const R = TOE_INTERFACE.registers;
const READY = 1;

/** Commands and completions are of one size. */
export const ENTRY_BYTES = COMMAND_BYTES;
const LOG2 = 10;
const ENTRIES = 1 << LOG2;
/** Memory of both rings. */
export const BACKEND_BYTES = 2 * ENTRIES * ENTRY_BYTES;

/** The owner of commands whose completion nobody waits for. */
const NOBODY = 0xffff_ffff;

/** Who a completion goes to. */
export interface BackendUser {
  /** `request` is what `submit` was given; the bytes are valid during the call. */
  completed(cpu: PhysicalCpu, request: number, completion: DataView): void;
}

/** What an emulated interface needs of it. */
export type Backend = Pick<ToeBackend, "add" | "start" | "nextRequest" | "submit" | "ring" | "abort">;

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
    sqTail: number;
    sqHead: number;
    cqHead: number;
    phase: number;
    outstanding: number;
    serial: number;
  };
  readonly #waiting = this.part("waiting", new Waiting());
  readonly #entry = new Uint8Array(ENTRY_BYTES);
  readonly #view = new DataView(this.#entry.buffer);

  constructor(parent: Module, name: string, options: BackendOptions) {
    super(parent, name);
    this.options = options;
    this.#c = this.state({ started: false, sqTail: 0, sqHead: 0, cqHead: 0, phase: 1, outstanding: 0, serial: 0 });
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
    address(R.CQ_BASE.at, rings + ENTRIES * ENTRY_BYTES);
    cpu.write(base + R.CQ_SIZE.at, 4, LOG2);
    cpu.write(base + R.INTERRUPT_ENABLE.at, 4, IRQ.COMPLETION | IRQ.ERROR);
    cpu.write(base + R.CONTROL.at, 4, 1);
    c.started = (cpu.read(base + R.STATUS.at, 4) & READY) !== 0;
    return c.started;
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

  /** The interface's interrupt: completions go to their users. */
  interrupt(cpu: PhysicalCpu): void {
    const c = this.#c;
    const { base, rings, port } = this.options;
    cpu.write(base + R.INTERRUPT_STATUS.at, 4, cpu.read(base + R.INTERRUPT_STATUS.at, 4));
    let count = 0;
    for (;;) {
      const at = rings + (ENTRIES + c.cqHead) * ENTRY_BYTES;
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
    this.ring(cpu);
  }
}
