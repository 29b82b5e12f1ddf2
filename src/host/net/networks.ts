/** The networks of a machine: for each `-netdev` a link from its device to the far end, with its captures and its way outside. */
import { parseCapture } from "../../formats/index.ts";
import {
  connectUser,
  type Frame,
  joinStations,
  type Link,
  type NetworkDevice,
  OutsideEnd,
  ReplayStation,
  Switch,
  TrafficGenerator,
} from "../../net/index.ts";
import { Module, type Simulation, US } from "../../sim/index.ts";
import { Captures } from "../captures.ts";
import { readInput } from "../files.ts";
import type { NetworkOption, OutsideSpec, SwitchedNetwork } from "../options/run-options.ts";
import { DatagramPort } from "./datagram.ts";
import { UnixDatagramPort } from "./descriptor.ts";
import type { OutsidePort } from "./port.ts";
import { StreamPort } from "./stream.ts";
import { TapPort } from "./tap.ts";
import { Waiter } from "./waiter.ts";

/**
 * Bits a second of a link to the outside, where neither `rate=` nor the device says: what comes in one burst would overrun the guest's receive ring. At
 * 1 Gb/s Linux takes an interrupt for nearly every frame, which costs far more instructions than the bursts of a faster link; at 10 Gb/s it loses some.
 */
const OUTSIDE_RATE = 5_000_000_000;

/**
 * `batch=` of such a link, unless given: an event a frame, in whose name the CPU's run is cut, costs more than the frame. Frames wait up to 250 us for
 * the grid anyhow. At 5 Gb/s it is 40 long frames, well below the rings that drivers make (256 and more).
 */
const OUTSIDE_BATCH = 100 * US;

/** A network whose far end is outside the simulation. */
export interface OutsideNetwork {
  /** The network's id. */
  readonly label: string;
  readonly port: OutsidePort;
  /** How many frames can enter now. */
  readonly room: number;
  /** A frame reaches the simulation; between runs only. */
  enter(frame: Frame): void;
  /** The run is over: what is still on the line goes out, so that the other side hears the last words of a machine that was switched off. */
  close(): Promise<void>;
}

export class HostNetworks {
  readonly captures = new Captures();
  readonly outside: OutsideNetwork[] = [];
  readonly #waiter = new Waiter();
  /** By the numbers of `hubid=`. */
  readonly switches = new Map<number, Switch>();

  readonly #generators: { readonly id: string; readonly generator: TrafficGenerator }[] = [];

  /** What generators have sent and heard, for the end of the run. */
  report(): string[] {
    return this.#generators.flatMap(({ id, generator }) => [
      `network ${id}: sent ${generator.sent.frames} frames, ${generator.sent.bytes} bytes`,
      ...generator.sink.report().map((line) => `network ${id}: ${line}`),
    ]);
  }

  /** Joins `device`, which `parent` holds, to its network. Module names begin with `name`. */
  connect(parent: Module | Simulation, name: string, device: NetworkDevice, option: NetworkOption): Link {
    const link = this.#join(parent, name, device, onItsOwnLine(device, option));
    this.captures.tap(link, option);
    return link;
  }

  #join(parent: Module | Simulation, name: string, device: NetworkDevice, option: NetworkOption): Link {
    const { far } = option;
    switch (far.kind) {
      case "user":
        return connectUser(parent, name, device, { ...far, link: option.link }).link;
      case "hubport":
        return joinStations(parent, `${name}link`, device, this.#switch(parent, far.hub).addPort(), option.link);
      case "generator": {
        const generator = new TrafficGenerator(parent, `${name}generator`, far.traffic);
        this.#generators.push({ id: option.id, generator });
        return joinStations(parent, `${name}link`, device, generator, option.link);
      }
      case "pcap": {
        const packets = parseCapture(readInput(option.where, far.path), `${option.where}: ${far.path}`);
        const station = new ReplayStation(parent, `${name}replay`, packets, far.replay);
        return joinStations(parent, `${name}link`, device, station, option.link);
      }
      default:
        return this.#toOutside(parent, name, device, option, far);
    }
  }

  /** Stands a network on a switch. */
  connectSwitched(parent: Module | Simulation, { hub, network }: SwitchedNetwork): void {
    const port = this.#switch(parent, hub).addPort();
    this.connect(parent, `hub${hub}_${port.number}`, port, network);
  }

  #switch(parent: Module | Simulation, number: number): Switch {
    const found = this.switches.get(number);
    if (found !== undefined) return found;
    const made = new Switch(parent instanceof Module ? parent.simulation : parent, `hub${number}`);
    this.switches.set(number, made);
    return made;
  }

  #toOutside(
    parent: Module | Simulation,
    name: string,
    device: NetworkDevice,
    option: NetworkOption,
    far: OutsideSpec,
  ): Link {
    const end = new OutsideEnd(parent, `${name}outside`);
    const link = joinStations(parent, `${name}link`, device, end, {
      rate: OUTSIDE_RATE,
      batch: OUTSIDE_BATCH,
      ...option.link,
    });
    const port = outsidePort(option.where, far, this.#waiter);
    end.onLeave = (frame) => port.send(frame);
    let open = true;
    this.outside.push({
      label: option.id,
      port,
      async close() {
        if (open) for (const frame of link.framesUnderWay(0)) port.send(frame);
        open = false;
        await port.close();
      },
      get room() {
        return link.room(1);
      },
      enter: (frame) => end.enter(frame),
    });
    return link;
  }
}

/** The network with both ends at what the device's port has agreed on, where it has such a port; `rate=` is for the port's highest speed. */
function onItsOwnLine(device: NetworkDevice, option: NetworkOption): NetworkOption {
  if (device.lineRate === undefined) return option;
  const { rate } = option.link;
  if (typeof rate === "number") device.fullRate = rate;
  return { ...option, link: { ...option.link, rate: () => device.lineRate ?? 0 } };
}

/** Not open yet. */
export function outsidePort(where: string, spec: OutsideSpec, waiter = new Waiter()): OutsidePort {
  switch (spec.kind) {
    case "stream":
      return new StreamPort(where, spec);
    case "tap":
      return new TapPort(where, spec, waiter);
    case "dgram": {
      const { local, remote } = spec;
      if ((local !== undefined && "path" in local) || (remote !== undefined && "path" in remote)) {
        const path = (a: typeof local) => (a !== undefined && "path" in a ? a.path : undefined);
        return new UnixDatagramPort(where, path(local), path(remote), waiter);
      }
      return new DatagramPort(where, local, remote);
    }
  }
}
