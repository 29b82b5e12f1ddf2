import { describe, expect, it } from "vitest";
import { VirtioEntropy } from "../../../src/devices/virtio/index.ts";
import { Bench } from "./driver.ts";

const entropy = () => {
  const errors: string[] = [];
  const bench = new Bench((simulation, port) => new VirtioEntropy(simulation, "rng", { port }));
  bench.simulation.reporter.observe({ guestError: (e) => errors.push(`${e.kind}: ${e.detail}`) });
  return Object.assign(bench, { errors });
};
const NEEDS_RESET = 64;

describe("split virtqueues (VIRTIO 1.2, 2.7)", () => {
  it("2.7.8: a used element carries the head's index and the bytes written", () => {
    const b = entropy();
    b.start();
    b.send(0, [{ space: 16 }, { space: 4 }], 3);
    expect(b.usedIndex(0)).toBe(1);
    expect(b.used(0, 0)).toEqual({ id: 3, length: 20 });
    expect(b.interrupts).toEqual([0]);
  });

  it("2.7.6: VIRTQ_AVAIL_F_NO_INTERRUPT suppresses the interrupt, not the buffer", () => {
    const b = entropy();
    b.start();
    b.put(b.ring(0).available, 1, 2);
    b.send(0, [{ space: 4 }]);
    expect(b.usedIndex(0)).toBe(1);
    expect(b.interrupts).toEqual([]);
  });

  it("2.7.7: with EVENT_IDX an interrupt comes when the used index passes used_event, and avail_event is kept", () => {
    const b = entropy();
    b.start(8, 1 << 29);
    b.put(b.ring(0).available + 4 + 2 * 8, 1, 2); // used_event: after the second buffer
    b.send(0, [{ space: 4 }], 0);
    expect(b.interrupts).toEqual([]);
    b.send(0, [{ space: 4 }], 1);
    expect(b.interrupts).toEqual([0]);
    b.send(0, [{ space: 4 }], 2);
    expect(b.interrupts).toEqual([0]);
    expect(b.word(b.ring(0).used + 4 + 8 * 8, 2)).toBe(3);
  });

  it("2.7.5.3: an indirect table is followed", () => {
    const b = entropy();
    b.start(8, 1 << 28);
    const table = 0x4008_0000;
    for (const [i, next] of [
      [0, 1],
      [1, 0],
    ] as const) {
      b.put(table + 16 * i, 0x4009_0000 + 64 * i);
      b.put(table + 16 * i + 8, 8);
      b.put(table + 16 * i + 12, i === 0 ? 3 : 2, 2);
      b.put(table + 16 * i + 14, next, 2);
    }
    b.descriptor(0, 2, table, 32, 4, 0);
    b.offer(0, 2);
    b.device.notify(0);
    expect(b.used(0, 0)).toEqual({ id: 2, length: 16 });
  });

  it("indices wrap at 2^16 and the ring at its size", () => {
    const b = entropy();
    b.start();
    for (let i = 0; i < 20; i++) b.send(0, [{ space: 1 }], i % 8);
    expect(b.usedIndex(0)).toBe(20);
    expect(b.used(0, 19 % 8)).toEqual({ id: 3, length: 1 });
  });

  const broken: [string, (b: ReturnType<typeof entropy>) => void, string][] = [
    ["2.7.5: a descriptor index beyond the queue", (b) => b.offer(0, 8), "descriptor 8 of 8"],
    [
      "2.7.5: a loop of descriptors",
      (b) => {
        b.descriptor(0, 0, 0x4009_0000, 4, 3, 0);
        b.offer(0, 0);
      },
      "without end",
    ],
    [
      "2.7.4.2: readable after writable",
      (b) => {
        b.descriptor(0, 0, 0x4009_0000, 4, 3, 1);
        b.descriptor(0, 1, 0x4009_0000, 4, 0, 0);
        b.offer(0, 0);
      },
      "device-readable buffer after",
    ],
    [
      "2.7.5.3.1: an indirect table inside an indirect table",
      (b) => {
        b.put(0x4008_0000 + 8, 16);
        b.put(0x4008_0000 + 12, 4, 2);
        b.descriptor(0, 0, 0x4008_0000, 16, 4, 0);
        b.offer(0, 0);
      },
      "indirect table",
    ],
    [
      "2.7.6: an available index too far ahead",
      (b) => b.put(b.ring(0).available + 2, 9, 2),
      "available index is 9 ahead",
    ],
  ];
  it.each(broken)("%s: guest error, DEVICE_NEEDS_RESET, no buffer used", (_, spoil, message) => {
    const b = entropy();
    b.start();
    spoil(b);
    b.device.notify(0);
    expect(b.errors.join()).toContain(message);
    expect(b.device.status & NEEDS_RESET).toBe(NEEDS_RESET);
    expect(b.configurationChanges).toBe(1);
    expect(b.usedIndex(0)).toBe(0);
    b.device.writeStatus(0, false);
    expect(b.device.status).toBe(0);
  });

  it("2.2.2: features that were not offered make FEATURES_OK stay clear", () => {
    const b = entropy();
    b.device.writeStatus(3, false);
    b.device.setDriverFeatures(0, 1 << 20);
    b.device.setDriverFeatures(1, 1);
    b.device.writeStatus(11, false);
    expect(b.device.status).toBe(3);
  });

  it("a notification before DRIVER_OK is a guest error", () => {
    const b = entropy();
    b.device.notify(0);
    expect(b.errors).toEqual(["sequence: notification of a queue that is not ready"]);
  });

  it("5.4: entropy comes from the seed: two machines give the same bytes, and they are not all alike", () => {
    const run = () => {
      const b = entropy();
      b.start();
      const [at] = b.send(0, [{ space: 32 }]);
      return b.bytes(at as number, 32);
    };
    const bytes = run();
    expect(run()).toEqual(bytes);
    expect(new Set(bytes).size).toBeGreaterThan(16);
  });
});
