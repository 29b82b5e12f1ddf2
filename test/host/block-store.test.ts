/** Raw images as files: read-only, written through, and what happens when the host cannot. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StoreError } from "../../src/devices/virtio/index.ts";
import { InputError } from "../../src/formats/index.ts";
import { FileStore } from "../../src/host/files/block-store.ts";

let folder = "";
let path = "";
const contents = Uint8Array.from({ length: 5 * 512 + 100 }, (_, i) => (i * 7 + (i >> 9)) & 0xff);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "armature-store-"));
  path = join(folder, "disk");
  writeFileSync(path, contents);
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("a raw image", () => {
  it("has whole sectors only, and gives what is in the file", () => {
    const store = new FileStore("-drive", path, { readOnly: true });
    expect([store.sectors, store.readOnly]).toEqual([5, true]);
    const data = new Uint8Array(1024);
    store.read(2, data);
    expect([...data]).toEqual([...contents.subarray(1024, 2048)]);
    store.close();
  });

  it("takes writes into the file at once", () => {
    const store = new FileStore("-drive", path, { readOnly: false });
    store.write(3, new Uint8Array(512).fill(0x5a));
    store.flush();
    const expected = contents.slice().fill(0x5a, 3 * 512, 4 * 512);
    expect(Buffer.compare(readFileSync(path), expected)).toBe(0);
    store.close();
  });

  it("reads zeroes where the file has become shorter meanwhile", () => {
    const store = new FileStore("-drive", path, { readOnly: true });
    truncateSync(path, 700);
    const data = new Uint8Array(1024).fill(1);
    store.read(1, data);
    expect([data[0], data[187], data[188], data[1023]]).toEqual([contents[512], contents[699], 0, 0]);
    store.close();
  });

  it("tells of a medium that fails by StoreError, in words", () => {
    const store = new FileStore("-drive", path, { readOnly: true });
    expect(() => store.write(0, new Uint8Array(512))).toThrow(StoreError);
    expect(() => store.flush()).not.toThrow();
    store.close();
    expect(() => store.read(0, new Uint8Array(512))).toThrow(StoreError);
  });

  it.each([
    ["QFI\xfb", "qcow2"],
    ["KDMV", "vmdk"],
    ["vhdxfile", "vhdx"],
    ["<<< Oracle VM", "vdi"],
  ])("is not an image that begins with %j: %s", (magic, name) => {
    writeFileSync(path, Buffer.concat([Buffer.from(magic, "latin1"), Buffer.alloc(1024)]));
    expect(() => new FileStore("-drive x", path, { readOnly: true, probe: true })).toThrow(
      `-drive x: ${path}: a ${name} image: not supported by Armature: expected raw`,
    );
    new FileStore("-drive x", path, { readOnly: true }).close();
  });

  it("two names of one file have one identity", () => {
    const one = new FileStore("-drive", path, { readOnly: true });
    const other = new FileStore("-drive", join(folder, ".", "disk"), { readOnly: true });
    expect(other.identity).toBe(one.identity);
    one.close();
    other.close();
  });

  it("that is missing, a folder or empty is the user's mistake", () => {
    writeFileSync(join(folder, "empty"), "");
    for (const name of ["missing", ".", "empty"]) {
      expect(() => new FileStore("-drive", join(folder, name), { readOnly: true })).toThrow(InputError);
    }
  });
});
