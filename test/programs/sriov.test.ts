import { describe, expect, it } from "vitest";
import { SriovSystem } from "../../src/guests/sriov.ts";
import { MS } from "../../src/sim/index.ts";

describe("82576 virtual functions driven by guest programs", () => {
  it("four VMs on two ports take and send back every packet at line rate", () => {
    const s = new SriovSystem({ ports: 2, functions: 2, cpus: 4, echo: true });
    const { packets, offered, echoed, perDomain } = s.run(20 * MS);
    expect(offered).toBeGreaterThan(3200); // 2 x 81,274 a second
    expect(Math.abs(packets - offered)).toBeLessThan(64); // those under way when measuring began and ended
    expect(echoed).toBe(packets);
    for (const n of perDomain) expect(Math.abs(n - packets / 4)).toBeLessThan(30);
  });

  it("interrupts keep to their throttling interval", () => {
    const s = new SriovSystem({ ports: 1, functions: 1, cpus: 1 });
    const { packets, injections } = s.run(20 * MS);
    expect(packets).toBeGreaterThan(1550);
    expect(injections).toBeGreaterThan(150);
    expect(injections).toBeLessThanOrEqual(161); // 20 ms / 125 us
  });

  it("the same run gives the same numbers", () => {
    const run = () => new SriovSystem({ ports: 1, functions: 2, cpus: 2 }).run(5 * MS);
    expect(run()).toEqual(run());
  });

  it("refuses more ports and functions than there are interrupts for", () => {
    expect(() => new SriovSystem({ ports: 11, functions: 1 })).toThrow("11 ports: expected 1 to 10");
    expect(() => new SriovSystem({ ports: 1, functions: 7 })).toThrow("7 functions a port: expected 1 to 6");
  });
});
