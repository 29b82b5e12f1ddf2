/**
 * iperf3 over TCP through virtio-net under Debian's kernel to a peer behind a TAP device, Armature (with its offloads, and without) beside QEMU, by turns: the same
 * guest, a fixed number of bytes each way, by this machine's clock and by the processor time of the machine's process. Medians.
 * Needs root for TAP, iperf3, QEMU and what `npm run guests` fetches.
 *   node bench/virtio-net.ts [RUNS] [MEGABYTES]
 */
import { join } from "node:path";
import { ROOT } from "../test/guests/support/machines.ts";
import { needImages, needTap, outsideScript, short, TAP, type Transfer, transfers } from "./support/linux.ts";
import { median } from "./support/measure.ts";

needImages("vmlinuz");
needTap();
const runs = Number(process.argv[2] ?? 1);
const MEGABYTES = Number(process.argv[3] ?? (short ? 16 : 256));

const OFF =
  "csum=off,guest_csum=off,host_tso4=off,host_tso6=off,host_ecn=off,guest_tso4=off,guest_tso6=off,guest_ecn=off";
const ARMATURE = [process.execPath, join(ROOT, "bin/armature-system-aarch64.mjs")];
const QEMU = ["qemu-system-aarch64", "-cpu", "cortex-a57", "-accel", "tcg,thread=single", "-nic", "none"];
const machines = [
  { name: "Armature", program: ARMATURE, device: "" },
  { name: "Armature, no offloads", program: ARMATURE, device: `,${OFF}` },
  { name: "QEMU", program: QEMU, device: "" },
].map((machine) => ({ ...machine, found: [] as Transfer[][] }));

for (let i = 0; i < runs; i++) {
  for (const { program, device, found } of machines) {
    const words = [
      ...[...program, "-M", "virt", "-netdev", TAP, "-device", `virtio-net-device,netdev=n0${device}`],
      ...["-append", "console=ttyAMA0 vpmods=virtio_mmio,virtio_net vptest=transfers"],
    ];
    found.push(await transfers(words, outsideScript(MEGABYTES), 2, MEGABYTES));
  }
}
console.log(`iperf3, TCP, ${MEGABYTES} MiB, medians of ${runs}: Mb/s, processor time in ms a MiB, segments sent again`);
for (const { name, found } of machines) {
  const cells = ["guest to outside", "outside to guest"].map((what, k) => {
    const of = (key: keyof Transfer) => median(found.map((r) => (r[k] as Transfer)[key]));
    return `${what} ${of("rate").toFixed(0)}, ${of("cost").toFixed(1)}, ${of("again").toFixed(0)}`;
  });
  console.log(`${name.padEnd(22)}  ${cells.join("; ")}`);
}
