/** Every virtio device behind a slot, with an outside world that also plays a careless driver: queues and descriptors of random contents. */
import { Arena, Memory, Port, Router, Transaction } from "../../../src/bus/index.ts";
import {
  type BlockStore,
  type FileTree,
  OverlayStore,
  VirtioBlock,
  VirtioConsole,
  type VirtioDevice,
  VirtioEntropy,
  VirtioNetwork,
  VirtioP9,
} from "../../../src/devices/virtio/index.ts";
import { VirtioMmio } from "../../../src/devices/virtio-mmio/index.ts";
import { connectUser } from "../../../src/net/index.ts";
import { type Random, type Simulation, US } from "../../../src/sim/index.ts";
import type { DeviceFactory } from "../../registers/harness.ts";
import { packet } from "./packets.ts";

const RAM_BYTES = 0x1_0000;
const PAGE = 0x1000;

type Make = (simulation: Simulation, port: Port) => { device: VirtioDevice; outside?: (random: Random) => void };

/** Registers in the order in which drivers write them; then random contents of the rings, and a notification. */
function careless(slot: VirtioMmio, ram: Memory, random: Random): void {
  const tx = new Transaction();
  const write = (offset: number, value: number) => slot.registers.write(offset, 4, value >>> 0, tx);
  const queue = random.below(Math.min(6, slot.device?.queues.length ?? 1));
  const size = 1 << random.below(4);
  const base = PAGE * random.below(8);
  if (random.below(4) === 0) {
    write(0x070, 0);
    write(0x070, 3);
    write(0x028, PAGE);
    write(0x024, 1);
    write(0x020, 1 | (random.below(2) << 8));
    write(0x024, 0);
    // Features that lack what they need are refused: often all, else any.
    const chosen = random.below(2) === 0 ? -1 : random.uint32();
    write(0x020, slot.device === null ? 0 : slot.device.features(0) & chosen);
    write(0x070, 11);
  }
  write(0x030, queue);
  write(0x038, size);
  write(0x03c, PAGE);
  if (slot.legacy) write(0x040, base / PAGE);
  else {
    [0x080, 0x090, 0x0a0].forEach((offset, i) => {
      write(offset, base + PAGE * i);
      write(offset + 4, 0);
    });
    write(0x044, 1);
  }
  write(0x070, 15);
  const bytes = new Uint8Array(16 * size);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < size; i++) {
    view.setUint32(16 * i, random.below(RAM_BYTES + 0x100), true);
    view.setUint32(16 * i + 8, random.below(4) === 0 ? random.uint32() >>> random.below(32) : random.below(600), true);
    view.setUint16(16 * i + 12, random.below(8), true);
    view.setUint16(16 * i + 14, random.below(size + 1), true);
  }
  ram.fill(base, bytes);
  const available = slot.legacy ? base + 16 * size : base + PAGE;
  const ring = new Uint8Array(6 + 2 * size);
  const at = slot.device?.queues[queue]?.state.nextAvailable ?? 0;
  new DataView(ring.buffer).setUint16(2, at + random.below(size + 1), true);
  for (let i = 0; i < size; i++) ring[4 + 2 * i] = random.below(size + 1);
  ram.fill(available, ring);
  // Where buffers may lie: what looks like requests.
  const request = Uint8Array.from({ length: 64 }, () => random.below(16));
  ram.fill(random.below(RAM_BYTES - 64), request);
  write(0x050, queue);
}

function factory(legacy: boolean, make: Make): DeviceFactory {
  return (simulation) => {
    const arena = new Arena();
    const bus = new Router(simulation, "dma");
    const ram = new Memory(simulation, "ram", arena, { size: RAM_BYTES });
    bus.map({ name: "ram", base: 0, size: RAM_BYTES, target: ram });
    const { device, outside } = make(simulation, new Port(bus, arena));
    const slot = new VirtioMmio(simulation, "virtio0", { legacy, device });
    return {
      module: slot,
      targets: [{ name: "registers", target: slot.registers, size: 0x200 }],
      stimulate: (random) => {
        if (outside && random.below(2) === 0) outside(random);
        else careless(slot, ram, random);
      },
    };
  };
}

const SECTORS = 40;
const blank: BlockStore = {
  sectors: SECTORS,
  readOnly: true,
  read: (sector, into) => void into.fill(sector),
  write: () => undefined,
  flush: () => undefined,
};
const tree: FileTree = {
  readOnly: false,
  status: (path) => ({
    mode: path.length === 0 ? 0o040755 : 0o100644,
    uid: 0,
    gid: 0,
    links: 1,
    size: 9,
    inode: path.length,
    modified: 0,
    modifiedNs: 0,
  }),
  list: () => ["a", "b"],
  read: (_path, _offset, into) => into.length,
  write: (_path, _offset, data) => data.length,
  truncate: () => 0,
  setMode: () => 0,
  readLink: () => "target",
  create: () => 0,
  makeDirectory: () => 0,
  makeLink: () => 0,
  remove: () => 0,
  rename: () => 0,
};

const makers: { readonly [name: string]: Make } = {
  block: (s, port) => ({
    device: new VirtioBlock(s, "disk", { port, store: new OverlayStore(blank), latency: 3 * US }),
  }),
  network: (s, port) => {
    const device = new VirtioNetwork(s, "net", { port, mac: Uint8Array.of(2, 0, 0, 0, 0, 1), pairs: 2, rss: true });
    connectUser(s, "net", device, { link: { rate: 1_000_000_000, delay: US } });
    const outside = (random: Random) => {
      if (random.below(20) === 0) device.setLink(random.below(2) === 0);
      else if (random.below(2) === 0)
        device.receive(packet({ payload: 1 + random.below(60), sequence: 1 + random.below(3) }));
      else device.receive(Uint8Array.from({ length: 14 + random.below(100) }, () => random.below(256)));
    };
    return { device, outside };
  },
  console: (s, port) => {
    const ports = [
      { number: 0, console: true },
      { number: 1, console: false, name: "one" },
    ];
    const device = new VirtioConsole(s, "console", { port, maxPorts: 2, ports });
    return { device, outside: (random) => void device.ports[random.below(2)]?.receive(random.below(256)) };
  },
  entropy: (s, port) => ({ device: new VirtioEntropy(s, "rng", { port }) }),
  p9: (s, port) => ({ device: new VirtioP9(s, "share", { port, tree, tag: "share" }) }),
};

export const devices: { readonly [name: string]: DeviceFactory } = Object.fromEntries(
  Object.entries(makers).flatMap(([name, make]) => [
    [`virtio-${name}`, factory(false, make)],
    [`virtio-${name}-legacy`, factory(true, make)],
  ]),
);
