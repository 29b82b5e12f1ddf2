// Keys, layouts and values typed from QEMU's docs/specs/fw_cfg and from what QEMU's virt machine answers.
import { describe, expect, it } from "vitest";
import { Transaction } from "../../../src/bus/index.ts";
import { FwCfg } from "../../../src/devices/fw-cfg/index.ts";
import { type GuestError, Simulation } from "../../../src/sim/index.ts";
import { describeDeclaration, fuzzDevice } from "../../registers/harness.ts";
import { buildFwCfg, FW_CFG_BASE, fwCfgOnBus, RAM_BASE, RAM_SIZE } from "./device.ts";

const swap16 = (v: number): number => ((v & 0xff) << 8) | (v >> 8);
const swap32 = (v: number): number =>
  new DataView(Uint8Array.of(v >>> 24, v >>> 16, v >>> 8, v).buffer).getUint32(0, true);

/** A guest at the device, on a little-endian CPU. */
class Guest {
  readonly simulation = new Simulation();
  readonly board = fwCfgOnBus(this.simulation);
  readonly errors: GuestError[] = [];
  readonly tx = new Transaction();

  constructor() {
    this.simulation.reporter.observe({ guestError: (e) => this.errors.push(e) });
    this.simulation.reset();
  }
  get fwCfg(): FwCfg {
    return this.board.fwCfg;
  }
  select(key: number): this {
    this.board.bus.write(FW_CFG_BASE + 8, 2, swap16(key), this.tx);
    return this;
  }
  data(size = 1): number {
    return this.board.bus.read(FW_CFG_BASE, size, this.tx);
  }
  bytes(n: number): number[] {
    return Array.from({ length: n }, () => this.data());
  }
  text(n: number): string {
    return String.fromCharCode(...this.bytes(n));
  }
  file(name: string): number {
    const key = this.fwCfg.items.files.find((f) => f.name === name)?.key;
    if (key === undefined) throw new Error(name);
    return key;
  }
  /** One DMA operation; returns the control word that the device leaves. */
  dma(control: number, length: number, address: number, descriptor = RAM_BASE): number {
    const { ram, bus } = this.board;
    const words = [control, length, Math.floor(address / 2 ** 32), address % 2 ** 32];
    if (descriptor >= RAM_BASE && descriptor < RAM_BASE + RAM_SIZE) {
      words.forEach((w, i) => {
        ram.poke(descriptor - RAM_BASE + 4 * i, 4, swap32(w));
      });
    }
    bus.write(FW_CFG_BASE + 0x14, 4, swap32(descriptor), this.tx);
    return swap32(ram.peek(Math.max(descriptor - RAM_BASE, 0), 4));
  }
  ram(offset: number, n: number): number[] {
    return [...this.board.ram.slice(offset, n)];
  }
}

