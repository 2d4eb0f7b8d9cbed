/** How do time per operation and memory per object grow with the work: objects, caches, CPUs? */
import type { Bench } from "./bench.ts";
import { type Case, type Comparison, type Figures, TIME } from "./harness/compare.ts";
import { type Curve, curvesPage } from "./harness/curves_page.ts";
import { describeMachine, machineLines, quantity, valuesOf } from "./harness/report.ts";
import { median } from "./harness/stats.ts";
import { OBJECT_BYTES, RANDOM } from "./patterns.ts";
import { native, sheaf } from "./subjects/contenders.ts";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

const OBJECTS = [1e3, 1e4, 1e5, 1e6, 1e7];
const CACHES = [1, 10, 100, 1000];
const CPUS = [1, 2, 4, 8, 16];
const METRICS = [TIME, "bytes"];
/** Of machine memory for an object: with slabs and page structs, and room for freed ones that wait in sheaves. */
const BYTES_PER_OBJECT = 96;
const LEAST_MEGABYTES = 64;

const byObjects: readonly Case[] = OBJECTS.map((live) => ({
  bench: `curves objects ${live}`,
  workload: "random",
  threads: 1,
  parameters: { size: OBJECT_BYTES, live },
  metrics: METRICS,
  subject: sheaf("kmem_cache", { megabytes: Math.ceil((live * BYTES_PER_OBJECT) / 2 ** 20) + LEAST_MEGABYTES }),
  peers: [native("mimalloc")],
}));
const byCaches: readonly Case[] = CACHES.map((caches) => ({
  bench: `curves caches ${caches}`,
  workload: "many_caches",
  threads: 1,
  parameters: { ...RANDOM.parameters, caches },
  metrics: METRICS,
  subject: sheaf("kmem_cache"),
  peers: [],
}));
const byCpus: readonly Case[] = CPUS.map((threads) => ({
  ...RANDOM,
  bench: `curves CPUs ${threads}`,
  threads,
  metrics: METRICS,
  subject: sheaf("kmem_cache"),
  peers: [native("mimalloc")],
}));

/** Of all points with a common beginning of their names. */
function curvesOf(comparisons: readonly Comparison[], along: string): readonly Curve[] {
  const points = comparisons
    .map((comparison) => ({ comparison, x: Number(comparison.case.bench.split(`curves ${along} `)[1] ?? NaN) }))
    .filter(({ x }) => !Number.isNaN(x));
  const names = new Set(
    points.flatMap(({ comparison: { subject, peers } }) => [subject, ...peers].map(({ name }) => name)),
  );
  return METRICS.flatMap((metric) =>
    [...names].map((name) => ({
      along,
      metric,
      name,
      points: points.flatMap(({ comparison: { subject, peers }, x }) => {
        const figures = [subject, ...peers].find((each) => each.name === name);
        return figures === undefined ? [] : [{ x, y: yOf(figures, metric) }];
      }),
    })),
  );
}
function yOf(figures: Figures, metric: string): number {
  return median(valuesOf(figures, metric));
}

function table(curves: readonly Curve[]): readonly string[] {
  return curves.map(({ along, metric, name, points }) => {
    const what = metric === TIME ? "time" : "memory per object";
    const cells = points.map(({ x, y }) => `${x}: ${quantity(y, metric)}`.padEnd(20));
    return `  ${`${name}, ${what} by ${along}`.padEnd(44)}${cells.join("")}`.trimEnd();
  });
}

export const curves: Bench = {
  name: "curves",
  question: "How do time per operation and memory per object grow with the work: objects, caches, CPUs?",
  cases: () => [...byObjects, ...byCaches, ...byCpus],
  async conclude(comparisons, { output }) {
    const all = ["objects", "caches", "CPUs"].flatMap((along) => curvesOf(comparisons, along));
    const page = path.join(output, "curves.html");
    mkdirSync(output, { recursive: true });
    writeFileSync(page, curvesPage(all, machineLines(describeMachine())));
    return [...table(all), `drawn in ${page}`];
  },
};
