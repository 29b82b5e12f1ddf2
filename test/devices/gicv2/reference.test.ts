/**
 * What the CPUs are told, compared after each of many random acts with a plain reading of IHI 0048B 3.2 and 3.3: all interrupts
 * are looked at, one after the other, through the registers.
 */
import { describe, expect, it } from "vitest";
import { Random } from "../../../src/sim/index.ts";
import { seeds } from "../../support/soak.ts";
import { GicBench } from "./device.ts";

const CPUS = 3;
const INTERRUPTS = 96;

/** Highest pending interrupt and the two request lines of a CPU, from register contents alone. */
function expected(gic: GicBench, cpu: number): { id: number; irq: boolean; fiq: boolean } {
  const none = { id: 1023, irq: false, fiq: false };
  const forward = gic.rd(0x000);
  let best = { id: 1023, priority: 0x100, group: 0 };
  for (let id = 0; id < INTERRUPTS; id++) {
    const group = gic.bit(0x080, id, cpu);
    const ready = gic.bit(0x200, id, cpu) === 1 && gic.bit(0x100, id, cpu) === 1 && gic.bit(0x300, id, cpu) === 0;
    const here = ((gic.rd(0x800 + id, cpu, 1) >> cpu) & 1) === 1;
    const priority = gic.rd(0x400 + id, cpu, 1);
    if (ready && here && ((forward >> group) & 1) === 1 && priority < best.priority) best = { id, priority, group };
  }
  const control = gic.rc(0x000, cpu);
  if (best.id === 1023 || ((control >> best.group) & 1) === 0) return none;
  const point = best.group === 1 && (control & 0x10) === 0 ? gic.rc(0x01c, cpu) - 1 : gic.rc(0x008, cpu);
  const mask = (0xfff << (point + 1)) & 0xfff;
  const active = gic.rc(0x0d0, cpu) | gic.rc(0x0e0, cpu);
  let running = 0x100;
  for (let level = 31; level >= 0; level--) if ((active >>> level) & 1) running = level << 3;
  const signalled = best.priority < gic.rc(0x004, cpu) && (best.priority & mask) < (running & mask);
  const fiq = best.group === 0 && (control & 8) !== 0;
  return { id: best.id, irq: signalled && !fiq, fiq: signalled && fiq };
}

describe("GICv2 against a plain reading of IHI 0048B 3.2 and 3.3", () => {
  it.each(seeds(3))("tells each CPU the same after each of 1,500 random acts (seed %i)", (seed) => {
    const gic = new GicBench({ cpus: CPUS, spis: 64 }).on(3, 0x7);
    const random = new Random(seed, "gic.reference");
    const cpu = (): number => random.below(CPUS);
    const bits = (): number => (1 << random.below(32)) >>> 0;
    for (let id = 16; id < INTERRUPTS; id++) for (let c = 0; c < CPUS; c++) gic.enable(id, random.below(256), 7, c);
    const acts: (() => void)[] = [
      () => gic.pins.spi[random.below(64)]?.set(random.below(2) === 1),
      () => gic.pins.spi[random.below(64)]?.set(random.below(2) === 1),
      () => gic.pins.ppi[cpu()]?.[random.below(16)]?.set(random.below(2) === 1),
      () => gic.wd([0x100, 0x180, 0x200, 0x280, 0x300, 0x380][random.below(6)] as number, bits(), cpu()),
      () =>
        gic.wd(([0x104, 0x184, 0x204, 0x284, 0x304, 0x384][random.below(6)] as number) + 4 * random.below(2), bits()),
      () => gic.wd(0x400 + random.below(INTERRUPTS), random.below(256), cpu(), 1),
      () => gic.wd(0x820 + random.below(64), random.below(8), 0, 1),
      () => gic.wd(0x080 + 4 * random.below(3), random.uint32(), cpu()),
      () => gic.wd(0xc04 + 4 * random.below(5), random.uint32(), cpu()),
      () => gic.wd(0xf00, (random.below(4) << 24) | (random.below(8) << 16) | random.below(16), cpu()),
      () => gic.wd(0xf10 + random.below(32), random.below(8), cpu(), 1),
      () => gic.wd(0x000, random.below(8) === 0 ? random.below(4) : 3),
      () => gic.wc(0x000, (random.below(8) === 0 ? random.below(4) : 3) | (random.uint32() & 0x21c), cpu()),
      () => gic.wc(0x004, random.below(4) === 0 ? random.below(256) : 0xff, cpu()),
      () => gic.wc(random.below(2) === 0 ? 0x008 : 0x01c, random.below(8), cpu()),
    ];
    let taken = 0;
    const active: number[][] = Array.from({ length: CPUS }, () => []);
    for (let n = 0; n < 1500; n++) {
      const roll = random.below(acts.length + 12);
      if (roll < acts.length) acts[roll]?.();
      else {
        const c = cpu();
        const mine = active[c] as number[];
        const ended = random.below(2) === 0 ? mine.pop() : undefined;
        if (ended !== undefined) {
          gic.eoi(ended, c);
          gic.wc(0x1000, ended, c);
        } else {
          const id = gic.rc(random.below(2) === 0 ? 0x00c : 0x020, c);
          if (id < 1022 || id > 1023) {
            mine.push(id);
            taken++;
          }
        }
      }
      for (let c = 0; c < CPUS; c++) {
        const want = expected(gic, c);
        const hidden = want.id !== 1023 && gic.bit(0x080, want.id, c) === 1 && (gic.rc(0x000, c) & 4) === 0;
        const got = { id: gic.rc(0x018, c) & 0x3ff, irq: gic.irq(c), fiq: gic.fiq(c) };
        expect(got, `act ${n}, CPU ${c}`).toEqual({ ...want, id: hidden ? 1022 : want.id });
      }
    }
    expect(taken).toBeGreaterThan(20);
  });
});
