/** What the browser tests bundle: a snapshot is decoded, restored into a new machine, and runs on to the power-off. */
import { createVirtMachine } from "../../platform/virt/machine.ts";
import { decodeSnapshot, PLAIN } from "../../src/observe/snapshot.ts";
import { ZSTD_READER } from "../../src/observe/zstd.ts";

/** `file` and `kernel` in base64. Returns the state hash before and after, and what the guest printed. */
export function goOn(file: string, kernel: string): { before: string; after: string; output: string } {
  const machine = createVirtMachine({
    kernel: { name: "selftest.elf", data: bytesOf(kernel) },
    cpus: 2,
    memory: 64 * 2 ** 20,
  });
  const { state } = decodeSnapshot(bytesOf(file), "snapshot", [ZSTD_READER, PLAIN]);
  machine.simulation.load(state);
  const before = machine.simulation.stateHash();
  let output = "";
  machine.uart.onTransmit = (byte) => {
    output += String.fromCharCode(byte);
  };
  machine.simulation.run(state.time + 10_000_000_000);
  return { before, after: machine.simulation.stateHash(), output };
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function bytesOf(base64: string): Uint8Array {
  const text = base64.replace(/=+$/, "");
  const out = new Uint8Array((text.length * 3) >> 2);
  let bits = 0;
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    bits = (bits << 6) | DIGITS.indexOf(text[i] as string);
    if (i % 4 === 0) continue;
    out[at++] = bits >> (6 - 2 * (i % 4));
  }
  return out;
}
