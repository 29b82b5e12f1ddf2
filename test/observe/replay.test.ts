import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError } from "../../src/formats/index.ts";
import {
  bytesToText,
  type Input,
  RecordingWriter,
  readRecording,
  readRecordingHeader,
  textToBytes,
} from "../../src/observe/index.ts";
import { check } from "../support/soak.ts";

const header = {
  machine: { board: "virt", cpus: 2 },
  options: ["-smp", "2"],
  start: { time: 0, hash: "0123456789abcdef" },
};
const end = { time: 9000, instructions: [7, 8], hash: "fedcba9876543210" };
const inputs = [
  { time: 1000, instructions: [1, 2], input: { device: "serial0", bytes: "ls\r\xff\0" } },
  { time: 1000, instructions: [1, 2], input: { panel: "reset" } },
  { time: 5000, instructions: [3, 4], input: { device: "serial0", signal: "break" } },
] as const;

function write(list: readonly { time: number; instructions: readonly number[]; input: Input }[] = inputs): string {
  let text = "";
  const writer = new RecordingWriter(header, (line) => {
    text += line;
  });
  for (const { time, instructions, input } of list) writer.input({ time, instructions }, input);
  writer.end(end);
  return text;
}

describe("recordings", () => {
  it("what is written is read back", () => {
    expect(readRecording(write(), "r")).toMatchObject({ ...header, inputs, end });
    expect(readRecordingHeader(write(), "r")).toMatchObject(header);
  });

  it("bytes of any value come through", () => {
    check(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = write([{ time: 1, instructions: [], input: { device: "serial0", bytes: bytesToText(bytes) } }]);
        const { input } = readRecording(text, "r").inputs[0] as { input: { bytes: string } };
        expect(textToBytes(input.bytes)).toEqual(bytes);
      }),
    );
  });

  const whole = write();
  const lines = whole.split("\n");
  const without = (n: number) => lines.filter((_, i) => i !== n).join("\n");
  it.each([
    ["another kind of file", "#!/bin/sh\necho hello\n", "not a recording of Armature's"],
    ["a snapshot", "ARMSNAP\0\x01\0\0\0{}", "not a recording of Armature's"],
    ["an empty file", "", "not a recording of Armature's"],
    ["a later format", whole.replace('"armature recording":1', '"armature recording":2'), "recording format 2; this"],
    ["a lost end", without(lines.length - 2), "line 4: the end of the recording is missing"],
    ["a last line that is cut off", whole.slice(0, -5), "line 5: cut off"],
    ["a lost input", without(2), "line 4: damaged: the lines above do not match its check"],
    ["a changed byte", whole.replace("ls", "rm"), "line 5: damaged: the lines above do not match its check"],
    ["a spoilt line", whole.replace('{"device"', '{"device'), "line 2: damaged"],
    ["an input of no known kind", whole.replace("reset", "press"), "line 3: damaged"],
    ["a character beyond a byte", whole.replace("ls", "l\u20ac"), "line 2: damaged"],
    ["time that goes back", whole.replace("5000", "500"), "line 4: damaged: its time is before the line above"],
  ])("refuses %s", (_, text, message) => {
    expect(() => readRecording(text, "my.rec")).toThrow(InputError);
    expect(() => readRecording(text, "my.rec")).toThrow(`my.rec: ${message}`);
  });
});
