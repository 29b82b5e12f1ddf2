/** The command line: QEMU's syntax, what options mean, what is refused and in which words. */
import { describe, expect, it } from "vitest";
import { parseCommandLine } from "../../src/host/options/parse.ts";
import type { RunOptions } from "../../src/host/options/run-options.ts";
import { OPTIONS, REFUSED } from "../../src/host/options/table.ts";
import { parseEscapes, splitPairs } from "../../src/host/options/values.ts";

const PRODUCT = { program: "armature-system-aarch64", version: "0" };
function parse(line: string | string[], flavour: "qemu" | "armature" = "qemu"): RunOptions {
  const words = typeof line === "string" ? line.split(" ").filter((w) => w !== "") : line;
  const parsed = parseCommandLine(words, flavour, PRODUCT);
  if (parsed.kind !== "run") throw new Error(`text: ${parsed.text}`);
  return parsed.options;
}
function text(line: string): string {
  const parsed = parseCommandLine(line.split(" "), "qemu", PRODUCT);
  return parsed.kind === "text" ? parsed.text : "";
}

describe("every option of qemu-system-aarch64 10.0 is known, with a meaning or with a reason", () => {
  // The option names of `qemu-system-aarch64 -help`.
  const names =
    "D L S accel action add-fd append audio audiodev bios blockdev boot cdrom chardev compat cpu d daemonize debugcon " +
    "device dfilter display drive dtb dump-vmstate echr enable-kvm enable-sync-profile fda fdb fsdev full-screen fw_cfg gdb " +
    "global hda hdb hdc hdd icount incoming initrd iscsi jitdump k kernel loadvm m M machine mem-path mem-prealloc mon monitor " +
    "msg mtdblock name net netdev nic no-reboot no-shutdown no-user-config nodefaults nographic numa object " +
    "old-param only-migratable option-rom overcommit parallel perfmap pflash pidfile plugin preconfig qmp qmp-pretty qtest qtest-log " +
    "readconfig rtc run-with s sandbox sd seed semihosting semihosting-config serial set shim smbios smp snapshot spice " +
    "tpmdev trace usb usbdevice uuid vga virtfs vnc watchdog-action xen-attach xen-domid xen-domid-restrict";
  const known = new Set([...OPTIONS, ...REFUSED].flatMap((o) => o.names));
  it.each(names.split(" "))("-%s", (name) => {
    expect(known.has(name)).toBe(true);
  });
  it("no name is there twice", () => {
    const all = [...OPTIONS, ...REFUSED].flatMap((o) => o.names);
    expect(new Set(all).size).toBe(all.length);
  });
  it("-help lists them; -version tells whose behaviour is followed", () => {
    for (const o of OPTIONS) for (const n of o.names) expect(text("-help")).toContain(`-${n}`);
    expect(text("--version")).toContain("QEMU 10.0");
  });
});

describe("syntax", () => {
  it("lists: key=value, a first word without key, doubled commas, switches", () => {
    expect(splitPairs("a,b=c,,d,e=f=g")).toEqual([
      ["a", null],
      ["b", "c,d"],
      ["e", "f=g"],
    ]);
  });
  it("one dash or two", () => {
    expect(parse("--smp 2 -m 256").cpus).toBe(2);
    expect(parse("--expect=abc").script).toEqual([{ kind: "expect", text: "abc", timeout: 60 }]);
  });
  it("escapes of --expect and --send", () => {
    expect(parseEscapes("x", "a\\n\\r\\t\\x1b\\\\\\0\\e")).toBe("a\n\r\t\x1b\\\0\x1b");
    expect(parseEscapes("x", "ä")).toBe("\xc3\xa4");
    expect(() => parseEscapes("--send", "\\q")).toThrow('escape "\\q": expected');
  });
});

