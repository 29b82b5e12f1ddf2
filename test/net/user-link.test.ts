import { describe, expect, it } from "vitest";
import { connectUser, type Frame, type NetworkDevice, pcapngHeader, pcapngPacket } from "../../src/net/index.ts";
import { Module, Simulation, US } from "../../src/sim/index.ts";

class Card extends Module implements NetworkDevice {
  onTransmit: ((frame: Frame) => void) | null = null;
  readonly received: Frame[] = [];
  receive(frame: Frame): void {
    this.received.push(frame);
  }
}

/** RFC 826: who has 10.0.2.2? */
const ARP = Uint8Array.from([
  ...[255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6],
  ...[0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2],
]);

function setUp(options: Parameters<typeof connectUser>[3] = {}) {
  const simulation = new Simulation();
  const card = new Card(simulation, "net0");
  const { link, host } = connectUser(simulation, "net0", card, options);
  simulation.reset();
  return { simulation, card, link, host };
}

describe("a card on a user network", () => {
  it("the answer comes at an event of its own, not inside the call that sent the question", () => {
    const { simulation, card } = setUp();
    card.onTransmit?.(ARP);
    expect(card.received).toEqual([]);
    simulation.run(simulation.now + 1);
    expect(card.received.map((f) => [...f.subarray(12, 14), f[21]])).toEqual([[8, 6, 2]]);
  });

  it("link and host are modules under the device's name; rate and delay hold both ways", () => {
    // 1 Gb/s: 42 bytes count as 60, and 24 of overhead: 672 ns each way, and 1 us of delay.
    const { simulation, card, link, host } = setUp({ link: { rate: 1_000_000_000, delay: US } });
    expect([link.fullName, host.fullName]).toEqual(["net0link", "net0host"]);
    card.onTransmit?.(ARP);
    simulation.run(33_439);
    expect(card.received).toHaveLength(0);
    simulation.run(33_440);
    expect(card.received).toHaveLength(1);
  });

  it("frames under way come back from a snapshot", () => {
    const first = setUp({ link: { delay: US } });
    first.card.onTransmit?.(ARP);
    const saved = structuredClone(first.simulation.save());
    const other = setUp({ link: { delay: US } });
    other.simulation.load(saved);
    for (const { simulation } of [first, other]) simulation.run(3 * US);
    expect(other.card.received).toEqual(first.card.received);
    expect(other.simulation.stateHash()).toBe(first.simulation.stateHash());
  });

  it("other addresses: the host answers for the network it was given", () => {
    const { simulation, card } = setUp({ network: 0xc0a84c00, host: 0xc0a84c01, dns: 0xc0a84c03, guest: 0xc0a84c09 });
    card.onTransmit?.(ARP);
    const question = ARP.slice();
    question.set([192, 168, 76, 1], 38);
    card.onTransmit?.(question);
    simulation.run(simulation.now + 1);
    expect(card.received.map((f) => [...f.subarray(28, 32)])).toEqual([[192, 168, 76, 1]]);
  });
});

describe("pcapng", () => {
  it("section header, interface description with its name, nanoseconds and snap length", () => {
    const view = new DataView(pcapngHeader("net0", 96).buffer);
    expect([view.getUint32(0, true), view.getUint32(8, true), view.getUint32(28, true)]).toEqual([
      0x0a0d0d0a, 0x1a2b3c4d, 1,
    ]);
    expect([view.getUint16(36, true), view.getUint32(40, true)]).toEqual([1, 96]);
  });

  it("an enhanced packet holds time, both lengths, the frame in whole words, and its direction", () => {
    const frame = Uint8Array.from({ length: 61 }, (_, i) => i);
    const packet = pcapngPacket(frame, 12_345_678_901_230, true);
    const view = new DataView(packet.buffer);
    expect([view.getUint32(0, true), view.getUint32(4, true), packet.length]).toEqual([6, packet.length, 108]);
    // 1,234,567,890,123 ns in two words.
    expect([view.getUint32(12, true), view.getUint32(16, true)]).toEqual([287, 1_912_276_171]);
    expect([view.getUint32(20, true), view.getUint32(24, true)]).toEqual([61, 61]);
    expect([...packet.subarray(28, 28 + 61)]).toEqual([...frame]);
    expect([view.getUint16(92, true), view.getUint16(94, true), view.getUint32(96, true)]).toEqual([2, 4, 1]);
    expect(view.getUint32(packet.length - 4, true)).toBe(packet.length);
  });

  it("of a long frame no more than the snap length is kept, with the length that it had", () => {
    const packet = pcapngPacket(new Uint8Array(1514).fill(7), 0, false, 96);
    const view = new DataView(packet.buffer);
    expect([view.getUint32(20, true), view.getUint32(24, true)]).toEqual([96, 1514]);
    expect(view.getUint32(28 + 96 + 4, true)).toBe(2);
  });
});
