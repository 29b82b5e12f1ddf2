/** 82576 datasheet chapter 8.14: virtualization registers of the PF, and the VFs' registers as the PF sees them. */
import { ro, rw, w1c, wo } from "../../../registers/index.ts";
import { chapter, word } from "./table.ts";

const EACH_VF = { count: 8, stride: 0x100 } as const;
const NO_MIRROR = "traffic mirroring";
const NO_STORM = "storm control";

export const virtualization = chapter({
  VT_CTL: {
    at: 0x581c,
    title: "VMDq Control Register",
    clause: "8.14.1",
    fields: {
      DEF_PL: rw([9, 7], "Default pool"),
      FIFO_DROP: rw(27, "Not functional bit"),
      IGNORE_MAC: rw(28, "Only VLANs select pools"),
      DIS_DEF_POOL: rw(29, "Packets of no pool are dropped"),
      RPL_EN: rw(30, "Replication enable"),
    },
  },
  P2VMAILBOX: {
    at: 0x0c00,
    count: 8,
    title: "PF Mailbox",
    clause: "8.14.2",
    computed: true,
    fields: {
      STS: wo(0, "Message ready: interrupts the VF"),
      ACK: wo(1, "Acknowledgement: interrupts the VF"),
      VFU: ro(2, "Buffer taken by the VF"),
      PFU: rw(3, "Buffer taken by the PF"),
      RVFU: wo(4, "Resets VFU and the VF's request and acknowledgement"),
    },
  },
  MBVFICR: { at: 0x0c80, title: "Mailbox VF Interrupt Causes Register", clause: "8.14.3", fields: { VFREQ: w1c([7, 0], "VF n wrote a message"), VFACK: w1c([23, 16], "VF n acknowledged") } },
  MBVFIMR: { at: 0x0c84, title: "Mailbox VF Interrupt Mask Register", clause: "8.14.4", fields: word("VFIM", "Interrupts of VF n", 8, 0xff) },
  VFLRE: { at: 0x0c88, title: "FLR Events", clause: "8.14.5", fields: { VFLE: w1c([7, 0], "VF n was reset") } },
  VFRE: { at: 0x0c8c, title: "VF Receive Enable", clause: "8.14.6", fields: word("VFRE", "Pool n receives", 8, 0xff) },
  VFTE: { at: 0x0c90, title: "VF Transmit Enable", clause: "8.14.7", fields: word("VFTE", "Pool n transmits", 8, 0xff) },
  VMBMEM: { at: 0x0800, count: 128, title: "Mailbox Memory", clause: "8.14.8", fields: word("MAILBOX_DATA", "64 bytes a VF") },
  QDE: { at: 0x2408, title: "Queue Drop Enable Register", clause: "8.14.9", fields: word("QDE", "Queue n drops packets when its ring is empty", 16) },
  DTXSWC: {
    at: 0x3500,
    title: "DMA TX Switch Control",
    clause: "8.14.10",
    fields: {
      MACAS: rw([7, 0], "MAC anti-spoof of pool n"),
      VLANAS: rw([15, 8], "VLAN anti-spoof of pool n"),
      LLE: rw([23, 16], "Pool n receives its own packets"),
      LOOPBACK_EN: rw(31, "Switching between pools"),
    },
  },
  WVBR: { at: 0x3554, title: "Wrong VM Behavior Register", clause: "8.14.11", fields: { WVM: ro([15, 0], "Queue n sent a spoofed packet; reading clears") } },
  VMOLR: {
    at: 0x5ad0,
    count: 8,
    title: "VM Offload Register",
    clause: "8.14.12",
    fields: {
      RLPML: rw([13, 0], "Longest packet with CRC", { reset: 0x2600 }),
      LPE: rw(16, "Long packets"),
      RSSE: rw(17, "RSS to the pool's second queue"),
      VPE: rw(23, "VLAN promiscuous"),
      AUPE: rw(24, "Accept untagged packets"),
      ROMPE: rw(25, "Accept multicast by MTA"),
      ROPE: rw(26, "Accept unicast by UTA"),
      BAM: rw(27, "Accept broadcast"),
      MPE: rw(28, "Multicast promiscuous"),
      UPE: rw(29, "Unicast promiscuous"),
      STRVLAN: rw(30, "Strip VLAN tags"),
      STRCRC: rw(31, "Strip the CRC", { reset: 1 }),
    },
  },
  RPLOLR: { at: 0x5af0, title: "Replication Offload Register", clause: "8.14.13", fields: { STRVLAN: rw(30, "Strip VLAN tags of replicated packets"), STRCRC: rw(31, "Strip the CRC of replicated packets", { reset: 1 }) } },
  VLVF: {
    at: 0x5d00,
    count: 32,
    title: "VLAN VM Filter",
    clause: "8.14.14",
    fields: { VLAN_ID: rw([11, 0], "VLAN"), POOLSEL: rw([19, 12], "Pools"), LVLAN: rw(20, "Local VLAN: never to the network"), VI_EN: rw(31, "Enable") },
  },
  VMVIR: { at: 0x3700, count: 8, title: "VM VLAN Insert Register", clause: "8.14.15", fields: { PORT_VLAN_ID: rw([15, 0], "Tag"), VLANA: rw([31, 30], "0: as the descriptor says, 1: always this tag, 2: never") } },
  DVMOLR: { at: 0xc038, count: 16, stride: 0x40, title: "DMA VM Offload Register", clause: "8.14.16", unimplemented: "packets are stripped as VMOLR says", fields: { DVMOLR: rw([31, 29], "Stripping") } },
  SCCRL: { at: 0x5db0, title: "Storm Control Control Register", clause: "8.14.17", unimplemented: NO_STORM, fields: word("SCCRL", "Control") },
  SCSTS: { at: 0x5db4, title: "Storm Control Status", clause: "8.14.18", unimplemented: NO_STORM, fields: word("SCSTS", "Status") },
  BSCTRH: { at: 0x5db8, title: "Broadcast Storm Control Threshold", clause: "8.14.19", unimplemented: NO_STORM, fields: word("UTRESH", "Threshold", 19) },
  MSCTRH: { at: 0x5dbc, title: "Multicast Storm Control Threshold", clause: "8.14.20", unimplemented: NO_STORM, fields: word("UTRESH", "Threshold", 19) },
  VMRCTL: { at: 0x5d80, count: 4, title: "Virtual Mirror Rule Control", clause: "8.14.21", unimplemented: NO_MIRROR, fields: word("VMRCTL", "Rule") },
  VMRVLAN: { at: 0x5d90, count: 4, title: "Virtual Mirror Rule VLAN", clause: "8.14.22", unimplemented: NO_MIRROR, fields: word("VLAN", "VLANs") },
  VMRVM: { at: 0x5da0, count: 4, title: "Virtual Mirror Rule VM", clause: "8.14.23", unimplemented: NO_MIRROR, fields: word("VM", "Pools", 8) },
  LVMMC: { at: 0x3548, title: "Last VM Misbehavior Cause", clause: "8.14.24", fields: { LVMMC: ro([31, 0], "Causes and queue of the last bad packet; reading clears") } },
  MDFB: { at: 0x3558, title: "Malicious Driver Free Block", clause: "8.14.25", fields: { BLOCK_QUEUE: w1c([15, 0], "Queue n is blocked; ones free it") } },
  IOVCTL: { at: 0x5bbc, title: "IOV Control Register", clause: "8.14.26", fields: { REUSE_VFQ: rw(0, "Queues of VFs that are not enabled belong to the PF") } },
  VTCTRL: { at: 0x10000, ...EACH_VF, title: "VF Control", clause: "8.14.27", computed: true, fields: { RST: wo(26, "VF reset; clears itself") } },
  VTEICS: { at: 0x10020, ...EACH_VF, title: "VF Extended Interrupt Cause Set", clause: "8.14.28", computed: true, fields: { EICS: wo([2, 0], "Sets causes") } },
  VTEIMS: { at: 0x10024, ...EACH_VF, title: "VF Extended Interrupt Mask Set", clause: "8.14.29", computed: true, fields: { EIMS: rw([2, 0], "Enabled causes; ones set") } },
  VTEIMC: { at: 0x10028, ...EACH_VF, title: "VF Extended Interrupt Mask Clear", clause: "8.14.30", computed: true, fields: { EIMC: wo([2, 0], "Disables causes") } },
  VTEIAC: { at: 0x1002c, ...EACH_VF, title: "VF Extended Interrupt Auto Clear", clause: "8.14.31", computed: true, fields: { EIAC: rw([2, 0], "Causes cleared when their message is sent") } },
  VTEIAM: { at: 0x10030, ...EACH_VF, title: "VF Extended Interrupt Auto Mask", clause: "8.14.32", computed: true, fields: { EIAM: rw([2, 0], "Causes disabled by EICR accesses or messages") } },
  VTEICR: { at: 0x10080, ...EACH_VF, title: "VF Extended Interrupt Cause", clause: "8.14.33", computed: true, fields: { EICR: w1c([2, 0], "Causes") } },
  VTIVAR: { at: 0x11700, count: 8, title: "VF Interrupt Vector Allocation", clause: "8.14.34", fields: vtivar() },
  VTIVAR_MISC: { at: 0x11720, count: 8, title: "VF Interrupt Vector Allocation of the Mailbox", clause: "8.14.35", fields: { INT_ALLOC4: rw([1, 0], "Vector of the mailbox"), INT_ALLOC_VAL4: rw(7, "Valid") } },
});

export function vtivar() {
  return {
    INT_ALLOC0: rw([1, 0], "Vector of receive queue 0"),
    INT_ALLOC_VAL0: rw(7, "Valid"),
    INT_ALLOC1: rw([9, 8], "Vector of transmit queue 0"),
    INT_ALLOC_VAL1: rw(15, "Valid"),
    INT_ALLOC2: rw([17, 16], "Vector of receive queue 1"),
    INT_ALLOC_VAL2: rw(23, "Valid"),
    INT_ALLOC3: rw([25, 24], "Vector of transmit queue 1"),
    INT_ALLOC_VAL3: rw(31, "Valid"),
  };
}
