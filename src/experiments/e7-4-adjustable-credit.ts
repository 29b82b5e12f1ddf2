/**
 * E7-4: a guest that receives packets from an interface of its own, beside guests that compute. Under the credit scheduler it loses bandwidth with every one of them; adjustable
 * credit scheduling (CLUSTER 2012) lets I/O domains have credits that the others are willing to share.
 */
import { runDirectIo } from "../guests/index.ts";
import { MS } from "../sim/index.ts";
import { type Experiment, measured, num, type Outcome, type Results, type Values } from "./experiment.ts";

const SCHEDULERS = ["credit", "adjustable-credit"] as const;
const HOGS = [0, 1, 2, 4, 7] as const;
const label = (scheduler: string, hogs: number): string => `${scheduler}, ${hogs} hogs`;
const STUDY = "Adjustable credit scheduling for high performance network virtualization, CLUSTER 2012";

export const adjustableCredit: Experiment = {
  id: "E7-4",
  title: "Adjustable credit under load",
  question:
    "One guest receives packets through a virtual function, others use all the processor time they get. How much bandwidth does the first keep as their number grows, under the credit scheduler and under adjustable credit?",
  publications: [STUDY],
  parameters: [
    {
      name: "load",
      value: 81_274,
      unit: "frames/s",
      minimum: 1,
      maximum: 1e6,
      source: "computed: line rate of 1 Gb/s at 1538 bytes a frame",
    },
    { name: "slots", value: 512, unit: "frames", minimum: 8, maximum: 4096, source: "assumed: a receive ring" },
    {
      name: "interval",
      value: 124.928,
      unit: "us",
      minimum: 0,
      maximum: 10_000,
      source: "igbvf: ITR 488 of 256 ns; no fraction of the 10 ms tick, which would then never see the guest run",
    },
    {
      name: "guestCycles",
      value: 7.1,
      unit: "cycles/byte",
      minimum: 0,
      maximum: 1000,
      source: "Oi and Nakajima 2009: guest's receive path without LRO",
    },
    { name: "frequency", value: 2800, unit: "MHz", minimum: 100, maximum: 10_000, source: "assumed" },
    { name: "cpus", value: 1, unit: "", minimum: 1, maximum: 8, source: "assumed" },
    { name: "duration", value: 5, unit: "s", minimum: 0.2, maximum: 600, source: "assumed" },
  ],
  points: [
    {
      id: "credit",
      title: "Bandwidth under credit as hogs are added",
      class: "R",
      standing: "found",
      paper: "falls: not enough credit, and not scheduled in time",
      source: STUDY,
    },
    {
      id: "adjustable",
      title: "Bandwidth under adjustable credit",
      class: "R",
      standing: "found",
      paper: "kept, even at very high load (no number; within 10 % is our reading)",
      source: STUDY,
    },
  ],
  measures: [
    { name: "bandwidth", title: "received", unit: "Mb/s", digits: 1 },
    { name: "lost", title: "lost", unit: "%", digits: 2 },
    { name: "receiver", title: "receiver's CPU", unit: "%", digits: 1 },
    { name: "hogs", title: "hogs' CPU", unit: "%", digits: 1 },
    { name: "switches", title: "world switches", unit: "1/s", digits: 0 },
  ],

  configurations: () =>
    SCHEDULERS.flatMap((scheduler) =>
      HOGS.map((hogs) => ({ name: label(scheduler, hogs), settings: { scheduler, hogs } })),
    ),

  run(settings: Values, parameters: Values, seed: number) {
    const seconds = num(parameters, "duration");
    const result = runDirectIo({
      hogs: num(settings, "hogs"),
      scheduler: String(settings["scheduler"]),
      cpus: num(parameters, "cpus"),
      frequency: Math.round(num(parameters, "frequency") * 1e6),
      costs: { receiveGuest: num(parameters, "guestCycles") },
      framesPerSecond: num(parameters, "load"),
      slots: Math.round(num(parameters, "slots")),
      interval: Math.round((num(parameters, "interval") * MS) / 1000),
      duration: Math.round(seconds * 1000 * MS),
      seed,
    });
    return {
      measures: {
        bandwidth: result.bitsPerSecond / 1e6,
        lost: 100 * result.lost,
        receiver: 100 * result.receiver,
        hogs: 100 * result.hogs.reduce((a, b) => a + b, 0),
        switches: result.worldSwitches / seconds,
      },
    };
  },

  outcomes(results: Results): readonly Outcome[] {
    const course = (scheduler: string) => HOGS.map((n) => measured(results, label(scheduler, n), "bandwidth"));
    const text = (values: readonly number[]) => `${values.map((v) => v.toFixed(0)).join(", ")} Mb/s`;
    const [credit, adjustable] = [course("credit"), course("adjustable-credit")];
    const falls = credit.every((v, n) => n === 0 || v < (credit[n - 1] as number));
    const kept = Math.min(...adjustable) / (adjustable[0] as number);
    return [
      { point: "credit", simulated: `${text(credit)} with ${HOGS.join(", ")} hogs`, holds: falls },
      {
        point: "adjustable",
        simulated: `${text(adjustable)}; at least ${(100 * kept).toFixed(1)} % kept`,
        holds: kept >= 0.9,
      },
    ];
  },

  plots(results: Results) {
    const series = (measure: string) =>
      SCHEDULERS.map((name) => ({
        name,
        data: HOGS.map((n) => [n, measured(results, label(name, n), measure)] as const),
      }));
    return [
      { title: "Bandwidth of the receiver", kind: "line", x: "hogs", y: "Mb/s", series: series("bandwidth") },
      { title: "Processor time of the receiver", kind: "line", x: "hogs", y: "% of a CPU", series: series("receiver") },
    ];
  },
};
