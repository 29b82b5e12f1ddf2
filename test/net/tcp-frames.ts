/** TCP segments in Ethernet frames, put together from RFC 791, RFC 8200 and RFC 9293 by themselves. */

export interface Segment {
  readonly ipv4?: boolean;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  readonly identification?: number;
  readonly flags?: number;
  readonly window?: number;
  readonly payload?: Uint8Array;
  readonly options?: Uint8Array;
  readonly ports?: readonly [number, number];
  /** Last byte of the source's address. */
  readonly source?: number;
  /** Flags and offset of IPv4's fragment field. */
  readonly fragment?: number;
  readonly service?: number;
  readonly protocol?: number;
  /** Bytes of IPv4 options, zeroes. */
  readonly ipOptions?: number;
  readonly padding?: number;
  /** A byte that is changed once all checksums are right. */
  readonly spoil?: number;
}

/** RFC 1071: the complement of the sum of 16-bit words. */
export function internetChecksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const two = (n: number) => [(n >>> 8) & 0xff, n & 0xff];
const four = (n: number) => [...two(n >>> 16), ...two(n & 0xffff)];

export function tcpFrame(s: Segment): Uint8Array {
  const { ipv4 = true, flags = 0x10, protocol = 6, service = 0, ipOptions = 0, payload = new Uint8Array(0) } = s;
  const options = s.options ?? new Uint8Array(0);
  const tcp = [
    ...(s.ports ?? [1, 2]).flatMap(two),
    ...four(s.sequence ?? 0),
    ...four(s.acknowledgment ?? 0),
    (5 + options.length / 4) << 4,
    flags,
    ...two(s.window ?? 512),
    ...[0, 0, 0, 0],
    ...options,
    ...payload,
  ];
  const source = s.source ?? 1;
  const addresses = ipv4
    ? [10, 0, 0, source, 10, 0, 0, 2]
    : [0xfd, ...Array(14).fill(0), source, 0xfd, ...Array(14).fill(0), 2];
  tcp.splice(16, 2, ...two(internetChecksum([...addresses, ...two(protocol), ...two(tcp.length), ...tcp])));
  const head = ipv4
    ? [
        ...[0x40 | (5 + ipOptions / 4), service, ...two(20 + ipOptions + tcp.length)],
        ...[...two(s.identification ?? 0), ...two(s.fragment ?? 0), 64, protocol, 0, 0, ...addresses],
        ...Array(ipOptions).fill(0),
      ]
    : [0x60 | (service >>> 4), (service & 0xf) << 4, 0, 0, ...two(tcp.length), protocol, 64, ...addresses];
  if (ipv4) head.splice(10, 2, ...two(internetChecksum(head)));
  const frame = Uint8Array.from([
    ...[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, ...two(ipv4 ? 0x0800 : 0x86dd)],
    ...head,
    ...tcp,
    ...Array(s.padding ?? 0).fill(0),
  ]);
  if (s.spoil !== undefined) frame[s.spoil] = (frame[s.spoil] as number) ^ 0x20;
  return frame;
}
