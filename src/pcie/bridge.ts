/**
 * A port with a bus below: root port, or upstream or downstream port of a switch. Type 1 configuration, windows through which
 * requests go down, bus numbers, Secondary Bus Reset, forwarding of interrupts and error messages (clauses 7.5.1.3, 6.6.1, 6.2).
 */
import type { Window } from "../bus/index.ts";
import type { Module, Simulation } from "../sim/index.ts";
import { type AddressRange, type BridgeFunction, type BusParent, PcieBus, type PcieRoot, type Request } from "./bus.ts";
import { Aer, type ErrorMessage, reportUncorrectable, UNCORRECTABLE } from "./capabilities/aer.ts";
import { DEVICE_CONTROL, Express } from "./capabilities/express.ts";
import { Acs } from "./capabilities/small.ts";
import { type FunctionOptions, PcieFunction } from "./function.ts";
import { type BridgeHooks, COMMAND, checkBars, STATUS, type1 } from "./header.ts";
import type { ConfigRegister } from "./space.ts";

export interface BridgeOptions extends FunctionOptions {
  readonly root: PcieRoot;
}

const SERR_ENABLE = 1 << 17;
const SECONDARY_BUS_RESET = 1 << 22;
const RECEIVED_MASTER_ABORT = STATUS.receivedMasterAbort;
const RECEIVED_SYSTEM_ERROR = 1 << 30;
const SECONDARY_STATUS = "IO_WINDOW_SECONDARY_STATUS";
const MAX_ADDRESS = 2 ** 52;

type WindowKind = "io" | "memory" | "prefetchable";

export class PcieBridge extends PcieFunction implements BusParent, BridgeFunction {
  readonly below: PcieBus;
  readonly #windows = new Map<WindowKind, Window>();
  /** What the root port's interrupt was raised for. */
  readonly #conditions = this.state<{ error: boolean; pme: boolean }>({ error: false, pme: false }, "conditions");
  #express: Express | null = null;
  #acs: Acs | null = null;
  #aer: Aer | null = null;

