/**
 * TCP/IP offload engine with several control interfaces, the platform's own part. Manual: docs/devices/toe.md, version 1.0.
 *
 * Modelled: all of it: management and interface frames, rings, commands, dispatcher, quotas, network port, timing. The protocols are `engine/`.
 * Not modelled: time of DMA accesses beyond the pipelines' rates.
 * This file is the core: the management frame, the command pipeline and the interfaces. A board or a PCIe function is its host.
 */
import { type Target, Transaction } from "../../bus/index.ts";
import type { Frame, NetworkDevice } from "../../net/index.ts";
import { type HooksOf, RegisterBank } from "../../registers/index.ts";
import { type Event, type Line, Module, NS, type Simulation, type StateValue, type Time } from "../../sim/index.ts";
import { isAny, isMapped, isZero } from "./addresses.ts";
import {
  ADDRESSES,
  COUNTER,
  DEVICE_COUNTER,
  IRQ,
  MAX_INTERFACES,
  MAX_LENGTH,
  MEMORY_TOTAL,
  OPCODE,
  ROUTES,
} from "./codes.ts";
import { Dispatcher } from "./dispatcher/index.ts";
import type { StackQuotas } from "./engine/api.ts";
import { half } from "./frame.ts";
import type { StackMaker, ToeHost } from "./host.ts";
import { ControlInterface, TABLE_ENTRY, wordAt } from "./interface.ts";
import { bitTime, NetworkPort } from "./network.ts";
import { TOE_MANAGEMENT } from "./registers/index.ts";

export type ManagementRegister = keyof (typeof TOE_MANAGEMENT)["registers"];

export const DEFAULT_INTERFACES = 8;
export const FRAME_SIZE = 0x1_0000;
const ENABLE = 1;
const RESET = 2;
const APPLY = 4;
const IRQ_LINK = 1;
const IRQ_INTERFACE = 2;

export interface ToeOptions {
  readonly host: ToeHost;
  readonly makeStack: StackMaker;
  /** Address of interface 0; interface n has n more in the last three bytes. */
  readonly mac: Uint8Array;
  /** 1 to 64; 8 unless given. */
  readonly interfaces?: number;
}

export class ToeCore extends Module implements NetworkDevice {
  readonly host: ToeHost;
  readonly makeStack: StackMaker;
  readonly bank: RegisterBank<typeof TOE_MANAGEMENT>;
  readonly interfaces: readonly ControlInterface[];
  readonly network: NetworkPort;
  /** The management frame's interrupt. */
  readonly interrupt: Line = this.line("interrupt");
  /** A message of the management frame is to be sent. */
  onMessage: (() => void) | null = null;
  readonly count: number;
  readonly #mac: Uint8Array;
  readonly #dispatcher: Dispatcher;
  readonly #counters: Float64Array;
  /** The command in the pipeline: interface and id, -1 for none; when the receive pipeline is free. */
  readonly #pipeline: { number: number; command: number; cost: number; receiveFree: Time };
  readonly #executed: Event;
  readonly #dispatch: Event;
  #resetting = false;

