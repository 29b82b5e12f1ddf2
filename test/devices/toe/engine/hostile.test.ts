import { describe, expect, it } from "vitest";
import type { Frame } from "../../../../src/net/index.ts";
import { Module, SEC, US } from "../../../../src/sim/index.ts";
import { seeds } from "../../../support/soak.ts";
import { hostile, repair } from "./fuzz.ts";
import { A4, B4, connected, MAC_B, pair, stream, value } from "./pair.ts";
import { OPENED, Script } from "./script.ts";

/** Frames with the addresses and ports a blind attacker can know, and sequence numbers it cannot. */
function blind(frame: Frame, number: number): Frame {
  const copy = frame.slice();
  const at = copy[12] === 8 ? 34 : 54;
  if (copy[at - (at === 34 ? 11 : 34)] !== 6) return copy;
  for (let i = 0; i < 8; i++) copy[at + 4 + i] = (number >>> ((i * 5) % 24)) ^ (0xa5 + i * 31);
  repair(copy);
  return copy;
}

describe("frames meant to hurt", () => {
  for (const [seed, family] of seeds([11]).flatMap((n) => [[n, 4] as const, [n, 6] as const])) {
    it(`half a million changed and invented frames, IPv${family}: no throw, bounded memory, and a new connection works; seed ${seed}`, () => {
      const frames: Frame[] = [];
      const p = pair({
        seed,
        quotas: { sockets: 64, bufferBytes: 4_000_000 },
        tap: (frame, from) => from === 0 && frames.length < 400 && frames.push(frame.slice()),
      });
      const { client, server } = connected(p, family);
      const udp = value(p.b.stack.socket("udp", family));
      value(p.b.stack.bind(udp, { address: new Uint8Array(family === 4 ? 4 : 16), port: 53 }));
      value(
        p.a.stack.sendTo(value(p.a.stack.socket("udp", family)), new Uint8Array(4000), {
          address: family === 4 ? B4 : p6(),
          port: 53,
        }),
      );
      stream(p.a, client, p.b, server, 40_000, false);
      p.simulation.run(p.simulation.now + SEC);
      const random = p.simulation.random(new Module(p.simulation, "fuzz"), "frames");
      let most = 0;
      for (let i = 0; i < 500_000; i++) {
        p.b.stack.input(hostile(random, frames, MAC_B));
        most = Math.max(most, p.b.stack.bufferBytes);
        if (i % 50 === 0) p.simulation.run(p.simulation.now + 500 * US);
        if (i % 5000 === 0) p.a.stack.abort(client);
      }
      expect(most).toBeLessThanOrEqual(4_000_000);
      p.simulation.run(p.simulation.now + 2000 * SEC);
      p.b.stack.clear();
      expect(p.b.stack.bufferBytes).toBe(0);
      p.a.on = p.b.on = () => {};
      const again = connected(p, family);
      const progress = stream(p.a, again.client, p.b, again.server, 50_000);
      p.simulation.run(p.simulation.now + 10 * SEC);
      expect(progress).toEqual({ sent: 50_001, received: 50_000, wrong: 0, ended: true });
    }, 120_000);
  }

  it("RFC 5961: 20,000 blind segments with the right ports do no harm to a transfer", () => {
    const frames: Frame[] = [];
    const p = pair({
      seed: 12,
      rate: 1e8,
      tap: (frame, from) => from === 0 && frames.length < 50 && frames.push(frame.slice()),
    });
    const { client, server } = connected(p);
    const progress = stream(p.a, client, p.b, server, 2_000_000);
    for (let i = 0; i < 20_000; i++) {
      const frame = blind(frames[i % frames.length], Math.imul(i, 0x9e3779b1));
      // Every combination of flags.
      if (frame[12] === 8 && frame[23] === 6) frame[47] = i >> 3;
      repair(frame);
      p.b.stack.input(frame);
      if (i % 100 === 0) p.simulation.run(p.simulation.now + 1000 * US);
    }
    p.simulation.run(p.simulation.now + 30 * SEC);
    expect(progress).toEqual({ sent: 2_000_001, received: 2_000_000, wrong: 0, ended: true });
  });

  it("RFC 9293 3.1: options of every kind and length, well formed or not, in SYN and in data", () => {
    for (let kind = 0; kind < 256; kind += 1) {
      const s = new Script().run("0 listen 100");
      for (const length of [0, 1, 2, 3, 4, 9, 10, 11, 18, 34, 40, 255]) {
        const rest = Array.from({ length: 10 }, (_, i) => (i + kind).toString(16)).join(" ");
        s.inject(`S 0:0(0) win 32000 <raw ${kind.toString(16)} ${length.toString(16)} ${rest}>`);
      }
      s.simulation.run(0);
      expect(s.sent.length).toBeGreaterThan(0);
      expect(s.describe(s.sent[0].frame)).toMatch(/^S\. 0:0\(0\) ack 1/);
    }
    for (let kind = 0; kind < 256; kind++) {
      const s = new Script().run(OPENED);
      s.inject(`P. 1:11(10) ack 1 win 32000 <raw ${kind.toString(16)} 0a 1 2 3 4 5 6 7 8>`);
      expect(value(s.stack.receive(s.socket, 100))).toHaveLength(10);
    }
  });

  it("RFC 9293 3.10.7: every combination of flags in every state leaves a state of the table, and answers RST with nothing", () => {
    const states: Readonly<Record<string, string>> = {
      LISTEN: "0 listen 5",
      "SYN-SENT": "0 connect timestamps:0\n0 > S 0:0(0)",
      "SYN-RECEIVED": "0 listen 5\n0.1 < S 0:0(0) win 32000\n0.1 > S. 0:0(0) ack 1",
      ESTABLISHED: OPENED,
      "FIN-WAIT-1": `${OPENED}\n0.3 shutdown\n0.3 > F. 1:1(0) ack 1`,
      "FIN-WAIT-2": `${OPENED}\n0.3 shutdown\n0.3 > F. 1:1(0) ack 1\n0.4 < . 1:1(0) ack 2 win 32000`,
      "CLOSE-WAIT": `${OPENED}\n0.3 < F. 1:1(0) ack 1 win 32000\n0.3 > . 1:1(0) ack 2`,
      "TIME-WAIT": `${OPENED}\n0.3 shutdown\n0.3 > F. 1:1(0) ack 1\n0.4 < F. 1:1(0) ack 2 win 32000\n0.4 > . 2:2(0) ack 2`,
    };
    for (const [name, text] of Object.entries(states)) {
      for (let flags = 0; flags < 256; flags++) {
        const s = new Script().run(text);
        for (const range of ["1:1(0)", "1:6(5)", "0:0(0)", "500:510(10)", "400000:400010(10)"]) {
          const frame = s.build(`. ${range} ack 1 win 3000`);
          frame[47] = flags;
          repair(frame);
          s.stack.input(frame);
          if ((flags & 4) !== 0 && name === "LISTEN") expect(s.sent).toEqual([]);
        }
        // An acknowledgment war has an end.
        expect(s.sent.length).toBeLessThanOrEqual(12);
        s.simulation.run(1000 * SEC);
        expect(s.stack.bufferBytes).toBeLessThanOrEqual(262_144);
      }
    }
  });

  it("a peer that sends one byte a segment, out of order, is bounded by the window", () => {
    const s = new Script().run(OPENED);
    for (let i = 0; i < 20_000; i++) s.inject(`. ${3 + 2 * i}:${4 + 2 * i}(1) ack 1 win 3000`);
    expect(s.stack.bufferBytes).toBeLessThanOrEqual(131_072);
    expect(s.stack.statistics["tcpOutOfOrder"]).toBe(20_000);
  });

  it("a stack never throws at its owner: calls with nonsense end in errors", () => {
    const { stack } = new Script();
    for (const n of [-1, 0, 1, 1e9, Number.NaN]) {
      expect(stack.bind(n, { address: A4, port: 1 }).ok).toBe(false);
      expect(stack.receive(n, 1).ok).toBe(false);
      expect(stack.close(n).ok).toBe(false);
    }
    const socket = value(stack.socket("tcp", 4));
    expect(stack.bind(socket, { address: new Uint8Array(5), port: 1 })).toEqual({ ok: false, error: "invalid" });
    expect(stack.bind(socket, { address: A4, port: 65_536 })).toEqual({ ok: false, error: "invalid" });
    expect(stack.bind(socket, { address: B4, port: 80 })).toEqual({ ok: false, error: "address-not-available" });
    expect(stack.connect(socket, { address: Uint8Array.of(224, 0, 0, 1), port: 80 })).toEqual({
      ok: false,
      error: "invalid",
    });
    expect(stack.connect(socket, { address: Uint8Array.of(192, 0, 2, 1), port: 80 })).toEqual({
      ok: false,
      error: "no-route",
    });
    expect(stack.send(socket, new Uint8Array(3))).toEqual({ ok: false, error: "wrong-state" });
    expect(stack.listen(socket, 3)).toEqual({ ok: false, error: "wrong-state" });
    expect(stack.setOption(socket, "mss", 3)).toEqual({ ok: false, error: "invalid" });
  });
});

