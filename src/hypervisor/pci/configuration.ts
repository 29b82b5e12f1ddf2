/** PCIe cards and functions of a file of VMs: what is wrong with them, and the slots and assignments that they are. */
import { GICV2M_SPI_COUNT } from "../../../platform/virt/board.ts";
import type { PcieMade, PcieSlot } from "../../../platform/virt/pcie.ts";
import { I82576Device } from "../../devices/i82576/index.ts";
import { type NetworkDevice, parseMac } from "../../net/index.ts";
import { makeRootPort, type PcieHost, PcieTestFunction } from "../../pcie/index.ts";
import type { Simulation } from "../../sim/index.ts";
import type { HypervisorConfiguration, Place, Problem, VmConfiguration } from "../config.ts";
import type { PciAssignment, PciCard } from "./service.ts";

export interface PciCardConfiguration {
  readonly device: string;
  /** Virtual functions that are switched on; given none, the card is given as a whole. */
  readonly vfs?: number;
  readonly mac?: string;
  /** The network that its port is joined to, as -netdev without id; read by the host's side. */
  readonly net?: string;
}

export interface PciFunctionConfiguration {
  readonly function: string;
  readonly vf?: number;
  readonly mac?: string;
  readonly vlan?: number;
}

/** Joins a card's network port to what is outside it. */
export type ConnectCard = (simulation: Simulation, card: string, device: NetworkDevice) => void;

interface DeviceKind {
  readonly vfs: number;
  /** MSI-X vectors of the physical function, of a virtual one, and of the hypervisor's driver. */
  readonly vectors: { readonly whole: number; readonly vf: number; readonly driver: number };
  readonly network: boolean;
  readonly driver?: PciCard["driver"];
  readonly make: (
    host: PcieHost,
    name: string,
    card: PciCardConfiguration,
    n: number,
    connect: ConnectCard | undefined,
  ) => PcieMade;
}

const DEVICES: { readonly [name: string]: DeviceKind } = {
  igb: {
    vfs: 8,
    vectors: { whole: 25, vf: 3, driver: 1 },
    network: true,
    driver: "i82576",
    make: (host, name, card, n, connect) => {
      const mac = parseMac(card.mac ?? "") ?? Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56 + n);
      const device = new I82576Device(host, name, { arena: host.arena, mac });
      connect?.(host.simulation, name, device.core);
      return device;
    },
  },
  "pcie-test": {
    vfs: 64,
    vectors: { whole: 8, vf: 8, driver: 0 },
    network: false,
    make: (host, name, card) => new PcieTestFunction(host, name, { arena: host.arena, vfs: card.vfs ?? 0 }),
  },
};
/** Root ports are devices 1 to 31 of bus 0; the guest's functions too. */
const MOST = 31;

/** Everything that does not fit. */
export function checkPci(config: HypervisorConfiguration, problems: Problem[]): void {
  const cards = Object.entries(config.pci ?? {});
  cards.forEach(([name, card], n) => {
    const at: Place = ["pci", name];
    const kind = DEVICES[card.device];
    if (n >= MOST) problems.push({ message: `${name}: ${MOST} cards are the most`, at });
    if (kind === undefined) {
      const names = Object.keys(DEVICES).join(", ");
      problems.push({
        message: `${name}: there is no card "${card.device}": expected ${names}`,
        at: [...at, "device"],
      });
      return;
    }
    if ((card.vfs ?? 0) > kind.vfs) {
      const message = `${name}: ${card.vfs} virtual functions: ${card.device} has up to ${kind.vfs}`;
      problems.push({ message, at: [...at, "vfs"] });
    }
    checkMac(name, card.mac, at, problems);
    for (const key of kind.network ? [] : (["mac", "net"] as const)) {
      if (card[key] !== undefined)
        problems.push({ message: `${name}: ${card.device} has no "${key}"`, at: [...at, key] });
    }
  });
  const given = new Map<string, Place>();
  const addresses = new Map<string, Place>();
  let vectors = 0;
  config.vms.forEach((vm, v) => {
    const list = vm.pci ?? [];
    if (list.length > MOST) {
      problems.push({ message: `${vm.name}: ${MOST} functions are the most`, at: ["vms", v, "pci"] });
    }
    list.forEach((f, n) => {
      const at: Place = ["vms", v, "pci", n];
      const card = config.pci?.[f.function];
      const kind = DEVICES[card?.device ?? ""];
      if (card === undefined || kind === undefined) {
        if (card !== undefined) return;
        const names = cards.length === 0 ? "none" : cards.map(([name]) => name).join(", ");
        problems.push({
          message: `${vm.name}: there is no card "${f.function}" in "pci": expected one of ${names}`,
          at,
        });
        return;
      }
      checkFunction(vm, f, card, at, problems);
      const name = f.vf === undefined ? f.function : `virtual function ${f.vf} of ${f.function}`;
      const before = given.get(name);
      if (before !== undefined) problems.push({ message: `${vm.name}: ${name} is given twice`, at, other: before });
      given.set(name, at);
      if (f.mac !== undefined) {
        const mac = f.mac.toLowerCase();
        const same = addresses.get(mac);
        if (same !== undefined)
          problems.push({ message: `${vm.name}: ${f.mac} is given twice`, at: [...at, "mac"], other: same });
        addresses.set(mac, [...at, "mac"]);
      }
      const before64 = vectors;
      vectors += f.vf === undefined ? kind.vectors.whole : kind.vectors.vf;
      const drivers = cards.reduce(
        (sum, [, c]) => sum + ((c.vfs ?? 0) > 0 ? (DEVICES[c.device]?.vectors.driver ?? 0) : 0),
        0,
      );
      const most = GICV2M_SPI_COUNT - drivers;
      if (vectors > most && before64 <= most) {
        const message = `${vm.name}: ${name}: its MSI-X vectors are more than are left of the machine's ${GICV2M_SPI_COUNT}`;
        problems.push({ message, at });
      }
    });
  });
}

