/** `-machine`, `-cpu`, `-smp`, `-m`, `-accel`, `-icount` and what else says which machine it is. */
import { InputError } from "../../formats/index.ts";
import { type Builder, TextRequest } from "./builder.ts";
import { KeyValues, parseInteger, parseSize, parseSwitch } from "./values.ts";

export const CPU_MODELS: { readonly [name: string]: string } = {
  "cortex-a53": "Arm Cortex-A53 (Armv8.0-A)",
  "cortex-a57": "Arm Cortex-A57 (Armv8.0-A), the default",
  max: "everything that the model implements",
};
export const MAX_CPUS = 8;
export const MAX_MEMORY = 255 * 2 ** 30;

const MACHINES = `Supported machines are:
virt                 the virt board, compatible with QEMU's virt-10.0 (default)
`;

/** Properties of the machine: what values mean something here, and why others do not. */
interface Property {
  /** Values that are accepted without further effect. */
  readonly accept?: readonly string[];
  readonly reason?: string;
  readonly apply?: (b: Builder, value: string, where: string) => void;
  readonly help: string;
}

const NOT_BUILT = "the board does not have it";
const PROPERTIES: { readonly [name: string]: Property } = {
  virtualization: {
    help: "on|off: CPUs have EL2",
    apply: (b, v, w) => {
      b.virtualization = parseSwitch(w, v);
    },
  },
  secure: { help: "off: CPUs have no EL3", accept: ["off"], reason: "EL3 is not implemented" },
  mte: { help: "off", accept: ["off"], reason: "memory tagging is not implemented" },
  "gic-version": {
    help: "2: GICv2",
    accept: ["2", "max"],
    reason: "the interrupt controller is a GICv2",
  },
  highmem: {
    help: "on|off: PCIe configuration space, 64-bit window and RAM may lie above 4 GiB",
    apply: (b, v, w) => {
      b.highMemory = parseSwitch(w, v);
    },
  },
  "highmem-ecam": {
    help: "on|off: PCIe configuration space above 4 GiB",
    apply: (b, v, w) => {
      b.highEcam = parseSwitch(w, v);
    },
  },
  "highmem-mmio": {
    help: "on|off: PCIe window above 4 GiB",
    apply: (b, v, w) => {
      b.highMmio = parseSwitch(w, v);
    },
  },
  "second-timer": {
    help: "on|off: a second SP804, to be given to a guest; Armature's own",
    apply: (b, v, w) => {
      b.secondTimer = parseSwitch(w, v);
    },
  },
  "highmem-redists": { help: "on|off: no meaning with GICv2", accept: ["on", "off"] },
  "compact-highmem": { help: "on|off: no meaning here", accept: ["on", "off"] },
  its: { help: "on|off: no meaning with GICv2", accept: ["on", "off"] },
  iommu: {
    help: "none|smmuv3: what stands between PCIe functions and memory",
    apply: (b, v, w) => {
      if (v !== "none" && v !== "smmuv3") throw new InputError(`${w}="${v}": expected none, smmuv3`);
      b.iommu = v === "none" ? undefined : v;
    },
  },
  "default-bus-bypass-iommu": { help: "on|off: no meaning without an IOMMU", accept: ["on", "off"] },
  ras: { help: "off", accept: ["off"], reason: NOT_BUILT },
  acpi: { help: "off|auto: there are no ACPI tables", accept: ["off", "auto"], reason: "no ACPI tables are made" },
  hmat: { help: "off", accept: ["off"], reason: "no ACPI tables are made" },
  spcr: { help: "on|off: no meaning without ACPI", accept: ["on", "off"] },
  nvdimm: { help: "off", accept: ["off"], reason: NOT_BUILT },
  usb: { help: "off", accept: ["off"], reason: NOT_BUILT },
  graphics: { help: "on|off: there is no display", accept: ["on", "off"] },
  "dump-guest-core": { help: "on|off: no meaning here", accept: ["on", "off"] },
  "mem-merge": { help: "on|off: no meaning here", accept: ["on", "off"] },
  "aux-ram-share": { help: "on|off: no meaning here", accept: ["on", "off"] },
  "suppress-vmdesc": { help: "on|off: no meaning here", accept: ["on", "off"] },
  "kernel-irqchip": { help: "off: no meaning here", accept: ["off", "on", "split"] },
  "dtb-randomness": {
    help: "on|off: random seeds in the device tree",
    apply: (b, v, w) => {
      b.treeRandomness = parseSwitch(w, v);
    },
  },
  "dtb-kaslr-seed": {
    help: "on|off: older name of dtb-randomness",
    apply: (b, v, w) => {
      b.treeRandomness = parseSwitch(w, v);
    },
  },
  dumpdtb: {
    help: "FILE: write the device tree and end",
    apply: (b, v) => {
      b.dumpTree = v;
    },
  },
  accel: {
    help: "tcg|qtest, several with colons",
    apply: (b, v) => {
      b.machineAccelerators = v.split(":");
    },
  },
  kernel: {
    help: "as -kernel",
    apply: (b, v) => {
      b.kernel = v;
    },
  },
  initrd: {
    help: "as -initrd",
    apply: (b, v) => {
      b.initrd = v;
    },
  },
  append: {
    help: "as -append",
    apply: (b, v) => {
      b.append = v;
    },
  },
  dtb: {
    help: "as -dtb",
    apply: (b, v) => {
      b.dtb = v;
    },
  },
  firmware: {
    help: "as -bios",
    apply: (b, v) => {
      b.bios = v;
    },
  },
};

