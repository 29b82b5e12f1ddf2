/**
 * The EEPROM of an 82576 board (datasheet chapter 6 and 8.4): a 128 Kb SPI part (AT25128's commands) behind EERD and bit-bang EECD.
 * Words 0 to 3Fh sum to BABAh. There is no flash. Writes through EECD take no time: the part is ready at once.
 */
import type { I82576Core } from "./i82576.ts";

export const NVM_WORDS = 8192;
const CHECKSUM = 0xbaba;
const PAGE = 64;

/** Command bytes of the part. */
const WRSR = 1;
const WRITE = 2;
const READ = 3;
const WRDI = 4;
const RDSR = 5;
const WREN = 6;

const SK = 1 << 0;
const CS = 1 << 1;
const DI = 1 << 2;
const DO = 1 << 3;
const REQ = 1 << 6;
const GNT = 1 << 7;
const EERD_DONE = 1 << 1;

/** What the manufacturer of this board has put there. Unused words are FFFFh. */
export function factoryImage(mac: Uint8Array, port: number): Uint16Array {
  const words = new Uint16Array(NVM_WORDS).fill(0xffff);
  const set = (at: number, ...values: number[]) => words.set(values, at);
  const byte = (i: number) => mac[i] as number;
  set(0x00, byte(0) | (byte(1) << 8), byte(2) | (byte(3) << 8), byte(4) | (byte(5) << 8));
  // Compatibility, image version 2.1, PBA number.
  set(0x03, 0x0400, 0xffff, 0x2010, 0xffff, 0xffff, 0xe64c, 0x0030);
  // Init control 1, subsystem, device and vendor ids, init control 2.
  set(0x0a, 0x002b, 0xa03c, 0x8086, 0x10c9, 0x8086, 0x3040);
  // Init control 3 and 4 of both ports, LED defaults, PCIe words.
  set(0x10, 0x1040, 0x10ca, 0x0000, 0x1100, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000, 0x0000);
  set(0x1c, 0x8706, 0x0302, 0x0000, 0x8706, 0x0302);
  set(0x20, 0x0602, 0x0000, 0x0000, 0x0000, 0x0400);
  set(0x25, 0x0030, 0x1080, 0x0000, 0x6c14, 0x0080, 0x0086, 0x0001);
  // No alternate MAC address, no combo image.
  set(0x37, 0xffff);
  set(0x3d, 0xffff);
  if (port === 1) words[0x14] = 0x0000;
  let sum = 0;
  for (let i = 0; i < 0x3f; i++) sum += words[i] as number;
  words[0x3f] = CHECKSUM - sum;
  return words;
}

