/**
 * Scripted segments in the manner of packetdrill: one stack against a peer that the script plays. A line is
 *
 *   <time> < <segment>        handed to the stack
 *   <time> > <segment>        must be what the stack sends next, within 2 ms of the time
 *   <time> <call> [= result]  a call of the owner
 *
 * Time in seconds, absolute, or "+0.1" after the line before. A segment: flags ("S", "S.", ".", "P.", "F.", "R", "R."; "E" and "W" for ECE and
 * CWR), start:end(length), "ack n", "win n", "<mss n,sackOK,wscale n,TS val n ecr n,sack a:b c:d>", "[ce]" or "[ect0]". Sequence numbers count
 * from the sender's SYN on. Sent segments are compared as far as the line tells; options where it has a <...>. Nothing may be sent that no
 * line expects.
 */
import { expect } from "vitest";
import { Stack, type StackOptions } from "../../../../src/devices/toe/engine/index.ts";
import { fold, load, pseudoSum, store, sum16 } from "../../../../src/devices/toe/engine/words.ts";
import type { Frame } from "../../../../src/net/index.ts";
import { MS, SEC, Simulation, type Time } from "../../../../src/sim/index.ts";

const OURS = Uint8Array.of(10, 0, 0, 1);
const PEER = Uint8Array.of(10, 0, 0, 2);
const OUR_MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const PEER_MAC = Uint8Array.of(2, 0, 0, 0, 0, 2);
const TOLERANCE = 2 * MS;
/** The peer's initial sequence number, in the sequence space's last quarter so that it wraps. */
const PEER_ISS = 0xffff_f000 | 0;
const STATES =
  "CLOSED LISTEN SYN-SENT SYN-RECEIVED ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 CLOSE-WAIT CLOSING LAST-ACK TIME-WAIT".split(
    " ",
  );

export interface ScriptOptions extends StackOptions {
  /** Ours when the stack listens, the peer's when it connects. */
  readonly port?: number;
}

interface Sent {
  readonly time: Time;
  readonly frame: Frame;
}

export class Script {
  readonly simulation = new Simulation({ seed: 5 });
  readonly stack: Stack;
  readonly sent: Sent[] = [];
  /** Every event told, by socket. */
  readonly told: number[] = [];
  listener = 0;
  socket = 0;
  /** Data handed to the owner. */
  readonly data: number[] = [];
  #ours: number | null = null;
  #localPort: number;
  #remotePort = 4000;
  #at: Time = 0;
  /** Of the last segment with a timestamp option that the stack has sent. */
  stamp = 0;

  constructor(options: ScriptOptions = {}) {
    this.#localPort = options.port ?? 80;
    this.stack = new Stack(
      this.simulation,
      "stack",
      {
        onSocket: (socket, bits) => {
          this.told[socket] = (this.told[socket] ?? 0) | bits;
        },
        transmit: (frame) => this.#transmit(frame),
      },
      { minimumRto: 200 * MS, ...options },
    );
    this.stack.configure({ mac: OUR_MAC, addresses: [{ address: OURS, prefix: 24 }], routes: [] });
    this.socket = 0;
  }

