/**
 * Frames a second through a link, a link that draws random numbers, a switch of four ports, and a TAP device: frames written, and ARP requests that the
 * host's kernel answers. From TypeScript on one core. TAP needs root, /dev/net/tun, koffi, unshare and ip, and runs in a network namespace of its own.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { outsidePort } from "../src/host/net/networks.ts";
import { type Frame, joinStations, type LinkOptions, type NetworkDevice, Switch } from "../src/net/index.ts";
import { Simulation } from "../src/sim/index.ts";
import { best, report } from "./support/measure.ts";

class Host implements NetworkDevice {
  onTransmit: ((frame: Frame) => void) | null = null;
  heard = 0;
  receive(): void {
    this.heard++;
  }
}

const N = 100_000;
const BURST = 64;

function frameTo(to: number, from: number, length: number): Frame {
  const frame = new Uint8Array(length);
  frame.set([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0]);
  return frame;
}

function throughLink(length: number, options: LinkOptions): number {
  const simulation = new Simulation();
  const [a, b] = [new Host(), new Host()];
  joinStations(simulation, "link", a, b, options);
  simulation.reset();
  const frame = frameTo(1, 2, length);
  return best(() => {
    for (let i = 0; i < N; i += BURST) {
      for (let k = 0; k < BURST; k++) a.onTransmit?.(frame);
      simulation.run(simulation.now + 10_000_000);
    }
  }, N);
}

function throughSwitch(length: number, vlans: boolean): number {
  const simulation = new Simulation();
  const hub = new Switch(simulation, "switch", { vlans });
  const hosts = [0, 1, 2, 3].map((n) => {
    const host = new Host();
    joinStations(simulation, `link${n}`, host, hub.addPort(), { rate: 10_000_000_000 });
    return host;
  });
  simulation.reset();
  hosts.forEach((h, n) => {
    h.onTransmit?.(frameTo(0xff, n, 60));
  });
  simulation.run(10_000_000);
  const frames = hosts.map((_, n) => frameTo((n + 1) % 4, n, length));
  return best(() => {
    for (let i = 0; i < N; i += BURST) {
      for (let k = 0; k < BURST; k++) hosts[k & 3]?.onTransmit?.(frames[k & 3] as Frame);
      simulation.run(simulation.now + 10_000_000);
    }
  }, N);
}

/** Inside the namespace. */
async function tap(): Promise<void> {
  const port = outsidePort("tap", { kind: "tap", ifname: "tap0" });
  await port.start();
  for (const words of ["addr add 10.79.0.1/24 dev tap0", "link set tap0 up"]) execFileSync("ip", words.split(" "));
  for (const length of [60, 1514]) {
    const frame = frameTo(1, 2, length);
    report(
      `TAP: frames of ${length} bytes to the host`,
      best(() => {
        for (let i = 0; i < 10_000; i++) port.send(frame);
      }, 10_000),
    );
  }
  const request = new Uint8Array(60);
  request.set([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2]);
  request.set([10, 79, 0, 2, 0, 0, 0, 0, 0, 0, 10, 79, 0, 1], 28);
  const isReply = (f: Frame) => f[12] === 8 && f[13] === 6 && f[21] === 2;
  report(
    "TAP: ARP requests that the host answers",
    best(() => {
      for (let i = 0; i < 5000; i++) {
        port.send(request);
        for (let tries = 0; tries < 1_000_000; tries++) {
          const frame = port.take();
          if (frame !== null && isReply(frame)) break;
        }
      }
    }, 5000),
  );
  await port.close();
}

if (process.argv[2] === "tap") await tap();
else {
  for (const length of [60, 1514])
    report(`link of 10 Gb/s, ${length} bytes`, throughLink(length, { rate: 10_000_000_000 }));
  const impairments = { loss: 0.01, duplicate: 0.01, reorder: 0.01, corrupt: 0.01, jitter: 1000 };
  report(
    "the same with loss, duplicates, reordering, corruption, jitter",
    throughLink(1514, { rate: 10_000_000_000, impairments }),
  );
  report("switch of four ports (two links), 1514 bytes", throughSwitch(1514, false));
  report("switch with VLANs, 1514 bytes", throughSwitch(1514, true));
  if (process.getuid?.() !== 0 || !existsSync("/dev/net/tun"))
    console.log("TAP: left out: needs root and /dev/net/tun");
  else {
    const { status } = spawnSync("unshare", ["-n", process.execPath, fileURLToPath(import.meta.url), "tap"], {
      stdio: "inherit",
    });
    if (status !== 0) process.exitCode = 1;
  }
}
