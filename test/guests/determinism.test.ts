/** Linux with a KVM guest ends in the same state whoever looks on, whatever paces it, and wherever it was saved. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { armature, cli, machines, requireGuest } from "./support/machines.ts";
import type { Session } from "./support/session.ts";

let directory = "";
let hash = "";
const at = (name: string) => join(directory, name);

function start(...words: string[]): Session {
  return cli(
    ...["run", "-display", "none", "-serial", "stdio", "-state-hash", ...words],
    ...["--expect", "KVMMINI-OK", "--send", "poweroff -f\\r", "--expect", "Power down", "--timeout", "150"],
  );
}

async function end(session: Session): Promise<string> {
  session.closeInput();
  const [, found] = await session.expect(/state hash ([0-9a-f]{16})/, 160);
  expect(await session.exit(30)).toBe(0);
  return found as string;
}

describe.runIf(machines.includes(armature))("Linux with a KVM guest", () => {
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "armature-"));
    await using session = start(
      ...["-M", "virt,virtualization=on", "-smp", "2", "-m", "512M", "-kernel", requireGuest("vmlinuz")],
      ...["-initrd", requireGuest("initrd-min.cpio.gz"), "-append", "console=ttyAMA0 vptest=shell"],
      ...["--expect", "VP-SHELL", "--expect", "# ", "--send", "kvmmini\\r"],
      // between two exits of the guest's guest
      ...["--save-snapshot", at("kvm.snap"), "--save-at", "text=MMIO write 900000c"],
    );
    hash = await end(session);
  }, 180_000);
  afterAll(() => rmSync(directory, { recursive: true }));

  it("saved between two exits of the guest's guest, goes on to the same state", async () => {
    await using session = start("--snapshot", at("kvm.snap"));
    expect(await end(session)).toBe(hash);
  });

  it("with every register access traced, guest errors logged, and idle time as the host's", async () => {
    const words = ["-trace", "*", "-d", "guest_errors,unimp", "-D", at("log"), "-icount", "shift=0,sleep=on"];
    await using session = start("--snapshot", at("kvm.snap"), ...words);
    expect(await end(session)).toBe(hash);
    expect(statSync(at("log")).size).toBeGreaterThan(10_000);
  });

  it("stopped and continued by QMP all the time, with its state looked at", async () => {
    const control = at("qmp");
    await using session = start("--snapshot", at("kvm.snap"), "-S", "-qmp", `unix:${control},server=on,wait=on`);
    let client = createConnection(control);
    for (let tries = 0; tries < 100; tries++) {
      const connected = await new Promise<boolean>((resolve) => {
        client.once("connect", () => resolve(true)).once("error", () => resolve(false));
      });
      if (connected) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
      client = createConnection(control);
    }
    client.on("error", () => undefined);
    let answers = "";
    client.setEncoding("utf8").on("data", (text: string) => {
      answers += text;
    });
    client.write('{"execute":"qmp_capabilities"}\n');
    const registers = '{"execute":"human-monitor-command","arguments":{"command-line":"info registers -a"}}';
    const timer = setInterval(() => {
      client.write(`{"execute":"cont"}\n${registers}\n{"execute":"stop"}\n{"execute":"cont"}\n`);
    }, 3);
    try {
      expect(await end(session)).toBe(hash);
    } finally {
      clearInterval(timer);
      client.destroy();
    }
    expect(answers.split("STOP").length).toBeGreaterThan(10);
    expect(answers).toContain("CPU#1");
  });
});
