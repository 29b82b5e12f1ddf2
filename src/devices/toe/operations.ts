/** What each opcode does with its socket (docs/devices/toe.md 7), when it is carried out and when its socket has news. */
import { fromEngine, isZero, toEngine } from "./addresses.ts";
import {
  COUNTER,
  FLAG,
  OPCODE,
  OPTION_EVENT_MASK,
  OPTION_READABLE,
  OPTION_STATE,
  OPTION_WRITABLE,
  OPTIONS,
  STATUS,
  STATUS_OF,
} from "./codes.ts";
import type { Command } from "./command.ts";
import {
  type Endpoint,
  EVENT_ACCEPTABLE,
  EVENT_ACKNOWLEDGED,
  EVENT_CONNECTED,
  EVENT_ERROR,
  EVENT_PEER_CLOSED,
  EVENT_READABLE,
  EVENT_WRITABLE,
  type StackApi,
} from "./engine/api.ts";
import type { Executor, Result } from "./executor.ts";
import { Receives } from "./receives.ts";
import { DEAD, SocketRecord, STICKY } from "./sockets.ts";
import { gather, readList } from "./transfer.ts";

const BACKLOG_MAX = 1024;
const EVENT_BITS = 0xff;
const DIRECTIONS = [null, "send", "receive", "both"] as const;

export class Operations {
  readonly #executor: Executor;
  readonly #receives: Receives;

  constructor(executor: Executor) {
    this.#executor = executor;
    this.#receives = new Receives(executor);
  }

