/**
 * A VF behind the SMMUv3 whose stream maps one page: a million random DMA attempts reach that page alone, and each refusal leaves the one event that is due
 * (Arm IHI 0070 7.3.12, F_TRANSLATION); whatever is written to its register window, neither the PF's registers nor another VF's change.
 */
import { describe, expect, it } from "vitest";
import type { Target } from "../../../src/bus/index.ts";
import { I82576Device } from "../../../src/devices/i82576/index.ts";
import { Smmuv3 } from "../../../src/devices/smmuv3/index.ts";
import { makeRootPort } from "../../../src/pcie/index.ts";
import { Random } from "../../../src/sim/index.ts";
import { PcieBench, RAM } from "../../pcie/bench.ts";

const PAGE = 0x1000;
const IOVA = 0x7654_3000;
const FRAME = RAM + 0x8000;
const TABLES = RAM + 0x1_0000;
const STREAMS = RAM + 0x2_0000;
const EVENTS = RAM + 0x4_0000;
const EVENT_COUNT = 64;
const STREAM = 0x0182; // 01:10.2, VF 1
const CSR = 0x1000_0000;
const OTHER_CSR = 0x1010_0000;
const VF_CSR = 0x80_0000_0000;
const EVENTQ_PROD = 0x1_00a8;
const EVENTQ_CONS = 0x1_00ac;
const STREAM_TABLE_BITS = 9;

/** Two cards behind root ports 00:01.0 and 00:02.0, the first with three VFs; VF 1 may be bus master, and its stream has the one page. */
class Board extends PcieBench {
  readonly smmu: Smmuv3;
  readonly card: I82576Device;
  dmaRecords = 0;

  constructor() {
    let smmu: Smmuv3 | null = null;
    super({ target: (streamId: number): Target => (smmu as Smmuv3).target(streamId) });
    const { arena, host, simulation, system } = this;
    smmu = new Smmuv3(simulation, "smmu", { bus: system, arena });
    this.smmu = smmu;
    system.map({ name: "smmu", base: 0x905_0000, size: 0x2_0000, target: smmu.registers });
    simulation.reporter.observe({
      guestError: (e) => {
        if (e.kind === "dma" && e.requesterId === STREAM) this.dmaRecords++;
        this.errors.length = 0;
      },
    });
    const cards = [0, 1].map((n) => {
      const port = makeRootPort(host, `rp${n}`, { arena, root: host });
      host.bus.attach(port, n + 1);
      const card = new I82576Device(host, `eth${n}`, { arena, mac: Uint8Array.of(2, 0, 0, 0, n, 1) });
      port.below.attach(card.function, 0);
      return card;
    });
    this.card = cards[0] as I82576Device;
    simulation.reset();
    for (const n of [0, 1]) {
      const port = `00:0${n + 1}.0`;
      const pf = `0${n + 1}:00.0`;
      this.setConfig(port, 0x18, 0x01_01_00 * (n + 1));
      this.setConfig(port, 0x20, 0x1000_1000 + 0x10_0010 * n);
      this.setConfig(port, 0x24, 0x0001_0001 + 0x10_0010 * n);
      this.setConfig(port, 0x28, 0x80);
      this.setConfig(port, 0x2c, 0x80);
      this.setConfig(port, 0x04, 7, 2);
      this.setConfig(port, this.capability(port, 0x10) + 0x28, 0x20, 2);
      this.setConfig(pf, 0x10, CSR + 0x10_0000 * n);
      this.setConfig(pf, 0x1c, CSR + 0x10_0000 * n + 0x2_0000);
      this.setConfig(pf, 0x04, 6, 2);
    }
    const at = this.extended("01:00.0", 0x10);
    for (const [offset, value] of [
      [0x24, 0],
      [0x28, 0x80],
      [0x30, 0x0002_0000],
      [0x34, 0x80],
      [0x10, 3],
      [8, 0x19],
    ] as const)
      this.setConfig("01:00.0", at + offset, value);
    this.setConfig("01:10.2", 4, 4, 2);
    const entry = (where: number, value: number) => this.write(where, value);
    // Stream table entry: valid, stage 1; context descriptor: 39 bits, 4 KiB, AArch64, faults recorded and aborted.
    entry(STREAMS + 64 * STREAM, 1 | (5 << 1) | (TABLES + 0x3000));
    const context = [
      25 | (1 << 30) | (1 << 31),
      4 | (1 << 9) | (1 << 13) | (1 << 14) | (1 << 16),
      TABLES,
      0,
      0,
      0,
      0xff,
    ];
    context.forEach((word, i) => {
      entry(TABLES + 0x3000 + 4 * i, word >>> 0);
    });
    entry(TABLES + 8 * 1, (TABLES + 0x1000) | 3);
    entry(TABLES + 0x1000 + 8 * 0x1b2, (TABLES + 0x2000) | 3);
    entry(TABLES + 0x2000 + 8 * 0x143, FRAME | 0xc43);
    entry(0x905_0080, STREAMS);
    entry(0x905_0088, STREAM_TABLE_BITS);
    entry(0x905_00a0, EVENTS | 6);
    entry(0x905_0020, 5);
  }

