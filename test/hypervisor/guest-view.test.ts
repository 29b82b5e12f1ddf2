/** The firmware guest `two` under the hypervisor model: what it sees with devices trapped and passed through, alone and beside others. */
import { describe, expect, it } from "vitest";
import { checkGuestView } from "../firmware/support/guest-view.ts";
import { guests, image, vm } from "./support/machine.ts";

const kernel = image("vm-two.elf");
const pair = guests({ scheduler: { options: { slice: 1 } }, vms: [vm("a", "trap"), vm("b", "pass")] }, [
  { kernel },
  { kernel },
]);
pair.run(1);

checkGuestView("hypervisor model, devices trapped", () => pair.output(0));
checkGuestView("hypervisor model, devices passed through", () => pair.output(1));

describe("hypervisor model", () => {
  it("both VMs have switched themselves off, and print the same", () => {
    expect(pair.vms.map((v) => v.status)).toEqual(["off", "off"]);
    expect(pair.output(0)).toBe(pair.output(1));
  });

  it("traps every access to devices with a model behind them and none to passed ones", () => {
    const regions = pair.vms.map((v) => v.statistics.table("regions").map((r) => r.name));
    expect(regions[0]).toEqual(expect.arrayContaining(["uart0", "timer0", "gicd"]));
    expect(regions[1]).not.toContain("uart0");
    expect(regions[1]).not.toContain("timer0");
    const counts = pair.vms.map((v) => v.statistics.table("regions").find((r) => r.name === "gicd")?.count);
    expect(counts[0]).toBe(counts[1]);
  });

  it("names registers as their manuals do", () => {
    const registers = pair.vms[0]?.statistics.table("registers").map((r) => r.name);
    expect(registers).toEqual(
      expect.arrayContaining(["uart0.UARTDR", "uart0.UARTFR", "timer0.Timer1Load", "gicd.GICD_ISENABLER"]),
    );
  });

  it("a second run ends in the same state, by its hash", () => {
    const again = guests({ scheduler: { options: { slice: 1 } }, vms: [vm("a", "trap"), vm("b", "pass")] }, [
      { kernel },
      { kernel },
    ]);
    again.run(1);
    expect(again.machine.simulation.stateHash()).toBe(pair.machine.simulation.stateHash());
    expect(again.output(0)).toBe(pair.output(0));
  });
});
