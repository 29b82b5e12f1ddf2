/**
 * Frames a second through the 82576 from a driver in TypeScript, on one core: transmitted and received by the PF, switched from VF to VF, at 64 and
 * 1,518 bytes with check sequence. Aim: 1 Gb/s of 1,500-byte packets (81,274 frames a second) faster than real time.
 */
import { Arena, Memory, Port, Router, Transaction } from "../src/bus/index.ts";
import { type Host, I82576Core } from "../src/devices/i82576/index.ts";
import { SEC, Simulation } from "../src/sim/index.ts";
import { best, report } from "./support/measure.ts";

const RAM = 0x4000_0000;
const COUNT = 256;
const FRAMES = 20_000;
const tx = new Transaction();

function machine() {
  const simulation = new Simulation();
  const arena = new Arena();
  const router = new Router(simulation, "memory");
  router.map({
    name: "ram",
    base: RAM,
    size: 1 << 26,
    target: new Memory(simulation, "ram", arena, { size: 1 << 26 }),
  });
  const ports = Array.from({ length: 9 }, () => new Port(router, arena));
  let messages = 0;
  const host: Host = {
    port: (owner) => ports[owner + 1] as Port,
    messages: true,
    message: () => void messages++,
    clearPending: () => undefined,
    level: () => undefined,
  };
  const core = new I82576Core(simulation, "eth", { mac: Uint8Array.of(2, 0, 0, 0, 0, 1), host });
  simulation.reset();
  const write = (at: number, value: number) => core.space.write(at, 4, value >>> 0, tx);
  write(0x1514, 0x4000_0011);
  for (let i = 0; i < 8; i++) write(0x1700 + 4 * i, 0x8180_8180);
  write(0x152c, 3);
  write(0x1524, 3);
  write(0x1680, 0x8000_0000 | (50 << 2));
  write(0x0, 0x241);
  simulation.run(2 * SEC);
  const port = ports[0] as Port;
  const ring = (at: number, base: number) => {
    write(at, base);
    write(at + 4, 0);
    write(at + 8, COUNT * 16);
    write(at + 0x28, 0x0200_0000);
  };
  return { simulation, core, write, port, ring };
}
type Machine = ReturnType<typeof machine>;

function frame(length: number, to: number): Uint8Array {
  const data = new Uint8Array(length);
  data.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, 9, 0x08, 0x00, 0x45]);
  data[16] = (length - 14) >> 8;
  data[17] = length - 14;
  data[23] = 17;
  return data;
}

/** Sends FRAMES from queue `q`, 64 a tail write. */
function transmit(m: Machine, q: number, data: Uint8Array, after?: () => void): void {
  const { port, simulation, core } = m;
  const base = RAM + 0x10_0000 * (q + 1);
  const buffer = base + 0x8_0000;
  let tail = core.space.read(0xe018 + 0x40 * q, 4, tx);
  core.onTransmit = () => undefined;
  port.writeBlock(buffer, data);
  for (let done = 0; done < FRAMES; ) {
    for (let n = 0; n < 64; n++, done++) {
      const at = base + tail * 16;
      port.write(at, 4, buffer);
      port.write(at + 4, 4, 0);
      port.write(at + 8, 4, 0x2b30_0000 | data.length);
      port.write(at + 12, 4, data.length << 14);
      tail = (tail + 1) % COUNT;
    }
    m.write(0xe018 + 0x40 * q, tail);
    simulation.run(simulation.now + Math.ceil((64 * (data.length + 24) * 8 * SEC) / 1e9));
    after?.();
  }
}

function fillReceive(m: Machine, q: number): void {
  const base = RAM + 0x10_0000 * (q + 17);
  for (let i = 0; i < COUNT; i++) {
    m.port.write(base + 16 * i, 4, base + 0x8000 + 2048 * (i % 64));
    m.port.write(base + 16 * i + 4, 4, 0);
    m.port.write(base + 16 * i + 8, 4, 0);
    m.port.write(base + 16 * i + 12, 4, 0);
  }
}

/** Gives all descriptors of queue `q` back. */
function refill(m: Machine, q: number): void {
  fillReceive(m, q);
  const head = m.core.space.read(0xc010 + 0x40 * q, 4, tx);
  m.write(0xc018 + 0x40 * q, (head + COUNT - 1) % COUNT);
}

function receive(m: Machine, data: Uint8Array): void {
  for (let done = 0; done < FRAMES; ) {
    refill(m, 0);
    for (let n = 0; n < 64; n++, done++) m.core.receive(data);
    m.simulation.run(m.simulation.now + SEC / 1000);
  }
}

/** VF 0 sends to VF 1; both rings lie in VF windows' queues of the port. */
function pairs(m: Machine): void {
  m.core.setVirtualFunctions(2);
  m.write(0x5818, 3);
  m.write(0x3500, 0x8000_0000);
  m.write(0x5408, 0x0000_0002);
  m.write(0x540c, 0x8008_0200);
  m.write(0x5ad4, 0x8900_2600);
  for (let vf = 0; vf < 2; vf++) {
    const window = m.core.windows[vf]?.bank;
    window?.write(0x1700, 4, 0x8180, tx);
    window?.write(0x152c, 4, 3, tx);
    window?.write(0x1524, 4, 3, tx);
  }
}

const AIM = 0.081274;
const gbits = (m: number, length: number) => `${((m * 1e6 * length * 8) / 1e9).toFixed(2)} Gb/s`;
for (const length of [60, 1514]) {
  const bytes = length + 4;
  const aim = length === 60 ? undefined : AIM;
  const sender = machine();
  sender.ring(0xe000, RAM + 0x10_0000);
  sender.write(0x400, 0xa);
  const sent = best(() => transmit(sender, 0, frame(length, 9)), FRAMES, 5);
  report(`PF transmits ${bytes} bytes, ${gbits(sent, length)}`, sent, aim);

  const receiver = machine();
  receiver.ring(0xc000, RAM + 17 * 0x10_0000);
  receiver.write(0xc00c, 0x0200_0002);
  receiver.write(0x100, 0x0400_8002);
  receiver.write(0xc018, COUNT - 1);
  const got = best(() => receive(receiver, frame(length, 1)), FRAMES, 5);
  report(`PF receives ${bytes} bytes, ${gbits(got, length)}`, got, aim);

  const both = machine();
  pairs(both);
  both.ring(0xe000, RAM + 0x10_0000);
  both.ring(0xc040, RAM + 18 * 0x10_0000);
  both.write(0xc04c, 0x8200_0002);
  both.write(0x400, 0xa);
  both.write(0x100, 0x0400_8002);
  const switched = best(() => transmit(both, 0, frame(length, 2), () => refill(both, 1)), FRAMES, 5);
  report(`VF to VF ${bytes} bytes, ${gbits(switched, length)}`, switched, aim);
}
