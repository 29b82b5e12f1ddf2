/**
 * PCI Express capability (clause 7.5.3), version 2, of endpoints and ports. Links need no training: speed and width are what both
 * ends can, and the link is up when something is below. Slots report presence; they have no hot-plug elements.
 */
import { type Field, ro, rw, w1c, wo } from "../../registers/index.ts";
import { Cells } from "../../sim/index.ts";
import { Capability, type CapabilityPlace } from "../capability.ts";
import type { ConfigRegister } from "../space.ts";

/** Device/Port Type (7.5.3.2). */
export const PORT_TYPE = { endpoint: 0, "root-port": 4, upstream: 5, downstream: 6, "integrated-endpoint": 9 } as const;
export type PortType = keyof typeof PORT_TYPE;

export interface ExpressOptions extends CapabilityPlace {
  /** An "endpoint" on a root bus shows itself as integrated in the root complex. */
  readonly type: PortType;
  /** Largest payload in bytes: 128 to 4096; 128 unless given. */
  readonly maxPayload?: number;
  readonly functionLevelReset?: boolean;
  /** 1: 2.5 GT/s, 2: 5, 3: 8, 4: 16; 1 unless given. */
  readonly linkSpeed?: 1 | 2 | 3 | 4;
  /** 1 unless given. */
  readonly linkWidth?: number;
  readonly portNumber?: number;
  /** Physical Slot Number of the slot below, for ports that have one. */
  readonly slot?: number;
  /** Completion timeout ranges and disable, of Device Capabilities 2. */
  readonly completionTimeout?: { readonly ranges: number; readonly disable: boolean };
  readonly extendedTags?: boolean;
  /** Endpoint latencies and ASPM support as in Device and Link Capabilities; 0, 0, 1 (L0s) unless given. */
  readonly l0sLatency?: number;
  readonly l1Latency?: number;
  readonly aspm?: number;
}

export const DEVICE_STATUS = { correctable: 1 << 16, nonFatal: 1 << 17, fatal: 1 << 18, unsupported: 1 << 19 };
export const DEVICE_CONTROL = { correctable: 1, nonFatal: 2, fatal: 4, unsupported: 8 };
const PME_STATUS = 1 << 16;
const MAX_WAITING_PMES = 256;
const INITIATE_FLR = 1 << 15;
const LINK_DISABLE = 1 << 4;
const RETRAIN = 1 << 5;
const ARI_FORWARDING = 1 << 5;

export class Express extends Capability {
  override readonly name = "PCIE";
  override readonly id = 0x10;
  override readonly length = 0x3c;
  override readonly headClause = "7.5.3.2";
  override readonly headFields: { readonly [name: string]: Field };
  readonly options: ExpressOptions;
  /** The condition for the root port's interrupt may have changed; set by the port. */
  onRootInterrupt: (() => void) | null = null;
  readonly #pmePart = new Cells({ queue: [] as number[] });
  /** Requester ids of PME messages that wait for Root Status. */
  readonly #pme = this.#pmePart.cells;
  /** Called when Link Disable has changed; set by ports. */
  onLinkDisable: ((disabled: boolean) => void) | null = null;
  /** What the other end of the link can, for ports: set by the bridge. */
  partner: (() => Express | null) | null = null;

  constructor(options: ExpressOptions) {
    super(options);
    this.options = options;
    this.headFields = {
      CapabilityVersion: ro([19, 16], "Capability Version", { reset: 2 }),
      DevicePortType: ro([23, 20], "Device/Port Type", { reset: PORT_TYPE[options.type] }),
      SlotImplemented: ro(24, "Slot Implemented", { reset: options.slot === undefined ? 0 : 1 }),
      InterruptMessageNumber: ro([29, 25], "Interrupt Message Number"),
    };
  }

  /** The port faces away from the root complex. */
  get isDownstream(): boolean {
    return this.options.type === "root-port" || this.options.type === "downstream";
  }

