/** TCP and UDP frames for tests, laid out from the RFCs (791, 8200, 9293, 768), and their checksums, nothing of it taken from the model. */
import type { Frame } from "../../../src/net/index.ts";

export interface PacketFields {
  readonly ip?: 4 | 6;
  readonly udp?: boolean;
  readonly vlan?: number;
  readonly payload?: number | Uint8Array;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  /** FIN 1, SYN 2, RST 4, PSH 8, ACK 10h, URG 20h, ECE 40h, CWR 80h. */
  readonly flags?: number;
  readonly window?: number;
  readonly options?: readonly number[];
  readonly sourcePort?: number;
  readonly identification?: number;
  readonly dontFragment?: boolean;
  readonly tos?: number;
  readonly source?: number;
  /** Leave the transport's checksum to somebody else: the field holds the sum of the pseudo header. */
  readonly partial?: boolean;
}

export const DESTINATION = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

function sum16(bytes: ArrayLike<number>): number {
  let s = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    s += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
    if (s > 0xffff) s -= 0xffff;
  }
  return s;
}
const be16 = (n: number) => [(n >>> 8) & 0xff, n & 0xff];
const be32 = (n: number) => [...be16(n >>> 16), ...be16(n & 0xffff)];

/** Payload of `length` bytes of a stream from `first` on. */
export function stream(length: number, first = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => ((first + i) * 7 + ((first + i) >> 8)) & 0xff);
}

export function packet(f: PacketFields = {}): Frame {
  const { ip = 4, udp = false, flags = 0x10, options = [] } = f;
  const payload = typeof f.payload === "number" || f.payload === undefined ? stream(f.payload ?? 0) : f.payload;
  const ports = [...be16(f.sourcePort ?? 40_000), ...be16(5201)];
  const transport = udp
    ? [...ports, ...be16(8 + payload.length), 0, 0, ...payload]
    : [
        ...ports,
        ...be32(f.sequence ?? 1000),
        ...be32(f.acknowledgment ?? 77),
        ((20 + options.length) / 4) << 4,
        flags,
        ...be16(f.window ?? 502),
        ...[0, 0, 0, 0],
        ...options,
        ...payload,
      ];
  const protocol = udp ? 17 : 6;
  const addresses =
    ip === 4
      ? [10, 0, 0, f.source ?? 1, 10, 0, 0, 2]
      : [
          ...[0xfe, 0x80, ...new Array<number>(13).fill(0), f.source ?? 1],
          ...[0xfe, 0x80, ...new Array<number>(13).fill(0), 2],
        ];
  const pseudo = [...addresses, 0, protocol, ...be16(transport.length)];
  const at = udp ? 6 : 16;
  const check = f.partial === true ? sum16(pseudo) : ~sum16([...pseudo, ...pad(transport)]) & 0xffff;
  transport.splice(at, 2, ...be16(check));
  const header =
    ip === 4
      ? [
          ...[0x45, f.tos ?? 0, ...be16(20 + transport.length), ...be16(f.identification ?? 100)],
          ...[f.dontFragment === false ? 0 : 0x40, 0, 64, protocol, 0, 0, ...addresses],
        ]
      : [0x60, 0, 0, 0, ...be16(transport.length), protocol, 64, ...addresses];
  if (ip === 4) header.splice(10, 2, ...be16(~sum16(header) & 0xffff));
  const tag = f.vlan === undefined ? [] : [0x81, 0x00, ...be16(f.vlan)];
  const type = ip === 4 ? [0x08, 0x00] : [0x86, 0xdd];
  return Uint8Array.from([...DESTINATION, 2, 0, 0, 0, 0, 9, ...tag, ...type, ...header, ...transport]);
}

function pad(bytes: readonly number[]): readonly number[] {
  return bytes.length % 2 === 0 ? bytes : [...bytes, 0];
}

/** What a receiver sees of an untagged frame without IP options; throws where a length or a checksum is wrong. */
export function dissect(frame: Frame) {
  const ip = frame[12] === 0x08 ? 4 : 6;
  const l4 = ip === 4 ? 34 : 54;
  const at16 = (at: number) => ((frame[at] as number) << 8) | (frame[at + 1] as number);
  const length = ip === 4 ? at16(16) - 20 : at16(18);
  if (l4 + length !== frame.length) throw new Error(`IP says ${l4 + length} bytes, the frame has ${frame.length}`);
  if (ip === 4 && sum16(frame.subarray(14, 34)) !== 0xffff) throw new Error("checksum of IPv4");
  const protocol = frame[ip === 4 ? 23 : 20] as number;
  const addresses = frame.subarray(ip === 4 ? 26 : 22, l4);
  const segment = frame.subarray(l4);
  const pseudo = sum16([...addresses, 0, protocol, ...be16(length)]);
  const total = pseudo + sum16(segment);
  if (total !== 0xffff && total !== 0x1fffe) throw new Error("checksum of the transport");
  const header = protocol === 17 ? 8 : ((frame[l4 + 12] as number) >> 4) * 4;
  return {
    ip,
    identification: ip === 4 ? at16(18) : 0,
    sequence: at16(l4 + 4) * 65_536 + at16(l4 + 6),
    flags: frame[l4 + 13] as number,
    udpLength: at16(l4 + 4),
    payload: [...frame.subarray(l4 + header)],
  };
}
