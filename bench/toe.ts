/**
 * The TOE on one core: commands a second (NOP, one interface and 64), payload through the whole device between two of its interfaces (rings, DMA, dispatcher, both
 * stacks), connections set up and closed, by processor time. Aim: 1 Gb/s of simulated traffic at 1,460-byte segments in real time.
 */
import { Arena, Memory, Port, Router, Transaction } from "../src/bus/index.ts";
import { Stack } from "../src/devices/toe/engine/index.ts";
import { ToeCore } from "../src/devices/toe/index.ts";
import { MS, SEC, Simulation, US } from "../src/sim/index.ts";
import { bestProcessor, report } from "./support/measure.ts";

const RAM = 0x4000_0000;
const SHARE = 0x10_0000;
const RING_LOG = 8;
const ENTRIES = 1 << RING_LOG;

/** Interface n has 10.0.0.(n + 1)/24, rings of 256 entries, and 1 MiB of memory. */
class Driver {
  readonly base: number;
  readonly #device: Device;
  readonly #n: number;
  readonly #entry = new Uint8Array(64);
  readonly #view = new DataView(this.#entry.buffer);
  #tail = 0;
  #head = 0;
  #phase = 1;
  /** Of the last completion. */
  socket = 0;
  status = 0;

  constructor(device: Device, n: number) {
    this.#device = device;
    this.#n = n;
    this.base = RAM + n * SHARE;
    const m = (offset: number, value: number) => device.core.writeManagement(offset, value);
    m(0x80, n);
    [0, 0, 0xffff_0000, ((n + 1) << 24) | 10].forEach((w, i) => {
      m(0x90 + 4 * i, w);
    });
    m(0xb0, 0x100 | 120);
    m(0x84, 1);
    m(0x1000 + 0x40 * n, 1);
    this.#write(0x80, this.base);
    this.#write(0x88, RING_LOG);
    this.#write(0xa0, this.base + 0x8000);
    this.#write(0xa8, RING_LOG);
    this.#write(0x20, 1);
  }
  #write(offset: number, value: number): void {
    this.#device.core.interfaces[this.#n]?.bank.write(offset, 4, value >>> 0, this.#device.tx);
  }
  put(opcode: number, flags: number, socket: number, length: number, arg0 = 0, arg1 = 0, port = 0, to = 0): void {
    const v = this.#view;
    this.#entry.fill(0);
    v.setUint8(0, opcode);
    v.setUint8(1, flags);
    v.setUint32(8, socket, true);
    v.setUint32(12, length, true);
    v.setUint32(16, this.base + 0x1_0000, true);
    v.setUint32(24, arg0, true);
    v.setUint32(28, arg1, true);
    if (to !== 0) this.#entry.set([0xff, 0xff, 10, 0, 0, to], 42);
    v.setUint16(48, port, true);
    this.#device.memory.writeBlock(this.base + 64 * this.#tail, this.#entry);
    this.#tail = (this.#tail + 1) % ENTRIES;
  }
  ring(): void {
    this.#write(0x8c, this.#tail);
  }
  /** Takes completions; how many. */
  reap(): number {
    let n = 0;
    for (;;) {
      const at = this.base + 0x8000 + 64 * this.#head;
      const last = this.#device.memory.read(at + 60, 4);
      if (last >>> 24 !== this.#phase) break;
      this.status = (last >>> 16) & 0xff;
      this.socket = this.#device.memory.read(at + 12, 4);
      n++;
      this.#head = (this.#head + 1) % ENTRIES;
      if (this.#head === 0) this.#phase ^= 1;
    }
    if (n > 0) this.#write(0xac, this.#head);
    return n;
  }
  /** One command to its end; the socket that it names. */
  call(...command: Parameters<Driver["put"]>): number {
    this.put(...command);
    this.ring();
    for (let t = 0; this.reap() === 0; t++) {
      if (t > 1000) throw new Error(`opcode ${command[0]}: no completion`);
      this.#device.run(MS);
    }
    if (this.status !== 0) throw new Error(`opcode ${command[0]}: status ${this.status}`);
    return this.socket;
  }
}

class Device {
  readonly simulation = new Simulation({ seed: 1 });
  readonly core: ToeCore;
  readonly memory: Port;
  readonly tx = new Transaction();
  readonly drivers: readonly Driver[];

  constructor(interfaces: number) {
    const arena = new Arena();
    const router = new Router(this.simulation, "memory");
    const size = interfaces * SHARE;
    router.map({ name: "ram", base: RAM, size, target: new Memory(this.simulation, "ram", arena, { size }) });
    const ports = Array.from({ length: interfaces }, () => new Port(router, arena));
    this.memory = new Port(router, arena);
    this.core = new ToeCore(this.simulation, "toe", {
      mac: Uint8Array.of(2, 0, 0, 0, 0, 0),
      interfaces,
      host: { port: (n) => ports[n] as Port },
      makeStack: (parent, name, events) => new Stack(parent, name, events),
    });
    this.simulation.reset();
    this.drivers = Array.from({ length: interfaces }, (_, n) => new Driver(this, n));
  }
  run(time: number): void {
    this.simulation.run(this.simulation.now + time);
  }
}

const COMMANDS = 64_000;
for (const interfaces of [1, 64]) {
  const device = new Device(interfaces);
  const each = 64;
  const millions = bestProcessor(
    () => {
      for (let done = 0; done < COMMANDS; done += each * interfaces) {
        for (const d of device.drivers) {
          for (let n = 0; n < each; n++) d.put(0, 0, 0, 0);
          d.ring();
        }
        device.run(each * interfaces * 200 * 10 + US);
        for (const d of device.drivers) if (d.reap() !== each) throw new Error("commands did not complete");
      }
    },
    COMMANDS,
    5,
  );
  report(`commands, ${interfaces} interface${interfaces === 1 ? "" : "s"}`, millions);
}

function connected(): { device: Device; server: Driver; client: Driver; from: number; to: number; listener: number } {
  const device = new Device(2);
  const [server, client] = device.drivers as [Driver, Driver];
  const listener = server.call(1, 0, 0, 0, 1, 4);
  server.call(2, 0, listener, 0, 0, 0, 80);
  server.call(3, 0, listener, 0, 64);
  server.put(4, 0, listener, 0);
  server.ring();
  const from = client.call(1, 0, 0, 0, 1, 4);
  client.call(5, 0, from, 0, 0, 0, 80, 1);
  device.run(MS);
  server.reap();
  return { device, server, client, from, to: server.socket, listener };
}

{
  const { device, server, client, from, to } = connected();
  const LENGTH = 65_536;
  const TOTAL = 32 * 2 ** 20;
  const start = device.simulation.now;
  let moved = 0;
  const millions = bestProcessor(
    () => {
      let sends = 0;
      let receives = 0;
      let done = 0;
      const count = TOTAL / LENGTH;
      for (let posted = 0; done < count; ) {
        for (; posted < count && posted - done < 16; posted++) {
          server.put(7, 8, to, LENGTH);
          client.put(6, 0, from, LENGTH);
        }
        server.ring();
        client.ring();
        device.run(100 * US);
        sends += client.reap();
        receives += server.reap();
        done = Math.min(sends, receives);
      }
      moved += TOTAL;
    },
    TOTAL,
    3,
  );
  const simulated = (moved * 8) / ((device.simulation.now - start) / SEC) / 1e9;
  report("payload bytes, interface to interface", millions, 125);
  console.log(
    `${"".padEnd(52)}${((millions * 8) / 1000).toFixed(2)} Gb/s of processor time; ${simulated.toFixed(2)} Gb/s simulated`,
  );
}

{
  const { device, server, client, listener } = connected();
  const ROUNDS = 2000;
  const millions = bestProcessor(() => {
    for (let n = 0; n < ROUNDS; n++) {
      server.put(4, 0, listener, 0);
      server.ring();
      const socket = client.call(1, 0, 0, 0, 1, 4);
      client.put(5, 0, socket, 0, 0, 0, 80, 1);
      client.ring();
      device.run(20 * US);
      if (client.reap() !== 1 || server.reap() !== 1) throw new Error("not connected");
      // Aborted, so that no TIME-WAIT is left and ports do not run out.
      server.put(12, 0, server.socket, 0);
      client.put(12, 0, socket, 0);
      server.ring();
      client.ring();
      device.run(20 * US);
      server.reap();
      client.reap();
    }
  }, ROUNDS);
  report("connections, SOCKET to ABORT at both ends", millions, 0.05);
}
