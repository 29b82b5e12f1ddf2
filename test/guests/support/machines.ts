/** The programs under test: Armature, and the emulator whose command line it has, as the reference. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Session } from "./session.ts";

const { ARMATURE_GUESTS, ARMATURE_TEST_MACHINES, PATH = "" } = process.env;

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
export const SELFTEST = join(ROOT, "firmware/images/selftest.elf");

export interface Machine {
  readonly name: string;
  /** How often a failed test is tried again: QEMU runs on the host's clock, and a busy host makes it lose keys. Armature gets one try. */
  readonly retry: number;
  /** Options as QEMU's; `-M virt` and a GICv2 are given. */
  start(options: readonly string[], machine?: string): Session;
}

export const armature: Machine = {
  name: "Armature",
  retry: 0,
  start: (options, machine = "") =>
    new Session(process.execPath, [join(ROOT, "bin/armature-system-aarch64.mjs"), "-M", `virt${machine}`, ...options]),
};

/** `-nic none`: Debian's package recommends, but does not need, the boot ROMs of network cards. */
export const qemu: Machine = {
  name: "QEMU",
  retry: 2,
  start: (options, machine = "") => {
    const fixed = ["-M", `virt,gic-version=2${machine}`, "-cpu", "cortex-a57", "-nic", "none"];
    return new Session(requireTool("qemu-system-aarch64"), [...fixed, ...options]);
  },
};

/**
 * What a test runs on: Armature, and QEMU, which shows that the test asks for nothing peculiar. ARMATURE_TEST_MACHINES=qemu or
 * =armature names one alone.
 */
export const machines: readonly Machine[] = [armature, qemu].filter(
  (m) => (ARMATURE_TEST_MACHINES ?? m.name).toLowerCase() === m.name.toLowerCase(),
);

/** The verbs of the command line of our own. */
export function cli(...args: string[]): Session {
  return new Session(process.execPath, [join(ROOT, "bin/armature.mjs"), ...args]);
}

/** Path of a guest image; throws with what to do where it is missing. */
export function requireGuest(name: string): string {
  const folder = join(ARMATURE_GUESTS ?? join(homedir(), ".cache/armature-guests"), "img");
  const path = join(folder, name);
  if (!existsSync(path))
    throw new Error(`${path} is missing: "npm run guests" fetches it, or put your own image there`);
  return path;
}

/** A module of the guest kernel, by its path below "kernel" without ".ko"; throws with what to do where it is missing. */
export function requireModule(path: string): Uint8Array {
  const root = join(ARMATURE_GUESTS ?? join(homedir(), ".cache/armature-guests"), "root");
  for (const modules of [join(root, "lib/modules"), join(root, "usr/lib/modules")]) {
    const release = existsSync(modules) ? readdirSync(modules).find((name) => name.endsWith("-arm64")) : undefined;
    const file = release === undefined ? "" : join(modules, release, "kernel", `${path}.ko`);
    if (file !== "" && existsSync(file)) return readFileSync(file);
    if (file !== "" && existsSync(`${file}.xz`))
      return execFileSync(requireTool("xz"), ["-dc", `${file}.xz`], { maxBuffer: 2 ** 26 });
  }
  throw new Error(`module ${path} is in no folder below ${root}: "npm run guests" fetches it`);
}

export function requireTool(name: string): string {
  const found = PATH.split(delimiter).find((folder) => existsSync(join(folder, name)));
  if (found === undefined) throw new Error(`${name} is not on the PATH: "npm run guests" installs it on Debian`);
  return join(found, name);
}

/** A TCP port of the loopback interface that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  return address.port;
}
