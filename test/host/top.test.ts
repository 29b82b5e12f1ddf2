import { describe, expect, it } from "vitest";
import { TopView, topText } from "../../src/host/top.ts";
import type { HypervisorReport, VmReport } from "../../src/hypervisor/report.ts";

const RUN = { name: "vcpu0", activity: "runnable", cpu: 0, dispatches: 1, migrations: 0, interruptLatency: 0 };

/** One VM of one vCPU on one of two CPUs; times in seconds. */
function vm(changed: Partial<VmReport>, vcpu: Partial<VmReport["vcpus"][number]>): VmReport {
  const times = { running: 0, waiting: 0, stolen: 0, blocked: 0, interrupts: 0, longestInterruptLatency: 0 };
  return {
    name: "web",
    state: "running",
    reason: "",
    memory: 0,
    tablePages: 0,
    refusedDma: 0,
    exits: 0,
    seconds: 0,
    reasons: [],
    regions: [],
    registers: [],
    vcpus: [{ ...RUN, ...times, ...vcpu }],
    ...changed,
  };
}
function report(time: number, busy: number, one: VmReport): HypervisorReport {
  const cpus = [
    { busy, idle: time - busy, switches: 1 },
    { busy: 0, idle: time, switches: 0 },
  ];
  return { time, scheduler: "credit", cpus, vms: [one] };
}
const exit = (name: string, count: number) => ({ name, count, seconds: 0, cycles: 0 });

const FIRST = report(
  1,
  0.5,
  vm(
    { exits: 1000, reasons: [exit("data abort", 900), exit("wfi", 100)] },
    { running: 0.5, waiting: 0.25, stolen: 0.125, blocked: 0.125, interrupts: 100, interruptLatency: 2e-6 },
  ),
);
const SECOND = report(
  1.5,
  0.9,
  vm(
    { exits: 1600, reasons: [exit("data abort", 1000), exit("wfi", 600)] },
    {
      running: 0.9,
      waiting: 0.25,
      stolen: 0.175,
      blocked: 0.175,
      interrupts: 200,
      interruptLatency: 3e-6,
      longestInterruptLatency: 50e-6,
    },
  ),
);
const cells = (text: string) => text.split("\n").map((l) => l.split(/ {2,}/));

describe("armature top, a line a VM", () => {
  it("shares and rates since the start", () => {
    const text = topText(FIRST, null);
    expect(text.split("\n")[0]).toBe("1.0000 s simulated, 2 CPUs 25.0 % busy, scheduler credit");
    const shares = ["25.0", "50.0", "25.0", "12.5", "12.5"];
    const reasons = "data abort 900, wfi 100";
    expect(cells(text)[4]).toEqual(["web", "running", ...shares, "1,000", "100", "2.0", "0.0", reasons]);
  });

  it("since the table before: what happened in half a second, most frequent exits first, the mean latency of these interrupts", () => {
    // 200 of 3 us less 100 of 2 us: 100 of 4 us
    const text = topText(SECOND, FIRST);
    expect(text).toContain("2 CPUs 40.0 % busy");
    const shares = ["40.0", "80.0", "0.0", "10.0", "10.0"];
    const reasons = "wfi 1,000, data abort 200";
    expect(cells(text)[4]).toEqual(["web", "running", ...shares, "1,200", "200", "4.0", "50.0", reasons]);
  });

  it("no time, no interrupts: no number", () => {
    expect(cells(topText(report(0, 0, vm({}, {})), null))[4]?.slice(2, 9)).toEqual(Array(7).fill("-"));
  });
});

describe("armature top, on a terminal", () => {
  function screen(isTTY: boolean, columns = 60, rows = 6) {
    const written: string[] = [];
    let time = 0;
    const view = new TopView({ isTTY, columns, rows, write: (text) => written.push(text) }, () => time);
    const at = (milliseconds: number, r: HypervisorReport) => {
      time = milliseconds;
      view.look(() => r);
    };
    return { written, view, at };
  }

  it("draws at once and twice a second, in place on a screen of its own, and gives the terminal back", () => {
    const { written, view, at } = screen(true, 200, 24);
    at(0, FIRST);
    at(499, SECOND);
    expect(written.length).toBe(1);
    at(500, SECOND);
    expect(written.length).toBe(2);
    // alternate screen, no cursor, home
    expect(written[0]?.startsWith("\x1b[?1049h\x1b[?25l\x1b[H1.0000 s simulated")).toBe(true);
    expect(written[1]?.startsWith("\x1b[H1.5000 s simulated")).toBe(true);
    expect(written[1]).toContain("wfi 1,000");
    expect(written[1]?.endsWith("\x1b[J")).toBe(true);
    view.close();
    view.close();
    expect(written.slice(2)).toEqual(["\x1b[?25h\x1b[?1049l"]);
  });

  it("no line is longer than the terminal, and no more of them than it has", () => {
    const { written, at } = screen(true, 60, 6);
    at(0, FIRST);
    const lines = (written[0] ?? "")
      .replaceAll(new RegExp(`${String.fromCharCode(27)}\\[[?0-9]*[a-zA-Z]`, "g"), "")
      .split("\n");
    expect(lines.length).toBe(6);
    expect(Math.max(...lines.map((l) => l.length))).toBe(60);
  });

  it("where time stands still nothing is drawn", () => {
    const { written, at } = screen(true);
    at(0, FIRST);
    at(600, FIRST);
    expect(written.length).toBe(1);
  });

  it("elsewhere nothing at all is drawn, and no report asked for", () => {
    const { written, view } = screen(false);
    view.look(() => {
      throw new Error("asked for");
    });
    view.close();
    expect(written).toEqual([]);
  });
});
