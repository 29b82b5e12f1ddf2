/**
 * Guest programs in TypeScript: generators that yield what the guest does to its machine and get the result back.
 *
 *     const status = yield g.load(UART + 0x18);
 *     yield g.compute(200);
 *
 * Between two yields no simulated time passes. Addresses are those of the VM (intermediate physical; there is no stage 1). Values are 32 bits,
 * 0 to 2^32 - 1; of 64-bit values the low half is the result and `high` the other. A routine calls another with `yield*`.
 */
import type { Time } from "../../sim/index.ts";

export type Routine<R = void> = Generator<Operation, R, number>;

export interface GuestProgram {
  readonly name: string;
  /** Runs on each vCPU from its start; when it returns, the VM asks PSCI to switch it off. */
  main(guest: Guest): Routine;
  /** Runs when an interrupt is signalled and not masked; interrupts are masked until it returns. */
  interrupt?(guest: Guest): Routine;
}

/** What a routine does next. Opaque: made by the methods of `Guest`, used at once. */
export interface Operation {
  readonly kind: number;
}

export const COMPUTE = 0;
export const LOAD = 1;
export const STORE = 2;
export const READ_BLOCK = 3;
export const WRITE_BLOCK = 4;
export const WAIT = 5;
export const YIELD = 6;
export const HYPERCALL = 7;
export const SECURE_CALL = 8;
export const SET_TIMER = 9;
export const CLEAR_BITS = 10;

/** An external abort at a guest's access, thrown into its routine. One that nobody catches ends the program. */
export class GuestAbort extends Error {
  override readonly name = "GuestAbort";
  readonly address: number;

  constructor(address: number) {
    super(`external abort at 0x${address.toString(16)}`);
    this.address = address;
  }
}

/** The operation under way of one vCPU, with its operands. */
export class OperationRecord implements Operation {
  kind = COMPUTE;
  address = 0;
  size = 0;
  low = 0;
  high = 0;
  data: Uint8Array = new Uint8Array(0);
  /** Block transfers: bytes done. */
  position = 0;
  /** COMPUTE: cycles; SET_TIMER: the instant. */
  amount = 0;

  copyFrom(other: OperationRecord): void {
    this.kind = other.kind;
    this.address = other.address;
    this.size = other.size;
    this.low = other.low;
    this.high = other.high;
    this.data = other.data;
    this.position = other.position;
    this.amount = other.amount;
  }
}

/** What `Guest` needs of the vCPU that it stands for. */
export interface GuestState {
  readonly vcpu: number;
  readonly operation: OperationRecord;
  readonly time: Time;
  masked: boolean;
  setRegister(register: number, low: number, high: number): void;
  low(register: number): number;
  high(register: number): number;
}

/** A program's view of its vCPU. */
export class Guest {
  readonly #state: GuestState;
  readonly #operation: OperationRecord;

  constructor(state: GuestState) {
    this.#state = state;
    this.#operation = state.operation;
  }

  /** Number of this vCPU in its VM. */
  get vcpu(): number {
    return this.#state.vcpu;
  }
  /** Simulated time at this point of the program, in units of 100 ps: the stopwatch of experiments, without cost. */
  get now(): Time {
    return this.#state.time;
  }
  /** High half of the last 64-bit load. */
  get high(): number {
    return this.#operation.high;
  }
  /** General register n (0 to 30) after a hypercall; PSCI's context identifier is in 0 at the start. */
  register(n: number): number {
    return this.#state.low(n) >>> 0;
  }

  /** Interrupts are masked at the start (PSTATE.I). */
  unmask(): void {
    this.#state.masked = false;
  }
  mask(): void {
    this.#state.masked = true;
  }

  load(address: number, size: 1 | 2 | 4 | 8 = 4): Operation {
    const op = this.#operation;
    op.kind = LOAD;
    op.address = address;
    op.size = size;
    return op;
  }
  store(address: number, value: number, size: 1 | 2 | 4 | 8 = 4, high = 0): Operation {
    const op = this.#operation;
    op.kind = STORE;
    op.address = address;
    op.size = size;
    op.low = value;
    op.high = high;
    return op;
  }
  /** Clears bits of a word of memory in one step (LDCLR); the result is the word before. */
  clearBits(address: number, bits: number): Operation {
    const op = this.#operation;
    op.kind = CLEAR_BITS;
    op.address = address;
    op.size = 4;
    op.low = bits;
    return op;
  }
  /** Works for that many cycles; interrupts are taken in between. */
  compute(cycles: number): Operation {
    const op = this.#operation;
    op.kind = COMPUTE;
    op.amount = cycles;
    return op;
  }
  /** Fills `into` from memory, at the cost of copying. */
  read(address: number, into: Uint8Array): Operation {
    const op = this.#operation;
    op.kind = READ_BLOCK;
    op.address = address;
    op.data = into;
    op.position = 0;
    return op;
  }
  /** Writes `from` to memory, at the cost of copying; it must not change before the operation is done. */
  write(address: number, from: Uint8Array): Operation {
    const op = this.#operation;
    op.kind = WRITE_BLOCK;
    op.address = address;
    op.data = from;
    op.position = 0;
    return op;
  }
  /** WFI: until an interrupt is signalled, masked or not. */
  wait(): Operation {
    this.#operation.kind = WAIT;
    return this.#operation;
  }
  /** WFE: somebody else may run. */
  yield(): Operation {
    this.#operation.kind = YIELD;
    return this.#operation;
  }
  /** HVC with an immediate and arguments for X0 to X3; the result is X0's low half. */
  hypercall(immediate: number, x0 = 0, x1 = 0, x2 = 0, x3 = 0): Operation {
    return this.#call(HYPERCALL, immediate, x0, x1, x2, x3);
  }
  /** SMC. */
  secureCall(immediate: number, x0 = 0, x1 = 0, x2 = 0, x3 = 0): Operation {
    return this.#call(SECURE_CALL, immediate, x0, x1, x2, x3);
  }
  #call(kind: number, immediate: number, ...x: readonly number[]): Operation {
    const op = this.#operation;
    op.kind = kind;
    op.low = immediate & 0xffff;
    for (let n = 0; n < x.length; n++) {
      const value = x[n] as number;
      this.#state.setRegister(n, value | 0, Math.floor(value / 2 ** 32) | 0);
    }
    return op;
  }
  /** The virtual timer raises its interrupt (PPI 11) at that instant; NEVER switches it off and lowers it. */
  setTimer(at: Time): Operation {
    const op = this.#operation;
    op.kind = SET_TIMER;
    op.amount = at;
    return op;
  }
}
