/**
 * A small function for tests of the bus, in the manner of QEMU's `edu` and `pci-testdev`; the register set is this project's own.
 * BAR 0: registers; BAR 1: the scratch registers in I/O space; BAR 2: memory of 64 KiB, prefetchable, 64-bit; BAR 4: MSI-X, 8 vectors.
 * With `vfs` it has SR-IOV; VFs have BARs 0 and 4 in VF BARs 0 and 4.
 */
import { type Arena, Memory } from "../bus/index.ts";
import { defineRegisters, RegisterBank, ro, rw, wo } from "../registers/index.ts";
import { Module, type Simulation } from "../sim/index.ts";
import { Aer } from "./capabilities/aer.ts";
import { Ats } from "./capabilities/ats.ts";
import { Express } from "./capabilities/express.ts";
import { Msi } from "./capabilities/msi.ts";
import { Msix } from "./capabilities/msix.ts";
import { PowerManagement } from "./capabilities/power-management.ts";
import { Ari, SerialNumber } from "./capabilities/small.ts";
import { SrIov } from "./capabilities/sr-iov.ts";
import { PcieFunction } from "./function.ts";

const WORD = [31, 0] as const;
export const PCIE_TEST = defineRegisters({
  name: "PCIE_TEST",
  title: "PCIe test function",
  manual: "Armature, docs/pcie.md",
  size: 0x1000,
  sizes: [1, 2, 4],
  registers: {
    ID: {
      at: 0x00,
      title: "Identification",
      clause: "Test function",
      fields: { ID: ro(WORD, "Value", { reset: 0x5443_5041 }) },
    },
    INDEX: {
      at: 0x04,
      title: "Which function this is",
      clause: "Test function",
      computed: true,
      fields: { INDEX: ro(WORD, "0 for the PF, VF number from 1") },
    },
    DMA_SOURCE: {
      at: 0x10,
      width: 64,
      title: "DMA source",
      clause: "Test function",
      fields: { ADDRESS: rw([51, 0], "Address") },
    },
    DMA_DESTINATION: {
      at: 0x18,
      width: 64,
      title: "DMA destination",
      clause: "Test function",
      fields: { ADDRESS: rw([51, 0], "Address") },
    },
    DMA_LENGTH: { at: 0x20, title: "DMA length", clause: "Test function", fields: { BYTES: rw([11, 0], "Bytes") } },
    DMA_CONTROL: {
      at: 0x24,
      title: "DMA control",
      clause: "Test function",
      fields: {
        START: wo(0, "Copies DMA_LENGTH bytes"),
        VECTOR: rw([10, 8], "Interrupt vector at the end"),
        INTERRUPT: rw(11, "Interrupt at the end"),
      },
    },
    DMA_STATUS: {
      at: 0x28,
      title: "DMA status",
      clause: "Test function",
      fields: { DONE: ro(0, "The last copy went well"), ERROR: ro(1, "The last copy was refused somewhere") },
    },
    RAISE: {
      at: 0x30,
      title: "Raises a message-signalled interrupt",
      clause: "Test function",
      fields: { VECTOR: wo([7, 0], "Vector") },
    },
    PIN: { at: 0x34, title: "The INTx pin", clause: "Test function", fields: { LEVEL: rw(0, "Asserted") } },
    SCRATCH: { at: 0x40, count: 8, title: "Scratch", clause: "Test function", fields: { VALUE: rw(WORD, "Anything") } },
  },
});

export interface TestFunctionOptions {
  readonly arena: Arena;
  /** VFs; none, and no SR-IOV capability, unless given. */
  readonly vfs?: number;
  readonly multifunction?: boolean;
}

const VENDOR = 0x1234;
const DEVICE = 0x4152;
const VF_DEVICE = 0x4156;
const CLASS = 0xff_0000;
const MSIX = { vectors: 8, table: { bar: 4, offset: 0 }, pba: { bar: 4, offset: 0x800 } };

export class PcieTestFunction extends Module {
  readonly function: PcieFunction;
  readonly registers: RegisterBank<typeof PCIE_TEST>;
  readonly memory: Memory | null;
  readonly vfs: readonly PcieTestFunction[];
  readonly index: number;
  readonly #ats = new Ats({ at: 0x158 });

