/** Queue and table of the device's inside: what passes through them makes nothing anew, as an emptied array or Map does. */

const SMALLEST = 16;

/** First in, first out, in a ring that grows by doubling. */
export class Fifo<T> {
  #items: (T | undefined)[] = new Array<T | undefined>(SMALLEST).fill(undefined);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }
  push(item: T): void {
    if (this.#length === this.#items.length) {
      this.#items = [...this.toArray(), ...new Array<T | undefined>(this.#length).fill(undefined)];
      this.#head = 0;
    }
    this.#items[(this.#head + this.#length) & (this.#items.length - 1)] = item;
    this.#length++;
  }
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    this.#length--;
    return item;
  }
  /** Item `index`, 0 the first; undefined where there is none. */
  at(index: number): T | undefined {
    return index < this.#length ? this.#items[(this.#head + index) & (this.#items.length - 1)] : undefined;
  }
  clear(): void {
    this.#items.fill(undefined);
    this.#head = 0;
    this.#length = 0;
  }
  /** Takes the place of what is there. */
  set(items: readonly T[]): void {
    this.clear();
    for (const item of items) this.push(item);
  }
  toArray(): T[] {
    return Array.from({ length: this.#length }, (_, index) => this.at(index) as T);
  }
}

/** Records by an id that counts up: open addressing, half full at the most. */
export class IdTable<T extends { readonly id: number }> {
  #slots: (T | null)[] = new Array<T | null>(2 * SMALLEST).fill(null);
  #size = 0;

  get size(): number {
    return this.#size;
  }
  get(id: number): T | undefined {
    const at = this.#find(id);
    return this.#slots[at] ?? undefined;
  }
  /** `record` has an id that is not in the table. */
  add(record: T): void {
    if (2 * (this.#size + 1) > this.#slots.length) {
      const all = this.all();
      this.#slots = new Array<T | null>(2 * this.#slots.length).fill(null);
      for (const one of all) this.#slots[this.#find(one.id)] = one;
    }
    this.#slots[this.#find(record.id)] = record;
    this.#size++;
  }
  /** False where there is none. */
  delete(id: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#find(id);
    if (slots[hole] === null) return false;
    // what was put behind it moves up, where its place allows
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const other = slots[at];
      if (other === null || other === undefined) break;
      if (((at - (other.id & mask)) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = other;
      hole = at;
    }
    slots[hole] = null;
    this.#size--;
    return true;
  }
  clear(): void {
    if (this.#size > 0) this.#slots.fill(null);
    this.#size = 0;
  }
  /** All in the order of their ids. */
  all(): T[] {
    return this.#slots.filter((record) => record !== null).sort((a, b) => a.id - b.id);
  }
  /** Where a record is, or would be. */
  #find(id: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = id & mask;
    for (let record = slots[at]; record !== null && record?.id !== id; record = slots[at]) at = (at + 1) & mask;
    return at;
  }
}
