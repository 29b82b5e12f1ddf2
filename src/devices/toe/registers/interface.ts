/** The frame of one control interface, as docs/devices/toe.md has it: what one virtual machine sees of the device. */
import { defineRegisters, ro, rw, w1c, wo } from "../../../registers/index.ts";

const WORD = [31, 0] as const;
const INDEX = [14, 0] as const;
const RING = "Rings";

export const TOE_INTERFACE = defineRegisters({
  name: "TOE_INTERFACE",
  title: "TOE control interface",
  manual: "TOE technical reference manual",
  size: 0x1_0000,
  sizes: [4],
  registers: {
    ID: {
      at: 0x000,
      title: "Identification",
      clause: "Identification",
      fields: { ID: ro(WORD, '"TOEI" in ASCII, first letter in bits 7:0', { reset: 0x4945_4f54 }) },
    },
    VERSION: {
      at: 0x004,
      title: "Version of the programmer's model",
      clause: "Identification",
      fields: { MINOR: ro([7, 0], "Minor"), MAJOR: ro([15, 8], "Major", { reset: 1 }) },
    },
    NUMBER: {
      at: 0x008,
      title: "Which interface this is",
      clause: "Identification",
      computed: true,
      fields: { NUMBER: ro([5, 0], "0 to 63") },
    },
    CAPABILITY: {
      at: 0x00c,
      title: "Capabilities",
      clause: "Identification",
      fields: {
        RING_LOG2: ro([3, 0], "Largest ring, as a power of two", { reset: 15 }),
        SEGMENTS: ro([15, 8], "Entries of the longest scatter list", { reset: 64 }),
        TCP: ro(16, "TCP", { reset: 1 }),
        UDP: ro(17, "UDP", { reset: 1 }),
        IPV4: ro(18, "IPv4", { reset: 1 }),
        IPV6: ro(19, "IPv6", { reset: 1 }),
        POOL: ro(20, "Shared receive pool", { reset: 1 }),
        MULTI: ro(21, "Commands with several completions", { reset: 1 }),
      },
    },
    MAX_LENGTH: {
      at: 0x010,
      title: "Bytes of the longest transfer",
      clause: "Identification",
      fields: { BYTES: ro(WORD, "Bytes", { reset: 0x1_0000 }) },
    },
    MAX_COMMANDS: {
      at: 0x014,
      title: "Commands that can be outstanding",
      clause: "Flow of a command",
      computed: true,
      fields: { COMMANDS: ro([15, 0], "OUTSTANDING of the management frame") },
    },
    CONTROL: {
      at: 0x020,
      title: "Control",
      clause: "Enabling and reset",
      fields: {
        ENABLE: rw(0, "Rings are served"),
        RESET: wo(1, "Resets the interface; clears itself"),
      },
    },
    STATUS: {
      at: 0x024,
      title: "Status",
      clause: "Enabling and reset",
      computed: true,
      fields: {
        READY: ro(0, "Commands are served: ENABLE, GRANTED and not FAILED"),
        GRANTED: ro(1, "The management frame has enabled the interface"),
        FAILED: ro(2, "A ring could not be used; reset is the way out"),
        LINK: ro(3, "The network port has a link"),
      },
    },
    ERROR_CAUSE: {
      at: 0x028,
      title: "The last error",
      clause: "Errors of an interface",
      fields: {
        CAUSE: ro([7, 0], "Cause", {
          values: {
            0: "none",
            1: "tail or head outside its ring",
            2: "submission ring cannot be read",
            3: "completion ring cannot be written",
            4: "event ring cannot be written",
            5: "receive pool cannot be read",
            6: "ring base or size is bad",
            7: "disabled by management",
          },
        }),
      },
    },
    ERROR_ADDRESS: {
      at: 0x030,
      width: 64,
      title: "Address of the access that failed",
      clause: "Errors of an interface",
      fields: { ADDRESS: ro([47, 0], "Address, for causes 2 to 5") },
    },
    INTERRUPT_STATUS: {
      at: 0x040,
      title: "Interrupt status",
      clause: "Interrupts",
      fields: {
        COMPLETION: w1c(0, "Completions were written"),
        EVENT: w1c(1, "Events were written"),
        ERROR: w1c(2, "ERROR_CAUSE was written"),
        LINK: w1c(3, "The link came or went"),
        POOL: w1c(4, "The receive pool fell to POOL_LOW entries or fewer"),
      },
    },
    INTERRUPT_ENABLE: {
      at: 0x044,
      title: "Interrupt enable",
      clause: "Interrupts",
      fields: {
        COMPLETION: rw(0, "Completions"),
        EVENT: rw(1, "Events"),
        ERROR: rw(2, "Errors"),
        LINK: rw(3, "Link"),
        POOL: rw(4, "Receive pool"),
      },
    },
    INTERRUPT_SET: {
      at: 0x048,
      title: "Interrupt test",
      clause: "Interrupts",
      fields: { BITS: wo([4, 0], "Sets the same bits of INTERRUPT_STATUS") },
    },
    COMPLETION_MODERATION: {
      at: 0x04c,
      title: "Moderation of completion interrupts",
      clause: "Interrupts",
      fields: {
        COUNT: rw([15, 0], "Completions before an interrupt; 0 and 1: at once"),
        TIME: rw([31, 16], "Microseconds after the first unreported one; 0: no limit"),
      },
    },
    EVENT_MODERATION: {
      at: 0x050,
      title: "Moderation of event interrupts",
      clause: "Interrupts",
      fields: {
        COUNT: rw([15, 0], "Events before an interrupt; 0 and 1: at once"),
        TIME: rw([31, 16], "Microseconds after the first unreported one; 0: no limit"),
      },
    },
    SQ_BASE: base(0x080, "Submission ring: base", 6),
    SQ_SIZE: size(0x088, "Submission ring: size"),
    SQ_TAIL: {
      at: 0x08c,
      title: "Submission doorbell: index behind the last command",
      clause: RING,
      fields: { INDEX: rw(INDEX, "Index") },
    },
    SQ_HEAD: {
      at: 0x090,
      title: "Index of the next command that the device will fetch",
      clause: RING,
      fields: { INDEX: ro(INDEX, "Index") },
    },
    CQ_BASE: base(0x0a0, "Completion ring: base", 6),
    CQ_SIZE: size(0x0a8, "Completion ring: size"),
    CQ_HEAD: {
      at: 0x0ac,
      title: "Completion doorbell: index of the next completion that software will read",
      clause: RING,
      fields: { INDEX: rw(INDEX, "Index") },
    },
    CQ_TAIL: {
      at: 0x0b0,
      title: "Index where the device writes the next completion",
      clause: RING,
      fields: { INDEX: ro(INDEX, "Index") },
    },
    EQ_BASE: base(0x0c0, "Event ring: base", 6),
    EQ_SIZE: size(0x0c8, "Event ring: size; 0: there is none"),
    EQ_HEAD: {
      at: 0x0cc,
      title: "Event doorbell: index of the next event that software will read",
      clause: RING,
      fields: { INDEX: rw(INDEX, "Index") },
    },
    EQ_TAIL: {
      at: 0x0d0,
      title: "Index where the device writes the next event",
      clause: RING,
      fields: { INDEX: ro(INDEX, "Index") },
    },
    RP_BASE: base(0x0e0, "Receive pool: base", 6),
    RP_SIZE: size(0x0e8, "Receive pool: size; 0: there is none"),
    RP_TAIL: {
      at: 0x0ec,
      title: "Pool doorbell: index behind the last buffer",
      clause: RING,
      fields: { INDEX: rw(INDEX, "Index") },
    },
    RP_HEAD: {
      at: 0x0f0,
      title: "Index of the next buffer that the device will take",
      clause: RING,
      fields: { INDEX: ro(INDEX, "Index") },
    },
    POOL_LOW: {
      at: 0x0f4,
      title: "Level of the pool at which POOL interrupts",
      clause: "Receive pool",
      fields: { ENTRIES: rw(INDEX, "Buffers left") },
    },
    MAC_LOW: info(0x100, "MAC address, bytes 0 to 3; byte 0 in bits 7:0", WORD),
    MAC_HIGH: info(0x104, "MAC address, bytes 4 and 5", [15, 0]),
    VLAN: info(0x108, "VLAN; 0: untagged", [11, 0]),
    MTU: info(0x10c, "Largest IP packet in bytes", [15, 0]),
    SOCKET_QUOTA: info(0x110, "Sockets allowed", WORD),
    MEMORY_QUOTA: info(0x114, "Buffer memory allowed, bytes", WORD),
    WEIGHT: info(0x118, "Weight in the dispatcher", [15, 0]),
    SOCKETS: info(0x120, "Sockets open", WORD),
    MEMORY: info(0x124, "Buffer memory in use, bytes", WORD),
    OUTSTANDING: info(0x128, "Commands fetched and not completed", [15, 0]),
    ADDRESS: {
      ...info(
        0x200,
        "IP addresses: four words each, word w of entry i is element 4 i + w; first byte in bits 7:0",
        WORD,
      ),
      count: 32,
    },
    PREFIX: {
      at: 0x280,
      count: 8,
      title: "Prefix lengths of the addresses",
      clause: "Addresses",
      computed: true,
      fields: { LENGTH: ro([7, 0], "Bits, of 128 (IPv4: 96 more than usual)"), VALID: ro(8, "The entry is in use") },
    },
    COUNTER: {
      at: 0x400,
      count: 32,
      width: 64,
      title: "Statistics of the interface",
      clause: "Statistics",
      computed: true,
      fields: { VALUE: ro([52, 0], "Since power-on or reset") },
    },
  },
});

function base(at: number, title: string, low: number) {
  return {
    at,
    width: 64,
    title,
    clause: RING,
    fields: { ADDRESS: rw([47, low], "Address, 64-byte aligned") },
  } as const;
}

function size(at: number, title: string) {
  return { at, title, clause: RING, fields: { LOG2: rw([3, 0], "1 to 15: entries as a power of two") } } as const;
}

function info(at: number, title: string, bits: readonly [number, number]) {
  return { at, title, clause: "Addresses", computed: true, fields: { VALUE: ro(bits, "Value") } } as const;
}
