/**
 * E7-5: deficit weighted round robin over packets of mixed sizes, by the dispatcher that the TOE has for commands and frames, without a device around it.
 * Weighted round robin by packets and first come, first served beside it.
 */
import { Dispatcher, POLICY } from "../devices/toe/dispatcher/index.ts";
import { Random } from "../sim/index.ts";
import { type Experiment, measured, num, type Values } from "./experiment.ts";
import { Fairness } from "./fairness.ts";

const POLICIES = [
  ["DWRR", POLICY.deficit],
  ["WRR by packets", POLICY.weightedRoundRobin],
  ["FIFO", POLICY.fifo],
] as const;
const WEIGHTS: readonly (readonly number[])[] = [
  [1, 2, 4],
  [1, 1, 1],
];
/** Packets of each flow that wait at any time. */
const BACKLOG = 8;
const CURVE_POINTS = 80;

const DRR = "Shreedhar and Varghese, Efficient Fair Queueing using Deficit Round Robin, 1995; sch_drr of Linux";

function label(policy: string, weights: readonly number[]): string {
  return `${policy}, weights ${weights.join(":")}`;
}

export const drrFairness: Experiment = {
  id: "E7-5",
  title: "DWRR: bytes by weight at every instant",
  question:
    "Three flows always have packets. The first sends large ones, the second a mix, the third small ones. How far apart are they ever in bytes by weight, and what if packets are counted instead of bytes?",
  publications: [DRR, "Lenzini et al., 2004"],
  parameters: [
    {
      name: "smallest",
      value: 64,
      unit: "bytes",
      minimum: 1,
      maximum: 65_536,
      source: "shortest Ethernet frame",
    },
    { name: "largest", value: 1500, unit: "bytes", minimum: 1, maximum: 65_536, source: "Ethernet's payload" },
    {
      name: "quantum",
      value: 1500,
      unit: "bytes",
      minimum: 1,
      maximum: 1e6,
      source: "sch_drr: the MTU unless given; each visit serves a packet where it is no less than the largest",
    },
    { name: "packets", value: 200_000, unit: "", minimum: 1000, maximum: 1e7, source: "assumed" },
  ],
  points: [
    {
      id: "bound",
      title: "Difference of bytes by weight under DWRR at every packet",
      class: "X",
      standing: "computed",
      paper: "at most Q + 2 Max",
      source: `derived from the rule: ${DRR}`,
    },
    {
      id: "shares",
      title: "Shares of bytes under DWRR",
      class: "R",
      standing: "computed",
      paper: "as the weights",
      source: DRR,
    },
    {
      id: "biased",
      title: "WRR by packets",
      class: "R",
      standing: "computed",
      paper: "biased to large packets; the difference grows without bound",
      source: DRR,
    },
  ],
  measures: [
    { name: "share0", title: "share of flow 1", unit: "%", digits: 2 },
    { name: "share1", title: "share of flow 2", unit: "%", digits: 2 },
    { name: "share2", title: "share of flow 3", unit: "%", digits: 2 },
    { name: "worst", title: "largest difference", unit: "bytes", digits: 0 },
    { name: "above", title: "packets above Q + 2 Max", unit: "", digits: 0 },
  ],

  configurations() {
    return WEIGHTS.flatMap((weights, set) =>
      POLICIES.map(([policy]) => ({ name: label(policy, weights), settings: { policy, set } })),
    );
  },

  run(settings: Values, parameters: Values, seed: number) {
    const policy = POLICIES.find(([name]) => name === settings["policy"]) ?? POLICIES[0];
    const weights = WEIGHTS[num(settings, "set")] as readonly number[];
    const [smallest, largest] = [num(parameters, "smallest"), num(parameters, "largest")];
    const quantum = num(parameters, "quantum");
    const count = num(parameters, "packets");
    const dispatcher = new Dispatcher(weights.length);
    dispatcher.setPolicy(policy[1]);
    dispatcher.setQuantum(quantum);
    weights.forEach((w, flow) => {
      dispatcher.setWeight(flow, w);
    });
    const random = new Random(seed, "packets");
    const between = (low: number, high: number): number => low + random.below(Math.max(1, Math.floor(high - low) + 1));
    const third = Math.floor((largest - smallest) / 3);
    const packet = [
      () => between(largest - third, largest),
      () => between(smallest, largest),
      () => between(smallest, smallest + third),
    ];
    const more = (flow: number): void => dispatcher.enqueue(flow, (packet[flow] as () => number)());
    // all flows have packets before the first is served
    for (let n = 0; n < BACKLOG; n++) for (let flow = 0; flow < weights.length; flow++) more(flow);
    const fairness = new Fairness(weights, quantum + 2 * largest);
    const every = Math.max(1, Math.floor(count / CURVE_POINTS));
    const curve = { x: [] as number[], y: [] as number[] };
    let high = 0;
    for (let n = 1; n <= count; n++) {
      const flow = dispatcher.next();
      fairness.set(flow, fairness.served(flow) + dispatcher.lastCost);
      more(flow);
      high = Math.max(high, fairness.look());
      if (n % every !== 0) continue;
      curve.x.push(n);
      curve.y.push(high);
      high = 0;
    }
    const total = weights.reduce((sum, _, flow) => sum + fairness.served(flow), 0);
    const share = (flow: number): number => (100 * fairness.served(flow)) / total;
    return {
      measures: {
        share0: share(0),
        share1: share(1),
        share2: share(2),
        worst: fairness.worst,
        bound: fairness.bound,
        above: fairness.above,
      },
      curves: { difference: curve },
    };
  },

  outcomes(results, parameters) {
    const of = (policy: string, set: number, measure: string): number =>
      measured(results, label(policy, WEIGHTS[set] as readonly number[]), measure);
    const both = [0, 1] as const;
    const off = both.map((set) => {
      const weights = WEIGHTS[set] as readonly number[];
      const sum = weights.reduce((a, b) => a + b, 0);
      return Math.max(...weights.map((w, n) => Math.abs(of("DWRR", set, `share${n}`) - (100 * w) / sum)));
    });
    const shares = (policy: string, set: number): string =>
      [0, 1, 2].map((n) => of(policy, set, `share${n}`).toFixed(1)).join(" : ");
    return [
      {
        point: "bound",
        simulated: both
          .map(
            (set) =>
              `${of("DWRR", set, "worst").toFixed(0)} of ${of("DWRR", set, "bound")} bytes (${WEIGHTS[set]?.join(":")})`,
          )
          .join(", "),
        holds: both.every((set) => of("DWRR", set, "above") === 0),
        remark: `looked at after each of ${num(parameters, "packets")} packets; with Q below Max a visit may serve nothing and the rule says less`,
      },
      {
        point: "shares",
        simulated: both.map((set) => `${shares("DWRR", set)} %`).join("; "),
        holds: off.every((d) => d < 0.1),
        remark: "holds within 0.1 points",
      },
      {
        point: "biased",
        simulated: `${both.map((set) => `${shares("WRR by packets", set)} %`).join("; ")}; difference up to ${(of("WRR by packets", 1, "worst") / 1e6).toFixed(0)} MB`,
        holds: both.every(
          (set) =>
            of("WRR by packets", set, "above") > 0 &&
            of("WRR by packets", set, "share0") > of("DWRR", set, "share0") &&
            of("WRR by packets", set, "share2") < of("DWRR", set, "share2"),
        ),
      },
    ];
  },

  plots(results, parameters) {
    const bound = num(parameters, "quantum") + 2 * num(parameters, "largest");
    const curve = (policy: string, weights: readonly number[]): [number, number][] => {
      const of = results.get(label(policy, weights))?.curves?.["difference"];
      return (of?.x ?? []).map((x, n) => [x, of?.y[n] ?? 0]);
    };
    const bars = WEIGHTS.map((weights) => ({
      title: `Shares of bytes, weights ${weights.join(":")}`,
      kind: "bar" as const,
      x: "flow",
      y: "%",
      categories: ["large packets", "mixed", "small packets"],
      series: POLICIES.map(([policy]) => ({
        name: policy,
        data: [0, 1, 2].map((n) => measured(results, label(policy, weights), `share${n}`)),
      })),
      yMaximum: 100,
    }));
    return [
      ...bars,
      {
        title: "DWRR: largest difference of bytes by weight",
        kind: "line" as const,
        x: "packets served",
        y: "bytes",
        series: WEIGHTS.map((weights) => ({ name: weights.join(":"), data: curve("DWRR", weights) })),
        marks: [{ name: "Q + 2 Max", y: bound }],
        yMaximum: 1.1 * bound,
      },
      {
        title: "Largest difference of bytes by weight, weights 1:2:4",
        kind: "line" as const,
        x: "packets served",
        y: "bytes",
        series: POLICIES.map(([policy]) => ({ name: policy, data: curve(policy, WEIGHTS[0] as readonly number[]) })),
      },
    ];
  },
};
