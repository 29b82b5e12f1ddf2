/**
 * A guest program that moves data over TCP by a TOE interface, as fast as it can: the same for an interface of the VM's own, for an emulated one and
 * without a hypervisor. Each connection has a number of transfers under way; one that is done is followed by the next.
 */
import { RAM_BASE, virtPart } from "../../platform/virt/board.ts";
import type { GuestProgram } from "../hypervisor/abstract/index.ts";
import { ToeService } from "../hypervisor/toe/service.ts";
import type { Time } from "../sim/index.ts";
import { enableGic, enableInterrupt } from "./gic.ts";
import { ALL, TOE_RECEIVE, TOE_SEND, ToeDriver, toeRingBytes } from "./toe.ts";
import { PEER_ADDRESS, SINK_PORT, SOURCE_PORT } from "./toe-peer.ts";

const GICD = virtPart("gicd").base;
const GICC = virtPart("gicc").base;
const INTERRUPT = 32 + ToeService.guest.spi;
const BUFFERS = 0x4_0000;
const MIB = 2 ** 20;
/** Cycles of looking whether a burst is done. */
const LOOK = 1000;

export interface TrafficOptions {
  readonly name: string;
  readonly direction: "send" | "receive";
  readonly connections: number;
  /** Transfers under way on each connection. */
  readonly window: number;
  /** Bytes of transfer n; at most `largest`. */
  readonly size: (n: number) => number;
  readonly largest: number;
  /** Cycles that the application works for a transfer and for each of its bytes, beside the driver. */
  readonly perTransfer: number;
  readonly perByte: number;
  /** Rings of 2 to the power of it; 8 unless given. */
  readonly log2?: number;
  /** Completions before an interrupt, and microseconds after the first of them. */
  readonly moderation?: { readonly count: number; readonly microseconds: number };
}

/** What a program has done, looked at from outside. */
export interface Traffic {
  readonly program: GuestProgram;
  /** Bytes of memory that its VM needs, a multiple of 2 MiB. */
  readonly memory: number;
  /** Transfers done, and bytes. */
  transfers: number;
  bytes: number;
  interrupts: number;
  /** When its connections were there; -1 before. */
  connected: Time;
  /** A burst: when its doorbell was rung; -1 before. */
  rung: Time;
  /** Why it ended; null while it runs. */
  failure: string | null;
}

/** Moves data for ever. */
export function toeTraffic(o: TrafficOptions): Traffic {
  const traffic = make(o, {
    name: o.name,
    *main(g) {
      const driver = driverOf(o);
      const sockets = yield* setUp(g, driver, o, traffic);
      const slots = new Map<number, { socket: number; buffer: number }>();
      let n = 0;
      const next = function* (at: { socket: number; buffer: number }) {
        const opcode = o.direction === "send" ? TOE_SEND : TOE_RECEIVE;
        const flags = o.direction === "send" ? 0 : ALL;
        slots.set(yield* driver.submit(g, { opcode, flags, length: o.size(n++), ...at }), at);
      };
      for (const [c, socket] of sockets.entries()) {
        for (let w = 0; w < o.window; w++) {
          yield* next({ socket, buffer: RAM_BASE + BUFFERS + (c * o.window + w) * o.largest });
        }
      }
      yield* driver.ring(g);
      while (traffic.failure === null) {
        yield* driver.wait(g);
        traffic.interrupts = driver.interrupts;
        for (const done of driver.takeAll()) {
          const at = slots.get(done.tag);
          slots.delete(done.tag);
          if (at === undefined || done.status !== 0) {
            traffic.failure = `transfer: status ${done.status}`;
            return;
          }
          traffic.transfers++;
          traffic.bytes += done.result;
          yield g.compute(o.perTransfer + o.perByte * done.result);
          yield* next(at);
        }
        yield* driver.ring(g);
      }
    },
  });
  return traffic;
}

/** Submits `window` transfers at once, gives the processor away, and looks for their completions without sleeping. */
export function toeBurst(o: TrafficOptions): Traffic {
  const traffic = make(o, {
    name: o.name,
    *main(g) {
      const driver = driverOf(o);
      const [socket] = yield* setUp(g, driver, o, traffic);
      if (socket === undefined) return;
      for (let n = 0; n < o.window; n++) {
        yield* driver.submit(g, { opcode: TOE_SEND, socket, length: o.size(n), buffer: RAM_BASE + BUFFERS });
      }
      yield* driver.ring(g);
      traffic.rung = g.now;
      yield g.yield();
      while (driver.outstanding > 0) {
        yield* driver.poll(g);
        for (const done of driver.takeAll()) {
          traffic.transfers++;
          traffic.bytes += done.result;
          if (done.status !== 0) traffic.failure = `transfer: status ${done.status}`;
        }
        yield g.compute(LOOK);
      }
      for (;;) yield g.compute(100_000_000);
    },
  });
  return traffic;
}

function make(o: TrafficOptions, program: GuestProgram): Traffic {
  const bytes = BUFFERS + o.connections * o.window * o.largest;
  const memory = Math.ceil(bytes / (2 * MIB)) * 2 * MIB;
  return { program, memory, transfers: 0, bytes: 0, interrupts: 0, connected: -1, rung: -1, failure: null };
}

function driverOf({ log2 = 8, moderation }: TrafficOptions): ToeDriver {
  if (toeRingBytes(log2) > BUFFERS) throw new RangeError(`rings of 2^${log2} entries do not fit`);
  return new ToeDriver({
    base: ToeService.guest.base,
    gic: GICC,
    rings: RAM_BASE,
    log2,
    ...(moderation ? { moderation } : {}),
  });
}

function* setUp(
  g: Parameters<GuestProgram["main"]>[0],
  driver: ToeDriver,
  o: TrafficOptions,
  traffic: Traffic,
): Generator<ReturnType<typeof g.load>, number[], number> {
  yield* enableInterrupt(g, GICD, INTERRUPT, "level");
  yield* enableGic(g, GICC);
  if (!(yield* driver.open(g))) {
    traffic.failure = "no interface";
    return [];
  }
  const sockets: number[] = [];
  for (let c = 0; c < o.connections; c++) {
    const socket = yield* driver.connect(g, PEER_ADDRESS, o.direction === "send" ? SINK_PORT : SOURCE_PORT);
    if (socket < 0) {
      traffic.failure = "no connection";
      return [];
    }
    sockets.push(socket);
  }
  traffic.connected = g.now;
  return sockets;
}
