/** What the 82576's registers do beyond storing: each access goes to the room that knows. */
import type { HooksOf } from "../../registers/index.ts";
import { US } from "../../sim/index.ts";
import type { I82576Core, RegisterName } from "./i82576.ts";
import type { I82576 } from "./registers/index.ts";

const CTRL_SLU = 1 << 6;
const CTRL_RST = 1 << 26;
const CTRL_PHY_RST = 1 << 31;
const PFRSTD = 1 << 14;
const EE_RST = 1 << 13;
const STATUS_PHYRA = 1 << 10;
/** I2CCMD.R and E. */
const I2C_FAILED = 0xa000_0000 | 0;

export function hooksOf(core: I82576Core): HooksOf<typeof I82576> {
  return {
    ...general(core),
    ...interrupt(core),
    ...queues(core),
    ...time(core),
    ...virtualization(core),
    ...counters(core),
  };
}

function general(core: I82576Core): HooksOf<typeof I82576> {
  return {
    CTRL: {
      onWrite: (written, _mask, before) => {
        if ((written & CTRL_RST) !== 0) {
          core.softwareReset();
          return;
        }
        const changed = written ^ before;
        if ((changed & CTRL_PHY_RST) !== 0) {
          if (written < 0) core.phy.restart();
          else {
            core.phy.reset();
            core.phyReset = true;
          }
        }
        if ((changed & CTRL_SLU) !== 0) core.linkChanged();
        core.transmitter.kick();
      },
    },
    STATUS: {
      get: () => core.status,
      onWrite: (written) => {
        if ((written & STATUS_PHYRA) === 0) core.phyReset = false;
      },
    },
    CTRL_EXT: {
      onWrite: (written) => {
        if ((written & PFRSTD) !== 0) core.mailbox.physicalReady();
        if ((written & EE_RST) !== 0) core.loadAddress();
      },
    },
    MDIC: { onWrite: (written) => core.phy.access(written) },
    EECD: { onWrite: (written, _mask, before) => core.nvm.pins(written, before) },
    EERD: { onWrite: (written) => core.nvm.read(written) },
    // No module answers: every cycle ends with an error.
    I2CCMD: { onWrite: (written) => core.setReg("I2CCMD", (written & 0x4fff_ffff) | I2C_FAILED) },
    DCA_ID: { get: () => core.host.requesterId },
    FRTIMER: { get: () => frtimer(core.simulation.now) },
    TCPTIMER: { onWrite: (written) => core.tcpTimerWritten(written) },
    FCSTS: { get: () => (core.flowControl.xoffSent ? 1 : 0) },
    SWSM: { onRead: () => core.setReg("SWSM", core.reg("SWSM") | 1) },
    PBRWAC: { get: () => (core.receiver.waiting === 0 ? 8 : 0) },
    RDFPC: { get: () => Math.min(core.receiver.waiting, 0x1fff) },
    RCTL: { onWrite: () => core.receiver.drain() },
    TCTL: {
      onWrite: (written) => {
        if ((written & (1 << 22)) !== 0) core.flowControl.send(core.reg("FCTTV"));
        core.transmitter.kick();
      },
    },
  };
}

function frtimer(now: number): number {
  const microseconds = Math.floor(now / US);
  const milliseconds = Math.floor(microseconds / 1000);
  const seconds = Math.floor(milliseconds / 1000);
  return (microseconds % 1000) | ((milliseconds % 1000) << 10) | ((seconds % 4096) << 20);
}

function interrupt(core: I82576Core): HooksOf<typeof I82576> {
  const { interrupts } = core;
  return {
    ICR: {
      get: () => interrupts.icr,
      onRead: () => interrupts.readIcr(),
      onWrite: (written) => interrupts.writeIcr(written),
    },
    ICS: { get: () => interrupts.icr, onWrite: (written) => interrupts.cause(written) },
    IMS: { get: () => interrupts.ims, onWrite: (written) => interrupts.setIms(written) },
    IMC: { onWrite: (written) => interrupts.clearIms(written) },
    GPIE: { onWrite: () => interrupts.update() },
    EICS: { get: () => interrupts.eicr, onWrite: (written) => interrupts.setEicr(written) },
    EIMS: { get: () => interrupts.eims, onWrite: (written) => interrupts.setEims(written) },
    EIMC: { onWrite: (written) => interrupts.clearEims(written) },
    EIAC: { onWrite: (written, _mask, before) => interrupts.writeAuto("EIAC", written, before) },
    EIAM: { onWrite: (written, _mask, before) => interrupts.writeAuto("EIAM", written, before) },
    EICR: {
      get: () => interrupts.eicr,
      onRead: () => interrupts.clearEicr(-1),
      onWrite: (written) => interrupts.clearEicr(written),
    },
    EITR: { onWrite: (written, _mask, before, index) => interrupts.writeEitr(index, written, before) },
    PBACL: {
      onWrite: (written) => {
        for (let vector = 0; vector < 25; vector++)
          if ((written & (1 << vector)) !== 0) core.host.clearPending(-1, vector);
      },
    },
  };
}

