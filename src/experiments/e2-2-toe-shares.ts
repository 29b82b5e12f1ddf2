/**
 * E2-2: shares of virtual machines in one TOE. Three VMs with an interface each keep its dispatcher busy with commands of different sizes; what each was served is
 * looked at after every command.
 */
import { ToeSystem } from "../guests/toe-system.ts";
import { type Traffic, toeTraffic } from "../guests/toe-traffic.ts";
import { MS, NS, Random, SEC } from "../sim/index.ts";
import { type Experiment, measured, num, type Results, type Values } from "./experiment.ts";
import { Fairness } from "./fairness.ts";

const POLICIES = [
  ["DWRR", 0],
  ["FIFO", 1],
  ["WRR", 3],
] as const;
const WEIGHTS: readonly (readonly number[])[] = [
  [1, 2, 4],
  [1, 1, 1],
];
/** Bytes of each VM's commands. */
const SIZES: readonly (readonly [number, number])[] = [
  [32_768, 65_536],
  [1024, 65_536],
  [1024, 8192],
];
const NAMES = ["large", "mixed", "small"] as const;
/** Of commands: cost passed by the dispatcher (TOE technical reference manual 14). */
const COST = 18;
const PIPELINE_RATE = 0x44;
const PREFETCH = 0x5c;
const COMMAND_TIME = 200 * NS;
const MAX_LENGTH = 65_536;
const QUANTUM = 65_536;
const WARM_UP = 3 * MS;
const CURVE_POINTS = 80;

const TCC = "Chang et al., Virtualization Technology for TCP/IP Offload Engine, IEEE TCC 2014";

interface Setup {
  readonly policy: (typeof POLICIES)[number];
  readonly weights: readonly number[];
  /** VM that sends nothing, or -1. */
  readonly idle: number;
}
const SETUPS: readonly Setup[] = WEIGHTS.flatMap((weights) => [
  ...POLICIES.map((policy) => ({ policy, weights, idle: -1 })),
  { policy: POLICIES[0], weights, idle: 1 },
]);
function label({ policy, weights, idle }: Setup): string {
  return `${policy[0]}, ${weights.join(":")}${idle < 0 ? "" : `, VM ${idle + 1} idle`}`;
}
function find(policy: string, set: number, idle = -1): Setup {
  const found = SETUPS.find((s) => s.policy[0] === policy && s.weights === WEIGHTS[set] && s.idle === idle);
  if (found === undefined) throw new TypeError(`no ${policy}`);
  return found;
}
/** What the weights say, in percent. */
function wanted({ weights, idle }: Setup): number[] {
  const sum = weights.reduce((a, w, n) => a + (n === idle ? 0 : w), 0);
  return weights.map((w, n) => (n === idle ? 0 : (100 * w) / sum));
}
function shares(results: Results, setup: Setup): number[] {
  return NAMES.map((_, n) => measured(results, label(setup), `share${n}`));
}

