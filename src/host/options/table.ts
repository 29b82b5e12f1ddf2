/**
 * The option table: every option of qemu-system-aarch64 10.0 with its meaning here or with the reason why it has none, and Armature's own.
 * Options are taken with one dash or two.
 */
import { InputError } from "../../formats/index.ts";
import { type Builder, TextRequest } from "./builder.ts";
import { parseCharacterDevice, parseChardev } from "./chardev-spec.ts";
import {
  addFlash,
  applyDevice,
  applyDrive,
  applyEscapeCharacter,
  applyFirmwareFile,
  applyGlobal,
  onlyNone,
} from "./device-options.ts";
import { applyBlockdev, applyDiskFile } from "./disk-options.ts";
import {
  applyAccelerator,
  applyCpu,
  applyInstructionCount,
  applyMachine,
  applyMemory,
  applySmp,
} from "./machine-options.ts";
import { applyNetdev, applyNic, applyObject } from "./network-options.ts";
import { KeyValues, parseDateTime, parseEscapes, parseInteger, parseSeconds } from "./values.ts";
import { applyFolder, applyShare } from "./virtio-options.ts";

export interface Option {
  readonly names: readonly string[];
  /** Name of the argument in help texts; undefined for a switch. */
  readonly argument?: string;
  readonly help: string;
  readonly group: "machine" | "boot" | "devices" | "console" | "control" | "debug" | "observe" | "accepted";
  readonly apply: (b: Builder, value: string, where: string) => void;
}

/** Options that are QEMU's and have no meaning here, with the reason. */
export interface Refused {
  readonly names: readonly string[];
  readonly reason: string;
}

const accepted = () => {};

function flag(group: Option["group"], names: string, help: string, apply: (b: Builder) => void): Option {
  return { names: names.split(" "), group, help, apply };
}
function value(group: Option["group"], names: string, argument: string, help: string, apply: Option["apply"]): Option {
  return { names: names.split(" "), argument, group, help, apply };
}

const LOG_ITEMS = `Log items (comma separated):
guest_errors    what the guest does wrong with a device or the bus
unimp           what the guest uses and the model leaves out
trace:PATTERN   accesses to registers that match, e.g. trace:uart0.*
`;

function applyLog(b: Builder, text: string, where: string): void {
  for (const item of text.split(",")) {
    if (item === "help" || item === "?") throw new TextRequest(LOG_ITEMS);
    if (item === "guest_errors") b.logGuestErrors = true;
    else if (item === "unimp") b.logUnimplemented = true;
    else if (item.startsWith("trace:") && item.length > 6) b.trace.push(item.slice(6));
    else if (item !== "none" && item !== "nochain" && item !== "tid") {
      const known =
        /^(out_asm|in_asm|op|op_opt|op_ind|op_plugin|int|exec|cpu|fpu|mmu|pcall|cpu_reset|page|strace|plugin|vpu|invalid_mem|all)$/;
      const what = known.test(item) ? "not supported by Armature" : "unknown log item";
      throw new InputError(`${where}: ${what}: "${item}": expected guest_errors, unimp or trace:PATTERN`);
    }
  }
}

function applyTrace(b: Builder, text: string, where: string): void {
  if (text === "help" || text === "?")
    throw new TextRequest("Patterns match MODULE.REGISTER: uart0.*, *.UARTCR, gicd\n");
  const list = new KeyValues(where, text, "enable");
  const pattern = list.text("enable");
  const file = list.text("file");
  if (list.text("events") !== undefined) {
    throw new InputError(`${where}: events=: not supported by Armature: expected a pattern such as uart0.*`);
  }
  list.finish("enable=PATTERN, file=FILE");
  if (pattern !== undefined) b.trace.push(pattern);
  if (file !== undefined) b.traceFile = file;
}

function applyAction(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text);
  b.onReset = list.choice("reboot", ["reset", "shutdown"]) ?? b.onReset;
  b.onShutdown = list.choice("shutdown", ["poweroff", "pause"]) ?? b.onShutdown;
  list.choice("panic", ["pause", "shutdown", "exit-failure", "none"]);
  list.choice("watchdog", ["reset", "shutdown", "poweroff", "inject-nmi", "pause", "debug", "none"]);
  list.finish("reboot, shutdown, panic, watchdog");
}

