/** The programmer's model of the SP804 dual timer: Arm DDI 0271D chapter 3 and 3.4 (integration test registers). */
import { defineRegisters, type Field, type Register, ro, rw, wo } from "../../registers/index.ts";

const PRESCALE = { 0: "divided by 1", 1: "divided by 16", 2: "divided by 256", 3: "undefined" };

const register = <const F extends { readonly [name: string]: Field }>(
  at: number,
  title: string,
  clause: string,
  fields: F,
  more: Partial<Register> = {},
) => ({ at, title, clause, fields, ...more });

const load = (at: number, n: number) =>
  register(at, `Load Register of timer ${n}`, "3.3.1", {
    Load: rw([31, 0], "Value from which the counter decrements, written at once and in Periodic mode reloaded at zero"),
  });
const value = (at: number, n: number) =>
  register(
    at,
    `Current Value Register of timer ${n}`,
    "3.3.2",
    { Value: ro([31, 0], "Current value of the decrementing counter", { reset: 0xffff_ffff }) },
    { computed: true },
  );
const control = (at: number, n: number) =>
  register(at, `Control Register of timer ${n}`, "3.3.3", {
    TimerEn: rw(7, "Timer enable"),
    TimerMode: rw(6, "Mode", { values: { 0: "free-running", 1: "periodic" } }),
    IntEnable: rw(5, "Interrupt enable", { reset: 1 }),
    TimerPre: rw([3, 2], "Prescale", { values: PRESCALE }),
    TimerSize: rw(1, "Size of the counter", { values: { 0: "16 bits", 1: "32 bits" } }),
    OneShotCount: rw(0, "One-shot", { values: { 0: "wrapping", 1: "one-shot" } }),
  });
const intClr = (at: number, n: number) =>
  register(
    at,
    `Interrupt Clear Register of timer ${n}`,
    "3.3.4",
    { IntClr: wo([31, 0], "A write of any value clears the interrupt") },
    { computed: true },
  );
const ris = (at: number, n: number) =>
  register(
    at,
    `Raw Interrupt Status Register of timer ${n}`,
    "3.3.5",
    { RIS: ro(0, "Raw interrupt status from the counter") },
    { computed: true },
  );
const mis = (at: number, n: number) =>
  register(
    at,
    `Masked Interrupt Status Register of timer ${n}`,
    "3.3.6",
    { MIS: ro(0, "Raw interrupt status ANDed with IntEnable") },
    { computed: true },
  );
const bgLoad = (at: number, n: number) =>
  register(
    at,
    `Background Load Register of timer ${n}`,
    "3.3.7",
    { BGLoad: rw([31, 0], "The Load Register, written without a restart of the current count") },
    { computed: true },
  );
const id = (at: number, what: string, clause: string, reset: number) =>
  register(at, what, clause, { ID: ro([7, 0], "Identification byte", { reset }) });

export const SP804 = defineRegisters({
  name: "SP804",
  title: "Dual-Timer Module (SP804)",
  manual: "Arm DDI 0271D",
  size: 0x1000,
  sizes: [1, 2, 4],
  registers: {
    Timer1Load: load(0x00, 1),
    Timer1Value: value(0x04, 1),
    Timer1Control: control(0x08, 1),
    Timer1IntClr: intClr(0x0c, 1),
    Timer1RIS: ris(0x10, 1),
    Timer1MIS: mis(0x14, 1),
    Timer1BGLoad: bgLoad(0x18, 1),
    Timer2Load: load(0x20, 2),
    Timer2Value: value(0x24, 2),
    Timer2Control: control(0x28, 2),
    Timer2IntClr: intClr(0x2c, 2),
    Timer2RIS: ris(0x30, 2),
    Timer2MIS: mis(0x34, 2),
    Timer2BGLoad: bgLoad(0x38, 2),
    TimerITCR: register(0xf00, "Integration Test Control Register", "3.3.8", {
      ITEN: rw(0, "Integration test enable: the interrupt outputs come from TimerITOP"),
    }),
    TimerITOP: register(0xf04, "Integration Test Output Set Register", "3.3.9", {
      TIMINT2: wo(1, "Level of TIMINT2 in integration test mode"),
      TIMINT1: wo(0, "Level of TIMINT1 in integration test mode"),
    }),
    TimerPeriphID0: id(0xfe0, "Peripheral identification 0: part number [7:0]", "3.3.10", 0x04),
    TimerPeriphID1: id(0xfe4, "Peripheral identification 1: designer [3:0], part number [11:8]", "3.3.10", 0x18),
    TimerPeriphID2: id(0xfe8, "Peripheral identification 2: revision, designer [7:4]", "3.3.10", 0x14),
    TimerPeriphID3: id(0xfec, "Peripheral identification 3: configuration", "3.3.10", 0x00),
    TimerPCellID0: id(0xff0, "PrimeCell identification 0", "3.3.11", 0x0d),
    TimerPCellID1: id(0xff4, "PrimeCell identification 1", "3.3.11", 0xf0),
    TimerPCellID2: id(0xff8, "PrimeCell identification 2", "3.3.11", 0x05),
    TimerPCellID3: id(0xffc, "PrimeCell identification 3", "3.3.11", 0xb1),
  },
});
