/** Random guests: where they access, how wide, what they write, how much time they leave. */
import { elements, type Register } from "../../../src/registers/index.ts";
import { type Random, type Time, US } from "../../../src/sim/index.ts";
import type { Bench } from "./bench.ts";

export interface Step {
  readonly target: number;
  readonly offset: number;
  readonly size: number;
  readonly write: boolean;
  readonly value: number;
  readonly high: number;
  readonly cpu: number;
  /** Ticks that pass afterwards. */
  readonly pause: Time;
  readonly stimulate: boolean;
}

/** Word offsets of all declared registers, by target. */
export function declaredOffsets(bench: Bench): number[][] {
  return bench.device.targets.map((_, i) => {
    const declaration = bench.declaration(i);
    if (declaration === null) return [];
    return Object.values<Register>(declaration.registers).flatMap((r) =>
      elements(r).flatMap(({ offset }) => ((r.width ?? 32) > 32 ? [offset, offset + 4] : [offset])),
    );
  });
}

const SHORT: Time = 20 * US;
const LONG: Time = 1_000 * US;

/** The next access; most go to declared registers, and most of those with a size that fits. */
export function randomStep(bench: Bench, declared: readonly number[][], random: Random): Step {
  const target = random.below(bench.device.targets.length);
  const under = bench.target(target);
  const known = declared[target] as readonly number[];
  let size = 1 << random.below(4);
  let offset: number;
  if (known.length > 0 && random.below(8) !== 0) {
    offset = known[random.below(known.length)] as number;
    if (random.below(4) === 0) offset += random.below(8);
    else if (size === 8 && random.below(4) !== 0) size = 4;
  } else offset = random.below(under.size);
  // An access never crosses eight aligned bytes, nor the end of the window.
  if ((offset % 8) + size > 8 || offset + size > under.size) offset -= offset % size;
  if (offset + size > under.size) size = 1;
  const roll = random.below(1000);
  const longest = bench.device.longStep ?? LONG;
  const pause =
    roll < 600 ? 0 : roll < 980 ? random.below(SHORT) : roll < 999 ? random.below(LONG) : spread(random, longest);
  return {
    target,
    offset,
    size,
    write: random.below(2) === 0,
    value: clip(randomWord(random), size),
    high: randomWord(random),
    cpu: random.below(under.cpus ?? 1),
    pause,
    stimulate: bench.device.stimulate !== undefined && random.below(8) === 0,
  };
}

/** What the guest was told: the value read, or 0. */
export function perform(bench: Bench, step: Step, random: Random): number {
  let value = 0;
  if (step.write) bench.write(step.target, step.offset, step.size, step.value, step.cpu, step.high);
  else value = bench.read(step.target, step.offset, step.size, step.cpu);
  if (step.stimulate) bench.device.stimulate?.(random);
  if (step.pause > 0) bench.run(step.pause);
  return value;
}

export function describeStep(bench: Bench, step: Step): string {
  const where = `${bench.target(step.target).name}+0x${step.offset.toString(16)}`;
  const high = step.size === 8 ? step.high.toString(16).padStart(8, "0") : "";
  const what = step.write ? `write of 0x${high}${step.value.toString(16)}` : "read";
  return `${what}, ${step.size} bytes at ${where} by CPU ${step.cpu} at tick ${bench.simulation.now}`;
}

function clip(value: number, size: number): number {
  return size === 1 ? value & 0xff : size === 2 ? value & 0xffff : value;
}

/** Patterns that registers care about: all, nothing, one bit, small numbers, anything. */
function randomWord(random: Random): number {
  switch (random.below(8)) {
    case 0:
      return 0xffff_ffff;
    case 1:
      return 0;
    case 2:
    case 3:
      return (1 << random.below(32)) >>> 0;
    case 4:
      return random.below(256);
    default:
      return random.uint32();
  }
}

/** Up to `limit` ticks, short and long ones alike. */
function spread(random: Random, limit: Time): Time {
  return Math.floor((random.uint32() / 0x1_0000_0000) ** 3 * limit);
}
