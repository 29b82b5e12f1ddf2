/** `-netdev dgram` over UDP: one frame a datagram, to one peer or to a multicast group. Without a remote address nothing is sent. */
import { createSocket, type Socket } from "node:dgram";
import { InputError } from "../../formats/index.ts";
import type { Frame } from "../../net/index.ts";
import { systemReason } from "../files.ts";
import { isMulticast } from "../options/far-end-options.ts";
import { FrameQueue, OutsidePort, SHORTEST } from "./port.ts";

export interface InetAddress {
  readonly host: string;
  readonly port: number;
}

/** Frames that wait for the guest; more are lost. */
const QUEUE = 4096;

export class DatagramPort extends OutsidePort {
  readonly #local: InetAddress | undefined;
  readonly #remote: InetAddress | undefined;
  readonly #frames = new FrameQueue();
  #socket: Socket | null = null;

  constructor(where: string, local: InetAddress | undefined, remote: InetAddress | undefined) {
    super(where);
    this.#local = local;
    this.#remote = remote;
  }

  start(): Promise<void> {
    const [local, remote] = [this.#local, this.#remote];
    const group = remote !== undefined && isMulticast(remote.host) ? remote : null;
    const six = [local, remote].some((a) => a?.host.includes(":"));
    const socket = createSocket({ type: six ? "udp6" : "udp4", reuseAddr: group !== null, recvBufferSize: 1 << 22 });
    this.#socket = socket;
    return new Promise((resolve, reject) => {
      const at = group === null ? { address: local?.host || undefined, port: local?.port } : { port: group.port };
      socket.once("error", (error) => {
        const text = `${local?.host ?? ""}:${at.port}`;
        reject(new InputError(`${this.where}: cannot bind to ${text}: ${systemReason(error)}`));
      });
      socket.bind(at, () => {
        socket.removeAllListeners("error");
        // Nobody listening on the other side is no mistake.
        socket.on("error", () => undefined);
        try {
          if (group !== null) {
            socket.addMembership(group.host, local?.host || undefined);
            if (local?.host) socket.setMulticastInterface(local.host);
            socket.setMulticastLoopback(true);
          }
        } catch (error) {
          reject(new InputError(`${this.where}: cannot join ${group?.host}: ${systemReason(error)}`));
          return;
        }
        socket.on("message", (data) => this.#receive(data));
        resolve();
      });
    });
  }

  #receive(data: Buffer): void {
    if (data.length < SHORTEST || this.#frames.length >= QUEUE) return;
    this.#frames.push(new Uint8Array(data));
    this.onReady?.();
  }

  get ready(): boolean {
    return this.#frames.length > 0;
  }
  take(): Frame | null {
    return this.#frames.take();
  }

  send(frame: Frame): void {
    if (this.#socket === null || this.#remote === undefined) {
      this.lost++;
      return;
    }
    this.#socket.send(frame, this.#remote.port, this.#remote.host, (error) => {
      if (error) this.lost++;
    });
  }

  close(): Promise<void> {
    const socket = this.#socket;
    this.#socket = null;
    return socket === null ? Promise.resolve() : new Promise((resolve) => socket.close(() => resolve()));
  }
}
