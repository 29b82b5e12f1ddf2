/** Writes the C headers of all parts, with a C file that checks each, into a directory: `node scripts/headers.ts DIR`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PARTS } from "../src/devices/registry.ts";
import { registersHeader, registersHeaderTest } from "../src/registers/export/index.ts";

const directory = process.argv[2];
if (directory === undefined) {
  console.error("usage: node scripts/headers.ts DIR");
  process.exit(2);
}
mkdirSync(directory, { recursive: true });
for (const declaration of PARTS.flatMap((p) => p.declarations)) {
  const stem = declaration.name.toLowerCase();
  writeFileSync(join(directory, `${stem}.h`), registersHeader(declaration));
  writeFileSync(join(directory, `${stem}-test.c`), registersHeaderTest(declaration, `${stem}.h`));
}
