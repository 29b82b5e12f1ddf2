/**
 * Builds the interpreter: `run(ctx) -> status`. One function holds the hot handlers under a `br_table`, so that it stays small enough for
 * the optimising compiler; numbers beyond them go to the cold functions, of a few handlers each: the compiler then spends its time
 * on those that a guest uses (one function with all of them takes it several seconds).
 */

import type { Row } from "../isa/row.ts";
import type { Emitter, Operand } from "./emitter.ts";
import { FIRST, type Handlers, numberHandlers, type Variant } from "./handlers.ts";
import { defineHelpers } from "./helpers.ts";
import * as L from "./layout.ts";
import { AUX, IMMEDIATE, IMMEDIATE_HIGH, OPERATION_BYTES, PLACES } from "./operation.ts";
import * as w from "./wasm.ts";
import { type Code, type I32, type I64, Label, type Local } from "./wasm.ts";
import { type Frame, type Helpers, tlbIndex, WasmEmitter } from "./wasm-emitter.ts";

/** Where handlers of one function go. */
interface Exits {
  /** Leaves with a status on the stack being that of a call out. */
  status(status: I32): Code;
  /** The next operation; absent in the cold function, which falls through. */
  readonly next: Label | null;
  /** A taken branch inside the page, by the displacement in `d`. */
  near(): Code;
  /** A branch to the address in local `va`. */
  far(target: I64): Code;
}

