/** 82576 datasheet chapter 8.8 and 8.9: interrupt registers. */
import { ro, rw, w1c, w1s, wo } from "../../../registers/index.ts";
import { chapter, word } from "./table.ts";

/** Causes of ICR, IMS and their kin: 0x77D4FBFD. */
function causes(field: typeof rw) {
  return {
    TXDW: field(0, "Transmit descriptor written back"),
    LSC: field(2, "Link status change"),
    RXSEQ: field(3, "Receive sequence error"),
    RXDMT0: field(4, "Receive descriptor minimum threshold"),
    MACSEC: field(5, "MACsec"),
    RXMISS: field(6, "Missed packet"),
    RXDW: field(7, "Receive descriptor write back"),
    SWMB: field(8, "Mailbox: a VF's request, acknowledgement or reset"),
    CAUSE_9: field(9, "Raised by software only"),
    GPI: field([14, 11], "General purpose interrupts, SDP0 to SDP3"),
    CAUSE_15: field(15, "Raised by software only"),
    MNG: field(18, "Manageability event"),
    OMED: field(20, "Other media energy detected"),
    FATAL: field(22, "Fatal error"),
    CAUSE_24_23: field([24, 23], "Raised by software only"),
    SCE: field(25, "Storm control became active or inactive"),
    CAUSE_26: field(26, "Raised by software only"),
    DOUTSYNC: field(28, "DMA out of synchronization: a malicious or spoofing driver"),
    TCP_TIMER: field(29, "TCP timer"),
    DRSTA: field(30, "Device reset asserted"),
  };
}

const vector = (byte: number, what: string) => ({
  [`INT_ALLOC${byte}`]: rw([8 * byte + 4, 8 * byte], `Vector of ${what}`),
  [`INT_ALLOC_VAL${byte}`]: rw(8 * byte + 7, `The vector of ${what} is valid`),
});

export const interrupt = chapter({
  ICR: {
    at: 0x1500,
    title: "Interrupt Cause Read Register",
    clause: "8.8",
    computed: true,
    fields: { ...causes(w1c), INTA: ro(31, "The interrupt line or message is asserted") },
  },
  ICS: {
    at: 0x1504,
    title: "Interrupt Cause Set Register; reads as ICR without clearing",
    clause: "8.8",
    computed: true,
    fields: { ...causes(w1s), INTA: ro(31, "As in ICR") },
  },
  IMS: { at: 0x1508, title: "Interrupt Mask Set/Read Register", clause: "8.8", computed: true, fields: causes(rw) },
  IMC: { at: 0x150c, title: "Interrupt Mask Clear Register", clause: "8.8", fields: causes(wo) },
  IAM: { at: 0x1510, title: "Interrupt Acknowledge Auto Mask Register", clause: "8.8", fields: causes(rw) },
  GPIE: {
    at: 0x1514,
    title: "General Purpose Interrupt Enable",
    clause: "8.8",
    fields: {
      NSICR: rw(0, "Non-selective clear of ICR on read"),
      MULTIPLE_MSIX: rw(4, "Multiple MSI-X vectors: IVAR maps causes to vectors"),
      LL_INTERVAL: rw([11, 7], "4 us a low latency credit; 0: low latency interrupts need none"),
      EIAME: rw(30, "Auto mask when a message is sent"),
      PBA_SUPPORT: rw(31, "Pending bits are cleared by EICR writes"),
    },
  },
  EICS: {
    at: 0x1520,
    title: "Extended Interrupt Cause Set Register; reads as EICR without clearing",
    clause: "8.8",
    computed: true,
    fields: { EICS: w1s([31, 0], "Sets causes") },
  },
  EIMS: {
    at: 0x1524,
    title: "Extended Interrupt Mask Set/Read Register",
    clause: "8.8",
    computed: true,
    fields: { EIMS: rw([31, 0], "Enabled causes; ones set") },
  },
  EIMC: {
    at: 0x1528,
    title: "Extended Interrupt Mask Clear Register",
    clause: "8.8",
    fields: { EIMC: wo([31, 0], "Disables causes") },
  },
  EIAC: {
    at: 0x152c,
    title: "Extended Interrupt Auto Clear Register",
    clause: "8.8",
    fields: { EIAC: rw([24, 0], "Causes cleared when their message is sent") },
  },
  EIAM: {
    at: 0x1530,
    title: "Extended Interrupt Auto Mask Enable Register",
    clause: "8.8",
    fields: { EIAM: rw([31, 0], "Causes disabled by EICR accesses or, with EIAME, by their message") },
  },
  EICR: {
    at: 0x1580,
    title: "Extended Interrupt Cause Register",
    clause: "8.8",
    computed: true,
    fields: { EICR: w1c([31, 0], "Causes: vectors 0 to 24, or queues 0 to 15, TCP timer 30 and other 31") },
  },
  EITR: {
    at: 0x1680,
    count: 25,
    title: "Extended Interrupt Throttle Registers",
    clause: "8.8",
    fields: {
      INTERVAL: rw([14, 2], "Least time between messages in microseconds"),
      LLI_EN: rw(15, "Low latency interrupts need credits"),
      LL_COUNTER: rw([20, 16], "Low latency credits"),
      CNT_INGR: wo(31, "The counter is left alone by this write"),
    },
  },
  IVAR: {
    at: 0x1700,
    count: 8,
    title: "Interrupt Vector Allocation Registers",
    clause: "8.8",
    fields: {
      ...vector(0, "receive queue n"),
      ...vector(1, "transmit queue n"),
      ...vector(2, "receive queue 8 + n"),
      ...vector(3, "transmit queue 8 + n"),
    },
  },
  IVAR_MISC: {
    at: 0x1740,
    title: "Interrupt Vector Allocation for Other Causes",
    clause: "8.8",
    fields: { ...vector(0, "the TCP timer"), ...vector(1, "other causes") },
  },
  PBACL: {
    at: 0x5b68,
    title: "MSI-X PBA Clear",
    clause: "8.9",
    fields: { PENBIT: w1c([24, 0], "Clears pending bits of the MSI-X table") },
  },
  PICAUSE: {
    at: 0x5b88,
    title: "PCIe Interrupt Cause",
    clause: "8.6",
    unimplemented: "causes of the physical PCIe link",
    fields: word("PICAUSE", "Causes"),
  },
  PIENA: {
    at: 0x5b8c,
    title: "PCIe Interrupts Enable",
    clause: "8.6",
    unimplemented: "causes of the physical PCIe link",
    fields: word("PIENA", "Enables"),
  },
});
