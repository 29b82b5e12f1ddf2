/** Headers of configuration space: type 0 (endpoints, clause 7.5.1.2) and type 1 (bridges and ports, 7.5.1.3). */
import { type Field, type Hooks, ro, rw, w1c } from "../registers/index.ts";
import type { ConfigRegister } from "./space.ts";

export type BarKind = "mem32" | "mem64" | "io";

export interface BarShape {
  /** 0 to 5; a 64-bit BAR takes the next one too. */
  readonly index: number;
  /** Bytes, a power of two: at least 16 for memory (128 as the specification asks of PCIe functions), 8 for I/O. */
  readonly size: number;
  readonly kind: BarKind;
  readonly prefetchable?: boolean;
}

export interface Identity {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision?: number;
  /** Base class, sub-class, programming interface: 0x020000 is an Ethernet controller. */
  readonly classCode: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  /** 1 to 4 for INTA# to INTD#; 0, no pin, unless given. */
  readonly interruptPin?: number;
  readonly multifunction?: boolean;
}

export const COMMAND = { io: 1, memory: 2, master: 4, parity: 0x40, serr: 0x100, interruptDisable: 0x400 };
/** Bits of the Status register, at their place in the double word that it shares with Command. */
export const STATUS = {
  interrupt: 1 << 19,
  masterDataParityError: 1 << 24,
  signaledTargetAbort: 1 << 27,
  receivedTargetAbort: 1 << 28,
  receivedMasterAbort: 1 << 29,
  signaledSystemError: 1 << 30,
  detectedParityError: 1 << 31,
};

export interface HeaderHooks {
  readonly command: Hooks;
  readonly bar: (index: number) => Hooks;
}

/** What both types share: offsets 0x00 to 0x0F, 0x34 and 0x3C. */
function common(
  id: Identity,
  type: 0 | 1,
  hooks: HeaderHooks,
  firstCapability: number,
): Record<string, ConfigRegister> {
  return {
    ID: {
      at: 0x00,
      title: "Vendor ID and Device ID",
      clause: "7.5.1.1.1; 7.5.1.1.2",
      fields: {
        VendorID: ro([15, 0], "Vendor ID", { reset: id.vendorId }),
        DeviceID: ro([31, 16], "Device ID", { reset: id.deviceId }),
      },
    },
    COMMAND_STATUS: {
      at: 0x04,
      title: "Command and Status",
      clause: "7.5.1.1.3; 7.5.1.1.4",
      hooks: hooks.command,
      fields: {
        IOSpaceEnable: rw(0, "I/O Space Enable"),
        MemorySpaceEnable: rw(1, "Memory Space Enable"),
        BusMasterEnable: rw(2, "Bus Master Enable"),
        ParityErrorResponse: rw(6, "Parity Error Response"),
        SERREnable: rw(8, "SERR# Enable"),
        InterruptDisable: rw(10, "Interrupt Disable"),
        InterruptStatus: ro(19, "Interrupt Status"),
        CapabilitiesList: ro(20, "Capabilities List", { reset: firstCapability === 0 ? 0 : 1 }),
        MasterDataParityError: w1c(24, "Master Data Parity Error"),
        SignaledTargetAbort: w1c(27, "Signaled Target Abort"),
        ReceivedTargetAbort: w1c(28, "Received Target Abort"),
        ReceivedMasterAbort: w1c(29, "Received Master Abort"),
        SignaledSystemError: w1c(30, "Signaled System Error"),
        DetectedParityError: w1c(31, "Detected Parity Error"),
      },
    },
    CLASS_REVISION: {
      at: 0x08,
      title: "Revision ID and Class Code",
      clause: "7.5.1.1.5; 7.5.1.1.6",
      fields: {
        RevisionID: ro([7, 0], "Revision ID", { reset: id.revision ?? 0 }),
        ClassCode: ro([31, 8], "Class Code", { reset: id.classCode }),
      },
    },
    HEADER_TYPE: {
      at: 0x0c,
      title: "Cache Line Size, Latency Timer, Header Type and BIST",
      clause: "7.5.1.1.7 to 7.5.1.1.10",
      fields: {
        CacheLineSize: rw([7, 0], "Cache Line Size: no effect"),
        LatencyTimer: ro([15, 8], "Latency Timer: zero"),
        HeaderLayout: ro([22, 16], "Header Layout", { reset: type }),
        MultiFunction: ro(23, "Multi-Function Device", { reset: id.multifunction ? 1 : 0 }),
        BIST: ro([31, 24], "BIST: none"),
      },
    },
    CAPABILITIES_POINTER: {
      at: 0x34,
      title: "Capabilities Pointer",
      clause: "7.5.1.1.11",
      fields: { CapabilitiesPointer: ro([7, 0], "First capability", { reset: firstCapability }) },
    },
  };
}

