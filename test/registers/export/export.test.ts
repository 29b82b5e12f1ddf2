import { describe, expect, it } from "vitest";
import { PARTS } from "../../../src/devices/registry.ts";
import {
  deviceSvd,
  fillRegisterSection,
  registersHeader,
  registersHeaderTest,
  registersMarkdown,
  registersSvd,
  registersText,
} from "../../../src/registers/export/index.ts";
import { WIDGET } from "./sample.ts";
import { parse, svdProblems } from "./svd-schema.ts";

const ALL = [WIDGET, ...PARTS.flatMap((p) => p.declarations)];

describe("the text table", () => {
  it("has registers by offset, fields from the top, values and what is left out", () => {
    const text = registersText(WIDGET);
    expect(
      text.startsWith(
        "WIDGET: A widget <of> parts & pieces\nManual B; frame of 96 bytes; accesses of 8, 16, 32 bits\n\noffset ",
      ),
    ).toBe(true);
    expect(text).toMatch(/^0x020 to 0x028, every 4\s+ROW\[0\.\.2\]\s+RW\s+0x00000000\s+Array, 3\.5$/m);
    expect(text).toMatch(/^0x010\s+WIDE\s+RW\s+0x0000000000005000\s+64 bits, 3\.4$/m);
    expect(text).toMatch(/^\s+5:4 MODE\s+RW\s+0x2\s+Mode \(not modelled: no modes here\)$/m);
    expect(text).toMatch(/^\s+1\s+on$/m);
    expect(text).toMatch(/^0x050\s+NONE\s+-\s+0x00000000\s+Nothing in it, 3\.9$/m);
    expect(text).not.toMatch(/[ \t]$/m);
  });
});

