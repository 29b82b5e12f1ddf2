/**
 * What the network ports of a file of VMs are joined to: the TOE's to a host inside the simulation that fetches from the VMs, or to a network outside; those of
 * PCIe cards to the network that the file names.
 */
import type { VirtOptions } from "../../platform/virt/machine.ts";
import { InputError } from "../formats/index.ts";
import { type HypervisorConfiguration, toeOf } from "../hypervisor/config.ts";
import type { ConnectCard } from "../hypervisor/pci/configuration.ts";
import { toeAddress } from "../hypervisor/toe/service.ts";
import { Link, type NetworkDevice } from "../net/index.ts";
import { MS, type Simulation, type Time, US } from "../sim/index.ts";
import { HttpPeer } from "../systems/http-peer.ts";
import { HostNetworks } from "./net/networks.ts";
import { farEndOf, linkOf } from "./options/far-end-options.ts";
import { KeyValues } from "./options/values.ts";

/** Simulated time between two looks at the outside. */
const LOOK = MS;

export class VmNetwork {
  #peer: HttpPeer | null = null;
  /** All networks of the file, its switches among them. */
  readonly networks = new HostNetworks();
  readonly #config: HypervisorConfiguration;
  readonly #list: KeyValues | null;

  /** `net`: as -netdev, without id. Throws InputError where it does not fit. */
  constructor(config: HypervisorConfiguration, net: string | undefined) {
    this.#config = config;
    this.#list = net === undefined ? null : new KeyValues(`--net ${net}`, net, "type");
    if (net !== undefined && !config.vms.some((vm) => toeOf(vm) !== undefined)) {
      throw new InputError(`--net ${net}: no VM has an interface of the TOE: expected devices.toe in the file`);
    }
  }

  get outside(): boolean {
    return this.networks.outside.length > 0;
  }

  /** What the TOE's port is joined to; undefined: nothing. */
  get connect(): NonNullable<VirtOptions["toe"]>["connect"] | undefined {
    const list = this.#list;
    if (list !== null) {
      return (parent, name, device) => {
        const far = farEndOf(list);
        const option = { where: list.where, id: "toe", far, link: linkOf(list) };
        list.finish();
        this.networks.connect(parent, name, device, option);
      };
    }
    if (this.#config.peer === undefined) return undefined;
    return (parent, name, device) => {
      this.#peer = connectPeer(this.#config, parent, name, device);
    };
  }

  /** Joins a PCIe card's port. Throws InputError where the file's `net` does not fit. */
  readonly connectCard: ConnectCard = (simulation, card, device) => {
    const net = this.#config.pci?.[card]?.net;
    if (net === undefined) return;
    const list = new KeyValues(`pci.${card}.net ${net}`, net, "type");
    const far = farEndOf(list);
    const option = { where: list.where, id: card, far, link: linkOf(list) };
    list.finish();
    this.networks.connect(simulation, `${card}_network`, device, option);
  };

  /** Runs up to `limit`, or until `done`, with frames from outside entering every millisecond; never ahead of host time. */
  async run(simulation: Simulation, limit: Time, done: () => boolean): Promise<void> {
    const { outside } = this.networks;
    let wake: (() => void) | null = null;
    for (const { port } of outside) {
      port.onReady = () => wake?.();
      await port.start();
    }
    const begun = performance.now();
    try {
      while (!done() && simulation.now < limit) {
        for (const o of outside) {
          while (o.port.ready && o.room > 0) {
            const frame = o.port.take();
            if (frame === null) break;
            o.enter(frame);
          }
        }
        simulation.run(Math.min(simulation.now + LOOK, limit));
        for (const { port } of outside) port.flush();
        const ahead = simulation.now / MS - (performance.now() - begun);
        await new Promise<void>((resolve) => {
          if (ahead <= 0 || outside.some((o) => o.port.ready)) setImmediate(resolve);
          else {
            for (const { port } of outside) port.listen();
            const timer = setTimeout(resolve, ahead);
            wake = () => {
              clearTimeout(timer);
              resolve();
            };
          }
        });
        wake = null;
      }
    } finally {
      for (const network of outside) await network.close();
    }
  }

  /** What the peer has fetched, as a table; empty where there is none. */
  get report(): string {
    if (this.#peer === null) return "";
    const rows = this.#peer.results().map((r) => {
      const rate = `${(r.rate / 1e6).toFixed(1)} Mb/s`.padStart(14);
      const crc = r.crc.toString(16).padStart(8, "0");
      return `${r.name.padEnd(13)} ${String(r.bytes).padStart(12)} ${rate}  ${crc}  ${r.outcome}`;
    });
    const head = `${"VM".padEnd(13)} ${"bytes".padStart(12)} ${"rate".padStart(14)}  ${"CRC-32".padEnd(8)}`;
    return `Fetched by the peer, in simulated time:\n${head}\n${rows.join("\n")}\n\n`;
  }
  /** All that the peer was to fetch has come. */
  get complete(): boolean {
    return this.#peer === null || this.#peer.results().every((r) => r.outcome === "done");
  }
}

/** The host of `peer` at the other end of the TOE's link: 10 Gb/s, 1 us. */
function connectPeer(
  config: HypervisorConfiguration,
  parent: Simulation,
  name: string,
  device: NetworkDevice,
): HttpPeer | null {
  const own = toeAddress(config.peer?.address ?? "");
  if (own === null || config.peer === undefined) return null;
  const { path } = config.peer;
  const targets = config.vms.flatMap((vm) => {
    const at = toeAddress(toeOf(vm)?.address ?? "");
    return at === null ? [] : [{ name: vm.name, address: at.address.slice(12), path }];
  });
  const link = new Link(parent, `${name}Link`, { rate: 10_000_000_000, delay: US });
  const peer = new HttpPeer(parent, `${name}Peer`, {
    mac: Uint8Array.of(0x52, 0x54, 0, 0x70, 0x65, 0x65),
    address: own.address.slice(12),
    prefix: own.prefix - 96,
    targets,
    send: (frame) => link.send(1, frame),
  });
  link.attach(0, device);
  link.attach(1, peer);
  device.onTransmit = (frame) => void link.send(0, frame);
  return peer;
}