function interruptFields(id: Identity): { [name: string]: Field } {
  return {
    InterruptLine: rw([7, 0], "Interrupt Line: software's own"),
    InterruptPin: ro([15, 8], "Interrupt Pin", { reset: id.interruptPin ?? 0 }),
  };
}

/** The type 0 header. */
export function type0(
  id: Identity,
  bars: readonly BarShape[],
  hooks: HeaderHooks,
  firstCapability: number,
): Record<string, ConfigRegister> {
  return {
    ...common(id, 0, hooks, firstCapability),
    ...barRegisters("BAR", 0x10, bars, hooks.bar, "7.5.1.2.1"),
    SUBSYSTEM: {
      at: 0x2c,
      title: "Subsystem Vendor ID and Subsystem ID",
      clause: "7.5.1.2.3",
      fields: {
        SubsystemVendorID: ro([15, 0], "Subsystem Vendor ID", { reset: id.subsystemVendorId ?? 0 }),
        SubsystemID: ro([31, 16], "Subsystem ID", { reset: id.subsystemId ?? 0 }),
      },
    },
    INTERRUPT: {
      at: 0x3c,
      title: "Interrupt Line and Interrupt Pin; Min_Gnt and Max_Lat are zero",
      clause: "7.5.1.1.12; 7.5.1.1.13",
      fields: interruptFields(id),
    },
  };
}

export interface BridgeHooks extends HeaderHooks {
  readonly buses: Hooks;
  readonly windows: Hooks;
  readonly control: Hooks;
}

/** The type 1 header; `io` is false where a bridge has no I/O window. */
export function type1(
  id: Identity,
  bars: readonly BarShape[],
  hooks: BridgeHooks,
  firstCapability: number,
): Record<string, ConfigRegister> {
  const { windows } = hooks;
  return {
    ...common(id, 1, hooks, firstCapability),
    ...barRegisters("BAR", 0x10, bars, hooks.bar, "7.5.1.3.1"),
    BUS_NUMBERS: {
      at: 0x18,
      title: "Primary, Secondary and Subordinate Bus Number",
      clause: "7.5.1.3.2 to 7.5.1.3.5",
      hooks: hooks.buses,
      fields: {
        PrimaryBusNumber: rw([7, 0], "Primary Bus Number: no effect"),
        SecondaryBusNumber: rw([15, 8], "Secondary Bus Number"),
        SubordinateBusNumber: rw([23, 16], "Subordinate Bus Number"),
        SecondaryLatencyTimer: ro([31, 24], "Secondary Latency Timer: zero"),
      },
    },
    IO_WINDOW_SECONDARY_STATUS: {
      at: 0x1c,
      title: "I/O Base, I/O Limit and Secondary Status",
      clause: "7.5.1.3.6; 7.5.1.3.7",
      hooks: windows,
      fields: {
        IOBaseCapability: ro([3, 0], "32-bit I/O addressing", { reset: 1 }),
        IOBase: rw([7, 4], "I/O base, address bits 15:12"),
        IOLimitCapability: ro([11, 8], "32-bit I/O addressing", { reset: 1 }),
        IOLimit: rw([15, 12], "I/O limit, address bits 15:12"),
        MasterDataParityError: w1c(24, "Master Data Parity Error"),
        SignaledTargetAbort: w1c(27, "Signaled Target Abort"),
        ReceivedTargetAbort: w1c(28, "Received Target Abort"),
        ReceivedMasterAbort: w1c(29, "Received Master Abort"),
        ReceivedSystemError: w1c(30, "Received System Error"),
        DetectedParityError: w1c(31, "Detected Parity Error"),
      },
    },
    MEMORY_WINDOW: {
      at: 0x20,
      title: "Memory Base and Memory Limit",
      clause: "7.5.1.3.8",
      hooks: windows,
      fields: {
        MemoryBase: rw([15, 4], "Address bits 31:20"),
        MemoryLimit: rw([31, 20], "Address bits 31:20"),
      },
    },
    PREFETCHABLE_WINDOW: {
      at: 0x24,
      title: "Prefetchable Memory Base and Limit",
      clause: "7.5.1.3.9",
      hooks: windows,
      fields: {
        BaseCapability: ro([3, 0], "64-bit addressing", { reset: 1 }),
        PrefetchableMemoryBase: rw([15, 4], "Address bits 31:20"),
        LimitCapability: ro([19, 16], "64-bit addressing", { reset: 1 }),
        PrefetchableMemoryLimit: rw([31, 20], "Address bits 31:20"),
      },
    },
    PREFETCHABLE_BASE_UPPER: {
      at: 0x28,
      title: "Prefetchable Base Upper 32 Bits",
      clause: "7.5.1.3.10",
      hooks: windows,
      fields: { PrefetchableBaseUpper: rw([31, 0], "Address bits 63:32") },
    },
    PREFETCHABLE_LIMIT_UPPER: {
      at: 0x2c,
      title: "Prefetchable Limit Upper 32 Bits",
      clause: "7.5.1.3.10",
      hooks: windows,
      fields: { PrefetchableLimitUpper: rw([31, 0], "Address bits 63:32") },
    },
    IO_WINDOW_UPPER: {
      at: 0x30,
      title: "I/O Base Upper 16 Bits and I/O Limit Upper 16 Bits",
      clause: "7.5.1.3.11",
      hooks: windows,
      fields: { IOBaseUpper: rw([15, 0], "Address bits 31:16"), IOLimitUpper: rw([31, 16], "Address bits 31:16") },
    },
    INTERRUPT_BRIDGE_CONTROL: {
      at: 0x3c,
      title: "Interrupt Line, Interrupt Pin and Bridge Control",
      clause: "7.5.1.1.12; 7.5.1.1.13; 7.5.1.3.13",
      hooks: hooks.control,
      fields: {
        ...interruptFields(id),
        ParityErrorResponseEnable: rw(16, "Parity Error Response Enable"),
        SERREnable: rw(17, "SERR# Enable: forward error messages"),
        ISAEnable: rw(18, "ISA Enable", { unimplemented: "I/O windows always forward whole" }),
        VGAEnable: ro(19, "VGA Enable: there is no VGA"),
        SecondaryBusReset: rw(22, "Secondary Bus Reset"),
      },
    },
  };
}

