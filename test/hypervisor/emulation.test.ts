/** Loads and stores of a trapped device against the same on a passed one and on memory, where the CPU model carries them out. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seeds } from "../support/soak.ts";
import { type Case, type PlaceName, type Result, runCases } from "./support/oracle.ts";

/** A form of C4.1.88: the word, and how far from the base it goes. */
interface Form {
  readonly name: string;
  readonly word: number;
  /** Bytes in all, and the multiple that Device memory asks for. */
  readonly bytes: number;
  readonly alignment: number;
  /** Base, its distance from the address, and an index register that is part of it. */
  readonly base: number;
  readonly offset: number;
  readonly index?: { readonly register: number; readonly low: number; readonly high: number };
}

const int = (max: number) => fc.integer({ min: 0, max });
const signed = (value: number, bits: number) => (value << (32 - bits)) >> (32 - bits);
const rows = (...shifted: readonly (readonly [value: number, at: number])[]): number =>
  shifted.reduce((word, [value, at]) => (word | (value << at)) >>> 0, 0);

/** One register, general or SIMD: size, opc; 8 bytes and opc 2 is a prefetch, opc 3 of 4 and 8 bytes is unallocated. */
const one = fc
  .record({
    size: int(3),
    opc: int(3),
    simd: int(1),
    rt: int(30),
    base: int(31),
    kind: int(4),
    imm: int(511),
    option: int(3),
    shift: int(1),
    rm: int(30),
  })
  .filter(({ size, opc, simd }) =>
    simd === 1 ? opc < 2 || size === 0 : opc < 2 || size < 2 || (size === 2 && opc === 2),
  )
  .filter(({ simd, rt, base, rm }) => rm !== base && (simd === 1 || (rt !== base && rm !== rt)))
  .map(({ size, opc, simd, rt, base, kind, imm, option, shift, rm }): Form => {
    const bytes = simd === 1 && opc >= 2 ? 16 : 1 << size;
    const common = rows([size, 30], [7, 27], [simd, 26], [opc, 22], [base, 5], [rt, 0]);
    const form = { name: "one", bytes, alignment: bytes, base };
    if (kind === 0) return { ...form, word: rows([common, 0], [1, 24], [imm & 63, 10]), offset: (imm & 63) * bytes };
    // unscaled, post-indexed, pre-indexed
    if (kind < 4)
      return {
        ...form,
        word: rows([common, 0], [imm, 12], [[0, 0, 1, 3][kind] ?? 0, 10]),
        offset: kind === 2 ? 0 : signed(imm, 9),
      };
    const scale = shift === 1 ? Math.log2(bytes) : 0;
    const low = [imm - 256, imm, imm - 256, imm - 256][[2, 3, 6, 7].indexOf([2, 3, 6, 7][option] ?? 2)] ?? 0;
    const opt = [3, 2, 6, 7][option] ?? 3;
    // UXTW takes the low word alone
    const index =
      opt === 2
        ? { register: rm, low: imm, high: 0x1234 }
        : { register: rm, low, high: opt === 6 ? 0x55 : low < 0 ? -1 : 0 };
    return {
      ...form,
      word: rows([common, 0], [1, 21], [rm, 16], [opt, 13], [shift, 12], [2, 10]),
      offset: (opt === 2 ? imm : low) * 2 ** scale,
      index,
    };
  });

