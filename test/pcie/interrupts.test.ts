// Offsets, bits and clauses typed from the PCI Express Base Specification 5.0 and PCI Local Bus Specification 3.0.
import { describe, expect, it } from "vitest";
import { SwitchBench } from "./bench.ts";

/** Levels of the four wires at the root complex. */
function wires(b: SwitchBench): boolean[] {
  const { intA, intB, intC, intD } = b.host;
  return [intA.level, intB.level, intC.level, intD.level];
}

describe("INTx", () => {
  it("2.2.8.1, table 2-21: pins turn by the device number at every bridge", () => {
    const b = new SwitchBench().enumerate();
    // Device 5: INTA on wire 5 mod 4.
    b.write(0x1200_0034, 1);
    expect(wires(b)).toEqual([false, true, false, false]);
    b.write(0x1200_0034, 0);
    // Behind downstream port 1: 0 at 04:00.0, 1 at 02:01.0, 0 at 01:00.0, 1 at 00:01.0.
    b.write(0x1010_0034, 1);
    expect(wires(b)).toEqual([false, false, true, false]);
    // Behind downstream port 0: one less; two devices on different wires.
    b.write(0x1000_0034, 1);
    expect(wires(b)).toEqual([false, true, true, false]);
  });

  it("a wire stays up until the last device on it lets go", () => {
    const b = new SwitchBench().enumerate();
    b.write(0x1200_0034, 1);
    b.write(0x1000_0034, 1);
    b.write(0x1200_0034, 0);
    expect(wires(b)).toEqual([false, true, false, false]);
    b.write(0x1000_0034, 0);
    expect(wires(b)).toEqual([false, false, false, false]);
  });

  it("7.5.1.1.3, .4: Interrupt Disable takes the wire down, Interrupt Status shows the pin all the same", () => {
    const b = new SwitchBench().enumerate();
    b.write(0x1200_0034, 1);
    expect(b.config("00:05.0", 6, 2) & 8).toBe(8);
    b.setConfig("00:05.0", 4, 0x407, 2);
    expect(wires(b)).toEqual([false, false, false, false]);
    expect(b.config("00:05.0", 6, 2) & 8).toBe(8);
    b.setConfig("00:05.0", 4, 7, 2);
    expect(wires(b)).toEqual([false, true, false, false]);
    b.write(0x1200_0034, 0);
    expect(b.config("00:05.0", 6, 2) & 8).toBe(0);
  });

  it("6.1.4: while messages are enabled the pin is silent", () => {
    const b = new SwitchBench().enumerate();
    b.write(0x1200_0034, 1);
    const msi = b.capability("00:05.0", 5);
    b.setConfig("00:05.0", msi + 2, 1, 2);
    b.setConfig("00:05.0", 4, 7, 2);
    expect(wires(b)).toEqual([false, false, false, false]);
  });
});

describe("MSI", () => {
  function prepared(): { b: SwitchBench; at: number; raise: (vector: number) => void } {
    const b = new SwitchBench().enumerate();
    const at = b.capability("00:05.0", 5);
    b.setConfig("00:05.0", at + 4, 0x0802_0043);
    b.setConfig("00:05.0", at + 8, 0);
    b.setConfig("00:05.0", at + 0x0c, 0x0060, 2);
    return { b, at, raise: (vector) => b.write(0x1200_0030, vector) };
  }

  it("7.7.1.2: 8 vectors asked for, 64-bit addresses, masks; address bits 1:0 read as zero", () => {
    const { b, at } = prepared();
    // Enable 0, capable 3 (8 vectors), enabled 0, 64-bit, per-vector masking.
    expect(b.config("00:05.0", at + 2, 2)).toBe(0x0186);
    expect(b.config("00:05.0", at + 4)).toBe(0x0802_0040);
  });

  it("6.1.4.1: the vector replaces the low bits that Multiple Message Enable gives; a disabled function is silent", () => {
    const { b, at, raise } = prepared();
    raise(1);
    expect(b.messages).toEqual([]);
    b.setConfig("00:05.0", at + 2, 1, 2);
    raise(5);
    b.setConfig("00:05.0", at + 2, 0x21, 2);
    raise(5);
    raise(3);
    // More than asked for counts as asked for.
    b.setConfig("00:05.0", at + 2, 0x51, 2);
    raise(6);
    expect(b.messages.map(([a, v]) => [a, v & 0xffff])).toEqual([
      [0x0802_0040, 0x60],
      [0x0802_0040, 0x61],
      [0x0802_0040, 0x63],
      [0x0802_0040, 0x66],
    ]);
  });

  it("7.7.1.7, .8: a masked vector is pending until it is unmasked, and is then sent once", () => {
    const { b, at, raise } = prepared();
    b.setConfig("00:05.0", at + 2, 0x31, 2);
    b.setConfig("00:05.0", at + 0x10, 0b101);
    raise(0);
    raise(0);
    raise(2);
    raise(1);
    expect(b.messages.map(([, v]) => v)).toEqual([0x61]);
    expect(b.config("00:05.0", at + 0x14)).toBe(0b101);
    b.setConfig("00:05.0", at + 0x10, 0b100);
    expect(b.messages.map(([, v]) => v)).toEqual([0x61, 0x60]);
    expect(b.config("00:05.0", at + 0x14)).toBe(0b100);
    b.setConfig("00:05.0", at + 0x14, 0);
    expect(b.config("00:05.0", at + 0x14)).toBe(0b100);
  });

  it("7.5.1.1.3: a message is a memory write: none without Bus Master Enable", () => {
    const { b, at, raise } = prepared();
    b.setConfig("00:05.0", at + 2, 1, 2);
    b.setConfig("00:05.0", 4, 3, 2);
    raise(0);
    expect(b.messages).toEqual([]);
    expect(b.errors.at(-1)).toMatchObject({ kind: "dma", address: 0x0802_0040, requesterId: 0x28 });
  });
});

