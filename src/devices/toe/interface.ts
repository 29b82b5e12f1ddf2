/**
 * One control interface of the device: grant, addresses and routes, and behind its frame commands and sockets (docs/devices/toe.md 3 to 6, 13).
 * Its protocols are a stack that no other interface can reach.
 */
import type { Port } from "../../bus/index.ts";
import type { Frame } from "../../net/index.ts";
import type { Hooks } from "../../registers/index.ts";
import { type Event, NEVER } from "../../sim/index.ts";
import { isMapped, isZero, toEngine } from "./addresses.ts";
import { ADDRESSES, COUNTER, ROUTES } from "./codes.ts";
import type { Route, StackApi, StackConfiguration } from "./engine/api.ts";
import { Executor } from "./executor.ts";
import { InterfaceFrame, type InterfaceHooks } from "./frame.ts";
import type { ToeCore } from "./toe.ts";

/** Bytes of an entry in the tables: address, gateway, prefix, valid. */
export const TABLE_ENTRY = 34;

export class ControlInterface extends InterfaceFrame {
  readonly core: ToeCore;
  readonly number: number;
  readonly executor: Executor;
  readonly stack: StackApi;
  readonly #addresses: Uint8Array;
  readonly #routes: Uint8Array;
  readonly #pump: Event;

  constructor(core: ToeCore, number: number) {
    super(core, `if${number}`, false);
    this.core = core;
    this.number = number;
    const tables = this.state(
      { addresses: new Uint8Array(ADDRESSES * TABLE_ENTRY), routes: new Uint8Array(ROUTES * TABLE_ENTRY) },
      "tables",
    );
    this.#addresses = tables.addresses;
    this.#routes = tables.routes;
    this.#pump = this.event("pump", () => {
      const { now } = this.simulation;
      const due = this.run();
      if (due > now && due !== NEVER) this.#pump.notify(due - now);
    });
    this.stack = core.makeStack(this, "stack", {
      onSocket: (socket, events) => this.executor.happened(socket, events),
      transmit: (frame: Frame) => this.core.network.transmit(this.number, frame),
    });
    this.executor = this.part("executor", new Executor(this));
  }

  get port(): Port {
    return this.core.host.port(this.number);
  }
  get addresses(): Uint8Array {
    return this.#addresses;
  }
  get routes(): Uint8Array {
    return this.#routes;
  }
  protected get carrier(): boolean {
    return this.core.network.carrier;
  }

  /** Runs soon, at this instant. */
  kick(): void {
    this.#pump.notify(0);
  }
  protected begin(): boolean {
    return true;
  }
  protected fetch(): void {
    this.executor.fetch();
  }
  protected roomAgain(): void {
    this.executor.roomAgain();
  }
  protected buffersAgain(): void {
    this.executor.buffersAgain();
  }
  protected completeAll(status: number): void {
    this.executor.completeAll(status);
  }
  protected forget(ran: boolean): void {
    this.executor.clear();
    this.core.dropInterface(this.number);
    this.#pump.cancel();
    if (ran) this.stack.clear();
  }
  protected override onError(): void {
    this.core.interfaceError(this.number);
  }

  // Configuration, manual 13.

  /** Hands addresses, routes and quotas to the stack. */
  override configure(): void {
    const { core, number } = this;
    const mac = core.macOf(number);
    const addresses: StackConfiguration["addresses"][number][] = [];
    for (const { address, prefix } of entriesOf(this.#addresses)) {
      const family = isMapped(address) ? 4 : 6;
      const own = toEngine(address, family);
      if (own !== null) addresses.push({ address: own, prefix: family === 4 ? prefix - 96 : prefix });
    }
    const routes: Route[] = [];
    for (const { address, gateway, prefix } of entriesOf(this.#routes)) {
      const family = isMapped(address) ? 4 : 6;
      const destination = toEngine(address, family);
      const via = isZero(gateway) ? null : toEngine(gateway, family);
      if (destination === null) continue;
      routes.push({
        destination,
        prefix: family === 4 ? prefix - 96 : prefix,
        ...(via === null ? {} : { gateway: via }),
      });
    }
    this.stack.configure({ mac, mtu: core.mtuOf(number), addresses, routes });
    this.stack.setQuotas(core.quotasOf(number));
  }

  /** A frame for this interface, without tag. */
  receive(frame: Frame): void {
    if (!this.running) return;
    this.count(COUNTER.RECEIVED, 1);
    this.count(COUNTER.RECEIVED_BYTES, frame.length);
    this.stack.input(frame);
  }

  // Registers.

  protected values(): InterfaceHooks {
    const value = (get: () => number): Hooks => ({ get });
    const mac = (high: boolean) => {
      const m = this.core.macOf(this.number);
      const b = (i: number) => m[i] as number;
      return high ? b(4) | (b(5) << 8) : b(0) | (b(1) << 8) | (b(2) << 16) | (b(3) << 24);
    };
    return {
      NUMBER: value(() => this.number),
      MAX_COMMANDS: value(() => this.core.outstanding),
      MAC_LOW: value(() => mac(false)),
      MAC_HIGH: value(() => mac(true)),
      VLAN: value(() => this.core.management("IF_VLAN", this.number)),
      MTU: value(() => this.core.mtuOf(this.number)),
      SOCKET_QUOTA: value(() => this.core.management("IF_SOCKETS", this.number)),
      MEMORY_QUOTA: value(() => this.core.management("IF_MEMORY", this.number)),
      WEIGHT: value(() => this.core.weightOf(this.number)),
      SOCKETS: value(() => this.executor.sockets),
      MEMORY: value(() => this.stack.bufferBytes),
      OUTSTANDING: value(() => this.executor.outstanding),
      ADDRESS: {
        get: (index) => {
          const at = (index >> 2) * TABLE_ENTRY;
          return this.#addresses[at + 33] === 1 ? wordAt(this.#addresses, at + 4 * (index & 3)) : 0;
        },
      },
      PREFIX: {
        get: (index) => {
          const at = index * TABLE_ENTRY;
          return this.#addresses[at + 33] === 1 ? (this.#addresses[at + 32] as number) | 0x100 : 0;
        },
      },
    };
  }
}

export function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

function* entriesOf(table: Uint8Array): Generator<{ address: Uint8Array; gateway: Uint8Array; prefix: number }> {
  for (let at = 0; at < table.length; at += TABLE_ENTRY) {
    if (table[at + 33] !== 1) continue;
    yield {
      address: table.subarray(at, at + 16),
      gateway: table.subarray(at + 16, at + 32),
      prefix: table[at + 32] as number,
    };
  }
}
