/** The device tree of the `virt` board, from the board's data and the machine's options. */
import { cells64, type FdtNode, type FdtValue, type RawNode } from "../../src/formats/index.ts";
import {
  APB_CLOCK,
  type BoardInterrupt,
  type BoardPart,
  PCIE,
  PLATFORM_BUS,
  POWER_KEY_PIN,
  PPI,
  TIMER_CLOCK,
  TOE,
  VIRT_PARTS,
  virtPart,
} from "./board.ts";

export interface DeviceTreeOptions {
  readonly cpus: number;
  /** "cortex-a57" gives compatible "arm,cortex-a57". */
  readonly cpuCompatible: string;
  /** Bytes of RAM. */
  readonly memory: number;
  /** EL2 is there: PSCI by SMC, and the GIC's virtualization frames are listed. */
  readonly virtualization: boolean;
  /** The GIC model has its virtualization frames. */
  readonly gicVirtualization: boolean;
  /** The CPUs have the virtual timer of EL2 (VHE). */
  readonly hypervisorVirtualTimer?: boolean;
  /** Where the PCIe configuration space is, and whether there is a window above 4 GiB; as on the default board unless given. */
  readonly pcie?: { readonly ecam: { readonly base: number; readonly size: number }; readonly memory64: boolean };
  /** An SMMU stands before the PCIe bus. */
  readonly smmu?: boolean;
  readonly secondUart?: boolean;
  readonly secondTimer?: boolean;
  /** Control interfaces of the TOE; 0, or absent: there is none. */
  readonly toeInterfaces?: number;
  readonly bootargs?: string;
  readonly initrd?: { readonly start: number; readonly end: number };
  /** Ten random cells for `rng-seed` and `kaslr-seed`, or none to leave those out. */
  readonly random: readonly number[];
}

const PHANDLE = {
  apbClock: 0x8000,
  gic: 0x8001,
  gicv2m: 0x8002,
  gpio: 0x8003,
  timerClock: 0x8004,
  smmu: 0x8005,
  cpu: 0x8010,
};
const SPI = 0;
const PPI_KIND = 1;
const EDGE_RISING = 1;
const LEVEL_HIGH = 4;

function node(name: string, properties: { [name: string]: FdtValue }, children: FdtNode[] = []): FdtNode {
  return { name, properties, children };
}

function unit(name: string, part: BoardPart): string {
  return `${name}@${part.base.toString(16)}`;
}

function reg(...parts: readonly { base: number; size: number }[]): number[] {
  return parts.flatMap((p) => [...cells64(p.base), ...cells64(p.size)]);
}

function interrupts(list: readonly BoardInterrupt[]): number[] {
  return list.flatMap((i) => [
    i.kind === "spi" ? SPI : PPI_KIND,
    i.number,
    i.trigger === "edge" ? EDGE_RISING : LEVEL_HIGH,
  ]);
}

/** One GICv2 specifier of a private interrupt: bits 15:8 of the flags are the CPUs it can reach. */
function ppi(number: number, cpus: number, flags = LEVEL_HIGH): number[] {
  return [PPI_KIND, number, (((1 << cpus) - 1) << 8) | flags];
}

function primecell(name: string, compatible: string, p: BoardPart, extra: { [name: string]: FdtValue } = {}): FdtNode {
  return node(unit(name, p), {
    "clock-names": "apb_pclk",
    clocks: [PHANDLE.apbClock],
    interrupts: interrupts(p.interrupts),
    reg: reg(p),
    compatible: [compatible, "arm,primecell"],
    ...extra,
  });
}

function interruptMap(): number[] {
  const map: number[] = [];
  for (let device = 0; device < 4; device++) {
    for (let pin = 0; pin < 4; pin++) {
      map.push(device << 11, 0, 0, pin + 1, PHANDLE.gic, 0, 0, SPI, PCIE.firstSpi + ((pin + device) % 4), LEVEL_HIGH);
    }
  }
  return map;
}

