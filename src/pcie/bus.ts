/**
 * A logical bus: the functions on it, the address map through which memory and I/O requests find them, and what happens to
 * requests that nobody claims (all ones, Unsupported Request: clause 2.3.1).
 */
import { Router, SIZES_UP_TO_64, type Target, type Transaction } from "../bus/index.ts";
import { Module, type Simulation } from "../sim/index.ts";
import type { ErrorMessage } from "./capabilities/aer.ts";
import type { TranslationAgent } from "./capabilities/ats.ts";
import type { PcieFunction } from "./function.ts";

/** The root complex as buses see it. */
export interface PcieRoot {
  /** What DMA of this requester id goes to: memory, or an IOMMU's port for that stream. */
  dmaTarget(requesterId: number): Target;
  /** Who answers ATS; null where nobody does. */
  readonly translationAgent: TranslationAgent | null;
  /** Some pin may have changed. */
  interruptChanged(): void;
}

/** The bridge above a bus. */
export interface BusParent {
  readonly secondary: number;
  readonly bus: PcieBus | null;
  /** Upstream requests are forwarded: Bus Master Enable here and above. */
  readonly forwardsRequests: boolean;
  /** The bus below is held in reset. */
  readonly holdsReset: boolean;
  /** The port has a link below it: device 0 only, unless ARI forwarding is on. */
  readonly isLink: boolean;
  readonly ariForwarding: boolean;
  /** Memory that is behind this bridge: requests from there for it are not sent up (7.5.1.3). */
  readonly claims: readonly AddressRange[];
  /** Peer-to-peer requests go up to the root complex although a sibling would claim them (ACS). */
  readonly redirectsRequests: boolean;
  /** An error message from a function below. */
  errorMessage(message: ErrorMessage, source: number): void;
  /** A power management event of a function below. */
  sendPme(source: number): void;
  /** A request came to the secondary side and nobody claimed it. */
  unclaimed(request: Request): void;
}

export interface AddressRange {
  readonly base: number;
  readonly end: number;
}

/** One bridge on the way up. */
export interface Hop {
  /** What it does not let up. */
  readonly blocked: readonly AddressRange[];
  /** The bus at which requests for a sibling turn round; null where none do. */
  readonly turn: PcieBus | null;
}

export interface Request {
  readonly address: number;
  readonly size: number;
  readonly write: boolean;
  readonly io: boolean;
  readonly requesterId: number;
}

/** A function with a bus below. */
export interface BridgeFunction {
  readonly below: PcieBus;
  covers(bus: number): boolean;
}

export class PcieBus extends Module {
  readonly memory: Router;
  readonly io: Router;
  readonly root: PcieRoot;
  readonly parentBridge: BusParent | null;
  /** Ordered by device and function. */
  readonly functions: PcieFunction[] = [];
  readonly #rootNumber: number;
  readonly #places = new Map<number, PcieFunction>();
  readonly #order = new Map<PcieFunction, number>();

  /** A bus below `bridge`, or a root bus (null) with a fixed number. */
  constructor(parent: Module | Simulation, name: string, root: PcieRoot, bridge: BusParent | null, rootNumber = 0) {
    super(parent, name);
    this.root = root;
    this.parentBridge = bridge;
    this.#rootNumber = rootNumber;
    this.memory = new Router(this, "memory", "zero");
    this.io = new Router(this, "io", "zero");
    const size = 2 ** 52;
    const priority = -1;
    this.memory.map({ name: "unclaimed", base: 0, size, target: new Unclaimed(this, false), priority });
    this.io.map({ name: "unclaimed", base: 0, size: 2 ** 32, target: new Unclaimed(this, true), priority });
  }

  get number(): number {
    return this.parentBridge?.secondary ?? this.#rootNumber;
  }

  /** Puts a function at its place. Throws where it is taken or cannot be. */
  attach(fn: PcieFunction, device: number, functionNumber = 0): void {
    const link = this.parentBridge?.isLink ?? false;
    if (!(device >= 0 && device < (link ? 1 : 32) && functionNumber >= 0 && functionNumber < 8)) {
      throw new Error(
        `${this.fullName}: ${fn.fullName} at ${device}.${functionNumber}: ${link ? "a port's link has device 0 only" : "expected 0.0 to 31.7"}`,
      );
    }
    const devfn = (device << 3) | functionNumber;
    const other = this.#places.get(devfn);
    if (other) throw new Error(`${this.fullName}: ${device}.${functionNumber} is taken by ${other.fullName}`);
    this.#places.set(devfn, fn);
    this.#order.set(fn, this.#order.size);
    this.functions.push(fn);
    this.functions.sort((a, b) => a.devfn - b.devfn);
    fn.placeOn(this, device, functionNumber);
    this.functions.sort((a, b) => a.devfn - b.devfn);
  }

