/** What an emulated interface of the TOE keeps: commands under way, sockets, what waits for room or for buffers. */
import { type Command, loadCommand, saveCommand } from "../../devices/toe/command.ts";
import { SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";

/** What a command's request at the machine's TOE is, or what comes next for one that waits here. */
export const STEP = {
  /** The command itself. */
  FORWARD: 0,
  /** POLL: is there something to receive? */
  POLL: 1,
  /** GET_OPTION READABLE: data before the end? */
  COUNT: 2,
  /** RECEIVE into a buffer of the guest's pool. */
  TAKE: 3,
  /** RECEIVE where there is no data: how the stream ended. */
  END: 4,
  /** One connection for an ACCEPT. */
  ACCEPT: 5,
  /** CANCELs of what a CANCEL found. */
  CANCEL: 6,
} as const;

/** A guest's command from its fetch to its last completion. */
export interface Work {
  readonly command: Command;
  /** Its place for a scatter list; -1: it has none. */
  slot: number;
  step: number;
  /** The request under way at the TOE; 0: none. */
  request: number;
  /** The buffer of the pool that it has; length 0: none. */
  buffer: number;
  bufferLength: number;
  bufferId: number;
  /** Status with which it ends once its request is over; 0: it goes on. */
  ending: number;
  /** Its socket is closed: nothing more is asked in its name. */
  parted: boolean;
  /** CANCEL has found it. */
  canceled: boolean;
  /** CANCEL: commands found, and requests that are to be answered. */
  found: number;
  open: number;
}

export function newWork(command: Command): Work {
  return {
    command,
    slot: -1,
    step: 0,
    request: 0,
    buffer: 0,
    bufferLength: 0,
    bufferId: 0,
    ending: 0,
    parted: false,
    canceled: false,
    found: 0,
    open: 0,
  };
}

export interface VirtualSocket {
  /** Its number at the machine's TOE. */
  readonly real: number;
  readonly family: number;
  readonly tcp: boolean;
  bound: boolean;
  /** Data may come: a connection was asked for or accepted, or it takes datagrams. */
  open: boolean;
  /** EVENT_MASK as the guest has it. */
  mask: number;
  /** The TOE tells of its errors whatever the guest's mask is. */
  watched: boolean;
  /** Commands that wait here, in order, from the first that is POOL or MULTI on. */
  readonly receives: number[];
  readonly accepts: number[];
}

type Saved = { readonly [name: string]: StateValue };

export class Tables implements StatePart {
  /** The id of the next command. */
  next = 1;
  readonly works = new Map<number, Work>();
  /** Requests at the TOE: the command that each is of, and whether its result counts (CANCEL). */
  readonly requests = new Map<number, { work: number; counts: boolean }>();
  readonly sockets = new Map<number, VirtualSocket>();
  /** Sockets by their number at the TOE. */
  readonly byReal = new Map<number, number>();
  /** Sockets that wait for room in the completion ring, and for the pool. */
  readonly noRoom = new Set<number>();
  readonly noBuffer = new Set<number>();

  save(): StateValue {
    return {
      next: this.next,
      works: [...this.works.values()].map((w) => ({ ...w, command: saveCommand(w.command) })),
      requests: [...this.requests].map(([id, r]) => ({ id, ...r })),
      sockets: [...this.sockets].map(([id, s]) => ({ id, ...s, receives: [...s.receives], accepts: [...s.accepts] })),
      noRoom: [...this.noRoom],
      noBuffer: [...this.noBuffer],
    };
  }
  load(value: StateValue, path: string): void {
    const v = value as Saved;
    const list = (name: string): Saved[] => {
      const found = v[name];
      if (!Array.isArray(found)) throw new SnapshotError(`${path}.${name}: expected a list`);
      return found as Saved[];
    };
    this.reset();
    this.next = typeof v["next"] === "number" ? v["next"] : 1;
    list("works").forEach(({ command = null, ...rest }, i) => {
      const work = { ...rest, command: loadCommand(command, `${path}.works[${i}].command`) } as unknown as Work;
      this.works.set(work.command.id, work);
    });
    for (const { id, ...r } of list("requests")) {
      this.requests.set(id as number, r as unknown as { work: number; counts: boolean });
    }
    for (const { id, receives, accepts, ...s } of list("sockets")) {
      const queues = { receives: [...(receives as number[])], accepts: [...(accepts as number[])] };
      this.add(id as number, { ...s, ...queues } as unknown as VirtualSocket);
    }
    for (const socket of list("noRoom")) this.noRoom.add(socket as unknown as number);
    for (const socket of list("noBuffer")) this.noBuffer.add(socket as unknown as number);
  }
  reset(): void {
    this.next = 1;
    this.clear();
  }

  /** Forgets all but the count of ids. */
  clear(): void {
    for (const map of [this.works, this.requests, this.sockets, this.byReal, this.noRoom, this.noBuffer]) map.clear();
  }

  add(number: number, socket: VirtualSocket): void {
    this.sockets.set(number, socket);
    this.byReal.set(socket.real, number);
  }
  remove(number: number): void {
    const socket = this.sockets.get(number);
    if (socket === undefined) return;
    this.sockets.delete(number);
    this.byReal.delete(socket.real);
    this.noRoom.delete(number);
    this.noBuffer.delete(number);
  }
  /** The least number that is free. */
  freeSocket(): number {
    let number = 0;
    while (this.sockets.has(number)) number++;
    return number;
  }
  freeSlot(): number {
    const taken = new Set([...this.works.values()].map((w) => w.slot));
    let slot = 0;
    while (taken.has(slot)) slot++;
    return slot;
  }
}
