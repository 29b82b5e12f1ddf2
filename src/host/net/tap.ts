/**
 * TAP devices of Linux (Documentation/networking/tuntap.rst). Each frame stands behind a struct virtio_net_hdr (virtio 1.2, 5.1.6), so that the host's stack need not
 * cut large sends of TCP nor sum what it sends to us, and takes segments of ours that follow one another as one. Inside there are only frames as on a wire: large
 * sends are cut and summed here, before they enter the simulation, and segments are joined behind it.
 */
import { put16 } from "../../net/bytes.ts";
import { pseudoHeader, sum } from "../../net/checksum.ts";
import { SegmentJoiner } from "../../net/joining.ts";
import type { Frame } from "../../net/link.ts";
import { Packet, TCP } from "../../net/packet.ts";
import { segment } from "../../net/segmentation.ts";
import type { OutsideSpec } from "../options/run-options.ts";
import { DescriptorPort } from "./descriptor.ts";
import { type Native, openTap } from "./native.ts";
import { LONGEST } from "./port.ts";
import type { Waiter } from "./waiter.ts";

/** struct virtio_net_hdr: flags, gso_type, and 16 bits each of hdr_len, gso_size, csum_start, csum_offset. */
const HEADER = 10;
const GSO_TYPE = 1;
const HDR_LEN = 2;
const GSO_SIZE = 4;
const CSUM_START = 6;
const CSUM_OFFSET = 8;
const NEEDS_CSUM = 1;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const VLAN = 0x8100;
/** As the stack does it: FIN and PSH in the last segment only, CWR in the first. */
const FLAGS = { first: 0xff6, middle: 0xf76, last: 0xf7f };

export class TapPort extends DescriptorPort {
  readonly #ifname: string;
  /** Its first bytes are the header. */
  readonly #out = new SegmentJoiner(HEADER);
  readonly #head = new DataView(this.#out.buffer.buffer, 0, HEADER);
  readonly #packet = new Packet();

  constructor(where: string, spec: Extract<OutsideSpec, { kind: "tap" }>, waiter: Waiter) {
    super(where, waiter, HEADER + LONGEST);
    this.#ifname = spec.ifname;
  }
  protected open(native: Native): number {
    return openTap(native, this.where, this.#ifname, HEADER);
  }

  send(frame: Frame): void {
    const out = this.#out;
    if (!out.add(frame)) {
      this.flush();
      if (!out.add(frame)) {
        this.#sendAlone(frame);
        return;
      }
    }
    if (out.complete) this.flush();
  }

  #sendAlone(frame: Frame): void {
    const { buffer } = this.#out;
    if (frame.length > LONGEST) this.lost++;
    else {
      buffer.set(frame, HEADER);
      this.write(buffer, HEADER + frame.length, 1);
    }
  }

  override flush(): void {
    const out = this.#out;
    const { frames } = out;
    if (frames === 0) return;
    const large = frames > 1;
    if (large) {
      const { ipv4, macLength, ipLength, l4Length, mss } = out.headers;
      const head = this.#head;
      head.setUint8(0, NEEDS_CSUM);
      head.setUint8(GSO_TYPE, ipv4 ? GSO_TCPV4 : GSO_TCPV6);
      head.setUint16(HDR_LEN, macLength + ipLength + l4Length, true);
      head.setUint16(GSO_SIZE, mss, true);
      head.setUint16(CSUM_START, macLength + ipLength, true);
      head.setUint16(CSUM_OFFSET, TCP_CHECKSUM, true);
      out.finish();
    }
    this.write(out.buffer, HEADER + out.length, frames);
    if (large) out.buffer.fill(0, 0, HEADER);
    out.frames = 0;
  }

  protected override received(data: Uint8Array): void {
    if (data.length < HEADER) return;
    const head = new DataView(data.buffer, data.byteOffset, HEADER);
    const frame = data.subarray(HEADER);
    if (head.getUint8(GSO_TYPE) !== GSO_NONE) this.#cut(frame, head.getUint16(GSO_SIZE, true));
    else if ((head.getUint8(0) & NEEDS_CSUM) === 0) this.came(frame.slice());
    else this.came(summed(frame.slice(), head.getUint16(CSUM_START, true), head.getUint16(CSUM_OFFSET, true)));
  }

  #cut(send: Uint8Array, mss: number): void {
    const { ip, l3At, l4, l4At, payloadAt } = this.#packet.parse(send, VLAN, -1);
    if (l4 !== TCP) return;
    put16(send, l4At + TCP_CHECKSUM, pseudoHeader(send, ip, l3At, TCP, 0));
    const headers = { macLength: l3At, ipLength: l4At - l3At, ipv4: ip === 4, l4, l4Length: payloadAt - l4At, mss };
    for (const frame of segment(send, headers, true, true, FLAGS) ?? []) this.came(frame);
  }
}

/** `frame` with the checksum that the stack has left out: of all from `start` on, the pseudo header's sum standing in its place. */
function summed(frame: Frame, start: number, offset: number): Frame {
  if (start + offset + 2 > frame.length) return frame;
  const result = ~sum(frame, start, frame.length) & 0xffff;
  put16(frame, start + offset, result === 0 && offset === UDP_CHECKSUM ? 0xffff : result);
  return frame;
}
