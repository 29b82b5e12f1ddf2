/**
 * One control interface: its registers, grant, reset, addresses and routes; rings, sockets and interrupts are in rooms of their own
 * (docs/devices/toe.md 3 to 6, 11, 13). Its protocols are a stack that no other interface can reach.
 */
import type { Port } from "../../bus/index.ts";
import type { Frame } from "../../net/index.ts";
import { type Hooks, type HooksOf, RegisterBank } from "../../registers/index.ts";
import { type Event, type Line, Module, NEVER, type StateValue } from "../../sim/index.ts";
import { isMapped, isZero, toEngine } from "./addresses.ts";
import { ADDRESSES, CAUSE, COUNTER, IRQ, ROUTES, STATUS } from "./codes.ts";
import type { Route, StackApi, StackConfiguration } from "./engine/api.ts";
import { Executor } from "./executor.ts";
import { Interrupts } from "./interrupts.ts";
import { TOE_INTERFACE } from "./registers/index.ts";
import { Rings } from "./rings.ts";
import type { ToeCore } from "./toe.ts";

export type InterfaceRegister = keyof (typeof TOE_INTERFACE)["registers"];

const ENABLE = 1;
const RESET = 2;
/** Bytes of an entry in the tables: address, gateway, prefix, valid. */
export const TABLE_ENTRY = 34;

export class ControlInterface extends Module {
  readonly core: ToeCore;
  readonly number: number;
  readonly bank: RegisterBank<typeof TOE_INTERFACE>;
  /** The interrupt, for a controller that takes levels. */
  readonly interrupt: Line = this.line("interrupt");
  readonly interrupts: Interrupts;
  readonly rings: Rings;
  readonly executor: Executor;
  readonly stack: StackApi;
  /** Goes up whenever the interface stops: whoever is in the middle of something leaves it. */
  generation = 0;
  readonly #c: { running: boolean; granted: boolean; halted: boolean; failed: boolean };
  readonly #counters: Float64Array;
  readonly #addresses: Uint8Array;
  readonly #routes: Uint8Array;
  readonly #pump: Event;
  #stopping = false;

  constructor(core: ToeCore, number: number) {
    super(core, `if${number}`);
    this.core = core;
    this.number = number;
    this.#c = this.state({ running: false, granted: false, halted: false, failed: false }, "control");
    this.#counters = this.state({ counters: new Float64Array(32) }, "counters").counters;
    const tables = this.state(
      { addresses: new Uint8Array(ADDRESSES * TABLE_ENTRY), routes: new Uint8Array(ROUTES * TABLE_ENTRY) },
      "tables",
    );
    this.#addresses = tables.addresses;
    this.#routes = tables.routes;
    this.bank = this.part("registers", new RegisterBank(this, TOE_INTERFACE, this.#hooks()));
    this.rings = this.part("rings", new Rings(this));
    this.interrupts = new Interrupts(this);
    this.#pump = this.event("pump", () => this.#run());
    this.stack = core.makeStack(this, "stack", {
      onSocket: (socket, events) => this.executor.happened(socket, events),
      transmit: (frame: Frame) => this.core.network.transmit(this.number, frame),
    });
    this.executor = this.part("executor", new Executor(this));
  }

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
  get port(): Port {
    return this.core.host.port(this.number);
  }
  /** READY. */
  get running(): boolean {
    return this.#c.running;
  }
  get failed(): boolean {
    return this.#c.failed;
  }
  get addresses(): Uint8Array {
    return this.#addresses;
  }
  get routes(): Uint8Array {
    return this.#routes;
  }

  /** Something can go on: commands to fetch, completions or events to write. Runs soon, at this instant. */
  kick(): void {
    this.#pump.notify(0);
  }

  #run(): void {
    if (!this.#c.running) return;
    const { now } = this.simulation;
    const { generation } = this;
    const { held } = this.rings;
    this.rings.flush(now);
    if (this.generation !== generation) return;
    if (this.rings.held < held) this.executor.roomAgain();
    this.rings.flushEvents();
    if (this.generation !== generation) return;
    this.executor.fetch();
    if (this.generation !== generation) return;
    const { due } = this.rings;
    if (due > now && due !== NEVER) this.#pump.notify(due - now);
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
    this.core.interfaceError(this.number);
  }

  /** An error that stops the interface until it is reset. */
  fail(cause: number, address = 0): void {
    this.#c.failed = true;
    this.#stop(STATUS.INTERFACE_DISABLED, cause !== CAUSE.COMPLETION);
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
      this.#stop(STATUS.INTERFACE_DISABLED, true);
      if (ran) {
        c.halted = true;
        this.error(CAUSE.DISABLED);
      }
    }
  }

  #start(): void {
    const c = this.#c;
    if (c.running || !c.granted || c.halted || c.failed || (this.reg("CONTROL") & ENABLE) === 0) return;
    if (!this.rings.start()) {
      c.failed = true;
      this.error(CAUSE.RING);
      return;
    }
    c.running = true;
    this.configure();
  }

