/**
 * The TOE's protocol engine: `node bench/toe-engine.ts`. Payload through two stacks on one core at 1,460-byte segments, connections set up
 * and closed, memory a connection, and the cost of a segment with 10 and with 10,000 connections open. ARMATURE_BENCH=short: less of each.
 */
import { EVENT_ACCEPTABLE, EVENT_READABLE } from "../src/devices/toe/engine/api.ts";
import { Stack } from "../src/devices/toe/engine/index.ts";
import type { Frame } from "../src/net/index.ts";
import { MS, SEC, Simulation } from "../src/sim/index.ts";
import { hostile } from "../test/devices/toe/engine/fuzz.ts";

const short = process.env["ARMATURE_BENCH"] === "short";
const A = Uint8Array.of(10, 0, 0, 1);
const B = Uint8Array.of(10, 0, 0, 2);

/** Processor time since `start`, of all threads: other load disturbs it less. */
function seconds(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

function value<T>(
  outcome: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string },
): T {
  if (!outcome.ok) throw new Error(outcome.error);
  return outcome.value;
}

/** Two stacks whose frames cross in no simulated time, in order. */
function setUp(sockets: number) {
  const simulation = new Simulation({ seed: 1 });
  const crossing: { frame: Frame; to: Stack }[] = [];
  const handlers = { a: (_socket: number, _events: number) => {}, b: (_socket: number, _events: number) => {} };
  const a: Stack = new Stack(simulation, "a", {
    onSocket: (s, e) => handlers.a(s, e),
    transmit: (frame) => crossing.push({ frame, to: b }) > 0,
  });
  const b: Stack = new Stack(simulation, "b", {
    onSocket: (s, e) => handlers.b(s, e),
    transmit: (frame) => crossing.push({ frame, to: a }) > 0,
  });
  a.configure({ mac: Uint8Array.of(2, 0, 0, 0, 0, 1), addresses: [{ address: A, prefix: 24 }], routes: [] });
  b.configure({ mac: Uint8Array.of(2, 0, 0, 0, 0, 2), addresses: [{ address: B, prefix: 24 }], routes: [] });
  for (const stack of [a, b]) stack.setQuotas({ sockets, bufferBytes: 1 << 30 });
  const cross = () => {
    for (let i = 0; i < crossing.length; i++) crossing[i].to.input(crossing[i].frame);
    crossing.length = 0;
  };
  return { simulation, a, b, handlers, cross };
}

function open(t: ReturnType<typeof setUp>, count: number) {
  const listener = value(t.b.socket("tcp", 4));
  value(t.b.bind(listener, { address: new Uint8Array(4), port: 80 }));
  value(t.b.setOption(listener, "timestamps", 0));
  value(t.b.listen(listener, 128));
  const clients: number[] = [];
  const servers: number[] = [];
  t.handlers.b = (s, e) => {
    if (s === listener && (e & EVENT_ACCEPTABLE) !== 0) {
      for (let o = t.b.accept(listener); o.ok; o = t.b.accept(listener)) servers.push(o.value);
    }
  };
  for (let i = 0; i < count; i++) {
    const client = value(t.a.socket("tcp", 4));
    value(t.a.connect(client, { address: B, port: 80 }));
    clients.push(client);
    t.cross();
  }
  return { listener, clients, servers };
}

/** Bytes a wall second from a to b, over `connections` in turn. */
function payload(connections: number, bytes: number): number {
  const t = setUp(connections + 10);
  const { clients, servers } = open(t, connections);
  const block = new Uint8Array(1460 * 8);
  let received = 0;
  const drain = (s: number) => {
    const o = t.b.receive(s, 1 << 20);
    if (o.ok) received += o.value.length;
  };
  t.handlers.b = (s, e) => {
    if ((e & EVENT_READABLE) !== 0) drain(s);
  };
  if (servers.length !== connections) throw new Error(`${servers.length} of ${connections} connections`);
  const run = (goal: number) => {
    received = 0;
    for (let i = 0; received < goal; i = (i + 1) % connections) {
      t.a.send(clients[i], block);
      t.cross();
      if (i === 0) t.simulation.run(t.simulation.now + MS);
    }
  };
  run(Math.max(bytes / 10, 2 * connections * block.length));
  const start = process.cpuUsage();
  run(bytes);
  return received / seconds(start);
}

