/**
 * QEMU's qtest protocol: lines of text that read and write the bus, move the clock and watch or drive interrupt pins. This is
 * the protocol alone; a transport feeds it bytes and carries its replies. Replies have QEMU 10's form. A malformed
 * command, on which QEMU aborts, is answered with `FAIL` and the reason.
 */
import { type Target, Transaction } from "../bus/index.ts";
import { NS, type Simulation } from "../sim/index.ts";

/** The pins of one device, as `irq_intercept_*` and `set_irq_in` see them. */
export interface QtestDevice {
  /** Calls `sink` at each change of an unnamed input pin; null where the device has none to watch. */
  watchInputs?(sink: (pin: number, level: boolean) => void): boolean;
  /** Calls `sink` at each change of an output pin of list `name` (null: the unnamed list). */
  watchOutputs(name: string | null, sink: (pin: number, level: boolean) => void): boolean;
  /** Drives an input pin of list `name` (null: unnamed). False where there is no such pin. */
  setInput(name: string | null, pin: number, level: number): boolean;
}

export interface QtestMachine {
  readonly simulation: Simulation;
  readonly bus: Target;
  /** The device at a path of the object tree, or null. */
  device(path: string): QtestDevice | null;
  /** The clock is under control of this protocol: no CPU runs. */
  readonly ownsClock: boolean;
}

/** What one command may move at most. */
const MAX_BLOCK = 64 * 1024 * 1024;
/** A line longer than the largest `write` is refused. */
const MAX_LINE = 2 * MAX_BLOCK + 4096;

class Refused extends Error {}

export class QtestServer {
  readonly #machine: QtestMachine;
  readonly #send: (text: string) => void;
  readonly #transaction = new Transaction();
  readonly #levels = new Map<number, boolean>();
  #intercepted: string | null = null;
  #pending: string[] = [];
  #pendingLength = 0;
  #discarding = false;

  /** `send` gets whole lines with their newline. */
  constructor(machine: QtestMachine, send: (text: string) => void) {
    this.#machine = machine;
    this.#send = send;
    this.#transaction.cpu = 0; // banked registers answer as to the first CPU
  }

  /** Takes bytes as they come; runs each command when its newline has arrived. */
  receive(text: string): void {
    let from = 0;
    for (;;) {
      const end = text.indexOf("\n", from);
      if (end < 0) break;
      const line = this.#discarding ? null : this.#pending.join("") + text.slice(from, end);
      this.#pending = [];
      this.#pendingLength = 0;
      from = end + 1;
      if (line === null) this.#discarding = false;
      else this.#line(line);
    }
    if (from === text.length || this.#discarding) return;
    this.#pending.push(from === 0 ? text : text.slice(from));
    this.#pendingLength += text.length - from;
    if (this.#pendingLength > MAX_LINE) {
      this.#pending = [];
      this.#pendingLength = 0;
      this.#discarding = true;
      this.#send(`FAIL line of more than ${MAX_LINE} bytes\n`);
    }
  }

  #line(line: string): void {
    try {
      this.#send(`${this.#command(line.split(" "))}\n`);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#send(`FAIL ${error.message}\n`);
    }
  }

