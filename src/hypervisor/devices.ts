/** Regions of a VM from parts of the board: the model of the same class behind a trapped one, the part itself behind a passed one. */
import { type BoardPart, virtPart } from "../../platform/virt/board.ts";
import { Pl011 } from "../devices/pl011/index.ts";
import { Pl031 } from "../devices/pl031/index.ts";
import { Pl061 } from "../devices/pl061/index.ts";
import { Sp804 } from "../devices/sp804/index.ts";
import { Line, type Module } from "../sim/index.ts";
import type { DeviceModel, RegionMode, RegionOptions, Vm } from "./vm.ts";

/** Classes that have a model for `trap`. */
export const TRAPPABLE: readonly string[] = ["pl011", "sp804", "pl031", "pl061"];

export interface RegionRequest {
  /** Part of the guest's board: where the guest sees it, with which interrupts. */
  readonly part: string;
  readonly mode: RegionMode;
  /** The part of the machine behind `pass`; of the same name unless given. */
  readonly physical?: string;
  /** Where the guest sees it; the part's own place unless given. */
  readonly at?: number;
  readonly registers?: RegionOptions["registers"];
  /** Each character that a trapped UART sends. */
  readonly onTransmit?: (byte: number) => void;
}

const PAGE = 4096;
/** A console as firmware leaves it: 115,200 baud of 24 MHz, 8N1, enabled. Linux keeps UARTCR as it finds it. */
const UART_SET_UP = [
  [0x24, 13],
  [0x28, 1],
  [0x2c, 0x70],
  [0x30, 0x301],
] as const;

export function region(request: RegionRequest): RegionOptions {
  const part = virtPart(request.part);
  const physical = virtPart(request.physical ?? request.part);
  const { registers } = request;
  return {
    name: part.name,
    base: request.at ?? part.base,
    size: Math.max(part.size, PAGE),
    mode: request.mode,
    model: (vm) => model(vm, part, request),
    physical: {
      base: physical.base,
      interrupts: part.interrupts.map((i, n) => ({
        guest: i.number,
        machine: physical.interrupts[n]?.number ?? i.number,
        edge: i.trigger === "edge",
      })),
    },
    ...(part.kind === "pl011" ? { setUp: UART_SET_UP } : {}),
    ...(registers === undefined ? {} : { registers }),
  };
}

function model(vm: Vm, part: BoardPart, request: RegionRequest): DeviceModel {
  const { module, target } = make(vm, part, request);
  const lines = part.interrupts.flatMap((i) => {
    const line = (module as unknown as { readonly [name: string]: unknown })[i.line];
    return line instanceof Line ? [{ line, spi: i.number }] : [];
  });
  return { target, lines };
}

function make(vm: Module, part: BoardPart, request: RegionRequest): { module: Module; target: DeviceModel["target"] } {
  const clock = part.clock ?? 0;
  switch (part.kind) {
    case "pl011": {
      const module = new Pl011(vm, part.name, { uartclk: clock, pacing: "immediate", unconfigured: "enabled" });
      module.onTransmit = request.onTransmit ?? null;
      return { module, target: module.registers };
    }
    case "sp804": {
      const module = new Sp804(vm, part.name, { timclk: clock });
      return { module, target: module.registers };
    }
    case "pl031": {
      const module = new Pl031(vm, part.name, { base: 0 });
      return { module, target: module.registers };
    }
    case "pl061": {
      const module = new Pl061(vm, part.name);
      return { module, target: module.registers };
    }
    default:
      throw new RangeError(`${part.name}: there is no model of ${part.kind} for a VM`);
  }
}
