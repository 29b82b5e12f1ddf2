/** The multiplexer's keys, as QEMU's `-nographic` has them. */
import { describe, expect, it } from "vitest";
import { Multiplexer } from "../../src/host/chardev/mux.ts";

function mux(escapeCode = 1) {
  const log: string[] = [];
  let now = 0;
  const m = new Multiplexer(
    escapeCode,
    {
      exit: () => log.push("exit"),
      write: (t) => log.push(`write ${t.split("\r\n")[1] ?? t}`),
      save: () => "saved to my.snap",
    },
    () => now,
  );
  const user = (name: string) => ({
    receive: (d: Buffer) => log.push(`${name} ${d.toString("latin1")}`),
    focus: () => log.push(`${name} focus`),
    sendBreak: () => log.push(`${name} break`),
  });
  m.add(user("serial"));
  m.add(user("monitor"));
  return { m, log, type: (t: string) => m.receive(Buffer.from(t, "latin1")), at: (ms: number) => (now = ms) };
}

describe("multiplexer", () => {
  it("what is typed goes to the user in focus; Ctrl-A C moves on to the next and back", () => {
    const { type, log } = mux();
    type("ab\x01cinfo\x01C");
    type("x");
    expect(log).toEqual(["serial ab", "monitor focus", "monitor info", "serial focus", "serial x"]);
  });
  it("Ctrl-A X leaves, Ctrl-A B is a break, Ctrl-A H the help, Ctrl-A Ctrl-A a Ctrl-A", () => {
    const { type, log } = mux();
    type("\x01");
    type("b\x01h\x01\x01\x01z\x01x");
    expect(log).toEqual(
      ["serial break", "write C-a h    print this help", "serial \x01", "write Armature: terminated\r\n", "exit"].map(
        (l) => (l.startsWith("write Armature") ? "write " : l),
      ),
    );
  });
  it("-echr 20 makes it Ctrl-T, 0 takes it away", () => {
    const other = mux(20);
    other.type("\x01b\x14b");
    expect(other.log).toEqual(["serial \x01b", "serial break"]);
    const none = mux(0);
    none.type("\x01x\x00");
    expect(none.log).toEqual(["serial \x01x\x00"]);
  });
  it("Ctrl-A T puts the time before each line", () => {
    const { type, m, at } = mux();
    const show = (text: string) => m.decorate(Buffer.from(text)).toString();
    expect(show("a\nb\n")).toBe("a\nb\n");
    type("\x01t");
    expect(show("rest\nx")).toBe("rest\n[00:00:00.000] x");
    at(3_723_004);
    expect(show("y\nz")).toBe("y\n[01:02:03.004] z");
  });
});