describe("quotas", () => {
  it("sockets in TIME-WAIT give way, the oldest first, others do not", () => {
    const p = pair({ quotas: { sockets: 6, bufferBytes: 1e6 } });
    const { client, server, listener } = connected(p);
    for (let i = 0; i < 20; i++) {
      const socket = value(p.a.stack.socket("tcp", 4));
      value(p.a.stack.connect(socket, { address: B4, port: 80 }));
      p.simulation.run(p.simulation.now + SEC);
      const other = value(p.b.stack.accept(listener));
      value(p.a.stack.close(socket));
      p.simulation.run(p.simulation.now + SEC);
      value(p.b.stack.close(other));
      p.simulation.run(p.simulation.now + SEC);
    }
    expect(p.a.stack.getOption(client, "state")).toEqual({ ok: true, value: 4 });
    expect(p.b.stack.getOption(server, "state")).toEqual({ ok: true, value: 4 });
    for (let i = 0; i < 5; i++) value(p.a.stack.socket("tcp", 4));
    expect(p.a.stack.socket("tcp", 4)).toEqual({ ok: false, error: "too-many-sockets" });
  });
  it("buffers beyond the quota are refused, and given back when read", () => {
    const p = pair({ quotas: { sockets: 6, bufferBytes: 20_000 } });
    const { client, server } = connected(p);
    expect(p.a.stack.send(client, new Uint8Array(30_000))).toEqual({ ok: false, error: "no-memory" });
    const progress = stream(p.a, client, p.b, server, 100_000);
    const again = () => p.a.stack.send(client, new Uint8Array(0));
    again();
    expect(p.a.stack.bufferBytes).toBeLessThanOrEqual(20_000);
    expect(progress.wrong).toBe(0);
  });
});

