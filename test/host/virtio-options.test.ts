/** Disks, networks, folders and virtio devices on the command line: QEMU's syntax, and what is refused in which words. */
import { describe, expect, it } from "vitest";
import { parseCommandLine } from "../../src/host/options/parse.ts";
import type { RunOptions } from "../../src/host/options/run-options.ts";

function parse(line: string | string[]): RunOptions {
  const words = typeof line === "string" ? line.split(" ").filter((w) => w !== "") : line;
  const parsed = parseCommandLine(words, "qemu", { program: "armature-system-aarch64", version: "0" });
  if (parsed.kind !== "run") throw new Error(`text: ${parsed.text}`);
  return parsed.options;
}
const first = (line: string | string[]) => parse(line).virtio[0];
const image = { path: "d.img", readOnly: false, snapshot: false, probe: false };

describe("disks", () => {
  it("-drive if=none with -device virtio-blk-device", () => {
    expect(
      first("-drive file=d.img,if=none,format=raw,id=hd,cache=none -device virtio-blk-device,drive=hd,serial=A1"),
    ).toMatchObject({ kind: "block", image, serial: "A1", eventIndex: true, indirect: true });
  });
  it("the order of -drive and -device does not matter; a comma in a path is doubled", () => {
    expect(first("-device virtio-blk-device,drive=hd -drive file=a,,b,if=none,id=hd,format=raw")).toMatchObject({
      image: { ...image, path: "a,b" },
    });
  });
  it("without a format the image is looked at", () => {
    expect(first("-drive file=d.img")).toMatchObject({ image: { ...image, probe: true } });
  });
  it.each([
    ["-drive file=d.img,format=raw,readonly=on", { readOnly: true }],
    ["-drive file=d.img,format=raw,snapshot=on", { snapshot: true }],
    ["-drive file=d.img,format=raw -snapshot", { snapshot: true }],
    ["-drive file=d.img,format=raw,media=cdrom", { readOnly: true }],
    ["-cdrom d.img", { readOnly: true, probe: true }],
    ["-hda d.img", { probe: true }],
    ["d.img", { probe: true }],
    ["-blockdev driver=file,node-name=f,filename=d.img -device virtio-blk-device,drive=f", {}],
    ["-blockdev file,node-name=f,filename=d.img,read-only=on -device virtio-blk-device,drive=f", { readOnly: true }],
    [
      "-blockdev driver=file,node-name=f,filename=d.img -blockdev driver=raw,node-name=r,file=f,read-only=on -device virtio-blk-device,drive=r",
      { readOnly: true },
    ],
    ["-blockdev driver=raw,node-name=r,file.driver=file,file.filename=d.img -device virtio-blk-device,drive=r", {}],
  ])("%s", (line, expected) => {
    expect(first(line)).toMatchObject({ kind: "block", image: { ...image, ...expected } });
  });
  it("-blockdev as JSON", () => {
    const json = '{"driver":"raw","node-name":"r","read-only":true,"file":{"driver":"file","filename":"d.img"}}';
    expect(first(["-blockdev", json, "-device", "virtio-blk-device,drive=r"])).toMatchObject({
      image: { ...image, readOnly: true },
    });
  });
});

