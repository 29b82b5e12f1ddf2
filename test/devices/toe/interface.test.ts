/** Enabling, reset, errors, interrupts, timing, dispatcher and port: docs/devices/toe.md 4 to 6, 11 to 14. Numbers are the manual's. */
import { describe, expect, it } from "vitest";
import { NS, US } from "../../../src/sim/index.ts";
import { bench, Driver, pattern } from "./device.ts";

const COUNTERS = 0x400;

function counter(d: Driver, k: number): number {
  return d.read(COUNTERS + 8 * k);
}

describe("enabling and reset", () => {
  it("3: frames identify themselves", () => {
    const d = new Driver(bench(), 3);
    expect([d.managed(0), d.managed(4), d.read(0), d.read(4), d.read(8)]).toEqual([
      0x4d45_4f54, 0x100, 0x4945_4f54, 0x100, 3,
    ]);
    expect(d.managed(8)).toBe(4 | (8 << 8) | (16 << 16));
  });
  it("4: READY needs the grant and ENABLE, in either order", () => {
    const b = bench();
    const d = new Driver(b, 0, false).start();
    expect(d.read(0x24)).toBe(8);
    d.manage(0x1000, 1);
    expect(d.read(0x24)).toBe(8 | 2 | 1);
    expect(d.call({ opcode: 0 }).status).toBe(0);
    const other = new Driver(b, 1).start();
    expect(other.read(0x24)).toBe(8 | 2 | 1);
  });
  it("4: a ring without size, or a base of 0, sets FAILED with cause 6; reset is the way out", () => {
    const d = new Driver(bench(), 0);
    d.write(0x20, 1);
    expect([d.read(0x24), d.read(0x28), d.read(0x40)]).toEqual([8 | 4 | 2, 6, 4]);
    expect([d.managed(0x28), d.managed(0x20)]).toEqual([1, 2]);
    d.start();
    expect([d.read(0x24), d.read(0x28)]).toEqual([8 | 2 | 1, 0]);
    d.write(0x20, 0);
    d.write(0xa0, 0);
    d.write(0x20, 1);
    expect([d.read(0x24), d.read(0x28)]).toEqual([8 | 4 | 2, 6]);
  });
  const endings = [
    { title: "clearing CONTROL.ENABLE", status: 40, end: (d: Driver) => d.write(0x20, 0) },
    { title: "CONTROL.RESET", status: 39, end: (d: Driver) => d.write(0x20, 2) },
    { title: "IF_CONTROL.RESET", status: 39, end: (d: Driver) => d.manage(0x1000, 3) },
    { title: "clearing IF_CONTROL.ENABLE", status: 40, end: (d: Driver) => d.manage(0x1000, 0) },
    { title: "management CONTROL.RESET", status: 39, end: (d: Driver) => d.manage(0x10, 1) },
  ];
  for (const { title, status, end } of endings) {
    it(`4: ${title} completes what is outstanding with status ${status} at once, and forgets the sockets`, () => {
      const b = bench();
      const d = new Driver(b, 0).start();
      const socket = d.connect();
      b.stack(0).auto = false;
      d.submit(
        { opcode: 7, socket, length: 10, buffer: d.data, tag: 1 },
        { opcode: 6, flags: 4, socket, length: 10, buffer: d.data, tag: 2 },
        { opcode: 15, socket, arg0: 16, tag: 3 },
      );
      b.run();
      d.submit({ opcode: 0, tag: 4 });
      end(d);
      const bytes = d.load(d.base + 0x1000 + 64 * d.head, 64 * 3);
      const seen = [0, 1, 2].map((i) => [bytes[64 * i + 8], bytes[64 * i + 62]]);
      expect(seen).toEqual([
        [1, status],
        [2, status],
        [3, status],
      ]);
      expect([d.read(0x24) & 1, d.read(0x120), d.read(0x128)]).toEqual([0, 0, 0]);
      expect([b.stack(0).cleared, b.stack(0).sockets.size]).toEqual([1, 0]);
      b.run();
      expect(d.load(d.base + 0x1000 + 64 * (d.head + 3), 64)).toEqual(new Uint8Array(64));
    });
  }
  it("4: when management disables it, ERROR comes with cause 7, and the grant alone does not bring it back", () => {
    const d = new Driver(bench(), 0).start();
    d.manage(0x1000, 0);
    expect([d.read(0x28), d.read(0x40), d.read(0x24)]).toEqual([7, 4, 8]);
    d.manage(0x1000, 1);
    expect(d.read(0x24)).toBe(8 | 2);
    d.start();
    expect(d.read(0x24)).toBe(8 | 2 | 1);
  });
});

