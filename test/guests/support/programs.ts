/** Programs of firmware/guests for Linux, compiled when a test needs them. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT, requireTool } from "./machines.ts";

/** firmware/guests/NAME.c as a static program. */
export function linuxProgram(name: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "armature-program-"));
  try {
    const out = join(folder, name);
    const compiler = requireTool("aarch64-linux-gnu-gcc");
    execFileSync(compiler, ["-O1", "-static", "-pthread", "-o", out, join(ROOT, "firmware/guests", `${name}.c`)]);
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
