/**
 * The `virt` board as data: address, size, interrupts and clock of every part. The address map, the device tree, the C header
 * and the documentation come from here. Addresses and interrupt numbers are those of QEMU's machine of the same name wherever
 * it has the part; parts that it lacks sit in its platform-bus window.
 */

/** Interrupt of a part: shared (SPI n is INTID 32 + n) or private to each CPU (PPI n is INTID 16 + n). */
export interface BoardInterrupt {
  /** Name of the line on the model that drives it. */
  readonly line: string;
  readonly kind: "spi" | "ppi";
  readonly number: number;
  readonly trigger: "level" | "edge";
}

export type PartKind =
  | "cfi-flash"
  | "gicv2-distributor"
  | "gicv2-cpu-interface"
  | "gicv2-hypervisor"
  | "gicv2-virtual-cpu"
  | "gicv2m"
  | "pl011"
  | "pl031"
  | "fw-cfg"
  | "pl061"
  | "virtio-mmio"
  | "sp804"
  | "pcie-ecam"
  | "smmuv3"
  | "toe"
  | "ram";

export interface BoardPart {
  /** Name of the module on the board and of the window in the address map. */
  readonly name: string;
  readonly kind: PartKind;
  readonly title: string;
  readonly base: number;
  /** Bytes of the window. RAM's is the largest possible; the machine's memory option decides. */
  readonly size: number;
  readonly interrupts: readonly BoardInterrupt[];
  /** Frequency of the part's clock in Hz, where it has one. */
  readonly clock?: number;
  /** The machine's option that puts the part on the board; absent for parts that are always there. */
  readonly option?: PartOption;
}

export type PartOption = "secondUart" | "secondTimer" | "toe";

/** Frequencies in Hz. */
export const APB_CLOCK = 24_000_000;
export const TIMER_CLOCK = 1_000_000;
export const GENERIC_TIMER_FREQUENCY = 62_500_000;

export const RAM_BASE = 0x4000_0000;
export const GIC_SPI_COUNT = 256;
/** Flash sectors and bus width, as in `cfi-flash` of the device tree. */
export const FLASH_BANK_SIZE = 0x400_0000;
export const FLASH_SECTOR_SIZE = 0x4_0000;
export const VIRTIO_MMIO_COUNT = 32;
/** SPIs of the MSI frame: INTIDs 80 to 143. */
export const GICV2M_BASE_SPI = 48;
export const GICV2M_SPI_COUNT = 64;
/** The window that QEMU calls its platform bus, with its first interrupt. */
export const PLATFORM_BUS = { base: 0xc00_0000, size: 0x200_0000, firstSpi: 112, spis: 64 };
/**
 * TCP/IP offload engine: a management frame and, from `base` + 64 KiB on, one frame an interface. Interface n interrupts by SPI `firstSpi` + 1 + n, which goes
 * beyond the platform bus's own 64 (nothing else has those), and has SMMU stream `firstStream` + n: PCIe bus 255, where no device sits.
 */
export const TOE = {
  base: PLATFORM_BUS.base + 0x80_0000,
  frame: 0x1_0000,
  interfaces: 64,
  firstSpi: 120,
  firstStream: 0xff00,
};
/** PCIe windows. */
export const PCIE = {
  ecam: { base: 0x40_1000_0000, size: 0x1000_0000 },
  /** In place of `ecam` with `highmem-ecam=off`: 16 buses. */
  lowEcam: { base: 0x3f00_0000, size: 0x100_0000 },
  io: { base: 0x3eff_0000, size: 0x1_0000 },
  memory32: { base: 0x1000_0000, size: 0x2eff_0000 },
  memory64: { base: 0x80_0000_0000, size: 0x80_0000_0000 },
  firstSpi: 3,
};
/** Private interrupts of each CPU (PPI numbers). */
export const PPI = {
  gicMaintenance: 9,
  hypervisorTimer: 10,
  hypervisorVirtualTimer: 12,
  virtualTimer: 11,
  secureTimer: 13,
  physicalTimer: 14,
  pmu: 7,
};
/** Pin of the GPIO controller that the power key drives. */
export const POWER_KEY_PIN = 3;

const spi = (line: string, number: number, trigger: "level" | "edge" = "level"): BoardInterrupt => ({
  line,
  kind: "spi",
  number,
  trigger,
});

