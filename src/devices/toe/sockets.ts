/** What the device knows of a socket beside the stack: commands that wait for it, and events seen. */
import type { StateRecord, StateValue } from "../../sim/index.ts";
import type { Command } from "./command.ts";
import { EVENT_ACCEPTABLE, EVENT_CLOSED, EVENT_CONNECTED, EVENT_ERROR, EVENT_PEER_CLOSED } from "./engine/api.ts";

/** Events that stay true. */
export const STICKY = EVENT_CONNECTED | EVENT_ACCEPTABLE | EVENT_PEER_CLOSED | EVENT_ERROR | EVENT_CLOSED;
export const DEAD = EVENT_ERROR | EVENT_CLOSED;

const QUEUES = ["sends", "receives", "accepts", "polls", "acknowledgements", "connects"] as const;

export class SocketRecord {
  readonly id: number;
  readonly tcp: boolean;
  readonly family: 4 | 6;
  /** SEND, SENDTO, SHUTDOWN, CLOSE in the order of the ring; the first one may be under way. */
  readonly sends: Command[] = [];
  readonly receives: Command[] = [];
  readonly accepts: Command[] = [];
  readonly polls: Command[] = [];
  /** SENDs whose bytes are with the stack, waiting for the peer. */
  readonly acknowledgements: Command[] = [];
  /** At most one. */
  readonly connects: Command[] = [];
  /** Bytes given to the stack. */
  sent = 0;
  /** STICKY events seen. */
  state = 0;
  /** EVENT_MASK. */
  mask = 0;

  constructor(id: number, tcp: boolean, family: 4 | 6) {
    this.id = id;
    this.tcp = tcp;
    this.family = family;
  }

  get queues(): readonly Command[][] {
    return [this.sends, this.receives, this.accepts, this.polls, this.acknowledgements, this.connects];
  }
  /** Takes a command out of whichever queue it is in. */
  remove(command: Command): void {
    for (const queue of this.queues) {
      const at = queue.length === 0 ? -1 : queue.indexOf(command);
      if (at === 0) queue.shift();
      else if (at > 0) queue.splice(at, 1);
    }
  }

  save(): StateRecord {
    const record: { [name: string]: StateValue } = {
      id: this.id,
      tcp: this.tcp,
      family: this.family,
      sent: this.sent,
      state: this.state,
      mask: this.mask,
    };
    for (const name of QUEUES) record[name] = this[name].map((c) => c.id);
    return record;
  }

  static load(value: StateValue, commands: { get(id: number): Command | undefined }): SocketRecord {
    const r = value as { [name: string]: StateValue };
    const record = new SocketRecord(r["id"] as number, r["tcp"] as boolean, r["family"] as 4 | 6);
    record.sent = r["sent"] as number;
    record.state = r["state"] as number;
    record.mask = r["mask"] as number;
    for (const name of QUEUES) {
      for (const id of r[name] as number[]) {
        const command = commands.get(id);
        if (command !== undefined) record[name].push(command);
      }
    }
    return record;
  }
}