describe("the machine", () => {
  it("-M, -cpu, -smp, -m", () => {
    const o = parse(
      "-M virt,virtualization=on,gic-version=2,highmem=on,secure=off,acpi=off -cpu cortex-a53 -smp 4 -m 2G",
    );
    expect(o).toMatchObject({
      machine: { virtualization: true },
      cpuModel: "cortex-a53",
      cpus: 4,
      memory: 2 * 2 ** 30,
    });
    expect(parse("")).toMatchObject({
      machine: { virtualization: false },
      cpuModel: "cortex-a57",
      cpus: 1,
      memory: 2 ** 27,
    });
  });
  it("-M second-timer=: Armature's own, off unless given", () => {
    expect(parse("-M virt,second-timer=on").machine.secondTimer).toBe(true);
    expect(parse("-M virt").machine.secondTimer).toBe(false);
    expect(() => parse("-M virt,second-timer=2")).toThrow('second-timer: "2": expected on or off');
  });
  it("-M iommu=: none, or an SMMUv3 before the PCIe bus", () => {
    expect(parse("-M virt,iommu=smmuv3").machine.iommu).toBe("smmuv3");
    expect(parse("-M virt,iommu=none").machine.iommu).toBeUndefined();
    expect(() => parse("-M virt,iommu=intel")).toThrow('iommu="intel": expected none, smmuv3');
  });
  it.each([
    ["-smp cpus=4,sockets=2,cores=2", 4],
    ["-smp 4,cores=4", 4],
    ["-smp cores=2,threads=1,sockets=3", 6],
    ["-smp maxcpus=3", 3],
  ])("%s", (line, cpus) => {
    expect(parse(line).cpus).toBe(cpus);
  });
  it.each([
    ["-m 1G", 2 ** 30],
    ["-m 512", 512 * 2 ** 20],
    ["-m size=64M", 2 ** 26],
    ["-m 1.5G", 1.5 * 2 ** 30],
    ["-m 65536k", 2 ** 26],
  ])("%s", (line, bytes) => {
    expect(parse(line).memory).toBe(bytes);
  });
  it("-accel: the first one that can be had", () => {
    expect(parse("-accel kvm -accel tcg,thread=multi,tb-size=64").accelerator).toBe("tcg");
    expect(parse("-machine virt,accel=kvm:tcg").accelerator).toBe("tcg");
    expect(parse("-accel qtest -qtest stdio").accelerator).toBe("qtest");
    expect(parse("-qtest stdio").accelerator).toBe("qtest");
    expect(parse("-qtest stdio -accel tcg").accelerator).toBe("tcg");
  });
  it("-icount shift=N: an instruction takes 2^N ns", () => {
    expect(parse("-icount shift=3,sleep=off")).toMatchObject({ instructionTime: 8, throttle: false });
    expect(parse("-icount shift=auto").instructionTime).toBeUndefined();
  });
  it("-rtc", () => {
    expect(parse("-rtc base=2000-01-01T00:00:10").rtcBase).toBe(946_684_810);
    expect(parse("-rtc base=utc,clock=vm").rtcBase).toBe("now");
  });
});

describe("images and devices", () => {
  it("-device loader in its three forms", () => {
    expect(parse("-device loader,file=a.elf,cpu-num=0").loaders).toEqual([
      { kind: "file", path: "a.elf", raw: false, cpu: 0 },
    ]);
    expect(parse("-device loader,addr=0x40000000,data=0x1234,data-len=4").loaders).toEqual([
      { kind: "data", address: 0x40000000n, bytes: Uint8Array.of(0x34, 0x12, 0, 0) },
    ]);
    expect(parse("-device loader,addr=16,cpu-num=1").loaders).toEqual([{ kind: "entry", address: 16n, cpu: 1 }]);
  });
  it("flash images: -pflash in order, -drive by unit, -snapshot", () => {
    expect(parse("-pflash a -pflash b").flash).toEqual([
      { bank: 0, path: "a", readOnly: false, writeBack: true },
      { bank: 1, path: "b", readOnly: false, writeBack: true },
    ]);
    expect(parse("-drive if=pflash,format=raw,unit=1,file=v,readonly=on").flash).toEqual([
      { bank: 1, path: "v", readOnly: true, writeBack: false },
    ]);
    expect(parse("-pflash a -snapshot").flash[0]).toMatchObject({ writeBack: false });
  });
  it("-fw_cfg and -global", () => {
    expect(parse("-fw_cfg opt/a,string=x,,y -fw_cfg name=opt/b,file=f").firmwareFiles).toEqual([
      { name: "opt/a", source: { text: "x,y" } },
      { name: "opt/b", source: { path: "f" } },
    ]);
    expect(parse("-global virtio-mmio.force-legacy=false").legacyVirtio).toBe(false);
  });
});

