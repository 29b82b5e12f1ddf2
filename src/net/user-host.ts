/**
 * The far end of a `user` link: a host that answers ARP, DHCP (RFC 2131) and ICMP echo, with QEMU's addresses (network
 * 10.0.2.0/24, host 10.0.2.2, DNS 10.0.2.3, guest 10.0.2.15). Nothing goes further: other traffic is counted and dropped. Longer datagrams go in fragments.
 */
import { Module, type Simulation } from "../sim/index.ts";
import { checksum, get16, get32, put16, put32 } from "./bytes.ts";
import { fragmented, Reassembly } from "./fragments.ts";
import type { Frame, Station } from "./link.ts";

export interface UserHostOptions {
  /** Sends a frame towards the guest. */
  readonly send: (frame: Frame) => void;
  /** IPv4 addresses as numbers. */
  readonly network?: number;
  readonly mask?: number;
  readonly host?: number;
  readonly dns?: number;
  /** The address that DHCP gives. */
  readonly guest?: number;
}

const ETH_ARP = 0x0806;
const ETH_IPV4 = 0x0800;
const MAC: readonly number[] = [0x52, 0x55, 0x0a, 0x00, 0x02, 0x02];
const DHCP_MAGIC = 0x63825363;
const LEASE_SECONDS = 86_400;

const DISCOVER = 1;
const OFFER = 2;
const REQUEST = 3;
const ACK = 5;
const NAK = 6;

export class UserHost extends Module implements Station {
  readonly counts: { arp: number; dhcp: number; echo: number; fragments: number; dropped: number };
  readonly #send: (frame: Frame) => void;
  readonly #fragments: Reassembly;
  readonly #network: number;
  readonly #mask: number;
  readonly #host: number;
  readonly #dns: number;
  readonly #guest: number;

  constructor(parent: Module | Simulation, name: string, options: UserHostOptions) {
    super(parent, name);
    this.#send = options.send;
    this.#network = options.network ?? 0x0a000200;
    this.#mask = options.mask ?? 0xffffff00;
    this.#host = options.host ?? this.#network + 2;
    this.#dns = options.dns ?? this.#network + 3;
    this.#guest = options.guest ?? this.#network + 15;
    this.#fragments = this.part("fragments", new Reassembly());
    this.counts = this.state({ arp: 0, dhcp: 0, echo: 0, fragments: 0, dropped: 0 });
  }

  receive(frame: Frame): void {
    if (frame.length >= 42 && get16(frame, 12) === ETH_ARP) this.#arp(frame);
    else if (frame.length >= 34 && get16(frame, 12) === ETH_IPV4 && frame[14] === 0x45) this.#ipv4(frame);
    else this.counts.dropped++;
  }

