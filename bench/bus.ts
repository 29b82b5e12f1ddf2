/**
 * Bus accesses a second from TypeScript, on one core, tracing off: RAM through a port (direct memory access), RAM through the
 * router's transport, a device register through port and router. Aims: 50 M RAM and 10 M register accesses a second.
 */
import { Arena, Memory, Port, Router, type Transaction } from "../src/bus/index.ts";
import { defineRegisters, RegisterBank, ro, rw } from "../src/registers/index.ts";
import { Module, Simulation } from "../src/sim/index.ts";
import { best, report } from "./support/measure.ts";

const RAM = 0x4000_0000;
const DEVICES = 0x0900_0000;

const PART = defineRegisters({
  name: "PART",
  title: "A part with plain registers and one computed",
  manual: "none",
  size: 0x1000,
  sizes: [1, 2, 4],
  registers: {
    CTRL: {
      at: 0x00,
      title: "Control",
      clause: "1",
      fields: { MODE: rw([7, 0], "Mode"), ID: ro([31, 24], "Id", { reset: 5 }) },
    },
    DATA: { at: 0x04, title: "Data", clause: "2", fields: { VALUE: rw([31, 0], "Value") } },
    STATUS: { at: 0x08, title: "Status", clause: "3", computed: true, fields: { VALUE: ro([7, 0], "Value") } },
  },
});

class Part extends Module {
  readonly registers = this.part(
    "registers",
    new RegisterBank(this, PART, { STATUS: { get: () => this.simulation.now & 0xff } }),
  );
}

const simulation = new Simulation();
const arena = new Arena();
const bus = new Router(simulation, "bus");
bus.map({ name: "ram", base: RAM, size: 1 << 28, target: new Memory(simulation, "ram", arena, { size: 1 << 28 }) });
for (let i = 0; i < 40; i++) {
  const part = new Part(simulation, `part${i}`);
  bus.map({ name: part.name, base: DEVICES + i * 0x1_0000, size: 0x1000, target: part.registers });
}
const port = new Port(bus, arena);
const dma = new Port(bus, arena);

const N = 4_000_000;

// Each loop is a function of its own, with what it uses in parameters and locals, as in a device model.
function ramPort(port: Port): number {
  let sink = 0;
  for (let i = 0; i < N; i += 4) {
    const at = RAM + ((i << 3) & 0xffff);
    port.write(at, 4, i);
    sink = (sink + port.read(at + 64, 4)) | 0;
    sink = (sink + port.read(at + 3, 1)) | 0;
    port.write(at + 8, 8, i);
  }
  return sink;
}

function ramSpread(port: Port): number {
  let sink = 0;
  for (let i = 0; i < N; i += 2) {
    const at = RAM + ((Math.imul(i, 0x9e37_79b1) >>> 6) & 0x1f_fffc);
    port.write(at, 4, i);
    sink = (sink + port.read(at, 4)) | 0;
  }
  return sink;
}

function ramTransport(bus: Router, tx: Transaction): number {
  let sink = 0;
  for (let i = 0; i < N; i += 2) {
    const at = RAM + ((i << 3) & 0xffff);
    bus.write(at, 4, i, tx);
    sink = (sink + bus.read(at, 4, tx)) | 0;
  }
  return sink;
}

function deviceOne(port: Port): number {
  let sink = 0;
  for (let i = 0; i < N; i += 2) {
    port.write(DEVICES + 4, 4, i);
    sink = (sink + port.read(DEVICES + 4, 4)) | 0;
  }
  return sink;
}

function deviceComputed(port: Port): number {
  let sink = 0;
  for (let i = 0; i < N; i++) sink = (sink + port.read(DEVICES + 8, 4)) | 0;
  return sink;
}

/** Device after device, RAM between: what a driver does. */
function deviceMany(port: Port, dma: Port): number {
  let sink = 0;
  for (let i = 0; i < N; i += 2) {
    const at = DEVICES + (Math.imul(i, 40503) & 0x1f) * 0x1_0000;
    port.write(at + 4, 4, i);
    dma.write(RAM + (i & 0xfff8), 4, i);
    sink = (sink + port.read(at, 4)) | 0;
  }
  return sink;
}

report(
  "RAM, through a port",
  best(() => ramPort(port), N),
  50,
);
report(
  "RAM, through a port, 2 MiB at random",
  best(() => ramSpread(port), N),
  50,
);
report(
  "RAM, by the router's transport",
  best(() => ramTransport(bus, port.transaction), N),
);
report(
  "device register, same device",
  best(() => deviceOne(port), N),
  10,
);
report(
  "device register, computed",
  best(() => deviceComputed(port), N),
  10,
);
report(
  "device registers, 32 devices in turn, RAM between",
  best(() => deviceMany(port, dma), N),
  10,
);
