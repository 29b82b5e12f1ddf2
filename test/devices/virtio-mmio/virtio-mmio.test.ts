import { describe, expect, it } from "vitest";
import { type Port, Transaction } from "../../../src/bus/index.ts";
import { type Chain, VirtioDevice, type Virtqueue } from "../../../src/devices/virtio/index.ts";
import { VirtioMmio } from "../../../src/devices/virtio-mmio/index.ts";
import { type GuestError, Simulation } from "../../../src/sim/index.ts";
import { dmaPort } from "./device.ts";

/** Echoes the first byte of each buffer into its last; two queues, eight bytes of configuration. */
class Echo extends VirtioDevice {
  readonly deviceId = 42;
  readonly configurationBytes = 8;
  protected readonly ownFeatures = 0x8000_0005 | 0;
  readonly written: number[][] = [];
  readonly configuration = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

  constructor(simulation: Simulation, port: Port) {
    super(simulation, "echo", { port }, [16, 8]);
  }
  configurationByte(offset: number): number {
    return this.configuration[offset] as number;
  }
  override writeConfiguration(offset: number, size: number, value: number): void {
    this.written.push([offset, size, value]);
  }
  protected serve(queue: Virtqueue): void {
    const chain = queue.pop() as Chain;
    const byte = new Uint8Array(1);
    queue.read(chain, byte);
    queue.push(chain, queue.write(chain, byte));
    this.flush(queue);
  }
}

class Machine {
  readonly simulation = new Simulation();
  readonly port = dmaPort(this.simulation);
  readonly device: Echo | null;
  readonly slot: VirtioMmio;
  readonly errors: GuestError[] = [];

  constructor(options: { legacy?: boolean; empty?: boolean } = {}) {
    this.device = options.empty ? null : new Echo(this.simulation, this.port);
    this.slot = new VirtioMmio(this.simulation, "virtio0", { legacy: options.legacy ?? false, device: this.device });
    this.simulation.reporter.observe({ guestError: (e) => this.errors.push(e) });
    this.simulation.reset();
  }
  read(offset: number, size = 4): number {
    return this.slot.registers.read(offset, size, new Transaction());
  }
  write(offset: number, value: number, size = 4): void {
    this.slot.registers.write(offset, size, value, new Transaction());
  }
  /** A queue of 4 entries at 0x1000, 0x2000, 0x3000, with one buffer of 1 byte to read and 1 to write. */
  fillRing(descriptors: number, available: number): void {
    this.port.write(descriptors, 8, 0x4000);
    this.port.write(descriptors + 8, 4, 1);
    this.port.write(descriptors + 12, 2, 1);
    this.port.write(descriptors + 14, 2, 1);
    this.port.write(descriptors + 16, 8, 0x4001);
    this.port.write(descriptors + 24, 4, 1);
    this.port.write(descriptors + 28, 2, 2);
    this.port.write(0x4000, 1, 0x5a);
    this.port.write(available + 4, 2, 0);
    this.port.write(available + 2, 2, 1);
  }
}

describe("an empty slot", () => {
  it("4.2.2: shows magic, version and vendor; 4.2.3.1.1: device id 0", () => {
    const m = new Machine({ legacy: true, empty: true });
    expect([0x000, 0x004, 0x008, 0x00c].map((o) => m.read(o))).toEqual([0x7472_6976, 1, 0, 0x554d_4551]);
    expect(new Machine({ empty: true }).read(0x004)).toBe(2);
  });

  it("reads as zero elsewhere, ignores writes and says nothing of it", () => {
    const m = new Machine({ empty: true });
    for (const offset of [0x010, 0x034, 0x040, 0x044, 0x060, 0x070, 0x0b0, 0x0b4, 0x0b8, 0x0bc, 0x0fc, 0x100, 0x1fc]) {
      if (![0x010, 0x034, 0x060, 0x0b0, 0x0b4, 0x0b8, 0x0bc, 0x0fc].includes(offset)) m.write(offset, 0xffff_ffff);
      expect(m.read(offset)).toBe(0);
    }
    for (const offset of [0x020, 0x038, 0x03c, 0x050, 0x064, 0x080, 0x0a4]) m.write(offset, 0xffff_ffff);
    expect(m.errors).toEqual([]);
    expect(m.slot.interrupt.level).toBe(false);
  });
});