export function applyMachine(b: Builder, text: string, where: string): void {
  if (text === "help" || text === "?") throw new TextRequest(MACHINES);
  const list = new KeyValues(where, text, "type");
  const type = list.text("type");
  if (type !== undefined && !/^virt(-\d+\.\d+)?$/.test(type)) {
    throw new InputError(`${where}: machine "${type}": expected virt`);
  }
  if (list.keys.includes("help")) {
    const lines = Object.entries(PROPERTIES).map(([name, p]) => `  ${name}=${p.help}`);
    throw new TextRequest(`virt options:\n${lines.sort().join("\n")}\n`);
  }
  for (const key of list.keys) {
    if (key === "type") continue;
    const value = list.text(key) as string;
    if (key.startsWith("memory") || key.startsWith("smp") || key.startsWith("boot")) {
      throw new InputError(`${where}: ${key}: not supported by Armature: use -m, -smp or -boot`);
    }
    const property = Object.hasOwn(PROPERTIES, key) ? PROPERTIES[key] : undefined;
    if (property === undefined) {
      throw new InputError(`${where}: machine virt has no property "${key}": -M virt,help lists them`);
    }
    const what = `${where}: ${key}`;
    if (property.apply) property.apply(b, value, what);
    else if (!property.accept?.includes(value)) {
      const expected = property.accept?.join(", ") ?? "";
      if (property.reason === undefined || !plausible(value)) {
        throw new InputError(`${what}="${value}": expected ${expected}`);
      }
      throw new InputError(`${what}=${value}: not supported by Armature: ${property.reason}; expected ${expected}`);
    }
  }
}

/** Values that QEMU would take: worth the reason instead of a plain complaint. */
function plausible(value: string): boolean {
  return /^(on|off|auto|yes|no|true|false|[2-4]|host|max|smmuv3)$/.test(value);
}

export function applyCpu(b: Builder, text: string, where: string): void {
  if (text === "help" || text === "?") {
    const lines = Object.entries(CPU_MODELS).map(([name, title]) => `  ${name.padEnd(16)}${title}`);
    throw new TextRequest(`Available CPUs:\n${lines.join("\n")}\n`);
  }
  const [model = "", ...properties] = text.split(",");
  if (!Object.hasOwn(CPU_MODELS, model)) {
    const known = Object.keys(CPU_MODELS).join(", ");
    if (model === "host")
      throw new InputError(`${where}: not supported by Armature: no host CPU is used; expected ${known}`);
    throw new InputError(`${where}: CPU model "${model}": expected ${known}`);
  }
  for (const property of properties) {
    const [name = "", value = "on"] = property.split("=");
    // What the models have, or lack, anyway.
    const accepted: { readonly [name: string]: string } = {
      aarch64: "on",
      pmu: "on",
      has_el3: "off",
      mte: "off",
      sve: "off",
    };
    if (accepted[name] !== value) {
      throw new InputError(`${where}: property "${property}": not supported by Armature: CPU features are the model's`);
    }
  }
  b.cpuModel = model;
}

