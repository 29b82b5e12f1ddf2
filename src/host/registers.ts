/** `armature regs`: the exporters of register declarations, by part and format. */
import { DECLARATIONS } from "../devices/registry.ts";
import { InputError } from "../formats/index.ts";
import {
  registersHeader,
  registersHeaderTest,
  registersMarkdown,
  registersSvd,
  registersText,
} from "../registers/export/index.ts";
import type { Declaration } from "../registers/index.ts";
