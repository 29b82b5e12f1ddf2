/** virtio 9P transport (device id 9; Virtual I/O Device Version 1.2 reserves the id, Linux's trans_virtio defines the rest). */
import { type Module, type Simulation, SnapshotError, type StatePart, type StateValue } from "../../sim/index.ts";
import { VirtioDevice, type VirtioOptions } from "./device.ts";
import { type Fid, type FileTree, P9Server, type P9State } from "./p9-server.ts";
import { lengthOf, type Virtqueue } from "./queue.ts";

export interface VirtioP9Options extends VirtioOptions {
  readonly tree: FileTree;
  /** The name that the guest mounts. */
  readonly tag: string;
}

const F_MOUNT_TAG = 0;
const MESSAGE_MAX = 1 << 20;
/** size, type, tag */
const HEADER_BYTES = 7;

class Session implements StatePart, P9State {
  messageSize = 8192;
  readonly fids = new Map<number, Fid>();
  save(): StateValue {
    return {
      messageSize: this.messageSize,
      fids: [...this.fids].map(([fid, f]) => ({ fid, path: [...f.path], open: f.open })),
    };
  }
  load(value: StateValue, path: string): void {
    const { messageSize, fids } = value as { messageSize?: StateValue; fids?: StateValue };
    if (typeof messageSize !== "number" || !Array.isArray(fids))
      throw new SnapshotError(`${path}: expected a 9P session`);
    this.messageSize = messageSize;
    this.fids.clear();
    for (const f of fids as { fid: number; path: string[]; open: boolean }[]) {
      this.fids.set(f.fid, { path: [...f.path], open: f.open });
    }
  }
  reset(): void {
    this.messageSize = 8192;
    this.fids.clear();
  }
}

export class VirtioP9 extends VirtioDevice {
  readonly deviceId = 9;
  readonly configurationBytes: number;
  protected readonly ownFeatures = 1 << F_MOUNT_TAG;
  readonly #configuration: Uint8Array;
  readonly #session: Session;
  readonly #server: P9Server;

  constructor(parent: Module | Simulation, name: string, options: VirtioP9Options) {
    super(parent, name, options, [128]);
    const tag = new TextEncoder().encode(options.tag);
    this.#configuration = new Uint8Array([tag.length & 0xff, tag.length >> 8, ...tag]);
    this.configurationBytes = this.#configuration.length;
    this.#session = this.part("session", new Session());
    this.#server = new P9Server(options.tree, this.#session);
  }

  configurationByte(offset: number): number {
    return this.#configuration[offset] ?? 0;
  }

  protected serve(queue: Virtqueue): void {
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      const length = lengthOf(chain.readable);
      if (length < HEADER_BYTES || length > MESSAGE_MAX) {
        this.guestError({ kind: "value", value: length, detail: "9P message of an impossible length" });
        queue.push(chain, 0);
        continue;
      }
      const request = new Uint8Array(length);
      queue.read(chain, request);
      const answer = this.#server.answer(request);
      if (answer.length > lengthOf(chain.writable)) {
        this.guestError({ kind: "value", value: answer.length, detail: "9P reply longer than the space for it" });
      }
      queue.push(chain, queue.write(chain, answer));
    }
    this.flush(queue);
  }

  protected override stopped(): void {
    this.#session.reset();
  }
}
