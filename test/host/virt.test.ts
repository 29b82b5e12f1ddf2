/** The real board behind the command line: qtest, GDB, flash files, device tree, user errors. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Arena, Port } from "../../src/bus/index.ts";
import { InterpreterCode } from "../../src/cpu/aarch64/engine/interpreter.ts";
import { InputError } from "../../src/formats/index.ts";
import { MachineDebugger } from "../../src/host/debugger.ts";
import { main } from "../../src/host/main.ts";
import { parseCommandLine } from "../../src/host/options/parse.ts";
import { Runner } from "../../src/host/runner.ts";
import { buildMachine } from "../../src/host/virt.ts";
import { checksumOf, GdbSession, QtestServer } from "../../src/observe/index.ts";
import { NEVER } from "../../src/sim/index.ts";

const SELFTEST = fileURLToPath(new URL("../../firmware/images/selftest.elf", import.meta.url));
let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "armature-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Compiled once for all machines of this file. */
const code = new InterpreterCode();

function build(...words: string[]) {
  const parsed = parseCommandLine(words, "qemu", { program: "test", version: "0" });
  if (parsed.kind !== "run") throw new Error("expected a run");
  const machine = buildMachine(parsed.options, code);
  if (machine === null) throw new Error("expected a machine");
  return { machine, run: parsed.options };
}

function qtest(...words: string[]) {
  const { machine } = build("-qtest", "null", ...words);
  let out = "";
  const server = new QtestServer(
    { simulation: machine.simulation, bus: machine.bus, ownsClock: true, device: (path) => machine.qtestDevice(path) },
    (text) => {
      out += text;
    },
  );
  const ask = (...commands: string[]) => {
    out = "";
    for (const c of commands) server.receive(`${c}\n`);
    return out.split("\n").slice(0, -1);
  };
  return { ask, machine };
}

describe("qtest on the board", () => {
  it("no CPU runs: the clock moves at once", () => {
    const { ask, machine } = qtest();
    expect(machine.idle).toBe(true);
    expect(ask("clock_step 1000000000")).toEqual(["OK 1000000000"]);
  });

  it("a second -serial puts a second UART at 0x09040000 (QEMU virt), with a line of its own", () => {
    const { machine } = qtest("-serial", "null", "-serial", "null");
    expect(machine.consoles?.map((c) => c.label)).toEqual(["serial1"]);
    let sent = "";
    for (const c of machine.consoles ?? []) c.port.onTransmit = (byte) => (sent += String.fromCharCode(byte));
    const { ask } = qtest("-serial", "null", "-serial", "null");
    expect(ask("writel 0x09040000 0x41", "readl 0x09040fe0")).toEqual(["OK", "OK 0x0000000000000011"]);
    new Port(machine.bus, new Arena()).write(0x904_0000, 4, 0x41);
    expect(sent).toBe("A");
    expect(qtest().ask("readl 0x09040fe0")).not.toEqual(["OK 0x0000000000000011"]);
  });

  it("the UART's transmit interrupt arrives at SPI 1 (QEMU virt: device[1] is the GIC of one CPU)", () => {
    const { ask } = qtest();
    expect(
      ask(
        "irq_intercept_in /machine/unattached/device[1]",
        "writel 0x09000030 0x301",
        "writel 0x09000038 0x20",
        "writel 0x09000000 0x41",
        "writel 0x09000044 0x20",
      ),
    ).toEqual(["OK", "OK", "OK", "IRQ raise 1", "OK", "IRQ lower 1", "OK"]);
  });

  it("the real-time clock's alarm rings at its second: SPI 2", () => {
    const { ask } = qtest("-rtc", "base=2000-01-01T00:00:00");
    const seconds = 946_684_800;
    expect(ask("readl 0x09010000")).toEqual([`OK 0x${seconds.toString(16).padStart(16, "0")}`]);
    expect(ask("irq_intercept_in gic", "writel 0x09010010 1", `writel 0x09010004 ${seconds + 2}`)).toEqual([
      "OK",
      "OK",
      "OK",
    ]);
    expect(ask("clock_step 1999999999", "clock_step 1")).toEqual(["OK 1999999999", "IRQ raise 2", "OK 2000000000"]);
  });

  it("GPIO input 3 and its interrupt, SPI 7", () => {
    const { ask } = qtest();
    expect(
      ask("irq_intercept_in gic", "writel 0x09030410 8", "writel 0x0903040c 8", "set_irq_in gpio unnamed-gpio-in 3 1"),
    ).toEqual(["OK", "OK", "OK", "IRQ raise 7", "OK"]);
  });

  it("set_irq_in on the GIC makes an SPI pending", () => {
    const { ask } = qtest();
    expect(ask("set_irq_in gic unnamed-gpio-in 50 1", "readl 0x08000208")).toEqual(["OK", "OK 0x0000000000040000"]);
    expect(ask("set_irq_in gic unnamed-gpio-in 300 1")[0]).toMatch(/^FAIL/);
  });

  it("paths of devices that are not there", () => {
    const { ask } = qtest();
    expect(ask("irq_intercept_in /machine/unattached/device[99]", "irq_intercept_in toString")).toEqual([
      "FAIL Unknown device",
      "FAIL Unknown device",
    ]);
  });
});

