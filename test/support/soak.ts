/**
 * How much random tests do. `ARMATURE_SOAK=n` gives every property n times its runs and every fuzzer n times its seeds, all of them other
 * than the usual ones, which are the same in every run: a regression suite gives the same answer each time, and new ground is for soaking. A failure names its seed: `ARMATURE_SOAK_SEED` begins with that one.
 */
import fc from "fast-check";

const times = Math.floor(Number(process.env["ARMATURE_SOAK"] ?? 0));
const soaking = times > 0;
const first = Number(process.env["ARMATURE_SOAK_SEED"] ?? Date.now() % 1_000_000_000);

const USUAL_SEED = 1;

/** `fc.assert`: a hundred runs unless the parameters say otherwise; a seed among them is for the usual runs. */
export function check<Arguments>(
  property: fc.IPropertyWithHooks<Arguments>,
  parameters: fc.Parameters<Arguments> = {},
): void {
  const { numRuns = 100 } = parameters;
  fc.assert(
    property,
    soaking ? { ...parameters, numRuns: numRuns * times, seed: first | 0 } : { seed: USUAL_SEED, ...parameters },
  );
}

/** The seeds of a fuzzer: those given, or 1 to their number. */
export function seeds(usual: number | readonly number[]): readonly number[] {
  const list = typeof usual === "number" ? Array.from({ length: usual }, (_, i) => i + 1) : usual;
  return soaking ? Array.from({ length: list.length * times }, (_, i) => first + i) : list;
}
