import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { findPart, PARTS } from "../../src/devices/registry.ts";
import { fillRegisterSection } from "../../src/registers/export/index.ts";

describe("register tables in docs/devices", () => {
  it.each(PARTS.map((p) => [p.name, p.declarations] as const))(
    "%s.md is up to date (npm run docs)",
    (name, declarations) => {
      const page = readFileSync(new URL(`../../docs/devices/${name}.md`, import.meta.url), "utf8");
      expect(fillRegisterSection(page, declarations) === page).toBe(true);
    },
  );
});

describe("the registry", () => {
  it("finds parts by folder, frames by declaration, in any case", () => {
    expect(findPart("PL011")?.declarations.map((d) => d.name)).toEqual(["PL011"]);
    expect(findPart("gicv2")?.declarations.map((d) => d.name)).toEqual(["GICD", "GICC", "GICH", "GICV"]);
    expect(findPart("gicc")?.declarations.map((d) => d.name)).toEqual(["GICC"]);
    expect(findPart("pl012")).toBeNull();
  });

  it("has no two parts or frames of one name", () => {
    const names = PARTS.map((p) => p.name);
    const frames = PARTS.flatMap((p) => p.declarations.map((d) => d.name));
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(frames).size).toBe(frames.length);
  });
});
