/**
 * Which flow is served next: deficit weighted round robin (Shreedhar and Varghese, "Efficient Fair Queueing using Deficit Round Robin",
 * 1995), first come first served, round robin, weighted round robin. Costs go in, choices come out; it knows no commands and no time.
 *
 * A flow stands in the list while it has costs and is ready. One that leaves it loses its deficit.
 */
import type { StatePart, StateValue } from "../../../sim/index.ts";
import { assignState, SnapshotError } from "../../../sim/index.ts";
import { Fifo } from "../queues.ts";

export const POLICY = { deficit: 0, fifo: 1, roundRobin: 2, weightedRoundRobin: 3 } as const;

/** A queue of costs with the order in which they came. */
class CostQueue {
  readonly costs = new Fifo<number>();
  readonly sequences = new Fifo<number>();

  get length(): number {
    return this.costs.length;
  }
  push(cost: number, sequence: number): void {
    this.costs.push(cost);
    this.sequences.push(sequence);
  }
  pop(): number {
    this.sequences.shift();
    return this.costs.shift() as number;
  }
  clear(): void {
    this.costs.clear();
    this.sequences.clear();
  }
}

export class Dispatcher implements StatePart {
  /** Cost of the last choice. */
  lastCost = 0;
  readonly #flows: number;
  readonly #queues: CostQueue[];
  readonly #ready: Uint8Array;
  readonly #weights: Int32Array;
  readonly #deficits: Float64Array;
  /** Flows in the list, in order from `#first` on, round. */
  readonly #list: Int32Array;
  readonly #c = { policy: 0, quantum: 1, first: 0, count: 0, granted: false, sequence: 0 };

  constructor(flows: number) {
    this.#flows = flows;
    this.#queues = Array.from({ length: flows }, () => new CostQueue());
    this.#ready = new Uint8Array(flows).fill(1);
    this.#weights = new Int32Array(flows).fill(1);
    this.#deficits = new Float64Array(flows);
    this.#list = new Int32Array(flows);
  }