/** Pairs: opc, V, mode (non-temporal, post-indexed, offset, pre-indexed). */
const pair = fc
  .record({
    opc: int(2),
    simd: int(1),
    load: int(1),
    mode: int(3),
    imm: int(127),
    rt: int(30),
    rt2: int(30),
    base: int(31),
  })
  .filter(({ opc, simd, load, mode }) => simd === 1 || opc !== 1 || (load === 1 && mode !== 0))
  .filter(({ rt, rt2, base, simd }) => rt !== rt2 && (simd === 1 || (rt !== base && rt2 !== base)))
  .map(({ opc, simd, load, mode, imm, rt, rt2, base }): Form => {
    const size = simd === 1 ? 4 << opc : opc === 2 ? 8 : 4;
    const word = rows([opc, 30], [5, 27], [simd, 26], [mode, 23], [load, 22], [imm, 15], [rt2, 10], [base, 5], [rt, 0]);
    return {
      name: "pair",
      word,
      bytes: 2 * size,
      alignment: size,
      base,
      offset: mode === 1 ? 0 : signed(imm, 7) * size,
    };
  });

/** Lists of structures: opcode of multiple ones (C4.1.88), with registers; of single ones R, opcode, S, size. */
const MULTIPLE = [
  [0, 4],
  [2, 4],
  [4, 3],
  [6, 3],
  [7, 1],
  [8, 2],
  [10, 2],
] as const;
const postIndex = { post: int(1), rm: int(31), rt: int(31), base: int(31), q: int(1), load: int(1), size: int(3) };
const register = ({ post, rm, base }: { post: number; rm: number; base: number }) =>
  post === 0 || rm === 31 || rm !== base;
const moved = (post: number, rm: number) => (post === 1 ? rows([1, 23], [rm, 16]) : 0);
const multiple = fc
  .record({ ...postIndex, opcode: fc.constantFrom(...MULTIPLE) })
  .filter(register)
  .filter(({ opcode: [op], size, q }) => size < 3 || q === 1 || [2, 6, 7, 10].includes(op))
  .map(({ post, rm, rt, base, q, load, size, opcode: [op, registers] }): Form => {
    const word = rows([q, 30], [0x18, 23], [load, 22], [op, 12], [size, 10], [base, 5], [rt, 0], [moved(post, rm), 0]);
    return {
      name: "multiple",
      word: rows([word, 0], [1, 27]),
      bytes: registers * (8 << q),
      alignment: 8 << q,
      base,
      offset: 0,
    };
  });
const single = fc
  .record({ ...postIndex, two: int(1), opcode: int(7), s: int(1) })
  .filter(register)
  .filter(({ opcode, s, size, load }) => {
    const scale = opcode >> 1;
    if (scale === 1) return (size & 1) === 0;
    if (scale === 2) return size === 0 || (size === 1 && s === 0);
    return scale === 0 || (load === 1 && s === 0);
  })
  .map(({ post, rm, rt, base, q, load, size, two, opcode, s }): Form => {
    const scale = opcode >> 1;
    const bytes = scale === 3 ? 1 << size : scale === 2 && size === 1 ? 8 : 1 << scale;
    const word = rows(
      [q, 30],
      [0x1a, 23],
      [load, 22],
      [two, 21],
      [opcode, 13],
      [s, 12],
      [size, 10],
      [base, 5],
      [rt, 0],
      [moved(post, rm), 0],
    );
    return { name: "single", word, bytes: bytes * (1 + two + 2 * (opcode & 1)), alignment: bytes, base, offset: 0 };
  });

/** Literals, PC being the base: opc, V. */
const literal = fc.record({ opc: int(2), simd: int(1), rt: int(30) }).map(({ opc, simd, rt }): Form => {
  const bytes = simd === 1 ? 4 << opc : opc === 1 ? 8 : 4;
  return {
    name: "literal",
    word: rows([opc, 30], [3, 27], [simd, 26], [rt, 0]),
    bytes,
    alignment: bytes,
    base: -1,
    offset: 0,
  };
});

const state = fc.record({
  place: int(200),
  bytes: fc.uint8Array({ minLength: 64, maxLength: 64 }),
  aligned: fc.integer({ min: 0, max: 3 }).map((n) => n > 0),
  seed: fc.integer(),
});

/** Numbers from a seed, for registers. */
function* numbers(seed: number): Generator<number, never> {
  for (let x = seed | 1; ; ) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    yield x | 0;
  }
}

