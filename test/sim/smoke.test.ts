import { describe, expect, it } from "vitest";
import { Module, NS, Simulation, wait } from "../../src/sim/index.ts";

describe("kernel smoke", () => {
  it("runs", () => {
    const sim = new Simulation();
    const top = new Module(sim, "top");
    const log: string[] = [];
    const e = top.event("e");
    top.method("m", () => log.push(`m ${sim.now}`), { sensitive: [e] });
    top.thread("t", function* () {
      for (let i = 0; i < 3; i++) {
        yield wait(10 * NS);
        e.notify(0);
        log.push(`t ${sim.now}`);
      }
    });
    expect(sim.run()).toBe("starved");
    expect(log).toEqual(["m 0", "t 100", "m 100", "t 200", "m 200", "t 300", "m 300"]);
  });
});