describe("errors", () => {
  it("5: an index outside its ring is ignored, with cause 1; the interface goes on", () => {
    const d = new Driver(bench(), 0).start();
    for (const offset of [0x8c, 0xac, 0xcc, 0xec]) {
      d.write(0x40, 31);
      d.write(offset, 64);
      expect([d.read(offset), d.read(0x28), d.read(0x40) & 4]).toEqual([0, 1, 4]);
    }
    expect(d.call({ opcode: 0 }).status).toBe(0);
  });
  const rings = [
    { title: "submission ring", base: 0x80, cause: 2, act: (d: Driver) => d.write(0x8c, 1) },
    { title: "completion ring", base: 0xa0, cause: 3, act: (d: Driver) => d.submit({ opcode: 0 }) },
  ];
  for (const { title, base, cause, act } of rings) {
    it(`5: a ${title} that nothing answers for sets FAILED with cause ${cause} and the address; others go on`, () => {
      const b = bench();
      const other = new Driver(b, 1).start();
      const d = new Driver(b, 0).start();
      d.write(0x20, 0);
      d.write(base, 0x1000);
      d.write(0x20, 1);
      d.tail = 0;
      act(d);
      b.run();
      expect([d.read(0x24), d.read(0x28), d.read(0x30)]).toEqual([8 | 4 | 2, cause, 0x1000]);
      expect(other.call({ opcode: 0 }).status).toBe(0);
      d.start();
      expect(d.call({ opcode: 0 }).status).toBe(0);
    });
  }
  it("5: an event ring that cannot be written sets FAILED with cause 4, a bad pool only cause 5", () => {
    const b = bench();
    const d = new Driver(b, 0).start();
    d.write(0x20, 0);
    d.write(0xc0, 0x2000);
    d.write(0xe0, 0x3000);
    d.store(d.base, new Uint8Array(0x2000));
    d.write(0x20, 1);
    d.tail = 0;
    d.head = 0;
    const socket = d.connect();
    d.submit({ opcode: 7, flags: 16, socket, length: 10 });
    d.write(0xec, 1);
    b.stack(0).deliver(socket, pattern(10));
    b.run();
    expect([d.read(0x24) & 4, d.read(0x28), d.read(0x30)]).toEqual([0, 5, 0x3000]);
    d.submit({ opcode: 13, socket, arg0: 256, arg1: 255 });
    b.run();
    expect([d.read(0x24) & 4, d.read(0x28), d.read(0x30)]).toEqual([4, 4, 0x2000]);
  });
});

describe("interrupts", () => {
  it("11: the line follows status and enable; writing 1 clears; a message comes again while a bit is left", () => {
    const b = bench();
    const d = new Driver(b, 0).start();
    const i = b.core.interfaces[0];
    let messages = 0;
    if (i) i.interrupts.onMessage = () => void messages++;
    d.submit({ opcode: 0 });
    b.run();
    expect([d.read(0x40), i?.interrupt.level, messages]).toEqual([1, false, 0]);
    d.write(0x44, 31);
    expect([i?.interrupt.level, messages]).toEqual([true, 1]);
    d.write(0x48, 2);
    d.write(0x40, 1);
    expect([i?.interrupt.level, messages, d.read(0x40)]).toEqual([true, 2, 2]);
    d.write(0x40, 2);
    expect([i?.interrupt.level, messages]).toEqual([false, 2]);
  });
  it("11: moderation waits for COUNT completions or TIME microseconds after the first", () => {
    const b = bench();
    const d = new Driver(b, 0).start();
    d.write(0x4c, 3 | (50 << 16));
    d.submit({ opcode: 0 }, { opcode: 0 });
    b.run(40 * US);
    expect([d.reap().length, d.read(0x40)]).toEqual([2, 0]);
    b.run(20 * US);
    expect(d.read(0x40)).toBe(1);
    d.write(0x40, 1);
    d.submit({ opcode: 0 }, { opcode: 0 }, { opcode: 0 });
    b.run(10 * US);
    expect(d.read(0x40)).toBe(1);
  });
});

