/**
 * E2-4: what a hypervisor costs that emulates the devices of one to four guests, after CASL. The guests are real AArch64 code, `firmware/vm/work.c`: a process at
 * EL0 that computes and makes system calls, a kernel with a tick, a clock and a log. The hypervisor is twice there: `firmware/hypervisor`, code at EL2
 * whose instructions a performance counter counts; and the model of `src/hypervisor`, which executes none and has exits, each with cycles of the cost table.
 */
import { createVirtMachine } from "../../platform/virt/machine.ts";
import { createConfiguredMachine } from "../hypervisor/config.ts";
import { hypervisorReport } from "../hypervisor/report.ts";
import { NS, SEC } from "../sim/index.ts";
import { type Experiment, type Images, type Measured, measured, num, type Values } from "./experiment.ts";

const CASL = "CASL hypervisor and its virtualization platform (NCKU)";
const GUESTS = [1, 2, 3, 4] as const;
const PAPER = 9.78;
const HYPERVISOR = "hypervisor.elf";
const WORK = "vm-work.elf";
/** Simulated seconds by which all guests must have switched themselves off. */
const LIMIT = 100;

type Who = "firmware" | "firmware, fitted log" | "model";
const label = (who: Who, guests: number): string => `${who}, ${guests} ${guests === 1 ? "guest" : "guests"}`;

function whole(name: string, value: number, unit: string, minimum: number, maximum: number, source: string) {
  return { name, value, unit, minimum, maximum, source };
}