describe("fw_cfg: selector and data", () => {
  it("Signature, key 0: QEMU; it is selected after reset", () => {
    const guest = new Guest();
    expect(guest.text(4)).toBe("QEMU");
    expect(guest.select(0x0000).text(4)).toBe("QEMU");
  });

  it("Feature bitmap, key 1: 32 bits little-endian, traditional interface and DMA", () => {
    expect(new Guest().select(1).bytes(5)).toEqual([3, 0, 0, 0, 0]);
  });

  it("Feature bitmap without a port for DMA: bit 1 clear, and the DMA register is none", () => {
    const fwCfg = new FwCfg(new Simulation(), "fwcfg");
    const tx = new Transaction();
    fwCfg.registers.write(8, 2, 0x0100, tx);
    expect([fwCfg.registers.read(0, 4, tx), fwCfg.registers.read(0x10, 4, tx)]).toEqual([1, 0]);
  });

  it("Data Register: string-preserving at every width; an 8-byte read goes on where a 4-byte one would", () => {
    const guest = new Guest();
    guest.fwCfg.addFile("opt/text", new TextEncoder().encode("abcdefghijklmnop"));
    guest.select(guest.file("opt/text"));
    expect([guest.data(2), guest.data(1), guest.data(4)]).toEqual([0x6261, 0x63, 0x67666564]);
    expect([guest.data(8), guest.tx.high]).toEqual([0x6b6a6968, 0x6f6e6d6c]);
    expect([guest.data(4), guest.data(4)]).toEqual([0x70, 0]); // zeroes past the end
  });

  it("Selector Register: big-endian, and it starts the item anew; a key without an item reads as zeroes", () => {
    const guest = new Guest().select(0);
    guest.data(2);
    expect(guest.select(0).text(2)).toBe("QE");
    expect(guest.select(0x1234).bytes(2)).toEqual([0, 0]);
    expect(guest.select(0x8000).bytes(2)).toEqual([0, 0]); // the architecture's own items are others
    expect(guest.select(0x4000).text(4)).toBe("QEMU"); // bit 14 is ignored
  });

  it("Data Register: writes are ignored since QEMU 2.4, and recorded", () => {
    const guest = new Guest();
    guest.board.bus.write(FW_CFG_BASE, 4, 0, guest.tx);
    expect([guest.text(4), guest.errors.map((e) => e.kind)]).toEqual(["QEMU", ["access"]]);
  });

  it("Number of CPUs, key 5: 16 bits little-endian", () => {
    expect(new Guest().select(5).bytes(2)).toEqual([4, 0]);
  });

  it("a debugger's look at the data register takes nothing", () => {
    const guest = new Guest();
    expect([guest.board.bus.peek(FW_CFG_BASE, 4), guest.board.bus.peek(FW_CFG_BASE, 4)]).toEqual([
      0x554d4551, 0x554d4551,
    ]);
    expect(guest.text(4)).toBe("QEMU");
  });
});

describe("fw_cfg: files", () => {
  it("File Directory, key 0x19: count, then size, key, reserved and name of each, by name, all big-endian", () => {
    const guest = new Guest();
    guest.fwCfg.addFile("opt/org.example/b", new Uint8Array(258));
    guest.fwCfg.addFile("opt/org.example/a", new Uint8Array(1));
    expect(guest.select(0x19).bytes(4)).toEqual([0, 0, 0, 5]);
    const entries = Array.from({ length: 5 }, () => {
      const b = guest.bytes(64);
      const name = String.fromCharCode(...b.slice(8)).replace(/\0+$/, "");
      return [name, b.slice(0, 4), b.slice(4, 6), b.slice(6, 8)];
    });
    expect(entries).toEqual([
      ["bootorder", [0, 0, 0, 0], [0, 0x20], [0, 0]],
      ["etc/boot-fail-wait", [0, 0, 0, 4], [0, 0x21], [0, 0]],
      ["opt/org.example/a", [0, 0, 0, 1], [0, 0x22], [0, 0]],
      ["opt/org.example/b", [0, 0, 1, 2], [0, 0x23], [0, 0]],
      ["opt/writable", [0, 0, 0, 8], [0, 0x24], [0, 0]],
    ]);
  });

  it("a file is read by the key that the directory gives", () => {
    const guest = new Guest();
    guest.fwCfg.addFile("opt/hello", new TextEncoder().encode("hello"));
    expect(guest.select(guest.file("opt/hello")).text(5)).toBe("hello");
  });

  it("names that are taken, too long or no ASCII, and keys that are taken, are refused", () => {
    const { fwCfg } = new Guest();
    expect(() => fwCfg.addFile("bootorder", new Uint8Array(1))).toThrow(/exists/);
    expect(() => fwCfg.addFile("x".repeat(56), new Uint8Array(1))).toThrow(RangeError);
    expect(() => fwCfg.addFile("opt/ä", new Uint8Array(1))).toThrow(RangeError);
    expect(() => fwCfg.add(5, new Uint8Array(1))).toThrow(/taken/);
    expect(() => fwCfg.add(0x20, new Uint8Array(1))).toThrow(/taken/);
    expect(() => fwCfg.add(0x4005, new Uint8Array(1))).toThrow(RangeError);
    for (let i = 0; i < 29; i++) fwCfg.addFile(`opt/${i}`, new Uint8Array(1));
    expect(() => fwCfg.addFile("opt/one-more", new Uint8Array(1))).toThrow(/32 places/);
  });

  it("-kernel with firmware: sizes at 0x08, 0x0b, 0x14, contents at 0x11, 0x12, 0x15, the command line with its NUL", () => {
    const guest = new Guest();
    const boot = { kernel: new Uint8Array([7, 8, 9]), initrd: new Uint8Array([1, 2]), commandLine: "hello" };
    guest.fwCfg.setBoot(boot);
    expect([0x08, 0x0b, 0x14].map((key) => guest.select(key).data(4))).toEqual([3, 2, 6]);
    expect([guest.select(0x11).bytes(3), guest.select(0x12).bytes(2)]).toEqual([
      [7, 8, 9],
      [1, 2],
    ]);
    expect(guest.select(0x15).text(6)).toBe("hello\0");
  });
});