describe("the C header", () => {
  const lines = registersHeader(WIDGET).split("\n");

  it("has offset, count, stride and reset of each register", () => {
    for (const line of [
      "#define WIDGET_CTRL_OFFSET 0x000U",
      "#define WIDGET_CTRL_RESET 0x00000020U",
      "#define WIDGET_WIDE_RESET 0x0000000000005000ULL",
      "#define WIDGET_ROW_COUNT 3",
      "#define WIDGET_GAP_STRIDE 8",
    ]) {
      expect(lines).toContain(line);
    }
    expect(lines.some((l) => l.includes("WIDGET_KEY_RESET"))).toBe(false);
    expect(lines.some((l) => l.includes("WIDGET_EACH_RESET"))).toBe(false);
  });

  it("has shift and mask in place of each field", () => {
    for (const line of [
      "#define WIDGET_CTRL_MODE_SHIFT 4",
      "#define WIDGET_CTRL_MODE_MASK 0x00000030U",
      "#define WIDGET_STAT_BUSY_MASK 0x80000000U",
      "#define WIDGET_WIDE_BASE_SHIFT 12",
      "#define WIDGET_WIDE_BASE_MASK 0x0000fffffffff000ULL",
    ]) {
      expect(lines).toContain(line);
    }
  });

  it("lays a struct over the frame: gaps filled, arrays with gaps member by member, read-only members const", () => {
    const struct = lines.slice(lines.indexOf("struct widget_regs {") + 1, lines.indexOf("};")).map((l) => l.trim());
    expect(struct).toEqual([
      "volatile uint32_t CTRL; /* 0x000 */",
      "volatile uint32_t STAT; /* 0x004 */",
      "volatile uint32_t KEY; /* 0x008 */",
      "uint8_t reserved_c[0x4];",
      "volatile uint32_t WIDE[2]; /* 0x010 */",
      "uint8_t reserved_18[0x8];",
      "volatile uint32_t ROW[3]; /* 0x020 */",
      "uint8_t reserved_2c[0x4];",
      "const volatile uint32_t GAP_0; /* 0x030 */",
      "volatile uint32_t OTHER; /* 0x034 */",
      "const volatile uint32_t GAP_1; /* 0x038 */",
      "uint8_t reserved_3c[0x4];",
      "volatile uint32_t EACH[2]; /* 0x040 */",
      "uint8_t reserved_48[0x8];",
      "const volatile uint32_t NONE; /* 0x050 */",
      "uint8_t reserved_54[0xc];",
    ]);
  });

  it("comes with a file that asserts every offset and mask", () => {
    const test = registersHeaderTest(WIDGET, "widget.h");
    expect(test).toContain('#include "widget.h"');
    for (const line of [
      'static_assert(sizeof(struct widget_regs) == 0x060, "size of the frame");',
      'static_assert(offsetof(struct widget_regs, GAP_1) == 0x038, "GAP_1");',
      'static_assert(offsetof(struct widget_regs, ROW[2]) == 0x028, "ROW[2]");',
      'static_assert(WIDGET_GAP_OFFSET + 1 * WIDGET_GAP_STRIDE == 0x038, "GAP[1]");',
      'static_assert(WIDGET_WIDE_BASE_MASK == (((1ULL << 36) - 1) << 12), "BASE mask");',
    ]) {
      expect(test).toContain(line);
    }
    const asserted = [...test.matchAll(/static_assert\((\w+)_OFFSET ==/g)].map((m) => m[1]);
    expect(asserted).toEqual(
      ["CTRL", "STAT", "KEY", "WIDE", "ROW", "GAP", "OTHER", "EACH", "NONE"].map((n) => `WIDGET_${n}`),
    );
  });
});

describe("CMSIS-SVD", () => {
  it.each(ALL.map((d) => [d.name, d] as const))("of %s keeps the schema's rules", (_, declaration) => {
    expect(svdProblems(registersSvd(declaration))).toEqual([]);
  });

  it("the rules see elements out of order, missing and malformed", () => {
    const good = registersSvd(WIDGET);
    expect(svdProblems(good.replace("<width>32</width>", ""))).toEqual(["/device: no <width>"]);
    expect(svdProblems(good.replace("<lsb>0</lsb>", "<lsb>x</lsb>")).length).toBe(1);
    expect(svdProblems(good.replace("<access>read-write</access>", "<access>RW</access>")).length).toBe(1);
    const swapped = good.replace(/(<lsb>.*<\/lsb>)\s+(<msb>.*<\/msb>)/, "$2$1");
    expect(svdProblems(swapped)).toContain(
      "/device/peripherals/peripheral/registers/register/fields/field: <lsb> is out of place",
    );
    expect(() => parse("<device><name></device>")).toThrow("closes");
    expect(() => parse("<device>a & b</device>")).toThrow("bare &");
  });

  const registers =
    parse(registersSvd(WIDGET, 0x1000)).children.find((n) => n.name === "peripherals")?.children[0]?.children ?? [];
  const of = (name: string) => {
    const all = registers.find((n) => n.name === "registers")?.children ?? [];
    const register = all.find((r) => r.children.some((c) => c.name === "name" && c.text === name));
    return Object.fromEntries((register?.children ?? []).map((c) => [c.name, c.text]));
  };

  it("says what a register is", () => {
    expect(of("CTRL")).toMatchObject({
      addressOffset: "0x000",
      size: "32",
      access: "read-write",
      resetValue: "0x00000020",
      resetMask: "0x00000031",
    });
    expect(of("KEY")).toMatchObject({ access: "write-only" });
    expect(of("WIDE")).toMatchObject({ size: "64", resetValue: "0x0000000000005000" });
    expect(of("ROW[%s]")).toMatchObject({ dim: "3", dimIncrement: "4" });
    expect(of("GAP_%s")).toMatchObject({ dim: "2", dimIncrement: "8", access: "read-only" });
    expect(of("EACH_0")).toMatchObject({ addressOffset: "0x040", resetValue: "0x00000001" });
    expect(of("EACH_1")).toMatchObject({ addressOffset: "0x044", resetValue: "0x000000ff" });
  });

  it("says what writing and reading do to a field", () => {
    const text = registersSvd(WIDGET);
    const field = (name: string) => text.slice(text.indexOf(`<name>${name}</name>`)).split("</field>")[0];
    expect(field("ERR")).toContain("<modifiedWriteValues>oneToClear</modifiedWriteValues>");
    expect(field("SET")).toContain("<modifiedWriteValues>oneToSet</modifiedWriteValues>");
    expect(field("ONCE")).toContain("<readAction>clear</readAction>");
    expect(text).not.toContain("RSVD");
  });

  it("describes a whole system, interrupts included", () => {
    const text = deviceSvd({
      name: "board",
      description: "A board – with two",
      peripherals: [
        { name: "w0", declaration: WIDGET, baseAddress: 0x900_0000, interrupts: [{ name: "w0", value: 33 }] },
        { name: "w1", declaration: WIDGET, baseAddress: 0x40_1000_0000 },
      ],
    });
    expect(svdProblems(text)).toEqual([]);
    expect(text).toContain("<baseAddress>0x4010000000</baseAddress>");
    expect(text).toContain("<description>A board ? with two</description>");
  });
});

describe("Markdown", () => {
  const page = registersMarkdown(WIDGET).split("\n");

  it("lists the registers, with remarks where there is no column", () => {
    for (const line of [
      "| 0x000 | `CTRL` | RW | 0x00000020 | Control \\| mode | 3.1 |",
      "| 0x008 | `KEY` | WO | 0x00000000 | Key (accesses of 32 bits) | 3.3 |",
      "| 0x020 to 0x028, every 4 | `ROW[0..2]` | RW | 0x00000000 | Array (the first 1 one a CPU) | 3.5 |",
      "| 0x034 | `OTHER` | RW | 0x00000000 | Between (not modelled: not needed) | 3.7 |",
      "| 0x040 to 0x044, every 4 | `EACH[0..1]` | RW | 0x00000001, ... | Resets differ | 3.8 |",
    ]) {
      expect(page).toContain(line);
    }
  });

  it("lists the fields of registers that have more to say than their title", () => {
    expect(page).toContain("| 5:4 | `MODE` | RW | 0x2 | Mode (not modelled: no modes here) |");
    expect(page).toContain("| 0 | `EN` | RW | 0x0 | Enable; 0: off, 1: on |");
    expect(page).not.toContain("`KEY`:");
    expect(page).toContain("`WIDE`:");
  });

  it("fills the marked section of a page, and again without change", () => {
    const text = "# Widget\n\n<!-- registers -->\nold\n<!-- /registers -->\n\nEnd.\n";
    const filled = fillRegisterSection(text, [WIDGET]);
    expect(filled).toMatch(/^# Widget\n\n<!-- registers -->\n\n### WIDGET registers\n/);
    expect(filled).toMatch(/\n<!-- \/registers -->\n\nEnd\.\n$/);
    expect(filled).not.toContain("old");
    expect(fillRegisterSection(filled, [WIDGET])).toBe(filled);
    expect(() => fillRegisterSection("# Widget\n", [WIDGET])).toThrow("expected <!-- registers -->");
  });
});
