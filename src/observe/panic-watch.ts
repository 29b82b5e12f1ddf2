/**
 * Looks for the words with which a guest's kernel says on its console that it never goes on. Linux prints them last where it does not
 * reboot by itself (kernel/panic.c): "---[ end Kernel panic - not syncing: REASON ]---".
 */
const WORDS = /---\[ end Kernel panic - not syncing: ?(.*?) \]---/;
const LONGEST_LINE = 1024;

export class PanicWatch {
  #line = "";

  /** Takes a byte of output; the reason at the end of a line that tells of a panic, else null. */
  output(byte: number): string | null {
    if (byte !== 10) {
      if (this.#line.length < LONGEST_LINE) this.#line += String.fromCharCode(byte);
      return null;
    }
    const found = this.#line.length < 20 ? null : WORDS.exec(this.#line);
    this.#line = "";
    return found === null ? null : (found[1] as string);
  }
}
