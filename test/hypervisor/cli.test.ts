/** `armature vm run` and `armature top`: the example, its report, its exit code; consoles beside each other. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { VmConsoles } from "../../src/host/vm-consoles.ts";
import type { HypervisorReport } from "../../src/hypervisor/report.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "armature-vm-"));
afterAll(() => rmSync(folder, { recursive: true }));

const armature = (...words: string[]) =>
  spawnSync(process.execPath, [join(ROOT, "bin/armature.mjs"), ...words], { encoding: "utf8", timeout: 60_000 });

/** Each runs several processes. */
const SLOW = 120_000;

describe("armature vm run", () => {
  it(
    "runs the example: both guests to their end, a table, the counters as JSON, exit code 0",
    () => {
      const json = join(folder, "report.json");
      const run = armature("vm", "run", join(ROOT, "examples/two-guests.jsonc"), "--json", json);
      expect([run.status, run.stderr]).toEqual([0, ""]);
      const said = (name: string) =>
        run.stdout
          .split("\n")
          .filter((l) => l.startsWith(name.padEnd(7)) && l.includes("| two: "))
          .map((l) => l.slice(10));
      expect(said("trapped").length).toBeGreaterThan(20);
      expect(said("trapped")).toEqual(said("passed"));
      expect(run.stdout).toMatch(/^ +register {2}uart0\.UARTFR /m);
      const report = JSON.parse(readFileSync(json, "utf8")) as HypervisorReport;
      expect(report.vms.map((v) => [v.name, v.state])).toEqual([
        ["trapped", "off"],
        ["passed", "off"],
      ]);
      const [a, b] = report.vms;
      const sum = a?.reasons.reduce((n, r) => n + r.count, 0);
      expect(a?.exits).toBe(sum);
      expect(a?.exits).toBeGreaterThan(5 * (b?.exits ?? 0));
    },
    SLOW,
  );

  it(
    "--guest-errors: what a VM does wrong to its devices, by the module that noticed",
    () => {
      // movz x1, #0x900, lsl #16; str w0, [x1, #0x18] (UARTFR); PSCI SYSTEM_OFF
      const words = [0xd2a12001, 0xb9001820, 0x52800100, 0x72b08000, 0xd4000002];
      writeFileSync(join(folder, "wrong.bin"), new Uint8Array(new Uint32Array(words).buffer));
      const config = { limit: 0.01, vms: [{ name: "wrong", memory: "8M", kernel: "wrong.bin" }] };
      writeFileSync(join(folder, "wrong.json"), JSON.stringify(config));
      const log = join(folder, "errors");
      const run = armature("vm", "run", join(folder, "wrong.json"), "--quiet", "--guest-errors", log);
      expect(run.status).toBe(0);
      const records = readFileSync(log, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as object);
      expect(records).toContainEqual(
        expect.objectContaining({ module: "hypervisor.wrong.uart0", register: "UARTFR", write: true }),
      );
      expect(run.stderr).toContain("hypervisor.wrong.uart0");
    },
    SLOW,
  );

  it.each([
    ["alone", {}],
    ["with a network outside", { virtio0: { mode: "trap", device: "virtio-net-device", net: "NET" } }],
  ])("--input: standard input reaches the VM's UART, %s", { timeout: SLOW }, (what, more) => {
    const net = `dgram,local.type=unix,local.path=${join(folder, "local")},remote.type=unix,remote.path=${join(folder, "remote")}`;
    // echoes until "q", then PSCI SYSTEM_OFF: ldr of UARTFR, tbnz of RXFE, ldr and str of UARTDR, cmp, b.ne
    const words = [0xd2a12001, 0xb9401822, 0x3727ffe2, 0xb9400020, 0xb9000020, 0x7101c41f, 0x54ffff61];
    const file = join(folder, `echo-${what.length}.json`);
    writeFileSync(
      join(folder, "echo.bin"),
      new Uint8Array(new Uint32Array([...words, 0x52800100, 0x72b08000, 0xd4000002]).buffer),
    );
    const config = { vms: [{ name: "echo", memory: "8M", kernel: "echo.bin", devices: { uart0: "trap", ...more } }] };
    writeFileSync(file, JSON.stringify(config).replace("NET", net));
    const run = spawnSync(
      process.execPath,
      [join(ROOT, "bin/armature.mjs"), "vm", "run", file, "--quiet", "--input", "echo"],
      { encoding: "utf8", timeout: 60_000, input: "hello from outside, then q" },
    );
    expect([run.status, run.stderr]).toEqual([0, ""]);
    expect(run.stdout).toContain("echo | hello from outside, then q");
  });

  it(
    "a VM that would sleep for ever: exit code 3; one that is stopped: 1; a bad file: 2",
    () => {
      const file = (name: string, words: readonly number[]): string => {
        const data = new Uint8Array(new Uint32Array(words).buffer);
        writeFileSync(join(folder, `${name}.bin`), data);
        const config = { limit: 0.01, vms: [{ name, memory: "8M", kernel: `${name}.bin` }] };
        writeFileSync(join(folder, `${name}.json`), JSON.stringify(config));
        return join(folder, `${name}.json`);
      };
      // wfi; b .-4
      const sleeper = armature("vm", "run", file("sleeper", [0xd503207f, 0x17ffffff]), "--quiet");
      expect([sleeper.status, sleeper.stderr]).toEqual([3, "armature: the VMs sleep and nothing would wake them\n"]);
      // movz x1, #0xb00, lsl #16; ldr w0, [x1]: an abort whose vector is a hole
      const faulty = armature("vm", "run", file("faulty", [0xd2a16001, 0xb9400020]), "--quiet");
      expect([faulty.status, faulty.stdout]).toEqual([
        1,
        expect.stringContaining("[stopped: aborts without end at 0x200]"),
      ]);
      const none = armature("vm", "run", join(folder, "none.json"));
      expect([none.status, none.stderr]).toEqual([
        2,
        expect.stringContaining("none.json: cannot be read: no such file"),
      ]);
    },
    SLOW,
  );

  it(
    "armature top, piped: tables at the end, consoles and snapshots in files, the same counters as vm run",
    () => {
      const lines = join(folder, "top.jsonl");
      const consoles = join(folder, "consoles");
      const words = ["--json", lines, "--interval", "0.005", "--consoles", consoles];
      const run = armature("top", join(ROOT, "examples/two-guests.jsonc"), ...words);
      expect([run.status, run.stderr]).toEqual([0, ""]);
      expect(run.stdout).not.toContain("\x1b");
      expect(run.stdout).not.toContain("two: hello");
      expect(run.stdout).toMatch(/^trapped +off +\d+\.\d .* data abort [\d,]+, irq/m);
      expect(run.stdout).toContain("trapped.vcpu0");
      const text = (name: string) => readFileSync(join(consoles, `${name}.txt`), "utf8");
      expect(text("trapped")).toContain("two: goodbye");
      expect(text("passed")).toBe(text("trapped"));
      const reports = readFileSync(lines, "utf8").trimEnd().split("\n");
      const snapshots = reports.map((l) => JSON.parse(l) as HypervisorReport);
      expect(snapshots.slice(0, 3).map((r) => r.time)).toEqual([0.005, 0.01, 0.015]);
      const busy = snapshots.map((r) => r.cpus[0]?.busy ?? 0);
      expect(busy).toEqual(busy.toSorted((a, b) => a - b));
      // a CPU may be ahead of the others by its quantum
      for (const { time, cpus } of snapshots) expect((cpus[0]?.busy ?? 0) + (cpus[0]?.idle ?? 0)).toBeCloseTo(time, 3);
      const last = snapshots.at(-1);
      const whole = JSON.parse(readFileSync(join(folder, "report.json"), "utf8")) as HypervisorReport;
      expect(last).toEqual(whole);
    },
    SLOW,
  );

  it.each([
    [["--interval", "0"], "--interval 0: expected seconds"],
    [["--consoles", "/proc/none/deep"], "--consoles /proc/none/deep: cannot be made"],
  ])(
    "armature top %j: exit code 2",
    (words, said) => {
      const run = armature("top", join(ROOT, "examples/two-guests.jsonc"), ...words);
      expect([run.status, run.stderr]).toEqual([2, expect.stringContaining(said)]);
    },
    SLOW,
  );
});

