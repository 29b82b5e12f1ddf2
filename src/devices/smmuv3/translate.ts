/** The translation of one transaction (IHI 0070 3.4 and chapter 15): configuration, TLB, walk, and the fault where it ends in one. */
import type { Arena, Target } from "../../bus/index.ts";
import {
  FAULT_ACCESS_FLAG,
  FAULT_EXTERNAL_ON_WALK,
  FAULT_PERMISSION,
  FAULT_TRANSLATION,
  FETCH,
  NO_FAULT,
  READ,
  StageOneTables,
  type Translation,
  Walker,
  WRITE,
} from "../../mmu/index.ts";
import { Configuration, type StreamTable } from "./configuration.ts";
import {
  C_BAD_CD,
  C_BAD_STE,
  C_BAD_SUBSTREAMID,
  CLASS_CD,
  CLASS_IN,
  CLASS_TTD,
  F_ACCESS,
  F_ADDR_SIZE,
  F_BAD_ATS_TREQ,
  F_PERMISSION,
  F_STREAM_DISABLED,
  F_TRANSL_FORBIDDEN,
  F_TRANSLATION,
  F_WALK_EABT,
  Fault,
} from "./events.ts";
import {
  ATS_NONE,
  ATS_SPLIT,
  type ContextEntry,
  DSS_BYPASS,
  DSS_SUBSTREAM_0,
  DSS_TERMINATE,
  type StreamEntry,
} from "./formats.ts";
import { BusReader, PeekReader } from "./memory.ts";
import { OUTPUT_BITS } from "./registers.ts";
import { BY_STAGE_1, BY_STAGE_2, CAN_EXECUTE, CAN_READ, CAN_WRITE, Tlb, type TlbKey } from "./tlb.ts";

/** What a stream's transaction carries. */
export interface Request {
  streamId: number;
  /** -1 without. */
  substreamId: number;
  /** Input address: below 0 it is the one 2^64 above. */
  address: number;
  write: boolean;
  instruction: boolean;
  privileged: boolean;
}

/** How a translation is asked for. */
export const NORMAL = 0;
/** By a debugger: nothing is cached, nothing read with side effects. */
export const PEEK = 1;
/** An ATS translation request. */
export const ATS_REQUEST = 2;
/** A transaction that a device translated by ATS. */
export const ATS_TRANSLATED = 3;

/** Why a request was refused: TERMINATE_IGNORE reads as zero and ignores writes, the others abort. */
export const OK = 0;
export const ABORT = 1;
export const IGNORE = 2;

const PAGE = 4096;
const HALF = 4294967296;
const OUTPUT_LIMIT = 2 ** OUTPUT_BITS;

export class Translator {
  readonly tlb = new Tlb();
  readonly configuration: Configuration;
  /** Filled in by a translation that did not succeed. */
  readonly fault = new Fault();
  /** The fault of the last translation belongs into the Event queue, were it not for its mode. */
  recordable = false;
  /** Output address of the last translation that succeeded. */
  output = 0;
  /** Its canonical input page, where it has a TLB slot. */
  page = 0;
  /** Its TLB slot; -1 where the address went through unchanged. */
  slot = -1;
  /** Its rights (CAN_*), log2 of its mapping's bytes, and whether it is for all ASIDs. */
  rights = 0;
  size = 12;
  global = false;
  /** A translation was used that the tables no longer hold. */
  onStale: (request: Request, detail: string) => void = () => {};
  readonly #check: boolean;
  readonly #reader: BusReader;
  readonly #walker: Walker;
  readonly #peekWalker: Walker;
  readonly #flat = new StageOneTables(1);
  readonly #key: TlbKey = { page: 0, world: 0, vmid: 0, asid: 0, stages: 0, privileged: false };
  /** Derived: the slot's translation was found stale and reported. */
  readonly #reported = new Uint8Array(this.tlb.slots);
  readonly #toPhysical = (stream: StreamEntry, address: number, peek: boolean) =>
    this.#contextAddress(stream, address, peek);

