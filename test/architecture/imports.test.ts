import { describe, expect, it } from "vitest";
import { blank, importsOf, type Source, sources } from "./sources.ts";

/** The floors of docs/architecture.md. */
const FLOORS: { readonly [folder: string]: number } = {
  "src/sim": 0,
  "src/bus": 1,
  "src/mmu": 1,
  "src/registers": 1,
  "src/formats": 1,
  "src/cpu": 2,
  "src/devices": 2,
  "src/pcie": 2,
  "src/net": 2,
  platform: 3,
  "src/hypervisor": 4,
  "src/guests": 5,
  "src/systems": 5,
  "src/experiments": 6,
  "src/observe": 6,
  "src/host": 7,
};

/** Imports between folders of one floor, and why. */
const BESIDE: { readonly [edge: string]: string } = {
  "src/registers > src/bus": "a bank is a target on the bus",
  "src/devices > src/pcie": "endpoints are devices",
  "src/devices > src/net": "network devices send frames",
  "src/pcie > src/devices": "functions behind the root complex",
};

/** Packages that the core may use; they must run in a browser. */
const CORE_PACKAGES = ["binary-parser", "bitwise", "fzstd"];

const all = sources("src", "platform");

function folderOf(path: string): string {
  return path.startsWith("platform/") ? "platform" : path.split("/").slice(0, 2).join("/");
}

function violation(from: string, to: string): string | null {
  const [a, b] = [folderOf(from), folderOf(to)];
  if (a === b) return null;
  const [floorA, floorB] = [FLOORS[a], FLOORS[b]];
  if (floorA === undefined || floorB === undefined) return `${from} imports ${to}: no floor is known for one of them`;
  if (floorB < floorA || (floorA === floorB && `${a} > ${b}` in BESIDE)) return null;
  return `${from} (floor ${floorA}) imports ${to} (floor ${floorB})`;
}

describe("imports", () => {
  it("every folder has a floor", () => {
    const folders = new Set(all.map((s) => folderOf(s.path)));
    expect(folders.size).toBeGreaterThan(4);
    expect([...folders].filter((f) => FLOORS[f] === undefined)).toEqual([]);
  });

  it("run downwards only", () => {
    const wrong = all.flatMap((s) =>
      importsOf(s)
        .filter((to) => /^(src|platform)\//.test(to))
        .map((to) => violation(s.path, to)),
    );
    expect(wrong.filter((v) => v !== null)).toEqual([]);
  });

  it("lead to files inside src and platform, or to packages", () => {
    const outside = all
      .filter((s) => folderOf(s.path) !== "src/host")
      .flatMap((s) => importsOf(s).map((to) => ({ from: s.path, to })))
      .filter(({ to }) => to.startsWith("..") || /^(test|bench|scripts|bin|firmware|docs)\//.test(to));
    expect(outside).toEqual([]);
  });

  it("below src/host name nothing of Node, and only packages that run in a browser", () => {
    const foreign = all
      .filter((s) => folderOf(s.path) !== "src/host")
      .flatMap((s) => importsOf(s).map((to) => `${s.path}: ${to}`))
      .filter((line) => !/: (src|platform)\//.test(line))
      .filter((line) => !CORE_PACKAGES.some((name) => line.endsWith(`: ${name}`) || line.includes(`: ${name}/`)));
    expect(foreign).toEqual([]);
  });

  it("the check sees every form of import, and none in comments and strings", () => {
    const of = (text: string): string[] => {
      const source: Source = { path: "src/bus/x.ts", text, code: blank(text) };
      return importsOf(source);
    };
    expect(of('import { a } from "../sim/a.ts";')).toEqual(["src/sim/a.ts"]);
    expect(of("import type {\n  A,\n  B,\n} from '../host/a.ts';")).toEqual(["src/host/a.ts"]);
    expect(of('export * from "./b.ts";\nimport "node:fs";')).toEqual(["src/bus/b.ts", "node:fs"]);
    expect(of('const x = await import("../host/c.ts");')).toEqual(["src/host/c.ts"]);
    expect(of('// import { a } from "../host/a.ts";\n/* import "x" */')).toEqual([]);
    expect(violation("src/bus/x.ts", "src/devices/y.ts")).toContain("floor 1");
    expect(violation("src/devices/y.ts", "src/bus/x.ts")).toBeNull();
    expect(violation("src/bus/x.ts", "src/registers/y.ts")).toContain("floor 1");
    expect(violation("src/registers/y.ts", "src/bus/x.ts")).toBeNull();
    expect(violation("src/new/y.ts", "src/bus/x.ts")).toContain("no floor");
  });
});
