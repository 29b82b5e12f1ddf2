/** What a command line asks for: the result of parsing, before any file is read. */
import type { VirtioNetworkOptions } from "../../devices/virtio/index.ts";
import type { LinkOptions, ReplayOptions, TrafficOptions } from "../../net/index.ts";
import type { CharacterSpec, SocketAddress } from "./chardev-spec.ts";

export interface FlashImage {
  /** Bank 0 or 1. */
  readonly bank: number;
  readonly path: string;
  /** Guest writes go back into the file. */
  readonly writeBack: boolean;
  /** The guest may not write at all. */
  readonly readOnly: boolean;
}

/** `-device loader`. */
export type LoaderDevice =
  | {
      readonly kind: "file";
      readonly path: string;
      readonly address?: bigint;
      readonly raw: boolean;
      readonly cpu?: number;
    }
  | { readonly kind: "data"; readonly address: bigint; readonly bytes: Uint8Array }
  /** Only the start address of a CPU. */
  | { readonly kind: "entry"; readonly address: bigint; readonly cpu: number };

export interface FirmwareFile {
  readonly name: string;
  readonly source: { readonly path: string } | { readonly text: string };
}

export type ScriptStep =
  | { readonly kind: "expect"; readonly text: string; readonly timeout: number }
  | { readonly kind: "send"; readonly text: string };

/** Simulated seconds, or text that the guest prints. */
export type SavePoint = { readonly time: number } | { readonly text: string };

export type ResetAction = "reset" | "shutdown";
export type ShutdownAction = "poweroff" | "pause";

/** A raw image of a disk. */
export interface DiskImage {
  readonly path: string;
  readonly readOnly: boolean;
  /** What the guest writes stays in memory. */
  readonly snapshot: boolean;
  /** No format was given: an image of another format than raw is refused. */
  readonly probe: boolean;
}

/** A network of `-netdev`: one link, the device that uses it at one end, this at the other. */
export interface NetworkOption {
  readonly where: string;
  readonly id: string;
  readonly far: FarEnd;
  readonly link: LinkOptions;
  /** Queue pairs of a card that asks for several; 1 unless given. */
  readonly queues?: number;
  readonly captures?: readonly CaptureOption[];
}

/** A network that stands on a switch instead of at a device. */
export interface SwitchedNetwork {
  readonly hub: number;
  readonly network: NetworkOption;
}

export type FarEnd =
  /** The host that answers; IPv4 addresses as numbers. */
  | {
      readonly kind: "user";
      readonly network: number;
      readonly mask: number;
      readonly host: number;
      readonly dns: number;
      readonly guest: number;
    }
  /** A port of the switch of that number. */
  | { readonly kind: "hubport"; readonly hub: number; readonly via?: string }
  /** Sends at a load and counts what comes. */
  | { readonly kind: "generator"; readonly traffic: TrafficOptions }
  /** Sends the packets of a capture. */
  | { readonly kind: "pcap"; readonly path: string; readonly replay: ReplayOptions }
  | OutsideSpec;

/** What stands outside the simulation. */
export type OutsideSpec =
  /** Each frame behind its length, 32 bits, most significant byte first. */
  | {
      readonly kind: "stream";
      readonly server: boolean;
      readonly address: SocketAddress;
      /** Milliseconds after which a client tries again; 0: never. */
      readonly reconnect: number;
    }
  /** One frame a datagram. */
  | { readonly kind: "dgram"; readonly local?: SocketAddress; readonly remote?: SocketAddress }
  | { readonly kind: "tap"; readonly ifname: string };

/** `-object filter-dump`: of each frame at most `longest` bytes go into the file. */
export interface CaptureOption {
  readonly where: string;
  readonly name: string;
  readonly path: string;
  readonly longest: number;
}

export interface SharedFolder {
  readonly path: string;
  readonly readOnly: boolean;
}

export interface ConsolePort {
  readonly number: number;
  /** A console of the guest's; else a plain port. */
  readonly console: boolean;
  readonly name?: string;
  readonly device: CharacterSpec;
}

/** A function on the PCIe bus. */
export interface PcieOption {
  readonly driver: string;
  readonly where: string;
  /** Name of its module, from its id. */
  readonly name: string;
  /** Module name of the port that it sits behind; the root bus where it is not given. */
  readonly bus?: string;
  readonly device?: number;
  readonly functionNumber?: number;
  readonly multifunction: boolean;
  /** The driver's own numbers. */
  readonly numbers: { readonly [key: string]: number };
  readonly mac?: Uint8Array;
  readonly network: NetworkOption | null;
}

/** The TCP/IP offload engine on the platform bus. */
export interface ToeOption {
  /** Of interface 0; others count up from it. */
  readonly mac?: Uint8Array;
  readonly interfaces?: number;
  readonly network: NetworkOption | null;
}

