/** virtio entropy device (Virtual I/O Device Version 1.2, clause 5.4), from the simulation's seed: the same in every run. */
import type { Module, Random, Simulation } from "../../sim/index.ts";
import { VirtioDevice, type VirtioOptions } from "./device.ts";
import { lengthOf, type Virtqueue } from "./queue.ts";

/** Most bytes given for one buffer; a driver asks again for more. */
const MOST = 4096;

export class VirtioEntropy extends VirtioDevice {
  readonly deviceId = 4;
  readonly configurationBytes = 0;
  protected readonly ownFeatures = 0;
  readonly #random: Random;

  constructor(parent: Module | Simulation, name: string, options: VirtioOptions) {
    super(parent, name, options, [64]);
    this.#random = this.simulation.random(this, "random");
  }

  configurationByte(): number {
    return 0;
  }

  protected serve(queue: Virtqueue): void {
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      const bytes = new Uint8Array(Math.min(MOST, lengthOf(chain.writable)));
      for (let i = 0; i < bytes.length; i++) bytes[i] = this.#random.uint32() >>> 24;
      queue.push(chain, queue.write(chain, bytes));
    }
    this.flush(queue);
  }
}
