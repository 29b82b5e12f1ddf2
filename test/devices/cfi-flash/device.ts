import { Arena, Transaction } from "../../../src/bus/index.ts";
import { CfiFlash, type CfiFlashOptions } from "../../../src/devices/cfi-flash/index.ts";
import { MS, US } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

const COMMANDS = [0xff, 0x90, 0x98, 0x70, 0x50, 0x40, 0x10, 0xe8, 0, 1, 3, 0x20, 0xd0, 0xd0, 0xd0, 0xb0, 0x60, 0x2f];

function factory(options: CfiFlashOptions): DeviceFactory {
  return (simulation) => {
    const module = new CfiFlash(simulation, "flash0", new Arena(), options);
    const tx = new Transaction();
    return {
      module,
      targets: [{ name: "flash0", target: module, size: module.size }],
      // Commands that exist, to both devices or one, since random words hardly ever make a sequence of them.
      stimulate: (random) => {
        const lanes = [0x1_0001, 1, 0x1_0000][random.below(3)] as number;
        const offset = random.below(module.size / 4) * 4;
        for (let n = random.below(4); n >= 0; n--) {
          const command = COMMANDS[random.below(COMMANDS.length)] as number;
          module.write(offset, 4, (command * lanes) >>> 0, tx);
        }
      },
    };
  };
}

/** Four sectors, so that random accesses meet. */
export const buildFlash = factory({ size: 0x10000, sectorSize: 0x4000 });
export const buildSeparateFlash = factory({ size: 0x10000, sectorSize: 0x4000, lanes: "separate" });
export const buildSlowFlash = factory({
  size: 0x10000,
  sectorSize: 0x4000,
  programTime: 5 * US,
  bufferTime: 40 * US,
  eraseTime: MS,
});
export const devices = {
  "cfi-flash": buildFlash,
  "cfi-flash-separate": buildSeparateFlash,
  "cfi-flash-timed": buildSlowFlash,
};