describe("GDB on the board", () => {
  /** A machine with firmware, its runner, and a session; `ask` waits for the stop that a resume leads to. */
  async function debug() {
    const { machine, run } = build("-kernel", SELFTEST, "-display", "none", "-S");
    const runner = new Runner(machine, {
      description: { machine: "virt", cpuModel: run.cpuModel, cpus: 1, memory: run.memory },
      startPaused: true,
      clockOwned: false,
      onReset: "reset",
      onShutdown: "poweroff",
      maxTime: NEVER,
      timeout: Number.POSITIVE_INFINITY,
      throttle: () => false,
      attended: () => true,
      resetCode: 0,
      script: null,
      journal: null,
      replay: null,
    });
    if (machine.debug === null) throw new Error("expected a debug port");
    let notify: (() => void) | null = null;
    const packets: string[] = [];
    const session = new GdbSession(new MachineDebugger(runner, machine.debug), (text) => {
      packets.push(...[...text.matchAll(/\$([^#]*)#../g)].map((m) => m[1] as string));
      notify?.();
    });
    session.open();
    const done = runner.run();
    const ask = async (data: string): Promise<string> => {
      packets.length = 0;
      session.receive(`$${data}#${checksumOf(data)}`);
      while (packets.length === 0) {
        await new Promise<void>((resolve) => {
          notify = resolve;
        });
      }
      return packets[0] as string;
    };
    await ask("qSupported:swbreak+;hwbreak+");
    const pc = (reply: string) =>
      BigInt(
        `0x${Buffer.from(/20:([0-9a-f]{16})/.exec(reply)?.[1] ?? "", "hex")
          .reverse()
          .toString("hex")}`,
      );
    return { ask, pc, runner, done, machine };
  }

  it("steps, runs to a breakpoint, stops at a watchpoint, goes on", async () => {
    const { ask, pc, runner, done } = await debug();
    const start = pc(await ask("?"));
    expect(start).toBeGreaterThanOrEqual(0x40000000n);
    const second = pc(await ask("vCont;s:1"));
    expect(second).not.toBe(start);
    const third = await ask("vCont;s:1");
    expect(third).toMatch(/^T05thread:01;/);
    // The same place again, after a reset.
    expect(await ask(`Z0,${second.toString(16)},4`)).toBe("OK");
    runner.reset();
    const hit = await ask("vCont;c");
    expect(hit).toMatch(/^T05thread:01;swbreak:;/);
    expect(pc(hit)).toBe(second);
    expect(await ask(`z0,${second.toString(16)},4`)).toBe("OK");
    // The first write to the UART's data register.
    expect(await ask("Z2,9000000,4")).toBe("OK");
    expect(await ask("vCont;c")).toMatch(/watch:9000000;/);
    expect(await ask("z2,9000000,4")).toBe("OK");
    runner.quit();
    expect((await done).code).toBe(0);
  });

  it("a run that a debugger steps through computes what an undisturbed one does", async () => {
    const { ask, machine, runner, done } = await debug();
    const undisturbed = build("-kernel", SELFTEST, "-display", "none").machine;
    const end = 20_000_000; // 2 ms
    undisturbed.simulation.run(end);
    for (let i = 0; i < 20; i++) await ask("vCont;s:1");
    await ask("Z1,9000018,4");
    await ask("Z3,9000018,4");
    for (let i = 0; i < 5; i++) await ask("vCont;c");
    await ask("z3,9000018,4");
    runner.quit();
    await done;
    machine.debug?.clearAll();
    expect(machine.simulation.now).toBeLessThan(end);
    machine.simulation.run(end);
    expect(machine.simulation.stateHash()).toBe(undisturbed.simulation.stateHash());
  });
});

describe("files", () => {
  it("what the guest programs into a pflash file goes back into it", () => {
    const path = join(directory, "vars");
    writeFileSync(path, Buffer.alloc(0x40000, 0xff));
    const { ask, machine } = qtest("-drive", `if=pflash,unit=1,format=raw,file=${path}`);
    // Word program (0x40) on both 16-bit devices of the bank at 0x04000000, then read array (0xff).
    ask("writel 0x04000010 0x00400040", "writel 0x04000010 0x12345678", "writel 0x04000010 0x00ff00ff");
    expect(ask("readl 0x04000010")).toEqual(["OK 0x0000000012345678"]);
    machine.finish();
    expect(readFileSync(path).readUInt32LE(0x10)).toBe(0x12345678);
    expect(readFileSync(path).length).toBe(0x40000);
  });

  it("-snapshot leaves the file alone", () => {
    const path = join(directory, "vars2");
    writeFileSync(path, Buffer.alloc(0x40000, 0xff));
    const { ask, machine } = qtest("-snapshot", "-drive", `if=pflash,unit=1,format=raw,file=${path}`);
    ask("writel 0x04000010 0x00400040", "writel 0x04000010 0", "writel 0x04000010 0x00ff00ff");
    expect(ask("readl 0x04000010")).toEqual(["OK 0x0000000000000000"]);
    machine.finish();
    expect(readFileSync(path).every((b) => b === 0xff)).toBe(true);
  });

  it("-M dumpdtb= writes the device tree", async () => {
    const path = join(directory, "tree");
    expect(await main("armature-system-aarch64", ["-M", `virt,dumpdtb=${path}`, "-display", "none"])).toBe(0);
    expect(readFileSync(path).readUInt32BE(0)).toBe(0xd00dfeed);
  });

  it("-device loader: data and a file of raw bytes", () => {
    const path = join(directory, "blob");
    writeFileSync(path, "\x7fELF but raw");
    const { ask } = qtest(
      "-device",
      "loader,addr=0x41000000,data=0x1234,data-len=4",
      "-device",
      `loader,file=${path},addr=0x42000000,force-raw=on`,
    );
    expect(ask("readl 0x41000000", "read 0x42000000 4")).toEqual(["OK 0x0000000000001234", "OK 0x7f454c46"]);
  });
});

describe("bad input: what, where, what was expected", () => {
  async function fails(...words: string[]): Promise<string> {
    try {
      build("-display", "none", ...words);
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      return (error as Error).message;
    }
    throw new Error("expected an error");
  }
  const file = (name: string, data: Uint8Array | string) => {
    const path = join(directory, name);
    writeFileSync(path, data);
    return path;
  };
  it("a file that is missing, or a directory", async () => {
    expect(await fails("-bios", "/nonexistent/file")).toBe(
      "-bios /nonexistent/file: cannot be read: no such file or directory",
    );
    expect(await fails("-kernel", directory)).toContain("cannot be read: it is a directory");
  });
  it("an ELF that is cut off, or of another machine", async () => {
    const elf = readFileSync(SELFTEST);
    expect(await fails("-kernel", file("short.elf", elf.subarray(0, 40)))).toContain("short.elf");
    expect(await fails("-kernel", file("cut.elf", elf.subarray(0, 2000)))).toContain("cut.elf");
    const other = Buffer.from(elf);
    other.writeUInt16LE(62, 18);
    expect(await fails("-kernel", file("x86.elf", other))).toContain("machine 62");
  });
  it("a device tree that is cut off, or none", async () => {
    expect(await fails("-kernel", SELFTEST, "-dtb", file("bad.dtb", "hello, world"))).toContain("bad.dtb");
    const { machine } = build("-display", "none");
    const cut = file("cut.dtb", machine.deviceTree.subarray(0, 1000));
    expect(await fails("-kernel", SELFTEST, "-dtb", cut)).toContain("cut.dtb");
  });
  it("images that overlap or lie outside memory", async () => {
    const blob = file("blob2", "data");
    const at = (address: string) => ["-device", `loader,file=${blob},addr=${address}`];
    expect(await fails("-display", "none", ...at("0x20000000"))).toContain("RAM is 0x40000000");
    expect(await fails(...at("0x41000000"), ...at("0x41000002"))).toContain("overlaps");
    expect(await fails("-device", `loader,file=${blob},addr=0x1000000000000`)).toContain("48 bits");
  });
  it("a damaged gzip kernel", async () => {
    expect(await fails("-kernel", file("bad.gz", Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3])))).toContain("gzip");
  });
  it("the programs end with exit code 2, the message on standard error, no stack trace", async () => {
    const write = process.stderr.write;
    let text = "";
    process.stderr.write = ((chunk: string) => {
      text += chunk;
      return true;
    }) as typeof write;
    try {
      expect(await main("armature-system-aarch64", ["-bios", "/nonexistent/file"])).toBe(2);
      expect(await main("armature", ["run", "-smp", "9"])).toBe(2);
      expect(await main("armature", ["frobnicate"])).toBe(2);
      expect(await main("armature", ["regs", "nothing"])).toBe(2);
      expect(await main("armature", ["regs", "pl011", "--svd", "--header"])).toBe(2);
      expect(await main("armature", [])).toBe(2);
    } finally {
      process.stderr.write = write;
    }
    expect(text).not.toMatch(/\n\s+at /);
    expect(text.split("\n").slice(0, 4)).toEqual([
      "armature-system-aarch64: -bios /nonexistent/file: cannot be read: no such file or directory",
      "armature: -smp 9: 9 CPUs: expected at most 8, as many as a GICv2 serves",
      "armature: unknown command 'frobnicate' (armature --help lists the commands)",
      expect.stringMatching(/^armature: regs: "nothing": expected .*gicv2, .*pl011, /),
    ]);
  });
});