function applyRtc(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text);
  const base = list.text("base");
  const clock = list.choice("clock", ["host", "rt", "vm"]);
  if (clock !== undefined && clock !== "vm") {
    throw new InputError(
      `${where}: clock=${clock}: not supported by Armature: the clock runs in simulated time; expected vm`,
    );
  }
  if (list.choice("driftfix", ["none", "slew"]) === "slew") {
    throw new InputError(`${where}: driftfix=slew: not supported by Armature: simulated time does not drift`);
  }
  list.finish();
  if (base === "utc") b.rtcBase = "now";
  else if (base === "localtime") b.rtcBase = "local";
  else if (base !== undefined) b.rtcBase = parseDateTime(`${where}: base`, base);
}

function applyName(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text, "guest");
  b.name = list.text("guest");
  list.text("process");
  list.flag("debug-threads");
  list.finish();
}

function applyMonitor(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text, "chardev");
  const id = list.required("chardev", "the id of a -chardev");
  const mode = list.choice("mode", ["readline", "control"]) ?? "readline";
  const pretty = list.flag("pretty") ?? false;
  list.finish();
  b.monitors.push({ mode, pretty, device: { kind: "chardev", id } });
}

function applyGdb(b: Builder, text: string, where: string): void {
  if (text === "none") {
    b.gdb = undefined;
    return;
  }
  const spec = parseCharacterDevice(where, text);
  if (spec.kind !== "socket" && spec.kind !== "stdio" && spec.kind !== "chardev") {
    throw new InputError(`${where}: expected tcp:HOST:PORT, unix:PATH, stdio or chardev:ID`);
  }
  // A debugger connects to us, at any time.
  b.gdb = spec.kind === "socket" ? { ...spec, server: true, wait: false } : spec;
}

function applySerial(b: Builder, text: string, where: string): void {
  b.serial.push({ where, spec: parseCharacterDevice(where, text), none: text === "none" });
}

function qmp(pretty: boolean): Option["apply"] {
  return (b, text, where) => {
    if (text === "none") return;
    b.monitors.push({ mode: "control", pretty, device: parseCharacterDevice(where, text) });
  };
}

function applyDisplay(b: Builder, text: string, where: string): void {
  if (text === "help") throw new TextRequest("Available display backend types:\nnone\n");
  const kind = text.split(",")[0] as string;
  if (kind !== "none") throw new InputError(`${where}: not supported by Armature: there is no display; expected none`);
  b.display = kind;
}

function fileName(where: string, text: string): string {
  if (text === "") throw new InputError(`${where}: expected the name of a file`);
  return text;
}

function applySaveAt(b: Builder, text: string, where: string): void {
  const equals = text.indexOf("=");
  const kind = text.slice(0, Math.max(0, equals));
  const rest = text.slice(equals + 1);
  if (kind === "time") b.saveAt = { time: parseSeconds(where, rest) };
  else if (kind === "text" && rest !== "") b.saveAt = { text: parseEscapes(where, rest) };
  else throw new InputError(`${where}: expected time=SECONDS or text=TEXT`);
}

/**
 * `--snapshot FILE`, which has to live with QEMU's switch `-snapshot`: with one dash it is always the switch, with two dashes and a file it
 * is this.
 */
export const RESTORE: Option = value(
  "control",
  "-snapshot",
  "FILE",
  "go on from a snapshot; options of machine, images and devices need not be repeated",
  (b, v, w) => {
    b.restore = fileName(w, v);
  },
);