function gicNode(o: DeviceTreeOptions): FdtNode {
  const frames = [virtPart("gicd"), virtPart("gicc")];
  const virtual = o.virtualization && o.gicVirtualization;
  if (virtual) frames.push(virtPart("gich"), virtPart("gicv"));
  const v2m = virtPart("gicv2m");
  return node(
    unit("intc", virtPart("gicd")),
    {
      phandle: [PHANDLE.gic],
      ...(virtual ? { interrupts: [PPI_KIND, PPI.gicMaintenance, LEVEL_HIGH] } : {}),
      reg: reg(...frames),
      compatible: "arm,cortex-a15-gic",
      ranges: true,
      "#size-cells": [2],
      "#address-cells": [2],
      "interrupt-controller": true,
      "#interrupt-cells": [3],
    },
    [
      node(unit("v2m", v2m), {
        phandle: [PHANDLE.gicv2m],
        reg: reg(v2m),
        "msi-controller": true,
        compatible: "arm,gic-v2m-frame",
      }),
    ],
  );
}

function cpusNode(o: DeviceTreeOptions): FdtNode {
  const cpus = Array.from({ length: o.cpus }, (_, n) => n);
  const map = node("cpu-map", {}, [
    node("socket0", {}, [
      node(
        "cluster0",
        {},
        cpus.map((n) => node(`core${n}`, { cpu: [PHANDLE.cpu + n] })),
      ),
    ]),
  ]);
  const nodes = cpus.map((n) =>
    node(`cpu@${n}`, {
      phandle: [PHANDLE.cpu + n],
      reg: [n],
      "enable-method": "psci",
      compatible: o.cpuCompatible,
      device_type: "cpu",
    }),
  );
  return node("cpus", { "#size-cells": [0], "#address-cells": [1] }, [map, ...nodes]);
}

function pcieNode(o: DeviceTreeOptions): FdtNode {
  const { io, memory32, memory64 } = PCIE;
  const { ecam, memory64: high } = o.pcie ?? { ecam: PCIE.ecam, memory64: true };
  return node(`pcie@${memory32.base.toString(16)}`, {
    "interrupt-map-mask": [0x1800, 0, 0, 7],
    "interrupt-map": interruptMap(),
    "#interrupt-cells": [1],
    // Flags 0x01: I/O space, 0x02: 32-bit memory, 0x03: 64-bit memory (PCI bus binding, IEEE 1275).
    ranges: [
      [0x1000000, 0, 0, ...cells64(io.base), ...cells64(io.size)],
      [0x2000000, ...cells64(memory32.base), ...cells64(memory32.base), ...cells64(memory32.size)],
      high ? [0x3000000, ...cells64(memory64.base), ...cells64(memory64.base), ...cells64(memory64.size)] : [],
    ].flat(),
    reg: reg(ecam),
    ...(o.smmu ? { "iommu-map": [0, PHANDLE.smmu, 0, 0x10000] } : {}),
    "msi-map": [0, PHANDLE.gicv2m, 0, 0x10000],
    "dma-coherent": true,
    "bus-range": [0, ecam.size / 0x10_0000 - 1],
    "linux,pci-domain": [0],
    "#size-cells": [2],
    "#address-cells": [3],
    device_type: "pci",
    compatible: "pci-host-ecam-generic",
  });
}

function smmuNode(): FdtNode {
  const smmu = virtPart("smmu");
  return node(unit("smmuv3", smmu), {
    phandle: [PHANDLE.smmu],
    "#iommu-cells": [1],
    "dma-coherent": true,
    "interrupt-names": ["eventq", "priq", "cmdq-sync", "gerror"],
    interrupts: interrupts(smmu.interrupts),
    reg: reg(smmu),
    compatible: "arm,smmu-v3",
  });
}

