/** The table of exits and costs at the end of a run of VMs. */
import type { ExitRow, HypervisorReport } from "../hypervisor/report.ts";

/** Registers shown of each VM. */
const REGISTERS = 5;

export function reportText(report: HypervisorReport): string {
  const out: string[] = [];
  const head = ["VM", "exits by", "", "count", "at EL2", "cycles each"];
  const rows: string[][] = [];
  for (const vm of report.vms) {
    const add = (kind: string, list: readonly ExitRow[]): void => {
      list.forEach((r, n) => {
        const each = r.count === 0 ? "" : Math.round(r.cycles / r.count).toLocaleString("en");
        rows.push(["", n === 0 ? kind : "", r.name, r.count.toLocaleString("en"), micro(r.seconds), each]);
      });
    };
    rows.push([vm.name, "all", "", vm.exits.toLocaleString("en"), micro(vm.seconds), ""]);
    if (vm.refusedDma > 0) rows.push(["", "refused DMA", "", vm.refusedDma.toLocaleString("en"), "", ""]);
    add("reason", vm.reasons);
    add("region", vm.regions.slice(0, REGISTERS));
    add("register", vm.registers.slice(0, REGISTERS));
  }
  out.push(...table(head, rows, [false, false, false, true, true, true]), "");
  const vcpus = report.vms.flatMap((vm) =>
    vm.vcpus.map((v) => [
      `${vm.name}.${v.name}`,
      ...[v.running, v.waiting, v.stolen, v.blocked].map(micro),
      `${v.dispatches}`,
      `${v.interrupts}`,
      micro(v.interruptLatency),
      micro(v.longestInterruptLatency),
    ]),
  );
  const names = ["vCPU", "run", "waited", "stolen", "asleep", "dispatched", "interrupts", "latency", "longest"];
  out.push(...table(names, vcpus, [false, true, true, true, true, true, true, true, true]));
  out.push("", `Times in microseconds of simulated time; scheduler ${report.scheduler}.`);
  return out.join("\n");
}

function micro(seconds: number): string {
  return (seconds * 1e6).toLocaleString("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });
}

export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly boolean[],
): string[] {
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map((r) => (r[i] ?? "").length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((c, i) => (right[i] === true ? c.padStart(widths[i] as number) : c.padEnd(widths[i] as number)))
      .join("  ")
      .trimEnd();
  return [line(head), widths.map((w) => "-".repeat(w)).join("  "), ...rows.map(line)];
}