function setups(count: number): number {
  const t = setUp(4096);
  const listener = value(t.b.socket("tcp", 4));
  value(t.b.bind(listener, { address: new Uint8Array(4), port: 80 }));
  value(t.b.listen(listener, 128));
  t.handlers.b = (s, e) => {
    if (s === listener && (e & EVENT_ACCEPTABLE) !== 0) {
      for (let o = t.b.accept(listener); o.ok; o = t.b.accept(listener)) t.b.close(o.value);
    }
  };
  t.handlers.a = (s, e) => {
    if ((e & EVENT_READABLE) !== 0) t.a.close(s);
  };
  const run = (n: number) => {
    for (let i = 0; i < n; i++) {
      const client = value(t.a.socket("tcp", 4));
      value(t.a.connect(client, { address: B, port: 80 }));
      t.cross();
      t.simulation.run(t.simulation.now + MS / 20);
      t.cross();
    }
  };
  run(count / 10);
  const before = t.b.statistics["tcpAccepted"];
  const start = process.cpuUsage();
  run(count);
  return (t.b.statistics["tcpAccepted"] - before) / seconds(start);
}

function memory(count: number): number {
  const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});
  const t = setUp(count + 10);
  open(t, 10);
  collect();
  const before = process.memoryUsage();
  const listener = 1;
  t.handlers.b = (s, e) => {
    if (s === listener && (e & EVENT_ACCEPTABLE) !== 0) while (t.b.accept(listener).ok);
  };
  for (let i = 0; i < count - 10; i++) {
    value(t.a.connect(value(t.a.socket("tcp", 4)), { address: B, port: 80 }));
    t.cross();
  }
  t.simulation.run(t.simulation.now + SEC);
  t.cross();
  collect();
  const after = process.memoryUsage();
  if (t.a.bufferBytes !== 0) throw new Error("buffers are not empty");
  return (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / (2 * (count - 10));
}

/** Frames meant to hurt, a second; nothing may throw, and memory keeps within the quota. */
function fuzz(count: number): number {
  const t = setUp(64);
  t.b.setQuotas({ sockets: 64, bufferBytes: 4_000_000 });
  const { clients } = open(t, 3);
  const seeds: Frame[] = [];
  const tap = t.b.input.bind(t.b);
  t.b.input = (frame) => {
    if (seeds.length < 300) seeds.push(frame.slice());
    tap(frame);
  };
  for (const client of clients) {
    t.a.send(client, new Uint8Array(20_000));
    t.cross();
  }
  const random = t.simulation.random(t.a, "fuzz");
  const start = process.cpuUsage();
  for (let i = 0; i < count; i++) {
    tap(hostile(random, seeds, Uint8Array.of(2, 0, 0, 0, 0, 2)));
    if (t.b.bufferBytes > 4_000_000) throw new Error("more memory than the quota");
    if (i % 50 === 0) {
      t.simulation.run(t.simulation.now + MS / 2);
      t.cross();
    }
  }
  return count / seconds(start);
}

const held = memory(short ? 1000 : 10_000);
const size = (short ? 20 : 200) * 1_000_000;
const one = payload(1, size);
console.log(
  `payload, one connection: ${(one / 1e6).toFixed(0)} MB/s, ${((one * 8) / 1e9).toFixed(2)} Gb/s, ${(one / 1460).toFixed(0)} segments/s (aim 85,616)`,
);
const few = payload(10, size);
const many = payload(short ? 1000 : 10_000, size);
console.log(`cost of a segment, 10 connections: ${(1460e9 / few).toFixed(0)} ns`);
console.log(
  `cost of a segment, 10,000 connections: ${(1460e9 / many).toFixed(0)} ns, ratio ${(few / many).toFixed(2)} (aim 1.3)`,
);
console.log(`connections set up and closed: ${setups(short ? 5_000 : 100_000).toFixed(0)}/s (aim 50,000)`);
console.log(`hostile frames: ${fuzz(short ? 20_000 : 1_000_000).toFixed(0)}/s, none threw`);
console.log(`memory a connection, beyond buffers: ${held.toFixed(0)} bytes (aim 2,048; exact with node --expose-gc)`);
