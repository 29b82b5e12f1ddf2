/**
 * The few calls of Linux that Node lacks: TAP devices (Documentation/networking/tuntap.rst) and Unix datagram sockets. Through koffi, an optional
 * package. Descriptors are non-blocking; waiting for one happens in a thread of the pool.
 */
import { getSystemErrorMap } from "node:util";
import { InputError } from "../../formats/index.ts";

/** fcntl.h, if_tun.h, poll.h, socket.h, eventfd.h; the same on x86 and Arm. */
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETVNETLE = 0x400454dc;
const TUN_F_CSUM = 1;
const TUN_F_TSO4 = 2;
const TUN_F_TSO6 = 4;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const POLLIN = 1;
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const IFREQ_BYTES = 40;
const IFNAMSIZ = 16;
const SUN_PATH = 108;

const EAGAIN = 11;

export interface Native {
  open(path: string, flags: number): number;
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  ioctlValue(fd: number, request: number, value: number): number;
  read(fd: number, buffer: Uint8Array, length: number): number;
  write(fd: number, buffer: Uint8Array, length: number): number;
  close(fd: number): number;
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  sendto(fd: number, data: Uint8Array, length: number, flags: number, address: Uint8Array, size: number): number;
  eventfd(initial: number, flags: number): number;
  /** Waits, in another thread, until one of the descriptors can be read; says which can. */
  wait(descriptors: readonly number[]): Promise<readonly boolean[]>;
  errno(): number;
}

/** Throws InputError where there is no koffi, or no Linux. */
export async function loadNative(where: string): Promise<Native> {
  if (process.platform !== "linux") throw new InputError(`${where}: expected Linux: this is ${process.platform}`);
  let koffi: typeof import("koffi");
  try {
    const loaded = (await import("koffi")) as typeof import("koffi") & { readonly default?: typeof import("koffi") };
    koffi = loaded.default ?? loaded;
  } catch {
    throw new InputError(`${where}: needs the optional package koffi, which is not installed: npm install koffi`);
  }
  const c = koffi.load(null);
  const poll = c.func("int poll(void *fds, unsigned long count, int timeout)");
  return {
    open: c.func("int open(const char *path, int flags)") as Native["open"],
    ioctl: c.func("int ioctl(int fd, unsigned long request, void *argument)") as Native["ioctl"],
    ioctlValue: c.func("int ioctl(int fd, unsigned long request, unsigned long value)") as Native["ioctlValue"],
    read: c.func("long read(int fd, void *buffer, unsigned long length)") as Native["read"],
    write: c.func("long write(int fd, void *buffer, unsigned long length)") as Native["write"],
    close: c.func("int close(int fd)") as Native["close"],
    socket: c.func("int socket(int family, int type, int protocol)") as Native["socket"],
    bind: c.func("int bind(int fd, void *address, unsigned int length)") as Native["bind"],
    sendto: c.func(
      "long sendto(int fd, void *data, unsigned long length, int flags, void *address, unsigned int size)",
    ) as Native["sendto"],
    eventfd: c.func("int eventfd(unsigned int initial, int flags)") as Native["eventfd"],
    wait: (descriptors) => {
      // struct pollfd: descriptor, events, returned events.
      const fds = Buffer.alloc(8 * descriptors.length);
      descriptors.forEach((fd, i) => {
        fds.writeInt32LE(fd, 8 * i);
        fds.writeInt16LE(POLLIN, 8 * i + 4);
      });
      return new Promise((resolve) => {
        poll.async(fds, descriptors.length, -1, () =>
          resolve(descriptors.map((_, i) => fds.readInt16LE(8 * i + 6) !== 0)),
        );
      });
    },
    errno: () => koffi.errno(),
  };
}

function reason(native: Native): string {
  const number = native.errno();
  const known = getSystemErrorMap().get(-number);
  return known === undefined ? `error ${number}` : known[1];
}

/**
 * A TAP device whose frames, both ways, stand behind a header of `headerBytes` (at most 255: struct virtio_net_hdr, least significant byte first), that takes and gives
 * large sends of TCP and frames whose checksum is left to us.
 */
export function openTap(native: Native, where: string, ifname: string, headerBytes: number): number {
  const device = "/dev/net/tun";
  const fd = native.open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    throw new InputError(
      `${where}: ${device}: ${reason(native)}: expected root (or CAP_NET_ADMIN) and Linux's module tun`,
    );
  }
  const request = new Uint8Array(IFREQ_BYTES);
  new TextEncoder().encodeInto(ifname, request.subarray(0, IFNAMSIZ - 1));
  new DataView(request.buffer).setUint16(IFNAMSIZ, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
  if (native.ioctl(fd, TUNSETIFF, request) < 0) {
    const why = reason(native);
    native.close(fd);
    throw new InputError(
      `${where}: interface ${ifname}: ${why}: expected root (or CAP_NET_ADMIN), and a TAP interface that nobody uses`,
    );
  }
  // A persistent interface keeps what its last user wanted: everything is said again.
  native.ioctl(fd, TUNSETVNETHDRSZ, Uint8Array.of(headerBytes, 0, 0, 0));
  native.ioctl(fd, TUNSETVNETLE, Uint8Array.of(1, 0, 0, 0));
  native.ioctlValue(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
  return fd;
}

/** A Unix datagram socket, bound where a path is given. */
export function openUnixDatagram(native: Native, where: string, path: string | undefined): number {
  const fd = native.socket(AF_UNIX, SOCK_DGRAM | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd < 0) throw new InputError(`${where}: no Unix socket: ${reason(native)}`);
  if (path === undefined) return fd;
  const address = unixAddress(where, path);
  if (native.bind(fd, address, address.length) < 0) {
    const why = reason(native);
    native.close(fd);
    throw new InputError(`${where}: ${path}: cannot be bound: ${why}`);
  }
  return fd;
}

/** struct sockaddr_un. */
export function unixAddress(where: string, path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  if (name.length >= SUN_PATH) throw new InputError(`${where}: ${path}: the path of a socket has at most 107 bytes`);
  const address = new Uint8Array(2 + name.length + 1);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  return address;
}

/** Nothing to read, or no room to write. */
export function wouldBlock(native: Native): boolean {
  return native.errno() === EAGAIN;
}
