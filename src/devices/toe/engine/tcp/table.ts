/** Connections by their four-tuple: chained buckets under a keyed hash, so that a peer cannot aim at one chain. */
import type { KeyedHash } from "../words.ts";
import type { Connection } from "./connection.ts";

export class ConnectionTable {
  readonly #hash: KeyedHash;
  #buckets: (Connection | null)[] = new Array<Connection | null>(64).fill(null);
  #count = 0;

  constructor(hash: KeyedHash) {
    this.#hash = hash;
  }
  get count(): number {
    return this.#count;
  }

  find(
    l0: number,
    l1: number,
    l2: number,
    l3: number,
    localPort: number,
    r0: number,
    r1: number,
    r2: number,
    r3: number,
    remotePort: number,
  ): Connection | null {
    let c = this.#buckets[this.#bucket(l3, localPort, r1, r2, r3, remotePort)];
    for (; c !== null; c = c.chain) {
      if (
        c.remotePort === remotePort &&
        c.localPort === localPort &&
        c.r3 === r3 &&
        c.l3 === l3 &&
        c.r2 === r2 &&
        c.l2 === l2 &&
        c.r1 === r1 &&
        c.l1 === l1 &&
        c.r0 === r0 &&
        c.l0 === l0
      ) {
        return c;
      }
    }
    return null;
  }

  add(c: Connection): void {
    if (++this.#count > this.#buckets.length) this.#enlarge();
    this.#link(c);
  }

  remove(c: Connection): void {
    const index = this.#bucket(c.l3, c.localPort, c.r1, c.r2, c.r3, c.remotePort);
    let before: Connection | null = null;
    for (let at = this.#buckets[index]; at !== null; at = at.chain) {
      if (at === c) {
        if (before === null) this.#buckets[index] = c.chain;
        else before.chain = c.chain;
        c.chain = null;
        this.#count--;
        return;
      }
      before = at;
    }
  }

  clear(): void {
    this.#buckets.fill(null);
    this.#count = 0;
  }

  #link(c: Connection): void {
    const index = this.#bucket(c.l3, c.localPort, c.r1, c.r2, c.r3, c.remotePort);
    c.chain = this.#buckets[index];
    this.#buckets[index] = c;
  }
  #enlarge(): void {
    const old = this.#buckets;
    this.#buckets = new Array<Connection | null>(old.length * 2).fill(null);
    for (const first of old) {
      for (let c = first; c !== null; ) {
        const next: Connection | null = c.chain;
        this.#link(c);
        c = next;
      }
    }
  }
  #bucket(l3: number, localPort: number, r1: number, r2: number, r3: number, remotePort: number): number {
    const h = this.#hash;
    h.start();
    h.word((localPort << 16) | remotePort);
    h.word(r3 ^ Math.imul(l3, 0x9e3779b1));
    if (r2 !== 0xffff || r1 !== 0) {
      h.word(r2);
      h.word(r1);
    }
    return h.finish() & (this.#buckets.length - 1);
  }
}