  get #stack(): StackApi {
    return this.#executor.of.stack;
  }

  execute(c: Command): void {
    const x = this.#executor;
    switch (c.opcode) {
      case OPCODE.NOP:
        x.finish(c, STATUS.SUCCESS);
        return;
      case OPCODE.SOCKET:
        this.#socket(c);
        return;
      case OPCODE.CANCEL:
        x.cancelCommand(c);
        return;
    }
    const record = x.records.get(c.socket);
    if (record === undefined) {
      x.finish(c, STATUS.NO_SOCKET);
      return;
    }
    switch (c.opcode) {
      case OPCODE.BIND:
        this.#bind(c, record);
        return;
      case OPCODE.LISTEN: {
        const good = c.arg0 >= 1 && c.arg0 <= BACKLOG_MAX;
        if (good) x.conclude(c, this.#stack.listen(c.socket, c.arg0));
        else x.finish(c, STATUS.INVALID);
        return;
      }
      case OPCODE.ACCEPT:
        record.accepts.push(c);
        this.#accept(record);
        return;
      case OPCODE.CONNECT:
        this.#connect(c, record);
        return;
      case OPCODE.SEND:
      case OPCODE.SENDTO:
        this.#submitSend(c, record);
        return;
      case OPCODE.RECEIVE:
      case OPCODE.RECEIVE_FROM:
        this.#receives.submit(c, record);
        return;
      case OPCODE.SHUTDOWN:
        if (c.arg0 < 1 || c.arg0 > 3) x.finish(c, STATUS.INVALID);
        else this.#queueSend(c, record);
        return;
      case OPCODE.CLOSE:
        this.#queueSend(c, record);
        return;
      case OPCODE.ABORT:
        this.#abort(c, record);
        return;
      case OPCODE.SET_OPTION:
        this.#setOption(c, record);
        return;
      case OPCODE.GET_OPTION:
        this.#getOption(c);
        return;
      case OPCODE.POLL:
        if ((c.arg0 & ~EVENT_BITS) !== 0 || c.arg0 === 0) x.finish(c, STATUS.INVALID);
        else {
          record.polls.push(c);
          this.#poll(record, 0);
        }
        return;
      case OPCODE.GET_NAME:
        this.#getName(c);
        return;
    }
  }

  // Sockets.

  #socket(c: Command): void {
    const tcp = c.arg0 === 1;
    const x = this.#executor;
    if ((!tcp && c.arg0 !== 2) || (c.arg1 !== 4 && c.arg1 !== 6)) {
      x.finish(c, STATUS.INVALID);
      return;
    }
    const made = this.#stack.socket(tcp ? "tcp" : "udp", c.arg1);
    if (made.ok) x.records.set(made.value, new SocketRecord(made.value, tcp, c.arg1));
    x.conclude(c, made, made.ok ? { socket: made.value } : {});
  }

  /** The engine's endpoint; null, and the command ends, where the address is of the other family. */
  #endpoint(c: Command, record: SocketRecord): Endpoint | null {
    const address = toEngine(c.address, record.family);
    if (address === null) this.#executor.finish(c, STATUS.INVALID);
    return address === null ? null : { address, port: c.port };
  }

  #bind(c: Command, record: SocketRecord): void {
    const local = this.#endpoint(c, record);
    if (local === null) return;
    const outcome = this.#stack.bind(c.socket, local);
    const bound = outcome.ok ? this.#stack.local(c.socket) : null;
    this.#executor.conclude(c, outcome, bound?.ok ? { port: bound.value.port } : {});
  }

  #accept(record: SocketRecord): void {
    const x = this.#executor;
    while (record.accepts.length > 0) {
      const c = record.accepts[0] as Command;
      const multi = (c.flags & FLAG.MULTI) !== 0;
      if (multi && x.crowded) {
        x.awaitRoom(record.id);
        return;
      }
      const outcome = this.#stack.accept(record.id);
      if (!outcome.ok && outcome.error === "would-block") {
        record.state &= ~EVENT_ACCEPTABLE;
        if ((c.flags & FLAG.NOWAIT) === 0) return;
      }
      let result: Result = {};
      if (outcome.ok) {
        const made = new SocketRecord(outcome.value, true, record.family);
        made.state = EVENT_CONNECTED;
        x.records.set(made.id, made);
        const peer = this.#stack.remote(outcome.value);
        result = peer.ok
          ? { socket: outcome.value, address: fromEngine(peer.value.address), port: peer.value.port }
          : { socket: outcome.value };
        if (multi) {
          x.report(c, result, 0);
          continue;
        }
      }
      record.accepts.shift();
      x.conclude(c, outcome, result);
    }
  }

  #connect(c: Command, record: SocketRecord): void {
    const x = this.#executor;
    if (record.connects.length > 0) {
      x.finish(c, STATUS.WRONG_STATE);
      return;
    }
    const remote = this.#endpoint(c, record);
    if (remote === null) return;
    const outcome = this.#stack.connect(c.socket, remote);
    if (!outcome.ok || !record.tcp) {
      x.conclude(c, outcome);
      return;
    }
    if ((c.flags & FLAG.NOWAIT) !== 0) x.finish(c, STATUS.WOULD_BLOCK);
    else record.connects.push(c);
  }

  // Sending.

  #submitSend(c: Command, record: SocketRecord): void {
    const x = this.#executor;
    let status: number = STATUS.SUCCESS;
    if (c.opcode === OPCODE.SENDTO && record.tcp) status = STATUS.WRONG_STATE;
    else if (record.tcp && c.length === 0) status = STATUS.BAD_LENGTH;
    else if (c.length === 0) c.list = [];
    else status = readList(x.of.port, c);
    if (status === STATUS.SUCCESS) this.#queueSend(c, record);
    else x.finish(c, status);
  }

  #queueSend(c: Command, record: SocketRecord): void {
    record.sends.push(c);
    this.#send(record);
  }

  /** Goes on with the first commands in the queue, as far as the stack takes bytes. */
  #send(record: SocketRecord): void {
    const { of } = this.#executor;
    const { generation } = of;
    while (record.sends.length > 0) {
      const c = record.sends[0] as Command;
      const done = this.#sendOne(c, record);
      if (of.generation !== generation) return;
      if (!done) return;
      if (record.sends[0] === c) record.sends.shift();
    }
  }

  /** True where the command is through. */
  #sendOne(c: Command, record: SocketRecord): boolean {
    if (c.opcode === OPCODE.CLOSE) return this.#close(c, record);
    if (c.opcode === OPCODE.SHUTDOWN) {
      this.#executor.conclude(c, this.#stack.shutdown(c.socket, DIRECTIONS[c.arg0] ?? "both"));
      return true;
    }
    return record.tcp ? this.#sendStream(c, record) : this.#sendDatagram(c, record);
  }

  #sendStream(c: Command, record: SocketRecord): boolean {
    const x = this.#executor;
    const { of } = x;
    const { generation } = of;
    while (c.done < c.length) {
      const refused = this.#cannotSend(record);
      if (refused !== STATUS.SUCCESS) {
        x.finish(c, refused);
        return true;
      }
      const n = Math.min(this.#stack.writable(c.socket), c.length - c.done);
      if (n <= 0 || !this.#connected(record)) return this.#waitToSend(c);
      const data = gather(of.port, c, c.done, n);
      if (of.generation !== generation) return false;
      if (data === null) {
        x.finish(c, STATUS.BUFFER_FAULT);
        return true;
      }
      of.count(COUNTER.READ_BYTES, n);
      const taken = this.#stack.send(c.socket, data);
      if (!taken.ok) {
        if (taken.error === "would-block") return this.#waitToSend(c);
        x.conclude(c, taken);
        return true;
      }
      c.done += taken.value;
      record.sent += taken.value;
      if (taken.value === 0) return this.#waitToSend(c);
    }
    if ((c.flags & FLAG.ACKNOWLEDGED) === 0) x.finish(c, STATUS.SUCCESS);
    else {
      c.mark = record.sent;
      record.acknowledgements.push(c);
      this.#acknowledge(record);
    }
    return true;
  }

  #waitToSend(c: Command): boolean {
    if ((c.flags & FLAG.NOWAIT) === 0) return false;
    this.#executor.finish(c, c.done > 0 ? STATUS.SUCCESS : STATUS.WOULD_BLOCK);
    return true;
  }

  #state(record: SocketRecord): number {
    const state = this.#stack.getOption(record.id, "state");
    return state.ok ? state.value : 0;
  }
  #connected(record: SocketRecord): boolean {
    const state = this.#state(record);
    return state === 4 || state === 7;
  }
  /** Why bytes cannot be sent now or later; SUCCESS where they can. States as in RFC 9293: 2 SYN-SENT, 3 SYN-RECEIVED, 4, 7. */
  #cannotSend(record: SocketRecord): number {
    const state = this.#state(record);
    if (state === 2 || state === 3 || state === 4 || state === 7) return STATUS.SUCCESS;
    if (state >= 5) return STATUS.CLOSED;
    // CLOSED or LISTEN: the stack knows whether there ever was a connection, and what ended it.
    const refused = this.#stack.send(record.id, new Uint8Array(0));
    return refused.ok ? STATUS.WRONG_STATE : STATUS_OF[refused.error];
  }

  #sendDatagram(c: Command, record: SocketRecord): boolean {
    const x = this.#executor;
    const { of } = x;
    const { generation } = of;
    const data = gather(of.port, c, 0, c.length);
    if (of.generation !== generation) return false;
    if (data === null) {
      x.finish(c, STATUS.BUFFER_FAULT);
      return true;
    }
    const toPeer = c.opcode === OPCODE.SEND || (isZero(c.address) && c.port === 0);
    const address = toPeer ? null : toEngine(c.address, record.family);
    if (!toPeer && address === null) {
      x.finish(c, STATUS.INVALID);
      return true;
    }
    const sent = this.#stack.sendTo(c.socket, data, address === null ? undefined : { address, port: c.port });
    if (!sent.ok && sent.error === "would-block") return this.#waitToSend(c);
    if (sent.ok) {
      c.done = c.length;
      of.count(COUNTER.READ_BYTES, c.length);
    }
    x.conclude(c, sent, { result: c.done });
    return true;
  }

  #acknowledge(record: SocketRecord): void {
    const x = this.#executor;
    if (record.acknowledgements.length === 0) return;
    const acknowledged = this.#stack.acknowledged(record.id);
    while (record.acknowledgements.length > 0) {
      const c = record.acknowledgements[0] as Command;
      if (acknowledged < c.mark) return;
      record.acknowledgements.shift();
      x.finish(c, STATUS.SUCCESS);
    }
  }

  // Closing.

  /** Waits for what is to be acknowledged: afterwards the stack says nothing of the socket any more. */
  #close(c: Command, record: SocketRecord): boolean {
    if (record.acknowledgements.length > 0 && (record.state & DEAD) === 0) return false;
    const outcome = this.#stack.close(record.id);
    record.remove(c);
    this.#forget(record, STATUS.CLOSED);
    this.#executor.conclude(c, outcome);
    return true;
  }

  #abort(c: Command, record: SocketRecord): void {
    const outcome = this.#stack.abort(record.id);
    this.#forget(record, STATUS.ABORTED);
    this.#executor.conclude(c, outcome);
  }

  /** The socket is no longer software's: commands that wait end. */
  #forget(record: SocketRecord, status: number): void {
    const x = this.#executor;
    x.records.delete(record.id);
    x.of.rings.dropEvents(record.id);
    for (const queue of record.queues) {
      if (queue.length > 0) for (const waiting of queue.splice(0)) x.finish(waiting, status);
    }
  }

  // Options, names, events.

  #setOption(c: Command, record: SocketRecord): void {
    const x = this.#executor;
    if (c.arg0 === OPTION_EVENT_MASK) {
      if ((c.arg1 & ~EVENT_BITS) !== 0) {
        x.finish(c, STATUS.INVALID);
        return;
      }
      const added = c.arg1 & ~record.mask;
      record.mask = c.arg1;
      x.finish(c, STATUS.SUCCESS);
      const now = this.#now(record) & added & (EVENT_READABLE | EVENT_WRITABLE | EVENT_PEER_CLOSED);
      if (now !== 0) x.of.rings.addEvent(record.id, now, 0);
      return;
    }
    const option = OPTIONS[c.arg0];
    if (option === undefined || c.arg0 === OPTION_STATE) x.finish(c, STATUS.INVALID);
    else x.conclude(c, this.#stack.setOption(c.socket, option, c.arg1));
  }

  #getOption(c: Command): void {
    const x = this.#executor;
    const record = x.records.get(c.socket);
    const own: { readonly [option: number]: () => number } = {
      [OPTION_EVENT_MASK]: () => record?.mask ?? 0,
      [OPTION_READABLE]: () => this.#stack.readable(c.socket),
      [OPTION_WRITABLE]: () => this.#stack.writable(c.socket),
    };
    const value = own[c.arg0];
    if (value !== undefined) {
      x.finish(c, STATUS.SUCCESS, { result: value() });
      return;
    }
    const option = OPTIONS[c.arg0];
    if (option === undefined) {
      x.finish(c, STATUS.INVALID);
      return;
    }
    const outcome = this.#stack.getOption(c.socket, option);
    x.conclude(c, outcome, outcome.ok ? { result: outcome.value } : {});
  }

  #getName(c: Command): void {
    const x = this.#executor;
    if (c.arg0 > 1) {
      x.finish(c, STATUS.INVALID);
      return;
    }
    const name = c.arg0 === 0 ? this.#stack.local(c.socket) : this.#stack.remote(c.socket);
    x.conclude(c, name, name.ok ? { address: fromEngine(name.value.address), port: name.value.port } : {});
  }

  /** What is true of a socket, for POLL. */
  #now(record: SocketRecord): number {
    const state = record.tcp ? this.#state(record) : 0;
    let bits = record.state;
    // A connection may have got its end before it was accepted. CLOSE-WAIT, CLOSING, LAST-ACK, TIME-WAIT.
    if (state >= 7) bits |= EVENT_PEER_CLOSED;
    if ((bits & (EVENT_PEER_CLOSED | DEAD)) !== 0 || this.#stack.receivable(record.id)) bits |= EVENT_READABLE;
    const open = !record.tcp || state === 4 || state === 7;
    if ((record.state & DEAD) !== 0 || (open && this.#stack.writable(record.id) > 0)) bits |= EVENT_WRITABLE;
    return bits;
  }

  /** `edges`: events that have just come, for those that are no state. */
  #poll(record: SocketRecord, edges: number): void {
    if (record.polls.length === 0) return;
    const now = this.#now(record) | edges;
    for (const c of [...record.polls]) {
      const found = now & c.arg0;
      if (found === 0 && (c.flags & FLAG.NOWAIT) === 0) continue;
      record.remove(c);
      this.#executor.finish(c, found === 0 ? STATUS.WOULD_BLOCK : STATUS.SUCCESS, { result: found });
    }
  }

  // News of a socket.

  serve(record: SocketRecord, bits: number): void {
    const x = this.#executor;
    const { of } = x;
    const { generation } = of;
    // An error of a datagram socket is passing: it belongs to one command, not to the socket.
    record.state |= bits & (record.tcp ? STICKY : STICKY & ~DEAD);
    const status = (bits & EVENT_ERROR) !== 0 ? STATUS_OF[this.#stack.error(record.id)] : 0;
    const told = bits & record.mask;
    if (told !== 0) of.rings.addEvent(record.id, told, status);
    const [c] = record.connects;
    if (c !== undefined && (record.state & (EVENT_CONNECTED | DEAD)) !== 0) {
      record.remove(c);
      const good = (record.state & EVENT_CONNECTED) !== 0;
      x.finish(c, good ? STATUS.SUCCESS : STATUS_OF[this.#stack.error(record.id)]);
    }
    this.#acknowledge(record);
    this.#send(record);
    if (of.generation !== generation) return;
    this.#receives.go(record);
    if (of.generation !== generation) return;
    this.#accept(record);
    this.#poll(record, bits & (EVENT_ACKNOWLEDGED | EVENT_ERROR));
    if ((record.state & DEAD) !== 0) this.#bury(record);
    else if (status !== 0) this.#receives.fail(record, status);
  }

  /** The connection is gone: what still waits ends with its error. */
  #bury(record: SocketRecord): void {
    const x = this.#executor;
    const status = STATUS_OF[this.#stack.error(record.id)];
    for (const queue of [record.acknowledgements, record.receives, record.accepts]) {
      if (queue.length > 0) for (const c of queue.splice(0)) x.finish(c, status);
    }
  }
}
