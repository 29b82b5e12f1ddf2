/**
 * E7-2: theft of CPU time under a credit scheduler that debits by sampling. A rogue guest runs until shortly before each tick and sleeps over it, so that
 * whoever runs at the tick pays for what the rogue used.
 */
import {
  createScheduler,
  hog,
  type SchedulerOptions,
  SchedulerSimulation,
  type Workload,
} from "../hypervisor/scheduler/index.ts";
import { MS, type Time, US } from "../sim/index.ts";
import { type Experiment, measured, num, type Values } from "./experiment.ts";

const TICK: Time = 10 * MS;
/** Run times of the curves, in milliseconds. */
const CURVE = [1, 2, 3, 4, 5, 6, 7, 8, 9, 9.9];
const WINDOW: Time = 100 * MS;
const COURSE: Time = 3000 * MS;

interface Case {
  readonly name: string;
  readonly scheduler: string;
  readonly exactDebit: boolean;
  readonly seen: boolean;
}

const CASES: readonly Case[] = [
  { name: "tick-sampled debit", scheduler: "credit", exactDebit: false, seen: true },
  { name: "exact debit", scheduler: "credit", exactDebit: true, seen: true },
  { name: "exact debit, rogue never seen by a tick", scheduler: "credit", exactDebit: true, seen: false },
  { name: "SEDF", scheduler: "sedf", exactDebit: false, seen: true },
  { name: "BVT", scheduler: "bvt", exactDebit: false, seen: true },
  { name: "round robin", scheduler: "round-robin", exactDebit: false, seen: true },
];

/** An ordinary hog for `before`, then runs until `run` after each tick and sleeps until `late` after the next. */
function* rogue(before: Time, run: Time, late: Time): Workload {
  let now = 0;
  if (before > 0) now = yield { do: "compute", time: before };
  for (;;) {
    const tick = Math.floor(now / TICK) * TICK;
    now = yield { do: "spin", until: tick + run };
    now = yield { do: "sleep", until: tick + TICK + late, reason: "timer" };
  }
}

