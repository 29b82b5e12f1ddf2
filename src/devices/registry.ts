/** All parts with declared registers, by the name that command line, documentation and test folders share. */
import type { Declaration } from "../registers/index.ts";
import { FW_CFG } from "./fw-cfg/index.ts";
import { GICC, GICD, GICH, GICV } from "./gicv2/index.ts";
import { GICV2M } from "./gicv2m/index.ts";
import { I82576, I82576_VF } from "./i82576/registers/index.ts";
import { PL011 } from "./pl011/index.ts";
import { PL031 } from "./pl031/index.ts";
import { PL061 } from "./pl061/index.ts";
import { SMMUV3 } from "./smmuv3/index.ts";
import { SP804 } from "./sp804/index.ts";
import { TOE_INTERFACE, TOE_MANAGEMENT } from "./toe/registers/index.ts";
import { VIRTIO_MMIO } from "./virtio-mmio/index.ts";

export interface RegisteredPart {
  /** Folder below `src/devices`, `test/devices`; page `docs/devices/<name>.md`. */
  readonly name: string;
  /** One a frame: most parts have one. */
  readonly declarations: readonly Declaration[];
}

export const PARTS: readonly RegisteredPart[] = [
  { name: "fw-cfg", declarations: [FW_CFG] },
  { name: "gicv2", declarations: [GICD, GICC, GICH, GICV] },
  { name: "gicv2m", declarations: [GICV2M] },
  { name: "i82576", declarations: [I82576, I82576_VF] },
  { name: "pl011", declarations: [PL011] },
  { name: "pl031", declarations: [PL031] },
  { name: "pl061", declarations: [PL061] },
  { name: "smmuv3", declarations: [SMMUV3] },
  { name: "sp804", declarations: [SP804] },
  { name: "toe", declarations: [TOE_INTERFACE, TOE_MANAGEMENT] },
  { name: "virtio-mmio", declarations: [VIRTIO_MMIO] },
];

/** A part by its folder's name, or one frame of it by the declaration's, in any case; null where there is none. */
export function findPart(name: string): RegisteredPart | null {
  const wanted = name.toLowerCase();
  const part = PARTS.find((p) => p.name === wanted);
  if (part) return part;
  for (const p of PARTS) {
    const declarations = p.declarations.filter((d) => d.name.toLowerCase() === wanted);
    if (declarations.length > 0) return { name: p.name, declarations };
  }
  return null;
}
