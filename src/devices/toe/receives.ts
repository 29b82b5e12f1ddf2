/** RECEIVE and RECEIVE_FROM: posted buffers and the pool (docs/devices/toe.md 7 and 10). */
import { fromEngine } from "./addresses.ts";
import { COUNTER, DONE, FLAG, OPCODE, STATUS, STATUS_OF } from "./codes.ts";
import type { Command } from "./command.ts";
import type { Executor, Result } from "./executor.ts";
import type { PoolBuffer } from "./rings.ts";
import type { SocketRecord } from "./sockets.ts";
import { readList, scatter } from "./transfer.ts";

/** "done": the command is through; "again": more of the same command; "wait": nothing to take now. */
type Step = "done" | "again" | "wait";

export class Receives {
  readonly #executor: Executor;

  constructor(executor: Executor) {
    this.#executor = executor;
  }

  submit(c: Command, record: SocketRecord): void {
    const x = this.#executor;
    let status: number = STATUS.SUCCESS;
    if (c.opcode === OPCODE.RECEIVE_FROM && record.tcp) status = STATUS.WRONG_STATE;
    else if ((c.flags & FLAG.POOL) === 0) status = readList(x.of.port, c);
    else if (!x.of.rings.hasPool) status = STATUS.NO_POOL;
    if (status !== STATUS.SUCCESS) {
      x.finish(c, status);
      return;
    }
    record.receives.push(c);
    this.go(record);
  }

  /** Takes what there is for the commands that wait. */
  go(record: SocketRecord): void {
    const x = this.#executor;
    const { of } = x;
    const { generation } = of;
    while (record.receives.length > 0) {
      const c = record.receives[0] as Command;
      if ((c.flags & FLAG.MULTI) !== 0 && x.crowded) {
        x.awaitRoom(record.id);
        return;
      }
      const step = this.#one(c, record);
      if (of.generation !== generation) return;
      if (step === "again") continue;
      if (step === "wait") {
        if ((c.flags & FLAG.NOWAIT) === 0) return;
        x.finish(c, c.done > 0 ? STATUS.SUCCESS : STATUS.WOULD_BLOCK);
      }
      if (record.receives[0] === c) record.receives.shift();
    }
  }

  /** A passing error of a datagram socket: the first command has it. */
  fail(record: SocketRecord, status: number): void {
    const c = record.receives.shift();
    if (c !== undefined) this.#executor.finish(c, status);
  }

  #one(c: Command, record: SocketRecord): Step {
    let buffer: PoolBuffer | null = null;
    if ((c.flags & FLAG.POOL) !== 0) {
      const { of } = this.#executor;
      const { generation } = of;
      buffer = of.rings.peekPool();
      if (of.generation !== generation) return "wait";
      if (buffer === null && of.stack.readable(record.id) > 0) {
        this.#executor.awaitBuffer(record.id);
        return "wait";
      }
    }
    return record.tcp ? this.#stream(c, buffer) : this.#datagram(c, buffer);
  }

  #stream(c: Command, buffer: PoolBuffer | null): Step {
    const x = this.#executor;
    const most = buffer === null ? c.length - c.done : Math.min(c.length, buffer.length);
    const taken = x.of.stack.receive(c.socket, most);
    if (!taken.ok) {
      if (taken.error === "would-block") return "wait";
      x.finish(c, STATUS_OF[taken.error]);
      return "done";
    }
    const data = taken.value;
    if (data.length === 0) {
      x.finish(c, STATUS.SUCCESS, { flags: DONE.END });
      return "done";
    }
    if (buffer !== null) return this.#pooled(c, buffer, data, {});
    if (!this.#write(c, data)) return "done";
    if ((c.flags & FLAG.ALL) !== 0 && c.done < c.length) return "again";
    x.finish(c, STATUS.SUCCESS, {}, c.done);
    return "done";
  }

  #datagram(c: Command, buffer: PoolBuffer | null): Step {
    const x = this.#executor;
    const pool = (c.flags & FLAG.POOL) !== 0;
    if (pool && buffer === null) {
      x.awaitBuffer(c.socket);
      return "wait";
    }
    const taken = x.of.stack.receiveFrom(c.socket);
    if (!taken.ok) {
      if (taken.error === "would-block") return "wait";
      x.finish(c, STATUS_OF[taken.error]);
      return "done";
    }
    const { data, from } = taken.value;
    const room = buffer === null ? c.length : Math.min(c.length, buffer.length);
    const kept = data.length > room ? data.subarray(0, room) : data;
    const result: Result = {
      address: fromEngine(from.address),
      port: from.port,
      flags: data.length > room ? DONE.TRUNCATED : 0,
    };
    if (buffer !== null) return this.#pooled(c, buffer, kept, result);
    if (this.#write(c, kept)) x.finish(c, STATUS.SUCCESS, result, kept.length);
    return "done";
  }

  #pooled(c: Command, buffer: PoolBuffer, data: Uint8Array, result: Result): Step {
    const x = this.#executor;
    const { of } = x;
    const { generation } = of;
    of.rings.takePool();
    const place: Result = { ...result, result: data.length, bufferId: buffer.id, buffer: buffer.address };
    const good = buffer.address + data.length <= 2 ** 48 && of.port.writeBlock(buffer.address, data);
    if (of.generation !== generation) return "wait";
    if (!good) {
      x.finish(c, STATUS.BUFFER_FAULT, { ...place, result: 0 });
      return "done";
    }
    of.count(COUNTER.WRITTEN_BYTES, data.length);
    if ((c.flags & FLAG.MULTI) !== 0) {
      x.report(c, place, data.length);
      return "again";
    }
    x.finish(c, STATUS.SUCCESS, place, data.length);
    return "done";
  }

  /** Writes to the command's own buffers; false, and the command has ended, where that fails. */
  #write(c: Command, data: Uint8Array): boolean {
    const x = this.#executor;
    const { of } = x;
    if (!scatter(of.port, c, c.done, data)) {
      x.finish(c, STATUS.BUFFER_FAULT);
      return false;
    }
    c.done += data.length;
    of.count(COUNTER.WRITTEN_BYTES, data.length);
    return true;
  }
}
