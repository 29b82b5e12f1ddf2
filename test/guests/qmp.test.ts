/** The machine under QMP: states, reset and quit, as management programs drive QEMU. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Machine, machines, requireGuest } from "./support/machines.ts";
import type { Session } from "./support/session.ts";

interface Message {
  readonly QMP?: { readonly version: { readonly qemu: { readonly major: number } } };
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
  readonly event?: string;
  readonly id?: unknown;
  readonly timestamp?: { readonly seconds: number; readonly microseconds: number };
}

class Qmp implements AsyncDisposable {
  readonly events: Message[] = [];
  readonly session: Session;
  readonly #folder: string;
  readonly #socket: Socket;
  readonly #messages: Message[] = [];
  #rest = "";
  #wake: (() => void) | null = null;

  private constructor(session: Session, folder: string, socket: Socket) {
    this.session = session;
    this.#folder = folder;
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("error", () => undefined);
    socket.on("data", (text) => {
      const lines = (this.#rest + String(text)).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines.filter((l) => l.trim() !== "")) {
        const message = JSON.parse(line) as Message;
        (message.event === undefined ? this.#messages : this.events).push(message);
      }
      this.#wake?.();
    });
  }

  static async open(machine: Machine, options: readonly string[]): Promise<Qmp> {
    const folder = mkdtempSync(join(tmpdir(), "armature-qmp-"));
    const path = join(folder, "socket");
    const session = machine.start(["-nographic", "-qmp", `unix:${path},server=on,wait=off`, ...options]);
    for (let attempt = 0; ; attempt++) {
      const socket = connect(path);
      const failure = await new Promise<Error | null>((resolve) => {
        socket.once("connect", () => resolve(null));
        socket.once("error", resolve);
      });
      if (failure === null) return new Qmp(session, folder, socket);
      if (attempt === 200 || session.ended) throw new Error(`${failure.message}\n${session.describe()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async message(): Promise<Message> {
    await this.#until(() => this.#messages.length > 0, "a reply");
    return this.#messages.shift() as Message;
  }

  async ask(execute: string, args?: object): Promise<Message> {
    this.#socket.write(
      `${JSON.stringify({ execute, ...(args === undefined ? {} : { arguments: args }), id: execute })}\n`,
    );
    return await this.message();
  }

  async event(name: string): Promise<Message> {
    await this.#until(() => this.events.some((e) => e.event === name), `the event ${name}`);
    return this.events.find((e) => e.event === name) as Message;
  }

  async #until(done: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + 30_000;
    while (!done()) {
      if (Date.now() > deadline) throw new Error(`${what} did not come\n${this.session.describe()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    await this.session[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }
}

for (const machine of machines) {
  describe(`QMP on ${machine.name}`, { retry: machine.retry }, () => {
    it("greets, negotiates, and refuses commands before and unknown ones after", async () => {
      await using qmp = await Qmp.open(machine, ["-S"]);
      expect((await qmp.message()).QMP?.version.qemu.major).toBeGreaterThanOrEqual(8);
      expect((await qmp.ask("query-status")).error?.class).toBe("CommandNotFound");
      expect(await qmp.ask("qmp_capabilities")).toEqual({ return: {}, id: "qmp_capabilities" });
      expect((await qmp.ask("no-such-command")).error).toEqual({
        class: "CommandNotFound",
        desc: "The command no-such-command has not been found",
      });
    });

    it("goes from prelaunch to running to paused and back; reset and quit say so", async () => {
      await using qmp = await Qmp.open(machine, ["-S", "-bios", requireGuest("u-boot.bin")]);
      await qmp.message();
      await qmp.ask("qmp_capabilities");
      expect((await qmp.ask("query-status")).return).toMatchObject({ status: "prelaunch", running: false });
      expect(await qmp.ask("cont")).toMatchObject({ return: {} });
      expect((await qmp.event("RESUME")).timestamp).toMatchObject({ seconds: expect.any(Number) });
      await qmp.session.expect("U-Boot 20", 60);
      expect((await qmp.ask("query-status")).return).toMatchObject({ status: "running", running: true });
      await qmp.ask("stop");
      await qmp.event("STOP");
      expect((await qmp.ask("query-status")).return).toMatchObject({ status: "paused", running: false });
      await qmp.ask("cont");
      await qmp.ask("system_reset");
      await qmp.event("RESET");
      await qmp.session.expect("U-Boot 20", 60);
      expect((await qmp.ask("query-cpus-fast")).return).toMatchObject([{ "cpu-index": 0, target: "aarch64" }]);
      await qmp.ask("quit");
      await qmp.event("SHUTDOWN");
      expect(await qmp.session.exit(10)).toBe(0);
    });
  });
}
