/** One flash device of the bank: its mode, its status register and its state machine for programming and erasing. */
import type { Event, Module, Time } from "../../sim/index.ts";

/** What a read gives. */
export const ARRAY = 0;
export const STATUS = 1;
export const IDENTIFIER = 2;
export const QUERY = 3;

/** Status register (SR) bits. */
const READY = 0x80;
const ERASE_SUSPENDED = 0x40;
const ERASE_ERROR = 0x20;
const PROGRAM_ERROR = 0x10;
const VPP_LOW = 0x08;
const PROGRAM_SUSPENDED = 0x04;
const LOCKED = 0x02;
/** A command that was not followed by what it wants sets both error bits. */
const SEQUENCE_ERROR = ERASE_ERROR | PROGRAM_ERROR;

/** What the next write is: a command, or the continuation of one. */
const COMMAND = 0;
const PROGRAM_DATA = 1;
const ERASE_CONFIRM = 2;
const LOCK_CONFIRM = 3;
const BUFFER_COUNT = 4;
const BUFFER_DATA = 5;
const BUFFER_CONFIRM = 6;

/** Where an operation stands. */
const IDLE = 0;
const RUNNING = 1;
const SUSPENDED = 2;

export interface DeviceOptions {
  readonly deviceWidth: number;
  /** Bytes of a block of this device. */
  readonly blockSize: number;
  readonly blocks: number;
  /** Bytes of the program buffer. */
  readonly bufferSize: number;
  readonly manufacturerId: number;
  readonly deviceId: number;
  readonly readOnly: boolean;
  readonly query: Uint8Array;
  readonly programTime: Time;
  readonly bufferTime: Time;
  readonly eraseTime: Time;
}

export interface DeviceHost {
  /** Word `address` (in device words) of the array. */
  readWord(address: number): number;
  /** Clears the bits of the array that are clear in `data`: `data` lies at device byte `address`. */
  program(address: number, data: Uint8Array): void;
  erase(block: number): void;
  complain(kind: "value" | "sequence", command: number, detail: string): void;
}

export function deviceState(options: DeviceOptions) {
  return {
    mode: ARRAY,
    expects: COMMAND,
    errors: 0,
    erase: IDLE,
    eraseBlock: 0,
    /** Ticks left of a suspended operation. */
    eraseLeft: 0,
    program: IDLE,
    programLeft: 0,
    /** Device byte address and length of what is being programmed; the data is in `buffer`. */
    address: 0,
    length: 0,
    /** Words still to come into the buffer. */
    words: 0,
    buffer: new Uint8Array(options.bufferSize).fill(0xff),
    locked: new Uint8Array(options.blocks),
  };
}

export class FlashDevice {
  readonly state: ReturnType<typeof deviceState>;
  readonly #options: DeviceOptions;
  readonly #host: DeviceHost;
  readonly #simulation: Module["simulation"];
  readonly #erased: Event;
  readonly #programmed: Event;

  constructor(
    owner: Module,
    index: number,
    options: DeviceOptions,
    state: ReturnType<typeof deviceState>,
    host: DeviceHost,
  ) {
    this.state = state;
    this.#options = options;
    this.#host = host;
    this.#simulation = owner.simulation;
    this.#erased = owner.event(`erased${index}`, () => this.#finishErase());
    this.#programmed = owner.event(`programmed${index}`, () => this.#finishProgram());
  }

  /** The array is what reads give, and no command is under way. */
  get inArrayMode(): boolean {
    return this.state.mode === ARRAY;
  }

  get status(): number {
    const s = this.state;
    const busy = s.erase === RUNNING || s.program === RUNNING;
    return (
      (busy ? 0 : READY) |
      (s.erase === SUSPENDED ? ERASE_SUSPENDED : 0) |
      (s.program === SUSPENDED ? PROGRAM_SUSPENDED : 0) |
      s.errors
    );
  }