  /** Completes all that is outstanding with `status` and forgets the sockets. */
  #stop(status: number, write: boolean): void {
    if (this.#stopping) return;
    this.#stopping = true;
    const { running } = this.#c;
    if (running) this.executor.completeAll(status);
    this.generation++;
    if (running && write) this.rings.flush(0, true);
    this.#c.running = false;
    this.generation++;
    this.rings.clear();
    this.executor.clear();
    this.core.dropInterface(this.number);
    this.#pump.cancel();
    if (running) this.stack.clear();
    this.#stopping = false;
  }

  /** CONTROL.RESET and IF_CONTROL.RESET. */
  resetInterface(): void {
    this.#stop(STATUS.INTERFACE_RESET, true);
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
      this.#stop(STATUS.INTERFACE_DISABLED, true);
      this.#c.halted = false;
    }
  }

  // Configuration, manual 13.

  /** Hands addresses, routes and quotas to the stack. */
  configure(): void {
    const { core, number } = this;
    const mac = core.macOf(number);
    const addresses: StackConfiguration["addresses"][number][] = [];
    for (const { address, prefix } of entriesOf(this.#addresses)) {
      const family = isMapped(address) ? 4 : 6;
      const own = toEngine(address, family);
      if (own !== null) addresses.push({ address: own, prefix: family === 4 ? prefix - 96 : prefix });
    }
    const routes: Route[] = [];
    for (const { address, gateway, prefix } of entriesOf(this.#routes)) {
      const family = isMapped(address) ? 4 : 6;
      const destination = toEngine(address, family);
      const via = isZero(gateway) ? null : toEngine(gateway, family);
      if (destination === null) continue;
      routes.push({
        destination,
        prefix: family === 4 ? prefix - 96 : prefix,
        ...(via === null ? {} : { gateway: via }),
      });
    }
    this.stack.configure({ mac, mtu: core.mtuOf(number), addresses, routes });
    this.stack.setQuotas(core.quotasOf(number));
  }

  /** A frame for this interface, without tag. */
  receive(frame: Frame): void {
    if (!this.#c.running) return;
    this.count(COUNTER.RECEIVED, 1);
    this.count(COUNTER.RECEIVED_BYTES, frame.length);
    this.stack.input(frame);
  }

  // Registers.

  #hooks(): HooksOf<typeof TOE_INTERFACE> {
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
          this.executor.buffersAgain();
        }
        this.kick();
      },
    });
    const value = (get: () => number): Hooks => ({ get });
    const { core } = this;
    const mac = (high: boolean) => {
      const m = core.macOf(this.number);
      const b = (i: number) => m[i] as number;
      return high ? b(4) | (b(5) << 8) : b(0) | (b(1) << 8) | (b(2) << 16) | (b(3) << 24);
    };
    return {
      NUMBER: value(() => this.number),
      MAX_COMMANDS: value(() => core.outstanding),
      CONTROL: { onWrite: (written, _mask, before) => this.#controlWritten(written, before) },
      STATUS: value(() => {
        const c = this.#c;
        return (c.running ? 1 : 0) | (c.granted ? 2 : 0) | (c.failed ? 4 : 0) | (core.network.carrier ? 8 : 0);
      }),
      INTERRUPT_STATUS: { onWrite: () => this.interrupts.update(true) },
      INTERRUPT_ENABLE: { onWrite: () => this.interrupts.update(true) },
      INTERRUPT_SET: { onWrite: (written) => this.interrupts.set(written & 31) },
      SQ_TAIL: doorbell("SQ_TAIL", "SQ"),
      CQ_HEAD: doorbell("CQ_HEAD", "CQ"),
      EQ_HEAD: doorbell("EQ_HEAD", "EQ"),
      RP_TAIL: doorbell("RP_TAIL", "RP"),
      MAC_LOW: value(() => mac(false)),
      MAC_HIGH: value(() => mac(true)),
      VLAN: value(() => core.management("IF_VLAN", this.number)),
      MTU: value(() => core.mtuOf(this.number)),
      SOCKET_QUOTA: value(() => core.management("IF_SOCKETS", this.number)),
      MEMORY_QUOTA: value(() => core.management("IF_MEMORY", this.number)),
      WEIGHT: value(() => core.weightOf(this.number)),
      SOCKETS: value(() => this.executor.sockets),
      MEMORY: value(() => this.stack.bufferBytes),
      OUTSTANDING: value(() => this.executor.outstanding),
      ADDRESS: {
        get: (index) => {
          const at = (index >> 2) * TABLE_ENTRY;
          return this.#addresses[at + 33] === 1 ? wordAt(this.#addresses, at + 4 * (index & 3)) : 0;
        },
      },
      PREFIX: {
        get: (index) => {
          const at = index * TABLE_ENTRY;
          return this.#addresses[at + 33] === 1 ? (this.#addresses[at + 32] as number) | 0x100 : 0;
        },
      },
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

export function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

function* entriesOf(table: Uint8Array): Generator<{ address: Uint8Array; gateway: Uint8Array; prefix: number }> {
  for (let at = 0; at < table.length; at += TABLE_ENTRY) {
    if (table[at + 33] !== 1) continue;
    yield {
      address: table.subarray(at, at + 16),
      gateway: table.subarray(at + 16, at + 32),
      prefix: table[at + 32] as number,
    };
  }
}