const CENTRE = 4096;
function caseOf(
  form: Form,
  s: { place: number; bytes: Uint8Array; aligned: boolean; seed: number },
  place: PlaceName,
): Case {
  const next = numbers(s.seed);
  const number = () => next.next().value;
  const at = form.base < 0 ? CENTRE + 16 * s.place : CENTRE + (s.aligned ? 16 * s.place : s.place);
  const registers = Array.from({ length: 32 }, () => ({ low: number(), high: number() }));
  const relative = form.base < 0 ? [] : [form.base];
  if (form.base >= 0) {
    const low = at - form.offset;
    registers[form.base] = { low, high: 0 };
  }
  if (form.index) registers[form.index.register] = { low: form.index.low, high: form.index.high };
  return {
    place,
    word: (distance) => (form.base < 0 ? rows([form.word, 0], [((distance + at) >> 2) & 0x7ffff, 5]) : form.word),
    registers,
    relative,
    vectors: Array.from({ length: 32 }, () => Int32Array.from({ length: 4 }, number)),
    data: s.bytes,
  };
}

const forms = { one, pair, multiple, single, literal };
const hex = (word: number) => word.toString(16).padStart(8, "0");
/** The result without what only devices have. */
const content = ({ registers, vectors, data }: Result) => ({ registers, vectors, data });

/** Cases are gathered first and run on one machine; what `plan` returns has their results. */
class Plan {
  readonly #mmu: boolean;
  readonly #cases: Case[] = [];
  #results: readonly Result[] | null = null;
  constructor(mmu: boolean) {
    this.#mmu = mmu;
  }
  add(cases: readonly Case[]): () => readonly Result[] {
    const first = this.#cases.length;
    this.#cases.push(...cases);
    return () => {
      this.#results ??= runCases(this.#cases, this.#mmu);
      const found = this.#results.slice(first, first + cases.length);
      expect(found.length).toBe(cases.length);
      return found;
    };
  }
}
const plans = { off: new Plan(false), on: new Plan(true) };
const both = [
  ["the guest's MMU off", plans.off],
  ["its memory and devices Normal", plans.on],
] as const;
const EVERYWHERE = ["memory", "trap", "pass"] as const;

for (const [seed, what, plan] of seeds([7]).flatMap((n) => both.map((b) => [n, ...b] as const))) {
  describe(`emulated loads and stores, ${what}, seed ${seed}`, () => {
    for (const [name, form] of Object.entries(forms)) {
      const drawn = fc.sample(fc.tuple(form, state), { numRuns: 80, seed });
      const results = plan.add(drawn.flatMap(([f, s]) => EVERYWHERE.map((p) => caseOf(f, s, p))));
      it(`${name}: as on a passed device; as in memory where aligned`, () => {
        let faults = 0;
        drawn.forEach(([f], n) => {
          const [inMemory, trapped, passed] = results().slice(3 * n, 3 * n + 3) as [Result, Result, Result];
          expect([hex(f.word), trapped]).toEqual([hex(f.word), passed]);
          if (trapped.fault === null) expect([hex(f.word), content(trapped)]).toEqual([hex(f.word), content(inMemory)]);
          else {
            // DDI 0487 D17.2.37: data abort without change of level, alignment fault
            expect([trapped.fault.esr >>> 26, trapped.fault.esr & 0x3f]).toEqual([0x25, 0x21]);
            expect(trapped.data).toEqual([]);
            faults++;
          }
        });
        // Most cases say something of the accesses themselves.
        expect(faults).toBeLessThan(drawn.length / 2);
      });
    }
  });
}

