/**
 * 82576 datasheet 7.10 and 8.14: the mailbox of each VF, 64 bytes with ownership, request, acknowledgement and reset bits. The memory itself
 * is VMBMEM of the PF's registers. Ownership is advice: the hardware grants it to one side at a time, and guards no write.
 */

import type { I82576Core } from "./i82576.ts";
import { CAUSE } from "./interrupts.ts";

const REQ_STS = 1 << 0;
const ACK = 1 << 1;
const VFU = 1 << 2;
const PFU = 1 << 3;
const RVFU = 1 << 4;
const PFSTS = 1 << 4;
const PFACK = 1 << 5;
const RSTI = 1 << 6;
const RSTD = 1 << 7;

export class Mailbox {
  readonly #core: I82576Core;
  /** As V2PMAILBOX reads, by VF. */
  readonly #flags: Int32Array;

  constructor(core: I82576Core) {
    this.#core = core;
    this.#flags = core.cells({ flags: new Int32Array(8).fill(RSTI) }, "mailbox").flags;
  }

  #get(vf: number): number {
    return this.#flags[vf] as number;
  }
  #change(vf: number, clear: number, set: number): void {
    this.#flags[vf] = (this.#get(vf) & ~clear) | set;
  }

  /** P2VMAILBOX as the PF reads it. */
  physical(vf: number): number {
    return this.#get(vf) & (VFU | PFU);
  }

  writePhysical(vf: number, written: number): void {
    const core = this.#core;
    if ((written & RVFU) !== 0) {
      this.#change(vf, VFU, 0);
      core.setReg("MBVFICR", core.reg("MBVFICR") & ~(0x1_0001 << vf));
    }
    if ((written & PFU) === 0) this.#change(vf, PFU, 0);
    else if ((this.#get(vf) & VFU) === 0) this.#change(vf, 0, PFU);
    const news = ((written & REQ_STS) !== 0 ? PFSTS : 0) | ((written & ACK) !== 0 ? PFACK : 0);
    if (news === 0) return;
    this.#change(vf, 0, news);
    core.interrupts.mailbox(vf);
  }

  /** V2PMAILBOX as the VF reads it; `readVirtual` is what reading changes. */
  virtual(vf: number): number {
    return this.#get(vf);
  }
  readVirtual(vf: number): void {
    this.#change(vf, PFSTS | PFACK | RSTD, 0);
  }

  writeVirtual(vf: number, written: number): void {
    const core = this.#core;
    if ((written & VFU) === 0) this.#change(vf, VFU, 0);
    else if ((this.#get(vf) & PFU) === 0) this.#change(vf, 0, VFU);
    const news = ((written & REQ_STS) !== 0 ? 1 : 0) | ((written & ACK) !== 0 ? 0x1_0000 : 0);
    if (news === 0) return;
    core.setReg("MBVFICR", core.reg("MBVFICR") | (news << vf));
    this.#notify(vf);
  }

  /** VF n was reset, by itself or by a function-level reset. */
  virtualReset(vf: number): void {
    const core = this.#core;
    this.#change(vf, VFU | PFSTS | PFACK, 0);
    core.setReg("VFLRE", core.reg("VFLRE") | (1 << vf));
    this.#notify(vf);
  }

  #notify(vf: number): void {
    if ((this.#core.reg("MBVFIMR") & (1 << vf)) !== 0) this.#core.interrupts.cause(CAUSE.SWMB);
  }

  /** The PF is in reset: VFs see RSTI until it says that it is done. */
  physicalReset(): void {
    this.#flags.fill(RSTI);
  }
  /** CTRL_EXT.PFRSTD was set. */
  physicalReady(): void {
    for (let vf = 0; vf < 8; vf++) if ((this.#get(vf) & RSTI) !== 0) this.#change(vf, RSTI, RSTD);
  }
}