describe("timing", () => {
  it("12, 13.5: a command takes COMMAND_TIME, a SEND its payload at PIPELINE_RATE besides", () => {
    const b = bench();
    const d = new Driver(b, 0).start();
    const socket = d.connect();
    const measure = (c: Parameters<Driver["submit"]>[0]) => {
      d.submit(c);
      const from = b.simulation.now;
      for (let t = 0; d.reap().length === 0; t++) {
        if (t > 100_000) return -1;
        b.run(NS);
      }
      return (b.simulation.now - from) / NS;
    };
    expect(measure({ opcode: 0 })).toBe(200);
    // 16,000 bytes at 16,000 Mb/s are 8,000 ns.
    expect(measure({ opcode: 6, socket, length: 16_000, buffer: d.data })).toBe(8200);
    d.manage(0x48, 1000);
    d.manage(0x44, 0);
    expect(measure({ opcode: 6, socket, length: 16_000, buffer: d.data })).toBe(1000);
  });
  it("12: received payload passes the receive pipeline before its completion", () => {
    const b = bench();
    const d = new Driver(b, 0).start();
    const socket = d.connect();
    d.submit({ opcode: 7, socket, length: 16_000, buffer: d.data });
    b.run();
    b.stack(0).deliver(socket, pattern(16_000));
    b.run(7999 * NS);
    expect(d.reap()).toEqual([]);
    b.run(1 * NS);
    expect(d.reap().length).toBe(1);
  });
});

describe("dispatcher in the device", () => {
  /** Interfaces 0 to n - 1 keep 40 SENDs of their size outstanding for `time`; cost served by each (counter 18). */
  const contend = (
    sizes: readonly number[],
    weights: readonly number[],
    policy: number,
    check?: (s: number[]) => void,
  ) => {
    const b = bench(sizes.length);
    const drivers = sizes.map((_, n) => new Driver(b, n).start());
    drivers[0]?.manage(0x60, policy);
    const sockets = drivers.map((d) => d.connect());
    drivers.forEach((d, n) => {
      d.manage(0x1018 + 0x40 * n, weights[n] as number);
    });
    const before = drivers.map((d) => counter(d, 18));
    const fill = (d: Driver, n: number, count: number) => {
      for (let i = 0; i < count; i++)
        d.put({ opcode: 6, socket: sockets[n] as number, length: sizes[n] as number, buffer: d.data });
      d.ring();
    };
    drivers.forEach((d, n) => {
      fill(d, n, 40);
    });
    let served: number[] = [];
    for (let i = 0; i < 100; i++) {
      b.run(20 * US);
      drivers.forEach((d, n) => {
        fill(d, n, d.reap().length);
      });
      served = drivers.map((d, n) => counter(d, 18) - (before[n] as number));
      check?.(served);
    }
    return served;
  };
  it("12.1: weights 1, 2, 4 with mixed sizes: within QUANTUM + 2 MAX_LENGTH at every instant", () => {
    const weights = [1, 2, 4];
    const served = contend([1500, 65_536, 9000], weights, 0, (s) => {
      const scaled = s.map((v, i) => v / (weights[i] as number));
      expect(Math.max(...scaled) - Math.min(...scaled)).toBeLessThanOrEqual(3 * 65_536);
    });
    const sum = served.reduce((a, v) => a + v, 0);
    expect(sum).toBeGreaterThan(2_000_000);
  });
  it("12.1: first come, first served shares by offered bytes", () => {
    const [small = 0, large = 0] = contend([6000, 60_000], [1, 1], 1);
    expect(large / small).toBeGreaterThan(8);
  });
  it("12.1, 12: coupled, an interface whose machine does not run waits; decoupled it does not", () => {
    for (const coupled of [0, 0x100]) {
      const b = bench(2);
      const d = new Driver(b, 1).start();
      d.manage(0x60, coupled);
      d.manage(0x70, 1);
      d.submit(...Array.from({ length: 20 }, (_, tag) => ({ opcode: 0, tag })));
      b.run();
      expect(d.reap().length).toBe(coupled === 0 ? 20 : 0);
      d.manage(0x70, 3);
      b.run();
      expect(d.reap().length).toBe(coupled === 0 ? 0 : 20);
    }
  });
  it("13.3: OUTSTANDING bounds an interface's commands; the others wait in the ring", () => {
    const b = bench();
    const d = new Driver(b, 0).start();
    const socket = d.connect();
    d.manage(0x58, 5);
    d.submit(...Array.from({ length: 20 }, (_, tag) => ({ opcode: 7, socket, length: 1, buffer: d.data, tag })));
    b.run();
    expect([d.read(0x128), d.read(0x90), d.read(0x14)]).toEqual([5, (d.tail + 64 - 15) % 64, 5]);
    b.stack(0).deliver(socket, pattern(20));
    b.run();
    expect(d.reap().map((c) => c.tag)).toEqual(Array.from({ length: 20 }, (_, tag) => tag));
  });
});

