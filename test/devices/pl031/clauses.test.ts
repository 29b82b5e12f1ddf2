import { describe, expect, it } from "vitest";
import { Pl031, type Pl031Options } from "../../../src/devices/pl031/index.ts";
import { MS, SEC } from "../../../src/sim/index.ts";
import { type Guest, guestOf } from "../guest.ts";

interface Clock extends Guest {
  readonly rtc: Pl031;
}

function buildClock(options: Pl031Options = {}): Clock {
  let rtc: Pl031 | undefined;
  const guest = guestOf((simulation) => {
    rtc = new Pl031(simulation, "rtc", options);
    return { module: rtc, targets: [{ name: "registers", target: rtc.registers, size: 0x1000 }] };
  });
  return { ...guest, rtc: rtc as unknown as Pl031 };
}

const NEVER = Number.MAX_SAFE_INTEGER;

/** Tables 3-1 and 4-1: offset, name, value after reset, bits that hold what is written. */
const REGISTERS: readonly (readonly [number, string, number, number])[] = [
  [0x000, "RTCDR", 0x0000_0000, 0],
  [0x004, "RTCMR", 0x0000_0000, 0xffff_ffff],
  [0x008, "RTCLR", 0x0000_0000, 0xffff_ffff],
  [0x00c, "RTCCR", 0x0000_0000, 0],
  [0x010, "RTCIMSC", 0x0000_0000, 1],
  [0x014, "RTCRIS", 0x0000_0000, 0],
  [0x018, "RTCMIS", 0x0000_0000, 0],
  [0x080, "RTCITCR", 0x0000_0000, 7],
  [0x088, "RTCITOP", 0x0000_0000, 0],
  [0x08c, "RTCTOFFSET", 0x0000_0000, 0],
  [0x090, "RTCTCOUNT", 0x0000_0000, 0],
  [0xfe0, "RTCPeriphID0", 0x31, 0],
  [0xfe4, "RTCPeriphID1", 0x10, 0],
  [0xfe8, "RTCPeriphID2", 0x04, 0],
  [0xfec, "RTCPeriphID3", 0x00, 0],
  [0xff0, "RTCPCellID0", 0x0d, 0],
  [0xff4, "RTCPCellID1", 0xf0, 0],
  [0xff8, "RTCPCellID2", 0x05, 0],
  [0xffc, "RTCPCellID3", 0xb1, 0],
];

describe("PL031 programmer's model, DDI 0224C 3.2 and 4.3", () => {
  it.each(REGISTERS)("table 3-1: offset 0x%s is %s, with its reset value", (offset, _name, reset) => {
    expect(buildClock().read(offset)).toBe(reset);
  });

  it.each(REGISTERS.filter(([, , , bits]) => bits !== 0))(
    "table 3-1: offset 0x%s, %s, is so wide",
    (offset, _n, _r, bits) => {
      const c = buildClock();
      for (const value of [0xffff_ffff, 0, 0x5555_5555, 0xaaaa_aaaa]) {
        c.write(offset, value);
        expect(c.read(offset)).toBe((value & bits) >>> 0);
      }
    },
  );

  it("table 3-1: RTCDR, RTCRIS, RTCMIS are read-only, RTCICR write-only; the other access is the guest's mistake", () => {
    const c = buildClock();
    for (const offset of [0x000, 0x014, 0x018, 0xfe0]) {
      const before = c.read(offset);
      c.write(offset, 0xffff_ffff);
      expect(c.read(offset)).toBe(before);
      expect(c.errors.at(-1)).toMatchObject({ kind: "access", offset, write: true });
    }
    expect(c.read(0x01c)).toBe(0);
    expect(c.errors.at(-1)).toMatchObject({ kind: "access", offset: 0x01c, write: false });
  });

  it("3.1: reserved offsets read as zero and are reported, RTCITIP of width 0 (4.3.2) among them", () => {
    const c = buildClock();
    for (const offset of [0x020, 0x07c, 0x084, 0x094, 0xfdc]) {
      c.write(offset, 0xffff_ffff);
      expect(c.read(offset)).toBe(0);
    }
    expect(c.errors.map((e) => e.kind)).toEqual(Array(10).fill("reserved-offset"));
  });
});

