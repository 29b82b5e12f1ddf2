/** Numbers of docs/devices/toe.md: opcodes, flags, status codes, options, error causes, counters. */
import type { SocketError, SocketOption } from "./engine/api.ts";

export const OPCODE = {
  NOP: 0,
  SOCKET: 1,
  BIND: 2,
  LISTEN: 3,
  ACCEPT: 4,
  CONNECT: 5,
  SEND: 6,
  RECEIVE: 7,
  SENDTO: 8,
  RECEIVE_FROM: 9,
  SHUTDOWN: 10,
  CLOSE: 11,
  ABORT: 12,
  SET_OPTION: 13,
  GET_OPTION: 14,
  POLL: 15,
  CANCEL: 16,
  GET_NAME: 17,
} as const;

export const FLAG = { LIST: 1, NOWAIT: 2, ACKNOWLEDGED: 4, ALL: 8, POOL: 16, MULTI: 32 } as const;

const { LIST, NOWAIT, ACKNOWLEDGED, ALL, POOL, MULTI } = FLAG;
/** Flags that each opcode takes. */
export const FLAGS_OF: readonly number[] = [
  0,
  0,
  0,
  0,
  NOWAIT | MULTI,
  NOWAIT,
  LIST | NOWAIT | ACKNOWLEDGED,
  LIST | NOWAIT | ALL | POOL | MULTI,
  LIST | NOWAIT,
  LIST | NOWAIT | POOL | MULTI,
  0,
  0,
  0,
  0,
  0,
  NOWAIT,
  ALL,
  0,
];

/** Flags of a completion. */
export const DONE = { MORE: 1, END: 2, TRUNCATED: 4 } as const;

export const STATUS = {
  SUCCESS: 0,
  WOULD_BLOCK: 1,
  INVALID: 2,
  NO_SOCKET: 3,
  WRONG_STATE: 4,
  ADDRESS_IN_USE: 5,
  ADDRESS_NOT_AVAILABLE: 6,
  NO_ROUTE: 7,
  UNREACHABLE: 8,
  REFUSED: 9,
  RESET: 10,
  ABORTED: 11,
  TIMED_OUT: 12,
  MESSAGE_TOO_LONG: 13,
  NO_MEMORY: 14,
  TOO_MANY_SOCKETS: 15,
  CLOSED: 16,
  BAD_OPCODE: 32,
  BAD_FIELD: 33,
  BAD_LENGTH: 34,
  BAD_LIST: 35,
  BUFFER_FAULT: 36,
  CANCELED: 37,
  COMMAND_TIMEOUT: 38,
  INTERFACE_RESET: 39,
  INTERFACE_DISABLED: 40,
  NOT_FOUND: 41,
  NO_POOL: 42,
} as const;

export const STATUS_OF: { readonly [error in SocketError]: number } = {
  "would-block": STATUS.WOULD_BLOCK,
  invalid: STATUS.INVALID,
  "no-socket": STATUS.NO_SOCKET,
  "wrong-state": STATUS.WRONG_STATE,
  "address-in-use": STATUS.ADDRESS_IN_USE,
  "address-not-available": STATUS.ADDRESS_NOT_AVAILABLE,
  "no-route": STATUS.NO_ROUTE,
  unreachable: STATUS.UNREACHABLE,
  refused: STATUS.REFUSED,
  reset: STATUS.RESET,
  aborted: STATUS.ABORTED,
  "timed-out": STATUS.TIMED_OUT,
  "message-too-long": STATUS.MESSAGE_TOO_LONG,
  "no-memory": STATUS.NO_MEMORY,
  "too-many-sockets": STATUS.TOO_MANY_SOCKETS,
  closed: STATUS.CLOSED,
};

/** Options by number; 256 and up are the device's own. */
export const OPTIONS: readonly SocketOption[] = [
  "no-delay",
  "keep-alive",
  "keep-idle",
  "keep-interval",
  "keep-count",
  "send-buffer",
  "receive-buffer",
  "congestion",
  "ecn",
  "sack",
  "timestamps",
  "window-scale",
  "mss",
  "delayed-ack",
  "user-timeout",
  "hop-limit",
  "traffic-class",
  "state",
];
export const OPTION_STATE = 17;
export const OPTION_EVENT_MASK = 256;
export const OPTION_READABLE = 257;
export const OPTION_WRITABLE = 258;

/** ERROR_CAUSE. */
export const CAUSE = {
  INDEX: 1,
  SUBMISSION: 2,
  COMPLETION: 3,
  EVENT: 4,
  POOL: 5,
  RING: 6,
  DISABLED: 7,
} as const;

/** Bits of INTERRUPT_STATUS of an interface. */
export const IRQ = { COMPLETION: 1, EVENT: 2, ERROR: 4, LINK: 8, POOL: 16 } as const;

/** Places of COUNTER. */
export const COUNTER = {
  FETCHED: 0,
  COMPLETED: 1,
  ERRORS: 2,
  EVENTS: 3,
  READ_BYTES: 4,
  WRITTEN_BYTES: 5,
  SENT: 6,
  SENT_BYTES: 7,
  RECEIVED: 8,
  RECEIVED_BYTES: 9,
  RECEIVE_DROPS: 10,
  TRANSMIT_DROPS: 11,
  FILTERED: 12,
  TO_PEERS: 13,
  FROM_PEERS: 14,
  POOL_BUFFERS: 15,
  INTERRUPTS: 16,
  DOORBELLS: 17,
  COST: 18,
  DISPATCHED: 19,
} as const;
/** Places of DEVICE_COUNTER. */
export const DEVICE_COUNTER = {
  SENT: 0,
  SENT_BYTES: 1,
  RECEIVED: 2,
  RECEIVED_BYTES: 3,
  UNKNOWN: 4,
  SHORT: 5,
  BUSY: 6,
} as const;

export const MAX_INTERFACES = 64;
export const MAX_LENGTH = 0x1_0000;
export const MAX_SEGMENTS = 64;
export const ADDRESSES = 8;
export const ROUTES = 16;
export const MEMORY_TOTAL = 64 * 2 ** 20;