export function applySmp(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text, "cpus");
  const read = (key: string) => list.integer(key, 1, 65_536);
  const given = read("cpus");
  const maximum = read("maxcpus");
  const levels = ["drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads"].map((name) => ({
    name,
    value: read(name),
  }));
  list.finish();
  const named = levels.filter((l) => l.value !== undefined);
  const product = named.reduce((n, l) => n * (l.value as number), 1);
  const cpus = given ?? maximum ?? (named.length > 0 ? product : 1);
  const total = maximum ?? cpus;
  if (total < cpus) throw new InputError(`${where}: maxcpus=${total}: expected at least the ${cpus} CPUs`);
  if (named.length > 1 && product !== total) {
    const text = named.map((l) => `${l.name} (${l.value})`).join(" * ");
    throw new InputError(`${where}: ${text} is ${product}: expected the number of CPUs, ${total}`);
  }
  if (named.length === 1 && total % product !== 0) {
    throw new InputError(`${where}: ${named[0]?.name}=${product}: expected a divisor of the number of CPUs, ${total}`);
  }
  if (total > MAX_CPUS) {
    throw new InputError(`${where}: ${total} CPUs: expected at most ${MAX_CPUS}, as many as a GICv2 serves`);
  }
  if (total !== cpus)
    throw new InputError(`${where}: maxcpus=${total}: not supported by Armature: no CPU can be added later`);
  b.cpus = cpus;
}

export function applyMemory(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text, "size");
  const size = list.text("size");
  const maximum = list.text("maxmem");
  const slots = list.text("slots");
  list.finish("size=SIZE");
  if (maximum !== undefined || slots !== undefined) {
    throw new InputError(`${where}: not supported by Armature: no memory can be added later`);
  }
  const bytes = Math.ceil(parseSize(`${where}: size`, size ?? "", 2 ** 20) / 4096) * 4096;
  if (bytes < 2 ** 20 || bytes > MAX_MEMORY) {
    throw new InputError(`${where}: ${bytes} bytes: expected 1M to ${MAX_MEMORY / 2 ** 30}G`);
  }
  b.memory = bytes;
}

export function applyAccelerator(b: Builder, text: string, where: string): void {
  if (text === "help" || text === "?") throw new TextRequest("Accelerators supported by Armature:\ntcg\nqtest\n");
  const list = new KeyValues(where, text, "accel");
  const name = list.required("accel", "tcg or qtest");
  if (!["tcg", "qtest", "kvm", "xen", "hvf", "nvmm", "whpx", "mshv", "nitro"].includes(name)) {
    throw new InputError(`${where}: accelerator "${name}": expected tcg or qtest`);
  }
  if (name === "tcg") {
    // How the host executes is Armature's own business and never changes a result.
    list.choice("thread", ["single", "multi"]);
    list.flag("split-wx");
    list.flag("one-insn-per-tb");
    list.text("tb-size");
    list.finish();
  }
  b.accelerators.push(name);
}

export function applyInstructionCount(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text, "shift");
  const shift = list.text("shift");
  const rr = list.text("rr");
  if (rr !== undefined || list.text("rrfile") !== undefined || list.text("rrsnapshot") !== undefined) {
    throw new InputError(
      `${where}: rr: not supported by Armature: runs are deterministic; repeat one with the same --seed`,
    );
  }
  if (list.flag("align") === true) {
    throw new InputError(`${where}: align=on: not supported by Armature: a busy guest runs as fast as the host can`);
  }
  const sleep = list.flag("sleep");
  list.finish();
  if (shift !== undefined && shift !== "auto") b.instructionTime = 2 ** parseInteger(`${where}: shift`, shift, 0, 10);
  if (sleep !== undefined) b.throttle = sleep;
}
