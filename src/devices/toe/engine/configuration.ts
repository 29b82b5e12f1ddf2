/** What the management side has set for an interface: addresses and routes, and the questions asked of them. */
import { SnapshotError, type StatePart, type StateValue } from "../../../sim/index.ts";
import type { StackConfiguration } from "./api.ts";
import {
  addressOf,
  type Family,
  familyOf,
  inPrefix,
  isGroup,
  isUnspecified,
  load,
  type Words,
  wordsOf,
} from "./words.ts";

export interface LocalAddress {
  readonly family: Family;
  readonly words: Words;
  readonly prefix: number;
}
interface RouteEntry {
  readonly family: Family;
  readonly words: Words;
  readonly prefix: number;
  readonly gateway: Words | null;
}

/** Smallest MTU that IPv6 may run over (RFC 8200 5). */
export const MTU_LEAST = 1280;
const MTU_MOST = 9216;

export class Configuration implements StatePart {
  readonly mac = new Uint8Array(6);
  mtu = 1500;
  addresses: LocalAddress[] = [];
  #routes: RouteEntry[] = [];
  /** Answer of `route`. */
  readonly hop = new Int32Array(4);

  /** Takes what is well formed; entries with a bad length or prefix are left out. Counts those. */
  set(c: StackConfiguration): number {
    let bad = 0;
    if (c.mac.length === 6) this.mac.set(c.mac);
    else bad++;
    this.mtu = Math.max(MTU_LEAST, Math.min(MTU_MOST, Math.floor(c.mtu ?? 1500) || 0));
    this.addresses = [];
    for (const { address, prefix } of c.addresses) {
      const words = wordsOf(address);
      const family = familyOf(address);
      if (
        words === null ||
        !validPrefix(family, prefix) ||
        isUnspecified(family, words) ||
        isGroup(family, words[0], words[3])
      ) {
        bad++;
      } else this.addresses.push({ family, words, prefix });
    }
    if (this.addresses.some((a) => a.family === 6)) this.#linkLocal();
    this.#routes = [];
    for (const r of c.routes) {
      const words = wordsOf(r.destination);
      const family = familyOf(r.destination);
      const gateway = r.gateway === undefined ? null : wordsOf(r.gateway);
      if (
        words === null ||
        !validPrefix(family, r.prefix) ||
        (r.gateway !== undefined && (gateway === null || familyOf(r.gateway) !== family))
      ) {
        bad++;
      } else this.#routes.push({ family, words, prefix: r.prefix, gateway });
    }
    // Longest prefix first (RFC 1812 5.2.4.3); the sort is stable.
    this.#routes.sort((a, b) => b.prefix - a.prefix);
    return bad;
  }

  owns(family: Family, w0: number, w1: number, w2: number, w3: number): boolean {
    for (let i = 0; i < this.addresses.length; i++) {
      const { words, family: f } = this.addresses[i];
      if (words[3] === w3 && f === family && words[2] === w2 && words[1] === w1 && words[0] === w0) return true;
    }
    return false;
  }

  /** Limited or directed broadcast (RFC 919). */
  isBroadcast(w3: number): boolean {
    if (w3 === -1) return true;
    for (let i = 0; i < this.addresses.length; i++) {
      const a = this.addresses[i];
      if (a.family === 4 && a.prefix < 31 && (w3 ^ a.words[3]) >>> (32 - a.prefix || 31) === 0) {
        if ((w3 | (a.prefix === 0 ? -1 : -1 << (32 - a.prefix))) === -1) return true;
      }
    }
    return false;
  }

  /** Is the IPv6 group one that every node, or this one by an address of its own, has joined? (RFC 4291 2.8) */
  joined(w0: number, w1: number, w2: number, w3: number): boolean {
    if (w0 === 0xff020000 << 0 && w1 === 0 && w2 === 0 && w3 === 1) return true;
    if (w0 === 0xff010000 << 0 && w1 === 0 && w2 === 0 && w3 === 1) return true;
    if (w0 !== 0xff020000 << 0 || w1 !== 0 || w2 !== 1 || w3 >>> 24 !== 0xff) return false;
    for (let i = 0; i < this.addresses.length; i++) {
      const a = this.addresses[i];
      if (a.family === 6 && ((a.words[3] ^ w3) & 0xffffff) === 0) return true;
    }
    return false;
  }

