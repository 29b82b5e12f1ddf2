/**
 * The TOE on PCI Express (docs/devices/toe.md 1.2): one physical function with all frames, and by SR-IOV one virtual function for each control interface.
 */
import type { Arena, Port } from "../../bus/index.ts";
import { Aer, Ari, Express, Msix, PcieFunction, PowerManagement, SrIov } from "../../pcie/index.ts";
import { Module, type Simulation } from "../../sim/index.ts";
import type { StackMaker, ToeHost } from "./host.ts";
import type { ControlInterface } from "./interface.ts";
import { FRAME_SIZE, ToeCore } from "./toe.ts";

const VENDOR = 0x1234;
const DEVICE = 0x544f;
const VF_DEVICE = 0x5449;
const CLASS = 0x02_8000;
const MSIX_BAR = 4;
const MSIX = { table: { bar: MSIX_BAR, offset: 0 }, pba: { bar: MSIX_BAR, offset: 0x8000 } };
const EXPRESS = { type: "endpoint", functionLevelReset: true, maxPayload: 512 } as const;

export interface ToeDeviceOptions {
  readonly arena: Arena;
  readonly makeStack: StackMaker;
  readonly mac: Uint8Array;
  /** 1 to 64; 8 unless given. */
  readonly interfaces?: number;
  readonly multifunction?: boolean;
}

export class ToeDevice extends Module implements ToeHost {
  readonly core: ToeCore;
  readonly function: PcieFunction;
  readonly virtualFunctions: readonly PcieFunction[];
  readonly #msix: Msix;
  readonly #virtualMsix: readonly Msix[];
  /** Enabled VFs: VF n is interface n. */
  readonly #c = this.state({ virtualFunctions: 0 });

  constructor(parent: Module | Simulation, name: string, options: ToeDeviceOptions) {
    super(parent, name);
    const { arena, mac, makeStack, interfaces, multifunction = false } = options;
    this.core = new ToeCore(this, "core", {
      host: this,
      makeStack,
      mac,
      ...(interfaces === undefined ? {} : { interfaces }),
    });
    const { count } = this.core;
    this.#msix = new Msix({ at: 0x70, vectors: 1 + count, ...MSIX });
    this.#virtualMsix = Array.from({ length: count }, () => new Msix({ at: 0x70, vectors: 1, ...MSIX }));
    const virtualBars = [
      { index: 0, size: FRAME_SIZE, kind: "mem64", prefetchable: true },
      { index: MSIX_BAR, size: FRAME_SIZE, kind: "mem64", prefetchable: true },
    ] as const;
    const sriov = new SrIov({
      at: 0x160,
      totalVfs: count,
      vfDeviceId: VF_DEVICE,
      routing: { ari: { offset: 0x80, stride: 1 }, plain: { offset: 0x180, stride: 1 } },
      bars: virtualBars,
    });
    this.function = new PcieFunction(this, "function", {
      arena,
      title: "TCP/IP offload engine",
      vendorId: VENDOR,
      deviceId: DEVICE,
      subsystemVendorId: VENDOR,
      subsystemId: DEVICE,
      classCode: CLASS,
      interruptPin: 1,
      multifunction,
      bars: [
        { index: 0, size: barSize(count), kind: "mem64", prefetchable: true, target: this.core.space },
        { index: MSIX_BAR, size: FRAME_SIZE, kind: "mem64", prefetchable: true },
      ],
      capabilities: [
        new PowerManagement({ at: 0x40 }),
        this.#msix,
        new Express({ at: 0xa0, ...EXPRESS }),
        new Aer({ at: 0x100 }),
        new Ari({ at: 0x150 }),
        sriov,
      ],
    });
    this.function.onFunctionReset = (kind) => {
      if (kind !== "power") this.core.resetDevice();
    };
    this.virtualFunctions = this.core.interfaces.map((i, n) => this.#virtualFunction(arena, i, n, virtualBars));
    sriov.populate((n) => this.virtualFunctions[n] as PcieFunction);
    sriov.onChange = (enabled) => {
      const before = this.#c.virtualFunctions;
      this.#c.virtualFunctions = Math.min(enabled, count);
      // Whoever had an interface under its other name has no say any more.
      const [from, to] = [before, this.#c.virtualFunctions].sort((a, b) => a - b) as [number, number];
      for (const i of this.core.interfaces.slice(from, to)) i.resetInterface();
      this.#updatePin();
    };
    this.#connect();
  }

  #virtualFunction(
    arena: Arena,
    of: ControlInterface,
    n: number,
    bars: readonly { index: number; size: number; kind: "mem64"; prefetchable: boolean }[],
  ): PcieFunction {
    const vf = new PcieFunction(this, `vf${n}`, {
      arena,
      title: "TOE control interface",
      vendorId: VENDOR,
      deviceId: VF_DEVICE,
      subsystemVendorId: VENDOR,
      subsystemId: DEVICE,
      classCode: CLASS,
      virtual: true,
      bars: bars.map((bar) => (bar.index === 0 ? { ...bar, target: of.bank } : bar)),
      capabilities: [
        this.#virtualMsix[n] as Msix,
        new Express({ at: 0xa0, ...EXPRESS }),
        new Aer({ at: 0x100 }),
        new Ari({ at: 0x150 }),
      ],
    });
    vf.onFunctionReset = (kind) => {
      if (kind !== "power") of.resetInterface();
    };
    return vf;
  }

  #connect(): void {
    const { core } = this;
    core.onMessage = () => this.#msix.raise(0);
    core.interrupt.connect(() => this.#updatePin());
    core.interfaces.forEach((i, n) => {
      i.interrupts.onMessage = () => {
        if (this.#isVirtual(n)) this.#virtualMsix[n]?.raise(0);
        else this.#msix.raise(1 + n);
      };
      i.interrupt.connect(() => this.#updatePin());
    });
  }

  #isVirtual(n: number): boolean {
    return n < this.#c.virtualFunctions;
  }

  #updatePin(): void {
    const own = this.core.interfaces.some((i, n) => !this.#isVirtual(n) && i.interrupt.level);
    this.function.intx.set(own || this.core.interrupt.level);
  }

  port(number: number): Port {
    return ((this.#isVirtual(number) ? this.virtualFunctions[number] : undefined) ?? this.function).port;
  }
}

/** The least power of two that holds all frames. */
function barSize(interfaces: number): number {
  let size = FRAME_SIZE;
  while (size < (1 + interfaces) * FRAME_SIZE) size *= 2;
  return size;
}