describe("management", () => {
  it("13.1: addresses count up from the device's; the interface reads its own", () => {
    const d = new Driver(bench(), 2);
    expect([d.managed(0x1088), d.managed(0x108c)]).toEqual([0x0000_0002, 0x0210]);
    expect([d.read(0x100), d.read(0x104)]).toEqual([0x0000_0002, 0x0210]);
  });
  it("13.2: table entries are written, read back, refused and cleared; APPLY gives them to the stack", () => {
    const b = bench();
    const d = new Driver(b, 1);
    const put = (select: number, words: readonly number[], gateway: readonly number[], prefix: number) => {
      d.manage(0x80, select);
      words.forEach((w, i) => {
        d.manage(0x90 + 4 * i, w);
      });
      gateway.forEach((w, i) => {
        d.manage(0xa0 + 4 * i, w);
      });
      d.manage(0xb0, prefix);
      d.manage(0x84, 1);
      return d.managed(0x88);
    };
    const zero = [0, 0, 0, 0];
    const mapped = (a: number) => [0, 0, 0xffff_0000, a];
    expect(put(1, mapped(0x0f02_000a), zero, 0x100 | 120)).toBe(0);
    expect(put(1 | (7 << 16), [0x80fe, 0, 0, 0x0100_0000], zero, 0x100 | 64)).toBe(0);
    expect(put(1 | 0x100, mapped(0), mapped(0x0202_000a), 0x100 | 96)).toBe(0);
    expect(put(1 | (8 << 16), mapped(0x0f02_000a), zero, 0x100 | 120)).toBe(1);
    expect(put(4, mapped(0x0f02_000a), zero, 0x100 | 120)).toBe(1);
    expect(put(1, mapped(0x0f02_000a), zero, 0x100 | 95)).toBe(1);
    expect(put(1, mapped(0x0f02_000a), zero, 0x100 | 129)).toBe(1);
    expect(put(1 | 0x100, mapped(0), [0x80fe, 0, 0, 1], 0x100 | 96)).toBe(1);
    d.manage(0x1040, 1 | 4);
    expect(b.stack(1).configuration).toEqual({
      mac: Uint8Array.of(2, 0, 0, 0, 0x10, 1),
      mtu: 1500,
      addresses: [
        { address: Uint8Array.of(10, 0, 2, 15), prefix: 24 },
        { address: Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), prefix: 64 },
      ],
      routes: [{ destination: Uint8Array.of(0, 0, 0, 0), prefix: 0, gateway: Uint8Array.of(10, 0, 2, 2) }],
    });
    expect([d.read(0x208), d.read(0x20c), d.read(0x280)]).toEqual([0xffff_0000, 0x0f02_000a, 0x100 | 120]);
    d.manage(0x80, 1);
    d.manage(0x84, 2);
    expect([d.managed(0x9c), d.managed(0xb0)]).toEqual([0x0f02_000a, 0x100 | 120]);
    d.manage(0x84, 3);
    d.manage(0x1040, 1 | 4);
    expect(b.stack(1).configuration?.addresses).toEqual([]);
  });
  it("13.3: memory quotas together stay within MEMORY_TOTAL; the socket quota counts", () => {
    const b = bench(4);
    const d = new Driver(b, 0).start();
    expect([d.managed(0x0c), d.managed(0x1028)]).toEqual([64 * 2 ** 20, 16 * 2 ** 20]);
    d.manage(0x1028, 17 * 2 ** 20);
    expect(d.managed(0x1028)).toBe(16 * 2 ** 20);
    d.manage(0x1024, 1);
    d.manage(0x1000, 1 | 4);
    expect(d.call({ opcode: 1, arg0: 1, arg1: 4 }).status).toBe(0);
    expect(d.call({ opcode: 1, arg0: 1, arg1: 4 }).status).toBe(15);
  });
});

