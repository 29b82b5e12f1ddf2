/** A client of the qtest protocol: it listens, the machine connects. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Machine } from "./machines.ts";
import type { Session } from "./session.ts";

export class Qtest implements AsyncDisposable {
  /** Lines "IRQ raise n" and "IRQ lower n" since the start. */
  readonly interrupts: string[] = [];
  readonly #folder: string;
  readonly #server: Server;
  readonly #socket: Socket;
  readonly #machine: Session;
  readonly #replies: string[] = [];
  #rest = "";
  #wake: (() => void) | null = null;

  private constructor(folder: string, server: Server, socket: Socket, machine: Session) {
    this.#folder = folder;
    this.#server = server;
    this.#socket = socket;
    this.#machine = machine;
    socket.setEncoding("latin1");
    socket.on("data", (text) => this.#receive(String(text)));
    socket.on("error", () => undefined);
  }

  static async open(machine: Machine, options: readonly string[]): Promise<Qtest> {
    const folder = mkdtempSync(join(tmpdir(), "armature-qtest-"));
    const path = join(folder, "socket");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const connected = new Promise<Socket>((resolve) => server.once("connection", resolve));
    const session = machine.start([
      "-display",
      "none",
      "-serial",
      "none",
      "-monitor",
      "none",
      "-qtest",
      `unix:${path}`,
      ...options,
    ]);
    const failed = session.exit(30).then((code) => {
      throw new Error(`ended with code ${code} before it connected\n${session.describe()}`);
    });
    try {
      const socket = await Promise.race([connected, failed]);
      failed.catch(() => undefined);
      return new Qtest(folder, server, socket, session);
    } catch (error) {
      await session[Symbol.asyncDispose]();
      server.close();
      rmSync(folder, { recursive: true });
      throw error;
    }
  }

  /** Sends a command and returns its reply, without the newline. */
  async ask(command: string, seconds = 30): Promise<string> {
    this.#socket.write(`${command}\n`);
    const deadline = Date.now() + seconds * 1000;
    while (this.#replies.length === 0) {
      if (Date.now() > deadline || this.#socket.closed)
        throw new Error(`no reply to ${command}\n${this.#machine.describe()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.#replies.shift() as string;
  }

  async read(size: "b" | "w" | "l" | "q", address: number): Promise<bigint> {
    const reply = await this.ask(`read${size} 0x${address.toString(16)}`);
    const [, value] = /^OK 0x([0-9a-f]{16})$/.exec(reply) ?? [];
    if (value === undefined) throw new Error(`read${size} 0x${address.toString(16)}: ${reply}`);
    return BigInt(`0x${value}`);
  }

  async write(size: "b" | "w" | "l" | "q", address: number, value: number | bigint): Promise<void> {
    const reply = await this.ask(`write${size} 0x${address.toString(16)} 0x${value.toString(16)}`);
    if (reply !== "OK") throw new Error(`write${size} 0x${address.toString(16)}: ${reply}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy();
    this.#server.close();
    await this.#machine[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true });
  }

  #receive(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("IRQ ")) this.interrupts.push(line.slice(4));
      else this.#replies.push(line);
    }
    this.#wake?.();
  }
}