export const hypervisorOverhead: Experiment = {
  id: "E2-4",
  title: "Hypervisor overhead with one to four guests",
  question:
    "One CPU, one to four guests whose UART, timer and distributor are trapped and emulated. How many instructions does the hypervisor execute for each hundred of the guests? Counted in the firmware hypervisor by a counter that counts at EL2 alone; the model of the hypervisor executes no instructions, so for it the exits are given, and the cycles that its cost table says they take, against one cycle an instruction of the guests.",
  publications: [CASL],
  images: [HYPERVISOR, WORK],
  parameters: [
    whole(
      "calls",
      4000,
      "",
      1,
      1_000_000,
      "assumed: system calls of a guest in all; long enough for the start not to matter",
    ),
    whole("rounds", 40, "", 0, 10_000, "assumed: of arithmetic between two calls, 132 instructions each"),
    whole("log", 500, "calls", 0, 1_000_000, "assumed: a console line each so many; 0: none"),
    {
      ...whole("fittedLog", 73, "calls", 0, 1_000_000, "fitted: the same for the runs with the fitted log"),
      fitted: "fitted",
    },
    whole("tick", 1000, "us", 0, 1_000_000, "assumed: a kernel's tick of 1,000 Hz"),
    whole("read", 20, "calls", 0, 1_000_000, "assumed: the clock (SP804) read each so many; 0: never"),
    whole("slice", 1000, "us", 10, 1_000_000, "assumed: a turn of round robin"),
  ],
  points: [
    {
      id: "ratio",
      title: "Four guests: hypervisor's instructions against the guests', plain load",
      class: "N",
      standing: "found",
      paper: `${PAPER} %`,
      source: `${CASL}: four Linux guests, Armv7`,
    },
    {
      id: "fitted",
      title: "The same, the guests' log as busy as it takes",
      class: "N",
      standing: "found",
      paper: `${PAPER} %`,
      source: `${CASL}: four Linux guests, Armv7`,
    },
  ],
  measures: [
    { name: "guest", title: "guest instructions", unit: "million", digits: 2 },
    { name: "hypervisor", title: "hypervisor instructions", unit: "million", digits: 3 },
    { name: "ratio", title: "instructions", unit: "%", digits: 2 },
    { name: "exits", title: "exits", unit: "", digits: 0 },
    { name: "uart", title: "UART accesses", unit: "", digits: 0 },
    { name: "timer", title: "timer accesses", unit: "", digits: 0 },
    { name: "perMillion", title: "exits a million guest instructions", unit: "", digits: 1 },
    { name: "each", title: "an exit", unit: "instructions or cycles", digits: 0 },
    { name: "cycles", title: "cost table's cycles", unit: "million", digits: 2 },
    { name: "cycleRatio", title: "cycles", unit: "%", digits: 2 },
  ],

  configurations() {
    const all = (who: Who, log: string, firmware: boolean) =>
      GUESTS.map((guests) => ({ name: label(who, guests), settings: { guests, log, firmware } }));
    return [
      ...all("firmware", "log", true),
      ...all("firmware, fitted log", "fittedLog", true),
      ...all("model", "log", false),
    ];
  },

  run(settings: Values, parameters: Values, _seed: number, images?: Images) {
    const log = num(parameters, String(settings["log"]));
    const words = ["calls", "rounds", "tick", "read"].map((name) => `work.${name}=${num(parameters, name)}`);
    const append = [...words, `work.log=${log}`].join(" ");
    const guests = num(settings, "guests");
    const slice = num(parameters, "slice");
    return settings["firmware"] === true
      ? runFirmware(imageOf(images, HYPERVISOR), guests, slice, append)
      : runModel(imageOf(images, WORK), guests, slice, append);
  },

  outcomes(results) {
    const plain = measured(results, label("firmware", 4), "ratio");
    const fitted = measured(results, label("firmware, fitted log", 4), "ratio");
    const one = measured(results, label("firmware", 1), "ratio");
    return [
      {
        point: "ratio",
        simulated: `${plain.toFixed(2)} % (one guest ${one.toFixed(2)} %)`,
        holds: Math.abs(plain - PAPER) <= 1,
        remark:
          "holds within 1 point. The guests are not Linux, and how often CASL's guests left to their hypervisor is not published: the ratio is that rate times the length of an exit's path, and hardly depends on the number of guests.",
      },
      {
        point: "fitted",
        simulated: `${fitted.toFixed(2)} %`,
        holds: Math.abs(fitted - PAPER) <= 1,
        remark: "a line to the console each 73 system calls, chosen for this number",
      },
    ];
  },

  plots(results) {
    const categories = GUESTS.map(String);
    const line = (name: string, who: Who, measure: string) => ({
      name,
      data: GUESTS.map((n) => measured(results, label(who, n), measure)),
    });
    return [
      {
        title: "Instructions of the firmware hypervisor against its guests'",
        kind: "bar",
        x: "guests",
        categories,
        y: "%",
        series: [line("plain load", "firmware", "ratio"), line("fitted log", "firmware, fitted log", "ratio")],
        marks: [{ name: `CASL ${PAPER} %`, y: PAPER }],
      },
      {
        title: "Exits a million guest instructions, plain load",
        kind: "bar",
        x: "guests",
        categories,
        y: "exits",
        series: [line("firmware", "firmware", "perMillion"), line("model", "model", "perMillion")],
      },
      {
        title: "The model: cycles of the cost table against cycles of the guests, plain load",
        kind: "bar",
        x: "guests",
        categories,
        y: "%",
        series: [line("model", "model", "cycleRatio")],
      },
    ];
  },
};

interface NamedImage {
  readonly name: string;
  readonly data: Uint8Array;
}

function imageOf(images: Images | undefined, name: string): NamedImage {
  const data = images?.get(name);
  if (data === undefined) throw new TypeError(`E2-4: the image ${name} was not given`);
  return { name, data };
}