  constructor(parent: Module | Simulation, name: string, options: BridgeOptions) {
    super(parent, name, options);
    this.below = new PcieBus(this, "below", options.root, this);
    this.#express = this.capability(Express);
    this.#acs = this.capability(Acs);
    this.#aer = this.capability(Aer);
    if (this.#express) {
      this.#express.partner = () => this.below.functions[0]?.capability(Express) ?? null;
      this.#express.onLinkDisable = (disabled) => {
        if (disabled) this.below.hotReset();
        this.update();
      };
    }
    if (this.#acs) this.#acs.onChange = () => this.below.updatePaths();
    if (this.#express) this.#express.onRootInterrupt = () => this.#rootInterrupt();
    if (this.#aer) this.#aer.onRootInterrupt = () => this.#rootInterrupt();
  }

  protected override header(options: FunctionOptions, firstCapability: number): Record<string, ConfigRegister> {
    const bars = options.bars ?? [];
    checkBars(this.fullName, bars, 2);
    const changed = { onWrite: () => this.update() };
    const hooks: BridgeHooks = {
      ...this.headerHooks(),
      buses: changed,
      windows: changed,
      control: { onWrite: (_written, _mask, before) => this.#controlled(before) },
    };
    return type1(options, bars, hooks, firstCapability);
  }

  get #buses(): number {
    return this.config.bank.values[this.config.slot("BUS_NUMBERS")] as number;
  }
  get secondary(): number {
    return (this.#buses >>> 8) & 0xff;
  }
  get subordinate(): number {
    return (this.#buses >>> 16) & 0xff;
  }
  /** Configuration requests for `bus` go down here. */
  covers(bus: number): boolean {
    return this.secondary !== 0 && bus >= this.secondary && bus <= this.subordinate;
  }

  get isLink(): boolean {
    return this.#express?.isDownstream ?? false;
  }
  get ariForwarding(): boolean {
    return this.#express?.ariForwarding ?? false;
  }
  get redirectsRequests(): boolean {
    return this.#acs?.redirectsRequests ?? false;
  }
  get forwardsRequests(): boolean {
    return (this.command & COMMAND.master) !== 0 && !this.poweredDown && (this.bus?.mastersEnabled ?? false);
  }
  get holdsReset(): boolean {
    return (this.#control & SECONDARY_BUS_RESET) !== 0 || (this.#express?.linkDisabled ?? false);
  }
  get #control(): number {
    return this.config.bank.values[this.config.slot("INTERRUPT_BRIDGE_CONTROL")] as number;
  }

  override update(): void {
    this.#updateWindows();
    super.update();
  }

  override updatePath(): void {
    super.updatePath();
    this.below.updatePaths();
  }

  #word(name: string): number {
    return this.config.bank.values[this.config.slot(name)] as number;
  }

  /** Base and last address of a window as registers say; null where it is closed: limit below base (7.5.1.3.6, 7.5.1.3.8). */
  windowOf(kind: WindowKind): AddressRange | null {
    let base: number;
    let limit: number;
    if (kind === "io") {
      const low = this.#word(SECONDARY_STATUS);
      const high = this.#word("IO_WINDOW_UPPER");
      base = (high & 0xffff) * 0x1_0000 + ((low & 0xf0) << 8);
      limit = (high >>> 16) * 0x1_0000 + (low & 0xf000) + 0xfff;
    } else {
      const word = this.#word(kind === "memory" ? "MEMORY_WINDOW" : "PREFETCHABLE_WINDOW");
      base = (word & 0xfff0) * 0x1_0000;
      limit = ((word >>> 16) & 0xfff0) * 0x1_0000 + 0xf_ffff;
      if (kind === "prefetchable") {
        base += (this.#word("PREFETCHABLE_BASE_UPPER") >>> 0) * 2 ** 32;
        limit += (this.#word("PREFETCHABLE_LIMIT_UPPER") >>> 0) * 2 ** 32;
      }
    }
    const end = Math.min(limit + 1, MAX_ADDRESS);
    return base < end ? { base, end } : null;
  }

  get claims(): readonly AddressRange[] {
    if (!this.memoryEnabled) return [];
    return [this.windowOf("memory"), this.windowOf("prefetchable")].filter((w) => w !== null);
  }

  #updateWindows(): void {
    const { bus } = this;
    if (bus === null) return;
    for (const kind of ["io", "memory", "prefetchable"] as const) {
      const io = kind === "io";
      const place = (io ? this.ioEnabled : this.memoryEnabled) && !this.holdsReset ? this.windowOf(kind) : null;
      const router = io ? bus.io : bus.memory;
      const before = this.#windows.get(kind);
      if (before && place && before.base === place.base && before.base + before.size === place.end) continue;
      if (before) router.unmap(before);
      this.#windows.delete(kind);
      if (place === null || (io && place.end > 2 ** 32)) continue;
      const { base, end } = place;
      const target = io ? this.below.io : this.below.memory;
      const priority = bus.priorityOf(this, 8 + (io ? 0 : kind === "memory" ? 1 : 2));
      const name = `${this.fullName} ${kind}`;
      this.#windows.set(kind, router.map({ name, base, size: end - base, target, offset: base, priority }));
    }
  }

  #controlled(before: number): void {
    if ((this.#control & ~before & SECONDARY_BUS_RESET) !== 0) this.below.hotReset();
    this.update();
  }

  override resetFunction(kind: "hot" | "flr"): void {
    super.resetFunction(kind);
    this.#rootInterrupt();
    if (kind === "hot") this.below.hotReset();
  }

  #secondaryStatus(bits: number): void {
    const { values } = this.config.bank;
    const slot = this.config.slot(SECONDARY_STATUS);
    values[slot] = (values[slot] as number) | bits;
  }

  /** What a link's far end answers with Unsupported Request; without one the port does so itself. */
  unclaimed(request: Request): void {
    const far = this.isLink ? this.below.functions : [];
    if (!request.write || request.io) this.#secondaryStatus(RECEIVED_MASTER_ABORT);
    const first = far[0];
    if (first === undefined) reportUncorrectable(this, UNCORRECTABLE.unsupportedRequest, request);
    else for (const f of far) reportUncorrectable(f, UNCORRECTABLE.unsupportedRequest, request);
  }

  /** An error message from below (figure 6-3). */
  errorMessage(message: ErrorMessage, source: number): void {
    if (message !== "correctable") this.#secondaryStatus(RECEIVED_SYSTEM_ERROR);
    if ((this.#control & SERR_ENABLE) === 0) return;
    const enable = {
      correctable: DEVICE_CONTROL.correctable,
      "non-fatal": DEVICE_CONTROL.nonFatal,
      fatal: DEVICE_CONTROL.fatal,
    }[message];
    const serr = message !== "correctable" && (this.command & COMMAND.serr) !== 0;
    if (!serr && ((this.#express?.deviceControl ?? 0) & enable) === 0) return;
    if (serr) this.setStatus(STATUS.signaledSystemError);
    this.sendErrorMessage(message, source);
  }

  override sendErrorMessage(message: ErrorMessage, source: number): void {
    if (this.#express?.options.type === "root-port") this.#aer?.messageReceived(message, source);
    else super.sendErrorMessage(message, source);
  }

  override sendPme(source: number): void {
    if (this.#express?.options.type === "root-port") this.#express.pmeReceived(source);
    else super.sendPme(source);
  }

  /** The conditions as a level on the pin, or the beginning of each as a message (6.1.6, 6.2.4.1.2). */
  #rootInterrupt(): void {
    const error = this.#aer?.rootInterrupt ?? false;
    const pme = this.#express?.rootInterrupt ?? false;
    const begins = (error && !this.#conditions.error) || (pme && !this.#conditions.pme);
    this.#conditions.error = error;
    this.#conditions.pme = pme;
    this.intx.set(error || pme);
    if (begins) this.raiseMessage(0);
  }

  protected override onReset(): void {
    super.onReset();
    this.#rootInterrupt();
  }
}
