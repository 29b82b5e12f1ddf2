/** Plots as SVG text, drawn by echarts without a browser. The same plot gives the same text. */
import { BarChart, LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import type { Plot, PlotSeries } from "../../experiments/index.ts";

/** Told apart by people with any colour vision, in this order; further series repeat them dashed. */
const COLOURS = ["#2a6fbb", "#d1602b", "#2b8a5c", "#8a4fb5", "#b8860b", "#5b6770", "#c2407c", "#178f9e"];
const INK = "#3a4149";
const FAINT = "#d9dde1";
const FONT = "system-ui, sans-serif";
const MARK = "#8b1a1a";

/** @param name is in the ids of the SVG, which must differ within one page */
export function drawPlot(plot: Plot, name: string, width = 760, height = 340): string {
  use([BarChart, LineChart, GridComponent, LegendComponent, MarkLineComponent, SVGRenderer]);
  const legendLines = Math.ceil(plot.series.reduce((sum, s) => sum + s.name.length * 7 + 80, 0) / (width - 40));
  const legend = plot.series.length > 1 ? 30 * legendLines - 4 : 0;
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height: height + legend });
  chart.setOption({
    animation: false,
    textStyle: { fontFamily: FONT, color: INK },
    color: COLOURS,
    grid: { left: 64, right: plot.marks ? 96 : 24, top: 28 + legend, bottom: plot.x === "" ? 36 : 52 },
    legend: {
      show: plot.series.length > 1,
      top: 0,
      left: 0,
      textStyle: { color: INK },
      itemWidth: 18,
      itemGap: 32,
      width: width - 40,
    },
    xAxis: {
      ...axis(plot.x, "middle", 30),
      type: plot.categories ? "category" : "value",
      ...(plot.categories ? { data: [...plot.categories] } : { scale: true }),
      splitLine: { show: false },
      axisLabel: {
        color: INK,
        interval: 0,
        hideOverlap: true,
        // room for each label, so that neighbours do not run into each other
        ...(plot.categories ? { width: Math.floor(580 / plot.categories.length), overflow: "break" } : {}),
      },
    },
    yAxis: {
      ...axis(plot.y, "middle", 46),
      type: "value",
      ...(plot.yMaximum === undefined ? {} : { max: plot.yMaximum }),
      splitLine: { lineStyle: { color: FAINT } },
    },
    series: plot.series.map((s, n) => ({ ...drawSeries(plot, s, n), ...(n === 0 ? marks(plot) : {}) })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  // What serves a pointer is of no use on a still page, and is numbered over the life of the process, as the ids are.
  return svg
    .replace(/<style\s*>[\s\S]*?<\/style>/g, "")
    .replace(/ (?:class|ecmeta_\w+)="[^"]*"/g, "")
    .replace(/zr\d+-/g, `${name}-`);
}

function axis(title: string, at: "middle", gap: number): object {
  return {
    name: title,
    nameLocation: at,
    nameGap: gap,
    nameTextStyle: { color: INK },
    axisLine: { show: true, lineStyle: { color: INK } },
    axisLabel: { color: INK },
  };
}

function drawSeries(plot: Plot, { name, data }: PlotSeries, n: number): object {
  if (plot.kind === "bar") return { name, type: "bar", data: [...data], barMaxWidth: 46, silent: true };
  const points = data.length;
  return {
    name,
    type: "line",
    data: [...data],
    silent: true,
    showSymbol: points <= 30,
    symbolSize: 6,
    // The first lines are wider, so that one that lies on another does not hide it.
    lineStyle: { width: plot.series.length <= 3 ? 5 - 1.5 * n : 2, type: n >= COLOURS.length ? "dashed" : "solid" },
  };
}

function marks(plot: Plot): object {
  if (plot.marks === undefined) return {};
  return {
    markLine: {
      silent: true,
      symbol: "none",
      lineStyle: { color: MARK, type: "dashed" },
      data: plot.marks.map(({ name, y }) => ({ yAxis: y, label: { formatter: name, color: MARK, position: "end" } })),
    },
  };
}