  /** What the device answers at device word `address`. */
  read(address: number): number {
    const { mode } = this.state;
    if (mode === ARRAY) return this.#host.readWord(address);
    if (mode === STATUS) return this.status;
    if (mode === QUERY) return this.#options.query[address] ?? 0;
    const wordsPerBlock = this.#options.blockSize / this.#options.deviceWidth;
    const within = address % wordsPerBlock;
    if (address === 0) return this.#options.manufacturerId;
    if (address === 1) return this.#options.deviceId;
    return within === 2 ? (this.state.locked[Math.floor(address / wordsPerBlock)] as number) : 0;
  }

  /**
   * A write cycle at device word `address`: `word` is what it means as a command or count, `data` what may be programmed, of
   * which `lanes` has a bit for each byte that is driven.
   */
  write(address: number, word: number, data: number, lanes: number): void {
    const s = this.state;
    if (s.erase === RUNNING || s.program === RUNNING) {
      this.#writeBusy(word & 0xff);
      return;
    }
    const wordsPerBlock = this.#options.blockSize / this.#options.deviceWidth;
    const block = Math.floor(address / wordsPerBlock);
    const command = word & 0xff;
    const expected = s.expects;
    if (expected !== BUFFER_DATA) s.expects = COMMAND;
    switch (expected) {
      case COMMAND:
        this.#command(command, address);
        return;
      case PROGRAM_DATA:
        s.address = address * this.#options.deviceWidth;
        s.length = this.#options.deviceWidth;
        s.buffer.fill(0xff, 0, s.length);
        this.#fill(0, data, lanes);
        this.#startProgram(this.#options.programTime);
        return;
      case ERASE_CONFIRM:
        if (command !== 0xd0) this.#sequenceError(command, "block erase must be followed by 0xD0");
        else this.#startErase(block);
        return;
      case LOCK_CONFIRM:
        if (command === 0x01 || command === 0x2f) s.locked[block] = 1;
        else if (command === 0xd0) s.locked[block] = 0;
        else this.#sequenceError(command, "lock setup must be followed by 0x01, 0xD0 or 0x2F");
        return;
      case BUFFER_COUNT: {
        const words = word + 1;
        if (words * this.#options.deviceWidth > this.#options.bufferSize) {
          this.#sequenceError(command, `${words} words do not fit the program buffer`);
          return;
        }
        s.words = words;
        s.length = 0;
        s.buffer.fill(0xff);
        s.expects = BUFFER_DATA;
        return;
      }
      case BUFFER_DATA:
        this.#bufferWord(address, data, lanes);
        return;
      case BUFFER_CONFIRM:
        if (command !== 0xd0) this.#sequenceError(command, "the buffer must be followed by 0xD0");
        else this.#startProgram(this.#options.bufferTime);
        return;
    }
  }

