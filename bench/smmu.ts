/**
 * Cost of DMA through the SMMU, from TypeScript on one core: nothing in between, SMMU off, translation that the port holds, TLB hits, walks;
 * and blocks of 1,500 bytes, with cached entries compared with memory and without. Nanoseconds each. 1,500 bytes take 12,000 ns on a 1 Gb/s line.
 */
import { Arena, Memory, Port, Router } from "../src/bus/index.ts";
import { Smmuv3 } from "../src/devices/smmuv3/index.ts";
import { Simulation } from "../src/sim/index.ts";
import { best, report } from "./support/measure.ts";

const RAM = 0x4000_0000;
const STREAMS = RAM + 0x1_0000;
const COMMANDS = RAM + 0x2_0000;
const CONTEXT = RAM + 0x3_0000;
const LEVEL1 = RAM + 0x4_0000;
const LEVEL2 = RAM + 0x4_1000;
const LEVEL3 = RAM + 0x4_2000;
const DATA = RAM + 0x40_0000;
const PAGES = 512;
const N = 200_000;

interface Bench {
  readonly smmu: Smmuv3;
  readonly plain: Port;
  readonly port: Port;
  command(w0: number, w1: number, w2: number, w3: number): void;
}

/** A stream with stage 1 and 512 pages of 4 KiB from 0 on; with `both`, stage 2 maps RAM onto itself. */
function build(check: boolean, both: boolean): Bench {
  const simulation = new Simulation();
  const arena = new Arena();
  const bus = new Router(simulation, "bus");
  bus.map({ name: "ram", base: RAM, size: 1 << 26, target: new Memory(simulation, "ram", arena, { size: 1 << 26 }) });
  const smmu = new Smmuv3(simulation, "smmu", { bus, arena, checkInvalidation: check });
  bus.map({ name: "smmu", base: 0x905_0000, size: 0x2_0000, target: smmu.registers });
  const plain = new Port(bus, arena);
  const words = (at: number, ...list: number[]) => {
    list.forEach((word, i) => {
      plain.write(at + 4 * i, 4, word >>> 0);
    });
  };
  const register = (offset: number, value: number) => plain.write(0x905_0000 + offset, 4, value >>> 0);
  const STAGE2 = RAM + 0x5_0000;
  const config = both ? 7 : 5;
  words(
    STREAMS + 64,
    1 | (config << 1) | CONTEXT,
    0,
    0,
    0,
    0,
    25 | (1 << 6) | (4 << 16) | (1 << 19) | (1 << 26),
    STAGE2,
  );
  words(CONTEXT, 25 | (1 << 30) | (1 << 31), 4 | (1 << 9) | (1 << 13) | (1 << 14) | (1 << 16), LEVEL1, 0, 0, 0, 0xff);
  words(LEVEL1, LEVEL2 | 3, 0);
  words(LEVEL2, LEVEL3 | 3, 0);
  for (let page = 0; page < PAGES; page++) words(LEVEL3 + 8 * page, (DATA + 4096 * page) | 0xc43, 0);
  words(STAGE2 + 8, (STAGE2 + 4096) | 3, 0);
  for (let block = 0; block < 32; block++) words(STAGE2 + 4096 + 8 * block, (RAM + block * 0x20_0000) | 0x4fd, 0);
  register(0x80, STREAMS);
  register(0x88, 4);
  register(0x90, COMMANDS | 4);
  register(0x20, 9);
  let index = 0;
  const command = (...list: number[]) => {
    words(COMMANDS + 16 * (index & 15), ...list);
    index = (index + 1) & 31;
    register(0x98, index);
  };
  return { smmu, plain, port: new Port(smmu.target(1), arena), command };
}

function words(port: Port, base: number): number {
  let sink = 0;
  for (let i = 0; i < N; i++) sink = (sink + port.read(base + ((i << 2) & 0xfff), 4)) | 0;
  return sink;
}
/** A page after the other, so that none is the one that the port holds. */
function pages(port: Port): number {
  let sink = 0;
  for (let i = 0; i < N; i++) sink = (sink + port.read((i & 255) * 4096 + 64, 4)) | 0;
  return sink;
}
function blocks(port: Port, base: number, frame: Uint8Array): void {
  for (let i = 0; i < N / 10; i++) port.writeBlock(base + (i & 127) * 4096, frame);
}
function walks({ port, command }: Bench): void {
  for (let i = 0; i < N / 10; i++) {
    command(0x12 | 0, 1 << 16, (i & 255) * 4096, 0); // CMD_TLBI_NH_VA, ASID 1
    port.read((i & 255) * 4096, 4);
  }
}

const frame = new Uint8Array(1500);
const off = build(false, false);
report(
  "words, no SMMU",
  best(() => words(off.plain, DATA), N),
);
report(
  "1,500 bytes, no SMMU",
  best(() => blocks(off.plain, DATA, frame), N / 10),
);
for (const [name, check, both] of [
  ["stage 1", false, false],
  ["stage 1, compared", true, false],
  ["both stages", false, true],
  ["both stages, compared", true, true],
] as const) {
  const bench = build(check, both);
  bench.port.write(0, 4, 1);
  if (bench.port.response !== 0) throw new Error(`${name}: the bench's tables are wrong`);
  report(
    `${name}: words of a page that the port holds`,
    best(() => words(bench.port, 0), N),
  );
  report(
    `${name}: TLB hit`,
    best(() => pages(bench.port), N),
  );
  report(
    `${name}: 1,500 bytes`,
    best(() => blocks(bench.port, 0, frame), N / 10),
  );
  report(
    `${name}: CMD_TLBI_NH_VA and a walk`,
    best(() => walks(bench), N / 10),
  );
}