  #command(words: readonly string[]): string {
    const name = words[0] as string;
    switch (name) {
      case "endianness":
        return "OK little";
      case "readb":
      case "readw":
      case "readl":
      case "readq": {
        const [address] = this.#numbers(words, "ADDRESS");
        const data = new Uint8Array(sizeOf(name));
        this.#read(address as bigint, data);
        const value = [...data].reverse().map((b) => b.toString(16).padStart(2, "0"));
        return `OK 0x${value.join("").padStart(16, "0")}`;
      }
      case "writeb":
      case "writew":
      case "writel":
      case "writeq": {
        const [address, value] = this.#numbers(words, "ADDRESS", "VALUE");
        const data = new Uint8Array(8);
        new DataView(data.buffer).setBigUint64(0, value as bigint, true);
        this.#write(address as bigint, data.subarray(0, sizeOf(name)));
        return "OK";
      }
      case "read": {
        const [address, length] = this.#numbers(words, "ADDRESS", "SIZE");
        if (length === 0n) throw new Refused("read: a size of 0: expected at least 1");
        const data = this.#buffer(name, length as bigint);
        this.#read(address as bigint, data);
        return `OK 0x${hexOf(data)}`;
      }
      case "b64read": {
        const [address, length] = this.#numbers(words, "ADDRESS", "SIZE");
        const data = this.#buffer(name, length as bigint);
        this.#read(address as bigint, data);
        return `OK ${toBase64(data)}`;
      }
      case "write": {
        const [address, length] = this.#numbers(words, "ADDRESS", "SIZE", "DATA");
        const text = words[3] as string;
        if (text.length < 3) return "ERR invalid argument size";
        const data = this.#buffer(name, length as bigint);
        for (let i = 0; i < data.length && 2 * i + 4 <= text.length; i++) {
          const byte = Number.parseInt(text.slice(2 * i + 2, 2 * i + 4), 16);
          if (Number.isNaN(byte))
            throw new Refused(`write: data "${text.slice(0, 40)}": expected 0x and hexadecimal digits`);
          data[i] = byte;
        }
        this.#write(address as bigint, data);
        return "OK";
      }
      case "b64write": {
        const [address, length] = this.#numbers(words, "ADDRESS", "SIZE", "DATA");
        const text = words[3] as string;
        if (text.length < 3) return "ERR invalid argument size";
        const data = this.#buffer(name, length as bigint);
        const given = fromBase64(text);
        data.set(given.subarray(0, data.length));
        // What the data does not cover is left alone.
        this.#write(address as bigint, data.subarray(0, Math.min(given.length, data.length)));
        return "OK";
      }
      case "memset": {
        const [address, length, pattern] = this.#numbers(words, "ADDRESS", "SIZE", "VALUE");
        const data = this.#buffer(name, length as bigint).fill(Number((pattern as bigint) & 0xffn));
        this.#write(address as bigint, data);
        return "OK";
      }
      case "clock_step":
        if (this.#machine.ownsClock) return this.#clockStep(words);
        break;
      case "clock_set":
        if (this.#machine.ownsClock) return this.#clockSet(words);
        break;
      case "irq_intercept_in":
      case "irq_intercept_out":
        return this.#intercept(words);
      case "set_irq_in":
        return this.#setInput(words);
      case "module_load":
        return "FAIL";
    }
    return `FAIL Unknown command '${name}'`;
  }

  #clockStep(words: readonly string[]): string {
    const simulation = this.#machine.simulation;
    const old = nanoseconds(simulation.now);
    let next: number;
    if (words[1] !== undefined) {
      next = old + Number(this.#signed("clock_step", words[1]));
    } else {
      const deadline = simulation.nextEventTime;
      if (deadline >= Number.MAX_SAFE_INTEGER) {
        return "FAIL cannot advance clock to the next deadline because there is no pending deadline";
      }
      next = Math.max(Math.ceil(deadline / NS), old);
    }
    const reached = this.#advance(next);
    return reached > old ? `OK ${reached}` : "FAIL could not advance time";
  }

  #clockSet(words: readonly string[]): string {
    if (words[1] === undefined) throw new Refused("clock_set: expected NANOSECONDS");
    const target = Number(this.#signed("clock_set", words[1]));
    const reached = this.#advance(target);
    return `${reached === target ? "OK" : "FAIL"} ${reached}`;
  }

  /** Runs events up to `target` nanoseconds; the clock never goes back. */
  #advance(target: number): number {
    const simulation = this.#machine.simulation;
    const ticks = target * NS;
    if (!Number.isSafeInteger(ticks)) throw new Refused(`clock: ${target} ns: beyond what simulated time can hold`);
    if (ticks >= simulation.now) simulation.run(ticks);
    return nanoseconds(simulation.now);
  }