function checkFunction(
  vm: VmConfiguration,
  f: PciFunctionConfiguration,
  card: PciCardConfiguration,
  at: Place,
  problems: Problem[],
): void {
  const vfs = card.vfs ?? 0;
  const other: Place = ["pci", f.function];
  if (f.vf === undefined && vfs > 0) {
    const message = `${vm.name}: ${f.function} has virtual functions, so it stays the hypervisor's: expected "vf"`;
    problems.push({ message, at, other });
  } else if (f.vf !== undefined && f.vf >= vfs) {
    const has = vfs === 0 ? "none" : `0 to ${vfs - 1}`;
    const message = `${vm.name}: there is no virtual function ${f.vf} of ${f.function}: it has ${has}`;
    problems.push({ message, at: [...at, "vf"], other });
  }
  const driver = f.vf !== undefined && DEVICES[card.device]?.driver !== undefined;
  for (const key of driver ? [] : (["mac", "vlan"] as const)) {
    if (f[key] !== undefined)
      problems.push({ message: `${vm.name}: ${f.function} has no "${key}" to be set here`, at: [...at, key] });
  }
  checkMac(vm.name, f.mac, at, problems);
}

function checkMac(who: string, mac: string | undefined, at: Place, problems: Problem[]): void {
  const bytes = mac === undefined ? undefined : parseMac(mac);
  if (bytes === undefined || (bytes !== null && ((bytes[0] as number) & 1) === 0)) return;
  problems.push({ message: `${who}: mac "${mac}": expected an address of one station`, at: [...at, "mac"] });
}

// --- what they are

/** Functions on the board's bus: for each card a root port and what is behind it. */
export function pciSlots(config: HypervisorConfiguration, connect: ConnectCard | undefined): PcieSlot[] {
  return Object.entries(config.pci ?? {}).flatMap(([name, card], n): PcieSlot[] => {
    const kind = DEVICES[card.device];
    if (kind === undefined) return [];
    const port = `${name}_port`;
    return [
      {
        name: port,
        device: 1 + n,
        make: (host, name) => makeRootPort(host, name, { arena: host.arena, root: host, slot: n }),
      },
      { name, bus: port, make: (host, name) => kind.make(host, name, card, n, connect) },
    ];
  });
}

export function pciCards(config: HypervisorConfiguration): PciCard[] {
  return Object.entries(config.pci ?? {}).map(([name, { device, vfs = 0 }]) => {
    const driver = DEVICES[device]?.driver;
    return { name, vfs, ...(driver === undefined ? {} : { driver }) };
  });
}

export function pciAssignments(config: HypervisorConfiguration, vm: VmConfiguration): PciAssignment[] {
  const names = Object.keys(config.pci ?? {});
  return (vm.pci ?? []).map(({ function: card, vf, mac, vlan }) => {
    if (vf === undefined) return { card };
    const address = parseMac(mac ?? "") ?? Uint8Array.of(2, 0, 0, names.indexOf(card), 0, 1 + vf);
    return { card, vf, settings: { mac: address, ...(vlan === undefined ? {} : { vlan }) } };
  });
}
