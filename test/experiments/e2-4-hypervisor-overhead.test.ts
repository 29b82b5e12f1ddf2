import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { conclude, findExperiment, plan } from "../../src/experiments/index.ts";
import { runTasks } from "../../src/host/experiments/pool.ts";

const experiment = findExperiment("E2-4");
const image = (name: string): [string, Uint8Array] => {
  const path = fileURLToPath(new URL(`../../firmware/images/${name}`, import.meta.url));
  return [name, readFileSync(path)];
};
const images = new Map(["hypervisor.elf", "vm-work.elf"].map(image));

/** `set` with a short load. */
function study(set: readonly string[] = []) {
  return plan(experiment, { set: ["calls=200", ...set] });
}

describe("E2-4: instructions of the hypervisor against the guests', one to four guests", () => {
  const short = study();
  const results = short.tasks.map((t) => experiment.run(t.settings, t.parameters, t.seed, images).measures);
  const at = (name: string) => {
    const found = results[short.tasks.findIndex((t) => t.configuration === name)];
    if (found === undefined) throw new Error(`no run "${name}"`);
    return found;
  };
  const report = conclude(
    short,
    results.map((measures) => ({ measures })),
  );
  const point = (id: string) => report.variants[0]?.outcomes.find((o) => o.point === id);

  it("the ratio is that of the two counts, and hardly depends on the number of guests", () => {
    const ratios = [1, 2, 3, 4].map((n) => {
      const m = at(`firmware, ${n} ${n === 1 ? "guest" : "guests"}`);
      expect(m["ratio"]).toBeCloseTo((100 * (m["hypervisor"] as number)) / (m["guest"] as number), 9);
      return m["ratio"] as number;
    });
    expect(Math.max(...ratios) / Math.min(...ratios)).toBeLessThan(1.3);
    // 200 calls of 40 rounds of 132 instructions
    expect(at("firmware, 4 guests")["guest"]).toBeGreaterThan((4 * 200 * 40 * 132) / 1e6);
  });

  it("firmware and model emulate the same accesses; the model has cycles and no instructions", () => {
    const model = at("model, 4 guests");
    const firmware = at("firmware, 4 guests");
    expect([model["uart"], model["timer"]]).toEqual([firmware["uart"], firmware["timer"]]);
    expect(model["uart"]).toBeGreaterThan(100);
    expect(model["ratio"]).toBeUndefined();
    expect(model["cycleRatio"]).toBeGreaterThan(1);
  });

  it("the log that was fitted to 9.78 % is not counted; the plain one is", () => {
    expect(point("fitted")).toMatchObject({ verdict: "fitted", fittedBy: ["fittedLog"] });
    expect(point("ratio")?.fittedBy).toEqual([]);
    expect(point("ratio")?.about.paper).toBe("9.78 %");
  });

  it("four times the log, more of the hypervisor", () => {
    const [few, many] = ["log=100", "log=25"].map((set) => {
      const s = study([set]);
      const task = s.tasks.find((t) => t.configuration === "firmware, 1 guest");
      return task && experiment.run(task.settings, task.parameters, 1, images).measures["ratio"];
    });
    expect(many).toBeGreaterThan(1.3 * (few as number));
  });

  it("in threads, which read the images themselves, the same numbers", async () => {
    const tasks = short.tasks.filter((t) => t.settings["guests"] === 1);
    const threads = await runTasks(tasks, 2);
    expect(threads.map((r) => r.measures)).toEqual(tasks.map((t) => at(t.configuration)));
  });

  it("without the images it says which one is missing", () => {
    const [task] = short.tasks;
    expect(() => experiment.run(task?.settings ?? {}, task?.parameters ?? {}, 1)).toThrow("hypervisor.elf");
  });
});
