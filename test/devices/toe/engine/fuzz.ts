/** Frames meant to hurt: noise, and frames of a real conversation with bytes changed, checksums put right in most of them. */
import { fold, load, pseudoSum, sum16 } from "../../../../src/devices/toe/engine/words.ts";
import type { Frame } from "../../../../src/net/index.ts";
import type { Random } from "../../../../src/sim/index.ts";

/** A frame for the stack with hardware address `mac`, from noise or from one of `seeds`. */
export function hostile(random: Random, seeds: readonly Frame[], mac: Uint8Array): Frame {
  const kind = random.below(10);
  if (kind === 0 || seeds.length === 0) {
    const frame = new Uint8Array(random.below(200));
    for (let i = 0; i < frame.length; i++) frame[i] = random.uint32();
    frame.set(mac.subarray(0, Math.min(6, frame.length)));
    if (frame.length > 14)
      frame.set(random.below(2) === 0 ? [8, 0, 0x45] : random.below(2) === 0 ? [0x86, 0xdd, 0x60] : [8, 6], 12);
    repair(frame);
    return frame;
  }
  let frame = seeds[random.below(seeds.length)].slice();
  if (random.below(8) === 0) frame = frame.slice(0, random.below(frame.length + 1));
  const changes = 1 + random.below(4);
  for (let i = 0; i < changes && frame.length > 14; i++) {
    // Headers more often than data.
    const at = 12 + random.below(Math.min(frame.length - 12, random.below(4) === 0 ? 1500 : 70));
    frame[at] = random.below(3) === 0 ? [0, 1, 0x7f, 0x80, 0xff][random.below(5)] : random.uint32();
  }
  if (kind !== 1) repair(frame);
  return frame;
}

/** Puts right the checksums of an IPv4 header and of TCP, UDP, ICMP and ICMPv6. */
export function repair(frame: Frame): void {
  if (frame.length < 34) return;
  const words = (at: number) => [0, 4, 8, 12].map((i) => load(frame, at + i)) as [number, number, number, number];
  const type = (frame[12] << 8) | frame[13];
  let at = 54;
  let protocol = frame[20];
  let end = 0;
  let pseudo = 0;
  if (type === 0x0800) {
    const header = (frame[14] & 15) * 4;
    if (header < 20 || 14 + header > frame.length) return;
    put(frame, 24, 14, 14 + header, 0);
    at = 14 + header;
    protocol = frame[23];
    end = Math.min(frame.length, 14 + ((frame[16] << 8) | frame[17]));
    pseudo = pseudoSum(4, 0, 0, 0, load(frame, 26), 0, 0, 0, load(frame, 30), protocol);
  } else if (type === 0x86dd && frame.length >= 54) {
    end = Math.min(frame.length, 54 + ((frame[18] << 8) | frame[19]));
    pseudo = pseudoSum(6, ...words(22), ...words(38), protocol);
  } else return;
  const offset = new Map([
    [1, 2],
    [6, 16],
    [17, 6],
    [58, 2],
  ]).get(protocol);
  if (offset === undefined || at + offset + 2 > end) return;
  put(frame, at + offset, at, end, protocol === 1 ? 0 : pseudo + end - at);
}

function put(frame: Frame, where: number, from: number, to: number, start: number): void {
  frame[where] = 0;
  frame[where + 1] = 0;
  const check = fold(start + sum16(frame, from, to - from));
  frame[where] = check >> 8;
  frame[where + 1] = check;
}