/** Base X2 at a distance from the place; the other registers hold their numbers, a place 0, 1, 2 ... in each 64 bytes. */
function at(distance: number, word: number, place: PlaceName): Case {
  return {
    place,
    word: () => word,
    registers: Array.from({ length: 32 }, (_, r) => ({ low: r === 2 ? distance : r, high: 0 })),
    relative: [2],
    vectors: Array.from({ length: 32 }, (_, r) => Int32Array.of(r, r, r, r)),
    data: Uint8Array.from({ length: 64 }, (_, i) => i),
  };
}
const x = (result: Result | undefined, r: number) => [
  (result?.registers[2 * r] ?? -1) >>> 0,
  (result?.registers[2 * r + 1] ?? -1) >>> 0,
];
/** ESR_EL1 of a data abort without change of level: EC 0x25, IL (D17.2.37). */
const abort = (iss: number) => (0x9600_0000 | iss) >>> 0;
const WNR = 1 << 6;

describe("what is no plain access", () => {
  for (const [text, word] of [
    ["ldar x0", 0xc8dffc40],
    ["stlrb w0", 0x089ffc40],
    ["ldtr x0", 0xf8400840],
    ["sttr w0", 0xb8000840],
    ["ldtrsh x0", 0x78800840],
    ["prfm pldl1keep", 0xf9800040],
  ] as const) {
    const off = plans.off.add(EVERYWHERE.map((p) => at(64, word, p)));
    const on = plans.on.add([at(64, word, "trap"), at(64, word, "pass")]);
    it(`${text} is an access like others, or none`, () => {
      const [inMemory, trapped, passed] = off() as [Result, Result, Result];
      expect(content(trapped)).toEqual(content(inMemory));
      expect([trapped, trapped.fault]).toEqual([passed, null]);
      const [again, passedAgain] = on();
      expect([again, again?.fault]).toEqual([passedAgain, null]);
    });
  }

  for (const [text, word] of [
    ["ldadd x0, x1", 0xf8200041],
    ["swp w0, w1", 0xb8208041],
    ["cas x0, x1", 0xc8a07c41],
    ["casp x4, x5, x6, x7", 0x48247c46],
  ] as const) {
    const results = plans.on.add([at(64, word, "trap"), at(64, word, "pass")]);
    it(`${text}: fault 0x35, unsupported Exclusive or Atomic access, trapped and passed (D17.2.37)`, () => {
      const [trapped, passed] = results();
      expect(trapped?.fault).toEqual({ esr: abort(0x35), far: 64 });
      expect(passed).toEqual(trapped);
      expect(trapped?.log).toEqual([]);
    });
  }

  for (const [text, word] of [
    ["ldxr x0", 0xc85f7c40],
    ["ldaxr w0", 0x885ffc40],
    ["ldxp x0, x1", 0xc87f0440],
  ] as const) {
    // stxr w3, x0: without the monitor nothing is stored, and it says so
    const results = plans.on.add([at(64, word, "trap"), at(64, 0xc8037c40, "trap")]);
    it(`${text}: the same fault where trapped, IMPLEMENTATION DEFINED for Device memory (B2.9)`, () => {
      const [loaded, stored] = results();
      expect(loaded?.fault).toEqual({ esr: abort(0x35), far: 64 });
      expect([stored?.fault, x(stored, 3), stored?.log]).toEqual([null, [1, 0], []]);
    });
  }

  const zero = plans.on.add([at(68, 0xd50b7422, "trap"), at(68, 0xd50b7422, "pass")]);
  it("DC ZVA is an alignment fault, as to any Device memory (D7.5.8)", () => {
    const [trapped, passed] = zero();
    expect(trapped?.fault).toEqual({ esr: abort(0x21 | WNR), far: 68 });
    expect(passed).toEqual(trapped);
  });
});

