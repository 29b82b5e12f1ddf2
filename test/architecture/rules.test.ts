import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { blank, places, ROOT, sources } from "./sources.ts";

const everywhere = sources("src", "platform");
const core = everywhere.filter((s) => !s.path.startsWith("src/host/"));

describe("below src/host", () => {
  it("nothing knows the host: no clock, no chance, no Node, no browser", () => {
    const forbidden =
      /(?<![\w.$#"'])(?:Date|process|Buffer|require|performance|setTimeout|setInterval|setImmediate|queueMicrotask|window|document|localStorage|navigator|XMLHttpRequest|fetch)(?=\s*[.([])|\bMath\.random\b|\bcrypto\.getRandomValues\b/g;
    const calls = core.flatMap((s) => places(s, forbidden));
    // A method of that name in a class, or a parameter, is no global.
    const own = /: (?:fetch|window|process|document)$/;
    expect(calls.filter((line) => !own.test(line))).toEqual([]);
  });

  it("no module has mutable state: no top-level let or var, no container that could be written", () => {
    const variables = /^(?:export )?(?:let|var)\b[^\n;=]*/gm;
    const containers =
      /^(?:export )?const \w+(?:: (?!Readonly|readonly)[^=\n]*)? = (?:new (?:Map|Set|WeakMap|WeakSet|Array|\w+Array(?!\(\[)|DataView|ArrayBuffer)\b|\[\]|\{\})[^\n;]*/gm;
    const statics =
      /^\s+(?:(?:private|protected|public) )?static (?!readonly\b|#?\w+[(<]|async\b|get\b|set\b|\*)[^\n;]*/gm;
    const found = core.flatMap((s) => [...places(s, variables), ...places(s, containers), ...places(s, statics)]);
    expect(found.filter((line) => !TRANSIENT.some(([place]) => line.startsWith(place)))).toEqual([]);
  });

  it("hot floors have no BigInt", () => {
    const folders = ["src/sim/", "src/bus/", "src/devices/", "src/pcie/", "src/cpu/"];
    const bigint =
      /\bBigInt(?:64Array|Uint64Array)?\b|\bBigUint64Array\b|(?<![\w.$])(?:0[xob][\da-fA-F]+|\d+)n\b|\b[gs]etBig(?:Int|Uint)64\b/g;
    expect(core.filter((s) => folders.some((f) => s.path.startsWith(f))).flatMap((s) => places(s, bigint))).toEqual([]);
  });
});

/** Module-level objects that carry nothing from one call to the next, and why they are there. */
const TRANSIENT: readonly (readonly [place: string, reason: string])[] = [
  ["src/sim/hash.ts:", "scratch to take the bits of a float, filled and read within one call"],
];

describe("everywhere", () => {
  it("no rule is switched off in a comment of the product's own code", () => {
    const marks = ["biome-ignore", "@ts-ignore", "@ts-nocheck", "eslint-disable", "istanbul ignore"];
    const all = [...everywhere, ...sources("bench", "scripts")];
    expect(all.filter((s) => marks.some((m) => s.text.includes(m))).map((s) => s.path)).toEqual([]);
  });

  it("a part has its sources, tests and page under one name", () => {
    const parts = readdirSync(join(ROOT, "src/devices"), { withFileTypes: true }).filter((e) => e.isDirectory());
    expect(parts.length).toBeGreaterThan(3);
    const missing = parts.flatMap(({ name }) =>
      [`test/devices/${name}`, `docs/devices/${name}.md`].filter((path) => !existsSync(join(ROOT, path))),
    );
    expect(missing).toEqual([]);
  });

  it("the checks look at code, not at comments, strings or regular expressions", () => {
    const text =
      'let a = "Date.now()"; // process.exit\n/* Buffer.from */ const r = /performance\\.x/;\nconst t = `window.$' +
      "{Date.now()} x`;";
    expect(blank(text)).toContain("Date.now()");
    expect(blank(text).match(/Date/g)).toHaveLength(1);
    expect(blank(text)).not.toMatch(/process|Buffer|performance|window/);
    expect(blank(text).split("\n")).toHaveLength(3);
  });
});
