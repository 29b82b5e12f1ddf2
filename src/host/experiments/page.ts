/** A study's report as one HTML page that needs nothing else: paper against simulation, plots, parameters, all runs. */
import {
  describe,
  formatMeasure,
  type JudgedOutcome,
  type Parameter,
  type Plot,
  type StudyReport,
  type Value,
  type VariantReport,
} from "../../experiments/index.ts";
import { drawPlot } from "./charts.ts";

const CLASSES = { N: "a number", R: "a ratio or an order", X: "an exact mechanism" } as const;
const STANDINGS = {
  stated: "stated by the abstract of the study",
  found: "found in published material",
  computed: "computed from what is published",
  recalled: "from memory, unverified",
} as const;

const STYLE = `
:root { color-scheme: light; --ink: #22272e; --soft: #5b6570; --line: #d9dde1; --paper: #ffffff; --shade: #f5f6f8; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; } h1 small { color: var(--soft); font-weight: 500; margin-right: .6rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .8rem; } h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { margin: .4rem 0; max-width: 50rem; } .soft { color: var(--soft); }
.sum { display: flex; gap: 2rem; margin: 1.4rem 0 0; padding: .9rem 1.2rem; background: var(--shade); border-radius: 8px; flex-wrap: wrap; }
.sum b { font-size: 1.35rem; display: block; line-height: 1.2; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .7rem .45rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; white-space: nowrap; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td small { display: block; color: var(--soft); font-size: .82rem; }
.v { display: inline-block; padding: .05rem .55rem; border-radius: 999px; font-weight: 600; font-size: .82rem; white-space: nowrap; border: 1px solid; }
.reproduced { color: #14633a; background: #e8f5ee; border-color: #b5dcc6; }
.not-reproduced { color: #8b1a1a; background: #fbecec; border-color: #ecc4c4; }
.fitted { color: #7a5200; background: #fdf4df; border-color: #ecd7a4; }
figure { margin: 1.2rem 0 1.8rem; } figcaption { font-weight: 600; margin-bottom: .4rem; } svg { max-width: 100%; height: auto; display: block; }
code { font: .88em ui-monospace, monospace; background: var(--shade); padding: .1rem .35rem; border-radius: 4px; }
@media print { main { padding: 0; max-width: none; } figure, tr { break-inside: avoid; } }
`;

/** @param command how to get this report again */
export function toPage(report: StudyReport, command: string): string {
  const { experiment } = report.study;
  let plots = 0;
  const draw = (plot: Plot): string =>
    `<figure><figcaption>${escaped(plot.title)}</figcaption>${drawPlot(plot, `p${plots++}`)}</figure>`;
  const swept = report.variants.length > 1;
  const body = [
    `<h1><small>${escaped(experiment.id)}</small>${escaped(experiment.title)}</h1>`,
    `<p>${escaped(experiment.question)}</p>`,
    `<p class="soft">After ${experiment.publications.map(escaped).join("; ")}.</p>`,
    summary(report),
    "<h2>Paper and simulation, point by point</h2>",
    ...report.variants.map((v) => `${heading(v, swept)}${outcomes(v.outcomes)}`),
    "<h2>Plots</h2>",
    ...report.plots.map(draw),
    ...report.variants.slice(0, 1).flatMap((v) => [heading(v, swept), ...v.plots.map(draw)]),
    "<h2>Parameters, and where each is from</h2>",
    parameters(report),
    "<h2>All runs</h2>",
    runs(report),
    "<h2>How to read this</h2>",
    legend(),
    `<p>Again: <code>${escaped(command)}</code>. The same seed gives the same bytes.</p>`,
  ];
  return `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(`${experiment.id} ${experiment.title}`)}</title><style>${STYLE}</style></head>
<body><main>
${body.join("\n")}
</main></body></html>
`;
}

