/** The assembler: encodings of the WebAssembly specification, and modules that run. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as w from "../../../../src/cpu/aarch64/engine/wasm.ts";
import { check } from "../../../support/soak.ts";

function run(build: (m: w.ModuleBuilder) => w.Func, ...args: unknown[]): unknown {
  const m = new w.ModuleBuilder();
  m.importMemory("env", "memory");
  m.export("f", build(m));
  const memory = new WebAssembly.Memory({ initial: 1 });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(m.finish()), { env: { memory } });
  return (instance.exports["f"] as (...a: unknown[]) => unknown)(...args);
}

describe("LEB128 (5.2.2)", () => {
  it.each([
    [0, [0]],
    [127, [0x7f]],
    [128, [0x80, 1]],
    [624485, [0xe5, 0x8e, 0x26]],
    [0xffffffff, [0xff, 0xff, 0xff, 0xff, 0x0f]],
  ])("unsigned %i", (n, bytes) => expect(w.unsigned(n)).toEqual(bytes));
  it.each([
    [0, 0, [0]],
    [-1, -1, [0x7f]],
    [64, 0, [0xc0, 0]],
    [-123456, -1, [0xc0, 0xbb, 0x78]],
  ])("signed %i", (low, high, bytes) => expect(w.signed(low, high)).toEqual(bytes));
  it("64-bit constants arrive whole", () => {
    check(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (v) => {
        const low = Number(BigInt.asIntN(32, v));
        const high = Number(BigInt.asIntN(32, v >> 32n));
        const got = run((m) => {
          const f = m.func([], "i64");
          f.body = w.i64Const(low, high).code;
          return f;
        });
        expect(got).toBe(v);
      }),
      { numRuns: 50 },
    );
  });
});

describe("structured control", () => {
  it("computes branch depths through nested blocks and loops", () => {
    const sum = (n: number): unknown =>
      run((m) => {
        const f = m.func(["i32"], "i32");
        const count = f.parameter(0, "i32");
        const total = f.local("i32");
        const out = new w.Label("out");
        const again = new w.Label("again");
        const add = (a: w.I32, b: w.I32): w.I32 => w.value("i32", a.code, b.code, 0x6a);
        f.body = [
          w.block(out, [
            w.loop(again, [
              w.when(w.value("i32", count.get.code, 0x45), [w.br(out)], undefined, false),
              total.set(add(total.get, count.get)),
              count.set(add(count.get, w.i32Const(-1))),
              w.br(again),
            ]),
          ]),
          total.get.code,
        ];
        return f;
      }, n);
    expect(sum(10)).toBe(55);
    expect(sum(0)).toBe(0);
  });
  it("chooses by table, with the fallback for all other numbers", () => {
    const pick = (n: number): unknown =>
      run((m) => {
        const f = m.func(["i32"], "i32");
        const labels = [new w.Label("a"), new w.Label("b")];
        const other = new w.Label("other");
        const answer = (v: number): w.Code => [w.i32Const(v).code, w.RETURN];
        const table = w.brTable(f.parameter(0, "i32").get, labels, other);
        const [a, b] = labels as [w.Label, w.Label];
        f.body = [
          w.block(other, [w.block(b, [w.block(a, [table]), answer(10)]), answer(20)]),
          answer(30),
          w.UNREACHABLE,
        ];
        return f;
      }, n);
    expect([pick(0), pick(1), pick(2), pick(-1)]).toEqual([10, 20, 30, 30]);
  });
  it("refuses a branch to a block it is not in, and arguments of the wrong type", () => {
    const m = new w.ModuleBuilder();
    const f = m.func(["i32"], "void");
    f.body = [w.br(new w.Label("nowhere"))];
    expect(() => m.finish()).toThrow(/nowhere/);
    expect(() => f.call(w.i64Const(1))).toThrow(/expected i32/);
  });
});