describe("who gets the terminal", () => {
  const shared = { kind: "stdio", signal: false, mux: true };
  it("by default, and with -nographic, serial port and monitor share it", () => {
    for (const line of ["", "-nographic"]) {
      expect(parse(line).serial).toEqual(shared);
      expect(parse(line).monitors).toEqual([{ mode: "readline", pretty: false, device: shared }]);
    }
  });
  it("with -display none or -nodefaults nobody", () => {
    for (const line of ["-display none", "-nodefaults", "-nographic -nodefaults"]) {
      expect(parse(line).serial).toEqual({ kind: "null" });
      expect(parse(line).monitors).toEqual([]);
    }
  });
  it("an explicit -serial gets it alone", () => {
    expect(parse("-display none -serial stdio").serial).toEqual({ kind: "stdio", signal: true });
    expect(parse("-nographic -serial stdio -monitor none").monitors).toEqual([]);
    expect(parse("-serial mon:stdio").monitors.length).toBe(1);
  });
  it("with QMP in use the monitor is not on it", () => {
    const o = parse("-nographic -qmp unix:q,server=on,wait=off");
    expect(o.serial).toEqual({ kind: "stdio", signal: true });
    expect(o.monitors.map((m) => m.mode)).toEqual(["control"]);
  });
  it("character devices in short and long form", () => {
    expect(parse("-serial tcp:localhost:4444,server,nowait").serial).toEqual({
      kind: "socket",
      address: { host: "localhost", port: 4444 },
      server: true,
      wait: false,
      reconnect: 0,
    });
    expect(parse("-qtest unix:/tmp/q").qtest).toMatchObject({
      kind: "socket",
      address: { path: "/tmp/q" },
      server: false,
    });
    const o = parse("-chardev socket,id=c,path=p,server=on,wait=off,logfile=l -mon chardev=c,mode=control,pretty=on");
    expect(o.characterDevices.get("c")).toMatchObject({ kind: "socket", address: { path: "p" }, logFile: "l" });
    expect(o.monitors).toEqual([{ mode: "control", pretty: true, device: { kind: "chardev", id: "c" } }]);
    expect(parse("-s").gdb).toMatchObject({ address: { host: "", port: 1234 }, server: true, wait: false });
  });
});

describe("scripts", () => {
  it("an expect has the last timeout before it, else the first after it, else 60 s", () => {
    const timeouts = (line: string) => parse(line).script.flatMap((s) => (s.kind === "expect" ? [s.timeout] : []));
    expect(timeouts("--expect a --send b --expect c --timeout 5")).toEqual([5, 5]);
    expect(timeouts("--timeout 5 --expect a --timeout 7 --expect b")).toEqual([5, 7]);
    expect(timeouts("--expect a")).toEqual([60]);
  });
  it("--timeout without --expect limits the run", () => {
    expect(parse("--timeout 3").timeout).toBe(3);
    expect(parse("--timeout 3 --expect a").timeout).toBeUndefined();
  });
});

