/**
 * Arm System MMU, version 3.1 (Arm IHI 0070), Non-secure interface. It stands between devices' DMA ports and the bus: bind a port to
 * `smmu.target(streamId)`.
 *
 * Modelled: register pages 0 and 1; linear and two-level stream tables; stage 1 (4, 16, 64 KiB granules; linear and two-level context
 * descriptor tables, substreams; EL1, EL2 and EL2-E2H contexts), stage 2 and both; Command queue with CMD_SYNC completion by MSI, event or wire; Event
 * queue with overflow; PRI queue; ATS; global errors; GBPA. Configuration cache and TLB keep what they hold for as long as the architecture
 * allows; use of an entry that memory no longer agrees with is recorded as a guest error.
 *
 * Left out, and told by the identification registers: stalls (transactions are carried out at once, so none can wait), hardware update of
 * flags, AArch32 and big-endian tables, ATOS, broadcast maintenance, Secure state, MPAM, PMU. Memory attributes are ignored: memory is
 * coherent. F_UUT, F_TLB_CONFLICT, F_CFG_CONFLICT and E_PAGE_REQUEST never occur. Events are not merged.
 *
 * Choices: enables take effect at once; an invalid stream table entry is cached as well as a valid one, a first-level descriptor never; TTL hints are
 * ignored; prefetch commands do nothing; a base register written while its queue or the SMMU is enabled keeps its value, and this is a
 * guest error; a CMD_ATC_INV that no function answers is complete; after `COMMANDS_AT_ONCE` commands the others follow 1 us later.
 */
import { type Arena, type DirectRegion, Port, type Target } from "../../bus/index.ts";
import { type Hooks, RegisterBank } from "../../registers/index.ts";
import { Module, type Simulation, US } from "../../sim/index.ts";
import type {
  AtsEndpoint,
  AtsInvalidation,
  PageRequest,
  PageRequestResult,
  PageResponse,
  TranslationCompletion,
  TranslationRequest,
} from "./ats.ts";
import { CERROR_ABT, CERROR_NONE, COMMAND_WORDS, execute } from "./commands.ts";
import { F_TRANSLATION } from "./events.ts";
import { Queue } from "./queue.ts";
import { SMMUV3 } from "./registers.ts";
import { GERROR_CMDQ, Reports } from "./reports.ts";
import { type StreamOptions, StreamTarget } from "./stream.ts";
import { CAN_EXECUTE, CAN_READ, CAN_WRITE } from "./tlb.ts";
import { ABORT, ATS_REQUEST, ATS_TRANSLATED, OK, type Request, Translator } from "./translate.ts";

export interface Smmuv3Options {
  /** Where translated transactions go, and where tables and queues are. Takes accesses of all sizes. */
  readonly bus: Target;
  readonly arena: Arena;
  /**
   * Compare cached configuration and translations with memory whenever they are looked up; true unless given. It never changes a
   * result. Single accesses within a page that a port has direct access to are not looked up.
   */
  readonly checkInvalidation?: boolean;
}

// Bits of SMMU_CR0.
const SMMUEN = 1 << 0;
const PRIQEN = 1 << 1;
const EVENTQEN = 1 << 2;
const CMDQEN = 1 << 3;
const ATSCHK = 1 << 4;
const CR0_BITS = 0x1f;
const IRQ_BITS = 7;
const GBPA_UPDATE = 1 << 31;
const GBPA_ABORT = 1 << 20;

const COMMANDS_AT_ONCE = 4096;
const PAGE = 4096;
const HALF = 4294967296;
/** All input addresses. */
const LOWEST = -(2 ** 63);
const ALL_BYTES = 2 ** 64;

type Invalidation = (address: number, length: number) => void;

export class Smmuv3 extends Module {
  readonly registers: RegisterBank<typeof SMMUV3>;
  /** Interrupts: pulses, for edge-triggered inputs. */
  readonly eventq = this.line("eventq");
  readonly priq = this.line("priq");
  readonly cmdqSync = this.line("cmdqSync");
  readonly gerror = this.line("gerror");
  /** Pulsed by a CMD_SYNC that asks for an event: what SEV is to WFE. */
  readonly wakeUp = this.line("wakeUp");
  readonly translator: Translator;
  readonly reports: Reports;
  readonly #state = this.state<{ atsFailed: boolean }>({ atsFailed: false });
  readonly #bus: Target;
  readonly #commands: Queue;
  readonly #more = this.event("moreCommands", () => this.#run());
  #running = false;
  readonly #words = new Int32Array(COMMAND_WORDS);
  readonly #bytes = new Uint8Array(this.#words.buffer);
  readonly #targets = new Map<number, StreamTarget>();
  readonly #translated = new Map<number, StreamTarget>();
  readonly #endpoints = new Map<number, AtsEndpoint>();
  readonly #listeners: Invalidation[] = [];
  // direct regions by TLB slot, and whether any was handed out since ports were last told to forget them
  readonly #readable: (DirectRegion | null)[];
  readonly #writable: (DirectRegion | null)[];
  #handedOut = false;
  readonly #table = { base: 0, bits: 0, split: 0, twoLevels: false, e2h: false };

