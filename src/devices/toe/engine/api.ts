/** What the device asks of the protocol engine, and what it is told: the whole of the seam between them. Types alone. */
import type { Frame } from "../../../net/index.ts";
import type { Time } from "../../../sim/index.ts";

/** An address of either family: 4 or 16 bytes in network order. */
export type IpAddress = Uint8Array;

/** Why a call failed. One name a cause; the device's status codes are made from them. */
export type SocketError =
  | "would-block" // nothing to take, or no room
  | "invalid" // an argument is out of range
  | "no-socket" // no such socket, or closed
  | "wrong-state" // the socket's state does not allow it
  | "address-in-use"
  | "address-not-available"
  | "no-route"
  | "unreachable" // host or network, by ICMP or failed neighbour resolution
  | "refused"
  | "reset"
  | "aborted"
  | "timed-out"
  | "message-too-long"
  | "no-memory" // quota of buffers
  | "too-many-sockets" // quota of sockets
  | "closed"; // the peer has closed, or this side has shut down

export interface Route {
  readonly destination: IpAddress;
  readonly prefix: number;
  /** Absent: on link. */
  readonly gateway?: IpAddress;
}

export interface StackConfiguration {
  readonly mac: Uint8Array;
  /** Largest IP packet; 1500 unless given. */
  readonly mtu?: number;
  readonly addresses: readonly { readonly address: IpAddress; readonly prefix: number }[];
  readonly routes: readonly Route[];
}

export interface StackQuotas {
  /** Sockets of all kinds, those in TIME-WAIT included. */
  readonly sockets: number;
  /** Bytes of send, receive and reassembly buffers together. */
  readonly bufferBytes: number;
}

/** Bits of `SocketEvents`: what has become true. */
export const EVENT_READABLE = 1 << 0; // data or end of stream can be taken
export const EVENT_WRITABLE = 1 << 1; // room in the send buffer again
export const EVENT_CONNECTED = 1 << 2;
export const EVENT_ACCEPTABLE = 1 << 3; // a listener has a connection
export const EVENT_PEER_CLOSED = 1 << 4;
export const EVENT_ERROR = 1 << 5; // see `Socket.error`
export const EVENT_ACKNOWLEDGED = 1 << 6; // `acknowledged` went on
export const EVENT_CLOSED = 1 << 7; // the connection is gone; the socket can be released

export interface Endpoint {
  readonly address: IpAddress;
  readonly port: number;
}

/** A call's result: bytes taken or given, a socket number, or an error. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: SocketError };

/**
 * Sockets are small whole numbers, unique in a stack while they live. All calls return at once; what takes time ends in events.
 */
export interface SocketApi {
  socket(kind: "tcp" | "udp", family: 4 | 6): Outcome<number>;
  bind(socket: number, local: Endpoint): Outcome<void>;
  listen(socket: number, backlog: number): Outcome<void>;
  /** The next established connection of a listener. */
  accept(socket: number): Outcome<number>;
  connect(socket: number, remote: Endpoint): Outcome<void>;
  /**
   * TCP: takes as many of the bytes as there is room for and returns how many. The array is kept, not copied, until acknowledged; the
   * caller never changes it again.
   */
  send(socket: number, data: Uint8Array): Outcome<number>;
  /** TCP: at most `most` bytes, in order; an empty array is the end of the stream. */
  receive(socket: number, most: number): Outcome<Uint8Array>;
  /** One datagram; to the connected peer where `remote` is absent. */
  sendTo(socket: number, data: Uint8Array, remote?: Endpoint): Outcome<void>;
  receiveFrom(socket: number): Outcome<{ readonly data: Uint8Array; readonly from: Endpoint }>;
  /** Something can be taken now: bytes, or a datagram, which may be empty. */
  receivable(socket: number): boolean;
  /** Bytes that can be taken now, and the room there is. */
  readable(socket: number): number;
  writable(socket: number): number;
  /** Bytes sent and acknowledged since the connection began, as a number. */
  acknowledged(socket: number): number;
  shutdown(socket: number, direction: "send" | "receive" | "both"): Outcome<void>;
  /** Orderly; the number may be used again when the connection is gone (TIME-WAIT is the stack's). */
  close(socket: number): Outcome<void>;
  /** With RST. */
  abort(socket: number): Outcome<void>;
  setOption(socket: number, option: SocketOption, value: number): Outcome<void>;
  getOption(socket: number, option: SocketOption): Outcome<number>;
  local(socket: number): Outcome<Endpoint>;
  remote(socket: number): Outcome<Endpoint>;
  /** The error that ended the connection; "closed" where none did. */
  error(socket: number): SocketError;
}

export type SocketOption =
  | "no-delay"
  | "keep-alive" // 0 or 1
  | "keep-idle" // seconds
  | "keep-interval"
  | "keep-count"
  | "send-buffer" // bytes
  | "receive-buffer"
  | "congestion" // 0 NewReno, 1 CUBIC
  | "ecn"
  | "sack"
  | "timestamps"
  | "window-scale"
  | "mss"
  | "delayed-ack" // milliseconds, 0 off
  | "user-timeout" // milliseconds, 0 none
  | "hop-limit"
  | "traffic-class"
  | "state"; // read only: the state's number in RFC 9293 order, LISTEN 1 to TIME-WAIT 10, CLOSED 0

export interface StackEvents {
  /** Bits EVENT_*; called at the instant it becomes true, never inside a call of the caller on the same socket. */
  onSocket(socket: number, events: number): void;
  /** A frame to send. False: no room on the wire, and the stack treats it as lost. */
  transmit(frame: Frame): boolean;
}

export interface StackStatistics {
  readonly [name: string]: number;
}

/** One interface's protocols. A module of the simulation: reset, saved and restored with it. */
export interface StackApi extends SocketApi {
  configure(configuration: StackConfiguration): void;
  setQuotas(quotas: StackQuotas): void;
  /** A frame from the wire, at the current instant; not changed and not kept unless its bytes are received data. */
  input(frame: Frame): void;
  /** Forgets everything; peers are sent nothing. */
  clear(): void;
  readonly statistics: StackStatistics;
  /** Bytes held in buffers. */
  readonly bufferBytes: number;
  /** The earliest instant at which a timer is due, NEVER where none is. */
  readonly nextTimer: Time;
}
