import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { P9Server } from "../../src/devices/virtio/index.ts";
import { InputError } from "../../src/formats/index.ts";
import { Folder } from "../../src/host/files/folder.ts";
import { check } from "../support/soak.ts";

// Message types and layouts are those of Linux include/net/9p/9p.h and of the 9P2000.L protocol page.
const le = (n: number, bytes: number) => Array.from({ length: bytes }, (_, i) => Math.floor(n / 256 ** i) & 0xff);
const str = (s: string) => [...le(s.length, 2), ...new TextEncoder().encode(s)];

let base: string;
let root: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "armature-9p-"));
  root = join(base, "shared");
  mkdirSync(join(root, "sub"), { recursive: true });
  writeFileSync(join(root, "hello.txt"), "hello, guest");
  writeFileSync(join(root, "sub", "deep"), "deep");
  writeFileSync(join(base, "secret"), "not for guests");
  symlinkSync("..", join(root, "up"));
  symlinkSync("../secret", join(root, "leak"));
});
afterEach(() => rmSync(base, { recursive: true }));

class Client {
  readonly server: P9Server;
  readonly fids = new Map();
  constructor(readOnly = true) {
    this.server = new P9Server(new Folder("-fsdev", root, readOnly), { messageSize: 8192, fids: this.fids });
    this.call(100, [...le(8192, 4), ...str("9P2000.L")]);
    this.call(104, [...le(0, 4), ...le(0xffffffff, 4), ...str("root"), ...str(""), ...le(0, 4)]);
  }
  /** The body of the reply, or the error number as a negative number. */
  call(type: number, body: number[]): Uint8Array | number {
    const message = Uint8Array.from([...le(body.length + 7, 4), type, ...le(1, 2), ...body]);
    const reply = this.server.answer(message);
    const view = new DataView(reply.buffer, reply.byteOffset, reply.byteLength);
    expect(view.getUint32(0, true)).toBe(reply.length);
    expect(view.getUint16(5, true)).toBe(1);
    if (reply[4] === 7) return -view.getUint32(7, true);
    expect(reply[4]).toBe(type + 1);
    return reply.slice(7);
  }
  walk(fid: number, ...names: string[]) {
    return this.call(110, [...le(0, 4), ...le(fid, 4), ...le(names.length, 2), ...names.flatMap(str)]);
  }
  open(fid: number, flags = 0) {
    return this.call(12, [...le(fid, 4), ...le(flags, 4)]);
  }
  read(fid: number, offset = 0, count = 100): string | number {
    const r = this.call(116, [...le(fid, 4), ...le(offset, 8), ...le(count, 4)]);
    return typeof r === "number" ? r : new TextDecoder().decode(r.subarray(4));
  }
}

