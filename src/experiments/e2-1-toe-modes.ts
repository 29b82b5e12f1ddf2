/**
 * E2-1: a TOE without a hypervisor, passed to VMs, and emulated for them. The same guest program moves data over TCP to a host at the other end of the
 * link; what differs is who handles its register accesses and interrupts.
 */
import { TOE_MODES, type ToeMode, ToeSystem } from "../guests/toe-system.ts";
import { toeTraffic } from "../guests/toe-traffic.ts";
import { COSTS } from "../hypervisor/costs.ts";
import { MS, SEC } from "../sim/index.ts";
import { type Experiment, measured, num, type Parameter, type Results, type Values } from "./experiment.ts";

const SIZES = [256, 1024, 4096, 16_384, 65_536] as const;
/** Sizes at which the number of VMs is varied. */
const FEW = [4096, 65_536] as const;
const MOST_VMS = 4;
/** Where the wire is the limit, two modes differ by what a run's end cuts off. */
const EQUAL = 1.01;
const WARM_UP = 4 * MS;
type Direction = "send" | "receive";

const TCC = "Chang et al., Virtualization Technology for TCP/IP Offload Engine, IEEE TCC 2014";
const THESIS = "Chang En-Hao, thesis, NCKU: abstract";

function label(mode: ToeMode, direction: Direction, size: number, vms: number): string {
  const bytes = size < 1024 ? `${size} B` : `${size / 1024} KiB`;
  return `${mode}, ${direction} ${bytes}, ${vms} VM${vms === 1 ? "" : "s"}`;
}

interface Place {
  readonly direction: Direction;
  readonly size: number;
  readonly vms: number;
}
const PLACES: readonly Place[] = [
  ...(["send", "receive"] as const).flatMap((direction) => SIZES.map((size) => ({ direction, size, vms: 1 }))),
  ...FEW.flatMap((size) =>
    Array.from({ length: MOST_VMS - 1 }, (_, n) => ({ direction: "send" as const, size, vms: n + 2 })),
  ),
];

function cost(name: "exitEntry" | "fastEmulation" | "forwardCommand" | "forwardCompletion"): Parameter {
  const { value, unit, source, assumed } = COSTS[name];
  return { name, value, unit, minimum: 0, maximum: 1e6, source: assumed ? `assumed: ${source}` : source };
}

function rate(results: Results, mode: ToeMode, { direction, size, vms }: Place): number {
  return measured(results, label(mode, direction, size, vms), "rate");
}
const gain = (results: Results, at: Place): number => rate(results, "direct", at) / rate(results, "emulated", at);
const ofNative = (results: Results, at: Place): number => rate(results, "direct", at) / rate(results, "native", at);
const percent = (ratio: number): string => `${ratio >= 1 ? "+" : ""}${((ratio - 1) * 100).toFixed(1)} %`;