describe("version 2", () => {
  it("4.2.2: the feature selectors choose words of 32 bits; words beyond 1 are zero", () => {
    const m = new Machine();
    const features = [0, 1, 2, 0xffff_ffff].map((word) => {
      m.write(0x014, word);
      return m.read(0x010);
    });
    // Bits 0, 2 and 31 are the device's own, 28 and 29 indirect descriptors and event indices, 32 VERSION_1, 40
    // RING_RESET.
    expect(features).toEqual([0xb000_0005, 0x101, 0, 0]);
  });

  it("4.2.2: QueueNumMax is the selected queue's, 0 for one that does not exist", () => {
    const m = new Machine();
    const sizes = [0, 1, 2, 0xffff_ffff].map((queue) => {
      m.write(0x030, queue);
      return m.read(0x034);
    });
    expect(sizes).toEqual([16, 8, 0, 0]);
  });

  it("4.2.2: shared memory regions do not exist: length and address of all ones", () => {
    const m = new Machine();
    m.write(0x0ac, 0);
    expect([0x0b0, 0x0b4, 0x0b8, 0x0bc].map((o) => m.read(o))).toEqual(new Array(4).fill(0xffff_ffff));
  });

  /** 3.1.1 and 4.2.3.2. */
  function start(m: Machine): void {
    m.write(0x070, 0);
    m.write(0x070, 1);
    m.write(0x070, 3);
    m.write(0x024, 0);
    m.write(0x020, 0);
    m.write(0x024, 1);
    m.write(0x020, 1);
    m.write(0x070, 11);
    expect(m.read(0x070)).toBe(11);
    m.write(0x030, 0);
    expect(m.read(0x044)).toBe(0);
    m.write(0x038, 4);
    m.write(0x080, 0x1000);
    m.write(0x084, 0);
    m.write(0x090, 0x2000);
    m.write(0x094, 0);
    m.write(0x0a0, 0x3000);
    m.write(0x0a4, 0);
    m.write(0x044, 1);
    expect(m.read(0x044)).toBe(1);
    m.write(0x070, 15);
  }

  it("4.2.3: a driver's whole way: features, queue, notification, used buffer, interrupt, acknowledge", () => {
    const m = new Machine();
    start(m);
    m.fillRing(0x1000, 0x2000);
    m.write(0x050, 0);
    expect(m.port.read(0x4001, 1)).toBe(0x5a);
    expect([m.port.read(0x3002, 2), m.port.read(0x3004, 4), m.port.read(0x3008, 4)]).toEqual([1, 0, 1]);
    expect([m.read(0x060), m.slot.interrupt.level]).toEqual([1, true]);
    m.write(0x064, 2);
    expect([m.read(0x060), m.slot.interrupt.level]).toEqual([1, true]);
    m.write(0x064, 1);
    expect([m.read(0x060), m.slot.interrupt.level]).toEqual([0, false]);
    expect(m.errors).toEqual([]);
  });

  it("4.2.2: a configuration change raises cause 1 and moves ConfigGeneration", () => {
    const m = new Machine();
    start(m);
    m.slot.configurationChanged();
    expect([m.read(0x060), m.read(0x0fc), m.slot.interrupt.level]).toEqual([2, 1, true]);
  });

  it("2.1.2: before DRIVER_OK a configuration change moves ConfigGeneration and makes no interrupt", () => {
    const m = new Machine();
    m.slot.configurationChanged();
    expect([m.read(0x060), m.read(0x0fc), m.slot.interrupt.level]).toEqual([0, 1, false]);
  });

  it("4.2.2.2: undefined bits in InterruptACK are reported and change nothing", () => {
    const m = new Machine();
    start(m);
    m.slot.queueInterrupt(0);
    m.write(0x064, 0xffff_fffc);
    expect([m.read(0x060), m.slot.interrupt.level]).toEqual([1, true]);
    expect(m.errors.map((e) => [e.kind, e.value])).toEqual([["value", 0xffff_fffc]]);
  });

  it("2.1: writing 0 to Status resets device, queues and interrupt causes", () => {
    const m = new Machine();
    start(m);
    m.slot.configurationChanged();
    m.slot.queueInterrupt(0);
    m.write(0x070, 0);
    expect([m.read(0x070), m.read(0x060), m.read(0x044), m.slot.interrupt.level]).toEqual([0, 0, 0, false]);
  });

  it("4.2.2.2: a queue in use keeps its size and addresses", () => {
    const m = new Machine();
    start(m);
    m.write(0x038, 2);
    m.write(0x080, 0x5000);
    expect(m.device?.queues[0]?.state).toMatchObject({ size: 4, descriptors: 0x1000 });
    expect(m.errors.map((e) => e.kind)).toEqual(["sequence", "sequence"]);
  });

  it("2.7: a queue size that is no power of two or too large is refused", () => {
    const m = new Machine();
    for (const size of [0, 3, 32, 0x8000_0000]) m.write(0x038, size);
    expect(m.device?.queues[0]?.state.size).toBe(0);
    m.write(0x044, 1);
    expect(m.read(0x044)).toBe(0);
    expect(m.errors.map((e) => e.kind)).toEqual(["value", "value", "value", "value", "sequence"]);
  });

  it("addresses are 64 bits in two halves, in any order; beyond 52 bits is reported", () => {
    const m = new Machine();
    m.write(0x084, 0x12);
    m.write(0x080, 0xffff_fff0);
    m.write(0x0a0, 0x10);
    m.write(0x0a4, 0xfff0_0001);
    expect(m.device?.queues[0]?.state).toMatchObject({ descriptors: 0x12_ffff_fff0, used: 0x1_0000_0010 });
    expect(m.errors.map((e) => [e.kind, e.value])).toEqual([["value", 0xfff0_0001]]);
  });

  it("4.2.2.2: the configuration space takes 8, 16 and 32 bits, and ends where the device says", () => {
    const m = new Machine();
    expect([m.read(0x100, 1), m.read(0x102, 2), m.read(0x104), m.read(0x107, 1), m.read(0x108)]).toEqual([
      1, 0x0403, 0x0807_0605, 8, 0,
    ]);
    m.write(0x101, 0xab, 1);
    m.write(0x106, 0xbeef, 2);
    m.write(0x104, 0x1234_5678);
    expect(m.device?.written).toEqual([
      [1, 1, 0xab],
      [6, 2, 0xbeef],
      [4, 4, 0x1234_5678],
    ]);
    m.write(0x108, 1);
    expect(m.errors).toMatchObject([{ kind: "reserved-offset", offset: 0x108 }]);
  });

  it("4.2.2.2: control registers take 32 bits only", () => {
    const m = new Machine();
    expect(m.read(0x000, 1)).toBe(0);
    m.write(0x030, 1, 2);
    expect(m.errors.map((e) => e.kind)).toEqual(["width", "width"]);
  });

  it("legacy registers do nothing and are reported", () => {
    const m = new Machine();
    m.write(0x028, 4096);
    m.write(0x03c, 4096);
    m.write(0x040, 1);
    expect(m.read(0x040)).toBe(0);
    expect(m.errors.map((e) => e.kind)).toEqual(["access", "access", "access", "access"]);
  });

  it("state and interrupt come back from a snapshot", () => {
    const m = new Machine();
    start(m);
    m.fillRing(0x1000, 0x2000);
    m.write(0x050, 0);
    const saved = structuredClone(m.simulation.save());
    const other = new Machine();
    other.simulation.load(saved);
    expect(other.simulation.stateHash()).toBe(m.simulation.stateHash());
    expect([other.read(0x060), other.read(0x070), other.slot.interrupt.level]).toEqual([1, 15, true]);
  });
});