  /** Throws RangeError for a number of interfaces that the part cannot have. */
  constructor(parent: Module | Simulation, name: string, options: ToeOptions) {
    super(parent, name);
    const count = options.interfaces ?? DEFAULT_INTERFACES;
    if (!Number.isInteger(count) || count < 1 || count > MAX_INTERFACES) {
      throw new RangeError(`${name}: ${count} interfaces: expected 1 to ${MAX_INTERFACES}`);
    }
    this.count = count;
    this.host = options.host;
    this.makeStack = options.makeStack;
    this.#mac = options.mac.slice();
    this.#counters = this.state({ counters: new Float64Array(16) }, "counters").counters;
    this.#pipeline = this.state({ number: -1, command: 0, cost: 0, receiveFree: 0 }, "pipeline");
    this.bank = this.part("registers", new RegisterBank(this, TOE_MANAGEMENT, this.#hooks()));
    this.#dispatcher = this.part("dispatcher", new Dispatcher(count));
    this.#executed = this.event("executed", () => this.#pipelineDone());
    this.#dispatch = this.event("dispatch", () => this.#run());
    this.network = this.part("network", new NetworkPort(this));
    this.interfaces = Array.from({ length: count }, (_, n) => new ControlInterface(this, n));
  }

  // NetworkDevice.

  get onTransmit(): ((frame: Frame) => void) | null {
    return this.network.onTransmit;
  }
  set onTransmit(sink: ((frame: Frame) => void) | null) {
    this.network.onTransmit = sink;
  }
  receive(frame: Frame): void {
    this.network.receive(frame);
  }

  /** All frames in order: the management frame, then the interfaces. */
  get space(): Target {
    return frames([this.bank, ...this.interfaces.map((i) => i.bank)]);
  }

  // For the rooms.

  cells<T extends Record<string, StateValue>>(initial: T, part: string): T {
    return this.state(initial, part);
  }
  /** A management register's (low) word, unsigned. */
  management(name: ManagementRegister, index = 0): number {
    return (this.bank.values[this.bank.slot[name] + index] as number) >>> 0;
  }
  #set(name: ManagementRegister, value: number, index = 0): void {
    this.bank.values[this.bank.slot[name] + index] = value;
  }
  countPort(counter: number, by: number): void {
    this.#counters[counter] = (this.#counters[counter] as number) + by;
  }

  get outstanding(): number {
    return Math.min(4096, Math.max(1, this.management("OUTSTANDING")));
  }
  get prefetch(): number {
    return Math.max(2, this.management("PREFETCH"));
  }
  get minimumCost(): number {
    return Math.max(1, this.management("MINIMUM_COST"));
  }
  weightOf(number: number): number {
    return Math.max(1, this.management("IF_WEIGHT", number));
  }
  mtuOf(number: number): number {
    return Math.min(9000, Math.max(1280, this.management("IF_MTU", number)));
  }
  quotasOf(number: number): StackQuotas {
    return { sockets: this.management("IF_SOCKETS", number), bufferBytes: this.management("IF_MEMORY", number) };
  }
  macOf(number: number): Uint8Array {
    const low = this.management("IF_MAC_LOW", number);
    const high = this.management("IF_MAC_HIGH", number);
    return Uint8Array.of(low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8);
  }
  /** The frame's destination is the interface's address. */
  hasMac(number: number, frame: Frame): boolean {
    return (
      wordAt(frame, 0) === (this.management("IF_MAC_LOW", number) | 0) &&
      ((frame[4] as number) | ((frame[5] as number) << 8)) === this.management("IF_MAC_HIGH", number)
    );
  }
  /** IF_PEERS. */
  mayReach(from: number, to: number): boolean {
    return this.#bit("IF_PEERS", from, to);
  }
  #bit(name: "IF_PEERS" | "RUNNING", index: number, bit: number): boolean {
    const word = this.bank.values[this.bank.slot[name] + 2 * index + (bit >> 5)] as number;
    return ((word >>> (bit & 31)) & 1) === 1;
  }

  // Interrupts.

