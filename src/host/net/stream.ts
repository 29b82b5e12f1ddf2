/**
 * `-netdev stream`: frames over a TCP or Unix socket, each behind its length (32 bits, most significant byte first), as QEMU, passt and other
 * programs speak it. A server has one client at a time.
 */
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { InputError } from "../../formats/index.ts";
import type { Frame } from "../../net/index.ts";
import { addressText, removeStale } from "../chardev/socket.ts";
import { systemReason } from "../files.ts";
import type { OutsideSpec } from "../options/run-options.ts";
import { FrameQueue, LONGEST, OutsidePort, SHORTEST } from "./port.ts";

type StreamSpec = Extract<OutsideSpec, { kind: "stream" }>;

/** Frames that wait for the guest at which the other side is held, and at which it may go on. */
const HIGH_WATER = 2048;
const LOW_WATER = 512;
/** Bytes that are gathered before they are written at once. */
const GATHER = 1 << 17;
/** Bytes that the other side has not taken at which frames are lost. */
const BACKLOG = 1 << 23;

export class StreamPort extends OutsidePort {
  readonly #spec: StreamSpec;
  readonly #frames = new FrameQueue();
  #server: Server | null = null;
  #socket: Socket | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  #held = false;
  #partial: Buffer = Buffer.alloc(0);
  #out: Uint8Array[] = [];
  #gathered = 0;

  constructor(where: string, spec: StreamSpec) {
    super(where);
    this.#spec = spec;
  }

  /** The port in use, where 0 was asked for. */
  get tcpPort(): number | null {
    const address = this.#server?.address();
    return address !== null && typeof address === "object" ? address.port : null;
  }
  get connected(): boolean {
    return this.#socket !== null;
  }

  start(): Promise<void> {
    return this.#spec.server ? this.#listen() : this.#connect();
  }

  #listen(): Promise<void> {
    const { address } = this.#spec;
    const server = createServer({ noDelay: true }, (socket) => {
      if (this.#socket !== null) socket.destroy();
      else this.#attach(socket);
    });
    this.#server = server;
    if ("path" in address) removeStale(address.path);
    return new Promise((resolve, reject) => {
      server.once("error", (error) => {
        reject(new InputError(`${this.where}: cannot listen on ${addressText(address)}: ${systemReason(error)}`));
      });
      const at = "path" in address ? { path: address.path } : { host: address.host || "::", port: address.port };
      server.listen(at, () => resolve());
    });
  }

  /** Without reconnect-ms the first attempt must succeed. */
  #connect(): Promise<void> {
    const { address, reconnect } = this.#spec;
    return new Promise((resolve, reject) => {
      const again = () => {
        if (!this.#closed) this.#timer = setTimeout(attempt, reconnect);
      };
      const attempt = () => {
        const socket = createConnection(
          "path" in address
            ? { path: address.path }
            : { host: address.host || "localhost", port: address.port, noDelay: true },
        );
        const refused = (error: Error) => {
          if (reconnect > 0) {
            again();
            resolve();
            return;
          }
          reject(new InputError(`${this.where}: cannot connect to ${addressText(address)}: ${systemReason(error)}`));
        };
        socket.once("error", refused);
        socket.once("connect", () => {
          socket.off("error", refused);
          this.#attach(socket);
          if (reconnect > 0) socket.once("close", again);
          resolve();
        });
      };
      attempt();
    });
  }

  #attach(socket: Socket): void {
    this.#socket = socket;
    this.#partial = Buffer.alloc(0);
    socket.on("data", (data) => this.#receive(data as Buffer));
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#socket = null;
    });
    if (this.#held) socket.pause();
  }

  #receive(data: Buffer): void {
    let bytes = this.#partial.length > 0 ? Buffer.concat([this.#partial, data]) : data;
    while (bytes.length >= 4) {
      const length = bytes.readUInt32BE(0);
      if (length > LONGEST) {
        process.stderr.write(`${this.where}: the other side sends a frame of ${length} bytes: disconnected\n`);
        this.#socket?.destroy();
        return;
      }
      if (bytes.length < 4 + length) break;
      if (length >= SHORTEST) this.#frames.push(new Uint8Array(bytes.subarray(4, 4 + length)));
      bytes = bytes.subarray(4 + length);
    }
    // What is kept must not hold the whole chunk.
    this.#partial = bytes.length === 0 ? Buffer.alloc(0) : Buffer.from(bytes);
    if (this.#frames.length > HIGH_WATER) this.#hold(true);
    if (this.#frames.length > 0) this.onReady?.();
  }

  #hold(held: boolean): void {
    if (held === this.#held) return;
    this.#held = held;
    if (held) this.#socket?.pause();
    else this.#socket?.resume();
  }

  get ready(): boolean {
    return this.#frames.length > 0;
  }
  take(): Frame | null {
    const frame = this.#frames.take();
    if (this.#held && this.#frames.length < LOW_WATER) this.#hold(false);
    return frame;
  }

  send(frame: Frame): void {
    const socket = this.#socket;
    if (socket === null || socket.writableLength + this.#gathered > BACKLOG) {
      this.lost++;
      return;
    }
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, frame.length);
    this.#out.push(head, frame);
    this.#gathered += 4 + frame.length;
    if (this.#gathered >= GATHER) this.flush();
  }

  override flush(): void {
    if (this.#out.length === 0) return;
    this.#socket?.write(Buffer.concat(this.#out, this.#gathered));
    this.#out = [];
    this.#gathered = 0;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.flush();
    this.#server?.close();
    const socket = this.#socket;
    if (socket === null) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 300);
      socket.end(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    socket.destroy();
  }
}
