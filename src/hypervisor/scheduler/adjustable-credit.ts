/**
 * Adjustable credit scheduling for I/O domains on top of the credit scheduler, after the published idea (CLUSTER 2012):
 * domains are told apart by what they are seen doing; I/O domains get credits that CPU-bound domains are willing to
 * share, and the amount follows the need quickly. What the paper leaves open is chosen here: the thresholds, that a
 * domain stays an I/O domain for three periods without I/O, steps of the level, and that an I/O vCPU with credits keeps
 * BOOST when a tick finds it running ("scheduled in time").
 */
import { MS, type Time } from "../../sim/index.ts";
import { BOOST, type CreditEntry, CreditScheduler, OVER, UNDER } from "./credit.ts";
import { readOptions, type SchedulerOptions, splitOptions } from "./policy.ts";
import type { Tickled } from "./scheduler.ts";

const PERIOD: Time = 30 * MS;
const GRACE = 3;

const DEFAULTS = {
  /** A domain with so many wakes by devices and events in an accounting period, a vCPU, does I/O... */
  ioWakes: 5,
  /** ... as long as it uses no more than so many percent of a CPU, a vCPU. */
  ioLoad: 90,
  /** Percent of their credits that CPU-bound domains give at most, and the step by which the level rises. */
  share: 60,
  step: 20,
};

export class AdjustableCreditScheduler extends CreditScheduler {
  override readonly name = "adjustable-credit";
  readonly #adjust: typeof DEFAULTS;

  constructor(cpus: number, options: SchedulerOptions = {}) {
    const [own, base] = splitOptions(DEFAULTS, options);
    super(cpus, base);
    this.#adjust = readOptions("adjustable-credit", DEFAULTS, own);
    if (this.#adjust.share > 100) throw new RangeError("adjustable-credit: share: expected 0 to 100 percent");
  }

  /** Percent of their credits that CPU-bound domains give at present. */
  get level(): number {
    return this.cells.level;
  }

  protected override demote(entry: CreditEntry): void {
    if (!(entry.io && entry.credit > 0)) super.demote(entry);
  }

  protected override stopsEarning(entry: CreditEntry): boolean {
    return !entry.io;
  }

  protected override afterAccounting(): Tickled {
    const { share, step } = this.#adjust;
    const { takers, givers, needed } = this.#classify();
    const wanting = takers.some((e) => e.credit < this.full / 2);
    this.cells.level = wanting ? Math.min(share, this.cells.level + step) : Math.max(0, this.cells.level - 1);
    let offered = 0;
    for (const e of givers) offered += Math.floor((e.earned * this.cells.level) / 100);
    if (offered === 0 || needed === 0) return 0;
    const used = Math.min(1, needed / offered);
    let pool = 0;
    for (const e of givers) {
      const gift = Math.floor(((e.earned * this.cells.level) / 100) * used);
      e.credit = Math.max(-this.full, e.credit - gift);
      pool += gift;
      if (e.credit < 0) e.priority = OVER;
    }
    let tickled = 0;
    const weights = takers.reduce((sum, e) => sum + this.domainOf(e.vcpu.domain).weight, 0);
    for (const e of takers) {
      const part = Math.floor((pool * this.domainOf(e.vcpu.domain).weight) / weights);
      e.credit = Math.min(this.full, e.credit + part);
      if (e.credit < 0) continue;
      // What has waited without credits goes first now, as if it woke.
      const waits = this.unqueue(e);
      e.priority = waits && this.options.boost ? BOOST : UNDER;
      if (waits) tickled |= this.requeue(e);
    }
    return tickled;
  }

  /** Tells I/O domains from others by the period that ends. Capped domains neither give nor take. */
  #classify(): { takers: CreditEntry[]; givers: CreditEntry[]; needed: number } {
    const { ioWakes, ioLoad } = this.#adjust;
    const takers: CreditEntry[] = [];
    const givers: CreditEntry[] = [];
    let needed = 0;
    for (const id of this.domains.keys()) {
      const vcpus = [...this.entries.values()].filter((e) => e.vcpu.domain === id);
      if (vcpus.length === 0) continue;
      const wakes = vcpus.reduce((sum, e) => sum + e.ioWakes, 0);
      const ran = vcpus.reduce((sum, e) => sum + e.ran, 0);
      const busy = wakes >= ioWakes * vcpus.length && ran * 100 <= ioLoad * PERIOD * vcpus.length;
      for (const e of vcpus) {
        e.ioTime = busy ? GRACE : Math.max(0, e.ioTime - 1);
        e.io = e.ioTime > 0;
        e.ioWakes = 0;
        e.ran = 0;
        if (this.domainOf(id).cap !== 0 || !this.active.includes(e)) continue;
        if (e.io) {
          takers.push(e);
          needed += this.full - Math.min(this.full, e.credit);
        } else {
          givers.push(e);
        }
      }
    }
    return { takers, givers, needed };
  }
}
