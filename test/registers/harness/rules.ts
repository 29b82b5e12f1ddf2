/** What a declaration promises of each register, as checks that any device can be put through. */
import {
  type Access,
  type Declaration,
  elements,
  maskOf,
  type Register,
  resetOf,
} from "../../../src/registers/index.ts";
import { Random } from "../../../src/sim/index.ts";
import { declaredOffsets, perform, randomStep } from "./access.ts";
import type { Bench } from "./bench.ts";

export interface RegisterUnderTest {
  readonly target: number;
  readonly name: string;
  readonly register: Register;
  readonly declaration: Declaration;
  readonly sizes: readonly number[];
  readonly cpus: number;
}

/** One 32-bit word of one element. */
interface Word {
  readonly offset: number;
  readonly index: number;
  readonly word: number;
  readonly label: string;
}

export type RuleName =
  | "reset"
  | "reset-after-use"
  | "read-only"
  | "write-only"
  | "read-write"
  | "w1c"
  | "w1s"
  | "read-clear"
  | "widths"
  | "banked"
  | "offsets"
  | "peek"
  | "snapshot";

export interface Rule {
  readonly title: string;
  /** The violations found; the device has just been reset. */
  check(bench: Bench, under: RegisterUnderTest): string[];
}

export function registersUnderTest(bench: Bench, target?: string): RegisterUnderTest[] {
  return bench.device.targets.flatMap((t, i) => {
    const declaration = bench.declaration(i);
    if (declaration === null || (target !== undefined && t.name !== target)) return [];
    return Object.entries<Register>(declaration.registers).map(([name, register]) => ({
      target: i,
      name,
      register,
      declaration,
      sizes: register.sizes ?? declaration.sizes,
      cpus: t.cpus ?? 1,
    }));
  });
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, "0")}`;
}

function words({ name, register }: RegisterUnderTest, all = true): Word[] {
  const array = (register.count ?? 1) > 1;
  const wide = (register.width ?? 32) > 32;
  const list = elements(register);
  const some = all ? list : list.filter(({ index }) => index < 2 || index === list.length - 1);
  return some.flatMap(({ index, offset }) =>
    (wide ? [0, 1] : [0]).map((word) => ({
      offset: offset + 4 * word,
      index,
      word,
      label: `${name}${array ? `[${index}]` : ""}${word === 1 ? " (high word)" : ""}`,
    })),
  );
}

function mask(under: RegisterUnderTest, w: Word, ...kinds: Access[]): number {
  return maskOf(under.register, (f) => kinds.includes(f.access), w.word);
}

function readable(under: RegisterUnderTest, w: Word): number {
  return mask(under, w, "rw", "ro", "w1c", "w1s", "rc");
}

/** Writes a whole word in the widest accesses that the register takes. */
function writeWord(bench: Bench, under: RegisterUnderTest, w: Word, value: number, cpu = 0): void {
  const size = Math.max(...under.sizes.filter((s) => s <= 4));
  for (let lane = 0; lane < Math.max(4, size); lane += size) {
    const part = size === 4 ? value >>> 0 : (value >>> (8 * lane)) & (size === 2 ? 0xffff : 0xff);
    bench.write(under.target, w.offset + lane, size, part, cpu);
  }
}

function readWord(bench: Bench, under: RegisterUnderTest, w: Word): number {
  const size = Math.max(...under.sizes.filter((s) => s <= 4));
  let value = 0;
  for (let lane = 0; lane < 4; lane += size) value |= bench.read(under.target, w.offset + lane, size) << (8 * lane);
  return value;
}

function peek(bench: Bench, under: RegisterUnderTest, w: Word, cpu = 0): number {
  return bench.peek(under.target, w.offset, 4, cpu) | 0;
}

function banksOf(under: RegisterUnderTest, w: Word): number {
  return w.index < (under.register.banked ?? 0) ? under.cpus : 1;
}

function checkReset(bench: Bench, under: RegisterUnderTest, when: string): string[] {
  const out: string[] = [];
  for (const w of words(under)) {
    const expected = resetOf(under.register, w.index, w.word) & readable(under, w);
    for (let cpu = 0; cpu < banksOf(under, w); cpu++) {
      const got = peek(bench, under, w, cpu);
      if (got !== expected) out.push(`${w.label}, CPU ${cpu}: ${hex(got)} ${when}, declared ${hex(expected)}`);
    }
  }
  return out;
}

/** Some use of the whole device, the same every time. */
function use(bench: Bench, accesses: number, purpose: string): void {
  const random = new Random(7, purpose);
  const declared = declaredOffsets(bench);
  for (let n = 0; n < accesses; n++) perform(bench, randomStep(bench, declared, random), random);
}

/** Stored registers keep what is written; computed ones are the device's own tests' business, left-out ones keep nothing. */
function stored(under: RegisterUnderTest): boolean {
  return under.register.computed !== true && under.register.unimplemented === undefined;
}

/** Each bit of `bits` alone, and the act that has to change it and no other. */
function checkBits(bench: Bench, under: RegisterUnderTest, kind: "w1c" | "w1s"): string[] {
  if (!stored(under)) return [];
  const out: string[] = [];
  for (const w of words(under, false)) {
    const bits = mask(under, w, kind);
    if (bits === 0) continue;
    const start = kind === "w1c" ? bits : 0;
    for (let b = 0; b < 32; b++) {
      const one = 1 << b;
      if ((bits & one) === 0) continue;
      bench.reset();
      bench.poke(under.target, w.offset, 4, start >>> 0);
      if ((peek(bench, under, w) & bits) !== start) {
        out.push(`${w.label}: cannot be prepared by poke; is it computed?`);
        break;
      }
      writeWord(bench, under, w, 0);
      if ((peek(bench, under, w) & bits) !== start) out.push(`${w.label}: writing zeros changed it`);
      writeWord(bench, under, w, one);
      const got = peek(bench, under, w) & bits;
      if (got !== (start ^ one))
        out.push(`${w.label}: writing bit ${b} left ${hex(got)}, expected ${hex(start ^ one)}`);
    }
  }
  return out;
}

function lanes(size: number, lane: number): number {
  return (size === 4 ? -1 : (1 << (8 * size)) - 1) << (8 * lane);
}

function checkTaken(bench: Bench, under: RegisterUnderTest, w: Word, size: number, lane: number): string[] {
  const out: string[] = [];
  const what = `${w.label}: ${size} bytes at +${lane}`;
  bench.reset();
  const before = peek(bench, under, w);
  const expected = ((before & lanes(size, lane)) >>> (8 * lane)) >>> 0;
  const got = bench.read(under.target, w.offset + lane, size);
  if (got !== expected) out.push(`${what} reads ${hex(got)}, peek gave ${hex(expected)}`);
  if (bench.errors.some((e) => e.kind === "width")) out.push(`${what}: read refused though declared`);
  const rw = mask(under, w, "rw");
  bench.reset();
  bench.write(under.target, w.offset + lane, size, size === 4 ? 0xffff_ffff : 2 ** (8 * size) - 1);
  if (bench.errors.some((e) => e.kind === "width")) out.push(`${what}: write refused though declared`);
  if (!stored(under) || rw === 0) return out;
  const after = peek(bench, under, w) & rw;
  const wanted = (before | lanes(size, lane)) & rw;
  if (after !== wanted) out.push(`${what}: writing ones left ${hex(after)}, expected ${hex(wanted)}`);
  return out;
}

function checkRefused(bench: Bench, under: RegisterUnderTest, w: Word, size: number, lane: number): string[] {
  const out: string[] = [];
  const what = `${w.label}: ${size} bytes at +${lane}`;
  bench.reset();
  const hash = bench.simulation.stateHash();
  if (bench.read(under.target, w.offset + lane, size) !== 0) out.push(`${what}: a refused read gives zero`);
  if (bench.errors.length !== 1 || bench.errors[0]?.kind !== "width") {
    out.push(`${what}: expected one guest error "width", found ${bench.errors.map((e) => e.kind).join() || "none"}`);
  }
  bench.write(under.target, w.offset + lane, size, 0xff);
  if (bench.simulation.stateHash() !== hash) out.push(`${what}: a refused access changed the state`);
  return out;
}

export const RULES: { readonly [name in RuleName]: Rule } = {
  reset: {
    title: "registers have their reset values at power-on",
    check: (bench, under) => checkReset(bench, under, "at power-on"),
  },

  "reset-after-use": {
    title: "reset after use returns each register and line to its power-on state",
    check(bench, under) {
      const lines = lineLevels(bench);
      use(bench, 300, under.name);
      bench.reset();
      const now = lineLevels(bench);
      const moved = Object.keys(lines).filter((name) => lines[name] !== now[name]);
      return [
        ...checkReset(bench, under, "after use and reset"),
        ...moved.map((name) => `line ${name} is ${now[name]} after use and reset, ${lines[name]} at power-on`),
      ];
    },
  },

  "read-only": {
    title: "read-only fields ignore writes; bits outside the fields read as zero and ignore writes",
    check(bench, under) {
      const out: string[] = [];
      for (const w of words(under)) {
        const fixed = mask(under, w, "ro") | ~readable(under, w);
        const writable = maskOf(under.register, (f) => !["ro", "rc", "reserved"].includes(f.access), w.word) !== 0;
        const before = peek(bench, under, w) & fixed;
        for (const pattern of [-1, 0, 0x5aa5_5aa5, 0xa55a_a55a | 0]) {
          bench.clearErrors();
          writeWord(bench, under, w, pattern);
          const after = peek(bench, under, w) & fixed;
          if (after !== before) {
            out.push(`${w.label}: ${hex(after)} after a write of ${hex(pattern)}, before ${hex(before)}`);
          }
          const fields = Object.values(under.register.fields);
          const whole = fields.length > 0 && fields.every((f) => f.access === "ro" || f.access === "rc");
          if (!writable && whole && !bench.errors.some((e) => e.kind === "access")) {
            out.push(`${w.label}: a write to a read-only register is not reported`);
          }
        }
        const stray = readWord(bench, under, w) & ~readable(under, w);
        if (stray !== 0) out.push(`${w.label}: reserved bits read as ${hex(stray)}`);
      }
      return out;
    },
  },

  "write-only": {
    title: "write-only fields read as zero, and reading a register that has no others is reported",
    check(bench, under) {
      const out: string[] = [];
      const fields = Object.values(under.register.fields);
      const whole = fields.length > 0 && fields.every((f) => f.access === "wo");
      for (const w of words(under, false)) {
        const bits = mask(under, w, "wo");
        if (bits === 0) continue;
        writeWord(bench, under, w, -1);
        bench.clearErrors();
        if ((readWord(bench, under, w) & bits) !== 0) out.push(`${w.label}: reads back what was written`);
        if (whole && !bench.errors.some((e) => e.kind === "access")) out.push(`${w.label}: the read is not reported`);
      }
      return out;
    },
  },

  "read-write": {
    title: "read-write fields hold every bit that is written",
    check(bench, under) {
      if (!stored(under)) return [];
      const out: string[] = [];
      for (const w of words(under)) {
        const bits = mask(under, w, "rw");
        if (bits === 0) continue;
        for (const pattern of [-1, 0, 0x5555_5555, 0xaaaa_aaaa | 0]) {
          writeWord(bench, under, w, pattern);
          const got = peek(bench, under, w) & bits;
          if (got !== (pattern & bits)) out.push(`${w.label}: holds ${hex(got)}, written ${hex(pattern & bits)}`);
        }
      }
      return out;
    },
  },

  w1c: {
    title: "write-one-to-clear fields lose the written bits and no others",
    check: (bench, under) => checkBits(bench, under, "w1c"),
  },

  w1s: {
    title: "write-one-to-set fields gain the written bits and no others",
    check: (bench, under) => checkBits(bench, under, "w1s"),
  },

  "read-clear": {
    title: "fields that are cleared by reading give the value from before",
    check(bench, under) {
      if (!stored(under)) return [];
      const out: string[] = [];
      for (const w of words(under, false)) {
        const bits = mask(under, w, "rc");
        if (bits === 0) continue;
        bench.poke(under.target, w.offset, 4, bits >>> 0);
        const got = readWord(bench, under, w) & bits;
        if (got !== bits) out.push(`${w.label}: reads ${hex(got)}, held ${hex(bits)}`);
        const after = peek(bench, under, w) & bits;
        if (after !== 0) out.push(`${w.label}: holds ${hex(after)} after the read`);
      }
      return out;
    },
  },

  widths: {
    title: "every width and alignment that is declared works on its lanes; every other is refused and changes nothing",
    check(bench, under) {
      const out: string[] = [];
      for (const w of words(under, false)) {
        for (const size of [1, 2, 4]) {
          for (let lane = 0; lane < 4 && ((w.offset + lane) % 8) + size <= 8; lane++) {
            const taken = under.sizes.includes(size) && lane % size === 0;
            out.push(...(taken ? checkTaken : checkRefused)(bench, under, w, size, lane));
          }
        }
        if (w.word === 0 && (under.register.width ?? 32) > 32 && under.sizes.includes(4)) {
          bench.reset();
          const [low, high] = [peek(bench, under, w), bench.peek(under.target, w.offset + 4, 4) | 0];
          const got = bench.read(under.target, w.offset, 8) | 0;
          if (got !== low || (bench.transaction.high | 0) !== high) {
            out.push(
              `${w.label}: 64-bit read gives ${hex(bench.transaction.high)}:${hex(got)}, peek ${hex(high)}:${hex(low)}`,
            );
          }
        }
      }
      return out;
    },
  },

  banked: {
    title: "banked registers are each CPU's own",
    check(bench, under) {
      if (!stored(under) || under.cpus < 2) return [];
      const out: string[] = [];
      for (const w of words(under)) {
        const bits = mask(under, w, "rw");
        if (banksOf(under, w) === 1 || bits === 0) continue;
        for (let cpu = 0; cpu < under.cpus; cpu++) {
          const before = Array.from({ length: under.cpus }, (_, c) => peek(bench, under, w, c));
          writeWord(bench, under, w, ~(before[cpu] as number) & bits, cpu);
          for (let other = 0; other < under.cpus; other++) {
            const changed = ((peek(bench, under, w, other) ^ (before[other] as number)) & bits) !== 0;
            if (changed !== (other === cpu)) {
              out.push(
                `${w.label}: a write by CPU ${cpu} ${changed ? "changed" : "left alone"} the view of CPU ${other}`,
              );
            }
          }
        }
      }
      return out;
    },
  },

  offsets: {
    title: "offsets without a register read as zero, ignore writes and are reported",
    check(bench, under) {
      // Once a target, at its first register: the offsets belong to none.
      const names = Object.keys(under.declaration.registers);
      if (under.name !== names[0]) return [];
      const taken = new Set(declaredOffsets(bench)[under.target]);
      const free: number[] = [];
      for (let offset = 0; offset < bench.target(under.target).size; offset += 4)
        if (!taken.has(offset)) free.push(offset);
      const step = Math.max(1, Math.floor(free.length / 50));
      const out: string[] = [];
      for (let i = 0; i < free.length; i += step) {
        const offset = free[i] as number;
        const hash = bench.simulation.stateHash();
        bench.clearErrors();
        if (bench.read(under.target, offset, 4) !== 0) out.push(`offset ${hex(offset)}: does not read as zero`);
        bench.write(under.target, offset, 4, 0xffff_ffff);
        if (bench.errors.length !== 2 || bench.errors.some((e) => e.kind !== "reserved-offset")) {
          out.push(`offset ${hex(offset)}: expected two guest errors "reserved-offset"`);
        }
        if (bench.simulation.stateHash() !== hash) out.push(`offset ${hex(offset)}: the accesses changed the state`);
      }
      return out;
    },
  },

  peek: {
    title: "peek changes nothing, reports nothing and agrees with itself",
    check(bench, under) {
      use(bench, 100, under.name);
      bench.clearErrors();
      const hash = bench.simulation.stateHash();
      const out: string[] = [];
      for (const w of words(under)) {
        const value = peek(bench, under, w);
        if (peek(bench, under, w) !== value) out.push(`${w.label}: two peeks differ`);
        for (const size of [1, 2]) {
          for (let lane = 0; lane < 4; lane += size) {
            const part = bench.peek(under.target, w.offset + lane, size);
            if (part !== (value & lanes(size, lane)) >>> (8 * lane))
              out.push(`${w.label}: peek of ${size} at +${lane}`);
          }
        }
      }
      if (bench.simulation.stateHash() !== hash) out.push(`${under.name}: peek changed the state`);
      if (bench.errors.length > 0) out.push(`${under.name}: peek reported a guest error`);
      return out;
    },
  },

  snapshot: {
    title: "a snapshot loaded over another state brings every register back",
    check(bench, under) {
      use(bench, 200, under.name);
      const saved = structuredClone(bench.simulation.save());
      const hash = bench.simulation.stateHash();
      const before = words(under).map((w) => peek(bench, under, w));
      use(bench, 200, `${under.name} again`);
      bench.simulation.load(saved);
      const out = words(under).flatMap((w, i) =>
        peek(bench, under, w) === before[i]
          ? []
          : [`${w.label}: ${hex(peek(bench, under, w))}, saved ${hex(before[i] ?? 0)}`],
      );
      if (bench.simulation.stateHash() !== hash) out.push(`${under.name}: the state hash after loading differs`);
      return out;
    },
  },
};

/** Levels of all lines, as they lie in the saved state. */
function lineLevels(bench: Bench): { [name: string]: boolean } {
  const levels: { [name: string]: boolean } = {};
  for (const [module, { state }] of Object.entries(bench.simulation.save().modules)) {
    for (const [part, value] of Object.entries(state))
      if (typeof value === "boolean") levels[`${module}.${part}`] = value;
  }
  return levels;
}
