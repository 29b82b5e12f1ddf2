/** All registers of the 82576's physical function, chapter by chapter, as the datasheet has them. */
import { defineRegisters } from "../../../registers/index.ts";
import { general } from "./general.ts";
import { interrupt } from "./interrupt.ts";
import { other } from "./other.ts";
import { receive } from "./receive.ts";
import { statistics } from "./statistics.ts";
import { transmit } from "./transmit.ts";
import { virtualization } from "./virtualization.ts";

export { I82576_VF } from "./vf.ts";

export const I82576 = defineRegisters({
  name: "I82576",
  title: "82576 Gigabit Ethernet Controller, physical function",
  manual: "Intel 82576EB Datasheet 2.7",
  size: 0x2_0000,
  sizes: [4],
  registers: { ...general, ...interrupt, ...receive, ...transmit, ...virtualization, ...statistics, ...other },
});

/** Second addresses of registers, for software written for older parts: [from, to, words]. */
export const ALIASES: readonly (readonly [from: number, to: number, words: number])[] = [
  [0x0004, 0x0000, 1],
  [0x00c0, 0x1500, 1],
  [0x00c8, 0x1504, 1],
  [0x00d0, 0x1508, 1],
  [0x00d8, 0x150c, 1],
  [0x00e0, 0x1510, 1],
  ...[0, 1, 2, 3].flatMap((n) => [
    [0x2800 + 0x100 * n, 0xc000 + 0x40 * n, 13] as const,
    [0x3800 + 0x100 * n, 0xe000 + 0x40 * n, 16] as const,
  ]),
  [0x0040, 0x5400, 32],
  [0x0200, 0x5200, 128],
  [0x0600, 0x5600, 128],
];
