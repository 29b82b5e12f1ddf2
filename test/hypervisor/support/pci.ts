/** Abstract machines whose VMs have PCIe functions, and what a guest does with its configuration space. */
import { virtPart } from "../../../platform/virt/board.ts";
import { AbstractHypervisor } from "../../../src/hypervisor/abstract/core.ts";
import {
  AbstractMachine,
  type Guest,
  type GuestProgram,
  type Routine,
} from "../../../src/hypervisor/abstract/index.ts";
import type { HypervisorConfiguration } from "../../../src/hypervisor/config.ts";
import { pciCards, pciSlots } from "../../../src/hypervisor/pci/configuration.ts";
import { type PciAssignment, PciService } from "../../../src/hypervisor/pci/service.ts";
import { HypervisorSmmu } from "../../../src/hypervisor/smmu.ts";
import type { Vm } from "../../../src/hypervisor/vm.ts";

/** Places of the guest's board. */
export const GICD = 0x800_0000;
export const GICC = 0x801_0000;
export const FRAME = 0x802_0000;
const ECAM = 0x40_1000_0000;
/** Configuration space of device n, from 1 on. */
export const device = (n: number): number => ECAM + 0x8000 * n;
/** BARs of device 1. */
export const BAR0 = 0x1000_0000;
export const BAR3 = 0x1010_0000;

export interface PciSystem {
  readonly machine: AbstractMachine;
  readonly h: AbstractHypervisor;
  readonly pci: PciService;
  readonly smmu: HypervisorSmmu;
  add(program: GuestProgram, functions: readonly PciAssignment[]): Vm;
}

export function pciSystem(pci: NonNullable<HypervisorConfiguration["pci"]>, cpus = 1): PciSystem {
  const config = { pci, vms: [] };
  const machine = new AbstractMachine({ cpus, iommu: "smmuv3", pcie: pciSlots(config, undefined) });
  const h = new AbstractHypervisor(machine);
  const { hypervisor } = h;
  const service = new PciService(hypervisor, pciCards(config));
  const smmu = new HypervisorSmmu(hypervisor, "smmu", {
    base: virtPart("smmu").base,
    eventSpi: 74,
    pool: hypervisor.options.pool,
    physicalAddressSize: 5,
    own: service.ownStreams,
    streams: (vm) => service.streams(vm),
  });
  hypervisor.services.push(smmu);
  const add = (program: GuestProgram, functions: readonly PciAssignment[]): Vm =>
    h.add({ name: program.name, program, memory: 2 ** 22, regions: service.regions(functions) });
  return { machine, h, pci: service, smmu, add };
}

/** Distributor and CPU interface on; SPIs given by INTID are edges for vCPU 0. */
export function* enableEdges(g: Guest, ids: readonly number[]): Routine {
  yield g.store(GICD, 1);
  for (const id of ids) {
    const at = GICD + 0xc00 + 4 * (id >> 4);
    yield g.store(at, ((yield g.load(at)) | (2 << (2 * (id & 15)))) >>> 0);
    yield g.store(GICD + 0x800 + id, 1, 1);
    yield g.store(GICD + 0x100 + 4 * (id >> 5), (1 << (id & 31)) >>> 0);
  }
}

/** Vector of an MSI-X table at `table`: the VM's message frame, this INTID, not masked. */
export function* aim(g: Guest, table: number, vector: number, id: number, address = FRAME + 0x40): Routine {
  yield g.store(table + 16 * vector, address);
  yield g.store(table + 16 * vector + 4, 0);
  yield g.store(table + 16 * vector + 8, id);
  yield g.store(table + 16 * vector + 12, 0);
}
