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
    expect(other.simulation.stateHash()).toBe(first.b.simulation.stateHash());
    expect(other.core.interfaces[0]?.counter(5)).toBe(60_000);
  });
});

describe("the engine's own edges", () => {
  it("7: SEND with ACKNOWLEDGED and CLOSE behind CONNECT in one doorbell: all complete, in order", () => {
    const b = realBench();
    const { server, client } = pair(b);
    const at = server.call({ opcode: 1, arg0: 1, arg1: 4 }).socket;
    server.call({ opcode: 2, socket: at, port: 81 });
    server.call({ opcode: 3, socket: at, arg0: 16 });
    const { socket } = client.call({ opcode: 1, arg0: 1, arg1: 4 });
    server.submit({ opcode: 4, socket: at });
    client.submit(
      { opcode: 5, socket, address: ip(10, 0, 0, 1), port: 81, tag: 1 },
      { opcode: 6, flags: 4, socket, length: 20_000, buffer: client.data, tag: 2 },
      { opcode: 11, socket, tag: 3 },
    );
    b.run(200 * MS);
    expect(client.reap().map((c) => [c.tag, c.status])).toEqual([
      [1, 0],
      [2, 0],
      [3, 0],
    ]);
    const accepted = server.reap()[0]?.socket ?? -1;
    const first = server.call({ opcode: 7, flags: 8, socket: accepted, length: 30_000, buffer: server.data });
    expect(first).toMatchObject({ status: 0, result: 20_000, flags: 2 });
  });
  it("4: after a reset of the interface its addresses are still configured", () => {
    const b = realBench();
    const { client } = pair(b);
    client.start();
    const { socket } = client.call({ opcode: 1, arg0: 1, arg1: 4 });
    expect(client.call({ opcode: 5, socket, address: ip(10, 0, 0, 1), port: 80 }, 100 * MS).status).toBe(0);
  });
  it("8.1: a peer's ABORT is RESET here, for commands that wait and for those that come", () => {
    const b = realBench();
    const { server, client, to, accepted } = pair(b);
    client.submit({ opcode: 7, socket: to, length: 10, buffer: client.data, tag: 7 });
    server.submit({ opcode: 12, socket: accepted });
    b.run();
    expect(client.reap().map((c) => [c.tag, c.status])).toEqual([[7, 10]]);
    expect(client.call({ opcode: 6, socket: to, length: 10, buffer: client.data }).status).toBe(10);
    expect(client.call({ opcode: 7, socket: to, length: 10, buffer: client.data }).status).toBe(10);
  });
  it("7: UDP between interfaces, IPv6 too, with the sender's name", () => {
    const b = realBench();
    const [server, client] = [0, 1].map((n) => {
      const d = address(new Driver(b, n, false));
      d.manage(0x80, n | (1 << 16));
      [0x80fe, 0, 0, ((n + 1) << 24) >>> 0].forEach((w, i) => {
        d.manage(0x90 + 4 * i, w);
      });
      d.manage(0xb0, 0x100 | 64);
      d.manage(0x84, 1);
      d.manage(0x1000 + 0x40 * n, 1 | 4);
      return d;
    }) as [Driver, Driver];
    const six = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    for (const [family, to] of [
      [4, ip(10, 0, 0, 1)],
      [6, six],
    ] as const) {
      const at = server.call({ opcode: 1, arg0: 2, arg1: family }).socket;
      expect(server.call({ opcode: 2, socket: at, port: 53 }).status).toBe(0);
      const from = client.call({ opcode: 1, arg0: 2, arg1: family }).socket;
      const { port } = client.call({ opcode: 2, socket: from });
      client.store(client.data, pattern(500, family));
      server.submit({ opcode: 9, socket: at, length: 1000, buffer: server.data });
      expect(
        client.call({ opcode: 8, socket: from, length: 500, buffer: client.data, address: to, port: 53 }, SEC).status,
      ).toBe(0);
      b.run(3 * SEC);
      expect(server.reap()).toMatchObject([{ status: 0, result: 500, port }]);
      expect(server.load(server.data, 500)).toEqual(pattern(500, family));
    }
  });
});