export const tickTheft: Experiment = {
  id: "E7-2",
  title: "Theft by sleeping at ticks",
  question:
    "One CPU, a rogue guest and an honest one that computes all the time, equal weights. The rogue sleeps at each tick. What share does it get when credits are debited from whoever a tick finds running, and what when they are debited by time stamps?",
  publications: [
    'Xen commit 78c9b2a64b (25 August 2009), "Accurate accounting for credit scheduler"',
    "Xen 3.3, sched_credit.c",
  ],
  parameters: [
    {
      name: "run",
      value: 9.5,
      unit: "ms",
      minimum: 0.1,
      maximum: 9.9,
      source: 'Xen commit 78c9b2a64b: "yields after 9.5ms"',
    },
    {
      name: "late",
      value: 1,
      unit: "us",
      minimum: 0,
      maximum: 99,
      source: "assumed: the rogue's timer fires just after the tick",
    },
    {
      name: "before",
      value: 35,
      unit: "ms",
      minimum: 11,
      maximum: 1000,
      source: "assumed: a guest that has booted has been found running by a tick; any value above one tick does",
    },
    {
      name: "duration",
      value: 10,
      unit: "s",
      minimum: 1,
      maximum: 600,
      source: "assumed: 333 accounting periods; the shares have settled",
    },
    {
      name: "weight",
      value: 256,
      unit: "",
      minimum: 1,
      maximum: 65535,
      source: "Xen 3.3: default weight; of both guests",
    },
  ],
  points: [
    {
      id: "theft",
      title: "The rogue's share under tick-sampled debit",
      class: "N",
      standing: "found",
      paper: "95 % of the CPU",
      source: 'Xen commit 78c9b2a64b: the guest "can steal 95% of the cpu"',
    },
    {
      id: "fair",
      title: "Its share under exact debit",
      class: "N",
      standing: "computed",
      paper: "50 %: the fair share of two equal weights",
      source: "what debiting by time stamps is meant to give; equal weights",
    },
    {
      id: "formula",
      title: "Without a debit the rogue gets all it asks for",
      class: "X",
      standing: "computed",
      paper: "share = run / 10 ms, at every run time",
      source: "the credit rules of Xen 3.3: BOOST on each wake, no tick finds the rogue",
    },
  ],
  measures: [
    { name: "rogue", title: "rogue", unit: "%", digits: 1 },
    { name: "victim", title: "victim", unit: "%", digits: 1 },
    { name: "switches", title: "switches", unit: "1/s", digits: 0 },
  ],

  configurations(parameters) {
    const run = num(parameters, "run");
    const main = CASES.map(({ name, ...settings }) => ({ name, settings: { ...settings, run, course: true } }));
    const curves = CASES.slice(0, 2).flatMap(({ name, ...settings }) =>
      CURVE.map((ms) => ({
        name: `${name}, run ${ms} ms`,
        settings: { ...settings, run: ms, course: false },
        auxiliary: true,
      })),
    );
    return [...main, ...curves];
  },

  run(settings: Values, parameters: Values) {
    const name = String(settings["scheduler"]);
    const options: SchedulerOptions = name === "credit" ? { exactDebit: settings["exactDebit"] === true } : {};
    const s = new SchedulerSimulation(createScheduler(name, 1, options), 1);
    const weights = name === "credit" ? { weight: num(parameters, "weight") } : {};
    for (const domain of [1, 2]) s.addDomain(domain, weights);
    const before = settings["seen"] === true ? num(parameters, "before") * MS : 0;
    const workload = rogue(before, num(settings, "run") * MS, num(parameters, "late") * US);
    const thief = s.add({ domain: 1, workload });
    const victim = s.add({ domain: 2, workload: hog() });
    const x: number[] = [];
    const y: number[] = [];
    if (settings["course"] === true) {
      let last = 0;
      for (let at = WINDOW; at <= COURSE; at += WINDOW) {
        s.run(at);
        const { running } = s.dispatcher.account(thief);
        x.push(at / (1000 * MS));
        y.push((100 * (running - last)) / WINDOW);
        last = running;
      }
    }
    const duration = num(parameters, "duration") * 1000 * MS;
    s.run(Math.max(duration, s.now));
    const share = (v: typeof thief): number => (100 * s.dispatcher.account(v).running) / s.now;
    return {
      measures: {
        rogue: share(thief),
        victim: share(victim),
        switches: (s.dispatcher.cpuAccount(0).switches * 1000 * MS) / s.now,
      },
      ...(x.length > 0 ? { curves: { course: { x, y } } } : {}),
    };
  },

  outcomes(results, parameters) {
    const sampled = measured(results, "tick-sampled debit", "rogue");
    const exact = measured(results, "exact debit", "rogue");
    const unseen = measured(results, "exact debit, rogue never seen by a tick", "rogue");
    const worst = Math.max(
      ...CURVE.map((ms) => Math.abs(measured(results, `tick-sampled debit, run ${ms} ms`, "rogue") - ms * 10)),
    );
    return [
      {
        point: "theft",
        simulated: `${sampled.toFixed(1)} %`,
        holds: Math.abs(sampled - 95) <= 1,
        remark: `holds within 1 point; the rogue runs ${String(parameters["run"])} ms of each tick of 10 ms`,
      },
      {
        point: "fair",
        simulated: `${exact.toFixed(1)} %`,
        holds: Math.abs(exact - 50) <= 1,
        remark: `holds within 1 point. A rogue that no tick has ever found running keeps ${unseen.toFixed(1)} % under exact debit too: only vCPUs that a tick once saw have their priority recomputed`,
      },
      {
        point: "formula",
        simulated: `largest difference ${worst.toFixed(2)} points over ${CURVE.length} run times`,
        holds: worst <= 1,
        remark: "holds within 1 point: the start, in which the rogue is an ordinary hog, is in the share",
      },
    ];
  },

  plots(results) {
    const curve = (name: string): [number, number][] =>
      CURVE.map((ms) => [ms, measured(results, `${name}, run ${ms} ms`, "rogue")]);
    const courses = CASES.slice(0, 3).map(({ name }) => {
      const c = results.get(name)?.curves?.["course"];
      return { name, data: (c?.x ?? []).map((x, n): [number, number] => [x, c?.y[n] ?? 0]) };
    });
    return [
      {
        title: "The rogue's share over its run time in each tick",
        kind: "line",
        x: "run time (ms of each 10)",
        y: "share of the CPU (%)",
        series: CASES.slice(0, 2).map(({ name }) => ({ name, data: curve(name) })),
        marks: [{ name: "paper: 95 %", y: 95 }],
        yMaximum: 100,
      },
      {
        title: "The first seconds: the rogue's share in each 100 ms",
        kind: "line",
        x: "time (s)",
        y: "share of the CPU (%)",
        series: courses,
        yMaximum: 100,
      },
      {
        title: "The same rogue under other policies",
        kind: "bar",
        x: "",
        y: "share of the CPU (%)",
        categories: CASES.map((c) => c.name),
        series: [{ name: "rogue", data: CASES.map((c) => measured(results, c.name, "rogue")) }],
        marks: [{ name: "fair: 50 %", y: 50 }],
        yMaximum: 100,
      },
    ];
  },
};
