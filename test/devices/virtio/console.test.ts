import { describe, expect, it } from "vitest";
import { VirtioConsole, type VirtioConsoleOptions } from "../../../src/devices/virtio/index.ts";
import { Bench, INTERFACES, le } from "./driver.ts";

const F_MULTIPORT = 1 << 1;
const F_EMERG_WRITE = 1 << 2;
const text = (s: string) => Uint8Array.from(s, (c) => c.charCodeAt(0));

function setUpOn(legacy: boolean, options: Partial<VirtioConsoleOptions> = {}, features = 0) {
  const output = new Map<number, string>();
  const bench = new Bench((simulation, port) => {
    const device = new VirtioConsole(simulation, "console", { port, ...options });
    for (const p of device.ports) {
      p.onTransmit = (byte) => output.set(p.number, (output.get(p.number) ?? "") + String.fromCharCode(byte));
    }
    return device;
  }, legacy);
  bench.start(8, features);
  const type = (number: number, s: string) => {
    const port = bench.device.ports.find((p) => p.number === number);
    const taken = [...text(s)].filter((byte) => port?.receive(byte)).length;
    bench.run();
    return taken;
  };
  return { bench, output, type };
}

describe.each(INTERFACES)("virtio console (VIRTIO 1.2, 5.3) with one port, %s", (_, legacy) => {
  it("5.3.1 to 5.3.4: device id 3, two queues, max_nr_ports 1, no MULTIPORT", () => {
    const { bench } = setUpOn(legacy);
    expect(bench.read(0x008)).toBe(3);
    expect(bench.features(0) & 0xffff).toBe(F_EMERG_WRITE);
    expect([0x100, 0x104, 0x108].map((o) => bench.read(o))).toEqual([0, 1, 0]);
    bench.write(0x030, 2);
    expect(bench.read(0x034)).toBe(0);
  });

  it("5.3.6: output of the transmit queue, across buffers", () => {
    const { bench, output } = setUpOn(legacy);
    bench.send(1, [{ data: text("hello, ") }, { data: text("host") }]);
    expect(output.get(0)).toBe("hello, host");
    expect(bench.used(1, 0)).toEqual({ id: 0, length: 0 });
  });

  it("a buffer of more than 1 MiB is cut off there, and that is reported", () => {
    const { bench, output } = setUpOn(legacy);
    bench.descriptor(1, 0, 0x4000_0000, 0xffff_ffff, 0, 0);
    bench.offer(1, 0);
    bench.notify(1);
    expect(output.get(0)).toHaveLength(0x10_0000);
    expect(bench.errors.map((e) => e.kind)).toContain("unimplemented");
  });

  it("5.3.6: input goes into the receive queue's buffers, as much as there is at once", () => {
    const { bench, type } = setUpOn(legacy);
    const [at] = bench.send(0, [{ space: 64 }]);
    expect(type(0, "abc")).toBe(3);
    expect(bench.used(0, 0)).toEqual({ id: 0, length: 3 });
    expect(bench.bytes(at as number, 3)).toEqual([97, 98, 99]);
    expect(bench.takeInterrupt()).toBe(1);
  });

  it("input waits for buffers, 4096 bytes at most", () => {
    const { bench, type } = setUpOn(legacy);
    expect(type(0, "x".repeat(5000))).toBe(4096);
    bench.send(0, [{ space: 4000 }], 0);
    bench.send(0, [{ space: 4000 }], 1);
    expect([bench.used(0, 0).length, bench.used(0, 1).length]).toEqual([4000, 96]);
  });

  it("there is no room for input before a driver is there, and none is kept over a reset of the device", () => {
    const { bench, type } = setUpOn(legacy);
    type(0, "lost");
    bench.write(0x070, 0);
    expect(type(0, "refused")).toBe(0);
    bench.start();
    bench.send(0, [{ space: 16 }]);
    expect(bench.usedIndex(0)).toBe(0);
  });

  it("5.3.5.1: the emergency write takes the low byte, even of an unconfigured device", () => {
    const { bench, output } = setUpOn(legacy);
    bench.write(0x070, 0);
    bench.write(0x108, 0x1234_5621);
    bench.write(0x108, 0x41, 1);
    expect(output.get(0)).toBe("!A");
    expect(bench.details).toBe("");
  });
});

