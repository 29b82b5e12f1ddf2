/**
 * Flattened device trees (Devicetree Specification 0.4, chapter 5; format version 17): a tree as data, its blob, and back.
 */
import { InputError } from "./input-error.ts";

/** A property: cells (32-bit, big-endian in the blob), a string, a list of strings, bytes, or `true` for an empty one. */
export type FdtValue = readonly number[] | string | readonly string[] | Uint8Array | true;

export interface FdtNode {
  readonly name: string;
  readonly properties: { readonly [name: string]: FdtValue };
  readonly children: readonly FdtNode[];
}

/** A tree whose property values are bytes, as read from a blob. */
export interface RawNode {
  name: string;
  properties: Map<string, Uint8Array>;
  children: RawNode[];
}

const MAGIC = 0xd00dfeed;
const HEADER_BYTES = 40;
const BEGIN_NODE = 1;
const END_NODE = 2;
const PROPERTY = 3;
const NOP = 4;
const END = 9;

/** The two cells of a 64-bit number. */
export function cells64(value: number): [number, number] {
  return [Math.floor(value / 2 ** 32), value % 2 ** 32];
}

export function encodeValue(value: FdtValue): Uint8Array {
  if (value === true) return new Uint8Array(0);
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return text(`${value}\0`);
  const list = value as readonly (number | string)[];
  if (list.length > 0 && typeof list[0] === "string") return text(list.map((s) => `${s}\0`).join(""));
  const bytes = new Uint8Array(list.length * 4);
  const view = new DataView(bytes.buffer);
  list.forEach((cell, i) => {
    view.setUint32(4 * i, cell as number);
  });
  return bytes;
}

export function toRaw(node: FdtNode): RawNode {
  return {
    name: node.name,
    properties: new Map(Object.entries(node.properties).map(([name, value]) => [name, encodeValue(value)])),
    children: node.children.map(toRaw),
  };
}

/** The blob of a tree, padded to `size` bytes where that is larger. */
export function encodeFdt(root: FdtNode | RawNode, size = 0): Uint8Array {
  const raw = root.properties instanceof Map ? (root as RawNode) : toRaw(root as FdtNode);
  const structure: number[] = [];
  const strings: number[] = [];
  const known = new Map<string, number>();
  const word = (w: number) => structure.push((w >>> 24) & 0xff, (w >>> 16) & 0xff, (w >>> 8) & 0xff, w & 0xff);
  const padded = (bytes: Uint8Array) => {
    for (const b of bytes) structure.push(b);
    while (structure.length % 4 !== 0) structure.push(0);
  };
  const nameAt = (name: string): number => {
    let at = known.get(name);
    if (at === undefined) {
      at = strings.length;
      known.set(name, at);
      strings.push(...text(`${name}\0`));
    }
    return at;
  };
  const visit = (node: RawNode) => {
    word(BEGIN_NODE);
    padded(text(`${node.name}\0`));
    for (const [name, value] of node.properties) {
      word(PROPERTY);
      word(value.length);
      word(nameAt(name));
      padded(value);
    }
    for (const child of node.children) visit(child);
    word(END_NODE);
  };
  visit(raw);
  word(END);
  const reserveAt = HEADER_BYTES;
  const structureAt = reserveAt + 16;
  const stringsAt = structureAt + structure.length;
  const total = Math.max(size, (stringsAt + strings.length + 3) & ~3);
  const blob = new Uint8Array(total);
  const view = new DataView(blob.buffer);
  const header = [MAGIC, total, structureAt, stringsAt, reserveAt, 17, 16, 0, strings.length, structure.length];
  header.forEach((w, i) => {
    view.setUint32(4 * i, w);
  });
  blob.set(structure, structureAt);
  blob.set(strings, stringsAt);
  return blob;
}

