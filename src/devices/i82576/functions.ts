/**
 * The 82576 on PCI Express (datasheet chapter 9): one physical function a port and eight virtual ones. BAR 0: registers; BAR 2: I/O; BAR 3: MSI-X.
 * There is no flash, hence no BAR 1 and no option ROM.
 */
import type { Arena, Port } from "../../bus/index.ts";
import { Aer, Ari, Express, Msi, Msix, PcieFunction, PowerManagement, SerialNumber, SrIov } from "../../pcie/index.ts";
import { Module, type Simulation } from "../../sim/index.ts";
import { type Host, PF } from "./host.ts";
import { I82576Core, VIRTUAL_FUNCTIONS } from "./i82576.ts";

const VENDOR = 0x8086;
const DEVICE = 0x10c9;
const VF_DEVICE = 0x10ca;
const SUBSYSTEM = 0xa03c;
const CLASS = 0x02_0000;
const MSIX_BAR = 3;
const MSIX_SIZE = 0x4000;
const PBA_OFFSET = 0x2000;
const VF_SIZE = 0x4000;
const EXPRESS = {
  at: 0xa0,
  type: "endpoint",
  functionLevelReset: true,
  maxPayload: 512,
  linkWidth: 4,
  completionTimeout: { ranges: 0xf, disable: true },
} as const;

export interface I82576DeviceOptions {
  readonly arena: Arena;
  readonly mac: Uint8Array;
  readonly portNumber?: number;
  readonly multifunction?: boolean;
}

export class I82576Device extends Module implements Host {
  readonly core: I82576Core;
  readonly function: PcieFunction;
  readonly virtualFunctions: readonly PcieFunction[];
  readonly #msi = new Msi({ at: 0x50, perVectorMasking: true });
  readonly #msix: readonly Msix[];

  constructor(parent: Module | Simulation, name: string, options: I82576DeviceOptions) {
    super(parent, name);
    const { arena, mac, multifunction = false } = options;
    this.core = new I82576Core(this, "core", { mac, host: this, portNumber: options.portNumber ?? 0 });
    const table = { bar: MSIX_BAR, offset: 0 };
    const pba = { bar: MSIX_BAR, offset: PBA_OFFSET };
    this.#msix = [
      new Msix({ at: 0x70, vectors: 25, table, pba }),
      ...Array.from({ length: VIRTUAL_FUNCTIONS }, () => new Msix({ at: 0x70, vectors: 3, table, pba })),
    ];
    const bars = [
      { index: 0, size: VF_SIZE, kind: "mem64", prefetchable: true },
      { index: MSIX_BAR, size: MSIX_SIZE, kind: "mem64", prefetchable: true },
    ] as const;
    const sriov = new SrIov({
      at: 0x160,
      totalVfs: VIRTUAL_FUNCTIONS,
      vfDeviceId: VF_DEVICE,
      routing: { ari: { offset: 0x80, stride: 2 }, plain: { offset: 0x180, stride: 2 } },
      bars,
    });
    const byte = (i: number) => mac[i] as number;
    this.function = new PcieFunction(this, "function", {
      arena,
      title: "82576 Gigabit Network Connection",
      vendorId: VENDOR,
      deviceId: DEVICE,
      subsystemVendorId: VENDOR,
      subsystemId: SUBSYSTEM,
      revision: 1,
      classCode: CLASS,
      interruptPin: 1,
      multifunction,
      bars: [
        { index: 0, size: 0x2_0000, kind: "mem32", target: this.core.space },
        { index: 2, size: 32, kind: "io", target: this.core.ioWindow },
        { index: MSIX_BAR, size: MSIX_SIZE, kind: "mem32" },
      ],
      capabilities: [
        new PowerManagement({ at: 0x40 }),
        this.#msi,
        this.#msix[0] as Msix,
        new Express(EXPRESS),
        new Aer({ at: 0x100 }),
        // EUI-64 of the address, FFFFh in its middle (chapter 9).
        new SerialNumber(
          0xff00_0000 | (byte(3) << 16) | (byte(4) << 8) | byte(5),
          (byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | 0xff,
          { at: 0x140 },
        ),
        new Ari({ at: 0x150 }),
        sriov,
      ],
    });
    this.function.onFunctionReset = (kind) => {
      if (kind !== "power") this.core.functionReset();
    };
    this.virtualFunctions = this.core.windows.map((window, n) => {
      const vf = new PcieFunction(this, `vf${n}`, {
        arena,
        title: "82576 Virtual Function",
        vendorId: VENDOR,
        deviceId: VF_DEVICE,
        subsystemVendorId: VENDOR,
        subsystemId: SUBSYSTEM,
        revision: 1,
        classCode: CLASS,
        virtual: true,
        bars: [{ ...bars[0], target: window.bank }, bars[1]],
        capabilities: [this.#msix[1 + n] as Msix, new Express(EXPRESS), new Aer({ at: 0x100 }), new Ari({ at: 0x150 })],
      });
      vf.onFunctionReset = (kind) => {
        if (kind !== "power") this.core.virtualReset(n);
      };
      return vf;
    });
    sriov.populate((n) => this.virtualFunctions[n] as PcieFunction);
    sriov.onChange = (count) => this.core.setVirtualFunctions(count);
  }

  get requesterId(): number {
    return this.function.requesterId;
  }
  port(owner: number): Port {
    return this.#of(owner).port;
  }
  get messages(): boolean {
    return (this.#msix[0] as Msix).enabled;
  }
  message(owner: number, vector: number): void {
    this.#msix[owner + 1]?.raise(vector);
  }
  clearPending(owner: number, vector: number): void {
    this.#msix[owner + 1]?.clearPending(vector);
  }
  level(asserted: boolean): void {
    if (!this.#msi.enabled) this.function.intx.set(asserted);
    else if (asserted) this.#msi.raise(0);
  }

  #of(owner: number): PcieFunction {
    return owner === PF ? this.function : (this.virtualFunctions[owner] as PcieFunction);
  }
}
