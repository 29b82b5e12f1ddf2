/** QEMU's firmware configuration device, memory-mapped as on Arm: docs/specs/fw_cfg of QEMU. */
import { defineRegisters, ro, rw, wo } from "../../registers/index.ts";

/** "QEMU" and " CFG" as little-endian words: bytes lie in memory in the order of the text. */
const QEMU = 0x554d4551;
const CFG = 0x47464320;

export const FW_CFG = defineRegisters({
  name: "FW_CFG",
  title: "QEMU firmware configuration",
  manual: "QEMU docs/specs/fw_cfg",
  size: 0x18,
  sizes: [4],
  registers: {
    DATA: {
      at: 0x00,
      title: "Data Register: each read gives the item's next bytes, in the order in which they lie in memory",
      clause: "Data Register",
      sizes: [1, 2, 4],
      computed: true,
      fields: { Bytes: ro([31, 0], "The next bytes; reset selects the signature, QEMU", { reset: QEMU }) },
    },
    DATA_UPPER: {
      at: 0x04,
      title: "Data Register, upper half of a 64-bit read: the next four bytes",
      clause: "Data Register",
      computed: true,
      fields: { Bytes: ro([31, 0], "The next bytes", { reset: QEMU }) },
    },
    SELECTOR: {
      at: 0x08,
      title: "Selector Register: big-endian key of an item, whose offset becomes 0",
      clause: "Selector (Control) Register",
      sizes: [2],
      computed: true,
      fields: { Key: wo([15, 0], "Key, its most significant byte in bits 7:0") },
    },
    DMA_ADDRESS_HIGH: {
      at: 0x10,
      title: "DMA Address Register, big-endian: more significant half",
      clause: "Guest-side DMA Interface",
      computed: true,
      fields: { Address: rw([31, 0], "Bits 63:32, most significant byte first; reads as QEMU", { reset: QEMU }) },
    },
    DMA_ADDRESS_LOW: {
      at: 0x14,
      title: "DMA Address Register, big-endian: less significant half; a write starts the transfer",
      clause: "Guest-side DMA Interface",
      computed: true,
      fields: { Address: rw([31, 0], "Bits 31:0, most significant byte first; reads as CFG", { reset: CFG }) },
    },
  },
});
