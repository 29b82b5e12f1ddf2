/** Bit arithmetic of the decoder: 64-bit immediates as two words. */
import type { Wide } from "./row.ts";

export const signExtend = (n: number, bits: number): number => (n << (32 - bits)) >> (32 - bits);

/** The low `bits` (0 to 64) bits set. */
export function ones(bits: number): Wide {
  if (bits >= 64) return { low: -1, high: -1 };
  if (bits >= 32) return { low: -1, high: bits === 32 ? 0 : -1 >>> (64 - bits) };
  return { low: bits === 0 ? 0 : -1 >>> (32 - bits), high: 0 };
}
export function shiftLeft(v: Wide, by: number): Wide {
  if (by === 0) return v;
  if (by >= 32) return { low: 0, high: v.low << (by - 32) };
  return { low: v.low << by, high: (v.high << by) | (v.low >>> (32 - by)) };
}
export function shiftRight(v: Wide, by: number): Wide {
  if (by === 0) return v;
  if (by >= 32) return { low: v.high >>> (by - 32), high: 0 };
  return { low: (v.low >>> by) | (v.high << (32 - by)), high: v.high >>> by };
}
export const and = (a: Wide, b: Wide): Wide => ({ low: a.low & b.low, high: a.high & b.high });
export const or = (a: Wide, b: Wide): Wide => ({ low: a.low | b.low, high: a.high | b.high });
export const not = (a: Wide): Wide => ({ low: ~a.low, high: ~a.high });
/** Rotates right within the low `size` bits (2 to 64). */
function rotate(v: Wide, by: number, size: number): Wide {
  if (by === 0) return v;
  return and(or(shiftRight(v, by), shiftLeft(v, size - by)), ones(size));
}
function replicate(v: Wide, size: number): Wide {
  let out = v;
  for (let width = size; width < 64; width *= 2) out = or(out, shiftLeft(out, width));
  return out;
}

/** DecodeBitMasks (shared/functions/integer): wmask and tmask, or null when reserved. `immediate` for logical immediates. */
export function decodeBitMasks(
  immN: number,
  imms: number,
  immr: number,
  immediate: boolean,
): { wmask: Wide; tmask: Wide } | null {
  const length = 31 - Math.clz32((immN << 6) | (~imms & 0x3f));
  if (length < 1) return null;
  const size = 1 << length;
  const levels = size - 1;
  if (immediate && (imms & levels) === levels) return null;
  const s = imms & levels;
  const r = immr & levels;
  const d = (s - r) & levels;
  return {
    wmask: replicate(rotate(ones(s + 1), r, size), size),
    tmask: replicate(ones(d + 1), size),
  };
}
