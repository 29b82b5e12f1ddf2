/** What the device is given by the place where it sits: a board or a PCIe function. */
import type { Port } from "../../bus/index.ts";
import type { Module } from "../../sim/index.ts";
import type { StackApi, StackEvents } from "./engine/api.ts";

export interface ToeHost {
  /** DMA in the name of an interface. */
  port(number: number): Port;
}

/** Makes the protocols of one interface as a module under `parent`. */
export type StackMaker = (parent: Module, name: string, events: StackEvents) => StackApi;