  run(text: string): this {
    for (const raw of text.split("\n")) {
      const line = raw.replace(/\/\/.*$/, "").trim();
      if (line === "") continue;
      const [, plus, seconds, rest] = /^(\+?)(\d+(?:\.\d+)?)\s+(.*)$/.exec(line) ?? [];
      if (rest === undefined) throw new Error(`script: ${line}`);
      const time = Math.round(Number(seconds) * SEC) + (plus === "+" ? this.#at : 0);
      this.#at = time;
      if (rest.startsWith(">")) this.#expect(time, rest.slice(1).trim(), line);
      else {
        this.simulation.run(Math.max(time, this.simulation.now));
        expect(
          this.sent.map((s) => this.describe(s.frame)),
          `sent before: ${line}`,
        ).toEqual([]);
        if (rest.startsWith("<")) this.inject(rest.slice(1).trim());
        else this.#call(rest, line);
        this.simulation.run(this.simulation.now);
      }
    }
    return this;
  }

  /** Nothing more is sent until `seconds`. */
  quiet(seconds: number): this {
    this.simulation.run(seconds * SEC);
    expect(this.sent.map((s) => this.describe(s.frame))).toEqual([]);
    return this;
  }

  #transmit(frame: Frame): boolean {
    if (frame[12] === 8 && frame[13] === 6) {
      if (frame[21] === 1) this.stack.input(this.#arpReply(frame));
      return true;
    }
    if (frame[23] === 6) {
      const flags = frame[47];
      if ((flags & 2) !== 0) this.#ours = load(frame, 38);
      if (this.socket !== 0 || this.#ours !== null) this.#localPort = (frame[34] << 8) | frame[35];
    }
    this.sent.push({ time: this.simulation.now, frame });
    return true;
  }

  #arpReply(request: Frame): Frame {
    const reply = request.slice();
    reply.set(OUR_MAC, 0);
    reply.set(PEER_MAC, 6);
    reply[21] = 2;
    reply.set(PEER_MAC, 22);
    reply.set(request.subarray(38, 42), 28);
    reply.set(OUR_MAC, 32);
    reply.set(OURS, 38);
    return reply;
  }

  #expect(time: Time, wanted: string, line: string): void {
    if (this.sent.length === 0) this.simulation.run(Math.max(this.simulation.now, time - TOLERANCE));
    while (this.sent.length === 0 && this.simulation.now < time + TOLERANCE) {
      this.simulation.run(Math.min(time + TOLERANCE, this.simulation.now + MS / 4));
    }
    const next = this.sent.shift();
    expect(next, `nothing was sent: ${line}`).toBeDefined();
    if (next === undefined) return;
    const found = this.describe(next.frame);
    const options = /<[^>]*>/;
    const words = (text: string) =>
      text
        .replace(options, "")
        .replace(/\[\w+\]/, "")
        .trim()
        .split(/\s+/);
    const [flags, range, ...fields] = words(wanted);
    const [foundFlags, foundRange, ...foundFields] = words(found);
    expect(`${foundFlags} ${foundRange}`, line).toBe(`${flags} ${range}`);
    for (let i = 0; i < fields.length; i += 2) {
      const at = foundFields.indexOf(fields[i]);
      expect(`${foundFields[at]} ${foundFields[at + 1]}`, line).toBe(`${fields[i]} ${fields[i + 1]}`);
    }
    const list = options.exec(wanted)?.[0];
    if (list !== undefined) {
      const shown = options.exec(found)?.[0] ?? "<>";
      // Timestamps are told where the line tells them.
      const plain = (text: string) =>
        /TS val/.test(list) ? text : text.replace(/,?TS val \d+ ecr \d+/, "").replace("<,", "<");
      expect(plain(shown), line).toBe(list);
    }
    const mark = /\[(\w+)\]/.exec(wanted)?.[1];
    if (mark !== undefined) expect(["not", "ect1", "ect0", "ce"][next.frame[15] & 3], line).toBe(mark);
    expect(Math.abs(next.time - time) / MS, `${line}: was sent at ${next.time / SEC}`).toBeLessThanOrEqual(
      TOLERANCE / MS,
    );
  }

