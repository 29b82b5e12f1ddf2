/**
 * One connection of GDB's remote protocol: the machine's CPUs are its threads (numbered from 1), all of them stop together. Packets are those
 * of the GDB manual, appendix "Remote Protocol"; one that is not known gets the empty answer, as the manual asks.
 */
import { targetDescription } from "./features.ts";
import { escapeBinary, fromHex, latin1, PACKET_SIZE, PacketStream, toHex, unescapeBinary, utf8 } from "./packets.ts";
import type { CpuAction, DebugTarget, StopReason, WatchKind } from "./target.ts";

const SIGINT = 2;
const SIGTRAP = 5;
/** Register numbers in every stop reply, so that a stepping GDB need not ask for them. */
const EXPEDITED = [29, 31, 32];

/** Answers of the manual's error form. */
const BAD_REQUEST = "E01";
const BAD_ADDRESS = "E14";
const NO_RESOURCE = "E22";

export class GdbSession {
  readonly #target: DebugTarget;
  readonly #stream: PacketStream;
  readonly #files: ReadonlyMap<string, string>;
  #general = 0;
  #step = 0;
  #physical = false;
  #swbreak = false;
  #hwbreak = false;
  #stop: StopReason = { kind: "interrupt", cpu: 0 };
  /** A resume is under way whose stop has not been reported. */
  #awaited = false;
  #left = false;

  constructor(target: DebugTarget, write: (text: string) => void) {
    this.#target = target;
    this.#files = targetDescription(target.registers);
    this.#stream = new PacketStream(
      { packet: (data) => this.#packet(data), interrupt: () => target.interrupt() },
      write,
    );
    target.onStop = (reason) => this.#stopped(reason);
  }

  /** A debugger has connected: the machine stops for it. */
  open(): void {
    if (this.#target.running) this.#target.interrupt();
  }

  receive(text: string): void {
    this.#stream.receive(text);
  }

  /** The connection is gone; without a detach the machine goes on without its breakpoints. */
  close(): void {
    this.#target.onStop = null;
    if (!this.#left) this.#target.detach();
    this.#left = true;
  }

  #packet(data: string): void {
    const answer = this.#answer(data);
    if (answer !== null) this.#stream.send(answer);
  }

  /** The answer, or null where there is none now. */
  #answer(data: string): string | null {
    const rest = data.slice(1);
    switch (data[0]) {
      case "?":
        return this.#stopReply();
      case "!":
        return "OK";
      case "g":
        return this.#readAll();
      case "G":
        return this.#writeAll(rest);
      case "p":
        return this.#readOne(rest);
      case "P":
        return this.#writeOne(rest);
      case "m":
        return this.#readMemory(rest);
      case "M":
      case "X":
        return this.#writeMemory(rest, data[0] === "X");
      case "c":
      case "s":
        return this.#resumeAt(rest, data[0] === "s");
      case "C":
      case "S":
        return this.#resumeAt(/^[0-9a-fA-F]+;?(.*)$/.exec(rest)?.[1] ?? "", data[0] === "S");
      case "Z":
      case "z":
        return this.#point(rest, data[0] === "Z");
      case "H":
        return this.#chooseThread(rest);
      case "T":
        return this.#threadOf(rest) === null ? BAD_REQUEST : "OK";
      case "D":
        this.#left = true;
        this.#target.detach();
        return "OK";
      case "k":
        this.#left = true;
        this.#target.kill();
        return null;
      case "v":
        return this.#verbose(data);
      case "q":
        return this.#query(data);
      case "Q":
        return this.#set(data);
      default:
        return "";
    }
  }

