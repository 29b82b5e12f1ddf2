/** Debian's gdb-multiarch attached to the self test: breakpoints, steps, watchpoints, registers and memory. */
import { afterEach, describe, expect, it } from "vitest";
import { armature, freePort, type Machine, machines, requireTool, SELFTEST } from "./support/machines.ts";
import { Session } from "./support/session.ts";

const PROMPT = "(gdb) ";

class Debugger implements AsyncDisposable {
  readonly gdb: Session;
  readonly machine: Session;

  constructor(gdb: Session, machine: Session) {
    this.gdb = gdb;
    this.machine = machine;
  }

  static async attach(machine: Machine, options: readonly string[] = []): Promise<Debugger> {
    const port = await freePort();
    const target = machine.start(
      [
        "-display",
        "none",
        "-serial",
        "stdio",
        "-monitor",
        "none",
        "-S",
        "-gdb",
        `tcp:127.0.0.1:${port}`,
        "-kernel",
        SELFTEST,
        ...options,
      ],
      ",virtualization=on",
    );
    // Errors in line with the answers.
    const gdb = new Session("sh", ["-c", 'exec "$0" "$@" 2>&1', requireTool("gdb-multiarch"), "-q", "-nx", SELFTEST], {
      env: { TERM: "dumb" },
    });
    const both = new Debugger(gdb, target);
    await gdb.expect(PROMPT);
    for (const setting of [
      "set pagination off",
      "set confirm off",
      "set width 0",
      "set height 0",
      "set style enabled off",
      "set tcp connect-timeout 60",
    ])
      await both.ask(setting);
    expect(await both.ask(`target remote 127.0.0.1:${port}`)).toMatch(/Remote debugging using/);
    return both;
  }

  /** What gdb answers. */
  async ask(command: string, seconds = 30): Promise<string> {
    const from = this.gdb.output.length;
    this.gdb.send(`${command}\n`);
    await this.gdb.expect(PROMPT, seconds);
    return this.gdb.output.slice(from, -PROMPT.length).trim();
  }

  async number(expression: string): Promise<bigint> {
    // In this form also of a register whose type is a set of flags.
    const answer = await this.ask(`output/x ${expression}`);
    if (!/^0x[0-9a-f]+$/.test(answer)) throw new Error(`${expression}: ${answer}`);
    return BigInt(answer);
  }

