/**
 * Congestion control: slow start and loss response of RFC 5681, NewReno's congestion avoidance, and CUBIC (RFC 9438). Windows are whole
 * bytes; CUBIC's function is reckoned in segments and seconds with the four basic operations alone, which every host rounds alike.
 */
import { NEVER, SEC, type Time } from "../../../../sim/index.ts";
import { type Connection, SACK_RECOVERY } from "./connection.ts";

/** RFC 9438 4.1, 4.6. */
const C = 0.4;
const BETA = 0.7;
const ALPHA = (3 * (1 - BETA)) / (1 + BETA);
const WINDOW_MOST = 0x3fff_ffff;

/** RFC 6928 2: min(10 SMSS, max(2 SMSS, 14600)). */
export function initialWindow(smss: number): number {
  return Math.min(10 * smss, Math.max(2 * smss, 14_600));
}

/** New data was acknowledged outside recovery; `flight` is what was out before. */
export function onAcknowledged(c: Connection, acked: number, flight: number, now: Time): void {
  // A window that was not used is not known to be good (RFC 7661 4.1).
  if (c.limited === 0 && flight + c.smss < c.cwnd) return;
  if (c.cwnd < c.ssthresh) {
    // RFC 5681 3.1 (2), with at most two segments an acknowledgment (RFC 3465 2.3).
    c.cwnd = Math.min(WINDOW_MOST, c.cwnd + Math.min(acked, 2 * c.smss));
    return;
  }
  if (c.cubic !== 0) {
    cubic(c, acked, now);
    return;
  }
  c.counted += acked;
  if (c.counted >= c.cwnd) {
    c.counted -= c.cwnd;
    c.cwnd = Math.min(WINDOW_MOST, c.cwnd + c.smss);
  }
}

function cubic(c: Connection, acked: number, now: Time): void {
  const { smss } = c;
  const window = c.cwnd / smss;
  if (c.epochAt === NEVER) {
    c.epochAt = now;
    c.wEst = window;
    if (window < c.wMax) c.cubicK = cubeRoot((c.wMax - window) / C);
    else {
      c.cubicK = 0;
      c.wMax = window;
    }
  }
  const t = (now - c.epochAt) / SEC;
  const rtt = Math.max(c.srtt, 0) / SEC;
  const offset = t - c.cubicK;
  const current = C * offset * offset * offset + c.wMax;
  // RFC 9438 4.3: as fast as Reno would be.
  c.wEst += ((c.wEst < c.cwndPrior ? ALPHA : 1) * (acked / smss)) / window;
  let gain: number;
  if (current < c.wEst) gain = c.wEst > window ? (c.wEst - window) * smss : 0;
  else {
    const next = offset + rtt;
    const target = Math.max(window, Math.min(1.5 * window, C * next * next * next + c.wMax));
    gain = ((target - window) / window) * acked;
  }
  c.carry += gain;
  const whole = Math.floor(c.carry);
  c.carry -= whole;
  c.cwnd = Math.min(WINDOW_MOST, c.cwnd + whole);
}

/** Sets the slow start threshold after a sign of congestion: RFC 5681 (4), RFC 9438 4.6 and 4.7. */
export function reduce(c: Connection, flight: number): void {
  const least = 2 * c.smss;
  c.counted = 0;
  if (c.cubic === 0) {
    c.ssthresh = Math.max(flight >> 1, least);
    return;
  }
  const window = c.cwnd / c.smss;
  c.cwndPrior = window;
  c.wMax = window < c.wMax ? (window * (1 + BETA)) / 2 : window;
  c.epochAt = NEVER;
  c.carry = 0;
  c.ssthresh = Math.max(Math.floor(Math.min(flight, c.cwnd) * BETA), least);
}

/** Recovery is over. */
export function onRecovered(c: Connection): void {
  if (c.mode === SACK_RECOVERY) c.cwnd = c.ssthresh;
  // RFC 6582 3.2 step 3 (1): no burst where little is out.
  else c.cwnd = Math.min(c.ssthresh, Math.max(c.flight, c.smss) + c.smss);
}

/** Idle for longer than a retransmission time-out: RFC 5681 4.1. */
export function afterIdle(c: Connection, initial: number): void {
  c.cwnd = Math.min(c.cwnd, initial);
  c.epochAt = NEVER;
}

/** Newton's method, from above. */
function cubeRoot(x: number): number {
  if (x <= 0) return 0;
  let root = x > 1 ? x : 1;
  for (let i = 0; i < 80; i++) {
    const next = (2 * root + x / (root * root)) / 3;
    if (next >= root) break;
    root = next;
  }
  return root;
}