describe("snapshots", () => {
  for (const family of [4, 6] as const) {
    it(`in the middle of a transfer with loss, IPv${family}: the same state, and the same frames afterwards`, () => {
      const frames: string[][] = [[], []];
      const make = (log: string[]) =>
        pair({
          seed: 9,
          rate: 1e8,
          delay: 200_000_000,
          loss: 300,
          jitter: 1_000_000,
          tap: (frame, from, time) => log.push(`${from} ${time} ${frame.length} ${load(frame)}`),
        });
      const load = (frame: Frame) => frame.reduce((n, b) => (Math.imul(n, 31) + b) | 0, 7);
      const first = make(frames[0]);
      const { client, server } = connected(first, family);
      // Data that is there already: the owner's part is no state of the stack.
      value(
        first.a.stack.send(
          client,
          Uint8Array.from({ length: 200_000 }, (_, i) => i),
        ),
      );
      value(
        first.b.stack.send(
          server,
          Uint8Array.from({ length: 100_000 }, (_, i) => i),
        ),
      );
      first.a.stack.shutdown(client, "send");
      first.simulation.run(first.simulation.now + SEC / 8);
      expect(value(first.a.stack.getOption(client, "state"))).toBe(5);
      const second = make(frames[1]);
      const saved = first.simulation.save();
      second.simulation.load(saved);
      expect(second.simulation.stateHash()).toBe(first.simulation.stateHash());
      frames[0].length = 0;
      for (const p of [first, second]) p.simulation.run(p.simulation.now + 20 * SEC);
      expect(frames[0].length).toBeGreaterThan(100);
      expect(frames[1]).toEqual(frames[0]);
      expect(second.simulation.stateHash()).toBe(first.simulation.stateHash());
      expect(second.b.stack.readable(server)).toBe(200_000);
      expect(value(second.b.stack.receive(server, 1e6))).toEqual(value(first.b.stack.receive(server, 1e6)));
    });
  }
  it("RFC 4861 7.3.1: what is acknowledged after a restore confirms the neighbour that it was sent to before", () => {
    const [first, second] = [pair(), pair()];
    const { client } = connected(first);
    value(first.a.stack.send(client, Uint8Array.of(1)));
    first.simulation.run(first.simulation.now + 50 * US);
    second.simulation.load(structuredClone(first.simulation.save()));
    for (const p of [first, second]) p.simulation.run(p.simulation.now + SEC);
    expect(second.simulation.save()).toEqual(first.simulation.save());
  });
  it("of two UDP sockets that a broadcast fits equally the same one has it after a restore", () => {
    const second = Uint8Array.of(10, 0, 0, 9);
    const make = () => {
      const p = pair();
      p.b.stack.configure({
        mac: MAC_B,
        mtu: 1500,
        addresses: [B4, second].map((address) => ({ address, prefix: 24 })),
        routes: [],
      });
      return p;
    };
    const [before, after] = [make(), make()];
    const sockets = [0, 1].map(() => value(before.b.stack.socket("udp", 4))) as [number, number];
    value(before.b.stack.bind(sockets[1], { address: second, port: 53 }));
    value(before.b.stack.bind(sockets[0], { address: B4, port: 53 }));
    after.simulation.load(structuredClone(before.simulation.save()));
    for (const p of [before, after]) {
      const from = value(p.a.stack.socket("udp", 4));
      value(p.a.stack.sendTo(from, Uint8Array.of(1), { address: Uint8Array.of(10, 0, 0, 255), port: 53 }));
      p.simulation.run(p.simulation.now + SEC);
    }
    const readable = (p: typeof before) => sockets.map((s) => p.b.stack.receiveFrom(s).ok);
    expect(readable(before)).toEqual([true, false]);
    expect(readable(after)).toEqual([true, false]);
  });
  it("reset returns to the state after construction", () => {
    const p = pair();
    const { client } = connected(p);
    p.a.stack.send(client, new Uint8Array(5000));
    p.simulation.reset();
    expect(p.a.stack.bufferBytes).toBe(0);
    expect(p.a.stack.getOption(client, "state")).toEqual({ ok: false, error: "no-socket" });
  });
});

function p6(): Uint8Array {
  return Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);
}