/** A head that software writes stays as it was: the device alone moves it. */
function head(core: I82576Core, name: "RDH" | "TDH") {
  return {
    onWrite: (written: number, _mask: number, before: number, q: number) => {
      core.setReg(name, before, q);
      if (written !== 0 && written !== before) {
        core.guestError({
          kind: "access",
          register: `${name}[${q}]`,
          value: written >>> 0,
          write: true,
          detail: "write to a ring's head",
        });
      }
    },
  };
}

function queues(core: I82576Core): HooksOf<typeof I82576> {
  return {
    RDH: head(core, "RDH"),
    TDH: head(core, "TDH"),
    RDT: { onWrite: (_w, _m, _b, q) => core.receiver.tailWritten(q) },
    RXDCTL: { onWrite: (_w, _m, before, q) => core.receiver.controlWritten(q, before) },
    RQDPC: { onRead: (q) => core.setReg("RQDPC", 0, q) },
    TDT: { onWrite: (_w, _m, _b, q) => core.transmitter.tailWritten(q) },
    TXDCTL: { onWrite: (_w, _m, before, q) => core.transmitter.controlWritten(q, before) },
    RTTBCNRC: {
      get: () => core.transmitter.rate,
      onWrite: (written) => {
        core.transmitter.rate = written;
      },
    },
    VFRE: { onWrite: () => core.receiver.drain() },
    VFTE: { onWrite: () => core.transmitter.kick() },
    MDFB: { onWrite: () => core.transmitter.kick() },
  };
}

function time(core: I82576Core): HooksOf<typeof I82576> {
  const { clock } = core;
  return {
    SYSTIML: { get: () => clock.low, onRead: () => clock.hold(), onWrite: (written) => clock.setLow(written) },
    SYSTIMH: { get: () => clock.high, onRead: () => clock.release(), onWrite: (written) => clock.setHigh(written) },
    TIMINCA: { onWrite: (_written, _mask, before) => clock.rebase(before) },
    TIMADJH: { onWrite: () => clock.adjust() },
    RXSTMPH: { onRead: () => clock.freeReceive() },
    TXSTMPH: { onRead: () => clock.freeTransmit() },
  };
}

function virtualization(core: I82576Core): HooksOf<typeof I82576> {
  const { interrupts, mailbox } = core;
  const bits = (vf: number, value: number) => (value & 7) << (22 - 3 * vf);
  const seen = (vf: number, value: number) => (value >>> (22 - 3 * vf)) & 7;
  const auto = (name: "EIAC" | "EIAM") => ({
    get: (vf: number) => seen(vf, core.reg(name)),
    onWrite: (written: number, _mask: number, _before: number, vf: number) =>
      interrupts.writeAuto(name, bits(vf, written), core.reg(name), vf),
  });
  return {
    P2VMAILBOX: {
      get: (vf) => mailbox.physical(vf),
      onWrite: (written, _m, _b, vf) => mailbox.writePhysical(vf, written),
    },
    SCCRL: { onWrite: () => core.storm.restart() },
    SCBI: { onWrite: () => core.storm.restart() },
    SCSTS: { get: () => core.storm.status },
    BSCCNT: { get: () => core.storm.broadcastCount },
    MSCCNT: { get: () => core.storm.multicastCount },
    SCTC: { get: () => core.storm.time },
    WVBR: { onRead: () => core.setReg("WVBR", 0) },
    LVMMC: { onRead: () => core.setReg("LVMMC", 0) },
    VTCTRL: {
      get: () => 0,
      onWrite: (written, _m, _b, vf) => {
        if ((written & CTRL_RST) !== 0) core.virtualReset(vf);
      },
    },
    VTEICS: { onWrite: (written, _m, _b, vf) => interrupts.setEicr(bits(vf, written), vf) },
    VTEIMS: {
      get: (vf) => seen(vf, interrupts.eims),
      onWrite: (written, _m, _b, vf) => interrupts.setEims(bits(vf, written), vf),
    },
    VTEIMC: { onWrite: (written, _m, _b, vf) => interrupts.clearEims(bits(vf, written), vf) },
    VTEIAC: auto("EIAC"),
    VTEIAM: auto("EIAM"),
    VTEICR: {
      get: (vf) => seen(vf, interrupts.eicr),
      onRead: (vf) => interrupts.clearEicr(bits(vf, 7), vf),
      onWrite: (written, _m, _b, vf) => interrupts.clearEicr(bits(vf, written), vf),
    },
    VTIVAR: { onWrite: () => interrupts.update() },
  };
}

/** Reading the high word of an octet counter clears the low one. */
function counters(core: I82576Core): HooksOf<typeof I82576> {
  const clears = (low: RegisterName) => ({ onRead: () => core.setReg(low, 0) });
  return {
    GORCH: clears("GORCL"),
    GOTCH: clears("GOTCL"),
    TORH: clears("TORL"),
    TOTH: clears("TOTL"),
    HGORCH: clears("HGORCL"),
    HGOTCH: clears("HGOTCL"),
  };
}
