/** Virtual functions of an 82576, whose physical one the hypervisor keeps (Intel 82576EB Datasheet 2.7, 7.10). */
import { describe, expect, it } from "vitest";
import { acknowledge, enableGic, endOfInterrupt } from "../../src/guests/gic.ts";
import { IgbVf } from "../../src/guests/igbvf.ts";
import type { Guest, GuestProgram, Routine } from "../../src/hypervisor/abstract/index.ts";
import { hypervisorReport } from "../../src/hypervisor/report.ts";
import { SEC } from "../../src/sim/index.ts";
import { aim, BAR0, BAR3, device, enableEdges, GICC, pciSystem } from "./support/pci.ts";

const RAM = 0x4000_0000;
/** Bytes of each VM. */
const MEMORY = 0x40_0000;
const CFG = device(1);

describe("virtual functions of an 82576 for two VMs", () => {
  const MAC = (n: number) => Uint8Array.of(2, 0, 0, 0xaa, 0, n);

  /** Opens its VF, sends `frames` to the other and waits until as many have come; what it has taken by interrupt. */
  function talker(n: number, frames: number, heard: number[][], wild = false): GuestProgram {
    let interrupts = 0;
    return {
      name: `vm${n}`,
      *main(g) {
        heard[n] = [];
        yield* enableGic(g, GICC);
        yield* enableEdges(g, [80]);
        yield g.store(CFG + 0x10, BAR0);
        yield g.store(CFG + 0x14, 0);
        yield g.store(CFG + 0x1c, BAR3);
        yield g.store(CFG + 0x20, 0);
        yield g.store(CFG + 4, 6, 2);
        yield* aim(g, BAR3, 0, 80);
        yield g.store(CFG + 0x72, 0x8000, 2);
        const memory = wild ? RAM + MEMORY : RAM + 0x8_0000;
        const vf = new IgbVf({
          base: BAR0,
          memory: RAM + 0x8_0000,
          dmaOffset: memory - RAM - 0x8_0000,
          descriptors: 32,
        });
        const mac = yield* vf.reset(g);
        expect(mac).toEqual(MAC(n));
        yield* vf.start(g);
        g.unmask();
        // STATUS.LU
        while (((yield g.load(BAR0 + 8)) & 2) === 0) yield g.compute(1_000_000);
        yield g.compute(10_000_000);
        interrupts = 0;
        const frame = new Uint8Array(60);
        frame.set(MAC(1 - n));
        frame.set(mac ?? [], 6);
        frame.set([0x88, 0xb5], 12);
        for (let k = 0; k < frames; k++) {
          frame[14] = 0x40 * (n + 1) + k;
          yield* vf.transmit(g, frame);
          yield* vf.flush(g);
          yield g.compute(1_000_000);
        }
        const packet = new Uint8Array(2048);
        for (let look = 0; look < 50; look++) {
          while ((yield* vf.receive(g, packet)) >= 0) heard[n]?.push(packet[14] as number);
          yield* vf.unmaskInterrupt(g);
          yield g.compute(1_000_000);
        }
        heard[n]?.push(interrupts > 0 ? 1 : 0);
      },
      *interrupt(g) {
        const id = yield* acknowledge(g, GICC);
        if (id >= 1020) return;
        interrupts++;
        yield* endOfInterrupt(g, GICC, id);
      },
    };
  }

  function two(wild: boolean, vlans: readonly number[] = []) {
    const heard: number[][] = [];
    const system = pciSystem({ nic: { device: "igb", vfs: 2 } });
    const vms = [0, 1].map((n) => {
      const vlan = vlans[n];
      const settings = { mac: MAC(n), ...(vlan === undefined ? {} : { vlan }) };
      return system.add(talker(n, 3, heard, wild && n === 1), [{ card: "nic", vf: n, settings }]);
    });
    system.machine.simulation.run(4 * SEC);
    expect(vms.map((vm) => vm.status)).toEqual(["off", "off"]);
    return { ...system, heard };
  }

  it("each is told its address by the hypervisor's driver (82576 datasheet 7.10.2.9) and hears the other's frames, with interrupts", () => {
    const { heard, smmu } = two(false);
    expect(heard).toEqual([
      [0x80, 0x81, 0x82, 1],
      [0x40, 0x41, 0x42, 1],
    ]);
    expect(smmu.faults).toBe(0);
  });

  it("one whose rings are beyond its memory sends and takes nothing; each try is an event of the SMMU; the other's own DMA goes on", () => {
    const { heard, smmu, machine, h } = two(true);
    expect(heard.map((list) => list.slice(0, -1))).toEqual([[], []]);
    expect(smmu.faults).toBeGreaterThan(0);
    expect(hypervisorReport(h.hypervisor).vms.map((vm) => vm.refusedDma)).toEqual([0, smmu.faults]);
    expect(machine.simulation.reporter.guestErrors).toBeGreaterThan(0);
  });

  it.each([
    ["without", undefined, 0xa000_0000],
    ["with", 5, 0x6000_0000],
  ] as const)(
    "mailbox, %s a VLAN from the file: before a reset nothing is granted; then the VF's own address, VLANs and lengths that are possible",
    (_what, vlan, vlanAnswer) => {
      const answers: number[] = [];
      const system = pciSystem({ nic: { device: "igb", vfs: 1 } });
      const settings = { mac: MAC(1), ...(vlan === undefined ? {} : { vlan }) };
      /** V2PMAILBOX at C40h: REQ 0, ACK 1, VFU 2, PFSTS 4; VMBMEM at 800h. */
      function* ask(g: Guest, ...message: readonly number[]): Routine {
        yield g.store(BAR0 + 0xc40, 4);
        for (const [n, word] of message.entries()) yield g.store(BAR0 + 0x800 + 4 * n, word);
        yield g.store(BAR0 + 0xc40, 1);
        while (((yield g.load(BAR0 + 0xc40)) & 0x10) === 0) yield g.compute(10_000);
        answers.push((yield g.load(BAR0 + 0x800)) - (message[0] as number));
        yield g.store(BAR0 + 0xc40, 2);
      }
      const vm = system.add(
        {
          name: "a",
          *main(g) {
            yield g.store(CFG + 0x10, BAR0);
            yield g.store(CFG + 4, 6, 2);
            yield* ask(g, 5, 1522);
            yield* ask(g, 1);
            // own address; another's; a filter cleared; a filter added
            yield* ask(g, 2, 0xaa00_0002, 0x0100);
            yield* ask(g, 2, 0xaa00_0002, 0x0200);
            yield* ask(g, 0x1_0002);
            yield* ask(g, 0x2_0002, 0xaa00_0002, 0x0200);
            // three multicast hashes; VLAN 7; longest packets of 9728 and 9729; multicast and unicast promiscuous; unknown
            yield* ask(g, 0x3_0003, 0x0002_0001, 0x0003);
            yield* ask(g, 0x1_0004, 7);
            yield* ask(g, 5, 9728);
            yield* ask(g, 5, 9729);
            yield* ask(g, 0x2_0006);
            yield* ask(g, 0x1_0006);
            yield* ask(g, 9);
          },
        },
        [{ card: "nic", vf: 0, settings }],
      );
      system.machine.simulation.run(SEC);
      expect(vm.status).toBe("off");
      // ACK 8000_0000h, NACK 4000_0000h, CTS 2000_0000h
      const [granted, refused] = [0xa000_0000, 0x6000_0000];
      expect(answers).toEqual([
        0x4000_0000,
        0x8000_0000,
        ...[granted, refused, granted, refused],
        ...[granted, vlanAnswer, granted, refused, granted, refused, refused],
      ]);
    },
  );

  it("in one VLAN they hear each other, without a tag; in two they do not (82576 datasheet 7.10)", () => {
    expect(two(false, [5, 5]).heard.map((list) => list.slice(0, -1))).toEqual([
      [0x80, 0x81, 0x82],
      [0x40, 0x41, 0x42],
    ]);
    expect(two(false, [5, 6]).heard.map((list) => list.slice(0, -1))).toEqual([[], []]);
  });

  it("the same run has the same state hash", () => {
    const hash = () => two(false).machine.simulation.stateHash();
    expect(hash()).toBe(hash());
  });
});
