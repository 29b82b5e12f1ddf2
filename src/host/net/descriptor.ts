/**
 * Networks behind a descriptor that gives and takes whole frames: TAP devices and Unix datagram sockets. Read without waiting, whenever the run asks;
 * while there is nothing a thread of the pool waits for all of them.
 */
import { rmSync } from "node:fs";
import type { Frame } from "../../net/index.ts";
import { removeStale } from "../chardev/socket.ts";
import type { OutsideSpec } from "../options/run-options.ts";
import { loadNative, type Native, openTap, openUnixDatagram, unixAddress, wouldBlock } from "./native.ts";
import { LONGEST, OutsidePort, SHORTEST } from "./port.ts";
import type { Waiter } from "./waiter.ts";

abstract class DescriptorPort extends OutsidePort {
  readonly #buffer = new Uint8Array(LONGEST);
  #open: { readonly native: Native; readonly fd: number } | null = null;
  #next: Frame | null = null;
  readonly #waiter: Waiter;
  #closed = false;
  #gone = false;

  constructor(where: string, waiter: Waiter) {
    super(where);
    this.#waiter = waiter;
  }

  async start(): Promise<void> {
    const native = await loadNative(this.where);
    const fd = this.open(native);
    this.#open = { native, fd };
    this.#wait();
  }
  protected abstract open(native: Native): number;
  protected abstract write(native: Native, fd: number, frame: Frame): number;

  #wait(): void {
    const open = this.#open;
    if (open === null) return;
    this.#waiter.want(open.native, open.fd, () => {
      if (!this.#closed) this.onReady?.();
    });
  }

  get ready(): boolean {
    if (this.#next === null) this.#next = this.#read();
    return this.#next !== null;
  }
  take(): Frame | null {
    const frame = this.#next ?? this.#read();
    this.#next = null;
    return frame;
  }

  #read(): Frame | null {
    const open = this.#open;
    if (open === null || this.#closed || this.#gone) return null;
    for (;;) {
      const length = open.native.read(open.fd, this.#buffer, LONGEST);
      if (length >= SHORTEST) return this.#buffer.slice(0, length);
      if (length < 0) {
        if (wouldBlock(open.native)) this.#wait();
        else this.#broken();
        return null;
      }
    }
  }

  /** The interface is gone: nobody waits for it any more. */
  #broken(): void {
    if (!this.#gone) process.stderr.write(`${this.where}: cannot be read any more\n`);
    this.#gone = true;
  }

  send(frame: Frame): void {
    const open = this.#open;
    if (open === null || this.#closed || this.write(open.native, open.fd, frame) < 0) this.lost++;
  }

  async close(): Promise<void> {
    const open = this.#open;
    if (open === null || this.#closed) return;
    this.#closed = true;
    await this.#waiter.forget(open.native, open.fd);
    open.native.close(open.fd);
  }
}

export class TapPort extends DescriptorPort {
  readonly #ifname: string;

  constructor(where: string, spec: Extract<OutsideSpec, { kind: "tap" }>, waiter: Waiter) {
    super(where, waiter);
    this.#ifname = spec.ifname;
  }
  protected open(native: Native): number {
    return openTap(native, this.where, this.#ifname);
  }
  protected write(native: Native, fd: number, frame: Frame): number {
    return native.write(fd, frame, frame.length);
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
  protected write(native: Native, fd: number, frame: Frame): number {
    const to = this.#remote;
    return to === null ? -1 : native.sendto(fd, frame, frame.length, 0, to, to.length);
  }
  override async close(): Promise<void> {
    await super.close();
    if (this.#local !== undefined) rmSync(this.#local, { force: true });
  }
}
