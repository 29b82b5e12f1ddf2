import { Arena, Memory, Router, Transaction } from "../../../src/bus/index.ts";
import { Smmuv3 } from "../../../src/devices/smmuv3/index.ts";
import { Module } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

/** The SMMU with some RAM, in which random accesses find random tables, and a device that accesses at random. */
export const buildSmmuv3: DeviceFactory = (simulation) => {
  const module = new Module(simulation, "board");
  const bus = new Router(module, "bus");
  const arena = new Arena();
  const ram = new Memory(module, "ram", arena, { size: 0x1_0000 });
  bus.map({ name: "ram", base: 0, size: 0x1_0000, target: ram });
  const smmu = new Smmuv3(module, "smmu", { bus, arena });
  smmu.attach(1, { invalidate: () => true, pageResponse: () => {} });
  smmu.attach(2, { invalidate: () => false, pageResponse: () => {} });
  const targets = [0, 1, 2, 3].map((n) => smmu.target(n, { sideband: true }));
  const tx = new Transaction();
  return {
    module,
    targets: [{ name: "registers", target: smmu.registers, size: 0x2_0000 }],
    stimulate: (random) => {
      const streamId = random.below(4);
      const target = targets[streamId] as (typeof targets)[number];
      const address = random.below(0x1_0000) & ~7;
      tx.substreamId = random.below(4) - 1;
      tx.exceptionLevel = random.below(2);
      const kind = random.below(8);
      if (kind < 3) target.read(address, 4, tx);
      else if (kind < 5) target.write(address, 4, random.uint32(), tx);
      else if (kind === 5) {
        // something that may be taken for a valid entry, descriptor or command
        const word = random.uint32() & ~0xffff_0000;
        ram.write(address, 4, kind + (random.below(2) ? word | 1 : word & ~63), tx);
      } else {
        const page = {
          streamId,
          substreamId: tx.substreamId,
          address,
          write: random.below(2) === 1,
          privileged: false,
        };
        if (kind === 6) smmu.translationRequest({ ...page, execute: false });
        else
          smmu.pageRequest({
            ...page,
            execute: false,
            read: true,
            last: random.below(2) === 1,
            group: random.below(512),
          });
      }
    },
  };
};
export const devices = { smmuv3: buildSmmuv3 };