  interfaceError(number: number): void {
    const slot = this.bank.slot.INTERFACE_ERROR + (number >> 5);
    this.bank.values[slot] = (this.bank.values[slot] as number) | (1 << (number & 31));
    this.#raise(IRQ_INTERFACE);
  }
  linkChanged(): void {
    this.#raise(IRQ_LINK);
    for (const i of this.interfaces) i.interrupts.set(IRQ.LINK);
  }
  #raise(bits: number): void {
    this.#set("INTERRUPT_STATUS", this.management("INTERRUPT_STATUS") | bits);
    this.#update(false);
  }
  #update(written: boolean): void {
    const asserted = (this.management("INTERRUPT_STATUS") & this.management("INTERRUPT_ENABLE")) !== 0;
    const rises = asserted && !this.interrupt.level;
    this.interrupt.set(asserted);
    if (rises || (asserted && written)) this.onMessage?.();
  }

  // The command pipeline, manual 12.

  /** An interface has fetched a command. */
  submitted(number: number, cost: number): void {
    this.#dispatcher.enqueue(number, cost);
    if (this.#pipeline.number < 0) this.#dispatch.notify(0);
  }

  /** Frames of an interface that wait have become more or fewer. */
  pressure(number: number): void {
    this.#ready(number);
  }
  #ready(number: number): void {
    const room = this.network.waiting(number) * 2 <= this.management("TRANSMIT_MEMORY");
    const coupled = (this.management("DISPATCHER") & 0x100) !== 0;
    this.#dispatcher.setReady(number, room && (!coupled || this.#bit("RUNNING", 0, number)));
    if (this.#pipeline.number < 0 && this.#dispatcher.active > 0) this.#dispatch.notify(0);
  }
  #readyAll(): void {
    for (let n = 0; n < this.count; n++) this.#ready(n);
  }

  #run(): void {
    const p = this.#pipeline;
    while (p.number < 0) {
      const number = this.#dispatcher.next();
      if (number < 0) return;
      const from = this.interfaces[number] as ControlInterface;
      const command = from.executor.take();
      if (command === null) continue;
      from.count(COUNTER.COST, this.#dispatcher.lastCost);
      p.number = number;
      p.command = command.id;
      // Taken from the ring at once, so that an interface with more commands never looks empty.
      from.executor.fetch();
      if (p.number < 0) continue;
      const sends = command.opcode === OPCODE.SEND || command.opcode === OPCODE.SENDTO;
      const bytes = sends ? Math.min(command.length, MAX_LENGTH) : 0;
      // Never without time: rings that feed themselves must not stop the clock.
      const time = Math.max(1, this.management("COMMAND_TIME")) * NS + bitTime(bytes, this.management("PIPELINE_RATE"));
      this.countPort(DEVICE_COUNTER.BUSY, time / NS);
      this.#executed.scheduleAt(this.simulation.now + time);
    }
  }

  #pipelineDone(): void {
    this.#execute();
    this.#run();
  }
  #execute(): void {
    const { number, command } = this.#pipeline;
    this.#pipeline.number = -1;
    this.interfaces[number]?.executor.execute(command);
  }

  /** When payload that enters the receive pipeline now has passed it. */
  receivePipeline(bytes: number): Time {
    const { now } = this.simulation;
    if (bytes === 0) return now;
    const p = this.#pipeline;
    p.receiveFree = Math.max(now, p.receiveFree) + bitTime(bytes, this.management("PIPELINE_RATE"));
    return p.receiveFree;
  }

  /** An interface has stopped: nothing of it stays in dispatcher, port or wire queues. */
  dropInterface(number: number): void {
    this.#dispatcher.clear(number);
    this.network.drop(number);
    this.#ready(number);
  }

  // Reset.

  /** Management CONTROL.RESET, or a reset of the PCIe function. */
  resetDevice(): void {
    if (this.#resetting) return;
    this.#resetting = true;
    for (const i of this.interfaces) {
      i.resetInterface();
      i.grant(false);
      i.addresses.fill(0);
      i.routes.fill(0);
    }
    this.bank.reset();
    this.#counters.fill(0);
    this.#defaults();
    this.#update(false);
    this.#resetting = false;
  }

  #defaults(): void {
    const m = this.#mac;
    const b = (i: number) => m[i] as number;
    for (let n = 0; n < MAX_INTERFACES; n++) {
      const tail = (((b(3) << 16) | (b(4) << 8) | b(5)) + n) & 0xff_ffff;
      const made = n < this.count;
      this.#set("IF_MAC_LOW", made ? b(0) | (b(1) << 8) | (b(2) << 16) | ((tail >>> 16) << 24) : 0, n);
      this.#set("IF_MAC_HIGH", made ? ((tail >>> 8) & 0xff) | ((tail & 0xff) << 8) : 0, n);
      this.#set("IF_MEMORY", made ? Math.floor(MEMORY_TOTAL / this.count) : 0, n);
    }
    this.#configureDispatcher();
  }

  #configureDispatcher(): void {
    this.#dispatcher.setPolicy(this.management("DISPATCHER") & 3);
    this.#dispatcher.setQuantum(Math.max(MAX_LENGTH, this.management("QUANTUM")));
    for (let n = 0; n < this.count; n++) {
      this.#dispatcher.setWeight(n, this.weightOf(n));
      this.network.setWeight(n, this.weightOf(n));
    }
    this.#readyAll();
  }

  protected override onReset(): void {
    this.#resetting = false;
    this.#defaults();
  }

  // Tables, manual 13.2.

  #table(command: number): void {
    const select = this.management("TABLE_SELECT");
    const of = this.interfaces[select & 63];
    const routes = (select & 0x100) !== 0;
    const entry = (select >>> 16) & 31;
    let good = of !== undefined && entry < (routes ? ROUTES : ADDRESSES);
    if (of !== undefined && command === 3) {
      of.addresses.fill(0);
      of.routes.fill(0);
      good = true;
    } else if (of !== undefined && good) {
      const place = (routes ? of.routes : of.addresses).subarray(entry * TABLE_ENTRY, (entry + 1) * TABLE_ENTRY);
      if (command === 1) good = this.#writeEntry(place, routes);
      else if (command === 2) this.#readEntry(place);
    }
    this.#set("TABLE_STATUS", good ? 0 : 1);
  }

  #writeEntry(place: Uint8Array, route: boolean): boolean {
    const made = new Uint8Array(TABLE_ENTRY);
    const view = new DataView(made.buffer);
    for (let w = 0; w < 4; w++) {
      view.setUint32(4 * w, this.management("TABLE_ADDRESS", w), true);
      if (route) view.setUint32(16 + 4 * w, this.management("TABLE_GATEWAY", w), true);
    }
    const prefix = this.management("TABLE_PREFIX");
    made[32] = prefix & 0xff;
    made[33] = (prefix >>> 8) & 1;
    const address = made.subarray(0, 16);
    const gateway = made.subarray(16, 32);
    const mapped = isMapped(address);
    const length = prefix & 0xff;
    if (made[33] === 0) made.fill(0);
    else if (length > 128 || (mapped && length < 96)) return false;
    else if (!route && isAny(address)) return false;
    else if (route && !isZero(gateway) && isMapped(gateway) !== mapped) return false;
    place.set(made);
    return true;
  }

  #readEntry(place: Uint8Array): void {
    for (let w = 0; w < 4; w++) {
      this.#set("TABLE_ADDRESS", wordAt(place, 4 * w), w);
      this.#set("TABLE_GATEWAY", wordAt(place, 16 + 4 * w), w);
    }
    this.#set("TABLE_PREFIX", (place[32] as number) | ((place[33] as number) << 8));
  }

  // Registers.

  #hooks(): HooksOf<typeof TOE_MANAGEMENT> {
    const dispatcher = { onWrite: () => this.#configureDispatcher() };
    const ready = { onWrite: () => this.#readyAll() };
    const rate = { onWrite: () => this.network.kick() };
    return {
      CAPABILITY: { get: () => this.count | (ADDRESSES << 8) | (ROUTES << 16) },
      MEMORY_TOTAL: { get: () => MEMORY_TOTAL },
      CONTROL: {
        onWrite: (written) => {
          if ((written & 1) !== 0) this.resetDevice();
        },
      },
      STATUS: { get: () => (this.network.carrier ? 1 : 0) },
      INTERRUPT_STATUS: { onWrite: () => this.#update(true) },
      INTERRUPT_ENABLE: { onWrite: () => this.#update(true) },
      DISPATCHER: dispatcher,
      QUANTUM: dispatcher,
      IF_WEIGHT: dispatcher,
      LINE_RATE: rate,
      IF_RATE: rate,
      IF_BURST: rate,
      RUNNING: ready,
      TRANSMIT_MEMORY: ready,
      TABLE_COMMAND: { onWrite: (written) => this.#table(written & 3) },
      DEVICE_COUNTER: { get: (index, _cpu, word) => half(this.#counters[index] as number, word) },
      IF_CONTROL: { onWrite: (written, _mask, _before, index) => this.#interfaceControl(index, written) },
      IF_STATUS: {
        get: (index) => {
          const i = this.interfaces[index];
          if (i === undefined) return 0;
          return (i.running ? 1 : 0) | (i.failed ? 4 : 0) | ((i.reg("ERROR_CAUSE") & 0xff) << 8);
        },
      },
      IF_MEMORY: { onWrite: (_written, _mask, before, index) => this.#memoryWritten(index, before) },
      IF_COUNTER: { get: (index, _cpu, word) => half(this.interfaces[index >> 5]?.counter(index & 31) ?? 0, word) },
    };
  }

  #interfaceControl(index: number, written: number): void {
    const i = this.interfaces[index];
    if (i === undefined) {
      this.#set("IF_CONTROL", 0, index);
      return;
    }
    if ((written & RESET) !== 0) i.resetInterface();
    i.grant((this.management("IF_CONTROL", index) & ENABLE) !== 0);
    if ((written & APPLY) !== 0) i.configure();
  }

  /** 13.3: quotas together stay within the memory there is. */
  #memoryWritten(index: number, before: number): void {
    let sum = 0;
    for (let n = 0; n < MAX_INTERFACES; n++) sum += this.management("IF_MEMORY", n);
    if (sum <= MEMORY_TOTAL) return;
    this.guestError({
      kind: "value",
      register: `IF_MEMORY[${index}]`,
      value: this.management("IF_MEMORY", index),
      clause: "TOE technical reference manual 13.3",
      detail: "memory quotas above the memory there is",
    });
    this.#set("IF_MEMORY", before, index);
  }

  /** A register as a test or a program of the host writes it. */
  writeManagement(offset: number, value: number): void {
    this.bank.write(offset, 4, value >>> 0, new Transaction());
  }
}

/** Frames one behind the other. */
function frames(list: readonly Target[]): Target {
  const at = (offset: number) => list[Math.floor(offset / FRAME_SIZE)];
  return {
    accessSizes: (list[0] as Target).accessSizes,
    read: (offset, size, tx) => at(offset)?.read(offset % FRAME_SIZE, size, tx) ?? 0,
    write: (offset, size, value, tx) => at(offset)?.write(offset % FRAME_SIZE, size, value, tx),
    peek: (offset, size) => at(offset)?.peek(offset % FRAME_SIZE, size) ?? 0,
    poke: (offset, size, value) => at(offset)?.poke(offset % FRAME_SIZE, size, value),
  };
}
