/** ELF executables (System V ABI, chapters 4 and 5; AArch64 supplement): what a loader needs of them, checked. */
import { Parser } from "binary-parser";
import { InputError } from "./input-error.ts";

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const EM_AARCH64 = 183;
const PT_LOAD = 1;
const ET_EXEC = 2;
const ET_DYN = 3;
const SHT_SYMTAB = 2;

const header = new Parser()
  .endianness("little")
  .uint32("magic")
  .uint8("class")
  .uint8("data")
  .uint8("version")
  .seek(9)
  .uint16("type")
  .uint16("machine")
  .seek(4)
  .uint64("entry")
  .uint64("programHeadersAt")
  .uint64("sectionHeadersAt")
  .seek(4)
  .uint16("headerBytes")
  .uint16("programHeaderBytes")
  .uint16("programHeaders")
  .uint16("sectionHeaderBytes")
  .uint16("sectionHeaders");

const programHeader = new Parser()
  .endianness("little")
  .uint32("type")
  .uint32("flags")
  .uint64("offset")
  .uint64("virtual")
  .uint64("physical")
  .uint64("fileBytes")
  .uint64("memoryBytes")
  .uint64("align");

const sectionHeader = new Parser()
  .endianness("little")
  .uint32("name")
  .uint32("type")
  .uint64("flags")
  .uint64("address")
  .uint64("offset")
  .uint64("bytes")
  .uint32("link")
  .uint32("info")
  .uint64("align")
  .uint64("entryBytes");

export interface ElfSegment {
  /** Physical address. */
  readonly address: number;
  /** Bytes from the file; the rest up to `memoryBytes` is zero. */
  readonly data: Uint8Array;
  readonly memoryBytes: number;
}

export interface ElfSymbol {
  readonly name: string;
  readonly address: number;
  readonly bytes: number;
}

export interface Elf {
  readonly entry: number;
  readonly segments: readonly ElfSegment[];
  readonly symbols: readonly ElfSymbol[];
}

export function isElf(file: Uint8Array): boolean {
  return file.length >= 4 && file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;
}

/** Reads a 64-bit little-endian AArch64 executable. Throws InputError, naming `where`, for anything else. */
export function parseElf(file: Uint8Array, where: string): Elf {
  const wrong = (what: string): never => {
    throw new InputError(`${where}: ${what}`);
  };
  if (!isElf(file)) wrong("not an ELF file (no 0x7f 'ELF' at its start)");
  if (file.length < HEADER_BYTES) wrong(`cut off: ${file.length} bytes, an ELF header has ${HEADER_BYTES}`);
  const h = header.parse(file);
  if (h.class !== 2) wrong("a 32-bit ELF file; expected a 64-bit one");
  if (h.data !== 1) wrong("a big-endian ELF file; expected a little-endian one");
  if (h.machine !== EM_AARCH64) wrong(`made for machine ${h.machine}; expected AArch64 (${EM_AARCH64})`);
  if (h.type !== ET_EXEC && h.type !== ET_DYN) wrong(`ELF type ${h.type}; expected an executable (2)`);
  if (h.programHeaders === 0 || h.programHeaderBytes !== PROGRAM_HEADER_BYTES) wrong("no program headers to load");
  const number = (n: bigint): number => {
    if (n > BigInt(Number.MAX_SAFE_INTEGER)) wrong(`0x${n.toString(16)}: an address or size beyond 2^53`);
    return Number(n);
  };
  const within = (what: string, offset: number, bytes: number) => {
    if (offset + bytes > file.length)
      wrong(`cut off: ${what} ends at byte ${offset + bytes}, the file has ${file.length}`);
  };
  const tableAt = number(h.programHeadersAt);
  within("the program header table", tableAt, h.programHeaders * PROGRAM_HEADER_BYTES);
  const segments: ElfSegment[] = [];
  for (let i = 0; i < h.programHeaders; i++) {
    const p = programHeader.parse(file.subarray(tableAt + i * PROGRAM_HEADER_BYTES));
    if (p.type !== PT_LOAD || p.memoryBytes === 0n) continue;
    const offset = number(p.offset);
    const fileBytes = number(p.fileBytes);
    const memoryBytes = number(p.memoryBytes);
    const address = number(p.physical);
    if (fileBytes > memoryBytes)
      wrong(`segment ${i} has more bytes in the file (${fileBytes}) than in memory (${memoryBytes})`);
    within(`segment ${i}`, offset, fileBytes);
    for (const [j, other] of segments.entries()) {
      if (address < other.address + other.memoryBytes && other.address < address + memoryBytes) {
        wrong(`segments ${j} and ${i} overlap at 0x${Math.max(address, other.address).toString(16)}`);
      }
    }
    segments.push({ address, data: file.subarray(offset, offset + fileBytes), memoryBytes });
  }
  if (segments.length === 0) wrong("no segment to load");
  return { entry: number(h.entry), segments, symbols: symbolsOf(file, h, number) };
}

/** Function and object symbols by address; empty where the file has none or their tables are cut off. */
function symbolsOf(file: Uint8Array, h: ReturnType<typeof header.parse>, number: (n: bigint) => number): ElfSymbol[] {
  const tableAt = number(h.sectionHeadersAt);
  if (h.sectionHeaderBytes !== 64 || tableAt === 0 || tableAt + h.sectionHeaders * 64 > file.length) return [];
  const sections = Array.from({ length: h.sectionHeaders }, (_, i) =>
    sectionHeader.parse(file.subarray(tableAt + i * 64)),
  );
  const table = sections.find((s) => s.type === SHT_SYMTAB);
  const names = table ? sections[table.link] : undefined;
  if (!table || !names) return [];
  const at = number(table.offset);
  const bytes = number(table.bytes);
  const namesAt = number(names.offset);
  if (at + bytes > file.length || namesAt + number(names.bytes) > file.length) return [];
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const symbols: ElfSymbol[] = [];
  for (let s = at; s + 24 <= at + bytes; s += 24) {
    const kind = view.getUint8(s + 4) & 15;
    if (kind > 2 || view.getUint16(s + 6, true) === 0) continue;
    const nameAt = namesAt + view.getUint32(s, true);
    let end = nameAt;
    while (end < file.length && file[end] !== 0) end++;
    const name = new TextDecoder().decode(file.subarray(nameAt, end));
    if (name === "" || name.startsWith("$")) continue;
    symbols.push({
      name,
      address: Number(view.getBigUint64(s + 8, true)),
      bytes: Number(view.getBigUint64(s + 16, true)),
    });
  }
  return symbols.sort((a, b) => a.address - b.address);
}
