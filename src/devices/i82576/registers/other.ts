/** 82576 datasheet chapters 8.17, 8.19 to 8.22: PCS, wake up, management, MACsec, IPsec. */
import { ro, rw } from "../../../registers/index.ts";
import { chapter, fixed, word } from "./table.ts";

const NO_PCS = "the port is copper; the PCS is not modelled";
const NO_WAKE = "the machine has no sleep states: nothing wakes it";
const NO_MANAGEMENT = "no management controller and no firmware";
const NO_MACSEC = "MACsec is left out: no driver in use programs it";
const NO_IPSEC = "IPsec is left out, as in the 82576NS: no driver in use programs it";

export const other = chapter({
  PCS_CFG: {
    at: 0x4200,
    title: "PCS Configuration",
    clause: "8.17",
    unimplemented: NO_PCS,
    fields: word("PCS_CFG", "Configuration", 32, 8),
  },
  PCS_LCTL: {
    at: 0x4208,
    title: "PCS Link Control",
    clause: "8.17",
    unimplemented: NO_PCS,
    fields: word("PCS_LCTL", "Link control", 32, 0x0a10_000c),
  },
  PCS_LSTS: {
    at: 0x420c,
    title: "PCS Link Status",
    clause: "8.17",
    fields: fixed("PCS_LSTS", "No link of the PCS", 32, 0xc),
  },
  PCS_ANADV: {
    at: 0x4218,
    title: "AN Advertisement",
    clause: "8.17",
    unimplemented: NO_PCS,
    fields: word("PCS_ANADV", "Advertisement", 32, 0x8000_0020),
  },
  PCS_LPAB: { at: 0x421c, title: "Link Partner Ability", clause: "8.17", fields: fixed("PCS_LPAB", "None") },
  PCS_NPTX: {
    at: 0x4220,
    title: "AN Next Page Transmit",
    clause: "8.17",
    unimplemented: NO_PCS,
    fields: word("PCS_NPTX", "Next page"),
  },
  PCS_LPABNP: {
    at: 0x4224,
    title: "Link Partner Ability Next Page",
    clause: "8.17",
    fields: fixed("PCS_LPABNP", "None"),
  },
  WUC: {
    at: 0x5800,
    title: "Wakeup Control Register",
    clause: "8.19",
    fields: {
      APME: rw(0, "Advance power management enable"),
      PME_EN: rw(1, "PME enable"),
      PME_STATUS: ro(2, "PME status"),
      APMPME: rw(3, "PME on APM wakeup"),
    },
  },
  WUFC: {
    at: 0x5808,
    title: "Wakeup Filter Control Register",
    clause: "8.19",
    fields: word("WUFC", "Filters: nothing wakes this machine"),
  },
  WUS: { at: 0x5810, title: "Wakeup Status Register", clause: "8.19", fields: word("WUS", "Never set") },
  IPAV: { at: 0x5838, title: "IP Address Valid", clause: "8.19", fields: word("IPAV", "Valid addresses") },
  IP4AT: {
    at: 0x5840,
    count: 4,
    stride: 8,
    title: "IPv4 Address Table",
    clause: "8.19",
    fields: word("IPADDR", "Address"),
  },
  IP6AT: { at: 0x5880, count: 4, title: "IPv6 Address Table", clause: "8.19", fields: word("IPV6_ADDR", "Address") },
  WUPL: { at: 0x5900, title: "Wakeup Packet Length", clause: "8.19", fields: fixed("LEN", "No wakeup packet", 12) },
  WUPM: {
    at: 0x5a00,
    count: 32,
    title: "Wakeup Packet Memory",
    clause: "8.19",
    fields: fixed("WUPD", "No wakeup packet"),
  },
  FHFT: {
    at: 0x9000,
    count: 256,
    title: "Flexible Host Filter Table",
    clause: "8.19",
    unimplemented: NO_WAKE,
    fields: word("FHFT", "Filters"),
  },
  FHFT_EXT: {
    at: 0x9a00,
    count: 128,
    title: "Flexible Host Filter Table Extended",
    clause: "8.19",
    unimplemented: NO_WAKE,
    fields: word("FHFT_EXT", "Filters"),
  },
  MANC: {
    at: 0x5820,
    title: "Management Control Register",
    clause: "8.20",
    fields: fixed("MANC", "No management controller"),
  },
  MANC2H: {
    at: 0x5860,
    title: "Management Control To Host",
    clause: "8.20",
    unimplemented: NO_MANAGEMENT,
    fields: word("MANC2H", "Filters"),
  },
  MFVAL: { at: 0x5824, title: "Management Filters Valid", clause: "8.20", fields: fixed("MFVAL", "None") },
  MNGONLY: {
    at: 0x5864,
    title: "Management Only Traffic",
    clause: "8.20",
    unimplemented: NO_MANAGEMENT,
    fields: word("MNGONLY", "Filters", 8),
  },
  MDEF: {
    at: 0x5890,
    count: 8,
    title: "Manageability Decision Filters",
    clause: "8.20",
    unimplemented: NO_MANAGEMENT,
    fields: word("MDEF", "Filters"),
  },
  HICR: {
    at: 0x8f00,
    title: "Host Interface Control",
    clause: "8.20",
    fields: fixed("HICR", "The host interface is not enabled"),
  },
  HOST_IF: {
    at: 0x8800,
    count: 448,
    title: "Host Interface Memory",
    clause: "8.20",
    unimplemented: NO_MANAGEMENT,
    fields: word("HOST_IF", "Memory"),
  },
  LSECTXCAP: { at: 0xb000, title: "MACsec TX Capabilities", clause: "8.21", fields: fixed("LSECTXCAP", "None") },
  LSECTXCTRL: macsec(0xb004, "MACsec TX Control"),
  LSECTXSCL: macsec(0xb008, "MACsec TX SCI Low"),
  LSECTXSCH: macsec(0xb00c, "MACsec TX SCI High"),
  LSECTXSA: macsec(0xb010, "MACsec TX Association"),
  LSECTXPN: macsec(0xb018, "MACsec TX Packet Number 0 and 1", 2),
  LSECTXKEY0: macsec(0xb020, "MACsec TX Key 0", 4),
  LSECTXKEY1: macsec(0xb030, "MACsec TX Key 1", 4),
  LSECRXCAP: { at: 0xb300, title: "MACsec RX Capabilities", clause: "8.21", fields: fixed("LSECRXCAP", "None") },
  LSECRXCTRL: macsec(0xb304, "MACsec RX Control"),
  LSECRXSA: macsec(0xb310, "MACsec RX Associations", 8),
  LSECRXPN: macsec(0xb330, "MACsec RX Packet Numbers", 8),
  LSECRXKEY: macsec(0xb350, "MACsec RX Keys, four words an association", 32),
  LSECRXSCL: macsec(0xb3d0, "MACsec RX SCI Low", 4),
  LSECRXSCH: macsec(0xb3e0, "MACsec RX SCI High", 4),
  LSECSTATS: {
    at: 0x4300,
    count: 56,
    title: "MACsec statistics, LSECTXUT to LSECRXNUSA",
    clause: "8.21",
    fields: fixed("COUNT", "Always zero"),
  },
  IPSRXIDX: ipsec(0xb400, "IPsec RX Index"),
  IPSRXSALT: ipsec(0xb404, "IPsec RX Salt"),
  IPSRXCMD: ipsec(0xb408, "IPsec RX Command"),
  IPSRXSPI: ipsec(0xb40c, "IPsec RX SPI"),
  IPSRXKEY: ipsec(0xb410, "IPsec RX Key", 4),
  IPSRXIPADDR: ipsec(0xb420, "IPsec RX IP Address", 4),
  IPSCTRL: ipsec(0xb430, "IPsec Control"),
  IPSTXIDX: ipsec(0xb450, "IPsec TX Index"),
  IPSTXSALT: ipsec(0xb454, "IPsec TX Salt"),
  IPSTXKEY: ipsec(0xb460, "IPsec TX Key", 4),
});

function macsec(at: number, title: string, count = 1) {
  return { at, count, title, clause: "8.21", unimplemented: NO_MACSEC, fields: word("VALUE", "Value") };
}
function ipsec(at: number, title: string, count = 1) {
  return { at, count, title, clause: "8.22", unimplemented: NO_IPSEC, fields: word("VALUE", "Value") };
}
