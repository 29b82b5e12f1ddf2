/**
 * Snapshot files: a header that says what machine it is of, the state by name as JSON, and the typed arrays in it as one block of
 * bytes, compressed. Layout, all numbers little-endian:
 *
 *     "ARMSNAP\0"  u32 format  u32 header bytes  header (JSON)  body
 *
 * The header names the codec of the body and a check of its bytes; the body is u32 JSON bytes, the JSON, and the arrays.
 */
import { InputError } from "../formats/index.ts";
import { type SimulationState, StateHash, type StateValue, type TypedData } from "../sim/index.ts";

const MAGIC = "ARMSNAP\0";
const FORMAT = 1;
const PREFIX_BYTES = 16;

/** A way to compress: the host brings what it has. */
export interface Codec {
  readonly name: string;
  compress(data: Uint8Array): Uint8Array;
  decompress(data: Uint8Array, bytes: number): Uint8Array;
}

export const PLAIN: Codec = { name: "none", compress: (data) => data, decompress: (data) => data };

/** What the snapshot is of; it must be equal where it is restored. */
export type SnapshotMachine = { readonly [option: string]: string | number | boolean };

export interface Snapshot {
  readonly machine: SnapshotMachine;
  /** Command-line words that make such a machine. */
  readonly options: readonly string[];
  readonly state: SimulationState;
  /** Input that had come but not reached the guest yet, by character device. */
  readonly input: { readonly [device: string]: Uint8Array };
  /** A debugger had stopped the machine in the middle of a slice: input waits until it is through. */
  readonly midway: boolean;
}

interface Header {
  readonly machine: SnapshotMachine;
  readonly options: readonly string[];
  readonly codec: string;
  readonly bytes: number;
  readonly check: string;
}

const ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f64: Float64Array,
} as const;
type ArrayName = keyof typeof ARRAYS;

function nameOfArray(value: TypedData): ArrayName {
  for (const [name, type] of Object.entries(ARRAYS)) if (value instanceof type) return name as ArrayName;
  throw new Error("a typed array that snapshots do not know");
}

export function encodeSnapshot(snapshot: Snapshot, codec: Codec = PLAIN): Uint8Array {
  const { machine, options, state, input, midway } = snapshot;
  const arrays: TypedData[] = [];
  let arrayBytes = 0;
  const json = JSON.stringify({ state, input, midway }, (_key, value: unknown) => {
    if (!ArrayBuffer.isView(value)) return value;
    const data = value as TypedData;
    const at = arrayBytes;
    arrays.push(data);
    arrayBytes += (data.byteLength + 7) & ~7;
    return { $: nameOfArray(data), at, n: data.length };
  });
  const text = new TextEncoder().encode(json);
  const textBytes = (text.length + 4 + 7) & ~7;
  const body = new Uint8Array(textBytes + arrayBytes);
  new DataView(body.buffer).setUint32(0, text.length, true);
  body.set(text, 4);
  let at = textBytes;
  for (const data of arrays) {
    body.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += (data.byteLength + 7) & ~7;
  }
  const packed = codec.compress(body);
  const about = { machine, options, codec: codec.name, bytes: body.length };
  const header: Header = { ...about, check: checkOf(about, packed) };
  // Blanks, so that the body lies at a multiple of eight.
  const headerJson = JSON.stringify(header);
  const headerText = new TextEncoder().encode(headerJson + " ".repeat(8));
  const headerBytes = headerText.length & ~7;
  const file = new Uint8Array(PREFIX_BYTES + headerBytes + packed.length);
  file.set(new TextEncoder().encode(MAGIC));
  const view = new DataView(file.buffer);
  view.setUint32(8, FORMAT, true);
  view.setUint32(12, headerBytes, true);
  file.set(headerText.subarray(0, headerBytes), PREFIX_BYTES);
  file.set(packed, PREFIX_BYTES + headerBytes);
  return file;
}

/** What a snapshot file says of its machine. Throws InputError, naming `where`, for anything that is no snapshot. */
export function readSnapshotHeader(file: Uint8Array, where: string): Pick<Snapshot, "machine" | "options"> {
  const { machine, options } = readHeader(file, where).header;
  return { machine, options };
}