function summary(report: StudyReport): string {
  const all = report.variants.flatMap((v) => v.outcomes);
  const count = (verdict: string): number => all.filter((o) => o.verdict === verdict).length;
  const item = (n: number, text: string): string => `<div><b>${n}</b>${text}</div>`;
  const runs = report.study.tasks.length;
  return `<div class="sum">${[
    item(count("reproduced"), "points reproduced"),
    item(count("not reproduced"), "not reproduced"),
    item(count("fitted"), "fitted, not counted"),
    item(runs, runs === 1 ? "run" : "runs"),
    `<div><b>${report.study.seed}</b>seed</div>`,
  ].join("")}</div>`;
}

function heading(v: VariantReport, swept: boolean): string {
  return swept ? `<h3>${escaped(describe(v.swept))}</h3>` : "";
}

function outcomes(list: readonly JudgedOutcome[]): string {
  const rows = list.map(
    (o) => `<tr><td>${escaped(o.about.title)}<small>${CLASSES[o.about.class]}</small></td>
<td>${escaped(o.about.paper)}<small>${STANDINGS[o.about.standing]}: ${escaped(o.about.source)}</small></td>
<td>${escaped(o.simulated)}${o.remark === undefined ? "" : `<small>${escaped(o.remark)}</small>`}</td>
<td>${verdict(o)}</td></tr>`,
  );
  return table(["Point", "Paper", "Simulation", "Verdict"], rows);
}

function verdict(o: JudgedOutcome): string {
  const badge = `<span class="v ${o.verdict.replace(" ", "-")}">${o.verdict}</span>`;
  return o.verdict === "fitted" ? `${badge}<small>by ${escaped(o.fittedBy.join(", "))}; not counted</small>` : badge;
}

function parameters(report: StudyReport): string {
  const { experiment, changed, variants } = report.study;
  const rows = experiment.parameters.map((p) => {
    const values = [...new Set(variants.map((v) => v.parameters[p.name] as Value))].map(String).join(", ");
    const source = changed.includes(p.name)
      ? `given on the command line; else ${String(p.value)}: ${p.source}`
      : p.source;
    return `<tr><td><code>${escaped(p.name)}</code></td><td class="n">${escaped(values)}</td><td>${escaped(p.unit)}</td>
<td>${escaped(source)}${fittedNote(p, report)}</td></tr>`;
  });
  return table(["Name", "Value", "Unit", "Obtained"], rows);
}

function fittedNote(p: Parameter, { study }: StudyReport): string {
  if (p.fitted === undefined || study.changed.includes(p.name)) return "";
  const point = study.experiment.points.find((q) => q.id === p.fitted);
  return ` <span class="v fitted">fitted</span><small>to "${escaped(point?.title ?? p.fitted)}"</small>`;
}

function runs(report: StudyReport): string {
  const { measures } = report.study.experiment;
  const swept = Object.keys(report.variants[0]?.swept ?? {});
  const rows = report.variants.flatMap((v) =>
    v.rows.map((row) => {
      const cells = measures.map((m) => `<td class="n">${formatMeasure(m, row.result.measures[m.name])}</td>`);
      const variant = swept.map((name) => `<td class="n">${escaped(String(v.swept[name]))}</td>`);
      return `<tr>${variant.join("")}<td>${escaped(row.configuration)}</td>${cells.join("")}</tr>`;
    }),
  );
  const numeric = measures.map((m) => (m.unit === "" ? m.title : `${m.title} (${m.unit})`));
  return table([...swept, "Configuration", ...numeric], rows, swept.length, swept.length + 1);
}

/** Columns below `left` and from `right` on are numbers. */
function table(titles: readonly string[], rows: readonly string[], left = 0, right = titles.length): string {
  const head = titles.map((t, n) => `<th${n < left || n >= right ? ' class="n"' : ""}>${escaped(t)}</th>`).join("");
  return `<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>${rows.join("\n")}</tbody></table></div>`;
}

function legend(): string {
  return `<p>A point is <b>reproduced</b> where the simulation holds to the criterion beside it, with no parameter fitted to it. Where one was, it says
<b>fitted</b>: the agreement is by construction and does not count. Points are ${CLASSES.N} to hit, ${CLASSES.R}, or ${CLASSES.X}.
What the paper says is given in our words, with how well it is known; what is only recalled is never held against a number.</p>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
