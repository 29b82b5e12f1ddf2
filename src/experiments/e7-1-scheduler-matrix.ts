/**
 * E7-1: schedulers and event channels against mixes of guests that compute, answer pings and stream through a driver domain, after Ongaro, Cox and Rixner (VEE 2008). Guests are
 * programs on an abstract CPU under stage 2, rings and event channels as in Xen.
 */
import { type Habit, runScheduling, type SchedulingOptions } from "../guests/index.ts";
import { MS } from "../sim/index.ts";
import { type Experiment, measured, num, type Outcome, type Results, type Values } from "./experiment.ts";

const ONGARO = "Ongaro, Cox, Rixner, Scheduling I/O in Virtual Machine Monitors, VEE 2008";

/** What the guests do; `guests` of them, the last one answering pings. */
const MIXES: { readonly [name: string]: (n: number) => Habit } = {
  "six burners": () => "burn",
  "six streams": () => "stream",
  "burners and streams": (n) => (n % 2 === 0 ? "stream" : "burn"),
};

type Policy = Pick<SchedulingOptions, "scheduler" | "schedulerOptions" | "scan" | "driverDomain" | "guest">;

const POLICIES: { readonly [name: string]: Policy } = {
  credit: { scheduler: "credit" },
  "without boost": { scheduler: "credit", schedulerOptions: { boost: false } },
  "without tickle": { scheduler: "credit", schedulerOptions: { tickle: false } },
  "lowest port first": { scheduler: "credit", scan: "lowest-first" },
  "sorted by credits": { scheduler: "credit-sorted" },
  SEDF: {
    scheduler: "sedf",
    driverDomain: { period: 20_000, slice: 15_000, extratime: true },
    guest: { period: 100_000, slice: 0, extratime: true },
  },
  BVT: { scheduler: "bvt" },
};

const BURN = "six burners";
const STREAM = "six streams";
const BOTH = "burners and streams";
const label = (policy: string, mix: string): string => `${policy}, ${mix}`;
const recalled = (id: string, title: string, paper: string) => ({
  id,
  title,
  class: "R" as const,
  standing: "recalled" as const,
  paper,
  source: ONGARO,
});