  #verbose(data: string): string | null {
    if (data === "vCont?") return "vCont;c;C;s;S";
    if (data.startsWith("vCont;")) return this.#continue(data.slice(6));
    if (data.startsWith("vKill")) {
      this.#left = true;
      this.#stream.send("OK");
      this.#target.kill();
      return null;
    }
    if (data.startsWith("vAttach;")) return this.#stopReply();
    return "";
  }

  #query(data: string): string {
    if (data.startsWith("qSupported")) return this.#supported(data);
    if (data.startsWith("qXfer:features:read:")) return this.#transfer(data.slice(20));
    if (data === "qAttached" || data.startsWith("qAttached:")) return "1";
    if (data === "qC") return `QC${threadId(this.#general)}`;
    if (data === "qfThreadInfo") {
      return `m${Array.from({ length: this.#target.cpus }, (_, cpu) => threadId(cpu)).join(",")}`;
    }
    if (data === "qsThreadInfo") return "l";
    if (data.startsWith("qThreadExtraInfo,")) {
      const cpu = this.#threadOf(data.slice(17));
      return cpu === null ? BAD_REQUEST : toHex(utf8(this.#target.describe(cpu)));
    }
    if (data.startsWith("qRcmd,")) return this.#monitor(data.slice(6));
    if (data.startsWith("qSymbol:")) return "OK";
    if (data === "qqemu.PhyMemMode") return this.#physical ? "1" : "0";
    return "";
  }

  #set(data: string): string {
    if (data === "QStartNoAckMode") {
      this.#stream.acknowledge = false;
      return "OK";
    }
    if (data.startsWith("Qqemu.PhyMemMode:")) {
      this.#physical = data.slice(17) !== "0";
      return "OK";
    }
    return "";
  }

  #supported(data: string): string {
    const theirs = data.slice("qSupported:".length).split(";");
    this.#swbreak = theirs.includes("swbreak+");
    this.#hwbreak = theirs.includes("hwbreak+");
    return [
      `PacketSize=${PACKET_SIZE.toString(16)}`,
      "qXfer:features:read+",
      "QStartNoAckMode+",
      "vContSupported+",
      "swbreak+",
      "hwbreak+",
    ].join(";");
  }

  #transfer(request: string): string {
    const m = /^([^:]*):([0-9a-fA-F]+),([0-9a-fA-F]+)$/.exec(request);
    if (m === null) return BAD_REQUEST;
    const file = this.#files.get(m[1] as string);
    if (file === undefined) return "E00";
    const offset = Number.parseInt(m[2] as string, 16);
    const length = Math.min(Number.parseInt(m[3] as string, 16), PACKET_SIZE - 8);
    const part = file.slice(offset, offset + length);
    return `${offset + length < file.length ? "m" : "l"}${escapeBinary(part)}`;
  }

  #monitor(hex: string): string {
    const bytes = fromHex(hex);
    if (bytes === null) return BAD_REQUEST;
    const output = this.#target.monitor(new TextDecoder().decode(bytes), this.#general);
    const text = toHex(utf8(output.replaceAll("\r\n", "\n")));
    for (let at = 0; at < text.length; at += PACKET_SIZE - 8)
      this.#stream.send(`O${text.slice(at, at + PACKET_SIZE - 8)}`);
    return "OK";
  }

  // Registers

  /** The core registers only: GDB asks for the others one by one where it shows them. */
  #readAll(): string {
    let text = "";
    this.#target.registers.forEach((r, i) => {
      if (r.group !== "core") return;
      const value = this.#target.readRegister(this.#general, i);
      text += value === null ? "xx".repeat(r.bits / 8) : toHex(value);
    });
    return text;
  }

  #writeAll(hex: string): string {
    const bytes = fromHex(hex);
    if (bytes === null) return BAD_REQUEST;
    let at = 0;
    this.#target.registers.forEach((r, i) => {
      const size = r.bits / 8;
      if (r.group !== "core" || at + size > bytes.length) return;
      this.#target.writeRegister(this.#general, i, bytes.subarray(at, at + size));
      at += size;
    });
    return "OK";
  }

  #readOne(request: string): string {
    const index = parseHex(request);
    const register = this.#target.registers[index];
    if (register === undefined) return BAD_REQUEST;
    const value = this.#target.readRegister(this.#general, index);
    return value === null ? "xx".repeat(register.bits / 8) : toHex(value);
  }

  #writeOne(request: string): string {
    const [number = "", hex = ""] = request.split("=");
    const index = parseHex(number);
    const register = this.#target.registers[index];
    const value = fromHex(hex);
    if (register === undefined || value === null || value.length !== register.bits / 8) return BAD_REQUEST;
    return this.#target.writeRegister(this.#general, index, value) ? "OK" : NO_RESOURCE;
  }

  // Memory

  #readMemory(request: string): string {
    const range = parseRange(request);
    if (range === null) return BAD_REQUEST;
    const length = Math.min(range.length, (PACKET_SIZE - 8) / 2);
    const data = this.#physical
      ? this.#target.readPhysical(range.address, length)
      : this.#target.readMemory(this.#general, range.address, length);
    return data.length === 0 && length > 0 ? BAD_ADDRESS : toHex(data);
  }

  #writeMemory(request: string, binary: boolean): string {
    const colon = request.indexOf(":");
    const range = parseRange(request.slice(0, colon));
    if (colon < 0 || range === null) return BAD_REQUEST;
    const text = request.slice(colon + 1);
    const data = binary ? latin1(unescapeBinary(text)) : fromHex(text);
    if (data === null || data.length !== range.length) return BAD_REQUEST;
    if (data.length === 0) return "OK";
    const done = this.#physical
      ? this.#target.writePhysical(range.address, data)
      : this.#target.writeMemory(this.#general, range.address, data);
    return done ? "OK" : BAD_ADDRESS;
  }

  // Breakpoints and watchpoints

  #point(request: string, insert: boolean): string {
    const m = /^([0-4]),([0-9a-fA-F]+),([0-9a-fA-F]+)/.exec(request);
    if (m === null) return request[0] !== undefined && request[0] > "4" ? "" : BAD_REQUEST;
    const address = BigInt(`0x${m[2]}`);
    const target = this.#target;
    const type = Number(m[1]);
    if (type <= 1) {
      const done = insert ? target.setBreakpoint(address, type === 1) : target.clearBreakpoint(address, type === 1);
      return done ? "OK" : NO_RESOURCE;
    }
    const length = parseHex(m[3] as string);
    const kind = (["write", "read", "access"] as const)[type - 2] as WatchKind;
    const done = insert ? target.setWatchpoint(address, length, kind) : target.clearWatchpoint(address, length, kind);
    return done ? "OK" : NO_RESOURCE;
  }

  // Threads

  #chooseThread(request: string): string {
    const cpu = this.#threadOf(request.slice(1));
    if (cpu === null) return BAD_REQUEST;
    if (request[0] === "g") this.#general = cpu < 0 ? this.#general : cpu;
    else if (request[0] === "c") this.#step = cpu;
    else return BAD_REQUEST;
    return "OK";
  }

  /** CPU of a thread id: -1 for all of them, null where there is none such. 0 means any: the current one. */
  #threadOf(text: string): number | null {
    const id = text.startsWith("p") ? (text.split(".")[1] ?? "-1") : text;
    if (id === "-1") return -1;
    const n = parseHex(id);
    if (Number.isNaN(n) || n > this.#target.cpus) return null;
    return n === 0 ? this.#general : n - 1;
  }

  // Running

  #resumeAt(address: string, step: boolean): string | null {
    if (address !== "") {
      const value = new Uint8Array(8);
      if (!/^[0-9a-fA-F]{1,16}$/.test(address)) return BAD_REQUEST;
      new DataView(value.buffer).setBigUint64(0, BigInt(`0x${address}`), true);
      this.#target.writeRegister(this.#general, 32, value);
    }
    const chosen = step && this.#step < 0 ? this.#general : this.#step;
    return this.#resume(
      Array.from({ length: this.#target.cpus }, (_, cpu) =>
        step && cpu === chosen ? "step" : step ? "hold" : "continue",
      ),
    );
  }

  /** `vCont`: the leftmost action that names a thread, or none, is that thread's. */
  #continue(text: string): string | null {
    const actions: (CpuAction | undefined)[] = new Array(this.#target.cpus).fill(undefined);
    for (const part of text.split(";")) {
      const m = /^([cCsS])[0-9a-fA-F]*(?::(.+))?$/.exec(part);
      if (m === null) return BAD_REQUEST;
      const action = (m[1] as string).toLowerCase() === "s" ? "step" : "continue";
      const cpu = m[2] === undefined ? -1 : this.#threadOf(m[2]);
      if (cpu === null) return BAD_REQUEST;
      for (let n = 0; n < actions.length; n++) if (cpu < 0 || cpu === n) actions[n] ??= action;
    }
    return this.#resume(actions.map((a) => a ?? "hold"));
  }

  #resume(actions: readonly CpuAction[]): null {
    this.#awaited = true;
    this.#target.resume(actions);
    return null;
  }

  #stopped(reason: StopReason): void {
    this.#stop = reason;
    if (reason.kind !== "exit") this.#general = reason.cpu;
    if (!this.#awaited) return;
    this.#awaited = false;
    this.#stream.send(this.#stopReply());
  }

  #stopReply(): string {
    const stop = this.#stop;
    if (stop.kind === "exit") return `W${stop.code.toString(16).padStart(2, "0")}`;
    const signal = stop.kind === "interrupt" ? SIGINT : SIGTRAP;
    let text = `T${signal.toString(16).padStart(2, "0")}thread:${threadId(stop.cpu)};`;
    if (stop.kind === "breakpoint" && stop.hardware && this.#hwbreak) text += "hwbreak:;";
    if (stop.kind === "breakpoint" && !stop.hardware && this.#swbreak) text += "swbreak:;";
    if (stop.kind === "watchpoint") {
      const name = { write: "watch", read: "rwatch", access: "awatch" }[stop.access];
      text += `${name}:${stop.address.toString(16)};`;
    }
    for (const n of EXPEDITED) {
      const value = this.#target.readRegister(stop.cpu, n);
      if (value !== null) text += `${n.toString(16).padStart(2, "0")}:${toHex(value)};`;
    }
    return text;
  }
}

function threadId(cpu: number): string {
  return (cpu + 1).toString(16).padStart(2, "0");
}

function parseHex(text: string): number {
  return /^[0-9a-fA-F]{1,8}$/.test(text) ? Number.parseInt(text, 16) : Number.NaN;
}

function parseRange(text: string): { address: bigint; length: number } | null {
  const m = /^([0-9a-fA-F]{1,16}),([0-9a-fA-F]{1,8})$/.exec(text);
  return m === null ? null : { address: BigInt(`0x${m[1]}`), length: Number.parseInt(m[2] as string, 16) };
}
