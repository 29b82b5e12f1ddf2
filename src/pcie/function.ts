/**
 * One PCI Express function: configuration space compiled from declarations, BARs on the bus it sits on, a port for DMA, interrupts.
 * A device makes one (or extends it), says what it has, and sets `onFunctionReset` where it has state of its own to clear.
 *
 * PCI Express Base Specification 5.0: clauses 7.5 (configuration), 2.2.8.1 and 6.1 (interrupts), 6.6 (reset). Requests are carried out at
 * once: there are no links, flow control or completion time-outs.
 */
import { type Arena, Port, type Target, type Transaction } from "../bus/index.ts";
import { Module, type Simulation } from "../sim/index.ts";
import { type Bar, BarSet, type BarSpec } from "./bars.ts";
import type { PcieBus, Request } from "./bus.ts";
import { type ErrorMessage, reportUncorrectable, UNCORRECTABLE } from "./capabilities/aer.ts";
import { Ats } from "./capabilities/ats.ts";
import { Msi } from "./capabilities/msi.ts";
import { Msix } from "./capabilities/msix.ts";
import { type Capability, registersOf } from "./capability.ts";
import { COMMAND, checkBars, type HeaderHooks, type Identity, STATUS, type0 } from "./header.ts";
import { type ConfigRegister, ConfigSpace, type Piece, type ResetKind } from "./space.ts";
import { UpstreamPath } from "./upstream.ts";

export type { ResetKind } from "./space.ts";

/** The SR-IOV capability as its function sees it. */
interface VirtualFunctions {
  find(routingId: number): PcieFunction | null;
  update(): void;
  updateWindows(): void;
}

export interface FunctionOptions extends Identity {
  /** Title of the part for documentation and traces. */
  readonly title?: string;
  /** Direct memory of the machine, for the DMA port. */
  readonly arena: Arena;
  readonly bars?: readonly BarSpec[];
  /** In the order of the list, extended ones among them. */
  readonly capabilities?: readonly Capability[];
  /** Registers of the vendor's own, or of a header that differs. */
  readonly extra?: readonly Piece[];
  /** The function is a VF: ids read as all ones, no BARs, no I/O and memory enable, no pin (clause 9.3.4.1). */
  readonly virtual?: boolean;
}

const CONFIG_START = 0x40;
const EXTENDED_START = 0x100;

export class PcieFunction extends Module {
  readonly config: ConfigSpace;
  readonly bars: BarSet;
  readonly capabilities: readonly Capability[];
  readonly isVirtual: boolean;
  readonly arena: Arena;
  /** The way to memory; DMA ports are bound to it. */
  readonly upstream: UpstreamPath;
  /** For DMA. Its transactions carry requester id and stream id; they are refused while Bus Master Enable is clear. */
  readonly port: Port;
  /** The INTx pin: level as the device drives it. Reaches the bus unless Interrupt Disable is set. */
  readonly intx = this.line("intx");
  /** After this function's registers were reset: "hot" by a bridge above, "flr" by its own control bit. */
  onFunctionReset: ((kind: ResetKind) => void) | null = null;
  /** After a configuration write of `size` bytes at `offset` was carried out. */
  onConfigWrite: ((offset: number, size: number, value: number) => void) | null = null;
  /** The power state has changed: 0 for D0, 3 for D3hot. */
  onPowerState: ((state: number) => void) | null = null;
  #bus: PcieBus | null = null;
  #device = 0;
  #functionNumber = 0;
  #present = true;
  /** Of a VF: the function that made it, and the distance of routing ids. */
  #physical: PcieFunction | null = null;
  #routingOffset = 0;
  readonly #command: number;
  readonly #msi: Msi | null;
  readonly #msix: Msix | null;
  readonly #ats: Ats | null;
  readonly #ports: Port[] = [];

  constructor(parent: Module | Simulation, name: string, options: FunctionOptions) {
    super(parent, name);
    const { bars = [], capabilities = [], extra = [] } = options;
    this.arena = options.arena;
    this.isVirtual = options.virtual ?? false;
    this.capabilities = capabilities;
    for (const c of capabilities) c.attach(this);
    const places = placeCapabilities(this.fullName, capabilities);
    const first = capabilities.findIndex((c) => !c.extended);
    const pieces: Piece[] = [
      { at: 0, registers: this.header(options, first < 0 ? 0 : (places[first] as number)) },
      ...capabilities.map((c, i) => ({
        at: places[i] as number,
        registers: registersOf(c, nextOf(capabilities, places, i)),
      })),
      ...extra,
    ];
    this.config = new ConfigSpace(this, name, options.title ?? name, pieces);
    this.#command = this.config.slot("COMMAND_STATUS");
    this.#msi = this.capability(Msi);
    this.#msix = this.capability(Msix);
    this.#ats = this.capability(Ats);
    this.upstream = new UpstreamPath(this);
    this.port = this.makePort();
    this.bars = new BarSet(this, bars);
    for (const c of capabilities) c.ready();
    this.intx.connect(() => this.updateInterrupt());
  }

