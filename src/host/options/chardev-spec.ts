/** What `-serial`, `-monitor`, `-qmp`, `-gdb`, `-qtest` and `-chardev` connect to. */
import { InputError } from "../../formats/index.ts";
import { KeyValues, parseInteger, parseSize } from "./values.ts";

export type SocketAddress = { readonly path: string } | { readonly host: string; readonly port: number };

export interface CharacterOptions {
  /** Several users share the device; Ctrl-A C switches between them. */
  readonly mux?: boolean;
  /** Copy of all output. */
  readonly logFile?: string;
  readonly logAppend?: boolean;
}

export type CharacterSpec = CharacterOptions &
  (
    | { readonly kind: "null" }
    /** `signal`: Ctrl-C ends the program instead of reaching the guest. */
    | { readonly kind: "stdio"; readonly signal: boolean }
    | { readonly kind: "file"; readonly path: string; readonly append: boolean; readonly input?: string }
    | { readonly kind: "pipe"; readonly path: string }
    | {
        readonly kind: "socket";
        readonly address: SocketAddress;
        readonly server: boolean;
        readonly wait: boolean;
        /** Milliseconds between attempts of a client; 0: one attempt. */
        readonly reconnect: number;
      }
    | { readonly kind: "ringbuf"; readonly size: number }
    /** A device that `-chardev` declares. */
    | { readonly kind: "chardev"; readonly id: string }
  );

const LEGACY_KINDS =
  "stdio, null, none, file:PATH, pipe:PATH, unix:PATH[,server=on][,wait=off], tcp:HOST:PORT[,server=on][,wait=off], chardev:ID, mon:DEVICE";

/** The short form, as in `-serial unix:/tmp/s,server=on,wait=off`. `where` is the option with its value. */
export function parseCharacterDevice(where: string, text: string): CharacterSpec {
  if (text.startsWith("mon:")) {
    const inner = parseCharacterDevice(where, text.slice(4));
    return { ...inner, ...(inner.kind === "stdio" ? { signal: false } : {}), mux: true };
  }
  if (text === "null" || text === "none" || text === "vc" || text.startsWith("vc:")) return { kind: "null" };
  if (text === "stdio") return { kind: "stdio", signal: true };
  if (text === "ringbuf") return { kind: "ringbuf", size: 65_536 };
  const colon = text.indexOf(":");
  const [kind, rest] = colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
  switch (kind) {
    case "chardev":
      if (rest === "") throw new InputError(`${where}: expected chardev:ID`);
      return { kind: "chardev", id: rest };
    case "file":
      if (rest === "") throw new InputError(`${where}: expected file:PATH`);
      return { kind: "file", path: rest, append: false };
    case "pipe":
      if (rest === "") throw new InputError(`${where}: expected pipe:PATH`);
      return { kind: "pipe", path: rest };
    case "unix": {
      const list = new KeyValues(where, rest, "path");
      return finishSocket(list, { path: list.required("path", "the socket's path") });
    }
    case "tcp": {
      const list = new KeyValues(where, rest, "address");
      return finishSocket(list, parseHostPort(where, list.text("address") ?? ""));
    }
    default:
      refuseKind(where, kind);
      throw new InputError(`${where}: "${kind}" is no kind of character device: expected ${LEGACY_KINDS}`);
  }
}

const UNSUPPORTED: { readonly [kind: string]: string } = {
  pty: "pseudo-terminals need native code; use unix:PATH,server=on,wait=off and connect a terminal to it",
  telnet: "there is no telnet negotiation; use tcp:",
  websocket: "there are no web sockets; use tcp:",
  udp: "there are no datagram devices; use tcp: or unix:",
  msmouse: "the board has no mouse",
  wctablet: "the board has no tablet",
  braille: "there is no Braille device",
  serial: "host serial ports are not opened; connect one to a socket",
  parallel: "host parallel ports are not opened",
  tty: "host serial ports are not opened; connect one to a socket",
  con: "there is no such console here",
  spicevmc: "there is no SPICE",
  spiceport: "there is no SPICE",
  hub: "hubs of character devices are not built",
  dbus: "there is no D-Bus",
};

