/** The TOE under the hypervisor: emulated through the hypervisor's interface, or an interface of the VM's own behind the SMMU. */
import { describe, expect, it } from "vitest";
import type { VirtOptions } from "../../platform/virt/machine.ts";
import { Transaction } from "../../src/bus/index.ts";
import { createConfiguredMachine, type HypervisorConfiguration } from "../../src/hypervisor/config.ts";
import { hypervisorReport } from "../../src/hypervisor/report.ts";
import { HypervisorSmmu } from "../../src/hypervisor/smmu.ts";
import { Link } from "../../src/net/index.ts";
import { HttpPeer } from "../../src/systems/http-peer.ts";
import { code, image } from "./support/machine.ts";

const SECOND = 10_000_000_000;
/** Interfaces of the machine (docs/devices/toe.md 1.1): the hypervisor's, and the first that is passed. */
const PASSED = 0xc82_0000;

/** CRC-32 of a MiB of x(n+1) = 1664525 x(n) + 1013904223 from 1 in little-endian words. */
function fileCrc(mebibytes: number): number {
  const table = Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    return c;
  });
  let crc = -1;
  let x = 1;
  for (let word = 0; word < mebibytes * 2 ** 18; word++) {
    for (let byte = 0; byte < 4; byte++) crc = (crc >>> 8) ^ (table[(crc ^ (x >>> (8 * byte))) & 0xff] as number);
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
  }
  return ~crc >>> 0;
}

function servers(modes: readonly ("trap" | "pass")[], bytes: number) {
  const config: HypervisorConfiguration = {
    machine: { memory: "64M" },
    vms: modes.map((mode, n) => ({
      name: `vm${n}`,
      memory: "8M",
      kernel: "toe.elf",
      append: `toe.file=1 toe.bytes=${bytes} toe.echo=0 toe.iperf=0`,
      devices: { uart0: "trap" as const, toe: { mode, address: `10.0.2.${11 + n}/24` } },
    })),
  };
  const made: { peer: HttpPeer | null } = { peer: null };
  const connect: NonNullable<VirtOptions["toe"]>["connect"] = (parent, name, device) => {
    const link = new Link(parent, `${name}Link`, { rate: 10_000_000_000 });
    const peer = new HttpPeer(parent, `${name}Peer`, {
      mac: Uint8Array.of(0x52, 0x54, 0, 0, 0, 1),
      address: Uint8Array.of(10, 0, 2, 1),
      prefix: 24,
      targets: modes.map((_, n) => ({ name: `vm${n}`, address: Uint8Array.of(10, 0, 2, 11 + n), path: "/file" })),
      send: (frame) => link.send(1, frame),
    });
    link.attach(0, device);
    link.attach(1, peer);
    device.onTransmit = (frame) => void link.send(0, frame);
    made.peer = peer;
  };
  const toe = image("toe.elf");
  const built = createConfiguredMachine(
    config,
    modes.map(() => ({ kernel: toe })),
    () => undefined,
    { code, connect },
  );
  for (const vm of built.vms) {
    vm.onState = () => {
      if (built.vms.every((v) => v.status === "off" || v.status === "stopped")) built.machine.simulation.pause();
    };
  }
  return { ...built, peer: made.peer as HttpPeer };
}

const FILE = 2 ** 20;

describe("one guest binary on an emulated and on its own interface", () => {
  it("both serve the file whole; only the emulated one's accesses to the interface are exits", () => {
    const { machine, hypervisor, vms, peer } = servers(["trap", "pass"], FILE);
    machine.simulation.run(SECOND);
    expect(vms.map((vm) => vm.status)).toEqual(["off", "off"]);
    const crc = fileCrc(1);
    expect(peer.results().map(({ name, outcome, bytes, crc: sum }) => [name, outcome, bytes, sum])).toEqual([
      ["vm0", "done", FILE, crc],
      ["vm1", "done", FILE, crc],
    ]);
    const exits = hypervisorReport(hypervisor).vms.map((vm) => vm.regions.find((r) => r.name === "toe")?.count ?? 0);
    expect(exits[0]).toBeGreaterThan(20);
    expect(exits[1]).toBe(0);
  });

  it("three emulated interfaces share the hypervisor's, each with an address of its own", () => {
    const { machine, vms, peer } = servers(["trap", "trap", "trap"], FILE);
    expect(machine.smmu).toBeNull();
    machine.simulation.run(SECOND);
    expect(vms.map((vm) => vm.status)).toEqual(["off", "off", "off"]);
    expect(peer.results().map((r) => r.outcome)).toEqual(["done", "done", "done"]);
  });

  it("the same run has the same state hash, in one piece or in many", () => {
    const whole = servers(["trap", "pass"], FILE).machine.simulation;
    whole.run(0.012 * SECOND);
    const pieces = servers(["trap", "pass"], FILE).machine.simulation;
    for (let at = 0; at < 0.012 * SECOND; at += 1_234_567) pieces.run(at);
    pieces.run(0.012 * SECOND);
    expect(pieces.stateHash()).toBe(whole.stateHash());
  });
  it("a machine saved in the middle of both transfers goes on in another one to the same end", () => {
    const first = servers(["trap", "pass"], FILE);
    first.machine.simulation.run(0.0115 * SECOND);
    const saved = structuredClone(first.machine.simulation.save());
    const second = servers(["trap", "pass"], FILE);
    second.machine.simulation.load(saved);
    for (const { machine, vms, peer } of [first, second]) {
      expect(vms.map((vm) => vm.status)).toEqual(["running", "running"]);
      machine.simulation.run(SECOND);
      expect(peer.results().map((r) => [r.outcome, r.bytes])).toEqual([
        ["done", FILE],
        ["done", FILE],
      ]);
    }
    expect(second.machine.simulation.stateHash()).toBe(first.machine.simulation.stateHash());
  });
});

describe("DMA of an interface that is passed through", () => {
  it("memory that is not the VM's is out of reach: the ring cannot be read, and the SMMU has recorded it", () => {
    const { machine, hypervisor, vms, peer } = servers(["trap", "pass"], 0);
    machine.simulation.run(0.011 * SECOND);
    expect(vms.map((vm) => vm.status)).toEqual(["running", "running"]);
    const smmu = hypervisor.services.find((s) => s instanceof HypervisorSmmu) as HypervisorSmmu;
    expect(smmu.faults).toBe(0);
    const tx = new Transaction();
    const write = (offset: number, value: number) => machine.bus.write(PASSED + offset, 4, value, tx);
    // What the guest could do: rings at an intermediate address behind its 8 MiB, though the machine has memory at that physical address.
    write(0x20, 2);
    for (const base of [0x80, 0xa0]) {
      write(base, 0x4180_0000);
      write(base + 4, 0);
      write(base + 8, 4);
    }
    write(0x20, 1);
    write(0x8c, 1);
    machine.simulation.run(0.013 * SECOND);
    // cause 2: the submission ring cannot be read (docs/devices/toe.md 5)
    expect(machine.bus.read(PASSED + 0x28, 4, tx)).toBe(2);
    expect(machine.bus.read(PASSED + 0x24, 4, tx) & 4).toBe(4);
    expect(smmu.faults).toBeGreaterThan(0);
    // and the neighbour is served all the same
    machine.simulation.run(0.1 * SECOND);
    expect(peer.results()[0]).toMatchObject({ outcome: "done", bytes: FILE });
  });
});