  get vf() {
    return this.card.virtualFunctions[1] as I82576Device["function"];
  }
  get produced(): number {
    return this.smmu.registers.peek(EVENTQ_PROD, 4);
  }
  consume(): void {
    this.write(0x905_0000 + EVENTQ_CONS, this.produced);
  }
  /** RAM without the page and without the event queue. */
  rest(): Uint8Array {
    const bytes = this.ram.slice(0, 0x10_0000);
    bytes.fill(0, FRAME - RAM, FRAME - RAM + PAGE);
    return bytes.fill(0, EVENTS - RAM, EVENTS - RAM + 32 * EVENT_COUNT);
  }
}

/** In the windows of the VF's own root port: such a request is refused there and never comes to the SMMU. */
function behindOwnPort(address: number): boolean {
  return (address >= CSR && address < CSR + 0x10_0000) || (address >= VF_CSR && address < VF_CSR + 0x10_0000);
}

const PLACES = [
  CSR + 0xe000,
  OTHER_CSR + 0xe000,
  VF_CSR,
  VF_CSR + 0x4000,
  VF_CSR + 0x8000,
  VF_CSR + 0x10_0000,
  0x40_1010_0000,
  0x802_0040,
  0x905_0020,
  RAM,
  FRAME,
  TABLES,
  STREAMS,
  EVENTS,
  IOVA,
  IOVA + PAGE - 32,
  IOVA - 32,
  IOVA + PAGE,
  0,
];