describe("networks", () => {
  const user = {
    kind: "user",
    network: 0x0a000200,
    mask: 0xffffff00,
    host: 0x0a000202,
    dns: 0x0a000203,
    guest: 0x0a00020f,
  };
  it("-netdev user with -device virtio-net-device: QEMU's addresses", () => {
    expect(first("-netdev user,id=n -device virtio-net-device,netdev=n,mac=52:54:00:aa:bb:cc")).toMatchObject({
      kind: "network",
      network: { far: user, link: {} },
      mac: Uint8Array.of(0x52, 0x54, 0, 0xaa, 0xbb, 0xcc),
      card: { pairs: 1 },
    });
  });
  it("the card's features under QEMU's names; all that are not named are left as they are", () => {
    const keys =
      "csum=off,guest_csum=off,host_tso4=off,host_tso6=on,mrg_rxbuf=off,status=off,ctrl_vq=off,ctrl_vlan=off,rss=on,hash=on,gso=off,guest_announce=off";
    const more = "host_mtu=9000,speed=10000,duplex=full,rx_queue_size=1024,tx_queue_size=512,rsc_interval=300000";
    expect((first(`-device virtio-net-device,${keys},${more}`) as { card: unknown }).card).toEqual({
      ...{
        checksum: false,
        guestChecksum: false,
        hostTso4: false,
        hostTso6: true,
        mergeable: false,
        linkStatus: false,
      },
      ...{ control: false, controlVlan: false, rss: true, hashReport: true, mtu: 9000, speed: 10_000, duplex: "full" },
      ...{ receiveQueueSize: 1024, transmitQueueSize: 512, coalescingTime: 3_000_000, pairs: 1 },
    });
    expect((first("-device virtio-net-device,host_mtu=0,speed=-1") as { card: unknown }).card).toEqual({ pairs: 1 });
  });
  it("mq=on takes as many queue pairs as the network has queues", () => {
    const card = (words: string) => (first(words) as { card: unknown }).card;
    expect(card("-netdev user,id=n,queues=4 -device virtio-net-device,netdev=n,mq=on")).toEqual({ pairs: 4 });
    expect(card("-netdev user,id=n,queues=4 -device virtio-net-device,netdev=n")).toEqual({ pairs: 1 });
    expect(card("-netdev user,id=n -device virtio-net-device,netdev=n,mq=on")).toEqual({ pairs: 1 });
  });
  it("net=, host=, dns= and dhcpstart=", () => {
    const line =
      "-netdev user,id=n,net=192.168.76.0/24,host=192.168.76.1,dhcpstart=192.168.76.9 -device virtio-net-device,netdev=n";
    expect(first(line)).toMatchObject({
      network: {
        far: { network: 0xc0a84c00, mask: 0xffffff00, host: 0xc0a84c01, dns: 0xc0a84c03, guest: 0xc0a84c09 },
      },
    });
    expect(first(line.replace("/24", "/255.255.255.0"))).toMatchObject({ network: { far: { mask: 0xffffff00 } } });
  });
  it("-nic user makes both; -nic none makes nothing", () => {
    expect(first("-nic user,model=virtio-net-device,mac=02:00:00:00:00:01")).toMatchObject({ network: { far: user } });
    expect(parse("-nic none -net none").virtio).toEqual([]);
  });
  it("ways out: TAP, stream and datagram sockets, as QEMU spells them, with rate=, delay= and queue= of their links", () => {
    const far = (line: string) => (first(line) as { network: { far: unknown } }).network.far;
    expect(first("-nic tap,ifname=tap3,script=no,downscript=no,model=virtio")).toMatchObject({
      network: { id: "nic0", far: { kind: "tap", ifname: "tap3" }, link: {} },
    });
    expect(far("-nic stream,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port=4000")).toEqual({
      kind: "stream",
      server: true,
      address: { host: "127.0.0.1", port: 4000 },
      reconnect: 0,
    });
    expect(far("-nic stream,addr.type=unix,addr.path=/tmp/s,reconnect-ms=250")).toEqual({
      kind: "stream",
      server: false,
      address: { path: "/tmp/s" },
      reconnect: 250,
    });
    const inet = (side: string, port: number) => `${side}.type=inet,${side}.host=127.0.0.1,${side}.port=${port}`;
    expect(far(`-nic dgram,${inet("local", 1)},${inet("remote", 2)}`)).toEqual({
      kind: "dgram",
      local: { host: "127.0.0.1", port: 1 },
      remote: { host: "127.0.0.1", port: 2 },
    });
    expect(far("-nic dgram,remote.type=inet,remote.host=230.0.0.1,remote.port=1234")).toEqual({
      kind: "dgram",
      remote: { host: "230.0.0.1", port: 1234 },
    });
    expect(first("-nic tap,rate=2.5G,delay=1.5ms,queue=64")).toMatchObject({
      network: { link: { rate: 2_500_000_000, delay: 15_000_000, queue: 64 } },
    });
    expect(first("-nic tap,batch=0us")).toMatchObject({ network: { link: { batch: 0 } } });
    expect(first("-nic user,batch=20us")).toMatchObject({ network: { link: { batch: 200_000 } } });
  });
  it("any network's line may be bad: loss=, burst=, duplicate=, corrupt=, reorder=, reorder-delay=, jitter=", () => {
    const bad = "loss=1%,burst=1.5,duplicate=0.5%,corrupt=0.1%,reorder=2%,reorder-delay=1ms,jitter=20us";
    expect(first(`-nic user,${bad}`)).toMatchObject({
      network: {
        link: {
          impairments: {
            loss: 0.01,
            burst: 1.5,
            duplicate: 0.005,
            corrupt: 0.001,
            reorder: 0.02,
            reorderDelay: 10_000_000,
            jitter: 200_000,
          },
        },
      },
    });
  });
  it("hubport is a port of a switch; with netdev= it stands that network on it", () => {
    const line =
      "-netdev user,id=u,delay=1ms -netdev hubport,id=a,hubid=3,netdev=u -netdev hubport,id=b,hubid=3 " +
      "-device virtio-net-device,netdev=b";
    expect(first(line)).toMatchObject({ network: { id: "b", far: { kind: "hubport", hub: 3 } } });
    expect(parse(line).switched).toMatchObject([
      { hub: 3, network: { id: "u", far: user, link: { delay: 10_000_000 } } },
    ]);
  });
  it("generator and pcap are traffic", () => {
    const far = (line: string) => (first(line) as { network: { far: unknown } }).network.far;
    expect(
      far(
        "-nic generator,load=100M,size=64-1514,count=10,burst=4,start=2ms,src=02:00:00:00:00:01,dst=02:00:00:00:00:02",
      ),
    ).toEqual({
      kind: "generator",
      traffic: {
        load: 100_000_000,
        size: { from: 64, to: 1514 },
        count: 10,
        burst: 4,
        start: 20_000_000,
        source: Uint8Array.of(2, 0, 0, 0, 0, 1),
        destination: Uint8Array.of(2, 0, 0, 0, 0, 2),
      },
    });
    expect(far("-nic generator,size=imix")).toEqual({ kind: "generator", traffic: { size: "imix" } });
    expect(far("-nic pcap,file=a.pcap,rounds=0,start=1s")).toEqual({
      kind: "pcap",
      path: "a.pcap",
      replay: { rounds: 0, start: 10_000_000_000 },
    });
  });
  it("-nic model=igb is a PCIe function with the network", () => {
    const { pcie, virtio } = parse("-nic user,id=u,model=igb,mac=02:00:00:00:00:07");
    expect(virtio).toEqual([]);
    expect(pcie).toMatchObject([
      { driver: "igb", mac: Uint8Array.of(2, 0, 0, 0, 0, 7), network: { id: "u", far: user } },
    ]);
  });
  it("-object filter-dump names a network's capture, before or after it", () => {
    const line =
      "-object filter-dump,id=f,netdev=n,file=x.pcapng,maxlen=96 -device virtio-net-device,netdev=n -netdev user,id=n";
    expect(first(line)).toMatchObject({ network: { captures: [{ name: "f", path: "x.pcapng", longest: 96 }] } });
  });
  it("a device without a network has no link", () => {
    expect(first("-device virtio-net-device")).toMatchObject({ network: null });
  });
});

