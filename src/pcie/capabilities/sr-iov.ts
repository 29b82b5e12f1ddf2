/**
 * Single Root I/O Virtualization (clause 9; capability 9.3.3). The VFs exist from the start as modules, absent until VF Enable; their
 * BARs are slices of the PF's VF BARs. No VF migration.
 */
import type { Window } from "../../bus/index.ts";
import { type Field, ro, rw } from "../../registers/index.ts";
import { Capability, type CapabilityPlace } from "../capability.ts";
import type { PcieFunction } from "../function.ts";
import { type BarShape, barRegisters, checkBars } from "../header.ts";
import type { ConfigRegister, ResetKind } from "../space.ts";

export interface SrIovOptions extends CapabilityPlace {
  readonly totalVfs: number;
  readonly vfDeviceId: number;
  /** First VF Offset and VF Stride, with ARI Capable Hierarchy set and without. */
  readonly routing: { readonly ari: VfRouting; readonly plain: VfRouting };
  /** VF BARs; sizes are those of one VF. */
  readonly bars: readonly BarShape[];
  /** Bit n: pages of 2^(n + 12) bytes; 0x553 (4K to 4M as the specification demands) unless given. */
  readonly supportedPageSizes?: number;
  /** Makes VF `index` (from 0). May be given later by `populate`. */
  readonly factory?: (index: number) => PcieFunction;
}

export interface VfRouting {
  readonly offset: number;
  readonly stride: number;
}

const VF_ENABLE = 1;
const VF_MSE = 8;
const ARI_HIERARCHY = 16;
const MAX_ADDRESS = 2 ** 52;
const CONTROL = "SRIOV_CONTROL_STATUS";

export class SrIov extends Capability {
  override readonly name = "SRIOV";
  override readonly id = 0x0010;
  override readonly extended = true;
  override readonly length = 0x40;
  override readonly headFields: { readonly [name: string]: Field } = {};
  readonly options: SrIovOptions;
  /** All VFs, enabled or not. */
  vfs: readonly PcieFunction[] = [];
  /** VF Enable or NumVFs as used has changed: `count` VFs are there now. */
  onChange: ((count: number) => void) | null = null;
  readonly #windows = new Map<string, Window>();
  #placing = false;

  constructor(options: SrIovOptions) {
    super(options);
    this.options = options;
    checkBars("VF", options.bars, 6);
  }

