/**
 * Advanced Error Reporting (clauses 6.2 and 7.8.4), with the root registers in root ports. Errors that can happen here: Unsupported
 * Request, Completer Abort, ACS violation; the others have no cause, but their bits are there.
 */
import { type Field, ro, rw, w1c } from "../../registers/index.ts";
import { Capability, type CapabilityPlace } from "../capability.ts";
import type { PcieFunction } from "../function.ts";
import { COMMAND, STATUS } from "../header.ts";
import type { ConfigRegister } from "../space.ts";
import { DEVICE_CONTROL, DEVICE_STATUS, Express } from "./express.ts";

/** Bits of Uncorrectable Error Status. */
export const UNCORRECTABLE = { completerAbort: 1 << 15, unsupportedRequest: 1 << 20, acsViolation: 1 << 21 };
const ADVISORY_NON_FATAL = 1 << 13;

export type ErrorMessage = "correctable" | "non-fatal" | "fatal";

const UNCORRECTABLE_BITS: readonly (readonly [bit: number, name: string, title: string, fatal: 0 | 1])[] = [
  [4, "DataLinkProtocolError", "Data Link Protocol Error", 1],
  [5, "SurpriseDownError", "Surprise Down Error", 1],
  [12, "PoisonedTLPReceived", "Poisoned TLP Received", 0],
  [13, "FlowControlProtocolError", "Flow Control Protocol Error", 1],
  [14, "CompletionTimeout", "Completion Timeout", 0],
  [15, "CompleterAbort", "Completer Abort", 0],
  [16, "UnexpectedCompletion", "Unexpected Completion", 0],
  [17, "ReceiverOverflow", "Receiver Overflow", 1],
  [18, "MalformedTLP", "Malformed TLP", 1],
  [19, "ECRCError", "ECRC Error", 0],
  [20, "UnsupportedRequestError", "Unsupported Request Error", 0],
  [21, "ACSViolation", "ACS Violation", 0],
];
const CORRECTABLE_BITS: readonly (readonly [bit: number, name: string, title: string])[] = [
  [0, "ReceiverError", "Receiver Error"],
  [6, "BadTLP", "Bad TLP"],
  [7, "BadDLLP", "Bad DLLP"],
  [8, "REPLAY_NUMRollover", "REPLAY_NUM Rollover"],
  [12, "ReplayTimerTimeout", "Replay Timer Timeout"],
  [13, "AdvisoryNonFatalError", "Advisory Non-Fatal Error"],
];

export interface AerOptions extends CapabilityPlace {
  /** Root error registers too. */
  readonly rootPort?: boolean;
  readonly version?: 1 | 2;
}

/** Root Error Status. */
const ROOT = {
  correctable: 1,
  multipleCorrectable: 2,
  uncorrectable: 4,
  multipleUncorrectable: 8,
  firstFatal: 16,
  nonFatal: 32,
  fatal: 64,
};

export class Aer extends Capability {
  override readonly name = "AER";
  override readonly id = 0x0001;
  override readonly extended = true;
  override readonly version: number;
  override readonly length: number;
  override readonly headFields: { readonly [name: string]: Field } = {};
  readonly #root: boolean;
  /** The condition for the root port's interrupt may have changed. */
  onRootInterrupt: (() => void) | null = null;

  constructor(options: AerOptions = {}) {
    super(options);
    this.#root = options.rootPort ?? false;
    this.version = options.version ?? 2;
    this.length = 0x48;
  }