/** A node for each frame, so that each can be assigned alone. */
function toeNodes(o: DeviceTreeOptions): FdtNode[] {
  const { toeInterfaces = 0 } = o;
  const frame = (n: number) => TOE.base - PLATFORM_BUS.base + n * TOE.frame;
  const interrupt = (n: number) => [SPI, TOE.firstSpi + n, LEVEL_HIGH];
  if (toeInterfaces === 0) return [];
  return [
    node(`toe@${frame(0).toString(16)}`, {
      interrupts: interrupt(0),
      reg: [frame(0), TOE.frame],
      compatible: "armature,toe",
    }),
    ...Array.from({ length: toeInterfaces }, (_, n) =>
      node(`toe-interface@${frame(1 + n).toString(16)}`, {
        ...(o.smmu ? { iommus: [PHANDLE.smmu, TOE.firstStream + n] } : {}),
        "dma-coherent": true,
        interrupts: interrupt(1 + n),
        reg: [frame(1 + n), TOE.frame],
        compatible: "armature,toe-interface",
      }),
    ),
  ];
}

function platformBusNode(o: DeviceTreeOptions): FdtNode {
  const timers = [virtPart("timer0"), ...(o.secondTimer === true ? [virtPart("timer1")] : [])];
  return node(
    `platform-bus@${PLATFORM_BUS.base.toString(16)}`,
    {
      "interrupt-parent": [PHANDLE.gic],
      ranges: [0, ...cells64(PLATFORM_BUS.base), PLATFORM_BUS.size],
      "#address-cells": [1],
      "#size-cells": [1],
      compatible: ["qemu,platform", "simple-bus"],
    },
    [
      ...timers.map((timer) =>
        node(`timer@${(timer.base - PLATFORM_BUS.base).toString(16)}`, {
          "clock-names": ["timer1", "timer2", "apb_pclk"],
          clocks: [PHANDLE.timerClock, PHANDLE.timerClock, PHANDLE.apbClock],
          interrupts: interrupts(timer.interrupts),
          reg: [timer.base - PLATFORM_BUS.base, timer.size],
          compatible: ["arm,sp804", "arm,primecell"],
        }),
      ),
      ...toeNodes(o),
    ],
  );
}

function clockNode(name: string, phandle: number, hz: number, output: string): FdtNode {
  return node(name, {
    phandle: [phandle],
    "clock-output-names": output,
    "clock-frequency": [hz],
    "#clock-cells": [0],
    compatible: "fixed-clock",
  });
}

function chosenNode(o: DeviceTreeOptions): FdtNode {
  const uart = virtPart("uart0");
  return node("chosen", {
    ...(o.initrd ? { "linux,initrd-end": cells64(o.initrd.end), "linux,initrd-start": cells64(o.initrd.start) } : {}),
    ...(o.bootargs === undefined ? {} : { bootargs: o.bootargs }),
    "stdout-path": `/${unit("pl011", uart)}`,
    ...(o.random.length < 10 ? {} : { "rng-seed": o.random.slice(0, 8), "kaslr-seed": o.random.slice(8, 10) }),
  });
}

