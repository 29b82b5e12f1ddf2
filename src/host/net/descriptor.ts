/**
 * Networks behind a descriptor that gives and takes whole frames: TAP devices and Unix datagram sockets. Read without waiting, whenever the run asks;
 * while it sleeps a thread of the pool waits for all of them.
 */
import { rmSync } from "node:fs";
import type { Frame } from "../../net/index.ts";
import { removeStale } from "../chardev/socket.ts";
import { loadNative, type Native, openUnixDatagram, unixAddress, wouldBlock } from "./native.ts";
import { FrameQueue, LONGEST, OutsidePort, SHORTEST } from "./port.ts";
import type { Waiter } from "./waiter.ts";

export abstract class DescriptorPort extends OutsidePort {
  readonly #buffer: Uint8Array;
  #open: { readonly native: Native; readonly fd: number } | null = null;
  readonly #frames = new FrameQueue();
  readonly #waiter: Waiter;
  #closed = false;
  #gone = false;

  /** What is read at a time has at most `longest` bytes. */
  constructor(where: string, waiter: Waiter, longest = LONGEST) {
    super(where);
    this.#buffer = new Uint8Array(longest);
    this.#waiter = waiter;
  }

  async start(): Promise<void> {
    const native = await loadNative(this.where);
    const fd = this.open(native);
    this.#open = { native, fd };
  }
  protected abstract open(native: Native): number;
  /** Writes what stands for `frames` frames: all of them are lost where that fails. */
  protected write(data: Uint8Array, length: number, frames: number): void {
    const open = this.#open;
    if (open === null || this.#closed || this.put(open.native, open.fd, data, length) < 0) this.lost += frames;
  }
  protected put(native: Native, fd: number, data: Uint8Array, length: number): number {
    return native.write(fd, data, length);
  }
  /** Hands on, by `came`, the frames in what was read; `data` is overwritten afterwards. */
  protected received(data: Uint8Array): void {
    this.came(data.slice());
  }
  protected came(frame: Frame): void {
    if (frame.length >= SHORTEST) this.#frames.push(frame);
  }

  override listen(): void {
    const open = this.#open;
    if (open === null || this.#closed || this.#gone) return;
    this.#waiter.want(open.native, open.fd, () => {
      if (!this.#closed) this.onReady?.();
    });
  }

  get ready(): boolean {
    if (this.#frames.length === 0) this.#read();
    return this.#frames.length > 0;
  }
  take(): Frame | null {
    if (this.#frames.length === 0) this.#read();
    return this.#frames.take();
  }

  #read(): void {
    const open = this.#open;
    if (open === null || this.#closed || this.#gone) return;
    while (this.#frames.length === 0) {
      const length = open.native.read(open.fd, this.#buffer, this.#buffer.length);
      if (length >= 0) this.received(this.#buffer.subarray(0, length));
      else {
        if (!wouldBlock(open.native)) this.#broken();
        return;
      }
    }
  }

  /** The interface is gone: nobody waits for it any more. */
  #broken(): void {
    process.stderr.write(`${this.where}: cannot be read any more\n`);
    this.#gone = true;
  }

  async close(): Promise<void> {
    const open = this.#open;
    if (open === null || this.#closed) return;
    this.flush();
    this.#closed = true;
    await this.#waiter.forget(open.native, open.fd);
    open.native.close(open.fd);
  }
}

export class UnixDatagramPort extends DescriptorPort {
  readonly #local: string | undefined;
  readonly #remote: Uint8Array | null;

  constructor(where: string, local: string | undefined, remote: string | undefined, waiter: Waiter) {
    super(where, waiter);
    this.#local = local;
    this.#remote = remote === undefined ? null : unixAddress(where, remote);
  }
  protected open(native: Native): number {
    if (this.#local !== undefined) removeStale(this.#local);
    return openUnixDatagram(native, this.where, this.#local);
  }
  send(frame: Frame): void {
    this.write(frame, frame.length, 1);
  }
  protected override put(native: Native, fd: number, data: Uint8Array, length: number): number {
    const to = this.#remote;
    return to === null ? -1 : native.sendto(fd, data, length, 0, to, to.length);
  }
  override async close(): Promise<void> {
    await super.close();
    if (this.#local !== undefined) rmSync(this.#local, { force: true });
  }
}
