/** Initramfs images of the guests with files of a test's own: the kernel unpacks archives that follow one another. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { requireGuest } from "./machines.ts";

export class Initramfs implements Disposable {
  readonly path: string;
  readonly #folder: string;

  /**
   * An initramfs (the small one unless named) and scripts by name, which `vptest=NAME` on the kernel's command line runs; and other files by path,
   * in folders that the initramfs has.
   */
  constructor(
    scripts: Readonly<Record<string, string>>,
    others: Readonly<Record<string, Uint8Array>> = {},
    image = "initrd-min.cpio.gz",
  ) {
    this.#folder = mkdtempSync(join(tmpdir(), "armature-initramfs-"));
    this.path = join(this.#folder, "initrd.gz");
    const files = [
      ...Object.entries(scripts).map(([name, text]) => ({ name: `vptest/${name}.sh`, data: Buffer.from(text) })),
      ...Object.entries(others).map(([name, data]) => ({ name, data: Buffer.from(data) })),
    ];
    const base = readFileSync(requireGuest(image));
    writeFileSync(this.path, Buffer.concat([base, gzipSync(archive(files))]));
  }
  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/** A cpio archive ("newc", Linux Documentation/driver-api/early-userspace/buffer-format.rst). */
function archive(files: readonly { readonly name: string; readonly data: Buffer }[]): Buffer {
  const parts: Buffer[] = [];
  const entry = (name: string, mode: number, data: Buffer, inode: number) => {
    const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
    const header = Buffer.from(
      `070701${fields.map((n) => n.toString(16).padStart(8, "0")).join("")}${name}\0`,
      "latin1",
    );
    for (const part of [header, data]) parts.push(part, Buffer.alloc(-part.length & 3));
  };
  files.forEach(({ name, data }, n) => {
    entry(name, 0o100755, data, n + 1);
  });
  entry("TRAILER!!!", 0, Buffer.alloc(0), 0);
  return Buffer.concat(parts);
}
