/** 82576 cards behind root ports, with an SMMU before memory or without: driven through ECAM, BARs and rings in RAM, as a kernel's driver does. */
import { Arena, Memory, Port, Router, type Target, Transaction } from "../../src/bus/index.ts";
import { I82576Device } from "../../src/devices/i82576/index.ts";
import { Smmuv3 } from "../../src/devices/smmuv3/index.ts";
import { makeRootPort, PcieHost } from "../../src/pcie/index.ts";
import { SEC, Simulation } from "../../src/sim/index.ts";

export const RAM = 0x4000_0000;
const RAM_SIZE = 1 << 28;
const ECAM = 0x40_1000_0000;
const SMMU = 0x905_0000;
const DOORBELL = 0x802_0000;
/** Stream table, commands, a context descriptor a stream, tables; then a region a function. */
const STREAMS = RAM;
const COMMANDS = RAM + 0x10_0000;
const CONTEXTS = RAM + 0x11_0000;
const TABLES = RAM + 0x20_0000;
const REGIONS = RAM + 0x100_0000;
const REGION = 0x10_0000;
const COUNT = 256;
const PAGE = 4096;
/** Queues of PF and VFs with eight pools: VF n has queue n, the PF the last. */
const PF_QUEUE = 7;
const VFS = 7;

/** "off": no SMMU on the board; "on": stage 1, 4 KiB pages; "compared": as the board has it, cached entries compared with memory. */
export type Translation = "off" | "on" | "compared";

export class Cards {
  readonly simulation = new Simulation();
  readonly cards: Card[] = [];
  readonly #arena = new Arena();
  readonly #system: Router;
  readonly memory: Port;
  readonly #transaction = new Transaction();
  messages = 0;
  errors = 0;
  firstError = "";

  constructor(cards: number, translation: Translation) {
    const { simulation } = this;
    const arena = this.#arena;
    const system = new Router(simulation, "system");
    this.#system = system;
    system.map({
      name: "ram",
      base: RAM,
      size: RAM_SIZE,
      target: new Memory(simulation, "ram", arena, { size: RAM_SIZE }),
    });
    const doorbell: Target = {
      accessSizes: 4,
      read: () => 0,
      write: () => void this.messages++,
      peek: () => 0,
      poke: () => undefined,
    };
    system.map({ name: "doorbell", base: DOORBELL, size: PAGE, target: doorbell });
    this.memory = new Port(system, arena);
    let smmu: Smmuv3 | null = null;
    if (translation !== "off") {
      smmu = new Smmuv3(simulation, "smmu", { bus: system, arena, checkInvalidation: translation === "compared" });
      system.map({ name: "smmu", base: SMMU, size: 0x2_0000, target: smmu.registers });
    }
    const host = new PcieHost(simulation, "pcie", { arena, dma: smmu ?? system });
    system.map({ name: "ecam", base: ECAM, size: 0x1000_0000, target: host.ecam });
    system.map({ name: "pci", base: 0x1000_0000, size: 0x2000_0000, target: host.bus.memory, offset: 0x1000_0000 });
    system.map({
      name: "pci64",
      base: 0x80_0000_0000,
      size: 0x1_0000_0000,
      target: host.bus.memory,
      offset: 0x80_0000_0000,
    });
    for (let n = 0; n < cards; n++) {
      const port = makeRootPort(host, `rp${n}`, { arena, root: host });
      host.bus.attach(port, n + 1);
      const mac = Uint8Array.of(2, 0, 0, 0, n, 0);
      const device = new I82576Device(host, `eth${n}`, { arena, mac });
      port.below.attach(device.function, 0);
      this.cards.push(new Card(this, device, n));
    }
    simulation.reporter.observe({
      guestError: (e) => {
        if (this.errors++ === 0) this.firstError = JSON.stringify(e);
      },
    });
    simulation.reset();
    if (smmu !== null) this.#translate(cards);
    for (const card of this.cards) card.start();
    simulation.run(2 * SEC);
  }

  read(address: number): number {
    return this.#system.read(address, 4, this.#transaction);
  }
  write(address: number, value: number): void {
    this.#system.write(address, 4, value >>> 0, this.#transaction);
  }

