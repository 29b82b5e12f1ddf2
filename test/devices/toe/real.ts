/** A TOE with its real protocols, and two drivers that talk to each other. */
import { expect } from "vitest";
import { Arena, Memory, Port, Router } from "../../../src/bus/index.ts";
import { Stack } from "../../../src/devices/toe/engine/index.ts";
import { ToeCore } from "../../../src/devices/toe/index.ts";
import type { Frame } from "../../../src/net/index.ts";
import { MS, Simulation } from "../../../src/sim/index.ts";
import { type Bench, Driver, ip, MAC, RAM, RAM_SIZE } from "./device.ts";

/** Where the device is on its own bus. */
export const TOE = 0x1000_0000;

export function realBench(interfaces = 3): Bench {
  const simulation = new Simulation({ seed: 3 });
  const arena = new Arena();
  const router = new Router(simulation, "memory");
  const ram = new Memory(simulation, "ram", arena, { size: RAM_SIZE });
  router.map({ name: "ram", base: RAM, size: RAM_SIZE, target: ram });
  const ports = Array.from({ length: interfaces }, () => new Port(router, arena));
  const core = new ToeCore(simulation, "toe", {
    mac: MAC,
    interfaces,
    host: { port: (n) => ports[n] as Port },
    makeStack: (parent, name, events) => new Stack(parent, name, events),
  });
  // The device itself is on the bus too, so that rings can be put on its registers.
  router.map({ name: "toe", base: TOE, size: 0x1_0000 * (1 + interfaces), target: core.space });
  const wire: Frame[] = [];
  core.onTransmit = (frame) => void wire.push(frame);
  simulation.reset();
  return {
    simulation,
    core,
    memory: new Port(router, arena),
    wire,
    run: (t = 10 * MS) => void simulation.run(simulation.now + t),
  };
}

/** Interface n has 10.0.0.(n + 1)/24. */
export function address(d: Driver): Driver {
  d.manage(0x80, d.n);
  [0, 0, 0xffff_0000, (((d.n + 1) << 24) | 10) >>> 0].forEach((w, i) => {
    d.manage(0x90 + 4 * i, w);
  });
  d.manage(0xb0, 0x100 | 120);
  d.manage(0x84, 1);
  expect(d.managed(0x88)).toBe(0);
  d.manage(0x1000 + 0x40 * d.n, 1);
  return d.start();
}

export function pair(b: Bench): { server: Driver; client: Driver; at: number; to: number; accepted: number } {
  const server = address(new Driver(b, 0, false));
  const client = address(new Driver(b, 1, false));
  const at = server.call({ opcode: 1, arg0: 1, arg1: 4 }).socket;
  server.call({ opcode: 2, socket: at, port: 80 });
  expect(server.call({ opcode: 3, socket: at, arg0: 16 }).status).toBe(0);
  server.submit({ opcode: 4, socket: at, tag: 44 });
  const to = client.call({ opcode: 1, arg0: 1, arg1: 4 }).socket;
  expect(client.call({ opcode: 5, socket: to, address: ip(10, 0, 0, 1), port: 80 }).status).toBe(0);
  const [a] = server.reap();
  expect([a?.tag, a?.status]).toEqual([44, 0]);
  return { server, client, at, to, accepted: a?.socket ?? -1 };
}
