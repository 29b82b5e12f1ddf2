/**
 * The TOE under the hypervisor: which VM has which addresses, a control interface of its own for each that is passed one, and the hypervisor's
 * interface for those with an emulated one. The management frame is the hypervisor's.
 */

import { TOE, virtPart } from "../../../platform/virt/board.ts";
import { type Arena, Port, type Target } from "../../bus/index.ts";
import { fromEngine } from "../../devices/toe/addresses.ts";
import { TOE_MANAGEMENT } from "../../devices/toe/registers/index.ts";
import { parseIpv4 } from "../../net/index.ts";
import { Module } from "../../sim/index.ts";
import type { Hypervisor } from "../hypervisor.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";
import type { Service } from "../service.ts";
import type { DeviceModel, RegionOptions, Vm } from "../vm.ts";
import { BACKEND_BYTES, ToeBackend } from "./backend.ts";
import { VIRTUAL_TOE_BYTES, VirtualToe } from "./virtual-toe.ts";

const R = TOE_MANAGEMENT.registers;
const COUPLED = 1 << 8;
const ROUTES = 1 << 8;
const VALID = 1 << 8;

/** Interface of the hypervisor; VMs that are passed one have those behind it. */
const OWN = 0;
/** INTID of its interrupt. */
const OWN_INTERRUPT = 32 + TOE.firstSpi + 1 + OWN;

export interface ToeAddress {
  /** 16 bytes as in the TOE's manual, and bits of 128. */
  readonly address: Uint8Array;
  readonly prefix: number;
}

export interface ToeAssignment {
  readonly addresses: readonly ToeAddress[];
  readonly gateway?: Uint8Array;
  /** Weight in the TOE's dispatcher, of a passed interface; 1 unless given. */
  readonly weight?: number;
}

export interface ToeServiceOptions {
  /** The TOE's dispatcher (manual 12.1): 0 deficit weighted round robin, 1 first come first served, 2 round robin, 3 weighted round robin; 0 unless given. */
  readonly policy?: 0 | 1 | 2 | 3;
  /** Commands of a passed interface are served only while its VM runs: RUNNING follows every world switch. */
  readonly coupled?: boolean;
}

/** "10.0.2.15/24" as the TOE's tables have it; null where it is none. */
export function toeAddress(text: string): ToeAddress | null {
  const [host = "", bits = ""] = text.split("/");
  const ip = parseIpv4(host);
  if (ip === null || !/^\d+$/.test(bits) || Number(bits) > 32) return null;
  const address = new Uint8Array(4);
  new DataView(address.buffer).setUint32(0, ip);
  return { address: fromEngine(address), prefix: 96 + Number(bits) };
}

const words = (bytes: Uint8Array): number[] =>
  [0, 4, 8, 12].map((at) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true));

export class ToeService extends Module implements Service {
  readonly #hypervisor: Hypervisor;
  readonly #machine: { readonly bus: Target; readonly arena: Arena };
  readonly #backend: ToeBackend;
  readonly #virtual = new Map<number, VirtualToe>();
  readonly #passed: { readonly number: number; readonly assignment: ToeAssignment }[] = [];
  readonly #emulated: ToeAssignment[] = [];
  readonly #options: ToeServiceOptions;
  /** A virtual TOE has asked for `tick`. */
  readonly #c = this.state<{ woken: boolean }>({ woken: false });

