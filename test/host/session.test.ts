/** Whole runs in one process: options parsed, devices opened, protocols served, exit codes. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseCommandLine } from "../../src/host/options/parse.ts";
import { runSession } from "../../src/host/session.ts";
import { StubMachine } from "./stub-machine.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "armature-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function start(machine: StubMachine, ...words: string[]): Promise<number> {
  const parsed = parseCommandLine(words, "qemu", { program: "test", version: "0" });
  if (parsed.kind !== "run") throw new Error("expected a run");
  return runSession(machine, { run: parsed.options, program: "test", prompt: "(qemu) ", remark: false });
}

/** A run whose serial output goes to a file. */
async function scripted(machine: StubMachine, ...words: string[]) {
  const out = join(directory, "out");
  const code = await start(machine, "-display", "none", "-serial", `file:${out}`, ...words);
  return { code, text: readFileSync(out, "latin1") };
}

class Client {
  readonly socket: Socket;
  text = "";
  #waiting: (() => void)[] = [];
  constructor(path: string) {
    this.socket = createConnection(path);
    this.socket.on("data", (data) => {
      this.text += data.toString("latin1");
      for (const w of this.#waiting.splice(0)) w();
    });
  }
  static async connect(path: string): Promise<Client> {
    for (let i = 0; ; i++) {
      const client = new Client(path);
      const error = await new Promise<Error | null>((resolve) => {
        client.socket.once("connect", () => resolve(null));
        client.socket.once("error", resolve);
      });
      if (error === null) return client;
      if (i > 100) throw error;
      await new Promise((r) => setTimeout(r, 10));
    }
  }
  /** Waits for `text`, returns all up to and with it, and takes it. */
  async until(text: string): Promise<string> {
    for (;;) {
      const at = this.text.indexOf(text);
      if (at >= 0) {
        const taken = this.text.slice(0, at + text.length);
        this.text = this.text.slice(at + text.length);
        return taken;
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
  async ask(command: string, until = "\n"): Promise<string> {
    this.socket.write(`${command}\n`);
    return (await this.until(until)).trimEnd();
  }
}

describe("scripts: --expect and --send", () => {
  it("ends with 0 when the last step is done", async () => {
    const { code, text } = await scripted(
      new StubMachine(),
      "--expect",
      "> ",
      "--send",
      "hello\\n",
      "--expect",
      "?hello",
    );
    expect(code).toBe(0);
    expect(text).toContain("boot\n> hello\n?hello\n");
  });

  it("a send that comes last is typed before the run ends", async () => {
    const { code, text } = await scripted(new StubMachine(), "--expect", "> ", "--send", "bye");
    expect(code).toBe(0);
    expect(text).toBe("boot\n> bye");
  });

  it("text longer than the receive FIFO arrives whole", async () => {
    const long = "x".repeat(100);
    const { code } = await scripted(
      new StubMachine(),
      "--expect",
      ">",
      "--send",
      `${long}\\n`,
      "--expect",
      `?${long}\n`,
    );
    expect(code).toBe(0);
  });

  it("ends with 1 when the guest powers off before the text comes", async () => {
    const { code } = await scripted(new StubMachine(), "--expect", "> ", "--send", "off\\n", "--expect", "never");
    expect(code).toBe(1);
  });

  it("ends with 3 when the guest sleeps for ever before the text comes", async () => {
    expect((await scripted(new StubMachine(), "--expect", "never")).code).toBe(3);
  });

  it("ends with 5 when the guest's kernel says that it panicked", async () => {
    const words = ["--expect", "> ", "--send", "panic\\n", "--expect", "never"];
    expect((await scripted(new StubMachine(true), ...words)).code).toBe(5);
  });

  it("ends with 1 at the timeout", async () => {
    const { code } = await scripted(new StubMachine(true), "--expect", "never", "--timeout", "0.2");
    expect(code).toBe(1);
  });

  it("the same script gives the same simulated times and the same state hash", async () => {
    const words = ["--expect", "> ", "--send", "time\\n", "--expect", "> ", "--send", "time\\n", "--expect", "> "];
    const [a, b] = [new StubMachine(true), new StubMachine(true)];
    const first = await scripted(a, ...words);
    const second = await scripted(b, ...words);
    expect(first.text).toMatch(/t=\d+\n> time\nt=\d+\n/);
    expect(second).toEqual(first);
    expect(b.simulation.stateHash()).toBe(a.simulation.stateHash());
  });
});

describe("how a run ends", () => {
  it("power-off: 0", async () => {
    const machine = new StubMachine();
    expect((await scripted(machine, "--expect", "> ", "--send", "off\\n")).code).toBe(0);
    expect(machine.finished).toBe(1);
  });

  it("--max-time: 0 after exactly that simulated time", async () => {
    const machine = new StubMachine(true);
    expect((await scripted(machine, "--max-time", "0.05")).code).toBe(0);
    expect(machine.simulation.now).toBe(500_000_000); // 50 ms in units of 100 ps
  });

  it("--timeout without --expect: 1", async () => {
    expect((await scripted(new StubMachine(true), "--timeout", "0.1")).code).toBe(1);
  });

  it("a guest's reset starts it again; with -no-reboot it ends the run", async () => {
    const machine = new StubMachine();
    const again = await scripted(machine, "--expect", "> ", "--send", "reset\\n", "--expect", "boot");
    expect(again.code).toBe(0);
    expect(machine.resets).toBe(1);
    const other = new StubMachine();
    const code = await scripted(other, "-no-reboot", "--expect", "> ", "--send", "reset\\n", "--expect", "reset");
    expect(code.code).toBe(0);
    expect(other.resets).toBe(0);
  });

  it("--strict makes guest errors exit code 1; --guest-errors writes JSON lines", async () => {
    const fault = ["--expect", "> ", "--send", "fault\\n", "--expect", "\n> "];
    expect((await scripted(new StubMachine(), ...fault)).code).toBe(0);
    const file = join(directory, "errors");
    const strict = await scripted(
      new StubMachine(),
      "--strict",
      "--guest-errors",
      file,
      "-D",
      join(directory, "log"),
      ...fault,
    );
    expect(strict.code).toBe(1);
    const [line] = readFileSync(file, "utf8").split("\n");
    expect(JSON.parse(line as string)).toMatchObject({
      level: "guest-error",
      kind: "value",
      module: "guest",
      detail: "as asked",
    });
    expect(readFileSync(join(directory, "log"), "utf8")).toMatch(/^\[0\.\d+ s\] value: guest: as asked\n/);
  });
});

describe("time", () => {
  it("-icount sleep=on: idle time is host time; sleep=off: it takes none", async () => {
    const run = async (sleep: string) => {
      const machine = new StubMachine(true);
      const begin = performance.now();
      await scripted(machine, "--max-time", "0.3", "-icount", `sleep=${sleep}`);
      expect(machine.simulation.now).toBe(3_000_000_000);
      return performance.now() - begin;
    };
    expect(await run("on")).toBeGreaterThan(250);
    // Longer than the test may take.
    const idle = new StubMachine(true);
    expect((await scripted(idle, "--max-time", "600", "-icount", "sleep=off")).code).toBe(0);
    expect(idle.simulation.now).toBe(6_000_000_000_000);
  }, 120_000);

  it("a script runs as fast as it can, whoever is connected", async () => {
    const socket = `unix:${join(directory, "q")},server=on,wait=off`;
    const words = ["-qmp", socket, "--max-time", "600", "--expect", "never"];
    // Longer than the test may take.
    expect((await scripted(new StubMachine(true), ...words)).code).toBe(1);
  }, 120_000);
});

describe("sockets", () => {
  it("a serial port on a Unix socket that waits for its client", async () => {
    const path = join(directory, "serial");
    const done = start(new StubMachine(), "-display", "none", "-serial", `unix:${path},server=on`);
    const client = await Client.connect(path);
    await client.until("> ");
    client.socket.write("off\n");
    await client.until("off\n");
    expect(await done).toBe(0);
  });

  it("QMP: greeting, capabilities, status, stop, cont, reset with its event, power key, quit", async () => {
    const path = join(directory, "qmp");
    const machine = new StubMachine();
    const done = start(machine, "-nodefaults", "-name", "bob", "-qmp", `unix:${path},server=on,wait=off`);
    const client = await Client.connect(path);
    expect(JSON.parse(await client.until("\n"))).toEqual({
      QMP: { version: { qemu: { micro: 2, minor: 0, major: 10 }, package: "Armature" }, capabilities: [] },
    });
    expect(await client.ask('{"execute":"query-status"}')).toBe(
      '{"error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with \'qmp_capabilities\'"}}',
    );
    expect(await client.ask('{"execute":"qmp_capabilities","id":1}')).toBe('{"return": {}, "id": 1}');
    expect(await client.ask('{"execute":"query-status","id":{"x":[1,2]}}')).toBe(
      '{"return": {"status": "running", "running": true}, "id": {"x": [1, 2]}}',
    );
    expect(await client.ask('{"execute":"query-name"}')).toBe('{"return": {"name": "bob"}}');
    client.socket.write('{"execute":"stop"}');
    expect(JSON.parse(await client.until("\n"))).toMatchObject({ event: "STOP" });
    expect(await client.until("\n")).toBe('{"return": {}}\r\n');
    expect(await client.ask('{"execute":"query-status"}')).toContain('"paused", "running": false');
    client.socket.write('{"execute":"cont"}');
    expect(JSON.parse(await client.until("\n"))).toMatchObject({ event: "RESUME" });
    await client.until("\n");
    client.socket.write('{"execute":"system_reset"}');
    expect(JSON.parse(await client.until("\n"))).toMatchObject({
      event: "RESET",
      data: { guest: false, reason: "host-qmp-system-reset" },
      timestamp: { seconds: expect.any(Number), microseconds: expect.any(Number) },
    });
    await client.until("\n");
    expect(machine.resets).toBe(1);
    client.socket.write('{"execute":"system_powerdown"}');
    expect(JSON.parse(await client.until("\n"))).toMatchObject({ event: "POWERDOWN" });
    await client.until("\n");
    expect(machine.powerKeys).toBe(1);
    client.socket.write('{"execute":"quit"}');
    expect(JSON.parse(await client.until("\n"))).toMatchObject({
      event: "SHUTDOWN",
      data: { reason: "host-qmp-quit" },
    });
    expect(await client.until("\n")).toBe('{"return": {}}\r\n');
    expect(await done).toBe(0);
  });

  it("-S waits for cont", async () => {
    const path = join(directory, "qmp");
    const machine = new StubMachine();
    const done = start(machine, "-nodefaults", "-S", "-qmp", `unix:${path},server=on,wait=off`);
    const client = await Client.connect(path);
    await client.until("\n");
    await client.ask('{"execute":"qmp_capabilities"}');
    expect(await client.ask('{"execute":"query-status"}')).toContain('"prelaunch", "running": false');
    expect(machine.simulation.now).toBe(0);
    client.socket.write('{"execute":"cont"}');
    await client.until('{"return": {}}');
    await client.ask('{"execute":"quit"}', '{"return": {}}');
    expect(await done).toBe(0);
  });

  it("qtest over a socket that it connects to: the clock stands unless it is moved", async () => {
    const { createServer } = await import("node:net");
    const path = join(directory, "qtest");
    const machine = new StubMachine(true);
    const replies: string[] = [];
    const server = createServer((socket) => {
      let text = "";
      const commands = ["clock_step 1000000", "writel 0x40000000 7", "readl 0x40000000"];
      socket.write(`${commands.join("\n")}\n`);
      socket.on("data", (data) => {
        text += data.toString();
        if (text.split("\n").length <= commands.length) return;
        replies.push(...text.trim().split("\n"));
        socket.end();
      });
    }).listen(path);
    const out = join(directory, "serial");
    const code = await start(
      machine,
      "-display",
      "none",
      "-accel",
      "qtest",
      "-qtest",
      `unix:${path}`,
      "-qtest-log",
      "none",
      "-serial",
      `file:${out}`,
    );
    server.close();
    expect(code).toBe(0);
    expect(replies).toEqual(["OK 1000000", "OK", "OK 0x0000000000000007"]);
    expect(machine.simulation.now).toBe(10_000_000);
    expect(readFileSync(out, "latin1")).toBe("boot\n> ");
  });

  it("a human monitor on a socket", async () => {
    const path = join(directory, "monitor");
    const done = start(new StubMachine(), "-display", "none", "-monitor", `unix:${path},server=on,wait=off`);
    const client = await Client.connect(path);
    await client.until("(qemu) ");
    expect(await client.ask("info status", "(qemu) ")).toBe("info status\r\nVM status: running\r\n(qemu)");
    await client.ask("stop", "(qemu) ");
    expect(await client.ask("info status", "(qemu) ")).toContain("VM status: paused\r\n");
    expect(await client.ask("nonsense", "(qemu) ")).toContain("unknown command: 'nonsense'\r\n");
    client.socket.write("quit\n");
    expect(await done).toBe(0);
  });
});

describe("user errors name the option, the place and what was expected", () => {
  it.each([
    [["-serial", "unix:/nonexistent/s"], "serial0: cannot connect to unix:/nonexistent/s: no such file or directory"],
    [["-serial", "file:/nonexistent/s"], "/nonexistent/s: cannot be written: no such file or directory"],
    [["-serial", "chardev:x"], "serial0: there is no -chardev with id=x"],
    [
      ["-serial", "stdio", "-qmp", "stdio"],
      "qmp: standard input and output are in use already: expected one device on stdio",
    ],
    [["-gdb", "tcp::0"], "-gdb: this machine has no CPU to debug"],
    [
      ["-chardev", "null,id=a", "-serial", "chardev:a", "-mon", "a"],
      'monitor: "a" is already used by serial0: expected mux=on for several users',
    ],
  ])("%j", async (words, message) => {
    await expect((async () => start(new StubMachine(), "-nodefaults", ...words))()).rejects.toThrow(message);
  });
});