/** The tree in a blob. Throws InputError, naming `where`, for a blob that is cut off or malformed. */
export function parseFdt(blob: Uint8Array, where: string): RawNode {
  const wrong = (what: string): never => {
    throw new InputError(`${where}: ${what}`);
  };
  if (blob.length < HEADER_BYTES)
    wrong(`${blob.length} bytes; expected a device tree blob of at least ${HEADER_BYTES}`);
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const [magic, total, structureAt, stringsAt, , version, compatible, , stringBytes, structureBytes] = Array.from(
    { length: 10 },
    (_, i) => view.getUint32(4 * i),
  ) as [number, number, number, number, number, number, number, number, number, number];
  if (magic !== MAGIC) wrong(`starts with 0x${magic.toString(16)}; expected a device tree blob (0xd00dfeed)`);
  if (total > blob.length) wrong(`cut off: the header says ${total} bytes, the file has ${blob.length}`);
  if (version < 16 || compatible > 17) wrong(`format version ${version}; expected one compatible with 17`);
  const structureEnd = version >= 17 ? structureAt + structureBytes : total;
  if (structureAt % 4 !== 0 || structureEnd > total || stringsAt + stringBytes > total) {
    wrong("the header's offsets point outside the blob");
  }
  let at = structureAt;
  const word = (): number => {
    if (at + 4 > structureEnd) wrong(`structure block ends at offset ${at} inside a node`);
    at += 4;
    return view.getUint32(at - 4);
  };
  const zeroTerminated = (from: number, limit: number): string => {
    let end = from;
    while (end < limit && blob[end] !== 0) end++;
    if (end >= limit) wrong(`a name at offset ${from} has no end`);
    return new TextDecoder().decode(blob.subarray(from, end));
  };
  const node = (depth: number): RawNode => {
    if (depth > 64) wrong("nodes are nested more than 64 deep");
    const result: RawNode = { name: zeroTerminated(at, structureEnd), properties: new Map(), children: [] };
    at = (at + result.name.length + 4) & ~3;
    for (;;) {
      const token = word();
      if (token === END_NODE) return result;
      if (token === BEGIN_NODE) result.children.push(node(depth + 1));
      else if (token === PROPERTY) {
        const length = word();
        const nameAt = word();
        if (at + length > structureEnd) wrong(`a property at offset ${at - 12} is longer than the structure block`);
        result.properties.set(zeroTerminated(stringsAt + nameAt, total), blob.slice(at, at + length));
        at = (at + length + 3) & ~3;
      } else if (token !== NOP) wrong(`unknown token ${token} at offset ${at - 4}`);
    }
  };
  let token = word();
  while (token === NOP) token = word();
  if (token !== BEGIN_NODE) wrong(`no root node at offset ${structureAt}`);
  return node(0);
}

/** The node at a path like "/cpus/cpu@0", or null. */
export function findNode(root: RawNode, path: string): RawNode | null {
  let node: RawNode | undefined = root;
  for (const name of path.split("/").filter((s) => s !== "")) {
    node = node.children.find((c) => c.name === name);
    if (!node) return null;
  }
  return node;
}

/** The source text of a tree, in the form of `dtc -O dts`. */
export function printDts(root: RawNode): string {
  const lines: string[] = ["/dts-v1/;", ""];
  const visit = (node: RawNode, indent: string) => {
    lines.push(`${indent}${node.name === "" ? "/" : node.name} {`);
    for (const [name, value] of node.properties) lines.push(`${indent}\t${name}${printValue(value)};`);
    for (const child of node.children) {
      lines.push("");
      visit(child, `${indent}\t`);
    }
    lines.push(`${indent}};`);
  };
  visit(root, "");
  return `${lines.join("\n")}\n`;
}

const ESCAPES: { readonly [code: number]: string } = {
  0: "\\0",
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

function printValue(value: Uint8Array): string {
  if (value.length === 0) return "";
  const zeros = value.reduce((n, b) => n + (b === 0 ? 1 : 0), 0);
  const isText = value.every(
    (b) => (b >= 0x20 && b < 0x7f) || (b in ESCAPES && b !== 34 && b !== 92) || b === 34 || b === 92,
  );
  if (value[value.length - 1] === 0 && isText && zeros <= value.length - zeros) {
    const body = [...value.subarray(0, -1)].map((b) => ESCAPES[b] ?? String.fromCharCode(b)).join("");
    return ` = "${body}"`;
  }
  const hex = (n: number) => n.toString(16).padStart(2, "0");
  if (value.length % 4 === 0) {
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    const list = Array.from({ length: value.length / 4 }, (_, i) => `0x${hex(view.getUint32(4 * i))}`);
    return ` = <${list.join(" ")}>`;
  }
  return ` = [${[...value].map(hex).join(" ")}]`;
}

function text(s: string): Uint8Array {
  return new TextEncoder().encode(s);
}
