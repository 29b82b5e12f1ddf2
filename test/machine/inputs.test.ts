/** What comes from outside: order, room, journal, replay, snapshot. */
import { describe, expect, it } from "vitest";
import { type InputSource, Inputs } from "../../src/host/inputs.ts";
import type { SerialPort } from "../../src/host/machine.ts";
import type { Input } from "../../src/observe/index.ts";
import { NEVER } from "../../src/sim/index.ts";

class Port implements SerialPort {
  onTransmit = null;
  room = 16;
  readonly got: (number | "break")[] = [];
  get receiveSpace(): number {
    return this.room;
  }
  receive(byte: number): void {
    this.got.push(byte);
    this.room--;
  }
  sendBreak(): void {
    this.got.push("break");
  }
}

function inputs(replay: InputSource | null = null) {
  const [serial, console] = [new Port(), new Port()];
  const journal: Input[] = [];
  const pressed: string[] = [];
  const all = new Inputs({
    ports: [
      { label: "serial0", port: serial },
      { label: "console0.0", port: console },
    ],
    press: (button) => pressed.push(button),
    journal: (input) => journal.push(input),
    replay,
  });
  return { all, serial, console, journal, pressed };
}

describe("inputs", () => {
  it("wait for their instant and for room, each port for itself; the journal has what reached the guest", () => {
    const { all, serial, console, journal, pressed } = inputs();
    serial.room = 2;
    all.add("serial0", Uint8Array.of(1, 2, 3));
    all.add("console0.0", Uint8Array.of(255));
    all.add("nobody", Uint8Array.of(9));
    all.press("reset");
    all.sendBreak("serial0");
    expect([serial.got, console.got, pressed, journal]).toEqual([[], [], [], []]);
    expect(all.ready).toBe(true);
    all.deliver(0);
    expect([serial.got, console.got, pressed]).toEqual([["break", 1, 2], [255], ["reset"]]);
    expect(journal).toEqual([
      { panel: "reset" },
      { device: "serial0", signal: "break" },
      { device: "serial0", bytes: "\x01\x02" },
      { device: "console0.0", bytes: "\xff" },
    ]);
    expect([all.pending("serial0"), all.ready]).toEqual([1, false]);
    all.deliver(1);
    expect(journal.length).toBe(4);
    serial.room = 1;
    expect(all.ready).toBe(true);
    all.deliver(2);
    expect(serial.got).toEqual(["break", 1, 2, 3]);
    expect(journal.at(-1)).toEqual({ device: "serial0", bytes: "\x03" });
  });

  it("what waits is saved and loaded", () => {
    const one = inputs();
    one.serial.room = 1;
    one.all.add("serial0", Uint8Array.of(1, 2, 3));
    one.all.deliver(0);
    expect(one.all.save()).toEqual({ serial0: Uint8Array.of(2, 3) });
    const two = inputs();
    two.all.load(one.all.save());
    two.all.deliver(0);
    expect(two.serial.got).toEqual([2, 3]);
    expect(two.all.save()).toEqual({});
  });

  it("a recording takes the place of the outside, which is not listened to", () => {
    const recorded: { time: number; instructions: number[]; input: Input }[] = [
      { time: 5, instructions: [], input: { device: "serial0", bytes: "\x80a" } },
      { time: 5, instructions: [], input: { device: "serial0", signal: "break" } },
      { time: 5, instructions: [], input: { panel: "powerdown" } },
    ];
    const { all, serial, pressed, journal } = inputs({ next: 5, take: (now) => (now === 5 ? recorded : []) });
    all.add("serial0", Uint8Array.of(1));
    all.press("reset");
    all.sendBreak("serial0");
    expect([all.next, all.ready]).toEqual([5, false]);
    all.deliver(4);
    expect([serial.got, pressed]).toEqual([[], []]);
    all.deliver(5);
    expect([serial.got, pressed, journal]).toEqual([[0x80, 97, "break"], ["powerdown"], []]);
    expect(inputs().all.next).toBe(NEVER);
  });
});
