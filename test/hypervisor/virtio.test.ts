/** virtio-mmio devices of VMs: registers by traps of real loads and stores, DMA in the VM's own memory, interrupts by its virtual GIC. */
import { describe, expect, it } from "vitest";
import { type BlockStore, OverlayStore, VirtioBlock, VirtioNetwork } from "../../src/devices/virtio/index.ts";
import { parseVmConfiguration } from "../../src/host/vm.ts";
import type { VmConfiguration } from "../../src/hypervisor/config.ts";
import { guestDeviceTree } from "../../src/hypervisor/guest.ts";
import type { MakeVirtio } from "../../src/hypervisor/virtio.ts";
import { joinStations, Switch } from "../../src/net/index.ts";
import type { GuestError } from "../../src/sim/index.ts";
import { HANDS, Hands, le, SlotDriver } from "./support/hands.ts";
import { guests } from "./support/machine.ts";

const RAM = 0x4000_0000;
const BUFFERS = RAM + 0x20_0000;
/** Sector n is full of n. */
const disk: BlockStore = {
  sectors: 64,
  readOnly: true,
  read: (sector, into) => into.set(into.map((_, i) => sector + (i >> 9))),
  write: () => {},
  flush: () => {},
};
/** A disk in slot 5, a network card in slot 2, the cards on one switch. */
function make(): { readonly virtio: MakeVirtio } {
  let hub: Switch | null = null;
  return {
    virtio: (vm, part) => (parent, name, port) => {
      if (part === "virtio5") return new VirtioBlock(parent, name, { port, store: new OverlayStore(disk) });
      hub ??= new Switch(parent.simulation, "hub");
      const mac = Uint8Array.of(0x52, 0x54, 0, 0, 0, vm);
      const device = new VirtioNetwork(parent, name, { port, mac });
      joinStations(parent, `${name}link`, device, hub.addPort());
      return device;
    },
  };
}
const devices = {
  virtio2: { mode: "trap", device: "virtio-net-device" },
  virtio5: { mode: "trap", device: "virtio-blk-device", file: "disk" },
} as const;
const vm = (name: string, cpu: number): VmConfiguration => ({
  name,
  memory: "8M",
  kernel: "k",
  devices,
  affinity: [[cpu]],
});
function machine(copy = 0) {
  const g = guests(
    { machine: { cpus: 2 }, costs: { copy }, vms: [vm("a", 0), vm("b", 1)] },
    [{ kernel: HANDS }, { kernel: HANDS }],
    make(),
  );
  const errors: GuestError[] = [];
  g.machine.simulation.reporter.observe({ guestError: (e) => errors.push(e) });
  const hands = new Hands(g);
  hands.idle();
  return { ...g, hands, errors };
}
/** 5.2.6: reads (0) or writes (1) a sector at `data`; the status byte. */
function request(hands: Hands, driver: SlotDriver, n: number, type: number, sector: number, data: number): number {
  hands.poke(n, BUFFERS, [...le(type, 8), ...le(sector, 8), 0xff]);
  driver.send(0, [
    { address: BUFFERS, length: 16 },
    { address: data, length: 512, write: type === 0 },
    { address: BUFFERS + 16, length: 1, write: true },
  ]);
  return hands.peek(n, BUFFERS + 16, 1)[0] ?? -1;
}
const full = (value: number) => new Array<number>(512).fill(value);