function refuseKind(where: string, kind: string): void {
  const reason = UNSUPPORTED[kind];
  if (reason !== undefined) throw new InputError(`${where}: not supported by Armature: ${reason}`);
  if (kind.startsWith("/dev/")) throw new InputError(`${where}: not supported by Armature: ${UNSUPPORTED["serial"]}`);
}

/** The long form, `-chardev KIND,id=ID,...`. */
export function parseChardev(text: string): { id: string; spec: CharacterSpec } {
  const where = `-chardev ${text}`;
  const list = new KeyValues(where, text, "backend");
  const id = list.required("id", "a name");
  if (!/^[A-Za-z][\w.-]*$/.test(id))
    throw new InputError(`${where}: id=${id}: expected a letter, then letters, digits, - . _`);
  const kind = list.required("backend", "null, stdio, file, pipe, socket, ringbuf");
  refuseKind(where, kind);
  const spec = parseBackend(where, kind, list);
  const common: CharacterOptions = {
    ...(list.flag("mux") === true ? { mux: true } : {}),
    ...optional("logFile", list.text("logfile")),
    ...optional("logAppend", list.flag("logappend")),
  };
  list.finish();
  return { id, spec: { ...spec, ...common } };
}

function parseBackend(where: string, kind: string, list: KeyValues): CharacterSpec {
  switch (kind) {
    case "null":
    case "vc":
      return { kind: "null" };
    case "stdio":
      return { kind: "stdio", signal: list.flag("signal") ?? true };
    case "file":
      return {
        kind: "file",
        path: list.required("path", "the file's path"),
        append: list.flag("append") ?? false,
        ...optional("input", list.text("input-path")),
      };
    case "pipe":
      return { kind: "pipe", path: list.required("path", "the pipe's path") };
    case "ringbuf":
    case "memory": {
      const size = parseSize(`${where}: size`, list.text("size") ?? "65536", 1);
      if (size < 1 || size > 2 ** 30 || !Number.isInteger(Math.log2(size))) {
        throw new InputError(`${where}: size=${size}: expected a power of two up to 1G`);
      }
      return { kind: "ringbuf", size };
    }
    case "socket": {
      const path = list.text("path");
      const port = list.text("port");
      if ((path === undefined) === (port === undefined)) {
        throw new InputError(`${where}: expected either path= (Unix socket) or host= and port= (TCP)`);
      }
      const host = list.text("host") ?? "localhost";
      const address = path !== undefined ? { path } : parseHostPort(where, `${host}:${port}`);
      return finishSocket(list, address, false);
    }
    default:
      throw new InputError(
        `${where}: "${kind}" is no kind of character device: expected null, stdio, file, pipe, socket or ringbuf`,
      );
  }
}

function finishSocket(list: KeyValues, address: SocketAddress, whole = true): CharacterSpec {
  const server = list.flag("server") ?? false;
  const wait = list.flag("wait");
  if (wait !== undefined && !server)
    throw new InputError(`${list.where}: wait= is for servers: expected server=on too`);
  const seconds = list.integer("reconnect", 0, 86_400);
  const reconnect = list.integer("reconnect-ms", 0, 86_400_000) ?? (seconds ?? 0) * 1000;
  if (list.flag("telnet") === true || list.flag("websocket") === true) {
    throw new InputError(`${list.where}: not supported by Armature: telnet and web sockets; use the plain socket`);
  }
  if (list.flag("abstract") === true) {
    throw new InputError(`${list.where}: not supported by Armature: abstract socket names; use a path`);
  }
  for (const accepted of ["nodelay", "delay", "tight", "ipv4", "ipv6", "keep-alive"]) list.flag(accepted);
  if (whole) list.finish("server=on|off, wait=on|off, reconnect-ms=N");
  return { kind: "socket", address, server, wait: wait ?? true, reconnect };
}

/** "host:port", ":port", "[::1]:port". */
export function parseHostPort(where: string, text: string): SocketAddress {
  const m = /^(?:\[([^\]]*)\]|([^:]*)):(.+)$/.exec(text);
  if (m === null) throw new InputError(`${where}: "${text}": expected HOST:PORT`);
  const port = parseInteger(`${where}: port`, m[3] as string, 0, 65_535);
  return { host: m[1] ?? m[2] ?? "", port };
}

export function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]?: V });
}
