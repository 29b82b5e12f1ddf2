/** The management frame, as docs/devices/toe.md has it: for whoever owns the device, not for virtual machines. */
import { defineRegisters, ro, rw, w1c, wo } from "../../../registers/index.ts";

const WORD = [31, 0] as const;
const IF = { count: 64, stride: 0x40 } as const;

export const TOE_MANAGEMENT = defineRegisters({
  name: "TOE_MANAGEMENT",
  title: "TOE management",
  manual: "TOE technical reference manual",
  size: 0x1_0000,
  sizes: [4],
  registers: {
    ID: {
      at: 0x000,
      title: "Identification",
      clause: "Identification",
      fields: { ID: ro(WORD, '"TOEM" in ASCII, first letter in bits 7:0', { reset: 0x4d45_4f54 }) },
    },
    VERSION: {
      at: 0x004,
      title: "Version of the programmer's model",
      clause: "Identification",
      fields: { MINOR: ro([7, 0], "Minor"), MAJOR: ro([15, 8], "Major", { reset: 1 }) },
    },
    CAPABILITY: {
      at: 0x008,
      title: "Capabilities",
      clause: "Identification",
      computed: true,
      fields: {
        INTERFACES: ro([6, 0], "Control interfaces, 1 to 64"),
        ADDRESSES: ro([15, 8], "Entries of an interface's address table: 8"),
        ROUTES: ro([23, 16], "Entries of an interface's route table: 16"),
      },
    },
    MEMORY_TOTAL: {
      at: 0x00c,
      title: "On-chip buffer memory",
      clause: "Quotas",
      computed: true,
      fields: { BYTES: ro(WORD, "Bytes; the quotas of all interfaces together stay within it") },
    },
    CONTROL: {
      at: 0x010,
      title: "Control",
      clause: "Enabling and reset",
      fields: { RESET: wo(0, "Resets the device with all interfaces; clears itself") },
    },
    STATUS: {
      at: 0x014,
      title: "Status",
      clause: "Network port",
      computed: true,
      fields: { LINK: ro(0, "The network port has a link") },
    },
    INTERRUPT_STATUS: {
      at: 0x020,
      title: "Interrupt status",
      clause: "Interrupts",
      fields: {
        LINK: w1c(0, "The link came or went"),
        INTERFACE: w1c(1, "A bit of INTERFACE_ERROR was set"),
      },
    },
    INTERRUPT_ENABLE: {
      at: 0x024,
      title: "Interrupt enable",
      clause: "Interrupts",
      fields: { LINK: rw(0, "Link"), INTERFACE: rw(1, "Errors of interfaces") },
    },
    INTERFACE_ERROR: {
      at: 0x028,
      width: 64,
      title: "Interfaces that met an error",
      clause: "Errors of an interface",
      fields: { LOW: w1c([31, 0], "Interfaces 31 to 0"), HIGH: w1c([63, 32], "Interfaces 63 to 32") },
    },
    LINE_RATE: {
      at: 0x040,
      title: "Rate of the network port",
      clause: "Timing",
      fields: { RATE: rw([19, 0], "Mb/s; 0: no serialization delay", { reset: 10_000 }) },
    },
    PIPELINE_RATE: {
      at: 0x044,
      title: "Rate at which payload passes the command pipeline",
      clause: "Timing",
      fields: { RATE: rw([19, 0], "Mb/s; 0: no time", { reset: 16_000 }) },
    },
    COMMAND_TIME: {
      at: 0x048,
      title: "Time of a command in the pipeline",
      clause: "Timing",
      fields: { TIME: rw([19, 0], "Nanoseconds; 0 counts as 1", { reset: 200 }) },
    },
    SEGMENT_TIME: {
      at: 0x04c,
      title: "Time of a segment in the protocol engine",
      clause: "Timing",
      fields: { TIME: rw([19, 0], "Nanoseconds, each way; 0 counts as 1 on the way in", { reset: 60 }) },
    },
    RECEIVE_MEMORY: {
      at: 0x050,
      title: "Memory for frames that wait for the protocol engine",
      clause: "Timing",
      fields: { BYTES: rw([27, 0], "Bytes, for each interface", { reset: 0x8_0000 }) },
    },
    TRANSMIT_MEMORY: {
      at: 0x054,
      title: "Memory for frames that wait for the wire",
      clause: "Timing",
      fields: { BYTES: rw([27, 0], "Bytes, for each interface", { reset: 0x8_0000 }) },
    },
    OUTSTANDING: {
      at: 0x058,
      title: "Commands that one interface may have outstanding",
      clause: "Flow of a command",
      fields: { COMMANDS: rw([12, 0], "1 to 4096; 0 counts as 1, more as 4096", { reset: 1024 }) },
    },
    PREFETCH: {
      at: 0x05c,
      title: "Commands fetched ahead of the dispatcher",
      clause: "Dispatcher",
      fields: { COMMANDS: rw([7, 0], "For each interface, 2 to 255; less counts as 2", { reset: 64 }) },
    },
    DISPATCHER: {
      at: 0x060,
      title: "Dispatcher",
      clause: "Dispatcher",
      fields: {
        POLICY: rw([1, 0], "Policy", {
          values: {
            0: "deficit weighted round robin",
            1: "first come, first served",
            2: "round robin",
            3: "weighted round robin",
          },
        }),
        COUPLED: rw(8, "Only interfaces with their bit in RUNNING are served"),
      },
    },
    QUANTUM: {
      at: 0x064,
      title: "Quantum of weight 1",
      clause: "Dispatcher",
      fields: { BYTES: rw([23, 0], "Bytes; less than MAX_LENGTH counts as MAX_LENGTH", { reset: 0x1_0000 }) },
    },
    MINIMUM_COST: {
      at: 0x068,
      title: "Least cost of a command",
      clause: "Dispatcher",
      fields: { BYTES: rw([15, 0], "Bytes; 0 counts as 1", { reset: 64 }) },
    },
    RUNNING: {
      at: 0x070,
      width: 64,
      title: "Interfaces whose virtual machine runs",
      clause: "Dispatcher",
      fields: {
        LOW: rw([31, 0], "Interfaces 31 to 0", { reset: 0xffff_ffff }),
        HIGH: rw([63, 32], "Interfaces 63 to 32", { reset: 0xffff_ffff }),
      },
    },
    TABLE_SELECT: {
      at: 0x080,
      title: "Entry of a table",
      clause: "Address and route tables",
      fields: {
        INTERFACE: rw([5, 0], "Interface"),
        KIND: rw(8, "Table", { values: { 0: "addresses", 1: "routes" } }),
        ENTRY: rw([20, 16], "Entry"),
      },
    },
    TABLE_COMMAND: {
      at: 0x084,
      title: "Moves an entry",
      clause: "Address and route tables",
      fields: {
        COMMAND: wo([1, 0], "Command", {
          values: {
            1: "the table registers into the entry",
            2: "the entry into the table registers",
            3: "all entries of both tables of the interface become invalid",
          },
        }),
      },
    },
    TABLE_STATUS: {
      at: 0x088,
      title: "Result of the last TABLE_COMMAND",
      clause: "Address and route tables",
      fields: { ERROR: ro(0, "The entry does not exist or its contents are bad: nothing was moved") },
    },
    TABLE_ADDRESS: {
      at: 0x090,
      count: 4,
      title: "Address, or destination of a route",
      clause: "Address and route tables",
      fields: { VALUE: rw(WORD, "Four bytes, the first in bits 7:0") },
    },
    TABLE_GATEWAY: {
      at: 0x0a0,
      count: 4,
      title: "Gateway of a route; all zero: the destination is on the link",
      clause: "Address and route tables",
      fields: { VALUE: rw(WORD, "Four bytes, the first in bits 7:0") },
    },
    TABLE_PREFIX: {
      at: 0x0b0,
      title: "Prefix",
      clause: "Address and route tables",
      fields: {
        LENGTH: rw([7, 0], "Bits, 0 to 128 (IPv4: 96 more than usual)"),
        VALID: rw(8, "The entry is in use"),
      },
    },
    DEVICE_COUNTER: {
      at: 0x400,
      count: 16,
      width: 64,
      title: "Statistics of the network port",
      clause: "Statistics",
      computed: true,
      fields: { VALUE: ro([52, 0], "Since power-on or reset") },
    },
    IF_CONTROL: {
      at: 0x1000,
      ...IF,
      title: "Control of an interface",
      clause: "Enabling and reset",
      fields: {
        ENABLE: rw(0, "The interface is granted to its user"),
        RESET: wo(1, "Resets the interface; clears itself"),
        APPLY: wo(2, "Addresses, routes, MAC, MTU and quotas take effect; clears itself"),
      },
    },
    IF_STATUS: {
      at: 0x1004,
      ...IF,
      title: "Status of an interface",
      clause: "Enabling and reset",
      computed: true,
      fields: {
        READY: ro(0, "Commands are served"),
        FAILED: ro(2, "A ring could not be used"),
        CAUSE: ro([15, 8], "ERROR_CAUSE of the interface"),
      },
    },
    IF_MAC_LOW: perInterface(0x1008, "MAC address, bytes 0 to 3; byte 0 in bits 7:0", WORD, "Bytes"),
    IF_MAC_HIGH: perInterface(0x100c, "MAC address, bytes 4 and 5", [15, 0], "Bytes"),
    IF_VLAN: perInterface(0x1010, "VLAN of an interface", [11, 0], "VLAN identifier; 0: untagged"),
    IF_MTU: perInterface(0x1014, "Largest IP packet of an interface", [15, 0], "Bytes, 1280 to 9000", 1500),
    IF_WEIGHT: perInterface(0x1018, "Weight of an interface", [15, 0], "0 counts as 1", 1),
    IF_RATE: perInterface(0x101c, "Rate limit of an interface", [19, 0], "Mb/s on the wire; 0: none"),
    IF_BURST: perInterface(
      0x1020,
      "Burst of the rate limit",
      [23, 0],
      "Bytes; less than 16384 counts as 16384",
      0x4000,
    ),
    IF_SOCKETS: perInterface(0x1024, "Socket quota of an interface", [19, 0], "Sockets", 4096),
    IF_MEMORY: perInterface(0x1028, "Memory quota of an interface", WORD, "Bytes"),
    IF_PEERS: {
      at: 0x1030,
      ...IF,
      width: 64,
      title: "Interfaces that an interface may send to",
      clause: "Network port",
      fields: {
        LOW: rw([31, 0], "Interfaces 31 to 0", { reset: 0xffff_ffff }),
        HIGH: rw([63, 32], "Interfaces 63 to 32", { reset: 0xffff_ffff }),
      },
    },
    IF_COUNTER: {
      at: 0x4000,
      count: 2048,
      width: 64,
      title: "COUNTER k of interface n is element 32 n + k",
      clause: "Statistics",
      computed: true,
      fields: { VALUE: ro([52, 0], "Since power-on or reset") },
    },
  },
});

function perInterface(at: number, title: string, bits: readonly [number, number], what: string, reset = 0) {
  return {
    at,
    ...IF,
    title,
    clause: "Configuration of an interface",
    fields: { VALUE: rw(bits, what, { reset }) },
  } as const;
}