describe("virtio-mmio devices of a VM", () => {
  it("are in its device tree where they are on the board, no other slot", () => {
    const tree = guestDeviceTree({
      cpus: 1,
      cpu: "cortex-a57",
      memory: 2 ** 23,
      psci: "hvc",
      parts: ["uart0", "virtio2", "virtio5"],
    });
    const slots = tree.children.filter((n) => n.name.startsWith("virtio_mmio"));
    // SPI 16 + slot, edge-triggered, as on QEMU's machine
    expect(slots.map((n) => [n.name, n.properties["interrupts"]])).toEqual([
      ["virtio_mmio@a000400", [0, 18, 1]],
      ["virtio_mmio@a000a00", [0, 21, 1]],
    ]);
  });

  it("a disk: its own memory is read and written, each VM has its disk, its interrupt ends WFI", () => {
    const { hands, vms } = machine();
    const drivers = [0, 1].map((n) => new SlotDriver(hands, n, 5));
    const [a, b] = drivers as [SlotDriver, SlotDriver];
    // 4.2.2: magic "virt", version 2, device 2
    expect([0, 4, 8].map((offset) => a.read(offset))).toEqual([0x7472_6976, 2, 2]);
    for (const d of drivers) d.start(1);
    expect(request(hands, a, 0, 0, 7, BUFFERS + 0x1000)).toBe(0);
    expect(hands.peek(0, BUFFERS + 0x1000, 512)).toEqual(full(7));
    expect(hands.peek(1, BUFFERS + 0x1000, 4)).toEqual([0, 0, 0, 0]);
    expect(a.used(0)).toEqual({ index: 1, length: 513 });

    hands.enable(0, 32 + 16 + 5);
    expect(hands.wait(0)).toBe(true);
    expect(hands.acknowledge(0, () => a.write(0x064, a.read(0x060)))).toBe(53);
    hands.poke(0, BUFFERS + 0x1000, full(0xaa));
    expect(request(hands, a, 0, 1, 7, BUFFERS + 0x1000)).toBe(0);
    expect(request(hands, a, 0, 0, 7, BUFFERS + 0x2000)).toBe(0);
    expect(request(hands, b, 1, 0, 7, BUFFERS + 0x2000)).toBe(0);
    expect([hands.peek(0, BUFFERS + 0x2000, 512), hands.peek(1, BUFFERS + 0x2000, 512)]).toEqual([full(0xaa), full(7)]);
    expect(vms[0]?.statistics.table("registers").map((r) => r.name)).toEqual(
      expect.arrayContaining(["virtio5.QueueNotify", "virtio5.InterruptStatus"]),
    );
  });

  it("network cards on a switch: a frame goes from one VM to the other, which sleeps until it comes", () => {
    const { hands } = machine();
    const drivers = [0, 1].map((n) => new SlotDriver(hands, n, 2));
    const [a, b] = drivers as [SlotDriver, SlotDriver];
    for (const d of drivers) d.start(2);
    hands.enable(1, 32 + 16 + 2);
    b.send(0, [{ address: BUFFERS, length: 2048, write: true }]);
    const frame = [
      0x52,
      0x54,
      0,
      0,
      0,
      1,
      0x52,
      0x54,
      0,
      0,
      0,
      0,
      0x88,
      0xb5,
      ...Array.from({ length: 46 }, (_, i) => i),
    ];
    hands.poke(0, BUFFERS, [...new Uint8Array(12), ...frame]);
    a.send(1, [{ address: BUFFERS, length: 12 + frame.length }]);
    expect(hands.wait(1)).toBe(true);
    expect(hands.acknowledge(1, () => b.write(0x064, b.read(0x060)))).toBe(50);
    expect(b.used(0)).toEqual({ index: 1, length: 12 + frame.length });
    expect(hands.peek(1, BUFFERS + 12, frame.length)).toEqual(frame);
    // a mapping of 8 MiB ends where the other VM's memory or the machine's lies: nothing comes to it
    expect(hands.wait(1)).toBe(false);
  });

  it("DMA beyond the VM's memory reaches nothing, and is recorded", () => {
    const { hands, errors } = machine();
    const d = new SlotDriver(hands, 0, 5);
    d.start(1);
    // the end of its own memory, the machine's RAM further on, a register of the machine's, beyond everything
    for (const address of [RAM + 0x80_0000, RAM + 0x180_0000, 0x900_0000, 2 ** 51]) {
      expect(request(hands, d, 0, 0, 9, address)).toBe(0);
    }
    const dma = errors.filter((e) => e.kind === "dma");
    expect(dma.map((e) => [e.module, e.address])).toEqual(
      [RAM + 0x80_0000, RAM + 0x180_0000, 0x900_0000, 2 ** 51].map((a) => ["hypervisor.a.virtio5-device", a]),
    );
    // one that begins within and ends without: the part within
    expect(request(hands, d, 0, 0, 9, RAM + 0x80_0000 - 256)).toBe(0);
    expect(hands.peek(0, RAM + 0x80_0000 - 256, 256)).toEqual(full(9).slice(256));
    expect(hands.peek(1, RAM, 512)).toEqual(full(0));
  });

  it("a VM that is reset finds them as after power-on; one that is off or destroyed hears of nothing", () => {
    const { hands, hypervisor, vms, machine: m } = machine();
    const drivers = [0, 1].map((n) => new SlotDriver(hands, n, 2));
    const [a, b] = drivers as [SlotDriver, SlotDriver];
    for (const d of drivers) d.start(2);
    const [first, second] = vms;
    if (first === undefined || second === undefined) throw new Error("no VMs");
    expect(b.read(0x070)).toBe(15);
    hypervisor.request(second, "reset");
    hands.idle();
    expect(b.read(0x070)).toBe(0);
    const again = new SlotDriver(hands, 1, 2);
    again.start(2);
    again.send(0, [{ address: BUFFERS, length: 2048, write: true }]);
    const at = second.cells.memory - RAM;
    hypervisor.request(second, "destroy");
    hands.idle();
    const free = hypervisor.options.pool.free;
    const before = m.ram.slice(at, 0x80_0000);
    hands.poke(0, BUFFERS, [...new Uint8Array(12), ...new Uint8Array(60).fill(0xff)]);
    a.send(1, [{ address: BUFFERS, length: 72 }]);
    hands.idle();
    expect([second.status, hypervisor.options.pool.free]).toEqual(["destroyed", free]);
    expect(m.ram.slice(at, 0x80_0000).every((byte, i) => byte === before[i])).toBe(true);
  });

  it("what is copied takes time by the cost table", () => {
    const time = (copy: number): number => {
      const { hands, machine: m } = machine(copy);
      const d = new SlotDriver(hands, 0, 5);
      d.start(1);
      const begun = m.simulation.now;
      expect(request(hands, d, 0, 0, 7, BUFFERS + 0x1000)).toBe(0);
      return m.simulation.now - begun;
    };
    // 1 ns a cycle: the sector, the request's 17 bytes, three descriptors of 16 bytes, some of the rings
    const bytes = (time(100) - time(0)) / 10 / 100;
    expect(bytes).toBeGreaterThan(512 + 17 + 48);
    expect(bytes).toBeLessThan(512 + 17 + 48 + 64);
  });

  it("a machine saved in the middle goes on elsewhere to the same state", () => {
    const goOn = (hands: Hands, d: SlotDriver) => {
      for (const sector of [3, 4]) expect(request(hands, d, 0, 1, sector, BUFFERS + 0x1000)).toBe(0);
      expect(request(hands, d, 0, 0, 5, BUFFERS + 0x1000)).toBe(0);
    };
    const one = machine();
    const d = new SlotDriver(one.hands, 0, 5);
    d.start(1);
    expect(request(one.hands, d, 0, 1, 3, RAM)).toBe(0);
    const saved = structuredClone(one.machine.simulation.save());
    goOn(one.hands, d);
    const two = machine();
    two.machine.simulation.load(saved);
    const other = d.on(two.hands, 1);
    goOn(two.hands, other);
    expect(two.machine.simulation.stateHash()).toBe(one.machine.simulation.stateHash());
  });
});

