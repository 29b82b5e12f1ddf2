/**
 * A VF's DMA in random attempts, an IOMMU before memory that maps one page, ACS on as an operating system sets it: nothing but that page is
 * reached, neither by way of the root complex nor inside the switch. Clauses 6.12 (ACS), 9.2 (VFs), 2.3.1.
 */
import { expect, it } from "vitest";
import { RESPONSE_TARGET_ERROR, type Target } from "../../src/bus/index.ts";
import { Random } from "../../src/sim/index.ts";
import { type PcieBench, RAM, SwitchBench } from "./bench.ts";

const PAGE = 0x1000;
const IOVA = 0x7654_3000;
const FRAME = RAM + 0x8000;

it("reaches the page that its stream maps and nothing else; each refused access leaves one record", () => {
  let bench: PcieBench | null = null;
  const streams = new Map<number, Target>();
  const target = (streamId: number): Target => {
    const known = streams.get(streamId);
    if (known) return known;
    const fresh: Target = {
      accessSizes: 15,
      read: (address, size, tx) => {
        if (streamId === 0x0382 && tx.streamId === 0x0382 && address >= IOVA && address < IOVA + PAGE)
          return bench?.system.read(FRAME + address - IOVA, size, tx) ?? 0;
        tx.response = RESPONSE_TARGET_ERROR;
        return 0;
      },
      write: (address, size, value, tx) => {
        if (streamId === 0x0382 && tx.streamId === 0x0382 && address >= IOVA && address < IOVA + PAGE)
          bench?.system.write(FRAME + address - IOVA, size, value, tx);
        else tx.response = RESPONSE_TARGET_ERROR;
      },
      peek: () => 0,
      poke: () => undefined,
    };
    streams.set(streamId, fresh);
    return fresh;
  };
  const b = new SwitchBench(4, undefined, { target }).enumerate();
  bench = b;
  for (const port of ["02:00.0", "02:01.0"]) b.setConfig(port, b.extended(port, 0x0d) + 6, 0x1d, 2);
  b.setConfig("00:01.0", b.extended("00:01.0", 0x0d) + 6, 0x1d, 2);
  b.setConfig("02:00.0", b.capability("02:00.0", 0x10) + 0x28, 0x20, 2);
  const sriov = b.extended("03:00.0", 0x10);
  b.setConfig("03:00.0", sriov + 0x24, 0x0008_0000);
  b.setConfig("03:00.0", sriov + 0x28, 0x80);
  b.setConfig("03:00.0", sriov + 0x10, 4, 2);
  b.setConfig("03:00.0", sriov + 8, 0x19, 2);
  b.setConfig("03:10.2", 4, 4, 2);
  const vf = b.first.vfs[1]?.function;
  if (!vf) throw new Error("no VF");
  expect(vf.requesterId).toBe(0x0382);

  // Places where something is: own, sibling's and PF's registers, the other port's, root bus, configuration space, doorbell, RAM.
  const places = [
    0x80_0008_0040,
    0x80_0008_1040,
    0x80_0008_2040,
    0x1000_0000,
    0x1000_1000,
    0x1010_0040,
    0x80_0010_0000,
    0x1200_0040,
    0x1100_0000,
    0x40_1030_0000,
    0x0802_0040,
    RAM,
    FRAME,
    IOVA,
    IOVA + PAGE - 8,
    IOVA + PAGE,
    IOVA - 8,
    0,
  ];
  const outside = () => {
    const everything = structuredClone(b.simulation.save().modules) as Record<
      string,
      { state: Record<string, unknown> }
    >;
    // The VF's own Status records what its completer said; RAM is compared without the page.
    delete everything["pcie.first.vf1.function"];
    delete everything["ram"];
    return everything;
  };
  const ram = () => {
    const bytes = b.ram.slice(0, 0x10_0000);
    bytes.fill(0, FRAME - RAM, FRAME - RAM + PAGE);
    return bytes;
  };
  const before = outside();
  const ramBefore = ram();
  const random = new Random(1, "isolation");
  const wrong: unknown[] = [];
  let reached = 0;
  for (let n = 0; n < 100_000; n++) {
    const near = places[random.below(places.length)] as number;
    const address = near + (random.below(4) === 0 ? random.below(0x4000) : random.below(8));
    const size = 1 << random.below(4);
    const inside = address >= IOVA && address + size <= IOVA + PAGE;
    const partly = address < IOVA + PAGE && address + size > IOVA;
    const records = b.errors.length;
    const write = random.below(2) === 1;
    vf.port.high = 0x5a5a_5a5a;
    if (write) vf.port.write(address, size, 0xa5a5_a5a5);
    else vf.port.read(address, size);
    if (inside) reached++;
    const [first, ...others] = b.errors.slice(records);
    const whole = !partly && (address & 7) + size <= 8;
    const good = inside
      ? first === undefined
      : first?.kind === "dma" &&
        first.requesterId === 0x0382 &&
        (!whole || (first.address === address && others.length === 0));
    if (!good || (vf.port.response === 0) !== inside) wrong.push({ address, size, write, records: [first, ...others] });
  }
  expect(wrong).toEqual([]);
  expect(reached).toBeGreaterThan(500);
  expect(outside()).toEqual(before);
  expect(Buffer.compare(ram(), ramBefore)).toBe(0);
  expect(b.messages).toEqual([]);
});
