/** QMP as QEMU's docs/interop/qmp-spec.rst describes it and QEMU 10 answers, and the human monitor. */
import { describe, expect, it } from "vitest";
import {
  ControlError,
  type ControlEvent,
  formatJson,
  JsonStream,
  type MachineControl,
  Monitor,
  MonitorTerminal,
  QmpSession,
} from "../../src/observe/index.ts";

class Panel implements MachineControl {
  readonly description = { machine: "virt", cpuModel: "cortex-a57", cpus: 2, memory: 2 ** 27 };
  state: MachineControl["state"] = "running";
  readonly calls: string[] = [];
  readonly files = new Map<string, Uint8Array>();
  listeners: ((e: ControlEvent) => void)[] = [];
  emit(e: ControlEvent): void {
    for (const l of this.listeners) l(e);
  }
  stop(): void {
    this.state = "paused";
    this.emit({ name: "STOP" });
  }
  cont(): void {
    this.state = "running";
    this.emit({ name: "RESUME" });
  }
  reset(): void {
    this.calls.push("reset");
  }
  powerdown(): void {
    this.calls.push("powerdown");
  }
  quit(): void {
    this.calls.push("quit");
  }
  observe(listener: (e: ControlEvent) => void): () => void {
    this.listeners.push(listener);
    return () => {
      this.listeners = this.listeners.filter((l) => l !== listener);
    };
  }
  saveFile(path: string, bytes: Uint8Array): void {
    if (path.startsWith("/")) throw new ControlError(`${path}: refused`);
    this.files.set(path, bytes);
  }
}

function qmp() {
  const panel = new Panel();
  let out: string[] = [];
  const session = new QmpSession(
    {
      control: panel,
      deviceTree: () => Uint8Array.of(1, 2),
      readPhysical: (address, length) => new Uint8Array(length).fill(Number(address & 0xffn)),
      readVirtual: (_cpu, address, length) => (address === 0n ? null : new Uint8Array(length)),
      wallClock: () => 1_795_168_948_172_328,
      monitor: (line, cpu) => `${cpu} ${line}\r\n`,
      characterDevices: () => [{ label: "serial0", filename: "stdio", open: true }],
    },
    (text) => out.push(text),
  );
  const ask = (text: string) => {
    out = [];
    session.receive(text);
    return out.map((t) => t.trimEnd());
  };
  session.open();
  const greeting = out.join("");
  return { panel, session, ask, greeting, ready: () => ask('{"execute":"qmp_capabilities"}') };
}

