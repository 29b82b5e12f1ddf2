/** A domain of the paravirtual monitor, and what it is made from. */
import type { Event } from "../../sim/index.ts";
import type { Stage2Root } from "../physical-cpu.ts";
import type { DomainParameters, Schedulable } from "../scheduler/index.ts";
import type { Stage2 } from "../stage2.ts";
import type { AbstractContext } from "./context.ts";
import type { GuestProgram } from "./program.ts";

/** List registers of a GIC-400. */
export const LISTS = 4;

export interface PassedDevice {
  readonly ipa: number;
  readonly base: number;
  readonly size: number;
}

export interface DomainOptions {
  readonly name: string;
  readonly program: GuestProgram;
  /** MiB of memory, even; 2 unless given. */
  readonly memory?: number;
  readonly scheduling?: DomainParameters;
  /** Physical CPUs, bit n is CPU n; all unless given. */
  readonly affinity?: number;
  readonly devices?: readonly PassedDevice[];
  /** SPIs of the machine that this domain gets, and the CPU that takes them; CPU 0 unless given. */
  readonly interrupts?: readonly { readonly spi: number; readonly edge?: boolean; readonly cpu?: number }[];
}

/** A domain with its one vCPU. */
export class Domain implements Schedulable {
  readonly id: number;
  readonly domain: number;
  readonly name: string;
  readonly affinity: number;
  readonly context: AbstractContext;
  readonly stage2: Stage2;
  readonly root: Stage2Root;
  /** Physical address of its memory and of its event page. */
  readonly memory: number;
  readonly events: number;
  /** Virtual interrupts not yet in a list register; hardware ones with HARDWARE. */
  readonly pending: number[] = [];
  /** GICH_VMCR, APR and list registers while not loaded. */
  readonly gich = new Int32Array(2 + LISTS);
  /** By port: the other end. */
  readonly channels: ({ readonly domain: Domain; readonly port: number } | undefined)[] = [];
  /** Wakes it when its virtual timer is due while it is blocked. */
  readonly timer: Event;
  /** Physical CPU it is loaded on, or -1. */
  on = -1;
  /** Why it was stopped; null while it runs. */
  stopped: string | null = null;
  interrupts = 0;
  hypercalls = 0;
  /** More is pending than list registers hold. */
  waits = false;

  constructor(
    id: number,
    options: DomainOptions,
    context: AbstractContext,
    stage2: Stage2,
    places: { readonly memory: number; readonly events: number },
    timer: Event,
  ) {
    this.id = id;
    this.domain = id;
    this.name = options.name;
    this.affinity = options.affinity ?? 0xff;
    this.context = context;
    this.stage2 = stage2;
    this.root = stage2.root(5); // 48 bits of physical address
    this.memory = places.memory;
    this.events = places.events;
    this.timer = timer;
  }
}
