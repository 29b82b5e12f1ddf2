/**
 * Framing of GDB's remote serial protocol ("Overview" and "Packet Acknowledgment" of its manual): `$data#checksum`, acknowledged by `+` or
 * `-` until both sides agree to leave that out; a lone 0x03 interrupts. Text is Latin-1: one character a byte.
 */

export interface PacketHandler {
  packet(data: string): void;
  interrupt(): void;
}

/** Longest packet taken, in bytes; `qSupported` announces it. */
export const PACKET_SIZE = 0x4000;

export class PacketStream {
  /** Cleared by QStartNoAckMode. */
  acknowledge = true;
  readonly #handler: PacketHandler;
  readonly #write: (text: string) => void;
  #state: "idle" | "data" | "checksum" = "idle";
  #data = "";
  #checksum = "";
  #last = "";

  constructor(handler: PacketHandler, write: (text: string) => void) {
    this.#handler = handler;
    this.#write = write;
  }

  send(data: string): void {
    this.#last = `$${data}#${checksumOf(data)}`;
    this.#write(this.#last);
  }

  receive(text: string): void {
    for (const c of text) this.#character(c);
  }

  #character(c: string): void {
    switch (this.#state) {
      case "idle":
        if (c === "$") {
          this.#state = "data";
          this.#data = "";
        } else if (c === "\x03") this.#handler.interrupt();
        else if (c === "-" && this.#last !== "" && this.acknowledge) this.#write(this.#last);
        return;
      case "data":
        if (c === "#") {
          this.#state = "checksum";
          this.#checksum = "";
        } else if (c === "$") this.#data = "";
        else if (this.#data.length <= 2 * PACKET_SIZE) this.#data += c;
        return;
      case "checksum":
        this.#checksum += c;
        if (this.#checksum.length < 2) return;
        this.#state = "idle";
        this.#complete();
    }
  }

  #complete(): void {
    const good = this.#checksum.toLowerCase() === checksumOf(this.#data) && this.#data.length <= 2 * PACKET_SIZE;
    if (this.acknowledge) this.#write(good ? "+" : "-");
    if (good) this.#handler.packet(this.#data);
  }
}

export function checksumOf(data: string): string {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data.charCodeAt(i);
  return (sum & 0xff).toString(16).padStart(2, "0");
}

/** Escapes the characters that framing uses, for binary data. */
export function escapeBinary(data: string): string {
  return data.replace(/[#$*}]/g, (c) => `}${String.fromCharCode(c.charCodeAt(0) ^ 0x20)}`);
}

export function unescapeBinary(data: string): string {
  return data.replace(/\}([\s\S])/g, (_, c: string) => String.fromCharCode(c.charCodeAt(0) ^ 0x20));
}

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const b of bytes) text += b.toString(16).padStart(2, "0");
  return text;
}

/** Bytes of hexadecimal digits; null where it is no even number of them. */
export function fromHex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return null;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0) & 0xff);
}

/** UTF-8 text as Latin-1 characters, one a byte. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
