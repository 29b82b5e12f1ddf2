/**
 * A control interface of the TOE as a VM sees it whose accesses are trapped: registers and rings of docs/devices/toe.md, behind them the hypervisor's own
 * interface. The hypervisor takes each command from the guest's ring, checks it, puts physical addresses and its own socket numbers into it and submits it;
 * a completion goes back the same way. Payload is not copied: the TOE reads and writes the guest's memory.
 *
 * A socket is bound to the VM's own address, whatever the guest does: VMs share the hypervisor's interface, not their addresses. Not offered,
 * and not in CAPABILITY: receive pool and commands with several completions. No event ring: EVENT_MASK is refused.
 */
import type { Port, Target } from "../../bus/index.ts";
import { isMapped } from "../../devices/toe/addresses.ts";
import { CAUSE, FLAG, IRQ, OPCODE, STATUS } from "../../devices/toe/codes.ts";
import { type Command, checkForm, decodeCommand, isTransfer, NO_BUFFER } from "../../devices/toe/command.ts";
import { TOE_INTERFACE } from "../../devices/toe/registers/index.ts";
import { type HooksOf, RegisterBank } from "../../registers/index.ts";
import { type Event, type Line, Module, US } from "../../sim/index.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";
import { type Backend, type BackendUser, ENTRY_BYTES } from "./backend.ts";
import { type Request, type Socket, Tables } from "./tables.ts";

/** Commands of one VM that are under way. */
const MOST = 256;
/** Bytes of a translated scatter list: 64 entries of 16 bytes. */
const LIST_BYTES = 1024;
/** The hypervisor's memory for them. */
export const VIRTUAL_TOE_BYTES = MOST * LIST_BYTES;

const ENABLE = 1;
const RESET = 2;
/** CAPABILITY.POOL and MULTI. */
const NOT_OFFERED = 3 << 20;
const EVENT_MASK = 256;
/** A request that the guest knows nothing of: the BIND before its CONNECT. */
const INTERNAL = 0x8000_0000;

export interface VirtualToeOptions {
  readonly backend: Backend;
  readonly port: Port;
  /** Addresses that are the VM's, 16 bytes each as the manual has them, with prefix lengths of 128 bits. */
  readonly addresses: readonly { readonly address: Uint8Array; readonly prefix: number }[];
  /** Physical address of guest memory, -1 where the VM has none. */
  readonly physical: (ipa: number, length: number) => number;
  /** The CPU at EL2 that is at work. */
  readonly cpu: () => PhysicalCpu | null;
  /** `VIRTUAL_TOE_BYTES` of the hypervisor's memory. */
  readonly lists: number;
  /** Cycles for a command and for a completion. */
  readonly costs: { readonly command: number; readonly completion: number };
}

