import { describe, expect, it } from "vitest";
import { COSTS, costTable } from "../../src/hypervisor/costs.ts";

describe("cost table", () => {
  it("numbers that studies give are those of the studies", () => {
    const published = {
      exitEntry: 2000,
      emulation: 7800 - 2000,
      fastEmulation: 3000 - 2000,
      receiveDriverDomain: 13.4,
      receiveGuest: 7.1,
      receiveDriverDomainLro: 3.3,
      receiveGuestLro: 5.9,
    };
    expect(costTable()).toMatchObject(published);
    const found = Object.entries(COSTS).flatMap(([name, cost]) => (cost.assumed ? [] : [name]));
    expect(found.sort()).toEqual(Object.keys(published).sort());
  });

  it("every number says where it is from, and is a cost", () => {
    for (const [name, cost] of Object.entries(COSTS)) {
      expect(cost.source.length, name).toBeGreaterThan(5);
      expect(cost.value, name).toBeGreaterThan(0);
    }
  });

  it("replaces numbers; refuses unknown names and what is no cost", () => {
    expect(costTable({ exitEntry: 1 }).exitEntry).toBe(1);
    expect(() => costTable({ exitEntry: -1 })).toThrow("cost exitEntry: -1");
    expect(() => costTable({ exitEntry: Number.NaN })).toThrow("expected a number");
    expect(() => costTable({ ["x" as "exitEntry"]: 1 })).toThrow('cost "x": expected one of exitEntry');
  });
});
