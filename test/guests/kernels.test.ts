/** Thirteen bare-metal CPU programs: each check value depends on every instruction being right. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { machines, ROOT, requireGuest } from "./support/machines.ts";

/** Columns of kernels-reference.txt: name, and check values at 100, 10 and 1 percent of the work. */
const reference = new Map(
  readFileSync(join(ROOT, "firmware/guests/kernels-reference.txt"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(" ") as [string, string, string, string])
    .map(([name, full, tenth, hundredth]) => [name, { 100: full, 10: tenth, 1: hundredth }]),
);
const FLOATING_POINT = ["matmul", "fpmix", "simd"];

for (const machine of machines) {
  for (const el2 of [false, true]) {
    describe(`CPU programs on ${machine.name} at ${el2 ? "EL2" : "EL1"}`, { retry: machine.retry }, () => {
      for (const [image, names] of [
        ["kernels-integer-1", [...reference.keys()].filter((n) => n !== "TOTAL" && !FLOATING_POINT.includes(n))],
        ["kernels-bare-1", [...reference.keys()]],
      ] as const) {
        it(`${image} meets every check value`, async () => {
          await using session = machine.start(
            ["-m", "256M", "-nographic", "-no-reboot", "-kernel", requireGuest(`${image}.bin`)],
            el2 ? ",virtualization=on" : "",
          );
          session.closeInput();
          await session.expect("KERNELS-DONE", 150);
          const seen = [...session.output.matchAll(/^K (\S+) check=([0-9a-f]{16}) /gm)].map((m) => [m[1], m[2]]);
          for (const name of names) expect(Object.fromEntries(seen)).toHaveProperty(name, reference.get(name)?.[1]);
          expect(await session.exit(30)).toBe(0);
        });
      }
    });
  }
}
