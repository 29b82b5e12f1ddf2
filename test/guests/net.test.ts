/**
 * Networks beyond the simulation: the host's own Linux through a TAP device in a network namespace, QEMU through sockets, and two cards of one
 * machine on a switch; what was captured is read by tshark.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, freePort, qemu, ROOT, requireGuest, requireTool } from "./support/machines.ts";
import { mayTap, Namespace } from "./support/namespace.ts";
import { run } from "./support/session.ts";

const SCRIPTS = {
  tap: [
    "ifconfig eth0 10.77.0.2 netmask 255.255.255.0 up; sleep 3; ping -c 3 -i 0.2 10.77.0.1 | grep received",
    "iperf3 -c 10.77.0.1 -n 16M | grep receiver; iperf3 -s -1 > /tmp/log & sleep 1; echo SERVING",
    "wait; grep receiver /tmp/log; iperf3 -s -1 > /tmp/log & sleep 1; echo AGAIN; wait; grep sender /tmp/log",
  ].join("\n"),
  short: [
    "ifconfig eth0 10.77.0.2 netmask 255.255.255.0 up; sleep 3; ping -c 3 -i 0.2 10.77.0.1 | grep received",
    "iperf3 -c 10.77.0.1 -n 2M -R | grep receiver",
  ].join("\n"),
  slow: [
    "ip link set eth0 up; ethtool -s eth0 autoneg off speed 100 duplex full; ifconfig eth0 10.77.0.2 netmask 255.255.255.0; sleep 4",
    "ethtool eth0 | grep Speed; iperf3 -c 10.77.0.1 -n 8M -R | grep receiver; iperf3 -c 10.77.0.1 -n 8M | grep receiver",
  ].join("\n"),
  one: "ifconfig eth0 10.78.0.1 netmask 255.255.255.0 up; echo UP; cat; echo",
  two: [
    "ifconfig eth0 10.78.0.2 netmask 255.255.255.0 up; sleep 2",
    "ping -c 3 -i 0.2 10.78.0.1 | grep received; ping -c 2 -i 0.2 -s 1400 10.78.0.1 | grep received",
  ].join("\n"),
  hub: [
    "ip() { /usr/bin/ip $@; }; a() { /usr/bin/ip netns exec a $@; }",
    "ip netns add a; ip link set eth1 netns a; a /usr/bin/ip addr add 10.0.2.16/24 dev eth1; a /usr/bin/ip link set eth1 up",
    "ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up; sleep 3",
    "ping -c 3 -i 0.2 10.0.2.2 | grep received; a ping -c 3 -i 0.2 10.0.2.2 | grep received",
    "ping -c 3 -i 0.2 10.0.2.16 | grep received; a iperf3 -s -D; sleep 1; iperf3 -c 10.0.2.16 -n 8M | grep receiver",
  ].join("\n"),
};
const ALL_THREE = "3 packets transmitted, 3 packets received, 0% packet loss";

function linux(initramfs: Initramfs, test: string, modules: string): string[] {
  const append = `console=ttyAMA0 quiet vptest=${test} vpmods=${modules}`;
  return ["-nographic", "-m", "512M", "-kernel", requireGuest("vmlinuz"), "-initrd", initramfs.path, "-append", append];
}

/** Megabits a second that a line of iperf3 tells. */
function rate(line: string | undefined): number {
  const [, figure, unit] = /([\d.]+) ([GMK])bits\/sec/.exec(line ?? "") ?? [];
  return Number(figure) * ({ G: 1000, M: 1, K: 0.001 }[unit ?? ""] ?? Number.NaN);
}

