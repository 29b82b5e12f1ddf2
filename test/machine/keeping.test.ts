/** Snapshots and recordings from the command line: the same hash as the run that was never interrupted, and what is refused. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InterpreterCode } from "../../src/cpu/aarch64/engine/interpreter.ts";
import { MachineDebugger } from "../../src/host/debugger.ts";
import type { DebugPort } from "../../src/host/machine.ts";
import { main } from "../../src/host/main.ts";
import type { Runner } from "../../src/host/runner.ts";
import { ZSTD } from "../../src/host/snapshots.ts";
import { decodeSnapshot, encodeSnapshot } from "../../src/observe/index.ts";

const SELFTEST = fileURLToPath(new URL("../../firmware/images/selftest.elf", import.meta.url));
const interpreter = new InterpreterCode();
let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "armature-"));
});
afterAll(() => rmSync(directory, { recursive: true }));
const at = (name: string) => join(directory, name);

/** The program with its output; nothing of it reaches the terminal. */
async function run(...words: string[]): Promise<{ code: number; output: string; errors: string }> {
  const { stdout, stderr } = process;
  const writers = [stdout.write, stderr.write] as const;
  const texts = ["", ""];
  const capture = (n: number) => (chunk: string) => {
    texts[n] += chunk;
    return true;
  };
  stdout.write = capture(0) as typeof stdout.write;
  stderr.write = capture(1) as typeof stderr.write;
  try {
    const code = await main("armature", ["run", "-display", "none", ...words], interpreter);
    return { code, output: texts[0] as string, errors: texts[1] as string };
  } finally {
    stdout.write = writers[0];
    stderr.write = writers[1];
  }
}

const MACHINE = ["-M", "virt,virtualization=on", "-m", "64M", "-smp", "2", "-kernel", SELFTEST];
const END = ["-state-hash", "--max-time", "0.006"];

