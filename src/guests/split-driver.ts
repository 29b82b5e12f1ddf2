/**
 * A split network driver after Xen's: rings in a page that guest and driver domain share, event channels for notification. Packets are headers alone (see `ideal-nic.ts`);
 * what moving their bytes costs is computed.
 *
 * The page, by words: 0 produced by the guest, 1 consumed of that by the driver domain, 2 produced by the driver domain, 3 consumed of that by the guest, 4 the
 * guest wants an event when room is made. Entries of header and sequence number: 128 to transmit from 0x100, 128 received from 0x800.
 */

import { virtPart } from "../../platform/virt/board.ts";
import type { Guest, GuestProgram, Routine } from "../hypervisor/abstract/index.ts";
import { EVENT_CHANNEL, EVENT_PAGE, UPCALL } from "../hypervisor/event-channels.ts";
import { acknowledge, enableGic, enableInterrupt, endOfInterrupt, SPURIOUS } from "./gic.ts";
import { bytesOf, NIC, userOf } from "./ideal-nic.ts";

export const GIC_DISTRIBUTOR = virtPart("gicd").base;
export const GIC_INTERFACE = virtPart("gicc").base;
/** Where a guest sees its page, and where the driver domain sees the pages of guest 0, 1, ... */
export const RING_PAGE = 0x0b10_0000;
export const RING_PAGES = 0x0b20_0000;
/** Where the driver domain has its network interface. */
export const NIC_BASE = 0x0b80_0000;
/** The guest's port. */
export const BACKEND_PORT = 1;

const SLOTS = 128;
const TX_MADE = 0x0;
const TX_DONE = 0x4;
const RX_MADE = 0x8;
const RX_DONE = 0xc;
const WANTS_ROOM = 0x10;
const TX = 0x100;
const RX = 0x800;

const slot = (n: number): number => 8 * (n % SLOTS);

export type EventScan = "lowest-first" | "round-robin";

export interface BackendOptions {
  readonly guests: number;
  /** In which order pending event-channel bits are looked at: always from the lowest, or on from the last one served. */
  readonly scan: EventScan;
  /** Cycles a byte of a packet, in either direction. */
  readonly cyclesPerByte: number;
  /** Cycles a packet besides. */
  readonly cyclesPerPacket: number;
  /** INTID of the network interface. */
  readonly interrupt: number;
}

/** The driver domain: port n belongs to guest n. */
export function backend(options: BackendOptions): GuestProgram {
  const { guests, scan } = options;
  const cost = (header: number) => options.cyclesPerPacket + options.cyclesPerByte * bytesOf(header);

  function* receive(g: Guest): Routine<boolean> {
    let any = false;
    const told = new Set<number>();
    for (let n = 0; n < 64 && (yield g.load(NIC_BASE + NIC.COUNT)) > 0; n++) {
      any = true;
      const header = yield g.load(NIC_BASE + NIC.HEADER);
      const sequence = yield g.load(NIC_BASE + NIC.SEQUENCE);
      yield g.store(NIC_BASE + NIC.POP, 0);
      yield g.compute(cost(header));
      const guest = userOf(header);
      if (guest >= guests) continue;
      const page = RING_PAGES + 0x1000 * guest;
      const made = yield g.load(page + RX_MADE);
      if ((made - (yield g.load(page + RX_DONE))) >>> 0 >= SLOTS) continue;
      yield g.store(page + RX + slot(made), header);
      yield g.store(page + RX + slot(made) + 4, sequence);
      yield g.store(page + RX_MADE, (made + 1) >>> 0);
      told.add(guest);
    }
    // as netback: guests hear of a batch when it is done
    for (const guest of told) yield g.hypercall(EVENT_CHANNEL, 0, guest);
    return any;
  }

  function* transmit(g: Guest, guest: number): Routine {
    const page = RING_PAGES + 0x1000 * guest;
    let done = yield g.load(page + TX_DONE);
    while ((yield g.load(page + TX_MADE)) >>> 0 !== done) {
      const header = yield g.load(page + TX + slot(done));
      const sequence = yield g.load(page + TX + slot(done) + 4);
      yield g.compute(cost(header));
      yield g.store(NIC_BASE + NIC.SEND_SEQUENCE, sequence);
      yield g.store(NIC_BASE + NIC.SEND, header);
      done = (done + 1) >>> 0;
      yield g.store(page + TX_DONE, done);
    }
    if ((yield g.load(page + WANTS_ROOM)) !== 0) {
      yield g.store(page + WANTS_ROOM, 0);
      yield g.hypercall(EVENT_CHANNEL, 0, guest);
    }
  }

  /** The guest whose event is to be served next, its bit cleared; -1 where none is pending. */
  function* pick(g: Guest, last: number): Routine<number> {
    const words = Math.ceil(guests / 32);
    const pending: number[] = [];
    for (let w = 0; w < words; w++) pending.push(yield g.load(EVENT_PAGE + 4 * w));
    const from = scan === "lowest-first" ? 0 : last + 1;
    for (let n = 0; n < guests; n++) {
      const port = (from + n) % guests;
      const word = pending[port >> 5] as number;
      if ((word & (1 << (port & 31))) === 0) continue;
      yield g.clearBits(EVENT_PAGE + 4 * (port >> 5), 1 << (port & 31));
      return port;
    }
    return -1;
  }

  return {
    name: "driver domain",
    *main(g) {
      yield* enableInterrupt(g, GIC_DISTRIBUTOR, options.interrupt, "level");
      yield* enableEvents(g);
      yield g.store(NIC_BASE + NIC.ENABLE, 1);
      g.unmask();
      let last = -1;
      for (;;) {
        const received = yield* receive(g);
        const port = yield* pick(g, last);
        if (port >= 0) {
          last = port;
          yield* transmit(g, port);
        } else if (!received) {
          g.mask();
          yield g.store(NIC_BASE + NIC.ENABLE, 1);
          if ((yield* isIdle(g, guests)) && (yield g.load(NIC_BASE + NIC.COUNT)) === 0) yield g.wait();
          g.unmask();
          yield g.compute(10);
        }
      }
    },
    *interrupt(g) {
      const id = yield* acknowledge(g, GIC_INTERFACE);
      if (id >= SPURIOUS) return;
      if (id === options.interrupt) yield g.store(NIC_BASE + NIC.ENABLE, 0);
      yield* endOfInterrupt(g, GIC_INTERFACE, id);
    },
  };
}