  /** `index` is 0 for a PF; VFs are made by it. */
  constructor(parent: Module | Simulation, name: string, options: TestFunctionOptions, index = 0) {
    super(parent, name);
    this.index = index;
    const { arena, vfs = 0 } = options;
    const virtual = index > 0;
    this.registers = this.part(
      "registers",
      new RegisterBank(this, PCIE_TEST, {
        INDEX: { get: () => index },
        DMA_CONTROL: { onWrite: (written) => this.#control(written) },
        RAISE: { onWrite: (written) => void this.function.raiseMessage(written & 0xff) },
        PIN: { onWrite: (written) => this.function.intx.set((written & 1) !== 0) },
      }),
    );
    this.memory = virtual ? null : new Memory(this, "memory", arena, { size: 0x1_0000 });
    const sriov =
      vfs > 0
        ? new SrIov({
            totalVfs: vfs,
            vfDeviceId: VF_DEVICE,
            routing: { ari: { offset: 0x80, stride: 2 }, plain: { offset: 0x180, stride: 2 } },
            bars: [
              { index: 0, size: 0x1000, kind: "mem64", prefetchable: true },
              { index: 4, size: 0x1000, kind: "mem64", prefetchable: true },
            ],
          })
        : null;
    this.function = new PcieFunction(this, "function", {
      title: virtual ? "PCIe test function, VF" : "PCIe test function",
      arena,
      vendorId: VENDOR,
      deviceId: virtual ? VF_DEVICE : DEVICE,
      classCode: CLASS,
      subsystemVendorId: VENDOR,
      subsystemId: 1,
      interruptPin: 1,
      multifunction: options.multifunction ?? false,
      virtual,
      bars: [
        { index: 0, size: 0x1000, kind: "mem32", target: this.registers },
        ...(this.memory
          ? [
              { index: 1, size: 32, kind: "io" as const, target: offsetTarget(this.registers, 0x40) },
              { index: 2, size: 0x1_0000, kind: "mem64" as const, prefetchable: true, target: this.memory },
            ]
          : []),
        { index: 4, size: 0x1000, kind: "mem32" },
      ],
      capabilities: [
        ...(virtual
          ? []
          : [new PowerManagement({ at: 0x40 }), new Msi({ at: 0x50, vectors: 8, perVectorMasking: true })]),
        new Msix({ at: 0x70, ...MSIX }),
        new Express({ at: 0xa0, type: "endpoint", functionLevelReset: true, maxPayload: 512 }),
        new Aer({ at: 0x100 }),
        new Ari({ at: 0x150 }),
        this.#ats,
        ...(virtual ? [] : [new SerialNumber(0x5043_4945, 0x0000_4152, { at: 0x140 })]),
        ...(sriov ? [sriov] : []),
      ],
    });
    this.function.onFunctionReset = (kind) => {
      if (kind !== "power") this.registers.reset();
    };
    this.vfs = sriov
      ? Array.from({ length: vfs }, (_, i) => new PcieTestFunction(this, `vf${i}`, { arena }, i + 1))
      : [];
    sriov?.populate((i) => (this.vfs[i] as PcieTestFunction).function);
  }

  /** A 64-bit register's value. */
  #address(name: "DMA_SOURCE" | "DMA_DESTINATION"): number {
    const slot = this.registers.slot[name];
    const { values } = this.registers;
    return ((values[slot + 1] as number) & 0xf_ffff) * 2 ** 32 + ((values[slot] as number) >>> 0);
  }

  #control(written: number): void {
    if ((written & 1) === 0) return;
    const { values, slot } = this.registers;
    const data = new Uint8Array((values[slot.DMA_LENGTH] as number) & 0xfff);
    // With ATS on, the function translates for itself.
    const port = this.#ats.enabled ? this.#ats : this.function.port;
    const good =
      port.readBlock(this.#address("DMA_SOURCE"), data) && port.writeBlock(this.#address("DMA_DESTINATION"), data);
    values[slot.DMA_STATUS] = good ? 1 : 2;
    if ((written & 0x800) !== 0) this.function.raiseMessage((written >>> 8) & 7);
  }
}

/** The registers from `base` on, at offset 0. */
function offsetTarget(bank: RegisterBank<typeof PCIE_TEST>, base: number) {
  return {
    accessSizes: bank.accessSizes,
    read: (offset: number, size: number, tx: Parameters<typeof bank.read>[2]) => bank.read(base + offset, size, tx),
    write: (offset: number, size: number, value: number, tx: Parameters<typeof bank.write>[3]) =>
      bank.write(base + offset, size, value, tx),
    peek: (offset: number, size: number) => bank.peek(base + offset, size),
    poke: (offset: number, size: number, value: number) => bank.poke(base + offset, size, value),
  };
}
