/**
 * The instruction syndrome of a data abort, ESR_ELx.ISS[24:14] (DDI 0487J.a D17.2.37): given for loads and stores of one general-purpose
 * register, with acquire or release too, but not for exclusives, pairs, and forms with writeback.
 */

/** ISV, SAS, SSE, SRT, SF, AR of the load or store `word`; 0 where the architecture gives no syndrome. */
export function dataAbortSyndrome(word: number): number {
  const rt = word & 31;
  const size = word >>> 30;
  // LDAR, LDLAR, STLR, STLLR: size 001000 1 L 0 Rs 1/0 Rt2 Rn Rt (C4.1.88)
  if (((word >>> 21) & 0x1fd) === 0x044) return syndrome(size, false, rt, size === 3, (word & 0x8000) !== 0);
  // load/store register: size 111 V 0x opc; V is SIMD
  if (((word >>> 24) & 0x3e) !== 0x38) return 0;
  const unsignedOffset = ((word >>> 24) & 1) !== 0;
  if (!unsignedOffset) {
    const form = (word >>> 10) & 3;
    const registerOffset = ((word >>> 21) & 1) !== 0;
    if (registerOffset ? form !== 2 : form === 1 || form === 3) return 0; // atomics; pre- and post-indexed
  }
  const opc = (word >>> 22) & 3;
  if (size === 3 && opc === 2) return 0; // PRFM
  const signed = opc >= 2;
  const wide = signed ? opc === 2 : size === 3;
  return syndrome(size, signed, rt, wide, false);
}

function syndrome(size: number, signed: boolean, rt: number, wide: boolean, ordered: boolean): number {
  return (
    (1 << 24) | (size << 22) | (signed ? 1 << 21 : 0) | (rt << 16) | (wide ? 1 << 15 : 0) | (ordered ? 1 << 14 : 0)
  );
}