export class VirtualToe extends Module implements BackendUser {
  readonly registers: Target;
  readonly interrupt: Line = this.line("interrupt");
  readonly #o: VirtualToeOptions;
  readonly #bank: RegisterBank<typeof TOE_INTERFACE>;
  readonly #tables = this.part("tables", new Tables());
  readonly #c: {
    running: boolean;
    failed: boolean;
    sq: number;
    cq: number;
    sqEntries: number;
    cqEntries: number;
    phase: number;
    unreported: number;
    commands: number;
    completions: number;
  };
  readonly #user: number;
  readonly #moderation: Event;
  readonly #command = new Uint8Array(ENTRY_BYTES);

  constructor(parent: Module, name: string, options: VirtualToeOptions) {
    super(parent, name);
    this.#o = options;
    this.#c = this.state({
      running: false,
      failed: false,
      sq: 0,
      cq: 0,
      sqEntries: 0,
      cqEntries: 0,
      phase: 1,
      unreported: 0,
      commands: 0,
      completions: 0,
    });
    this.#bank = this.part("registers", new RegisterBank(this, TOE_INTERFACE, this.#hooks()));
    this.registers = this.#bank;
    this.#user = options.backend.add(this);
    this.#moderation = this.event("moderation", () => this.#raise(IRQ.COMPLETION));
  }

  #reg(name: keyof (typeof TOE_INTERFACE)["registers"]): number {
    return this.#bank.values[this.#bank.slot[name]] as number;
  }
  #setReg(name: keyof (typeof TOE_INTERFACE)["registers"], value: number): void {
    this.#bank.values[this.#bank.slot[name]] = value;
  }
  #address(name: "SQ_BASE" | "CQ_BASE"): number {
    const slot = this.#bank.slot[name];
    return ((this.#bank.values[slot + 1] as number) & 0xffff) * 2 ** 32 + ((this.#bank.values[slot] as number) >>> 0);
  }

  // --- registers

  #hooks(): HooksOf<typeof TOE_INTERFACE> {
    const { addresses } = this.#o;
    const value = (get: () => number) => ({ get });
    return {
      NUMBER: value(() => 0),
      MAX_COMMANDS: value(() => MOST),
      CONTROL: { onWrite: (written, _mask, before) => this.#control(written, before) },
      STATUS: value(() => (this.#c.running ? 1 : 0) | 2 | (this.#c.failed ? 4 : 0) | 8),
      INTERRUPT_STATUS: { onWrite: () => this.#update() },
      INTERRUPT_ENABLE: { onWrite: () => this.#update() },
      INTERRUPT_SET: { onWrite: (written) => this.#raise(written & 31) },
      SQ_TAIL: { onWrite: (_w, _m, before) => this.#submission(before) },
      CQ_HEAD: { onWrite: (_w, _m, before) => this.#completionsRead(before) },
      // the hypervisor's interface has them, and this is none's business
      MAC_LOW: value(() => 0),
      MAC_HIGH: value(() => 0),
      VLAN: value(() => 0),
      SOCKET_QUOTA: value(() => MOST),
      MEMORY_QUOTA: value(() => 0),
      MEMORY: value(() => 0),
      WEIGHT: value(() => 1),
      MTU: value(() => 1500),
      SOCKETS: value(() => this.#tables.sockets.size),
      OUTSTANDING: value(() => this.#tables.requests.size),
      ADDRESS: {
        get: (index) => {
          const found = addresses[index >> 2]?.address;
          if (found === undefined) return 0;
          return new DataView(found.buffer, found.byteOffset).getInt32(4 * (index & 3), true);
        },
      },
      PREFIX: { get: (index) => (index < addresses.length ? 0x100 | (addresses[index]?.prefix ?? 0) : 0) },
      COUNTER: {
        get: (index, _cpu, word) =>
          word !== 0 ? 0 : index === 0 ? this.#c.commands : index === 1 ? this.#c.completions : 0,
      },
    };
  }

  #control(written: number, before: number): void {
    if ((written & RESET) !== 0) {
      this.#stop();
      this.#bank.reset();
      this.onReset();
      return;
    }
    const enabled = (this.#reg("CONTROL") & ENABLE) !== 0;
    if (!enabled) this.#stop();
    else if ((before & ENABLE) === 0) this.#start();
  }

  #start(): void {
    const c = this.#c;
    const cpu = this.#o.cpu();
    const log2 = (name: "SQ_SIZE" | "CQ_SIZE") => this.#reg(name) & 15;
    c.sq = this.#address("SQ_BASE");
    c.cq = this.#address("CQ_BASE");
    c.sqEntries = 1 << log2("SQ_SIZE");
    c.cqEntries = 1 << log2("CQ_SIZE");
    if (c.sqEntries === 1 || c.cqEntries === 1 || c.sq === 0 || c.cq === 0) {
      this.#fail(CAUSE.RING);
      return;
    }
    if (cpu === null || !this.#o.backend.start(cpu)) {
      this.#fail(CAUSE.RING);
      return;
    }
    for (const name of ["SQ_TAIL", "SQ_HEAD", "CQ_HEAD", "CQ_TAIL"] as const) this.#setReg(name, 0);
    c.phase = 1;
    c.running = true;
  }

  /** Forgets what is under way and closes the sockets. */
  #stop(): void {
    const { backend, cpu } = this.#o;
    for (const { real } of this.#tables.sockets.values()) backend.abort(real);
    this.#tables.reset();
    this.#c.running = false;
    this.#moderation.cancel();
    const at = cpu();
    if (at !== null) backend.ring(at);
  }

  /** The VM runs no more. */
  halted(): void {
    if (this.#c.running) this.#stop();
  }

  #fail(cause: number): void {
    this.#c.failed = true;
    this.#c.running = false;
    this.#error(cause);
  }
  #error(cause: number): void {
    this.#setReg("ERROR_CAUSE", cause);
    this.guestError({
      kind: "value",
      register: "ERROR_CAUSE",
      value: cause,
      clause: "TOE technical reference manual 5",
      detail: `interface error, cause ${cause}`,
    });
    this.#raise(IRQ.ERROR);
  }

  // --- commands

  #submission(before: number): void {
    const c = this.#c;
    if (!c.running) return;
    if (this.#reg("SQ_TAIL") >= c.sqEntries) {
      this.#setReg("SQ_TAIL", before);
      this.#error(CAUSE.INDEX);
      return;
    }
    this.#fetch();
  }

  /** Takes commands from the guest's ring while there is room for more under way. */
  #fetch(): void {
    const c = this.#c;
    const cpu = this.#o.cpu();
    if (cpu === null) return;
    while (c.running && this.#reg("SQ_HEAD") !== this.#reg("SQ_TAIL") && this.#tables.requests.size < MOST) {
      const head = this.#reg("SQ_HEAD");
      const at = this.#o.physical(c.sq + head * ENTRY_BYTES, ENTRY_BYTES);
      if (at < 0) {
        this.#fail(CAUSE.SUBMISSION);
        break;
      }
      this.#o.port.readBlock(at, this.#command);
      this.#setReg("SQ_HEAD", (head + 1) & (c.sqEntries - 1));
      c.commands++;
      cpu.spend(this.#o.costs.command);
      this.#begin();
    }
    this.#o.backend.ring(cpu);
  }

  #begin(): void {
    const { requests, sockets } = this.#tables;
    const command = decodeCommand(this.#command, 0);
    const { opcode, flags, tag, userLow, userHigh } = command;
    const slot = (flags & FLAG.LIST) === 0 ? -1 : this.#freeSlot();
    const request: Request = { opcode, tag, userLow, userHigh, socket: command.socket, slot };
    let status = checkForm(command);
    if (status === STATUS.SUCCESS && (flags & (FLAG.POOL | FLAG.MULTI)) !== 0) status = STATUS.BAD_FIELD;
    if (status !== STATUS.SUCCESS || opcode === OPCODE.NOP) {
      this.#complete(request, status);
      return;
    }
    const view = new DataView(this.#command.buffer);
    const cancelsTag = opcode === OPCODE.CANCEL && (flags & FLAG.ALL) === 0;
    if (cancelsTag) {
      const found = [...requests].find(([, r]) => r.tag === command.arg0);
      if (found === undefined) {
        this.#complete(request, STATUS.NOT_FOUND);
        return;
      }
      view.setUint32(24, found[0], true);
    } else if (opcode === OPCODE.SOCKET) request.socket = command.arg1;
    else {
      const socket = sockets.get(command.socket);
      status = socket === undefined ? STATUS.NO_SOCKET : this.#prepare(slot, command, socket, view);
      if (status !== STATUS.SUCCESS) {
        this.#complete(request, status);
        return;
      }
      if (opcode === OPCODE.CLOSE || opcode === OPCODE.ABORT) sockets.delete(command.socket);
    }
    const id = this.#o.backend.nextRequest();
    requests.set(id, request);
    this.#o.backend.submit(this.#user, id, this.#command);
  }

  #freeSlot(): number {
    const taken = new Set([...this.#tables.requests.values()].map((r) => r.slot));
    let slot = 0;
    while (taken.has(slot)) slot++;
    return slot;
  }

  /** Makes the command the hypervisor's: its socket, the VM's address, physical addresses. */
  #prepare(slot: number, command: Command, socket: Socket, view: DataView): number {
    const { opcode } = command;
    view.setUint32(8, socket.real, true);
    if (opcode === OPCODE.SET_OPTION && command.arg0 === EVENT_MASK) return STATUS.INVALID;
    if (opcode === OPCODE.BIND) {
      const wanted = command.address;
      const any = isAny(wanted);
      const own = this.#o.addresses.find((a) =>
        any ? familyOf(a.address) === socket.family : same(a.address, wanted),
      );
      if (own === undefined) return STATUS.ADDRESS_NOT_AVAILABLE;
      this.#command.set(own.address, 32);
      socket.bound = true;
    } else if (opcode === OPCODE.CONNECT || opcode === OPCODE.LISTEN || opcode === OPCODE.SENDTO) {
      if (!socket.bound && !this.#bind(socket)) return STATUS.ADDRESS_NOT_AVAILABLE;
    }
    return isTransfer(opcode) ? this.#translate(slot, command, view) : STATUS.SUCCESS;
  }

  /** A port of the device's choice at the VM's address, before a socket is used that the guest has not bound. */
  #bind(socket: Socket): boolean {
    const own = this.#o.addresses.find((a) => familyOf(a.address) === socket.family);
    if (own === undefined) return false;
    const bind = new Uint8Array(ENTRY_BYTES);
    bind[0] = OPCODE.BIND;
    new DataView(bind.buffer).setUint32(8, socket.real, true);
    bind.set(own.address, 32);
    socket.bound = true;
    this.#o.backend.submit(this.#user, INTERNAL, bind);
    return true;
  }

  #translate(slot: number, command: Command, view: DataView): number {
    const { physical, port, lists } = this.#o;
    const address = (at: DataView, offset: number, value: number): void => {
      at.setUint32(offset, value >>> 0, true);
      at.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
    };
    if ((command.flags & FLAG.LIST) === 0) {
      const at = command.length === 0 ? 0 : physical(command.buffer, command.length);
      if (at < 0) return STATUS.BUFFER_FAULT;
      address(view, 16, at);
      return STATUS.SUCCESS;
    }
    const count = command.arg1;
    if (count < 1 || count > LIST_BYTES / 16) return STATUS.BAD_LIST;
    const from = physical(command.buffer, 16 * count);
    if (from < 0) return STATUS.BUFFER_FAULT;
    const list = new Uint8Array(16 * count);
    port.readBlock(from, list);
    const entries = new DataView(list.buffer);
    for (let at = 0; at < list.length; at += 16) {
      const length = entries.getUint32(at + 8, true);
      const high = entries.getUint32(at + 4, true);
      const found =
        length === 0 ? 0 : high > 0xffff ? -1 : physical(high * 2 ** 32 + entries.getUint32(at, true), length);
      if (found < 0) return STATUS.BUFFER_FAULT;
      address(entries, at, found);
    }
    port.writeBlock(lists + slot * LIST_BYTES, list);
    address(view, 16, lists + slot * LIST_BYTES);
    return STATUS.SUCCESS;
  }

  // --- completions

  completed(cpu: PhysicalCpu, request: number, completion: DataView): void {
    cpu.spend(this.#o.costs.completion);
    const { requests, sockets } = this.#tables;
    if (request === INTERNAL) return;
    const status = completion.getUint8(62);
    const found = requests.get(request);
    const makes = completion.getUint8(60) === OPCODE.SOCKET || completion.getUint8(60) === OPCODE.ACCEPT;
    if (found === undefined) {
      // what came of a command from before a reset belongs to nobody
      if (makes && status === STATUS.SUCCESS) this.#o.backend.abort(completion.getUint32(12, true));
      return;
    }
    requests.delete(request);
    let { socket } = found;
    if (makes && status === STATUS.SUCCESS) {
      const listener = sockets.get(found.socket);
      const family = found.opcode === OPCODE.SOCKET ? found.socket : (listener?.family ?? 4);
      socket = 0;
      while (sockets.has(socket)) socket++;
      const bound = found.opcode === OPCODE.ACCEPT;
      sockets.set(socket, { real: completion.getUint32(12, true), family, bound });
    }
    const bytes = new Uint8Array(completion.buffer.slice(completion.byteOffset, completion.byteOffset + ENTRY_BYTES));
    this.#complete({ ...found, socket }, status, bytes);
    this.#fetch();
  }

  /** Writes a completion into the guest's ring, or holds it until there is room. */
  #complete(request: Request, status: number, from?: Uint8Array): void {
    const bytes = new Uint8Array(ENTRY_BYTES);
    if (from !== undefined) bytes.set(from);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, request.userLow, true);
    view.setUint32(4, request.userHigh, true);
    view.setUint32(8, request.tag, true);
    view.setUint32(12, request.socket, true);
    view.setUint32(20, NO_BUFFER, true);
    bytes[60] = request.opcode;
    bytes[62] = status;
    this.#tables.held.push(bytes);
    this.#flush();
  }

  #flush(): void {
    const c = this.#c;
    const { held } = this.#tables;
    while (c.running && held.length > 0) {
      const tail = this.#reg("CQ_TAIL");
      const next = (tail + 1) & (c.cqEntries - 1);
      if (next === this.#reg("CQ_HEAD")) return;
      const at = this.#o.physical(c.cq + tail * ENTRY_BYTES, ENTRY_BYTES);
      if (at < 0) {
        this.#fail(CAUSE.COMPLETION);
        return;
      }
      const bytes = held.shift() as Uint8Array;
      new DataView(bytes.buffer).setUint16(50, this.#reg("SQ_HEAD"), true);
      bytes[63] = c.phase;
      this.#o.port.writeBlock(at, bytes);
      if (next === 0) c.phase ^= 1;
      this.#setReg("CQ_TAIL", next);
      c.completions++;
      c.unreported++;
      const moderation = this.#reg("COMPLETION_MODERATION");
      if (c.unreported >= (moderation & 0xffff)) this.#raise(IRQ.COMPLETION);
      else if (moderation >>> 16 > 0 && !this.#moderation.pending) this.#moderation.notify((moderation >>> 16) * US);
    }
  }

  #completionsRead(before: number): void {
    if (!this.#c.running) return;
    if (this.#reg("CQ_HEAD") >= this.#c.cqEntries) {
      this.#setReg("CQ_HEAD", before);
      this.#error(CAUSE.INDEX);
      return;
    }
    this.#flush();
  }

  #raise(bits: number): void {
    if ((bits & IRQ.COMPLETION) !== 0) {
      this.#c.unreported = 0;
      this.#moderation.cancel();
    }
    this.#setReg("INTERRUPT_STATUS", this.#reg("INTERRUPT_STATUS") | bits);
    this.#update();
  }
  #update(): void {
    this.interrupt.set((this.#reg("INTERRUPT_STATUS") & this.#reg("INTERRUPT_ENABLE")) !== 0);
  }

  protected override onReset(): void {
    this.#setReg("CAPABILITY", this.#reg("CAPABILITY") & ~NOT_OFFERED);
    this.#c.failed = false;
    this.interrupt.set(false);
  }
}

function isAny(address: Uint8Array): boolean {
  return address.every((byte, i) => byte === 0 || (byte === 0xff && (i === 10 || i === 11)));
}
/** 4 for ::ffff:a.b.c.d, else 6. */
function familyOf(address: Uint8Array): number {
  return isMapped(address) ? 4 : 6;
}
function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}