describe("snapshots", () => {
  let hash = "";
  beforeAll(async () => {
    const plain = await run(...MACHINE, ...END);
    expect(plain.code).toBe(0);
    hash = plain.output;
    expect(hash).toMatch(/^state hash [0-9a-f]{16}\n$/);
  }, 60_000);

  it.each([
    ["at a time off the grid", "time=0.0012345"],
    ["after text", "text=virt board"],
  ])("saved %s, the run and the one that goes on from it end alike", async (_, point) => {
    const file = at("one.snap");
    const saved = await run(...MACHINE, ...END, "--save-snapshot", file, "--save-at", point);
    expect(saved.output).toBe(hash);
    // The machine need not be described again ...
    expect((await run("--snapshot", file, ...END)).output).toBe(hash);
    // ... but may be.
    expect((await run(...MACHINE, `--snapshot=${file}`, ...END)).output).toBe(hash);
    expect(readdirSync(directory)).toEqual(["one.snap"]);
  });

  it("without --save-at it is saved at the end; a snapshot of a snapshot goes on too", async () => {
    await run(...MACHINE, "--max-time", "0.002", "--save-snapshot", at("a.snap"));
    await run("--snapshot", at("a.snap"), "--max-time", "0.004", "--save-snapshot", at("b.snap"));
    expect((await run("--snapshot", at("b.snap"), ...END)).output).toBe(hash);
  });

  it("text that is sent but has not reached the guest yet is in the snapshot", async () => {
    const script = ["--expect", "virt board", "--send", "x".repeat(40), "--expect", "never", "--timeout", "60"];
    const typed = await run(
      ...MACHINE,
      ...END,
      ...script,
      "--save-snapshot",
      at("t.snap"),
      "--save-at",
      "text=virt board",
    );
    expect(typed.output).not.toBe(hash);
    expect((await run("--snapshot", at("t.snap"), ...END)).output).toBe(typed.output);
  });

  it("a point that does not come is told", async () => {
    const late = await run(...MACHINE, "--max-time", "0.001", "--save-snapshot", at("late"), "--save-at", "time=1");
    expect(late).toMatchObject({ code: 1, errors: expect.stringContaining("nothing saved: the run has ended before") });
    expect(existsSync(at("late"))).toBe(false);
  });

  describe("refused, with exit code 2, and nothing written", () => {
    let file = "";
    beforeAll(async () => {
      file = at("good.snap");
      await run(...MACHINE, "--max-time", "0.001", "--save-snapshot", file);
    });
    const refused = async (message: string, ...words: string[]) => {
      const before = readdirSync(directory).length;
      const { code, output, errors } = await run(
        ...words,
        "--save-snapshot",
        at("out.snap"),
        "--record",
        at("out.rec"),
      );
      expect([code, output]).toEqual([2, ""]);
      expect(errors).toContain(message);
      expect(errors).not.toMatch(/\n\s+at /);
      expect(readdirSync(directory).length).toBe(before);
    };
    const patched = (change: (bytes: Buffer) => unknown) => {
      const bytes = readFileSync(file);
      const changed = change(bytes);
      writeFileSync(at("bad.snap"), Buffer.isBuffer(changed) ? changed : bytes);
      return at("bad.snap");
    };

    it.each([
      ["a byte changed", (b: Buffer) => b.writeUInt8((b.at(-9) as number) ^ 1, b.length - 9), "damaged"],
      ["its end lost", (b: Buffer) => b.subarray(0, -100), "damaged"],
      ["cut off in the header", (b: Buffer) => b.subarray(0, 30), "cut off"],
      ["another format", (b: Buffer) => b.writeUInt32LE(7, 8), "snapshot format 7; this version reads 1"],
      ["no snapshot", () => Buffer.from("hello"), "not an Armature snapshot"],
    ])("%s", async (_, change, message) => {
      await refused(message, "--snapshot", patched(change));
    });
    it("a missing file", () => refused("no such file", "--snapshot", at("nothing")));
    it.each([
      ["cpus", ["-smp", "4"], "cpus: 2; here 4"],
      ["memory", ["-m", "128M"], "memory: 67108864; here 134217728"],
      ["devices", ["-device", "virtio-rng-device"], "devices: ; here rng0"],
      ["command line", ["-append", "x"], "append: none; here x"],
    ])("another machine: %s", async (_, words, message) => {
      await refused(`it is of another machine: ${message}`, ...MACHINE, ...words, "--snapshot", file);
    });
    it("another version of a device's state, and a state that is none", async () => {
      const { machine, options, state, ...rest } = decodeSnapshot(new Uint8Array(readFileSync(file)), "good", [ZSTD]);
      const write = (changed: object) => {
        writeFileSync(at("bad.snap"), encodeSnapshot({ machine, options, ...rest, state: changed as typeof state }));
        return at("bad.snap");
      };
      const rtc = { version: 99, state: {} };
      const older = write({ ...state, modules: { ...state.modules, rtc } });
      await refused("it does not fit this machine: rtc: state has version 99, expected 1", "--snapshot", older);
      await refused("it does not fit this machine", "--snapshot", write({}));
    });
    it("another kernel", async () => {
      const bytes = readFileSync(SELFTEST);
      bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
      writeFileSync(at("other.elf"), bytes);
      const machine = MACHINE.map((w) => (w === SELFTEST ? at("other.elf") : w));
      await refused("another machine: kernel: ", ...machine, "--snapshot", file);
    });
    it("--save-at without a file, a point that is none", async () => {
      expect((await run("--save-at", "time=1")).errors).toContain("only with --save-snapshot FILE");
      expect((await run("--save-snapshot", "x", "--save-at", "soon")).errors).toContain("expected time=SECONDS or");
    });
    it("a folder that is not there", async () => {
      const { code, errors } = await run(...MACHINE, "--max-time", "0.001", "--save-snapshot", at("no/such/file"));
      expect([code, errors]).toEqual([2, expect.stringContaining("no such file or directory")]);
    });
  });
});

