/** What is derived from the board's data for people and for C: a header of addresses and interrupts, and the address map. */
import {
  type BoardInterrupt,
  type BoardPart,
  GENERIC_TIMER_FREQUENCY,
  GICV2M_BASE_SPI,
  GICV2M_SPI_COUNT,
  PPI,
  TOE,
  VIRT_PARTS,
  VIRTIO_MMIO_COUNT,
} from "./board.ts";

/** Name of a part in the C header. */
const C_NAMES: { readonly [name: string]: string } = {
  fwcfg: "FW_CFG",
  timer0: "SP804",
  timer1: "SP804_1",
  pcie: "PCIE_ECAM",
};

export function intid(interrupt: Pick<BoardInterrupt, "kind" | "number">): number {
  return interrupt.number + (interrupt.kind === "spi" ? 32 : 16);
}

function address(n: number): string {
  return `0x${n.toString(16).padStart(8, "0")}`;
}

function interruptLines(prefix: string, p: BoardPart): string[] {
  return p.interrupts.map((i) => {
    const line = i.line === "interrupt" ? "" : `_${i.line.replace("Interrupt", "").toUpperCase()}`;
    return `#define ${prefix}${line}_INTID ${intid(i)}u`;
  });
}

/** A C header of the board: base addresses, sizes, GIC interrupt ids and clocks. */
export function boardHeader(): string {
  const lines = [
    "/* Generated from platform/virt/board.ts; do not edit. INTIDs are the GIC's: PPI n is 16 + n, SPI n is 32 + n. */",
    "#ifndef BOARD_H",
    "#define BOARD_H",
    "",
  ];
  for (const p of VIRT_PARTS) {
    if (p.kind === "virtio-mmio" && p.name !== "virtio0") continue;
    const prefix = `BOARD_${p.kind === "virtio-mmio" ? "VIRTIO_MMIO" : (C_NAMES[p.name] ?? p.name.toUpperCase())}`;
    lines.push(`#define ${prefix}_BASE ${address(p.base)}UL`);
    if (p.kind === "virtio-mmio") {
      lines.push(`#define ${prefix}_STRIDE 0x${p.size.toString(16)}UL`);
      lines.push(`#define ${prefix}_COUNT ${VIRTIO_MMIO_COUNT}u`);
      lines.push(`#define ${prefix}_FIRST_INTID ${intid(p.interrupts[0] as BoardInterrupt)}u`);
    } else {
      if (p.kind !== "ram") lines.push(`#define ${prefix}_SIZE 0x${p.size.toString(16)}UL`);
      lines.push(...interruptLines(prefix, p));
    }
    if (p.kind === "gicv2m") {
      lines.push(
        `#define ${prefix}_FIRST_INTID ${GICV2M_BASE_SPI + 32}u`,
        `#define ${prefix}_COUNT ${GICV2M_SPI_COUNT}u`,
      );
    }
    if (p.kind === "toe") {
      lines.push(
        `#define ${prefix}_FRAME 0x${TOE.frame.toString(16)}UL`,
        `#define ${prefix}_INTERFACE_BASE ${address(TOE.base + TOE.frame)}UL`,
        `#define ${prefix}_INTERFACE_FIRST_INTID ${TOE.firstSpi + 1 + 32}u`,
        `#define ${prefix}_FIRST_STREAM 0x${TOE.firstStream.toString(16)}u`,
      );
    }
    if (p.clock !== undefined) lines.push(`#define ${prefix}_CLOCK_HZ ${p.clock}u`);
    lines.push("");
  }
  const privates: [string, number][] = [
    ["GIC_MAINTENANCE", PPI.gicMaintenance],
    ["HYPERVISOR_TIMER", PPI.hypervisorTimer],
    ["VIRTUAL_TIMER", PPI.virtualTimer],
    ["PHYSICAL_TIMER", PPI.physicalTimer],
  ];
  for (const [name, number] of privates) lines.push(`#define BOARD_${name}_INTID ${16 + number}u`);
  lines.push(`#define BOARD_GENERIC_TIMER_HZ ${GENERIC_TIMER_FREQUENCY}u`, "", "#endif", "");
  return lines.join("\n");
}

/** The address map as a Markdown table. */
export function boardMarkdown(): string {
  const rows = VIRT_PARTS.map((p) => {
    const last = address(p.base + p.size - 1);
    const lines = p.interrupts
      .map(
        (i) =>
          `${i.kind.toUpperCase()} ${i.number} (INTID ${intid(i)}, ${i.trigger})${i.line === "interrupt" ? "" : ` ${i.line}`}`,
      )
      .join("; ");
    return `| \`${address(p.base)}\` | \`${last}\` | \`${p.name}\` | ${p.title} | ${lines} |`;
  });
  const privates = Object.entries(PPI).map(([name, n]) => `| ${name} | PPI ${n} | ${16 + n} |`);
  return [
    "| first | last | name | part | interrupts |",
    "|---|---|---|---|---|",
    ...rows,
    "",
    "| private interrupt of each CPU | number | INTID |",
    "|---|---|---|",
    ...privates,
    "",
  ].join("\n");
}
