import { describe, expect, it } from "vitest";
import { createVirtMachine, type VirtOptions } from "../../platform/virt/machine.ts";
import { InterpreterCode } from "../../src/cpu/aarch64/engine/interpreter.ts";
import { VirtioEntropy } from "../../src/devices/virtio/index.ts";
import { findNode, InputError, parseFdt } from "../../src/formats/index.ts";

const code = new InterpreterCode();
const machine = (options: VirtOptions) => createVirtMachine({ code, ...options });
const MICROSECOND = 10_000;

/** Instruction words as a flat binary. */
function program(...words: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((w, i) => {
    view.setUint32(4 * i, w, true);
  });
  return bytes;
}
const LOOP = program(0x14000000); // b .
const kernel = (data: Uint8Array) => ({ name: "k", data });

describe("virt machine", () => {
  it("an instruction takes a nanosecond, or what the option says", () => {
    // A CPU runs ahead by up to a quantum, whatever `run` was asked for: its own time counts.
    for (const [instructionTime, ticks] of [
      [undefined, 10],
      [4, 40],
    ] as const) {
      const m = machine({ kernel: kernel(LOOP), ...(instructionTime ? { instructionTime } : {}) });
      m.simulation.run(500 * MICROSECOND);
      const cpu = m.cpus.cpus[0];
      expect(cpu?.time).toBeGreaterThanOrEqual(500 * MICROSECOND);
      expect(cpu?.time).toBe((cpu?.instructions ?? 0) * ticks);
    }
  });

  it("CPU 0 starts at the image with the device tree in X0; the other CPUs are off", () => {
    // str x0, [sp] with sp set from x1: mov x1, #0x41000000; str x0, [x1]; b .
    const m = machine({ cpus: 2, kernel: kernel(program(0xd2a82001, 0xf9000020, 0x14000000)) });
    m.simulation.run(MICROSECOND);
    const tree = m.bus.peek(0x4100_0000, 4);
    expect(m.bus.peek(tree, 4)).toBe(0xedfe0dd0); // d00dfeed, big-endian
    expect(m.cpus.cpus.map((c) => c.isOff)).toEqual([false, true]);
  });

  it("a loader entry starts another CPU without loading anything", () => {
    const m = machine({ cpus: 2, kernel: kernel(LOOP), loaders: [{ address: 0x4008_0000, cpu: 1 }] });
    m.simulation.run(MICROSECOND);
    expect(m.cpus.cpus[1]?.instructions).toBeGreaterThanOrEqual(1000);
  });

  it("the UART is set up as firmware leaves it where none runs: enabled, 115,200 baud of 24 MHz", () => {
    const m = machine({ kernel: kernel(LOOP) });
    // DDI 0183G 3.3.5 to 3.3.8: 24 MHz / (16 x 115,200) = 13 + 1/64
    expect([0x24, 0x28, 0x2c, 0x30].map((o) => m.bus.peek(0x900_0000 + o, 4))).toEqual([13, 1, 0x70, 0x301]);
    expect(machine({}).bus.peek(0x900_0030, 4)).toBe(0x300);
  });

  it("reset puts images back and leaves the rest of RAM alone", () => {
    const m = machine({ kernel: kernel(LOOP) });
    m.bus.poke(0x4008_0000, 4, 0);
    m.bus.poke(0x4200_0000, 4, 0x1234);
    m.reset();
    expect(m.bus.peek(0x4008_0000, 4)).toBe(0x14000000);
    expect(m.bus.peek(0x4200_0000, 4)).toBe(0x1234);
  });

  it("equal options give equal state hashes; another seed another tree", () => {
    const [a, b, c] = [1, 1, 2].map((seed) => machine({ seed, kernel: kernel(LOOP) }));
    expect(b?.simulation.stateHash()).toBe(a?.simulation.stateHash());
    expect(c?.simulation.stateHash()).not.toBe(a?.simulation.stateHash());
    const chosen = findNode(parseFdt(machine({ treeRandomness: false }).deviceTree, "dt"), "/chosen");
    expect([...(chosen?.properties.keys() ?? [])]).toEqual(["stdout-path"]);
  });

  it("an SMMU stands before the PCIe bus where it is asked for; its interrupts are SPIs 74 to 77", () => {
    expect(machine({}).smmu).toBeNull();
    const m = machine({ iommu: "smmuv3" });
    const { smmu } = m;
    expect(smmu).not.toBeNull();
    expect(m.bus.peek(0x905_0000, 4)).toBe(0x094d_761b);
    expect(m.pcie.dmaTarget(0x108)).toBe(smmu?.target(0x108));
    const pending = () => m.bus.peek(0x800_020c, 4);
    for (const [line, bit] of [
      [smmu?.eventq, 10],
      [smmu?.priq, 11],
      [smmu?.cmdqSync, 12],
      [smmu?.gerror, 13],
    ] as const) {
      line?.raise();
      expect((pending() >>> bit) & 1).toBe(1);
    }
  });

  it("every interrupt of the board's data reaches the GIC: raising each line makes its SPI pending", () => {
    const m = machine({});
    const pending = (spi: number) => (m.bus.peek(0x800_0200 + 4 * ((spi + 32) >> 5), 4) >>> (spi & 31)) & 1;
    for (const [line, spi] of [
      [m.uart.interrupt, 1],
      [m.rtc.interrupt, 2],
      [m.gpio.interrupt, 7],
      [m.virtio[0]?.interrupt, 16],
      [m.virtio[31]?.interrupt, 47],
      [m.timer.timer1Interrupt, 112],
      [m.timer.timer2Interrupt, 113],
      [m.timer.combinedInterrupt, 114],
    ] as const) {
      expect(pending(spi)).toBe(0);
      line?.raise();
      expect(pending(spi)).toBe(1);
    }
  });

  it("virtio devices take slots from the highest down, and a slot once", () => {
    const rng = (name: string, slot?: number) => ({
      name,
      ...(slot === undefined ? {} : { slot }),
      make: (
        s: ConstructorParameters<typeof VirtioEntropy>[0],
        n: string,
        port: ConstructorParameters<typeof VirtioEntropy>[2]["port"],
      ) => new VirtioEntropy(s, n, { port }),
    });
    const m = machine({ virtio: [rng("rng0"), rng("rng1"), rng("rng2", 0)] });
    const id = (slot: number) => m.bus.peek(0xa00_0008 + 0x200 * slot, 4);
    expect([31, 30, 29, 0].map(id)).toEqual([4, 4, 0, 4]);
    expect(() => machine({ virtio: [rng("a", 3), rng("b", 3)] })).toThrow("b: virtio-mmio slot 3 is taken");
  });

  it.each([
    [{ cpus: 9 }, "9 CPUs: expected 1 to 8"],
    [{ memory: 12345 }, "12345 bytes of RAM: expected a multiple of 1 MiB"],
  ])("refuses %j", (options, message) => {
    expect(() => machine(options)).toThrow(InputError);
    expect(() => machine(options)).toThrow(message);
  });
});