/** Reads a snapshot file. Throws InputError, naming `where`, for a file that is damaged or needs a codec not given. */
export function decodeSnapshot(file: Uint8Array, where: string, codecs: readonly Codec[] = [PLAIN]): Snapshot {
  const { header, bodyAt } = readHeader(file, where);
  const wrong = (what: string): never => {
    throw new InputError(`${where}: ${what}`);
  };
  const packed = file.subarray(bodyAt);
  if (checkOf(header, packed) !== header.check) wrong("damaged: its contents do not match the check in its header");
  const codec = codecs.find((c) => c.name === header.codec);
  if (!codec) return wrong(`compressed with "${header.codec}"; this host has ${codecs.map((c) => c.name).join(", ")}`);
  try {
    const unpacked = codec.decompress(packed, header.bytes);
    // What Node gives is a Buffer, whose slice is no copy.
    const body = new Uint8Array(unpacked.buffer, unpacked.byteOffset, unpacked.length);
    return { machine: header.machine, options: header.options, ...readBody(body) };
  } catch (error) {
    return wrong(`damaged: its contents cannot be read (${error instanceof Error ? error.message : String(error)})`);
  }
}

function readBody(body: Uint8Array): Pick<Snapshot, "state" | "input" | "midway"> {
  const textLength = new DataView(body.buffer, body.byteOffset, body.byteLength).getUint32(0, true);
  const arraysAt = (textLength + 4 + 7) & ~7;
  const text = new TextDecoder().decode(body.subarray(4, 4 + textLength));
  return JSON.parse(text, (_key, value: StateValue) => {
    if (value === null || typeof value !== "object") return value;
    const { $: name, at, n } = value as { $?: ArrayName; at?: number; n?: number };
    if (name === undefined || at === undefined || n === undefined) return value;
    const type = ARRAYS[name];
    const from = arraysAt + at;
    const bytes = n * type.BYTES_PER_ELEMENT;
    if (from + bytes > body.length) throw new Error("an array lies outside");
    // RAM is large: it is looked at where it lies, and copied only if it lies badly.
    if ((body.byteOffset + from) % 8 === 0) return new type(body.buffer as ArrayBuffer, body.byteOffset + from, n);
    return new type(body.slice(from, from + bytes).buffer);
  }) as Pick<Snapshot, "state" | "input" | "midway">;
}

function readHeader(file: Uint8Array, where: string): { header: Header; bodyAt: number } {
  const wrong = (what: string): never => {
    throw new InputError(`${where}: ${what}`);
  };
  if (file.length < PREFIX_BYTES || new TextDecoder().decode(file.subarray(0, 8)) !== MAGIC) {
    wrong("not an Armature snapshot (it does not start with ARMSNAP)");
  }
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const format = view.getUint32(8, true);
  if (format !== FORMAT) wrong(`snapshot format ${format}; this version reads ${FORMAT}`);
  const bodyAt = PREFIX_BYTES + view.getUint32(12, true);
  if (bodyAt > file.length) wrong(`cut off: its header ends at byte ${bodyAt}, the file has ${file.length}`);
  try {
    const header = JSON.parse(new TextDecoder().decode(file.subarray(PREFIX_BYTES, bodyAt))) as Header;
    const { machine, options, codec, bytes, check } = header;
    const whole =
      typeof machine === "object" && machine !== null && Array.isArray(options) && Number.isSafeInteger(bytes);
    if (whole && typeof codec === "string" && typeof check === "string") return { header, bodyAt };
  } catch {
    // As below.
  }
  return wrong("damaged: its header cannot be read");
}

function checkOf({ machine, options, codec, bytes }: Omit<Header, "check">, data: Uint8Array): string {
  const whole = data.byteOffset % 4 === 0 ? data : new Uint8Array(data);
  const hash = new StateHash()
    .text(JSON.stringify([machine, options, codec, bytes]))
    .words(new Int32Array(whole.buffer, whole.byteOffset, whole.length >> 2));
  for (const b of data.subarray(data.length & ~3)) hash.word(b);
  return hash.word(data.length).digest();
}

/**
 * Where `file`'s machine is not the one here: "4 cpus; here 1". Null where they are the same. Both ways: what one has and the other lacks
 * differs too.
 */
export function machineDifference(theirs: SnapshotMachine, ours: SnapshotMachine): string | null {
  for (const name of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    if (theirs[name] !== ours[name]) return `${name}: ${theirs[name] ?? "none"}; here ${ours[name] ?? "none"}`;
  }
  return null;
}