  /** A frame as a script line has it. */
  describe(frame: Frame): string {
    if (frame[23] !== 6) return `protocol ${frame[23]}`;
    const at = 14 + (frame[14] & 15) * 4;
    const total = (frame[16] << 8) | frame[17];
    const header = (frame[at + 12] >> 4) * 4;
    const bits = frame[at + 13];
    const length = total - (at - 14) - header;
    const sum = fold(
      pseudoSum(4, 0, 0, 0, load(frame, 26), 0, 0, 0, load(frame, 30), 6) + total - 20 + sum16(frame, at, total - 20),
    );
    if (sum !== 0) return "bad checksum";
    const seq = (load(frame, at + 4) - (this.#ours ?? 0)) >>> 0;
    const flags = [
      [64, "E"],
      [128, "W"],
      [2, "S"],
      [1, "F"],
      [4, "R"],
      [8, "P"],
      [16, "."],
    ] as const;
    let text = flags
      .filter(([bit]) => (bits & bit) !== 0)
      .map(([, letter]) => letter)
      .join("");
    text += ` ${seq}:${(seq + length) >>> 0}(${length})`;
    if ((bits & 16) !== 0) text += ` ack ${(load(frame, at + 8) - PEER_ISS) >>> 0}`;
    text += ` win ${(frame[at + 14] << 8) | frame[at + 15]}`;
    const options: string[] = [];
    for (let o = at + 20; o < at + header; ) {
      const kind = frame[o];
      if (kind === 0) break;
      if (kind === 2) options.push(`mss ${(frame[o + 2] << 8) | frame[o + 3]}`);
      if (kind === 3) options.push(`wscale ${frame[o + 2]}`);
      if (kind === 4) options.push("sackOK");
      if (kind === 8) {
        this.stamp = load(frame, o + 2) >>> 0;
        options.push(`TS val ${this.stamp} ecr ${load(frame, o + 6) >>> 0}`);
      }
      if (kind === 5) {
        const blocks: string[] = [];
        for (let b = o + 2; b < o + frame[o + 1]; b += 8) {
          blocks.push(`${(load(frame, b) - PEER_ISS) >>> 0}:${(load(frame, b + 4) - PEER_ISS) >>> 0}`);
        }
        options.push(`sack ${blocks.join(" ")}`);
      }
      o += kind === 1 ? 1 : frame[o + 1];
    }
    return options.length > 0 ? `${text} <${options.join(",")}>` : text;
  }

  /** A segment of the peer's, to the stack. */
  inject(text: string): void {
    this.stack.input(this.build(text));
  }

  build(text: string): Frame {
    const [, flags, from, , length, ack, win, list] =
      /^([A-Z.]+|-) (\d+):(\d+)\((\d+)\)(?: ack (\d+))?(?: win (\d+))?(?: <([^>]*)>)?(?: \[\w+\])?$/.exec(text) ?? [];
    if (flags === undefined) throw new Error(`script: segment ${text}`);
    const options: number[] = [];
    const word = (w: number) => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255];
    for (const option of (list ?? "").split(",")) {
      const [name, ...values] = option.trim().split(" ");
      if (name === "mss") options.push(2, 4, ...word(Number(values[0])).slice(2));
      if (name === "sackOK") options.push(4, 2);
      if (name === "wscale") options.push(3, 3, Number(values[0]));
      if (name === "TS")
        options.push(8, 10, ...word(Number(values[1])), ...word(values[3] === "last" ? this.stamp : Number(values[3])));
      if (name === "sack") {
        options.push(5, 2 + 8 * values.length);
        for (const block of values)
          for (const edge of block.split(":")) options.push(...word(((this.#ours ?? 0) + Number(edge)) | 0));
      }
      if (name === "raw") options.push(...values.map((v) => Number.parseInt(v, 16)));
    }
    while (options.length % 4 !== 0) options.push(0);
    const size = Number(length);
    const header = 20 + options.length;
    const frame = new Uint8Array(Math.max(60, 14 + 20 + header + size));
    frame.set(OUR_MAC, 0);
    frame.set(PEER_MAC, 6);
    store(frame, 12, 0x08004500);
    frame[15] = /\[ce\]/.test(text) ? 3 : /\[ect0\]/.test(text) ? 2 : 0;
    frame[16] = (20 + header + size) >> 8;
    frame[17] = 20 + header + size;
    frame[22] = 64;
    frame[23] = 6;
    frame.set(PEER, 26);
    frame.set(OURS, 30);
    const check = fold(sum16(frame, 14, 20));
    frame[24] = check >> 8;
    frame[25] = check;
    frame[34] = this.#remotePort >> 8;
    frame[35] = this.#remotePort;
    frame[36] = this.#localPort >> 8;
    frame[37] = this.#localPort;
    store(frame, 38, (PEER_ISS + Number(from)) | 0);
    if (ack !== undefined) store(frame, 42, ((this.#ours ?? 0) + Number(ack)) | 0);
    frame[46] = header << 2;
    let bits = 0;
    const letters: Readonly<Record<string, number>> = { S: 2, F: 1, R: 4, P: 8, ".": 16, U: 32, E: 64, W: 128, "-": 0 };
    for (const letter of flags) bits |= letters[letter];
    frame[47] = bits;
    frame[48] = Number(win ?? 0) >> 8;
    frame[49] = Number(win ?? 0);
    frame.set(options, 54);
    for (let i = 0; i < size; i++) frame[34 + header + i] = (Number(from) + i) & 0xff;
    const sum = fold(
      pseudoSum(4, 0, 0, 0, load(frame, 26), 0, 0, 0, load(frame, 30), 6) +
        header +
        size +
        sum16(frame, 34, header + size),
    );
    frame[50] = sum >> 8;
    frame[51] = sum;
    return frame;
  }

  #call(text: string, line: string): void {
    const [call, wanted] = text.split("=").map((part) => part.trim());
    const [name, ...args] = call.split(" ");
    const result = this.#result(name, args);
    if (wanted !== undefined) expect(result, line).toBe(wanted);
  }

  #result(name: string, args: readonly string[]): string {
    const { stack } = this;
    const shown = <T>(
      outcome: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string },
      show: (v: T) => string,
    ) => (outcome.ok ? show(outcome.value) : outcome.error);
    const done = () => "done";
    switch (name) {
      case "listen": {
        const made = stack.socket("tcp", 4);
        if (!made.ok) return made.error;
        this.listener = made.value;
        for (const option of args.slice(1)) this.#option(this.listener, option);
        const bound = stack.bind(this.listener, { address: new Uint8Array(4), port: this.#localPort });
        return bound.ok ? shown(stack.listen(this.listener, Number(args[0])), done) : bound.error;
      }
      case "accept":
        return shown(stack.accept(this.listener), (socket) => {
          this.socket = socket;
          return "done";
        });
      case "connect": {
        const made = stack.socket("tcp", 4);
        if (!made.ok) return made.error;
        this.socket = made.value;
        for (const option of args) this.#option(this.socket, option);
        return shown(stack.connect(this.socket, { address: PEER, port: this.#remotePort }), done);
      }
      case "send":
        return shown(
          stack.send(
            this.socket,
            Uint8Array.from({ length: Number(args[0]) }, (_, i) => i),
          ),
          String,
        );
      case "recv":
        return shown(stack.receive(this.socket, Number(args[0])), (data) => {
          this.data.push(...data);
          return String(data.length);
        });
      case "shutdown":
        return shown(stack.shutdown(this.socket, args[0] === "receive" ? "receive" : "send"), done);
      case "close":
        return shown(stack.close(this.socket), done);
      case "abort":
        return shown(stack.abort(this.socket), done);
      case "option":
        return this.#option(this.socket, args[0]);
      case "state":
        return shown(stack.getOption(this.socket, "state"), (n) => STATES[n]);
      case "error":
        return stack.error(this.socket);
      default:
        throw new Error(`script: call ${name}`);
    }
  }

  #option(socket: number, text: string): string {
    const [name, value] = text.split(":");
    const outcome = this.stack.setOption(socket, name as Parameters<Stack["setOption"]>[1], Number(value));
    if (!outcome.ok) throw new Error(`script: option ${text}: ${outcome.error}`);
    return "done";
  }
}

/** Lines that open a passive connection: the peer offers MSS 1000 and no options, the owner has accepted. Ends at time 0.2. */
export const OPENED = `
  0     listen 5
  0.1   < S 0:0(0) win 32000 <mss 1000>
  0.1   > S. 0:0(0) ack 1 <mss 1460>
  0.2   < . 1:1(0) ack 1 win 32000
  0.2   accept = done
`;
export const OPENED_SACK = `
  0     listen 5
  0.1   < S 0:0(0) win 32000 <mss 1000,sackOK>
  0.1   > S. 0:0(0) ack 1 <mss 1460,sackOK>
  0.2   < . 1:1(0) ack 1 win 32000
  0.2   accept = done
`;
