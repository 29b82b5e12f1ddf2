import { describe, expect, it } from "vitest";
import { Transaction } from "../../src/bus/index.ts";
import { acknowledge, enableGic, endOfInterrupt } from "../../src/guests/gic.ts";
import { ToeInterface } from "../../src/guests/toe.ts";
import {
  AbstractMachine,
  type Domain,
  type Guest,
  type GuestProgram,
  Monitor,
  type Routine,
} from "../../src/hypervisor/abstract/index.ts";
import { createScheduler } from "../../src/hypervisor/scheduler/index.ts";
import { SEC } from "../../src/sim/index.ts";

const MANAGEMENT = 0xc80_0000;
const FRAME = 0x1_0000;
const RAM = 0x4000_0000;
const GIC = 0x801_0000;
/** Where a guest sees its interface. */
const AT = 0xd00_0000;

/** Two domains, each with a control interface of its own: 10.0.0.1 and 10.0.0.2. */
function pair(bodies: readonly ((g: Guest, toe: ToeInterface) => Routine)[]) {
  const machine = new AbstractMachine({ toe: { interfaces: 2 }, cpus: 2 });
  const monitor = new Monitor(machine, createScheduler("round-robin", 2));
  const stops: string[] = [];
  monitor.onStop = (domain, reason) => stops.push(`${domain.name} ${reason}`);
  const tx = new Transaction();
  const manage = (offset: number, value: number) => machine.bus.write(MANAGEMENT + offset, 4, value >>> 0, tx);
  const domains: Domain[] = [];
  bodies.forEach((body, n) => {
    // the manual's 15, "Management": address ::ffff:10.0.0.(n + 1), 120 bits of network
    manage(0x80, n);
    [0, 0, 0xffff_0000, ((n + 1) << 24) | 10].forEach((word, i) => {
      manage(0x90 + 4 * i, word);
    });
    manage(0xb0, 0x100 | 120);
    manage(0x84, 1);
    manage(0x1000 + 0x40 * n, 1);
    const made: { toe: ToeInterface | null } = { toe: null };
    const program: GuestProgram = {
      name: `guest ${n}`,
      *main(g) {
        const toe = new ToeInterface({
          base: AT,
          memory: RAM + 0x2_0000,
          dmaOffset: (domains[n] as Domain).memory - RAM,
        });
        made.toe = toe;
        yield* enableGic(g, GIC);
        expect(yield* toe.start(g)).toBe(true);
        g.unmask();
        yield* body(g, toe);
      },
      *interrupt(g) {
        const id = yield* acknowledge(g, GIC);
        if (made.toe) yield* made.toe.interrupt(g);
        if (id < 1020) yield* endOfInterrupt(g, GIC, id);
      },
    };
    domains.push(
      monitor.addDomain({
        name: `guest${n}`,
        program,
        devices: [{ ipa: AT, base: MANAGEMENT + FRAME * (n + 1), size: FRAME }],
        interrupts: [{ spi: 121 + n }],
      }),
    );
  });
  for (const domain of domains) monitor.start(domain);
  return { machine, monitor, stops, domains };
}

describe("TOE driver in TypeScript", () => {
  it("a server and a client exchange a megabyte through the device, by interrupts", () => {
    const total = 1 << 20;
    let received = 0;
    let wrong = 0;
    let reply = "";
    const { machine, stops, domains } = pair([
      function* (g, toe) {
        const listener = yield* toe.listen(g, 80);
        const socket = yield* toe.accept(g, listener);
        const data = new Uint8Array(0x8000);
        for (;;) {
          const n = yield* toe.receive(g, socket, data);
          if (n <= 0 || received >= total) break;
          for (let i = 0; i < n; i++) if (data[i] !== (received + i) % 251) wrong++;
          received += n;
          if (received >= total) break;
        }
        yield* toe.send(g, socket, new TextEncoder().encode("thank you"));
        yield* toe.close(g, socket);
      },
      function* (g, toe) {
        yield g.compute(5_000_000);
        const socket = yield* toe.connect(g, 0x0a00_0001, 80);
        expect(socket).toBeGreaterThanOrEqual(0);
        const data = new Uint8Array(0x8000);
        for (let sent = 0; sent < total; ) {
          for (let i = 0; i < data.length; i++) data[i] = (sent + i) % 251;
          sent += yield* toe.send(g, socket, data);
        }
        const answer = new Uint8Array(9);
        yield* toe.receive(g, socket, answer, true);
        reply = new TextDecoder().decode(answer);
        yield* toe.close(g, socket);
      },
    ]);
    machine.simulation.run(2 * SEC);
    expect({ received, wrong, reply }).toEqual({ received: total, wrong: 0, reply: "thank you" });
    expect(stops.sort()).toEqual(["guest0 off", "guest1 off"]);
    for (const domain of domains) expect(domain.interrupts).toBeGreaterThan(10);
  });

  it("a connection to a port where nobody listens is refused", () => {
    let socket = 0;
    const { machine } = pair([
      function* (g) {
        yield g.compute(1000);
        yield g.wait();
      },
      function* (g, toe) {
        socket = yield* toe.connect(g, 0x0a00_0001, 81);
      },
    ]);
    machine.simulation.run(SEC);
    expect(socket).toBe(-1);
  });
});