describe("other devices", () => {
  it("-fsdev with virtio-9p-device, and -virtfs: read-only unless asked", () => {
    const folder = { path: "/srv", readOnly: true };
    const line = "-fsdev local,id=s,path=/srv,security_model=none -device virtio-9p-device,fsdev=s,mount_tag=share";
    expect(first(line)).toMatchObject({ kind: "9p", folder, tag: "share" });
    expect(first("-virtfs local,path=/srv,mount_tag=share,security_model=none,readonly=off")).toMatchObject({
      folder: { ...folder, readOnly: false },
    });
  });
  it("virtio-rng-device, with or without an entropy source", () => {
    expect(first("-device virtio-rng-device")).toMatchObject({ kind: "entropy" });
    expect(first("-object rng-random,id=r,filename=/dev/urandom -device virtio-rng-device,rng=r")).toMatchObject({
      kind: "entropy",
    });
  });
  it("virtconsole takes port 0 first, virtserialport never", () => {
    const line =
      "-chardev null,id=a -chardev null,id=b -device virtio-serial-device,id=bus,max_ports=8 -device virtserialport,chardev=a,name=org.x " +
      "-device virtconsole,chardev=b,bus=bus.0";
    const device = (id: string) => ({ kind: "chardev", id });
    expect(first(line)).toMatchObject({
      kind: "console",
      maxPorts: 8,
      ports: [
        { number: 1, console: false, name: "org.x", device: device("a") },
        { number: 0, console: true, device: device("b") },
      ],
    });
  });
  it("devices keep the order of the command line; those of -drive if=virtio and -nic follow", () => {
    const line = "-nic user -drive file=a -device virtio-rng-device -virtfs local,path=p,mount_tag=t";
    expect(parse(line).virtio.map((d) => d.kind)).toEqual(["entropy", "9p", "network", "block"]);
  });
  it("bus= names a slot; ring features can be withheld", () => {
    expect(first("-device virtio-rng-device,bus=virtio-mmio-bus.3,event_idx=off,indirect_desc=off")).toMatchObject({
      slot: 3,
      eventIndex: false,
      indirect: false,
    });
  });
});

