/** Devices driven by a program in another process, with no CPU running: QEMU's qtest protocol. */
import { describe, expect, it } from "vitest";
import { armature, machines } from "./support/machines.ts";
import { Qtest } from "./support/qtest.ts";

const UART = 0x0900_0000;
const RTC = 0x0901_0000;
const GPIO = 0x0903_0000;
const SP804 = 0x0c00_0000;
const RAM = 0x4000_0000;

/** Debian's QEMU lacks the qtest accelerator: its CPU is stopped instead, and its clock cannot be stepped. */
const options = (name: string) => (name === "QEMU" ? ["-accel", "tcg", "-S"] : ["-accel", "qtest"]);

for (const machine of machines) {
  describe(`qtest on ${machine.name}`, { retry: machine.retry }, () => {
    it("reads and writes memory at every width", async () => {
      await using qtest = await Qtest.open(machine, options(machine.name));
      expect(await qtest.ask("endianness")).toBe("OK little");
      await qtest.write("q", RAM + 0x1000, 0x0807_0605_0403_0201n);
      expect(await qtest.read("b", RAM + 0x1003)).toBe(4n);
      expect(await qtest.read("w", RAM + 0x1002)).toBe(0x0403n);
      expect(await qtest.read("l", RAM + 0x1004)).toBe(0x0807_0605n);
      await qtest.write("b", RAM + 0x1000, 0xff);
      await qtest.write("w", RAM + 0x1006, 0xabcd);
      expect(await qtest.read("q", RAM + 0x1000)).toBe(0xabcd_0605_0403_02ffn);
    });

    it("moves blocks: write, read, b64write, b64read, memset", async () => {
      await using qtest = await Qtest.open(machine, options(machine.name));
      expect(await qtest.ask(`write 0x${(RAM + 0x2000).toString(16)} 0x5 0x0102030405`)).toBe("OK");
      expect(await qtest.ask(`read 0x${(RAM + 0x2001).toString(16)} 0x4`)).toBe("OK 0x02030405");
      expect(await qtest.ask(`b64write 0x${(RAM + 0x3000).toString(16)} 0x5 aGVsbG8=`)).toBe("OK");
      expect(await qtest.ask(`b64read 0x${(RAM + 0x3000).toString(16)} 0x5`)).toBe("OK aGVsbG8=");
      expect(await qtest.ask(`memset 0x${(RAM + 0x3001).toString(16)} 0x3 0x5a`)).toBe("OK");
      expect(await qtest.ask(`read 0x${(RAM + 0x3000).toString(16)} 0x5`)).toBe("OK 0x685a5a5a6f");
    });

    it("sees the devices' registers", async () => {
      await using qtest = await Qtest.open(machine, options(machine.name));
      expect(await qtest.read("l", UART + 0xfe0)).toBe(0x11n);
      expect(await qtest.read("l", UART + 0xff0)).toBe(0x0dn);
      expect(await qtest.read("l", UART + 0x018)).toBe(0x90n);
      expect(await qtest.read("l", UART + 0x034)).toBe(0x12n);
      expect(await qtest.read("l", RTC + 0xfe0)).toBe(0x31n);
      await qtest.write("l", UART + 0x024, 0x27);
      await qtest.write("l", UART + 0x028, 0x04);
      expect([await qtest.read("l", UART + 0x024), await qtest.read("l", UART + 0x028)]).toEqual([0x27n, 0x04n]);
      // GPIO: bits by the mask in the address.
      await qtest.write("l", GPIO + 0x400, 0xff);
      await qtest.write("l", GPIO + 0x3fc, 0xa5);
      await qtest.write("l", GPIO + (0x0f << 2), 0xff);
      expect(await qtest.read("l", GPIO + 0x3fc)).toBe(0xafn);
    });

    it("refuses what it does not know", async () => {
      await using qtest = await Qtest.open(machine, options(machine.name));
      expect(await qtest.ask("frobnicate 1 2")).toMatch(/^FAIL Unknown command 'frobnicate'/);
      expect(await qtest.ask("endianness")).toBe("OK little");
    });
  });
}

describe.runIf(machines.includes(armature))("qtest on Armature, whose clock it steps", () => {
  it("an SP804 counts by clock_step and by nothing else", async () => {
    await using qtest = await Qtest.open(armature, ["-accel", "qtest"]);
    // One-shot, 32 bits, 1000 counts of 1 us, interrupt enabled.
    await qtest.write("l", SP804, 1000);
    await qtest.write("l", SP804 + 0x08, 0xa3);
    expect(await qtest.read("l", SP804 + 0x10)).toBe(0n);
    expect(await qtest.ask("clock_step 400000")).toBe("OK 400000");
    expect(await qtest.read("l", SP804 + 0x04)).toBe(600n);
    expect(await qtest.read("l", SP804 + 0x10)).toBe(0n);
    await qtest.ask("clock_step 700000");
    expect(await qtest.read("l", SP804 + 0x10)).toBe(1n);
    expect(await qtest.read("l", SP804 + 0x14)).toBe(1n);
    await qtest.write("l", SP804 + 0x0c, 0);
    expect(await qtest.read("l", SP804 + 0x10)).toBe(0n);
  });

  it("clock_set goes to an instant: two and a half seconds are two ticks of the RTC", async () => {
    await using qtest = await Qtest.open(armature, ["-accel", "qtest"]);
    const seconds = await qtest.read("l", RTC);
    expect(await qtest.ask("clock_set 2500000000")).toBe("OK 2500000000");
    expect(await qtest.read("l", RTC)).toBe(seconds + 2n);
  });
});
