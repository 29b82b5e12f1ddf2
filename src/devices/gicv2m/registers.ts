/** GICv2m MSI frame: Arm Server Base System Architecture (Arm DEN 0029 v2.2), appendix E. */
import { defineRegisters, ro, wo } from "../../registers/index.ts";

export const GICV2M = defineRegisters({
  name: "GICV2M",
  title: "GICv2m MSI frame",
  manual: "Arm DEN 0029 v2.2",
  size: 0x1000,
  sizes: [4],
  registers: {
    MSI_TYPER: {
      at: 0x008,
      title: "MSI Type Register",
      clause: "E.7.1",
      computed: true,
      fields: {
        NumSPIs: ro([9, 0], "SPIs assigned to this frame"),
        BaseSPI: ro([25, 16], "INTID of the lowest of them"),
      },
    },
    MSI_SETSPI_NS: {
      at: 0x040,
      title: "Set SPI Register, Non-secure",
      clause: "E.7.2",
      sizes: [2, 4],
      computed: true,
      fields: { SPI: wo([9, 0], "INTID to make pending") },
    },
    MSI_IIDR: {
      at: 0xfcc,
      title: "MSI Interface Identification Register",
      clause: "E.7.3",
      fields: {
        Implementer: ro([11, 0], "JEP106 code: none"),
        Revision: ro([15, 12], "Revision"),
        ArchRev: ro([19, 16], "Architecture revision: GICv2m version 0"),
        ProductID: ro([31, 20], "As QEMU's frame: ASCII Q", { reset: 0x51 }),
      },
    },
    MSI_ID: {
      at: 0xfd0,
      title: "Identification registers; the mandatory MSI_PIDR2 has ArchRev 0, the optional ones read as zero",
      clause: "E.7.4",
      count: 12,
      fields: { Value: ro([31, 0], "Zero") },
    },
  },
});