  /** RAM and the doorbell at their own addresses, for each stream with an ASID of its own. */
  #translate(cards: number): void {
    const { memory } = this;
    const words = (at: number, ...list: number[]) => {
      list.forEach((word, i) => {
        memory.write(at + 4 * i, 4, word >>> 0);
      });
    };
    let next = TABLES;
    const table = () => {
      next += PAGE;
      return next - PAGE;
    };
    const root = table();
    const level2 = new Map<number, number>();
    const level3 = new Map<number, number>();
    const entry = (tables: Map<number, number>, index: number, at: number): number => {
      let found = tables.get(index);
      if (found === undefined) {
        found = table();
        tables.set(index, found);
        words(at, found | 3, 0);
      }
      return found;
    };
    const map = (page: number) => {
      const second = entry(level2, page >>> 30, root + 8 * (page >>> 30));
      const third = entry(level3, page >>> 21, second + 8 * ((page >>> 21) & 511));
      words(third + 8 * ((page >>> 12) & 511), (page | 0xc43) >>> 0, 0);
    };
    map(DOORBELL);
    for (let page = RAM; page < RAM + RAM_SIZE; page += PAGE) map(page);
    let asid = 1;
    for (let n = 0; n < cards; n++) {
      for (const devfn of [0, ...Array.from({ length: VFS }, (_, vf) => 0x80 + 2 * vf)]) {
        const stream = ((n + 1) << 8) | devfn;
        const context = CONTEXTS + 64 * asid;
        words(STREAMS + 64 * stream, 1 | (5 << 1) | context, 0);
        words(
          context,
          25 | (1 << 30) | (1 << 31),
          4 | (1 << 9) | (1 << 13) | (1 << 14) | (asid << 16),
          root,
          0,
          0,
          0,
          0xff,
        );
        asid++;
      }
    }
    this.write(SMMU + 0x80, STREAMS);
    this.write(SMMU + 0x88, 12);
    this.write(SMMU + 0x90, COMMANDS | 4);
    this.write(SMMU + 0x20, 9);
  }
}

/** One card: PF and seven VFs with a queue pair each. */
export class Card {
  readonly device: I82576Device;
  readonly functions: CardFunction[] = [];
  sent = 0;
  readonly #cards: Cards;
  readonly #number: number;
  readonly csr: number;

  constructor(cards: Cards, device: I82576Device, number: number) {
    this.#cards = cards;
    this.device = device;
    this.#number = number;
    this.csr = 0x1000_0000 + 0x10_0000 * number;
    device.core.onTransmit = () => void this.sent++;
  }

  get vfs(): readonly CardFunction[] {
    return this.functions.slice(1);
  }

  start(): void {
    const cards = this.#cards;
    const n = this.#number;
    const port = ECAM + 0x8000 * (n + 1);
    const pf = ECAM + 0x10_0000 * (n + 1);
    const high = 0x80_0000_0000 + 0x10_0000 * n;
    cards.write(port + 0x18, 0x010100 * (n + 1));
    cards.write(port + 0x20, 0x1000_1000 + 0x10_0010 * n);
    cards.write(port + 0x24, 0x0001_0001 + 0x10_0010 * n);
    cards.write(port + 0x28, 0x80);
    cards.write(port + 0x2c, 0x80);
    cards.write(port + 4, 7);
    for (let at = cards.read(port + 0x34) & 0xff; at !== 0; at = (cards.read(port + at) >>> 8) & 0xff)
      if ((cards.read(port + at) & 0xff) === 0x10) cards.write(port + at + 0x28, 0x20); // ARI forwarding
    cards.write(pf + 0x10, this.csr);
    cards.write(pf + 0x1c, this.csr + 0x2_0000);
    cards.write(pf + 4, 6);
    cards.write(pf + 0x160 + 0x24, high % 2 ** 32);
    cards.write(pf + 0x160 + 0x28, 0x80);
    cards.write(pf + 0x160 + 0x30, (high + 0x8_0000) % 2 ** 32);
    cards.write(pf + 0x160 + 0x34, 0x80);
    cards.write(pf + 0x160 + 0x10, VFS);
    cards.write(pf + 0x160 + 8, 0x19);
    for (let vf = 0; vf < VFS; vf++) cards.write(pf + 0x8_0000 + 0x2000 * vf + 4, 4);
    const { csr } = this;
    const w = (at: number, value: number) => cards.write(csr + at, value);
    w(0x1514, 0x4000_0011);
    w(0x1700 + 28, 0x8180);
    w(0x152c, 1);
    w(0x1524, 1);
    w(0x1680, 0x8000_0000 | (50 << 2));
    w(0x5818, 3); // VMDq, next-generation
    w(0x581c, 7 << 7);
    w(0x3500, 0x8000_0000);
    for (let pool = 0; pool < 8; pool++) {
      w(0x5400 + 8 * pool, 0x0000_0002);
      w(0x5404 + 8 * pool, (0x8000_0000 | (1 << (18 + pool)) | (pool << 8) | n) >>> 0);
      w(0x5ad0 + 4 * pool, 0x8900_2600);
    }
    w(0xc8c, 0xff);
    w(0xc90, 0xff);
    w(0x400, 0xa);
    w(0x100, 0x0400_8002);
    w(0x0, 0x241);
    this.functions.push(new CardFunction(cards, csr, PF_QUEUE, [n, PF_QUEUE], csr + 0x2_0000, pf, 8 * n));
    for (let vf = 0; vf < VFS; vf++) {
      const config = pf + 0x8_0000 + 0x2000 * vf;
      const window = high + 0x4000 * vf;
      this.functions.push(new CardFunction(cards, window, 0, [n, vf], window + 0x8_0000, config, 8 * n + 1 + vf));
      cards.write(window + 0x1700, 0x8180);
      cards.write(window + 0x152c, 7);
      cards.write(window + 0x1524, 7);
      cards.write(window + 0x1680 + 4, 0x8000_0000 | (50 << 2));
    }
  }
}

