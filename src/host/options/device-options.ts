/** `-device`, `-drive`, `-pflash`, `-fw_cfg`, `-global`, `-netdev` and the like. */
import { InputError } from "../../formats/index.ts";
import { type Builder, TextRequest } from "./builder.ts";
import { optional } from "./chardev-spec.ts";
import { applyDisk } from "./disk-options.ts";
import { applyPcieDevice, PCIE_DEVICES } from "./pcie-options.ts";
import { applyToe, TOE_DEVICES } from "./toe-options.ts";
import { KeyValues, parseInteger, parseWide } from "./values.ts";
import { applyVirtioDevice, VIRTIO_DEVICES } from "./virtio-options.ts";

const DEVICES = `Devices:
loader    load a file or a few bytes, or set a CPU's start address:
          -device loader,file=FILE[,addr=A][,cpu-num=N][,force-raw=on|off]
          -device loader,addr=A,data=VALUE,data-len=1..8
          -device loader,addr=A,cpu-num=N
${VIRTIO_DEVICES}${TOE_DEVICES}${PCIE_DEVICES}`;

export function applyDevice(b: Builder, text: string, where: string): void {
  if (text === "help" || text === "?" || text === "loader,help") throw new TextRequest(DEVICES);
  const list = new KeyValues(where, text, "driver");
  const driver = list.required("driver", "a device");
  if (driver !== "loader") {
    if (applyToe(b, driver, list) || applyPcieDevice(b, driver, list) || applyVirtioDevice(b, driver, list)) return;
    throw new InputError(
      `${where}: not supported by Armature: device "${driver}": expected one of those that -device help lists`,
    );
  }
  list.text("id");
  const path = list.text("file");
  const address = list.text("addr");
  const cpu = list.integer("cpu-num", 0, b.cpus - 1 < 0 ? 0 : 7);
  const raw = list.flag("force-raw") ?? false;
  const data = list.text("data");
  const length = list.integer("data-len", 1, 8);
  const bigEndian = list.flag("data-be") ?? false;
  list.finish();
  const at = address === undefined ? undefined : parseWide(`${where}: addr`, address);
  if (data !== undefined || length !== undefined) {
    if (data === undefined || length === undefined || at === undefined || path !== undefined) {
      throw new InputError(`${where}: expected data=, data-len= and addr= together, without file=`);
    }
    const value = parseWide(`${where}: data`, data);
    if (value >= 1n << BigInt(8 * length))
      throw new InputError(`${where}: data=${data}: expected a value of ${length} bytes`);
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[bigEndian ? length - 1 - i : i] = Number((value >> BigInt(8 * i)) & 0xffn);
    b.loaders.push({ kind: "data", address: at, bytes });
    return;
  }
  if (path !== undefined) {
    b.loaders.push({ kind: "file", path, raw, ...optional("address", at), ...optional("cpu", cpu) });
    return;
  }
  if (at === undefined || cpu === undefined) {
    throw new InputError(`${where}: expected file=, or addr= with data= and data-len=, or addr= with cpu-num=`);
  }
  b.loaders.push({ kind: "entry", address: at, cpu });
}

export function applyDrive(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text);
  const kind = list.text("if") ?? "virtio";
  if (kind !== "pflash") {
    applyDisk(b, list, kind);
    return;
  }
  const path = list.required("file", "the image's path");
  const format = list.text("format") ?? "raw";
  if (format !== "raw") throw new InputError(`${where}: format=${format}: not supported by Armature: expected raw`);
  const unit = list.integer("unit", 0, 1) ?? list.integer("index", 0, 1);
  const readOnly = list.flag("readonly") ?? list.flag("read-only") ?? false;
  const snapshot = list.flag("snapshot") ?? false;
  for (const accepted of ["id", "cache", "aio", "media", "bus", "discard", "detect-zeroes", "werror", "rerror"]) {
    list.text(accepted);
  }
  list.finish("if, file, format, unit, index, readonly, snapshot");
  addFlash(b, where, path, unit, readOnly, snapshot);
}

export function addFlash(
  b: Builder,
  where: string,
  path: string,
  unit: number | undefined,
  readOnly = false,
  snapshot = false,
): void {
  const bank = unit ?? [0, 1].find((n) => !b.flash.some((f) => f.bank === n));
  if (bank === undefined) throw new InputError(`${where}: both flash banks have an image: expected at most two`);
  const other = b.flash.find((f) => f.bank === bank);
  if (other)
    throw new InputError(`${where}: flash bank ${bank} has the image "${other.path}": expected one image a bank`);
  b.flash.push({ bank, path, readOnly, writeBack: !readOnly && !snapshot });
}

export function applyFirmwareFile(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text, "name");
  const name = list.required("name", "a name such as opt/org.example/thing");
  const path = list.text("file");
  const string = list.text("string");
  list.finish();
  if (!/^[\x21-\x7e]{1,55}$/.test(name)) {
    throw new InputError(`${where}: name=${name}: expected 1 to 55 printable characters`);
  }
  if ((path === undefined) === (string === undefined)) {
    throw new InputError(`${where}: expected either file=FILE or string=TEXT`);
  }
  if (b.firmwareFiles.some((f) => f.name === name)) throw new InputError(`${where}: "${name}" is there twice`);
  b.firmwareFiles.push({ name, source: path !== undefined ? { path } : { text: string as string } });
}

export function applyGlobal(b: Builder, text: string, where: string): void {
  const list = new KeyValues(where, text);
  let [key, value] = [list.keys[0] ?? "", ""];
  if (key === "driver") {
    key = `${list.required("driver", "a device")}.${list.required("property", "a property")}`;
    value = list.required("value", "a value");
  } else value = list.text(key) ?? "";
  list.finish("DRIVER.PROPERTY=VALUE");
  if (!key.includes(".")) throw new InputError(`${where}: expected DRIVER.PROPERTY=VALUE`);
  if (key === "virtio-mmio.force-legacy") {
    b.legacyVirtio = new KeyValues(where, `force-legacy=${value}`).flag("force-legacy") as boolean;
    return;
  }
  throw new InputError(
    `${where}: not supported by Armature: property "${key}": expected virtio-mmio.force-legacy=on|off`,
  );
}

/** `-netdev`, `-nic`, `-net`, `-audiodev`, `-vga` ...: only "none" can be had. */
export function onlyNone(reason: string): (b: Builder, text: string, where: string) => void {
  return (_b, text, where) => {
    const kind = text.split(",")[0] as string;
    if (kind !== "none" && kind !== "driver=none") {
      throw new InputError(`${where}: not supported by Armature: ${reason}; expected none`);
    }
  };
}

export function applyEscapeCharacter(b: Builder, text: string, where: string): void {
  b.escapeCharacter = parseInteger(where, text, 0, 255);
}
