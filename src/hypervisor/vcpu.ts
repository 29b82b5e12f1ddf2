/** A virtual CPU: its context, its interrupt interface, its emulated physical timer, and what it is doing. */
import { type Frequency, Module, NEVER, type Time } from "../sim/index.ts";
import type { VcpuContext } from "./physical-cpu.ts";
import type { Schedulable } from "./scheduler/scheduler.ts";
import { VirtualInterface, type VirtualInterfaceState, virtualInterfaceState } from "./vgic/list-registers.ts";
import type { Vm } from "./vm.ts";

/** CNTP_CTL_EL0. */
const ENABLE = 1;
const IMASK = 2;
const ISTATUS = 4;

export const PHYSICAL_TIMER = 30;
export const VIRTUAL_TIMER = 27;

export type VcpuActivity = "off" | "runnable" | "blocked";

type VcpuCells = {
  activity: string;
  /** The CPU that it is loaded on, or -1; the one that it was last on, whose timer wakes it. */
  on: number;
  home: number;
  affinity: number;
  control: number;
  compare: number;
  /** When the saved virtual timer fires. */
  timer: Time;
  /** The virtual timer's interrupt came from the hardware, is active there, and not over in the guest. */
  timerTaken: boolean;
  /** Since when an interrupt waits to be presented, or -1; how many have waited, in all how long, and at most. */
  waiting: Time;
  presented: number;
  latency: Time;
  longest: Time;
};

export class Vcpu extends Module implements Schedulable {
  readonly vm: Vm;
  readonly index: number;
  readonly id: number;
  readonly domain: number;
  readonly context: VcpuContext;
  readonly interface: VirtualInterface;
  readonly interfaceState: VirtualInterfaceState;
  readonly cells: VcpuCells;
  readonly #frequency: Frequency;

  constructor(
    vm: Vm,
    index: number,
    id: number,
    context: (vcpu: Vcpu) => VcpuContext,
    gich: number,
    affinity: number,
    frequency: Frequency,
  ) {
    super(vm, `vcpu${index}`);
    this.vm = vm;
    this.index = index;
    this.id = id;
    this.domain = vm.id;
    this.#frequency = frequency;
    this.cells = this.state<VcpuCells>({
      activity: "off",
      on: -1,
      home: 0,
      affinity,
      control: 0,
      compare: 0,
      timer: NEVER,
      timerTaken: false,
      waiting: -1,
      presented: 0,
      latency: 0,
      longest: 0,
    });
    this.interfaceState = this.state(virtualInterfaceState(), "interface");
    this.interface = new VirtualInterface(gich, vm.distributor, index, this.interfaceState, (id) =>
      id === VIRTUAL_TIMER ? VIRTUAL_TIMER : vm.hardwareOf(id),
    );
    this.context = context(this);
  }

  get affinity(): number {
    return this.cells.affinity;
  }
  get activity(): VcpuActivity {
    return this.cells.activity as VcpuActivity;
  }
  set activity(activity: VcpuActivity) {
    this.cells.activity = activity;
  }

  // --- the emulated physical timer (CNTP), which counts as CNTPCT does

  #count(now: Time): number {
    return this.#frequency.cyclesAt(now);
  }
  /** Bits of CNTP_CTL_EL0. */
  timerControl(now: Time): number {
    const { control, compare } = this.cells;
    return control | ((control & ENABLE) !== 0 && this.#count(now) >= compare ? ISTATUS : 0);
  }
  timerValue(now: Time): number {
    return (this.cells.compare - this.#count(now)) | 0;
  }
  setTimer(now: Time, what: "control" | "compare" | "value", low: number, high: number): void {
    const { cells } = this;
    if (what === "control") cells.control = low & (ENABLE | IMASK);
    else if (what === "compare") cells.compare = (high >>> 0) * 2 ** 32 + (low >>> 0);
    else cells.compare = this.#count(now) + (low | 0);
    this.updateTimer(now);
  }
  /** Drives the timer's input to the distributor. */
  updateTimer(now: Time): void {
    const asserted = (this.timerControl(now) & (ENABLE | IMASK | ISTATUS)) === (ENABLE | ISTATUS);
    this.vm.distributor.setPrivate(this.index, PHYSICAL_TIMER, asserted);
  }
  /** When something is to be done for this vCPU: its physical timer, and while it sleeps its virtual one. */
  deadline(now: Time): Time {
    const { control, compare, timer, on, activity } = this.cells;
    if (activity === "off" || this.vm.status !== "running") return NEVER;
    let at = on < 0 && activity === "blocked" ? timer : NEVER;
    if ((control & (ENABLE | IMASK)) === ENABLE && this.#count(now) < compare && compare < 2 ** 46) {
      at = Math.min(at, this.#frequency.timeOf(compare));
    }
    return at;
  }

  restart(): void {
    this.interface.reset();
    const { cells } = this;
    cells.control = 0;
    cells.compare = 0;
    cells.timer = NEVER;
    cells.timerTaken = false;
  }
}
