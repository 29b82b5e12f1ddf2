/** Unix and TCP sockets, as server for one client at a time or as client. */
import { statSync, unlinkSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { InputError } from "../../formats/index.ts";
import { systemReason } from "../files.ts";
import type { CharacterSpec, SocketAddress } from "../options/chardev-spec.ts";
import { CharacterDevice } from "./device.ts";

/** Milliseconds that the end waits for the other side. */
const LINGER = 300;

export class SocketDevice extends CharacterDevice {
  readonly #spec: CharacterSpec & { kind: "socket" };
  #server: Server | null = null;
  #socket: Socket | null = null;
  #closed = false;
  #held = false;

  constructor(label: string, spec: CharacterSpec & { kind: "socket" }) {
    super(label, spec);
    this.#spec = spec;
  }

  get filename(): string {
    const { server } = this.#spec;
    return `${addressText(this.#spec.address)}${server ? ",server=on" : ""}`;
  }
  /** A server whose start waits for its first client. */
  get waits(): boolean {
    return this.#spec.server && this.#spec.wait;
  }
  get connected(): boolean {
    return this.#socket !== null;
  }
  override get interactive(): boolean {
    return !this.ended;
  }
  /** The port in use, where 0 was asked for. */
  get port(): number | null {
    const address = this.#server?.address();
    return address !== null && typeof address === "object" ? address.port : null;
  }

  start(): Promise<void> {
    return this.#spec.server ? this.#listen() : this.#connect();
  }

  #listen(): Promise<void> {
    const { address, wait } = this.#spec;
    const server = createServer({ noDelay: true }, (socket) => {
      if (this.#socket !== null) socket.destroy();
      else this.#attach(socket);
    });
    this.#server = server;
    if ("path" in address) removeStale(address.path);
    return new Promise((resolve, reject) => {
      server.once("error", (error) => {
        reject(new InputError(`${this.label}: cannot listen on ${addressText(address)}: ${systemReason(error)}`));
      });
      server.listen(
        "path" in address ? { path: address.path } : { host: address.host || "::", port: address.port },
        () => {
          if (wait) server.once("connection", () => resolve());
          else resolve();
        },
      );
    });
  }

  #connect(): Promise<void> {
    const { address, reconnect } = this.#spec;
    return new Promise((resolve, reject) => {
      const attempt = (first: boolean) => {
        if (this.#closed) return;
        const socket = createConnection(
          "path" in address
            ? { path: address.path }
            : { host: address.host || "localhost", port: address.port, noDelay: true },
        );
        const refused = (error: Error) => {
          if (reconnect > 0) setTimeout(attempt, reconnect, false).unref();
          else if (first) {
            reject(new InputError(`${this.label}: cannot connect to ${addressText(address)}: ${systemReason(error)}`));
          }
          if (first && reconnect > 0) resolve();
        };
        socket.once("error", refused);
        socket.once("connect", () => {
          socket.off("error", refused);
          this.#attach(socket);
          socket.once("close", () => {
            if (reconnect > 0) setTimeout(attempt, reconnect, false).unref();
          });
          resolve();
        });
      };
      attempt(true);
    });
  }

  #attach(socket: Socket): void {
    this.#socket = socket;
    socket.on("data", (data) => this.onData?.(data as Buffer));
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#socket = null;
      if (!this.#spec.server && this.#spec.reconnect === 0) this.ended = true;
      if (!this.#closed) this.onClose?.();
    });
    if (this.#held) socket.pause();
    this.onOpen?.();
  }

  protected transmit(data: Buffer): void {
    this.#socket?.write(data);
  }

  override hold(held: boolean): void {
    this.#held = held;
    if (held) this.#socket?.pause();
    else this.#socket?.resume();
  }

  /** Ends the client's connection; a server takes the next one. */
  disconnect(): void {
    this.#socket?.end();
  }

  override async close(): Promise<void> {
    this.#closed = true;
    this.#server?.close();
    const socket = this.#socket;
    if (socket !== null) {
      // What was written before the end still goes out, if the other side takes it.
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LINGER);
        socket.end(() => {
          clearTimeout(timer);
          resolve();
        });
      });
      socket.destroy();
    }
    super.close();
  }
}

export function addressText(address: SocketAddress): string {
  return "path" in address ? `unix:${address.path}` : `tcp:${address.host}:${address.port}`;
}

/** A socket file that an earlier run left behind would make listening fail. */
export function removeStale(path: string): void {
  try {
    if (statSync(path).isSocket()) unlinkSync(path);
  } catch {
    // Not there, which is well; or not ours to remove, which listening will tell.
  }
}