export class Nvm {
  readonly #core: I82576Core;
  readonly words: Uint16Array;
  readonly #spi: {
    /** Bits shifted in since chip select, and the last 32 of them. */
    count: number;
    shift: number;
    command: number;
    address: number;
    writeEnabled: boolean;
    /** Page buffer in bytes, -1 where nothing was written. */
    buffer: Int16Array;
    out: number;
  };

  constructor(core: I82576Core, image: Uint16Array) {
    this.#core = core;
    this.words = core.cells({ words: image.slice(0, NVM_WORDS) }, "nvm").words;
    this.#spi = core.cells(
      {
        count: 0,
        shift: 0,
        command: 0,
        address: 0,
        writeEnabled: false,
        buffer: new Int16Array(PAGE).fill(-1),
        out: 0,
      },
      "spi",
    );
  }

  /** EERD was written: done at once. */
  read(written: number): void {
    if ((written & 1) === 0) return;
    const address = (written >>> 2) & 0x3fff;
    const word = address < NVM_WORDS ? (this.words[address] as number) : 0xffff;
    if (address >= NVM_WORDS) {
      this.#core.guestError({ kind: "value", register: "EERD", value: address, detail: "no such word in the EEPROM" });
    }
    this.#core.setReg("EERD", (word << 16) | (written & 0xfffc) | EERD_DONE);
  }

  /** EECD was written: grants access, drives the pins. */
  pins(written: number, before: number): void {
    const granted = (written & REQ) !== 0;
    let value = (this.#core.reg("EECD") & ~(GNT | DO)) | (granted ? GNT : 0);
    if (granted) {
      if ((written & CS) !== 0) this.#deselect();
      else if ((before & CS) !== 0) this.#select();
      if ((written & CS) === 0 && (written & SK) !== 0 && (before & SK) === 0)
        this.#clock((written & DI) !== 0 ? 1 : 0);
      else if ((written & CS) === 0 && (before & SK) !== 0 && (written & SK) === 0) this.#spi.out = this.#output();
      if (this.#spi.out !== 0) value |= DO;
    }
    this.#core.setReg("EECD", value);
  }

  #select(): void {
    Object.assign(this.#spi, { count: 0, shift: 0, command: 0, out: 0 });
  }

  /** The part carries a write out when chip select rises. */
  #deselect(): void {
    const spi = this.#spi;
    if (spi.command === WRITE && spi.writeEnabled && spi.count >= 32) {
      const page = spi.address & ~(PAGE - 1);
      for (let i = 0; i < PAGE; i++) {
        const data = spi.buffer[i] as number;
        if (data >= 0) this.#setByte(page + i, data);
      }
      spi.writeEnabled = false;
    }
    spi.buffer.fill(-1);
    spi.command = 0;
    spi.count = 0;
  }

  #clock(bit: number): void {
    const spi = this.#spi;
    spi.shift = (spi.shift << 1) | bit;
    spi.count = Math.min(spi.count + 1, 0x4000_0000);
    if (spi.count === 8) this.#command(spi.shift & 0xff);
    else if (spi.count === 24 && (spi.command === READ || spi.command === WRITE)) spi.address = spi.shift & 0x3fff;
    else if (spi.count > 24 && spi.count % 8 === 0 && spi.command === WRITE) {
      spi.buffer[spi.address & (PAGE - 1)] = spi.shift & 0xff;
      spi.address = (spi.address & ~(PAGE - 1)) | ((spi.address + 1) & (PAGE - 1));
    }
  }

  #command(command: number): void {
    const spi = this.#spi;
    spi.command = command;
    if (command === WREN) spi.writeEnabled = true;
    else if (command === WRDI) spi.writeEnabled = false;
    else if (![READ, WRITE, RDSR, WRSR].includes(command)) {
      this.#core.guestError({
        kind: "value",
        register: "EECD",
        value: command,
        detail: "no such command of the EEPROM",
      });
    }
  }

  /** The bit that the part drives from the falling edge on: the next one of what is read, high bit first. */
  #output(): number {
    const spi = this.#spi;
    if (spi.command === RDSR && spi.count >= 8) {
      const status = spi.writeEnabled ? 2 : 0;
      return (status >>> (7 - (spi.count % 8))) & 1;
    }
    if (spi.command !== READ || spi.count < 24) return 0;
    const place = spi.count - 24;
    return (this.#byte((spi.address + (place >>> 3)) & 0x3fff) >>> (7 - (place & 7))) & 1;
  }

  /** The part's bytes are the words' halves, low byte first. */
  #byte(address: number): number {
    return ((this.words[address >>> 1] as number) >>> ((address & 1) << 3)) & 0xff;
  }
  #setByte(address: number, data: number): void {
    const word = this.words[address >>> 1] as number;
    this.words[address >>> 1] = (address & 1) === 0 ? (word & 0xff00) | data : (word & 0xff) | (data << 8);
  }

  /** The MAC address of the board, which goes into RAL and RAH 0 at reset. */
  get mac(): readonly [low: number, high: number] {
    const w = (i: number) => this.words[i] as number;
    return [w(0) | (w(1) << 16), w(2)];
  }
}