export const toeModes: Experiment = {
  id: "E2-1",
  title: "TOE: native, direct, emulated",
  question:
    "A TCP/IP offload engine shared by virtual machines: what throughput is left if each VM has a control interface of its own, and what if the hypervisor emulates one for each and runs their sockets itself? Against transfer size and number of VMs, all on one CPU.",
  publications: [TCC, THESIS],
  parameters: [
    {
      name: "frequency",
      value: 1000,
      unit: "MHz",
      minimum: 100,
      maximum: 10_000,
      source: "assumed: the clock of the published platform's ARM core is not known",
    },
    {
      name: "window",
      value: 1,
      unit: "",
      minimum: 1,
      maximum: 32,
      source: "assumed: blocking sockets, one transfer under way on each connection",
    },
    {
      name: "perTransfer",
      value: 34_000,
      unit: "cycles",
      minimum: 0,
      maximum: 1e6,
      source:
        "fitted: work of application and guest kernel for a transfer; the most with which the native machine still has time for 10 Gb/s in transfers of 64 KiB (52.4 us each, less copy and driver)",
      fitted: "line",
    },
    {
      name: "perByte",
      value: COSTS.copy.value,
      unit: "cycles/byte",
      minimum: 0,
      maximum: 100,
      source: `assumed: one copy between application and kernel, ${COSTS.copy.source}`,
    },
    cost("exitEntry"),
    cost("fastEmulation"),
    cost("forwardCommand"),
    cost("forwardCompletion"),
    {
      name: "scheduler",
      value: "round-robin",
      unit: "",
      choices: ["round-robin", "credit", "preemptive-io"],
      source: "assumed: which schedulers were compared is not published",
    },
    {
      name: "duration",
      value: 6,
      unit: "ms",
      minimum: 1,
      maximum: 1000,
      source: "assumed; after 4 ms in which connections are made and windows open",
    },
  ],
  points: [
    {
      id: "line",
      title: "Native throughput of the TOE",
      class: "N",
      standing: "found",
      paper: "10 Gb/s",
      source: TCC,
    },
    {
      id: "most",
      title: "Direct over emulated, at most",
      class: "N",
      standing: "found",
      paper: "+30 %",
      source: TCC,
    },
    {
      id: "range",
      title: "Direct over emulated, range",
      class: "N",
      standing: "stated",
      paper: "+5 to +20 %",
      source: THESIS,
    },
    {
      id: "native",
      title: "Direct over native, at most",
      class: "N",
      standing: "found",
      paper: "80 %",
      source: TCC,
    },
    {
      id: "order",
      title: "Order",
      class: "R",
      standing: "computed",
      paper: "native, direct, emulated",
      source: "the two ratios",
    },
    {
      id: "small",
      title: "The gap between direct and emulated by transfer size",
      class: "R",
      standing: "computed",
      paper: "grows as transfers get smaller",
      source: "more interceptions a byte",
    },
  ],
  measures: [
    { name: "rate", title: "throughput", unit: "Gb/s", digits: 3 },
    { name: "transfers", title: "transfers", unit: "1/ms", digits: 1 },
    { name: "exits", title: "exits a transfer", unit: "", digits: 2 },
    { name: "guest", title: "CPU in guests", unit: "%", digits: 1 },
    { name: "hypervisor", title: "CPU in the hypervisor", unit: "%", digits: 1 },
  ],

  configurations() {
    return PLACES.flatMap(({ direction, size, vms }) =>
      TOE_MODES.map((mode) => ({ name: label(mode, direction, size, vms), settings: { mode, direction, size, vms } })),
    );
  },

  run(settings: Values, parameters: Values, seed: number) {
    const mode = settings["mode"] as ToeMode;
    const direction = settings["direction"] as Direction;
    const size = num(settings, "size");
    const vms = num(settings, "vms");
    const system = new ToeSystem({
      mode,
      seed,
      frequency: Math.round(num(parameters, "frequency")) * 1_000_000,
      scheduler: String(parameters["scheduler"]),
      costs: {
        exitEntry: num(parameters, "exitEntry"),
        fastEmulation: num(parameters, "fastEmulation"),
        forwardCommand: num(parameters, "forwardCommand"),
        forwardCompletion: num(parameters, "forwardCompletion"),
      },
    });
    // without a hypervisor one guest has all the connections
    const guests = mode === "native" ? 1 : vms;
    const traffic = Array.from({ length: guests }, (_, n) =>
      toeTraffic({
        name: `guest${n}`,
        direction,
        connections: vms / guests,
        window: Math.round(num(parameters, "window")),
        size: () => size,
        largest: size,
        perTransfer: num(parameters, "perTransfer"),
        perByte: num(parameters, "perByte"),
      }),
    );
    for (const { program, memory } of traffic) system.add({ program, memory });
    const { simulation, machine } = system;
    const [cpu] = machine.cpus.cpus;
    const look = () => ({
      // of what is sent, what has arrived: not what fills send buffers
      bytes:
        direction === "send"
          ? Array.from({ length: vms }, (_, n) => system.peer.taken(n + 1)).reduce((a, b) => a + b, 0)
          : traffic.reduce((sum, t) => sum + t.bytes, 0),
      transfers: traffic.reduce((sum, t) => sum + t.transfers, 0),
      exits: cpu?.exits ?? 0,
      guest: cpu?.guestTime ?? 0,
      hypervisor: cpu?.hypervisorTime ?? 0,
    });
    simulation.run(WARM_UP);
    const before = look();
    const duration = num(parameters, "duration") * MS;
    simulation.run(WARM_UP + duration);
    const after = look();
    const failure = traffic.find((t) => t.failure !== null || t.connected < 0);
    if (failure) throw new Error(`${label(mode, direction, size, vms)}: ${failure.failure ?? "not connected"}`);
    const transfers = after.transfers - before.transfers;
    return {
      measures: {
        rate: ((after.bytes - before.bytes) * 8 * SEC) / duration / 1e9,
        transfers: (transfers * MS) / duration,
        exits: mode === "native" ? 0 : (after.exits - before.exits) / Math.max(1, transfers),
        guest: (100 * (after.guest - before.guest)) / duration,
        hypervisor: (100 * (after.hypervisor - before.hypervisor)) / duration,
      },
    };
  },

  outcomes(results) {
    const gains = PLACES.map((at) => gain(results, at));
    const parts = PLACES.map((at) => ofNative(results, at));
    const native = Math.max(...PLACES.map((at) => rate(results, "native", at)));
    const [least, most] = [Math.min(...gains), Math.max(...gains)];
    const bySize = SIZES.map((size) => gain(results, { direction: "send", size, vms: 1 }));
    const inside = gains.filter((g) => g >= 1.05 && g <= 1.2).length;
    return [
      {
        point: "line",
        simulated: `${native.toFixed(2)} Gb/s of payload`,
        holds: native > 9.3,
        remark:
          "the payload that fits 10 Gb/s in frames of 1514 bytes is 9.41 Gb/s; holds with less work a transfer as well",
      },
      {
        point: "most",
        simulated: percent(most),
        holds: most >= 1.25 && most <= 1.35,
        remark:
          "holds within 5 points; the guest's own work a transfer is the most that native throughput leaves room for, and with less the gap is larger still",
      },
      {
        point: "range",
        simulated: `${percent(least)} to ${percent(most)}, ${inside} of ${gains.length} places within +5 to +20 %`,
        holds: least >= 1.03 && most <= 1.22,
        remark: "holds within 2 points at both ends; the journal's version of the system has more",
      },
      {
        point: "native",
        simulated: `${(100 * Math.min(...parts)).toFixed(1)} to ${(100 * Math.max(...parts)).toFixed(1)} %`,
        holds: Math.max(...parts) <= 0.85 && Math.max(...parts) >= 0.75,
        remark:
          "holds within 5 points; a transfer has two exits here (WFI and the interrupt), and what they cost caches and TLBs is not counted",
      },
      {
        point: "order",
        simulated: `holds at ${PLACES.filter((_, n) => (parts[n] ?? 2) <= EQUAL && (gains[n] ?? 0) >= 1 / EQUAL).length} of ${PLACES.length} places`,
        holds: parts.every((p) => p <= EQUAL) && gains.every((g) => g >= 1 / EQUAL),
        remark: "equal where they differ by less than 1 %",
      },
      {
        point: "small",
        simulated: SIZES.map((size, n) => `${size} B ${percent(bySize[n] ?? 0)}`).join(", "),
        holds: bySize.every((g, n) => n === 0 || g <= (bySize[n - 1] as number)),
        remark:
          "the least transfers are done before the trapped doorbell returns, so the guest finds the completion by polling: no WFI, no interrupt, no trap for its status",
      },
    ];
  },

  plots(results) {
    const bytes = (size: number): string => (size < 1024 ? `${size}` : `${size / 1024}K`);
    const bySize = (direction: Direction) => ({
      title: `Throughput by transfer size, 1 VM, ${direction}`,
      kind: "bar" as const,
      x: "bytes a transfer",
      y: "Gb/s",
      categories: SIZES.map(bytes),
      series: TOE_MODES.map((mode) => ({
        name: mode,
        data: SIZES.map((size) => rate(results, mode, { direction, size, vms: 1 })),
      })),
    });
    const counts = Array.from({ length: MOST_VMS }, (_, n) => n + 1);
    const byVms = (size: number) => ({
      title: `Throughput by number of VMs, ${bytes(size)} bytes`,
      kind: "bar" as const,
      x: "VMs on one CPU",
      y: "Gb/s",
      categories: counts.map(String),
      series: TOE_MODES.map((mode) => ({
        name: mode,
        data: counts.map((vms) => rate(results, mode, { direction: "send", size, vms })),
      })),
    });
    return [
      bySize("send"),
      bySize("receive"),
      ...FEW.map(byVms),
      {
        title: "Direct over emulated",
        kind: "bar" as const,
        x: "bytes a transfer",
        y: "%",
        categories: SIZES.map(bytes),
        series: (["send", "receive"] as const).map((direction) => ({
          name: direction,
          data: SIZES.map((size) => (gain(results, { direction, size, vms: 1 }) - 1) * 100),
        })),
        marks: [
          { name: "paper: +5 %", y: 5 },
          { name: "paper: +30 %", y: 30 },
        ],
      },
      {
        title: "Part of native throughput, send",
        kind: "bar" as const,
        x: "bytes a transfer",
        y: "%",
        categories: SIZES.map(bytes),
        series: (["direct", "emulated"] as const).map((mode) => ({
          name: mode,
          data: SIZES.map((size) => {
            const at: Place = { direction: "send", size, vms: 1 };
            return (100 * rate(results, mode, at)) / rate(results, "native", at);
          }),
        })),
        marks: [{ name: "paper: 80 %", y: 80 }],
        yMaximum: 100,
      },
    ];
  },
};
