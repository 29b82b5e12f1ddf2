/** A machine with its VMs as data: what a file of VMs holds, what is wrong with it, and the machine that it describes. */
import { type BoardPart, PCIE, TOE, VIRT_PARTS, virtPart } from "../../platform/virt/board.ts";
import type { ImageFile } from "../../platform/virt/boot.ts";
import { createVirtMachine, type VirtMachine, type VirtOptions } from "../../platform/virt/machine.ts";
import { PL011, Pl011 } from "../devices/pl011/index.ts";
import { PL031 } from "../devices/pl031/index.ts";
import { PL061 } from "../devices/pl061/index.ts";
import { SP804 } from "../devices/sp804/index.ts";
import type { Declaration } from "../registers/index.ts";
import { COSTS, type CostTable } from "./costs.ts";
import { region, TRAPPABLE } from "./devices.ts";
import { guestBoot } from "./guest.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { addHypervisor } from "./machine.ts";
import { BLOCK } from "./memory.ts";
import {
  type ConnectCard,
  checkPci,
  type PciCardConfiguration,
  type PciFunctionConfiguration,
  pciAssignments,
  pciCards,
  pciSlots,
} from "./pci/configuration.ts";
import { PciService } from "./pci/service.ts";
import { createScheduler, type DomainParameters, SCHEDULER_NAMES } from "./scheduler/index.ts";
import { HypervisorSmmu } from "./smmu.ts";
import { type ToeAssignment, ToeService, toeAddress } from "./toe/service.ts";
import { checkVirtio, type MakeVirtio, type VirtioConfiguration, virtioRegion } from "./virtio.ts";
import type { RegionMode, RegionOptions, Vm } from "./vm.ts";

export interface DeviceConfiguration extends VirtioConfiguration {
  readonly mode: RegionMode;
  readonly physical?: string;
  readonly at?: string;
  readonly registers?: { readonly [name: string]: RegionMode };
  /** TOE: the VM's IPv4 address with prefix length, its gateway, its weight. */
  readonly address?: string;
  readonly gateway?: string;
  readonly weight?: number;
}

export interface VmConfiguration {
  readonly name: string;
  readonly memory: number | string;
  readonly vcpus?: number;
  readonly psci?: "hvc" | "smc";
  readonly kernel: string;
  readonly initrd?: string;
  readonly dtb?: string;
  readonly append?: string;
  readonly devices?: { readonly [part: string]: RegionMode | DeviceConfiguration };
  /** PCIe functions of the machine's cards that the VM has, in the order of its bus. */
  readonly pci?: readonly PciFunctionConfiguration[];
  readonly scheduling?: DomainParameters;
  readonly affinity?: readonly (readonly number[])[];
  readonly stopOnReset?: boolean;
}

export interface HypervisorConfiguration {
  readonly machine?: {
    readonly cpus?: number;
    readonly cpu?: "cortex-a53" | "cortex-a57" | "max";
    readonly memory?: number | string;
    readonly seed?: number;
  };
  readonly scheduler?: {
    readonly policy?: string;
    readonly options?: { readonly [name: string]: number | boolean };
  };
  readonly costs?: Partial<CostTable>;
  readonly trapWfe?: boolean;
  readonly limit?: number;
  /** A host inside the simulation, at the other end of the TOE's link, that fetches `path` by HTTP from every VM with a TOE interface. */
  readonly peer?: { readonly address: string; readonly path: string };
  /** PCIe cards of the machine, by name. */
  readonly pci?: { readonly [name: string]: PciCardConfiguration };
  readonly vms: readonly VmConfiguration[];
}

/** A place in the configuration: property names and list positions from the top. */
export type Place = readonly (string | number)[];

/** What does not fit, where, and with what. */
export interface Problem {
  readonly message: string;
  readonly at: Place;
  readonly other?: Place;
}

const MIB = 2 ** 20;
const DEFAULT_MEMORY = 512 * MIB;
const SUFFIX: { readonly [letter: string]: number } = { K: 1024, M: MIB, G: 1024 * MIB };
const PAGE = 4096;
const DECLARATIONS: { readonly [kind: string]: Declaration } = {
  pl011: PL011,
  sp804: SP804,
  pl031: PL031,
  pl061: PL061,
};
/** Parts that the hypervisor itself needs, or that no guest can have. */
const RESERVED: readonly string[] = [
  ...["gicv2-distributor", "gicv2-cpu-interface", "gicv2-hypervisor", "gicv2-virtual-cpu"],
  ...["ram", "smmuv3", "pcie-ecam", "gicv2m", "cfi-flash", "fw-cfg"],
];

