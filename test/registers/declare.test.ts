import { describe, expect, it } from "vitest";
import {
  type Declaration,
  defineRegisters,
  elements,
  maskOf,
  type Register,
  resetOf,
  ro,
  rw,
  w1c,
} from "../../src/registers/index.ts";

const register = (more: Partial<Register> = {}): Register => ({
  at: 0,
  title: "A register",
  clause: "1",
  fields: { VALUE: rw([31, 0], "Value") },
  ...more,
});

function declare(registers: Declaration["registers"], more: Partial<Declaration> = {}): () => Declaration {
  return () =>
    defineRegisters<Declaration>({
      name: "PART",
      title: "Part",
      manual: "none",
      size: 0x40,
      sizes: [4],
      registers,
      ...more,
    });
}

describe("a declaration is refused, with the place named, where", () => {
  const cases: [string, () => Declaration, string][] = [
    [
      "two fields share a bit",
      declare({ R: register({ fields: { A: rw([3, 0], "a"), B: ro([7, 3], "b") } }) }),
      "PART.R: bit 3 is in A and in B",
    ],
    [
      "a field is wider than its register",
      declare({ R: register({ width: 16 }) }),
      "PART.R.VALUE: bits 31:0 do not fit 16 bits",
    ],
    [
      "high and low are the wrong way round",
      declare({ R: register({ fields: { A: rw([0, 3], "a") } }) }),
      "PART.R.A: bits 0:3",
    ],
    [
      "a reset value does not fit its field",
      declare({ R: register({ fields: { A: rw([3, 0], "a", { reset: 16 }) } }) }),
      "PART.R.A: reset value 16",
    ],
    [
      "a reset value is no whole number",
      declare({ R: register({ fields: { A: rw([3, 0], "a", { reset: 0.5 }) } }) }),
      "PART.R.A: reset value 0.5",
    ],
    [
      "an element's reset value has bits outside the fields",
      declare({ R: register({ fields: { A: rw(0, "a") }, count: 2, resets: [1, 2] }) }),
      "PART.R[1]: reset value 2",
    ],
    [
      "there are more reset values than elements",
      declare({ R: register({ count: 2, resets: [1, 2, 3] }) }),
      "PART.R[2]",
    ],
    [
      "two registers share an offset",
      declare({ A: register({ count: 3 }), B: register({ at: 8 }) }),
      "PART: A and B share offset 8",
    ],
    [
      "a 64-bit register runs into the next",
      declare({ A: register({ width: 64 }), B: register({ at: 4 }) }),
      "PART: A and B share offset 4",
    ],
    [
      "a register is outside the frame",
      declare({ R: register({ at: 0x40 }) }),
      "PART.R: offset 64 is outside the frame",
    ],
    ["an offset is no multiple of 4", declare({ R: register({ at: 2 }) }), "PART.R: offset 2"],
    ["a stride is no multiple of 4", declare({ R: register({ count: 2, stride: 6 }) }), "PART.R: stride 6"],
    ["a count is not positive", declare({ R: register({ count: 0 }) }), "PART.R: count 0"],
    [
      "more elements are banked than there are",
      declare({ R: register({ banked: 2 }) }),
      "PART.R: 2 of 1 elements are banked",
    ],
    ["a width is more than 64", declare({ R: register({ width: 65 }) }), "PART.R: width 65"],
    ["an access size is none", declare({ R: register({ sizes: [3] }) }), "PART.R: access sizes 3"],
    ["there are no access sizes", declare({ R: register() }, { sizes: [] }), "PART: access sizes"],
    ["a name is no identifier", declare({ "R 1": register() }), "PART.R 1: expected a name"],
    [
      "a field's name is no identifier",
      declare({ R: register({ fields: { "A-B": rw(0, "a") } }) }),
      "PART.R.A-B: expected a name",
    ],
    ["the frame is no multiple of 4", declare({ R: register() }, { size: 0x42 }), "PART: size 66"],
  ];
  it.each(cases)("%s", (_, build, message) => {
    expect(build).toThrow(message);
  });
});

it("a misspelt register or field does not compile", () => {
  const part = defineRegisters({
    name: "PART",
    title: "Part",
    manual: "none",
    size: 4,
    sizes: [4],
    registers: { CTRL: { at: 0, title: "Control", clause: "1", fields: { EN: rw(0, "Enable") } } },
  });
  expect(part.registers.CTRL.fields.EN.low).toBe(0);
  // @ts-expect-error CRTL is no register
  expect(part.registers.CRTL).toBeUndefined();
  // @ts-expect-error ENA is no field
  expect(part.registers.CTRL.fields.ENA).toBeUndefined();
});

describe("masks and reset values", () => {
  const wide = register({
    width: 64,
    fields: { LOW: rw([7, 0], "l", { reset: 0xa5 }), ACROSS: ro([39, 28], "a", { reset: 0xabc }), TOP: w1c(63, "t") },
  });

  it("split fields that straddle the words of a 64-bit register", () => {
    expect(maskOf(wide, () => true, 0)).toBe(0xf00000ff | 0);
    expect(maskOf(wide, () => true, 1)).toBe(0x800000ff | 0);
    expect(maskOf(wide, (f) => f.access === "ro", 0)).toBe(0xf0000000 | 0);
    expect(maskOf(wide, (f) => f.access === "ro", 1)).toBe(0xff);
    expect(resetOf(wide, 0, 0)).toBe(0xc00000a5 | 0);
    expect(resetOf(wide, 0, 1)).toBe(0xab);
  });

  it("cover fields of 32, 33 and 64 bits", () => {
    const of = (high: number, low: number) => {
      const r = register({ width: 64, fields: { F: rw([high, low], "f") } });
      return [maskOf(r, () => true, 0), maskOf(r, () => true, 1)];
    };
    expect(of(63, 0)).toEqual([-1, -1]);
    expect(of(31, 0)).toEqual([-1, 0]);
    expect(of(63, 32)).toEqual([0, -1]);
    expect(of(32, 0)).toEqual([-1, 1]);
    expect(of(63, 31)).toEqual([0x80000000 | 0, -1]);
    expect(of(47, 3)).toEqual([0xfffffff8 | 0, 0xffff]);
  });

  it("take an element's own reset value", () => {
    const array = register({ count: 3, resets: [1, 0xffff_ffff] });
    expect([0, 1, 2].map((i) => resetOf(array, i))).toEqual([1, -1, 0]);
    const pair = register({ width: 64, fields: { F: rw([63, 0], "f") }, resets: [0x1f_8000_0001] });
    expect([resetOf(pair, 0, 0), resetOf(pair, 0, 1)]).toEqual([0x80000001 | 0, 0x1f]);
  });

  it("place elements by stride: 4 bytes, 8 for 64 bits, or as given", () => {
    const offsets = (r: Register) => elements(r).map((e) => e.offset);
    expect(offsets(register({ at: 0x10, count: 3 }))).toEqual([0x10, 0x14, 0x18]);
    expect(offsets(register({ width: 64, count: 2, fields: {} }))).toEqual([0, 8]);
    expect(offsets(register({ count: 3, stride: 0x20 }))).toEqual([0, 0x20, 0x40]);
  });
});
