import { describe, expect, it } from "vitest";
import { VirtioEntropy, type VirtioOptions } from "../../../src/devices/virtio/index.ts";
import { Bench, INTERFACES } from "./driver.ts";

const INDIRECT_DESC = 1 << 28;
const EVENT_IDX = 1 << 29;
const NEEDS_RESET = 64;

const entropy = (legacy = false, options: Partial<VirtioOptions> = {}) =>
  new Bench((simulation, port) => new VirtioEntropy(simulation, "rng", { port, ...options }), legacy);

describe.each(INTERFACES)("split virtqueues (VIRTIO 1.2, 2.7), %s", (_, legacy) => {
  it("2.7.8: a used element carries the head's index and the bytes written", () => {
    const b = entropy(legacy);
    b.start();
    b.send(0, [{ space: 16 }, { space: 4 }], 3);
    expect(b.usedIndex(0)).toBe(1);
    expect(b.used(0, 0)).toEqual({ id: 3, length: 20 });
    expect(b.takeInterrupt()).toBe(1);
    expect(b.details).toBe("");
  });

  it("2.7.7: VIRTQ_AVAIL_F_NO_INTERRUPT suppresses the interrupt, not the buffer", () => {
    const b = entropy(legacy);
    b.start();
    b.put(b.ring(0).available, 1, 2);
    b.send(0, [{ space: 4 }]);
    expect(b.usedIndex(0)).toBe(1);
    expect(b.takeInterrupt()).toBe(0);
  });

  it("2.7.7: with EVENT_IDX an interrupt comes when the used index passes used_event, and avail_event is kept", () => {
    const b = entropy(legacy);
    b.start(8, EVENT_IDX);
    b.put(b.ring(0).available + 4 + 2 * 8, 1, 2); // used_event: after the second buffer
    b.send(0, [{ space: 4 }], 0);
    expect(b.takeInterrupt()).toBe(0);
    b.send(0, [{ space: 4 }], 1);
    expect(b.takeInterrupt()).toBe(1);
    b.send(0, [{ space: 4 }], 2);
    expect(b.takeInterrupt()).toBe(0);
    expect(b.word(b.ring(0).used + 4 + 8 * 8, 2)).toBe(3);
  });

  it("2.7.7.2: a used_event that has been passed brings no interrupt later", () => {
    const b = entropy(legacy);
    b.start(8, EVENT_IDX);
    b.put(b.ring(0).available + 4 + 2 * 8, 5, 2);
    b.send(0, [{ space: 4 }], 0);
    b.send(0, [{ space: 4 }], 1);
    b.put(b.ring(0).available + 4 + 2 * 8, 0, 2); // passed by the first buffer
    b.send(0, [{ space: 4 }], 2);
    expect(b.takeInterrupt()).toBe(0);
  });

  it("2.7.10: without EVENT_IDX nothing is written behind the used ring", () => {
    const b = entropy(legacy);
    b.start();
    b.put(b.ring(0).used + 4 + 8 * 8, 0xabcd, 2);
    b.send(0, [{ space: 4 }]);
    expect(b.word(b.ring(0).used + 4 + 8 * 8, 2)).toBe(0xabcd);
  });

  it("2.7.5.3: an indirect table is followed; its WRITE flag is ignored", () => {
    for (const flags of [4, 6]) {
      const b = entropy(legacy);
      b.start(8, INDIRECT_DESC);
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
      b.descriptor(0, 2, table, 32, flags, 0);
      b.offer(0, 2);
      b.notify(0);
      expect(b.used(0, 0)).toEqual({ id: 2, length: 16 });
    }
  });

  it("indices wrap at 2^16 and the ring at its size", () => {
    const b = entropy(legacy);
    b.start();
    for (let i = 0; i < 0x1_0003; i++) {
      b.descriptor(0, i % 8, 0x4010_0000, 1, 2, 0);
      b.offer(0, i % 8);
      b.notify(0);
    }
    expect(b.usedIndex(0)).toBe(3);
    expect(b.used(0, 0x1_0002)).toEqual({ id: 2, length: 1 });
    expect(b.details).toBe("");
  });

  it("buffers that were available before DRIVER_OK are served then", () => {
    const b = entropy(legacy);
    b.start();
    b.write(0x070, 0);
    b.write(0x070, 3);
    if (!legacy) {
      b.write(0x024, 1);
      b.write(0x020, 1);
      b.write(0x070, 11);
    }
    b.setUp(0);
    b.post(0, [{ space: 4 }]);
    b.write(0x070, legacy ? 7 : 15);
    expect(b.usedIndex(0)).toBe(1);
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
      "2.7.5.3.1: an indirect table of a length that is no multiple of 16",
      (b) => {
        b.descriptor(0, 0, 0x4008_0000, 24, 4, 0);
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
  it.each(broken)("%s: guest error, DEVICE_NEEDS_RESET, no buffer used", (__, spoil, message) => {
    const b = entropy(legacy);
    b.start(8, INDIRECT_DESC);
    spoil(b);
    b.notify(0);
    expect(b.details).toContain(message);
    expect(b.status & NEEDS_RESET).toBe(NEEDS_RESET);
    expect(b.takeInterrupt()).toBe(2);
    expect(b.usedIndex(0)).toBe(0);
    b.write(0x070, 0);
    expect(b.status).toBe(0);
  });

  it("2.7.5.3.1: an indirect descriptor without the feature is an error", () => {
    const b = entropy(legacy);
    b.start();
    b.descriptor(0, 0, 0x4008_0000, 16, 4, 0);
    b.offer(0, 0);
    b.notify(0);
    expect(b.details).toContain("without INDIRECT_DESC");
  });

  it("2.1.2: a device that needs a reset uses no more buffers, and the driver cannot clear the bit", () => {
    const b = entropy(legacy);
    b.start();
    b.offer(0, 8);
    b.notify(0);
    b.write(0x070, 15);
    expect(b.status & NEEDS_RESET).toBe(NEEDS_RESET);
    b.send(0, [{ space: 4 }]);
    expect(b.usedIndex(0)).toBe(0);
  });

  it("a buffer that is no memory is a guest error, not an exception", () => {
    const b = entropy(legacy);
    b.start();
    b.descriptor(0, 0, 0x1000, 16, 2, 0);
    b.offer(0, 0);
    b.notify(0);
    expect(b.errors.map((e) => e.kind)).toContain("dma");
    expect(b.usedIndex(0)).toBe(1);
  });

  it("event_idx=off, indirect_desc=off: the features are not offered", () => {
    // 6.3: ANY_LAYOUT (27) is a feature of the legacy interface.
    const always = legacy ? 1 << 27 : 0;
    expect(entropy(legacy).features(0)).toBe((INDIRECT_DESC | EVENT_IDX | always) >>> 0);
    expect(entropy(legacy, { eventIndex: false, indirect: false }).features(0)).toBe(always);
  });

  it("5.4: entropy comes from the seed: two machines give the same bytes, and they are not all alike", () => {
    const run = () => {
      const b = entropy(legacy);
      b.start();
      const [at] = b.send(0, [{ space: 32 }]);
      return b.bytes(at as number, 32);
    };
    const bytes = run();
    expect(run()).toEqual(bytes);
    expect(new Set(bytes).size).toBeGreaterThan(16);
  });
});

describe("status and features", () => {
  it("2.2.2: features that were not offered make FEATURES_OK stay clear", () => {
    const b = entropy();
    b.write(0x070, 3);
    b.write(0x024, 0);
    b.write(0x020, 1 << 20);
    b.write(0x024, 1);
    b.write(0x020, 1);
    b.write(0x070, 11);
    expect(b.status).toBe(3);
    expect(b.details).toContain("not offered");
  });

  it("6.1: without VERSION_1 FEATURES_OK stays clear", () => {
    const b = entropy();
    b.write(0x070, 3);
    b.write(0x070, 11);
    expect(b.status).toBe(3);
  });

  it("3.1.1: without FEATURES_OK nothing is served", () => {
    const b = entropy();
    b.start();
    b.write(0x070, 0);
    b.setUp(0);
    b.write(0x070, 7);
    b.send(0, [{ space: 4 }]);
    expect(b.usedIndex(0)).toBe(0);
    expect(b.details).toContain("DRIVER_OK without FEATURES_OK");
  });

  it("3.1.1: features cannot be changed after FEATURES_OK", () => {
    const b = entropy();
    b.start();
    b.write(0x024, 0);
    b.write(0x020, EVENT_IDX);
    expect(b.details).toContain("after FEATURES_OK");
    expect(b.device.eventIndex).toBe(false);
  });

  it("2.1.1: clearing a status bit is reported", () => {
    const b = entropy();
    b.start();
    b.write(0x070, 11);
    expect(b.details).toContain("clears status bits");
  });

  it("3.1.1: a notification before DRIVER_OK is a guest error", () => {
    const b = entropy();
    b.notify(0);
    expect(b.details).toBe("sequence: notification of a queue that is not ready");
  });

  it("3.1.2: legacy drivers may use the device before DRIVER_OK", () => {
    const b = entropy(true);
    b.start();
    b.write(0x070, 0);
    b.write(0x070, 3);
    b.setUp(0);
    b.send(0, [{ space: 4 }]);
    expect(b.usedIndex(0)).toBe(1);
    expect(b.details).toBe("");
  });

  it("2.2.3: a feature that was not offered has no effect on the legacy interface, and is reported", () => {
    const b = new Bench((s, port) => new VirtioEntropy(s, "rng", { port, eventIndex: false }), true);
    b.start(8, EVENT_IDX);
    expect(b.device.eventIndex).toBe(false);
    expect(b.details).toContain("not offered");
  });
});

describe("queue reset (VIRTIO 1.2, 2.6.1; 4.2.2.1)", () => {
  const RING_RESET = 1 << 8;
  const started = () => {
    const b = entropy();
    b.write(0x070, 3);
    b.write(0x024, 1);
    b.write(0x020, 1 | RING_RESET);
    b.write(0x070, 11);
    b.setUp(0);
    b.write(0x070, 15);
    return b;
  };

  it("bit 40 is offered by version 2 alone", () => {
    expect(entropy().features(1)).toBe(1 | RING_RESET);
    expect(entropy(true).features(1)).toBe(0);
  });

  it("writing 1 to QueueReset stops the queue: QueueReady and QueueReset read 0, notifications do nothing", () => {
    const b = started();
    b.send(0, [{ space: 4 }]);
    b.write(0x030, 0);
    b.write(0x0c0, 1);
    expect([b.read(0x0c0), b.read(0x044)]).toEqual([0, 0]);
    b.send(0, [{ space: 4 }], 1);
    expect(b.usedIndex(0)).toBe(1);
    expect(b.status).toBe(15);
  });

  it("2.6.1.2: the queue can be enabled again, elsewhere and of another size, and starts from the beginning", () => {
    const b = started();
    b.send(0, [{ space: 4 }]);
    b.write(0x0c0, 1);
    b.size = 4;
    b.setUp(0);
    b.send(0, [{ space: 4 }], 2);
    expect(b.usedIndex(0)).toBe(1);
    expect(b.used(0, 0)).toEqual({ id: 2, length: 4 });
  });

  it("without the feature QueueReset does nothing, and is reported", () => {
    const b = entropy();
    b.start();
    b.write(0x030, 0);
    b.write(0x0c0, 1);
    expect(b.read(0x044)).toBe(1);
    expect(b.details).toContain("RING_RESET");
  });
});
