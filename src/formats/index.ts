export { type Arm64Image, notArm64Code, parseArm64Image } from "./arm64-image.ts";
export { type CapturedPacket, parseCapture } from "./capture.ts";
export { type Elf, type ElfSegment, type ElfSymbol, isElf, parseElf } from "./elf.ts";
export * from "./fdt.ts";
export { InputError } from "./input-error.ts";
