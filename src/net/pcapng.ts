/** pcapng captures (draft-ietf-opsawg-pcapng): section header, one Ethernet interface, enhanced packets with times of 1 ns. */
import type { Time } from "../sim/index.ts";

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const LINKTYPE_ETHERNET = 1;
const OPTION_IF_NAME = 2;
const OPTION_IF_TSRESOL = 9;
const OPTION_EPB_FLAGS = 2;

function block(type: number, body: Uint8Array): Uint8Array {
  const padded = (body.length + 3) & ~3;
  const out = new Uint8Array(padded + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, out.length, true);
  out.set(body, 8);
  view.setUint32(out.length - 4, out.length, true);
  return out;
}

function option(code: number, value: Uint8Array): Uint8Array {
  const out = new Uint8Array(4 + ((value.length + 3) & ~3));
  const view = new DataView(out.buffer);
  view.setUint16(0, code, true);
  view.setUint16(2, value.length, true);
  out.set(value, 4);
  return out;
}

function join(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** The start of a capture: everything before the first packet. Of each frame at most `longest` bytes are kept; 0: all. */
export function pcapngHeader(interfaceName: string, longest = 0): Uint8Array {
  const section = new Uint8Array(16);
  const s = new DataView(section.buffer);
  s.setUint32(0, 0x1a2b3c4d, true);
  s.setUint16(4, 1, true);
  s.setInt32(8, -1, true);
  s.setInt32(12, -1, true);
  const fixed = new Uint8Array(8);
  new DataView(fixed.buffer).setUint16(0, LINKTYPE_ETHERNET, true);
  new DataView(fixed.buffer).setUint32(4, longest, true);
  const description = join(
    fixed,
    option(OPTION_IF_NAME, new TextEncoder().encode(interfaceName)),
    option(OPTION_IF_TSRESOL, new Uint8Array([9])),
    option(0, new Uint8Array(0)),
  );
  return join(block(SECTION_HEADER, section), block(INTERFACE_DESCRIPTION, description));
}

/** One packet; `inbound` is seen from the interface that the capture is named after. */
export function pcapngPacket(frame: Uint8Array, time: Time, inbound: boolean, longest = 0): Uint8Array {
  const nanoseconds = Math.floor(time / 10);
  const kept = longest > 0 && frame.length > longest ? frame.subarray(0, longest) : frame;
  const fixed = new Uint8Array(20 + ((kept.length + 3) & ~3));
  const view = new DataView(fixed.buffer);
  view.setUint32(4, Math.floor(nanoseconds / 2 ** 32), true);
  view.setUint32(8, nanoseconds % 2 ** 32, true);
  view.setUint32(12, kept.length, true);
  view.setUint32(16, frame.length, true);
  fixed.set(kept, 20);
  const flags = new Uint8Array([inbound ? 1 : 2, 0, 0, 0]);
  return block(ENHANCED_PACKET, join(fixed, option(OPTION_EPB_FLAGS, flags), option(0, new Uint8Array(0))));
}