  constructor(
    hypervisor: Hypervisor,
    machine: { readonly bus: Target; readonly arena: Arena },
    options: ToeServiceOptions = {},
  ) {
    super(hypervisor, "toe");
    this.#options = options;
    this.#hypervisor = hypervisor;
    this.#machine = machine;
    const { pool } = hypervisor.options;
    // taken once, before any VM: the same place after every reset
    const rings = pool.reserve(BACKEND_BYTES);
    this.#backend = new ToeBackend(this, "backend", {
      base: TOE.base + TOE.frame * (1 + OWN),
      rings,
      port: new Port(machine.bus, machine.arena),
    });
    hypervisor.services.push(this);
  }

  get interrupts(): readonly number[] {
    return [OWN_INTERRUPT];
  }
  /** Streams of the hypervisor's own interface. */
  static readonly streams: readonly number[] = [TOE.firstStream + OWN];

  /** Where the guest sees its interface: the first one's place, whichever it is in the machine. */
  static readonly guest = { base: TOE.base + TOE.frame, size: TOE.frame, spi: TOE.firstSpi + 1 };

  /** A region for a VM, named "toe": an interface of its own, and a model for while it is trapped. */
  region(mode: RegionOptions["mode"], assignment: ToeAssignment): RegionOptions {
    const { guest } = ToeService;
    const region = { name: "toe", base: guest.base, size: guest.size, mode };
    if (mode !== "pass") {
      this.#emulated.push(assignment);
      const lists = this.#hypervisor.options.pool.reserve(VIRTUAL_TOE_BYTES);
      return { ...region, model: (vm) => this.#model(vm, assignment, lists) };
    }
    const number = OWN + 1 + this.#passed.length;
    this.#passed.push({ number, assignment });
    return {
      ...region,
      physical: {
        base: TOE.base + TOE.frame * (1 + number),
        interrupts: [{ guest: guest.spi, machine: TOE.firstSpi + 1 + number, edge: false }],
        streams: [TOE.firstStream + number],
      },
    };
  }

  #model(vm: Vm, assignment: ToeAssignment, lists: number): DeviceModel {
    const { costs } = this.#hypervisor;
    const { bus, arena } = this.#machine;
    const toe = new VirtualToe(vm, "toe", {
      backend: this.#backend,
      port: new Port(bus, arena),
      addresses: assignment.addresses,
      physical: (ipa, length) => vm.physical(ipa, length),
      cpu: () => this.#hypervisor.current,
      wake: () => {
        this.#c.woken = true;
        this.#hypervisor.poke();
      },
      lists,
      costs: { command: costs.forwardCommand, completion: costs.forwardCompletion },
    });
    this.#virtual.set(vm.id, toe);
    return { target: toe.bank, lines: [{ line: toe.interrupt, spi: ToeService.guest.spi }] };
  }

  // --- at EL2

  setUp(cpu: PhysicalCpu): void {
    const emulated = this.#emulated.flatMap((a) => a.addresses);
    const gateway = this.#emulated.find((a) => a.gateway !== undefined)?.gateway;
    this.#configure(cpu, OWN, { addresses: emulated, ...(gateway === undefined ? {} : { gateway }) });
    for (const { number, assignment } of this.#passed) this.#configure(cpu, number, assignment);
    const { policy = 0, coupled = false } = this.#options;
    if (policy !== 0 || coupled) cpu.write(virtPart("toe").base + R.DISPATCHER.at, 4, policy | (coupled ? COUPLED : 0));
    if (coupled) for (const { number } of this.#passed) this.#running(cpu, number, false);
  }

  switched(cpu: PhysicalCpu, vm: Vm): void {
    if (this.#options.coupled !== true) return;
    const number = numberOf(vm);
    if (number < 0) return;
    cpu.spend(this.#hypervisor.costs.deviceRead + this.#hypervisor.costs.deviceWrite);
    this.#running(
      cpu,
      number,
      vm.vcpus.some((v) => v.cells.on >= 0),
    );
  }
  #running(cpu: PhysicalCpu, number: number, on: boolean): void {
    const at = virtPart("toe").base + R.RUNNING.at + 4 * (number >> 5);
    const bit = 1 << (number & 31);
    const before = cpu.read(at, 4);
    cpu.write(at, 4, (on ? before | bit : before & ~bit) >>> 0);
  }

  #configure(cpu: PhysicalCpu, number: number, { addresses, gateway, weight = 1 }: ToeAssignment): void {
    const { base } = virtPart("toe");
    const put = (at: number, bytes: Uint8Array): void => {
      for (const [n, word] of words(bytes).entries()) cpu.write(base + at + 4 * n, 4, word);
    };
    addresses.forEach(({ address, prefix }, entry) => {
      cpu.write(base + R.TABLE_SELECT.at, 4, number | (entry << 16));
      put(R.TABLE_ADDRESS.at, address);
      cpu.write(base + R.TABLE_PREFIX.at, 4, VALID | prefix);
      cpu.write(base + R.TABLE_COMMAND.at, 4, 1);
    });
    if (gateway !== undefined) {
      cpu.write(base + R.TABLE_SELECT.at, 4, number | ROUTES);
      put(R.TABLE_ADDRESS.at, fromEngine(new Uint8Array(4)));
      put(R.TABLE_GATEWAY.at, gateway);
      cpu.write(base + R.TABLE_PREFIX.at, 4, VALID | 96);
      cpu.write(base + R.TABLE_COMMAND.at, 4, 1);
    }
    cpu.write(base + R.IF_WEIGHT.at + R.IF_WEIGHT.stride * number, 4, weight);
    cpu.write(base + R.IF_CONTROL.at + R.IF_CONTROL.stride * number, 4, 1);
  }

  halted(cpu: PhysicalCpu, vm: Vm): void {
    this.#virtual.get(vm.id)?.halted();
    // a passed interface is reset, so that its next user finds nothing of this one's
    const number = numberOf(vm);
    if (number >= 0) cpu.write(TOE.base + R.IF_CONTROL.at + R.IF_CONTROL.stride * number, 4, 3);
  }

  poked(): void {
    if (!this.#c.woken) return;
    this.#c.woken = false;
    for (const toe of this.#virtual.values()) toe.tick();
  }

  interrupt(cpu: PhysicalCpu, id: number): boolean {
    if (id !== OWN_INTERRUPT) return false;
    this.#backend.interrupt(cpu);
    return true;
  }
}

/** The interface that a VM is passed, or -1. */
function numberOf(vm: Vm): number {
  const region = vm.options.regions.find((r) => r.name === "toe");
  return region?.physical === undefined ? -1 : (region.physical.base - TOE.base) / TOE.frame - 1;
}
