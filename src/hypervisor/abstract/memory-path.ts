/** Loads, stores and block transfers of guest programs: through stage 2 to memory directly, or over the bus to a device. */
import type { Transaction } from "../../bus/index.ts";
import type { Module } from "../../sim/index.ts";
import type { AbstractCluster } from "./cluster.ts";
import type { AbstractContext } from "./context.ts";
import { CLEAR_BITS, LOAD, WRITE_BLOCK } from "./program.ts";
import { NOT_DIRECT, type StageTwoTlb } from "./translation.ts";

export class MemoryPath {
  /** Where the last stage 2 fault was. */
  readonly fault = { address: 0, size: 0, write: false };
  readonly #owner: Module;
  readonly #cluster: AbstractCluster;
  readonly #tlb: StageTwoTlb;
  readonly #transaction: Transaction;

  constructor(owner: Module, cluster: AbstractCluster, tlb: StageTwoTlb, transaction: Transaction) {
    this.#owner = owner;
    this.#cluster = cluster;
    this.#tlb = tlb;
    this.#transaction = transaction;
  }

  #faults(address: number, size: number, write: boolean): false {
    this.fault.address = address;
    this.fault.size = size;
    this.fault.write = write;
    return false;
  }

  /** A load, store or atomic operation; false where stage 2 faults: `fault`. */
  access(context: AbstractContext): boolean {
    const { address, size } = context.operation;
    const write = context.operation.kind !== LOAD;
    const tlb = this.#tlb;
    const op = context.operation;
    if (address % size !== 0) {
      this.#owner.guestError({ kind: "width", address, size, write, detail: "unaligned access by a guest program" });
      context.abort = address;
      this.#cluster.takes(context, 1);
      return true;
    }
    if (!tlb.find(address, write)) {
      return this.#faults(address, size, write);
    }
    const offset = address % 4096;
    const at = write ? tlb.writeAt : tlb.readAt;
    const { arena, costs } = this.#cluster;
    if (at !== NOT_DIRECT) {
      const where = at + offset;
      if (op.kind === CLEAR_BITS) {
        context.result = arena.view.getUint32(where, true);
        arena.view.setUint32(where, context.result & ~op.low, true);
        arena.writtenWord(where, 4);
      } else if (write) {
        store(arena.view, where, size, op.low, op.high);
        arena.writtenWord(where, size);
      } else {
        context.result = size === 8 || size === 4 ? arena.view.getUint32(where, true) : narrow(arena.view, where, size);
        if (size === 8) op.high = arena.view.getUint32(where + 4, true);
      }
      this.#cluster.takes(context, costs.memoryAccess);
      return true;
    }
    if (op.kind === CLEAR_BITS) {
      this.#owner.guestError({ kind: "width", address, detail: "atomic operation on a device" });
      context.abort = address;
      this.#cluster.takes(context, 1);
      return true;
    }
    const tx = this.#transaction;
    tx.response = 0;
    tx.delay = 0;
    const physical = tlb.page + offset;
    if (write) {
      tx.high = op.high;
      this.#cluster.bus.write(physical, size, op.low >>> 0, tx);
    } else {
      context.result = this.#cluster.bus.read(physical, size, tx);
      op.high = size === 8 ? tx.high : 0;
    }
    if (tx.response !== 0) context.abort = address;
    this.#cluster.takes(context, write ? costs.deviceWrite : costs.deviceRead);
    context.remaining += tx.delay;
    return true;
  }

  /** Moves a block page by page; a fault in its middle leaves `position` there. Registers are moved in words. */
  block(context: AbstractContext): boolean {
    const op = context.operation;
    const write = op.kind === WRITE_BLOCK;
    const { arena, costs } = this.#cluster;
    const before = op.position;
    while (op.position < op.data.length) {
      const address = op.address + op.position;
      if (!this.#tlb.find(address, write)) {
        op.size = 1;
        op.low = op.data[op.position] as number;
        op.high = 0;
        return this.#faults(address, 1, write);
      }
      const offset = address % 4096;
      const at = write ? this.#tlb.writeAt : this.#tlb.readAt;
      const length = Math.min(4096 - offset, op.data.length - op.position);
      if (at === NOT_DIRECT) {
        this.#abortBlock(context, address);
        return true;
      }
      if (write) {
        arena.bytes.set(op.data.subarray(op.position, op.position + length), at + offset);
        arena.written(at + offset, length);
      } else op.data.set(arena.bytes.subarray(at + offset, at + offset + length), op.position);
      op.position += length;
    }
    this.#cluster.takes(context, costs.memoryAccess + costs.copy * (op.position - before));
    return true;
  }

  /** Blocks are for memory. */
  #abortBlock(context: AbstractContext, address: number): void {
    this.#owner.guestError({ kind: "width", address, detail: "block transfer to a device" });
    context.abort = address;
    this.#cluster.takes(context, 1);
  }
}

function store(view: DataView, at: number, size: number, low: number, high: number): void {
  if (size === 4) view.setUint32(at, low, true);
  else if (size === 1) view.setUint8(at, low);
  else if (size === 2) view.setUint16(at, low, true);
  else {
    view.setUint32(at, low, true);
    view.setUint32(at + 4, high, true);
  }
}

function narrow(view: DataView, at: number, size: number): number {
  return size === 1 ? view.getUint8(at) : view.getUint16(at, true);
}