  /** The header's registers; bridges have another. */
  protected header(options: FunctionOptions, firstCapability: number): Record<string, ConfigRegister> {
    const bars = options.bars ?? [];
    checkBars(this.fullName, bars, 6);
    const identity = options.virtual ? { ...options, vendorId: 0xffff, deviceId: 0xffff, interruptPin: 0 } : options;
    const registers = type0(identity, options.virtual ? [] : bars, this.headerHooks(), firstCapability);
    return options.virtual ? virtualHeader(registers) : registers;
  }

  protected headerHooks(): HeaderHooks {
    return {
      command: { onWrite: () => this.update() },
      bar: () => ({ onWrite: () => this.bars.update() }),
    };
  }

  /** A further port for DMA of this function. */
  makePort(): Port {
    const port = new Port(this.upstream, this.arena);
    port.transaction.requesterId = this.requesterId;
    port.transaction.streamId = this.requesterId;
    this.#ports.push(port);
    return port;
  }

  get bus(): PcieBus | null {
    return this.#bus;
  }
  /** Called by the bus. */
  placeOn(bus: PcieBus, device: number, functionNumber: number): void {
    if (this.#bus) throw new Error(`${this.fullName}: sits on ${this.#bus.fullName} already`);
    this.#bus = bus;
    this.#device = device;
    this.#functionNumber = functionNumber;
    this.update();
  }

  get device(): number {
    return this.#device;
  }
  get functionNumber(): number {
    return this.#functionNumber;
  }
  /** Device in bits 7:3 and function in bits 2:0, or the function number of ARI. */
  get devfn(): number {
    return (this.#device << 3) | this.#functionNumber;
  }
  /** Bus, device and function as routed now. */
  get requesterId(): number {
    if (this.#physical) return (this.#physical.requesterId + this.#routingOffset) & 0xffff;
    return ((this.#bus?.number ?? 0) << 8) | this.devfn;
  }
  /** The PF, of a VF that was enabled once; else null. */
  get physicalFunction(): PcieFunction | null {
    return this.#physical;
  }
  /** False for a VF that is not enabled: it answers nothing. */
  get present(): boolean {
    return this.#present;
  }
  /** Called by the SR-IOV capability: where a VF is found now, and whether it is there. */
  placeVirtual(physical: PcieFunction, routingOffset: number, present: boolean): void {
    this.#physical = physical;
    this.#routingOffset = routingOffset;
    this.#bus = physical.bus;
    this.#present = present;
    this.update();
  }
  /** Functions that this one has made, by routing id; null for what is not enabled. */
  virtualAt(routingId: number): PcieFunction | null {
    return this.virtualFunctions?.find(routingId) ?? null;
  }
  /** Set by the SR-IOV capability. */
  virtualFunctions: VirtualFunctions | null = null;

  get command(): number {
    return (this.config.bank.values[this.#command] as number) & 0xffff;
  }
  /** Power state: 0 for D0, 3 for D3hot. */
  get powerState(): number {
    for (const c of this.capabilities)
      if (c.name === "PM") return (this.config.bank.values[this.config.slot("PMCSR")] as number) & 3;
    return 0;
  }
  get poweredDown(): boolean {
    return this.powerState !== 0;
  }
  /** Memory requests to this function's BARs are answered; a VF asks its PF's VF MSE instead. */
  get memoryEnabled(): boolean {
    return this.#present && (this.command & COMMAND.memory) !== 0 && !this.poweredDown;
  }
  get ioEnabled(): boolean {
    return this.#present && (this.command & COMMAND.io) !== 0 && !this.poweredDown;
  }

  capability<C extends Capability>(type: abstract new (...args: never[]) => C): C | null {
    for (const c of this.capabilities) if (c instanceof type) return c;
    return null;
  }

  /** Sets error bits of the Status register (STATUS). */
  setStatus(bits: number): void {
    const { values } = this.config.bank;
    values[this.#command] = (values[this.#command] as number) | bits;
  }

  /** Refuses a request: status bits, AER log and message as enabled. */
  unsupportedRequest(request: Request): void {
    reportUncorrectable(this, UNCORRECTABLE.unsupportedRequest, request);
  }

  /** Sends an error message towards the root complex. */
  sendErrorMessage(message: ErrorMessage, source: number): void {
    this.#bus?.parentBridge?.errorMessage(message, source);
  }

  /** Sends a PME message towards the root complex. */
  sendPme(source: number): void {
    this.#bus?.parentBridge?.sendPme(source);
  }

  configRead(offset: number, size: number, tx: Transaction): number {
    return this.config.read(offset, size, tx);
  }

  configWrite(offset: number, size: number, value: number, tx: Transaction): void {
    this.config.write(offset, size, value, tx);
    this.onConfigWrite?.(offset, size, value);
  }

  /** What the device says of the pin, masked by Interrupt Disable. */
  get interruptAsserted(): boolean {
    if (!this.#present || !this.intx.level || (this.command & COMMAND.interruptDisable) !== 0) return false;
    // Messages replace the pin (6.1.4).
    return !this.messagesEnabled;
  }
  /** MSI or MSI-X is enabled. */
  get messagesEnabled(): boolean {
    return (this.#msi?.enabled ?? false) || (this.#msix?.enabled ?? false);
  }
  get msi(): Msi | null {
    return this.#msi;
  }
  get msix(): Msix | null {
    return this.#msix;
  }
  /** An interrupt by whichever kind of message is enabled: vector `vector` of MSI-X or MSI. False where neither is. */
  raiseMessage(vector: number): boolean {
    if (this.#msix?.enabled) this.#msix.raise(vector);
    else if (this.#msi?.enabled) this.#msi.raise(vector);
    else return false;
    return true;
  }
  /** 1 to 4, or 0 where the function has no pin. */
  get interruptPin(): number {
    return (this.config.peek(0x3c, 4) >>> 8) & 0xff;
  }

  protected updateInterrupt(): void {
    const { values } = this.config.bank;
    const word = values[this.#command] as number;
    values[this.#command] = this.intx.level ? word | STATUS.interrupt : word & ~STATUS.interrupt;
    this.#bus?.interruptChanged();
  }

  /** Recomputes what follows from registers: windows of BARs, the way up, the pin. */
  update(): void {
    this.bars.update();
    if (this.#physical) this.#physical.virtualFunctions?.updateWindows();
    this.updatePath();
    this.#bus?.interruptChanged();
  }

  /** Recomputes requester id and the way up; called by the bus when something above has changed. */
  updatePath(): void {
    const { requesterId } = this;
    for (const port of this.#ports) {
      port.transaction.requesterId = requesterId;
      port.transaction.streamId = requesterId;
    }
    const bus = this.#bus;
    const awake = !this.poweredDown && !this.#physical?.poweredDown;
    const master = this.#present && (this.command & COMMAND.master) !== 0 && awake;
    // The IOMMU is asked for the streams that are in use only.
    const way = master && bus?.mastersEnabled ? bus : null;
    this.upstream.update(way?.dmaTarget(requesterId) ?? null, way?.hops ?? []);
    this.#ats?.update(way?.root.translationAgent ?? null);
    this.virtualFunctions?.update();
  }

  /** Hot reset (through a bridge above) or function-level reset. */
  resetFunction(kind: "hot" | "flr"): void {
    this.config.reset(kind);
    for (const c of this.capabilities) c.onReset(kind);
    this.intx.set(false);
    this.update();
    this.onFunctionReset?.(kind);
  }

  protected override onReset(): void {
    for (const c of this.capabilities) c.onReset("power");
    this.update();
    this.onFunctionReset?.("power");
  }

  protected override onRestore(): void {
    for (const c of this.capabilities) c.onRestore();
    this.update();
  }

  /** Gives a BAR what answers behind it, where it could not be said at construction. */
  setBarTarget(index: number, target: Target): void {
    this.bars.setTarget(index, target);
  }

  /** The BAR numbered `index`. Throws where there is none. */
  bar(index: number): Bar {
    return this.bars.get(index);
  }
}

/** Offsets by capability, in the order given. */
function placeCapabilities(where: string, capabilities: readonly Capability[]): number[] {
  let next = CONFIG_START;
  let nextExtended = EXTENDED_START;
  return capabilities.map((c) => {
    const at = c.at ?? (c.extended ? nextExtended : next);
    if (
      at % 4 !== 0 ||
      at < (c.extended ? EXTENDED_START : CONFIG_START) ||
      at + c.length > (c.extended ? 0x1000 : 0x100)
    ) {
      throw new Error(`${where}: capability ${c.name} of ${c.length} bytes does not fit at 0x${at.toString(16)}`);
    }
    const end = Math.ceil((at + c.length) / 4) * 4;
    if (c.extended) nextExtended = Math.max(nextExtended, end);
    else next = Math.max(next, end);
    return at;
  });
}

function nextOf(capabilities: readonly Capability[], places: readonly number[], i: number): number {
  const { extended } = capabilities[i] as Capability;
  for (let n = i + 1; n < capabilities.length; n++) {
    if ((capabilities[n] as Capability).extended === extended) return places[n] as number;
  }
  return 0;
}

/** Of a VF's header only Bus Master Enable and the error bits of Status work (clause 9.3.4.1). */
function virtualHeader(registers: Record<string, ConfigRegister>): Record<string, ConfigRegister> {
  const { COMMAND_STATUS: command, HEADER_TYPE: header, INTERRUPT: interrupt, ...rest } = registers;
  if (!command || !header || !interrupt) return registers;
  const { BusMasterEnable, InterruptStatus: _i, ...others } = command.fields;
  const fields: Record<string, ConfigRegister["fields"][string]> = {};
  for (const [name, f] of Object.entries(others)) if (f.low >= 16) fields[name] = f;
  if (BusMasterEnable) fields["BusMasterEnable"] = BusMasterEnable;
  return {
    ...rest,
    COMMAND_STATUS: { ...command, fields },
    HEADER_TYPE: { ...header, fields: {} },
    INTERRUPT: { ...interrupt, fields: {} },
  };
}
