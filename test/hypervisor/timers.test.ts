/** A guest's physical timer, which is emulated, and its virtual one; PSCI by either conduit. Words are A64 instructions, as the comments say. */
import { describe, expect, it } from "vitest";
import { guests, program, vm } from "./support/machine.ts";

/** x2 GICD, x5 GICC; distributor and interface on, mask open, the PPIs in w4 enabled. */
const GIC = (ppis: number) => [
  0xd2a10002, // movz x2, #0x800, lsl #16
  0xd2a10025, // movz x5, #0x801, lsl #16
  0x52800023, // movz w3, #1
  0xb9000043, // str w3, [x2]            GICD_CTLR
  (0x52a00004 | (ppis << 5)) >>> 0, // movz w4, #ppis, lsl #16
  0xb9010044, // str w4, [x2, #0x100]    GICD_ISENABLER0
  0xb90000a3, // str w3, [x5]            GICC_CTLR
  0x52801fe6, // movz w6, #0xff
  0xb90004a6, // str w6, [x5, #4]        GICC_PMR
];
const UART = 0xd2a12001; // movz x1, #0x900, lsl #16
const PRINT_W7 = 0x39000027; // strb w7, [x1]
const READ_IAR = 0xb9400ca7; // ldr w7, [x5, #0xc]
const WFI = 0xd503207f;
const OFF = [0x52b08000, 0x72800100]; // movz w0, #0x8400, lsl #16; movk w0, #8: PSCI SYSTEM_OFF
const HVC = 0xd4000002;
const SMC = 0xd4000003;
const ONE = 0xd2800020; // movz x0, #1
const COUNTS = 0xd2807d00; // movz x0, #1000

describe("timers of a guest", () => {
  it.each([
    // msr cntp_tval_el0, x0; msr cntp_ctl_el0, x0
    ["physical, PPI 30 (DDI 0487J.a D12.2.4)", 0x4000, 0xd51be200, 0xd51be220, 30],
    // msr cntv_tval_el0, x0; msr cntv_ctl_el0, x0
    ["virtual, PPI 27", 0x0800, 0xd51be300, 0xd51be320, 27],
  ])(
    "%s: WFI sleeps until it is due, 1,000 counts of 16 ns after it was set",
    (_name, ppi, setValue, setControl, id) => {
      const code = [UART, ...GIC(ppi), COUNTS, setValue, ONE, setControl, WFI, READ_IAR, PRINT_W7, ...OFF, HVC];
      const g = guests({ vms: [vm("a", "trap")] }, [{ kernel: program(...code) }]);
      g.run(0.01);
      expect([...g.output(0)].map((c) => c.charCodeAt(0))).toEqual([id]);
      expect(g.vms[0]?.status).toBe("off");
      const micros = g.machine.simulation.now / 10_000;
      expect(micros).toBeGreaterThan(16);
      expect(micros).toBeLessThan(60);
      expect(g.vms[0]?.statistics.table("reasons").map((r) => r.name)).toContain("wfi");
    },
  );

  it("CNTP_CTL_EL0.ISTATUS is polled: 0 before, 1 after (D17.11.16)", () => {
    // mrs x0, cntp_ctl_el0; tbz w0, #2, .-4
    const code = [COUNTS, 0xd51be200, ONE, 0xd51be220, 0xd53be220, 0x3617ffe0, ...OFF, HVC];
    const g = guests({ vms: [vm("a", "trap")] }, [{ kernel: program(...code) }]);
    g.run(0.01);
    expect(g.vms[0]?.status).toBe("off");
    const registers = g.vms[0]?.statistics.table("registers");
    expect(registers?.[0]?.name).toBe("CNTP_CTL_EL0");
    expect(registers?.[0]?.count).toBeGreaterThan(5);
    expect(g.machine.simulation.now).toBeGreaterThan(160_000);
  });
});

describe("PSCI of a guest", () => {
  it.each([
    ["hvc", HVC, SMC],
    ["smc", SMC, HVC],
  ] as const)("by %s; the other conduit gives NOT_SUPPORTED in X0 (DEN 0028)", (psci, call, other) => {
    // the other conduit first: movn x0... prints the low byte of X0, 0xff
    const code = [UART, ...OFF, other, 0x39000020, ...OFF, call]; // strb w0, [x1]
    const g = guests({ vms: [vm("a", "trap", { psci })] }, [{ kernel: program(...code) }]);
    g.run(0.01);
    expect([...g.output(0)].map((c) => c.charCodeAt(0))).toEqual([0xff]);
    expect(g.vms[0]?.status).toBe("off");
  });

  it("SYSTEM_RESET begins anew, or ends the VM where it is told to", () => {
    // strb w3 = 0x41 -> UART, then SYSTEM_RESET 0x84000009
    const code = [UART, 0x52800823, 0x39000023, 0x52b08000, 0x72800120, HVC];
    const again = guests({ vms: [vm("a", "trap")] }, [{ kernel: program(...code) }]);
    again.machine.simulation.run(1_000_000);
    expect(again.output(0)).toMatch(/^A{5,}$/);
    expect(again.vms[0]?.status).toBe("running");
    const once = guests({ vms: [vm("a", "trap", { stopOnReset: true })] }, [{ kernel: program(...code) }]);
    once.run(0.01);
    expect([once.output(0), once.vms[0]?.status, once.vms[0]?.cells.reason]).toEqual(["A", "off", "reset"]);
  });

  it("CPU_ON starts the second vCPU with X0 in its context; AFFINITY_INFO tells", () => {
    // vCPU 0: X1 = 1, X2 = 0x40080100, X3 = 0x42, X0 = CPU_ON (64); hvc; wfi for ever
    const first = [0xd2800021, 0xd2a80102, 0xf2802002, 0xd2800843, 0xd2b88000, 0xf2800060, HVC, WFI, 0x17ffffff];
    const words = [...first, ...Array.from({ length: 64 - first.length }, () => 0xd503201f)];
    // vCPU 1: prints X0, switches the system off
    words.push(UART, 0x39000020, ...OFF, HVC);
    const g = guests({ machine: { cpus: 2 }, vms: [vm("a", "trap", { vcpus: 2 })] }, [{ kernel: program(...words) }]);
    g.run(0.01);
    expect(g.output(0)).toBe("B");
    expect(g.vms[0]?.status).toBe("off");
  });
});
