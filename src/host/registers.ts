/** `armature regs`: the exporters of register declarations, by part and format. */
import { VIRT_PARTS } from "../../platform/virt/board.ts";
import { intid } from "../../platform/virt/exports.ts";
import { findPart, PARTS, type RegisteredPart } from "../devices/registry.ts";
import { InputError } from "../formats/index.ts";
import {
  deviceSvd,
  registersHeader,
  registersHeaderTest,
  registersMarkdown,
  registersText,
} from "../registers/export/index.ts";
import type { Declaration } from "../registers/index.ts";

export type RegisterFormat = "table" | "header" | "test" | "svd" | "markdown";

/** One line a part: name, declarations, manual. */
export function deviceNames(): string {
  const width = Math.max(...PARTS.map((p) => p.name.length));
  return PARTS.map((p) => {
    const frames = p.declarations.map((d) => `${d.name}: ${d.title} (${d.manual})`);
    return `${p.name.padEnd(width)}  ${frames.join("; ")}\n`;
  }).join("");
}

/** The part in the format asked for. Throws InputError naming the parts there are. */
export function describeDevice(name: string, format: RegisterFormat): string {
  const part = findPart(name);
  if (part === null) {
    throw new InputError(`regs: "${name}": expected ${PARTS.map((p) => p.name).join(", ")}`);
  }
  const each = (f: (d: Declaration) => string) => part.declarations.map(f).join("\n");
  switch (format) {
    case "header":
      return each(registersHeader);
    case "test":
      return each((d) => registersHeaderTest(d, `${d.name.toLowerCase()}.h`));
    case "markdown":
      return each(registersMarkdown);
    case "svd":
      return svd(part);
    case "table":
      return each(registersText);
  }
}

/** Kind of a board part that has a declaration's registers. */
const KINDS: { readonly [declaration: string]: string } = {
  GICD: "gicv2-distributor",
  GICC: "gicv2-cpu-interface",
};

/** The part as it sits on the board: its first instance's name, address and interrupts. */
function svd(part: RegisteredPart): string {
  return deviceSvd({
    name: part.name,
    description: part.declarations.map((d) => `${d.title}, ${d.manual}`).join("; "),
    peripherals: part.declarations.map((declaration) => {
      const kind = KINDS[declaration.name] ?? part.name;
      const onBoard = VIRT_PARTS.find((p) => p.kind === kind);
      return {
        name: onBoard?.name ?? declaration.name,
        declaration,
        baseAddress: onBoard?.base ?? 0,
        interrupts: (onBoard?.interrupts ?? []).map((i) => ({ name: `${onBoard?.name}_${i.line}`, value: intid(i) })),
      };
    }),
  });
}
