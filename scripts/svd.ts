/** Writes a CMSIS-SVD file for each part into a directory: `node scripts/svd.ts DIR`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PARTS } from "../src/devices/registry.ts";
import { registersSvd } from "../src/registers/export/index.ts";

const directory = process.argv[2];
if (directory === undefined) {
  console.error("usage: node scripts/svd.ts DIR");
  process.exit(2);
}
mkdirSync(directory, { recursive: true });
for (const declaration of PARTS.flatMap((p) => p.declarations)) {
  writeFileSync(join(directory, `${declaration.name.toLowerCase()}.svd`), registersSvd(declaration));
}