describe("4.2.4, the legacy interface", () => {
  it("offers the first 32 feature bits only, and ANY_LAYOUT (6.3)", () => {
    const m = new Machine({ legacy: true });
    expect(m.read(0x010)).toBe(0xb800_0005);
    m.write(0x014, 1);
    expect(m.read(0x010)).toBe(0);
  });

  it("lays the queue out from QueuePFN on, the used ring at QueueAlign (2.7.2)", () => {
    const m = new Machine({ legacy: true });
    m.write(0x070, 1);
    m.write(0x070, 3);
    m.write(0x020, 0);
    m.write(0x028, 0x1000);
    m.write(0x030, 0);
    expect(m.read(0x040)).toBe(0);
    m.write(0x038, 4);
    m.write(0x03c, 0x1000);
    m.write(0x040, 1);
    expect(m.read(0x040)).toBe(1);
    // 16 bytes a descriptor; 6 + 2 n bytes of available ring; then the next multiple of 0x1000.
    expect(m.device?.queues[0]?.state).toMatchObject({ descriptors: 0x1000, available: 0x1040, used: 0x2000 });
    m.write(0x070, 7);
    m.fillRing(0x1000, 0x1040);
    m.write(0x050, 0);
    expect([m.port.read(0x4001, 1), m.port.read(0x2002, 2), m.read(0x060)]).toEqual([0x5a, 1, 1]);
    m.write(0x040, 0);
    expect(m.read(0x040)).toBe(0);
    expect(m.errors).toEqual([]);
  });

  it("a queue without page size or alignment does not start", () => {
    const m = new Machine({ legacy: true });
    m.write(0x038, 4);
    m.write(0x040, 1);
    m.write(0x03c, 24);
    expect(m.read(0x040)).toBe(0);
    expect(m.errors.map((e) => e.kind)).toEqual(["sequence", "value"]);
  });

  it("registers of version 2 do nothing and are reported", () => {
    const m = new Machine({ legacy: true });
    m.write(0x080, 0x1000);
    m.write(0x044, 1);
    expect([m.read(0x044), m.read(0x0fc)]).toEqual([0, 0]);
    expect(m.errors.map((e) => e.kind)).toEqual(["access", "access", "access", "access"]);
  });
});