  /** The lowest device number without any function, or -1. */
  freeDevice(from = 0): number {
    for (let device = from; device < (this.parentBridge?.isLink ? 1 : 32); device++) {
      if (!this.functions.some((f) => f.device === device)) return device;
    }
    return -1;
  }

  /** No two windows of a bus have the same priority, so that BARs which software lets overlap are no error of ours. */
  priorityOf(fn: PcieFunction, window: number): number {
    return ((this.#order.get(fn) ?? 0) << 12) + window;
  }

  /** The function that answers configuration requests for `bus` and `devfn`, or null. */
  find(bus: number, devfn: number): PcieFunction | null {
    const above = this.parentBridge;
    if (above?.holdsReset) return null;
    if (bus === this.number) {
      if (above?.isLink && devfn >= 8 && !above.ariForwarding) return null;
      const found = this.#places.get(devfn);
      if (found) return found.present ? found : null;
    }
    for (const f of this.functions) {
      const virtual = f.virtualAt((bus << 8) | devfn);
      if (virtual) return virtual;
      const bridge = bridgeOf(f);
      if (bridge?.covers(bus)) return bridge.below.find(bus, devfn);
    }
    return null;
  }

  /** Upstream memory requests of this bus reach the root complex. */
  get mastersEnabled(): boolean {
    const above = this.parentBridge;
    return above === null || (above.forwardsRequests && !above.holdsReset);
  }

  /** Bridges above, the nearest first, as requests meet them on their way up. */
  get hops(): readonly Hop[] {
    const hops: Hop[] = [];
    for (let above = this.parentBridge; above !== null; above = above.bus?.parentBridge ?? null) {
      const redirects = above.redirectsRequests;
      // Above a downstream port lies the switch's own bus; above a root port the root complex, which decides for itself.
      const turns = above.isLink && above.bus !== null && above.bus.parentBridge !== null && !redirects;
      hops.push({ blocked: redirects ? [] : above.claims, turn: turns ? above.bus : null });
    }
    return hops;
  }

  dmaTarget(requesterId: number): Target {
    return this.root.dmaTarget(requesterId);
  }

  /** The stretch around `address` that nobody on this bus claims, or null where somebody does. */
  unclaimed(address: number): { readonly start: number; readonly end: number } | null {
    const s = this.memory.find(address);
    return s !== null && s.target instanceof Unclaimed ? s : null;
  }

  /** Wires INTA to INTD as this bus drives them, bit 0 for INTA, after the swizzle by device number (clause 2.2.8.1, table 2-21). */
  get interruptWires(): number {
    let wires = 0;
    for (const f of this.functions) {
      const pin = f.interruptAsserted ? f.interruptPin : 0;
      const own = pin === 0 ? 0 : 1 << (pin - 1);
      const mask = own | (bridgeOf(f)?.below.interruptWires ?? 0);
      const turn = f.device & 3;
      wires |= ((mask << turn) | (mask >> (4 - turn))) & 15;
    }
    return wires;
  }

  interruptChanged(): void {
    this.root.interruptChanged();
  }

  /** Recomputes what depends on bus numbers and enables above. */
  updatePaths(): void {
    for (const f of this.functions) f.updatePath();
  }

  /** Hot reset of everything below. */
  hotReset(): void {
    for (const f of this.functions) f.resetFunction("hot");
  }

  /** Nobody claimed a request. */
  refuse(request: Request): void {
    this.guestError({
      kind: "decode",
      address: request.address,
      size: request.size,
      write: request.write,
      ...(request.requesterId >= 0 ? { requesterId: request.requesterId } : {}),
      clause: "PCI Express Base 5.0 2.3.1",
      detail: "no function claims this address: Unsupported Request",
    });
    this.parentBridge?.unclaimed(request);
  }
}

function bridgeOf(f: PcieFunction): BridgeFunction | null {
  return "below" in f && "covers" in f ? (f as PcieFunction & BridgeFunction) : null;
}

class Unclaimed implements Target {
  readonly accessSizes = SIZES_UP_TO_64;
  readonly #bus: PcieBus;
  readonly #io: boolean;

  constructor(bus: PcieBus, io: boolean) {
    this.#bus = bus;
    this.#io = io;
  }
  read(address: number, size: number, tx: Transaction): number {
    this.#bus.refuse({ address, size, write: false, io: this.#io, requesterId: tx.requesterId });
    if (size === 8) tx.high = 0xffff_ffff;
    return ones(size);
  }
  write(address: number, size: number, _value: number, tx: Transaction): void {
    this.#bus.refuse({ address, size, write: true, io: this.#io, requesterId: tx.requesterId });
  }
  peek(_address: number, size: number): number {
    return ones(size);
  }
  poke(): void {}
}

/** What a read gives that ends with Unsupported Request. */
export function ones(size: number): number {
  return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
}
