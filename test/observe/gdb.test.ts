/** GDB's remote protocol as its manual's appendix "Remote Serial Protocol" gives it: packet logs replayed against a stand-in target. */
import { describe, expect, it } from "vitest";
import {
  type CpuAction,
  checksumOf,
  type DebugTarget,
  GdbSession,
  type StopReason,
  type TargetRegister,
  targetDescription,
} from "../../src/observe/index.ts";

const REGISTERS: TargetRegister[] = [
  ...Array.from({ length: 31 }, (_, n) => ({ name: `x${n}`, bits: 64 as const, group: "core" as const })),
  { name: "sp", bits: 64, group: "core" },
  { name: "pc", bits: 64, group: "core" },
  { name: "cpsr", bits: 32, group: "core" },
  { name: "v0", bits: 128, group: "fpu" },
  { name: "fpsr", bits: 32, group: "fpu" },
  { name: "SCTLR_EL1", bits: 64, group: "el1" },
  { name: "HCR_EL2", bits: 64, group: "el2" },
];

/** Two CPUs; memory of 256 bytes at 0x40000000, each byte its own address's low byte. */
class FakeTarget implements DebugTarget {
  readonly cpus = 2;
  readonly registers = REGISTERS;
  readonly values = [0, 1].map(() => REGISTERS.map((r) => new Uint8Array(r.bits / 8)));
  readonly memory = Uint8Array.from({ length: 256 }, (_, i) => i);
  readonly calls: string[] = [];
  running = false;
  onStop: ((reason: StopReason) => void) | null = null;
  readRegister(cpu: number, index: number): Uint8Array | null {
    return REGISTERS[index]?.name === "HCR_EL2" ? null : (this.values[cpu]?.[index] ?? null);
  }
  writeRegister(cpu: number, index: number, value: Uint8Array): boolean {
    if (REGISTERS[index]?.name === "HCR_EL2") return false;
    this.values[cpu]?.[index]?.set(value);
    return true;
  }
  readMemory(_cpu: number, address: bigint, length: number): Uint8Array {
    const from = Number(address - 0x40000000n);
    return from < 0 || from >= 256 ? new Uint8Array(0) : this.memory.subarray(from, from + length);
  }
  writeMemory(_cpu: number, address: bigint, data: Uint8Array): boolean {
    const from = Number(address - 0x40000000n);
    if (from < 0 || from + data.length > 256) return false;
    this.memory.set(data, from);
    return true;
  }
  readPhysical(_address: bigint, length: number): Uint8Array {
    return new Uint8Array(length).fill(0x5a);
  }
  writePhysical(): boolean {
    return true;
  }
  setBreakpoint(address: bigint, hardware: boolean): boolean {
    this.calls.push(`set ${hardware ? "hw" : "sw"} ${address.toString(16)}`);
    return address % 4n === 0n;
  }
  clearBreakpoint(address: bigint, hardware: boolean): boolean {
    this.calls.push(`clear ${hardware ? "hw" : "sw"} ${address.toString(16)}`);
    return true;
  }
  setWatchpoint(address: bigint, length: number, kind: string): boolean {
    this.calls.push(`watch ${kind} ${address.toString(16)} ${length}`);
    return true;
  }
  clearWatchpoint(address: bigint, length: number, kind: string): boolean {
    this.calls.push(`unwatch ${kind} ${address.toString(16)} ${length}`);
    return true;
  }
  describe(cpu: number): string {
    return `CPU ${cpu}`;
  }
  resume(actions: readonly CpuAction[]): void {
    this.running = true;
    this.calls.push(actions.join(" "));
  }
  interrupt(): void {
    this.calls.push("interrupt");
    this.stop({ kind: "interrupt", cpu: 0 });
  }
  stop(reason: StopReason): void {
    this.running = false;
    this.onStop?.(reason);
  }
  detach(): void {
    this.calls.push("detach");
  }
  kill(): void {
    this.calls.push("kill");
  }
  monitor(line: string, cpu: number): string {
    return `${cpu}:${line}\r\n`;
  }
}