describe("user errors", () => {
  const blk = "-device virtio-blk-device,drive=x";
  const net = "-device virtio-net-device,netdev=n";
  it.each([
    [blk, `${blk}: there is no -drive with id=x, nor a -blockdev of that name`],
    [
      `-drive if=none,file=f,id=x ${blk} -device virtio-blk-device,drive=x,serial=2`,
      `-device virtio-blk-device,drive=x,serial=2: drive "x" is already used by ${blk}: expected one device a drive`,
    ],
    [
      "-blockdev driver=file,node-name=f,filename=d -blockdev driver=raw,node-name=r,file=f -device virtio-blk-device,drive=f",
      'drive "f" is already used by -blockdev driver=raw',
    ],
    ["-drive if=none,file=f,id=x -drive if=none,file=g,id=x", "there are two drives with id=x"],
    ["-drive if=none,id=x", "-drive if=none,id=x: file= is missing: expected the image's path"],
    ["-drive file=f,format=qcow2", "format=qcow2: not supported by Armature: expected raw"],
    ["-drive file=f,bogus=1", 'unknown parameter "bogus": expected if, file'],
    ["-blockdev driver=qcow2,node-name=x,file=f", "driver=qcow2: not supported by Armature: expected raw or file"],
    ["-blockdev driver=raw,node-name=x,file=f", "there is no -blockdev with node-name=f"],
    ["-blockdev {", "-blockdev {: not JSON"],
    ["-device virtio-blk-device", "drive= is missing"],
    [
      "-drive if=none,file=f,id=x -device virtio-blk-device,drive=x,logical_block_size=4096",
      "4096: not supported by Armature: expected 512",
    ],
    [
      "-drive if=none,file=f,id=x -device virtio-blk-device,drive=x,serial=123456789012345678901",
      "expected at most 20 bytes",
    ],
    ["-device virtio-blk-pci,drive=x", "virtio devices sit on the virtio-mmio bus; expected virtio-blk-device"],
    ["-device virtio-net,netdev=n", "expected virtio-net-device"],
    ["-device e1000", 'device "e1000": expected one of those that -device help lists'],
    [net, `${net}: there is no -netdev with id=n`],
    [
      `-netdev user,id=n ${net} -device virtio-net-device,netdev=n,mac=52:54:00:00:00:01`,
      'network "n" is already used by',
    ],
    ["-netdev user", "id= is missing"],
    ["-netdev user,id=n -netdev user,id=n", "there are two networks with id=n"],
    ["-netdev tap,id=n,script=/etc/qemu-ifup", "no script is run; expected no"],
    ["-netdev tap,id=n,ifname=name-of-17-chars", "expected the name of an interface, at most 15 characters"],
    ["-netdev tap,id=n,fd=3", "fd=: not supported by Armature: expected ifname=NAME"],
    ["-netdev vde,id=n", "there is no VDE; expected dgram"],
    ["-netdev stream,id=n", "addr.type= is missing: expected inet or unix"],
    ["-netdev stream,id=n,addr.type=inet", "addr.port= is missing"],
    ["-netdev stream,id=n,server=on,reconnect-ms=5,addr.type=unix,addr.path=p", "reconnect-ms= is for clients"],
    ["-netdev dgram,id=n", "local.type= and remote.type= are missing"],
    ["-netdev dgram,id=n,remote.type=unix,remote.path=p", "local.type= is missing"],
    ["-netdev user,id=n,rate=fast", "rate=fast: expected bits a second"],
    ["-netdev hubport,id=n", "hubid= is missing"],
    ["-netdev hubport,id=n,hubid=0,netdev=u", "there is no -netdev with id=u"],
    [
      "-netdev user,id=u -netdev hubport,id=n,hubid=0,netdev=u -device virtio-net-device,netdev=u",
      'network "u" is already used by',
    ],
    [
      "-netdev user,id=u -netdev hubport,id=n,hubid=0,netdev=u -device virtio-net-device,netdev=n",
      'network "n" joins "u" to a switch: expected one without netdev=',
    ],
    [
      "-netdev hubport,id=m,hubid=1 -netdev hubport,id=n,hubid=0,netdev=m",
      "netdev=m: a switch cannot stand on a switch",
    ],
    ["-netdev generator,id=n,size=20", "expected a whole number from 34 to 65535"],
    ["-netdev generator,id=n,size=90-80", "size=90-80: expected the smaller size first"],
    ["-netdev generator,id=n,dst=x", "dst=x: expected an address"],
    ["-netdev pcap,id=n", "file= is missing"],
    ["-netdev user,id=n,loss=0.5", "loss=0.5: expected a share from 0% to 100%"],
    ["-netdev user,id=n,loss=100%,burst=2", "burst=: expected a loss below 100%"],
    ["-netdev user,id=n,loss=1%,burst=0.5", "burst=0.5: expected a number of frames from 1 to 1000"],
    ["-netdev user,id=n,loss=1%,burst=many", "burst=many: expected a number of frames from 1 to 1000"],
    ["-netdev user,id=n,delay=3", "delay=3: expected a time such as 20us"],
    ["-netdev user,id=n,hostfwd=tcp::5555-:22", "hostfwd=: not supported by Armature"],
    ["-netdev user,id=n,net=10.0.2.0/33", "net=10.0.2.0/33: expected an IPv4 network of 8 to 27 bits"],
    ["-netdev user,id=n,host=10.0.3.2", "host=10.0.3.2: expected an IPv4 address of the network"],
    ["-netdev user,id=n,host=10.0.2.15", "expected three addresses"],
    ["-netdev user,id=n -device virtio-net-device,netdev=n,mac=01:00:5e:00:00:01", "expected a unicast address"],
    [
      "-netdev user,id=n -device virtio-net-device,netdev=n,guest_ufo=on",
      "guest_ufo=on: not supported by Armature: expected off",
    ],
    ["-device virtio-net-device,host_mtu=60", "host_mtu=60: expected 0, or 68 to 65535"],
    ["-device virtio-net-device,rx_queue_size=300", "rx_queue_size=300: expected 256, 512 or 1024"],
    ["-device virtio-net-device,duplex=both", "duplex=both: expected half, full"],
    ["-netdev user,id=n,queues=9", "expected a whole number from 1 to 8"],
    ["-nic user,model=e1000", "model=e1000: expected virtio-net-device or igb"],
    ["-nic bridge", "join a TAP device to the bridge with the host's tools"],
    ["-object filter-dump,id=f,netdev=n,file=x", "there is no -netdev with id=n"],
    ["-object filter-mirror,id=f,netdev=n", 'object "filter-mirror": expected filter-dump, rng-builtin or rng-random'],
    ["-device virtio-rng-device,rng=r", "there is no -object with id=r"],
    ["-device virtio-9p-device,fsdev=s,mount_tag=t", "there is no -fsdev with id=s"],
    ["-fsdev local,id=s", "path= is missing"],
    [
      "-fsdev local,id=s,path=p,security_model=mapped-xattr",
      "security_model=mapped-xattr: not supported by Armature: expected none",
    ],
    ["-fsdev proxy,id=s,path=p", '"proxy": expected local'],
    ["-virtfs local,path=p,mount_tag=123456789012345678901234567890123", "expected at most 32 bytes"],
    ["-chardev null,id=c -device virtconsole,chardev=c", "expected a virtio-serial-device before it"],
    [
      "-chardev null,id=c -device virtio-serial-device -device virtserialport,chardev=c,nr=0",
      "nr=0 is for a virtconsole",
    ],
    [
      "-chardev null,id=c -device virtio-serial-device,max_ports=1 -device virtserialport,chardev=c",
      "has 1 ports: expected a larger max_ports=",
    ],
    [
      "-chardev null,id=c -device virtio-serial-device -device virtconsole,chardev=c -device virtconsole,chardev=c,nr=0",
      "nr=0: the port is taken",
    ],
    ["-device virtio-serial-device,max_ports=32", 'max_ports: "32": expected a whole number from 1 to 31'],
    ["-device virtio-rng-device,id=a -device virtio-rng-device,id=a", "there are two devices with id=a"],
    ["-device virtio-rng-device,bus=pcie.0", "bus=pcie.0: expected virtio-mmio-bus.0 to virtio-mmio-bus.31"],
    ["-device virtio-rng-device,bus=virtio-mmio-bus.32", 'bus: "32": expected a whole number from 0 to 31'],
  ])("%s", (line, message) => {
    expect(() => parse(line)).toThrow(message);
    try {
      parse(line);
    } catch (error) {
      expect((error as Error).name).toBe("InputError");
    }
  });
});
