/**
 * Storm control, 82576 datasheet 7.10 and 8.14: how much broadcast and multicast comes from the link is counted over intervals of SCCRL.INTERVAL basic
 * intervals (SCBI, in 16 ns); beyond a threshold in units of 64 bytes it is dropped, in the rest of that interval (BDICW, MDICW), in the whole of the
 * next one (BDIPW, MDIPW), or both. With BIDU, unicast that only the default pool takes counts as broadcast.
 *
 * No driver uses it, and beside the datasheet nothing public was found that describes its bits. Choices: dropped packets count too, or a storm would
 * come through every other interval; what pools send each other does not. ICR.SCE is raised when a kind of traffic that SCCRL drops passes its
 * threshold, and when a whole interval has gone by below it. An interval begins when SCCRL or SCBI is written.
 */
import type { Frame } from "../../net/index.ts";
import { type Event, NS } from "../../sim/index.ts";
import type { I82576Core } from "./i82576.ts";
import { CAUSE } from "./interrupts.ts";
import { FCS, isBroadcast, isMulticast } from "./statistics.ts";

/** SCCRL. */
const MULTICAST_DROPS = 3;
const BROADCAST_DROPS = 3 << 2;
const BIDU = 1 << 4;
/** Bits of `active` and `previous`: as SCSTS has them, active in this interval, and one higher in the one before. */
const BROADCAST = 1 << 0;
const MULTICAST = 1 << 2;
const SEGMENT = 64;
const BASIC_UNIT = 16 * NS;

export class StormControl {
  readonly #core: I82576Core;
  /** When the interval began, bytes since, and what has passed its threshold in it and in the one before. */
  readonly #c: { start: number; broadcast: number; multicast: number; active: number; previous: number };
  readonly #end: Event;

  constructor(core: I82576Core) {
    this.#core = core;
    this.#c = core.cells({ start: 0, broadcast: 0, multicast: 0, active: 0, previous: 0 }, "storm");
    this.#end = core.event("stormInterval", () => this.#roll());
  }

  /** Something may have to be dropped: asked for each packet. */
  get armed(): boolean {
    const { values, slot } = this.#core.bank;
    return ((values[slot.SCCRL] as number) & (MULTICAST_DROPS | BROADCAST_DROPS)) !== 0 && this.#length > 0;
  }
  get #length(): number {
    return ((this.#core.reg("SCCRL") >>> 8) & 0x3ff) * this.#core.reg("SCBI") * BASIC_UNIT;
  }

  /** Counts a packet from the link. True where it is dropped. */
  drops(frame: Frame, unresolved: boolean): boolean {
    const c = this.#c;
    const control = this.#core.reg("SCCRL");
    const broadcast = isMulticast(frame) ? isBroadcast(frame) : unresolved && (control & BIDU) !== 0;
    if (!broadcast && !isMulticast(frame)) return false;
    this.#roll();
    const length = frame.length + FCS;
    if (broadcast) c.broadcast += length;
    else c.multicast += length;
    const bytes = broadcast ? c.broadcast : c.multicast;
    const kind = broadcast ? BROADCAST : MULTICAST;
    const choice = (broadcast ? control >>> 2 : control) & 3;
    const threshold = this.#core.reg(broadcast ? "BSCTRH" : "MSCTRH");
    if (choice !== 0 && Math.floor(bytes / SEGMENT) > threshold && (c.active & kind) === 0) {
      const news = (c.previous & kind) === 0;
      c.active |= kind;
      this.#end.scheduleAt(c.start + this.#length);
      if (news) this.#core.interrupts.cause(CAUSE.SCE);
    }
    return ((c.previous & kind) !== 0 && (choice & 1) !== 0) || ((c.active & kind) !== 0 && (choice & 2) !== 0);
  }

  /** Goes on to the interval that now is in. */
  #roll(): void {
    const n = this.#gone;
    if (n === 0) return;
    const c = this.#c;
    const before = c.active | c.previous;
    c.start += n * this.#length;
    c.previous = n === 1 ? c.active : 0;
    c.active = 0;
    c.broadcast = 0;
    c.multicast = 0;
    if (c.previous !== 0) this.#end.scheduleAt(c.start + this.#length);
    if (before !== c.previous) this.#core.interrupts.cause(CAUSE.SCE);
  }

  /** Whole intervals since the one that the counters are of. */
  get #gone(): number {
    const length = this.#length;
    return length > 0 ? Math.floor((this.#core.simulation.now - this.#c.start) / length) : 0;
  }

  // Registers.

  /** SCSTS: active in this interval and in the one before, broadcast and multicast. */
  get status(): number {
    const { active, previous } = this.#c;
    const n = this.#gone;
    return n === 0 ? active | (previous << 1) : n === 1 ? active << 1 : 0;
  }
  get broadcastCount(): number {
    return this.#gone === 0 ? Math.floor(this.#c.broadcast / SEGMENT) & 0x1ff_ffff : 0;
  }
  get multicastCount(): number {
    return this.#gone === 0 ? Math.floor(this.#c.multicast / SEGMENT) & 0x1ff_ffff : 0;
  }
  /** SCTC: whole basic intervals of the running interval. */
  get time(): number {
    const length = this.#length;
    if (length === 0) return 0;
    const since = (this.#core.simulation.now - this.#c.start) % length;
    return Math.floor(since / (this.#core.reg("SCBI") * BASIC_UNIT));
  }

  /** An interval begins now, as if nothing had come before. */
  restart(): void {
    Object.assign(this.#c, { start: this.#core.simulation.now, broadcast: 0, multicast: 0, active: 0, previous: 0 });
    this.#end.cancel();
  }
}
