/** Operands that the rows of SIMD and floating-point registers share. */
import { axis, vector } from "./row.ts";

/** Q: all 128 bits, or the low 64. */
export const qAxis = axis([0, 1], (f: { Q: number }) => f.Q);
export const two = { d: vector("Rd"), n: vector("Rn") } as const;
export const three = { ...two, m: vector("Rm") } as const;
