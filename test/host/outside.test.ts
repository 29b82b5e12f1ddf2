/** Networks whose far end is outside the simulation: sockets and TAP by themselves, and whole runs that meet through them. */
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readBeginning } from "../../src/host/keeper.ts";
import { HostNetworks, outsidePort } from "../../src/host/net/networks.ts";
import { OutsidePort } from "../../src/host/net/port.ts";
import { Waiter } from "../../src/host/net/waiter.ts";
import { parseCommandLine } from "../../src/host/options/parse.ts";
import type { NetworkOption, OutsideSpec } from "../../src/host/options/run-options.ts";
import { runSession } from "../../src/host/session.ts";
import { type Frame, type NetworkDevice, pcapngHeader, pcapngPacket } from "../../src/net/index.ts";
import { Module, MS } from "../../src/sim/index.ts";
import { StubMachine } from "./stub-machine.ts";

let directory = "";
const opened: OutsidePort[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "armature-"));
});
afterEach(async () => {
  for (const port of opened.splice(0)) await port.close();
  rmSync(directory, { recursive: true });
});

async function open(spec: OutsideSpec): Promise<OutsidePort> {
  const port = outsidePort("-netdev test", spec);
  opened.push(port);
  await port.start();
  return port;
}

const frameOf = (length: number, seed = 1) => Uint8Array.from({ length }, (_, i) => i * seed + (i >> 8));

/** What is compared element by element takes long. */
const text = (frames: readonly Frame[]) => frames.map((f) => Buffer.from(f).toString("latin1"));

/** Busy hosts take their time. */
const LONG = 20_000;

/** The next `count` frames. */
async function frames(port: OutsidePort, count: number): Promise<Frame[]> {
  const found: Frame[] = [];
  const deadline = Date.now() + LONG;
  while (found.length < count) {
    const frame = port.take();
    if (frame !== null) found.push(frame);
    else if (Date.now() > deadline) throw new Error(`${found.length} of ${count} frames came`);
    else await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return found;
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + LONG; !condition(); await new Promise((r) => setTimeout(r, 2))) {
    if (Date.now() > end) throw new Error("it did not come about");
  }
}

/** A UDP port of the loopback interface that is free now. */
async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(resolve));
  return port;
}

const SIZES = [14, 60, 61, 1514, 9014, 65_535];

