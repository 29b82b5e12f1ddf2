/** A study's report as a table for a terminal, as CSV and as JSON. The same study gives the same bytes. */
import type { Measure, Value, Values } from "./experiment.ts";
import type { StudyReport, VariantReport } from "./study.ts";

export function formatMeasure(measure: Measure, value: number | undefined): string {
  return value === undefined ? "" : value.toFixed(measure.digits);
}

/** Columns of the results: the swept parameters, the configuration, the measures. */
function header(report: StudyReport): string[] {
  const { experiment, variants } = report.study;
  const swept = Object.keys(variants[0]?.swept ?? {});
  return [
    ...swept,
    "configuration",
    ...experiment.measures.map((m) => (m.unit === "" ? m.title : `${m.title} (${m.unit})`)),
  ];
}

function rows(report: StudyReport, cell: (measure: Measure, value: number | undefined) => string): string[][] {
  const { measures } = report.study.experiment;
  return report.variants.flatMap((v) =>
    v.rows.map((row) => [
      ...Object.values(v.swept).map(String),
      row.configuration,
      ...measures.map((m) => cell(m, row.result.measures[m.name])),
    ]),
  );
}

/** The table on standard output: results, then point by point paper and simulation. */
export function toTable(report: StudyReport): string {
  const { experiment } = report.study;
  const texts = [
    `${experiment.id}  ${experiment.title}`,
    "",
    ...align([header(report), ...rows(report, formatMeasure)]),
    "",
  ];
  for (const v of report.variants) {
    if (Object.keys(v.swept).length > 0) texts.push(describe(v.swept));
    texts.push(...outcomeLines(v), "");
  }
  return texts.join("\n");
}

function outcomeLines(v: VariantReport): string[] {
  const table = [["point", "class", "paper", "simulation", "verdict"]];
  for (const o of v.outcomes) {
    const verdict = o.verdict === "fitted" ? `fitted (${o.fittedBy.join(", ")}), not counted` : o.verdict;
    table.push([o.point, o.about.class, `${o.about.paper} [${o.about.standing}]`, o.simulated, verdict]);
  }
  return align(table);
}

/** `a=1, b=2` */
export function describe(values: Values): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(", ");
}

function align(table: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of table) for (const [n, c] of row.entries()) widths[n] = Math.max(widths[n] ?? 0, c.length);
  const numeric = widths.map((_, n) => table.slice(1).every((row) => /^-?[\d.]*$/.test(row[n] ?? "")));
  return table.map((row) =>
    row
      .map((c, n) => (numeric[n] ? c.padStart(widths[n] ?? 0) : c.padEnd(widths[n] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

/** RFC 4180, a line a run, numbers in full. */
export function toCsv(report: StudyReport): string {
  const line = (cells: readonly string[]): string => cells.map(quote).join(",");
  const all = [header(report), ...rows(report, (_, value) => (value === undefined ? "" : String(value)))];
  return `${all.map(line).join("\r\n")}\r\n`;
}

function quote(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

export function toJson(report: StudyReport): string {
  const { experiment, seed } = report.study;
  const body = {
    experiment: experiment.id,
    title: experiment.title,
    seed,
    publications: experiment.publications,
    parameters: experiment.parameters.map((p) => ({ ...p, changed: report.study.changed.includes(p.name) })),
    points: experiment.points,
    measures: experiment.measures,
    variants: report.variants.map((v) => ({
      swept: v.swept,
      parameters: sorted(v.parameters),
      runs: v.rows.map((r) => ({ configuration: r.configuration, settings: r.settings, ...r.result })),
      outcomes: v.outcomes.map(({ about: _, ...o }) => o),
    })),
  };
  return `${JSON.stringify(body, null, 2)}\n`;
}

function sorted(values: Values): Values {
  const result: Record<string, Value> = {};
  for (const name of Object.keys(values).sort()) result[name] = values[name] as Value;
  return result;
}
