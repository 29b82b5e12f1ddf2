/**
 * A control interface of the TOE as a VM sees it whose accesses are trapped: frame, rings and interrupts are the device's own (docs/devices/toe.md), behind them is
 * the hypervisor's interface. The hypervisor takes each command from the guest's ring, checks it, puts physical addresses and its own socket numbers into it
 * and submits it; a completion goes back the same way. Payload is not copied: the TOE reads and writes the guest's memory.
 *
 * A socket is bound to the VM's own address, whatever the guest does: VMs share the hypervisor's interface, not their addresses. Its MAC, VLAN,
 * quotas and frame counters are not shown. A buffer that is not all the VM's memory is BUFFER_FAULT before anything is moved.
 */
import type { Port } from "../../bus/index.ts";
import { isAny, isMapped, sameAddress } from "../../devices/toe/addresses.ts";
import { COUNTER, DONE, FLAG, IRQ, OPCODE, OPTION_EVENT_MASK, STATUS } from "../../devices/toe/codes.ts";
import {
  type Command,
  type CommandFields,
  checkForm,
  encodeCommand,
  isTransfer,
  NO_BUFFER,
} from "../../devices/toe/command.ts";
import { EVENT_ERROR } from "../../devices/toe/engine/api.ts";
import type { Result } from "../../devices/toe/executor.ts";
import { type Blocks, InterfaceFrame, type InterfaceHooks } from "../../devices/toe/frame.ts";
import { type Event, type Module, NEVER } from "../../sim/index.ts";
import type { PhysicalCpu } from "../physical-cpu.ts";
import type { Backend, BackendUser } from "./backend.ts";
import { Held } from "./held.ts";
import { LIST_BYTES, translatedList } from "./list.ts";
import { newWork, STEP, Tables, type VirtualSocket, type Work } from "./tables.ts";

/** Commands of one VM that are under way. */
const MOST = 256;
/** IF_SOCKETS of the hypervisor's interface as it is at power-on: all VMs together have so many. */
const SOCKETS = 0x1000;
/** The hypervisor's memory for them, and for a byte that never comes. */
export const VIRTUAL_TOE_BYTES = MOST * LIST_BYTES + 64;

/** Completions of commands with several of them that may wait for room before such commands pause. */
const CROWD = 64;
const EVENT_BITS = 0xff;
/** A request that the guest knows nothing of: no number that `nextRequest` gives. */
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
  /** Has `tick` called at EL2 soon. From anywhere. */
  readonly wake: () => void;
  /** `VIRTUAL_TOE_BYTES` of the hypervisor's memory. */
  readonly lists: number;
  /** Cycles for a command and for a completion. */
  readonly costs: { readonly command: number; readonly completion: number };
}

export class VirtualToe extends InterfaceFrame implements BackendUser {
  readonly tables = this.part("tables", new Tables());
  readonly #o: VirtualToeOptions;
  readonly #user: number;
  readonly #held: Held;
  readonly #timeout: Event;
  readonly #memory: Blocks;
  /** A deadline has come that `tick` has not seen. */
  readonly #c = this.state<{ due: boolean }>({ due: false }, "timing");
  /** Inside `kick`, or between news and `settle`; whether it has to go round again. Never from one event to the next. */
  #busy = false;
  #again = false;

