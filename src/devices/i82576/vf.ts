/** The register window of one VF: a view of the PF's registers for its pool, its two queues and its three vectors. */
import { RegisterBank } from "../../registers/index.ts";
import { Module } from "../../sim/index.ts";
import type { I82576Core, RegisterName } from "./i82576.ts";
import { firstVector } from "./interrupts.ts";
import { I82576, I82576_VF } from "./registers/index.ts";

export class VirtualWindow extends Module {
  readonly bank: RegisterBank<typeof I82576_VF>;

  constructor(core: I82576Core, vf: number) {
    super(core, `vf${vf}`);
    /** The PF's register, element `place(index)`. */
    const view = (name: RegisterName, place: (index: number) => number) => {
      const { at: first, stride = 4 } = I82576.registers[name] as { at: number; stride?: number };
      return {
        get: (index: number) => core.peekRegister(first + stride * place(index)),
        onWrite: (written: number, _mask: number, _before: number, index: number) =>
          core.writeRegister(first + stride * place(index), written),
      };
    };
    const own = (name: RegisterName) => view(name, () => vf);
    const queue = (name: RegisterName) => view(name, (index) => vf + 8 * index);
    const clearing = own("VTEICR");
    this.bank = new RegisterBank(this, I82576_VF, {
      VTCTRL: own("VTCTRL"),
      STATUS: { get: () => core.status },
      VTFRTIMER: { get: () => core.peekRegister(I82576.registers.FRTIMER.at) },
      VMBMEM: view("VMBMEM", (index) => 16 * vf + index),
      V2PMAILBOX: {
        get: () => core.mailbox.virtual(vf),
        onRead: () => core.mailbox.readVirtual(vf),
        onWrite: (written) => core.mailbox.writeVirtual(vf, written),
      },
      VTEICS: own("VTEICS"),
      VTEIMS: own("VTEIMS"),
      VTEIMC: own("VTEIMC"),
      VTEIAC: own("VTEIAC"),
      VTEIAM: own("VTEIAM"),
      VTEICR: { ...clearing, onRead: () => core.interrupts.clearEicr(7 << firstVector(vf), vf) },
      VTEITR: view("EITR", (index) => firstVector(vf) + index),
      VTIVAR: own("VTIVAR"),
      VTIVAR_MISC: own("VTIVAR_MISC"),
      PBACL: {
        get: () => 0,
        onWrite: (written) => {
          for (let vector = 0; vector < 3; vector++)
            if ((written & (1 << vector)) !== 0) core.host.clearPending(vf, vector);
        },
      },
      PSRTYPE: own("PSRTYPE"),
      VFGPRC: { get: () => core.reg("PFVFGPRC", vf) },
      VFGPTC: { get: () => core.reg("PFVFGPTC", vf) },
      VFGORC: { get: () => core.reg("PFVFGORC", vf) },
      VFGOTC: { get: () => core.reg("PFVFGOTC", vf) },
      VFMPRC: { get: () => core.reg("PFVFMPRC", vf) },
      VFGPRLBC: { get: () => core.reg("PFVFGPRLBC", vf) },
      VFGPTLBC: { get: () => core.reg("PFVFGPTLBC", vf) },
      VFGORLBC: { get: () => core.reg("PFVFGORLBC", vf) },
      VFGOTLBC: { get: () => core.reg("PFVFGOTLBC", vf) },
      RDBAL: queue("RDBAL"),
      RDBAH: queue("RDBAH"),
      RDLEN: queue("RDLEN"),
      SRRCTL: queue("SRRCTL"),
      RDH: queue("RDH"),
      RXCTL: queue("RXCTL"),
      RDT: queue("RDT"),
      RXDCTL: queue("RXDCTL"),
      RQDPC: { ...queue("RQDPC"), onRead: (index) => core.setReg("RQDPC", 0, vf + 8 * index) },
      TDBAL: queue("TDBAL"),
      TDBAH: queue("TDBAH"),
      TDLEN: queue("TDLEN"),
      TDH: queue("TDH"),
      TXCTL: queue("TXCTL"),
      TDT: queue("TDT"),
      TXDCTL: queue("TXDCTL"),
      TDWBAL: queue("TDWBAL"),
      TDWBAH: queue("TDWBAH"),
    });
  }
}