describe("virtio devices in a file of VMs", () => {
  const complaint = (...lines: string[]): string => {
    try {
      parseVmConfiguration(
        "f.jsonc",
        ['{ "vms": [{ "name": "a", "memory": "8M", "kernel": "k", "devices": {', ...lines].join("\n"),
      );
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  const blk = '"mode": "trap", "device": "virtio-blk-device", "file": "d.img"';
  it.each([
    ["a good one", [`"virtio0": { ${blk}, "snapshot": true } } } ] }`], ""],
    [
      "no device",
      ['"virtio0": "trap" } } ] }'],
      'f.jsonc:2: a: virtio0: device "": expected one of virtio-blk-device, ',
    ],
    [
      "an unknown device",
      ['"virtio3": { "mode": "trap", "device": "virtio-gpu-device" } } } ] }'],
      'f.jsonc:2: a: virtio3: device "virtio-gpu-device": expected one of virtio-blk-device',
    ],
    ["one to pass", ['"virtio0": "pass" } } ] }'], "f.jsonc:2: a: virtio0: the machine has no such device to pass"],
    [
      "a disk without a file",
      ['"virtio0": { "mode": "trap", "device": "virtio-blk-device" } } } ] }'],
      'f.jsonc:2: a: virtio0: virtio-blk-device: expected "file"',
    ],
    [
      "what another device has",
      [`"virtio0": { ${blk},`, '"net": "user",', '"at": "0xa000000" } } } ] }'],
      'f.jsonc:3: a: virtio0 has no "net"\nf.jsonc:4: a: virtio0 has no "at"',
    ],
    ["a disk of a UART", ['"uart0": { "mode": "trap",', '"file": "x" } } } ] }'], 'f.jsonc:3: a: uart0 has no "file"'],
    [
      "two that write one file",
      [`"virtio0": { ${blk} },`, `"virtio1": { ${blk} } } } ] }`],
      'f.jsonc:3: a: virtio1: another device has d.img: expected "readonly" or "snapshot" for both (the other: f.jsonc:2)',
    ],
    [
      "another device at their place",
      [`"virtio0": { ${blk} },`, '"uart0": { "mode": "trap", "at": "0xa000000" } } } ] }'],
      "f.jsonc:3: a: uart0 at 0xa000000 overlaps virtio0 at 0xa000000 (the other: f.jsonc:2)",
    ],
  ])("%s", (_what, lines, message) => {
    if (message === "") expect(complaint(...lines)).toBe("");
    else expect(complaint(...lines)).toContain(message);
  });
});
