/** Event records (IHI 0070 7.3) and the fault that becomes one. */

export const F_UUT = 0x01;
export const C_BAD_STREAMID = 0x02;
export const F_STE_FETCH = 0x03;
export const C_BAD_STE = 0x04;
export const F_BAD_ATS_TREQ = 0x05;
export const F_STREAM_DISABLED = 0x06;
export const F_TRANSL_FORBIDDEN = 0x07;
export const C_BAD_SUBSTREAMID = 0x08;
export const F_CD_FETCH = 0x09;
export const C_BAD_CD = 0x0a;
export const F_WALK_EABT = 0x0b;
export const F_TRANSLATION = 0x10;
export const F_ADDR_SIZE = 0x11;
export const F_ACCESS = 0x12;
export const F_PERMISSION = 0x13;

/** CLASS: what the faulting address was for. */
export const CLASS_CD = 0;
export const CLASS_TTD = 1;
export const CLASS_IN = 2;

export const EVENT_WORDS = 8;

/** A transaction that was refused, and why. Reused from one to the next. */
export class Fault {
  /** Number of the event, or 0 where the refusal is not recorded by design. */
  type = 0;
  streamId = 0;
  /** -1 without. */
  substreamId = -1;
  write = false;
  instruction = false;
  privileged = false;
  stage2 = false;
  class = CLASS_IN;
  /** Input address as two words. */
  high = 0;
  low = 0;
  /** Intermediate address of a stage 2 fault, or the address of a failed fetch. */
  address = 0;

  /** The record's words. */
  encode(words: Int32Array): void {
    const { type } = this;
    words.fill(0);
    words[0] = type | (this.substreamId >= 0 ? (1 << 11) | (this.substreamId << 12) : 0);
    words[1] = this.streamId;
    const translation = type >= F_TRANSLATION || type === F_WALK_EABT;
    if (translation) {
      words[3] =
        (this.privileged ? 1 << 1 : 0) |
        (this.instruction ? 1 << 2 : 0) |
        (this.write ? 0 : 1 << 3) |
        (this.stage2 ? 1 << 7 : 0) |
        (this.class << 8);
    } else if (type === F_TRANSL_FORBIDDEN) words[3] = this.write ? 0 : 1 << 3;
    if (translation || type === F_TRANSL_FORBIDDEN || type === F_BAD_ATS_TREQ) {
      words[4] = this.low;
      words[5] = this.high;
    }
    const fetch = type === F_STE_FETCH || type === F_CD_FETCH || type === F_WALK_EABT;
    if (fetch || (type >= F_TRANSLATION && this.stage2)) {
      words[6] = (this.address | 0) & (fetch ? ~7 : ~0xfff);
      words[7] = Math.floor(this.address / 4294967296) | 0;
    }
  }
}
