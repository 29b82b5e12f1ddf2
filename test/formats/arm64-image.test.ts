import { describe, expect, it } from "vitest";
import { notArm64Code, parseArm64Image } from "../../src/formats/index.ts";

/** A header as Documentation/arch/arm64/booting.rst describes it. */
function header(textOffset: bigint, imageBytes: bigint): Uint8Array {
  const file = new Uint8Array(128);
  const view = new DataView(file.buffer);
  view.setUint32(0, 0xfa405a4d, true); // "MZ": ccmp x18, #0, #0xd, pl
  view.setBigUint64(8, textOffset, true);
  view.setBigUint64(16, imageBytes, true);
  view.setUint32(56, 0x644d5241, true); // "ARM\x64"
  return file;
}
const at = (offset: number, ...bytes: number[]) => {
  const file = new Uint8Array(1024).fill(0xd5);
  file.set(bytes, offset);
  return file;
};

describe("arm64 Linux images (booting.rst)", () => {
  it("give where they go and how much memory they need", () => {
    expect(parseArm64Image(header(0n, 0x2000000n))).toEqual({ textOffset: 0, imageBytes: 0x2000000 });
    expect(parseArm64Image(header(0x1234n, 0n))).toEqual({ textOffset: 0x80000, imageBytes: 0 });
  });
  it("are not files without the magic number, or shorter than the header", () => {
    expect(parseArm64Image(at(0))).toBe(null);
    expect(parseArm64Image(header(0n, 1n).subarray(0, 63))).toBe(null);
  });
});

describe("files that are no A64 code", () => {
  it.each([
    ["an x86 Linux kernel", at(0x202, 0x48, 0x64, 0x72, 0x53)],
    ["a 32-bit Arm Linux kernel", at(0x24, 0x18, 0x28, 0x6f, 0x01)],
    ["uImage", at(0, 0x27, 0x05, 0x19, 0x56)],
    ["a cpio archive", at(0, 0x30, 0x37, 0x30, 0x37, 0x30, 0x31)],
    ["xz", at(0, 0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)],
    ["zstd", at(0, 0x28, 0xb5, 0x2f, 0xfd)],
    ["a script", at(0, 0x23, 0x21, 0x2f, 0x62)],
    ["EFI", at(0, 0x4d, 0x5a, 0x90, 0x10)],
    ["nothing that begins with", Uint8Array.from([0x7f, 0x00, 0x00, 0x01])],
  ])("%s", (what, file) => {
    expect(notArm64Code(file)).toContain(what);
  });
  it("a flat binary is taken: it begins with an instruction", () => {
    const mrs = [0xa0, 0x00, 0x38, 0xd5]; // mrs x0, mpidr_el1
    const nop = [0x1f, 0x20, 0x03, 0xd5];
    const branch = [0x01, 0x00, 0x00, 0x14];
    for (const word of [mrs, nop, branch]) expect(notArm64Code(Uint8Array.from(word))).toBe(null);
  });
});