describe("stream sockets", () => {
  it("frames of all lengths go both ways, many at once too", async () => {
    const address = { path: join(directory, "s") };
    const server = await open({ kind: "stream", server: true, address, reconnect: 0 });
    const client = await open({ kind: "stream", server: false, address, reconnect: 0 });
    await until(() => (server as OutsidePort & { connected: boolean }).connected);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      for (const size of SIZES) from.send(frameOf(size));
      for (let i = 0; i < 300; i++) from.send(frameOf(1514, i));
      from.flush();
      const all = [...SIZES.map((size) => frameOf(size)), ...Array.from({ length: 300 }, (_, i) => frameOf(1514, i))];
      expect(text(await frames(to, all.length))).toEqual(text(all));
    }
  });

  it("on the wire each frame follows its length, 32 bits, most significant byte first; pieces are put together", async () => {
    const path = join(directory, "s");
    const bytes: number[] = [];
    let peer: Socket | null = null;
    const server = createServer((socket) => {
      peer = socket;
      socket.on("data", (data) => bytes.push(...(data as Buffer)));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const client = await open({ kind: "stream", server: false, address: { path }, reconnect: 0 });
    client.send(frameOf(300));
    client.flush();
    await until(() => bytes.length >= 304);
    expect(bytes).toEqual([0, 0, 1, 44, ...frameOf(300)]);
    await until(() => peer !== null);
    for (const byte of [0, 0, 0, 20, ...frameOf(20), 0, 0, 0, 14, ...frameOf(14)]) {
      (peer as unknown as Socket).write(Uint8Array.of(byte));
    }
    expect(await frames(client, 2)).toEqual([frameOf(20), frameOf(14)]);
    (peer as unknown as Socket).destroy();
    server.close();
  });

  it("a frame of an impossible length ends the connection; the next client is served", async () => {
    const path = join(directory, "s");
    const server = await open({ kind: "stream", server: true, address: { path }, reconnect: 0 });
    const bad = createConnection(path);
    bad.on("error", () => undefined);
    const closed = new Promise<void>((resolve) => bad.once("close", () => resolve()));
    bad.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
    await closed;
    const client = await open({ kind: "stream", server: false, address: { path }, reconnect: 0 });
    client.send(frameOf(60));
    client.flush();
    expect(await frames(server, 1)).toEqual([frameOf(60)]);
  });

  it("a client without reconnect-ms says that nobody is there; with it, it finds the server later", async () => {
    const address = { path: join(directory, "s") };
    const alone = outsidePort("-netdev stream,id=n", { kind: "stream", server: false, address, reconnect: 0 });
    await expect(alone.start()).rejects.toThrow(
      `-netdev stream,id=n: cannot connect to unix:${address.path}: no such file`,
    );
    const client = await open({ kind: "stream", server: false, address, reconnect: 10 });
    client.send(frameOf(60));
    expect(client.lost).toBe(1);
    const server = await open({ kind: "stream", server: true, address, reconnect: 0 });
    await until(() => (client as OutsidePort & { connected: boolean }).connected);
    client.send(frameOf(61));
    client.flush();
    expect(await frames(server, 1)).toEqual([frameOf(61)]);
  });
});

describe("datagram sockets", () => {
  it("UDP: one frame a datagram, both ways", async () => {
    const a = { host: "127.0.0.1", port: await freePort() };
    const b = { host: "127.0.0.1", port: await freePort() };
    const first = await open({ kind: "dgram", local: a, remote: b });
    const second = await open({ kind: "dgram", local: b, remote: a });
    for (const [from, to] of [
      [first, second],
      [second, first],
    ] as const) {
      for (const size of [14, 1514, 9014]) from.send(frameOf(size));
      expect(await frames(to, 3)).toEqual([frameOf(14), frameOf(1514), frameOf(9014)]);
    }
  });

  it("UDP multicast: all of a group hear each other, on one host too", async () => {
    const remote = { host: "239.192.1.2", port: await freePort() };
    const local = { host: "127.0.0.1", port: 0 };
    const [first, second, third] = [
      await open({ kind: "dgram", local, remote }),
      await open({ kind: "dgram", local, remote }),
      await open({ kind: "dgram", local, remote }),
    ];
    first?.send(frameOf(200));
    expect(await frames(second as OutsidePort, 1)).toEqual([frameOf(200)]);
    expect(await frames(third as OutsidePort, 1)).toEqual([frameOf(200)]);
  });

  it("Unix: the same between two paths; a peer that is not there loses frames", async () => {
    const [a, b] = [{ path: join(directory, "a") }, { path: join(directory, "b") }] as const;
    const first = await open({ kind: "dgram", local: a, remote: b });
    first.send(frameOf(60));
    expect(first.lost).toBe(1);
    const second = await open({ kind: "dgram", local: b, remote: a });
    let told = 0;
    second.onReady = () => told++;
    expect(second.ready).toBe(false);
    second.listen();
    first.send(frameOf(1514));
    await until(() => told > 0);
    expect(second.take()).toEqual(frameOf(1514));
    second.send(frameOf(64));
    expect(await frames(first, 1)).toEqual([frameOf(64)]);
  });

  it("one thread waits for many: eight sockets, each told of its own frames", async () => {
    const waiter = new Waiter();
    const path = (n: number) => ({ path: join(directory, `m${n}`) });
    const ports: OutsidePort[] = [];
    const told = Array(8).fill(0);
    for (let n = 0; n < 8; n++) {
      const port = outsidePort("-netdev test", { kind: "dgram", local: path(n), remote: path((n + 1) % 8) }, waiter);
      opened.push(port);
      ports.push(port);
      port.onReady = () => told[n]++;
      await port.start();
    }
    for (let round = 1; round <= 3; round++) {
      for (const port of ports) port.listen();
      for (const n of [0, 5]) ports[n]?.send(frameOf(100 + round, n));
      await until(() => told[1] >= round && told[6] >= round);
      expect([ports[1]?.take(), ports[6]?.take()]).toEqual([frameOf(100 + round, 0), frameOf(100 + round, 5)]);
      for (const port of ports) expect(port.ready).toBe(false);
    }
    expect(told.filter((n) => n > 0)).toHaveLength(2);
  });
});

describe("TAP", () => {
  it("an interface that cannot be had is said with what is needed", async () => {
    const tap = outsidePort("-netdev tap,id=n,ifname=lo", { kind: "tap", ifname: "lo" });
    await expect(tap.start()).rejects.toThrow(/^-netdev tap,id=n,ifname=lo: .*expected root \(or CAP_NET_ADMIN\)/);
  });
});

/** Answers of the other end after which a device that talks says goodbye. */
const ENOUGH = 50;
const GOODBYE = 200;

type CardCells = { sent: number; received: number; sum: number; over: boolean };

/**
 * A device that sends a frame every millisecond and counts what comes, and after enough of that says goodbye and switches its machine off; or one that sends
 * back what comes, and switches off at the goodbye.
 */
class Card extends Module implements NetworkDevice {
  onTransmit: ((frame: Frame) => void) | null = null;
  readonly cells = this.state<CardCells>({ sent: 0, received: 0, sum: 0, over: false });
  readonly #talks: boolean;
  readonly #machine: StubMachine;
  readonly #tick = this.event("tick", () => {
    const { cells } = this;
    if (cells.over) return this.#machine.onPower?.("off");
    cells.over = cells.received >= ENOUGH;
    this.onTransmit?.(frameOf(cells.over ? GOODBYE : 100, ++cells.sent));
    this.#tick.notify(MS);
  });

  constructor(machine: StubMachine, talks: boolean, name = "card") {
    super(machine.simulation, name);
    this.#talks = talks;
    this.#machine = machine;
  }
  receive(frame: Frame): void {
    const { cells } = this;
    cells.received++;
    cells.sum = (cells.sum * 31 + (frame[1] as number) + this.simulation.now) % 1_000_003;
    if (this.#talks) return;
    if (frame.length === GOODBYE) this.#machine.onPower?.("off");
    else if (cells.received <= 1000) this.onTransmit?.(frame);
  }
  protected override onReset(): void {
    if (this.#talks) this.#tick.notify(MS);
  }
}

/** What a network of that kind does with a machine's card, all inside the simulation. */
describe("traffic from the command line's networks", () => {
  function inside(...networks: NetworkOption["far"][]) {
    const machine = new StubMachine();
    const host = new HostNetworks();
    const cards = networks.map((far, n) => {
      const card = new Card(machine, false, `card${n}`);
      host.connect(machine.simulation, `n${n}`, card, { where: "-netdev n", id: `n${n}`, far, link: {} });
      return card;
    });
    return { machine, host, cards };
  }

  it("generator: sends, counts what the card sends back, tells it at the end", () => {
    const { machine, host, cards } = inside({ kind: "generator", traffic: { count: 5, size: 100 } });
    machine.simulation.reset();
    machine.simulation.run(MS);
    expect(cards[0]?.cells.received).toBe(5);
    expect(host.report().slice(0, 3)).toEqual([
      "network n0: sent 5 frames, 500 bytes",
      "network n0: received 5 frames, 500 bytes; 0 of others",
      "network n0: missing 0, duplicated 0, reordered 0, stale 0",
    ]);
  });

  it("pcap: the packets of a file; one that is no capture is a user's error", () => {
    const path = join(directory, "capture");
    const packet = (seed: number) => pcapngPacket(frameOf(60, seed), seed * 1000, true);
    writeFileSync(path, Buffer.concat([pcapngHeader("n"), packet(1), packet(2)]));
    const { machine, cards } = inside({ kind: "pcap", path, replay: {} });
    machine.simulation.reset();
    machine.simulation.run(MS);
    expect(cards[0]?.cells.received).toBe(2);
    writeFileSync(path, "this is no capture of anything");
    expect(() => inside({ kind: "pcap", path, replay: {} })).toThrow(`-netdev n: ${path}: not a capture`);
  });

  it("hubport: cards on one switch number hear each other, and a network that stands on it", () => {
    const { machine, host, cards } = inside({ kind: "hubport", hub: 0 }, { kind: "hubport", hub: 0 });
    host.connectSwitched(machine.simulation, {
      hub: 0,
      network: {
        where: "-netdev g",
        id: "g",
        far: { kind: "generator", traffic: { count: 3, start: MS } },
        link: {},
      },
    });
    machine.simulation.reset();
    machine.simulation.run(10 * MS);
    // Broadcasts reach both; each sends its copy back, which the switch floods to the other card and the generator.
    expect(cards.every((c) => c.cells.received >= 3)).toBe(true);
    expect(host.switches.get(0)?.ports).toHaveLength(3);
  });
});

describe("links to the outside", () => {
  it.each([
    [{ batch: 0 }, 24_608, [0, 1, 2, 3]],
    [{ batch: 0, rate: 1_000_000_000 }, 123_040, [0, 1, 2, 3]],
    [{ batch: 0, rate: () => 100_000_000 }, 1_230_400, [0, 1, 2, 3]],
    [{}, 1_000_000, [0, 3, 3, 3]],
    [{ rate: 100_000_000 }, 2_000_000, [0, 1, 3, 3]],
  ])(
    "%o: frames of 1,514 bytes that come at once after %i units of 100 ps; 5 Gb/s and batches of 100 us unless given",
    (link, time, expected) => {
      const machine = new StubMachine();
      const networks = new HostNetworks();
      const card = new Card(machine, true);
      const far = { kind: "tap", ifname: "none" } as const;
      networks.connect(machine.simulation, "n", card, { where: "-netdev n", id: "n", far, link });
      machine.simulation.reset();
      for (let i = 0; i < 3; i++) networks.outside[0]?.enter(frameOf(1514));
      const counts = [time - 1, 1, time, time].map((span) => {
        machine.simulation.run(machine.simulation.now + span);
        return card.cells.received;
      });
      expect(counts).toEqual(expected);
    },
  );

  it("what is on the line when the machine is switched off still goes out, and the state stays as it is", async () => {
    const path = join(directory, "s");
    const server = await open({ kind: "stream", server: true, address: { path }, reconnect: 0 });
    const machine = new StubMachine();
    const networks = new HostNetworks();
    const card = new Card(machine, true);
    const far = { kind: "stream", server: false, address: { path }, reconnect: 0 } as const;
    networks.connect(machine.simulation, "n", card, { where: "-netdev n", id: "n", far, link: {} });
    const [network] = networks.outside;
    await network?.port.start();
    machine.simulation.reset();
    card.onTransmit?.(frameOf(100));
    card.onTransmit?.(frameOf(200));
    const hash = machine.simulation.stateHash();
    await network?.close();
    await network?.close();
    expect(await frames(server, 2)).toEqual([frameOf(100), frameOf(200)]);
    expect(server.ready).toBe(false);
    expect(machine.simulation.stateHash()).toBe(hash);
  });
});

class NetMachine extends StubMachine {
  readonly networks = new HostNetworks();
  readonly card: Card;

  constructor(far: OutsideSpec, talks: boolean) {
    super();
    this.card = new Card(this, talks);
    const option: NetworkOption = { where: "-netdev n", id: "n", far, link: { rate: 1_000_000_000 } };
    this.networks.connect(this.simulation, "card", this.card, option);
    this.simulation.reset();
  }
  get outside() {
    return this.networks.outside;
  }
  flush(): void {
    for (const { port } of this.outside) port.flush();
  }
}

function start(machine: StubMachine, ...words: string[]): Promise<number> {
  const parsed = parseCommandLine(["-display", "none", ...words], "qemu", { program: "test", version: "0" });
  if (parsed.kind !== "run") throw new Error("expected a run");
  const { options } = parsed;
  return runSession(machine, {
    run: options,
    program: "test",
    prompt: "",
    remark: false,
    beginning: readBeginning(options),
  });
}

describe("two runs that meet", () => {
  const stream = (server: boolean): OutsideSpec => ({
    kind: "stream",
    server,
    address: { path: join(directory, "s") },
    reconnect: server ? 0 : 5,
  });
  const datagram = (mine: string, other: string): OutsideSpec => ({
    kind: "dgram",
    local: { path: join(directory, mine) },
    remote: { path: join(directory, other) },
  });

  it.each([
    ["stream", () => [stream(true), stream(false)] as const],
    ["dgram", () => [datagram("a", "b"), datagram("b", "a")] as const],
  ])(
    "over %s: frames come and go, host time is kept, and a recording repeats the run to the same state",
    async (_, specs) => {
      const [one, two] = specs();
      const file = join(directory, "recording");
      const talker = new NetMachine(one, true);
      const echo = new NetMachine(two, false);
      const began = performance.now();
      let took = 0;
      const codes = await Promise.all([
        start(talker, "--max-time", "20", "--record", file).finally(() => (took = performance.now() - began)),
        start(echo, "--max-time", "20"),
      ]);
      expect(codes).toEqual([0, 0]);
      // Simulated time is no less on the host's clock.
      expect(took).toBeGreaterThan(talker.simulation.now / MS - 5);
      expect(talker.card.cells.over).toBe(true);
      expect(talker.card.cells.received).toBeGreaterThanOrEqual(ENOUGH);
      expect(echo.card.cells.received).toBeGreaterThanOrEqual(talker.card.cells.received);
      const again = new NetMachine(one, true);
      // A recording is repeated without waiting for anything.
      const waits = vi.spyOn(globalThis, "setTimeout");
      expect(await start(again, "--replay", file)).toBe(0);
      expect(waits).not.toHaveBeenCalled();
      waits.mockRestore();
      expect(again.card.cells).toEqual(talker.card.cells);
      expect(again.simulation.stateHash()).toBe(talker.simulation.stateHash());
    },
  );

  it("nobody at the other end: the run waits for frames instead of ending as one that hangs", async () => {
    const machine = new NetMachine(stream(true), false);
    expect(await start(machine, "--max-time", "0.05")).toBe(0);
    expect(machine.simulation.now).toBe(50 * MS);
  });

  it.each([
    [false, "nothing has come: the port is asked to tell"],
    [true, "frames wait already: it is not, or each sleep would end at once"],
  ])("the guest sleeps (frames wait: %s): %s", async (waiting) => {
    class Waiting extends OutsidePort {
      asked = 0;
      readonly ready = waiting;
      async start(): Promise<void> {}
      send(): void {}
      take(): null {
        return null;
      }
      override listen(): void {
        this.asked++;
      }
      async close(): Promise<void> {}
    }
    const port = new Waiting("-netdev n");
    class Machine extends StubMachine {
      readonly outside = [{ label: "n", port, room: 0, enter: () => undefined, close: () => port.close() }];
    }
    expect(await start(new Machine(), "--max-time", "0.03")).toBe(0);
    expect(port.asked > 0).toBe(!waiting);
  });
});
