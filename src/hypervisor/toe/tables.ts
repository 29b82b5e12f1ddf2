/** What an emulated interface of the TOE keeps: commands under way, sockets, completions held back. */
import { SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";

export type Request = {
  opcode: number;
  tag: number;
  userLow: number;
  userHigh: number;
  socket: number;
  /** Its place for a scatter list; -1: it has none. */
  slot: number;
};
export type Socket = { real: number; family: number; bound: boolean };

/** What is under way, and the sockets. */
export class Tables implements StatePart {
  readonly requests = new Map<number, Request>();
  readonly sockets = new Map<number, Socket>();
  /** Completions that wait for room in the guest's ring. */
  readonly held: Uint8Array[] = [];

  save(): StateValue {
    return {
      requests: [...this.requests].map(([id, r]) => ({ id, ...r })),
      sockets: [...this.sockets].map(([id, s]) => ({ id, ...s })),
      held: this.held.map((c) => c.slice()),
    };
  }
  load(value: StateValue, path: string): void {
    const v = value as { requests?: StateValue; sockets?: StateValue; held?: StateValue };
    if (!Array.isArray(v.requests) || !Array.isArray(v.sockets) || !Array.isArray(v.held)) {
      throw new SnapshotError(`${path}: expected requests, sockets and held`);
    }
    this.reset();
    for (const { id, ...r } of v.requests as ({ id: number } & Request)[]) this.requests.set(id, r);
    for (const { id, ...s } of v.sockets as ({ id: number } & Socket)[]) this.sockets.set(id, s);
    for (const c of v.held as Uint8Array[]) this.held.push(c.slice());
  }
  reset(): void {
    this.requests.clear();
    this.sockets.clear();
    this.held.length = 0;
  }
}
