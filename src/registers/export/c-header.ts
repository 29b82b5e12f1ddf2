/** A C header of a part's registers, and a C file that checks it at compile time. */
import { type Declaration, elements, type Field, type Register, strideOf, wordsOf } from "../declare.ts";
import { bitsText, byOffset, cType, hex, maskText, readable, resetText, writable } from "./common.ts";

/** "GICD_" for macros; nothing where the manual's names carry the part's name already. */
function prefixed(declaration: Declaration, name: string): string {
  const prefix = macroName(declaration.name);
  return name.toUpperCase().startsWith(`${prefix}_`) ? name : `${prefix}_${name}`;
}

function macroName(name: string): string {
  return name.toUpperCase().replace(/\W/g, "_");
}

/** Name of the struct: "pl011_regs". */
export function structName(declaration: Declaration): string {
  return `${declaration.name.toLowerCase().replace(/\W/g, "_")}_regs`;
}

function comment(text: string): string {
  return `/* ${text.replaceAll("*/", "* /")} */`;
}

function suffix(register: Register): string {
  return wordsOf(register) === 2 ? "ULL" : "U";
}

function fieldLines(declaration: Declaration, name: string, register: Register): string[] {
  return Object.entries(register.fields).flatMap(([fieldName, f]) => {
    const macro = `${prefixed(declaration, name)}_${fieldName}`;
    const values = Object.entries(f.values ?? {}).map(([value, text]) => comment(`  ${value}: ${text}`));
    return [
      comment(`[${bitsText(f)}] ${f.access.toUpperCase()}: ${f.title}`),
      ...values,
      `#define ${macro}_SHIFT ${f.low}`,
      `#define ${macro}_MASK ${maskText(register, (g) => g === f)}${suffix(register)}`,
    ];
  });
}

function registerLines(declaration: Declaration, name: string, register: Register): string[] {
  const macro = prefixed(declaration, name);
  const lines = [comment(`${register.title}, ${register.clause}`), `#define ${macro}_OFFSET ${hex(register.at)}U`];
  if ((register.count ?? 1) > 1) {
    lines.push(`#define ${macro}_COUNT ${register.count}`, `#define ${macro}_STRIDE ${strideOf(register)}`);
  }
  const uniform = register.resets === undefined;
  if (uniform && readable(register)) lines.push(`#define ${macro}_RESET ${resetText(register)}${suffix(register)}`);
  return [...lines, ...fieldLines(declaration, name, register), ""];
}

interface Member {
  readonly offset: number;
  readonly bytes: number;
  readonly text: string;
  /** As C names it in `offsetof`. */
  readonly path: string;
}

/** Arrays without gaps are members of array type; others are one member an element. */
function members(declaration: Declaration): Member[] {
  const out: Member[] = [];
  for (const [name, register] of byOffset(declaration.registers)) {
    const { type, bytes, parts } = cType(register, declaration.sizes);
    const count = register.count ?? 1;
    const qualifier = writable(register) ? "volatile" : "const volatile";
    const inner = parts > 1 ? `[${parts}]` : "";
    const size = bytes * parts;
    if (count > 1 && strideOf(register) === size) {
      const text = `${qualifier} ${type} ${name}[${count}]${inner};`;
      out.push({ offset: register.at, bytes: size * count, text, path: name });
      continue;
    }
    for (const { index, offset } of elements(register)) {
      const own = count > 1 ? `${name}_${index}` : name;
      out.push({ offset, bytes: size, text: `${qualifier} ${type} ${own}${inner};`, path: own });
    }
  }
  return out.sort((a, b) => a.offset - b.offset);
}

function structLines(declaration: Declaration): string[] {
  const lines = [`struct ${structName(declaration)} {`];
  let at = 0;
  const pad = (to: number) => {
    if (to > at) lines.push(`  uint8_t reserved_${at.toString(16)}[${hex(to - at, 1)}];`);
  };
  for (const m of members(declaration)) {
    pad(m.offset);
    lines.push(`  ${m.text} /* ${hex(m.offset)} */`);
    at = m.offset + m.bytes;
  }
  pad(declaration.size);
  return [...lines, "};"];
}

/**
 * A C header, C99 or later: for each register its offset (of the first element of an array, with count and stride), reset
 * value, and for each field shift and mask in place; and a struct that lies over the frame.
 */
export function registersHeader(declaration: Declaration): string {
  const guard = `${macroName(declaration.name)}_REGS_H`;
  return [
    comment(
      `${declaration.name}: ${declaration.title}. Registers after ${declaration.manual}. Generated; do not edit.`,
    ),
    `#ifndef ${guard}`,
    `#define ${guard}`,
    "",
    "#include <stdint.h>",
    "",
    ...byOffset(declaration.registers).flatMap(([name, r]) => registerLines(declaration, name, r)),
    comment("Registers and arrays lie where the macros say; arrays with gaps have one member an element."),
    ...structLines(declaration),
    "",
    `#endif`,
    "",
  ].join("\n");
}

/** A C11 or C++ file that includes `header` and fails to compile where an offset, mask or size in it is wrong. */
export function registersHeaderTest(declaration: Declaration, header: string): string {
  const struct = structName(declaration);
  const check = (condition: string, what: string) => `static_assert(${condition}, "${what}");`;
  const lines: string[] = [check(`sizeof(struct ${struct}) == ${hex(declaration.size)}`, "size of the frame")];
  for (const m of members(declaration)) {
    lines.push(check(`offsetof(struct ${struct}, ${m.path}) == ${hex(m.offset)}`, m.path));
  }
  for (const [name, register] of byOffset(declaration.registers)) {
    const macro = prefixed(declaration, name);
    lines.push(check(`${macro}_OFFSET == ${hex(register.at)}`, `${name} offset`));
    const { bytes, parts } = cType(register, declaration.sizes);
    const gapless = strideOf(register) === bytes * parts;
    for (const { index, offset } of elements(register)) {
      if ((register.count ?? 1) === 1) continue;
      lines.push(check(`${macro}_OFFSET + ${index} * ${macro}_STRIDE == ${hex(offset)}`, `${name}[${index}]`));
      if (!gapless || index === 0) continue;
      lines.push(check(`offsetof(struct ${struct}, ${name}[${index}]) == ${hex(offset)}`, `${name}[${index}]`));
    }
    for (const [fieldName, f] of Object.entries(register.fields))
      lines.push(...fieldChecks(macro, fieldName, f, check));
    const masks = Object.keys(register.fields).map((fieldName) => `${macro}_${fieldName}_MASK`);
    if (masks.length > 1) {
      lines.push(check(`(${masks.join(" | ")}) == (${masks.join(" + ")})`, `${name}: no two fields share a bit`));
    }
  }
  return [
    comment(`Checks ${header} at compile time. Generated; do not edit.`),
    "#include <assert.h>",
    "#include <stddef.h>",
    `#include "${header}"`,
    "",
    ...lines,
    "",
  ].join("\n");
}

function fieldChecks(macro: string, name: string, f: Field, check: (c: string, what: string) => string): string[] {
  const width = f.high - f.low + 1;
  const ones = width === 64 ? "0xffffffffffffffffULL" : `((1ULL << ${width}) - 1)`;
  return [
    check(`${macro}_${name}_SHIFT == ${f.low}`, `${name} shift`),
    check(`${macro}_${name}_MASK == (${ones} << ${f.low})`, `${name} mask`),
  ];
}
