/** A vCPU of an abstract guest: its program's routines, the operation under way, registers and timer. */
import { NEVER, type StateHash, type Time } from "../../sim/index.ts";
import type { GuestStart, VcpuContext } from "../physical-cpu.ts";
import { COMPUTE, Guest, type GuestProgram, type GuestState, OperationRecord, type Routine } from "./program.ts";

/** The next operation is to be asked of the routine. */
export const READY = 0;
/** An operation is to be begun, or begun again after a fault. */
export const BEGIN = 1;
/** The operation has had its effect and takes `remaining` ticks more. */
export const BUSY = 2;

/** A routine that an interrupt has stopped. */
interface Frame {
  readonly routine: Routine;
  readonly operation: OperationRecord;
  readonly status: number;
  readonly remaining: number;
  readonly result: number;
  readonly abort: number;
  readonly masked: boolean;
}

export class AbstractContext implements VcpuContext, GuestState {
  readonly kind = "abstract";
  readonly program: GuestProgram;
  readonly vcpu: number;
  readonly operation = new OperationRecord();
  readonly guest: Guest;
  status = READY;
  remaining = 0;
  /** Of the operation that is done, for the routine. */
  result = 0;
  /** Address of the access that ended in an external abort, or -1. */
  abort = -1;
  masked = true;
  /** Time as the program sees it. */
  time: Time = 0;
  /** Instant of the virtual timer, NEVER when off. */
  timerDeadline: Time = NEVER;
  readonly #registers = new Int32Array(64);
  readonly #frames: Frame[] = [];
  /** A record for the next frame. */
  #spare: OperationRecord | null = null;
  #routine: Routine | null = null;
  /** Operations begun: for the hash, in place of the routine's own state. */
  operations = 0;

  constructor(program: GuestProgram, vcpu: number) {
    this.program = program;
    this.vcpu = vcpu;
    this.guest = new Guest(this);
  }

  get routine(): Routine {
    this.#routine ??= this.program.main(this.guest);
    return this.#routine;
  }
  get started(): boolean {
    return this.#routine !== null;
  }
  get handlesInterrupts(): boolean {
    return this.program.interrupt !== undefined;
  }
  get inHandler(): boolean {
    return this.#frames.length > 0;
  }

  /** The interrupt routine runs, interrupts masked, until `leaveInterrupt`. */
  enterInterrupt(): void {
    const { program, routine, status, remaining, result, abort, masked } = this;
    const operation = this.#spare ?? new OperationRecord();
    this.#spare = null;
    operation.copyFrom(this.operation);
    this.#frames.push({ routine, operation, status, remaining, result, abort, masked });
    this.#routine = program.interrupt?.(this.guest) ?? null;
    this.status = READY;
    this.remaining = 0;
    this.result = 0;
    this.abort = -1;
    this.masked = true;
  }

  leaveInterrupt(): void {
    const frame = this.#frames.pop();
    if (!frame) return;
    this.#routine = frame.routine;
    this.operation.copyFrom(frame.operation);
    this.#spare = frame.operation;
    this.status = frame.status;
    this.remaining = frame.remaining;
    this.result = frame.result;
    this.abort = frame.abort;
    this.masked = frame.masked;
  }

  /** An abort that nobody caught: what the interrupt stopped is given up, too. */
  abandon(): void {
    this.#frames.length = 0;
    this.masked = true;
  }

  low(register: number): number {
    return register >= 31 ? 0 : (this.#registers[2 * register] as number);
  }
  high(register: number): number {
    return register >= 31 ? 0 : (this.#registers[2 * register + 1] as number);
  }
  setRegister(register: number, low: number, high: number): void {
    if (register >= 31) return;
    this.#registers[2 * register] = low;
    this.#registers[2 * register + 1] = high;
  }

  /** To the program's beginning, with `x0` in X0; where an AArch64 guest begins is nothing to it. */
  reset(start: GuestStart = { entry: 0, x0: 0 }): void {
    this.#registers.fill(0);
    this.setRegister(0, start.x0 | 0, Math.floor(start.x0 / 2 ** 32) | 0);
    this.timerDeadline = NEVER;
    this.#routine = null;
    this.#frames.length = 0;
    this.operation.kind = COMPUTE;
    this.status = READY;
    this.remaining = 0;
    this.result = 0;
    this.abort = -1;
    this.masked = true;
  }

  hash(hash: StateHash): void {
    const { operation: op } = this;
    hash.word(this.vcpu).word(this.status).number(this.remaining).number(this.result).number(this.timerDeadline);
    hash
      .word(this.masked ? 1 : 0)
      .word(this.#frames.length)
      .number(this.operations)
      .number(this.abort);
    hash.word(op.kind).number(op.address).word(op.low).word(op.high).number(op.amount).word(op.position);
    hash.words(this.#registers);
  }
}
