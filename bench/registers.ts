/**
 * A plain register access through the compiled bank against a hand-written `switch`, in one run. Aim: at most twice the time.
 * Rounds alternate, so that both see the same machine.
 */
import { Transaction } from "../src/bus/index.ts";
import { defineRegisters, RegisterBank, ro, rw } from "../src/registers/index.ts";
import { Module, Simulation } from "../src/sim/index.ts";

const PART = defineRegisters({
  name: "PART",
  title: "Plain registers",
  manual: "none",
  size: 0x1000,
  sizes: [1, 2, 4],
  registers: {
    CTRL: {
      at: 0x00,
      title: "Control",
      clause: "1",
      fields: { MODE: rw([7, 0], "Mode"), ID: ro([31, 24], "Id", { reset: 5 }) },
    },
    LOAD: { at: 0x04, title: "Load", clause: "2", fields: { VALUE: rw([31, 0], "Value") } },
    MASK: { at: 0x08, title: "Mask", clause: "3", fields: { VALUE: rw([15, 0], "Value") } },
    BASE: { at: 0x0c, title: "Base", clause: "4", fields: { VALUE: rw([31, 12], "Value") } },
    LIMIT: { at: 0x10, title: "Limit", clause: "5", fields: { VALUE: rw([31, 12], "Value") } },
    ID: { at: 0x14, title: "Id", clause: "6", fields: { VALUE: ro([7, 0], "Value", { reset: 0x34 }) } },
  },
});

class Part extends Module {
  readonly registers = this.part("registers", new RegisterBank(this, PART));
}

/** As one writes such a device by hand: width check, sub-word access, masks, a trace test. */
class ByHand {
  ctrl = 0x0500_0000;
  load = 0;
  mask = 0;
  base = 0;
  limit = 0;
  readonly owner: Module;
  constructor(owner: Module) {
    this.owner = owner;
  }

  read(offset: number, size: number, _tx: Transaction): number {
    if ((offset & (size - 1)) !== 0) return 0;
    let value: number;
    switch (offset & ~3) {
      case 0x00:
        value = this.ctrl & 0xff00_00ff;
        break;
      case 0x04:
        value = this.load;
        break;
      case 0x08:
        value = this.mask & 0xffff;
        break;
      case 0x0c:
        value = this.base & 0xffff_f000;
        break;
      case 0x10:
        value = this.limit & 0xffff_f000;
        break;
      case 0x14:
        value = 0x34;
        break;
      default:
        return 0;
    }
    if (this.owner.simulation.reporter.tracing) throw new Error("not measured");
    if (size === 4) return value >>> 0;
    return (value >>> ((offset & 3) << 3)) & (size === 1 ? 0xff : 0xffff);
  }

  write(offset: number, size: number, value: number, _tx: Transaction): void {
    if ((offset & (size - 1)) !== 0) return;
    const shift = (offset & 3) << 3;
    const lanes = (size === 4 ? -1 : size === 1 ? 0xff : 0xffff) << shift;
    const v = (value << shift) & lanes;
    switch (offset & ~3) {
      case 0x00:
        this.ctrl = (this.ctrl & ~(lanes & 0xff)) | (v & 0xff);
        break;
      case 0x04:
        this.load = (this.load & ~lanes) | v;
        break;
      case 0x08:
        this.mask = (this.mask & ~lanes) | (v & 0xffff);
        break;
      case 0x0c:
        this.base = (this.base & ~lanes) | (v & 0xffff_f000);
        break;
      case 0x10:
        this.limit = (this.limit & ~lanes) | (v & 0xffff_f000);
        break;
    }
    if (this.owner.simulation.reporter.tracing) throw new Error("not measured");
  }
}

const simulation = new Simulation();
const part = new Part(simulation, "part");
const N = 3_000_000;

// Each loop is a function of its own, so that its call sites see one class only.
const bankReads = (bank: Part["registers"], tx: Transaction): number => {
  let sink = 0;
  for (let i = 0; i < N; i++) sink = (sink + bank.read((i & 3) << 2, 4, tx)) | 0;
  return sink;
};
const handReads = (hand: ByHand, tx: Transaction): number => {
  let sink = 0;
  for (let i = 0; i < N; i++) sink = (sink + hand.read((i & 3) << 2, 4, tx)) | 0;
  return sink;
};
const bankWrites = (bank: Part["registers"], tx: Transaction): number => {
  for (let i = 0; i < N; i++) bank.write((i & 3) << 2, 4, i, tx);
  return bank.read(4, 4, tx);
};
const handWrites = (hand: ByHand, tx: Transaction): number => {
  for (let i = 0; i < N; i++) hand.write((i & 3) << 2, 4, i, tx);
  return hand.read(4, 4, tx);
};
const bankMixed = (bank: Part["registers"], tx: Transaction): number => {
  let sink = 0;
  for (let i = 0; i < N; i += 3) {
    bank.write((i & 3) << 2, 1, i & 0xff, tx);
    bank.write(0x10, 4, i, tx);
    sink = (sink + bank.read((i & 3) << 2, 2, tx) + bank.read(0x14, 4, tx)) | 0;
  }
  return sink;
};
const handMixed = (hand: ByHand, tx: Transaction): number => {
  let sink = 0;
  for (let i = 0; i < N; i += 3) {
    hand.write((i & 3) << 2, 1, i & 0xff, tx);
    hand.write(0x10, 4, i, tx);
    sink = (sink + hand.read((i & 3) << 2, 2, tx) + hand.read(0x14, 4, tx)) | 0;
  }
  return sink;
};

/** Both sides do the same accesses, so they end with the same sum. */
function compare(
  what: string,
  ours: (bank: Part["registers"], tx: Transaction) => number,
  theirs: (hand: ByHand, tx: Transaction) => number,
  operations: number,
): void {
  const tx = new Transaction();
  const bank = part.registers;
  const hand = new ByHand(part);
  simulation.reset();
  const shortest = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const sums = [0, 0];
  for (let round = 0; round < 20; round++) {
    [() => ours(bank, tx), () => theirs(hand, tx)].forEach((run, i) => {
      const start = performance.now();
      sums[i] = run();
      shortest[i] = Math.min(shortest[i] as number, performance.now() - start);
    });
  }
  if (sums[0] !== sums[1]) throw new Error(`${what}: the bank gives ${sums[0]}, the switch ${sums[1]}`);
  const [a, b] = shortest.map((ms) => (ms * 1e6) / operations) as [number, number];
  const ratio = (a / b).toFixed(2);
  console.log(
    `${what.padEnd(24)} bank ${a.toFixed(2)} ns   switch ${b.toFixed(2)} ns   ratio ${ratio} (aim: at most 2)`,
  );
}

compare("reads, 32 bits", bankReads, handReads, N);
compare("writes, 32 bits", bankWrites, handWrites, N);
compare("reads and writes, mixed", bankMixed, handMixed, (N / 3) * 4);