  #command(command: number, address: number): void {
    const s = this.state;
    switch (command) {
      case 0x00: // an idle lane of a host that probes for other widths
        return;
      case 0xff:
      case 0xf0: // reset of the other command set, sent by hosts that probe
        s.mode = ARRAY;
        return;
      case 0x70:
        s.mode = STATUS;
        return;
      case 0x90:
        s.mode = IDENTIFIER;
        return;
      case 0x98:
        s.mode = QUERY;
        return;
      case 0x50:
        s.errors = 0;
        return;
      case 0x10:
      case 0x40:
        this.#expect(PROGRAM_DATA);
        return;
      case 0xe8:
        this.#expect(BUFFER_COUNT);
        return;
      case 0x20:
        this.#expect(ERASE_CONFIRM);
        return;
      case 0x60:
        this.#expect(LOCK_CONFIRM);
        return;
      case 0xb0: // nothing to suspend
        s.mode = STATUS;
        return;
      case 0xd0:
        this.#resume();
        return;
      default:
        this.#host.complain("value", command, `no such command (device word ${address}); back to the array`);
        s.mode = ARRAY;
    }
  }

  #expect(what: number): void {
    const s = this.state;
    // A suspended program still owns the buffer.
    const programs = what === PROGRAM_DATA || what === BUFFER_COUNT;
    if (programs && s.program === SUSPENDED) this.#sequenceError(0x40, "a program is suspended");
    else {
      s.expects = what;
      s.mode = STATUS;
    }
  }

  /** While an operation runs only suspend and the status register are heard. */
  #writeBusy(command: number): void {
    const s = this.state;
    if (command === 0xb0) {
      const now = this.#simulation.now;
      if (s.program === RUNNING) {
        s.programLeft = this.#programmed.deadline - now;
        s.program = SUSPENDED;
        this.#programmed.cancel();
      } else {
        s.eraseLeft = this.#erased.deadline - now;
        s.erase = SUSPENDED;
        this.#erased.cancel();
      }
    } else if (command !== 0x70) {
      this.#host.complain("sequence", command, "the device is busy; the command is ignored");
    }
  }

  /** Resumes what was suspended last. */
  #resume(): void {
    const s = this.state;
    const now = this.#simulation.now;
    if (s.program === SUSPENDED) {
      s.program = RUNNING;
      this.#programmed.scheduleAt(now + s.programLeft);
    } else if (s.erase === SUSPENDED) {
      s.erase = RUNNING;
      this.#erased.scheduleAt(now + s.eraseLeft);
    } else return;
    s.mode = STATUS;
  }

  #sequenceError(command: number, detail: string): void {
    const s = this.state;
    s.expects = COMMAND;
    s.mode = STATUS;
    s.errors |= SEQUENCE_ERROR;
    this.#host.complain("sequence", command, detail);
  }

  #fill(at: number, data: number, lanes: number): void {
    for (let i = 0; i < this.#options.deviceWidth; i++) {
      if (((lanes >>> i) & 1) !== 0) this.state.buffer[at + i] = (data >>> (8 * i)) & 0xff;
    }
  }

  #bufferWord(address: number, data: number, lanes: number): void {
    const s = this.state;
    const { bufferSize, deviceWidth } = this.#options;
    const byte = address * deviceWidth;
    if (s.length === 0) {
      s.address = byte - (byte % bufferSize);
      s.length = bufferSize;
    }
    const at = byte - s.address;
    if (at < 0 || at >= bufferSize) {
      this.#sequenceError(data & 0xff, "data outside the buffer's aligned window");
      return;
    }
    this.#fill(at, data, lanes);
    if (--s.words === 0) s.expects = BUFFER_CONFIRM;
  }

  #refusal(block: number, error: number): number {
    if (this.#options.readOnly) return error | VPP_LOW;
    return this.state.locked[block] === 1 ? error | LOCKED : 0;
  }

  #startProgram(time: Time): void {
    const s = this.state;
    const block = Math.floor(s.address / this.#options.blockSize);
    s.mode = STATUS;
    const refused = this.#refusal(block, PROGRAM_ERROR);
    if (s.erase === SUSPENDED && s.eraseBlock === block)
      this.#sequenceError(0x40, "the erase of this block is suspended");
    else if (refused !== 0) s.errors |= refused;
    else if (time === 0) this.#host.program(s.address, s.buffer.subarray(0, s.length));
    else {
      s.program = RUNNING;
      this.#programmed.scheduleAt(this.#simulation.now + time);
    }
  }

  #startErase(block: number): void {
    const s = this.state;
    s.mode = STATUS;
    const refused = this.#refusal(block, ERASE_ERROR);
    if (s.erase === SUSPENDED || s.program === SUSPENDED) {
      this.#sequenceError(0x20, "another operation is suspended");
    } else if (refused !== 0) s.errors |= refused;
    else if (this.#options.eraseTime === 0) this.#host.erase(block);
    else {
      s.eraseBlock = block;
      s.erase = RUNNING;
      this.#erased.scheduleAt(this.#simulation.now + this.#options.eraseTime);
    }
  }

  #finishProgram(): void {
    const s = this.state;
    s.program = IDLE;
    this.#host.program(s.address, s.buffer.subarray(0, s.length));
  }

  #finishErase(): void {
    this.state.erase = IDLE;
    this.#host.erase(this.state.eraseBlock);
  }
}