describe("PL031 counting, DDI 0224C 2.1 to 2.3 and 3.3", () => {
  it("3.3.4: stopped after reset; started by RTCCR it counts up from 1, one each second", () => {
    const c = buildClock();
    c.run(10 * SEC);
    expect([c.read(0x000), c.read(0x00c)]).toEqual([0, 0]);
    c.write(0x00c, 1);
    expect([c.read(0x000), c.read(0x00c)]).toEqual([0, 1]);
    c.run(SEC);
    expect(c.read(0x000)).toBe(1);
    c.run(100 * SEC);
    expect(c.read(0x000)).toBe(101);
  });

  it("2.2.6: it counts on the rising edges of CLK1HZ, the whole seconds, whenever it was started", () => {
    const c = buildClock();
    c.run(300 * MS);
    c.write(0x00c, 1);
    c.run(700 * MS - 1);
    expect(c.read(0x000)).toBe(0);
    c.run(1);
    expect(c.read(0x000)).toBe(1);
  });

  it("2.2.6: it wraps from 0xFFFFFFFF to zero and goes on", () => {
    const c = buildClock();
    c.write(0x00c, 1);
    c.write(0x008, 0xffff_fffe);
    expect(c.read(0x000)).toBe(0xffff_fffe);
    c.run(SEC);
    expect(c.read(0x000)).toBe(0xffff_ffff);
    c.run(2 * SEC);
    expect(c.read(0x000)).toBe(1);
  });

  it("3.3.3: RTCLR updates the value at once, running or not, and reads back the last written value", () => {
    const c = buildClock();
    c.write(0x008, 1000);
    expect([c.read(0x000), c.read(0x008)]).toEqual([1000, 1000]);
    c.run(5 * SEC);
    expect(c.read(0x000)).toBe(1000);
    c.write(0x00c, 1);
    c.run(5 * SEC);
    expect([c.read(0x000), c.read(0x008)]).toEqual([1005, 1000]);
    c.write(0x008, 7);
    expect([c.read(0x000), c.read(0x008)]).toEqual([7, 7]);
  });

  it("3.3.4: a write of RTCCR while running resets the RTC value to zero; it stays enabled", () => {
    for (const value of [0, 1]) {
      const c = buildClock();
      c.write(0x00c, 1);
      c.write(0x008, 1000);
      c.write(0x00c, value);
      expect([c.read(0x000), c.read(0x00c)]).toEqual([0, 1]);
      c.run(3 * SEC);
      expect(c.read(0x000)).toBe(3);
    }
  });

  it('option restart "ignore" (DDI 0224B): such a write does nothing', () => {
    const c = buildClock({ restart: "ignore" });
    c.write(0x00c, 1);
    c.write(0x008, 1000);
    c.write(0x00c, 0);
    c.write(0x00c, 1);
    expect([c.read(0x000), c.read(0x00c)]).toEqual([1000, 1]);
  });

  it("with base such a write does nothing unless option restart says so: drivers that set the bit keep the time of day", () => {
    const kept = buildClock({ base: 1_700_000_000 });
    kept.write(0x00c, 1);
    expect([kept.read(0x000), kept.read(0x00c)]).toEqual([1_700_000_000, 1]);
    const lost = buildClock({ base: 1_700_000_000, restart: "reset" });
    lost.write(0x00c, 1);
    expect(lost.read(0x000)).toBe(0);
  });

  it("3.3.4: a zero written before the start starts nothing", () => {
    const c = buildClock();
    c.write(0x00c, 0);
    c.run(2 * SEC);
    expect([c.read(0x000), c.read(0x00c)]).toEqual([0, 0]);
  });

  it("option base: running on its battery, with seconds since 1970; a reset does not stop time", () => {
    const c = buildClock({ base: 1_700_000_000 });
    expect([c.read(0x000), c.read(0x00c)]).toEqual([1_700_000_000, 1]);
    c.run(10.5 * SEC);
    expect(c.read(0x000)).toBe(1_700_000_010);
    c.write(0x008, 5);
    c.reset();
    expect([c.read(0x000), c.read(0x008)]).toEqual([1_700_000_010, 0]);
  });

  it("refuses a base that is no whole number of seconds", () => {
    expect(() => buildClock({ base: 1.5 })).toThrow(RangeError);
    expect(() => buildClock({ base: -1 })).toThrow(RangeError);
  });

  it("2.3.2: another CLK1HZ gives another resolution", () => {
    const c = buildClock({ clk1hz: 1000 });
    c.write(0x00c, 1);
    c.run(SEC);
    expect(c.read(0x000)).toBe(1000);
  });

  it("counting costs nothing: no event waits without an alarm within reach", () => {
    const c = buildClock({ base: 1_700_000_000 });
    expect(c.simulation.nextEventTime).toBe(NEVER);
    c.write(0x004, 1_700_000_060);
    expect(c.simulation.nextEventTime).toBe(60 * SEC);
  });
});