export const OPTIONS: readonly Option[] = [
  value(
    "machine",
    "machine M",
    "virt[,PROPERTY=VALUE...]",
    "board and its properties (virt,help lists them)",
    applyMachine,
  ),
  value("machine", "cpu", "MODEL", "CPU model (help lists them)", applyCpu),
  value("machine", "smp", "N", "number of CPUs, or cpus=,sockets=,clusters=,cores=,threads=,maxcpus=", applySmp),
  value("machine", "m", "SIZE", "RAM: megabytes, or with a suffix K, M, G (default 128M)", applyMemory),
  value(
    "machine",
    "accel",
    "tcg|qtest",
    "tcg: run the CPUs; qtest: no CPU runs, -qtest drives the machine",
    applyAccelerator,
  ),
  value(
    "machine",
    "icount",
    "shift=N|auto[,sleep=on|off]",
    "an instruction takes 2^N ns; sleep=off: never wait for host time",
    applyInstructionCount,
  ),
  value("machine", "rtc", "base=utc|localtime|DATE", "date at power-on (default 2025-01-01T00:00:00)", applyRtc),
  value("machine", "seed", "N", "seed of all random streams", (b, v, w) => {
    b.seed = parseInteger(w, v, 0, 2 ** 32 - 1);
  }),
  value("machine", "name", "NAME", "name of the guest", applyName),

  value("boot", "bios", "FILE", "firmware into flash bank 0", (b, v) => {
    b.bios = v;
  }),
  value("boot", "kernel", "FILE", "kernel: ELF, arm64 Image (also gzip), or raw", (b, v) => {
    b.kernel = v;
  }),
  value("boot", "initrd", "FILE", "initial RAM disk, with -kernel", (b, v) => {
    b.initrd = v;
  }),
  value("boot", "append", "TEXT", "kernel command line, with -kernel", (b, v) => {
    b.append = v;
  }),
  value("boot", "dtb", "FILE", "device tree instead of the board's own", (b, v) => {
    b.dtb = v;
  }),
  value("boot", "pflash", "FILE", "image of the next flash bank; what the guest writes goes back into it", (b, v, w) =>
    addFlash(b, w, v, undefined),
  ),
  flag("boot", "snapshot", "keep what the guest writes to disks and flash in memory", (b) => {
    b.snapshot = true;
  }),
  value("boot", "L", "DIR", "where to look for the file of -bios", (b, v) => {
    b.searchPaths.push(v);
  }),
  value(
    "boot",
    "fw_cfg",
    "name=NAME,file=FILE|string=TEXT",
    "file in the firmware configuration device",
    applyFirmwareFile,
  ),

  value("devices", "device", "DEVICE,...", "virtio devices; load files or data into memory (help)", applyDevice),
  value(
    "devices",
    "drive",
    "file=FILE[,if=none|virtio|pflash][,id=ID][,readonly=on][,snapshot=on]",
    "raw disk image, or image of a flash bank",
    applyDrive,
  ),
  value("devices", "blockdev", "driver=raw|file,node-name=ID,...", "raw disk image", applyBlockdev),
  value("devices", "hda hdb hdc hdd", "FILE", "disk image, as -drive file=FILE", applyDiskFile(false)),
  value("devices", "cdrom", "FILE", "disk image, read-only", applyDiskFile(true)),
  value("devices", "fsdev", "local,id=ID,path=DIR[,readonly=off]", "folder of the host to share by 9P", applyFolder),
  value("devices", "virtfs", "local,path=DIR,mount_tag=TAG[,readonly=off]", "-fsdev and its device in one", applyShare),
  value(
    "devices",
    "netdev",
    "user|tap|stream|dgram|hubport|generator|pcap,id=ID,...",
    "network: a host that answers, a way outside, a switch port, traffic (docs/net.md)",
    applyNetdev,
  ),
  value(
    "devices",
    "nic",
    "user|tap|stream|dgram|none[,model=virtio|igb][,mac=ADDRESS],...",
    "-netdev and its device in one",
    applyNic,
  ),
  value(
    "devices",
    "object",
    "filter-dump,id=ID,netdev=ID,file=FILE",
    "capture a network's frames (pcapng)",
    applyObject,
  ),
  value("devices", "global", "DRIVER.PROPERTY=VALUE", "virtio-mmio.force-legacy=on|off", applyGlobal),

  flag("console", "nographic", "serial port and monitor on the terminal (the default)", (b) => {
    b.nographic = true;
  }),
  value("console", "display", "none", "nothing on the terminal unless -serial says so", applyDisplay),
  value(
    "console",
    "serial",
    "DEVICE",
    "connect the UART: stdio, mon:stdio, null, file:, pipe:, unix:, tcp:, chardev:; given twice, a second UART",
    applySerial,
  ),
  value("console", "monitor", "DEVICE", "connect the human monitor", (b, v, w) => {
    b.monitor = parseCharacterDevice(w, v);
  }),
  value(
    "console",
    "chardev",
    "KIND,id=ID,...",
    "declare a character device: null, stdio, file, pipe, socket, ringbuf",
    (b, v, w) => {
      if (v === "help")
        throw new TextRequest(
          "Available chardev backend types:\n  file\n  null\n  pipe\n  ringbuf\n  socket\n  stdio\n",
        );
      const { id, spec } = parseChardev(v);
      if (b.characterDevices.has(id)) throw new InputError(`${w}: there are two devices with id=${id}`);
      b.characterDevices.set(id, spec);
    },
  ),
  value(
    "console",
    "mon",
    "[chardev=]ID[,mode=readline|control]",
    "monitor on a declared character device",
    applyMonitor,
  ),
  value("console", "echr", "N", "code of the terminal's escape character (default 1, Ctrl-A)", applyEscapeCharacter),

  value("control", "qmp", "DEVICE", "machine protocol (QMP) on a character device", qmp(false)),
  value("control", "qmp-pretty", "DEVICE", "QMP with indentation", qmp(true)),
  value(
    "control",
    "qtest",
    "DEVICE",
    "qtest protocol on a character device; no CPU runs unless -accel tcg is given",
    (b, v, w) => {
      b.qtest = parseCharacterDevice(w, v);
    },
  ),
  value("control", "qtest-log", "FILE|none", "log of the qtest protocol (default: standard error)", (b, v) => {
    b.qtestLog = v;
  }),
  value(
    "control",
    "save-snapshot",
    "FILE",
    "save a snapshot: at --save-at, or at the end; Ctrl-A S at any time",
    (b, v, w) => {
      b.saveSnapshot = fileName(w, v);
    },
  ),
  value(
    "control",
    "save-at",
    "time=SECONDS|text=TEXT",
    "when: simulated time, or after the guest has printed TEXT",
    applySaveAt,
  ),
  RESTORE,
  value("control", "record", "FILE", "record all that comes into the machine from outside", (b, v, w) => {
    b.record = fileName(w, v);
  }),
  value("control", "replay", "FILE", "repeat a recording; what comes from outside is not listened to", (b, v, w) => {
    b.replay = fileName(w, v);
  }),
  flag("control", "no-reboot", "end instead of resetting", (b) => {
    b.onReset = "shutdown";
  }),
  flag("control", "no-shutdown", "stop instead of ending when the guest powers off", (b) => {
    b.onShutdown = "pause";
  }),
  value("control", "action", "reboot=...|shutdown=...", "what reset and power-off do", applyAction),
  value("control", "pidfile", "FILE", "write the process id to FILE", (b, v) => {
    b.pidFile = v;
  }),

  flag("debug", "S", "do not start the CPUs until told to", (b) => {
    b.startPaused = true;
  }),
  flag("debug", "s", "shorthand for -gdb tcp::1234", (b) => applyGdb(b, "tcp::1234", "-s")),
  value("debug", "gdb", "DEVICE", "wait for GDB on tcp:HOST:PORT or unix:PATH", applyGdb),

  value("observe", "d", "ITEMS", "log: guest_errors, unimp, trace:PATTERN (help)", applyLog),
  value("observe", "D", "FILE", "log to FILE instead of standard error", (b, v) => {
    b.logFile = v;
  }),
  value("observe", "trace", "PATTERN", "trace accesses to registers that match, field by field: uart0.*", applyTrace),
  value(
    "observe",
    "guest-errors",
    "FILE",
    "log guest errors as JSON lines to FILE, as text to standard error",
    (b, v) => {
      b.guestErrorsFile = v;
    },
  ),
  flag("observe", "strict", "guest errors make the exit code 1", (b) => {
    b.strict = true;
  }),
  flag("observe", "stats", "print at the end how many instructions ran, in what time", (b) => {
    b.statistics = true;
  }),
  flag("observe", "state-hash", "print the hash of the machine's state at the end", (b) => {
    b.stateHash = true;
  }),
  value("observe", "expect", "TEXT", "wait until the guest has printed TEXT", (b, v, w) => {
    if (v === "") throw new InputError(`${w}: expected some text`);
    b.script.push({ kind: "expect", text: parseEscapes(w, v) });
  }),
  value("observe", "send", "TEXT", "type TEXT (escapes \\n \\r \\t \\xNN)", (b, v, w) => {
    b.script.push({ kind: "send", text: parseEscapes(w, v) });
  }),
  value("observe", "timeout", "SECONDS", "how long an --expect may wait, in host time (default 60)", (b, v, w) => {
    b.script.push({ kind: "timeout", seconds: parseSeconds(w, v) });
  }),
  value("observe", "max-time", "SECONDS", "end after this much simulated time", (b, v, w) => {
    b.maxTime = parseSeconds(w, v);
  }),

  flag("accepted", "nodefaults", "no console or monitor unless an option asks for it", (b) => {
    b.noDefaults = true;
  }),
  flag("accepted", "no-user-config", "there is no user configuration", accepted),
  flag("accepted", "no-hpet no-acpi", "there are none", accepted),
  value("accepted", "boot", "...", "there is nothing to choose from", accepted),
  value("accepted", "uuid", "UUID", "not shown to the guest", accepted),
  value("accepted", "msg", "...", "messages have one form", accepted),
  value("accepted", "compat", "...", "no effect", accepted),
  value("accepted", "overcommit", "...", "no effect", accepted),
  value("accepted", "watchdog-action", "...", "there is no watchdog", accepted),
  value("accepted", "vga", "none", "", onlyNone("there is no display")),
  value("accepted", "parallel", "none", "", (_b, v, w) => {
    if (v !== "none" && v !== "null")
      throw new InputError(`${w}: not supported by Armature: there is no parallel port; expected none`);
  }),
  value("accepted", "audio", "none", "", onlyNone("there is no audio device")),
  value("accepted", "audiodev", "none", "", onlyNone("there is no audio device")),
  value("accepted", "net", "none", "", onlyNone("use -nic, or -netdev with -device")),
  value("accepted", "sandbox", "off", "", (_b, v, w) => {
    if (v !== "off")
      throw new InputError(`${w}: not supported by Armature: run it under a sandbox of the host; expected off`);
  }),
];