export const toeShares: Experiment = {
  id: "E2-2",
  title: "TOE: shares under the dispatcher",
  question:
    "Three VMs keep a TOE busy: one with large commands, one with mixed ones, one with small ones. Does its dispatcher give them bytes by their weights, at every instant, and who has the share of one that is idle?",
  publications: [TCC, "Shreedhar and Varghese, Efficient Fair Queueing using Deficit Round Robin, 1995"],
  parameters: [
    {
      name: "pipelineRate",
      value: 8000,
      unit: "Mb/s",
      minimum: 100,
      maximum: 1_000_000,
      source: "assumed: below the line's 10 Gb/s, so that it is the dispatcher that VMs compete for and not the wire",
    },
    {
      name: "prefetch",
      value: 8,
      unit: "",
      minimum: 2,
      maximum: 128,
      source:
        "assumed: commands of a VM before the dispatcher; with the device's 64, first come, first served goes in long runs of one VM's",
    },
    {
      name: "window",
      value: 200,
      unit: "",
      minimum: 1,
      maximum: 250,
      source: "assumed: commands that each VM keeps under way, more than the TOE fetches ahead",
    },
    {
      name: "duration",
      value: 20,
      unit: "ms",
      minimum: 1,
      maximum: 1000,
      source: "assumed; after 3 ms in which connections are made and windows open",
    },
  ],
  points: [
    {
      id: "bound",
      title: "Difference of bytes by weight under DWRR after every command",
      class: "X",
      standing: "computed",
      paper: "at most Q + 2 Max",
      source: "derived from the rule; TOE technical reference manual 12.1",
    },
    {
      id: "shares",
      title: "Shares under DWRR",
      class: "R",
      standing: "found",
      paper: "proportional to the weights",
      source: TCC,
    },
    {
      id: "idle",
      title: "Shares under DWRR while one VM is idle",
      class: "R",
      standing: "found",
      paper: "the others have its share by their weights",
      source: TCC,
    },
    {
      id: "fifo",
      title: "Shares first come, first served",
      class: "R",
      standing: "computed",
      paper: "follow the bytes offered, whatever the weights",
      source: "each VM has as many commands fetched as any other",
    },
    {
      id: "wrr",
      title: "Shares by weighted round robin of commands",
      class: "R",
      standing: "computed",
      paper: "biased to large commands",
      source: "counts commands, not bytes",
    },
  ],
  measures: [
    { name: "share0", title: "large commands", unit: "%", digits: 2 },
    { name: "share1", title: "mixed", unit: "%", digits: 2 },
    { name: "share2", title: "small commands", unit: "%", digits: 2 },
    { name: "rate", title: "throughput", unit: "Gb/s", digits: 2 },
    { name: "worst", title: "largest difference", unit: "bytes", digits: 0 },
    { name: "commands", title: "commands", unit: "", digits: 0 },
    { name: "above", title: "commands above Q + 2 Max", unit: "", digits: 0 },
  ],

  configurations() {
    return SETUPS.map((setup, n) => ({ name: label(setup), settings: { setup: n } }));
  },

  run(settings: Values, parameters: Values, seed: number) {
    const setup = SETUPS[num(settings, "setup")] as Setup;
    const { policy, weights, idle } = setup;
    const system = new ToeSystem({ mode: "direct", seed, cpus: weights.length, service: { policy: policy[1] } });
    const traffic: Traffic[] = weights.map((weight, n) => {
      const [least, most] = SIZES[n] as readonly [number, number];
      const random = new Random(seed, `sizes ${n}`);
      const made = toeTraffic({
        name: NAMES[n] as string,
        direction: "send",
        connections: n === idle ? 0 : 1,
        window: Math.round(num(parameters, "window")),
        size: () => least + random.below(most - least + 1),
        largest: MAX_LENGTH,
        perTransfer: 0,
        perByte: 0,
        moderation: { count: 16, microseconds: 10 },
      });
      // each on a CPU of its own: nothing here is the CPU scheduler's
      system.add({ program: made.program, memory: made.memory, weight, affinity: 1 << n });
      return made;
    });
    const { simulation, toe } = system;
    simulation.run(MS / 100);
    toe.writeManagement(PIPELINE_RATE, num(parameters, "pipelineRate"));
    toe.writeManagement(PREFETCH, num(parameters, "prefetch"));
    simulation.run(WARM_UP);
    const failure = traffic.find((t) => t.failure !== null || t.connected < 0);
    if (failure) throw new Error(`${label(setup)}: ${failure.failure ?? "not connected"}`);

    const busy = weights.flatMap((_, n) => (n === idle ? [] : [n]));
    const cost = (n: number): number => toe.interfaces[n + 1]?.counter(COST) ?? 0;
    const base = busy.map(cost);
    const fairness = new Fairness(
      busy.map((n) => weights[n] as number),
      QUANTUM + 2 * MAX_LENGTH,
    );
    const duration = num(parameters, "duration") * MS;
    const curve = { x: [] as number[], y: [] as number[] };
    const every = Math.floor(duration / CURVE_POINTS);
    let high = 0;
    let commands = 0;
    // a command is in the pipeline for COMMAND_TIME at least: none is missed
    system.watch(WARM_UP + duration, COMMAND_TIME, () => {
      let changed = false;
      busy.forEach((n, i) => {
        if (fairness.set(i, cost(n) - (base[i] as number))) changed = true;
      });
      if (changed) {
        commands++;
        high = Math.max(high, fairness.look());
      }
      const passed = simulation.now - WARM_UP;
      if (passed < every * (curve.x.length + 1)) return;
      curve.x.push(passed / MS);
      curve.y.push(high / 1024);
      high = 0;
    });
    const served = weights.map((_, n) => (busy.includes(n) ? fairness.served(busy.indexOf(n)) : 0));
    const total = served.reduce((a, b) => a + b, 0);
    const share = (n: number): number => (100 * (served[n] as number)) / total;
    return {
      measures: {
        share0: share(0),
        share1: share(1),
        share2: share(2),
        rate: (total * 8 * SEC) / duration / 1e9,
        worst: fairness.worst,
        bound: fairness.bound,
        commands,
        above: fairness.above,
      },
      curves: { difference: curve },
    };
  },

  outcomes(results) {
    const text = (setup: Setup): string =>
      shares(results, setup)
        .map((s) => s.toFixed(1))
        .join(" : ");
    const off = (setup: Setup): number =>
      Math.max(...wanted(setup).map((w, n) => Math.abs(w - (shares(results, setup)[n] as number))));
    const of = (setup: Setup, measure: string): number => measured(results, label(setup), measure);
    const deficit = SETUPS.filter((s) => s.policy[0] === "DWRR");
    const two = [0, 1] as const;
    const fifo = two.map((set) => shares(results, find("FIFO", set)));
    const mean = SIZES.map(([least, most]) => (least + most) / 2);
    const offered = mean.map((m) => (100 * m) / mean.reduce((a, b) => a + b, 0));
    return [
      {
        point: "bound",
        simulated: deficit.map((s) => `${of(s, "worst").toFixed(0)} (${label(s).slice(6)})`).join(", "),
        holds: deficit.every((s) => of(s, "above") === 0),
        remark: `of ${QUANTUM + 2 * MAX_LENGTH} bytes, after each of ${Math.min(...deficit.map((s) => of(s, "commands")))} commands or more`,
      },
      {
        point: "shares",
        simulated: two.map((set) => `${text(find("DWRR", set))} %`).join("; "),
        holds: two.every((set) => off(find("DWRR", set)) < 1),
        remark: "holds within a point",
      },
      {
        point: "idle",
        simulated: two.map((set) => `${text(find("DWRR", set, 1))} %`).join("; "),
        holds: two.every((set) => off(find("DWRR", set, 1)) < 1),
        remark: "holds within a point",
      },
      {
        point: "fifo",
        simulated: `${two.map((set) => `${text(find("FIFO", set))} %`).join("; ")}; offered ${offered.map((o) => o.toFixed(1)).join(" : ")}`,
        holds: fifo.every((s) => s.every((x, n) => Math.abs(x - (offered[n] as number)) < 3)),
        remark: "holds within 3 points",
      },
      {
        point: "wrr",
        simulated: two.map((set) => `${text(find("WRR", set))} %`).join("; "),
        holds: two.every((set) => {
          const by = shares(results, find("WRR", set));
          const right = wanted(find("WRR", set));
          return (by[0] as number) > (right[0] as number) && (by[2] as number) < (right[2] as number);
        }),
      },
    ];
  },

  plots(results) {
    const bars = WEIGHTS.map((weights, set) => ({
      title: `Shares of bytes, weights ${weights.join(":")}`,
      kind: "bar" as const,
      x: "commands of the VM",
      y: "%",
      categories: [...NAMES],
      series: SETUPS.filter((s) => s.weights === WEIGHTS[set]).map((s) => ({
        name: s.idle < 0 ? s.policy[0] : `${s.policy[0]}, ${NAMES[s.idle]} idle`,
        data: shares(results, s),
      })),
      yMaximum: 100,
    }));
    const curve = (setup: Setup): [number, number][] => {
      const of = results.get(label(setup))?.curves?.["difference"];
      return (of?.x ?? []).map((x, n) => [x, of?.y[n] ?? 0]);
    };
    return [
      ...bars,
      {
        title: "DWRR: largest difference of bytes by weight",
        kind: "line" as const,
        x: "ms",
        y: "KiB",
        series: SETUPS.filter((s) => s.policy[0] === "DWRR").map((s) => ({ name: label(s).slice(6), data: curve(s) })),
        marks: [{ name: "Q + 2 Max", y: (QUANTUM + 2 * MAX_LENGTH) / 1024 }],
        yMaximum: 220,
      },
      {
        title: "Largest difference of bytes by weight, weights 1:2:4",
        kind: "line" as const,
        x: "ms",
        y: "KiB",
        series: POLICIES.map(([name]) => ({ name, data: curve(find(name, 0)) })),
      },
    ];
  },
};
