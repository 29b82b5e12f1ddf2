/** What a guest of the `virt` board is given: its images where a boot loader puts them, and a device tree that lists what it has. */
import { VIRT_PARTS, virtPart } from "../../platform/virt/board.ts";
import { type BootOptions, type BootPlan, planBoot } from "../../platform/virt/boot.ts";
import { virtDeviceTree } from "../../platform/virt/device-tree.ts";
import { encodeFdt, type FdtNode, InputError } from "../formats/index.ts";
import { GUEST_ECAM } from "./pci/virtual-pcie.ts";

export interface GuestBoard {
  readonly cpus: number;
  /** "cortex-a57". */
  readonly cpu: string;
  /** Bytes. */
  readonly memory: number;
  readonly psci: "hvc" | "smc";
  /** Names of the board's parts that the guest has beside GIC, timers and RAM. */
  readonly parts: readonly string[];
}

/** The board's tree without what the guest does not have. */
export function guestDeviceTree(board: GuestBoard): FdtNode {
  const has = (part: string): boolean => board.parts.includes(part);
  const whole = virtDeviceTree({
    cpus: board.cpus,
    cpuCompatible: `arm,${board.cpu === "max" ? "cortex-a57" : board.cpu}`,
    memory: board.memory,
    virtualization: board.psci === "smc",
    gicVirtualization: false,
    secondUart: has("uart1"),
    secondTimer: has("timer1"),
    toeInterfaces: has("toe") ? 1 : 0,
    pcie: { ecam: GUEST_ECAM, memory64: false },
    random: [],
  });
  const slots = VIRT_PARTS.filter((p) => p.kind === "virtio-mmio").map((p) => p.name);
  const units = new Map(
    ["uart0", "uart1", "rtc", "gpio", "timer0", "timer1", ...slots].map((name) => [
      virtPart(name).base.toString(16),
      name,
    ]),
  );
  const keeps = (node: FdtNode): boolean => {
    const [kind = "", unit = ""] = node.name.split("@");
    if (["fw-cfg", "flash", "pmu"].includes(kind)) return false;
    if (kind === "pcie" || kind === "v2m") return has("pcie");
    if (kind === "gpio-keys") return has("gpio");
    if (kind === "platform-bus") return has("timer0") || has("timer1") || has("toe");
    const part = units.get(unit);
    return part === undefined || kind === "memory" || kind === "intc" || has(part);
  };
  const reduce = (node: FdtNode): FdtNode => {
    const [kind] = node.name.split("@");
    const children = node.children
      .filter((child) => keeps(child) && (kind !== "platform-bus" || has(onPlatformBus(child.name))))
      .map(reduce);
    const { properties } = node;
    if (has("uart0")) return { ...node, children };
    // without a UART there is nothing that these could name
    const rest = Object.entries(properties).filter(([name]) => name !== "stdout-path" && name !== "serial0");
    return { ...node, properties: Object.fromEntries(rest), children };
  };
  return reduce(whole);
}

/** Name of the board's part by its node; the TOE's management frame is the hypervisor's. */
function onPlatformBus(node: string): string {
  if (node.startsWith("toe-interface@")) return "toe";
  return node === "timer@0" ? "timer0" : node === "timer@1000" ? "timer1" : "";
}

/** Images, entry and X0 as the board's own boot has them. Throws InputError where an image does not fit. */
export function guestBoot(
  board: GuestBoard,
  boot: Omit<BootOptions, "firmware" | "loaders">,
  name = "guest",
): BootPlan {
  try {
    return plan(board, boot);
  } catch (error) {
    throw error instanceof InputError ? new InputError(`${name}: ${error.message}`) : error;
  }
}

function plan(board: GuestBoard, boot: Omit<BootOptions, "firmware" | "loaders">): BootPlan {
  const deviceTree = boot.deviceTree ?? { name: "device tree", data: encodeFdt(guestDeviceTree(board)) };
  return planBoot(
    { ...boot, deviceTree },
    {
      cpus: board.cpus,
      cpuCompatible: `arm,${board.cpu}`,
      memory: board.memory,
      virtualization: false,
      gicVirtualization: false,
      random: [],
    },
  );
}
