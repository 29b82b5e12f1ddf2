/** The learning switch, by clauses of IEEE 802.1D-2004 and 802.1Q-2011. */
import { describe, expect, it } from "vitest";
import {
  joinStations,
  type NetworkDevice,
  Switch,
  type SwitchOptions,
  type SwitchPortOptions,
} from "../../src/net/index.ts";
import { SEC, Simulation } from "../../src/sim/index.ts";

class Host implements NetworkDevice {
  onTransmit: ((frame: Uint8Array) => void) | null = null;
  heard: Uint8Array[] = [];
  receive(frame: Uint8Array): void {
    this.heard.push(frame);
  }
}

const A = [2, 0, 0, 0, 0, 0xa];
const B = [2, 0, 0, 0, 0, 0xb];
const C = [2, 0, 0, 0, 0, 0xc];
const ALL = [255, 255, 255, 255, 255, 255];
const frame = (to: number[], from: number[], ...rest: number[]) =>
  Uint8Array.from([...to, ...from, ...(rest.length > 0 ? rest : [8, 0]), ...Array(46).fill(7)]);

function setUp(options: SwitchOptions = {}, ports: SwitchPortOptions[] = [{}, {}, {}]) {
  const simulation = new Simulation();
  const hub = new Switch(simulation, "switch", options);
  const hosts = ports.map((port, n) => {
    const host = new Host();
    joinStations(simulation, `link${n}`, host, hub.addPort(port));
    return host;
  });
  simulation.reset();
  /** Sends from port `n` and tells which ports have heard it. */
  const send = (n: number, f: Uint8Array) => {
    for (const h of hosts) h.heard = [];
    hosts[n]?.onTransmit?.(f);
    simulation.run(simulation.now + 10);
    return hosts.flatMap((h, i) => (h.heard.length > 0 ? [i] : []));
  };
  const heard = (n: number) => hosts[n]?.heard[0] as Uint8Array;
  return { simulation, hub, hosts, send, heard };
}

