import { describe, expect, it } from "vitest";
import {
  conclude,
  EXPERIMENTS,
  type Experiment,
  findExperiment,
  type Measured,
  plan,
  toCsv,
  toJson,
  toTable,
} from "../../src/experiments/index.ts";

/** y = slope * x + offset, against a paper that says 6. */
const LINE: Experiment = {
  id: "T-1",
  title: "A line",
  question: "What is y?",
  publications: ["a paper"],
  parameters: [
    { name: "slope", value: 2, unit: "", source: "fitted", fitted: "six" },
    { name: "offset", value: 0, unit: "ms", source: "assumed", minimum: 0, maximum: 10 },
    { name: "mode", value: "plain", unit: "", source: "assumed", choices: ["plain", "odd"] },
  ],
  points: [
    { id: "six", title: "y at 3", class: "N", standing: "found", paper: "6", source: "the paper" },
    { id: "up", title: "y rises", class: "R", standing: "recalled", paper: "it does", source: "memory" },
  ],
  measures: [{ name: "y", title: "y, of x", unit: "ms", digits: 1 }],
  configurations: () => [1, 3].map((x) => ({ name: `x ${x}`, settings: { x } })),
  run: (settings, parameters) => ({
    measures: { y: Number(settings["x"]) * Number(parameters["slope"]) + Number(parameters["offset"]) },
  }),
  outcomes: (results) => {
    const y = (x: number): number => results.get(`x ${x}`)?.measures["y"] ?? Number.NaN;
    return [
      { point: "six", simulated: String(y(3)), holds: y(3) === 6 },
      { point: "up", simulated: "it does", holds: y(3) > y(1) },
    ];
  },
  plots: () => [],
};

function run(options: Parameters<typeof plan>[1]) {
  const study = plan(LINE, options);
  const results: Measured[] = study.tasks.map((t) => LINE.run(t.settings, t.parameters, t.seed));
  return conclude(study, results);
}

describe("a study", () => {
  it("a point to which a parameter was fitted is marked and not counted as reproduced", () => {
    expect(run({}).variants[0]?.outcomes.map((o) => [o.verdict, o.fittedBy])).toEqual([
      ["fitted", ["slope"]],
      ["reproduced", []],
    ]);
    expect(toTable(run({}))).toContain("fitted (slope), not counted");
  });

  it("a fitted parameter set by hand counts again, either way", () => {
    expect(run({ set: ["slope=2"] }).variants[0]?.outcomes[0]?.verdict).toBe("reproduced");
    expect(run({ set: ["slope=3"] }).variants[0]?.outcomes[0]?.verdict).toBe("not reproduced");
  });

  it("sweeps multiply, in the order given, and draw each measure over the first", () => {
    const report = run({ sweep: ["offset=1,2", "slope=2,4"] });
    expect(report.variants.map((v) => v.swept)).toEqual([
      { offset: 1, slope: 2 },
      { offset: 1, slope: 4 },
      { offset: 2, slope: 2 },
      { offset: 2, slope: 4 },
    ]);
    expect(report.plots).toHaveLength(1);
    expect(report.plots[0]).toMatchObject({ x: "offset (ms)", y: "y, of x (ms)" });
    expect(report.plots[0]?.series).toContainEqual({
      name: "x 3, slope=4",
      data: [
        [1, 13],
        [2, 14],
      ],
    });
  });

  it.each([
    [{ set: ["slop=1"] }, 'T-1 has no parameter "slop": expected one of slope, offset, mode'],
    [{ set: ["offset"] }, "--set offset: expected name=value"],
    [{ set: ["offset=11"] }, "offset=11: expected a number from 0 to 10 (ms)"],
    [{ set: ["offset="] }, "offset=: expected a number"],
    [{ set: ["mode=even"] }, "mode=even: expected one of plain, odd"],
    [{ sweep: ["offset=1,1"] }, "a value is given twice"],
    [{ set: ["offset=1"], sweep: ["offset=1,2"] }, "offset is given twice"],
    [{ seed: -1 }, "seed -1"],
  ])("refuses %o and says why", (options, message) => {
    expect(() => plan(LINE, options)).toThrow(message);
  });

  it("CSV quotes what RFC 4180 wants quoted and has a line a run", () => {
    expect(toCsv(run({ sweep: ["offset=0.5"] }))).toBe(
      'offset,configuration,"y, of x (ms)"\r\n0.5,x 1,2.5\r\n0.5,x 3,6.5\r\n',
    );
  });

  it("JSON holds parameters with their sources, runs and verdicts", () => {
    expect(JSON.parse(toJson(run({ set: ["offset=1"] })))).toMatchObject({
      experiment: "T-1",
      seed: 1,
      parameters: [{ fitted: "six" }, { name: "offset", changed: true }, {}],
      variants: [{ runs: [{ measures: { y: 3 } }, {}], outcomes: [{ verdict: "fitted" }, {}] }],
    });
  });
});

describe("all experiments", () => {
  it("have ids of their own, found in upper and lower case", () => {
    expect(new Set(EXPERIMENTS.map((e) => e.id.toLowerCase())).size).toBe(EXPERIMENTS.length);
    expect(findExperiment("e7-2").id).toBe("E7-2");
    expect(() => findExperiment("E0-0")).toThrow('experiment "E0-0": expected one of E2-');
  });

  it.each(EXPERIMENTS.map((e) => [e.id, e] as const))(
    "%s: every value has a source, nothing recalled is a number to hit",
    (_, e) => {
      for (const p of e.parameters) expect(p.source).not.toBe("");
      for (const p of e.points) if (p.standing === "recalled") expect(p.class).not.toBe("N");
      const points = e.points.map((p) => p.id);
      for (const p of e.parameters) if (p.fitted !== undefined) expect(points).toContain(p.fitted);
      const names = e.configurations(Object.fromEntries(e.parameters.map((p) => [p.name, p.value]))).map((c) => c.name);
      expect(new Set(names).size).toBe(names.length);
    },
  );
});
