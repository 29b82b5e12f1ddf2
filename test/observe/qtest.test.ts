/** The qtest protocol as QEMU 10's system/qtest.c documents and answers it. */
import { describe, expect, it } from "vitest";
import { Arena, Memory, Router, SIZES_UP_TO_32, type Target } from "../../src/bus/index.ts";
import { type QtestDevice, QtestServer } from "../../src/observe/index.ts";
import { type Line, Module, Simulation } from "../../src/sim/index.ts";

/** Four bytes a register, holding what was written; records the accesses that arrive. */
class Recorder implements Target {
  readonly accessSizes = SIZES_UP_TO_32;
  readonly log: string[] = [];
  read(offset: number, size: number): number {
    this.log.push(`r${size}@${offset}`);
    return 0x11223344 >>> (8 * (offset & 3));
  }
  write(offset: number, size: number, value: number): void {
    this.log.push(`w${size}@${offset}=${value.toString(16)}`);
  }
  peek(): number {
    return 0;
  }
  poke(): void {}
}

function machine(ownsClock = true) {
  const simulation = new Simulation();
  const bus = new Router(simulation, "bus", "zero");
  const ram = new Memory(simulation, "ram", new Arena(), { size: 0x10000 });
  const device = new Recorder();
  bus.map({ name: "ram", base: 0x40000000, size: 0x10000, target: ram });
  bus.map({ name: "device", base: 0x09000000, size: 0x1000, target: device });
  const owner = new Module(simulation, "owner");
  const lines = [owner.line("a"), owner.line("b")];
  const driven: string[] = [];
  const pins: QtestDevice = {
    watchInputs: (sink) => {
      lines.forEach((line, n) => {
        line.connect((level) => sink(n, level));
      });
      return true;
    },
    watchOutputs: (name, sink) => {
      if (name !== "sysbus-irq") return false;
      (lines[0] as Line).connect((level) => sink(0, level));
      return true;
    },
    setInput: (name, pin, level) => {
      driven.push(`${name} ${pin} ${level}`);
      return pin < 8;
    },
  };
  const out: string[] = [];
  const server = new QtestServer(
    {
      simulation,
      bus,
      ownsClock,
      device: (path) => (path === "/machine/unattached/device[1]" || path === "gic" ? pins : null),
    },
    (text) => out.push(text),
  );
  const ask = (...commands: string[]) => {
    out.length = 0;
    for (const c of commands) server.receive(`${c}\n`);
    return out.join("").split("\n").slice(0, -1);
  };
  return { simulation, server, ask, out, device, lines, owner, driven };
}

describe("qtest: reading and writing", () => {
  it("readb, readw, readl, readq answer 16 hexadecimal digits, little-endian", () => {
    const { ask } = machine();
    expect(ask("writeq 0x40000000 0x1122334455667788", "readb 0x40000000", "readw 0x40000000")).toEqual([
      "OK",
      "OK 0x0000000000000088",
      "OK 0x0000000000007788",
    ]);
    expect(ask("readl 0x40000004", "readq 0x40000000")).toEqual(["OK 0x0000000011223344", "OK 0x1122334455667788"]);
  });

  it("writeb, writew, writel store the low bytes of the value", () => {
    const { ask } = machine();
    expect(
      ask(
        "writel 0x40000000 0xaabbccdd",
        "writeb 0x40000000 0x1ff",
        "writew 0x40000002 0x12345",
        "readl 0x40000000",
      ).at(-1),
    ).toBe("OK 0x000000002345ccff");
  });

  it("read and write move bytes as hexadecimal digits; missing data is zero", () => {
    const { ask } = machine();
    expect(ask("write 0x40000000 8 0x01", "read 0x40000000 8")).toEqual(["OK", "OK 0x0100000000000000"]);
    expect(ask("write 0x40000010 2 0x01020304", "read 0x40000010 4")).toEqual(["OK", "OK 0x01020000"]);
    expect(ask("write 0x40000010 2 0x")).toEqual(["ERR invalid argument size"]);
  });

  it("b64read, b64write and memset", () => {
    const { ask } = machine();
    expect(ask("b64write 0x40000000 4 AQIDBA==", "b64read 0x40000000 8")).toEqual(["OK", "OK AQIDBAAAAAA="]);
    expect(ask("memset 0x40000000 16 0xaa", "read 0x40000000 17")).toEqual([
      "OK",
      "OK 0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa00",
    ]);
    expect(ask("memset 0x40000000 0 1")).toEqual(["OK"]);
  });

  it("cuts accesses to a device that takes 32 bits into aligned words", () => {
    const { ask, device } = machine();
    expect(ask("readq 0x09000fe0")).toEqual(["OK 0x1122334411223344"]);
    expect(device.log.splice(0)).toEqual(["r4@4064", "r4@4068"]);
    ask("read 0x09000001 6");
    expect(device.log.splice(0)).toEqual(["r1@1", "r2@2", "r2@4", "r1@6"]);
    ask("writew 0x09000001 0xbbaa");
    expect(device.log).toEqual(["w1@1=aa", "w1@2=bb"]);
  });

  it("an address that nobody answers reads as zero and takes writes", () => {
    const { ask } = machine();
    expect(ask("readl 0x99999999", "writel 0x99999999 1", "readl 0xffffffffffffff00")).toEqual([
      "OK 0x0000000000000000",
      "OK",
      "OK 0x0000000000000000",
    ]);
  });

  it("numbers are those of strtoull with base 0", () => {
    const { ask } = machine();
    ask("writel 0x40000008 0x55");
    expect(ask("readl 010000000010")).toEqual(["OK 0x0000000000000055"]); // octal of 0x40000008
    expect(ask("readl 1073741832")).toEqual(["OK 0x0000000000000055"]);
    expect(ask("writel 0x40000000 -1", "readl 0x40000000").at(-1)).toBe("OK 0x00000000ffffffff");
  });

  it("endianness", () => {
    expect(machine().ask("endianness")).toEqual(["OK little"]);
  });
});

