// Commands and status bits typed from the Intel StrataFlash (J3, P30) datasheets, the query structure from JEDEC JESD68.01.
import { describe, expect, it } from "vitest";
import { Arena, Port, Router, Transaction } from "../../../src/bus/index.ts";
import { CfiFlash, type CfiFlashOptions } from "../../../src/devices/cfi-flash/index.ts";
import { type GuestError, MS, Simulation, US } from "../../../src/sim/index.ts";
import { fuzzDevice } from "../../registers/harness.ts";
import { buildFlash, buildSeparateFlash, buildSlowFlash } from "./device.ts";

const SECTOR = 0x4_0000;

class Bank {
  readonly simulation = new Simulation();
  readonly arena = new Arena();
  readonly flash: CfiFlash;
  readonly errors: GuestError[] = [];
  readonly #tx = new Transaction();

  constructor(options: CfiFlashOptions = {}) {
    this.flash = new CfiFlash(this.simulation, "flash0", this.arena, options);
    this.simulation.reporter.observe({ guestError: (e) => this.errors.push(e) });
    this.simulation.reset();
  }
  r(offset: number, size = 4): number {
    return this.flash.read(offset, size, this.#tx);
  }
  w(offset: number, value: number, size = 4): void {
    this.flash.write(offset, size, value, this.#tx);
  }
  /** A command to both 16-bit devices. */
  both(command: number, offset = 0): void {
    this.w(offset, command * 0x0001_0001);
  }
  erase(offset: number): void {
    this.both(0x20, offset);
    this.both(0xd0, offset);
  }
  program(offset: number, value: number, size = 4): void {
    this.both(0x40, offset);
    this.w(offset, value, size);
  }
  array(): this {
    this.both(0xff);
    return this;
  }
}

describe("CFI flash: identification and query", () => {
  it("JESD68 query: 0x98 at word 0x55 answers QRY, command set 0x0001, on both 16-bit devices", () => {
    const bank = new Bank();
    bank.both(0x98, 0x55 * 4);
    expect([0x10, 0x11, 0x12, 0x13, 0x14].map((a) => bank.r(a * 4))).toEqual([
      0x00510051, 0x00520052, 0x00590059, 0x00010001, 0,
    ]);
  });

  it("JESD68: geometry of a 64 MiB bank: devices of 2^25 bytes, 256 blocks of 128 KiB, buffer of 2^11 bytes", () => {
    const bank = new Bank();
    bank.both(0x98);
    const q = (word: number): number => bank.r(word * 4, 2);
    expect(q(0x27)).toBe(25);
    expect(q(0x28) | (q(0x29) << 8)).toBe(2); // x8/x16
    expect(1 << (q(0x2a) | (q(0x2b) << 8))).toBe(2048);
    expect(q(0x2c)).toBe(1);
    expect(q(0x2d) | (q(0x2e) << 8)).toBe(255);
    expect((q(0x2f) | (q(0x30) << 8)) * 256).toBe(0x20000);
  });

  it("Intel extended table: at word 0x31, PRI version 1.0, with suspend and individual block locking", () => {
    const bank = new Bank();
    bank.both(0x98);
    const q = (word: number): number => bank.r(word * 4, 2);
    expect(q(0x15) | (q(0x16) << 8)).toBe(0x31);
    expect([0x31, 0x32, 0x33, 0x34, 0x35].map((w) => String.fromCharCode(q(w))).join("")).toBe("PRI10");
    expect(q(0x36) & 0x26).toBe(0x26);
  });

  it("0x90: manufacturer 0x89 at word 0, device 0x18 at word 1, block lock status at word 2 of each block", () => {
    const bank = new Bank();
    bank.both(0x60, SECTOR);
    bank.both(0x01, SECTOR);
    bank.both(0x90);
    expect([0, 4, 8, SECTOR + 8].map((at) => bank.r(at))).toEqual([0x00890089, 0x00180018, 0, 0x00010001]);
  });

  it("separate lanes: a 16-bit write reaches one device; the other still gives the array", () => {
    const bank = new Bank({ lanes: "separate" });
    bank.flash.contents.fill(0x40, new Uint8Array([1, 2, 3, 4]));
    bank.w(0, 0x98, 2);
    expect(bank.r(0x40)).toBe(0x04030051);
    bank.w(2, 0x70, 2);
    expect(bank.r(0x40)).toBe(0x00800051);
    bank.w(0, 0xff, 2);
    bank.w(2, 0xff, 2);
    expect(bank.r(0x40)).toBe(0x04030201);
  });

  it("reads of every size and place take their bytes from the devices' answers", () => {
    const bank = new Bank();
    bank.both(0x90);
    expect([bank.r(0, 1), bank.r(1, 1), bank.r(2, 1), bank.r(2, 2)]).toEqual([0x89, 0, 0x89, 0x89]);
  });
});

describe("CFI flash: program and erase", () => {
  it("0x20, 0xD0: erases the whole block and no other; the device then gives its status, SR.7 ready", () => {
    const bank = new Bank();
    bank.flash.contents.fill(0, new Uint8Array(3 * SECTOR).fill(0x5a));
    bank.erase(SECTOR + 0x1234 * 4);
    expect(bank.r(0)).toBe(0x00800080);
    bank.array();
    const edges = [SECTOR - 4, SECTOR, 2 * SECTOR - 4, 2 * SECTOR].map((at) => bank.r(at));
    expect(edges).toEqual([0x5a5a5a5a, 0xffffffff, 0xffffffff, 0x5a5a5a5a]);
  });

  it("0x20 alone erases nothing; anything but 0xD0 after it is a sequence error (SR.5 and SR.4)", () => {
    const bank = new Bank();
    bank.flash.contents.fill(0, new Uint8Array([1, 2, 3, 4]));
    bank.both(0x20);
    bank.both(0xff);
    expect([bank.r(0), bank.errors[0]?.kind]).toEqual([0x00b000b0, "sequence"]);
    expect(bank.array().r(0)).toBe(0x04030201);
  });

  it.each([0x40, 0x10])("0x%x: programs a word; bits go from one to zero only", (command) => {
    const bank = new Bank();
    bank.erase(0);
    bank.both(command, 8);
    bank.w(8, 0x1234fff0);
    expect(bank.r(8)).toBe(0x00800080);
    expect(bank.array().r(8)).toBe(0x1234fff0);
    bank.both(command, 8);
    bank.w(8, 0xff00ffff);
    expect(bank.array().r(8)).toBe(0x1200fff0);
  });

  it("separate lanes: erase and word program of one device leave the other's bytes alone", () => {
    const bank = new Bank({ lanes: "separate" });
    bank.erase(0);
    bank.w(2, 0x40, 2);
    bank.w(2, 0xbeef, 2);
    bank.w(2, 0xff, 2);
    expect(bank.array().r(0)).toBe(0xbeefffff);
    bank.w(2, 0x20, 2);
    bank.w(2, 0xd0, 2);
    expect(bank.array().r(0)).toBe(0xffffffff);
    bank.program(0, 0);
    bank.w(0, 0x20, 2);
    bank.w(0, 0xd0, 2);
    expect(bank.array().r(0)).toBe(0x0000ffff);
  });

  it("joint lanes: 16-bit accesses work the whole bank, as Debian's U-Boot for QEMU does", () => {
    const bank = new Bank();
    const command = (at: number, value: number) => bank.w(at, value, 2);
    command(0x154, 0x98);
    expect([0x40, 0x44, 0x48].map((at) => bank.r(at, 2))).toEqual([0x51, 0x52, 0x59]);
    command(SECTOR, 0x20);
    command(SECTOR, 0xd0);
    command(0, 0xff);
    expect([bank.r(SECTOR), bank.r(2 * SECTOR - 4)]).toEqual([0xffffffff, 0xffffffff]);
    command(SECTOR + 2, 0x40);
    bank.w(SECTOR + 2, 0xbeef, 2);
    command(SECTOR, 0xe8); // three 16-bit words from SECTOR + 4 on
    bank.w(SECTOR, 2, 2);
    for (let i = 0; i < 3; i++) bank.w(SECTOR + 4 + 2 * i, 0x1111 * (i + 1), 2);
    command(SECTOR, 0xd0);
    expect(bank.r(SECTOR + 2, 2)).toBe(0x80);
    command(0, 0xff);
    expect([0, 4, 8].map((at) => bank.r(SECTOR + at))).toEqual([0xbeefffff, 0x22221111, 0xffff3333]);
    expect(bank.errors).toEqual([]);
  });

  it("0xE8: buffered program, as Linux and EDK2 do it: count less one, data, 0xD0", () => {
    const bank = new Bank();
    bank.erase(0);
    bank.both(0xe8, 0x100);
    expect(bank.r(0x100)).toBe(0x00800080); // the buffer is available
    bank.both(3, 0x100);
    for (let i = 0; i < 4; i++) bank.w(0x100 + 4 * i, 0x11111111 * (i + 1));
    expect(bank.errors).toEqual([]);
    bank.both(0xd0, 0x100);
    expect(bank.r(0)).toBe(0x00800080);
    bank.array();
    expect([0xfc, 0x100, 0x104, 0x108, 0x10c, 0x110].map((at) => bank.r(at))).toEqual([
      0xffffffff, 0x11111111, 0x22222222, 0x33333333, 0x44444444, 0xffffffff,
    ]);
  });

  it("0xE8: the whole buffer of 1,024 words a device", () => {
    const bank = new Bank();
    bank.erase(0);
    bank.both(0xe8, 0x1000);
    bank.both(1023, 0x1000);
    for (let i = 0; i < 1024; i++) bank.w(0x1000 + 4 * i, i);
    bank.both(0xd0, 0x1000);
    bank.array();
    expect([0x1000, 0x1004, 0x1ffc, 0x2000].map((at) => bank.r(at))).toEqual([0, 1, 1023, 0xffffffff]);
  });

  it.each([
    ["a count beyond the buffer", [[0, 1024]]],
    [
      "data outside the buffer's window",
      [
        [0, 1],
        [0, 0],
        [0x1000, 0],
      ],
    ],
    [
      "anything but 0xD0 after the data",
      [
        [0, 0],
        [0, 0],
        [0, 0xff],
      ],
    ],
  ] as const)("0xE8: %s is a sequence error, and nothing is programmed", (_title, writes) => {
    const bank = new Bank();
    bank.erase(0);
    bank.both(0xe8);
    for (const [offset, value] of writes) bank.both(value, offset);
    expect(bank.r(0)).toBe(0x00b000b0);
    expect(bank.array().r(0)).toBe(0xffffffff);
    expect(bank.errors.map((e) => e.kind)).toEqual(["sequence"]);
  });

  it("0x50 clears SR.5, SR.4, SR.3 and SR.1; errors stay until then", () => {
    const bank = new Bank();
    bank.both(0x20);
    bank.both(0x00);
    bank.both(0x70);
    expect(bank.r(0)).toBe(0x00b000b0);
    bank.both(0x50);
    expect(bank.r(0)).toBe(0x00800080);
  });

  it("a command that does not exist is recorded and leads back to the array", () => {
    const bank = new Bank();
    bank.both(0x70);
    bank.both(0xaa);
    expect([bank.r(0), bank.errors.map((e) => e.kind)]).toEqual([0, ["value"]]);
  });
});

describe("CFI flash: locks and protection", () => {
  it("0x60: 0x01 locks and 0xD0 unlocks a block; a locked one refuses with SR.1 and the operation's error bit", () => {
    const bank = new Bank();
    bank.erase(0);
    bank.both(0x60);
    bank.both(0x01);
    bank.program(0, 0);
    expect(bank.r(0)).toBe(0x00920092);
    bank.both(0x50);
    bank.erase(0);
    expect(bank.r(0)).toBe(0x00a200a2);
    expect(bank.array().r(0)).toBe(0xffffffff);
    bank.both(0x50);
    bank.both(0x60);
    bank.both(0xd0);
    bank.program(0, 0);
    expect(bank.r(0)).toBe(0x00800080);
    expect(bank.array().r(0)).toBe(0);
  });

  it("a read-only bank refuses as with Vpp low: SR.3 and the operation's error bit", () => {
    const bank = new Bank({ readOnly: true });
    bank.flash.contents.fill(0, new Uint8Array([1, 2, 3, 4]));
    bank.program(0, 0);
    expect(bank.r(0)).toBe(0x00980098);
    bank.both(0x50);
    bank.erase(0);
    expect(bank.r(0)).toBe(0x00a800a8);
    expect(bank.array().r(0)).toBe(0x04030201);
  });
});

describe("CFI flash: time, suspend, resume", () => {
  const timed = (): Bank => {
    const bank = new Bank({ programTime: 100 * US, bufferTime: 200 * US, eraseTime: 500 * MS });
    bank.flash.contents.fill(0, new Uint8Array(2 * SECTOR).fill(0x0f));
    return bank;
  };
  const pass = (bank: Bank, time: number) => bank.simulation.run(bank.simulation.now + time);

  it("SR.7 is 0 and the array unchanged until the time has passed", () => {
    const bank = timed();
    bank.erase(0);
    pass(bank, 499 * MS);
    expect([bank.r(0), bank.flash.contents.peek(0, 4)]).toEqual([0, 0x0f0f0f0f]);
    pass(bank, MS);
    expect([bank.r(0), bank.flash.contents.peek(0, 4)]).toEqual([0x00800080, 0xffffffff]);
  });

  it("while busy commands but suspend and read status are ignored and recorded", () => {
    const bank = timed();
    bank.program(0, 0x00ff00ff);
    bank.both(0x70);
    expect(bank.errors).toEqual([]);
    bank.both(0xff);
    expect([bank.r(0), bank.errors.map((e) => e.kind)]).toEqual([0, ["sequence"]]);
    pass(bank, 100 * US);
    expect(bank.array().r(0)).toBe(0x000f000f);
  });

  it("0xB0 suspends an erase (SR.6); other blocks can be read and programmed; 0xD0 goes on with the time that was left", () => {
    const bank = timed();
    bank.erase(0);
    pass(bank, 200 * MS);
    bank.both(0xb0);
    expect(bank.r(0)).toBe(0x00c000c0);
    expect(bank.array().r(SECTOR)).toBe(0x0f0f0f0f);
    bank.program(SECTOR, 0);
    expect(bank.r(0)).toBe(0x00400040);
    pass(bank, 100 * US);
    expect(bank.r(0)).toBe(0x00c000c0);
    bank.both(0xd0);
    pass(bank, 299 * MS);
    expect(bank.r(0)).toBe(0);
    pass(bank, MS);
    expect(bank.r(0)).toBe(0x00800080);
    bank.array();
    expect([bank.r(0), bank.r(SECTOR)]).toEqual([0xffffffff, 0]);
  });

  it("programming the block whose erase is suspended is a sequence error", () => {
    const bank = timed();
    bank.erase(0);
    bank.both(0xb0);
    bank.program(4, 0);
    expect(bank.r(0)).toBe(0x00f000f0);
  });

  it("0xB0 suspends a program (SR.2), and a second program meanwhile is a sequence error that leaves it whole", () => {
    const bank = timed();
    bank.program(0, 0x00ff00ff);
    bank.both(0xb0);
    expect(bank.r(0)).toBe(0x00840084);
    bank.both(0x40, 8);
    expect(bank.r(0)).toBe(0x00b400b4);
    bank.both(0x50);
    bank.both(0xd0);
    pass(bank, 100 * US);
    bank.array();
    expect([bank.r(0), bank.r(8)]).toEqual([0x000f000f, 0x0f0f0f0f]);
  });

  it("a snapshot in the middle of an erase goes on in another machine", () => {
    const bank = timed();
    bank.erase(SECTOR);
    pass(bank, 100 * MS);
    const other = new Bank({ programTime: 100 * US, bufferTime: 200 * US, eraseTime: 500 * MS });
    other.simulation.load(structuredClone(bank.simulation.save()));
    for (const b of [bank, other]) pass(b, 400 * MS);
    expect([other.r(0), other.flash.contents.peek(SECTOR, 4)]).toEqual([0x00800080, 0xffffffff]);
    expect(other.simulation.stateHash()).toBe(bank.simulation.stateHash());
  });
});

describe("CFI flash: contents and direct access", () => {
  it("in array mode the contents are reached directly, read-only; any other mode takes that away and says so", () => {
    const bank = new Bank();
    bank.flash.contents.fill(0x1000, new Uint8Array([0xde, 0xc0, 0xad, 0x0b]));
    const heard: number[][] = [];
    bank.flash.onInvalidate((offset, length) => heard.push([offset, length]));
    const region = bank.flash.direct(0x1000, false);
    expect([region?.writable, bank.arena.view.getUint32((region?.arenaAt ?? 0) + 0x1000, true)]).toEqual([
      false,
      0x0badc0de,
    ]);
    expect(bank.flash.direct(0x1000, true)).toBeNull();
    bank.both(0x70);
    expect(bank.flash.direct(0x1000, false)).toBeNull();
    bank.both(0x90);
    bank.array();
    expect(bank.flash.direct(0x1000, false)?.writable).toBe(false);
    expect(heard).toEqual([
      [0, 0x4000000],
      [0, 0x4000000],
    ]);
  });

  it("a port that has read directly sees the change of mode", () => {
    const bank = new Bank();
    const bus = new Router(bank.simulation, "bus");
    bus.map({ name: "flash0", base: 0, size: bank.flash.size, target: bank.flash });
    const port = new Port(bus, bank.arena);
    expect(port.read(0, 4)).toBe(0);
    port.write(0, 4, 0x00900090);
    expect(port.read(0, 4)).toBe(0x00890089);
    port.write(0, 4, 0x00ff00ff);
    expect(port.read(0, 4)).toBe(0);
  });

  it("the host loads an image, hears of every change, and gets the bytes out", () => {
    const bank = new Bank();
    bank.flash.contents.fill(0, new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]));
    const changes: number[][] = [];
    bank.flash.onChange = (offset, length) => changes.push([offset, length]);
    bank.program(4, 0x00000005);
    bank.erase(SECTOR);
    expect([...bank.flash.contents.slice(0, 8)]).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
    const touched = (at: number): boolean => changes.some(([o, n]) => (o ?? 0) <= at && at < (o ?? 0) + (n ?? 0));
    expect([4, 7, SECTOR, 2 * SECTOR - 1, 0, 8, 2 * SECTOR].map(touched)).toEqual([
      true,
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it("reset: array mode, locks open, contents kept", () => {
    const bank = new Bank();
    bank.erase(0);
    bank.both(0x60);
    bank.both(0x01);
    bank.both(0x90);
    bank.simulation.reset();
    expect(bank.r(0)).toBe(0xffffffff);
    bank.both(0x90);
    expect(bank.r(8)).toBe(0);
  });

  it("peek shows what a read would; poke changes the contents whatever the mode", () => {
    const bank = new Bank();
    bank.both(0x90);
    bank.flash.poke(0, 4, 0x12345678);
    expect(bank.flash.peek(0, 4)).toBe(0x00890089);
    expect(bank.array().r(0)).toBe(0x12345678);
  });

  it("a geometry that cannot be is refused", () => {
    const { simulation, arena } = new Bank();
    expect(() => new CfiFlash(simulation, "bad", arena, { size: 0x3000000 })).toThrow(RangeError);
  });
});

fuzzDevice("CFI flash", buildFlash);
fuzzDevice("CFI flash, separate lanes", buildSeparateFlash);
fuzzDevice("CFI flash with times", buildSlowFlash);
