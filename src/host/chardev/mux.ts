/**
 * Several users on one character device, as QEMU's mux: the escape character (Ctrl-A) and a key act on the device itself, all else goes to
 * the user in focus. Output of all of them is shown.
 */

export interface MuxUser {
  receive(data: Buffer): void;
  /** The user comes into focus. */
  focus?(): void;
  /** The line is held low: a break. */
  sendBreak?(): void;
}

export interface MuxActions {
  exit(): void;
  write(text: string): void;
  /** Saves a snapshot; returns what to tell. */
  save(): string;
}

const NEWLINE = 10;

export class Multiplexer {
  readonly #escape: number;
  readonly #actions: MuxActions;
  readonly #users: MuxUser[] = [];
  #focus = 0;
  #escaped = false;
  #timestamps = false;
  #lineStart = true;
  readonly #now: () => number;
  #started: number | null = null;

  /** `escapeCode` 0: none. `now` gives milliseconds for timestamps. */
  constructor(escapeCode: number, actions: MuxActions, now: () => number) {
    this.#escape = escapeCode;
    this.#actions = actions;
    this.#now = now;
  }

  add(user: MuxUser): void {
    this.#users.push(user);
  }

  receive(data: Buffer): void {
    let plain: number[] = [];
    const flush = () => {
      if (plain.length > 0) this.#users[this.#focus]?.receive(Buffer.from(plain));
      plain = [];
    };
    for (const byte of data) {
      if (this.#escaped) {
        this.#escaped = false;
        if (byte === this.#escape) plain.push(byte);
        else {
          flush();
          this.#command(String.fromCharCode(byte).toLowerCase());
        }
      } else if (byte === this.#escape && this.#escape !== 0) this.#escaped = true;
      else plain.push(byte);
    }
    flush();
  }

  /** Output of a user as it should appear: with the time before each line, where that is on. */
  decorate(data: Buffer): Buffer {
    if (!this.#timestamps) return data;
    const parts: Buffer[] = [];
    let from = 0;
    while (from < data.length) {
      if (this.#lineStart) parts.push(Buffer.from(this.#stamp()));
      const end = data.indexOf(NEWLINE, from);
      const to = end < 0 ? data.length : end + 1;
      parts.push(data.subarray(from, to));
      this.#lineStart = end >= 0;
      from = to;
    }
    return Buffer.concat(parts);
  }

  #stamp(): string {
    this.#started ??= this.#now();
    const ms = Math.floor(this.#now() - this.#started);
    const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
    const s = ms / 1000;
    return `[${two(s / 3600)}:${two((s / 60) % 60)}:${two(s % 60)}.${String(ms % 1000).padStart(3, "0")}] `;
  }

  #command(key: string): void {
    switch (key) {
      case "x":
        this.#actions.write("Armature: terminated\r\n");
        this.#actions.exit();
        break;
      case "c":
        if (this.#users.length < 2) break;
        this.#focus = (this.#focus + 1) % this.#users.length;
        this.#users[this.#focus]?.focus?.();
        break;
      case "b":
        this.#users[this.#focus]?.sendBreak?.();
        break;
      case "t":
        this.#timestamps = !this.#timestamps;
        this.#lineStart = false;
        break;
      case "s":
        // Disks and flash images are written back at once: what is left to save is the machine.
        this.#actions.write(`\r\nArmature: ${this.#actions.save()}\r\n`);
        break;
      case "h":
      case "?":
        this.#actions.write(this.#help());
        break;
    }
  }

  #help(): string {
    const name = this.#escape <= 26 ? `C-${String.fromCharCode(this.#escape + 96)}` : `0x${this.#escape.toString(16)}`;
    const keys: readonly (readonly [string, string])[] = [
      ["h", "print this help"],
      ["x", "leave the emulator"],
      ["s", "save a snapshot to the file of --save-snapshot"],
      ["t", "toggle timestamps before lines"],
      ["b", "send a break"],
      ["c", "switch between serial port and monitor"],
      [name, `send ${name}`],
    ];
    return `\r\n${keys.map(([key, text]) => `${name} ${key.padEnd(4)} ${text}\r\n`).join("")}`;
  }
}
