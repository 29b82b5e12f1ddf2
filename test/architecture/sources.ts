/** The project's sources as text, for the rules that neither compiler nor linter know. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

export interface Source {
  /** Path from the root: "src/bus/port.ts". */
  readonly path: string;
  readonly text: string;
  /** The text with comments and the contents of strings blanked out; line numbers stay. */
  readonly code: string;
}

/** All TypeScript files below the folders. */
export function sources(...folders: string[]): Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
      .map((entry) => {
        const file = join(entry.parentPath, entry.name);
        const text = readFileSync(file, "utf8");
        return { path: relative(ROOT, file).replaceAll("\\", "/"), text, code: blank(text) };
      }),
  );
}

/** What a file imports, type imports and dynamic ones included: paths from the root, or names of packages. */
export function importsOf(source: Source): string[] {
  const text = blank(source.text, true);
  const found = new Set<string>();
  const patterns = [/\b(?:import|export)\b[^"';]*?\bfrom\s*["']([^"']+)["']/g, /\bimport\s*\(?\s*["']([^"']+)["']/g];
  for (const pattern of patterns) for (const [, name] of text.matchAll(pattern)) found.add(name as string);
  return [...found].map((name) =>
    name.startsWith(".") ? relative(ROOT, resolve(ROOT, dirname(source.path), name)).replaceAll("\\", "/") : name,
  );
}

/** Comments, and unless `keepStrings` the contents of strings, as spaces. Templates keep what is inside `${}`. */
export function blank(text: string, keepStrings = false): string {
  let out = "";
  let i = 0;
  const spaces = (from: number, to: number) => text.slice(from, to).replace(/[^\n]/g, " ");
  /** Depths of braces at which a template goes on. */
  const templates: number[] = [];
  let depth = 0;
  const template = () => {
    const start = i;
    while (i < text.length && text[i] !== "`" && !(text[i] === "$" && text[i + 1] === "{"))
      i += text[i] === "\\" ? 2 : 1;
    out += keepStrings ? text.slice(start, i) : spaces(start, i);
    if (text[i] === "`") {
      out += "`";
      i++;
    } else if (i < text.length) {
      out += "${";
      i += 2;
      templates.push(depth);
    }
  };
  while (i < text.length) {
    const c = text[i] as string;
    if (c === "/" && (text[i + 1] === "/" || text[i + 1] === "*")) {
      const line = text[i + 1] === "/";
      const end = text.indexOf(line ? "\n" : "*/", i + 2);
      const to = end < 0 ? text.length : line ? end : end + 2;
      out += spaces(i, to);
      i = to;
    } else if (c === '"' || c === "'") {
      const start = i++;
      while (i < text.length && text[i] !== c && text[i] !== "\n") i += text[i] === "\\" ? 2 : 1;
      i++;
      out += keepStrings ? text.slice(start, i) : c + spaces(start + 1, i - 1) + c;
    } else if (c === "`") {
      out += c;
      i++;
      template();
    } else if (c === "/" && /[=(,:[!&|?{;\n]\s*$/.test(out.slice(-20))) {
      const start = i++;
      let set = false;
      while (i < text.length && text[i] !== "\n" && (set || text[i] !== "/")) {
        if (text[i] === "[") set = true;
        else if (text[i] === "]") set = false;
        i += text[i] === "\\" ? 2 : 1;
      }
      i++;
      out += keepStrings ? text.slice(start, i) : `/${spaces(start + 1, i - 1)}/`;
    } else {
      if (c === "{") depth++;
      if (c === "}" && templates[templates.length - 1] === depth) {
        templates.pop();
        out += c;
        i++;
        template();
        continue;
      }
      if (c === "}") depth--;
      out += c;
      i++;
    }
  }
  return out;
}

/** "path:line" of each match of `pattern` (with the flag g) in the code. */
export function places(source: Source, pattern: RegExp): string[] {
  return [...source.code.matchAll(pattern)].map(
    (match) => `${source.path}:${source.code.slice(0, match.index).split("\n").length}: ${match[0].trim()}`,
  );
}
