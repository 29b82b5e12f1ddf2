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