describe("a VF whose stream maps one page", () => {
  it("IHI 0070 7.3.12: reaches nothing else in a million random DMA attempts; each refusal leaves exactly its event", () => {
    const b = new Board();
    const { port } = b.vf;
    expect(b.vf.requesterId).toBe(STREAM);
    for (let at = 0; at < 0x8000; at += 4) b.write(RAM + at, 0x1000_0000 + at);
    const before = b.rest();
    const random = new Random(7, "isolation");
    const block = new Uint8Array(64);
    const wrong: unknown[] = [];
    let reached = 0;
    let refused = 0;
    let atPort = 0;
    b.consume();
    let produced = b.produced;
    for (let n = 0; n < 1_000_000; n++) {
      const word = random.below(8) > 0;
      const size = word ? 1 << random.below(4) : 1 + random.below(64);
      const kind = random.below(8);
      let address =
        kind === 0
          ? random.below(0x1_0000) * 2 ** 32 + random.below(2 ** 31) * 2
          : (PLACES[random.below(PLACES.length)] as number) + random.below(kind === 1 ? 0x4000 : 64);
      if (word) address -= address % size;
      const write = random.below(2) === 1;
      const records = b.dmaRecords;
      block.fill(n);
      const bytes = block.subarray(0, size);
      if (!word) write ? port.writeBlock(address, bytes) : port.readBlock(address, bytes);
      else if (write) port.write(address, size, 0xa5a5_a5a5);
      else port.read(address, size);

      // A request is at most a page: what crosses a border is two.
      const pages = [address - (address % PAGE)];
      const last = address + size - 1 - ((address + size - 1) % PAGE);
      if (last !== pages[0]) pages.push(last);
      let events = 0;
      for (const page of pages) {
        if (page === IOVA) reached++;
        else if (behindOwnPort(page)) atPort++;
        else {
          const at = EVENTS - RAM + 32 * ((produced + events) & (EVENT_COUNT - 1));
          const low = page === pages[0] ? address : page;
          const found = [0, 4, 12, 16, 20].map((o) => b.ram.peek(at + o, 4) >>> 0);
          // Type, stream, RnW, input address.
          const right = found[0] === 0x10 && found[1] === STREAM && ((found[2] as number) & 8) === (write ? 0 : 8);
          if (!right || (found[4] as number) * 2 ** 32 + (found[3] as number) !== low)
            wrong.push({ address, size, write, found });
          events++;
        }
      }
      refused += events;
      const due = (produced + events) & (2 * EVENT_COUNT - 1);
      const recorded = b.dmaRecords > records;
      if (b.produced !== due || recorded !== pages.some((page) => page !== IOVA))
        wrong.push({ address, size, write, due });
      produced = b.produced;
      if ((n & 15) === 15) b.consume();
      if (wrong.length > 3) break;
    }
    expect(wrong).toEqual([]);
    expect(reached).toBeGreaterThan(50_000);
    expect(refused).toBeGreaterThan(500_000);
    expect(atPort).toBeGreaterThan(50_000);
    expect(Buffer.compare(b.rest(), before)).toBe(0);
    expect(b.messages).toEqual([]);
  }, 180_000);

  it("7.10: whatever its registers are set to, the PF's and the other VFs' stay, and its rings reach that page alone", () => {
    const b = new Board();
    const { core } = b.card;
    // The PF is at work: rings of all queues, filters, interrupts.
    for (let q = 0; q < 16; q++) {
      b.write(CSR + 0xc000 + 0x40 * q, 0x1234_0000 + 0x1000 * q);
      b.write(CSR + 0xe000 + 0x40 * q, 0x2345_0000 + 0x1000 * q);
    }
    b.write(CSR + 0x1514, 0x4000_0011);
    b.write(CSR + 0x5818, 3);
    b.write(CSR + 0xc8c, 0xff);
    b.write(CSR + 0xc90, 0xff);
    b.write(CSR + 0x100, 0x0400_8002);
    b.write(CSR + 0x400, 0xa);
    b.write(CSR + 0x0, 0x241);
    b.simulation.run(20_000_000_000);
    const names = Object.entries(core.bank.declaration.registers);
    const dump = () => {
      const all = new Map<string, number>();
      for (const [name, r] of names as [string, { at: number; count?: number; stride?: number }][])
        for (let i = 0; i < (r.count ?? 1); i++)
          all.set(`${name}[${i}]`, core.bank.peek(r.at + (r.stride ?? 4) * i, 4));
      for (const vf of [0, 2])
        for (let at = 0; at < 0x4000; at += 4)
          all.set(`VF ${vf} ${at.toString(16)}`, b.system.peek(VF_CSR + 0x4000 * vf + at, 4));
      return all;
    };
    const before = dump();
    const ram = b.rest();
    const random = new Random(3, "window");
    for (let n = 0; n < 2_000; n++) {
      const known = [0x2800, 0x2808, 0x2818, 0x2828, 0x3800, 0x3808, 0x3818, 0x3828, 0x800, 0xc40, 0x1524][
        random.below(11)
      ] as number;
      const offset = random.below(2) === 0 ? random.below(0x1000) * 4 : known;
      const value =
        random.below(4) === 0
          ? 0x0200_0000 | random.below(64)
          : random.below(2 ** 16) * 2 ** 16 + random.below(2 ** 16);
      b.write(VF_CSR + 0x4000 + offset, value);
      if (n % 16 === 0) {
        b.consume();
        b.simulation.run(b.simulation.now + 1_000_000);
      }
    }
    const after = dump();
    // Its own: queues 1 and 9, its elements of what there is for each VF, its vectors, what tells the PF of it, time.
    const QUEUE =
      /^(RDBA[LH]|RDLEN|SRRCTL|RD[HT]|RXCTL|RXDCTL|RQDPC|TDBA[LH]|TDLEN|TD[HT]|TXCTL|TXDCTL|TDWBA[LH])\[(1|9)\]$/;
    const VIRTUAL = /^(VT\w+|PSRTYPE|P2VMAILBOX|PFVF\w+)\[1\]$/;
    const SHARED =
      /^(MBVFICR|VFLRE|VFRE|VFTE|EI[AC][CMR]\w*|EIMS|EIMC|EICS|EICR|EIAC|EIAM|ICR|ICS|LVMMC|MDFB|HTDPMC|IAC|FRTIMER|SYSTIM[LHR])\[0\]$/;
    const changed = [...after].filter(([name, value]) => value !== before.get(name)).map(([name]) => name);
    const foreign = changed.filter((name) => {
      const [, index] = /^VMBMEM\[(\d+)\]$/.exec(name) ?? [];
      if (index !== undefined) return Number(index) >> 4 !== 1;
      const [, vector] = /^EITR\[(\d+)\]$/.exec(name) ?? [];
      if (vector !== undefined) return Number(vector) < 19 || Number(vector) > 21;
      if (/^VF \d 1048$/.test(name)) return false; // the free running timer
      return !QUEUE.test(name) && !VIRTUAL.test(name) && !SHARED.test(name);
    });
    expect(foreign).toEqual([]);
    expect(changed.length).toBeGreaterThan(20);
    // Registers that all share: bits of VF 1 and of its vectors (19 to 21) alone.
    const bits = (name: string) => ((before.get(`${name}[0]`) as number) ^ (after.get(`${name}[0]`) as number)) >>> 0;
    expect([bits("VFRE"), bits("VFTE"), bits("VFLRE")].map((n) => n & ~2)).toEqual([0, 0, 0]);
    expect([bits("EIMS"), bits("EIAC"), bits("EIAM")].map((n) => n & ~(7 << 19))).toEqual([0, 0, 0]);
    expect(bits("MBVFICR") & ~0x0002_0002).toBe(0);
    expect(Buffer.compare(b.rest(), ram)).toBe(0);
    expect(b.messages).toEqual([]);
  });
});
