/** How table walks read descriptors: over the bus, RAM directly; and without side effects for debuggers. */
import { Port, RESPONSE_OK } from "../../bus/index.ts";
import type { DescriptorReader } from "../../mmu/index.ts";
import type { Cluster } from "./cluster.ts";

export class BusReader implements DescriptorReader {
  high = 0;
  failed = false;
  readonly #port: Port;

  constructor(cluster: Cluster) {
    this.#port = new Port(cluster.bus, cluster.arena);
  }

  read(address: number): number {
    const low = this.#port.read(address, 8);
    this.failed = this.#port.response !== RESPONSE_OK;
    this.high = this.#port.high | 0;
    return low | 0;
  }
}

export class PeekReader implements DescriptorReader {
  high = 0;
  readonly failed = false;
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  read(address: number): number {
    const { bus } = this.#cluster;
    this.high = bus.peek(address + 4, 4) | 0;
    return bus.peek(address, 4) | 0;
  }
}