describe("MSI-X", () => {
  const BAR4 = 0x1200_1000;
  function prepared(): { b: SwitchBench; at: number; raise: (vector: number) => void } {
    const b = new SwitchBench().enumerate();
    const at = b.capability("00:05.0", 0x11);
    for (let v = 0; v < 8; v++) {
      b.write(BAR4 + 16 * v, 0x0802_0040);
      b.write(BAR4 + 16 * v + 4, 0);
      b.write(BAR4 + 16 * v + 8, 0x100 + v);
    }
    return { b, at, raise: (vector) => b.write(0x1200_0030, vector) };
  }

  it("7.7.2.2 to .4: table size less one, table and PBA by BAR and offset", () => {
    const { b, at } = prepared();
    expect(b.config("00:05.0", at + 2, 2)).toBe(0x0007);
    expect([b.config("00:05.0", at + 4), b.config("00:05.0", at + 8)]).toEqual([0x0000_0004, 0x0000_0804]);
    b.setConfig("00:05.0", at + 2, 0xffff, 2);
    expect(b.config("00:05.0", at + 2, 2)).toBe(0xc007);
  });

  it("7.7.2.9: after reset every vector is masked; reserved bits of Vector Control read as zero", () => {
    const { b } = prepared();
    expect([0, 7].map((v) => b.read(BAR4 + 16 * v + 12))).toEqual([1, 1]);
    b.write(BAR4 + 12, 0xffff_fffe);
    expect(b.read(BAR4 + 12)).toBe(0);
    expect(b.read(BAR4 + 8)).toBe(0x100);
  });

  it("6.1.4.3, .4: masked by vector or function it is pending in the PBA; unmasked it is sent once", () => {
    const { b, at, raise } = prepared();
    b.setConfig("00:05.0", at + 2, 0x8000, 2);
    raise(2);
    expect(b.messages).toEqual([]);
    expect(b.read(BAR4 + 0x800)).toBe(4);
    b.write(BAR4 + 16 * 2 + 12, 0);
    expect(b.messages).toEqual([[0x0802_0040, 0x102]]);
    expect(b.read(BAR4 + 0x800)).toBe(0);
    raise(2);
    expect(b.messages.length).toBe(2);
    b.setConfig("00:05.0", at + 2, 0xc000, 2);
    raise(2);
    raise(2);
    raise(5);
    expect(b.messages.length).toBe(2);
    expect(b.read(BAR4 + 0x800)).toBe(0x24);
    b.setConfig("00:05.0", at + 2, 0x8000, 2);
    expect(b.messages.length).toBe(3);
    expect(b.read(BAR4 + 0x800)).toBe(0x20);
    b.write(BAR4 + 16 * 5 + 12, 0);
    expect(b.messages.at(-1)).toEqual([0x0802_0040, 0x105]);
  });

  it("disabled: nothing is sent and nothing becomes pending; vectors that do not exist are nothing", () => {
    const { b, at, raise } = prepared();
    raise(2);
    b.setConfig("00:05.0", at + 2, 0x8000, 2);
    raise(200);
    expect(b.read(BAR4 + 0x800)).toBe(0);
    expect(b.messages).toEqual([]);
  });

  it("6.1.4.2, 7.7.2.10: only aligned accesses of 4 or 8 bytes; the PBA is read-only", () => {
    const { b } = prepared();
    const before = b.errors.length;
    expect(b.read(BAR4, 2)).toBe(0);
    b.write(BAR4, 0, 1);
    b.write(BAR4 + 0x800, 0xffff_ffff);
    expect(b.errors.slice(before).map((e) => e.kind)).toEqual(["width", "width", "access"]);
    expect(b.read(BAR4, 8)).toBe(0x0802_0040);
    expect(b.read(BAR4 + 0x800)).toBe(0);
    b.transaction.high = 0x77;
    b.write(BAR4 + 8, 0x55, 8);
    expect([b.read(BAR4 + 8), b.read(BAR4 + 12)]).toEqual([0x55, 1]);
  });

  it("6.1.4.2: changing address or data of a vector that is not masked is a guest error", () => {
    const { b, at } = prepared();
    b.setConfig("00:05.0", at + 2, 0x8000, 2);
    b.write(BAR4 + 12, 0);
    const before = b.errors.length;
    b.write(BAR4 + 8, 1);
    expect(b.errors.slice(before)).toMatchObject([{ kind: "sequence", clause: "PCI Express Base 5.0 6.1.4.2" }]);
  });
});
