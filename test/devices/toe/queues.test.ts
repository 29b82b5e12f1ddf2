/** Queue and table of the device's inside against an array and a Map. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { Fifo, IdTable } from "../../../src/devices/toe/queues.ts";
import { check } from "../../support/soak.ts";

it("Fifo: any sequence of calls gives what an array gives", () => {
  check(
    fc.property(
      fc.array(fc.oneof(fc.nat(999), fc.constantFrom("shift", "shift", "clear")), { maxLength: 200 }),
      (calls) => {
        const fifo = new Fifo<number>();
        let like: number[] = [];
        for (const call of calls) {
          if (call === "shift") expect(fifo.shift()).toBe(like.shift());
          else if (call === "clear") {
            fifo.clear();
            like = [];
          } else {
            fifo.push(call as number);
            like.push(call as number);
          }
          expect([fifo.length, fifo.at(0), fifo.at(like.length - 1), fifo.at(like.length)]).toEqual([
            like.length,
            like[0],
            like.at(-1),
            undefined,
          ]);
        }
        expect(fifo.toArray()).toEqual(like);
        fifo.set([1, 2, 3]);
        expect(fifo.toArray()).toEqual([1, 2, 3]);
      },
    ),
  );
});

it("IdTable: any sequence of ids put in and taken out gives what a Map gives, all in order", () => {
  // ids that meet in one place among them: multiples of 32 and their neighbours
  const id = fc.oneof(
    fc.nat(80),
    fc.nat(8).map((n) => 32 * n),
    fc.nat(8).map((n) => 32 * n + 31),
  );
  check(
    fc.property(fc.array(fc.tuple(fc.constantFrom("add", "add", "delete"), id), { maxLength: 300 }), (calls) => {
      const table = new IdTable<{ readonly id: number }>();
      const like = new Map<number, { readonly id: number }>();
      for (const [call, n] of calls) {
        if (call === "delete") expect(table.delete(n)).toBe(like.delete(n));
        else if (!like.has(n)) {
          const record = { id: n };
          table.add(record);
          like.set(n, record);
        }
        expect(table.size).toBe(like.size);
      }
      for (let n = 0; n < 300; n++) expect(table.get(n)).toBe(like.get(n));
      expect(table.all().map((r) => r.id)).toEqual([...like.keys()].sort((a, b) => a - b));
      table.clear();
      expect([table.size, table.get(0)]).toEqual([0, undefined]);
    }),
  );
});
