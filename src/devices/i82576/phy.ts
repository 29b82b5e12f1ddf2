/**
 * The internal copper PHY (datasheet 8.24 and IEEE 802.3 clause 22): registers over MDIC, auto-negotiation against a partner that offers
 * everything at full duplex, loopback, power down. Registers of 16 and more are paged by register 31.
 *
 * Choices: negotiation takes one second, a forced speed one millisecond; the cable is 5 m long and never degrades.
 */
import { type Event, MS, SEC } from "../../sim/index.ts";
import type { I82576Core } from "./i82576.ts";

const PHY_ADDRESS = 1;
const ID1 = 0x02a8;
const ID2 = 0x0391;

const BMCR = 0;
const BMSR = 1;
const ANAR = 4;
const ANLPAR = 5;
const ANER = 6;
const ANNPT = 7;
const GCON = 9;
const GSTATUS = 10;
const ESTATUS = 15;
const PORT_CONFIG = 16;
const PORT_STATUS = 17;
const PORT_CTRL = 18;
const LINK_HEALTH = 19;
const POWER_MGMT = 25;
const PAGE_SELECT = 31;
/** Cable length of the four channels. */
const AGC = [0x11b1, 0x12b1, 0x14b1, 0x18b1];

const RESET = 0x8000;
const LOOPBACK = 0x4000;
const SPEED_LSB = 0x2000;
const AUTONEG = 0x1000;
const POWER_DOWN = 0x0800;
const RESTART = 0x0200;
const DUPLEX = 0x0100;
const SPEED_MSB = 0x0040;

const WRITABLE: { readonly [register: number]: number } = {
  [BMCR]: 0x7fc0,
  [ANAR]: 0xbfff,
  [ANNPT]: 0xbfff,
  [GCON]: 0xffff,
  [PORT_CONFIG]: 0xffff,
  [PORT_CTRL]: 0xffff,
  [POWER_MGMT]: 0xffff,
};
const RESETS: { readonly [register: number]: number } = {
  [BMCR]: AUTONEG | DUPLEX | SPEED_MSB,
  [ANAR]: 0x0de1,
  [ANNPT]: 0x2001,
  [GCON]: 0x0300,
  [PORT_CONFIG]: 0x0120,
  [POWER_MGMT]: 0x008d,
};
/** What the partner offers: acknowledged, asymmetric and symmetric pause, 100 and 10 at full and half duplex. */
const PARTNER = 0x4de1;

const OP_WRITE = 1;
const OP_READ = 2;
const MDIC_READY = 1 << 28;
const MDIC_INTERRUPT = 1 << 29;
const MDIC_ERROR = 1 << 30;

