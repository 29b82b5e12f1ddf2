/**
 * CMSIS-SVD, schema 1.3 (the System View Description of Open-CMSIS-Pack). What it cannot say is left out: banking by CPU, access
 * sizes smaller than a register, the manual's clause (it is in the description).
 */
import { type Declaration, elements, type Field, type Register, strideOf, wordsOf } from "../declare.ts";
import { byOffset, hex, maskText, readable, resetText, writable } from "./common.ts";

export interface SvdPeripheral {
  /** Name of the instance: "uart0". */
  readonly name: string;
  readonly declaration: Declaration;
  readonly baseAddress: number;
  readonly interrupts?: readonly { readonly name: string; readonly value: number }[];
}

export interface SvdDevice {
  readonly name: string;
  readonly description: string;
  readonly version?: string;
  readonly peripherals: readonly SvdPeripheral[];
}

/** An element with its children indented, or with text. */
function element(name: string, content: string | readonly string[]): string[] {
  if (typeof content === "string") return [`<${name}>${xmlText(content)}</${name}>`];
  return [`<${name}>`, ...content.map((line) => `  ${line}`), `</${name}>`];
}

function xmlText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** The schema's descriptions are Latin-1. */
function latin1(text: string): string {
  return text.replace(/[^\u0020-\u00ff]/g, "?");
}

function access(r: boolean, w: boolean): string[] {
  return element("access", r && w ? "read-write" : w ? "write-only" : "read-only");
}

function valueElements(f: Field): string[] {
  const taken = new Set<string>();
  const entries = Object.entries(f.values ?? {}).map(([value, text]) => {
    let name = text
      .replace(/\W+/g, "_")
      .replace(/^_+|_+$/g, "")
      .slice(0, 40);
    if (name === "" || taken.has(name)) name = `${name}_${value}`;
    taken.add(name);
    return element("enumeratedValue", [
      ...element("name", name),
      ...element("description", latin1(text) || name),
      ...element("value", value),
    ]);
  });
  return entries.length === 0 ? [] : element("enumeratedValues", entries.flat());
}

function fieldElement(name: string, f: Field): string[] {
  const kind = f.access;
  return element("field", [
    ...element("name", name),
    ...element("description", latin1(f.title) || name),
    ...element("lsb", `${f.low}`),
    ...element("msb", `${f.high}`),
    ...access(kind !== "wo", kind !== "ro" && kind !== "rc"),
    ...(kind === "w1c" ? element("modifiedWriteValues", "oneToClear") : []),
    ...(kind === "w1s" ? element("modifiedWriteValues", "oneToSet") : []),
    ...(kind === "rc" ? element("readAction", "clear") : []),
    ...valueElements(f),
  ]);
}

function registerElement(name: string, r: Register, offset: number, index: number, array: string[]): string[] {
  const fields = Object.entries(r.fields).filter(([, f]) => f.access !== "reserved");
  return element("register", [
    ...array,
    ...element("name", name),
    ...element("description", latin1(`${r.title}, ${r.clause}`)),
    ...element("addressOffset", hex(offset)),
    ...element("size", `${32 * wordsOf(r)}`),
    ...access(readable(r) || !writable(r), writable(r)),
    ...element("resetValue", resetText(r, index)),
    ...element(
      "resetMask",
      maskText(r, (f) => f.access !== "wo" && f.access !== "reserved"),
    ),
    ...(fields.length === 0
      ? []
      : element(
          "fields",
          fields.flatMap(([fieldName, f]) => fieldElement(fieldName, f)),
        )),
  ]);
}

/** Arrays with gaps are lists (NAME_%s); elements that reset differently are registers of their own. */
function registerElements(name: string, r: Register): string[] {
  const count = r.count ?? 1;
  if (count === 1) return registerElement(name, r, r.at, 0, []);
  if (r.resets !== undefined) {
    return elements(r).flatMap(({ index, offset }) => registerElement(`${name}_${index}`, r, offset, index, []));
  }
  const stride = strideOf(r);
  const array = [...element("dim", `${count}`), ...element("dimIncrement", `${stride}`)];
  return registerElement(stride === 4 * wordsOf(r) ? `${name}[%s]` : `${name}_%s`, r, r.at, 0, array);
}

function peripheralElement(p: SvdPeripheral): string[] {
  const { declaration: d } = p;
  return element("peripheral", [
    ...element("name", p.name),
    ...element("description", latin1(`${d.title} (${d.manual})`)),
    ...element("groupName", d.name),
    ...element("baseAddress", hex(p.baseAddress, 8)),
    ...element("addressBlock", [
      ...element("offset", "0x0"),
      ...element("size", hex(d.size, 1)),
      ...element("usage", "registers"),
    ]),
    ...(p.interrupts ?? []).flatMap((i) =>
      element("interrupt", [...element("name", i.name), ...element("value", `${i.value}`)]),
    ),
    ...element(
      "registers",
      byOffset(d.registers).flatMap(([name, r]) => registerElements(name, r)),
    ),
  ]);
}

/** A whole system's description. */
export function deviceSvd(device: SvdDevice): string {
  const body = [
    ...element("name", device.name),
    ...element("version", device.version ?? "1.0"),
    ...element("description", latin1(device.description)),
    ...element("addressUnitBits", "8"),
    ...element("width", "32"),
    ...element("size", "32"),
    ...element("peripherals", device.peripherals.flatMap(peripheralElement)),
  ];
  return [
    '<?xml version="1.0" encoding="utf-8"?>',
    '<device schemaVersion="1.3" xmlns:xs="http://www.w3.org/2001/XMLSchema-instance" xs:noNamespaceSchemaLocation="CMSIS-SVD.xsd">',
    ...body.map((line) => `  ${line}`),
    "</device>",
    "",
  ].join("\n");
}

/** One part alone, at address 0 unless another is given. */
export function registersSvd(declaration: Declaration, baseAddress = 0): string {
  const name = declaration.name.replace(/\W/g, "_");
  return deviceSvd({
    name,
    description: `${declaration.title} (${declaration.manual})`,
    peripherals: [{ name, declaration, baseAddress }],
  });
}
