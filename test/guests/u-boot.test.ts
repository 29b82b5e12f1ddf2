/** Debian's unmodified U-Boot for QEMU arm64 at its prompt, at EL1 and EL2. */
import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { armature, cli, type Machine, machines, requireGuest } from "./support/machines.ts";
import type { Session } from "./support/session.ts";

const PROMPT = "=> ";

function boot(machine: Machine, el2: boolean): Session {
  return machine.start(
    ["-smp", "1", "-m", "256M", "-nographic", "-bios", requireGuest("u-boot.bin")],
    el2 ? ",virtualization=on" : "",
  );
}

async function toPrompt(session: Session): Promise<void> {
  await session.expect(/U-Boot 20\d\d\.\d\d/, 90);
  await toPromptFromBanner(session);
}

async function toPromptFromBanner(session: Session): Promise<void> {
  await session.expect("Hit any key to stop autoboot:", 90);
  session.send("\r");
  await session.expect(PROMPT, 30);
}

/** Runs a command and returns what it printed. */
async function command(session: Session, line: string): Promise<string> {
  session.send(`${line}\r`);
  // U-Boot echoes what it reads.
  await session.expect(/\r?\n/, 30);
  const from = session.output.length;
  await session.expect(/^=> /, 30);
  const start = session.output.lastIndexOf(line, from) + line.length;
  return session.output.slice(start, session.output.lastIndexOf(PROMPT)).replace(/\r/g, "").trim();
}

for (const machine of machines) {
  for (const el2 of [false, true]) {
    describe(`U-Boot on ${machine.name} at ${el2 ? "EL2" : "EL1"}`, { retry: machine.retry }, () => {
      it("answers version, bdinfo, md, mw and reset", async () => {
        await using session = boot(machine, el2);
        await toPrompt(session);
        expect(await command(session, "version")).toMatch(/^U-Boot 20\d\d\.\d\d.*\n[\s\S]*aarch64-linux-gnu-gcc/);
        const bdinfo = await command(session, "bdinfo");
        expect(bdinfo).toMatch(/DRAM bank\s+= 0x0+\n-> start\s+= 0x0*40000000\n-> size\s+= 0x0*10000000/);
        expect(bdinfo).toMatch(/relocaddr\s+= 0x[0-9a-f]{16}/);

        // PL011's identification: part 0x011, designer ARM; the revision (high half of the third) is r1p4 on QEMU, r1p5 here.
        const id = await command(session, "md.l 0x09000fe0 8");
        expect(id).toMatch(/^09000fe0: 00000011 00000010 000000[13]4 00000000 {2}/);
        expect(id).toMatch(/\n09000ff0: 0000000d 000000f0 00000005 000000b1 {2}/);

        await command(session, "mw.l 0x41000000 0xdeadbeef 4");
        await command(session, "mw.b 0x41000005 0x5a 1");
        await command(session, "mw.q 0x41000010 0x0123456789abcdef 1");
        const memory = await command(session, "md.l 0x41000000 6");
        expect(memory).toMatch(/^41000000: deadbeef dead5aef deadbeef deadbeef {2}/);
        expect(memory).toMatch(/\n41000010: 89abcdef 01234567 /);

        // PSCI's conduit says at which level it runs.
        await command(session, "fdt addr $fdtcontroladdr");
        expect(await command(session, "fdt print /psci method")).toBe(`method = "${el2 ? "smc" : "hvc"}"`);

        session.send("reset\r");
        await session.expect("resetting ...", 30);
        await toPrompt(session);
        // RAM and devices are as after power-on for U-Boot; it works on.
        expect(await command(session, "echo again")).toBe("again");
        session.send("\u0001x");
        expect(await session.exit(10)).toBe(0);
      });

      it("erases and writes its flash, keeps its environment there over a reset, and powers off", async () => {
        await using session = boot(machine, el2);
        await toPrompt(session);
        const start = readFileSync(requireGuest("u-boot.bin")).subarray(0, 0x1000);
        expect(await command(session, "crc32 0 1000")).toMatch(
          new RegExp(`==> ${crc32(start).toString(16).padStart(8, "0")}$`),
        );
        expect(await command(session, "flinfo")).toMatch(
          /Bank # 1: CFI conformant flash .*\n.*Intel Extended command set/,
        );
        await command(session, "protect off all");
        expect(await command(session, "erase 4000000 +40000")).toMatch(/Erased \d sectors/);
        await command(session, "mw.l 41000000 12345678 10");
        expect(await command(session, "cp.b 41000000 4000000 40")).toMatch(/Copy to Flash\.\.\. done$/);
        expect(await command(session, "cmp.l 41000000 4000000 10")).toBe("Total of 16 word(s) were the same");
        await command(session, "setenv kept value");
        expect(await command(session, "saveenv")).toMatch(/Writing to Flash\.\.\. done[\s\S]*OK$/);
        session.send("reset\r");
        await session.expect(/Loading Environment from Flash\.\.\. OK/, 60);
        await toPromptFromBanner(session);
        expect(await command(session, "echo $kept")).toBe("value");
        session.send("poweroff\r");
        expect(await session.exit(30)).toBe(0);
      });

      it("sees one CPU by fw_cfg, no virtio device, and a clock", async () => {
        await using session = boot(machine, el2);
        await toPrompt(session);
        expect(await command(session, "qfw cpus")).toBe("1 cpu(s) online");
        expect(await command(session, "virtio scan; virtio info")).toBe("");
        expect(await command(session, "date")).toMatch(/^Date: \d{4}-\d\d-\d\d .*Time: +\d+:\d\d:\d\d$/);
      });
    });
  }
}

describe.runIf(machines.includes(armature))("armature run with --expect and --send", () => {
  it("ends with code 0 when all was seen, in order", async () => {
    await using session = cli(
      ...["run", "-bios", requireGuest("u-boot.bin"), "-nographic", "--timeout", "90"],
      ...["--expect", "Hit any key to stop autoboot", "--send", "\\r", "--expect", PROMPT],
      ...["--send", "version\\r", "--expect", "aarch64-linux-gnu-gcc"],
    );
    session.closeInput();
    expect(await session.exit(120)).toBe(0);
    expect(session.output).toContain("U-Boot 20");
  });

  it("ends with code 1 when a text does not come", async () => {
    await using session = cli(
      ...["run", "-bios", requireGuest("u-boot.bin"), "-nographic", "--timeout", "5", "--expect", "no such text"],
    );
    session.closeInput();
    expect(await session.exit(60)).toBe(1);
  });
});
