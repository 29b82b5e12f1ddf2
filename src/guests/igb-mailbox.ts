/** What of an 82576 PF driver virtual functions need: answers to their mailbox messages (datasheet 7.10.2.9), here the reset request alone; others are refused. */
import { GRANTED, MAILBOX_BYTES, MESSAGE, P2V, REFUSED } from "../devices/i82576/messages.ts";
import type { Guest, GuestProgram, Routine } from "../hypervisor/abstract/index.ts";

const CTRL_EXT = 0x18;
const P2VMAILBOX = 0xc00;
const MBVFICR = 0xc80;
const VFLRE = 0xc88;
const VFRE = 0xc8c;
const VFTE = 0xc90;
const VMBMEM = 0x800;

const PFRSTD = 1 << 14;

export interface MailboxOptions {
  /** Where the PFs' registers are. */
  readonly ports: readonly number[];
  readonly functions: number;
  /** Address of VF `vf` of port `port`. */
  readonly address: (port: number, vf: number) => Uint8Array;
  /** Cycles between two looks at all ports. */
  readonly interval: number;
  /** Looks before the program ends; for ever unless given. */
  readonly looks?: number;
}

/** Tells the VFs that the PFs are ready, then serves them. */
export function mailboxServer(options: MailboxOptions): GuestProgram {
  const { ports, functions, address } = options;

  function* answer(g: Guest, port: number, vf: number): Routine {
    const base = ports[port] as number;
    const memory = base + VMBMEM + MAILBOX_BYTES * vf;
    const message = yield g.load(memory);
    yield g.store(base + P2VMAILBOX + 4 * vf, P2V.PFU);
    if ((message & 0xffff) === MESSAGE.reset) {
      // a reset has switched the function's queues off
      yield g.store(base + VFRE, (yield g.load(base + VFRE)) | (1 << vf));
      yield g.store(base + VFTE, (yield g.load(base + VFTE)) | (1 << vf));
      const mac = address(port, vf);
      const byte = (n: number) => mac[n] as number;
      yield g.store(memory + 4, ((byte(3) << 24) | (byte(2) << 16) | (byte(1) << 8) | byte(0)) >>> 0);
      yield g.store(memory + 8, (byte(5) << 8) | byte(4));
      yield g.store(memory, (GRANTED | MESSAGE.reset) >>> 0);
    } else yield g.store(memory, (REFUSED | message) >>> 0);
    yield g.store(base + P2VMAILBOX + 4 * vf, P2V.STS | P2V.ACK);
  }

  return {
    name: "mailbox server",
    *main(g) {
      for (const base of ports) yield g.store(base + CTRL_EXT, (yield g.load(base + CTRL_EXT)) | PFRSTD);
      for (let look = 0; look < (options.looks ?? Number.POSITIVE_INFINITY); look++) {
        for (let port = 0; port < ports.length; port++) {
          const base = ports[port] as number;
          const posted = yield g.load(base + MBVFICR);
          if (posted === 0) continue;
          yield g.store(base + MBVFICR, posted);
          yield g.store(base + VFLRE, yield g.load(base + VFLRE));
          for (let vf = 0; vf < functions; vf++) if ((posted & (1 << vf)) !== 0) yield* answer(g, port, vf);
        }
        yield g.compute(options.interval);
      }
    },
  };
}