describe("accesses to two pages, the second a trapped device's", () => {
  // ldp x0, x1, [x2]; stp x0, x1, [x2]; then it is read again
  const pairs = plans.on.add([0xa9400440, 0xa9000440, 0xa9400440].map((word) => at(-8, word, "beyond")));
  it("each element of an aligned pair goes to its own page", () => {
    const [first, second, third] = pairs();
    expect([x(first, 0), x(first, 1)]).toEqual([
      [0, 0],
      [0x03020100, 0x07060504],
    ]);
    expect([first?.log, second?.log]).toEqual([["r8 0"], ["w8 0"]]);
    expect(second?.data.slice(0, 2)).toEqual(["0: 1", "1: 0"]);
    expect([x(third, 0), third?.fault]).toEqual([[0, 0], null]);
  });

  // ld1 {v0.2d, v1.2d}, [x2], #32
  const list = plans.on.add([at(-16, 0x4cdfac40, "beyond")]);
  it("a list of structures with writeback", () => {
    const [result] = list();
    expect(result?.log).toEqual(["r8 0", "r8 8"]);
    expect(result?.vectors.slice(-4)).toEqual([4, 5, 6, 7].map((word, i) => `${word}: ${0x03020100 + i * 0x04040404}`));
    expect(x(result, 2)).toEqual([16, 0]);
  });

  // ldr x0, [x2]; str w0, [x2, #4]!; ldr q0, [x2]
  const misaligned = plans.on.add([
    at(-4, 0xf9400040, "beyond"),
    at(-6, 0xb8004c40, "beyond"),
    at(-8, 0x3dc00040, "beyond"),
  ]);
  it("one that is not aligned is an alignment fault at the device's page, with a syndrome or without (B2.8.2)", () => {
    const results = misaligned();
    expect(results.map((r) => r.fault)).toEqual([
      { esr: abort(0x21), far: 0 },
      { esr: abort(0x21 | WNR), far: 0 },
      { esr: abort(0x21), far: 0 },
    ]);
    expect(results.map((r) => r.log)).toEqual([[], [], []]);
    expect(x(results[1], 2)).toEqual([-6 >>> 0, -1 >>> 0]);
  });

  // the passed device lies before the trapped one: ldp x0, x1, [x2]; stp x0, x1, [x2]; and the trapped one's end before memory
  const passed = plans.on.add([at(-8, 0xa9400440, "trap"), at(-8, 0xa9000440, "trap"), at(0x1ff8, 0xa9400440, "trap")]);
  it("a pair of which one element is a passed device's, or memory", () => {
    const [load, store, end] = passed();
    expect([x(load, 1), load?.log, store?.log]).toEqual([[0x03020100, 0x07060504], ["r8 0"], ["w8 0"]]);
    expect([store?.data.slice(0, 2), store?.fault]).toEqual([["0: 1", "1: 0"], null]);
    expect([x(end, 0), end?.log]).toEqual([[0x3b3a3938, 0x3f3e3d3c], ["r8 1ff8"]]);
  });

  // "beyond" ends at a hole: ldp x0, x1, [x2], stp of its last eight bytes
  const hole = plans.on.add([at(0x1ff8, 0xa9400440, "beyond"), at(0x1ff8, 0xa9000440, "beyond")]);
  it("a hole in the second page is an external abort there, and the device is not touched", () => {
    const results = hole();
    expect(results.map((r) => r.fault)).toEqual([
      { esr: abort(0x10), far: 0x2000 },
      { esr: abort(0x10 | WNR), far: 0x2000 },
    ]);
    expect(results.map((r) => [r.log, r.data])).toEqual([
      [[], []],
      [[], []],
    ]);
  });

  // the trapped device again at 0xffff_e000: ldp x0, x1, [x2] of its last eight bytes; 0x1_0000_0000 has no entry at level 1
  const unmapped = plans.on.add([at(0xc000_0000 + 0x1ff8, 0xa9400440, "trap")]);
  it("a second page that the guest has not mapped is its translation fault, and the device is not touched", () => {
    const [result] = unmapped();
    expect(result?.fault).toEqual({ esr: abort(0x05), far: -0x3fff_e000 });
    expect(result?.log).toEqual([]);
  });
});
