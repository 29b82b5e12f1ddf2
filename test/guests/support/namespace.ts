/** A network namespace of a test's own with a TAP interface, removed at the end. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { requireTool } from "./machines.ts";
import { Session } from "./session.ts";

/** TAP needs root and the device. */
export const mayTap = process.getuid?.() === 0 && existsSync("/dev/net/tun");

export class Namespace implements Disposable {
  readonly name: string;
  /** `tap0` gets the addresses, with their prefix lengths. */
  constructor(tag: string, addresses: readonly string[]) {
    this.name = `armature-${process.pid}-${tag}`;
    this.#ip("netns", "add", this.name);
    try {
      this.ip("link set lo up");
      this.ip("tuntap add dev tap0 mode tap");
      for (const address of addresses) this.ip(`addr add ${address} dev tap0${address.includes(":") ? " nodad" : ""}`);
      this.ip("link set tap0 up");
      // Three lost requests or answers in a row, which a bad line brings about, are "no route to host" otherwise.
      const patience = "for f in /proc/sys/net/ipv[46]/neigh/tap0/[mu]cast_solicit; do echo 20 > $f; done";
      this.#ip("netns", "exec", this.name, "sh", "-c", patience);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }
  /** `ip` inside it. */
  ip(words: string): void {
    this.#ip("-n", this.name, ...words.split(" "));
  }
  /** The words that run a program inside it. */
  command(program: string, ...args: string[]): [string, string[]] {
    return [requireTool("ip"), ["netns", "exec", this.name, program, ...args]];
  }
  start(program: string, ...args: string[]): Session {
    return new Session(...this.command(program, ...args));
  }
  [Symbol.dispose](): void {
    this.#ip("netns", "del", this.name);
  }
  #ip(...words: string[]): void {
    execFileSync(requireTool("ip"), words, { stdio: ["ignore", "ignore", "pipe"] });
  }
}
