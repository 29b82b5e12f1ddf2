import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { conclude, findExperiment, plan, type StudyReport } from "../../src/experiments/index.ts";
import { listExperiments, runExperiment } from "../../src/host/experiments/verb.ts";

function run(id: string, ...set: string[]): StudyReport {
  const experiment = findExperiment(id);
  const study = plan(experiment, { set });
  return conclude(
    study,
    study.tasks.map((t) => experiment.run(t.settings, t.parameters, t.seed)),
  );
}

function measure(report: StudyReport, configuration: string, name: string): number {
  return report.variants[0]?.rows.find((r) => r.configuration === configuration)?.result.measures[name] ?? Number.NaN;
}

describe("E7-2, theft by sleeping at ticks", () => {
  const report = run("E7-2");

  it("tick-sampled debit: the rogue has 94 to 95.5 %; exact debit: 49 to 51 %", () => {
    expect(measure(report, "tick-sampled debit", "rogue")).toBeGreaterThan(94);
    expect(measure(report, "tick-sampled debit", "rogue")).toBeLessThan(95.5);
    expect(Math.abs(measure(report, "exact debit", "rogue") - 50)).toBeLessThan(1);
  });

  it("a rogue that no tick has ever seen keeps 95 % under exact debit: it is never among those that earn", () => {
    expect(measure(report, "exact debit, rogue never seen by a tick", "rogue")).toBeCloseTo(95, 0);
  });

  it("all three points are reproduced", () => {
    expect(report.variants[0]?.outcomes.map((o) => o.verdict)).toEqual(["reproduced", "reproduced", "reproduced"]);
  });
});

describe("E7-3, rate limit", () => {
  const report = run("E7-3", "duration=2");

  it("1 ms saves 20 to 40 % of the switches at peak, and few at low load", () => {
    const ratio = (load: string): number =>
      measure(report, `1 ms, ${load}`, "switches") / measure(report, `no limit, ${load}`, "switches");
    expect(ratio("peak")).toBeGreaterThan(0.6);
    expect(ratio("peak")).toBeLessThan(0.8);
    expect(ratio("low")).toBeGreaterThan(0.95);
  });

  it("one guest against a hog waits at most 1 ms a wake", () => {
    const longest = measure(report, "1 ms, one guest and one hog", "longest");
    expect(longest).toBeGreaterThan(0.9);
    expect(longest).toBeLessThanOrEqual(1);
  });

  it("the point that the packets' interval was fitted to is not counted; speed is not reproduced, and says so", () => {
    const verdicts = Object.fromEntries((report.variants[0]?.outcomes ?? []).map((o) => [o.point, o.verdict]));
    expect(verdicts).toMatchObject({ switches: "fitted", performance: "not reproduced", floor: "reproduced" });
  });
});

describe("armature experiment", () => {
  async function files(jobs: string): Promise<Record<string, string>> {
    const out = mkdtempSync(join(tmpdir(), "armature-experiment-"));
    try {
      const options = { set: ["duration=1"], sweep: ["run=5,9"], seed: "3", out, jobs };
      const table = await runExperiment("e7-2", options);
      const found = readdirSync(out).sort();
      return { table, ...Object.fromEntries(found.map((f) => [f, readFileSync(join(out, f), "utf8")])) };
    } finally {
      rmSync(out, { recursive: true });
    }
  }

  it("same seed, same bytes, in one thread and in two, the page with its plots too", async () => {
    const one = await files("1");
    expect(Object.keys(one)).toEqual(["table", "E7-2.csv", "E7-2.html", "E7-2.json"]);
    expect(await files("2")).toEqual(one);
  });

  it("the page stands alone, names each parameter's source and how to get it again", async () => {
    const page = (await files("1"))["E7-2.html"] ?? "";
    expect(page.match(/<svg/g)?.length).toBe(6);
    expect(page).not.toMatch(/<script|<link|src=|@import|href="http/);
    expect(page).toContain("assumed: the rogue's timer fires just after the tick");
    expect(page).toContain("armature experiment run E7-2 --set duration=1 --sweep run=5,9 --seed 3");
  });

  it("lists experiments and one's parameters; what the user got wrong is said in a line", async () => {
    expect(listExperiments()).toMatch(/^E7-2 +Theft by sleeping at ticks$/m);
    expect(listExperiments("E7-3")).toMatch(/interval=1\.3 .*\(fitted to switches\)/);
    const none = { set: [], sweep: [] };
    await expect(runExperiment("E9", none)).rejects.toThrow('experiment "E9": expected one of');
    await expect(runExperiment("E7-2", { ...none, jobs: "0" })).rejects.toThrow(
      "--jobs 0: expected a whole number from 1 up",
    );
    await expect(runExperiment("E7-2", { ...none, out: "/proc/none" })).rejects.toThrow(
      "--out /proc/none: cannot be made",
    );
  });
});
