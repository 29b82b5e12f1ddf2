/** `armature regs`: the exporters of register declarations, by part and format. */
import { InputError } from "../formats/index.ts";

export function deviceNames(): string {
  throw new InputError("regs: not there yet");
}

export function describeDevice(_device: string, _format: string): string {
  throw new InputError("regs: not there yet");
}
