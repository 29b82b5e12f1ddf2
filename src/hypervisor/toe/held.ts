/**
 * Commands of an emulated interface that wait at the hypervisor: RECEIVEs that take a buffer from the guest's pool when data has come, commands with
 * several completions, and what stands behind such a command of the same socket (docs/devices/toe.md 7 and 10).
 *
 * The machine's TOE has one pool for all who share its interface, so the guest's is not given to it. It is asked with POLL whether there is something, then
 * a buffer is taken from the guest's pool and named by a RECEIVE: data still goes where it belongs without a copy, and a buffer belongs to a
 * socket only when that has data. A command with MULTI is one request after the other.
 */
import { FLAG, OPCODE, OPTION_READABLE, STATUS } from "../../devices/toe/codes.ts";
import { type Command, NO_BUFFER } from "../../devices/toe/command.ts";
import { EVENT_CLOSED, EVENT_ERROR, EVENT_PEER_CLOSED, EVENT_READABLE } from "../../devices/toe/engine/api.ts";
import type { Result } from "../../devices/toe/executor.ts";
import { NEVER, type Time, US } from "../../sim/index.ts";
import { STEP, type VirtualSocket, type Work } from "./tables.ts";
import type { VirtualToe } from "./virtual-toe.ts";

/** What POLL asks of a stream: data, or one of its ends. */
const STREAM = EVENT_READABLE | EVENT_PEER_CLOSED | EVENT_ERROR | EVENT_CLOSED;

const isMulti = ({ flags }: Command): boolean => (flags & FLAG.MULTI) !== 0;
const waitsHere = ({ flags }: Command): boolean => (flags & (FLAG.POOL | FLAG.MULTI)) !== 0;

export class Held {
  readonly #toe: VirtualToe;
  /** Sockets whose commands are to be looked at before the interface goes on. */
  readonly #woken = new Set<number>();

  constructor(toe: VirtualToe) {
    this.#toe = toe;
  }

  /** Whether a command is to wait here, and in which queue. */
  queueFor(command: Command, socket: VirtualSocket): number[] | null {
    const { opcode } = command;
    const receive = opcode === OPCODE.RECEIVE || opcode === OPCODE.RECEIVE_FROM;
    if (!receive && opcode !== OPCODE.ACCEPT) return null;
    const queue = receive ? socket.receives : socket.accepts;
    return queue.length > 0 || waitsHere(command) ? queue : null;
  }

  submit(work: Work, socket: VirtualSocket, queue: number[]): void {
    const toe = this.#toe;
    const { command } = work;
    const pool = (command.flags & FLAG.POOL) !== 0;
    let status: number = STATUS.SUCCESS;
    if (command.opcode === OPCODE.RECEIVE_FROM && socket.tcp) status = STATUS.WRONG_STATE;
    else if (pool && !toe.rings.hasPool) status = STATUS.NO_POOL;
    if (status !== STATUS.SUCCESS) {
      toe.finish(work, status);
      return;
    }
    if (pool && !socket.tcp) toe.watch(socket);
    if (pool) work.step = socket.open ? STEP.POLL : STEP.COUNT;
    else if (isMulti(command)) work.step = STEP.ACCEPT;
    if (command.timeout > 0) {
      command.deadline = toe.simulation.now + command.timeout * US;
      toe.timeAgain();
    }
    queue.push(command.id);
    this.wake(command.socket);
  }

