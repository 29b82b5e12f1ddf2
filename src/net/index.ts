export { checksum, parseIpv4, parseMac } from "./bytes.ts";
export type { Impairments, LineCounts } from "./impairments.ts";
export { type Frame, Link, type LinkOptions, type LinkTap, type Station } from "./link.ts";
export { OutsideEnd } from "./outside.ts";
export { pcapngHeader, pcapngPacket } from "./pcapng.ts";
export { type PortCounts, Switch, type SwitchOptions, SwitchPort, type SwitchPortOptions } from "./switch.ts";
export { UserHost, type UserHostOptions } from "./user-host.ts";
export { connectUser, joinStations, type NetworkDevice, type UserLink } from "./user-link.ts";
