/** The arm64 Linux boot image header (Linux Documentation/arch/arm64/booting.rst, "Call the kernel image"). */
import { Parser } from "binary-parser";

const parser = new Parser()
  .endianness("little")
  .uint32("code0")
  .uint32("code1")
  .uint64("textOffset")
  .uint64("imageBytes")
  .uint64("flags")
  .seek(24)
  .uint32("magic");

export interface Arm64Image {
  /** Where in memory, from a 2 MiB boundary, the image wants to start. */
  readonly textOffset: number;
  /** Memory it needs from there on; 0 in kernels before 3.17. */
  readonly imageBytes: number;
}

/** The header's facts, or null where the file is no arm64 image. */
export function parseArm64Image(file: Uint8Array): Arm64Image | null {
  if (file.length < 64) return null;
  const h = parser.parse(file);
  if (h.magic !== 0x644d5241) return null;
  // Old kernels leave imageBytes 0; then textOffset is not reliable and 0x80000 is meant.
  const imageBytes = Number(h.imageBytes);
  return { textOffset: imageBytes === 0 ? 0x80000 : Number(h.textOffset), imageBytes };
}

/** Beginnings of files that people take for a kernel: offset, bytes, what it is. */
const OTHERS: readonly (readonly [number, readonly number[], string])[] = [
  [0x202, [0x48, 0x64, 0x72, 0x53], "an x86 Linux kernel (bzImage)"],
  [0x24, [0x18, 0x28, 0x6f, 0x01], "a 32-bit Arm Linux kernel (zImage)"],
  [0, [0x27, 0x05, 0x19, 0x56], "a U-Boot image (uImage): unpack it"],
  [0, [0xd0, 0x0d, 0xfe, 0xed], "a device tree or FIT image"],
  [0, [0x30, 0x37, 0x30, 0x37, 0x30], "a cpio archive: an initramfs belongs to -initrd"],
  [0, [0xfd, 0x37, 0x7a, 0x58, 0x5a], "compressed with xz: decompress it"],
  [0, [0x28, 0xb5, 0x2f, 0xfd], "compressed with zstd: decompress it"],
  [0, [0x42, 0x5a, 0x68], "compressed with bzip2: decompress it"],
  [0, [0x04, 0x22, 0x4d, 0x18], "compressed with lz4: decompress it"],
  [0, [0x02, 0x21, 0x4c, 0x18], "compressed with lz4: decompress it"],
  [0, [0x1f, 0x8b], "compressed with gzip twice: decompress it once"],
  [0, [0x23, 0x21], "a script"],
  [0, [0x4d, 0x5a], "a program for EFI that is no arm64 Linux image"],
];

/** What a file without the header of an arm64 image or ELF file is, where it surely is no flat A64 binary; else null. */
export function notArm64Code(file: Uint8Array): string | null {
  for (const [at, bytes, what] of OTHERS) {
    if (bytes.every((b, i) => file[at + i] === b)) return what;
  }
  // bits 28 to 27 both zero: reserved, SVE or unallocated (DDI 0487 C4.1); zeros may be room that is filled at run time
  const [a = 0, b = 0, c = 0, d = 0] = file;
  return (d & 0x18) === 0 && (a | b | c | d) !== 0 ? "nothing that begins with an A64 instruction" : null;
}
