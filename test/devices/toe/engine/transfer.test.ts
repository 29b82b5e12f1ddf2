import { describe, expect, it } from "vitest";
import { MS, SEC } from "../../../../src/sim/index.ts";
import { connected, type PairOptions, pair, stream, value } from "./pair.ts";

const WIRES: readonly (readonly [string, PairOptions])[] = [
  ["a clean wire", {}],
  ["1 Gb/s, 1 ms", { rate: 1e9, delay: MS }],
  ["1 % loss", { rate: 1e9, delay: 5 * MS, loss: 100 }],
  ["10 % loss", { rate: 1e8, delay: 2 * MS, loss: 1000 }],
  ["reordering", { rate: 1e8, delay: 5 * MS, jitter: 10 * MS }],
  ["loss, reordering and duplicates", { rate: 1e8, delay: 5 * MS, jitter: 2 * MS, loss: 200, duplicate: 500 }],
  ["a queue of 20 frames", { rate: 1e7, delay: 10 * MS, queue: 20 }],
];

describe("two stacks back to back", () => {
  for (const [title, wire] of WIRES) {
    for (const congestion of [0, 1]) {
      for (const options of [1, 0]) {
        const name = `${title}, ${congestion === 0 ? "NewReno" : "CUBIC"}, ${options === 1 ? "with" : "without"} SACK and timestamps`;
        it(`every byte arrives intact and in order, both ways, and both sides close: ${name}`, () => {
          const p = pair({ ...wire, seed: 7 + congestion });
          const family = options === 1 ? 6 : 4;
          const { client, server, listener } = connected(p, family, (stack, socket) => {
            value(stack.setOption(socket, "congestion", congestion));
            for (const o of ["sack", "timestamps", "window-scale"] as const) value(stack.setOption(socket, o, options));
          });
          const up = stream(p.a, client, p.b, server, 150_000);
          const down = stream(p.b, server, p.a, client, 100_000);
          for (let i = 0; i < 600 && !(up.ended && down.ended); i++) p.simulation.run(p.simulation.now + SEC);
          expect(up).toEqual({ sent: 150_001, received: 150_000, wrong: 0, ended: true });
          expect(down).toEqual({ sent: 100_001, received: 100_000, wrong: 0, ended: true });
          value(p.a.stack.close(client));
          value(p.b.stack.close(server));
          value(p.b.stack.close(listener));
          p.simulation.run(p.simulation.now + 600 * SEC);
          for (const { stack } of [p.a, p.b]) {
            expect(stack.bufferBytes).toBe(0);
            expect(stack.getOption(client, "state")).toEqual({ ok: false, error: "no-socket" });
          }
        });
      }
    }
  }
});