describe("PL031 alarm, DDI 0224C 3.3.2, 3.3.5 to 3.3.8, 3.6", () => {
  it("2.1: RTCINTR rises at the edge at which the value equals RTCMR", () => {
    const c = buildClock();
    const changes: [boolean, number][] = [];
    c.rtc.interrupt.connect((level) => changes.push([level, c.simulation.now]));
    c.write(0x00c, 1);
    c.write(0x010, 1);
    c.write(0x008, 100);
    c.write(0x004, 103);
    c.run(3 * SEC - 1);
    expect([c.read(0x014), c.read(0x018)]).toEqual([0, 0]);
    c.run(1);
    expect([c.read(0x014), c.read(0x018)]).toEqual([1, 1]);
    c.run(10 * SEC);
    expect(changes).toEqual([[true, 3 * SEC]]);
  });

  it("3.3.2: the match is with the RTC value, not with the counter: RTCLR moves the alarm", () => {
    const c = buildClock();
    c.write(0x00c, 1);
    c.write(0x004, 50);
    c.run(2 * SEC);
    c.write(0x008, 48);
    c.run(2 * SEC);
    expect(c.read(0x014)).toBe(1);
  });

  it("3.3.6, 3.3.7: the raw status does not depend on the mask; RTCMIS and the line are raw and mask", () => {
    const c = buildClock();
    c.write(0x00c, 1);
    c.write(0x004, 2);
    c.run(2 * SEC);
    expect([c.read(0x014), c.read(0x018), c.rtc.interrupt.level]).toEqual([1, 0, false]);
    c.write(0x010, 1);
    expect([c.read(0x014), c.read(0x018), c.rtc.interrupt.level]).toEqual([1, 1, true]);
    c.write(0x010, 0);
    expect([c.read(0x014), c.read(0x018), c.rtc.interrupt.level]).toEqual([1, 0, false]);
  });

  it("3.3.8: RTCICR clears by a one in bit 0; a zero has no effect; a cleared alarm stays clear while the second lasts", () => {
    const c = buildClock();
    c.write(0x00c, 1);
    c.write(0x010, 1);
    c.write(0x004, 2);
    c.run(2 * SEC);
    c.write(0x01c, 0);
    c.write(0x01c, 0xffff_fffe);
    expect([c.read(0x014), c.rtc.interrupt.level]).toEqual([1, true]);
    c.write(0x01c, 1);
    expect([c.read(0x014), c.rtc.interrupt.level]).toEqual([0, false]);
    c.run(SEC - 1);
    expect(c.read(0x014)).toBe(0);
  });

  it("an update that makes a running RTC equal to RTCMR raises the interrupt at once; a stopped one compares nothing", () => {
    const c = buildClock();
    c.write(0x004, 5);
    c.write(0x008, 5);
    expect(c.read(0x014)).toBe(0);
    c.write(0x008, 3);
    c.write(0x00c, 1);
    c.write(0x008, 5);
    expect(c.read(0x014)).toBe(1);
    c.write(0x01c, 1);
    c.write(0x008, 6);
    c.write(0x004, 6);
    expect(c.read(0x014)).toBe(1);
  });

  it("2.3.1: RTCINTR is low after reset, and nothing of the alarm is left", () => {
    const c = buildClock();
    c.write(0x00c, 1);
    c.write(0x010, 1);
    c.write(0x004, 2);
    c.run(2 * SEC);
    c.write(0x004, 90);
    c.reset();
    expect(c.rtc.interrupt.level).toBe(false);
    expect([0x000, 0x004, 0x00c, 0x010, 0x014].map((at) => c.read(at))).toEqual([0, 0, 0, 0, 0]);
    expect(c.simulation.nextEventTime).toBe(NEVER);
  });
});

describe("PL031 test registers, DDI 0224C 4.3", () => {
  it("4.3.3: in integration test mode RTCITOP drives RTCINTR; reads give its level behind the multiplexer", () => {
    const c = buildClock();
    c.write(0x088, 1);
    expect([c.read(0x088), c.rtc.interrupt.level]).toEqual([0, false]);
    c.write(0x080, 1);
    expect([c.read(0x088), c.rtc.interrupt.level]).toEqual([1, true]);
    c.write(0x088, 0);
    expect([c.read(0x088), c.rtc.interrupt.level]).toEqual([0, false]);
  });

  it("4.3.1, 4.3.5: RTCTCOUNT reaches the counter while TESTCOUNT is set, and not otherwise", () => {
    const c = buildClock();
    c.write(0x00c, 1);
    c.run(4 * SEC);
    c.write(0x090, 99);
    expect([c.read(0x090), c.read(0x000)]).toEqual([0, 4]);
    c.write(0x080, 2);
    expect(c.read(0x090)).toBe(4);
    c.write(0x090, 99);
    c.run(SEC);
    expect([c.read(0x090), c.read(0x000)]).toEqual([100, 100]);
  });

  it("4.3.1, 4.3.4: RTCTOFFSET reaches the offset while TESTOFFSET is set: the RTC value is counter and offset", () => {
    const c = buildClock();
    c.write(0x00c, 1);
    c.run(4 * SEC);
    c.write(0x008, 1000);
    expect(c.read(0x08c)).toBe(0);
    c.write(0x080, 6);
    expect([c.read(0x08c), c.read(0x090)]).toEqual([996, 4]);
    c.write(0x08c, 10);
    expect(c.read(0x000)).toBe(14);
  });
});