export class Phy {
  readonly #core: I82576Core;
  readonly #regs: Uint16Array;
  readonly #c: {
    page: number;
    up: boolean;
    negotiated: boolean;
    latchedDown: boolean;
    speed: number;
    fullDuplex: boolean;
  };
  readonly #settled: Event;

  constructor(core: I82576Core) {
    this.#core = core;
    this.#regs = core.cells({ registers: initial() }, "phyRegisters").registers;
    this.#c = core.cells(
      { page: 0, up: false, negotiated: false, latchedDown: false, speed: 1000, fullDuplex: true },
      "phy",
    );
    this.#settled = core.event("phySettled", () => this.#settle());
  }

  get up(): boolean {
    return this.#c.up;
  }
  /** 10, 100 or 1000 Mb/s. */
  get speed(): number {
    return this.#c.speed;
  }
  get fullDuplex(): boolean {
    return this.#c.fullDuplex;
  }
  get loopback(): boolean {
    return (this.#reg(BMCR) & LOOPBACK) !== 0;
  }
  get #interrupted(): boolean {
    return (this.#core.reg("CTRL") & (1 << 31)) !== 0;
  }

  #reg(n: number): number {
    return this.#regs[n] as number;
  }

  /** MDIC was written: the cycle ends at once. */
  access(written: number): void {
    const op = (written >>> 26) & 3;
    const register = (written >>> 16) & 0x1f;
    const good = ((written >>> 21) & 0x1f) === PHY_ADDRESS && (op === OP_READ || op === OP_WRITE) && !this.#interrupted;
    let value = (written & 0x2fff_ffff) | MDIC_READY;
    if (!good) value |= MDIC_ERROR;
    else if (op === OP_READ) value = (value & ~0xffff) | this.read(register);
    else this.write(register, written & 0xffff);
    this.#core.setReg("MDIC", value);
    if ((written & MDIC_INTERRUPT) !== 0) this.#core.interrupts.cause(1 << 9);
  }

  read(register: number): number {
    const c = this.#c;
    const page = register >= PORT_CONFIG ? (c.page & ~0x1f) | register : register;
    switch (page) {
      case BMSR: {
        const value = 0x7949 | (c.negotiated ? 0x20 : 0) | (c.up && !c.latchedDown ? 4 : 0);
        c.latchedDown = false;
        return value;
      }
      case 2:
        return ID1;
      case 3:
        return ID2;
      case ANLPAR:
        return c.negotiated ? PARTNER : 0;
      case ANER:
        return c.negotiated ? 0x000d : 0x0004;
      case GSTATUS:
        return c.up && c.speed === 1000 ? 0x3c00 : c.negotiated ? 0x0c00 : 0;
      case ESTATUS:
        return 0x3000;
      case PORT_STATUS:
        return (
          (c.up ? (c.speed === 1000 ? 0xc000 : c.speed === 100 ? 0x8000 : 0x4000) | (c.fullDuplex ? 0x0200 : 0) : 0) |
          0x0800
        );
      case LINK_HEALTH:
        return 0;
      case PAGE_SELECT:
        return c.page;
      default:
        if (AGC.includes(page)) return 9 << 9;
        return register < 32 && page < 32 ? this.#reg(register) : 0;
    }
  }

  write(register: number, value: number): void {
    const c = this.#c;
    if (register === PAGE_SELECT) {
      c.page = value;
      return;
    }
    if (register >= PORT_CONFIG && c.page > 0x1f) return;
    const mask = WRITABLE[register];
    if (mask === undefined) return;
    const before = this.#reg(register);
    this.#regs[register] = (before & ~mask) | (value & mask);
    if (register !== BMCR) return;
    if ((value & RESET) !== 0) {
      this.reset();
      return;
    }
    this.#regs[BMCR] = this.#reg(BMCR) & ~RESTART;
    const matters = AUTONEG | LOOPBACK | POWER_DOWN | SPEED_LSB | SPEED_MSB | DUPLEX;
    if ((value & RESTART) !== 0 || ((before ^ value) & matters) !== 0) this.restart();
  }

  /** All registers as after power-on; negotiates anew. */
  reset(): void {
    this.#regs.set(initial());
    this.#c.page = 0;
    this.restart();
  }

  /** Something that decides about the link has changed. */
  restart(): void {
    const control = this.#reg(BMCR);
    this.#drop();
    this.#settled.cancel();
    if ((control & POWER_DOWN) !== 0 || this.#interrupted) return;
    if ((control & LOOPBACK) !== 0) this.#settle();
    else if (this.#core.carrier) this.#settled.notify((control & AUTONEG) !== 0 ? SEC : MS);
  }

  #drop(): void {
    const c = this.#c;
    c.negotiated = false;
    if (!c.up) return;
    c.up = false;
    c.latchedDown = true;
    this.#core.linkChanged();
  }

  #settle(): void {
    const c = this.#c;
    const control = this.#reg(BMCR);
    if ((control & AUTONEG) !== 0 && (control & LOOPBACK) === 0) {
      c.negotiated = true;
      const common = this.#reg(ANAR) & PARTNER;
      const gigabit = (this.#reg(GCON) & 0x0200) !== 0;
      if (!gigabit && (common & 0x01e0) === 0) return;
      c.speed = gigabit ? 1000 : (common & 0x0180) !== 0 ? 100 : 10;
      c.fullDuplex = gigabit || (c.speed === 100 ? (common & 0x0100) !== 0 : (common & 0x0040) !== 0);
    } else {
      c.speed = (control & SPEED_MSB) !== 0 ? 1000 : (control & SPEED_LSB) !== 0 ? 100 : 10;
      c.fullDuplex = (control & DUPLEX) !== 0;
    }
    c.up = true;
    this.#core.linkChanged();
  }
}

function initial(): Uint16Array {
  const registers = new Uint16Array(32);
  for (const [n, value] of Object.entries(RESETS)) registers[Number(n)] = value;
  return registers;
}
