/** Snapshots and recordings of real software: U-Boot and Linux go on, and are repeated, to the same state hash. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle, sample } from "../machine/browser.ts";
import { armature, cli, machines, requireGuest } from "./support/machines.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "armature-"));
});
afterAll(() => rmSync(directory, { recursive: true }));
const at = (name: string) => join(directory, name);

/** Runs to the end; the state hash, and the console as it went to a file. */
async function hashOf(...words: string[]): Promise<{ hash: string; errors: string }> {
  await using session = cli("run", "-display", "none", "-state-hash", ...words);
  session.closeInput();
  const [, hash] = await session.expect(/state hash ([0-9a-f]{16})/, 150);
  expect(await session.exit(30)).toBe(0);
  return { hash: hash as string, errors: session.errors };
}

const linux = (cpus: number, append = "") => [
  ...[
    "-smp",
    `${cpus}`,
    "-m",
    "512M",
    "-kernel",
    requireGuest("vmlinuz"),
    "-initrd",
    requireGuest("initrd-min.cpio.gz"),
  ],
  ...["-append", `console=ttyAMA0 ${append}`],
];

describe.runIf(machines.includes(armature))("snapshots of Linux", () => {
  it.each([
    [1, "text=VP-BOOT-OK"],
    [4, "time=0.4123456"],
  ])("with %i CPUs, saved at %s: the second process powers off in the same state as the first", async (cpus, point) => {
    const first = await hashOf(...linux(cpus), "--save-snapshot", at("linux.snap"), "--save-at", point);
    const second = await hashOf("--snapshot", at("linux.snap"));
    expect(second.hash).toBe(first.hash);
  });
});

/** A client of QMP that gives commands and reads nothing but that something has come. */
async function qmp(path: string): Promise<{ command(name: string): Promise<void>; socket: Socket }> {
  const socket = createConnection(path);
  const answer = () => new Promise<void>((resolve) => socket.once("data", () => resolve()));
  await answer();
  const command = async (name: string) => {
    socket.write(`{"execute":"${name}"}`);
    await answer();
  };
  await command("qmp_capabilities");
  return { command, socket };
}

describe.runIf(machines.includes(armature))("recordings", () => {
  it("a session at U-Boot's prompt, with typing, reset and power key, is repeated to its hash", async () => {
    const control = at("qmp");
    const recorded = cli(
      ...["run", "-display", "none", "-state-hash", "-serial", "stdio", "-bios", requireGuest("u-boot.bin")],
      ...["-qmp", `unix:${control},server=on,wait=off`, "--record", at("u-boot.rec")],
    );
    await using session = recorded;
    await session.expect("Hit any key to stop autoboot:", 90);
    const client = await qmp(control);
    session.send(" ");
    await session.expect("=> ", 30);
    for (const c of "md 40000000 4\r") {
      session.send(c);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await session.expect("edfe0dd0", 30);
    await client.command("system_reset");
    await session.expect("Hit any key to stop autoboot:", 90);
    session.send("x");
    await session.expect("=> ", 30);
    await client.command("system_powerdown");
    await client.command("stop");
    await client.command("cont");
    session.send("version\r");
    await session.expect("GNU ld", 30);
    await client.command("quit");
    const [, hash] = await session.expect(/state hash ([0-9a-f]{16})/, 30);
    expect(await session.exit(30)).toBe(0);
    client.socket.destroy();
    const replayed = await hashOf("--replay", at("u-boot.rec"));
    expect(replayed.hash).toBe(hash);
    expect(replayed.errors).toContain("the state is that of the recording");
  });

  it("a shell of Linux with network, disk and entropy: recorded from a snapshot, repeated from it", async () => {
    const disk = at("disk.img");
    writeFileSync(disk, Buffer.alloc(1 << 20, "armature"));
    const devices = [
      ...["-nic", "user,model=virtio-net-device", "-device", "virtio-rng-device"],
      ...["-drive", `if=none,id=d0,file=${disk},format=raw,snapshot=on`, "-device", "virtio-blk-device,drive=d0"],
    ];
    const machine = linux(2, "vptest=shell vpmods=virtio_mmio,virtio_net,virtio_blk");
    await using boot = cli(
      ...[
        "run",
        "-display",
        "none",
        "-serial",
        "stdio",
        ...machine,
        ...devices,
        "--expect",
        "VP-SHELL",
        "--expect",
        "# ",
      ],
      ...["--timeout", "150", "--save-snapshot", at("shell.snap")],
    );
    expect(await boot.exit(160)).toBe(0);
    await using session = cli(
      ...["run", "-display", "none", "-serial", "stdio", "-state-hash", "--snapshot", at("shell.snap")],
      ...["--record", at("shell.rec")],
    );
    session.send("head -c 8 /dev/vda; echo; echo changed > /dev/vda; head -c 8 /dev/vda\r");
    await session.expect("armature", 60);
    await session.expect(/^changed/, 60);
    session.send("ifconfig eth0 10.0.2.15 && ping -c 2 10.0.2.2\r");
    await session.expect("2 packets received", 60);
    session.send("poweroff -f\r");
    const [, hash] = await session.expect(/state hash ([0-9a-f]{16})/, 60);
    expect(await session.exit(30)).toBe(0);
    const replayed = await hashOf("--snapshot", at("shell.snap"), "--replay", at("shell.rec"));
    expect(replayed.hash).toBe(hash);
  });
});

const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));

/** Debian's Chromium is large, and not fetched for this alone. */
it.runIf(chromium !== undefined)("a snapshot of Node's goes on in Chromium, to the same state", async () => {
  const { file, kernel, expected } = sample();
  const page = at("page.html");
  const script = (await bundle()).replaceAll("</script", "<\\/script");
  const show = `document.body.textContent = JSON.stringify(armature.goOn("${file}", "${kernel}"));`;
  writeFileSync(page, `<!doctype html><body></body><script>${script}\n${show}</script>`);
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", `--user-data-dir=${at("chromium")}`, "--dump-dom"];
  const dom = execFileSync(chromium as string, [...flags, "--virtual-time-budget=60000", `file://${page}`], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const text = /<body>(.*?)<\/body>/s.exec(dom)?.[1] ?? "";
  expect(text).toContain(`"after":"${expected.after}"`);
  expect(text).toContain(`"before":"${expected.before}"`);
});