  override registers(): { readonly [name: string]: ConfigRegister } {
    const uncorrectable = (field: (bit: number, title: string, options: { reset: number }) => Field, resets: boolean) =>
      Object.fromEntries(
        UNCORRECTABLE_BITS.map(([bit, name, title, fatal]) => [name, field(bit, title, { reset: resets ? fatal : 0 })]),
      );
    const correctable = (field: (bit: number, title: string, options: { reset: number }) => Field, resets: number) =>
      Object.fromEntries(
        CORRECTABLE_BITS.map(([bit, name, title]) => [name, field(bit, title, { reset: (resets >>> bit) & 1 })]),
      );
    // Masks and severities of a VF are its PF's (9.4.2).
    const settings = (fields: { readonly [name: string]: Field }) => (this.function.isVirtual ? {} : fields);
    const sticky = -1;
    return {
      AER_UNCORRECTABLE_STATUS: {
        at: 0x04,
        title: "Uncorrectable Error Status",
        clause: "7.8.4.2",
        sticky,
        hooks: { onWrite: (written) => this.#pointerConsumed(written) },
        fields: uncorrectable(w1c, false),
      },
      AER_UNCORRECTABLE_MASK: {
        at: 0x08,
        title: "Uncorrectable Error Mask",
        clause: "7.8.4.3",
        sticky,
        fields: settings(uncorrectable(rw, false)),
      },
      AER_UNCORRECTABLE_SEVERITY: {
        at: 0x0c,
        title: "Uncorrectable Error Severity: 1 for fatal",
        clause: "7.8.4.4",
        sticky,
        fields: settings(uncorrectable(rw, true)),
      },
      AER_CORRECTABLE_STATUS: {
        at: 0x10,
        title: "Correctable Error Status",
        clause: "7.8.4.5",
        sticky,
        fields: correctable(w1c, 0),
      },
      AER_CORRECTABLE_MASK: {
        at: 0x14,
        title: "Correctable Error Mask",
        clause: "7.8.4.6",
        sticky,
        fields: settings(correctable(rw, ADVISORY_NON_FATAL)),
      },
      AER_CAPABILITIES_CONTROL: {
        at: 0x18,
        title: "Advanced Error Capabilities and Control",
        clause: "7.8.4.7",
        sticky: 0x15f,
        fields: {
          FirstErrorPointer: ro([4, 0], "First Error Pointer"),
          ECRCGenerationCapable: ro(5, "ECRC Generation Capable", { reset: 1 }),
          ECRCGenerationEnable: rw(6, "ECRC Generation Enable: no effect"),
          ECRCCheckCapable: ro(7, "ECRC Check Capable", { reset: 1 }),
          ECRCCheckEnable: rw(8, "ECRC Check Enable: no effect"),
        },
      },
      AER_HEADER_LOG: {
        at: 0x1c,
        title: "Header Log",
        clause: "7.8.4.8",
        sticky,
        count: 4,
        fields: { Header: ro([31, 0], "Double word of the header, its first byte in bits 31:24") },
      },
      ...(this.#root ? this.#rootRegisters() : {}),
    };
  }

  #rootRegisters(): { readonly [name: string]: ConfigRegister } {
    const changed = { onWrite: () => this.onRootInterrupt?.() };
    return {
      AER_ROOT_ERROR_COMMAND: {
        at: 0x2c,
        title: "Root Error Command",
        clause: "7.8.4.9",
        hooks: changed,
        fields: {
          CorrectableErrorReportingEnable: rw(0, "Interrupt on correctable errors"),
          NonFatalErrorReportingEnable: rw(1, "Interrupt on non-fatal errors"),
          FatalErrorReportingEnable: rw(2, "Interrupt on fatal errors"),
        },
      },
      AER_ROOT_ERROR_STATUS: {
        at: 0x30,
        title: "Root Error Status",
        clause: "7.8.4.10",
        sticky: 0x7f,
        hooks: changed,
        fields: {
          ERR_CORReceived: w1c(0, "ERR_COR Received"),
          MultipleERR_CORReceived: w1c(1, "Multiple ERR_COR Received"),
          ERR_FATAL_NONFATALReceived: w1c(2, "ERR_FATAL/NONFATAL Received"),
          MultipleERR_FATAL_NONFATALReceived: w1c(3, "Multiple ERR_FATAL/NONFATAL Received"),
          FirstUncorrectableFatal: w1c(4, "First Uncorrectable Fatal"),
          NonFatalErrorMessagesReceived: w1c(5, "Non-Fatal Error Messages Received"),
          FatalErrorMessagesReceived: w1c(6, "Fatal Error Messages Received"),
          InterruptMessageNumber: ro([31, 27], "Advanced Error Interrupt Message Number"),
        },
      },
      AER_ERROR_SOURCE: {
        at: 0x34,
        title: "Error Source Identification",
        clause: "7.8.4.11",
        sticky: -1,
        fields: {
          ERR_COR: ro([15, 0], "Of the first correctable"),
          ERR_FATAL_NONFATAL: ro([31, 16], "Of the first uncorrectable"),
        },
      },
    };
  }

  /** The root port's interrupt condition: a reported class is enabled (6.2.4.1.2). */
  get rootInterrupt(): boolean {
    if (!this.#root) return false;
    const command = this.get("AER_ROOT_ERROR_COMMAND");
    const status = this.get("AER_ROOT_ERROR_STATUS");
    return (
      ((command & 1) !== 0 && (status & ROOT.correctable) !== 0) ||
      ((command & 2) !== 0 && (status & ROOT.nonFatal) !== 0) ||
      ((command & 4) !== 0 && (status & ROOT.fatal) !== 0)
    );
  }

  /** A root port has received an error message, or detected an error itself. */
  messageReceived(message: ErrorMessage, source: number): void {
    if (!this.#root) return;
    let status = this.get("AER_ROOT_ERROR_STATUS");
    let sources = this.get("AER_ERROR_SOURCE");
    if (message === "correctable") {
      if ((status & ROOT.correctable) !== 0) status |= ROOT.multipleCorrectable;
      else sources = (sources & ~0xffff) | source;
      status |= ROOT.correctable;
    } else {
      if ((status & ROOT.uncorrectable) !== 0) status |= ROOT.multipleUncorrectable;
      else {
        sources = (sources & 0xffff) | (source << 16);
        if (message === "fatal") status |= ROOT.firstFatal;
      }
      status |= ROOT.uncorrectable | (message === "fatal" ? ROOT.fatal : ROOT.nonFatal);
    }
    this.set("AER_ROOT_ERROR_STATUS", status);
    this.set("AER_ERROR_SOURCE", sources);
    this.onRootInterrupt?.();
  }

  /** Records a detected error; true where the rules let a message be sent for it (figure 6-2). */
  record(bit: number, advisory: boolean, header: readonly number[]): boolean {
    if (advisory) {
      this.set("AER_CORRECTABLE_STATUS", this.get("AER_CORRECTABLE_STATUS") | ADVISORY_NON_FATAL);
      if ((this.#setting("AER_CORRECTABLE_MASK") & ADVISORY_NON_FATAL) !== 0) return false;
    }
    const first = this.get("AER_UNCORRECTABLE_STATUS") === 0;
    this.set("AER_UNCORRECTABLE_STATUS", this.get("AER_UNCORRECTABLE_STATUS") | bit);
    if ((this.#setting("AER_UNCORRECTABLE_MASK") & bit) !== 0) return false;
    if (first) {
      this.set("AER_CAPABILITIES_CONTROL", (this.get("AER_CAPABILITIES_CONTROL") & ~0x1f) | (31 - Math.clz32(bit)));
      const { config } = this.function;
      const slot = config.slot("AER_HEADER_LOG");
      header.forEach((word, i) => {
        config.bank.values[slot + i] = word;
      });
    }
    return true;
  }

  #setting(register: string): number {
    const physical = this.function.physicalFunction?.capability(Aer) ?? this;
    return physical.get(register);
  }

  isFatal(bit: number): boolean {
    return (this.#setting("AER_UNCORRECTABLE_SEVERITY") & bit) !== 0;
  }

  /** Clearing the status bit that First Error Pointer names makes room for the next error (6.2.4.2). */
  #pointerConsumed(written: number): void {
    const control = this.get("AER_CAPABILITIES_CONTROL");
    if (((written >>> (control & 31)) & 1) !== 0) this.set("AER_CAPABILITIES_CONTROL", control & ~0x1f);
  }
}

export interface ReceivedRequest {
  readonly address: number;
  readonly size: number;
  readonly write: boolean;
  readonly io: boolean;
  readonly requesterId: number;
}

/**
 * `owner` refuses a request: status bits, header log, and the error message that the enables allow (6.2.5). A read that is not
 * fatal is an advisory error: its requester hears of it by the completion (6.2.3.2.4.1).
 */
export function reportUncorrectable(owner: PcieFunction, bit: number, request: ReceivedRequest): void {
  const aer = owner.capability(Aer);
  const express = owner.capability(Express);
  const fatal = aer?.isFatal(bit) ?? false;
  const posted = request.write && !request.io;
  const advisory = !fatal && !posted;
  const unsupported = bit === UNCORRECTABLE.unsupportedRequest;
  const kind: ErrorMessage = advisory ? "correctable" : fatal ? "fatal" : "non-fatal";
  const status = {
    correctable: DEVICE_STATUS.correctable,
    "non-fatal": DEVICE_STATUS.nonFatal,
    fatal: DEVICE_STATUS.fatal,
  }[kind];
  express?.setDeviceStatus(status | (unsupported ? DEVICE_STATUS.unsupported : 0));
  if (aer && !aer.record(bit, advisory, headerOf(request))) return;
  const control = express?.deviceControl ?? 0;
  const enable = {
    correctable: DEVICE_CONTROL.correctable,
    "non-fatal": DEVICE_CONTROL.nonFatal,
    fatal: DEVICE_CONTROL.fatal,
  }[kind];
  const serr = kind !== "correctable" && (owner.command & COMMAND.serr) !== 0;
  const allowed = (control & enable) !== 0 && (!unsupported || (control & DEVICE_CONTROL.unsupported) !== 0);
  if (!serr && !allowed) return;
  if (serr) owner.setStatus(STATUS.signaledSystemError);
  owner.sendErrorMessage(kind, owner.requesterId);
}

/** The header of a memory or I/O request of at most 8 bytes, as the Header Log shows it (2.2.7). */
function headerOf(request: ReceivedRequest): number[] {
  const { address, size, write, io, requesterId } = request;
  const wide = address >= 2 ** 32;
  const format = ((wide ? 1 : 0) | (write ? 2 : 0)) << 29;
  const type = (io ? 2 : 0) << 24;
  const first = address % 4;
  const lanes = ((1 << size) - 1) << first;
  const doubleWords = lanes > 15 ? 2 : 1;
  const bytes = ((lanes >>> 4) << 4) | (lanes & 15);
  const low = ((address - first) % 2 ** 32) | 0;
  const head = [format | type | doubleWords, (Math.max(requesterId, 0) << 16) | bytes];
  return wide ? [...head, Math.floor(address / 2 ** 32), low] : [...head, low, 0];
}