describe.runIf(mayTap)("the host's Linux through TAP (needs root and /dev/net/tun)", () => {
  it.each([
    ["virtio-net", "virtio_mmio,virtio_net", ["-device", "virtio-net-device,netdev=n"]],
    ["igb", "igb", ["-device", "igb,netdev=n"]],
  ])("%s: ping, iperf3 over TCP both ways, started from either side", async (name, modules, device) => {
    using namespace = new Namespace(name, ["10.77.0.1/24"]);
    using initramfs = new Initramfs(SCRIPTS, {}, "initrd-full.cpio.gz");
    const capture = join(mkdtempSync(join(tmpdir(), "armature-net-")), "tap.pcapng");
    const iperf = requireTool("iperf3");
    await using server = namespace.start(iperf, "-s", "--forceflush");
    await server.expect("Server listening");
    await using session = namespace.start(
      process.execPath,
      join(ROOT, "bin/armature-system-aarch64.mjs"),
      ...["-M", "virt", ...linux(initramfs, "tap", modules), "-netdev", "tap,id=n,ifname=tap0,script=no,downscript=no"],
      ...[...device, "-object", `filter-dump,id=f,netdev=n,file=${capture},maxlen=96`],
    );
    await session.expect(ALL_THREE, 150);
    const [out] = await session.expect(/.*receiver/, 150);
    await session.expect("SERVING");
    const inward = await run("ip", ["netns", "exec", namespace.name, iperf, "-c", "10.77.0.2", "-n", "16M"]);
    expect(inward.code).toBe(0);
    await session.expect("AGAIN", 60);
    const back = await run("ip", ["netns", "exec", namespace.name, iperf, "-c", "10.77.0.2", "-n", "16M", "-R"]);
    expect(back.code).toBe(0);
    await session.expect("VP-TEST-END tap", 60);
    expect(await session.exit(60)).toBe(0);
    // What the host's side tells: by the host's clock.
    const figures = [rate(out), rate(lineWith(inward.output, "sender")), rate(lineWith(back.output, "receiver"))];
    console.log(`${name} over TAP: ${figures.map((f) => f.toFixed(0)).join(", ")} Mb/s of TCP (out; in; out again)`);
    for (const figure of figures) expect(figure).toBeGreaterThan(5);
    await wellFormed(capture, 1000);
    rmSync(join(capture, ".."), { recursive: true });
  });
});

describe.runIf(mayTap)("igb's line through TAP (needs root and /dev/net/tun)", () => {
  it("802.3: forced to 100 Mb/s, TCP gets no more than 94.9 Mb/s, either way", async () => {
    using namespace = new Namespace("slow", ["10.77.0.1/24"]);
    using initramfs = new Initramfs(SCRIPTS, {}, "initrd-full.cpio.gz");
    await using server = namespace.start(requireTool("iperf3"), "-s", "--forceflush");
    await server.expect("Server listening");
    await using session = namespace.start(
      process.execPath,
      join(ROOT, "bin/armature-system-aarch64.mjs"),
      ...[
        "-M",
        "virt",
        ...linux(initramfs, "slow", "igb"),
        "-netdev",
        "tap,id=n,ifname=tap0",
        "-device",
        "igb,netdev=n",
      ],
    );
    await session.expect("Speed: 100Mb/s", 150);
    // 1,448 bytes of each 1,538 on the wire. The receivers' clocks: the guest's, and the host's, which is never behind it.
    const figures: number[] = [];
    for (let i = 0; i < 2; i++) figures.push(rate((await session.expect(/.*receiver/, 150))[0]));
    console.log(`igb at 100 Mb/s over TAP: ${figures.join(", ")} Mb/s of TCP (in; out)`);
    for (const figure of figures) {
      expect(figure).toBeGreaterThan(1);
      expect(figure).toBeLessThanOrEqual(95);
    }
    await session.exit(60);
  });
});

describe.runIf(mayTap)("a run with the outside, recorded (needs root and /dev/net/tun)", () => {
  it("repeats without the outside, losses and all, to the same state", async () => {
    using namespace = new Namespace("record", ["10.77.0.1/24"]);
    using initramfs = new Initramfs(SCRIPTS, {}, "initrd-full.cpio.gz");
    const folder = mkdtempSync(join(tmpdir(), "armature-net-"));
    await using server = namespace.start(requireTool("iperf3"), "-s", "--forceflush");
    await server.expect("Server listening");
    const words = [
      ...["-M", "virt", ...linux(initramfs, "short", "igb"), "-netdev", "tap,id=n,ifname=tap0,loss=1%"],
      ...["-device", "igb,netdev=n", "--state-hash"],
    ];
    const program = join(ROOT, "bin/armature-system-aarch64.mjs");
    const recording = join(folder, "recording");
    await using first = namespace.start(process.execPath, program, ...words, "--record", recording);
    await first.expect(/.*receiver/, 150);
    const [hash] = await first.expect(/^state hash \w+/, 60);
    expect(await first.exit()).toBe(0);
    // Outside the namespace: there is no such interface.
    const again = await run(process.execPath, [program, ...words, "--replay", recording], { seconds: 150 });
    expect(again.errors).toContain("the state is that of the recording");
    expect([again.code, again.output.includes(hash)]).toEqual([0, true]);
    rmSync(folder, { recursive: true });
  });
});