  wake(socket: number): void {
    this.#woken.add(socket);
  }
  roomAgain(): void {
    const { noRoom } = this.#toe.tables;
    if (this.#toe.crowded) return;
    for (const socket of noRoom) this.wake(socket);
    noRoom.clear();
  }
  buffersAgain(): void {
    const { noBuffer } = this.#toe.tables;
    for (const socket of noBuffer) this.wake(socket);
    noBuffer.clear();
  }
  clear(): void {
    this.#woken.clear();
  }

  /** Goes on with the first command of each queue of the sockets woken. */
  advance(): void {
    for (const number of this.#woken) {
      this.#woken.delete(number);
      const socket = this.#toe.tables.sockets.get(number);
      if (socket === undefined) continue;
      this.#first(number, socket, socket.receives);
      this.#first(number, socket, socket.accepts);
    }
  }

  #first(number: number, socket: VirtualSocket, queue: number[]): void {
    const { tables, crowded } = this.#toe;
    for (;;) {
      const work = tables.works.get(queue[0] ?? 0);
      if (work === undefined || work.request !== 0) return;
      if (isMulti(work.command) && crowded) {
        tables.noRoom.add(number);
        return;
      }
      if (waitsHere(work.command)) {
        this.#ask(work, number, socket);
        return;
      }
      queue.shift();
      const { deadline } = work.command;
      const timeout = deadline === NEVER ? 0 : Math.max(1, Math.ceil((deadline - this.#toe.simulation.now) / US));
      work.command.deadline = NEVER;
      this.#toe.forward(work, socket, timeout);
    }
  }

  #ask(work: Work, number: number, socket: VirtualSocket): void {
    const toe = this.#toe;
    const { command, step } = work;
    const { opcode } = command;
    const waits = command.flags & FLAG.NOWAIT;
    const to = { socket: socket.real };
    if (step === STEP.ACCEPT) toe.ask(work, { opcode, ...to });
    else if (step === STEP.POLL) {
      toe.ask(work, { opcode: OPCODE.POLL, flags: waits, ...to, arg0: socket.tcp ? STREAM : EVENT_READABLE });
    } else if (step === STEP.COUNT) toe.ask(work, { opcode: OPCODE.GET_OPTION, ...to, arg0: OPTION_READABLE });
    else if (step === STEP.END) {
      toe.ask(work, { opcode, flags: FLAG.NOWAIT, ...to, length: 1, buffer: toe.scratch });
    } else if (work.bufferLength > 0 || this.#takeBuffer(work)) {
      const length = Math.min(command.length, work.bufferLength);
      const buffer = toe.physical(work.buffer, length);
      if (buffer >= 0) toe.ask(work, { opcode, flags: FLAG.NOWAIT, ...to, length, buffer });
      else toe.finish(work, STATUS.BUFFER_FAULT, { result: 0, ...place(work) });
    } else if (waits !== 0) toe.finish(work, STATUS.WOULD_BLOCK);
    else toe.tables.noBuffer.add(number);
  }

  #takeBuffer(work: Work): boolean {
    const { rings } = this.#toe;
    const buffer = rings.peekPool();
    if (buffer === null) return false;
    rings.takePool();
    work.buffer = buffer.address;
    work.bufferLength = buffer.length;
    work.bufferId = buffer.id;
    return true;
  }

  /** What a command that waits here had asked for is answered. */
  completed(work: Work, status: number, answer: Result): void {
    const toe = this.#toe;
    const { command, step } = work;
    const good = status === STATUS.SUCCESS;
    const result = answer.result ?? 0;
    if (step === STEP.POLL && good) work.step = result === EVENT_READABLE ? STEP.TAKE : STEP.COUNT;
    else if (step === STEP.COUNT && good) work.step = result > 0 ? STEP.TAKE : STEP.END;
    else if ((step === STEP.TAKE || step === STEP.END) && status === STATUS.WOULD_BLOCK && !isNoWait(command)) {
      work.step = STEP.POLL;
    } else if (good && isMulti(command) && step !== STEP.END) {
      toe.report(work, step === STEP.TAKE ? { ...answer, ...place(work) } : answer);
      work.bufferLength = 0;
      if (step === STEP.TAKE) work.step = STEP.POLL;
    } else {
      const ending = status === STATUS.CANCELED && work.ending !== 0 ? work.ending : status;
      toe.finish(work, ending, step === STEP.POLL || step === STEP.COUNT ? place(work) : { ...answer, ...place(work) });
      return;
    }
    if (work.ending !== 0) toe.finish(work, work.ending, place(work));
    else this.wake(command.socket);
  }

  /** Ends a command that waits here: now, or when what it has asked for is answered. False: that will be its end all the same. */
  end(work: Work, status: number): boolean {
    const toe = this.#toe;
    if (work.request === 0) {
      toe.finish(work, status, place(work));
      return true;
    }
    work.ending = status;
    return work.step !== STEP.TAKE || isMulti(work.command);
  }

  /** The socket is being closed: its commands end, and nothing more is asked in its name. */
  part(socket: VirtualSocket, status: number): void {
    const toe = this.#toe;
    for (const id of [...socket.receives, ...socket.accepts]) {
      const work = toe.tables.works.get(id);
      if (work === undefined) continue;
      work.parted = true;
      if (work.ending === 0) work.ending = status;
      if (work.request === 0) toe.finish(work, status, place(work));
    }
  }

  /** A passing error of a datagram socket: the first command has it. */
  fail(socket: VirtualSocket, status: number): void {
    const toe = this.#toe;
    const work = toe.tables.works.get(socket.receives[0] ?? 0);
    if (work === undefined || !this.end(work, status)) return;
    if (work.request !== 0 && work.step === STEP.POLL) toe.cancel(work);
  }

  /** Commands whose time is over end with COMMAND_TIMEOUT. When the next one's is. */
  expire(now: Time): Time {
    const toe = this.#toe;
    let next = NEVER;
    for (const work of [...toe.tables.works.values()]) {
      const { deadline } = work.command;
      if (deadline > now) next = Math.min(next, deadline);
      else if (work.ending === 0) {
        work.command.deadline = NEVER;
        this.end(work, STATUS.COMMAND_TIMEOUT);
        if (work.request !== 0 && (work.step === STEP.POLL || work.step === STEP.ACCEPT)) toe.cancel(work);
      }
    }
    return next;
  }
}

const isNoWait = ({ flags }: Command): boolean => (flags & FLAG.NOWAIT) !== 0;

/** The pool's buffer that a command has: it goes back with the completion. */
function place(work: Work): Result {
  return work.bufferLength === 0
    ? { bufferId: NO_BUFFER, buffer: 0 }
    : { bufferId: work.bufferId, buffer: work.buffer };
}