  /** Finds the next hop to an address and leaves it in `hop`. */
  route(family: Family, w0: number, w1: number, w2: number, w3: number): boolean {
    const { hop } = this;
    hop[0] = w0;
    hop[1] = w1;
    hop[2] = w2;
    hop[3] = w3;
    for (const a of this.addresses) {
      if (a.family === family && inPrefix(family, a.words, a.prefix, w0, w1, w2, w3)) return true;
    }
    if (isGroup(family, w0, w3)) return this.addresses.some((a) => a.family === family);
    for (const r of this.#routes) {
      if (r.family !== family || !inPrefix(family, r.words, r.prefix, w0, w1, w2, w3)) continue;
      if (r.gateway !== null) hop.set(r.gateway);
      return true;
    }
    return false;
  }

  /** The address to speak from (RFC 6724 in short: same link, same scope, then the first). */
  source(family: Family, w0: number, w1: number, w2: number, w3: number): LocalAddress | null {
    let best: LocalAddress | null = null;
    let bestRank = -1;
    const linkLocal = family === 6 && isLinkLocal(w0);
    for (const a of this.addresses) {
      if (a.family !== family) continue;
      let rank = inPrefix(family, a.words, a.prefix, w0, w1, w2, w3) ? 2 : 0;
      if (family === 6 && isLinkLocal(a.words[0]) === linkLocal) rank += 4;
      if (rank > bestRank) {
        best = a;
        bestRank = rank;
      }
    }
    return best;
  }

  save(): StateValue {
    return {
      mac: this.mac.slice(),
      mtu: this.mtu,
      addresses: this.addresses.map(({ family, words, prefix }) => ({ family, words: words.slice(), prefix })),
      routes: this.#routes.map((r) => ({
        family: r.family,
        words: r.words.slice(),
        prefix: r.prefix,
        gateway: r.gateway?.slice() ?? null,
      })),
    };
  }
  load(value: StateValue, path: string): void {
    const v = value as { mac?: StateValue; mtu?: StateValue; addresses?: StateValue; routes?: StateValue };
    if (
      !(v.mac instanceof Uint8Array) ||
      v.mac.length !== 6 ||
      typeof v.mtu !== "number" ||
      !Array.isArray(v.addresses) ||
      !Array.isArray(v.routes)
    ) {
      throw new SnapshotError(`${path}: expected mac, mtu, addresses and routes`);
    }
    this.mac.set(v.mac);
    this.mtu = v.mtu;
    this.addresses = v.addresses.map((a, i) => readAddress(a, `${path}.addresses[${i}]`));
    this.#routes = v.routes.map((r, i) => {
      const { gateway } = r as { gateway?: StateValue };
      if (gateway !== null && !(gateway instanceof Int32Array))
        throw new SnapshotError(`${path}.routes[${i}]: gateway`);
      return { ...readAddress(r, `${path}.routes[${i}]`), gateway: gateway?.slice() ?? null };
    });
  }
  reset(): void {
    this.mac.fill(0);
    this.mtu = 1500;
    this.addresses = [];
    this.#routes = [];
  }

  /** fe80::/64 with the modified EUI-64 of the MAC address (RFC 4291 appendix A), unless one is given. */
  #linkLocal(): void {
    if (this.addresses.some((a) => a.family === 6 && isLinkLocal(a.words[0]))) return;
    const m = this.mac;
    const id = Uint8Array.of(m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]);
    this.addresses.push({ family: 6, words: Int32Array.of(0xfe800000, 0, load(id, 0), load(id, 4)), prefix: 64 });
  }
}

export function isLinkLocal(w0: number): boolean {
  return w0 >>> 22 === 0xfe80 >> 6;
}

export function addressOfLocal(a: LocalAddress): Uint8Array {
  return addressOf(a.family, a.words[0], a.words[1], a.words[2], a.words[3]);
}

function validPrefix(family: Family, prefix: number): boolean {
  return Number.isInteger(prefix) && prefix >= 0 && prefix <= (family === 4 ? 32 : 128);
}

function readAddress(value: StateValue, path: string): LocalAddress {
  const { family, words, prefix } = value as { family?: StateValue; words?: StateValue; prefix?: StateValue };
  if (
    (family !== 4 && family !== 6) ||
    !(words instanceof Int32Array) ||
    words.length !== 4 ||
    typeof prefix !== "number"
  ) {
    throw new SnapshotError(`${path}: expected family, words and prefix`);
  }
  return { family, words: words.slice(), prefix };
}