describe("user errors: what, where, what was expected", () => {
  it.each([
    ["-foo", "-foo: unknown option (-help lists them)"],
    ["-seriall x", "-seriall: unknown option; did you mean -serial? (-help lists them)"],
    ["-bios", "-bios: expected an argument: FILE"],
    ["-enable-kvm", "-enable-kvm: not supported by Armature: there is no hardware virtualization"],
    [
      "-accel kvm",
      "accelerator kvm: not supported by Armature: there is no hardware virtualization; expected tcg or qtest",
    ],
    ["-accel foo", '-accel foo: accelerator "foo": expected tcg or qtest'],
    ["-M pc", '-M pc: machine "pc": expected virt'],
    ["-M virt,foo=on", '-M virt,foo=on: machine virt has no property "foo": -M virt,help lists them'],
    ["-M virt,virtualization=maybe", '-M virt,virtualization=maybe: virtualization: "maybe": expected on or off'],
    [
      "-M virt,secure=on",
      "-M virt,secure=on: secure=on: not supported by Armature: EL3 is not implemented; expected off",
    ],
    [
      "-M virt,gic-version=3",
      "-M virt,gic-version=3: gic-version=3: not supported by Armature: the interrupt controller is a GICv2; expected 2, max",
    ],
    ["-cpu foo", '-cpu foo: CPU model "foo": expected cortex-a53, cortex-a57, max'],
    ["-smp 0", '-smp 0: cpus: "0": expected a whole number from 1 to 65536'],
    ["-smp 9", "-smp 9: 9 CPUs: expected at most 8, as many as a GICv2 serves"],
    [
      "-smp cpus=4,sockets=1,cores=3",
      "-smp cpus=4,sockets=1,cores=3: sockets (1) * cores (3) is 3: expected the number of CPUs, 4",
    ],
    ["-m 1x", '-m 1x: size: "1x": expected a size such as 512M, 1G or 0x8000000'],
    ["-m 0", "-m 0: 0 bytes: expected 1M to 255G"],
    ["-m 1G,foo=1", '-m 1G,foo=1: unknown parameter "foo": expected size=SIZE'],
    ["-serial foo", '-serial foo: "foo" is no kind of character device: expected stdio'],
    ["-serial pty", "-serial pty: not supported by Armature: pseudo-terminals need native code"],
    ["-serial tcp:1", '-serial tcp:1: "1": expected HOST:PORT'],
    ["-serial unix:a,wait=off", "-serial unix:a,wait=off: wait= is for servers: expected server=on too"],
    [
      "-serial stdio -serial null -serial file:x",
      "-serial file:x: the board has two UARTs: expected at most two -serial",
    ],
    ["-chardev socket,id=x", "-chardev socket,id=x: expected either path= (Unix socket) or host= and port= (TCP)"],
    ["-chardev null,id=x -chardev null,id=x", "-chardev null,id=x: there are two devices with id=x"],
    [
      "-device virtio-net-pci",
      "-device virtio-net-pci: not supported by Armature: virtio devices sit on the virtio-mmio bus; expected virtio-net-device",
    ],
    ["-device loader", "-device loader: expected file=, or addr= with data= and data-len=, or addr= with cpu-num="],
    ["-device loader,addr=0,data=256,data-len=1", "data=256: expected a value of 1 bytes"],
    ["-append x", "-append: only with -kernel"],
    ["-initrd x", "-initrd: only with -kernel"],
    ["-bios a -pflash b", "both fill flash bank 0"],
    ["-drive file=x,if=scsi", "if=scsi: expected none, virtio or pflash"],
    ["-d exec", '-d exec: not supported by Armature: "exec": expected guest_errors, unimp or trace:PATTERN'],
    ["-rtc base=foo", '-rtc base=foo: base: "foo": expected utc, localtime, 2026-06-17 or 2026-06-17T16:01:21'],
    ["-display gtk", "-display gtk: not supported by Armature: there is no display; expected none"],
    ["-action foo=bar", '-action foo=bar: unknown parameter "foo": expected reboot, shutdown, panic, watchdog'],
    ["-icount shift=99", '-icount shift=99: shift: "99": expected a whole number from 0 to 10'],
    ["--timeout 0", '-timeout 0: "0": expected seconds'],
  ])("%s", (line, message) => {
    expect(() => parse(line)).toThrow(message);
    try {
      parse(line);
    } catch (error) {
      expect((error as Error).name).toBe("InputError");
    }
  });
});
