/** Drivers of two interfaces with the real protocols between them: docs/devices/toe.md 15, word for word. */
import { describe, expect, it } from "vitest";
import type { Frame } from "../../../src/net/index.ts";
import { MS, SEC } from "../../../src/sim/index.ts";
import { Driver, ip, pattern } from "./device.ts";
import { address, pair, realBench } from "./real.ts";

describe("two interfaces and the engine", () => {
  it("15: a TCP server and a TCP client exchange data both ways, close, and leave nothing behind", () => {
    const b = realBench();
    const { server, client, at, to, accepted } = pair(b);
    const bytes = pattern(60_000);
    client.store(client.data, bytes);
    server.submit({ opcode: 7, flags: 8, socket: accepted, length: 60_000, buffer: server.data });
    // The last acknowledgement may be delayed by 40 ms.
    expect(
      client.call({ opcode: 6, flags: 4, socket: to, length: 60_000, buffer: client.data }, 100 * MS),
    ).toMatchObject({
      status: 0,
      result: 60_000,
    });
    expect(server.reap()).toMatchObject([{ status: 0, result: 60_000 }]);
    expect(server.load(server.data, 60_000)).toEqual(bytes);
    server.submit({ opcode: 6, socket: accepted, length: 1000, buffer: server.data }, { opcode: 11, socket: accepted });
    expect(client.call({ opcode: 7, flags: 8, socket: to, length: 2000, buffer: client.data })).toMatchObject({
      status: 0,
      result: 1000,
      flags: 2,
    });
    expect(client.call({ opcode: 11, socket: to }).status).toBe(0);
    server.call({ opcode: 11, socket: at });
    b.run(SEC);
    expect([server.read(0x120), client.read(0x120), server.read(0x124), client.read(0x128)]).toEqual([0, 0, 0, 0]);
  });

  it("7: a connection that nobody listens for is REFUSED; one to nowhere TIMED_OUT or UNREACHABLE; no route is NO_ROUTE", () => {
    const b = realBench();
    const d = address(new Driver(b, 0, false));
    address(new Driver(b, 1, false));
    const connect = (to: Uint8Array, time: number) => {
      const { socket } = d.call({ opcode: 1, arg0: 1, arg1: 4 });
      d.submit({ opcode: 5, socket, address: to, port: 9 });
      b.run(time);
      return d.reap()[0]?.status;
    };
    expect(connect(ip(10, 0, 0, 2), 10 * MS)).toBe(9);
    expect([8, 12]).toContain(connect(ip(10, 0, 0, 77), 20 * SEC));
    expect(connect(ip(192, 0, 2, 1), 10 * MS)).toBe(7);
  });

  it("13.4: interfaces with different VLANs, or without the bit in IF_PEERS, do not hear each other; frames on the wire have the tag", () => {
    for (const setting of [
      [0x1050, 5],
      [0x1070, 0xffff_fffe],
    ] as const) {
      const b = realBench();
      const server = address(new Driver(b, 0, false));
      const client = address(new Driver(b, 1, false));
      server.manage(setting[0], setting[1]);
      const { socket } = client.call({ opcode: 1, arg0: 1, arg1: 4 });
      client.submit({ opcode: 5, socket, address: ip(10, 0, 0, 1), port: 80 });
      b.run(100 * MS);
      expect(server.managed(0x4000 + 8 * 8)).toBe(0);
      const frame = b.wire[0] as Frame;
      expect((((frame[12] as number) << 8) | (frame[13] as number)).toString(16)).toBe(
        setting[0] === 0x1050 ? "8100" : "806",
      );
    }
  });

  it("snapshot: a machine restored in the middle of a transfer ends in the same state", () => {
    const go = () => {
      const b = realBench();
      const p = pair(b);
      p.client.store(p.client.data, pattern(60_000));
      p.server.submit({ opcode: 7, flags: 8, socket: p.accepted, length: 60_000, buffer: p.server.data });
      p.client.submit({ opcode: 6, flags: 4, socket: p.to, length: 60_000, buffer: p.client.data });
      b.run(20 * 10_000);
      return { b, p };
    };
    const first = go();
    const saved = structuredClone(first.b.simulation.save());
    first.b.run();
    const other = realBench();
    other.simulation.load(saved);
    other.run();
    // The device's own modules; what the stack holds is its own tests' matter.
    for (const [name, module] of other.simulation.modules) {
      if (name.endsWith(".stack")) continue;
      expect([name, module.saveState()]).toEqual([name, first.b.simulation.modules.get(name)?.saveState()]);
    }
    expect(other.core.interfaces[0]?.counter(5)).toBe(60_000);
  });
});
