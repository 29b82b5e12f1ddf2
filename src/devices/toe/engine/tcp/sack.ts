/** The SACK scoreboard (RFC 2018, RFC 6675) and the receiver's list of early data. Ranges are [start, end) in sequence space. */
import { type Connection, LOSS, NONE } from "./connection.ts";
import { after, before, type Segment } from "./segment.ts";

/** Ranges kept for a sender and for a receiver; what would need more is passed over. */
const SACKED_MAX = 128;
export const EARLY_MAX = 128;
/** DupThresh. */
export const DUPLICATES = 3;

/** RFC 6675 4, Update(): takes the blocks of a segment. Gives whether they told anything new. */
export function noteSacked(c: Connection, segment: Segment): boolean {
  let news = false;
  for (let i = 0; i < segment.blocks * 2; i += 2) {
    const start = segment.sack[i];
    const end = segment.sack[i + 1];
    // Blocks below the acknowledgment are duplicates (RFC 2883), others not of this connection's data.
    if (!before(start, end) || before(start, c.sndUna) || after(end, c.sndNxt)) continue;
    if (insert(c, start, end)) news = true;
  }
  return news;
}

function insert(c: Connection, from: number, to: number): boolean {
  const list = c.sacked;
  let start = from;
  let end = to;
  let i = 0;
  while (i < list.length && before(list[i + 1], start)) i += 2;
  let j = i;
  while (j < list.length && !after(list[j], end)) {
    if (!after(list[j], start) && !before(list[j + 1], end)) return false;
    if (before(list[j], start)) start = list[j];
    if (after(list[j + 1], end)) end = list[j + 1];
    j += 2;
  }
  if (j === i && list.length >= 2 * SACKED_MAX) return false;
  if (list.length === 0) c.sacked = [start, end];
  else list.splice(i, j - i, start, end);
  return true;
}

/** Forgets what lies below the acknowledgment. */
export function trimSacked(c: Connection): void {
  const list = c.sacked;
  if (list.length === 0) return;
  let n = 0;
  while (n < list.length && !after(list[n + 1], c.sndUna)) n += 2;
  if (n === list.length) {
    c.sacked = NONE as number[];
    return;
  }
  if (n > 0) list.splice(0, n);
  if (before(list[0], c.sndUna)) list[0] = c.sndUna;
}

/**
 * RFC 6675 4, IsLost() for all octets at once: those not SACKed below the edge are lost, because more than (DupThresh - 1) * SMSS
 * bytes or DupThresh ranges above them have been SACKed.
 */
export function updateLossEdge(c: Connection): void {
  const list = c.sacked;
  let bytes = 0;
  let edge = c.sndUna;
  for (let i = list.length - 2, ranges = 1; i >= 0; i -= 2, ranges++) {
    bytes += (list[i + 1] - list[i]) | 0;
    if (ranges >= DUPLICATES || bytes > (DUPLICATES - 1) * c.smss) {
      edge = list[i];
      break;
    }
  }
  if (c.mode === LOSS && after(c.recover, edge)) edge = c.recover;
  if (c.proven !== 0 && after(c.provenEdge, edge)) edge = c.provenEdge;
  c.lossEdge = edge;
}

/** What lies below the highest range SACKed and is not SACKed is lost (RFC 8985 6.2: sent long enough before what has arrived). */
export function prove(c: Connection): void {
  c.provenEdge = c.sacked[c.sacked.length - 2];
  c.proven = 1;
}

/** RFC 6675 4, SetPipe(): bytes thought to be in the network. */
export function pipe(c: Connection): number {
  const edge = after(c.lossEdge, c.sndUna) ? c.lossEdge : c.sndUna;
  const again = before(c.highRxt, edge) ? c.highRxt : edge;
  return notSacked(c, edge, c.sndNxt) + (after(again, c.sndUna) ? notSacked(c, c.sndUna, again) : 0);
}

function notSacked(c: Connection, from: number, to: number): number {
  let count = (to - from) | 0;
  const list = c.sacked;
  for (let i = 0; i < list.length; i += 2) {
    const start = before(list[i], from) ? from : list[i];
    const end = after(list[i + 1], to) ? to : list[i + 1];
    if (before(start, end)) count -= (end - start) | 0;
  }
  return count;
}

/** The first octet not SACKed and not retransmitted from `from` on; `holeEnd` says where the hole ends. */
export function holeStart(c: Connection, from: number): number {
  let at = from;
  const list = c.sacked;
  for (let i = 0; i < list.length; i += 2) {
    if (before(at, list[i])) break;
    if (before(at, list[i + 1])) at = list[i + 1];
  }
  return at;
}

export function holeEnd(c: Connection, at: number, limit: number): number {
  const list = c.sacked;
  for (let i = 0; i < list.length; i += 2) {
    if (after(list[i], at)) return before(list[i], limit) ? list[i] : limit;
  }
  return limit;
}

export function highestSacked(c: Connection): number {
  return c.sacked.length === 0 ? c.sndUna : c.sacked[c.sacked.length - 1];
}

/** Notes early data; the merged range comes first, as the one RFC 2018 4 wants told first. False: too many ranges. */
export function noteEarly(c: Connection, from: number, to: number): boolean {
  const list = c.early;
  let start = from;
  let end = to;
  let kept = 0;
  if (list.length >= 2 * EARLY_MAX) return false;
  // Ranges do not touch each other, so one pass merges all that touch the new one.
  for (let i = 0; i < list.length; i += 2) {
    const a = list[i];
    const b = list[i + 1];
    if (after(a, end) || before(b, start)) {
      list[kept++] = a;
      list[kept++] = b;
    } else {
      if (before(a, start)) start = a;
      if (after(b, end)) end = b;
    }
  }
  if (list.length === 0) c.early = [start, end];
  else {
    list.length = kept;
    list.unshift(start, end);
  }
  return true;
}

/** Takes out the range that begins at or before the next byte expected. Gives its end, or `rcvNxt`. */
export function takeEarly(c: Connection): number {
  const list = c.early;
  for (let i = 0; i < list.length; i += 2) {
    if (after(list[i], c.rcvNxt)) continue;
    const end = list[i + 1];
    list.splice(i, 2);
    if (list.length === 0) c.early = NONE as number[];
    if (after(end, c.rcvNxt)) return end;
    i = -2;
  }
  return c.rcvNxt;
}
