/** The registers of a virtio-mmio slot over qtest, driven as a driver would, on both machines: what software may rely on is alike. */
import { describe, expect, it } from "vitest";
import { machines } from "./support/machines.ts";
import { Qtest } from "./support/qtest.ts";

const SLOT31 = 0x0a00_3e00;
const RING = 0x4010_0000;
const PAGE = 4096;
const SPI = 16 + 31;

/** Debian's QEMU lacks the qtest accelerator: its CPU runs in circles in empty flash (its devices rest while the machine is stopped). */
const accelerator: { readonly [name: string]: readonly string[] } = {
  QEMU: ["-accel", "tcg"],
  Armature: ["-accel", "qtest"],
};

const hex = (n: number) => `0x${n.toString(16)}`;

async function withDevice(
  machine: (typeof machines)[number],
  legacy: boolean,
  device: readonly string[],
  use: (q: Driver) => Promise<void>,
): Promise<void> {
  const force = legacy ? [] : ["-global", "virtio-mmio.force-legacy=false"];
  await using qtest = await Qtest.open(machine, [...(accelerator[machine.name] ?? []), ...force, ...device]);
  await use(new Driver(qtest, legacy));
}

class Driver {
  readonly qtest: Qtest;
  readonly #legacy: boolean;

  constructor(qtest: Qtest, legacy: boolean) {
    this.qtest = qtest;
    this.#legacy = legacy;
  }
  async read(offset: number, size: "b" | "w" | "l" = "l"): Promise<number> {
    return Number(await this.qtest.read(size, SLOT31 + offset));
  }
  async reads(...offsets: number[]): Promise<number[]> {
    const values: number[] = [];
    for (const offset of offsets) values.push(await this.read(offset));
    return values;
  }
  async write(offset: number, value: number): Promise<void> {
    await this.qtest.write("l", SLOT31 + offset, value);
  }
  async features(word: number): Promise<number> {
    await this.write(0x014, word);
    return this.read(0x010);
  }
  /** VIRTIO 1.2 3.1.1 and 4.2.3.2 with one queue of four entries, or 4.2.4. */
  async start(): Promise<void> {
    for (const status of [0, 1, 3]) await this.write(0x070, status);
    if (this.#legacy) await this.write(0x028, PAGE);
    await this.write(0x024, 0);
    await this.write(0x020, 0);
    if (!this.#legacy) {
      await this.write(0x024, 1);
      await this.write(0x020, 1);
      await this.write(0x070, 11);
      expect(await this.read(0x070)).toBe(11);
    }
    await this.write(0x030, 0);
    await this.write(0x038, 4);
    if (this.#legacy) {
      await this.write(0x03c, PAGE);
      await this.write(0x040, RING / PAGE);
    } else {
      for (const [offset, address] of [
        [0x080, RING],
        [0x090, RING + 64],
        [0x0a0, RING + PAGE],
      ] as const) {
        await this.write(offset, address);
        await this.write(offset + 4, 0);
      }
      await this.write(0x044, 1);
    }
    await this.write(0x070, this.#legacy ? 7 : 15);
  }
  /** Offers descriptor 0, a buffer of 32 bytes for the device to fill, as number `index` of the ring, and notifies. */
  async offer(index: number): Promise<void> {
    await this.qtest.write("q", RING, RING + 2 * PAGE);
    await this.qtest.write("l", RING + 8, 32);
    await this.qtest.write("l", RING + 12, 2);
    await this.qtest.write("w", RING + 64 + 4 + 2 * (index % 4), 0);
    await this.qtest.write("w", RING + 64 + 2, index + 1);
    await this.write(0x050, 0);
  }
}

const RNG = ["-object", "rng-builtin,id=r", "-device", "virtio-rng-device,rng=r"];

for (const machine of machines) {
  for (const legacy of [true, false]) {
    describe(`virtio-mmio on ${machine.name}, ${legacy ? "legacy" : "version 2"}`, { retry: machine.retry }, () => {
      it("shows magic, version, device and vendor; an empty slot has device id 0", async () => {
        await withDevice(machine, legacy, RNG, async (d) => {
          expect(await d.reads(0x000, 0x004, 0x008, 0x00c)).toEqual([0x7472_6976, legacy ? 1 : 2, 4, 0x554d_4551]);
          const empty = SLOT31 - 0x200;
          expect(Number(await d.qtest.read("l", empty))).toBe(0x7472_6976);
          expect(Number(await d.qtest.read("l", empty + 8))).toBe(0);
        });
      });

      it("offers indirect descriptors, event indices and, in version 2 alone, VERSION_1", async () => {
        await withDevice(machine, legacy, RNG, async (d) => {
          expect((await d.features(0)) & 0x3000_0000).toBe(0x3000_0000);
          expect((await d.features(1)) & 1).toBe(legacy ? 0 : 1);
        });
      });

      it("has a queue 0 and no queue 1; control registers read as zero at other widths", async () => {
        await withDevice(machine, legacy, RNG, async (d) => {
          await d.write(0x030, 0);
          expect(await d.read(0x034)).toBeGreaterThanOrEqual(8);
          await d.write(0x030, 1);
          expect(await d.read(0x034)).toBe(0);
          expect([await d.read(0x000, "b"), await d.read(0x008, "w")]).toEqual([0, 0]);
        });
      });

      it("fills a buffer, raises its interrupt, lowers it when acknowledged, and forgets all at reset", async () => {
        await withDevice(machine, legacy, RNG, async (d) => {
          expect(await d.qtest.ask("irq_intercept_in /machine/unattached/device[1]")).toBe("OK");
          await d.start();
          expect(await d.read(legacy ? 0x040 : 0x044)).toBe(legacy ? RING / PAGE : 1);
          await d.offer(0);
          // QEMU's source of entropy takes its time.
          for (let i = 0; i < 200 && Number(await d.qtest.read("w", RING + PAGE + 2)) === 0; i++) {
            await new Promise((resolve) => setTimeout(resolve, 20));
          }
          expect(Number(await d.qtest.read("w", RING + PAGE + 2))).toBe(1);
          expect(Number(await d.qtest.read("l", RING + PAGE + 8))).toBe(32);
          expect(await d.read(0x060)).toBe(1);
          expect(d.qtest.interrupts).toContain(`raise ${SPI}`);
          await d.write(0x064, 1);
          expect(await d.read(0x060)).toBe(0);
          expect(d.qtest.interrupts.at(-1)).toBe(`lower ${SPI}`);
          await d.write(0x070, 0);
          expect(await d.reads(0x070, 0x060, legacy ? 0x040 : 0x044)).toEqual([0, 0, 0]);
        });
      });

      it("keeps the configuration: a network device's address and link, byte by byte", async () => {
        const net = ["-netdev", "user,id=n", "-device", "virtio-net-device,netdev=n,mac=52:54:00:12:34:99"];
        await withDevice(machine, legacy, net, async (d) => {
          const bytes: number[] = [];
          for (let i = 0; i < 6; i++) bytes.push(await d.read(0x100 + i, "b"));
          expect(bytes.map(hex)).toEqual([0x52, 0x54, 0, 0x12, 0x34, 0x99].map(hex));
          expect(await d.read(0x106, "w")).toBe(1);
          expect((await d.features(0)) & ((1 << 5) | (1 << 15) | (1 << 16))).toBe((1 << 5) | (1 << 15) | (1 << 16));
        });
      });
    });
  }
}
