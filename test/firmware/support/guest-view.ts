/**
 * One body of checks for whatever runs the guest program `two`: the board alone, the firmware hypervisor, the hypervisor model. What the
 * program sees of its devices must be the same, and must be what the manuals say.
 */
import { describe, expect, it } from "vitest";
import { runNative } from "./guests.ts";

/** Words that the program prints for what should not be so. */
const COMPLAINT = /\bNO\b|WRONG|EARLY|MISSING|unexpected|stopped by/;

function visible(text: string): string {
  return Array.from(text)
    .filter((c) => c === "\n" || c >= " ")
    .join("");
}

/** `run` gives the whole of what one guest `two` has printed, without carriage returns. */
export function checkGuestView(setting: string, run: () => string): void {
  describe(`what a guest sees: ${setting}`, () => {
    const printed = run();
    // what is sent in loopback leaves the UART too: characters that no terminal shows
    const lines = visible(printed).trimEnd().split("\n");
    const told = (topic: string) =>
      lines.filter((line) => line.startsWith(`two: ${topic}: `)).map((line) => line.slice(topic.length + 7));

    it("it starts at EL1 and ends by itself, without complaint", () => {
      expect(lines[0]).toBe("two: hello at EL1");
      expect(lines.at(-1)).toBe("two: goodbye");
      expect(lines.filter((line) => COMPLAINT.test(line))).toEqual([]);
      expect(lines).toContain("two: interrupts without a handler: 0");
    });

    it("PSCI 1.1 with SYSTEM_OFF; unknown functions are NOT_SUPPORTED (DEN 0022 5.1, 5.2.2)", () => {
      expect(told("psci")).toEqual([
        "version 1.1, SYSTEM_OFF known: yes",
        "unknown function is NOT_SUPPORTED: yes",
        "this CPU is on: yes",
      ]);
    });

    it("a GICv2 of 288 interrupts and one CPU; enables, priorities, states and the mask (IHI 0048B 4.3, 4.4)", () => {
      expect(told("gic")).toEqual([
        "architecture 2, 288 interrupts, 1 CPU",
        "SPI enabled yes, disabled yes, priority 0xa0a0a050, edge 2, SGI configuration 0xaaaaaaaa",
        "nothing pending gives IAR 1023, HPPIR 1023, RPR 0xff",
        "pending while disabled taken 0, enabled taken 1, in the handler active 1 pending 0, after it 0 0",
        "seven SGIs, highest 7, order 7 6 5 4 3 2 1",
        "under the priority mask taken 0 pending 1, after it 1",
      ]);
    });

    it("a PL011 with FIFOs, loopback, receive, timeout and transmit interrupts (DDI 0183G 3.3, 2.8)", () => {
      expect(told("uart")).toEqual([
        "part 0x011, designer 0x41, component 0xb105f00d, CR 0x301, LCR_H 0x70, IFLS 0x12",
        "loopback of 5 gave 5, then empty yes",
        "receive interrupt at INTID 33, 3 sent, all there, RIS 0x00 after the last",
        "transmit interrupt came yes, MIS 0x20",
        "masked MIS 0x00, interrupts 0",
      ]);
    });

    it("loads and stores of all widths, pairs and writeback reach a device (DDI 0487 C4.1.88, ISV in D24.2.37)", () => {
      expect(told("widths")).toEqual([
        "pair 0x1234 0x15, post-index 0x1234 0x15 address back, pre-index half 0x321 byte 0x2a address moved",
        "signed half -32639, signed byte 0xffffff81, zero register 0x0",
        "timer CONTROL 0x02 by pair, LOAD and VALUE 0x4321 0x4321, addresses right",
      ]);
    });

    it("a synchronous external abort where nothing is (DDI 0487 D24.2.37)", () => {
      expect(told("hole")).toEqual(["a load where nothing is aborts yes, class 0x25, status 0x10, address 0xb000000"]);
    });

    it("an SP804 with both timers, all modes and three interrupts, never early (DDI 0271D 2.2, 3.3)", () => {
      expect(told("sp804")).toEqual([
        "part 0x804, designer 0x41, component 0xb105f00d",
        ...[1, 2, 3, 4].map((n) => `tick ${n} at INTID 144 came, not early`),
        "stopped, RIS 0",
        "one-shot 1, not early, VALUE 0",
        "16 bits, divided by 16: 1, not early",
        "not enabled RIS 1 MIS 0, free-running counts down: yes, background load reads 77",
        "timer 2 at INTID 145: 1, combined at INTID 146: 2",
      ]);
    });

    it("the virtual timer, and WFI that ends on a masked interrupt (DDI 0487 D12.2.4, D1.6.2)", () => {
      expect(told("timer")).toEqual([
        "3 expiries at INTID 27: 3, early 0, CNTV_CTL 0x2",
        "CNTVCT goes forwards yes, CNTV_TVAL counts down yes",
      ]);
      expect(told("sleep")).toEqual(["WFI with a masked interrupt went on with 0 taken, then 1"]);
    });

    it("byte by byte what the program prints alone on the board", () => {
      expect(printed).toBe(runNative("two"));
    });
  });
}