describe("recordings", () => {
  it("a debugger writes nothing while a run is recorded or repeated", () => {
    const port = { writeRegister: () => true, writeMemory: () => true, writePhysical: () => true };
    const runner = { observe: () => () => undefined, debugHook: null };
    const target = new MachineDebugger(runner as unknown as Runner, port as unknown as DebugPort);
    const write = () => [
      target.writeRegister(0, 0, new Uint8Array(8)),
      target.writeMemory(0, 0n, new Uint8Array(1)),
      target.writePhysical(0n, new Uint8Array(1)),
    ];
    expect(write()).toEqual([true, true, true]);
    target.frozen = true;
    expect(write()).toEqual([false, false, false]);
  });

  const script = ["--expect", "virt board", "--send", "typed early\r", "--expect", "never", "--timeout", "60"];
  it("repeat a run to its hash, from power-on and from a snapshot, traced or not", async () => {
    const recorded = await run(...MACHINE, ...END, ...script, "--record", at("r.rec"));
    expect(readFileSync(at("r.rec"), "latin1")).toContain('"bytes":"typed early\\r"');
    const replayed = await run("--replay", at("r.rec"), "-state-hash");
    expect(replayed).toMatchObject({ code: 0, output: recorded.output });
    expect(replayed.errors).toContain("1 input replayed, the state is that of the recording");
    // What a script sends is not listened to.
    const traced = await run("--replay", at("r.rec"), "-state-hash", "-trace", "*", "-D", at("log"), "--send", "x");
    expect(traced.code).toBe(0);
    expect(traced.output).toBe(recorded.output);

    await run(...MACHINE, "--max-time", "0.001", "--save-snapshot", at("r.snap"));
    const later = await run(
      "--snapshot",
      at("r.snap"),
      ...END,
      "--send",
      "abc",
      "--expect",
      "never",
      "--record",
      at("s.rec"),
    );
    expect(await run("--snapshot", at("r.snap"), "--replay", at("s.rec"), "-state-hash")).toMatchObject({
      code: 0,
      output: later.output,
    });
    const without = await run("--replay", at("s.rec"));
    expect(without.code).toBe(2);
    expect(without.errors).toContain("expected the --snapshot that it was made from");
  });

  it("a replay that goes another way fails, and says where", async () => {
    const text = readFileSync(at("r.rec"), "utf8");
    const { check, ...end } = JSON.parse(text.trim().split("\n").at(-1) as string);
    expect(check).toMatch(/^[0-9a-f]{16}$/);
    expect(end.inputs).toBe(1);
    // A machine that is as the recording says, but a recording that is not of its run: the check is made anew by the writer.
    const { RecordingWriter, readRecording } = await import("../../src/observe/index.ts");
    const recording = readRecording(text, "r");
    const rewrite = (change: (instructions: number) => number, hash: string) => {
      let out = "";
      const writer = new RecordingWriter(recording, (line) => {
        out += line;
      });
      for (const { time, instructions, input } of recording.inputs) {
        writer.input({ time, instructions: instructions.map(change) }, input);
      }
      writer.end({ ...recording.end, hash });
      writeFileSync(at("w.rec"), out);
    };
    rewrite((n) => n + 1, recording.end.hash as string);
    const diverged = await run("--replay", at("w.rec"));
    expect(diverged.code).toBe(1);
    expect(diverged.errors).toMatch(
      /gone another way: at 0\.\d+ s CPU 0 has executed \d+ instructions, in the recording/,
    );
    rewrite((n) => n, "0000000000000000");
    const other = await run("--replay", at("w.rec"));
    expect(other.code).toBe(1);
    expect(other.errors).toContain("the replay ends in another state");
  });

  it("the host's date is kept", async () => {
    await run(...MACHINE, "-rtc", "base=utc", "--max-time", "0.001", "--record", at("d.rec"));
    expect((await run("--replay", at("d.rec"))).code).toBe(0);
    expect(readFileSync(at("d.rec"), "utf8")).toMatch(/"rtc base":1[0-9]{9}/);
  });

  it("refused: damaged, of another machine, with what cannot be repeated", async () => {
    const text = readFileSync(at("r.rec"), "utf8");
    writeFileSync(at("bad.rec"), text.replace("typed", "taped"));
    expect(await run("--replay", at("bad.rec"))).toMatchObject({ code: 2, errors: expect.stringContaining("damaged") });
    const other = await run(...MACHINE, "-smp", "1", "--replay", at("r.rec"));
    expect(other).toMatchObject({ code: 2, errors: expect.stringContaining("another machine: cpus: 2; here 1") });
    expect((await run("--record", "x", "--replay", "y")).errors).toContain("expected one of them");
    expect((await run("--record", "x", "-qtest", "null")).errors).toContain("not with -qtest");
    expect((await run("--record", "x", "-no-shutdown")).errors).toContain("not with -no-shutdown");
  });
});
