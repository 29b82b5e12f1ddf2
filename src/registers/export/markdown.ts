/** The register tables of a part's documentation page. */
import type { Declaration, Register } from "../declare.ts";
import { accessText, bitsText, byOffset, fieldsFromTop, nameText, offsetText, resetText } from "./common.ts";

/** A cell: bars and line ends would break the table. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;").replace(/\s+/g, " ");
}

function row(...cells: string[]): string {
  return `| ${cells.map(cell).join(" | ")} |`;
}

function table(head: string[], rows: string[]): string[] {
  return [row(...head), `|${head.map(() => "---").join("|")}|`, ...rows];
}

function sizesText(sizes: readonly number[]): string {
  return sizes.map((s) => 8 * s).join(", ");
}

/** Remarks that the table has no column for. */
function remarks(r: Register): string {
  const parts: string[] = [];
  if (r.sizes !== undefined) parts.push(`accesses of ${sizesText(r.sizes)} bits`);
  if (r.banked !== undefined) parts.push(r.banked === (r.count ?? 1) ? "one a CPU" : `the first ${r.banked} one a CPU`);
  if (r.unimplemented !== undefined) parts.push(`not modelled: ${r.unimplemented}`);
  return parts.length === 0 ? "" : ` (${parts.join("; ")})`;
}

function valuesText(values: { readonly [value: number]: string } | undefined): string {
  const list = Object.entries(values ?? {}).map(([value, text]) => `${value}: ${text}`);
  return list.length === 0 ? "" : `; ${list.join(", ")}`;
}

function plain(r: Register): boolean {
  const fields = Object.values(r.fields);
  const only = fields[0];
  const whole = only?.low === 0 && only.high === (r.width ?? 32) - 1;
  return fields.length === 0 || (fields.length === 1 && whole && !only.values && !only.unimplemented);
}

/** Registers by offset, then the fields of each register that has more than one. */
export function registersMarkdown(declaration: Declaration): string {
  const { name, title, manual, size, sizes } = declaration;
  const registers = byOffset(declaration.registers);
  const lines = [
    `### ${name} registers`,
    "",
    `${title}, ${manual}. Frame of ${size} bytes; accesses of ${sizesText(sizes)} bits unless noted.`,
    "",
    ...table(
      ["Offset", "Register", "Access", "Reset", "Title", "Clause"],
      registers.map(([registerName, r]) =>
        row(
          offsetText(r),
          `\`${nameText(registerName, r)}\``,
          accessText(r),
          r.resets === undefined ? resetText(r) : `${resetText(r, 0)}, ...`,
          `${r.title}${remarks(r)}`,
          r.clause,
        ),
      ),
    ),
    "",
  ];
  for (const [registerName, r] of registers) {
    if (plain(r)) continue;
    lines.push(`\`${registerName}\`:`, "");
    lines.push(
      ...table(
        ["Bits", "Field", "Access", "Reset", "Meaning"],
        fieldsFromTop(r).map(([fieldName, f]) => {
          const left = f.unimplemented === undefined ? "" : ` (not modelled: ${f.unimplemented})`;
          const reset = `0x${f.reset.toString(16)}`;
          return row(
            bitsText(f),
            `\`${fieldName}\``,
            f.access.toUpperCase(),
            reset,
            `${f.title}${valuesText(f.values)}${left}`,
          );
        }),
      ),
      "",
    );
  }
  return lines.join("\n");
}

const START = "<!-- registers -->";
const END = "<!-- /registers -->";

/** `page` with the section between its two marks filled anew. Throws where a mark is missing. */
export function fillRegisterSection(page: string, declarations: readonly Declaration[]): string {
  const start = page.indexOf(START);
  const end = page.indexOf(END);
  if (start < 0 || end < start) throw new Error(`expected ${START} and, behind it, ${END}`);
  const tables = declarations.map(registersMarkdown).join("\n");
  return `${page.slice(0, start + START.length)}\n\n${tables}\n${page.slice(end)}`;
}