  override get head(): Pick<ConfigRegister, "hooks"> {
    return {
      hooks: {
        get: () => {
          const word = this.get("PCIE");
          const integrated = this.options.type === "endpoint" && this.function.bus?.parentBridge === null;
          return integrated ? word | (PORT_TYPE["integrated-endpoint"] << 20) : word;
        },
      },
    };
  }

  /** Device Control as it holds for the function: of a VF, its PF's. */
  get deviceControl(): number {
    const physical = this.function.physicalFunction?.capability(Express);
    return physical ? physical.deviceControl : this.get("PCIE_DEVICE_CONTROL_STATUS") & 0xffff;
  }
  /** Sets bits of Device Status (DEVICE_STATUS). */
  setDeviceStatus(bits: number): void {
    this.set("PCIE_DEVICE_CONTROL_STATUS", this.get("PCIE_DEVICE_CONTROL_STATUS") | bits);
  }
  /** Bytes of the largest payload and read request that software allows. */
  get maxPayload(): number {
    return 128 << Math.min((this.deviceControl >>> 5) & 7, 5);
  }
  get maxReadRequest(): number {
    return 128 << Math.min((this.deviceControl >>> 12) & 7, 5);
  }
  get ariForwarding(): boolean {
    return this.isDownstream && (this.get("PCIE_DEVICE_CONTROL_STATUS_2") & ARI_FORWARDING) !== 0;
  }
  get linkDisabled(): boolean {
    return this.isDownstream && (this.get("PCIE_LINK_CONTROL_STATUS") & LINK_DISABLE) !== 0;
  }

  override registers(): { readonly [name: string]: ConfigRegister } {
    return { ...this.#device(), ...this.#link(), ...this.#slot(), ...this.#root(), ...this.#second() };
  }

  #device(): { readonly [name: string]: ConfigRegister } {
    const o = this.options;
    const flr = o.functionLevelReset === true;
    return {
      PCIE_DEVICE_CAPABILITIES: {
        at: 0x04,
        title: "Device Capabilities",
        clause: "7.5.3.3",
        fields: {
          MaxPayloadSizeSupported: ro([2, 0], "Max_Payload_Size Supported", {
            reset: Math.log2((o.maxPayload ?? 128) / 128),
          }),
          ExtendedTagFieldSupported: ro(5, "Extended Tag Field Supported", { reset: o.extendedTags === false ? 0 : 1 }),
          EndpointL0sAcceptableLatency: ro([8, 6], "Endpoint L0s Acceptable Latency", { reset: o.l0sLatency ?? 0 }),
          EndpointL1AcceptableLatency: ro([11, 9], "Endpoint L1 Acceptable Latency", { reset: o.l1Latency ?? 0 }),
          RoleBasedErrorReporting: ro(15, "Role-Based Error Reporting", { reset: 1 }),
          FunctionLevelResetCapability: ro(28, "Function Level Reset Capability", { reset: flr ? 1 : 0 }),
        },
      },
      PCIE_DEVICE_CONTROL_STATUS: {
        at: 0x08,
        title: "Device Control and Device Status",
        clause: "7.5.3.4; 7.5.3.5",
        // Max_Payload_Size outlives a function-level reset (6.6.2); Aux Power PM Enable is sticky.
        keptByFlr: 0xe0,
        sticky: 0x400,
        hooks: {
          onWrite: (written) => {
            if ((written & INITIATE_FLR) === 0 || !flr) return;
            this.function.resetFunction("flr");
          },
        },
        fields: {
          // A VF has what its PF's register says (9.3.5).
          ...(this.function.isVirtual ? {} : this.#deviceControls()),
          ...(flr ? { InitiateFunctionLevelReset: wo(15, "Initiate Function Level Reset") } : {}),
          CorrectableErrorDetected: w1c(16, "Correctable Error Detected"),
          NonFatalErrorDetected: w1c(17, "Non-Fatal Error Detected"),
          FatalErrorDetected: w1c(18, "Fatal Error Detected"),
          UnsupportedRequestDetected: w1c(19, "Unsupported Request Detected"),
          AUXPowerDetected: ro(20, "AUX Power Detected"),
          TransactionsPending: ro(21, "Transactions Pending: requests are completed at once"),
        },
      },
    };
  }

  #deviceControls(): { readonly [name: string]: Field } {
    const { type } = this.options;
    const reset = type === "endpoint" || type === "integrated-endpoint" ? 1 : 0;
    return {
      CorrectableErrorReportingEnable: rw(0, "Correctable Error Reporting Enable"),
      NonFatalErrorReportingEnable: rw(1, "Non-Fatal Error Reporting Enable"),
      FatalErrorReportingEnable: rw(2, "Fatal Error Reporting Enable"),
      UnsupportedRequestReportingEnable: rw(3, "Unsupported Request Reporting Enable"),
      EnableRelaxedOrdering: rw(4, "Enable Relaxed Ordering: requests are in order anyway", { reset }),
      MaxPayloadSize: rw([7, 5], "Max_Payload_Size"),
      ExtendedTagFieldEnable: rw(8, "Extended Tag Field Enable"),
      AuxPowerPMEnable: rw(10, "Aux Power PM Enable"),
      EnableNoSnoop: rw(11, "Enable No Snoop: memory is coherent anyway", { reset }),
      MaxReadRequestSize: rw([14, 12], "Max_Read_Request_Size", { reset: 2 }),
    };
  }

