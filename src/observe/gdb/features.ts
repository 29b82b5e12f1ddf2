/** The target description (GDB manual, "Target Descriptions" and "AArch64 Features") from the target's list of registers. */
import type { TargetRegister } from "./target.ts";

const FEATURES: { readonly [G in TargetRegister["group"]]: { readonly name: string; readonly file: string } } = {
  core: { name: "org.gnu.gdb.aarch64.core", file: "aarch64-core.xml" },
  fpu: { name: "org.gnu.gdb.aarch64.fpu", file: "aarch64-fpu.xml" },
  el1: { name: "org.armature.aarch64.system.el1", file: "system-el1.xml" },
  el2: { name: "org.armature.aarch64.system.el2", file: "system-el2.xml" },
};

/** Files that `qXfer:features:read` serves, by name. */
export function targetDescription(registers: readonly TargetRegister[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const groups = (Object.keys(FEATURES) as TargetRegister["group"][]).filter((g) =>
    registers.some((r) => r.group === g),
  );
  files.set(
    "target.xml",
    `<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n<target version="1.0">\n` +
      `<architecture>aarch64</architecture>\n` +
      `${groups.map((g) => `<xi:include href="${FEATURES[g].file}"/>\n`).join("")}</target>\n`,
  );
  for (const group of groups) {
    const lines = registers.flatMap((r, number) => (r.group === group ? [registerLine(r, number)] : []));
    const types = group === "core" ? PSTATE_TYPE : group === "fpu" ? VECTOR_TYPES : "";
    files.set(
      FEATURES[group].file,
      `<?xml version="1.0"?>\n<!DOCTYPE feature SYSTEM "gdb-target.dtd">\n` +
        `<feature name="${FEATURES[group].name}">\n${types}${lines.join("")}</feature>\n`,
    );
  }
  return files;
}

function registerLine(r: TargetRegister, number: number): string {
  return `<reg name="${r.name}" bitsize="${r.bits}" regnum="${number}" type="${typeOf(r)}"${groupOf(r)}/>\n`;
}

function typeOf(r: TargetRegister): string {
  if (r.name === "sp") return "data_ptr";
  if (r.name === "pc") return "code_ptr";
  if (r.name === "cpsr") return "cpsr_flags";
  if (r.bits === 128) return "aarch64v";
  return r.bits === 32 ? "int" : r.group === "core" ? "int" : "uint64";
}

function groupOf(r: TargetRegister): string {
  if (r.group === "core") return "";
  return r.group === "fpu" ? ' group="float"' : ` group="${r.group === "el1" ? "system" : "hypervisor"}"`;
}

/** PSTATE as SPSR_ELx shows it (DDI 0487, C5.2.18). */
const PSTATE_BITS: readonly (readonly [name: string, low: number, high?: number])[] = [
  ["SP", 0],
  ["EL", 2, 3],
  ["nRW", 4],
  ["F", 6],
  ["I", 7],
  ["A", 8],
  ["D", 9],
  ["IL", 20],
  ["SS", 21],
  ["V", 28],
  ["C", 29],
  ["Z", 30],
  ["N", 31],
];
const PSTATE_TYPE = `<flags id="cpsr_flags" size="4">\n${PSTATE_BITS.map(
  ([name, low, high]) => `<field name="${name}" start="${low}" end="${high ?? low}"/>\n`,
).join("")}</flags>\n`;

/** Views of a 128-bit register: id, element type, count. */
const VECTORS: readonly (readonly [view: string, id: string, type: string, count: number])[] = [
  ["d", "v2d", "ieee_double", 2],
  ["d", "v2u", "uint64", 2],
  ["d", "v2i", "int64", 2],
  ["s", "v4f", "ieee_single", 4],
  ["s", "v4u", "uint32", 4],
  ["s", "v4i", "int32", 4],
  ["h", "v8f", "ieee_half", 8],
  ["h", "v8u", "uint16", 8],
  ["h", "v8i", "int16", 8],
  ["b", "v16u", "uint8", 16],
  ["b", "v16i", "int8", 16],
  ["q", "v1u", "uint128", 1],
  ["q", "v1i", "int128", 1],
];

const VECTOR_TYPES = [
  ...VECTORS.map(([, id, type, count]) => `<vector id="${id}" type="${type}" count="${count}"/>\n`),
  ...["d", "s", "h", "b", "q"].map((view) => {
    const fields = VECTORS.filter((v) => v[0] === view).map(([, id]) => `<field name="${id.slice(-1)}" type="${id}"/>`);
    return `<union id="vn${view}">${fields.join("")}</union>\n`;
  }),
  `<union id="aarch64v">${["d", "s", "h", "b", "q"].map((v) => `<field name="${v}" type="vn${v}"/>`).join("")}</union>\n`,
].join("");
