/**
 * What software sees of a control interface whoever stands behind it: registers, rings, interrupts, enabling, reset and errors (docs/devices/toe.md 3 to
 * 6, 11, 14). The device's own interfaces are one kind; a hypervisor that shows a virtual machine an interface builds on it too.
 */
import { type Hooks, type HooksOf, RegisterBank } from "../../registers/index.ts";
import { type Line, Module, NEVER, type Simulation, type StateValue, type Time } from "../../sim/index.ts";
import { CAUSE, COUNTER, IRQ, STATUS } from "./codes.ts";
import { Interrupts } from "./interrupts.ts";
import { TOE_INTERFACE } from "./registers/index.ts";
import { Rings } from "./rings.ts";

export type InterfaceRegister = keyof (typeof TOE_INTERFACE)["registers"];
export type InterfaceHooks = HooksOf<typeof TOE_INTERFACE>;

/** Memory as the interface's user names it; false: not there. */
export interface Blocks {
  readBlock(address: number, into: Uint8Array): boolean;
  writeBlock(address: number, data: Uint8Array): boolean;
}

const ENABLE = 1;
const RESET = 2;

export abstract class InterfaceFrame extends Module {
  readonly bank: RegisterBank<typeof TOE_INTERFACE>;
  /** The interrupt, for a controller that takes levels. */
  readonly interrupt: Line = this.line("interrupt");
  readonly interrupts: Interrupts;
  readonly rings: Rings;
  /** Goes up whenever the interface stops: whoever is in the middle of something leaves it. */
  generation = 0;
  readonly #c: { running: boolean; granted: boolean; halted: boolean; failed: boolean };
  readonly #counters: Float64Array;
  #stopping = false;

