/** Workloads of the studies on schedulers and I/O: burn, ping responder, stream. */
import type { GuestProgram } from "../hypervisor/abstract/index.ts";
import { bytesOf, kindOf, packet } from "./ideal-nic.ts";
import { enableEvents, frontInterrupt, notify, receiveAll, send, waitForEvent } from "./split-driver.ts";

export const PING = 1;
export const STREAM = 2;
/** Bytes of a ping and of a full frame. */
export const PING_BYTES = 98;
export const FRAME_BYTES = 1514;

/** Uses all the processor time it gets. */
export function burn(): GuestProgram {
  return {
    name: "burn",
    *main(g) {
      for (;;) yield g.compute(100_000_000);
    },
  };
}

export interface PacketCost {
  readonly cyclesPerByte: number;
  readonly cyclesPerPacket: number;
}

/** Answers every packet received with one of the same kind, length and sequence number. */
export function pingResponder(user: number, cost: PacketCost): GuestProgram {
  return {
    name: "ping",
    *main(g) {
      yield* enableEvents(g);
      g.unmask();
      for (;;) {
        const answered = yield* receiveAll(g, function* (header, sequence) {
          yield g.compute(cost.cyclesPerPacket + cost.cyclesPerByte * bytesOf(header));
          yield* send(g, packet(user, kindOf(header), bytesOf(header)), sequence);
        });
        if (answered > 0) yield* notify(g);
        else yield* waitForEvent(g);
      }
    },
    interrupt: frontInterrupt,
  };
}

/** Sends full frames as fast as the ring takes them, telling the driver domain of every `batch` of them. */
export function streamSender(user: number, cost: PacketCost, batch = 16): GuestProgram {
  return {
    name: "stream",
    *main(g) {
      yield* enableEvents(g);
      g.unmask();
      for (let sequence = 0; ; ) {
        yield g.compute(cost.cyclesPerPacket + cost.cyclesPerByte * FRAME_BYTES);
        while (!(yield* send(g, packet(user, STREAM, FRAME_BYTES), sequence))) {
          yield* notify(g);
          yield* waitForEvent(g);
        }
        sequence = (sequence + 1) >>> 0;
        if (sequence % batch === 0) yield* notify(g);
      }
    },
    interrupt: frontInterrupt,
  };
}
