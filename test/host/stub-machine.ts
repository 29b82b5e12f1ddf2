/** A machine without a CPU for tests of the host: a serial port with a small interpreter of typed lines behind it. */
import { Arena, Memory, Router } from "../../src/bus/index.ts";
import type { HostMachine, PowerRequest, SerialPort } from "../../src/host/machine.ts";
import { Module, MS, Simulation, US } from "../../src/sim/index.ts";

/**
 * Prints "boot\n> " after 1 ms. A typed line is echoed and answered after 2 ms: "off" and "reset" ask for it, "time" prints the simulated time in
 * microseconds, "fault" is a guest error, others print "?". Then the prompt comes again.
 */
class Guest extends Module implements SerialPort {
  onTransmit: ((byte: number) => void) | null = null;
  onPower: ((request: PowerRequest) => void) | null = null;
  breaks = 0;
  readonly #cells = this.state({ line: "", room: 16 });
  readonly #boot = this.event("boot", () => this.#print("boot\n> "));
  readonly #answer = this.event("answer", () => this.#run());
  readonly #drain = this.event("drain", () => {
    this.#cells.room = 16;
  });
  readonly #tick = this.event("tick", () => this.#tick.notify(10 * MS));

  constructor(simulation: Simulation, ticking: boolean) {
    super(simulation, "guest");
    this.#ticking = ticking;
  }
  readonly #ticking: boolean;

  get receiveSpace(): number {
    return this.#cells.room;
  }
  receive(byte: number): void {
    const c = this.#cells;
    c.room--;
    if (!this.#drain.pending) this.#drain.notify(100 * US);
    this.onTransmit?.(byte);
    if (byte === 10 || byte === 13) this.#answer.notify(2 * MS);
    else c.line += String.fromCharCode(byte);
  }
  sendBreak(): void {
    this.breaks++;
  }
  protected override onReset(): void {
    this.#boot.notify(1 * MS);
    if (this.#ticking) this.#tick.notify(10 * MS);
  }
  #run(): void {
    const line = this.#cells.line;
    this.#cells.line = "";
    if (line === "off" || line === "reset") this.onPower?.(line);
    else if (line === "fault") this.guestError({ kind: "value", detail: "as asked" });
    else if (line === "panic") this.#print("---[ end Kernel panic - not syncing: as asked ]---\n");
    else if (line === "time") this.#print(`t=${this.simulation.now / US}\n`);
    else this.#print(`?${line}\n`);
    this.#print("> ");
  }
  #print(text: string): void {
    for (const c of text) this.onTransmit?.(c.charCodeAt(0));
  }
}

export class StubMachine implements HostMachine {
  readonly simulation = new Simulation();
  readonly bus = new Router(this.simulation, "bus", "zero");
  readonly declarations = new Map();
  readonly deviceTree = new Uint8Array([0xd0, 0x0d, 0xfe, 0xed]);
  readonly debug = null;
  readonly idle = true;
  readonly instructions: readonly number[] = [];
  readonly guest: Guest;
  powerKeys = 0;
  resets = 0;
  finished = 0;

  /** `ticking`: an event every 10 ms for ever, as an operating system's timer. */
  constructor(ticking = false) {
    const ram = new Memory(this.simulation, "ram", new Arena(), { size: 0x10000 });
    this.bus.map({ name: "ram", base: 0x40000000, size: 0x10000, target: ram });
    this.guest = new Guest(this.simulation, ticking);
    this.simulation.reset();
  }
  get serial(): Guest {
    return this.guest;
  }
  get onPower() {
    return this.guest.onPower;
  }
  set onPower(listener: ((request: PowerRequest) => void) | null) {
    this.guest.onPower = listener;
  }
  reset(): void {
    this.resets++;
    this.simulation.reset();
  }
  pressPowerKey(): void {
    this.powerKeys++;
  }
  memoryMap(): readonly string[] {
    return ["map"];
  }
  qtestDevice(): null {
    return null;
  }
  report(): readonly string[] {
    return ["where it was"];
  }
  identity() {
    return { board: "stub" };
  }
  finish(): void {
    this.finished++;
  }
}
