import { describe, expect, it } from "vitest";
import { type FileStatus, type FileTree, type Path, VirtioP9 } from "../../../src/devices/virtio/index.ts";
import { Bench, INTERFACES, le } from "./driver.ts";

const ENOENT = -2;
const EINVAL = -22;
const str = (s: string) => [...le(s.length, 2), ...new TextEncoder().encode(s)];
const message = (type: number, body: number[]) =>
  Uint8Array.from([...le(7 + body.length, 4), type, ...le(5, 2), ...body]);

/** One file, "motd", in memory. */
class OneFile implements FileTree {
  readonly readOnly = true;
  readonly data = new TextEncoder().encode("message of the day");
  status(path: Path): FileStatus | number {
    if (path.length > 1 || (path.length === 1 && path[0] !== "motd")) return ENOENT;
    const mode = path.length === 0 ? 0o040755 : 0o100644;
    const size = path.length === 0 ? 0 : this.data.length;
    return { mode, uid: 0, gid: 0, links: 1, size, inode: path.length + 1, modified: 0, modifiedNs: 0 };
  }
  list(): string[] {
    return ["motd"];
  }
  read(_path: Path, offset: number, into: Uint8Array): number {
    const part = this.data.subarray(offset, offset + into.length);
    into.set(part);
    return part.length;
  }
  write(): number {
    return EINVAL;
  }
  truncate(): number {
    return EINVAL;
  }
  setMode(): number {
    return EINVAL;
  }
  readLink(): number {
    return EINVAL;
  }
  create(): number {
    return EINVAL;
  }
  makeDirectory(): number {
    return EINVAL;
  }
  makeLink(): number {
    return EINVAL;
  }
  remove(): number {
    return EINVAL;
  }
  rename(): number {
    return EINVAL;
  }
}

describe.each(INTERFACES)("virtio 9P transport, %s", (_, legacy) => {
  const setUp = () => {
    const make = (simulation: ConstructorParameters<typeof VirtioP9>[0], port: never) =>
      new VirtioP9(simulation, "share", { port, tree: new OneFile(), tag: "hostshare" });
    const bench = new Bench(make as never, legacy) as Bench<VirtioP9>;
    bench.start();
    const call = (request: Uint8Array, space = 512) => {
      const n = bench.usedIndex(0);
      const at = bench.send(0, [{ data: request }, { space: 7 }, { space: space - 7 }]);
      const { length } = bench.used(0, n);
      return [
        ...bench.bytes(at[1] as number, Math.min(7, length)),
        ...bench.bytes(at[2] as number, Math.max(0, length - 7)),
      ];
    };
    return { bench, call };
  };
  const open = ({ call }: ReturnType<typeof setUp>) => {
    call(message(100, [...le(8192, 4), ...str("9P2000.L")]));
    call(message(104, [...le(0, 4), ...le(0xffff_ffff, 4), ...str("root"), ...str(""), ...le(0, 4)]));
    call(message(110, [...le(0, 4), ...le(1, 4), ...le(1, 2), ...str("motd")]));
    call(message(12, [...le(1, 4), ...le(0, 4)]));
  };
  const readAt = (offset: number, count: number) => message(116, [...le(1, 4), ...le(offset, 8), ...le(count, 4)]);

  it("device id 9, one queue, the mount tag with its length in the configuration, MOUNT_TAG offered", () => {
    const { bench } = setUp();
    expect(bench.read(0x008)).toBe(9);
    expect(bench.features(0) & 0xffff).toBe(1);
    expect(bench.configuration(0, 12)).toEqual([...str("hostshare"), 0]);
  });

  it("a reply goes into the writable part of the chain, across its buffers, and its length is reported", () => {
    const { bench, call } = setUp();
    const reply = call(message(100, [...le(8192, 4), ...str("9P2000.L")]));
    expect(reply).toEqual([...le(7 + 4 + 10, 4), 101, ...le(5, 2), ...le(8192, 4), ...str("9P2000.L")]);
    expect(bench.takeInterrupt()).toBe(1);
  });

  it("a file is read through it", () => {
    const s = setUp();
    open(s);
    const reply = s.call(readAt(11, 100));
    expect(new TextDecoder().decode(Uint8Array.from(reply.slice(11)))).toBe("the day");
  });

  it("a session comes back from a snapshot", () => {
    const s = setUp();
    open(s);
    const other = setUp();
    open(other);
    other.call(message(120, le(1, 4))); // Tclunk
    other.bench.simulation.load(structuredClone(s.bench.simulation.save()));
    expect(other.bench.simulation.stateHash()).toBe(s.bench.simulation.stateHash());
    other.bench.offer(0, 0);
  });

  it("2.1: reset of the device ends the session", () => {
    const s = setUp();
    open(s);
    s.bench.write(0x070, 0);
    s.bench.start();
    const reply = s.call(readAt(0, 10));
    expect([reply[4], ...reply.slice(7)]).toEqual([7, ...le(9, 4)]); // Rlerror, EBADF
  });

  it.each([
    ["shorter than its header", Uint8Array.from([1, 2, 3])],
    ["longer than 1 MiB", new Uint8Array(0x10_0001)],
  ])("a message %s is a guest error; the buffer comes back empty", (__, request) => {
    const { bench, call } = setUp();
    expect(call(request)).toEqual([]);
    expect(bench.usedIndex(0)).toBe(1);
    expect(bench.details).toContain("impossible length");
  });

  it("a reply that does not fit is cut off and reported", () => {
    const { bench, call } = setUp();
    expect(call(message(100, [...le(8192, 4), ...str("9P2000.L")]), 10)).toHaveLength(10);
    expect(bench.details).toContain("reply longer");
  });
});
