/** Regions of a VM: trapped, passed, absent, mixed within a page, changed while the VM runs. */
import { describe, expect, it } from "vitest";
import { guests, program, vm } from "./support/machine.ts";

const US = 10_000;
// movz x1, #0x900, lsl #16; movz w0, #0x41; then for ever: strb w0, [x1]
const WRITER = program(0xd2a12001, 0x52800820, 0x39000020, 0x17ffffff);
/** How often a VM has left for a region. */
const exits = (g: ReturnType<typeof guests>, region: string) =>
  g.vms[0]?.statistics.table("regions").find((r) => r.name === region)?.count ?? 0;

describe("regions", () => {
  it("a region changes from trap to pass and back while the VM runs", () => {
    const devices = { uart0: { mode: "trap", physical: "uart1" } } as const;
    const g = guests({ vms: [vm("a", "trap", { devices }), vm("b", "pass")] }, [
      { kernel: WRITER },
      { kernel: program(0x14000000) },
    ]);
    const [a] = g.vms;
    const real: number[] = [];
    const { uart1 } = g.machine;
    if (!a || !uart1) throw new Error("no such VM");
    uart1.onTransmit = (byte) => real.push(byte);
    const runTo = (us: number) => g.machine.simulation.run(us * US);
    runTo(100);
    const trapped = g.output(0).length;
    expect(trapped).toBeGreaterThan(5);
    expect(real).toEqual([]);

    g.hypervisor.request(a, "mode uart0 pass");
    runTo(110);
    const before = [g.output(0).length, exits(g, "uart0")];
    runTo(150);
    expect([g.output(0).length, exits(g, "uart0")]).toEqual(before);
    expect(real.length).toBeGreaterThan(1000);

    g.hypervisor.request(a, "mode uart0 trap");
    runTo(160);
    const sent = real.length;
    runTo(250);
    expect(real.length).toBe(sent);
    expect(g.output(0).length).toBeGreaterThan((before[0] ?? 0) + 5);
  });

  it("with no mode left a region faults as a hole does: the vector at 0 is none either, and the VM is stopped", () => {
    const g = guests({ vms: [vm("a", "trap")] }, [{ kernel: WRITER }]);
    const [a] = g.vms;
    if (!a) throw new Error("no such VM");
    g.machine.simulation.run(50 * US);
    g.hypervisor.request(a, "mode uart0 none");
    g.run(0.1);
    expect([a.status, a.cells.reason]).toEqual(["stopped", "aborts without end at 0x200"]);
  });

  it("one page, two ways: UARTDR is the machine's, all else the model's", () => {
    // ldr w2, [x1, #0xfe0] (UARTPeriphID0) once, str of it to UARTIBRD, then UARTDR for ever
    const code = program(0xd2a12001, 0x52800820, 0xb94fe022, 0xb9002422, 0x39000020, 0x17ffffff);
    const devices = { uart0: { mode: "trap", physical: "uart1", registers: { UARTDR: "pass" } } } as const;
    const g = guests({ vms: [vm("a", "trap", { devices })] }, [{ kernel: code }]);
    g.machine.simulation.run(100 * US);
    expect(g.machine.uart1?.registers.peek(0x24, 4)).toBe(0); // nothing went there
    const [a] = g.vms;
    // PeriphID0 of a PL011 is 0x11 (DDI 0183G 3.3.15)
    expect(a?.bus.peek(0x900_0024, 4)).toBe(0x11);
    expect(g.output(0)).toMatch(/^A{5,}$/);
    const registers = a?.statistics.table("registers").map((r) => r.name);
    expect(registers).toEqual(expect.arrayContaining(["uart0.UARTDR", "uart0.UARTIBRD", "uart0.UARTPeriphID0"]));
  });
});

describe("life cycle", () => {
  it("a paused VM does nothing; resumed it goes on; reset it begins anew; destroyed its memory is free", () => {
    const g = guests({ vms: [vm("a", "trap")] }, [{ kernel: WRITER }]);
    const [a] = g.vms;
    if (!a) throw new Error("no such VM");
    const free = g.hypervisor.options.pool.free;
    const runTo = (us: number) => g.machine.simulation.run(us * US);
    runTo(100);
    expect(a.status).toBe("running");
    expect(g.hypervisor.options.pool.free).toBeLessThan(free - 8 * 2 ** 20);
    g.hypervisor.request(a, "pause");
    runTo(110);
    const printed = g.output(0).length;
    runTo(300);
    expect([a.status, g.output(0).length]).toEqual(["paused", printed]);
    g.hypervisor.request(a, "resume");
    runTo(400);
    expect(g.output(0).length).toBeGreaterThan(printed + 5);
    const exitsBefore = exits(g, "uart0");
    g.hypervisor.request(a, "reset");
    runTo(500);
    expect([a.status, exits(g, "uart0") > exitsBefore + 5]).toEqual(["running", true]);
    g.hypervisor.request(a, "destroy");
    runTo(600);
    expect([a.status, g.hypervisor.options.pool.free]).toEqual(["destroyed", free]);
  });
});