describe("qtest: malformed commands are answered, whatever they are", () => {
  it.each([
    ["foo", "FAIL Unknown command 'foo'"],
    ["", "FAIL Unknown command ''"],
    ["readl", "FAIL readl: expected ADDRESS"],
    ["readl 0x12zz", 'FAIL readl: ADDRESS "0x12zz": expected a number below 2^64'],
    ["writel 0x10", "FAIL writel: expected ADDRESS VALUE"],
    ["readl 0x10000000000000000", 'FAIL readl: ADDRESS "0x10000000000000000": expected a number below 2^64'],
    ["read 0x40000000 0", "FAIL read: a size of 0: expected at least 1"],
    ["read 0x40000000 0x7fffffffff", "FAIL read: 549755813887 bytes: expected at most 67108864"],
    ["write 0x40000000 1 0xzz", 'FAIL write: data "0xzz": expected 0x and hexadecimal digits'],
    ["b64write 0x40000000 4 ****", 'FAIL b64write: data "****": expected base64'],
    ["module_load a b", "FAIL"],
    ["clock_step x", 'FAIL clock_step: "x": expected a number'],
    ["set_irq_in gic", "FAIL set_irq_in: expected PATH NAME NUMBER LEVEL"],
  ])("%s", (command, reply) => {
    expect(machine().ask(command)).toEqual([reply]);
  });

  it("commands may arrive in pieces and several at once", () => {
    const { server, out } = machine();
    server.receive("endi");
    server.receive("anness\nread");
    server.receive("b 0x40000000\nendianness\n");
    expect(out).toEqual(["OK little\n", "OK 0x0000000000000000\n", "OK little\n"]);
  });
});

describe("qtest: the clock", () => {
  it("clock_step without an argument goes to the next deadline", () => {
    const { ask, owner, simulation } = machine();
    const fired: number[] = [];
    owner.event("tick", () => fired.push(simulation.now)).notify(12_345);
    expect(ask("clock_step")).toEqual(["OK 1235"]); // 1234.5 ns, rounded up to whole nanoseconds
    expect(fired).toEqual([12_345]);
    expect(ask("clock_step")).toEqual([
      "FAIL cannot advance clock to the next deadline because there is no pending deadline",
    ]);
  });

  it("clock_step NS and clock_set NS", () => {
    const { ask } = machine();
    expect(ask("clock_step 100", "clock_step 0", "clock_set 50", "clock_set 100", "clock_set 5000")).toEqual([
      "OK 100",
      "FAIL could not advance time",
      "FAIL 100",
      "OK 100",
      "OK 5000",
    ]);
  });

  it("without control of the clock the commands are unknown, as in QEMU", () => {
    expect(machine(false).ask("clock_step", "clock_set 1")).toEqual([
      "FAIL Unknown command 'clock_step'",
      "FAIL Unknown command 'clock_set'",
    ]);
  });
});

describe("qtest: interrupts", () => {
  it("irq_intercept_in reports changes as IRQ raise and IRQ lower", () => {
    const { ask, lines, out } = machine();
    expect(ask("irq_intercept_in /machine/unattached/device[1]")).toEqual(["OK"]);
    out.length = 0;
    (lines[1] as Line).raise();
    (lines[0] as Line).raise();
    (lines[1] as Line).lower();
    expect(out).toEqual(["IRQ raise 1\n", "IRQ raise 0\n", "IRQ lower 1\n"]);
  });

  it("a second interception is refused for another device, accepted for the same", () => {
    const { ask } = machine();
    expect(
      ask("irq_intercept_in gic", "irq_intercept_in gic", "irq_intercept_out /machine/unattached/device[1]"),
    ).toEqual(["OK", "OK", "FAIL IRQ intercept already enabled"]);
  });

  it("irq_intercept_out takes the name of a list of pins", () => {
    const { ask } = machine();
    expect(ask("irq_intercept_out gic", "irq_intercept_out gic sysbus-irq")).toEqual([
      "FAIL No intercepts installed",
      "OK",
    ]);
    expect(machine().ask("irq_intercept_in gic named")).toEqual([
      "FAIL Interception of named in-GPIOs not yet supported",
    ]);
    expect(machine().ask("irq_intercept_in nothing")).toEqual(["FAIL Unknown device"]);
  });

  it("set_irq_in drives a pin", () => {
    const { ask, driven } = machine();
    expect(
      ask("set_irq_in gic unnamed-gpio-in 3 1", "set_irq_in gic reset 1 0", "set_irq_in nothing unnamed-gpio-in 0 1"),
    ).toEqual(["OK", "OK", "FAIL Unknown device"]);
    expect(driven).toEqual(["null 3 1", "reset 1 0"]);
    expect(ask("set_irq_in gic unnamed-gpio-in 9 1")).toEqual(["FAIL set_irq_in: gic has no input 9"]);
  });
});
