/** The field-level trace and the guest-error log. */
import { describe, expect, it } from "vitest";
import { Transaction } from "../../src/bus/index.ts";
import {
  compileRegisterGlob,
  formatAccess,
  formatGuestError,
  GuestErrorLog,
  RegisterTrace,
} from "../../src/observe/index.ts";
import { defineRegisters, RegisterBank, ro, rw, w1c, wo } from "../../src/registers/index.ts";
import { type GuestError, Module, Simulation } from "../../src/sim/index.ts";

const PART = defineRegisters({
  name: "PART",
  title: "A part",
  manual: "Manual",
  size: 0x100,
  sizes: [1, 2, 4],
  registers: {
    CTRL: {
      at: 0,
      title: "Control",
      clause: "1",
      fields: {
        EN: rw(0, "Enable"),
        MODE: rw([5, 4], "Mode", { values: { 0: "off", 1: "one", 2: "two" } }),
        LEVEL: rw([15, 8], "Level", { reset: 0x12 }),
      },
    },
    STATUS: {
      at: 4,
      title: "Status",
      clause: "2",
      fields: { DONE: w1c(0, "Done"), BUSY: ro(1, "Busy", { reset: 1 }) },
    },
    GO: { at: 8, title: "Go", clause: "3", fields: { START: wo(0, "Start") } },
    ITEM: { at: 0x10, title: "Items", clause: "4", count: 4, fields: { V: rw([31, 0], "Value") } },
    WIDE: {
      at: 0x40,
      title: "Wide",
      clause: "5",
      width: 64,
      fields: { LOW: rw([7, 0], "Low"), HIGH: rw([47, 40], "High") },
    },
  },
});

class Part extends Module {
  readonly registers = this.part("registers", new RegisterBank(this, PART));
}

function traced(...patterns: string[]) {
  const simulation = new Simulation();
  const part = new Part(new Module(simulation, "soc"), "part0");
  const lines: string[] = [];
  const declarations = new Map([["soc.part0", PART]]);
  const stop = simulation.reporter.observe(new RegisterTrace(patterns, declarations, (l) => lines.push(l)));
  return { simulation, bank: part.registers, lines, tx: new Transaction(), stop };
}

describe("register trace", () => {
  it("a write shows every field, with before and after where it changed", () => {
    const { bank, lines, tx } = traced("part0.*");
    bank.write(0, 4, 0x1221, tx);
    expect(lines).toEqual(["[0 s] soc.part0.CTRL <= 0x00001221  EN=0->1 MODE=0->2(two) LEVEL=0x12"]);
  });
  it("a read shows fields that are not zero, and named values", () => {
    const { bank, lines, tx, simulation } = traced("*.STATUS", "*.CTRL");
    simulation.now = 12_345;
    bank.read(4, 4, tx);
    bank.read(0, 4, tx);
    expect(lines).toEqual([
      "[0.0000012345 s] soc.part0.STATUS => 0x00000002  BUSY=1",
      "[0.0000012345 s] soc.part0.CTRL => 0x00001200  MODE=0(off) LEVEL=0x12",
    ]);
  });
  it("a byte of a register shows the fields in that byte", () => {
    const { bank, lines, tx } = traced("*");
    bank.write(1, 1, 0x34, tx);
    bank.read(1, 1, tx);
    expect(lines).toEqual([
      "[0 s] soc.part0.CTRL <= 0x34  LEVEL=0x12->0x34",
      "[0 s] soc.part0.CTRL => 0x34  LEVEL=0x34",
    ]);
  });
  it("write-one-to-clear shows what is left, a write-only field what was written", () => {
    const { bank, lines, tx } = traced("*");
    bank.poke(4, 4, 3);
    bank.write(4, 4, 1, tx);
    bank.write(8, 4, 1, tx);
    expect(lines).toEqual([
      "[0 s] soc.part0.STATUS <= 0x00000001  DONE=1->0 BUSY=1",
      "[0 s] soc.part0.GO <= 0x00000001  START=1",
    ]);
  });
  it("elements of an array and halves of a 64-bit register have their names", () => {
    const { bank, lines, tx } = traced("*");
    bank.write(0x18, 4, 5, tx);
    bank.write(0x44, 4, 0xff00, tx);
    expect(lines).toEqual([
      "[0 s] soc.part0.ITEM[2] <= 0x00000005  V=0->5",
      "[0 s] soc.part0.WIDE.high <= 0x0000ff00  HIGH=0->0xff",
    ]);
  });
  it("registers that do not match are not shown; an observer that is removed stops tracing", () => {
    const { bank, lines, tx, stop, simulation } = traced("*.STATUS");
    bank.read(0, 4, tx);
    expect(lines).toEqual([]);
    stop();
    expect(simulation.reporter.tracing).toBe(false);
  });
  it("patterns may start at any level of the path; a name alone means the module", () => {
    for (const pattern of ["soc.part0.CTRL", "part0.CTRL", "part0.C*", "p*0.????", "*.CTRL", "part0", "soc"]) {
      expect([pattern, compileRegisterGlob(pattern)("soc.part0", "CTRL")]).toEqual([pattern, true]);
    }
    for (const pattern of ["art0.CTRL", "part0.CTR", "CTRL", "part0.ctrl", "part1"]) {
      expect([pattern, compileRegisterGlob(pattern)("soc.part0", "CTRL")]).toEqual([pattern, false]);
    }
  });
  it("an undeclared module shows the bare value", () => {
    const access = {
      time: 0,
      module: "x",
      register: "R",
      index: 0,
      offset: 0,
      size: 2,
      write: true,
      value: 5,
      before: 0,
      after: 5,
    };
    expect(formatAccess(new Map(), access)).toBe("[0 s] x.R <= 0x0005");
  });
});

