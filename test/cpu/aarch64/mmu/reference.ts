/**
 * Translation written down from DDI 0487J.a D8 once more, plainly and in BigInt, to compare the walker with. It knows nothing of
 * the model's code.
 */
export interface Registers {
  readonly sctlr: bigint;
  readonly tcr: bigint;
  readonly ttbr0: bigint;
  readonly ttbr1: bigint;
  readonly mair: bigint;
  readonly hcr: bigint;
  readonly vtcr: bigint;
  readonly vttbr: bigint;
}

export interface Outcome {
  /** Fault status code, or null. */
  fault: number | null;
  stage2: boolean;
  onWalk: boolean;
  ipa: bigint;
  pa: bigint;
  device: boolean;
}

export type Read = (address: bigint) => bigint;
export type Access = "read" | "write" | "fetch";

const bits = (v: bigint, msb: number, lsb: number): bigint => (v >> BigInt(lsb)) & ((1n << BigInt(msb - lsb + 1)) - 1n);
const bit = (v: bigint, n: number): boolean => bits(v, n, n) === 1n;

class Fault extends Error {
  readonly code: number;
  readonly stage2: boolean;
  readonly onWalk: boolean;
  readonly ipa: bigint;
  constructor(code: number, stage2 = false, onWalk = false, ipa = 0n) {
    super(`fault ${code}`);
    this.code = code;
    this.stage2 = stage2;
    this.onWalk = onWalk;
    this.ipa = ipa;
  }
}

interface Leaf {
  readonly descriptor: bigint;
  readonly level: number;
  readonly output: bigint;
  readonly tables: bigint;
}

/** D8.2.8: walks from `level` on. `fetchDescriptor` gives a descriptor or throws. */
function walk(
  base: bigint,
  input: bigint,
  granule: number,
  startLevel: number,
  outputSize: number,
  fail: (code: number) => Fault,
  fetchDescriptor: (address: bigint) => bigint,
): Leaf {
  const stride = granule - 3;
  let table = base;
  let tables = 0n;
  for (let level = startLevel; ; level++) {
    const lsb = (3 - level) * stride + granule;
    const index = level === startLevel ? input >> BigInt(lsb) : bits(input, lsb + stride - 1, lsb);
    const descriptor = fetchDescriptor(table + index * 8n);
    if (!bit(descriptor, 0)) throw fail(0x04 + level);
    const next = bits(descriptor, 47, granule) << BigInt(granule);
    if (bit(descriptor, 1) && level < 3) {
      if (outputSize < 48 && bits(next, 47, outputSize) !== 0n) throw fail(level);
      tables |= descriptor;
      table = next;
      continue;
    }
    if (!bit(descriptor, 1)) {
      const blockAllowed = granule === 12 ? level === 1 || level === 2 : level === 2;
      if (!blockAllowed) throw fail(0x04 + level);
    }
    const output = bits(descriptor, 47, lsb) << BigInt(lsb);
    if (outputSize < 48 && bits(output, 47, outputSize) !== 0n) throw fail(level);
    if (!bit(descriptor, 10)) throw fail(0x08 + level);
    return { descriptor, level, output: output | bits(input, lsb - 1, 0), tables };
  }
}

const PS = [32, 36, 40, 42, 44, 48, 48, 48];
const clamp = (size: bigint): number => Math.min(Math.max(Number(size), 16), 39);

export function translate(
  r: Registers,
  regime: 1 | 2,
  el: 0 | 1 | 2,
  va: bigint,
  access: Access,
  paSize: number,
  withStage2: boolean,
  read: Read,
): Outcome {
  const out: Outcome = { fault: null, stage2: false, onWalk: false, ipa: 0n, pa: 0n, device: false };
  try {
    const stage2On = withStage2 && regime === 1 && (bit(r.hcr, 0) || bit(r.hcr, 12)) && !bit(r.hcr, 27);
    const one = stageOne(r, regime, el, va, access, paSize, stage2On, read);
    out.ipa = one.output;
    out.pa = one.output;
    out.device = one.device;
    if (!one.allowed) throw new Fault(0x0c + one.level);
    if (stage2On) {
      const two = stageTwo(r, one.output, paSize, false, read);
      const s2ap = bits(two.descriptor, 7, 6);
      const allowed = access === "read" ? bit(s2ap, 0) : access === "write" ? bit(s2ap, 1) : !bit(two.descriptor, 54);
      if (!allowed) throw new Fault(0x0c + two.level, true, false, one.output);
      out.pa = two.output;
      out.device = one.device || bits(two.descriptor, 5, 4) === 0n;
    }
  } catch (e) {
    if (!(e instanceof Fault)) throw e;
    out.fault = e.code;
    out.stage2 = e.stage2;
    out.onWalk = e.onWalk;
    if (e.stage2) out.ipa = e.ipa;
  }
  return out;
}

