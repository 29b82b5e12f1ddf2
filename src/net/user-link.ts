/** Two stations joined by a link; and a network device joined to a host of its own that answers: what `-netdev user` makes. */
import type { Module, Simulation, Time } from "../sim/index.ts";
import { type Frame, Link, type LinkOptions, type Station } from "./link.ts";
import { UserHost, type UserHostOptions } from "./user-host.ts";

/** A station that sends. */
export interface NetworkDevice extends Station {
  onTransmit: ((frame: Frame) => void) | null;
  /** Of a device whose port decides how fast its line is: bits a second now, 0 for no limit. */
  readonly lineRate?: number;
  /** Bits a second of such a line at the port's highest speed; who joins it to a line of another rate sets it. */
  fullRate?: number;
  /** How long until the link takes so many frames, 0 for now (`Link.roomIn`); there for devices that wait for it, null without a link. */
  linkTakesIn?: ((frames: number) => Time) | null;
}

function connect(device: NetworkDevice, link: Link, end: 0 | 1): void {
  link.attach(end, device);
  device.onTransmit = (frame) => void link.send(end, frame);
  if (device.linkTakesIn !== undefined) device.linkTakesIn = (frames) => link.roomIn(end, frames);
}

export interface UserLink {
  /** End 0 is the device, end 1 the host. */
  readonly link: Link;
  readonly host: UserHost;
}

/** A link `name` under `parent` with `near` at end 0 and `far` at end 1. */
export function joinStations(
  parent: Module | Simulation,
  name: string,
  near: NetworkDevice,
  far: NetworkDevice,
  options: LinkOptions = {},
): Link {
  const link = new Link(parent, name, options);
  connect(near, link, 0);
  connect(far, link, 1);
  return link;
}

/** Modules `${name}link` and `${name}host` under `parent`. */
export function connectUser(
  parent: Module | Simulation,
  name: string,
  device: NetworkDevice,
  options: Omit<UserHostOptions, "send"> & { readonly link?: LinkOptions } = {},
): UserLink {
  const link = new Link(parent, `${name}link`, options.link ?? {});
  const host = new UserHost(parent, `${name}host`, { ...options, send: (frame) => void link.send(1, frame) });
  connect(device, link, 0);
  link.attach(1, host);
  return { link, host };
}