  /** As Ctrl-C at gdb's prompt. */
  interrupt(): void {
    this.gdb.signal("SIGINT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gdb[Symbol.asyncDispose]();
    await this.machine[Symbol.asyncDispose]();
  }
}

const open: Debugger[] = [];
afterEach(async () => {
  for (const debugged of open.splice(0)) await debugged[Symbol.asyncDispose]();
});
async function attach(machine: Machine): Promise<Debugger> {
  const debugged = await Debugger.attach(machine);
  open.push(debugged);
  return debugged;
}

for (const machine of machines) {
  describe(`gdb on ${machine.name}`, { retry: machine.retry }, () => {
    it("stops before the first instruction, at the image's entry", async () => {
      const gdb = await attach(machine);
      expect(await gdb.number("$pc")).toBe(0x4020_0000n);
      // EL2 with SP_EL2, all interrupts masked.
      expect((await gdb.number("$cpsr")) & 0x3cfn).toBe(0x3c9n);
      expect(await gdb.ask("info threads")).toMatch(/\* 1 +Thread 1/);
      expect(await gdb.ask("x/wx 0x40000000")).toMatch(/0x40000000:\s+0xedfe0dd0/);
    });

    it("stops at a breakpoint, steps one instruction at a time, and goes on", async () => {
      const gdb = await attach(machine);
      await gdb.ask("break *test_exceptions");
      expect(await gdb.ask("continue", 60)).toMatch(/Breakpoint 1, .*test_exceptions/);
      const at = await gdb.number("$pc");
      expect(at).toBe(await gdb.number("&test_exceptions"));
      // The first instruction saves registers on the stack: no branch.
      await gdb.ask("stepi");
      expect(await gdb.number("$pc")).toBe(at + 4n);
      await gdb.ask("stepi 2");
      expect(await gdb.number("$pc")).toBe(at + 12n);
      expect(gdb.machine.output).toContain("PASS cpu.sha256");
      expect(gdb.machine.output).not.toContain("exception.svc");
      await gdb.ask("delete");
      expect(await gdb.ask("continue", 60)).toMatch(/exited normally|Remote connection closed/);
      await gdb.machine.expect(/^selftest: \d+ passed/);
    });

    it("steps over a call with a return breakpoint, and shows the call chain's caller", async () => {
      const gdb = await attach(machine);
      await gdb.ask("break *psci_call");
      await gdb.ask("continue", 60);
      const caller = await gdb.number("$lr");
      await gdb.ask("delete");
      await gdb.ask(`break *${caller}`);
      expect(await gdb.ask("continue")).toMatch(/Breakpoint 2, .*test_psci/);
      expect(await gdb.number("$pc")).toBe(caller);
      // PSCI_VERSION 1.1
      expect(await gdb.number("$x0")).toBe(0x10001n);
    });

    it("stops after a write to a watched word, and before nothing else", async () => {
      const gdb = await attach(machine);
      await gdb.ask("break *test_gic_delivery");
      await gdb.ask("continue", 60);
      expect(await gdb.number("*(unsigned int *)&gic_irqs")).toBe(0n);
      expect(await gdb.ask("watch *(unsigned int *)&gic_irqs")).toMatch(/Hardware watchpoint 2/);
      expect(await gdb.ask("continue", 60)).toMatch(/Hardware watchpoint 2[\s\S]*Old value = 0\s+New value = 1/);
      expect(await gdb.ask("info symbol $pc")).toMatch(/^handle_irq/);
      expect(await gdb.ask("continue", 60)).toMatch(/Old value = 1\s+New value = 2/);
    });

    it("stops at a read of a watched word", async () => {
      const gdb = await attach(machine);
      await gdb.ask("break *test_exceptions");
      await gdb.ask("continue", 60);
      expect(await gdb.ask("rwatch *(unsigned int *)&boot_el")).toMatch(/Hardware read watchpoint 2/);
      expect(await gdb.ask("continue", 60)).toMatch(/Hardware read watchpoint 2[\s\S]*Value = 2/);
    });

    it("reads and writes memory and registers through the current translation", async () => {
      const gdb = await attach(machine);
      await gdb.ask("break *test_device_tree");
      await gdb.ask("continue", 60);
      const word = await gdb.number("&boot_el");
      await gdb.ask(`set {unsigned int}${word} = 0xfeedface`);
      expect(await gdb.number(`*(unsigned int *)${word}`)).toBe(0xfeed_facen);
      await gdb.ask(`set {unsigned int}${word} = 2`);
      await gdb.ask("set $x19 = 0x123456789abcdef0");
      expect(await gdb.number("$x19")).toBe(0x1234_5678_9abc_def0n);
      expect(await gdb.ask("x/i $pc")).toMatch(/=> 0x[0-9a-f]+ <test_device_tree>:\s+\w+/);
      // Nothing is mapped there, whatever lies at that physical address.
      expect(await gdb.ask("x/wx 0x7000000000")).toMatch(/Cannot access memory at address 0x7000000000/);
    });

    it("interrupts a running machine", async () => {
      const gdb = await attach(machine);
      // A loop that never ends, in place of the first instruction.
      await gdb.ask("set {unsigned int}$pc = 0x14000000");
      gdb.gdb.send("continue\n");
      await gdb.gdb.expect("Continuing.");
      await new Promise((resolve) => setTimeout(resolve, 300));
      gdb.interrupt();
      await gdb.gdb.expect(/received signal SIGINT/);
      await gdb.gdb.expect(PROMPT);
      expect(await gdb.number("$pc")).toBe(0x4020_0000n);
    });
  });
}

describe.runIf(machines.includes(armature))("gdb on Armature", () => {
  it("shows the system registers of EL1 and EL2", async () => {
    const gdb = await attach(armature);
    await gdb.ask("break *test_exceptions");
    await gdb.ask("continue", 60);
    expect((await gdb.number("$VBAR_EL2")) & 0x7ffn).toBe(0n);
    expect(await gdb.number("$VBAR_EL2")).toBe(await gdb.number("&vectors"));
    expect((await gdb.number("$SCTLR_EL2")) & 0x1005n).toBe(0x1005n);
    expect(await gdb.number("$MIDR_EL1")).toBe(0x411f_d070n);
  });

  it("looks at devices without disturbing them: the run prints what it prints without a debugger", async () => {
    const gdb = await attach(armature);
    await gdb.ask("break *test_sp804");
    await gdb.ask("continue", 60);
    for (const address of ["0x09000000", "0x0801000c", "0x0c000000", "0x0c000004"]) await gdb.ask(`x/wx ${address}`);
    await gdb.ask("delete");
    await gdb.ask("continue", 60);
    await gdb.machine.expect("selftest: ok");
    await using alone = armature.start(
      ["-display", "none", "-serial", "stdio", "-monitor", "none", "-kernel", SELFTEST],
      ",virtualization=on",
    );
    alone.closeInput();
    await alone.expect("selftest: ok", 90);
    expect(gdb.machine.output).toBe(alone.output);
  });
});