function stageOne(
  r: Registers,
  regime: 1 | 2,
  el: 0 | 1 | 2,
  va: bigint,
  access: Access,
  paSize: number,
  stage2On: boolean,
  read: Read,
): { output: bigint; device: boolean; allowed: boolean; level: number } {
  const upper = regime === 1 && bit(va, 55);
  const tbi = regime === 2 ? bit(r.tcr, 20) : bit(r.tcr, upper ? 38 : 37);
  const top = tbi ? 55 : 63;
  const off = !bit(r.sctlr, 0) || (regime === 1 && (bit(r.hcr, 12) || bit(r.hcr, 27)));
  if (off) {
    if (bits(va, top, paSize) !== 0n) throw new Fault(0);
    const cacheable = regime === 1 && bit(r.hcr, 12);
    return { output: bits(va, paSize - 1, 0), device: access !== "fetch" && !cacheable, allowed: true, level: 0 };
  }
  const size = 64 - clamp(upper ? bits(r.tcr, 21, 16) : bits(r.tcr, 5, 0));
  const range = bits(va, top, size);
  if (range !== (upper ? (1n << BigInt(top - size + 1)) - 1n : 0n)) throw new Fault(0x04);
  if (regime === 1 && bit(r.tcr, upper ? 23 : 7)) throw new Fault(0x04);
  const granule = upper
    ? ({ 1: 14, 2: 12, 3: 16 }[Number(bits(r.tcr, 31, 30))] ?? 12)
    : ({ 1: 16, 2: 14 }[Number(bits(r.tcr, 15, 14))] ?? 12);
  const stride = granule - 3;
  const level = 4 - Math.ceil((size - granule) / stride);
  const ps = PS[Number(regime === 1 ? bits(r.tcr, 34, 32) : bits(r.tcr, 18, 16))] as number;
  const outputSize = Math.min(ps, paSize);
  const ttbr = upper ? r.ttbr1 : r.ttbr0;
  const lowBit = Math.max(3 + size - ((3 - level) * stride + granule), 3);
  const base = bits(ttbr, 47, lowBit) << BigInt(lowBit);
  if (outputSize < 48 && bits(base, 47, outputSize) !== 0n) throw new Fault(0);
  const leaf = walk(
    base,
    bits(va, size - 1, 0),
    granule,
    level,
    outputSize,
    (code) => new Fault(code),
    (address) => {
      let at = address;
      if (stage2On) {
        const two = stageTwo(r, address, paSize, true, read);
        if (!bit(two.descriptor, 6)) throw new Fault(0x0c + two.level, true, true, address);
        if (bit(r.hcr, 2) && bits(two.descriptor, 5, 4) === 0n) throw new Fault(0x0c + two.level, true, true, address);
        at = two.output;
      }
      return read(at);
    },
  );
  const d = leaf.descriptor;
  const readOnly = bit(d, 7) || bit(leaf.tables, 62);
  const uxn = bit(d, 54) || bit(leaf.tables, 60);
  const pxn = bit(d, 53) || bit(leaf.tables, 59);
  const wxn = bit(r.sctlr, 19);
  const user = bit(d, 6) && !bit(leaf.tables, 61);
  let rights: Record<Access, boolean>;
  if (regime === 2) rights = { read: true, write: !readOnly, fetch: !uxn && !(wxn && !readOnly) };
  else if (el === 0) rights = { read: user, write: user && !readOnly, fetch: !uxn && !(wxn && user && !readOnly) };
  else rights = { read: true, write: !readOnly, fetch: !pxn && !(user && !readOnly) && !(wxn && !readOnly) };
  const attribute = bits(r.mair, 8 * Number(bits(d, 4, 2)) + 7, 8 * Number(bits(d, 4, 2)));
  return { output: leaf.output, device: attribute < 0x10n, allowed: rights[access], level: leaf.level };
}

function stageTwo(r: Registers, ipa: bigint, paSize: number, onWalk: boolean, read: Read): Leaf {
  const fail = (code: number) => new Fault(code, true, onWalk, ipa);
  const size = 64 - clamp(bits(r.vtcr, 5, 0));
  const granule = { 1: 16, 2: 14 }[Number(bits(r.vtcr, 15, 14))] ?? 12;
  const stride = granule - 3;
  const sl0 = Number(bits(r.vtcr, 7, 6));
  const level = granule === 12 ? 2 - sl0 : 3 - sl0;
  const first = size - ((3 - level) * stride + granule);
  if (sl0 === 3 || first < 1 || first > stride + 4) throw fail(0x04);
  if (ipa >> BigInt(size) !== 0n) throw fail(0x04);
  const outputSize = Math.min(PS[Number(bits(r.vtcr, 18, 16))] as number, paSize);
  const lowBit = 3 + first;
  const base = bits(r.vttbr, 47, lowBit) << BigInt(lowBit);
  if (outputSize < 48 && bits(base, 47, outputSize) !== 0n) throw fail(0);
  return walk(base, ipa, granule, level, outputSize, fail, read);
}