  /** ARP (RFC 826): answers for host and name server, as QEMU's does; others may be on the same switch. */
  #arp(frame: Frame): void {
    const target = get32(frame, 38);
    const ours = target === this.#host || target === this.#dns;
    if (get16(frame, 20) !== 1 || get16(frame, 14) !== 1 || get16(frame, 16) !== ETH_IPV4 || !ours) {
      this.counts.dropped++;
      return;
    }
    this.counts.arp++;
    const reply = new Uint8Array(60);
    reply.set(frame.subarray(6, 12), 0);
    reply.set(MAC, 6);
    reply.set(frame.subarray(12, 20), 12);
    put16(reply, 20, 2);
    reply.set(MAC, 22);
    put32(reply, 28, target);
    reply.set(frame.subarray(22, 32), 32);
    this.#send(reply);
  }

  #ipv4(frame: Frame): void {
    const total = get16(frame, 16);
    const fragment = (get16(frame, 20) & 0x3fff) !== 0;
    if (total < (fragment ? 21 : 28) || 14 + total > frame.length || checksum(frame, 14, 20) !== 0) {
      this.counts.dropped++;
      return;
    }
    if (!fragment) this.#datagram(frame, total);
    else {
      this.counts.fragments++;
      const whole = this.#fragments.add(frame);
      if (whole && get16(whole, 16) >= 28) this.#datagram(whole, get16(whole, 16));
    }
  }

  #datagram(frame: Frame, total: number): void {
    const protocol = frame[23];
    if (protocol === 1 && frame[34] === 8) this.#echo(frame, total);
    else if (protocol === 17 && get16(frame, 36) === 67 && total >= 28 + 240) this.#dhcp(frame, total);
    else this.counts.dropped++;
  }

  /** ICMP echo (RFC 792) for any address of the network that is the host's to answer. */
  #echo(frame: Frame, total: number): void {
    const destination = get32(frame, 30);
    if (destination !== this.#host && destination !== this.#dns) {
      this.counts.dropped++;
      return;
    }
    this.counts.echo++;
    const reply = frame.slice(0, Math.max(60, 14 + total));
    reply.set(frame.subarray(6, 12), 0);
    reply.set(MAC, 6);
    reply.set(frame.subarray(26, 30), 30);
    put32(reply, 26, destination);
    reply[22] = 64;
    put16(reply, 24, 0);
    put16(reply, 24, checksum(reply, 14, 20));
    reply[34] = 0;
    put16(reply, 36, 0);
    put16(reply, 36, checksum(reply, 34, total - 20));
    for (const piece of fragmented(reply)) this.#send(piece);
  }

  #dhcp(frame: Frame, total: number): void {
    const bootp = 42;
    if (frame[bootp] !== 1 || get32(frame, bootp + 236) !== DHCP_MAGIC) {
      this.counts.dropped++;
      return;
    }
    const options = readOptions(frame, bootp + 240, 14 + total);
    const type = options.get(53)?.[0];
    const asked = options.get(50);
    const wrong = asked?.length === 4 && get32(asked, 0) !== this.#guest;
    let answer = 0;
    if (type === DISCOVER) answer = OFFER;
    else if (type === REQUEST) answer = wrong ? NAK : ACK;
    if (answer === 0) {
      this.counts.dropped++;
      return;
    }
    this.counts.dhcp++;
    this.#send(this.#dhcpReply(frame, bootp, answer));
  }

  #dhcpReply(frame: Frame, bootp: number, answer: number): Frame {
    const reply = new Uint8Array(14 + 20 + 8 + 300);
    reply.fill(0xff, 0, 6);
    reply.set(MAC, 6);
    put16(reply, 12, ETH_IPV4);
    reply[14] = 0x45;
    put16(reply, 16, reply.length - 14);
    reply[22] = 64;
    reply[23] = 17;
    put32(reply, 26, this.#host);
    put32(reply, 30, 0xffffffff);
    put16(reply, 24, checksum(reply, 14, 20));
    put16(reply, 34, 67);
    put16(reply, 36, 68);
    put16(reply, 38, reply.length - 34);
    reply[bootp] = 2;
    reply.set(frame.subarray(bootp + 1, bootp + 12), bootp + 1);
    if (answer !== NAK) put32(reply, bootp + 16, this.#guest);
    put32(reply, bootp + 20, this.#host);
    reply.set(frame.subarray(bootp + 28, bootp + 44), bootp + 28);
    put32(reply, bootp + 236, DHCP_MAGIC);
    let at = bootp + 240;
    const add = (code: number, ...words: number[]) => {
      reply[at] = code;
      reply[at + 1] = 4 * words.length;
      for (const [i, w] of words.entries()) put32(reply, at + 2 + 4 * i, w);
      at += 2 + 4 * words.length;
    };
    reply.set([53, 1, answer], at);
    at += 3;
    add(54, this.#host);
    if (answer !== NAK) {
      add(1, this.#mask);
      add(3, this.#host);
      add(6, this.#dns);
      add(51, LEASE_SECONDS);
    }
    reply[at] = 255;
    const pseudo = 17 + (reply.length - 34);
    const sum = get16(reply, 26) + get16(reply, 28) + get16(reply, 30) + get16(reply, 32) + pseudo;
    put16(reply, 40, checksum(reply, 34, reply.length - 34, sum) || 0xffff);
    return reply;
  }
}

/** DHCP options (RFC 2132) by code; malformed ones end the list. */
function readOptions(frame: Frame, from: number, to: number): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = from; at + 1 < to && frame[at] !== 255; ) {
    if (frame[at] === 0) {
      at++;
      continue;
    }
    const length = frame[at + 1] as number;
    if (at + 2 + length > to) break;
    options.set(frame[at] as number, frame.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return options;
}