function connect() {
  const target = new FakeTarget();
  let out = "";
  const session = new GdbSession(target, (text) => {
    out += text;
  });
  session.open();
  const raw = (text: string) => {
    out = "";
    session.receive(text);
    return out;
  };
  /** Sends a packet in no-ack mode, returns the contents of the answers. */
  const ask = (data: string) =>
    [...raw(`$${data}#${checksumOf(data)}`).matchAll(/\$([^#]*)#[0-9a-f]{2}/g)].map((m) => m[1] as string).join("|");
  const quiet = () => {
    expect(raw("$QStartNoAckMode#b0")).toBe("+$OK#9a");
    raw("+");
    return { target, session, raw, ask };
  };
  return { target, session, raw, ask, quiet };
}

describe("packets and acknowledgement (E.1, E.11)", () => {
  it("a good packet is acknowledged with +, a bad one with - and not run", () => {
    const { raw } = connect();
    expect(raw("$qC#b4")).toBe("+$QC01#f5");
    expect(raw("$qC#b5")).toBe("-");
  });
  it("- repeats the last answer", () => {
    const { raw } = connect();
    raw("$qC#b4");
    expect(raw("-")).toBe("$QC01#f5");
  });
  it("after QStartNoAckMode neither side acknowledges", () => {
    const { raw } = connect().quiet();
    expect(raw("$qC#b4")).toBe("$QC01#f5");
    expect(raw("$qC#b5")).toBe("");
  });
  it("an unknown packet gets the empty answer", () => {
    const { raw } = connect().quiet();
    expect(raw("$vMustReplyEmpty#3a")).toBe("$#00");
    expect(raw("$_#5f")).toBe("$#00");
  });
  it("noise, cut packets and packets without end do no harm", () => {
    const { raw, ask } = connect().quiet();
    raw("abc#12\x00\xff$$$m#zz$Z");
    raw("x".repeat(200_000));
    raw("#00");
    expect(ask("qC")).toBe("QC01");
  });
  it("a packet may come a byte at a time", () => {
    const { raw } = connect().quiet();
    expect([..."$qC#b4"].map(raw).join("")).toBe("$QC01#f5");
  });
});

describe("queries", () => {
  it("qSupported tells what the stub can do", () => {
    const { ask } = connect().quiet();
    expect(ask("qSupported:multiprocess+;swbreak+;hwbreak+").split(";")).toEqual([
      "PacketSize=4000",
      "qXfer:features:read+",
      "QStartNoAckMode+",
      "vContSupported+",
      "swbreak+",
      "hwbreak+",
    ]);
  });
  it("all CPUs are threads, numbered from 1", () => {
    const { ask } = connect().quiet();
    expect(ask("qfThreadInfo")).toBe("m01,02");
    expect(ask("qsThreadInfo")).toBe("l");
    expect(ask("T02")).toBe("OK");
    expect(ask("T3")).toBe("E01");
    expect(ask("qThreadExtraInfo,2")).toBe(Buffer.from("CPU 1").toString("hex"));
    expect(ask("qAttached")).toBe("1");
  });
  it("qXfer:features:read serves the description in pieces", () => {
    const { ask } = connect().quiet();
    let text = "";
    for (;;) {
      const part = ask(`qXfer:features:read:target.xml:${text.length.toString(16)},20`);
      text += part.slice(1);
      if (part[0] === "l") break;
    }
    expect(text).toContain("<architecture>aarch64</architecture>");
    expect([...text.matchAll(/href="([^"]+)"/g)].map((m) => m[1])).toEqual([
      "aarch64-core.xml",
      "aarch64-fpu.xml",
      "system-el1.xml",
      "system-el2.xml",
    ]);
    expect(ask("qXfer:features:read:nothing.xml:0,100")).toBe("E00");
    expect(ask("qXfer:features:read:target.xml:0")).toBe("E01");
  });
  it("features bear the names that GDB knows, registers their numbers", () => {
    const files = targetDescription(REGISTERS);
    const core = files.get("aarch64-core.xml") as string;
    expect(core).toContain('<feature name="org.gnu.gdb.aarch64.core">');
    expect(core).toContain('<reg name="x0" bitsize="64" regnum="0" type="int"/>');
    expect(core).toContain('<reg name="pc" bitsize="64" regnum="32" type="code_ptr"/>');
    expect(core).toContain('<reg name="cpsr" bitsize="32" regnum="33" type="cpsr_flags"/>');
    expect(files.get("aarch64-fpu.xml")).toContain('<reg name="v0" bitsize="128" regnum="34" type="aarch64v"');
    expect(files.get("system-el1.xml")).toContain('<reg name="SCTLR_EL1" bitsize="64" regnum="36" type="uint64"');
  });
  it("qRcmd runs the monitor: output as O packets, then OK", () => {
    const { ask } = connect().quiet();
    expect(ask(`qRcmd,${Buffer.from("info status").toString("hex")}`)).toBe(
      `O${Buffer.from("0:info status\n").toString("hex")}|OK`,
    );
    expect(ask("qRcmd,abc")).toBe("E01");
  });
});

describe("registers and memory", () => {
  it("g gives the 34 core registers, little-endian", () => {
    const { ask, target } = connect().quiet();
    target.values[0]?.[0]?.set([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
    target.values[0]?.[33]?.set([0xc5, 3, 0, 0]);
    const all = ask("g");
    expect(all.length).toBe(2 * (33 * 8 + 4));
    expect(all.startsWith("8877665544332211")).toBe(true);
    expect(all.endsWith("c5030000")).toBe(true);
  });
  it("G writes them", () => {
    const { ask, target } = connect().quiet();
    expect(ask(`G${"0100000000000000".repeat(33)}05000000`)).toBe("OK");
    expect(target.values[0]?.[32]).toEqual(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    expect(ask("Gxy")).toBe("E01");
  });
  it("p and P: any register by number; what cannot be read shows as x", () => {
    const { ask } = connect().quiet();
    expect(ask("P24=efcdab8967452301")).toBe("OK");
    expect(ask("p24")).toBe("efcdab8967452301");
    expect(ask("p25")).toBe("xxxxxxxxxxxxxxxx");
    expect(ask("P25=0000000000000000")).toBe("E22");
    expect(ask("P24=00")).toBe("E01");
    expect(ask("p99")).toBe("E01");
  });
  it("Hg chooses the CPU whose registers are meant", () => {
    const { ask, target } = connect().quiet();
    target.values[1]?.[1]?.set([7]);
    expect(ask("Hg2")).toBe("OK");
    expect(ask("p1")).toBe("0700000000000000");
    expect(ask("Hg3")).toBe("E01");
  });
  it("m gives what is mapped, E14 where nothing is", () => {
    const { ask } = connect().quiet();
    expect(ask("m40000010,4")).toBe("10111213");
    expect(ask("m400000fe,4")).toBe("feff");
    expect(ask("m0,4")).toBe("E14");
    expect(ask("m40000010")).toBe("E01");
  });
  it("M writes hexadecimal, X binary with escapes", () => {
    const { ask } = connect().quiet();
    expect(ask("M40000000,2:abcd")).toBe("OK");
    expect(ask("X40000002,3:\x01}\x03}]")).toBe("OK"); // 01, '#', '}'
    expect(ask("m40000000,5")).toBe("abcd01237d");
    expect(ask("X40000000,0:")).toBe("OK");
    expect(ask("M0,1:00")).toBe("E14");
    expect(ask("M40000000,2:ab")).toBe("E01");
  });
  it("physical memory on request, as QEMU's extension", () => {
    const { ask } = connect().quiet();
    expect(ask("qqemu.PhyMemMode")).toBe("0");
    expect(ask("Qqemu.PhyMemMode:1")).toBe("OK");
    expect(ask("m0,2")).toBe("5a5a");
  });
});

describe("breakpoints, watchpoints and running", () => {
  it("Z0, Z1 and z0, z1", () => {
    const { ask, target } = connect().quiet();
    expect(ask("Z0,40000000,4")).toBe("OK");
    expect(ask("Z1,40000004,4")).toBe("OK");
    expect(ask("z0,40000000,4")).toBe("OK");
    expect(ask("Z0,40000001,4")).toBe("E22");
    expect(target.calls).toEqual(["set sw 40000000", "set hw 40000004", "clear sw 40000000", "set sw 40000001"]);
  });
  it("Z2 watches writes, Z3 reads, Z4 both", () => {
    const { ask, target } = connect().quiet();
    for (const type of [2, 3, 4]) expect(ask(`Z${type},ffff000000001000,8`)).toBe("OK");
    expect(ask("z2,ffff000000001000,8")).toBe("OK");
    expect(ask("Z5,0,4")).toBe("");
    expect(target.calls).toEqual([
      "watch write ffff000000001000 8",
      "watch read ffff000000001000 8",
      "watch access ffff000000001000 8",
      "unwatch write ffff000000001000 8",
    ]);
  });
  it("vCont: actions by thread, the leftmost that fits", () => {
    const { ask, target } = connect().quiet();
    expect(ask("vCont?")).toBe("vCont;c;C;s;S");
    ask("vCont;s:2;c");
    ask("vCont;s:1");
    ask("vCont;c");
    ask("vCont;C05:1;s");
    expect(target.calls).toEqual(["continue step", "step hold", "continue continue", "continue step"]);
    expect(ask("vCont;x")).toBe("E01");
  });
  it("c and s, with and without an address", () => {
    const { ask, target } = connect().quiet();
    ask("c");
    ask("s40000008");
    expect(target.calls).toEqual(["continue continue", "step hold"]);
    expect(target.values[0]?.[32]?.[0]).toBe(8);
  });
  it("stop replies name the CPU, the reason and fp, sp, pc", () => {
    const { target, ask } = connect().quiet();
    ask("qSupported:swbreak+;hwbreak+");
    const tail = (cpu: number) =>
      [29, 31, 32]
        .map((n) => `${n.toString(16)}:${Buffer.from(target.values[cpu]?.[n] as Uint8Array).toString("hex")};`)
        .join("");
    const stopped = (reason: StopReason) => {
      ask("c");
      target.stop(reason);
      return ask("?");
    };
    expect(stopped({ kind: "breakpoint", cpu: 1, hardware: false })).toBe(`T05thread:02;swbreak:;${tail(1)}`);
    expect(stopped({ kind: "breakpoint", cpu: 0, hardware: true })).toBe(`T05thread:01;hwbreak:;${tail(0)}`);
    expect(stopped({ kind: "step", cpu: 0 })).toBe(`T05thread:01;${tail(0)}`);
    expect(stopped({ kind: "watchpoint", cpu: 0, access: "write", address: 0xffff000000001000n })).toBe(
      `T05thread:01;watch:ffff000000001000;${tail(0)}`,
    );
    expect(stopped({ kind: "watchpoint", cpu: 0, access: "read", address: 16n })).toContain("rwatch:10;");
    expect(stopped({ kind: "exit", code: 0 })).toBe("W00");
  });
  it("0x03 interrupts: a stop with SIGINT, sent once", () => {
    const { raw, ask, target } = connect().quiet();
    ask("c");
    expect(raw("\x03")).toMatch(/^\$T02thread:01;/);
    target.stop({ kind: "interrupt", cpu: 0 });
    expect(raw("")).toBe("");
  });
  it("D detaches, k and vKill end the machine", () => {
    const one = connect().quiet();
    expect(one.ask("D")).toBe("OK");
    one.session.close();
    expect(one.target.calls).toEqual(["detach"]);
    const two = connect().quiet();
    expect(two.ask("k")).toBe("");
    expect(two.target.calls).toEqual(["kill"]);
    const three = connect().quiet();
    expect(three.ask("vKill;1")).toBe("OK");
    expect(three.target.calls).toEqual(["kill"]);
  });
  it("a lost connection lets the machine run without its breakpoints", () => {
    const { session, target } = connect().quiet();
    session.close();
    expect(target.calls).toEqual(["detach"]);
    expect(target.onStop).toBeNull();
  });
});