  constructor(parent: Module | Simulation, name: string, granted: boolean) {
    super(parent, name);
    this.#c = this.state({ running: false, granted, halted: false, failed: false }, "control");
    this.#counters = this.state({ counters: new Float64Array(32) }, "counters").counters;
    this.bank = this.part("registers", new RegisterBank(this, TOE_INTERFACE, { ...this.#hooks(), ...this.values() }));
    this.rings = this.part("rings", new Rings(this));
    this.interrupts = new Interrupts(this);
  }

  // What stands behind it.

  /** Registers that it computes. Called while this is constructed: hooks may use the object only when they are called. */
  protected abstract values(): InterfaceHooks;
  abstract get port(): Blocks;
  protected abstract get carrier(): boolean;
  /** Something can go on: calls `run`, now or soon. */
  abstract kick(): void;
  /** CONTROL.ENABLE is set and the rings are good; false: it cannot serve. */
  protected abstract begin(): boolean;
  /** Fetches commands for which there is room. */
  protected abstract fetch(): void;
  /** Completions that were held back have been written. */
  protected abstract roomAgain(): void;
  /** The pool was filled. */
  protected abstract buffersAgain(): void;
  /** Completes all that is outstanding with `status`. */
  protected abstract completeAll(status: number): void;
  /** Forgets everything; `ran`: it was READY. */
  protected abstract forget(ran: boolean): void;
  /** An error was recorded. */
  protected onError(): void {}

  // For the rooms.

  cells<T extends Record<string, StateValue>>(initial: T, part: string): T {
    return this.state(initial, part);
  }
  reg(name: InterfaceRegister): number {
    return this.bank.values[this.bank.slot[name]] as number;
  }
  setReg(name: InterfaceRegister, value: number): void {
    this.bank.values[this.bank.slot[name]] = value;
  }
  count(counter: number, by: number): void {
    this.#counters[counter] = (this.#counters[counter] as number) + by;
  }
  counter(k: number): number {
    return this.#counters[k] as number;
  }
  /** READY. */
  get running(): boolean {
    return this.#c.running;
  }
  get failed(): boolean {
    return this.#c.failed;
  }

  /** Writes what waits, fetches what there is room for. When a completion is due next, NEVER where none is. */
  protected run(): Time {
    if (!this.#c.running) return NEVER;
    const { generation, rings } = this;
    const { held } = rings;
    rings.flush(this.simulation.now);
    if (this.generation !== generation) return NEVER;
    if (rings.held < held) this.roomAgain();
    rings.flushEvents();
    if (this.generation !== generation) return NEVER;
    this.fetch();
    return this.generation === generation ? rings.due : NEVER;
  }

  // Errors.

  /** Records an error that does not stop the interface. */
  error(cause: number, address = 0): void {
    this.setReg("ERROR_CAUSE", cause);
    const slot = this.bank.slot.ERROR_ADDRESS;
    this.bank.values[slot] = address | 0;
    this.bank.values[slot + 1] = Math.floor(address / 4294967296);
    this.guestError({
      kind:
        cause === CAUSE.SUBMISSION || cause === CAUSE.COMPLETION || cause === CAUSE.EVENT || cause === CAUSE.POOL
          ? "dma"
          : "value",
      register: "ERROR_CAUSE",
      value: cause,
      address,
      clause: "TOE technical reference manual 5",
      detail: `interface error, cause ${cause}`,
    });
    this.interrupts.set(IRQ.ERROR);
    this.onError();
  }

  /** An error that stops the interface until it is reset. */
  fail(cause: number, address = 0): void {
    this.#c.failed = true;
    this.stop(STATUS.INTERFACE_DISABLED, cause !== CAUSE.COMPLETION);
    this.error(cause, address);
  }

  // Enabling and reset, manual 4.

  get granted(): boolean {
    return this.#c.granted;
  }
  /** IF_CONTROL.ENABLE. */
  grant(granted: boolean): void {
    const c = this.#c;
    if (granted === c.granted) return;
    c.granted = granted;
    if (granted) {
      this.configure();
      this.#start();
    } else {
      const ran = c.running;
      this.stop(STATUS.INTERFACE_DISABLED, true);
      if (ran) {
        c.halted = true;
        this.error(CAUSE.DISABLED);
      }
    }
  }
  /** Takes over what management has set. */
  configure(): void {}

  #start(): void {
    const c = this.#c;
    if (c.running || !c.granted || c.halted || c.failed || (this.reg("CONTROL") & ENABLE) === 0) return;
    if (!this.rings.start() || !this.begin()) {
      c.failed = true;
      this.error(CAUSE.RING);
      return;
    }
    c.running = true;
    this.configure();
  }

  /** Completes all that is outstanding with `status` and forgets the sockets. */
  protected stop(status: number, write: boolean): void {
    if (this.#stopping) return;
    this.#stopping = true;
    const { running } = this.#c;
    if (running) this.completeAll(status);
    this.generation++;
    if (running && write) this.rings.flush(0, true);
    this.#c.running = false;
    this.generation++;
    this.rings.clear();
    this.forget(running);
    this.#stopping = false;
  }

  /** CONTROL.RESET and IF_CONTROL.RESET. */
  resetInterface(): void {
    this.stop(STATUS.INTERFACE_RESET, true);
    this.bank.reset();
    this.rings.reset();
    this.interrupts.reset();
    this.#counters.fill(0);
    this.#c.failed = false;
    this.#c.halted = false;
  }

  #controlWritten(written: number, before: number): void {
    if ((written & RESET) !== 0) {
      this.resetInterface();
      return;
    }
    const enabled = (this.reg("CONTROL") & ENABLE) !== 0;
    if (enabled && (before & ENABLE) === 0) this.#start();
    else if (!enabled && (before & ENABLE) !== 0) {
      this.stop(STATUS.INTERFACE_DISABLED, true);
      this.#c.halted = false;
    }
  }

  // Registers.

  #hooks(): InterfaceHooks {
    const doorbell = (name: "SQ_TAIL" | "CQ_HEAD" | "EQ_HEAD" | "RP_TAIL", ring: "SQ" | "CQ" | "EQ" | "RP"): Hooks => ({
      onWrite: (_written, _mask, before) => {
        this.count(COUNTER.DOORBELLS, 1);
        if (!this.#c.running) return;
        if (this.reg(name) >= Math.max(1, this.rings.entries(ring))) {
          this.setReg(name, before);
          this.error(CAUSE.INDEX);
          return;
        }
        if (ring === "RP") {
          this.rings.poolRung();
          this.buffersAgain();
        }
        this.kick();
      },
    });
    return {
      CONTROL: { onWrite: (written, _mask, before) => this.#controlWritten(written, before) },
      STATUS: {
        get: () => {
          const c = this.#c;
          return (c.running ? 1 : 0) | (c.granted ? 2 : 0) | (c.failed ? 4 : 0) | (this.carrier ? 8 : 0);
        },
      },
      INTERRUPT_STATUS: { onWrite: () => this.interrupts.update(true) },
      INTERRUPT_ENABLE: { onWrite: () => this.interrupts.update(true) },
      INTERRUPT_SET: { onWrite: (written) => this.interrupts.set(written & 31) },
      SQ_TAIL: doorbell("SQ_TAIL", "SQ"),
      CQ_HEAD: doorbell("CQ_HEAD", "CQ"),
      EQ_HEAD: doorbell("EQ_HEAD", "EQ"),
      RP_TAIL: doorbell("RP_TAIL", "RP"),
      COUNTER: { get: (index, _cpu, word) => half(this.counter(index), word) },
    };
  }

  protected override onReset(): void {
    this.#stopping = false;
    this.generation++;
  }
}

/** A count's low or high word. */
export function half(value: number, word: number): number {
  return word === 0 ? value | 0 : Math.floor(value / 4294967296) | 0;
}
