/**
 * Generic tests for any device with declared registers. A test file builds its device in a factory and calls
 *
 *     describeDeclaration("PL011", buildPl011, { exempt: { UARTDR: { rules: ["widths"], reason: "..." } } });
 *     fuzzDevice("PL011", buildPl011);
 *
 * The factory belongs in `test/devices/<part>/device.ts`, in a record `devices` by name, where `npm run fuzz` finds it:
 *
 *     export const buildPl011: DeviceFactory = (simulation) => {
 *       const module = new Pl011(simulation, "uart0");
 *       return {
 *         module,
 *         targets: [{ name: "registers", target: module.registers, size: 0x1000 }],
 *         stimulate: (random) => module.receive(random.below(256)),
 *       };
 *     };
 *     export const devices = { pl011: buildPl011 };
 */
import { describe, expect, it } from "vitest";
import { seeds } from "../support/soak.ts";
import { Bench, type DeviceFactory } from "./harness/bench.ts";
import { type FuzzOptions, runFuzz } from "./harness/fuzz.ts";
import { RULES, type Rule, type RuleName, registersUnderTest } from "./harness/rules.ts";

export { Bench, type DeviceFactory, type DeviceUnderTest, type TargetUnderTest } from "./harness/bench.ts";
export { FuzzFailure, type FuzzOptions, type FuzzResult, runFuzz } from "./harness/fuzz.ts";
export type { RuleName } from "./harness/rules.ts";

/** Why a rule does not hold for one register: the clause that says otherwise. */
export interface Exemption {
  readonly rules: readonly RuleName[];
  readonly reason: string;
}

export interface DeclarationOptions {
  /** Tests this target only; all targets with a declaration unless given. */
  readonly target?: string;
  /** By register name. An exemption that no longer makes a difference fails. */
  readonly exempt?: { readonly [register: string]: Exemption };
}

/** One test a rule: each register of the device keeps it, at power-on and after use. */
export function describeDeclaration(title: string, factory: DeviceFactory, options: DeclarationOptions = {}): void {
  const exempt = options.exempt ?? {};
  describe(`${title}: what its declaration promises`, () => {
    for (const [rule, { title: promise, check }] of Object.entries(RULES) as [RuleName, Rule][]) {
      it(promise, () => {
        const violations: string[] = [];
        const needless: string[] = [];
        const bench = new Bench(factory);
        const registers = registersUnderTest(bench, options.target);
        for (const under of registers) {
          bench.reset();
          const found = check(bench, under);
          if (!exempt[under.name]?.rules.includes(rule)) violations.push(...found);
          else if (found.length === 0) needless.push(`${under.name}: keeps the rule, needs no exemption`);
        }
        expect(registers.length).toBeGreaterThan(0);
        expect(violations).toEqual([]);
        expect(needless).toEqual([]);
      });
    }

    it("exempts only registers that exist, each with a reason", () => {
      const names = new Set(registersUnderTest(new Bench(factory), options.target).map((r) => r.name));
      const bad = Object.entries(exempt).filter(([name, e]) => !names.has(name) || e.reason.length < 12);
      expect(bad).toEqual([]);
    });
  });
}

/** Random accesses with time running; see `runFuzz` for what must hold. 100,000 accesses unless the options say otherwise. */
export function fuzzDevice(title: string, factory: DeviceFactory, options: FuzzOptions = {}): void {
  const accesses = options.accesses ?? 100_000;
  describe(`${title}: ${accesses} random accesses of every width`, () => {
    it("end without exception, hang or undeclared state, twice alike, and alike after save and load", () => {
      for (const seed of seeds([options.seed ?? 1])) {
        const result = runFuzz(factory, { ...options, seed });
        expect(result.accesses).toBe(accesses);
        expect(result.hash).toMatch(/^[0-9a-f]{16}$/);
      }
    });
  });
}
