/** The whole table: every A64 instruction that is implemented, in the order of DDI 0487 chapter C4. */
import { atomics } from "./atomics.ts";
import { branches } from "./branches.ts";
import { crypto } from "./crypto.ts";
import { dataImmediate } from "./data-immediate.ts";
import { dataRegister } from "./data-register.ts";
import { fpScalar } from "./fp-scalar.ts";
import { fpVector } from "./fp-vector.ts";
import { loadStore } from "./load-store.ts";
import { loadStorePair } from "./load-store-pair.ts";
import { roundingMultiply } from "./rounding-multiply.ts";
import type { Row } from "./row.ts";
import { simdMemory } from "./simd-memory.ts";
import { simdMove } from "./simd-move.ts";
import { simdThree } from "./simd-three.ts";
import { simdTwo } from "./simd-two.ts";

export const TABLE: readonly Row[] = [
  ...dataImmediate,
  ...branches,
  ...loadStore,
  ...loadStorePair,
  ...simdMemory,
  ...dataRegister,
  ...simdMove,
  ...simdThree,
  ...simdTwo,
  ...fpScalar,
  ...fpVector,
  ...crypto,
  ...atomics,
  ...roundingMultiply,
];
