/** The TCP/IP offload engine on the platform bus: made, mapped, and wired frame by frame. */
import { type Arena, Port, type Router } from "../../src/bus/index.ts";
import { Stack } from "../../src/devices/toe/engine/index.ts";
import { type StackMaker, ToeCore } from "../../src/devices/toe/index.ts";
import { InputError } from "../../src/formats/index.ts";
import type { NetworkDevice } from "../../src/net/index.ts";
import type { StreamTargets } from "../../src/pcie/index.ts";
import type { LineSink, Simulation } from "../../src/sim/index.ts";
import { TOE } from "./board.ts";

export interface ToeSlot {
  /** Control interfaces, 1 to 64; 8 unless given. */
  readonly interfaces?: number;
  /** Address of interface 0; 52:54:00:54:4f:00 unless given. */
  readonly mac?: Uint8Array;
  /** Joins the network port to a link, whose modules it makes. Nothing hears the port unless given. */
  readonly connect?: (simulation: Simulation, name: string, device: NetworkDevice) => void;
}

export const makeStack: StackMaker = (parent, name, events) => new Stack(parent, name, events);

/** The device; `streams` is the SMMU where there is one. Throws InputError where the slot's options do not fit. */
export function makeToe(
  simulation: Simulation,
  slot: ToeSlot,
  bus: Router,
  arena: Arena,
  streams: StreamTargets | null,
): ToeCore {
  const { interfaces = 8, mac = Uint8Array.of(0x52, 0x54, 0x00, 0x54, 0x4f, 0x00) } = slot;
  if (!Number.isInteger(interfaces) || interfaces < 1 || interfaces > TOE.interfaces) {
    throw new InputError(`toe: ${interfaces} interfaces: expected 1 to ${TOE.interfaces}`);
  }
  const ports = Array.from({ length: interfaces }, (_, n) => {
    const streamId = TOE.firstStream + n;
    const port = new Port(streams === null ? bus : streams.target(streamId), arena);
    port.transaction.streamId = streamId;
    return port;
  });
  const core = new ToeCore(simulation, "toe", {
    mac,
    interfaces,
    makeStack,
    host: { port: (n) => ports[n] as Port },
  });
  slot.connect?.(simulation, "toe_network", core);
  return core;
}

/** Interrupts of the interfaces; the management frame's is the board's data. */
export function connectToe(core: ToeCore, spi: (number: number) => LineSink): void {
  for (const i of core.interfaces) i.interrupt.connect(spi(TOE.firstSpi + 1 + i.number));
}