  constructor(bus: Target, arena: Arena, check: boolean) {
    this.#check = check;
    this.#reader = new BusReader(bus, arena);
    const peekReader = new PeekReader(bus, arena);
    this.#walker = new Walker(this.#reader);
    this.#peekWalker = new Walker(peekReader);
    this.configuration = new Configuration(this.#reader, peekReader, check);
    this.#flat.defaultCacheable = true;
  }

  /** After a restore: what is derived from the caches is made anew. */
  forget(): void {
    this.#reported.fill(0);
  }

  /** OK with the output address, or ABORT or IGNORE with the fault. */
  translate(table: StreamTable, request: Request, mode: number): number {
    const { fault } = this;
    this.#prepare(request);
    const stream = this.configuration.stream(table, request.streamId, mode === PEEK, fault);
    if (stream === null) return this.#refuse(true);
    if (stream.bad) return this.#refuseWith(C_BAD_STE);
    if (stream.abort) return this.#refuse(false);
    if (mode === ATS_REQUEST && stream.ats === ATS_NONE) return this.#refuseWith(F_BAD_ATS_TREQ);
    if (mode === ATS_TRANSLATED) {
      if (stream.ats === ATS_NONE) return this.#refuseWith(F_TRANSL_FORBIDDEN);
      if (stream.ats === ATS_SPLIT) return this.#stages(stream, null, request, mode);
      return this.#through(request);
    }
    let index = request.substreamId;
    if (!stream.stageOne) {
      if (index >= 0) return this.#refuseWith(C_BAD_SUBSTREAMID);
    } else if (stream.contextBits === 0) {
      if (index >= 0) return this.#refuseWith(C_BAD_SUBSTREAMID);
      index = 0;
    } else if (index < 0) {
      if (stream.dss === DSS_TERMINATE) return this.#refuseWith(F_STREAM_DISABLED);
      if (stream.dss === DSS_SUBSTREAM_0) index = 0;
    } else if (index === 0 && stream.dss === DSS_SUBSTREAM_0) return this.#refuseWith(F_STREAM_DISABLED);
    else if (index >= 2 ** stream.contextBits) return this.#refuseWith(C_BAD_SUBSTREAMID);

    const bypass = !stream.stageOne || (index < 0 && stream.dss === DSS_BYPASS);
    if (bypass) return stream.stageTwo ? this.#stages(stream, null, request, mode) : this.#through(request);
    const context = this.configuration.context(stream, index, mode === PEEK, fault, this.#toPhysical);
    if (context === null) return this.#refuse(fault.type < F_TRANSLATION || stream.record);
    fault.class = CLASS_IN;
    if (context.bad) return this.#refuseWith(C_BAD_CD);
    return this.#stages(stream, context, request, mode);
  }

  #prepare(request: Request): void {
    const { fault } = this;
    fault.type = 0;
    fault.streamId = request.streamId;
    fault.substreamId = request.substreamId;
    fault.write = request.write;
    fault.instruction = request.instruction;
    fault.privileged = request.privileged;
    fault.stage2 = false;
    fault.class = CLASS_IN;
    fault.high = Math.floor(request.address / HALF) | 0;
    fault.low = request.address | 0;
    fault.address = 0;
    this.slot = -1;
  }

  #refuse(recordable: boolean): number {
    this.recordable = recordable;
    return ABORT;
  }
  #refuseWith(type: number): number {
    this.fault.type = type;
    this.recordable = true;
    return ABORT;
  }

  /** Neither stage translates. */
  #through(request: Request): number {
    const { address } = request;
    if (address < 0 || address >= OUTPUT_LIMIT) return this.#refuseWith(F_ADDR_SIZE);
    this.output = address;
    this.slot = -1;
    this.rights = CAN_READ | CAN_WRITE | CAN_EXECUTE;
    return OK;
  }

  #stages(stream: StreamEntry, context: ContextEntry | null, request: Request, mode: number): number {
    const { fault } = this;
    const privileged = stream.privileged(request.privileged);
    const instruction = stream.instruction(request.instruction) && !request.write;
    fault.privileged = privileged;
    fault.instruction = instruction;
    const access = request.write ? WRITE : instruction ? FETCH : READ;
    const stageTwo = stream.stageTwo && !(mode === ATS_REQUEST && stream.ats === ATS_SPLIT);
    const high = canonical(context, Math.floor(request.address / HALF) | 0);
    const low = request.address | 0;
    const key = this.#key;
    key.page = high * HALF + ((low & ~(PAGE - 1)) >>> 0);
    key.world = stream.world;
    key.vmid = stream.vmid;
    key.asid = context?.asid ?? 0;
    key.stages = (context ? BY_STAGE_1 : 0) | (stageTwo ? BY_STAGE_2 : 0);
    key.privileged = privileged;

    const needed = request.write ? CAN_WRITE : instruction ? CAN_EXECUTE : CAN_READ;
    const found = this.tlb.find(key);
    if (found >= 0) {
      if ((this.tlb.rights(found) & needed) !== 0) {
        if (this.#check && mode !== PEEK) this.#verify(found, stream, context, request, high, low, privileged);
        return this.#hit(found, low);
      }
      // the fault's cause is found by a walk; where that finds the right, the TLB kept an older mapping
    }
    const walker = mode === PEEK ? this.#peekWalker : this.#walker;
    const r = this.#walk(walker, stream, context, high, low, privileged, access, stageTwo);
    if (r.fault !== NO_FAULT || r.permission !== NO_FAULT) return this.#failed(r, stream, context);
    const rights = rightsOf(r);
    const output = r.pa - (low & (PAGE - 1));
    if (mode === PEEK) {
      this.output = r.pa;
      this.rights = rights;
      return OK;
    }
    if (found >= 0) this.onStale(request, "the cached translation lacks a right that the tables now give");
    const slot = this.tlb.insert(key, output, rights, Math.max(Math.min(r.size, 48), 12), r.global && context !== null);
    this.#reported[slot] = 0;
    return this.#hit(slot, low);
  }

  #hit(slot: number, low: number): number {
    const { tlb } = this;
    this.slot = slot;
    this.page = this.#key.page;
    this.output = tlb.output(slot) + (low & (PAGE - 1));
    this.rights = tlb.rights(slot);
    this.size = tlb.size(slot);
    this.global = tlb.global(slot);
    return OK;
  }

  #walk(
    walker: Walker,
    stream: StreamEntry,
    context: ContextEntry | null,
    high: number,
    low: number,
    privileged: boolean,
    access: number,
    stageTwo: boolean,
  ): Translation {
    const el = privileged ? 1 : 0;
    if (context !== null) {
      const { one } = context;
      return stageTwo || !stream.stageTwo
        ? walker.translate(one, stream.two, high, low, el, access, OUTPUT_LIMIT)
        : walker.stageOneOnly(one, stream.two, high, low, el, access, OUTPUT_LIMIT);
    }
    const { range } = stream.two;
    const address = high * HALF + (low >>> 0);
    if (address < 0 || address >= range.inputLimit) {
      const r = walker.result;
      r.fault = FAULT_TRANSLATION;
      r.permission = NO_FAULT;
      r.stage2 = true;
      r.onWalk = false;
      r.ipa = address;
      return r;
    }
    return walker.translate(this.#flat, stream.two, high, low, el, access, range.inputLimit);
  }

  /** Turns a walk's fault into an event and the way the transaction ends. */
  #failed(r: Translation, stream: StreamEntry, context: ContextEntry | null): number {
    const { fault } = this;
    const code = r.fault !== NO_FAULT ? r.fault : r.permission;
    fault.stage2 = r.fault !== NO_FAULT ? r.stage2 : r.permissionStage2;
    fault.address = r.ipa;
    fault.class = r.fault !== NO_FAULT && r.onWalk && r.stage2 ? CLASS_TTD : CLASS_IN;
    fault.type = eventOf(code);
    if (fault.type === F_WALK_EABT) {
      fault.class = CLASS_TTD;
      fault.address = this.#reader.last;
      this.recordable = true;
    } else this.recordable = fault.stage2 || context === null ? stream.record : context.record;
    return fault.stage2 || context === null || context.abort || fault.type === F_WALK_EABT ? ABORT : IGNORE;
  }

  /** A context descriptor's intermediate address through stage 2: the physical one, or -1 with the fault. */
  #contextAddress(stream: StreamEntry, address: number, peek: boolean): number {
    const walker = peek ? this.#peekWalker : this.#walker;
    const { fault } = this;
    const limit = stream.two.range.inputLimit;
    let code: number;
    if (address >= limit) code = FAULT_TRANSLATION;
    else {
      const r = walker.translate(this.#flat, stream.two, Math.floor(address / HALF), address | 0, 1, READ, limit);
      code = r.fault !== NO_FAULT ? r.fault : r.permission;
      if (code === NO_FAULT) return r.pa;
    }
    fault.type = eventOf(code);
    fault.stage2 = true;
    fault.class = CLASS_CD;
    fault.address = fault.type === F_WALK_EABT ? this.#reader.last : address;
    return -1;
  }

  /** Compares a TLB hit with what a walk would find now. */
  #verify(
    slot: number,
    stream: StreamEntry,
    context: ContextEntry | null,
    request: Request,
    high: number,
    low: number,
    privileged: boolean,
  ): void {
    if (this.#reported[slot] === 1) return;
    const stageTwo = (this.#key.stages & BY_STAGE_2) !== 0;
    const access = request.write ? WRITE : this.fault.instruction ? FETCH : READ;
    const r = this.#walk(this.#peekWalker, stream, context, high, low, privileged, access, stageTwo);
    const good =
      r.fault === NO_FAULT &&
      r.permission === NO_FAULT &&
      r.pa === this.tlb.output(slot) + (low & (PAGE - 1)) &&
      rightsOf(r) === this.tlb.rights(slot);
    if (good) return;
    this.#reported[slot] = 1;
    this.onStale(request, "the cached translation is not what the tables hold now");
  }
}

/** The event that a fault status code becomes. */
function eventOf(code: number): number {
  switch (code & ~3) {
    case FAULT_TRANSLATION:
      return F_TRANSLATION;
    case FAULT_ACCESS_FLAG:
      return F_ACCESS;
    case FAULT_PERMISSION:
      return F_PERMISSION;
    case FAULT_EXTERNAL_ON_WALK:
      return F_WALK_EABT;
    default: // FAULT_ADDRESS_SIZE
      return F_ADDR_SIZE;
  }
}

function rightsOf(r: Translation): number {
  return (r.read ? CAN_READ : 0) | (r.write ? CAN_WRITE : 0) | (r.execute ? CAN_EXECUTE : 0);
}

/** The high word with an ignored top byte replaced by copies of bit 55. */
function canonical(context: ContextEntry | null, high: number): number {
  if (context === null) return high;
  const { one } = context;
  const range = one.level === 1 && (high & (1 << 23)) !== 0 ? one.upper : one.lower;
  return range.tbi ? (one.level === 1 ? (high << 8) >> 8 : high & 0xff_ffff) : high;
}