describe("QMP", () => {
  it("greets with the version and the capabilities", () => {
    expect(qmp().greeting).toBe(
      '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Armature"}, "capabilities": []}}\r\n',
    );
  });

  it("refuses commands before the negotiation, and a second negotiation", () => {
    const { ask } = qmp();
    expect(ask('{"execute":"query-status"}')).toEqual([
      '{"error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with \'qmp_capabilities\'"}}',
    ]);
    expect(ask('{"execute":"qmp_capabilities"}{"execute":"qmp_capabilities"}')).toEqual([
      '{"return": {}}',
      '{"error": {"class": "CommandNotFound", "desc": "Capabilities negotiation is already complete, command ignored"}}',
    ]);
  });

  it.each([
    ['{"execute":"nosuch","id":5}', "CommandNotFound", "The command nosuch has not been found"],
    ['{"execute":"toString"}', "CommandNotFound", "The command toString has not been found"],
    ['{"execute":"stop","arguments":{"a":1}}', "GenericError", "Parameter 'a' is unexpected"],
    ['{"execute":"dumpdtb"}', "GenericError", "Parameter 'filename' is missing"],
    [
      '{"execute":"dumpdtb","arguments":{"filename":1}}',
      "GenericError",
      "Invalid parameter type for 'filename', expected: string",
    ],
    ['{"execute":"dumpdtb","arguments":{"filename":"/x"}}', "GenericError", "/x: refused"],
    ['{"foo":1}', "GenericError", "QMP input member 'foo' is unexpected"],
    ['{"id":1}', "GenericError", "QMP input lacks member 'execute'"],
    ['{"execute":5}', "GenericError", "QMP input member 'execute' must be a string"],
    ['{"execute":"stop","arguments":[]}', "GenericError", "QMP input member 'arguments' must be an object"],
    ["[1]", "GenericError", "QMP input must be a JSON object"],
    ['{"execute": bad}', "GenericError", "JSON parse error in '{\"execute\": bad}'"],
    ["garbage\n", "GenericError", "JSON parse error in 'garbage'"],
    [
      '{"execute":"memsave","arguments":{"val":0,"size":4,"filename":"f"}}',
      "GenericError",
      "Invalid addr 0x0000000000000000/size 4 specified",
    ],
    ['{"execute":"inject-nmi"}', "GenericError", "machine does not provide NMIs"],
  ])("%s", (request, kind, desc) => {
    const { ask, ready } = qmp();
    ready();
    const [reply] = ask(request);
    expect(JSON.parse(reply as string).error).toEqual({ class: kind, desc });
  });

  it("queries", () => {
    const { ask, ready } = qmp();
    ready();
    const get = (name: string) => JSON.parse(ask(`{"execute":"${name}"}`)[0] as string).return;
    expect(get("query-status")).toEqual({ status: "running", running: true });
    expect(get("query-target")).toEqual({ arch: "aarch64" });
    expect(get("query-name")).toEqual({});
    expect(get("query-machines")).toMatchObject([{ name: "virt-10.0", alias: "virt", "cpu-max": 8 }]);
    expect(get("query-memory-size-summary")).toEqual({ "base-memory": 134_217_728, "plugged-memory": 0 });
    expect(
      get("query-cpus-fast").map((c: { "cpu-index": number; target: string }) => [c["cpu-index"], c.target]),
    ).toEqual([
      [0, "aarch64"],
      [1, "aarch64"],
    ]);
    expect(get("query-chardev")).toEqual([{ "frontend-open": true, filename: "stdio", label: "serial0" }]);
    const commands = get("query-commands").map((c: { name: string }) => c.name);
    for (const name of [
      "qmp_capabilities",
      "stop",
      "cont",
      "system_reset",
      "system_powerdown",
      "quit",
      "query-status",
    ]) {
      expect(commands).toContain(name);
    }
  });

  it("commands act, events carry the time, ids come back whatever they are", () => {
    const { ask, ready, panel } = qmp();
    ready();
    expect(ask('{"execute":"stop","id":{"x":[1,null]}}')).toEqual([
      '{"timestamp": {"seconds": 1795168948, "microseconds": 172328}, "event": "STOP"}',
      '{"return": {}, "id": {"x": [1, null]}}',
    ]);
    ask('{"execute":"system_reset"}{"execute":"system_powerdown"}{"execute":"quit"}');
    expect(panel.calls).toEqual(["reset", "powerdown", "quit"]);
    ask(
      '{"execute":"dumpdtb","arguments":{"filename":"t"}}{"execute":"pmemsave","arguments":{"val":7,"size":2,"filename":"m"}}',
    );
    expect([...panel.files]).toEqual([
      ["t", Uint8Array.of(1, 2)],
      ["m", Uint8Array.of(7, 7)],
    ]);
    expect(ask('{"execute":"human-monitor-command","arguments":{"command-line":"info status","cpu-index":1}}')).toEqual(
      ['{"return": "1 info status\\r\\n"}'],
    );
  });

  it("no events before the negotiation or after the connection is closed", () => {
    const { session, ask, panel } = qmp();
    panel.stop();
    expect(ask("")).toEqual([]);
    session.close();
    expect(panel.listeners).toEqual([]);
  });

  it("JSON arrives in pieces, over lines, several at once; 0xff begins anew", () => {
    const stream = new JsonStream();
    const push = (text: string) => [...stream.push(text)];
    expect(push('{"a": "}{\\"')).toEqual([]);
    expect(push('",\n "b": [1,\n2]}{"c":')).toEqual(['{"a": "}{\\"",\n "b": [1,\n2]}']);
    expect(push("1}\n\n[2]\n")).toEqual(['{"c":1}', "[2]"]);
    expect(push('{"broken": "\xff{"d":1}')).toEqual(['{"d":1}']);
  });

  it("JSON goes out with QEMU's spacing", () => {
    expect(formatJson({ a: [1, "x", null], b: {}, c: undefined })).toBe('{"a": [1, "x", null], "b": {}}');
  });
});

describe("human monitor", () => {
  function monitor() {
    const panel = new Panel();
    const commands = new Monitor({
      control: panel,
      target: null,
      memoryMap: () => ["0-f: ram"],
      guestErrors: () => [],
      deviceTree: () => Uint8Array.of(1),
    });
    return { panel, commands };
  }
  it.each([
    ["info status", "VM status: running\r\n"],
    ["info mtree", "0-f: ram\r\n"],
    ["info cpus", "* CPU #0: thread_id=1\r\n  CPU #1: thread_id=2\r\n"],
    ["", ""],
    ["foo", "unknown command: 'foo'\r\n"],
    ["info foo", "unknown command: 'info foo'\r\n"],
    ["cpu 9", "invalid CPU index\r\n"],
    ["x /4xw 0", "Error: this machine has no CPU to look at\r\n"],
    ["x nonsense more", "Error: expected /fmt and an address, such as x /4xw 0x40000000\r\n"],
    ["print 0x10", "0x10\r\n"],
    ["dumpdtb", "Error: dumpdtb: expected a file name\r\n"],
  ])("%s", (line, output) => {
    expect(monitor().commands.run(line)).toBe(output);
  });
  it("help names every command", () => {
    const help = monitor().commands.run("help");
    for (const name of ["info", "quit|q", "stop|s", "cont|c", "system_reset", "system_powerdown", "x ", "xp "]) {
      expect(help).toContain(name);
    }
  });
  it("the line editor echoes, takes back, remembers", () => {
    const { commands, panel } = monitor();
    let out = "";
    const terminal = new MonitorTerminal(commands, (text) => {
      out += text;
    });
    terminal.open();
    expect(out).toBe("Armature monitor - type 'help' for more information\r\n(qemu) ");
    out = "";
    terminal.receive("stpx\x7f\x7fop\r");
    expect(out).toBe("stpx\b \b\b \bop\r\n(qemu) ");
    expect(panel.state).toBe("paused");
    out = "";
    terminal.receive("c\r\x1b[A\x1b[A");
    expect(out).toBe("c\r\n(qemu) c\b \bstop");
    terminal.receive("\x15q\r");
    expect(panel.calls).toEqual(["quit"]);
  });
});
