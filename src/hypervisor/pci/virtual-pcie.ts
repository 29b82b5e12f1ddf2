/**
 * The PCIe host bridge of a VM: one bus with the functions that the VM has been given, devices 1 and up, in the form of the `virt` board's own (ECAM, a window of 32-bit
 * memory, a GICv2m frame for messages). Configuration space and MSI-X tables are trapped, the rest of the BARs is mapped where the guest puts them.
 */
import { GICV2M_BASE_SPI, GICV2M_SPI_COUNT, PCIE, virtPart } from "../../../platform/virt/board.ts";
import { SIZES_UP_TO_32, type Target, Transaction } from "../../bus/index.ts";
import { Gicv2m } from "../../devices/gicv2m/index.ts";
import { ones } from "../../pcie/bus.ts";
import { Module } from "../../sim/index.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";
import type { DeviceModel, RegionOptions, Vm } from "../vm.ts";
import { type FunctionRecord, PAGE } from "./topology.ts";
import { type Stretch, VirtualFunction } from "./virtual-function.ts";

/** Bytes of the ECAM: bus 0. */
export const GUEST_ECAM = { base: PCIE.ecam.base, size: 0x10_0000 };

/** The region of the memory window. */
const WINDOW = "pcieMemory";

export interface VirtualPcieHost {
  /** The machine's bus. */
  readonly bus: Target;
  record(fn: VirtualFunction): FunctionRecord | null;
  reset(fn: VirtualFunction): void;
  /** The CPU at EL2 that is at work. */
  current(): PhysicalCpu | null;
  /** The VM's tables have no more memory. */
  exhausted(vm: Vm): void;
}

export class VirtualPcie extends Module {
  readonly functions: readonly VirtualFunction[];
  readonly frame: Gicv2m;
  readonly #vm: Vm;
  readonly #host: VirtualPcieHost;
  /** What of BARs stage 2 maps: intermediate and physical addresses and bytes in turn. */
  readonly #c = this.state({ mapped: [] as number[] });

  constructor(vm: Vm, name: string, count: number, host: VirtualPcieHost) {
    super(vm, name);
    this.#vm = vm;
    this.#host = host;
    const frame = virtPart("gicv2m").base;
    this.frame = new Gicv2m(this, "gicv2m", { baseSpi: GICV2M_BASE_SPI, spis: GICV2M_SPI_COUNT });
    const tx = new Transaction();
    const functions: VirtualFunction[] = [];
    for (let n = 0; n < count; n++) {
      const fn: VirtualFunction = new VirtualFunction(
        this,
        `function${n}`,
        {
          ecam: PCIE.ecam.base,
          bus: host.bus,
          window: PCIE.memory32,
          frame,
          message: (interrupt) => this.frame.registers.write(0x40, 4, interrupt, tx),
          record: () => host.record(fn),
          reset: () => host.reset(fn),
          changed: () => this.remap(),
        },
        tx,
      );
      functions.push(fn);
    }
    this.functions = functions;
  }

  /** Stage 2 follows the BARs. */
  remap(): void {
    const cpu = this.#host.current();
    if (cpu === null) return;
    const { stage2 } = this.#vm;
    const { mapped } = this.#c;
    const shown = this.#vm.modeOf(WINDOW) === "trap";
    const wanted = this.functions.flatMap((fn) => (shown && fn.begun ? fn.stretches() : []));
    for (let i = 0; i < mapped.length; i += 3) {
      const [ipa = 0, physical = 0, size = 0] = mapped.slice(i, i + 3);
      const kept = wanted.some((s) => s.ipa === ipa && s.physical === physical && s.size === size);
      if (!kept) stage2.unmap(cpu, cpu, ipa, size);
    }
    // all of them: one that stays may have lain below one that went
    for (const s of wanted) {
      if (!this.#map(cpu, s)) {
        this.#host.exhausted(this.#vm);
        return;
      }
    }
    mapped.length = 0;
    for (const s of wanted) mapped.push(s.ipa, s.physical, s.size);
  }