export function bytesOf(size: number | string): number {
  if (typeof size === "number") return size;
  const last = size.at(-1) ?? "";
  return Number.parseInt(size, 10) * (SUFFIX[last] ?? 1);
}

function deviceOf(device: RegionMode | DeviceConfiguration): DeviceConfiguration {
  return typeof device === "string" ? { mode: device } : device;
}
/** The VM's interface of the TOE, where it has one. */
export function toeOf(vm: VmConfiguration): DeviceConfiguration | undefined {
  const entry = vm.devices?.["toe"];
  const device = entry === undefined ? undefined : deviceOf(entry);
  return device?.mode === "none" ? undefined : device;
}
const findPart = (name: string): BoardPart | undefined => VIRT_PARTS.find((p) => p.name === name);
const hex = (n: number): string => `0x${n.toString(16)}`;

/** Everything that does not fit in a configuration of the right shape. */
export function checkConfiguration(config: HypervisorConfiguration): Problem[] {
  const problems: Problem[] = [];
  const { machine = {}, scheduler = {}, costs = {}, vms } = config;
  const { policy } = scheduler;
  if (policy !== undefined && !SCHEDULER_NAMES.includes(policy)) {
    const names = SCHEDULER_NAMES.join(", ");
    problems.push({ message: `there is no policy "${policy}": expected one of ${names}`, at: ["scheduler", "policy"] });
  }
  for (const name of Object.keys(costs)) {
    if (!(name in COSTS)) problems.push({ message: `there is no cost "${name}"`, at: ["costs", name] });
  }
  const cpus = machine.cpus ?? 1;
  const names = new Map<string, Place>();
  const addresses = new Map<string, Place>();
  if (config.peer !== undefined && toeAddress(config.peer.address) === null) {
    const message = `address "${config.peer.address}": expected IPv4 with prefix length, such as 10.0.2.1/24`;
    problems.push({ message, at: ["peer", "address"] });
  }
  const given = new Map<string, Place>();
  const memory = bytesOf(machine.memory ?? DEFAULT_MEMORY);
  // a little is left for translation tables
  let left = memory - 2 * MIB;
  vms.forEach((vm, n) => {
    const here: Place = ["vms", n];
    const same = names.get(vm.name);
    if (same !== undefined)
      problems.push({ message: `two VMs are named "${vm.name}"`, at: [...here, "name"], other: same });
    names.set(vm.name, [...here, "name"]);
    const bytes = bytesOf(vm.memory);
    if (bytes % BLOCK !== 0) {
      problems.push({
        message: `${vm.name}: memory of ${bytes} bytes: expected a multiple of 2M`,
        at: [...here, "memory"],
      });
    }
    left -= bytes;
    if (left < 0) {
      problems.push({
        message: `${vm.name}: ${bytes / MIB} MiB are more than is left of the machine's ${memory / MIB} MiB`,
        at: [...here, "memory"],
        ...(machine.memory === undefined ? {} : { other: ["machine", "memory"] }),
      });
      left += bytes;
    }
    if ((vm.affinity?.length ?? 0) > (vm.vcpus ?? 1)) {
      problems.push({ message: `${vm.name} has ${vm.vcpus ?? 1} vCPUs`, at: [...here, "affinity"] });
    }
    vm.affinity?.forEach((list, v) => {
      list.forEach((cpu, i) => {
        if (cpu >= cpus)
          problems.push({ message: `CPU ${cpu}: the machine has ${cpus}`, at: [...here, "affinity", v, i] });
      });
    });
    checkDevices(vm, here, given, problems);
    const toe = toeOf(vm);
    if (toe?.address !== undefined) {
      const at: Place = [...here, "devices", "toe", "address"];
      const [host = ""] = toe.address.split("/");
      const before = addresses.get(host);
      if (before !== undefined) problems.push({ message: `${vm.name}: ${host} is given twice`, at, other: before });
      addresses.set(host, at);
    }
  });
  checkPci(config, problems);
  return problems;
}