/** The whole tree. */
export function virtDeviceTree(o: DeviceTreeOptions): FdtNode {
  const uarts = [virtPart("uart0"), ...(o.secondUart === true ? [virtPart("uart1")] : [])];
  const gpio = virtPart("gpio");
  const fwcfg = virtPart("fwcfg");
  const ram = virtPart("ram");
  const flash = [virtPart("flash0"), virtPart("flash1")];
  const on32 = (id: number) => (id | 0x40000000) >>> 0;
  const children: FdtNode[] = [
    node("psci", {
      migrate: [on32(0x84000005)],
      cpu_on: [on32(0x84000003)],
      cpu_off: [0x84000002],
      cpu_suspend: [on32(0x84000001)],
      method: o.virtualization ? "smc" : "hvc",
      compatible: ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"],
    }),
    node(unit("memory", ram), { reg: reg({ base: ram.base, size: o.memory }), device_type: "memory" }),
    platformBusNode(o),
    node(unit("fw-cfg", fwcfg), { "dma-coherent": true, reg: reg(fwcfg), compatible: "qemu,fw-cfg-mmio" }),
    ...VIRT_PARTS.filter((p) => p.kind === "virtio-mmio").map((p) =>
      node(unit("virtio_mmio", p), {
        "dma-coherent": true,
        interrupts: interrupts(p.interrupts),
        reg: reg(p),
        compatible: "virtio,mmio",
      }),
    ),
    node("gpio-keys", { compatible: "gpio-keys" }, [
      node("poweroff", {
        gpios: [PHANDLE.gpio, POWER_KEY_PIN, 0],
        "linux,code": [116], // KEY_POWER
        label: "GPIO Key Poweroff",
      }),
    ]),
    primecell("pl061", "arm,pl061", gpio, {
      phandle: [PHANDLE.gpio],
      "gpio-controller": true,
      "#gpio-cells": [2],
    }),
    pcieNode(o),
    ...(o.smmu ? [smmuNode()] : []),
    primecell("pl031", "arm,pl031", virtPart("rtc")),
    ...uarts.map((uart) =>
      primecell("pl011", "arm,pl011", uart, {
        "clock-names": ["uartclk", "apb_pclk"],
        clocks: [PHANDLE.apbClock, PHANDLE.apbClock],
      }),
    ),
    gicNode(o),
    node(unit("flash", flash[0] as BoardPart), { "bank-width": [4], reg: reg(...flash), compatible: "cfi-flash" }),
    cpusNode(o),
    node("pmu", { interrupts: ppi(PPI.pmu, o.cpus), compatible: "arm,armv8-pmuv3" }),
    node("timer", {
      interrupts: [
        ...[PPI.secureTimer, PPI.physicalTimer, PPI.virtualTimer, PPI.hypervisorTimer],
        ...(o.hypervisorVirtualTimer ? [PPI.hypervisorVirtualTimer] : []),
      ].flatMap((n) => ppi(n, o.cpus)),
      "always-on": true,
      compatible: ["arm,armv8-timer", "arm,armv7-timer"],
    }),
    clockNode("apb-pclk", PHANDLE.apbClock, APB_CLOCK, "clk24mhz"),
    clockNode("timer-clk", PHANDLE.timerClock, TIMER_CLOCK, "timclk"),
    node("aliases", Object.fromEntries(uarts.map((uart, n) => [`serial${n}`, `/${unit("pl011", uart)}`]))),
    chosenNode(o),
  ];
  return node(
    "",
    {
      "interrupt-parent": [PHANDLE.gic],
      "dma-coherent": true,
      model: "linux,dummy-virt",
      "#size-cells": [2],
      "#address-cells": [2],
      compatible: "linux,dummy-virt",
    },
    children,
  );
}

/**
 * Completes a tree that the user gave, in place, as boot loaders do: memory, boot arguments, initrd. Nodes that are there keep
 * their other properties.
 */
export function completeDeviceTree(
  tree: RawNode,
  o: Pick<DeviceTreeOptions, "memory" | "bootargs" | "initrd">,
): RawNode {
  const ensure = (name: string): RawNode => {
    let found = tree.children.find((c) => c.name === name || c.name.startsWith(`${name}@`));
    if (!found) {
      found = { name, properties: new Map(), children: [] };
      tree.children.push(found);
    }
    return found;
  };
  const cells = (list: readonly number[]): Uint8Array => {
    const bytes = new Uint8Array(4 * list.length);
    const view = new DataView(bytes.buffer);
    list.forEach((c, i) => {
      view.setUint32(4 * i, c);
    });
    return bytes;
  };
  const ascii = (s: string) => new TextEncoder().encode(`${s}\0`);
  const memory = ensure("memory");
  const ram = virtPart("ram");
  memory.properties.set("device_type", ascii("memory"));
  memory.properties.set("reg", cells(reg({ base: ram.base, size: o.memory })));
  const chosen = ensure("chosen");
  if (o.bootargs !== undefined) chosen.properties.set("bootargs", ascii(o.bootargs));
  if (o.initrd) {
    chosen.properties.set("linux,initrd-start", cells(cells64(o.initrd.start)));
    chosen.properties.set("linux,initrd-end", cells(cells64(o.initrd.end)));
  }
  return tree;
}
