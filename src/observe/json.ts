/** JSON for the machine protocol: QEMU's spacing on the way out, a stream of objects on the way in. */

/** JSON text with a space after each colon and comma, as QEMU writes it; `pretty` indents by four. */
export function formatJson(value: unknown, pretty = false): string {
  if (pretty) return JSON.stringify(value, null, 4);
  if (Array.isArray(value)) return `[${value.map((v) => formatJson(v)).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).filter(([, v]) => v !== undefined);
    return `{${entries.map(([k, v]) => `${JSON.stringify(k)}: ${formatJson(v)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

const MAX_MESSAGE = 16 * 1024 * 1024;

/** Cuts a stream into JSON values at their outermost brackets; a message may span lines and follow another without one. */
export class JsonStream {
  #text = "";
  #from = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** Texts of the values completed by `chunk`. Text outside brackets ends at a newline. */
  *push(chunk: string): Generator<string> {
    this.#text += chunk;
    while (this.#from < this.#text.length) {
      const c = this.#text[this.#from] as string;
      this.#from++;
      if (c === "\xff") {
        // What clients send to bring a parser that lost its place back to a known state.
        this.#restart(this.#text.slice(this.#from));
        continue;
      }
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (c === "\\") this.#escaped = true;
        else if (c === '"') this.#inString = false;
        continue;
      }
      if (c === '"') this.#inString = true;
      else if (c === "{" || c === "[") this.#depth++;
      else if (c === "}" || c === "]") this.#depth--;
      else if (c !== "\n") continue;
      if (this.#depth > 0 || this.#inString) continue;
      const message = this.#text.slice(0, this.#from).trim();
      this.#restart(this.#text.slice(this.#from));
      if (message !== "") yield message;
    }
    if (this.#text.length > MAX_MESSAGE) {
      this.#restart("");
      yield "(message too long)";
    }
  }

  #restart(rest: string): void {
    this.#text = rest;
    this.#from = 0;
    this.#depth = 0;
    this.#inString = false;
    this.#escaped = false;
  }
}