  /** VFs that are enabled. */
  get count(): number {
    if ((this.get(CONTROL) & VF_ENABLE) === 0) return 0;
    return Math.min(this.get("SRIOV_NUM_VFS") & 0xffff, this.vfs.length);
  }
  get routing(): VfRouting {
    return (this.get(CONTROL) & ARI_HIERARCHY) !== 0 ? this.options.routing.ari : this.options.routing.plain;
  }
  /** Bytes. */
  get systemPageSize(): number {
    const bits = this.get("SRIOV_SYSTEM_PAGE_SIZE") & this.#supported;
    return bits === 0 ? 4096 : 4096 * (bits & -bits);
  }
  get #supported(): number {
    return this.options.supportedPageSizes ?? 0x553;
  }

  override registers(): { readonly [name: string]: ConfigRegister } {
    const o = this.options;
    return {
      SRIOV_CAPABILITIES: {
        at: 0x04,
        title: "SR-IOV Capabilities",
        clause: "9.3.3.2",
        fields: {
          VFMigrationCapable: ro(0, "VF Migration Capable"),
          ARICapableHierarchyPreserved: ro(1, "ARI Capable Hierarchy Preserved"),
        },
      },
      [CONTROL]: {
        at: 0x08,
        title: "SR-IOV Control and SR-IOV Status",
        clause: "9.3.3.3; 9.3.3.4",
        hooks: { onWrite: (_written, _mask, before) => this.#controlled(before) },
        fields: {
          VFEnable: rw(0, "VF Enable"),
          VFMigrationEnable: ro(1, "VF Migration Enable"),
          VFMSE: rw(3, "VF MSE: memory space of VFs"),
          ARICapableHierarchy: rw(4, "ARI Capable Hierarchy"),
        },
      },
      SRIOV_INITIAL_TOTAL_VFS: {
        at: 0x0c,
        title: "InitialVFs and TotalVFs",
        clause: "9.3.3.5; 9.3.3.6",
        fields: {
          InitialVFs: ro([15, 0], "InitialVFs", { reset: o.totalVfs }),
          TotalVFs: ro([31, 16], "TotalVFs", { reset: o.totalVfs }),
        },
      },
      SRIOV_NUM_VFS: {
        at: 0x10,
        title: "NumVFs and Function Dependency Link",
        clause: "9.3.3.7; 9.3.3.8",
        hooks: { onWrite: (_written, _mask, before) => this.#numbered(before) },
        fields: {
          NumVFs: rw([15, 0], "NumVFs"),
          FunctionDependencyLink: ro([23, 16], "Function Dependency Link: the PF itself"),
        },
      },
      SRIOV_VF_OFFSET_STRIDE: {
        at: 0x14,
        title: "First VF Offset and VF Stride",
        clause: "9.3.3.9; 9.3.3.10",
        computed: true,
        hooks: { get: () => this.routing.offset | (this.routing.stride << 16) },
        fields: {
          FirstVFOffset: ro([15, 0], "First VF Offset", { reset: o.routing.plain.offset }),
          VFStride: ro([31, 16], "VF Stride", { reset: o.routing.plain.stride }),
        },
      },
      SRIOV_VF_DEVICE_ID: {
        at: 0x18,
        title: "VF Device ID",
        clause: "9.3.3.11",
        fields: { VFDeviceID: ro([31, 16], "VF Device ID", { reset: o.vfDeviceId }) },
      },
      SRIOV_SUPPORTED_PAGE_SIZES: {
        at: 0x1c,
        title: "Supported Page Sizes",
        clause: "9.3.3.12",
        fields: { SupportedPageSizes: ro([31, 0], "Bit n: pages of 2^(n + 12) bytes", { reset: this.#supported }) },
      },
      SRIOV_SYSTEM_PAGE_SIZE: {
        at: 0x20,
        title: "System Page Size",
        clause: "9.3.3.13",
        hooks: { onWrite: () => this.updateWindows() },
        fields: { SystemPageSize: rw([31, 0], "One bit of Supported Page Sizes", { reset: 1 }) },
      },
      ...this.#barRegisters(),
      SRIOV_VF_MIGRATION_STATE_ARRAY: {
        at: 0x3c,
        title: "VF Migration State Array Offset",
        clause: "9.3.3.15",
        fields: { Offset: ro([31, 0], "None") },
      },
    };
  }

  /** VF BARs read back at least aligned to the system page size (9.3.3.14). */
  #barRegisters(): { readonly [name: string]: ConfigRegister } {
    const registers = barRegisters(
      "SRIOV_VF_BAR",
      0x24,
      this.options.bars,
      () => ({ onWrite: () => this.updateWindows() }),
      "9.3.3.14",
    );
    const out: Record<string, ConfigRegister> = {};
    for (const [name, register] of Object.entries(registers)) {
      if (name.endsWith("UPPER")) out[name] = register;
      else {
        const get = () => {
          const word = this.get(name);
          return (word & 15) | (word & ~15 & -this.systemPageSize);
        };
        out[name] = { ...register, hooks: { ...register.hooks, get } };
      }
    }
    return out;
  }

  override ready(): void {
    this.function.virtualFunctions = this;
    if (this.options.factory) this.populate(this.options.factory);
  }

  /** Makes the VFs. */
  populate(factory: (index: number) => PcieFunction): void {
    if (this.vfs.length > 0) throw new Error(`${this.function.fullName}: the VFs exist already`);
    this.vfs = Array.from({ length: this.options.totalVfs }, (_, i) => factory(i));
    this.update();
  }

  /** The enabled VF with this routing id, or null. */
  find(routingId: number): PcieFunction | null {
    const { count } = this;
    if (count === 0) return null;
    const { offset, stride } = this.routing;
    const distance = routingId - this.function.requesterId - offset;
    if (distance < 0 || (stride > 0 && distance % stride !== 0)) return null;
    const index = stride === 0 ? distance : distance / stride;
    return index < count ? (this.vfs[index] ?? null) : null;
  }

  /** Tells every VF where it is now. */
  update(): void {
    const { count } = this;
    const { offset, stride } = this.routing;
    const there = this.function.present;
    this.#placing = true;
    this.vfs.forEach((vf, i) => {
      vf.placeVirtual(this.function, offset + i * stride, there && i < count);
    });
    this.#placing = false;
    this.updateWindows();
  }

  /** Maps, moves and unmaps the slices of VF BARs. */
  updateWindows(): void {
    const { bus } = this.function;
    if (this.#placing || bus === null) return;
    const enabled = (this.get(CONTROL) & VF_MSE) !== 0 && !this.function.poweredDown;
    for (const shape of this.options.bars) {
      const size = Math.max(shape.size, this.systemPageSize);
      const start = this.vfBarAddress(shape);
      this.vfs.forEach((vf, i) => {
        const key = `${i}.${shape.index}`;
        const bar = vf.bars.list.find((b) => b.spec.index === shape.index);
        const target = bar?.target ?? null;
        const base = start + i * size;
        const wanted = enabled && target !== null && vf.present && !vf.poweredDown && base + size <= MAX_ADDRESS;
        const before = this.#windows.get(key);
        if (before && wanted && before.base === base && before.target === target) return;
        if (before) bus.memory.unmap(before);
        this.#windows.delete(key);
        if (!wanted || target === null) return;
        const priority = bus.priorityOf(this.function, 16 + 6 * i + shape.index);
        const name = `${vf.fullName} BAR ${shape.index}`;
        this.#windows.set(key, bus.memory.map({ name, base, size: shape.size, target, priority }));
      });
    }
  }

  /** Where the first VF's BAR begins. */
  vfBarAddress(shape: BarShape): number {
    const low = this.get(`SRIOV_VF_BAR${shape.index}`) & ~15 & -this.systemPageSize;
    const high = shape.kind === "mem64" ? this.get(`SRIOV_VF_BAR${shape.index}_UPPER`) >>> 0 : 0;
    return high * 2 ** 32 + (low >>> 0);
  }

  override onReset(_kind: ResetKind): void {
    this.update();
    this.onChange?.(this.count);
  }
  override onRestore(): void {
    this.update();
  }

  #controlled(before: number): void {
    const now = this.get(CONTROL);
    const enabling = (now & ~before & VF_ENABLE) !== 0;
    const disabling = (before & ~now & VF_ENABLE) !== 0;
    if ((before & now & VF_ENABLE) !== 0 && ((before ^ now) & ARI_HIERARCHY) !== 0) {
      this.set(CONTROL, now ^ ARI_HIERARCHY);
      this.#complain("ARI Capable Hierarchy changed while VFs are enabled", "9.3.3.3.5", now);
    }
    if (enabling) {
      const number = this.get("SRIOV_NUM_VFS") & 0xffff;
      if (number === 0) this.#complain("VF Enable set with NumVFs 0", "9.3.3.3.1", number);
      // VFs come up as after a reset.
      for (const vf of this.vfs.slice(0, number)) vf.resetFunction("flr");
    }
    this.update();
    if (disabling) for (const vf of this.vfs) vf.resetFunction("flr");
    if (enabling || disabling) this.onChange?.(this.count);
  }

  #numbered(before: number): void {
    const wanted = this.get("SRIOV_NUM_VFS") & 0xffff;
    const enabled = (this.get(CONTROL) & VF_ENABLE) !== 0;
    if (wanted <= this.options.totalVfs && !enabled) return;
    if (wanted === (before & 0xffff)) return;
    // Undefined by 9.3.3.7: the number stays as it was.
    this.set("SRIOV_NUM_VFS", before);
    this.#complain(
      enabled ? "NumVFs changed while VFs are enabled" : "NumVFs is larger than TotalVFs",
      "9.3.3.7",
      wanted,
    );
  }

  #complain(detail: string, clause: string, value: number): void {
    this.function.guestError({
      kind: "value",
      register: "SRIOV",
      write: true,
      value,
      clause: `PCI Express Base 5.0 ${clause}`,
      detail,
    });
  }
}