  #intercept(words: readonly string[]): string {
    const [command, path, list] = words as [string, string | undefined, string | undefined];
    if (path === undefined) throw new Refused(`${command}: expected PATH`);
    const device = this.#machine.device(path);
    if (device === null) return "FAIL Unknown device";
    const outbound = command === "irq_intercept_out";
    if (list !== undefined && !outbound) return "FAIL Interception of named in-GPIOs not yet supported";
    if (this.#intercepted !== null) {
      return this.#intercepted === path ? "OK" : "FAIL IRQ intercept already enabled";
    }
    const sink = (pin: number, level: boolean) => {
      if ((this.#levels.get(pin) ?? false) === level) return;
      this.#levels.set(pin, level);
      this.#send(`IRQ ${level ? "raise" : "lower"} ${pin}\n`);
    };
    const done = outbound ? device.watchOutputs(list ?? null, sink) : (device.watchInputs?.(sink) ?? false);
    if (!done) return "FAIL No intercepts installed";
    this.#intercepted = path;
    return "OK";
  }

  #setInput(words: readonly string[]): string {
    const [, path, list, pin, level] = words;
    if (path === undefined || list === undefined || pin === undefined || level === undefined) {
      throw new Refused("set_irq_in: expected PATH NAME NUMBER LEVEL");
    }
    const device = this.#machine.device(path);
    if (device === null) return "FAIL Unknown device";
    const name = list === "unnamed-gpio-in" ? null : list;
    const n = Number(this.#signed("set_irq_in", pin));
    if (!device.setInput(name, n, Number(this.#signed("set_irq_in", level)))) {
      throw new Refused(`set_irq_in: ${path} has no input ${name === null ? "" : `${name} `}${n}`);
    }
    return "OK";
  }

  /** The arguments up to the last of `names`, which are numbers except DATA. */
  #numbers(words: readonly string[], ...names: readonly string[]): (bigint | null)[] {
    return names.map((name, i) => {
      const word = words[i + 1];
      if (word === undefined) throw new Refused(`${words[0]}: expected ${names.join(" ")}`);
      if (name === "DATA") return null;
      const value = parseUnsigned(word);
      if (value === null)
        throw new Refused(`${words[0]}: ${name} "${word.slice(0, 40)}": expected a number below 2^64`);
      return value;
    });
  }

  #signed(command: string, word: string): bigint {
    const value = parseUnsigned(word);
    if (value === null) throw new Refused(`${command}: "${word.slice(0, 40)}": expected a number`);
    return BigInt.asIntN(64, value);
  }

  #buffer(command: string, length: bigint): Uint8Array {
    if (length > BigInt(MAX_BLOCK)) throw new Refused(`${command}: ${length} bytes: expected at most ${MAX_BLOCK}`);
    return new Uint8Array(Number(length));
  }

  #read(address: bigint, data: Uint8Array): void {
    const { bus } = this.#machine;
    const tx = this.#transaction;
    this.#each(address, data.length, (at, done, size) => {
      tx.high = 0;
      tx.response = 0;
      const value = bus.read(at, size, tx);
      for (let i = 0; i < Math.min(size, 4); i++) data[done + i] = value >>> (8 * i);
      for (let i = 4; i < size; i++) data[done + i] = tx.high >>> (8 * (i - 4));
    });
  }

  #write(address: bigint, data: Uint8Array): void {
    const { bus } = this.#machine;
    const tx = this.#transaction;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    this.#each(address, data.length, (at, done, size) => {
      tx.response = 0;
      if (size === 8) tx.high = view.getUint32(done + 4, true);
      const value =
        size === 1 ? view.getUint8(done) : size === 2 ? view.getUint16(done, true) : view.getUint32(done, true);
      bus.write(at, size, value, tx);
    });
  }

  /** Cuts a stretch into naturally aligned accesses, the largest first; addresses beyond the bus answer nothing. */
  #each(address: bigint, length: number, access: (at: number, done: number, size: number) => void): void {
    for (let done = 0; done < length; ) {
      const at = Number(BigInt.asUintN(64, address + BigInt(done)));
      if (at >= 2 ** 52) return;
      let size = 8;
      while (size > length - done || at % size !== 0) size /= 2;
      access(at, done, size);
      done += size;
    }
  }
}

function sizeOf(command: string): number {
  return { b: 1, w: 2, l: 4, q: 8 }[command.slice(-1)] as number;
}

function nanoseconds(time: number): number {
  return Math.floor(time / NS);
}

/** As C's strtoull with base 0, but for the whole word: 0x hexadecimal, 0 octal, else decimal; negative numbers wrap. */
export function parseUnsigned(word: string): bigint | null {
  const m = /^([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.exec(word);
  if (m === null) return null;
  const digits = m[2] as string;
  const value = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  if (value >= 1n << 64n) return null;
  return m[1] === "-" ? BigInt.asUintN(64, -value) : value;
}

export function hexOf(data: Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i < data.length; i++)
    parts.push(HEX_DIGITS[(data[i] as number) >> 4] as string, HEX_DIGITS[(data[i] as number) & 15] as string);
  return parts.join("");
}
const HEX_DIGITS = "0123456789abcdef";

function toBase64(data: Uint8Array): string {
  const parts: string[] = [];
  // A multiple of three, so that the pieces join without padding.
  for (let i = 0; i < data.length; i += 24_576) parts.push(btoa(String.fromCharCode(...data.subarray(i, i + 24_576))));
  return parts.join("");
}

function fromBase64(text: string): Uint8Array {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    throw new Refused(`b64write: data "${text.slice(0, 40)}": expected base64`);
  }
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}