describe("learning switch", () => {
  it("802.1D 7.7: what is not known, and groups, go to all ports but the one they came from", () => {
    const { send, hub } = setUp();
    expect(send(0, frame(B, A))).toEqual([1, 2]);
    expect(send(1, frame(ALL, B))).toEqual([0, 2]);
    expect(send(2, frame([1, 0, 0x5e, 0, 0, 1], C))).toEqual([0, 1]);
    expect(hub.ports.map((p) => [p.counts.received, p.counts.transmitted, p.counts.flooded])).toEqual([
      [1, 2, 1],
      [1, 2, 1],
      [1, 2, 1],
    ]);
  });

  it("802.1D 7.8: a source is learned, moves with its station, and a group's address is never learned", () => {
    const { send, hub } = setUp();
    send(0, frame(ALL, A));
    expect(hub.lookUp(0x02000000000a)).toBe(0);
    expect(send(1, frame(A, B))).toEqual([0]);
    expect(send(2, frame(ALL, A))).toEqual([0, 1]);
    expect(send(1, frame(A, B))).toEqual([2]);
    send(0, frame(ALL, [3, 0, 0, 0, 0, 1]));
    expect(hub.addresses).toBe(2);
  });

  it("802.1D 7.7.3: a frame for a station behind its own port is filtered", () => {
    const { send, hub } = setUp();
    send(0, frame(ALL, A));
    expect(send(0, frame(A, B))).toEqual([]);
    expect(hub.ports[0]?.counts.filtered).toBe(1);
  });

  it("802.1D table 7-10: 01-80-C2-00-00-00 to -0F are not forwarded; -10 is", () => {
    const { send } = setUp();
    for (let last = 0; last < 16; last++) expect(send(0, frame([1, 0x80, 0xc2, 0, 0, last], A))).toEqual([]);
    expect(send(0, frame([1, 0x80, 0xc2, 0, 0, 0x10], A))).toEqual([1, 2]);
  });

  it("802.1D 7.9.2: an address that was not seen for 300 s is forgotten", () => {
    const { send, simulation } = setUp();
    send(0, frame(ALL, A));
    simulation.run(299 * SEC);
    expect(send(1, frame(A, B))).toEqual([0]);
    simulation.run(302 * SEC);
    expect(send(1, frame(A, B))).toEqual([0, 2]);
  });

  it("a full table learns no more until addresses have aged", () => {
    const { send, hub, simulation } = setUp({ addresses: 2, aging: 10 * SEC });
    send(0, frame(ALL, A));
    send(1, frame(ALL, B));
    send(2, frame(ALL, C));
    expect([hub.addresses, hub.lookUp(0x02000000000c)]).toEqual([2, null]);
    simulation.run(11 * SEC);
    send(2, frame(ALL, C));
    expect([hub.addresses, hub.lookUp(0x02000000000c)]).toEqual([1, 2]);
  });

  it("without vlans tags pass as they are", () => {
    const { send, heard } = setUp();
    const f = frame(B, A, 0x81, 0, 0x20, 5, 8, 0);
    expect(send(0, f)).toEqual([1, 2]);
    expect(heard(1)).toEqual(f);
  });

  // Ports 0 and 1: access to VLAN 10 and 20; 2: trunk of both; 3: access to 10.
  const PORTS = [{ pvid: 10 }, { pvid: 20 }, { pvid: 1, tagged: [10, 20] }, { pvid: 10 }];

  it("802.1Q 6.9, 8.6: frames stay in their VLAN; tagged on a trunk, plain at an access port, the priority kept", () => {
    const { send, heard, hub } = setUp({ vlans: true }, PORTS);
    expect(send(0, frame(ALL, A))).toEqual([2, 3]);
    expect(heard(2)).toEqual(frame(ALL, A, 0x81, 0, 0, 10, 8, 0));
    expect(heard(3)).toEqual(frame(ALL, A));
    expect(send(2, frame(ALL, B, 0x81, 0, 0x60, 20, 8, 0))).toEqual([1]);
    expect(heard(1)).toEqual(frame(ALL, B));
    expect(send(0, frame(ALL, A, 0x81, 0, 0x60, 0, 8, 0))).toEqual([2, 3]);
    expect(heard(2)).toEqual(frame(ALL, A, 0x81, 0, 0x60, 10, 8, 0));
    // VLAN 30 has no member; 4095 is reserved; the access port is no member of 20.
    for (const vlan of [30, 0xfff, 20]) {
      expect(send(0, frame(ALL, A, 0x81, 0, vlan >> 8, vlan & 255, 8, 0))).toEqual([]);
    }
    expect(hub.ports[0]?.counts.refused).toBe(3);
  });

  it("an address is learned for each VLAN by itself", () => {
    const { send, hub } = setUp({ vlans: true }, PORTS);
    send(0, frame(ALL, A));
    send(1, frame(ALL, A));
    expect([hub.lookUp(0x02000000000a, 10), hub.lookUp(0x02000000000a, 20)]).toEqual([0, 1]);
    expect(send(2, frame(A, C, 0x81, 0, 0, 20, 8, 0))).toEqual([1]);
  });

  it("impossible VLANs are refused", () => {
    const hub = () => new Switch(new Simulation(), "switch", { vlans: true });
    expect(() => hub().addPort({ pvid: 4095 })).toThrow(RangeError);
    expect(() => hub().addPort({ tagged: [0] })).toThrow(RangeError);
  });

  it("table and counts come back from a snapshot", () => {
    const one = setUp({ vlans: true }, PORTS);
    one.send(0, frame(ALL, A));
    one.send(2, frame(ALL, B, 0x81, 0, 0x60, 20, 8, 0));
    const other = setUp({ vlans: true }, PORTS);
    other.simulation.load(structuredClone(one.simulation.save()));
    expect(other.simulation.stateHash()).toBe(one.simulation.stateHash());
    expect(other.send(3, frame(A, C))).toEqual([0]);
  });
});
