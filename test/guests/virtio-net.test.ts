/**
 * Debian's virtio-net driver and what it does with the card's offloads, control queue and queue pairs: two cards of one machine on a switch, each in a
 * network namespace of its own, on the legacy interface and on version 2.
 */
import { describe, expect, it } from "vitest";
import { Initramfs } from "./support/initramfs.ts";
import { armature, requireGuest } from "./support/machines.ts";

const A = "/usr/bin/ip netns exec a";
const B = "/usr/bin/ip netns exec b";
const IP = "/usr/bin/ip";

const SCRIPTS = {
  cards: `${IP} netns add a; ${IP} netns add b; ${IP} link set eth0 netns a; ${IP} link set eth1 netns b
a() { ${A} "$@"; }; b() { ${B} "$@"; }
a ethtool -k eth0 | grep -E '^(tx-checksumming|rx-checksumming|tcp-segmentation|generic-receive|rx-gro-hw)' | tr '\\n' ' '; echo FEATURES
a ethtool -k eth0 | grep -E 'tx-tcp(6|-ecn)?-segmentation' | tr -d '\\t' | tr '\\n' ' '; echo SEGMENTATION
a ethtool eth0 | grep -E 'Speed|Duplex' | tr -d '\\t' | tr '\\n' ' '; echo SPEED
a ethtool -l eth0 | grep Combined | tr -d '\\t' | tr '\\n' ' '; echo CHANNELS
for n in 1 2; do a ethtool -L eth0 combined $n 2>/dev/null; done; a ethtool -l eth0 | grep Combined | tail -1; echo SET
a ethtool -x eth0 2>&1 | head -1; echo RSS
cat /sys/class/net/eth0/mtu 2>/dev/null; a cat /sys/class/net/eth0/mtu; echo MTU
a ${IP} link set eth0 address 02:00:00:00:00:0a; echo ADDRESS $?
a ${IP} addr add 10.9.0.1/24 dev eth0; a ${IP} -6 addr add fd00::1/64 dev eth0 nodad; a ${IP} link set eth0 up
b ${IP} addr add 10.9.0.2/24 dev eth1; b ${IP} -6 addr add fd00::2/64 dev eth1 nodad; b ${IP} link set eth1 up; sleep 2
a ping -c 2 -i 0.2 10.9.0.2 | grep received
modprobe 8021q; a ${IP} link add link eth0 name v7 type vlan id 7; a ${IP} addr add 10.7.0.1/24 dev v7; a ${IP} link set v7 up
b ${IP} link add link eth1 name v7 type vlan id 7; b ${IP} addr add 10.7.0.2/24 dev v7; b ${IP} link set v7 up; sleep 1
a ping -c 2 -i 0.2 10.7.0.2 | grep received; echo VLAN
dd if=/dev/urandom of=/tmp/data bs=64k count=96 2>/dev/null; md5sum < /tmp/data
for to in 10.9.0.2 fd00::2 10.7.0.2; do sleep 100 | b nc -l -p 9 > /tmp/got & sleep 1; a nc $to 9 < /tmp/data; wait $!; md5sum < /tmp/got; done; echo COPIED
b iperf3 -s -D; sleep 1
a iperf3 -c 10.9.0.2 -n 16M -P 2 | grep SUM.*receiver
a iperf3 -c 10.9.0.2 -u -b 50M -n 2M -l 3000 | grep receiver
a ethtool -K eth0 tx off rx off; a ethtool -K eth0 tso off; b ethtool -K eth1 rx-gro-hw off; echo SWITCHED
a iperf3 -c fd00::2 -n 8M | grep receiver; echo DONE
a ${IP} -s link show eth0 | sed -n 3,6p; grep virtio /proc/interrupts; dmesg | grep -iE 'virtio|eth[01]' | grep -iE 'warn|error|fail|bug|bad|csum' ; echo END
`,
};

/** Each of `names` is on; some Linux calls fixed. */
const on = (names: readonly string[], end: string) => new RegExp(names.map((name) => `${name}: on .*`).join("") + end);
const OFFLOADS = [
  ...["rx-checksumming", "tx-checksumming", "tcp-segmentation-offload", "generic-receive-offload", "rx-gro-hw"],
];
const SEGMENTATION = ["tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp6-segmentation"];

describe("two virtio-net cards", () => {
  it.each([
    ["legacy", [], ""],
    [
      "version 2, two queue pairs, RSS",
      ["-global", "virtio-mmio.force-legacy=false"],
      ",mq=on,rss=on,speed=10000,duplex=full,host_mtu=1400",
    ],
  ])("%s: offloads, control queue and filters under Linux; what is sent arrives", async (name, words, keys) => {
    const several = keys !== "";
    using initramfs = new Initramfs(SCRIPTS, {}, "initrd-full.cpio.gz");
    const card = (n: number) => [
      ...["-netdev", `hubport,id=h${n},hubid=0,queues=2`, "-device", `virtio-net-device,netdev=h${n}${keys}`],
    ];
    await using session = armature.start([
      ...["-nographic", "-m", "512M", "-smp", "2", "-kernel", requireGuest("vmlinuz"), "-initrd", initramfs.path],
      ...["-append", "console=ttyAMA0 quiet vptest=cards vpmods=virtio_mmio,virtio_net", ...words],
      ...card(0),
      ...card(1),
      ...["-d", "guest_errors"],
    ]);
    await session.expect(on(OFFLOADS, "FEATURES"), 150);
    await session.expect(on(SEGMENTATION, "SEGMENTATION"));
    await session.expect(several ? "Speed: 10000Mb/s Duplex: Full SPEED" : /Speed: Unknown!.*SPEED/);
    await session.expect(several ? /Combined:\s*2 Combined:\s*2 CHANNELS/ : /Combined:\s*1 Combined:\s*1 CHANNELS/);
    await session.expect(several ? /Combined:\s*2/ : /Combined:\s*1/);
    await session.expect(several ? /RX flow hash indirection table for eth0 with 2 RX ring/ : /RSS/);
    await session.expect(several ? /1400\s+MTU/ : /1500\s+MTU/);
    await session.expect("ADDRESS 0");
    const received = "2 packets transmitted, 2 packets received, 0% packet loss";
    await session.expect(received, 60);
    await session.expect(received, 60);
    await session.expect("VLAN");
    const [, sum] = await session.expect(/^(\w{32}) /, 60);
    for (let i = 0; i < 3; i++) await session.expect(`${sum} `, 120);
    await session.expect(/SUM.*receiver/, 120);
    // Datagrams of 3,000 bytes are two fragments; none is lost.
    await session.expect(/\b0\/\d+ \(0%\) +receiver/, 60);
    await session.expect("SWITCHED");
    await session.expect(/ \d.*receiver/, 120);
    await session.expect(/DONE[\s\S]*END/, 60);
    expect(await session.exit(60), name).toBe(0);
    expect(session.errors).not.toContain("virtio");
  });
});