function checkDevices(vm: VmConfiguration, here: Place, given: Map<string, Place>, problems: Problem[]): void {
  const places: { readonly name: string; readonly base: number; readonly size: number; readonly at: Place }[] = [
    { name: "memory", base: partBase("ram"), size: bytesOf(vm.memory), at: [...here, "memory"] },
    { name: "the interrupt controller", base: partBase("gicd"), size: 0x2_0000, at: here },
  ];
  if (vm.pci !== undefined) {
    const at: Place = [...here, "pci"];
    places.push({ name: "the message frame", base: partBase("gicv2m"), size: PAGE, at });
    places.push({ name: "the PCIe window", base: PCIE.memory32.base, size: PCIE.memory32.size + PCIE.io.size, at });
  }
  for (const [name, entry] of Object.entries(vm.devices ?? {})) {
    const at: Place = [...here, "devices", name];
    const device = deviceOf(entry);
    const part = findPart(name);
    if (part?.kind === "toe") checkToe(vm, device, at, problems);
    if (part === undefined || RESERVED.includes(part.kind)) {
      const known = VIRT_PARTS.filter((p) => !RESERVED.includes(p.kind) && p.kind !== "virtio-mmio").map((p) => p.name);
      const list = [...known, "virtio0 to virtio31"].join(", ");
      problems.push({ message: `${vm.name}: there is no device "${name}": expected one of ${list}`, at });
      continue;
    }
    const isVirtio = part.kind === "virtio-mmio";
    problems.push(...checkVirtio(`${vm.name}: ${name}`, isVirtio, device, at, given));
    const base = device.at === undefined ? part.base : Number.parseInt(device.at, 16);
    const size = part.kind === "toe" ? 2 * TOE.frame : isVirtio ? part.size : Math.max(part.size, PAGE);
    if (base % PAGE !== 0 && !isVirtio)
      problems.push({ message: `${vm.name}: ${name} at ${hex(base)}: expected a multiple of 4K`, at });
    for (const other of places) {
      if (base >= other.base + other.size || other.base >= base + size) continue;
      const message = `${vm.name}: ${name} at ${hex(base)} overlaps ${other.name} at ${hex(other.base)}`;
      problems.push({ message, at, other: other.at });
    }
    places.push({ name, base, size, at });
    checkDevice(vm, name, part, device, at, given, problems);
  }
}

function checkDevice(
  vm: VmConfiguration,
  name: string,
  part: BoardPart,
  device: DeviceConfiguration,
  at: Place,
  given: Map<string, Place>,
  problems: Problem[],
): void {
  if (part.kind === "toe" || part.kind === "virtio-mmio") return;
  const modes = [device.mode, ...Object.values(device.registers ?? {})];
  if (modes.includes("trap") && !TRAPPABLE.includes(part.kind)) {
    problems.push({ message: `${vm.name}: ${name}: there is no model of ${part.kind} to trap into`, at });
  }
  const declared = DECLARATIONS[part.kind]?.registers ?? {};
  for (const register of Object.keys(device.registers ?? {})) {
    if (register in declared) continue;
    problems.push({ message: `${vm.name}: ${name} has no register "${register}"`, at: [...at, "registers", register] });
  }
  if (!modes.includes("pass")) return;
  const physical = findPart(device.physical ?? name);
  if (physical === undefined || physical.kind !== part.kind) {
    const message = `${vm.name}: "${device.physical ?? name}" is no ${part.kind} of the machine`;
    problems.push({ message, at: device.physical === undefined ? at : [...at, "physical"] });
    return;
  }
  const before = given.get(physical.name);
  if (before !== undefined) {
    problems.push({ message: `${vm.name}: ${physical.name} is given twice`, at, other: before });
  }
  given.set(physical.name, at);
}

/** An interface of the TOE: an address that no other VM has; its place and registers are what they are. */
function checkToe(vm: VmConfiguration, device: DeviceConfiguration, at: Place, problems: Problem[]): void {
  if (device.mode === "none") return;
  if (device.address === undefined) {
    problems.push({ message: `${vm.name}: toe: expected an address, such as "10.0.2.15/24"`, at });
  } else if (toeAddress(device.address) === null) {
    const message = `${vm.name}: toe: address "${device.address}": expected IPv4 with prefix length, such as 10.0.2.15/24`;
    problems.push({ message, at: [...at, "address"] });
  }
  if (device.gateway !== undefined && toeAddress(`${device.gateway}/0`) === null) {
    problems.push({ message: `${vm.name}: toe: gateway "${device.gateway}": expected IPv4`, at: [...at, "gateway"] });
  }
  for (const name of ["physical", "at", "registers"] as const) {
    if (device[name] !== undefined) problems.push({ message: `${vm.name}: toe has no "${name}"`, at: [...at, name] });
  }
}