export const schedulerMatrix: Experiment = {
  id: "E7-1",
  title: "Schedulers, event channels and mixes of guests",
  question:
    "Seven guests and a driver domain share one CPU. One guest answers pings; the others compute, or stream through the driver domain. What do boost, tickle, the order in which event channels are looked at, the order of the run queue, SEDF and BVT change for latency and for shares?",
  publications: [
    ONGARO,
    "Xen commit 0283c62431 (25 January 2008), process event channel notifications in round-robin order",
  ],
  parameters: [
    {
      name: "guests",
      value: 7,
      unit: "",
      minimum: 2,
      maximum: 30,
      source: "recalled: seven guests and a driver domain",
    },
    { name: "cpus", value: 1, unit: "", minimum: 1, maximum: 8, source: "recalled: one core" },
    {
      name: "frequency",
      value: 2800,
      unit: "MHz",
      minimum: 100,
      maximum: 10_000,
      source: "assumed: a server of those years",
    },
    {
      name: "driverCycles",
      value: 13.4,
      unit: "cycles/byte",
      minimum: 0,
      maximum: 1000,
      source: "Oi and Nakajima 2009: driver domain's receive path without LRO",
    },
    {
      name: "guestCycles",
      value: 7.1,
      unit: "cycles/byte",
      minimum: 0,
      maximum: 1000,
      source: "Oi and Nakajima 2009: guest's receive path without LRO",
    },
    {
      name: "pingInterval",
      value: 100,
      unit: "ms",
      minimum: 0.1,
      maximum: 10_000,
      source:
        "assumed: ping's own is 1 s. At 10 ms and below a driver domain that was preempted once never blocks again, and never gets its boost back",
    },
    { name: "duration", value: 5, unit: "s", minimum: 0.2, maximum: 600, source: "assumed" },
  ],
  points: [
    recalled("boost", "Ping beside burners, with boost and without", "from tens of milliseconds to below one"),
    recalled("everybody", "The same beside streams", "no effect: everybody is boosted"),
    {
      id: "scan",
      title: "Bandwidth of streams by the order in which event channels are looked at",
      class: "R",
      standing: "found",
      paper: "from the lowest port: unfair to high ports; round robin: fair",
      source: "Xen commit 0283c62431",
    },
    recalled(
      "tickle",
      "Streams beside burners without tickle",
      "the driver domain is not preempted amid its work: better",
    ),
    recalled("sorted", "Ping beside burners and streams, run queue sorted by credits", "lower latency at low cost"),
    recalled("sedf", "SEDF beside burners and streams", "best latency, bad bandwidth for the driver domain"),
  ],
  measures: [
    { name: "p50", title: "ping, median", unit: "ms", digits: 3 },
    { name: "mean", title: "ping, mean", unit: "ms", digits: 3 },
    { name: "p99", title: "ping, p99", unit: "ms", digits: 3 },
    { name: "answered", title: "answered", unit: "%", digits: 1 },
    { name: "stream", title: "streams, all", unit: "Mb/s", digits: 1 },
    { name: "slowest", title: "slowest stream", unit: "Mb/s", digits: 1 },
    { name: "fastest", title: "fastest stream", unit: "Mb/s", digits: 1 },
    { name: "burn", title: "burners, all", unit: "%", digits: 1 },
    { name: "driver", title: "driver domain", unit: "%", digits: 1 },
    { name: "switches", title: "world switches", unit: "1/s", digits: 0 },
  ],

  configurations: () =>
    Object.keys(MIXES).flatMap((mix) =>
      Object.keys(POLICIES).map((policy) => ({ name: label(policy, mix), settings: { policy, mix } })),
    ),

  run(settings: Values, parameters: Values, seed: number) {
    const policy = POLICIES[String(settings["policy"])] as Policy;
    const habitOf = MIXES[String(settings["mix"])] as (n: number) => Habit;
    const guests = num(parameters, "guests");
    const seconds = num(parameters, "duration");
    const result = runScheduling({
      ...policy,
      guests: Array.from({ length: guests }, (_, n) => (n === guests - 1 ? "ping" : habitOf(n))),
      cpus: num(parameters, "cpus"),
      frequency: Math.round(num(parameters, "frequency") * 1e6),
      costs: { receiveDriverDomain: num(parameters, "driverCycles"), receiveGuest: num(parameters, "guestCycles") },
      pingInterval: Math.round(num(parameters, "pingInterval") * MS),
      duration: Math.round(seconds * 1000 * MS),
      warmUp: Math.round(Math.min(500, seconds * 1000) * MS),
      seed,
    });
    const streams = result.guests.filter((g) => g.habit === "stream").map((g) => g.bitsPerSecond / 1e6);
    const latency = result.guests.find((g) => g.habit === "ping")?.latency;
    const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
    const count = latency?.count ?? 0;
    return {
      measures: {
        p50: (latency?.p50 ?? 0) / MS,
        mean: (latency?.mean ?? 0) / MS,
        p99: (latency?.p99 ?? 0) / MS,
        answered: (100 * count) / Math.max(1, count + (latency?.lost ?? 0)),
        stream: sum(streams),
        slowest: streams.length === 0 ? 0 : Math.min(...streams),
        fastest: streams.length === 0 ? 0 : Math.max(...streams),
        burn: 100 * sum(result.guests.filter((g) => g.habit === "burn").map((g) => g.running)),
        driver: 100 * (result.guests[0]?.running ?? 0),
        switches: result.worldSwitches / seconds,
      },
      curves: { ports: { x: streams.map((_, n) => n), y: streams } },
    };
  },

  outcomes(results: Results): readonly Outcome[] {
    const of = (policy: string, mix: string, measure: string) => measured(results, label(policy, mix), measure);
    const ms = (value: number) => `${value.toFixed(3)} ms`;
    const [boosted, plain] = [of("credit", BURN, "p50"), of("without boost", BURN, "p50")];
    const [busy, busyPlain] = [of("credit", STREAM, "mean"), of("without boost", STREAM, "mean")];
    const ratio = of("credit", STREAM, "fastest") / Math.max(of("credit", STREAM, "slowest"), 1e-9);
    const low = results.get(label("lowest port first", STREAM))?.curves?.["ports"]?.y ?? [];
    const ordered = low.every((y, n) => n === 0 || y <= (low[n - 1] as number) * 1.05);
    const [tickled, calm] = [of("credit", BOTH, "stream"), of("without tickle", BOTH, "stream")];
    const [mixed, sorted, sedf] = [
      of("credit", BOTH, "mean"),
      of("sorted by credits", BOTH, "mean"),
      of("SEDF", BOTH, "mean"),
    ];
    const [wide, narrow] = [of("credit", STREAM, "stream"), of("SEDF", STREAM, "stream")];
    return [
      {
        point: "boost",
        simulated: `median ${ms(boosted)} with, ${ms(plain)} without`,
        holds: boosted < 1 && plain > 10 * boosted,
      },
      {
        point: "everybody",
        simulated: `mean ${ms(busy)} with, ${ms(busyPlain)} without`,
        holds: Math.abs(busy / busyPlain - 1) < 0.25,
        remark:
          "holds within 25 %; our driver domain is over its share all the time, so who wakes goes before it with boost and without",
      },
      {
        point: "scan",
        simulated: `lowest first: ${low.map((y) => y.toFixed(0)).join(", ")} Mb/s by port; round robin: fastest to slowest ${ratio.toFixed(2)}`,
        holds: ordered && (low[0] ?? 0) > 2 * (low[low.length - 1] ?? 0) && ratio < 1.1,
        remark: "the extreme of it: our streams refill their ring before the driver domain has come to the next port",
      },
      {
        point: "tickle",
        simulated: `${calm.toFixed(0)} Mb/s without, ${tickled.toFixed(0)} Mb/s with`,
        holds: calm > 1.05 * tickled,
        remark: "of bandwidth; a ping's latency is no better",
      },
      { point: "sorted", simulated: `mean ${ms(sorted)}, against ${ms(mixed)}`, holds: sorted < 0.95 * mixed },
      {
        point: "sedf",
        simulated: `mean ${ms(sedf)}, against ${ms(mixed)} (credit) and ${ms(sorted)} (sorted); streams alone ${narrow.toFixed(0)} Mb/s against ${wide.toFixed(0)}`,
        holds: sedf < mixed && sedf < sorted && narrow < 0.95 * wide,
        remark: "the latency holds; the bandwidth does not, as 15 of 20 ms are more than our driver domain needs",
      },
    ];
  },

  plots(results: Results) {
    const categories = Object.keys(POLICIES);
    const bars = (measure: string) =>
      Object.keys(MIXES).map((mix) => ({
        name: mix,
        data: categories.map((policy) => measured(results, label(policy, mix), measure)),
      }));
    const ports = ["credit", "lowest port first"].map((policy) => {
      const curve = results.get(label(policy, STREAM))?.curves?.["ports"];
      return { name: policy, data: curve?.x.map((x, n) => [x, curve.y[n] as number] as const) ?? [] };
    });
    const bar = (title: string, y: string, measure: string) => ({
      title,
      kind: "bar" as const,
      x: "policy",
      y,
      categories,
      series: bars(measure),
    });
    return [
      bar("Ping, median", "ms", "p50"),
      bar("Ping, slowest hundredth", "ms", "p99"),
      bar("Streams together", "Mb/s", "stream"),
      { title: "Six streams by event-channel port", kind: "line" as const, x: "port", y: "Mb/s", series: ports },
    ];
  },
};
