/** The guest programs alone and under the firmware hypervisor. */
import { describe, expect, it } from "vitest";
import { checkGuestView } from "./support/guest-view.ts";
import { runHypervisor, runNative } from "./support/guests.ts";

const pair = runHypervisor("guests=two:trap,two:pass");
const four = runHypervisor("guests=two,two:pass,two,two slice=200");

checkGuestView("alone on the board", () => runNative("two"));
checkGuestView("firmware hypervisor, devices trapped", () => pair.guests[0] as string);
checkGuestView("firmware hypervisor, devices passed through", () => pair.guests[1] as string);
checkGuestView("firmware hypervisor, one of four, slices of 200 us", () => four.guests[3] as string);

describe("firmware hypervisor", () => {
  it("traps every access to emulated devices and none to passed ones", () => {
    expect(pair.exits(0, "UART")).toBeGreaterThan(1000);
    expect(pair.exits(0, "timer")).toBeGreaterThan(50);
    expect(pair.exits(1, "UART")).toBe(0);
    expect(pair.exits(1, "timer")).toBe(0);
    // an interrupt of a passed device stops whoever runs
    expect(pair.exits(0, "passed device") + pair.exits(1, "passed device")).toBeGreaterThan(10);
    expect([0, 1, 2, 3].map((n) => four.exits(n, "UART") > 0)).toEqual([true, false, true, true]);
    // the distributor is emulated for both
    expect(pair.exits(0, "GICD")).toBe(pair.exits(1, "GICD"));
  });

  it("gives all guests the same, whoever else runs", () => {
    expect(four.guests.length).toBe(4);
    for (const guest of four.guests) expect(guest).toBe(pair.guests[0]);
  });
});