/** BAR registers "`prefix`n" from offset `at` on: address bits above the size are writable, which is how software finds the size. */
export function barRegisters(
  prefix: string,
  at: number,
  bars: readonly BarShape[],
  hooks: (index: number) => Hooks,
  clause: string,
): Record<string, ConfigRegister> {
  const registers: Record<string, ConfigRegister> = {};
  for (const bar of bars) {
    const { index, size, kind, prefetchable = false } = bar;
    const bits = Math.log2(size);
    const name = `${prefix}${index}`;
    const low: { [name: string]: Field } =
      kind === "io"
        ? { SpaceIndicator: ro(0, "1: I/O space", { reset: 1 }) }
        : {
            SpaceIndicator: ro(0, "0: memory space"),
            Type: ro([2, 1], "Type", { reset: kind === "mem64" ? 2 : 0, values: { 0: "32-bit", 2: "64-bit" } }),
            Prefetchable: ro(3, "Prefetchable", { reset: prefetchable ? 1 : 0 }),
          };
    if (bits < 32) low["Address"] = rw([31, bits], "Address, from the lowest bit that the size leaves");
    registers[name] = { at: at + 4 * index, title: `Base Address ${index}`, clause, hooks: hooks(index), fields: low };
    if (kind === "mem64") {
      registers[`${name}_UPPER`] = {
        at: at + 4 * index + 4,
        title: `Base Address ${index}, upper 32 bits`,
        clause,
        hooks: hooks(index),
        fields: { Address: rw([31, Math.max(0, bits - 32)], "Address bits 63:32") },
      };
    }
  }
  return registers;
}

/** Throws on BARs that cannot be. */
export function checkBars(where: string, bars: readonly BarShape[], limit: number): void {
  const taken = new Set<number>();
  for (const { index, size, kind } of bars) {
    const minimum = kind === "io" ? 8 : 16;
    const maximum = kind === "mem64" ? 2 ** 40 : 2 ** 31;
    if (!Number.isInteger(Math.log2(size)) || size < minimum || size > maximum) {
      throw new Error(`${where}: BAR ${index} of ${size} bytes: expected a power of two from ${minimum} to ${maximum}`);
    }
    for (const n of kind === "mem64" ? [index, index + 1] : [index]) {
      if (!(n >= 0 && n < limit) || taken.has(n))
        throw new Error(`${where}: BAR ${n} does not exist or is there twice`);
      taken.add(n);
    }
  }
}