  /** POLICY.*; a change forgets deficits. */
  setPolicy(policy: number): void {
    if (policy === this.#c.policy) return;
    this.#c.policy = policy;
    this.#c.granted = false;
    this.#deficits.fill(0);
  }
  /** What weight 1 is given a visit; at least 1. To serve in every visit it must be no less than the largest cost. */
  setQuantum(quantum: number): void {
    this.#c.quantum = Math.max(1, quantum);
  }
  /** At least 1. */
  setWeight(flow: number, weight: number): void {
    this.#weights[flow] = Math.max(1, weight);
  }
  /** A flow that is not ready is passed over as if it had nothing. */
  setReady(flow: number, ready: boolean): void {
    if ((this.#ready[flow] === 1) === ready) return;
    this.#ready[flow] = ready ? 1 : 0;
    if (this.length(flow) === 0) return;
    if (ready) this.#join(flow);
    else this.#leave(flow);
  }

  /** Costs that wait. */
  length(flow: number): number {
    return (this.#queues[flow] as CostQueue).length;
  }
  /** Flows that could be served. */
  get active(): number {
    return this.#c.count;
  }

  enqueue(flow: number, cost: number): void {
    const queue = this.#queues[flow] as CostQueue;
    queue.push(cost, this.#c.sequence++);
    if (queue.length === 1 && this.#ready[flow] === 1) this.#join(flow);
  }

  /** Drops all costs of a flow. */
  clear(flow: number): void {
    const queue = this.#queues[flow] as CostQueue;
    if (queue.length > 0 && this.#ready[flow] === 1) this.#leave(flow);
    queue.clear();
  }

  /** The flow to serve, whose first cost is taken away; -1 where there is none. */
  next(): number {
    const c = this.#c;
    if (c.count === 0) return -1;
    if (c.policy === POLICY.fifo) return this.#serve(this.#oldest());
    for (;;) {
      const flow = this.#list[c.first] as number;
      if (!c.granted) {
        this.#grant(flow);
        c.granted = true;
      }
      const queue = this.#queues[flow] as CostQueue;
      const cost = c.policy === POLICY.deficit ? (queue.costs.at(0) as number) : 1;
      const deficit = this.#deficits[flow] as number;
      if (cost <= deficit) {
        this.#deficits[flow] = deficit - cost;
        return this.#serve(flow);
      }
      this.#rotate();
    }
  }

  #grant(flow: number): void {
    const { policy, quantum } = this.#c;
    const weight = this.#weights[flow] as number;
    if (policy === POLICY.deficit) this.#deficits[flow] = (this.#deficits[flow] as number) + weight * quantum;
    else this.#deficits[flow] = policy === POLICY.weightedRoundRobin ? weight : 1;
  }

  #oldest(): number {
    const c = this.#c;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < c.count; i++) {
      const flow = this.#list[(c.first + i) % this.#flows] as number;
      const queue = this.#queues[flow] as CostQueue;
      const sequence = queue.sequences.at(0) as number;
      if (sequence < least) {
        least = sequence;
        best = flow;
      }
    }
    return best;
  }

  #serve(flow: number): number {
    const queue = this.#queues[flow] as CostQueue;
    this.lastCost = queue.pop();
    if (queue.length === 0) this.#leave(flow);
    return flow;
  }

  #join(flow: number): void {
    const c = this.#c;
    this.#list[(c.first + c.count) % this.#flows] = flow;
    c.count++;
    this.#deficits[flow] = 0;
  }

  #leave(flow: number): void {
    const c = this.#c;
    const n = this.#flows;
    let at = 0;
    while (this.#list[(c.first + at) % n] !== flow) at++;
    if (at === 0) {
      c.first = (c.first + 1) % n;
      c.granted = false;
    } else {
      for (; at + 1 < c.count; at++) this.#list[(c.first + at) % n] = this.#list[(c.first + at + 1) % n] as number;
    }
    c.count--;
    this.#deficits[flow] = 0;
  }

  #rotate(): void {
    const c = this.#c;
    const flow = this.#list[c.first] as number;
    c.first = (c.first + 1) % this.#flows;
    this.#list[(c.first + c.count - 1) % this.#flows] = flow;
    c.granted = false;
  }

  save(): StateValue {
    return {
      ...this.#c,
      ready: this.#ready.slice(),
      weights: this.#weights.slice(),
      deficits: this.#deficits.slice(),
      list: this.#list.slice(),
      costs: this.#queues.map((q) => Float64Array.from(q.costs.toArray())),
      sequences: this.#queues.map((q) => Float64Array.from(q.sequences.toArray())),
    };
  }

  load(value: StateValue, path: string): void {
    const { ready, weights, deficits, list, costs, sequences, ...rest } = value as { [name: string]: StateValue };
    assignState(this.#c, rest, path);
    assignState(this.#ready, ready ?? null, `${path}.ready`);
    assignState(this.#weights, weights ?? null, `${path}.weights`);
    assignState(this.#deficits, deficits ?? null, `${path}.deficits`);
    assignState(this.#list, list ?? null, `${path}.list`);
    this.#queues.forEach((queue, flow) => {
      const saved = Array.isArray(costs) ? (costs as StateValue[])[flow] : undefined;
      const order = Array.isArray(sequences) ? (sequences as StateValue[])[flow] : undefined;
      if (!(saved instanceof Float64Array) || !(order instanceof Float64Array) || saved.length !== order.length) {
        throw new SnapshotError(`${path}.costs: expected a list for each flow`);
      }
      queue.costs.set([...saved]);
      queue.sequences.set([...order]);
    });
  }

  reset(): void {
    const c = this.#c;
    c.policy = 0;
    c.quantum = 1;
    c.first = 0;
    c.count = 0;
    c.granted = false;
    c.sequence = 0;
    this.#ready.fill(1);
    this.#weights.fill(1);
    this.#deficits.fill(0);
    this.#list.fill(0);
    for (const queue of this.#queues) queue.clear();
  }
}