/** A function's queue pair. Registers lie in its BAR: a VF sees its queue at the places of old. */
export class CardFunction {
  /** Last two bytes of its address. */
  readonly address: readonly number[];
  readonly #cards: Cards;
  readonly #base: number;
  readonly #receive: number;
  readonly #transmit: number;
  #tail = 0;

  constructor(
    cards: Cards,
    window: number,
    queue: number,
    address: readonly number[],
    msix: number,
    config: number,
    n: number,
  ) {
    this.#cards = cards;
    this.address = address;
    this.#base = REGIONS + REGION * n;
    const pf = queue !== 0;
    this.#receive = window + (pf ? 0xc000 + 0x40 * queue : 0x2800);
    this.#transmit = window + (pf ? 0xe000 + 0x40 * queue : 0x3800);
    cards.write(msix, DOORBELL);
    cards.write(msix + 4, 0);
    cards.write(msix + 8, n);
    cards.write(msix + 12, 0);
    cards.write(msix + 16, DOORBELL);
    cards.write(msix + 16 + 8, n);
    cards.write(msix + 16 + 12, 0);
    cards.write(config + 0x70, 0x8000_0000);
    for (const [ring, at] of [
      [this.#receive, this.#base],
      [this.#transmit, this.#base + PAGE],
    ] as const) {
      cards.write(ring, at);
      cards.write(ring + 4, 0);
      cards.write(ring + 8, COUNT * 16);
      cards.write(ring + 0x28, 0x0200_0000);
    }
    cards.write(this.#receive + 0xc, 0x8200_0002);
  }

  /** Writes the frame to send once. */
  load(data: Uint8Array): void {
    this.#cards.memory.writeBlock(this.#base + 2 * PAGE, data);
  }

  /** Queues the frame `n` times, one descriptor each, and moves the tail. */
  send(length: number, n: number): void {
    const { memory } = this.#cards;
    for (let i = 0; i < n; i++) {
      const at = this.#base + PAGE + this.#tail * 16;
      memory.write(at, 4, this.#base + 2 * PAGE);
      memory.write(at + 4, 4, 0);
      memory.write(at + 8, 4, 0x2b30_0000 | length);
      memory.write(at + 12, 4, length << 14);
      this.#tail = (this.#tail + 1) % COUNT;
    }
    this.#cards.write(this.#transmit + 0x18, this.#tail);
  }

  /** Gives all receive descriptors back; buffers are 128 of 2 KiB in pages of their own. */
  refill(): void {
    const { memory } = this.#cards;
    const first = this.#base + 16 * PAGE;
    for (let i = 0; i < COUNT; i++) {
      memory.write(this.#base + 16 * i, 4, first + 2048 * (i & 127));
      memory.write(this.#base + 16 * i + 4, 4, 0);
      memory.write(this.#base + 16 * i + 8, 4, 0);
      memory.write(this.#base + 16 * i + 12, 4, 0);
    }
    const head = this.#cards.read(this.#receive + 0x10);
    this.#cards.write(this.#receive + 0x18, (head + COUNT - 1) % COUNT);
  }

  get received(): number {
    return this.#cards.read(this.#receive + 0x10);
  }
}

/** An IPv4 UDP frame of `length` bytes without check sequence to a function, or, with -1, to nobody here. */
export function frame(length: number, to: readonly number[]): Uint8Array {
  const data = new Uint8Array(length);
  data.set([2, 0, 0, 0, to[0] as number, to[1] as number, 2, 0, 0, 0, 99, 9, 0x08, 0x00, 0x45]);
  data[16] = (length - 14) >> 8;
  data[17] = length - 14;
  data[23] = 17;
  return data;
}