describe("9P2000.L over a host folder", () => {
  it("Tversion gives the smaller message size and the protocol", () => {
    const r = new Client().call(100, [...le(4096, 4), ...str("9P2000.L")]) as Uint8Array;
    expect([...r]).toEqual([...le(4096, 4), ...str("9P2000.L")]);
    expect([...(new Client().call(100, [...le(4096, 4), ...str("9P2000.u")]) as Uint8Array)].slice(4)).toEqual(
      str("unknown"),
    );
  });

  it("walks, opens and reads a file, at offsets", () => {
    const c = new Client();
    expect(c.walk(1, "hello.txt")).toHaveLength(2 + 13);
    expect(c.read(1)).toBe(-9);
    c.open(1);
    expect(c.read(1)).toBe("hello, guest");
    expect(c.read(1, 7, 3)).toBe("gue");
    expect(c.read(1, 100)).toBe("");
  });

  it("Tgetattr gives mode and size", () => {
    const c = new Client();
    c.walk(1, "hello.txt");
    const r = c.call(24, [...le(1, 4), ...le(0x7ff, 8)]) as Uint8Array;
    const view = new DataView(r.buffer, r.byteOffset);
    expect(view.getUint32(21, true) & 0o170000).toBe(0o100000);
    expect(view.getUint32(21 + 12 + 8 + 8, true)).toBe(12);
  });

  it("Treaddir lists every entry once, whatever the size of the pieces", () => {
    const c = new Client();
    c.walk(1);
    c.open(1);
    const names: string[] = [];
    for (let offset = 0, more = true; more; ) {
      const r = c.call(40, [...le(1, 4), ...le(offset, 8), ...le(60, 4)]) as Uint8Array;
      const view = new DataView(r.buffer, r.byteOffset);
      more = view.getUint32(0, true) > 0;
      for (let at = 4; at < r.length; ) {
        offset = view.getUint32(at + 13, true);
        const n = view.getUint16(at + 22, true);
        names.push(new TextDecoder().decode(r.subarray(at + 24, at + 24 + n)));
        at += 24 + n;
      }
    }
    expect(names).toEqual([".", "..", "hello.txt", "leak", "sub", "up"]);
  });

  it(".. stops at the root", () => {
    const c = new Client();
    expect(c.walk(1, "..", "..", "hello.txt")).toHaveLength(2 + 3 * 13);
    expect(c.walk(1, "..", "secret")).toHaveLength(2 + 13);
  });

  it.each([["../secret"], ["sub/../../secret"], ["a\0b"], [""], ["."]])("a name %j is EINVAL", (name) => {
    expect(new Client().walk(1, name)).toBe(-22);
  });

  it("a link out of the folder is shown, never followed: no walk through it, no read of its target", () => {
    const c = new Client();
    expect((c.walk(1, "up", "secret") as Uint8Array)[0]).toBe(1);
    expect((c.walk(2, "leak") as Uint8Array)[2]).toBe(2); // QTSYMLINK
    c.open(2);
    expect(c.read(2)).toBe(-22);
    const target = c.call(22, le(2, 4)) as Uint8Array;
    expect(new TextDecoder().decode(target.subarray(2))).toBe("../secret");
  });

  it("read-only: every change is EROFS and nothing happens", () => {
    const c = new Client();
    c.walk(1, "hello.txt");
    expect(c.open(1, 1)).toBe(-30);
    c.walk(2);
    expect(c.call(14, [...le(2, 4), ...str("new"), ...le(1, 4), ...le(0o644, 4), ...le(0, 4)])).toBe(-30);
    expect(c.call(72, [...le(2, 4), ...str("dir"), ...le(0o755, 4), ...le(0, 4)])).toBe(-30);
    expect(c.call(76, [...le(2, 4), ...str("hello.txt"), ...le(0, 4)])).toBe(-30);
    expect(readFileSync(join(root, "hello.txt"), "utf8")).toBe("hello, guest");
  });

  it("writable: create, write, rename, unlink", () => {
    const c = new Client(false);
    c.walk(1);
    expect(c.call(14, [...le(1, 4), ...str("new"), ...le(2, 4), ...le(0o644, 4), ...le(0, 4)])).toHaveLength(17);
    expect([...(c.call(118, [...le(1, 4), ...le(0, 8), ...le(3, 4), 97, 98, 99]) as Uint8Array)]).toEqual(le(3, 4));
    expect(readFileSync(join(root, "new"), "utf8")).toBe("abc");
    expect(c.call(74, [...le(0, 4), ...str("new"), ...le(0, 4), ...str("newer")])).toHaveLength(0);
    c.open(1);
    expect(c.read(1)).toBe("abc");
    expect(c.call(76, [...le(0, 4), ...str("newer"), ...le(0, 4)])).toHaveLength(0);
    expect(c.walk(3, "newer")).toBe(-2);
  });

  it("a folder that is none is refused with its name", () => {
    expect(() => new Folder("-fsdev", join(root, "nowhere"), true)).toThrow(InputError);
    expect(() => new Folder("-fsdev", join(root, "hello.txt"), true)).toThrow("expected a folder to share");
  });

  it("property: no message throws or changes a read-only folder", () => {
    const c = new Client();
    const types = [
      8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 40, 50, 52, 54, 70, 72, 74, 76, 104, 108, 110, 116, 118, 120, 122,
    ];
    check(
      fc.property(fc.constantFrom(...types), fc.uint8Array({ maxLength: 64 }), (type, body) => {
        if (body.length > 3) body.fill(0, 0, 4);
        const reply = c.server.answer(Uint8Array.from([...le(body.length + 7, 4), type, 1, 0, ...body]));
        expect(reply.length).toBeGreaterThanOrEqual(7);
        c.fids.set(0, { path: [], open: true });
      }),
      { numRuns: 1500 },
    );
    expect(readFileSync(join(root, "hello.txt"), "utf8")).toBe("hello, guest");
    expect(readFileSync(join(base, "secret"), "utf8")).toBe("not for guests");
  });
});