/** Lets events come, and whatever else the distributor has enabled. */
export function* enableEvents(g: Guest): Routine {
  yield* enableInterrupt(g, GIC_DISTRIBUTOR, UPCALL, "edge");
  yield* enableGic(g, GIC_INTERFACE);
}

function* isIdle(g: Guest, ports: number): Routine<boolean> {
  for (let w = 0; w < ports; w += 32) if ((yield g.load(EVENT_PAGE + (w >> 3))) !== 0) return false;
  return true;
}

/** Puts a packet into the transmit ring; false where it is full, and an event will come when it is not. */
export function* send(g: Guest, header: number, sequence: number): Routine<boolean> {
  const made = yield g.load(RING_PAGE + TX_MADE);
  if ((made - (yield g.load(RING_PAGE + TX_DONE))) >>> 0 >= SLOTS) {
    yield g.store(RING_PAGE + WANTS_ROOM, 1);
    if ((made - (yield g.load(RING_PAGE + TX_DONE))) >>> 0 >= SLOTS) return false;
  }
  yield g.store(RING_PAGE + TX + slot(made), header);
  yield g.store(RING_PAGE + TX + slot(made) + 4, sequence);
  yield g.store(RING_PAGE + TX_MADE, (made + 1) >>> 0);
  return true;
}

/** Tells the driver domain of what was sent. */
export function* notify(g: Guest): Routine {
  yield g.hypercall(EVENT_CHANNEL, 0, BACKEND_PORT);
}

/** What the other side does for each packet received, in order. */
export function* receiveAll(g: Guest, take: (header: number, sequence: number) => Routine): Routine<number> {
  let done = yield g.load(RING_PAGE + RX_DONE);
  let taken = 0;
  while ((yield g.load(RING_PAGE + RX_MADE)) !== done) {
    const header = yield g.load(RING_PAGE + RX + slot(done));
    const sequence = yield g.load(RING_PAGE + RX + slot(done) + 4);
    done = (done + 1) >>> 0;
    yield g.store(RING_PAGE + RX_DONE, done);
    yield* take(header, sequence);
    taken++;
  }
  return taken;
}

/** Waits for an event of the driver domain, unless one is pending. */
export function* waitForEvent(g: Guest): Routine {
  g.mask();
  if ((yield g.load(EVENT_PAGE)) === 0) yield g.wait();
  g.unmask();
  yield g.compute(10);
  yield g.clearBits(EVENT_PAGE, -1);
}

/** The interrupt routine of a front end: the event's bits are looked at by who waits for them. */
export function* frontInterrupt(g: Guest): Routine {
  const id = yield* acknowledge(g, GIC_INTERFACE);
  if (id < SPURIOUS) yield* endOfInterrupt(g, GIC_INTERFACE, id);
}