describe.each(INTERFACES)("multiport console, %s", (_, legacy) => {
  const ports = [
    { number: 0, console: true },
    { number: 2, console: false, name: "org.example.port" },
  ];
  const started = () => setUpOn(legacy, { maxPorts: 4, ports }, F_MULTIPORT);
  type Started = ReturnType<typeof started>;
  /** Messages that the device has sent: port, event, value, text. */
  function messages({ bench }: Started, buffers: number[], from = 0): [number, number, number, string][] {
    const found: [number, number, number, string][] = [];
    for (let n = from; n < bench.usedIndex(2); n++) {
      const { length } = bench.used(2, n);
      const b = bench.bytes(buffers[n] as number, length);
      const [low = 0, high = 0, event = 0, , value = 0] = [b[0], b[1], b[4], b[5], b[6]];
      found.push([low + 256 * high, event, value, String.fromCharCode(...b.slice(8))]);
    }
    return found;
  }
  const say = ({ bench }: Started, port: number, event: number, value: number) =>
    bench.send(3, [{ data: Uint8Array.from([...le(port, 4), ...le(event, 2), ...le(value, 2)]) }]);
  const receive = ({ bench }: Started, count: number) =>
    Array.from({ length: count }, (__, i) => bench.send(2, [{ space: 64 }], i)[0] as number);

  it("5.3.2, 5.3.4: MULTIPORT, max_nr_ports, queues: two a port and two of control", () => {
    const { bench } = started();
    expect(bench.features(0) & 0xffff).toBe(F_MULTIPORT | F_EMERG_WRITE);
    expect(bench.read(0x104)).toBe(4);
    const sizes = Array.from({ length: 11 }, (__, q) => {
      bench.write(0x030, q);
      return bench.read(0x034);
    });
    expect(sizes).toEqual([128, 128, 32, 32, 128, 128, 128, 128, 128, 128, 0]);
  });

  it("5.3.6.2: DEVICE_READY is answered by DEVICE_ADD for each port", () => {
    const s = started();
    const buffers = receive(s, 4);
    say(s, 0xffff_ffff, 0, 1);
    expect(messages(s, buffers).map(([port, event]) => [port, event])).toEqual([
      [0, 1],
      [2, 1],
    ]);
    expect(s.bench.takeInterrupt()).toBe(1);
  });

  it("a driver that failed (value 0) gets no ports", () => {
    const s = started();
    const buffers = receive(s, 4);
    say(s, 0, 0, 0);
    expect(messages(s, buffers)).toEqual([]);
  });

  it("5.3.6.2: PORT_READY is answered by what the port is: CONSOLE_PORT, PORT_NAME, PORT_OPEN", () => {
    const s = started();
    const buffers = receive(s, 6);
    say(s, 0, 3, 1);
    say(s, 2, 3, 1);
    expect(messages(s, buffers)).toEqual([
      [0, 4, 1, ""],
      [0, 6, 1, ""],
      [2, 7, 1, "org.example.port"],
      [2, 6, 1, ""],
    ]);
  });

  it("answers wait for buffers", () => {
    const s = started();
    say(s, 2, 3, 1);
    expect(s.bench.usedIndex(2)).toBe(0);
    const buffers = receive(s, 2);
    expect(messages(s, buffers).map((m) => m[1])).toEqual([7, 6]);
  });

  it("data of port 2 goes through queues 6 and 7, and input only once the guest has opened the port", () => {
    const s = started();
    const { bench, output, type } = s;
    bench.send(7, [{ data: text("from the guest") }]);
    expect(output).toEqual(new Map([[2, "from the guest"]]));
    const [at] = bench.send(6, [{ space: 16 }]);
    expect(type(2, "early")).toBe(0);
    say(s, 2, 6, 1);
    expect(type(2, "late")).toBe(4);
    expect(bench.bytes(at as number, 4)).toEqual([...text("late")]);
    say(s, 2, 6, 0);
    expect(type(2, "closed")).toBe(0);
  });

  it("without the feature, port 0 works through queues 0 and 1", () => {
    const { bench, output, type } = setUpOn(legacy, { maxPorts: 4, ports });
    bench.send(1, [{ data: text("one") }]);
    const [at] = bench.send(0, [{ space: 16 }]);
    type(0, "two");
    expect(output.get(0)).toBe("one");
    expect(bench.bytes(at as number, 3)).toEqual([...text("two")]);
    expect(type(2, "three")).toBe(0);
  });

  it.each([
    ["a port that does not exist", 1, 3, 1],
    ["an event that the device sends", 0, 4, 1],
    ["an unknown event", 0, 99, 1],
  ])("5.3.6.2: a message about %s is a guest error", (__, port, event, value) => {
    const s = started();
    say(s, port, event, value);
    expect(s.bench.errors.map((e) => [e.kind, e.clause])).toEqual([["value", "VIRTIO 1.2 5.3.6.2"]]);
  });

  it("a message that is too short is a guest error; messages nobody reads do not pile up", () => {
    const s = started();
    s.bench.send(3, [{ data: new Uint8Array(7) }]);
    expect(s.bench.details).toContain("less than 8 bytes");
    for (let i = 0; i < 200; i++) say(s, 2, 3, 1);
    expect(s.bench.details).toContain("without buffers");
    expect(s.bench.simulation.save().modules["console"]?.state["control"]).toHaveLength(256);
  });

  it("ports, waiting input and messages come back from a snapshot", () => {
    const s = started();
    say(s, 2, 6, 1);
    s.type(2, "wait");
    say(s, 2, 3, 1);
    const saved = structuredClone(s.bench.simulation.save());
    const other = started();
    other.bench.simulation.load(saved);
    expect(other.bench.simulation.stateHash()).toBe(s.bench.simulation.stateHash());
    const [at] = other.bench.send(6, [{ space: 16 }]);
    expect(other.bench.bytes(at as number, 4)).toEqual([...text("wait")]);
    const buffers = receive(other, 2);
    expect(messages(other, buffers).map((m) => m[1])).toEqual([7, 6]);
  });
});

describe("ports of a console", () => {
  it.each([
    ["a number beyond", { maxPorts: 2, ports: [{ number: 2, console: true }] }],
    [
      "a number twice",
      {
        maxPorts: 2,
        ports: [
          { number: 1, console: true },
          { number: 1, console: false },
        ],
      },
    ],
    ["more than 31", { maxPorts: 32 }],
    ["none", { maxPorts: 0 }],
  ])("%s is refused", (_, options) => {
    expect(() => setUpOn(false, options)).toThrow(RangeError);
  });
});