function partBase(name: string): number {
  return findPart(name)?.base ?? 0;
}

// --- the machine

/** The images of one VM, read. */
export interface VmImages {
  readonly kernel: ImageFile;
  readonly initrd?: ImageFile;
  readonly dtb?: ImageFile;
}

export interface ConfiguredMachine {
  readonly machine: VirtMachine;
  readonly hypervisor: Hypervisor;
  readonly vms: readonly Vm[];
  /** The UART that each VM has for its console, its own or the machine's; null where it has none. */
  readonly consoles: readonly (Pl011 | null)[];
}

/**
 * Builds and resets the machine; all VMs start with it. `onOutput` has each character of a VM's console, `uart0`. Throws InputError where an image does
 * not fit; the configuration has been checked.
 */
export function createConfiguredMachine(
  config: HypervisorConfiguration,
  images: readonly VmImages[],
  onOutput: (vm: number, byte: number) => void,
  options: Pick<VirtOptions, "code"> & {
    /** What the TOE's network port is joined to. */
    readonly connect?: NonNullable<VirtOptions["toe"]>["connect"];
    /** What makes the virtio devices of the VMs; throws RangeError where it is missing and one has some. */
    readonly virtio?: MakeVirtio;
    /** What the ports of PCIe network cards are joined to. */
    readonly connectCard?: ConnectCard;
  } = {},
): ConfiguredMachine {
  const { machine: board = {}, scheduler = {} } = config;
  const { cpus = 1, cpu = "cortex-a57" } = board;
  const passed = config.vms.flatMap((vm) =>
    Object.entries(vm.devices ?? {}).map(([name, device]) => deviceOf(device).physical ?? name),
  );
  const toes = config.vms.flatMap((vm) => toeOf(vm) ?? []);
  const ownToes = toes.filter((device) => device.mode === "pass").length;
  const cards = pciCards(config);
  const machine = createVirtMachine({
    ...(toes.length === 0
      ? {}
      : { toe: { interfaces: 1 + ownToes, ...(options.connect === undefined ? {} : { connect: options.connect }) } }),
    // a device of a VM's own does DMA by itself
    ...(ownToes === 0 && cards.length === 0 ? {} : { iommu: "smmuv3" as const }),
    pcie: pciSlots(config, options.connectCard),
    cpus,
    cpu,
    memory: bytesOf(board.memory ?? DEFAULT_MEMORY),
    virtualization: true,
    secondUart: passed.includes("uart1"),
    secondTimer: passed.includes("timer1"),
    ...(board.seed === undefined ? {} : { seed: board.seed }),
    ...(options.code ? { code: options.code } : {}),
  });
  const hypervisor = addHypervisor(machine, {
    scheduler: createScheduler(scheduler.policy ?? "round-robin", cpus, scheduler.options ?? {}),
    ...(config.costs ? { costs: config.costs } : {}),
    ...(config.trapWfe === undefined ? {} : { trapWfe: config.trapWfe }),
  });
  const toe = toes.length === 0 ? null : new ToeService(hypervisor, machine);
  const pci = cards.length === 0 ? null : new PciService(hypervisor, cards);
  if (machine.smmu !== null) addSmmu(hypervisor, toe, pci);
  const vms = config.vms.map((vm, n) =>
    addVm(
      machine,
      hypervisor,
      toe,
      pci?.regions(pciAssignments(config, vm)) ?? [],
      vm,
      cpu,
      images[n] as VmImages,
      (b) => onOutput(n, b),
      (part) => makerOf(options.virtio, n, part),
    ),
  );
  machine.reset();
  for (const vm of vms) hypervisor.request(vm, "start");
  const consoles = config.vms.map((vm, n): Pl011 | null => {
    const entry = vm.devices === undefined ? "trap" : vm.devices["uart0"];
    if (entry === undefined) return null;
    const device = deviceOf(entry);
    const own = vms[n]?.children.find((m) => m.name === "uart0");
    const uart = device.mode === "pass" ? machine.devices.get(device.physical ?? "uart0") : own;
    return device.mode !== "none" && uart instanceof Pl011 ? uart : null;
  });
  return { machine, hypervisor, vms, consoles };
}

