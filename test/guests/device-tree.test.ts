/** The board's device tree and Debian's device tree compiler; and the tree that QEMU makes for its machine. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { armature, cli, machines, qemu, requireTool } from "./support/machines.ts";
import { run, type Session } from "./support/session.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "armature-dtb-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function ended(session: Session): Promise<string> {
  await using s = session;
  s.closeInput();
  const code = await s.exit(60);
  if (code !== 0) throw new Error(`code ${code}\n${s.describe()}`);
  return s.output;
}

async function dtc(from: "dtb" | "dts", to: "dtb" | "dts", path: string): Promise<{ text: string; warnings: string }> {
  const out = join(folder, `out.${to}`);
  const { code, errors } = await run(requireTool("dtc"), ["-I", from, "-O", to, "-o", out, path]);
  if (code !== 0) throw new Error(`dtc: ${errors}`);
  return { text: readFileSync(out, "latin1"), warnings: errors };
}

async function tree(machine: typeof armature, options = ""): Promise<string> {
  const path = join(folder, `${machine.name}.dtb`);
  await ended(machine.start(["-display", "none", "-serial", "none", "-monitor", "none"], `,dumpdtb=${path}${options}`));
  return path;
}

/** Node paths with their properties, phandles and seeds aside. */
function properties(dts: string): Map<string, string> {
  const found = new Map<string, string>();
  const path: string[] = [];
  for (const raw of dts.split("\n")) {
    const line = raw.trim();
    const open = /^(\S+) \{$/.exec(line);
    if (open) path.push(open[1] as string);
    else if (line === "};") path.pop();
    else {
      const [, name, value] = /^(\S+?)(?: = (.*))?;$/.exec(line) ?? [];
      if (name !== undefined) found.set(`${path.slice(1).join("/")}:${name}`, value ?? "");
    }
  }
  return found;
}

describe.runIf(machines.includes(armature))("armature dtb", () => {
  it("writes a tree that dtc reads without a warning about its structure", async () => {
    const path = join(folder, "ours.dtb");
    await ended(cli("dtb", "-o", path));
    const { text, warnings } = await dtc("dtb", "dts", path);
    expect(text).toContain('compatible = "linux,dummy-virt"');
    // QEMU's own tree has the same remarks: names without an address, an interrupt map over a bridge that has none.
    expect(warnings).not.toMatch(/error|\(reg_format\)|\(ranges_format\)|\(phandle_references\)|\(duplicate/i);
  });

  it("survives dtc's way to source and back, byte by byte in meaning", async () => {
    const path = join(folder, "ours.dtb");
    await ended(cli("dtb", "-o", path));
    const first = await dtc("dtb", "dts", path);
    const again = join(folder, "again.dts");
    writeFileSync(again, first.text);
    await dtc("dts", "dtb", again);
    const back = join(folder, "back.dtb");
    writeFileSync(back, readFileSync(join(folder, "out.dtb")));
    expect((await dtc("dtb", "dts", back)).text).toBe(first.text);
  });

  it("--dts prints what dtc prints", async () => {
    const path = join(folder, "ours.dtb");
    await ended(cli("dtb", "-o", path));
    expect(await ended(cli("dtb", "--dts"))).toBe((await dtc("dtb", "dts", path)).text);
  });
});

describe.runIf(machines.length === 2)("device tree beside QEMU's", () => {
  for (const options of ["", ",virtualization=on"]) {
    it(`has every property of QEMU's tree${options}, but for what the board does not have`, async () => {
      const ours = properties((await dtc("dtb", "dts", await tree(armature, options))).text);
      const theirs = properties((await dtc("dtb", "dts", await tree(qemu, options))).text);
      // Values that refer to phandles are numbered by each in its own way, seeds are random.
      const numbered =
        /:(phandle|interrupt-parent|clocks|gpios|interrupt-map|msi-map|msi-parent|cpu|rng-seed|kaslr-seed)$/;
      const missing: string[] = [];
      for (const [name, value] of theirs) {
        const mine = ours.get(name);
        if (mine === undefined) missing.push(`${name} is missing`);
        else if (!numbered.test(name) && mine !== value) missing.push(`${name}: ${mine} instead of ${value}`);
      }
      expect(missing).toEqual([]);
    });
  }
});