  constructor(parent: Module | Simulation, name: string, options: Smmuv3Options) {
    super(parent, name);
    const { bus, arena, checkInvalidation = true } = options;
    if (bus.accessSizes !== 15) throw new Error(`${this.fullName}: the bus must take accesses of 1 to 8 bytes`);
    this.#bus = bus;
    this.translator = new Translator(bus, arena, checkInvalidation);
    const { tlb, configuration } = this.translator;
    this.part("tlb", tlb);
    this.part("streams", configuration.streams);
    this.part("contexts", configuration.contexts);
    this.#readable = new Array<DirectRegion | null>(tlb.slots).fill(null);
    this.#writable = new Array<DirectRegion | null>(tlb.slots).fill(null);
    tlb.onDrop = (slot, page) => this.#dropped(slot, page);
    configuration.onChange = () => this.#forgetRegions();
    configuration.onStale = (streamId, substreamId) => this.#stale(streamId, substreamId);
    this.translator.onStale = (request, detail) => {
      this.guestError({
        kind: "sequence",
        requesterId: request.streamId,
        address: request.address,
        write: request.write,
        clause: "Arm IHI 0070 3.17",
        detail: `${detail}: no TLB invalidation was seen`,
      });
    };
    bus.onInvalidate?.(() => this.#forgetRegions());
    this.registers = this.part("registers", new RegisterBank(this, SMMUV3, this.#hooks()));
    const { values, slot } = this.registers;
    this.#commands = new Queue(values, slot.SMMU_CMDQ_BASE, slot.SMMU_CMDQ_PROD, slot.SMMU_CMDQ_CONS, 4);
    this.reports = new Reports(this.registers, new Port(bus, arena), this);
  }

  /**
   * What a DMA port of stream `streamId` is bound to. Without options it is the same object each time, and so it is with `translated` alone.
   */
  target(streamId: number, options?: StreamOptions): StreamTarget {
    if (options?.translated && options.sideband === undefined && options.privileged === undefined) {
      let known = this.#translated.get(streamId);
      if (known === undefined) {
        known = new StreamTarget(this, this.#bus, streamId, { translated: true });
        this.#translated.set(streamId, known);
      }
      return known;
    }
    if (options !== undefined) return new StreamTarget(this, this.#bus, streamId, options);
    let target = this.#targets.get(streamId);
    if (target === undefined) {
      target = new StreamTarget(this, this.#bus, streamId, {});
      this.#targets.set(streamId, target);
    }
    return target;
  }

  /** Says who answers ATS invalidations and page responses for a stream. */
  attach(streamId: number, endpoint: AtsEndpoint): void {
    this.#endpoints.set(streamId, endpoint);
  }

  get e2h(): boolean {
    return (this.#value("SMMU_CR2") & 1) !== 0;
  }
  /** Output address of the last translation that was `OK`. */
  get output(): number {
    return this.translator.output;
  }

  /** A transaction of a stream: OK with `output`, ABORT or IGNORE, its refusal recorded. */
  access(request: Request, mode: number): number {
    if (this.reports.depth > 0) {
      this.guestError({
        kind: "dma",
        requesterId: request.streamId,
        address: request.address,
        write: request.write,
        detail: "an access of the SMMU itself to a device led back to the SMMU",
      });
      return ABORT;
    }
    const status = this.translate(request, mode);
    if (status !== OK) this.#refused(request);
    return status;
  }

  /** As `access`, without a record. */
  translate(request: Request, mode: number): number {
    const { translator } = this;
    const control = this.#value("SMMU_CR0");
    const unchecked = mode === ATS_TRANSLATED && (control & ATSCHK) === 0;
    if ((control & SMMUEN) !== 0 && !unchecked) return translator.translate(this.#streamTable(), request, mode);
    translator.slot = -1;
    translator.recordable = false;
    translator.output = request.address;
    if (request.address < 0 || request.address >= 2 ** 52) return ABORT;
    return (control & SMMUEN) === 0 && (this.#value("SMMU_GBPA") & GBPA_ABORT) !== 0 ? ABORT : OK;
  }

  /** Direct access for the byte at `request.address`, at most a page; null where there is none, or the access would fault. */
  direct(request: Request, mode: number): DirectRegion | null {
    if (this.reports.depth > 0 || this.translate(request, mode) !== OK) return null;
    const { address, write } = request;
    const { slot, output } = this.translator;
    if (slot < 0) {
      const region = this.#bus.direct?.(address, write) ?? null;
      if (region !== null) this.#handedOut = true;
      return region;
    }
    const regions = write ? this.#writable : this.#readable;
    const known = regions[slot] as DirectRegion | null;
    if (known !== null && address >= known.start && address < known.end) return known;
    const region = this.#bus.direct?.(output, write) ?? null;
    const page = address - (output % PAGE);
    // tag bits in the address: the TLB's page is another one
    if (region === null || known !== null || this.translator.page !== page) return null;
    const physical = output - (output % PAGE);
    const start = Math.max(region.start, physical);
    const found: DirectRegion = {
      start: page + (start - physical),
      end: page + (Math.min(region.end, physical + PAGE) - physical),
      arenaAt: region.arenaAt + (start - region.start),
      writable: write && region.writable,
    };
    regions[slot] = found;
    this.#handedOut = true;
    return found;
  }

  onInvalidate(listener: Invalidation): void {
    this.#listeners.push(listener);
  }

  /** Answers a PCIe ATS translation request. */
  translationRequest(asked: TranslationRequest): TranslationCompletion {
    if ((this.#value("SMMU_CR0") & SMMUEN) === 0) return { status: "unsupported-request" };
    const { translator } = this;
    const request: Request = { ...asked, write: false, instruction: false };
    const address = asked.address - (((asked.address % PAGE) + PAGE) % PAGE);
    const nothing = {
      status: "success",
      address,
      bytes: PAGE,
      read: false,
      write: false,
      execute: false,
      global: false,
    };
    const status = translator.translate(this.#streamTable(), request, ATS_REQUEST);
    if (status !== OK) {
      const { fault } = translator;
      if (fault.type >= F_TRANSLATION) return nothing as TranslationCompletion;
      if (translator.recordable) this.reports.record(fault);
      const unsupported = fault.type === 0 || fault.type === 0x05;
      return { status: unsupported ? "unsupported-request" : "completer-abort" };
    }
    if (translator.slot < 0) return { status: "unsupported-request" };
    const { rights, global } = translator;
    return {
      status: "success",
      address: translator.output - (translator.output % PAGE),
      bytes: PAGE,
      read: (rights & CAN_READ) !== 0,
      write: asked.write && (rights & CAN_WRITE) !== 0,
      execute: asked.execute && (rights & CAN_EXECUTE) !== 0,
      global,
    };
  }

  /** A PCIe page request. One that cannot be queued is answered by the SMMU itself if it is the last of its group. */
  pageRequest(request: PageRequest): void {
    const queued = this.reports.pageRequest(request);
    if (queued === "queued" || !request.last) return;
    const { streamId, substreamId, group } = request;
    // 8.1: a full queue answers success, for the function to try again
    const result: PageRequestResult = queued === "full" ? "success" : "failure";
    this.#endpoints.get(streamId)?.pageResponse({ substreamId, group, result });
  }

  /** CMD_ATC_INV. */
  invalidateAts(streamId: number, invalidation: AtsInvalidation): void {
    const endpoint = this.#endpoints.get(streamId);
    if (endpoint && !endpoint.invalidate(invalidation)) this.#state.atsFailed = true;
  }
  /** CMD_PRI_RESP. */
  respondToPages(streamId: number, response: PageResponse): void {
    this.#endpoints.get(streamId)?.pageResponse(response);
  }
  /** Whether an ATS invalidation since the last call was not answered. */
  takeAtsFailure(): boolean {
    const failed = this.#state.atsFailed;
    this.#state.atsFailed = false;
    return failed;
  }

  protected override onReset(): void {
    this.translator.configuration.syncs = 0;
    this.translator.forget();
    this.#forgetRegions();
  }
  protected override onRestore(): void {
    this.onReset();
  }

  #streamTable() {
    const { values, slot } = this.registers;
    const table = this.#table;
    const low = values[slot.SMMU_STRTAB_BASE] as number;
    const format = values[slot.SMMU_STRTAB_BASE_CFG] as number;
    table.base = ((values[slot.SMMU_STRTAB_BASE + 1] as number) & 0xf_ffff) * HALF + ((low & ~63) >>> 0);
    table.bits = Math.min(format & 63, 32);
    table.split = (format >>> 6) & 31;
    table.twoLevels = ((format >>> 16) & 3) === 1;
    table.e2h = this.e2h;
    return table;
  }

  #refused(request: Request): void {
    const { fault, recordable } = this.translator;
    if (recordable) this.reports.record(fault);
    this.guestError({
      kind: "dma",
      requesterId: request.streamId,
      address: request.address,
      write: request.write,
      clause: "Arm IHI 0070 7.3",
      detail: recordable
        ? `refused with event 0x${fault.type.toString(16).padStart(2, "0")}`
        : "refused without an event",
    });
  }

  #stale(streamId: number, substreamId: number): void {
    const what = substreamId < 0 ? "stream table entry" : `context descriptor of substream ${substreamId}`;
    this.guestError({
      kind: "sequence",
      requesterId: streamId,
      clause: "Arm IHI 0070 3.21.3",
      detail: `the cached ${what} is not what memory holds: a CMD_SYNC was seen, but no CMD_CFGI before it`,
    });
  }

  #dropped(slot: number, page: number): void {
    if (this.#readable[slot] === null && this.#writable[slot] === null) return;
    this.#readable[slot] = null;
    this.#writable[slot] = null;
    for (const listener of this.#listeners) listener(page, PAGE);
  }

  #forgetRegions(): void {
    if (!this.#handedOut) return;
    this.#handedOut = false;
    this.#readable.fill(null);
    this.#writable.fill(null);
    for (const listener of this.#listeners) listener(LOWEST, ALL_BYTES);
  }

  #value(name: keyof (typeof SMMUV3)["registers"]): number {
    return this.registers.values[this.registers.slot[name]] as number;
  }

  /** Carries out commands until the queue is empty or an error stops it. */
  #run(): void {
    if (this.#running) return;
    this.#running = true;
    const { values, slot } = this.registers;
    for (let done = 0; this.#processing; done++) {
      if (done === COMMANDS_AT_ONCE) {
        this.#more.notify(US);
        break;
      }
      const error = this.reports.readBlock(this.#commands.consumerAddress, this.#bytes)
        ? execute(this, this.#words)
        : CERROR_ABT;
      if (error === CERROR_NONE) {
        this.#commands.consumed();
        continue;
      }
      const consumer = values[slot.SMMU_CMDQ_CONS] as number;
      values[slot.SMMU_CMDQ_CONS] = (consumer & 0xf_ffff) | (error << 24);
      this.guestError({
        kind: "value",
        register: "SMMU_CMDQ_CONS",
        value: (this.#words[0] as number) & 0xff,
        clause: "Arm IHI 0070 7.1",
        detail: `Command queue stopped with error ${error}`,
      });
      this.reports.raise(GERROR_CMDQ);
      break;
    }
    this.#running = false;
  }

  get #processing(): boolean {
    if ((this.#value("SMMU_CR0") & CMDQEN) === 0 || this.#commands.empty) return false;
    return ((this.#value("SMMU_GERROR") ^ this.#value("SMMU_GERRORN")) & GERROR_CMDQ) === 0;
  }

  /** A register that keeps its value while a bit of SMMU_CR0 is set. */
  #locked(name: keyof (typeof SMMUV3)["registers"], bit: number, by = "SMMU_CR0"): Hooks {
    return {
      onWrite: (written, mask, before, _index, _cpu, word) => {
        const place = this.registers.slot[name] + word;
        const control = by === "SMMU_CR0" ? this.#value("SMMU_CR0") : this.#value("SMMU_IRQ_CTRL");
        if ((control & bit) === 0) return;
        this.registers.values[place] = before;
        if (((written ^ before) & mask) === 0) return;
        const { clause } = SMMUV3.registers[name];
        this.guestError({
          kind: "sequence",
          register: name,
          write: true,
          value: written >>> 0,
          clause: `Arm IHI 0070 ${clause}`,
          detail: `written while enabled by ${by}: the write is ignored`,
        });
      },
    };
  }

  #hooks() {
    const value = (name: keyof (typeof SMMUV3)["registers"]) => this.#value(name);
    return {
      SMMU_CR0: {
        onWrite: (_written: number, _mask: number, before: number) => {
          const changed = before ^ value("SMMU_CR0");
          if ((changed & (SMMUEN | ATSCHK)) !== 0) this.#forgetRegions();
          this.#run();
        },
      },
      SMMU_CR0ACK: { get: () => value("SMMU_CR0") & CR0_BITS },
      SMMU_CR2: {
        onWrite: (written: number, mask: number, before: number, index: number, cpu: number, word: number) => {
          this.#locked("SMMU_CR2", SMMUEN).onWrite?.(written, mask, before, index, cpu, word);
          if (((value("SMMU_CR2") ^ before) & 1) !== 0) this.translator.configuration.dropAll();
        },
      },
      SMMU_GBPA: {
        onWrite: (written: number, _mask: number, before: number) => {
          const { values, slot } = this.registers;
          if ((written & GBPA_UPDATE) !== 0) values[slot.SMMU_GBPA] = value("SMMU_GBPA") & ~GBPA_UPDATE;
          else {
            values[slot.SMMU_GBPA] = before;
            this.guestError({
              kind: "sequence",
              register: "SMMU_GBPA",
              write: true,
              value: written >>> 0,
              clause: "Arm IHI 0070 6.3.14",
              detail: "written without UPDATE: the write is ignored",
            });
          }
          this.#forgetRegions();
        },
      },
      SMMU_IRQ_CTRLACK: { get: () => value("SMMU_IRQ_CTRL") & IRQ_BITS },
      SMMU_GERRORN: {
        onWrite: (written: number, _mask: number, before: number) => {
          const wrong = (before ^ value("SMMU_GERRORN")) & ~(before ^ value("SMMU_GERROR"));
          if (wrong !== 0) {
            this.guestError({
              kind: "sequence",
              register: "SMMU_GERRORN",
              write: true,
              value: written >>> 0,
              clause: "Arm IHI 0070 6.3.19",
              detail: `acknowledges errors that are not active: 0x${wrong.toString(16)}`,
            });
          }
          this.#run();
        },
      },
      SMMU_GERROR_IRQ_CFG0: this.#locked("SMMU_GERROR_IRQ_CFG0", 1, "SMMU_IRQ_CTRL"),
      SMMU_GERROR_IRQ_CFG1: this.#locked("SMMU_GERROR_IRQ_CFG1", 1, "SMMU_IRQ_CTRL"),
      SMMU_GERROR_IRQ_CFG2: this.#locked("SMMU_GERROR_IRQ_CFG2", 1, "SMMU_IRQ_CTRL"),
      SMMU_PRIQ_IRQ_CFG0: this.#locked("SMMU_PRIQ_IRQ_CFG0", 2, "SMMU_IRQ_CTRL"),
      SMMU_PRIQ_IRQ_CFG1: this.#locked("SMMU_PRIQ_IRQ_CFG1", 2, "SMMU_IRQ_CTRL"),
      SMMU_PRIQ_IRQ_CFG2: this.#locked("SMMU_PRIQ_IRQ_CFG2", 2, "SMMU_IRQ_CTRL"),
      SMMU_EVENTQ_IRQ_CFG0: this.#locked("SMMU_EVENTQ_IRQ_CFG0", 4, "SMMU_IRQ_CTRL"),
      SMMU_EVENTQ_IRQ_CFG1: this.#locked("SMMU_EVENTQ_IRQ_CFG1", 4, "SMMU_IRQ_CTRL"),
      SMMU_EVENTQ_IRQ_CFG2: this.#locked("SMMU_EVENTQ_IRQ_CFG2", 4, "SMMU_IRQ_CTRL"),
      SMMU_STRTAB_BASE: this.#locked("SMMU_STRTAB_BASE", SMMUEN),
      SMMU_STRTAB_BASE_CFG: this.#locked("SMMU_STRTAB_BASE_CFG", SMMUEN),
      SMMU_CMDQ_BASE: this.#locked("SMMU_CMDQ_BASE", CMDQEN),
      SMMU_CMDQ_PROD: { onWrite: () => this.#produced() },
      SMMU_CMDQ_CONS: this.#locked("SMMU_CMDQ_CONS", CMDQEN),
      SMMU_EVENTQ_BASE: this.#locked("SMMU_EVENTQ_BASE", EVENTQEN),
      SMMU_EVENTQ_PROD: this.#locked("SMMU_EVENTQ_PROD", EVENTQEN),
      SMMU_PRIQ_BASE: this.#locked("SMMU_PRIQ_BASE", PRIQEN),
      SMMU_PRIQ_PROD: this.#locked("SMMU_PRIQ_PROD", PRIQEN),
    };
  }

  #produced(): void {
    if (this.#commands.inconsistent) {
      this.guestError({
        kind: "value",
        register: "SMMU_CMDQ_PROD",
        write: true,
        value: this.#value("SMMU_CMDQ_PROD") >>> 0,
        clause: "Arm IHI 0070 6.3.26",
        detail: "more commands than the queue has entries",
      });
    }
    this.#run();
  }
}
