/** System registers that are trapped: the physical timer is emulated, what has to do with debug and performance monitors reads as zero. */
import type { Exit, PhysicalCpu } from "./physical-cpu.ts";
import type { Vcpu } from "./vcpu.ts";

/** Op0:Op1:CRn:CRm:Op2 of an encoding, from bit 14 down. */
const encoding = (op0: number, op1: number, crn: number, crm: number, op2: number): number =>
  (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;

const CNTP_TVAL = encoding(3, 3, 14, 2, 0);
const CNTP_CTL = encoding(3, 3, 14, 2, 1);
const CNTP_CVAL = encoding(3, 3, 14, 2, 2);
const ACTLR = encoding(3, 0, 1, 0, 1);

/** The register's name, or S<op0>_<op1>_C<n>_C<m>_<op2>. */
export function systemRegisterName(syndrome: number): string {
  const id = encodingOf(syndrome);
  if (id === CNTP_TVAL) return "CNTP_TVAL_EL0";
  if (id === CNTP_CTL) return "CNTP_CTL_EL0";
  if (id === CNTP_CVAL) return "CNTP_CVAL_EL0";
  if (id === ACTLR) return "ACTLR_EL1";
  return `S${id >> 14}_${(id >> 11) & 7}_C${(id >> 7) & 15}_C${(id >> 3) & 15}_${id & 7}`;
}

/** ISS of EC 0x18: Op0 21:20, Op2 19:17, Op1 16:14, CRn 13:10, Rt 9:5, CRm 4:1, direction 0 (DDI 0487J.a D17.2.37). */
function encodingOf(iss: number): number {
  return encoding((iss >>> 20) & 3, (iss >>> 14) & 7, (iss >>> 10) & 15, (iss >>> 1) & 15, (iss >>> 17) & 7);
}

/** Emulates the access and steps over it; false where the register is UNDEFINED for the guest. */
export function emulateSystemRegister(cpu: PhysicalCpu, vcpu: Vcpu, exit: Exit): boolean {
  const iss = exit.syndrome;
  const id = encodingOf(iss);
  const rt = (iss >>> 5) & 31;
  const isRead = (iss & 1) !== 0;
  const now = cpu.time;
  let low = 0;
  let high = 0;
  if (id === CNTP_TVAL || id === CNTP_CTL || id === CNTP_CVAL) {
    if (!isRead) {
      const what = id === CNTP_CTL ? "control" : id === CNTP_CVAL ? "compare" : "value";
      vcpu.setTimer(now, what, cpu.low(rt), cpu.high(rt));
    } else if (id === CNTP_CTL) low = vcpu.timerControl(now);
    else if (id === CNTP_TVAL) low = vcpu.timerValue(now);
    else {
      low = vcpu.cells.compare | 0;
      high = Math.floor(vcpu.cells.compare / 2 ** 32) | 0;
    }
  } else if (!readsAsZero(id)) return false;
  if (isRead) cpu.setRegister(rt, low, high);
  cpu.skip();
  return true;
}

/** ACTLR_EL1; self-hosted debug (Op0 2); performance monitors (CRn 9, CRn 14 CRm 8 to 15). */
function readsAsZero(id: number): boolean {
  const crn = (id >> 7) & 15;
  const crm = (id >> 3) & 15;
  if (id === ACTLR) return true;
  if (id >> 14 === 2) return true;
  return id >> 14 === 3 && (crn === 9 || (crn === 14 && crm >= 8));
}