/** How a virtio network card differs from what it is by itself. */
export type NetworkCard = Omit<VirtioNetworkOptions, "port" | "mac" | "eventIndex" | "indirect">;

/** A virtio device behind a slot of the board. */
export type VirtioOption = {
  /** The option as the user wrote it. */
  readonly where: string;
  /** Number of the virtio-mmio slot; the highest free one where it is not given. */
  readonly slot?: number;
  /** Whether these features are offered. */
  readonly eventIndex: boolean;
  readonly indirect: boolean;
} & (
  | {
      readonly kind: "block";
      readonly image: DiskImage;
      readonly serial?: string;
      readonly writeCache?: boolean;
      readonly cacheControl?: boolean;
    }
  | {
      readonly kind: "network";
      readonly network: NetworkOption | null;
      readonly mac: Uint8Array;
      readonly card: NetworkCard;
    }
  | { readonly kind: "console"; readonly maxPorts: number; readonly ports: readonly ConsolePort[] }
  | { readonly kind: "entropy" }
  | { readonly kind: "9p"; readonly folder: SharedFolder; readonly tag: string }
);

export interface RunOptions {
  readonly machine: {
    readonly virtualization: boolean;
    /** Random seeds in the device tree. */
    readonly treeRandomness: boolean;
    /** PCIe configuration space, and window for 64-bit BARs, above 4 GiB. */
    readonly highEcam: boolean;
    readonly highMmio: boolean;
    /** A second SP804. */
    readonly secondTimer: boolean;
    /** An SMMU before the PCIe bus. */
    readonly iommu?: "smmuv3";
    readonly dumpTree?: string;
  };
  readonly cpuModel: string;
  readonly cpus: number;
  /** Bytes of RAM. */
  readonly memory: number;
  /** "qtest": no CPU runs and the clock is the protocol's. */
  readonly accelerator: "tcg" | "qtest";
  /** Nanoseconds of one instruction; undefined: the board's own. */
  readonly instructionTime?: number;
  /** Sleep on the host while the guest is idle; undefined: when somebody sits at the terminal. */
  readonly throttle?: boolean;

  readonly bios?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly dtb?: string;
  readonly flash: readonly FlashImage[];
  readonly loaders: readonly LoaderDevice[];
  readonly firmwareFiles: readonly FirmwareFile[];
  /** virtio-mmio transports show version 1 (legacy) or 2. */
  readonly legacyVirtio: boolean;
  /** In the order of their slots. */
  readonly virtio: readonly VirtioOption[];
  readonly pcie: readonly PcieOption[];
  readonly toe?: ToeOption;
  readonly switched: readonly SwitchedNetwork[];
  readonly searchPaths: readonly string[];
  /** Seconds since 1970 at power-on; undefined: the fixed default. */
  readonly rtcBase?: number | "now" | "local";
  readonly seed?: number;

  readonly characterDevices: ReadonlyMap<string, CharacterSpec>;
  readonly serial: CharacterSpec;
  /** What the second UART is connected to; without it the board has one. */
  readonly secondSerial?: CharacterSpec;
  readonly monitors: readonly MonitorOption[];
  readonly gdb?: CharacterSpec;
  readonly qtest?: CharacterSpec;
  /** Path, "none", or undefined for standard error. */
  readonly qtestLog?: string;
  /** Character code of the terminal's escape; 1 is Ctrl-A. */
  readonly escapeCharacter: number;

  readonly startPaused: boolean;
  readonly onReset: ResetAction;
  readonly onShutdown: ShutdownAction;
  readonly name?: string;
  readonly pidFile?: string;

  /** Log items of `-d`. */
  readonly logGuestErrors: boolean;
  readonly logUnimplemented: boolean;
  readonly logFile?: string;
  readonly trace: readonly string[];
  readonly traceFile?: string;
  readonly guestErrorsFile?: string;
  readonly strict: boolean;
  readonly stateHash: boolean;
  /** Tell at the end how much was executed. */
  readonly statistics: boolean;

  /** Save a snapshot here: at `saveAt`, or at the end. */
  readonly saveSnapshot?: string;
  readonly saveAt?: SavePoint;
  /** Start from this snapshot. */
  readonly snapshot?: string;
  readonly record?: string;
  readonly replay?: string;
  /** The words that say which machine it is: options of machine, images and devices. */
  readonly machineWords: readonly string[];

  readonly script: readonly ScriptStep[];
  /** Host seconds after which a run without `--expect` is ended with an error. */
  readonly timeout?: number;
  /** Simulated seconds after which the run ends. */
  readonly maxTime?: number;
}

export interface MonitorOption {
  readonly mode: "readline" | "control";
  readonly pretty: boolean;
  readonly device: CharacterSpec;
}

/** What parsing gives: a run, or text to print (help, versions, lists). */
export type ParsedCommandLine =
  | { readonly kind: "run"; readonly options: RunOptions }
  | { readonly kind: "text"; readonly text: string };