  #link(): { readonly [name: string]: ConfigRegister } {
    const o = this.options;
    const down = this.isDownstream;
    const endpoint = o.type === "endpoint" || o.type === "integrated-endpoint";
    return {
      PCIE_LINK_CAPABILITIES: {
        at: 0x0c,
        title: "Link Capabilities",
        clause: "7.5.3.6",
        fields: {
          MaxLinkSpeed: ro([3, 0], "Max Link Speed", { reset: o.linkSpeed ?? 1 }),
          MaximumLinkWidth: ro([9, 4], "Maximum Link Width", { reset: o.linkWidth ?? 1 }),
          ASPMSupport: ro([11, 10], "ASPM Support", { reset: o.aspm ?? 1 }),
          DataLinkLayerLinkActiveReportingCapable: ro(20, "Data Link Layer Link Active Reporting", {
            reset: down ? 1 : 0,
          }),
          ASPMOptionalityCompliance: ro(22, "ASPM Optionality Compliance", { reset: 1 }),
          PortNumber: ro([31, 24], "Port Number", { reset: o.portNumber ?? 0 }),
        },
      },
      PCIE_LINK_CONTROL_STATUS: {
        at: 0x10,
        title: "Link Control and Link Status",
        clause: "7.5.3.7; 7.5.3.8",
        keptByFlr: 0x3cb,
        hooks: {
          get: () => this.#linkWord(),
          onWrite: (_written, _mask, before) => {
            const now = this.get("PCIE_LINK_CONTROL_STATUS");
            this.set("PCIE_LINK_CONTROL_STATUS", now & ~RETRAIN);
            if (((now ^ before) & LINK_DISABLE) !== 0) this.onLinkDisable?.((now & LINK_DISABLE) !== 0);
          },
        },
        fields: {
          ASPMControl: rw([1, 0], "Active State Power Management Control: no effect"),
          ...(endpoint
            ? { RCB: rw(3, "Read Completion Boundary") }
            : { RCB: ro(3, "Read Completion Boundary: 64 bytes") }),
          ...(down
            ? { LinkDisable: rw(4, "Link Disable"), RetrainLink: wo(5, "Retrain Link: done at once") }
            : { LinkDisable: ro(4, "Link Disable: of downstream ports") }),
          CommonClockConfiguration: rw(6, "Common Clock Configuration"),
          ExtendedSynch: rw(7, "Extended Synch"),
          HardwareAutonomousWidthDisable: rw(9, "Hardware Autonomous Width Disable"),
          // A port's are what both ends can, or 1 and 1 while nothing is below.
          CurrentLinkSpeed: ro([19, 16], "Current Link Speed", { reset: down ? 1 : (o.linkSpeed ?? 1) }),
          NegotiatedLinkWidth: ro([25, 20], "Negotiated Link Width", { reset: down ? 1 : (o.linkWidth ?? 1) }),
          LinkTraining: ro(27, "Link Training: never"),
          SlotClockConfiguration: ro(28, "Slot Clock Configuration"),
          DataLinkLayerLinkActive: ro(29, "Data Link Layer Link Active"),
        },
      },
    };
  }

  /** Link Control as stored, and Link Status as both ends of the link allow. */
  #linkWord(): number {
    const word = this.get("PCIE_LINK_CONTROL_STATUS");
    const other = this.isDownstream && !this.linkDisabled ? (this.partner?.() ?? null) : null;
    if (other === null) return word;
    const { linkSpeed: speed = 1, linkWidth: width = 1 } = this.options;
    const s = Math.min(speed, other.options.linkSpeed ?? 1);
    const w = Math.min(width, other.options.linkWidth ?? 1);
    return (word & 0xffff) | (s << 16) | (w << 20) | (1 << 29);
  }

  #slot(): { readonly [name: string]: ConfigRegister } {
    const { slot } = this.options;
    if (slot === undefined) return {};
    return {
      PCIE_SLOT_CAPABILITIES: {
        at: 0x14,
        title: "Slot Capabilities: a slot without hot-plug elements",
        clause: "7.5.3.9",
        fields: {
          NoCommandCompletedSupport: ro(18, "No Command Completed Support", { reset: 1 }),
          PhysicalSlotNumber: ro([31, 19], "Physical Slot Number", { reset: slot }),
        },
      },
      PCIE_SLOT_CONTROL_STATUS: {
        at: 0x18,
        title: "Slot Control and Slot Status",
        clause: "7.5.3.10; 7.5.3.11",
        hooks: {
          get: () => this.get("PCIE_SLOT_CONTROL_STATUS") | (this.partner?.() ? 1 << 22 : 0),
        },
        fields: {
          PresenceDetectChangedEnable: rw(3, "Presence Detect Changed Enable: nothing ever changes"),
          HotPlugInterruptEnable: ro(5, "Hot-Plug Interrupt Enable: no hot-plug"),
          DataLinkLayerStateChangedEnable: rw(12, "Data Link Layer State Changed Enable"),
          PresenceDetectChanged: w1c(19, "Presence Detect Changed"),
          PresenceDetectState: ro(22, "Presence Detect State"),
          DataLinkLayerStateChanged: w1c(24, "Data Link Layer State Changed"),
        },
      },
    };
  }

  #root(): { readonly [name: string]: ConfigRegister } {
    if (this.options.type !== "root-port") return {};
    const changed = { onWrite: () => this.onRootInterrupt?.() };
    return {
      PCIE_ROOT_CONTROL_CAPABILITIES: {
        at: 0x1c,
        title: "Root Control and Root Capabilities",
        clause: "7.5.3.12; 7.5.3.13",
        fields: {
          SystemErrorOnCorrectableErrorEnable: rw(0, "System Error on Correctable Error Enable: no effect"),
          SystemErrorOnNonFatalErrorEnable: rw(1, "System Error on Non-Fatal Error Enable: no effect"),
          SystemErrorOnFatalErrorEnable: rw(2, "System Error on Fatal Error Enable: no effect"),
          PMEInterruptEnable: rw(3, "PME Interrupt Enable"),
        },
        hooks: changed,
      },
      PCIE_ROOT_STATUS: {
        at: 0x20,
        title: "Root Status",
        clause: "7.5.3.14",
        hooks: {
          get: () => this.get("PCIE_ROOT_STATUS") | (this.#pme.queue.length > 0 ? 1 << 17 : 0),
          onWrite: () => this.#nextPme(),
        },
        fields: {
          PMERequesterID: ro([15, 0], "PME Requester ID"),
          PMEStatus: w1c(16, "PME Status"),
          PMEPending: ro(17, "PME Pending"),
        },
      },
    };
  }

  override ready(): void {
    if (this.options.type === "root-port") this.function.part("pme", this.#pmePart);
  }

  /** A PME message has come to the root port (6.1.6): the first shows in Root Status, later ones wait. */
  pmeReceived(source: number): void {
    const { queue } = this.#pme;
    if (queue.length < MAX_WAITING_PMES && !queue.includes(source)) queue.push(source);
    this.#nextPme();
  }

  #nextPme(): void {
    const status = this.get("PCIE_ROOT_STATUS");
    const next = (status & PME_STATUS) === 0 ? this.#pme.queue.shift() : undefined;
    if (next !== undefined) this.set("PCIE_ROOT_STATUS", PME_STATUS | next);
    this.onRootInterrupt?.();
  }

  /** The root port's interrupt condition of power management events. */
  get rootInterrupt(): boolean {
    if (this.options.type !== "root-port") return false;
    return (this.get("PCIE_ROOT_CONTROL_CAPABILITIES") & 8) !== 0 && (this.get("PCIE_ROOT_STATUS") & PME_STATUS) !== 0;
  }

  override onReset(): void {
    this.#pmePart.reset();
  }

  #second(): { readonly [name: string]: ConfigRegister } {
    const o = this.options;
    const down = this.isDownstream;
    const timeout = o.completionTimeout;
    return {
      PCIE_DEVICE_CAPABILITIES_2: {
        at: 0x24,
        title: "Device Capabilities 2",
        clause: "7.5.3.15",
        fields: {
          CompletionTimeoutRangesSupported: ro([3, 0], "Completion Timeout Ranges Supported", {
            reset: timeout?.ranges ?? 0,
          }),
          CompletionTimeoutDisableSupported: ro(4, "Completion Timeout Disable Supported", {
            reset: timeout?.disable ? 1 : 0,
          }),
          ARIForwardingSupported: ro(5, "ARI Forwarding Supported", { reset: down ? 1 : 0 }),
        },
      },
      PCIE_DEVICE_CONTROL_STATUS_2: {
        at: 0x28,
        title: "Device Control 2 and Device Status 2",
        clause: "7.5.3.16; 7.5.3.17",
        fields: {
          ...(timeout
            ? {
                CompletionTimeoutValue: rw([3, 0], "Completion Timeout Value: requests are completed at once"),
                CompletionTimeoutDisable: rw(4, "Completion Timeout Disable"),
              }
            : {}),
          ...(down
            ? { ARIForwardingEnable: rw(5, "ARI Forwarding Enable") }
            : { ARIForwardingEnable: ro(5, "Of downstream ports") }),
        },
      },
      PCIE_LINK_CAPABILITIES_2: {
        at: 0x2c,
        title: "Link Capabilities 2",
        clause: "7.5.3.18",
        fields: {
          SupportedLinkSpeedsVector: ro([7, 1], "Supported Link Speeds Vector", {
            reset: (1 << (o.linkSpeed ?? 1)) - 1,
          }),
        },
      },
      PCIE_LINK_CONTROL_STATUS_2: {
        at: 0x30,
        title: "Link Control 2 and Link Status 2",
        clause: "7.5.3.19; 7.5.3.20",
        sticky: 0xffff,
        fields: {
          TargetLinkSpeed: rw([3, 0], "Target Link Speed: no effect", { reset: o.linkSpeed ?? 1 }),
          CurrentDeEmphasisLevel: ro(16, "Current De-emphasis Level"),
        },
      },
    };
  }
}