  #map(cpu: PhysicalCpu, { ipa, physical, size }: Stretch): boolean {
    const { stage2 } = this.#vm;
    const { mapped } = this.#c;
    for (let i = 0; i < mapped.length; i += 3) {
      const same = mapped[i] === ipa && mapped[i + 1] === physical && mapped[i + 2] === size;
      if (same && stage2.find(cpu, ipa) === physical && stage2.find(cpu, ipa + size - PAGE) === physical + size - PAGE)
        return true;
    }
    return stage2.map(cpu, cpu, ipa, physical, size, "device");
  }

  /** Configuration space of bus 0. Where there is no function, ones. */
  get ecam(): Target {
    const at = (offset: number): VirtualFunction | undefined =>
      ((offset >>> 12) & 7) === 0 ? this.functions[((offset >>> 15) & 31) - 1] : undefined;
    return {
      accessSizes: SIZES_UP_TO_32,
      read: (offset, size) => at(offset)?.read(offset & 0xfff, size) ?? ones(size),
      write: (offset, size, value) => at(offset)?.write(offset & 0xfff, size, value),
      peek: (offset, size) => at(offset)?.peek(offset & 0xfff, size) ?? ones(size),
      poke: () => undefined,
    };
  }

  /** The memory window, as far as it is trapped. */
  get memory(): Target {
    const at = (offset: number) => {
      for (const fn of this.functions) {
        const found = fn.find(PCIE.memory32.base + offset);
        if (found !== null) return { fn, ...found };
      }
      return null;
    };
    return {
      accessSizes: SIZES_UP_TO_32,
      read: (offset, size) => {
        const found = at(offset);
        return found === null ? ones(size) : found.fn.readBar(found.bar, found.offset, size);
      },
      write: (offset, size, value) => {
        const found = at(offset);
        found?.fn.writeBar(found.bar, found.offset, size, value);
      },
      peek: (offset, size) => {
        const found = at(offset);
        return found === null ? ones(size) : found.fn.peekBar(found.bar, found.offset, size);
      },
      poke: () => undefined,
    };
  }
}

/** The regions of a VM with `count` functions; `made` is told of its host bridge. */
export function pcieRegions(
  count: number,
  host: VirtualPcieHost,
  made: (pcie: VirtualPcie, vm: Vm) => void,
): RegionOptions[] {
  const bridges = new Map<Vm, VirtualPcie>();
  const bridgeOf = (vm: Vm): VirtualPcie => {
    const found = bridges.get(vm);
    if (found !== undefined) return found;
    const pcie = new VirtualPcie(vm, "pcie", count, host);
    bridges.set(vm, pcie);
    made(pcie, vm);
    return pcie;
  };
  const trap = (
    name: string,
    place: { readonly base: number; readonly size: number },
    model: (pcie: VirtualPcie) => DeviceModel,
  ): RegionOptions => ({ name, base: place.base, size: place.size, mode: "trap", model: (vm) => model(bridgeOf(vm)) });
  const frame = virtPart("gicv2m");
  return [
    trap("pcie", GUEST_ECAM, (pcie) => ({ target: pcie.ecam, lines: [] })),
    trap(WINDOW, PCIE.memory32, (pcie) => ({ target: pcie.memory, lines: [] })),
    trap("pcieIo", PCIE.io, () => ({ target: NOTHING, lines: [] })),
    {
      ...trap("gicv2m", { base: frame.base, size: PAGE }, ({ frame: { registers, spi, baseSpi } }) => ({
        target: registers,
        lines: spi.map((line, n) => ({ line, spi: baseSpi + n })),
      })),
      // the machine's is at the same place in what DMA sees
      messageFrame: frame.base,
    },
  ];
}

/** I/O space in which nobody answers. */
const NOTHING: Target = {
  accessSizes: SIZES_UP_TO_32,
  read: (_offset, size) => ones(size),
  write: () => undefined,
  peek: (_offset, size) => ones(size),
  poke: () => undefined,
};
