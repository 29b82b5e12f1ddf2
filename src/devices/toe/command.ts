/** Commands and completions: their forms in memory (docs/devices/toe.md 7 and 8), and as records of the device. */
import { NEVER, SnapshotError, type StateRecord, type StateValue, type Time } from "../../sim/index.ts";
import { FLAG, FLAGS_OF, MAX_LENGTH, OPCODE, STATUS } from "./codes.ts";

export const COMMAND_BYTES = 64;
export const COMPLETION_BYTES = 64;
export const EVENT_BYTES = 16;
export const POOL_BYTES = 16;
export const NO_BUFFER = 0xffff_ffff;
const TWO32 = 4294967296;
/** Above what an address may be: stands for one that does not fit 48 bits. */
const NOWHERE = 2 ** 48;

/** A command from its fetch to its last completion. */
export interface Command {
  /** Counts up in an interface; never comes again. */
  readonly id: number;
  readonly opcode: number;
  readonly flags: number;
  readonly tag: number;
  readonly socket: number;
  readonly length: number;
  readonly buffer: number;
  readonly arg0: number;
  readonly arg1: number;
  readonly address: Uint8Array;
  readonly port: number;
  /** Microseconds, 0 for none. */
  readonly timeout: number;
  readonly userLow: number;
  readonly userHigh: number;
  /** The reserved fields were zero. */
  readonly clean: boolean;
  deadline: Time;
  /** Bytes moved. */
  done: number;
  /** SEND: what the socket must have acknowledged for completion. */
  mark: number;
  /** Address and length by turns, once read. */
  list: readonly number[] | null;
}

/** A completion that waits for its time or for room in the ring. */
export interface Completion {
  readonly command: Command;
  readonly status: number;
  readonly result: number;
  readonly flags: number;
  readonly socket: number;
  readonly bufferId: number;
  readonly buffer: number;
  readonly address: Uint8Array | null;
  readonly port: number;
  ready: Time;
}

/** The command in the first bytes of `view`; one without an address shares `zero`, 16 bytes that nobody changes. */
export function decodeCommand(view: DataView, id: number, zero: Uint8Array): Command {
  const addressed =
    (view.getInt32(32, true) | view.getInt32(36, true) | view.getInt32(40, true) | view.getInt32(44, true)) !== 0;
  const high = view.getUint32(20, true);
  return {
    id,
    opcode: view.getUint8(0),
    flags: view.getUint8(1),
    tag: view.getUint32(4, true),
    socket: view.getUint32(8, true),
    length: view.getUint32(12, true),
    buffer: high >= 0x1_0000 ? NOWHERE : high * TWO32 + view.getUint32(16, true),
    arg0: view.getUint32(24, true),
    arg1: view.getUint32(28, true),
    address: addressed ? new Uint8Array(view.buffer, view.byteOffset + 32, 16).slice() : zero,
    port: view.getUint16(48, true),
    timeout: view.getUint32(52, true),
    userLow: view.getUint32(56, true),
    userHigh: view.getUint32(60, true),
    clean: view.getUint16(2, true) === 0 && view.getUint16(50, true) === 0,
    deadline: NEVER,
    done: 0,
    mark: 0,
    list: null,
  };
}

/** What software puts into a command; the rest is zero. */
export type CommandFields = Pick<Command, "opcode"> &
  Partial<
    Pick<Command, "flags" | "tag" | "socket" | "length" | "buffer" | "arg0" | "arg1" | "address" | "port" | "timeout">
  >;

/** A command as software writes it, `user` zero. */
export function encodeCommand(c: CommandFields): Uint8Array {
  const bytes = new Uint8Array(COMMAND_BYTES);
  const view = new DataView(bytes.buffer);
  const { buffer = 0 } = c;
  bytes[0] = c.opcode;
  bytes[1] = c.flags ?? 0;
  view.setUint32(4, c.tag ?? 0, true);
  view.setUint32(8, c.socket ?? 0, true);
  view.setUint32(12, c.length ?? 0, true);
  view.setUint32(16, buffer % TWO32, true);
  view.setUint32(20, Math.floor(buffer / TWO32), true);
  view.setUint32(24, c.arg0 ?? 0, true);
  view.setUint32(28, c.arg1 ?? 0, true);
  if (c.address !== undefined) bytes.set(c.address, 32);
  view.setUint16(48, c.port ?? 0, true);
  view.setUint32(52, c.timeout ?? 0, true);
  return bytes;
}

