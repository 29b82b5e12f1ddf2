/** From a command line to `RunOptions`, and the help text of the options. */
import { InputError } from "../../formats/index.ts";
import { Builder, type Flavour, TextRequest } from "./builder.ts";
import { applyDiskFile } from "./disk-options.ts";
import type { ParsedCommandLine } from "./run-options.ts";
import { OPTIONS, type Option, REFUSED, RESTORE } from "./table.ts";

const BY_NAME: ReadonlyMap<string, Option> = new Map(OPTIONS.flatMap((o) => o.names.map((n) => [n, o])));
const REASONS: ReadonlyMap<string, string> = new Map(REFUSED.flatMap((r) => r.names.map((n) => [n, r.reason])));

export interface Product {
  readonly program: string;
  readonly version: string;
}

/** Parses the words after the program's name. Throws InputError for what the user got wrong. */
export function parseCommandLine(words: readonly string[], flavour: Flavour, product: Product): ParsedCommandLine {
  const builder = new Builder(flavour);
  try {
    for (let i = 0; i < words.length; i++) {
      const word = words[i] as string;
      if (!word.startsWith("-") || word === "-") {
        positional(builder, word);
        continue;
      }
      let name = word.replace(/^--?/, "");
      if (name === "h" || name === "help" || name === "?") return { kind: "text", text: helpText(product, flavour) };
      if (name === "version") return { kind: "text", text: versionText(product) };
      let attached: string | undefined;
      const equals = name.indexOf("=");
      // --expect=TEXT, as other programs take it; QEMU's own options are never written so.
      const before = name.slice(0, Math.max(0, equals));
      if (word.startsWith("--") && (before === "snapshot" || BY_NAME.get(before)?.argument !== undefined)) {
        attached = name.slice(equals + 1);
        name = name.slice(0, equals);
      }
      let option = BY_NAME.get(name);
      if (name === "snapshot" && word.startsWith("--") && (attached !== undefined || takesFile(flavour, words[i + 1])))
        option = RESTORE;
      if (option === undefined) throw unknownOption(word, name, flavour);
      if (option.argument === undefined) {
        option.apply(builder, "", word);
        if (isMachine(option)) builder.machineWords.push(word);
        continue;
      }
      const value = attached ?? words[++i];
      if (value === undefined) throw new InputError(`${word}: expected an argument: ${option.argument}`);
      option.apply(builder, value, `-${name} ${value}`);
      if (isMachine(option)) builder.machineWords.push(`-${name}`, value);
    }
    return { kind: "run", options: builder.build() };
  } catch (error) {
    if (error instanceof TextRequest) return { kind: "text", text: error.message };
    throw error;
  }
}

function positional(builder: Builder, word: string): void {
  if (builder.flavour === "qemu") {
    applyDiskFile(false)(builder, word, `"${word}"`);
    builder.machineWords.push("-hda", word);
    return;
  }
  if (builder.kernel !== undefined)
    throw new InputError(`"${word}": the image to run is "${builder.kernel}": expected one`);
  builder.kernel = word;
  builder.machineWords.push("-kernel", word);
}

/** Options of the machine's group that say how it is run, not which it is. */
const MANNERS: readonly string[] = ["icount", "name", "accel"];

/** The option says which machine it is, or is what a device of it needs. */
function isMachine({ names, group }: Option): boolean {
  if (names.includes("chardev")) return true;
  return (group === "machine" || group === "boot" || group === "devices") && !names.some((n) => MANNERS.includes(n));
}

/**
 * The words that make the machine of a snapshot or a recording, with those that the user gave: the saved ones as long as the user describes no
 * machine. Character devices may be given anew.
 */
export function withMachineWords(saved: readonly string[], given: readonly string[], own: readonly string[]): string[] {
  const isCharacterDevice = (_: string, i: number, all: readonly string[]) =>
    all[i] === "-chardev" || (i > 0 && all[i - 1] === "-chardev");
  if (own.some((word, i, all) => !isCharacterDevice(word, i, all))) return [...given];
  const kept = own.length > 0 ? saved.filter((word, i, all) => !isCharacterDevice(word, i, all)) : saved;
  return [...kept, ...given];
}

/** A file follows `--snapshot`. With QEMU's command line that word would be a disk: write `-snapshot` there. */
function takesFile(flavour: Flavour, next: string | undefined): boolean {
  return flavour === "armature" || (next !== undefined && !next.startsWith("-"));
}

function unknownOption(word: string, name: string, flavour: Flavour): InputError {
  const reason = REASONS.get(name);
  if (reason !== undefined) return new InputError(`${word}: not supported by Armature: ${reason}`);
  const near = nearest(name);
  const help = flavour === "qemu" ? "-help" : "armature run --help";
  return new InputError(
    `${word}: unknown option${near === null ? "" : `; did you mean -${near}?`} (${help} lists them)`,
  );
}

/** The option that is one edit away, if there is just one thing to suggest. */
function nearest(name: string): string | null {
  if (name.length < 3) return null;
  for (const known of BY_NAME.keys()) if (known.length >= 3 && distance(name, known) <= 1) return known;
  return null;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitute, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

export function versionText(product: Product): string {
  return `Armature ${product.version}\nOptions and protocols follow QEMU 10.0\n`;
}

const GROUPS: readonly (readonly [Option["group"], string])[] = [
  ["machine", "Machine"],
  ["boot", "Images"],
  ["devices", "Devices"],
  ["console", "Terminal and character devices"],
  ["control", "Control"],
  ["debug", "Debugging"],
  ["observe", "Watching and scripting"],
  ["accepted", "Taken for compatibility"],
];

export function helpText(product: Product, flavour: Flavour): string {
  const usage = flavour === "qemu" ? `${product.program} [options]` : `${product.program} run [options] [image]`;
  const sections = GROUPS.map(([group, title]) => {
    const lines = OPTIONS.filter((o) => o.group === group).map((o) => {
      const names = o.names.map((n) => `-${n}`).join(", ");
      const left = `  ${names}${o.argument === undefined ? "" : ` ${o.argument}`}`;
      if (o.help === "") return left;
      return left.length < 34 ? `${left.padEnd(35)} ${o.help}` : `${left}\n${" ".repeat(36)}${o.help}`;
    });
    return `${title}:\n${lines.join("\n")}\n`;
  });
  const end =
    "Exit codes: 0 the guest powered off, the script was satisfied or the user left; 1 a script timed out, the guest can\n" +
    "never go on, or --strict found guest errors; 2 something on the command line or in a file is wrong.\n" +
    "On the terminal, Ctrl-A H shows the keys.\n";
  return `${versionText(product)}Usage: ${usage}\n\n${sections.join("\n")}\n${end}`;
}
