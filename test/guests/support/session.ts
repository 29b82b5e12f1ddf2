/** A program under test: what it prints is awaited by text, what it reads is sent; every wait has a limit. */
import { type ChildProcess, spawn } from "node:child_process";
import { StringDecoder } from "node:string_decoder";

export interface SessionOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

interface Waiter {
  attempt(): boolean;
  fail(why: string): void;
}

/** What a failing wait shows of the output. */
const TAIL = 2000;

export class Session implements AsyncDisposable {
  /** Everything on standard output so far, carriage returns included. */
  output = "";
  /** Everything on standard error so far. */
  errors = "";
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #waiters = new Set<Waiter>();
  readonly #exit: Promise<number>;
  #position = 0;
  #ended = false;

  constructor(command: string, args: readonly string[], options: SessionOptions = {}) {
    this.name = [command, ...args].join(" ");
    this.#child = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const decoder = new StringDecoder("utf8");
    this.#child.stdout?.on("data", (bytes: Buffer) => {
      this.output += decoder.write(bytes);
      this.#check();
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
    // A program that has ended closes its input: that is no failure of the test by itself.
    this.#child.stdin?.on("error", () => undefined);
    this.#exit = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        this.errors += `${error.message}\n`;
        this.#finish(resolve, 127);
      });
      // "close" comes after the last of the output.
      this.#child.once("close", (code, signal) => this.#finish(resolve, code ?? (signal === null ? 1 : 128)));
    });
  }

  /** Of the process; undefined where it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Waits for `wanted` behind what was last found and returns it with its groups. Rejects with the end of the output. */
  async expect(wanted: string | RegExp, seconds = 60): Promise<RegExpExecArray> {
    const pattern = new RegExp(typeof wanted === "string" ? escapePattern(wanted) : wanted.source, "gm");
    return await new Promise<RegExpExecArray>((resolve, reject) => {
      const timer = setTimeout(() => waiter.fail(`did not come within ${seconds} s`), seconds * 1000);
      const waiter: Waiter = {
        attempt: () => {
          pattern.lastIndex = this.#position;
          const found = pattern.exec(this.output);
          if (!found) return false;
          this.#position = found.index + found[0].length;
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          resolve(found);
          return true;
        },
        fail: (why) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          reject(new Error(`${JSON.stringify(String(wanted))} ${why}\n${this.describe()}`));
        },
      };
      if (waiter.attempt()) return;
      if (this.#ended) return waiter.fail("did not come before the program ended");
      this.#waiters.add(waiter);
    });
  }

  send(text: string): void {
    this.#child.stdin?.write(text);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  closeInput(): void {
    this.#child.stdin?.end();
  }

  /** The exit code; rejects when the program goes on. */
  async exit(seconds = 60): Promise<number> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`still running after ${seconds} s\n${this.describe()}`)),
        seconds * 1000,
      );
    });
    try {
      return await Promise.race([this.#exit, limit]);
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#child.kill("SIGKILL");
    await this.#exit;
  }

  describe(): string {
    const errors = this.errors === "" ? "" : `\n--- standard error:\n${this.errors.slice(-TAIL)}`;
    return `--- ${this.name}\n${this.output.slice(-TAIL)}${errors}`;
  }

  #check(): void {
    for (const waiter of [...this.#waiters]) waiter.attempt();
  }

  #finish(resolve: (code: number) => void, code: number): void {
    this.#ended = true;
    this.#check();
    for (const waiter of [...this.#waiters]) waiter.fail(`did not come before the program ended with code ${code}`);
    resolve(code);
  }
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: SessionOptions & { readonly input?: string; readonly seconds?: number } = {},
): Promise<{ code: number; output: string; errors: string }> {
  await using session = new Session(command, args, options);
  if (options.input !== undefined) session.send(options.input);
  session.closeInput();
  const code = await session.exit(options.seconds ?? 60);
  return { code, output: session.output, errors: session.errors };
}