function part(
  name: string,
  kind: PartKind,
  base: number,
  size: number,
  title: string,
  interrupts: readonly BoardInterrupt[] = [],
  clock?: number,
): BoardPart {
  return { name, kind, title, base, size, interrupts, ...(clock === undefined ? {} : { clock }) };
}

export const VIRT_PARTS: readonly BoardPart[] = [
  part("flash0", "cfi-flash", 0, FLASH_BANK_SIZE, "Flash bank 0: boot firmware"),
  part("flash1", "cfi-flash", FLASH_BANK_SIZE, FLASH_BANK_SIZE, "Flash bank 1: firmware variables"),
  part("gicd", "gicv2-distributor", 0x800_0000, 0x1_0000, "GICv2 distributor"),
  part("gicc", "gicv2-cpu-interface", 0x801_0000, 0x1_0000, "GICv2 CPU interface"),
  part("gicv2m", "gicv2m", 0x802_0000, 0x1000, "GICv2m MSI frame"),
  part("gich", "gicv2-hypervisor", 0x803_0000, 0x1_0000, "GICv2 virtual interface control"),
  part("gicv", "gicv2-virtual-cpu", 0x804_0000, 0x1_0000, "GICv2 virtual CPU interface"),
  part("uart0", "pl011", 0x900_0000, 0x1000, "PL011 UART", [spi("interrupt", 1)], APB_CLOCK),
  {
    ...part("uart1", "pl011", 0x904_0000, 0x1000, "Second PL011 UART, optional", [spi("interrupt", 8)], APB_CLOCK),
    option: "secondUart",
  },
  part("rtc", "pl031", 0x901_0000, 0x1000, "PL031 real-time clock", [spi("interrupt", 2)]),
  part("fwcfg", "fw-cfg", 0x902_0000, 0x18, "Firmware configuration"),
  part("gpio", "pl061", 0x903_0000, 0x1000, "PL061 GPIO", [spi("interrupt", 7)]),
  part("smmu", "smmuv3", 0x905_0000, 0x2_0000, "SMMUv3 before the PCIe bus, with `iommu=smmuv3`", [
    spi("eventq", 74, "edge"),
    spi("priq", 75, "edge"),
    spi("cmdqSync", 76, "edge"),
    spi("gerror", 77, "edge"),
  ]),
  ...Array.from({ length: VIRTIO_MMIO_COUNT }, (_, n) =>
    part(`virtio${n}`, "virtio-mmio", 0xa00_0000 + n * 0x200, 0x200, `virtio-mmio transport ${n}`, [
      spi("interrupt", 16 + n, "edge"),
    ]),
  ),
  part(
    "timer0",
    "sp804",
    PLATFORM_BUS.base,
    0x1000,
    "SP804 dual timer",
    [
      spi("timer1Interrupt", PLATFORM_BUS.firstSpi),
      spi("timer2Interrupt", PLATFORM_BUS.firstSpi + 1),
      spi("combinedInterrupt", PLATFORM_BUS.firstSpi + 2),
    ],
    TIMER_CLOCK,
  ),
  {
    ...part(
      "timer1",
      "sp804",
      PLATFORM_BUS.base + 0x1000,
      0x1000,
      "Second SP804 dual timer, optional",
      [
        spi("timer1Interrupt", PLATFORM_BUS.firstSpi + 3),
        spi("timer2Interrupt", PLATFORM_BUS.firstSpi + 4),
        spi("combinedInterrupt", PLATFORM_BUS.firstSpi + 5),
      ],
      TIMER_CLOCK,
    ),
    option: "secondTimer",
  },
  {
    ...part("toe", "toe", TOE.base, TOE.frame * (1 + TOE.interfaces), "TCP/IP offload engine", [
      spi("interrupt", TOE.firstSpi),
    ]),
    option: "toe",
  },
  part("ram", "ram", RAM_BASE, 0x3f_c000_0000, "RAM"),
  part(
    "pcie",
    "pcie-ecam",
    PCIE.ecam.base,
    PCIE.ecam.size,
    "PCIe configuration space (ECAM)",
    ["intA", "intB", "intC", "intD"].map((line, n) => spi(line, PCIE.firstSpi + n)),
  ),
];

export function virtPart(name: string): BoardPart {
  const found = VIRT_PARTS.find((p) => p.name === name);
  if (!found) throw new Error(`the virt board has no part "${name}"`);
  return found;
}
