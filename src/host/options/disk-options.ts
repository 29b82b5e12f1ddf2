/** Disk images: `-drive`, `-blockdev`, `-hda` and the like. */
import { InputError } from "../../formats/index.ts";
import type { Builder } from "./builder.ts";
import type { DiskImage } from "./run-options.ts";
import { KeyValues } from "./values.ts";
import { checkId, NO_COMMON } from "./virtio-requests.ts";

/** `-drive` but for if=pflash. */
export function applyDisk(b: Builder, list: KeyValues, kind: string): void {
  const { where } = list;
  if (kind !== "none" && kind !== "virtio") {
    throw new InputError(`${where}: not supported by Armature: if=${kind}: expected none, virtio or pflash`);
  }
  const path = list.required("file", "the image's path");
  const named = list.text("id");
  const media = list.choice("media", ["disk", "cdrom"]);
  const readOnly = list.flag("readonly") ?? list.flag("read-only") ?? media === "cdrom";
  const snapshot = list.flag("snapshot") ?? false;
  const format = list.text("format");
  for (const taken of [
    "cache",
    "aio",
    "bus",
    "index",
    "unit",
    "discard",
    "detect-zeroes",
    "werror",
    "rerror",
    "file.locking",
  ])
    list.text(taken);
  list.finish("if, file, format, id, media, index, readonly, snapshot, cache");
  const id = named ?? `${kind}${b.virtio.automatic++}`;
  addDrive(b, where, id, { path, readOnly, snapshot, ...rawFormat(where, format) });
  if (kind === "none") return;
  b.virtio.implied.push({
    where,
    make: () => ({ kind: "block", where, image: claimDrive(b, where, id), ...NO_COMMON }),
  });
}

/** `-hda FILE` and its like, `-cdrom FILE`, and QEMU's bare image name. */
export function applyDiskFile(readOnly: boolean): (b: Builder, path: string, where: string) => void {
  return (b, path, where) => {
    const list = new KeyValues(where, `file=${path.replaceAll(",", ",,")}${readOnly ? ",media=cdrom" : ""}`);
    applyDisk(b, list, "virtio");
  };
}

function rawFormat(where: string, format: string | undefined): { probe: boolean } {
  if (format !== undefined && format !== "raw") {
    throw new InputError(
      `${where}: format=${format}: not supported by Armature: expected raw (qemu-img convert -O raw)`,
    );
  }
  return { probe: format === undefined };
}

function addDrive(b: Builder, where: string, id: string, image: DiskImage): void {
  checkId(where, id);
  if (b.virtio.drives.has(id)) throw new InputError(`${where}: there are two drives with id=${id}`);
  b.virtio.drives.set(id, image);
}

export function applyBlockdev(b: Builder, text: string, where: string): void {
  const list = text.startsWith("{")
    ? new KeyValues(where, fromJson(where, text))
    : new KeyValues(where, text, "driver");
  const driver = list.required("driver", "raw or file");
  const id = list.required("node-name", "a name for -device virtio-blk-device,drive=NAME");
  const readOnly = list.flag("read-only");
  for (const taken of [
    "discard",
    "detect-zeroes",
    "auto-read-only",
    "cache.direct",
    "cache.no-flush",
    "aio",
    "locking",
  ])
    list.text(taken);
  for (const taken of ["file.locking", "file.aio", "file.cache.direct", "file.read-only"]) list.text(taken);
  if (driver === "file" || driver === "host_device") {
    const path = list.required("filename", "the image's path");
    list.finish();
    addDrive(b, where, id, { path, readOnly: readOnly ?? false, snapshot: false, probe: false });
    return;
  }
  if (driver !== "raw") {
    throw new InputError(`${where}: driver=${driver}: not supported by Armature: expected raw or file`);
  }
  const nested = list.text("file.filename");
  const other = list.text("file");
  const kind = list.text("file.driver") ?? "file";
  list.finish();
  if (nested !== undefined && kind === "file") {
    addDrive(b, where, id, { path: nested, readOnly: readOnly ?? false, snapshot: false, probe: false });
    return;
  }
  if (other === undefined || nested !== undefined) {
    throw new InputError(`${where}: expected file=NODE, or file.driver=file and file.filename=PATH`);
  }
  const below = b.virtio.drives.get(other);
  if (below === undefined) throw new InputError(`${where}: there is no -blockdev with node-name=${other}`);
  addDrive(b, where, id, { ...below, readOnly: readOnly ?? below.readOnly });
  b.virtio.usedDrives.set(other, where);
}

/** Nested records as QEMU's dotted keys. */
function fromJson(where: string, text: string): string {
  const pairs: string[] = [];
  const visit = (value: unknown, path: string): void => {
    if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) visit(inner, path === "" ? key : `${path}.${key}`);
    } else {
      const word = typeof value === "boolean" ? (value ? "on" : "off") : String(value);
      pairs.push(`${path}=${word.replaceAll(",", ",,")}`);
    }
  };
  try {
    visit(JSON.parse(text), "");
  } catch (error) {
    throw new InputError(`${where}: not JSON: ${(error as Error).message}`);
  }
  return pairs.join(",");
}

/** The drive for the one device that may have it. */
export function claimDrive(b: Builder, where: string, id: string): DiskImage {
  const image = b.virtio.drives.get(id);
  if (image === undefined)
    throw new InputError(`${where}: there is no -drive with id=${id}, nor a -blockdev of that name`);
  const user = b.virtio.usedDrives.get(id);
  if (user !== undefined)
    throw new InputError(`${where}: drive "${id}" is already used by ${user}: expected one device a drive`);
  b.virtio.usedDrives.set(id, where);
  return b.snapshot ? { ...image, snapshot: true } : image;
}