describe("fw_cfg: DMA", () => {
  it("the DMA Address Register reads QEMU CFG, big-endian", () => {
    const guest = new Guest();
    expect([guest.board.bus.read(FW_CFG_BASE + 0x10, 8, guest.tx), guest.tx.high]).toEqual([0x554d4551, 0x47464320]);
  });

  it("select and read (0x0a): the bytes go to RAM, the control word becomes 0, and the offset moves on", () => {
    const guest = new Guest();
    expect(guest.dma(0x0000000a, 2, RAM_BASE + 0x100)).toBe(0);
    expect(guest.dma(0x00000002, 4, RAM_BASE + 0x200)).toBe(0);
    expect([guest.ram(0x100, 3), guest.ram(0x200, 4)]).toEqual([
      [0x51, 0x45, 0],
      [0x4d, 0x55, 0, 0],
    ]);
  });

  it("a read past the item's end fills with zeroes", () => {
    const guest = new Guest();
    guest.board.ram.fill(0x100, new Uint8Array(16).fill(0xee));
    guest.dma(0x0000000a, 8, RAM_BASE + 0x100);
    expect(guest.ram(0x100, 9)).toEqual([0x51, 0x45, 0x4d, 0x55, 0, 0, 0, 0, 0xee]);
  });

  it("skip (0x04) moves the offset", () => {
    const guest = new Guest();
    expect(guest.dma(0x0000000c, 2, 0)).toBe(0);
    expect(guest.text(2)).toBe("MU");
  });

  it("select alone (0x08) selects", () => {
    const guest = new Guest();
    guest.dma(0x00050008, 0, 0);
    expect(guest.bytes(2)).toEqual([4, 0]);
  });

  it("write (0x10) changes a writable item and tells its owner", () => {
    const guest = new Guest();
    const writes: number[][] = [];
    guest.fwCfg.addFile("opt/a", new Uint8Array(4), { onWrite: (offset, length) => writes.push([offset, length]) });
    guest.board.ram.fill(0x100, new Uint8Array([9, 8]));
    const key = guest.file("opt/a");
    expect(guest.dma(((key << 16) | 0x0c) >>> 0, 1, 0)).toBe(0);
    expect(guest.dma(0x10, 2, RAM_BASE + 0x100)).toBe(0);
    expect([guest.select(key).bytes(4), writes]).toEqual([[0, 9, 8, 0], [[1, 2]]]);
  });

  it.each([
    ["to a read-only item", 0x00050018, 1],
    ["to a key without an item", 0x12340018, 1],
    ["past the item's end", -1, 9],
  ])("a write %s sets the error bit and changes nothing", (_what, control, length) => {
    const guest = new Guest();
    const key = guest.file("opt/writable");
    expect(guest.dma(control === -1 ? ((key << 16) | 0x18) >>> 0 : control, length, RAM_BASE + 0x100)).toBe(1);
    expect([guest.select(5).bytes(1), guest.select(key).bytes(8)]).toEqual([[4], [1, 2, 3, 4, 5, 6, 7, 8]]);
    expect(guest.errors.map((e) => e.kind)).toEqual(["dma"]);
  });

  it("a destination that is not there sets the error bit, and is recorded", () => {
    const guest = new Guest();
    expect(guest.dma(0x0000000a, 4, 0x7000_0000)).toBe(1);
    expect(guest.errors.some((e) => e.kind === "dma" && e.address === 0x7000_0000)).toBe(true);
  });

  it("a descriptor that is not there is recorded", () => {
    const guest = new Guest();
    guest.dma(0, 0, 0, 0x7000_0000);
    expect(guest.errors.some((e) => e.kind === "dma")).toBe(true);
  });

  it("64-bit addresses: the more significant half first, forgotten after the operation", () => {
    const guest = new Guest();
    guest.tx.high = swap32(RAM_BASE);
    guest.board.ram.poke(0, 4, swap32(0x00050008));
    guest.board.bus.write(FW_CFG_BASE + 0x10, 8, 0, guest.tx);
    expect(guest.bytes(1)).toEqual([4]);
    guest.board.bus.write(FW_CFG_BASE + 0x10, 4, swap32(1), guest.tx);
    guest.dma(0x00000008, 0, 0);
    expect(guest.errors.some((e) => e.kind === "dma")).toBe(true); // at 0x1_4000_0000 there is nothing
    expect(guest.dma(0x00000008, 0, 0)).toBe(0);
  });

  it("a transfer into this device's own DMA register does not start another", () => {
    const guest = new Guest();
    guest.fwCfg.addFile("opt/loop", new Uint8Array([0x40, 0, 0, 0]));
    const key = guest.file("opt/loop");
    guest.dma(((key << 16) | 0x0a) >>> 0, 4, FW_CFG_BASE + 0x14);
    expect(guest.errors.map((e) => e.kind)).toContain("dma");
  });

  it("a read of gigabytes of nothing is refused at once", () => {
    const guest = new Guest();
    expect(guest.dma(0x0000000a, 0xffffffff, RAM_BASE + 0x100)).toBe(1);
    expect(guest.ram(0x100, 4)).toEqual([0, 0, 0, 0]);
  });
});

