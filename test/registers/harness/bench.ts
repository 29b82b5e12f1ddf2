/** A device on a bus of its own, with all that it reports at hand. */
import { RESPONSE_OK, Router, type Target, Transaction } from "../../../src/bus/index.ts";
import { type Declaration, RegisterBank } from "../../../src/registers/index.ts";
import {
  type Event,
  type GuestError,
  type Module,
  type Random,
  Simulation,
  type Time,
} from "../../../src/sim/index.ts";

export interface TargetUnderTest {
  readonly name: string;
  readonly target: Target;
  /** Bytes of the window through which the guest sees it. */
  readonly size: number;
  /** Where the target is not the bank itself. */
  readonly declaration?: Declaration;
  /** How many CPUs its banked registers exist for; 1 unless given. */
  readonly cpus?: number;
}

export interface DeviceUnderTest {
  readonly module: Module;
  readonly targets: readonly TargetUnderTest[];
  /** One act of the outside world: a character arrives, a pin moves. Must depend on `random` alone. */
  stimulate?(random: Random): void;
  /** The longest that time runs between two accesses; 1 ms unless given. */
  readonly longStep?: Time;
}

/** Builds the device, always alike, in an empty simulation. */
export type DeviceFactory = (simulation: Simulation) => DeviceUnderTest;

/** Thrown where events keep each other going without time getting on. */
export class EventBudgetError extends Error {
  override readonly name = "EventBudgetError";
}

const EVENT_BUDGET = 1_000_000;

/** Counts notifications, so that a device that never comes to rest is an error and no hang. */
export class BudgetedSimulation extends Simulation {
  budget = EVENT_BUDGET;

  override schedule(event: Event, time: Time): void {
    if (--this.budget < 0) {
      throw new EventBudgetError(`${event.fullName}: more than ${EVENT_BUDGET} notifications within one step of time`);
    }
    super.schedule(event, time);
  }
}

export class Bench {
  readonly simulation: BudgetedSimulation;
  readonly device: DeviceUnderTest;
  readonly router: Router;
  readonly transaction = new Transaction();
  /** Guest errors since the last `clearErrors`; the first thousand. */
  readonly errors: GuestError[] = [];
  readonly bases: readonly number[];

  constructor(factory: DeviceFactory, seed = 1) {
    this.simulation = new BudgetedSimulation({ seed });
    this.device = factory(this.simulation);
    this.router = new Router(this.simulation, "harness_bus");
    const bases: number[] = [];
    let base = 0x1_0000;
    for (const t of this.device.targets) {
      this.router.map({ name: t.name, base, size: t.size, target: t.target });
      bases.push(base);
      base += Math.ceil(t.size / 0x1_0000) * 0x1_0000 + 0x1_0000;
    }
    this.bases = bases;
    this.simulation.reporter.observe({
      guestError: (error) => {
        if (this.errors.length < 1000) this.errors.push(error);
      },
    });
    this.simulation.reset();
  }

  reset(): void {
    this.simulation.reset();
    this.errors.length = 0;
  }

  clearErrors(): void {
    this.errors.length = 0;
  }

  read(target: number, offset: number, size: number, cpu = 0): number {
    this.transaction.cpu = cpu;
    this.transaction.response = RESPONSE_OK;
    return this.router.read((this.bases[target] as number) + offset, size, this.transaction);
  }

  /** `value` is the low word, `high` the high one of 64 bits. */
  write(target: number, offset: number, size: number, value: number, cpu = 0, high = 0): void {
    this.transaction.cpu = cpu;
    this.transaction.response = RESPONSE_OK;
    this.transaction.high = high;
    this.router.write((this.bases[target] as number) + offset, size, value, this.transaction);
  }

  /** As a debugger sees it, with CPU `cpu`'s view of banked registers. */
  peek(target: number, offset: number, size: number, cpu = 0): number {
    const t = this.target(target).target;
    return t instanceof RegisterBank ? t.peekBank(offset, size, cpu) : t.peek(offset, size);
  }

  poke(target: number, offset: number, size: number, value: number): void {
    this.target(target).target.poke(offset, size, value);
  }

  target(index: number): TargetUnderTest {
    return this.device.targets[index] as TargetUnderTest;
  }

  declaration(index: number): Declaration | null {
    const t = this.target(index);
    return t.declaration ?? (t.target instanceof RegisterBank ? (t.target.declaration as Declaration) : null);
  }

  /** Lets `ticks` pass. */
  run(ticks: Time): void {
    this.simulation.budget = EVENT_BUDGET;
    this.simulation.run(this.simulation.now + ticks);
  }
}
