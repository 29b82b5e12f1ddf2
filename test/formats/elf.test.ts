import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError, isElf, parseArm64Image, parseElf } from "../../src/formats/index.ts";
import { check } from "../support/soak.ts";

/** A small AArch64 executable with the given (physical address, file bytes, memory bytes) segments. */
function elf(segments: [number, number, number][], patch: [number, number[]][] = []): Uint8Array {
  const data = segments.reduce((n, [, bytes]) => n + bytes, 0);
  const file = new Uint8Array(64 + 56 * segments.length + data);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 183, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, 0x40001000n, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, segments.length, true);
  let offset = 64 + 56 * segments.length;
  segments.forEach(([address, bytes, memory], i) => {
    const at = 64 + 56 * i;
    view.setUint32(at, 1, true);
    view.setBigUint64(at + 8, BigInt(offset), true);
    view.setBigUint64(at + 16, BigInt(address), true);
    view.setBigUint64(at + 24, BigInt(address), true);
    view.setBigUint64(at + 32, BigInt(bytes), true);
    view.setBigUint64(at + 40, BigInt(memory), true);
    file.fill(i + 1, offset, offset + bytes);
    offset += bytes;
  });
  for (const [at, bytes] of patch) file.set(bytes, at);
  return file;
}

describe("ELF executables", () => {
  it("gives entry and segments with their zero-filled tail", () => {
    const parsed = parseElf(elf([[0x40001000, 8, 32]]), "a.elf");
    expect(parsed.entry).toBe(0x40001000);
    expect(parsed.segments).toEqual([{ address: 0x40001000, data: new Uint8Array(8).fill(1), memoryBytes: 32 }]);
  });

  const good = elf([[0x40001000, 8, 32]]);
  const cases: [string, Uint8Array, string][] = [
    [
      "text",
      new TextEncoder().encode("hello, world, this is no program at all, but a text of some length!"),
      "not an ELF file",
    ],
    ["cut in the header", good.subarray(0, 40), "cut off: 40 bytes, an ELF header has 64"],
    [
      "cut in the program headers",
      good.subarray(0, 80),
      "cut off: the program header table ends at byte 120, the file has 80",
    ],
    ["cut in a segment", good.subarray(0, good.length - 3), "cut off: segment 0 ends at byte 128, the file has 125"],
    ["of x86-64", elf([[0, 4, 4]], [[18, [62, 0]]]), "made for machine 62; expected AArch64 (183)"],
    ["of 32 bits", elf([[0, 4, 4]], [[4, [1]]]), "a 32-bit ELF file; expected a 64-bit one"],
    ["big-endian", elf([[0, 4, 4]], [[5, [2]]]), "a big-endian ELF file; expected a little-endian one"],
    ["a relocatable object", elf([[0, 4, 4]], [[16, [1, 0]]]), "ELF type 1; expected an executable (2)"],
    [
      "with overlapping segments",
      elf([
        [0x1000, 8, 32],
        [0x1010, 4, 4],
      ]),
      "segments 0 and 1 overlap at 0x1010",
    ],
    [
      "with more file than memory",
      elf([[0x1000, 8, 4]]),
      "segment 0 has more bytes in the file (8) than in memory (4)",
    ],
    ["without segments", elf([]), "no program headers to load"],
  ];
  it.each(cases)("refuses a file that is %s", (_, file, message) => {
    expect(() => parseElf(file, "bad.elf")).toThrow(InputError);
    expect(() => parseElf(file, "bad.elf")).toThrow(`bad.elf: ${message}`);
  });

  it("property: a damaged file gives an executable or an InputError", () => {
    check(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (damage) => {
          const bad = good.slice();
          for (const [at, value] of damage) bad[at] = value;
          try {
            parseElf(bad, "bad.elf");
          } catch (error) {
            expect(error).toBeInstanceOf(InputError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("knows an ELF file by its first four bytes", () => {
    expect(isElf(good)).toBe(true);
    expect(isElf(new Uint8Array([0x7f, 0x45]))).toBe(false);
  });
});

describe("arm64 boot images (Linux booting.rst)", () => {
  function image(textOffset: bigint, bytes: bigint, magic = 0x644d5241): Uint8Array {
    const file = new Uint8Array(64);
    const view = new DataView(file.buffer);
    view.setBigUint64(8, textOffset, true);
    view.setBigUint64(16, bytes, true);
    view.setUint32(56, magic, true);
    return file;
  }
  it("reads text_offset and image_size", () => {
    expect(parseArm64Image(image(0n, 0x2010000n))).toEqual({ textOffset: 0, imageBytes: 0x2010000 });
  });
  it("assumes text_offset 0x80000 where image_size is zero", () => {
    expect(parseArm64Image(image(0x1234n, 0n))).toEqual({ textOffset: 0x80000, imageBytes: 0 });
  });
  it("is null for other files", () => {
    expect(parseArm64Image(image(0n, 1n, 0))).toBeNull();
    expect(parseArm64Image(new Uint8Array(10))).toBeNull();
  });
});
