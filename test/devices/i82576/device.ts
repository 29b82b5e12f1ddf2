/** An 82576 core on a bus of its own: RAM for its DMA, and a host that writes down what it was told. */
import { Arena, Memory, Port, Router } from "../../../src/bus/index.ts";
import { type Host, I82576_VF, I82576Core } from "../../../src/devices/i82576/index.ts";
import type { Frame } from "../../../src/net/index.ts";
import type { Simulation } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";

export const RAM = 0x4000_0000;
export const RAM_SIZE = 0x40_0000;
export const MAC = Uint8Array.of(0x02, 0x11, 0x22, 0x33, 0x44, 0x55);

export class TestHost implements Host {
  readonly router: Router;
  readonly memory: Memory;
  readonly arena: Arena;
  readonly ports: readonly Port[];
  messages = true;
  requesterId = 0;
  /** Messages sent, "owner:vector". */
  readonly sent: string[] = [];
  asserted = false;

  constructor(simulation: Simulation) {
    this.arena = new Arena();
    this.router = new Router(simulation, "memory");
    this.memory = new Memory(simulation, "ram", this.arena, { size: RAM_SIZE });
    this.router.map({ name: "ram", base: RAM, size: RAM_SIZE, target: this.memory });
    this.ports = Array.from({ length: 9 }, () => new Port(this.router, this.arena));
  }
  port(owner: number): Port {
    return this.ports[owner + 1] as Port;
  }
  message(owner: number, vector: number): void {
    if (this.sent.length < 1000) this.sent.push(`${owner}:${vector}`);
  }
  clearPending(): void {}
  level(asserted: boolean): void {
    this.asserted = asserted;
  }
}

export function build(simulation: Simulation): { core: I82576Core; host: TestHost; wire: Frame[] } {
  const host = new TestHost(simulation);
  const core = new I82576Core(simulation, "eth0", { mac: MAC, host });
  const wire: Frame[] = [];
  core.onTransmit = (frame) => {
    if (wire.length < 100_000) wire.push(frame);
  };
  return { core, host, wire };
}

export const buildI82576: DeviceFactory = (simulation) => {
  const { core } = build(simulation);
  core.setVirtualFunctions(2);
  return {
    module: core,
    targets: [
      { name: "registers", target: core.bank, size: 0x2_0000 },
      { name: "vf1", target: (core.windows[1] as (typeof core.windows)[0]).bank, size: I82576_VF.size },
    ],
    stimulate: (random) => {
      const frame = new Uint8Array(60 + random.below(200));
      for (let i = 0; i < frame.length; i++) frame[i] = random.below(256);
      if (random.below(2) === 0) frame.fill(0xff, 0, 6);
      if (random.below(8) === 0) core.setCarrier(random.below(2) === 0);
      else core.receive(frame);
    },
  };
};

export const devices = { i82576: buildI82576 };
