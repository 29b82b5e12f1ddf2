/** The register table for a terminal. */
import type { Declaration } from "../declare.ts";
import { accessText, bitsText, byOffset, fieldsFromTop, nameText, offsetText, resetText } from "./common.ts";

/** All registers of a part with their fields, one line each. */
export function registersText(declaration: Declaration): string {
  const rows: string[][] = [];
  for (const [name, r] of byOffset(declaration.registers)) {
    const title = r.unimplemented === undefined ? r.title : `${r.title} (not modelled: ${r.unimplemented})`;
    rows.push([offsetText(r), nameText(name, r), accessText(r), resetText(r), `${title}, ${r.clause}`]);
    for (const [fieldName, f] of fieldsFromTop(r)) {
      const meaning = f.unimplemented === undefined ? f.title : `${f.title} (not modelled: ${f.unimplemented})`;
      rows.push(["", `  ${bitsText(f)} ${fieldName}`, f.access.toUpperCase(), `0x${f.reset.toString(16)}`, meaning]);
      for (const [value, text] of Object.entries(f.values ?? {})) rows.push(["", "", "", `  ${value}`, text]);
    }
  }
  const head = ["offset", "register", "access", "reset", "meaning"];
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map((row) => (row[i] as string).length)));
  const line = (row: string[]) => row.map((cell, i) => (i === 4 ? cell : cell.padEnd(widths[i] as number))).join("  ");
  const sizes = declaration.sizes.map((s) => 8 * s).join(", ");
  const lines = [
    `${declaration.name}: ${declaration.title}`,
    `${declaration.manual}; frame of ${declaration.size} bytes; accesses of ${sizes} bits`,
    "",
    line(head),
    ...rows.map(line),
  ];
  return `${lines.map((l) => l.trimEnd()).join("\n")}\n`;
}