describe("network port", () => {
  const frame = (to: readonly number[], length = 100, seed = 1) => {
    const f = pattern(length, seed);
    f.set(to);
    f[12] = 8;
    f[13] = 0;
    return f;
  };
  const mac = (n: number) => [2, 0, 0, 0, 0x10, n];
  const all = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
  const start = (n: number) => {
    const b = bench(n);
    return { b, drivers: Array.from({ length: n }, (_, i) => new Driver(b, i).start()) };
  };

  it("13.4: a frame from the wire goes to the interface with its address and VLAN; groups to all of the VLAN", () => {
    const { b, drivers } = start(3);
    drivers[0]?.manage(0x1010 + 0x80, 7);
    b.core.receive(frame(mac(1)));
    b.core.receive(frame(mac(2)));
    b.core.receive(frame(all));
    const tagged = new Uint8Array(104);
    tagged.set(frame(mac(2)).subarray(0, 12));
    tagged.set([0x81, 0, 0x20, 7], 12);
    tagged.set(frame(mac(2)).subarray(12), 16);
    b.core.receive(tagged);
    b.run();
    expect([0, 1, 2].map((n) => b.stack(n).frames.length)).toEqual([1, 2, 1]);
    expect(b.stack(2).frames[0]).toEqual(frame(mac(2)));
    expect(drivers[0]?.managed(0x400 + 8 * 4)).toBe(1);
  });
  it("13.4: between interfaces a frame stays inside; IF_PEERS forbids; broadcast goes to the wire as well", () => {
    const { b, drivers } = start(3);
    drivers[0]?.manage(0x1030, 0xffff_fffd);
    expect(b.core.network.transmit(0, frame(mac(1)))).toBe(true);
    expect(b.core.network.transmit(0, frame(mac(2)))).toBe(true);
    b.run();
    expect([b.stack(1).frames.length, b.stack(2).frames.length, b.wire.length]).toEqual([0, 1, 0]);
    b.core.network.transmit(0, frame(all));
    b.run();
    expect([b.stack(1).frames.length, b.stack(2).frames.length, b.wire.length]).toEqual([0, 2, 1]);
    expect(drivers[0] && counter(drivers[0], 12)).toBe(2);
  });
  it("13.5: frames leave at LINE_RATE, (length + 24) x 8 bits each", () => {
    const { b } = start(2);
    for (let n = 0; n < 10; n++) b.core.network.transmit(0, frame([2, 9, 9, 9, 9, 9], 1226));
    b.run(10 * US - 1);
    expect(b.wire.length).toBe(9);
    b.run(1);
    expect(b.wire.length).toBe(10);
  });
  it("13.4: IF_RATE limits one interface behind a burst, and no other", () => {
    const { b, drivers } = start(2);
    // 100 Mb/s: 1,250 bytes take 100 us; the burst is 16,384 bytes.
    drivers[0]?.manage(0x101c, 100);
    for (let n = 0; n < 100; n++) for (const i of [0, 1]) b.core.network.transmit(i, frame([2, 9, 9, 9, 9, i], 1226));
    b.run(1000 * US);
    const sent = (i: number) => b.wire.filter((f) => f[5] === i).length;
    expect(sent(1)).toBe(100);
    expect(sent(0)).toBeGreaterThanOrEqual(22);
    expect(sent(0)).toBeLessThanOrEqual(24);
    b.run(1000 * US);
    expect(sent(0)).toBeGreaterThanOrEqual(32);
    expect(sent(0)).toBeLessThanOrEqual(34);
  });
  it("13.5: what TRANSMIT_MEMORY and RECEIVE_MEMORY cannot hold is dropped and counted", () => {
    const { b, drivers } = start(2);
    drivers[0]?.manage(0x54, 4000);
    drivers[0]?.manage(0x50, 4000);
    const taken = Array.from({ length: 8 }, () => b.core.network.transmit(0, frame([2, 9, 9, 9, 9, 9], 1000)));
    expect(taken.filter((t) => t).length).toBe(5);
    for (let n = 0; n < 8; n++) b.core.receive(frame(mac(0), 1000));
    b.run();
    expect([b.stack(0).frames.length, b.wire.length]).toEqual([4, 5]);
    const [d] = drivers;
    expect(d && [counter(d, 11), counter(d, 10)]).toEqual([3, 4]);
  });
  it("4: without carrier nothing moves, and LINK is told to all", () => {
    const { b, drivers } = start(2);
    b.core.network.setCarrier(false);
    b.core.receive(frame(mac(0)));
    b.core.network.transmit(0, frame([2, 9, 9, 9, 9, 9]));
    b.run();
    expect([b.stack(0).frames.length, b.wire.length, drivers[1]?.read(0x40), drivers[0]?.managed(0x20)]).toEqual([
      0, 0, 8, 1,
    ]);
    b.core.network.setCarrier(true);
    b.run();
    expect(b.wire.length).toBe(1);
  });
});

describe("rings elsewhere", () => {
  it("5: bases up to 2^48 are tried and fail; higher ones are refused with cause 6", () => {
    const b = bench();
    const d = new Driver(b, 0).start();
    d.write(0x20, 0);
    d.write(0x84, 0xffff);
    d.write(0x80, 0xffff_ffc0);
    d.write(0x20, 1);
    expect(d.read(0x28)).toBe(6);
  });
});