/** Status of a command that is refused for its form alone; SUCCESS where it is not. */
export function checkForm(command: Command): number {
  const { opcode, flags, length } = command;
  const allowed = FLAGS_OF[opcode];
  if (allowed === undefined) return STATUS.BAD_OPCODE;
  if (!command.clean || (flags & ~allowed) !== 0) return STATUS.BAD_FIELD;
  const pool = (flags & FLAG.POOL) !== 0;
  if (pool && (flags & FLAG.LIST) !== 0) return STATUS.BAD_FIELD;
  if (opcode !== OPCODE.ACCEPT && (flags & FLAG.MULTI) !== 0 && !pool) return STATUS.BAD_FIELD;
  if ((flags & (FLAG.MULTI | FLAG.NOWAIT)) === (FLAG.MULTI | FLAG.NOWAIT)) return STATUS.BAD_FIELD;
  if (pool && opcode === OPCODE.RECEIVE && (flags & FLAG.ALL) !== 0) return STATUS.BAD_FIELD;
  if (!isTransfer(opcode)) return STATUS.SUCCESS;
  // An empty SEND is for datagrams; whether the socket is one is seen later.
  const least = opcode === OPCODE.SEND || opcode === OPCODE.SENDTO ? 0 : 1;
  return length < least || length > MAX_LENGTH ? STATUS.BAD_LENGTH : STATUS.SUCCESS;
}

export function isTransfer(opcode: number): boolean {
  return opcode >= OPCODE.SEND && opcode <= OPCODE.RECEIVE_FROM;
}

/** Manual 12.1. */
export function costOf(command: Command, minimum: number): number {
  const least = Math.max(1, minimum);
  return isTransfer(command.opcode) ? Math.min(Math.max(command.length, least), MAX_LENGTH) : least;
}

/** Writes the first `COMPLETION_BYTES` of `view`, but for the reserved ones, which are zero already. */
export function encodeCompletion(c: Completion, head: number, phase: number, view: DataView): void {
  const { command, address } = c;
  view.setUint32(0, command.userLow, true);
  view.setUint32(4, command.userHigh, true);
  view.setUint32(8, command.tag, true);
  view.setUint32(12, c.socket, true);
  view.setUint32(16, c.result, true);
  view.setUint32(20, c.bufferId, true);
  view.setUint32(24, c.buffer % TWO32, true);
  view.setUint32(28, Math.floor(c.buffer / TWO32), true);
  for (let i = 0; i < 16; i++) view.setUint8(32 + i, address === null ? 0 : (address[i] as number));
  view.setUint16(48, c.port, true);
  view.setUint16(50, head, true);
  view.setUint8(60, command.opcode);
  view.setUint8(61, c.flags);
  view.setUint8(62, c.status);
  view.setUint8(63, phase);
}

// State.

export function saveCommand(c: Command): StateRecord {
  return { ...c, address: c.address.slice(), list: c.list === null ? null : [...c.list] };
}

export function loadCommand(value: StateValue, path: string): Command {
  const zero = new Uint8Array(16);
  const template: StateRecord = { ...decodeCommand(new DataView(new ArrayBuffer(COMMAND_BYTES)), 0, zero) };
  return loadRecord(template, value, path) as unknown as Command;
}

export function saveCompletion(c: Completion): StateRecord {
  return { ...c, command: saveCommand(c.command), address: c.address?.slice() ?? null };
}

export function loadCompletion(value: StateValue, path: string): Completion {
  const { command, ...rest } = (value ?? {}) as { [name: string]: StateValue };
  const template = {
    status: 0,
    result: 0,
    flags: 0,
    socket: 0,
    bufferId: 0,
    buffer: 0,
    address: null,
    port: 0,
    ready: 0,
  };
  const record = loadRecord(template, rest, path);
  return { ...record, command: loadCommand(command ?? null, `${path}.command`) } as unknown as Completion;
}

/** A fresh record with the fields of `template`; fields that are null there may be null or a list. */
function loadRecord(template: StateRecord, value: StateValue, path: string): StateRecord {
  if (value === null || typeof value !== "object") throw new SnapshotError(`${path}: expected a record`);
  const given = value as StateRecord;
  const out: { [name: string]: StateValue } = {};
  for (const [name, like] of Object.entries(template)) {
    const field = given[name];
    const good = like === null ? field === null || typeof field === "object" : typeof field === typeof like;
    if (field === undefined || !good) throw new SnapshotError(`${path}.${name}: missing or of another type`);
    out[name] = field instanceof Uint8Array ? field.slice() : field;
  }
  for (const name of Object.keys(given)) if (!(name in template)) throw new SnapshotError(`${path}.${name}: unknown`);
  return out;
}