function runFirmware(kernel: NamedImage, guests: number, slice: number, append: string): Measured {
  const list = Array.from({ length: guests }, () => "work:trap").join(",");
  const machine = createVirtMachine({
    kernel,
    virtualization: true,
    append: `guests=${list} slice=${slice} ${append}`,
  });
  let text = "";
  machine.uart.onTransmit = (byte) => {
    text += String.fromCharCode(byte);
  };
  machine.onPower = () => machine.simulation.stop();
  machine.simulation.run(LIMIT * SEC);
  const sums = /(\d+) guest instructions, (\d+) hypervisor instructions/.exec(text);
  const done = text.split("\n").filter((l) => l.includes("done, sum ") && l.includes("ticks came")).length;
  if (sums === null || done !== guests) throw new Error(`the guests did not end: ${text.slice(-500)}`);
  const rows = new Map<string, number>();
  for (const l of text.split("\n")) {
    const row = /^hypervisor: (\S.*?)((?: +\d+)+)\s*$/.exec(l);
    const numbers = (row?.[2] ?? "").trim().split(/ +/).map(Number);
    if (row !== null && numbers.length === guests)
      rows.set(
        row[1] as string,
        numbers.reduce((a, b) => a + b, 0),
      );
  }
  const row = (name: string): number => {
    const value = rows.get(name);
    if (value === undefined) throw new Error(`no row "${name}": ${text.slice(-1500)}`);
    return value;
  };
  const exits = EXITS.reduce((sum, name) => sum + row(name), 0);
  const [guest, hypervisor] = [Number(sums[1]), Number(sums[2])];
  return {
    measures: {
      guest: guest / 1e6,
      hypervisor: hypervisor / 1e6,
      ratio: (100 * hypervisor) / guest,
      exits,
      uart: row("UART"),
      timer: row("timer"),
      perMillion: (1e6 * exits) / guest,
      each: hypervisor / exits,
    },
  };
}

/** What the firmware hypervisor counts as exits. */
const EXITS = [
  ...["UART", "timer", "GICD", "hole", "WFI", "call", "register", "SIMD"],
  ...["EL2 timer", "maintenance", "virtual timer", "passed device", "other"],
] as const;

function runModel(kernel: NamedImage, guests: number, slice: number, append: string): Measured {
  const { machine, hypervisor, vms } = createConfiguredMachine(
    {
      machine: { memory: "64M" },
      scheduler: { policy: "round-robin", options: { slice: slice / 1000 } },
      vms: Array.from({ length: guests }, (_, n) => ({
        name: `work${n}`,
        memory: "8M",
        kernel: kernel.name,
        append,
        devices: { uart0: "trap" as const, timer0: "trap" as const },
      })),
    },
    Array.from({ length: guests }, () => ({ kernel })),
    () => {},
  );
  const off = () => vms.every((vm) => vm.status === "off" || vm.status === "stopped");
  for (const vm of vms) {
    vm.onState = () => {
      if (off()) machine.simulation.pause();
    };
  }
  machine.simulation.run(LIMIT * SEC);
  const odd = vms.find((vm) => vm.status !== "off");
  if (odd !== undefined) throw new Error(`${odd.name} did not end: ${odd.status} ${odd.cells.reason}`);
  const report = hypervisorReport(hypervisor);
  const sum = (of: (vm: (typeof report.vms)[number]) => number): number => report.vms.reduce((a, vm) => a + of(vm), 0);
  const region = (name: string): number => sum((vm) => vm.regions.find((r) => r.name === name)?.count ?? 0);
  const guest = machine.cpus.cpus.reduce((a, cpu) => a + cpu.instructions, 0);
  const exits = sum((vm) => vm.exits);
  const cycles = sum((vm) => vm.reasons.reduce((a, r) => a + r.cycles, 0));
  // an instruction takes 1 ns on the board: a cycle of its clock of 1 GHz
  const guestTime = (guest * NS) / SEC;
  return {
    measures: {
      guest: guest / 1e6,
      exits,
      uart: region("uart0"),
      timer: region("timer0"),
      perMillion: (1e6 * exits) / guest,
      each: cycles / exits,
      cycles: cycles / 1e6,
      cycleRatio: (100 * sum((vm) => vm.seconds)) / guestTime,
    },
  };
}
