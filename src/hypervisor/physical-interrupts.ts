/** The machine's GIC as the hypervisor uses it: one distributor, and the CPU interface of the CPU that asks, with EOImode 1 (Arm IHI 0048B). */
import type { PhysicalCpu } from "./physical-cpu.ts";

export const MAINTENANCE = 25;
export const HYPERVISOR_TIMER = 26;

const GICD_CTLR = 0x000;
const GICD_ISENABLER = 0x100;
const GICD_ICENABLER = 0x180;
const GICD_ISACTIVER = 0x300;
const GICD_ICACTIVER = 0x380;
const GICD_ITARGETSR = 0x800;
const GICD_ICFGR = 0xc00;
const GICC_CTLR = 0x0000;
const GICC_PMR = 0x0004;
const GICC_IAR = 0x000c;
const GICC_EOIR = 0x0010;
const GICC_DIR = 0x1000;
const EOI_MODE = 1 << 9;

export class PhysicalInterrupts {
  readonly #gicd: number;
  readonly #gicc: number;

  constructor(distributor: number, cpuInterface: number) {
    this.#gicd = distributor;
    this.#gicc = cpuInterface;
  }

  /** Distributor and this CPU's interface on; maintenance and both timers' PPIs enabled. */
  setUp(cpu: PhysicalCpu, timers: readonly number[]): void {
    cpu.write(this.#gicd + GICD_CTLR, 4, 1);
    const ppis = [MAINTENANCE, HYPERVISOR_TIMER, ...timers].reduce((bits, id) => bits | (1 << id), 0);
    cpu.write(this.#gicd + GICD_ISENABLER, 4, ppis >>> 0);
    cpu.write(this.#gicc + GICC_PMR, 4, 0xf8);
    cpu.write(this.#gicc + GICC_CTLR, 4, 1 | EOI_MODE);
  }

  /** INTID of what is pending, now active and its priority running, with the requester of an SGI in bits 12:10; 1020 and above: nothing. */
  acknowledge(cpu: PhysicalCpu): number {
    return cpu.read(this.#gicc + GICC_IAR, 4);
  }
  drop(cpu: PhysicalCpu, acknowledged: number): void {
    cpu.write(this.#gicc + GICC_EOIR, 4, acknowledged);
  }
  deactivate(cpu: PhysicalCpu, acknowledged: number): void {
    cpu.write(this.#gicc + GICC_DIR, 4, acknowledged);
  }
  setActive(cpu: PhysicalCpu, id: number, active: boolean): void {
    cpu.write(this.#gicd + (active ? GICD_ISACTIVER : GICD_ICACTIVER) + 4 * (id >>> 5), 4, (1 << (id & 31)) >>> 0);
  }

  /** Routes a shared interrupt to a CPU, this one unless given; `enable` lets it come. */
  route(cpu: PhysicalCpu, id: number, edge: boolean, to: number = cpu.index): void {
    const at = this.#gicd + GICD_ICFGR + 4 * (id >>> 4);
    const shift = 2 * (id & 15) + 1;
    cpu.write(at, 4, ((cpu.read(at, 4) & ~(1 << shift)) | (edge ? 1 << shift : 0)) >>> 0);
    this.target(cpu, id, to);
  }
  /** One that is routed already comes to CPU `to` from here on. */
  target(cpu: PhysicalCpu, id: number, to: number): void {
    cpu.write(this.#gicd + GICD_ITARGETSR + id, 1, 1 << to);
  }
  enable(cpu: PhysicalCpu, id: number, on: boolean): void {
    cpu.write(this.#gicd + (on ? GICD_ISENABLER : GICD_ICENABLER) + 4 * (id >>> 5), 4, (1 << (id & 31)) >>> 0);
  }
}