describe("guest-error log", () => {
  const mistake: GuestError = {
    kind: "width",
    module: "uart0",
    time: 10,
    register: "UARTDR",
    offset: 0,
    size: 8,
    write: true,
    value: 1,
  };
  const limit: GuestError = {
    kind: "unimplemented",
    module: "uart0",
    time: 0,
    register: "UARTILPR",
    detail: "no IrDA",
  };

  it("limits of the model show once, mistakes of one place a few times; all are counted", () => {
    const shown: string[] = [];
    const log = new GuestErrorLog([{ record: (e, last) => shown.push(`${e.kind}${last ? " last" : ""}`) }], 3);
    for (let i = 0; i < 5; i++) {
      log.guestError(mistake);
      log.guestError(limit);
    }
    log.guestError({ ...mistake, register: "UARTCR" });
    expect(shown).toEqual(["width", "unimplemented last", "width", "width last", "width"]);
    expect(log.summary()).toEqual([
      "6 guest errors:",
      "  5 x width: uart0 UARTDR",
      "  1 x width: uart0 UARTCR",
      "5 accesses to what the model leaves out:",
      "  5 x unimplemented: uart0 UARTILPR",
    ]);
  });
  it("errors at ever new addresses do not fill memory", () => {
    const log = new GuestErrorLog([]);
    for (let i = 0; i < 20_000; i++) log.guestError({ kind: "decode", module: "bus", time: 0, address: i });
    expect(log.counts().length).toBe(10_000);
    expect(log.summary().at(-1)).toBe("10000 more, at places beyond the first 10000");
  });
  it("a line says when, what, where, who and by which clause", () => {
    expect(
      formatGuestError({ ...mistake, cpu: 1, pc: "0x0000000040000000", clause: "DDI 0183G 3.3.1", detail: "too wide" }),
    ).toBe(
      "[0.000000001 s] width: uart0 UARTDR, offset 0x0, write of 8 bytes, value 0x1: too wide, by CPU 1 at 0x0000000040000000 (DDI 0183G 3.3.1)",
    );
    expect(formatGuestError({ kind: "dma", module: "nic", time: 0, address: 16, requesterId: 8 })).toBe(
      "[0 s] dma: nic address 0x10, by requester 0x8",
    );
  });
});
