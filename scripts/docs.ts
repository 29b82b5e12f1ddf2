/**
 * Fills the register tables of the pages in docs/devices from the declarations. `npm run docs` writes them; with `--check` it
 * writes nothing and fails where a page is not up to date.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { PARTS } from "../src/devices/registry.ts";
import { fillRegisterSection } from "../src/registers/export/index.ts";

const check = process.argv.includes("--check");
let stale = 0;
for (const { name, declarations } of PARTS) {
  const file = new URL(`../docs/devices/${name}.md`, import.meta.url);
  if (!existsSync(file)) {
    console.error(`docs/devices/${name}.md: missing`);
    stale++;
    continue;
  }
  const page = readFileSync(file, "utf8");
  const filled = fillRegisterSection(page, declarations);
  if (filled === page) continue;
  if (check) {
    console.error(`docs/devices/${name}.md: not up to date; run npm run docs`);
    stale++;
  } else {
    writeFileSync(file, filled);
    console.log(`docs/devices/${name}.md: written`);
  }
}
process.exitCode = stale > 0 ? 1 : 0;