describe("fw_cfg: state", () => {
  it("reset selects the signature and returns writable items to what they were", () => {
    const guest = new Guest();
    guest.board.ram.fill(0x100, new Uint8Array([9]));
    const key = guest.file("opt/writable");
    guest.dma(((key << 16) | 0x18) >>> 0, 1, RAM_BASE + 0x100);
    guest.simulation.reset();
    expect(guest.text(4)).toBe("QEMU");
    expect(guest.select(key).bytes(1)).toEqual([1]);
  });

  it("a snapshot holds key, offset and the bytes of writable items", () => {
    const guest = new Guest();
    guest.board.ram.fill(0x100, new Uint8Array([9]));
    const key = guest.file("opt/writable");
    guest.dma(((key << 16) | 0x18) >>> 0, 1, RAM_BASE + 0x100);
    const other = new Guest();
    other.simulation.load(structuredClone(guest.simulation.save()));
    expect(other.bytes(7)).toEqual([2, 3, 4, 5, 6, 7, 8]);
    expect(other.select(key).bytes(1)).toEqual([9]);
  });
});

describeDeclaration("FW_CFG", buildFwCfg, {
  exempt: {
    DATA: { rules: ["widths"], reason: "Register Locations: reads of any width, but all at the register's first byte" },
  },
});
fuzzDevice("FW_CFG", buildFwCfg);
