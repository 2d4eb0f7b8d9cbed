/** Curves as one HTML page that needs nothing else: charts with logarithmic axes, and the numbers below each. */
import { TIME } from "./compare.ts";
import { quantity } from "./report.ts";

export interface Curve {
  /** What x counts. */
  readonly along: string;
  readonly metric: string;
  /** Whose curve it is. */
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

const WIDTH = 520;
const HEIGHT = 260;
const LEFT = 70;
const BOTTOM = 48;
const TOP = 16;
const RIGHT = 40;
const LEGEND_WIDTH = 150;
const COLORS = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700"];

/** Maps values to a stretch of the chart, by their logarithm. */
type Scale = (value: number) => number;
function logScale(values: readonly number[], from: number, to: number): Scale {
  const logs = values.map(Math.log);
  const low = Math.min(...logs);
  const span = Math.max(...logs) - low || 1;
  return (value) => from + ((Math.log(value) - low) / span) * (to - from);
}

export function curvesPage(curves: readonly Curve[], about: readonly string[]): string {
  const charts = new Map<string, Curve[]>();
  for (const curve of curves) {
    const title = `${curve.metric === TIME ? "Time per operation" : "Memory per object"} by ${curve.along}`;
    charts.set(title, [...(charts.get(title) ?? []), curve]);
  }
  const sections = [...charts].map(([title, members]) => section(title, members));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>sheaf: cost as work grows</title>
<style>
  body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 1120px; padding: 0 1rem; color: #1f2328 }
  main { display: flex; flex-wrap: wrap; gap: 1.5rem }
  h2 { font-size: 1rem; margin: 0 0 .3rem }
  svg text { font-size: 11px; fill: #59636e }
  table { border-collapse: collapse; font-size: 12px }
  td, th { padding: .1rem .6rem; text-align: right; border-bottom: 1px solid #d1d9e0 }
</style>
<h1>Cost as work grows</h1>
<p>${about.map(escape).join("<br>")}</p>
<main>
${sections.join("\n")}
</main>
</html>
`;
}

function section(title: string, curves: readonly Curve[]): string {
  return `<section><h2>${escape(title)}</h2>${chart(curves)}${table(curves)}</section>`;
}

function chart(curves: readonly Curve[]): string {
  const points = curves.flatMap((curve) => curve.points.filter(({ y }) => y > 0));
  if (points.length === 0) return "<p>Nothing was measured.</p>";
  const { metric } = curves[0];
  const xs = [...new Set(points.map(({ x }) => x))].toSorted((a, b) => a - b);
  const ys = points.map(({ y }) => y);
  const x = logScale(xs, LEFT, WIDTH - RIGHT);
  const y = logScale(ys, HEIGHT - BOTTOM, TOP);
  const lines = curves.map((curve, i) => line(curve, x, y, COLORS[i % COLORS.length]));
  const names = curves.map(({ name }, i) => {
    const place = `x="${LEFT + LEGEND_WIDTH * i}" y="${HEIGHT - 8}"`;
    return `<text ${place} style="fill:${COLORS[i % COLORS.length]}">${escape(name)}</text>`;
  });
  const xLabels = xs.map(
    (value) => `<text x="${x(value)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${value}</text>`,
  );
  const yLabels = [Math.min(...ys), Math.max(...ys)].map(
    (value) => `<text x="${LEFT - 6}" y="${y(value) + 4}" text-anchor="end">${quantity(value, metric)}</text>`,
  );
  const axes = `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}`;
  return `<svg width="${WIDTH}" height="${HEIGHT}" role="img">
<path d="${axes}" fill="none" stroke="#d1d9e0"/>
${[...lines, ...names, ...xLabels, ...yLabels].join("\n")}
</svg>`;
}
function line({ points }: Curve, x: Scale, y: Scale, color: string): string {
  const places = points
    .filter((point) => point.y > 0)
    .map((point) => `${x(point.x).toFixed(1)},${y(point.y).toFixed(1)}`);
  const dots = places.map((place) => {
    const [cx, cy] = place.split(",");
    return `<circle cx="${cx}" cy="${cy}" r="3" fill="${color}"/>`;
  });
  return `<polyline points="${places.join(" ")}" fill="none" stroke="${color}" stroke-width="1.5"/>${dots.join("")}`;
}

function table(curves: readonly Curve[]): string {
  const xs = [...new Set(curves.flatMap(({ points }) => points.map(({ x }) => x)))].toSorted((a, b) => a - b);
  const head = `<tr><th></th>${xs.map((x) => `<th>${x}</th>`).join("")}</tr>`;
  const rows = curves.map(({ name, metric, points }) => {
    const cells = xs.map((x) => `<td>${quantity(points.find((point) => point.x === x)?.y ?? NaN, metric)}</td>`);
    return `<tr><th>${escape(name)}</th>${cells.join("")}</tr>`;
  });
  return `<table>${head}${rows.join("")}</table>`;
}
function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