describe("consoles on one terminal", () => {
  const show = (layout: "prefix" | "columns", use: (c: VmConsoles) => void): string => {
    let out = "";
    const consoles = new VmConsoles(["a", "bee"], layout, (text) => {
      out += text;
    });
    use(consoles);
    consoles.end();
    return out;
  };
  const type = (c: VmConsoles, vm: number, text: string) => {
    for (const ch of text) c.put(vm, ch.charCodeAt(0));
  };

  it("prefix: whole lines with the VM's name, however characters are mixed; the rest at the end", () => {
    const out = show("prefix", (c) => {
      type(c, 0, "on");
      type(c, 1, "two\r\n");
      type(c, 0, "e\nlast");
      c.remark(1, "[off]");
    });
    expect(out).toBe("bee | two\na   | one\nbee | [off]\na   | last\n");
  });

  it("columns: each line in its VM's column, folded where it is too long", () => {
    const lines = show("columns", (c) => {
      type(c, 1, `${"x".repeat(60)}\n`);
      type(c, 0, "left\n");
    }).split("\n");
    expect(lines[2]).toBe(`${" ".repeat(58)} | ${"x".repeat(58)}`);
    expect(lines[3]).toBe(`${" ".repeat(58)} | xx`);
    expect(lines[4]).toBe(`left${" ".repeat(54)} |`);
  });
});