  constructor(parent: Module, name: string, options: VirtualToeOptions) {
    super(parent, name, true);
    this.#o = options;
    const { physical, port } = options;
    const at = (ipa: number, length: number, move: (address: number) => boolean) => {
      const address = physical(ipa, length);
      return address >= 0 && move(address);
    };
    this.#memory = {
      readBlock: (ipa, into) => at(ipa, into.length, (address) => port.readBlock(address, into)),
      writeBlock: (ipa, data) => at(ipa, data.length, (address) => port.writeBlock(address, data)),
    };
    this.#held = new Held(this);
    this.#user = options.backend.add(this);
    this.#timeout = this.event("timeout", () => {
      this.#c.due = true;
      options.wake();
    });
  }

  // What the frame asks.

  get port(): Blocks {
    return this.#memory;
  }
  protected get carrier(): boolean {
    return this.#o.backend.carrier;
  }
  protected begin(): boolean {
    const cpu = this.#o.cpu();
    return cpu !== null && this.#o.backend.start(cpu);
  }

  /** At once: whoever calls is at EL2. */
  kick(): void {
    this.#again = true;
    if (this.#busy) return;
    this.#busy = true;
    while (this.#again) {
      this.#again = false;
      this.run();
    }
    this.#busy = false;
    this.#ring();
  }
  #ring(): void {
    const cpu = this.#o.cpu();
    if (cpu !== null) this.#o.backend.ring(cpu);
  }

  /** Takes commands from the guest's ring while there is room for more under way. */
  protected fetch(): void {
    this.#held.advance();
    const cpu = this.#o.cpu();
    while (this.running && this.outstanding < MOST) {
      const command = this.rings.fetch(this.tables.next);
      if (command === null) return;
      this.tables.next++;
      cpu?.spend(this.#o.costs.command);
      const work = newWork(command);
      this.tables.works.set(command.id, work);
      this.#begin(work);
      this.#held.advance();
    }
  }
  protected roomAgain(): void {
    this.#held.roomAgain();
  }
  protected buffersAgain(): void {
    this.#held.buffersAgain();
  }
  protected completeAll(status: number): void {
    const busy = this.#busy;
    this.#busy = true;
    for (const work of [...this.tables.works.values()]) this.finish(work, status);
    this.#busy = busy;
  }
  /** Closes the sockets. What comes of requests under way is nobody's. */
  protected forget(): void {
    for (const { real } of this.tables.sockets.values()) this.#o.backend.abort(real);
    this.tables.clear();
    this.#held.clear();
    this.#timeout.cancel();
    this.#c.due = false;
    this.#again = false;
    this.#ring();
  }

  /** The VM runs no more. */
  halted(): void {
    this.stop(STATUS.INTERFACE_DISABLED, false);
  }

  protected values(): InterfaceHooks {
    const value = (get: () => number) => ({ get });
    return {
      NUMBER: value(() => 0),
      MAX_COMMANDS: value(() => MOST),
      // the hypervisor's interface has them, and this is none's business
      MAC_LOW: value(() => 0),
      MAC_HIGH: value(() => 0),
      VLAN: value(() => 0),
      SOCKET_QUOTA: value(() => SOCKETS),
      MEMORY_QUOTA: value(() => 0),
      MEMORY: value(() => 0),
      WEIGHT: value(() => 1),
      MTU: value(() => 1500),
      SOCKETS: value(() => this.tables.sockets.size),
      OUTSTANDING: value(() => this.outstanding),
      ADDRESS: {
        get: (index) => {
          const found = this.#o.addresses[index >> 2]?.address;
          if (found === undefined) return 0;
          return new DataView(found.buffer, found.byteOffset).getInt32(4 * (index & 3), true);
        },
      },
      PREFIX: { get: (index) => (index < this.#o.addresses.length ? 0x100 | this.#prefix(index) : 0) },
    };
  }
  #prefix(index: number): number {
    return this.#o.addresses[index]?.prefix ?? 0;
  }

  // For commands that wait here.

  /** Commands that hold a place. */
  get outstanding(): number {
    return this.tables.works.size + this.rings.heldFinal;
  }
  get crowded(): boolean {
    return this.rings.held >= CROWD;
  }
  /** A byte of the hypervisor's. */
  get scratch(): number {
    return this.#o.lists + MOST * LIST_BYTES;
  }
  physical(ipa: number, length: number): number {
    return this.#o.physical(ipa, length);
  }

  /** Submits a request for a command; its completion comes back to it. */
  ask(work: Work, command: CommandFields, counts = false): void {
    const { backend, costs, cpu } = this.#o;
    const id = backend.nextRequest();
    if (work.step !== STEP.FORWARD && work.step !== STEP.CANCEL) cpu()?.spend(costs.command);
    work.request = id;
    this.tables.requests.set(id, { work: work.command.id, counts });
    backend.submit(this.#user, id, encodeCommand(command));
  }
  #tell(command: CommandFields): void {
    this.#o.backend.submit(this.#user, INTERNAL, encodeCommand(command));
  }
  /** Ends what a command has asked for. */
  cancel(work: Work): void {
    this.#tell({ opcode: OPCODE.CANCEL, arg0: work.request });
  }
  /** Errors of a datagram socket are told by events, whatever the guest's mask. */
  watch(socket: VirtualSocket): void {
    if (socket.watched) return;
    socket.watched = true;
    const arg1 = socket.mask | EVENT_ERROR;
    this.#tell({ opcode: OPCODE.SET_OPTION, socket: socket.real, arg0: OPTION_EVENT_MASK, arg1 });
  }

  /** The last completion of a command. */
  finish(work: Work, status: number, result: Result = {}): void {
    const { command } = work;
    if (!this.tables.works.delete(command.id)) return;
    if (!work.parted) {
      const socket = this.tables.sockets.get(command.socket);
      for (const queue of [socket?.receives, socket?.accepts]) {
        const at = queue?.indexOf(command.id) ?? -1;
        if (at < 0) continue;
        queue?.splice(at, 1);
        this.#held.wake(command.socket);
      }
    }
    this.#complete(command, status, result);
  }
  /** One of several completions: the command stays. */
  report(work: Work, result: Result): void {
    this.#complete(work.command, STATUS.SUCCESS, { ...result, flags: (result.flags ?? 0) | DONE.MORE });
  }
  #complete(command: Command, status: number, result: Result): void {
    const { opcode } = command;
    const moved = result.result ?? 0;
    if (opcode === OPCODE.SEND || opcode === OPCODE.SENDTO) this.count(COUNTER.READ_BYTES, moved);
    else if (isTransfer(opcode)) this.count(COUNTER.WRITTEN_BYTES, moved);
    this.rings.hold({
      command,
      status,
      result: moved,
      flags: result.flags ?? 0,
      socket: result.socket ?? command.socket,
      bufferId: result.bufferId ?? NO_BUFFER,
      buffer: result.buffer ?? 0,
      address: result.address ?? null,
      port: result.port ?? 0,
      ready: 0,
    });
    this.kick();
  }

  /** Deadlines have changed, or one has come. */
  timeAgain(): void {
    const { now } = this.simulation;
    const next = this.#held.expire(now);
    if (next === NEVER) this.#timeout.cancel();
    else this.#timeout.scheduleAt(next);
  }
  /** At EL2, after `wake`. */
  tick(): void {
    if (!this.#c.due) return;
    this.#c.due = false;
    this.timeAgain();
    this.kick();
  }

  // Commands.

  #begin(work: Work): void {
    const { command } = work;
    const { opcode, flags } = command;
    let status = checkForm(command);
    if (status !== STATUS.SUCCESS || opcode === OPCODE.NOP) {
      this.finish(work, status);
      return;
    }
    if (opcode === OPCODE.CANCEL) {
      this.#cancel(work, (flags & FLAG.ALL) !== 0);
      return;
    }
    if (opcode === OPCODE.SOCKET) {
      this.ask(work, command);
      return;
    }
    const socket = this.tables.sockets.get(command.socket);
    if (socket === undefined) {
      this.finish(work, STATUS.NO_SOCKET);
      return;
    }
    if (command.arg0 === OPTION_EVENT_MASK) {
      if (opcode === OPCODE.GET_OPTION) {
        this.finish(work, STATUS.SUCCESS, { result: socket.mask });
        return;
      }
      if (opcode === OPCODE.SET_OPTION && (command.arg1 & ~EVENT_BITS) === 0) socket.mask = command.arg1;
    }
    if (opcode === OPCODE.CONNECT) socket.open = true;
    else if (opcode === OPCODE.SHUTDOWN && (command.arg0 & 1) !== 0) socket.open = false;
    const queue = this.#held.queueFor(command, socket);
    if (queue !== null) {
      this.#held.submit(work, socket, queue);
      return;
    }
    status = this.#own(command, socket);
    if (status === STATUS.SUCCESS) this.forward(work, socket, command.timeout);
    else this.finish(work, status);
    if (opcode !== OPCODE.CLOSE && opcode !== OPCODE.ABORT) return;
    // the number may be another VM's as soon as the TOE has carried this out
    this.#held.part(socket, opcode === OPCODE.CLOSE ? STATUS.CLOSED : STATUS.ABORTED);
    this.tables.remove(command.socket);
    this.rings.dropEvents(command.socket);
  }

  /** A socket is used: it has to be the VM's address that it has. */
  #own({ opcode, address }: Command, socket: VirtualSocket): number {
    if (opcode === OPCODE.BIND) {
      if (this.#address(address, socket) === undefined) return STATUS.ADDRESS_NOT_AVAILABLE;
      socket.bound = true;
    } else if (opcode === OPCODE.CONNECT || opcode === OPCODE.LISTEN || opcode === OPCODE.SENDTO) {
      if (!socket.bound && !this.#bind(socket)) return STATUS.ADDRESS_NOT_AVAILABLE;
    }
    return STATUS.SUCCESS;
  }
  #address(wanted: Uint8Array, { family }: VirtualSocket): Uint8Array | undefined {
    const any = isAny(wanted);
    const mapped = family === 4;
    return this.#o.addresses.find((a) => (any ? isMapped(a.address) === mapped : sameAddress(a.address, wanted)))
      ?.address;
  }
  /** A port of the device's choice at the VM's address, before a socket is used that the guest has not bound. */
  #bind(socket: VirtualSocket): boolean {
    const address = this.#address(new Uint8Array(16), socket);
    if (address === undefined) return false;
    socket.bound = true;
    this.#tell({ opcode: OPCODE.BIND, socket: socket.real, address });
    return true;
  }

  /** Makes the command the hypervisor's (its socket, the VM's address, physical addresses) and submits it. */
  forward(work: Work, socket: VirtualSocket, timeout: number): void {
    const { command } = work;
    const { opcode } = command;
    let { buffer, address, arg1 } = command;
    if (opcode === OPCODE.BIND) address = this.#address(address, socket) ?? address;
    if (opcode === OPCODE.SET_OPTION && command.arg0 === OPTION_EVENT_MASK && socket.watched) arg1 |= EVENT_ERROR;
    if (isTransfer(opcode)) {
      const list = (command.flags & FLAG.LIST) !== 0;
      const status = list ? this.#list(work) : STATUS.SUCCESS;
      if (list) buffer = this.#o.lists + work.slot * LIST_BYTES;
      else buffer = command.length === 0 ? 0 : this.physical(buffer, command.length);
      if (status !== STATUS.SUCCESS || buffer < 0) {
        this.finish(work, status === STATUS.SUCCESS ? STATUS.BUFFER_FAULT : status);
        return;
      }
    }
    work.step = STEP.FORWARD;
    this.ask(work, { ...command, socket: socket.real, buffer, address, arg1, timeout, tag: 0 });
  }

  /** Puts a translation of the scatter list into the command's slot. A status code. */
  #list(work: Work): number {
    const { port, lists } = this.#o;
    const list = translatedList(this.port, work.command, (ipa, length) => this.physical(ipa, length));
    if (typeof list === "number") return list;
    work.slot = this.tables.freeSlot();
    port.writeBlock(lists + work.slot * LIST_BYTES, list);
    return STATUS.SUCCESS;
  }

  /** CANCEL: of all that it finds, what waits here ends now, and the rest is cancelled at the TOE one by one. */
  #cancel(work: Work, all: boolean): void {
    const { command } = work;
    work.step = STEP.CANCEL;
    for (const other of [...this.tables.works.values()]) {
      const c = other.command;
      if (other === work || other.canceled || other.parted || other.ending !== 0) continue;
      if (all ? c.socket !== command.socket || c.opcode === OPCODE.SOCKET : c.tag !== command.arg0) continue;
      const here = other.step !== STEP.FORWARD || other.request === 0;
      if (here && !(other.step !== STEP.CANCEL && this.#held.end(other, STATUS.CANCELED))) continue;
      if (here) work.found++;
      if (other.request === 0) continue;
      other.canceled = true;
      work.open++;
      this.ask(work, { opcode: OPCODE.CANCEL, arg0: other.request }, !here);
    }
    if (work.open === 0) this.#canceled(work);
  }
  #canceled(work: Work): void {
    this.finish(work, work.found > 0 ? STATUS.SUCCESS : STATUS.NOT_FOUND, { result: work.found });
  }

  // From the machine's TOE.

  completed(cpu: PhysicalCpu, request: number, completion: DataView): void {
    this.#busy = true;
    cpu.spend(this.#o.costs.completion);
    const { requests, works } = this.tables;
    const status = completion.getUint8(62);
    const opcode = completion.getUint8(60);
    const asked = requests.get(request);
    const work = asked === undefined ? undefined : works.get(asked.work);
    const makes = (opcode === OPCODE.SOCKET || opcode === OPCODE.ACCEPT) && status === STATUS.SUCCESS;
    requests.delete(request);
    if (asked === undefined || work === undefined) {
      // what came of a command from before a reset belongs to nobody
      if (makes) this.#o.backend.abort(completion.getUint32(12, true));
      return;
    }
    if (work.step === STEP.CANCEL) {
      work.open--;
      if (asked.counts) work.found += completion.getUint32(16, true);
      if (work.open === 0) this.#canceled(work);
      return;
    }
    work.request = 0;
    const address = new Uint8Array(completion.buffer, completion.byteOffset + 32, 16).slice();
    const answer: Result = {
      result: completion.getUint32(16, true),
      flags: completion.getUint8(61) & (DONE.END | DONE.TRUNCATED),
      port: completion.getUint16(48, true),
      address,
      ...(makes ? { socket: this.#made(work.command, completion.getUint32(12, true)) } : {}),
    };
    if (work.step === STEP.FORWARD) this.finish(work, status, answer);
    else this.#held.completed(work, status, answer);
  }

  /** The guest's number for a socket that one of its commands has made. */
  #made(command: Command, real: number): number {
    const { tables } = this;
    const accepted = command.opcode === OPCODE.ACCEPT;
    const number = tables.freeSocket();
    tables.add(number, {
      real,
      family: accepted ? (tables.sockets.get(command.socket)?.family ?? 4) : command.arg1,
      tcp: accepted || command.arg0 === 1,
      bound: accepted,
      open: accepted || command.arg0 !== 1,
      mask: 0,
      watched: false,
      receives: [],
      accepts: [],
    });
    return number;
  }

  happened(real: number, events: number, status: number): boolean {
    const number = this.tables.byReal.get(real);
    const socket = number === undefined ? undefined : this.tables.sockets.get(number);
    if (number === undefined || socket === undefined) return false;
    this.#busy = true;
    const told = events & socket.mask;
    if (told !== 0) this.rings.addEvent(number, told, (told & EVENT_ERROR) === 0 ? 0 : status);
    if ((events & EVENT_ERROR) !== 0 && !socket.tcp) this.#held.fail(socket, status);
    return true;
  }
  settle(): void {
    if (!this.#busy) return;
    this.#busy = false;
    this.kick();
  }
  linkChanged(): void {
    this.interrupts.set(IRQ.LINK);
  }
}
