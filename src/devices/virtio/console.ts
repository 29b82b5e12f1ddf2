/**
 * virtio console (Virtual I/O Device Version 1.2, clause 5.3) with one port, without the multiport control queues.
 */
import { type Module, type Simulation, SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";
import { VirtioDevice, type VirtioOptions } from "./device.ts";
import { lengthOf, type Virtqueue } from "./queue.ts";

const RECEIVE = 0;
const QUEUE_SIZE = 64;
const WAITING_MAX = 4096;
const PIECE = 4096;
const F_EMERG_WRITE = 2;

/** Bytes of input that the driver has no buffer for yet. */
class Input implements StatePart {
  readonly bytes: number[] = [];
  save(): StateValue {
    return Uint8Array.from(this.bytes);
  }
  load(value: StateValue, path: string): void {
    if (!(value instanceof Uint8Array)) throw new SnapshotError(`${path}: expected bytes`);
    this.bytes.length = 0;
    this.bytes.push(...value);
  }
  reset(): void {
    this.bytes.length = 0;
  }
}

export class VirtioConsole extends VirtioDevice {
  readonly deviceId = 3;
  readonly configurationBytes = 12;
  protected readonly ownFeatures = 1 << F_EMERG_WRITE;
  onTransmit: ((byte: number) => void) | null = null;
  readonly #input: Input;

  constructor(parent: Module | Simulation, name: string, options: VirtioOptions) {
    super(parent, name, options, [QUEUE_SIZE, QUEUE_SIZE]);
    this.#input = this.part("input", new Input());
  }

  configurationByte(offset: number): number {
    return offset === 4 ? 1 : 0; // max_nr_ports
  }

  /** Emergency write (5.3.4): a character before any queue is set up. */
  override writeConfiguration(offset: number, size: number, value: number): void {
    if (offset === 8 && size <= 4) this.onTransmit?.(value & 0xff);
    else super.writeConfiguration(offset, size, value);
  }

  /** Room for input. */
  get receiveSpace(): number {
    return WAITING_MAX - this.#input.bytes.length;
  }

  /** One byte of input; false, and it is lost, where there is no room. */
  receive(byte: number): boolean {
    if (this.receiveSpace === 0) return false;
    this.#input.bytes.push(byte);
    if (this.running) this.#deliver();
    return true;
  }

  protected serve(queue: Virtqueue): void {
    if (queue.index === RECEIVE) {
      this.#deliver();
      return;
    }
    const piece = new Uint8Array(PIECE);
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      const length = lengthOf(chain.readable);
      for (let done = 0; done < length; ) {
        const n = queue.read(chain, piece.subarray(0, Math.min(PIECE, length - done)), done);
        for (let i = 0; i < n; i++) this.onTransmit?.(piece[i] as number);
        if (n === 0) break;
        done += n;
      }
      queue.push(chain, 0);
    }
    this.flush(queue);
  }

  #deliver(): void {
    const queue = this.queues[RECEIVE] as Virtqueue;
    const { bytes } = this.#input;
    if (!queue.state.ready) return;
    while (bytes.length > 0) {
      const chain = queue.pop();
      if (chain === null) break;
      const n = Math.min(bytes.length, lengthOf(chain.writable));
      queue.push(chain, queue.write(chain, Uint8Array.from(bytes.splice(0, n))));
    }
    this.flush(queue);
  }
}
