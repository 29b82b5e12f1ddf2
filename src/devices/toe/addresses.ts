/** IP addresses in the device's 16 bytes (IPv4 as ::ffff:a.b.c.d) and in the engine's 4 or 16. */
import type { IpAddress } from "./engine/api.ts";

export function isMapped(address: Uint8Array): boolean {
  for (let i = 0; i < 12; i++) if (address[i] !== (i < 10 ? 0 : 0xff)) return false;
  return true;
}

export function isZero(address: Uint8Array): boolean {
  for (let i = 0; i < address.length; i++) if (address[i] !== 0) return false;
  return true;
}

/** No address of either family: all zero, or ::ffff:0.0.0.0. */
export function isAny(address: Uint8Array): boolean {
  return isZero(address) || (isMapped(address) && isZero(address.subarray(12)));
}

export function sameAddress(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

/** The engine's form; all zero is any address of `family`. Null where the address is of the other family. */
export function toEngine(address: Uint8Array, family: 4 | 6): IpAddress | null {
  const mapped = isMapped(address);
  if (family === 4) return mapped ? address.slice(12) : isZero(address) ? new Uint8Array(4) : null;
  return mapped ? null : address.slice();
}

/** The device's form, into 16 bytes. */
export function fromEngine(address: IpAddress): Uint8Array {
  const out = new Uint8Array(16);
  if (address.length === 4) {
    out.fill(0xff, 10, 12);
    out.set(address, 12);
  } else out.set(address.subarray(0, 16));
  return out;
}
