/** The self test's report, line by line. */

export interface Check {
  readonly result: "PASS" | "FAIL" | "SKIP";
  readonly name: string;
  readonly text: string;
}

/** Figures t=<n>us depend on the machine's speed and become t=?. */
export function checks(output: string): Check[] {
  const found: Check[] = [];
  // What the UART's loopback checks send may have reached the terminal too: control characters, before the line's first word.
  for (const [, result, name, text] of output
    .replaceAll("\r", "")
    .matchAll(/^\P{L}*(PASS|FAIL|SKIP) (\S+) +(.*)$/gmu)) {
    found.push({
      result: result as Check["result"],
      name: name as string,
      text: (text as string).replace(/\bt=\d+us/g, "t=?"),
    });
  }
  return found;
}

/** The figure t=<n>us of a check, in microseconds. */
export function microseconds(output: string, name: string): number {
  const line = output.split("\n").find((l) => l.includes(` ${name} `));
  const figure = line === undefined ? null : /\bt=(\d+)us/.exec(line);
  if (figure === null) throw new Error(`no time in the line of ${name}: ${line ?? "absent"}`);
  return Number(figure[1]);
}