function addSmmu(hypervisor: Hypervisor, toe: ToeService | null, pci: PciService | null): void {
  const { pool, physicalAddressSize } = hypervisor.options;
  const { base, interrupts } = virtPart("smmu");
  const eventSpi = interrupts.find((i) => i.line === "eventq")?.number ?? 0;
  const own = [...(toe === null ? [] : ToeService.streams), ...(pci?.ownStreams ?? [])];
  const streams = (vm: Vm): readonly number[] => pci?.streams(vm) ?? [];
  const options = { base, eventSpi, pool, physicalAddressSize, own, streams };
  hypervisor.services.push(new HypervisorSmmu(hypervisor, "smmu", options));
}

function makerOf(make: MakeVirtio | undefined, vm: number, part: string): ReturnType<MakeVirtio> {
  if (make === undefined) throw new RangeError(`${part}: nobody makes virtio devices`);
  return make(vm, part);
}

function assignmentOf(device: DeviceConfiguration): ToeAssignment {
  const address = toeAddress(device.address ?? "");
  const gateway = device.gateway === undefined ? null : toeAddress(`${device.gateway}/0`);
  return {
    addresses: address === null ? [] : [address],
    ...(gateway === null ? {} : { gateway: gateway.address }),
    ...(device.weight === undefined ? {} : { weight: device.weight }),
  };
}

function addVm(
  machine: VirtMachine,
  hypervisor: Hypervisor,
  toe: ToeService | null,
  functions: readonly RegionOptions[],
  config: VmConfiguration,
  cpu: string,
  images: VmImages,
  onTransmit: (byte: number) => void,
  virtio: (part: string) => ReturnType<MakeVirtio>,
): Vm {
  const { vcpus = 1, psci = "hvc", append } = config;
  const memory = bytesOf(config.memory);
  const devices = Object.entries(config.devices ?? { uart0: "trap" as const });
  const parts = devices.filter(([, d]) => deviceOf(d).mode !== "none").map(([name]) => name);
  if (functions.length > 0) parts.push("pcie");
  const plan = guestBoot(
    { cpus: vcpus, cpu, memory, psci, parts },
    {
      kernel: images.kernel,
      ...(images.initrd ? { initrd: images.initrd } : {}),
      ...(images.dtb ? { deviceTree: images.dtb } : {}),
      ...(append === undefined ? {} : { append }),
    },
    config.name,
  );
  const regions = devices.map(([name, entry]) => {
    const device = deviceOf(entry);
    if (name === "toe" && toe !== null) return toe.region(device.mode, assignmentOf(device));
    if (findPart(name)?.kind === "virtio-mmio") {
      return virtioRegion(name, device.mode, device.legacy ?? false, device.mode === "none" ? null : virtio(name));
    }
    const physical = machine.devices.get(device.physical ?? name);
    const passes = [device.mode, ...Object.values(device.registers ?? {})].includes("pass");
    if (name === "uart0" && passes && physical instanceof Pl011) physical.onTransmit = onTransmit;
    const registers = Object.entries(device.registers ?? {}).map(([register, mode]) => range(name, register, mode));
    return region({
      part: name,
      mode: device.mode,
      ...(device.physical === undefined ? {} : { physical: device.physical }),
      ...(device.at === undefined ? {} : { at: Number.parseInt(device.at, 16) }),
      ...(registers.length === 0 ? {} : { registers }),
      ...(name === "uart0" ? { onTransmit } : {}),
    });
  });
  return hypervisor.createVm({
    name: config.name,
    memory,
    vcpus,
    psci,
    regions: [...regions, ...functions],
    images: plan.blobs,
    entry: plan.entry,
    x0: plan.x0,
    ...(config.scheduling ? { scheduling: config.scheduling } : {}),
    ...(config.affinity
      ? { affinity: config.affinity.map((list) => list.reduce((bits, c) => bits | (1 << c), 0)) }
      : {}),
    ...(config.stopOnReset === undefined ? {} : { stopOnReset: config.stopOnReset }),
  });
}

function range(part: string, register: string, mode: RegionMode): { from: number; to: number; mode: RegionMode } {
  const kind = findPart(part)?.kind ?? "";
  const r = DECLARATIONS[kind]?.registers[register];
  if (r === undefined) throw new RangeError(`${part} has no register "${register}"`);
  const bytes = (r.width ?? 32) > 32 ? 8 : 4;
  return { from: r.at, to: r.at + (r.count ?? 1) * (r.stride ?? bytes), mode };
}