const lineWith = (text: string, word: string) => text.split("\n").find((line) => line.includes(word));

/** tshark finds no malformed packet in a capture of at least `least` packets. */
async function wellFormed(path: string, least: number): Promise<void> {
  const read = (filter: string) =>
    run(requireTool("tshark"), ["-r", path, "-Y", filter, "-T", "fields", "-e", "frame.number"]);
  const all = await read("frame");
  expect(all.code).toBe(0);
  expect(all.output.trim().split("\n").length).toBeGreaterThanOrEqual(least);
  expect((await read("_ws.malformed")).output.trim()).toBe("");
}

describe("QEMU at the other end", { retry: 1 }, () => {
  const folder = () => mkdtempSync(join(tmpdir(), "armature-net-"));
  const card = ["-device", "virtio-net-device,netdev=n"];

  it.each([["stream"], ["dgram"]])("%s: Linux on both sides, ping", async (kind) => {
    const where = folder();
    using initramfs = new Initramfs(SCRIPTS);
    const [a, b] = [await freePort(), await freePort()];
    const inet = (side: string, port: number) => `${side}.type=inet,${side}.host=127.0.0.1,${side}.port=${port}`;
    const [theirs, ours] =
      kind === "stream"
        ? [
            `stream,id=n,server=on,addr.type=unix,addr.path=${where}/s`,
            `stream,id=n,addr.type=unix,addr.path=${where}/s,reconnect-ms=100`,
          ]
        : [
            `dgram,id=n,${inet("local", a)},${inet("remote", b)}`,
            `dgram,id=n,${inet("local", b)},${inet("remote", a)}`,
          ];
    await using other = qemu.start([
      ...linux(initramfs, "one", "virtio_mmio,virtio_net"),
      ...["-netdev", theirs, "-device", "virtio-net-device,netdev=n,mac=52:54:00:00:00:01"],
    ]);
    await other.expect("UP", 150);
    const capture = join(where, "capture");
    await using session = armature.start([
      ...linux(initramfs, "two", "virtio_mmio,virtio_net"),
      ...["-netdev", ours, ...card, "-object", `filter-dump,id=f,netdev=n,file=${capture}`],
    ]);
    await session.expect(ALL_THREE, 150);
    await session.expect("2 packets transmitted, 2 packets received, 0% packet loss");
    await session.expect("VP-END");
    expect(await session.exit(60)).toBe(0);
    await wellFormed(capture, 10);
    rmSync(where, { recursive: true });
  });
});

describe("two cards and the user network on a switch", () => {
  it("all reach each other; iperf3 from igb to virtio-net; nothing malformed in the captures", async () => {
    const where = mkdtempSync(join(tmpdir(), "armature-net-"));
    using initramfs = new Initramfs(SCRIPTS, {}, "initrd-full.cpio.gz");
    await using session = armature.start([
      ...linux(initramfs, "hub", "virtio_mmio,virtio_net,igb"),
      ...["-netdev", "user,id=u", "-netdev", "hubport,id=h0,hubid=0,netdev=u"],
      ...["-netdev", "hubport,id=h1,hubid=0", "-device", "virtio-net-device,netdev=h1"],
      ...["-netdev", "hubport,id=h2,hubid=0", "-device", "igb,netdev=h2"],
      ...["u", "h1", "h2"].flatMap((n) => ["-object", `filter-dump,id=f${n},netdev=${n},file=${where}/${n}`]),
    ]);
    for (let i = 0; i < 3; i++) await session.expect(ALL_THREE, 150);
    const [line] = await session.expect(/.*receiver/, 150);
    expect(rate(line)).toBeGreaterThan(100);
    expect(await session.exit(60)).toBe(0);
    await wellFormed(join(where, "u"), 12);
    await wellFormed(join(where, "h1"), 100);
    await wellFormed(join(where, "h2"), 100);
    // The traffic between the cards is learned and does not reach the third port.
    const { output } = await run(requireTool("tshark"), ["-r", join(where, "u"), "-Y", "tcp"]);
    expect(output.trim()).toBe("");
    rmSync(where, { recursive: true });
  });
});
