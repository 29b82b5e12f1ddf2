/**
 * E2-3: a virtual machine that has given commands to its TOE interface and does not run while they are carried out. The dispatcher of the TOE knows nothing of CPUs,
 * or, coupled, serves an interface only while its VM runs.
 */
import { burn } from "../guests/programs.ts";
import { ToeSystem } from "../guests/toe-system.ts";
import { toeBurst } from "../guests/toe-traffic.ts";
import { MS, US } from "../sim/index.ts";
import { type Experiment, measured, num, type Results, type Values } from "./experiment.ts";

const COUPLINGS = ["decoupled", "coupled"] as const;
type Coupling = (typeof COUPLINGS)[number];
/** Commands completed (TOE technical reference manual 14). */
const COMPLETED = 1;
const STEP = 5 * US;
const CURVE_STEP = 100 * US;
/** The ring holds one less. */
const LOG2 = 10;

const TCC = "Chang et al., Virtualization Technology for TCP/IP Offload Engine, IEEE TCC 2014";

function label(coupling: Coupling, alone: boolean): string {
  return `${coupling}, ${alone ? "alone" : "descheduled"}`;
}
const CASES = COUPLINGS.flatMap((coupling) => [true, false].map((alone) => ({ coupling, alone })));

export const toeDescheduled: Experiment = {
  id: "E2-3",
  title: "TOE: a descheduled VM",
  question:
    "A VM puts 1000 commands into its ring, rings the doorbell, and loses the processor to others that compute. Are its commands carried out meanwhile? Against a dispatcher that goes with the CPU scheduler.",
  publications: [TCC],
  parameters: [
    {
      name: "commands",
      value: 1000,
      unit: "",
      minimum: 1,
      maximum: 1000,
      source: "assumed: less than a ring of 1024 entries",
    },
    { name: "bytes", value: 4096, unit: "bytes", minimum: 1, maximum: 65_536, source: "assumed: of each SEND" },
    {
      name: "slice",
      value: 30,
      unit: "ms",
      minimum: 1,
      maximum: 1000,
      source: "Xen 3.3, sched_credit.c: the slice; here of a round robin, so that nothing but the slice decides",
    },
    { name: "hogs", value: 1, unit: "", minimum: 1, maximum: 8, source: "assumed: VMs that compute beside it" },
  ],
  points: [
    {
      id: "served",
      title: "Commands of a VM that is switched out, decoupled",
      class: "X",
      standing: "found",
      paper: "served all the same",
      source: TCC,
    },
    {
      id: "rate",
      title: "Their rate",
      class: "X",
      standing: "computed",
      paper: "that of a VM that runs",
      source: "nothing in the TOE depends on what CPUs do",
    },
    {
      id: "stall",
      title: "Stall with a coupled dispatcher",
      class: "R",
      standing: "computed",
      paper: "until the VM's next slice: a slice for each of the others",
      source: "the scheduler's rule",
    },
  ],
  measures: [
    { name: "completed", title: "commands completed", unit: "", digits: 0 },
    { name: "time", title: "last completion", unit: "ms", digits: 4 },
    { name: "stall", title: "longest stall", unit: "ms", digits: 3 },
    { name: "out", title: "completed while switched out", unit: "", digits: 0 },
  ],

  configurations() {
    return CASES.map(({ coupling, alone }) => ({ name: label(coupling, alone), settings: { coupling, alone } }));
  },

  run(settings: Values, parameters: Values, seed: number) {
    const alone = settings["alone"] === true;
    const commands = Math.round(num(parameters, "commands"));
    const size = Math.round(num(parameters, "bytes"));
    const hogs = Math.round(num(parameters, "hogs"));
    const slice = num(parameters, "slice");
    const system = new ToeSystem({
      mode: "direct",
      seed,
      schedulerOptions: { slice },
      service: { coupled: settings["coupling"] === "coupled" },
    });
    const burst = toeBurst({
      name: "burst",
      direction: "send",
      connections: 1,
      window: commands,
      size: () => size,
      largest: size,
      perTransfer: 0,
      perByte: 0,
      log2: LOG2,
    });
    const vm = system.add({ program: burst.program, memory: burst.memory });
    for (let n = 0; n < (alone ? 0 : hogs); n++) {
      const program = burn();
      system.addOther({ ...program, name: `hog${n}` });
    }
    const [toe] = system.toe.interfaces.slice(1);
    const completed = (): number => toe?.counter(COMPLETED) ?? 0;
    const onCpu = (): boolean => vm.vcpus.some((v) => v.cells.on >= 0);
    // up to the doorbell; its VM may have to wait for each of the others before each of its few waits
    const limit = (10 * (hogs + 1) + 10) * slice * MS;
    let base = -1;
    let last = 0;
    let lastAt = 0;
    let stall = 0;
    let out = 0;
    const curve = { x: [0], y: [0] };
    const look = (): void => {
      const now = system.simulation.now;
      if (base < 0) {
        if (burst.rung < 0) return;
        base = before;
        lastAt = burst.rung;
      }
      const done = completed() - base;
      if (done > last) {
        if (!onCpu()) out += done - last;
        stall = Math.max(stall, now - lastAt);
        last = done;
        lastAt = now;
      }
      const x = (now - burst.rung) / MS;
      if (x >= (curve.x.length * CURVE_STEP) / MS || last === commands) {
        curve.x.push(x);
        curve.y.push(done);
      }
    };
    // setting up takes the socket and the connection: two commands, both done before the doorbell
    const before = 2;
    while (last < commands && system.simulation.now < limit && burst.failure === null) {
      system.watch(system.simulation.now + STEP, STEP, look);
    }
    if (burst.failure !== null || base < 0) throw new Error(`burst: ${burst.failure ?? "no doorbell"}`);
    return {
      measures: {
        completed: last,
        time: (lastAt - burst.rung) / MS,
        stall: stall / MS,
        out,
      },
      curves: { completed: curve },
    };
  },

  outcomes(results, parameters) {
    const of = (coupling: Coupling, alone: boolean, measure: string): number =>
      measured(results, label(coupling, alone), measure);
    const commands = num(parameters, "commands");
    const expected = num(parameters, "slice") * num(parameters, "hogs");
    const out = of("decoupled", false, "out");
    const [time, reference] = [of("decoupled", false, "time"), of("decoupled", true, "time")];
    const stall = of("coupled", false, "stall");
    return [
      {
        point: "served",
        simulated: `${of("decoupled", false, "completed")} of ${commands}, ${out} while switched out, longest stall ${of("decoupled", false, "stall").toFixed(3)} ms`,
        holds: of("decoupled", false, "completed") === commands && out > 0.9 * commands,
        remark: "holds from nine in ten on: the world switch takes time after the doorbell",
      },
      {
        point: "rate",
        simulated: `${time.toFixed(3)} ms, ${reference.toFixed(3)} ms alone`,
        holds: Math.abs(time - reference) <= 2 * (STEP / MS),
        remark: `looked at every ${STEP / US} us`,
      },
      {
        point: "stall",
        simulated: `${stall.toFixed(2)} ms, ${of("coupled", true, "stall").toFixed(3)} ms alone`,
        holds: stall > 0.95 * expected && stall < 1.1 * expected,
        remark: `expected ${expected} ms; holds within 5 % below and 10 % above it`,
      },
    ];
  },

  plots(results: Results) {
    const lines = (cases: typeof CASES) =>
      cases.map(({ coupling, alone }) => {
        const of = results.get(label(coupling, alone))?.curves?.["completed"];
        return {
          name: label(coupling, alone),
          data: (of?.x ?? []).map((x, n): [number, number] => [x, of?.y[n] ?? 0]),
        };
      });
    const plot = (title: string, cases: typeof CASES) => ({
      title,
      kind: "line" as const,
      x: "ms after the doorbell",
      y: "commands",
      series: lines(cases),
    });
    return [
      plot("Commands completed", CASES),
      plot(
        "Commands completed, decoupled",
        CASES.filter((c) => c.coupling === "decoupled"),
      ),
    ];
  },
};
