/** Bad input (docs/devices/toe.md 5): whatever one interface's user writes, nothing throws or leaks, and the others' data is what it was. */
import { describe, expect, it } from "vitest";
import { MS, Random, US } from "../../../src/sim/index.ts";
import { seeds } from "../../support/soak.ts";
import { type Bench, Driver, pattern, RAM } from "./device.ts";
import { address, realBench, TOE } from "./real.ts";

/** A transfer between interfaces 1 and 2 in pieces; `step` goes on with it and says what came. */
class Victims {
  readonly server: Driver;
  readonly client: Driver;
  readonly received: number[] = [];
  readonly statuses: number[] = [];
  readonly #accepted: number;
  readonly #to: number;
  #n = 0;

  constructor(b: Bench) {
    this.server = address(new Driver(b, 1, false));
    this.client = address(new Driver(b, 2, false));
    const at = this.server.call({ opcode: 1, arg0: 1, arg1: 4 }).socket;
    this.server.call({ opcode: 2, socket: at, port: 80 });
    this.server.call({ opcode: 3, socket: at, arg0: 4 });
    this.server.submit({ opcode: 4, socket: at });
    this.#to = this.client.call({ opcode: 1, arg0: 1, arg1: 4 }).socket;
    const peer = new Uint8Array(16);
    peer.set([0xff, 0xff, 10, 0, 0, 2], 10);
    this.client.call({ opcode: 5, socket: this.#to, address: peer, port: 80 });
    this.#accepted = this.server.reap()[0]?.socket ?? -1;
  }

  step(): void {
    const { server, client } = this;
    const data = pattern(3000, this.#n++);
    client.store(client.data, data);
    server.submit({ opcode: 7, flags: 8, socket: this.#accepted, length: 3000, buffer: server.data });
    client.submit({ opcode: 6, flags: 4, socket: this.#to, length: 3000, buffer: client.data });
  }
  collect(): void {
    for (const d of [this.server, this.client]) for (const c of d.reap()) this.statuses.push(c.status, c.result);
    const data = this.server.load(this.server.data, 3000);
    this.received.push(data.reduce((sum, byte, i) => (sum + byte * (i + 1)) % 1_000_003, 0));
  }
}

/** What the hostile interface does between two pieces of the victims' transfer. */
type Attack = (d: Driver, random: Random) => void;

function address48(random: Random): number {
  const kind = random.below(8);
  if (kind === 0) return random.uint32();
  if (kind === 1) return TOE + random.below(0x4_0000);
  if (kind === 2) return 2 ** 48 - random.below(200);
  if (kind === 3) return random.uint32() * 2 ** 20;
  // Its own memory, where rings are too.
  return RAM + random.below(0x4_0000);
}

const command: Attack = (d, random) => {
  d.put({
    opcode: random.below(10) === 0 ? random.below(256) : random.below(18),
    flags: random.below(3) === 0 ? random.below(256) : ([0, 0, 1, 2, 4, 8, 16, 48][random.below(8)] as number),
    tag: random.below(4),
    socket: random.below(8) === 0 ? random.uint32() : random.below(8),
    length: random.below(4) === 0 ? random.uint32() : random.below(66_000),
    buffer: address48(random),
    arg0: random.below(3) === 0 ? random.uint32() : random.below(18),
    arg1: [4, 6, random.below(70), random.uint32()][random.below(4)] as number,
    address:
      random.below(2) === 0
        ? pattern(16, random.below(99))
        : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, random.below(5)),
    port: random.below(3) === 0 ? 80 : random.below(65_536),
    timeout: random.below(3) === 0 ? random.below(3000) : 0,
  });
};

const MIDDLE = "reset in the middle of everything";

const attacks: { readonly [title: string]: Attack } = {
  "commands with every field hostile": (d, random) => {
    for (let n = random.below(30); n >= 0; n--) command(d, random);
    d.ring();
    if (random.below(3) === 0) d.reap();
    if (random.below(20) === 0) d.start();
  },
  "ring pointers and sizes hostile": (d, random) => {
    for (let n = 0; n < 6; n++) {
      const offset = [0x80, 0x84, 0x88, 0x8c, 0xa0, 0xa4, 0xa8, 0xac, 0xc0, 0xc8, 0xcc, 0xe0, 0xe8, 0xec][
        random.below(14)
      ];
      const high = offset === 0x84 || offset === 0xa4;
      d.write(
        offset as number,
        high ? random.below(4) : random.below(2) === 0 ? address48(random) % 2 ** 32 : random.below(70),
      );
    }
    command(d, random);
    d.write(0x20, random.below(4));
    d.ring();
    if (random.below(6) === 0) d.start();
  },
  "rings on the device's own registers": (d, random) => {
    d.write(0x20, 2);
    for (const base of [0x80, 0xa0, 0xc0, 0xe0])
      d.write(base, random.below(3) === 0 ? RAM + 0x1000 * random.below(16) : TOE + 0x1_0000 + 64 * random.below(8));
    for (const size of [0x88, 0xa8, 0xc8, 0xe8]) d.write(size, 1 + random.below(6));
    d.write(0x44, 31);
    d.write(0x20, 1);
    d.write(0x8c, random.below(4));
  },
  "doorbell storms": (d, random) => {
    for (let n = 0; n < 300; n++) d.write([0x8c, 0xac, 0xcc, 0xec][random.below(4)] as number, random.below(66));
    if (random.below(5) === 0) d.start();
  },
  [MIDDLE]: (d, random) => {
    for (let n = random.below(20); n >= 0; n--) command(d, random);
    d.ring();
    d.bench.run(random.below(20) * US);
    const end = random.below(4);
    if (end === 0) d.write(0x20, 2);
    else if (end === 1) d.write(0x20, 0);
    else if (end === 2) d.manage(0x1000, 0);
    else d.manage(0x1000, 3);
    expect([d.read(0x120), d.read(0x124), d.read(0x128)]).toEqual([0, 0, 0]);
    d.manage(0x1000, 1);
    d.start();
  },
};

function campaign(
  attack: Attack | null,
  rounds: number,
  seed = 7,
): { received: number[]; statuses: number[]; left: Driver; wrong: number } {
  const b = realBench(3);
  const random = new Random(seed, "hostile");
  const hostile = address(new Driver(b, 0, false));
  hostile.manage(0x1024, 64);
  const victims = new Victims(b);
  let wrong = 0;
  for (let n = 0; n < rounds; n++) {
    attack?.(hostile, random);
    victims.step();
    b.run(60 * MS);
    victims.collect();
    wrong += hostile.read(0x410) + hostile.read(0x28);
  }
  return { received: victims.received, statuses: victims.statuses, left: hostile, wrong };
}

describe("one interface hostile, two others at work", () => {
  const quiet = campaign(null, 60);
  it("the transfer itself is good", () => {
    expect(quiet.statuses.length).toBe(60 * 4);
    expect(new Set(quiet.statuses)).toEqual(new Set([0, 3000]));
    expect(new Set(quiet.received).size).toBeGreaterThan(30);
  });
  const campaigns = seeds([7]).flatMap((seed) => Object.entries(attacks).map((a) => [seed, ...a] as const));
  for (const [seed, title, attack] of campaigns) {
    it(`5: ${title}: the others' bytes and completions are the same, and a reset leaves nothing; seed ${seed}`, () => {
      const { received, statuses, left, wrong } = campaign(attack, 60, seed);
      expect(received).toEqual(quiet.received);
      expect(statuses).toEqual(quiet.statuses);
      left.manage(0x1000, 1);
      left.start();
      expect([left.read(0x120), left.read(0x124), left.read(0x128)]).toEqual([0, 0, 0]);
      expect(left.call({ opcode: 0 }).status).toBe(0);
      // Something did go wrong: by the device's own word, or in completions. Resets forget it.
      if (attack !== attacks[MIDDLE]) expect(wrong).toBeGreaterThan(0);
    });
  }
});

describe("reset at every moment of a transfer", () => {
  it("4: each command has one completion, the peer's interface goes on, and memory falls to zero", () => {
    for (let t = 0; t < 120; t += 7) {
      const b = realBench(3);
      const hostile = address(new Driver(b, 0, false));
      const victims = new Victims(b);
      const { socket } = hostile.call({ opcode: 1, arg0: 1, arg1: 4 });
      const server = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 2);
      hostile.submit(
        { opcode: 5, socket, address: server, port: 80, tag: 1 },
        { opcode: 6, flags: 4, socket, length: 60_000, buffer: hostile.data, tag: 2 },
        { opcode: 7, socket, length: 100, buffer: hostile.data, tag: 3 },
      );
      b.run(t * US);
      hostile.write(0x20, 0);
      const done = hostile.reap().map((c) => c.tag);
      expect(new Set(done).size).toBe(done.length);
      expect(done.length).toBeLessThanOrEqual(3);
      expect([hostile.read(0x90), done.length]).toEqual([(1 + done.length) % 64, done.length]);
      expect([hostile.read(0x120), hostile.read(0x124), hostile.read(0x128)]).toEqual([0, 0, 0]);
      victims.step();
      b.run(200 * MS);
      victims.collect();
      expect(victims.statuses).toEqual([0, 3000, 0, 3000]);
    }
  });
});

describe("commands that take no time", () => {
  it("13.5: completions that ring the device's own doorbell do not stop the clock", () => {
    const b = realBench(2);
    const d = address(new Driver(b, 0, false));
    // COMMAND_TIME and PIPELINE_RATE 0; the completion ring lies so that `user` of each completion is SQ_TAIL.
    d.manage(0x48, 0);
    d.manage(0x44, 0);
    d.write(0x20, 0);
    const at = TOE + 0x1_0000 + 0x80;
    d.write(0xa0, at);
    d.write(0xa8, 1);
    d.write(0x20, 1);
    d.tail = 0;
    for (let n = 0; n < 64; n++) d.put({ opcode: 0, tag: (n + 33) % 64, socket: (n + 33) % 64, user: (n + 33) % 64 });
    d.write(0x8c, 1);
    const from = b.simulation.now;
    b.run(20 * US);
    expect(b.simulation.now).toBe(from + 20 * US);
    expect(d.read(0x400)).toBeGreaterThan(0);
  });
});
