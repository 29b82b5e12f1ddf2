import { describe, expect, it } from "vitest";
import { type Experiment, findExperiment, type Measured, type Values } from "../../src/experiments/index.ts";

function defaults(experiment: Experiment, changed: Values): Values {
  return { ...Object.fromEntries(experiment.parameters.map((p) => [p.name, p.value])), ...changed };
}

function run(id: string, names: readonly string[], changed: Values): Map<string, Measured> {
  const experiment = findExperiment(id);
  const parameters = defaults(experiment, changed);
  const all = experiment.configurations(parameters);
  return new Map(
    names.map((name) => {
      const settings = all.find((c) => c.name === name)?.settings;
      expect(settings, name).toBeDefined();
      return [name, experiment.run(settings as Values, parameters, 1)];
    }),
  );
}

describe("E7-1", () => {
  it("boost takes a ping beside six burners from over 10 ms to below 1 ms", () => {
    const results = run("E7-1", ["credit, six burners", "without boost, six burners"], { duration: 2 });
    expect(results.get("credit, six burners")?.measures["p50"]).toBeLessThan(1);
    expect(results.get("without boost, six burners")?.measures["p50"]).toBeGreaterThan(10);
  });

  it("event channels looked at from the lowest port starve the high ones; in turn they are equal", () => {
    const results = run("E7-1", ["credit, six streams", "lowest port first, six streams"], { duration: 0.3 });
    const ports = (name: string) => results.get(name)?.curves?.["ports"]?.y ?? [];
    const fair = ports("credit, six streams");
    const unfair = ports("lowest port first, six streams");
    expect(Math.max(...fair) / Math.min(...fair)).toBeLessThan(1.1);
    expect(unfair[0]).toBeGreaterThan(2 * (unfair[5] as number));
  });

  it("the configurations are the product of policies and mixes, each outcome names a point", () => {
    const experiment = findExperiment("E7-1");
    const parameters = defaults(experiment, { duration: 0.2, guests: 2 });
    const configurations = experiment.configurations(parameters);
    expect(new Set(configurations.map((c) => c.name)).size).toBe(21);
    // one policy stands for all: what is looked at is the evaluation
    const byMix = new Map<string, Measured>();
    const results = new Map<string, Measured>();
    for (const c of configurations) {
      const mix = String(c.settings["mix"]);
      const one = byMix.get(mix) ?? experiment.run(c.settings, parameters, 1);
      byMix.set(mix, one);
      results.set(c.name, one);
    }
    expect(experiment.outcomes(results, parameters).map((o) => o.point)).toEqual(experiment.points.map((p) => p.id));
    expect(experiment.plots(results, parameters).length).toBeGreaterThan(2);
  });
});

describe("E7-4", () => {
  it("credit loses bandwidth with seven hogs, adjustable credit keeps 90 % of it", () => {
    const names = ["credit, 0 hogs", "credit, 7 hogs", "adjustable-credit, 7 hogs"];
    const results = run("E7-4", names, { duration: 0.4 });
    const [alone, credit, adjustable] = names.map((n) => results.get(n)?.measures["bandwidth"] as number);
    // line rate without gap, preamble and check sequence: 81,274 frames of 1,514 bytes
    expect(alone).toBeCloseTo(984.4, 0);
    expect(credit).toBeLessThan(0.6 * (alone as number));
    expect(adjustable).toBeGreaterThan(0.9 * (alone as number));
  });
});
