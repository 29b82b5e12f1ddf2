/**
 * The port's four LEDs, 82576 datasheet 8.2 (LEDCTL): each shows what its mode selects, inverted or blinking where asked. Nothing here is state but the
 * instant of the last traffic. Choices: traffic lights a LED for 100 ms; modes of pins, collisions and the bus leave it dark.
 */
import { MS } from "../../sim/index.ts";
import type { I82576Core } from "./i82576.ts";

const SHOWN = 100 * MS;
/** GLOBAL_BLINK_MODE: on and off for 200 ms each, or 83 ms. */
const FAST = 1 << 5;
const INVERT = 1 << 6;
const BLINK = 1 << 7;
const LED_ON = 14;
const LED_OFF = 15;

export class Leds {
  readonly #core: I82576Core;
  /** When a frame was last seen on the line, and when one was last accepted or sent. */
  readonly #c: { seen: number; passed: number };

  constructor(core: I82576Core) {
    this.#core = core;
    this.#c = core.cells({ seen: -SHOWN, passed: -SHOWN }, "leds");
  }

  /** A frame is on the line. */
  seen(): void {
    this.#c.seen = this.#core.simulation.now;
  }
  /** It is one that the port sends or accepts. */
  passed(): void {
    this.#c.seen = this.#core.simulation.now;
    this.#c.passed = this.#c.seen;
  }

  /** LED `n`, 0 to 3, is lit now. */
  lit(n: number): boolean {
    const core = this.#core;
    const control = core.reg("LEDCTL");
    const own = (control >>> (8 * n)) & 0xff;
    const { now } = core.simulation;
    let on = this.#source(own & 0xf);
    if (on && (own & BLINK) !== 0) on = Math.floor(now / ((control & FAST) !== 0 ? 83 * MS : 200 * MS)) % 2 === 0;
    return on !== ((own & INVERT) !== 0);
  }

  #source(mode: number): boolean {
    if (mode === LED_ON) return true;
    const core = this.#core;
    if (mode === LED_OFF || !core.linkUp) return false;
    const { speed } = core;
    const { now } = core.simulation;
    switch (mode) {
      case 0:
        return speed !== 100;
      case 1:
        return speed !== 10;
      case 2:
        return true;
      case 3:
        return now - this.#c.passed < SHOWN;
      case 4:
        return now - this.#c.seen >= SHOWN;
      case 5:
        return speed === 10;
      case 6:
        return speed === 100;
      case 7:
        return speed === 1000;
      case 9:
        return (core.status & 1) !== 0;
      case 11:
        return now - this.#c.seen < SHOWN;
      case 13:
        return core.flowControl.paused;
      default:
        return false;
    }
  }
}
