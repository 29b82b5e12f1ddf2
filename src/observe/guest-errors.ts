/**
 * The guest-error log. Every record is counted; what repeats is thinned: a limit of the model shows at its first access
 * only, a guest's mistake of one kind at one place `repeat` times. The counts of all of it come at the end.
 */
import { formatTime, type GuestError, type GuestErrorKind, type Observer } from "../sim/index.ts";

export interface GuestErrorSink {
  /** A record that passed the thinning. `last` is true for the last one of its place that will be shown. */
  record(error: GuestError, last: boolean): void;
}

export interface GuestErrorCount {
  readonly kind: GuestErrorKind;
  readonly module: string;
  readonly where: string;
  readonly count: number;
}

export class GuestErrorLog implements Observer {
  readonly #sinks: readonly GuestErrorSink[];
  readonly #repeat: number;
  readonly #counts = new Map<string, { kind: GuestErrorKind; module: string; where: string; count: number }>();
  #uncounted = 0;

  constructor(sinks: readonly GuestErrorSink[], repeat = 8) {
    this.#sinks = sinks;
    this.#repeat = repeat;
  }

  guestError(error: GuestError): void {
    const where = placeOf(error);
    const key = `${error.kind} ${error.module} ${where}`;
    let entry = this.#counts.get(key);
    if (entry === undefined) {
      // A guest that errs at ever new addresses must not fill the host's memory.
      if (this.#counts.size >= MAX_PLACES) {
        this.#uncounted++;
        return;
      }
      entry = { kind: error.kind, module: error.module, where, count: 0 };
      this.#counts.set(key, entry);
    }
    entry.count++;
    const limit = error.kind === "unimplemented" ? 1 : this.#repeat;
    if (entry.count > limit) return;
    for (const sink of this.#sinks) sink.record(error, entry.count === limit);
  }

  /** Counts by place, the most frequent first. */
  counts(): GuestErrorCount[] {
    return [...this.#counts.values()].sort((a, b) => b.count - a.count || (a.where < b.where ? -1 : 1));
  }

  /** Lines for people; empty when nothing was recorded. */
  summary(): string[] {
    const counts = this.counts();
    const mistakes = counts.filter((c) => c.kind !== "unimplemented");
    const limits = counts.filter((c) => c.kind === "unimplemented");
    const section = (title: string, list: readonly GuestErrorCount[]) =>
      list.length === 0
        ? []
        : [
            `${list.reduce((sum, c) => sum + c.count, 0)} ${title}:`,
            ...list.slice(0, MAX_LINES).map((c) => `  ${c.count} x ${c.kind}: ${c.module} ${c.where}`.trimEnd()),
            ...(list.length > MAX_LINES ? [`  and ${list.length - MAX_LINES} more places`] : []),
          ];
    return [
      ...section("guest errors", mistakes),
      ...section("accesses to what the model leaves out", limits),
      ...(this.#uncounted > 0 ? [`${this.#uncounted} more, at places beyond the first ${MAX_PLACES}`] : []),
    ];
  }
}

const MAX_PLACES = 10_000;
const MAX_LINES = 40;

function placeOf(e: GuestError): string {
  if (e.register !== undefined) return e.register;
  if (e.offset !== undefined) return `+${hex(e.offset)}`;
  if (e.address !== undefined) return `at ${hex(e.address)}`;
  return e.detail ?? "";
}

function hex(n: number): string {
  return `0x${n.toString(16)}`;
}

/** One line: what happened, where, who did it, what the manual says. */
export function formatGuestError(e: GuestError): string {
  const what: string[] = [];
  if (e.register !== undefined) what.push(e.register);
  if (e.offset !== undefined) what.push(`offset ${hex(e.offset)}`);
  if (e.address !== undefined) what.push(`address ${hex(e.address)}`);
  if (e.size !== undefined)
    what.push(`${e.write === true ? "write" : "read"} of ${e.size} byte${e.size === 1 ? "" : "s"}`);
  if (e.value !== undefined) what.push(`value ${hex(e.value >>> 0)}`);
  const who: string[] = [];
  if (e.cpu !== undefined) who.push(`CPU ${e.cpu}${e.pc === undefined ? "" : ` at ${e.pc}`}`);
  if (e.requesterId !== undefined) who.push(`requester ${hex(e.requesterId)}`);
  const parts = [`[${formatTime(e.time)}] ${e.kind}: ${e.module}${what.length > 0 ? ` ${what.join(", ")}` : ""}`];
  if (e.detail !== undefined) parts.push(`: ${e.detail}`);
  if (who.length > 0) parts.push(`, by ${who.join(", ")}`);
  if (e.clause !== undefined) parts.push(` (${e.clause})`);
  return parts.join("");
}
