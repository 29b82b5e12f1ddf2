/** Several consoles on one terminal: whole lines, each with its VM's name before it, or in a column of its own. */

const WIDTH = 58;
const FLUSH_AT = 4096;

export class VmConsoles {
  readonly #names: readonly string[];
  readonly #layout: "prefix" | "columns";
  readonly #write: (text: string) => void;
  readonly #lines: number[][];
  readonly #prefix: number;

  constructor(names: readonly string[], layout: "prefix" | "columns", write: (text: string) => void) {
    this.#names = names;
    this.#layout = layout;
    this.#write = write;
    this.#lines = names.map(() => []);
    this.#prefix = Math.max(...names.map((n) => n.length));
    if (layout === "columns") {
      this.#write(
        `${names
          .map((n) => n.padEnd(WIDTH))
          .join(" | ")
          .trimEnd()}\n`,
      );
      this.#write(`${names.map(() => "-".repeat(WIDTH)).join("-+-")}\n`);
    }
  }

  /** A character of console `vm`. */
  put(vm: number, byte: number): void {
    const line = this.#lines[vm] as number[];
    if (byte === 13) return;
    if (byte === 10 || line.length >= FLUSH_AT) this.#flush(vm);
    else line.push(byte);
  }

  /** A line about a VM, not from it. */
  remark(vm: number, text: string): void {
    if ((this.#lines[vm] as number[]).length > 0) this.#flush(vm);
    this.#show(vm, text);
  }

  /** What is left of unfinished lines. */
  end(): void {
    this.#lines.forEach((line, vm) => {
      if (line.length > 0) this.#flush(vm);
    });
  }

  #flush(vm: number): void {
    const line = this.#lines[vm] as number[];
    const text = new TextDecoder().decode(Uint8Array.from(line));
    line.length = 0;
    this.#show(vm, text);
  }

  #show(vm: number, text: string): void {
    if (this.#layout === "prefix") {
      this.#write(`${(this.#names[vm] as string).padEnd(this.#prefix)} | ${text}\n`);
      return;
    }
    const rows: string[] = [];
    for (let at = 0; at === 0 || at < text.length; at += WIDTH) rows.push(text.slice(at, at + WIDTH));
    for (const row of rows) {
      const cells = this.#names.map((_, n) => (n === vm ? row : "").padEnd(WIDTH));
      this.#write(`${cells.join(" | ").trimEnd()}\n`);
    }
  }
}