const NO_DISPLAY = "there is no display";
const NO_USB = "the board has no USB";
const NO_MIGRATION = "machines are not migrated";
const NO_XEN = "there is no Xen host";
const NO_TABLES = "no ACPI or SMBIOS tables are made";
const HOST_MEMORY = "guest memory is sparse and the host's own business";

export const REFUSED: readonly Refused[] = (
  [
    ["fda fdb", "the board has no floppy drive"],
    ["mtdblock sd", "the board has neither; use -drive if=pflash or if=virtio"],
    ["iscsi", "images are files of the host"],
    ["usb usbdevice", NO_USB],
    ["full-screen vnc spice k alt-grab ctrl-grab sdl curses", NO_DISPLAY],
    ["smbios acpitable", NO_TABLES],
    ["tpmdev", "there is no TPM"],
    ["shim option-rom", "firmware is given by -bios or -pflash"],
    ["debugcon", "the board has no debug console; use -serial"],
    ["preconfig", "the machine is built at once"],
    ["dfilter", "there is no log of executed code"],
    ["enable-kvm", "there is no hardware virtualization"],
    ["xen-domid xen-attach xen-domid-restrict", NO_XEN],
    ["loadvm", "use --snapshot FILE"],
    ["incoming only-migratable dump-vmstate", NO_MIGRATION],
    ["daemonize", "it stays in the foreground; start it in the background with the shell"],
    ["semihosting semihosting-config", "semihosting is not implemented"],
    ["old-param", "it is for machines without a device tree"],
    ["readconfig writeconfig", "there are no configuration files; use a shell script"],
    ["plugin", "there are no plugins; use -trace or the TypeScript API"],
    ["run-with runas chroot", "change user and root before starting it"],
    ["enable-sync-profile perfmap jitdump", "profile it with the tools of Node"],
    ["add-fd", "file descriptors are not handed over; use a path"],
    ["set", "write the value into the option itself"],
    ["numa", "memory is one node"],
    ["mem-path mem-prealloc", HOST_MEMORY],
  ] as const
).map(([names, reason]) => ({ names: names.split(" "), reason }));
