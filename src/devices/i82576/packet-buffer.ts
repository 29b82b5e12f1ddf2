/** The receive packet buffer of the 82576, as far as frames wait in it. */
import type { Frame } from "../../net/index.ts";
import { SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";
import { FCS } from "./statistics.ts";

/** A frame in the packet buffer: where it goes and what was found out about it. */
export interface Waiting {
  frame: Frame;
  queues: number;
  hash: number;
  hashType: number;
  etqf: number;
  flags: number;
  replicated: boolean;
  /** A filter asked for an immediate interrupt. */
  immediate: boolean;
}

export class PacketBuffer implements StatePart {
  readonly list: Waiting[] = [];
  bytes = 0;

  save(): StateValue {
    return this.list.map((w) => ({ ...w }));
  }
  load(value: StateValue, path: string): void {
    if (!Array.isArray(value)) throw new SnapshotError(`${path}: expected a list of frames`);
    this.reset();
    for (const item of value as { readonly [name: string]: StateValue }[]) {
      const { frame, replicated, immediate, ...numbers } = item;
      const { queues, hash, hashType, etqf, flags } = numbers;
      if (!(frame instanceof Uint8Array) || typeof replicated !== "boolean" || typeof immediate !== "boolean")
        throw new SnapshotError(`${path}: expected frames`);
      if ([queues, hash, hashType, etqf, flags].some((n) => typeof n !== "number"))
        throw new SnapshotError(`${path}: expected numbers`);
      const fields = { queues, hash, hashType, etqf, flags } as {
        queues: number;
        hash: number;
        hashType: number;
        etqf: number;
        flags: number;
      };
      this.push({ frame: frame.slice(), replicated, immediate, ...fields });
    }
  }
  reset(): void {
    this.list.length = 0;
    this.bytes = 0;
  }
  push(w: Waiting): void {
    this.list.push(w);
    this.bytes += w.frame.length + FCS;
  }
  shift(): void {
    const w = this.list.shift();
    if (w) this.bytes -= w.frame.length + FCS;
  }
}