class InterpreterEmitter extends WasmEmitter {
  readonly #exits: Exits;
  /** In the first operation of a pair: set when the host stores, and whether there is such a place. */
  #stored: Local<"i32"> | null = null;
  #stores = false;
  constructor(frame: Frame, helpers: Helpers, exits: Exits) {
    super(frame, helpers);
    this.#exits = exits;
  }
  row(r: Row, variant: number): Code {
    return this.meaning(() => r.meaning(this as Emitter, variant));
  }
  /** Both, the program counter moved on in between. */
  pair(a: Variant, b: Variant, advance: Code, next: Label): Code {
    return this.meaning(() => {
      const stored = this.temp("i32");
      this.#stored = stored;
      this.#stores = false;
      const first = this.arm(() => a.row.meaning(this, a.variant));
      this.#stored = null;
      if (this.#stores) this.out.push(stored.set(this.k32(0)));
      this.out.push(first, advance);
      // the second operation may be no longer what it was
      if (this.#stores) this.out.push(w.brIf(stored.get, next, false));
      b.row.meaning(this, b.variant);
    });
  }
  protected override stored(): Code {
    if (this.#stored === null) return [];
    this.#stores = true;
    return this.#stored.set(this.k32(1));
  }
  code(body: () => void): Code {
    return this.meaning(body);
  }
  protected address(r: Operand): { base: I32; offset: number } {
    const { context, pc } = this.frame;
    if ("offset" in r) return { base: context.get, offset: r.offset };
    const register = w.load("i32", w.LOAD_U16, pc.get, PLACES[r.place]);
    if (!r.plus) return { base: this.add(context.get, register), offset: 0 };
    // vector registers lie at V, a multiple of their 512 bytes
    const later = this.and(this.add(register, this.k32(16 * r.plus)), this.k32(511));
    return { base: this.add(context.get, later), offset: L.V };
  }
  protected exit(status: I32): Code {
    return this.#exits.status(status);
  }
  imm64(): I64 {
    return w.load("i64", w.LOAD_I64, this.frame.pc.get, IMMEDIATE);
  }
  imm32(): I32 {
    return w.load("i32", w.LOAD_I32, this.frame.pc.get, IMMEDIATE);
  }
  immHigh(): I32 {
    return w.load("i32", w.LOAD_I32, this.frame.pc.get, IMMEDIATE_HIGH);
  }
  aux(): I32 {
    return w.load("i32", w.LOAD_U16, this.frame.pc.get, AUX);
  }
  branch(near: number): void {
    if (near) this.out.push(this.#exits.near());
    else this.branchTo(this.add(this.pc(), this.imm64()));
  }
  branchIf(condition: I32, near: number): void {
    this.out.push(
      w.when(
        condition,
        this.arm(() => this.branch(near)),
      ),
    );
  }
  branchTo(address: I64): void {
    this.out.push(this.#exits.far(address));
  }
}

/** Handlers in a cold function; a power of two. */
const COLD_GROUP = 8;

export interface InterpreterModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly handlers: Handlers;
}

/** `step`: the limit is checked after each operation. */
export function buildInterpreter(step: boolean): InterpreterModule {
  const m = new w.ModuleBuilder();
  m.importMemory("env", "memory");
  const helpers = defineHelpers(m);
  const { fetch, decode } = helpers.imports;

  const run = m.func(["i32"], "i32");
  const cold = m.func(["i32", "i32", "i32", "i64", "i32"], "i32");
  /** The first group of cold handlers; all groups have the same parameters and locals. */
  const firstGroup = m.func(cold.parameters, cold.result);
  m.export("run", run);

  const context = run.parameter(0, "i32");
  const pc = run.local("i32");
  const bias = run.local("i32");
  const vaBias = run.local("i64");
  const tlb = run.local("i32");
  const va = run.local("i64");
  const count = run.local("i32");
  const status = run.local("i32");
  const entry = run.local("i32");
  const frame: Frame = { func: run, context, pc, bias, vaBias, tlb };

  const goTo = new Label("go to");
  const next = new Label("next");
  const left = new Label("left");
  const limit = new Label("limit");

  const i32 = (op: number) => (a: I32, b: I32) => w.value("i32", a.code, b.code, op);
  const add = i32(0x6a);
  const sub = i32(0x6b);
  const and = i32(0x71);
  const geS = i32(0x4e);
  const shrU32 = i32(0x76);
  const shl32 = i32(0x74);
  const shr64 = (a: I64, by: number): I64 => w.value("i64", a.code, w.i64Const(by).code, 0x88);
  const wrap = (a: I64): I32 => w.value("i32", a.code, 0xa7);
  const k = w.i32Const;
  const word = (offset: number) => w.load("i32", w.LOAD_I32, context.get, offset);
  const setWord = (offset: number, v: w.Value) =>
    w.store(v.type === "i64" ? w.STORE_I64 : w.STORE_I32, context.get, v, offset);
  const pcVa = (): I64 => w.value("i64", vaBias.get.code, w.value("i64", shrU32(pc.get, k(2)).code, 0xad).code, 0x7c);
  const counted = () => add(bias.get, pc.get);
  const advance = () => pc.set(add(pc.get, k(OPERATION_BYTES)));

  const displacement = () => w.load("i32", w.LOAD_I32, pc.get, IMMEDIATE);
  const exits: Exits = {
    status: (s) => [status.set(s), w.br(left)],
    next,
    near: () => [
      // bias + pc grows by 16 whatever the displacement
      entry.set(displacement()),
      bias.set(sub(add(bias.get, k(OPERATION_BYTES)), entry.get)),
      pc.set(add(pc.get, entry.get)),
      w.brIf(geS(counted(), word(L.LIMIT)), limit, false),
      w.br(next),
    ],
    far: (target) => [va.set(target), count.set(add(counted(), k(OPERATION_BYTES))), w.br(goTo)],
  };
  const coldFrame: Frame = {
    func: firstGroup,
    context: cold.parameter(0, "i32"),
    pc: cold.parameter(1, "i32"),
    bias: cold.parameter(2, "i32"),
    vaBias: cold.parameter(3, "i64"),
    tlb: cold.parameter(4, "i32"),
  };
  const unsupported = () => {
    throw new Error("branches are hot");
  };
  const coldExits: Exits = { status: (s) => [s.code, w.RETURN], next: null, near: unsupported, far: unsupported };
  const hotEmitter = new InterpreterEmitter(frame, helpers, exits);
  const coldEmitter = new InterpreterEmitter(coldFrame, helpers, coldExits);

  const labels = [goTo, left, limit, next];
  const handlers = numberHandlers({
    one: ({ row, variant }, c) => (c ? w.settled(coldEmitter.row(row, variant)) : hotEmitter.row(row, variant)),
    // the limit is looked at after each operation when stepping: the second one is left to its own slot
    two: (a, b) => (step ? hotEmitter.row(a.row, a.variant) : hotEmitter.pair(a, b, advance(), next)),
    key: (code) => w.codeKey(code, labels),
  });

  // after an operation that did not branch
  const finished = step
    ? [
        advance(),
        w.brIf(w.value("i32", geS(counted(), word(L.LIMIT)).code, 0x45), next),
        setWord(L.PC, pcVa()),
        setWord(L.COUNT, counted()),
        setWord(L.BLOCK_END, w.value("i32", and(wrap(pcVa()), k(4095)).code, 0x45)),
        k(L.RUN_LIMIT).code,
        w.RETURN,
      ]
    : [advance(), w.br(next)];

  const specials: Code[] = [
    // DECODE: the slot is filled, then executed
    [status.set(decode.callValue("i32", context.get, pc.get)), w.br(next)],
    // PAGE_END: no instruction; a block end
    [va.set(pcVa()), count.set(counted()), w.br(goTo)],
    // BREAKPOINT
    [setWord(L.PC, pcVa()), setWord(L.COUNT, counted()), setWord(L.SLOT, pc.get), k(L.RUN_BREAKPOINT).code, w.RETURN],
    // UNDEFINED
    [hotEmitter.code(() => hotEmitter.system(L.SYSTEM_UNDEFINED)), finished],
  ];
  const bodies = [...specials, ...handlers.hot.map((code) => [code, finished])];
  const targets = bodies.map((_, i) => new Label(`handler ${i}`));
  const beyond = new Label("cold");
  let dispatch: Code = [w.brTable(w.load("i32", w.LOAD_U16, pc.get), targets, beyond)];
  bodies.forEach((body, i) => {
    dispatch = [w.block(targets[i] as Label, dispatch), body];
  });
  const callCold = cold.callValue("i32", context.get, pc.get, bias.get, vaBias.get, tlb.get);
  const loopBody: Code = [w.block(beyond, dispatch), w.brIf(status.tee(callCold), left, false), finished];

  const tag = shr64(va.get, 12);
  const atEntry = (offset: number) => L.TLB_FETCH + offset;
  const goToBody: Code = [
    w.when(
      geS(count.get, word(L.LIMIT)),
      [setWord(L.PC, va.get), setWord(L.COUNT, count.get), setWord(L.BLOCK_END, k(1)), k(L.RUN_LIMIT).code, w.RETURN],
      undefined,
      false,
    ),
    entry.set(add(tlb.get, tlbIndex(va.get))),
    w.when(
      w.value(
        "i32",
        w.load("i64", w.LOAD_I64, entry.get, atEntry(L.TLB_TAG)).code,
        tag.code,
        0x52,
        and(wrap(va.get), k(3)).code,
        0x72,
      ),
      [
        setWord(L.PC, va.get),
        setWord(L.COUNT, count.get),
        status.set(fetch.callValue("i32", context.get)),
        w.when(w.value("i32", status.get.code, k(L.LEAVE).code, 0x4f), [status.get.code, w.RETURN]),
        va.set(w.load("i64", w.LOAD_I64, context.get, L.PC)),
        count.set(word(L.COUNT)),
        tlb.set(word(L.TLB)),
        w.br(goTo),
      ],
      undefined,
      false,
    ),
    pc.set(add(w.load("i32", w.LOAD_I32, entry.get, atEntry(L.TLB_ADDEND)), shl32(and(wrap(va.get), k(4095)), k(2)))),
    vaBias.set(w.value("i64", va.get.code, w.value("i64", shrU32(pc.get, k(2)).code, 0xad).code, 0x7d)),
    bias.set(sub(count.get, pc.get)),
    w.block(left, [
      w.block(limit, [w.loop(next, loopBody), w.UNREACHABLE]),
      // a taken branch inside the page reached the limit
      setWord(L.PC, pcVa()),
      setWord(L.COUNT, counted()),
      setWord(L.BLOCK_END, k(1)),
      k(L.RUN_LIMIT).code,
      w.RETURN,
    ]),
    w.when(w.value("i32", status.get.code, k(L.LEAVE).code, 0x4f), [status.get.code, w.RETURN]),
    va.set(w.load("i64", w.LOAD_I64, context.get, L.PC)),
    count.set(word(L.COUNT)),
    tlb.set(word(L.TLB)),
    w.br(goTo),
  ];
  run.body = [
    va.set(w.load("i64", w.LOAD_I64, context.get, L.PC)),
    count.set(word(L.COUNT)),
    tlb.set(word(L.TLB)),
    setWord(L.BLOCK_END, k(0)),
    w.loop(goTo, goToBody),
    w.UNREACHABLE,
  ];

  // the cold functions, and the one that chooses between them
  const index = (f: w.Func) =>
    sub(w.load("i32", w.LOAD_U16, f.parameter(1, "i32").get), k(FIRST + handlers.hot.length));
  const switchOver = (choice: I32, cases: readonly Code[]): Code => {
    const none = new Label("no handler");
    const labels = cases.map((_, i) => new Label(`cold ${i}`));
    let code: Code = [w.brTable(choice, labels, none)];
    cases.forEach((body, i) => {
      code = [w.block(labels[i] as Label, code), body];
    });
    return [w.block(none, code), w.UNREACHABLE];
  };
  const groups: Code[] = [];
  for (let at = 0; at < handlers.cold.length; at += COLD_GROUP) {
    const group = at === 0 ? firstGroup : m.func(cold.parameters, cold.result);
    group.shareLocals(firstGroup);
    const bodies = handlers.cold.slice(at, at + COLD_GROUP).map((code) => [code, k(L.GO_ON).code, w.RETURN]);
    group.body = switchOver(and(index(group), k(COLD_GROUP - 1)), bodies);
    const p = coldFrame;
    groups.push([group.call(p.context.get, p.pc.get, p.bias.get, p.vaBias.get, p.tlb.get), w.RETURN]);
  }
  cold.body = switchOver(shrU32(index(cold), k(Math.log2(COLD_GROUP))), groups);
  return { bytes: m.finish(), handlers };
}
