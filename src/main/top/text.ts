/** A view as text: a screen in the manner of slabtop, or one line. */
import { PAGE_SIZE } from "../../shared/base/limits.ts";
import { CONTEXT_NAMES } from "../../shared/layout/cpu.ts";
import { formatSize } from "../values.ts";
import type { CacheRow, CpuView, View } from "./view.ts";

/** The screen. @param width, height  of the terminal: longer lines are cut off, so are caches below the last line. */
export function viewScreen(view: View, title: string, width: number, height: number): readonly string[] {
  const { perSecond, cpus, caches } = view;
  const sums = sumsOf(caches);
  const lines = [
    `${title}: ${seconds(view)} s   operations ${count(perSecond.ops)}/s   NMIs ${count(perSecond.nmis)}/s   IRQs ${count(perSecond.irqs)}/s`,
    ` Active / Total Objects (% used)    : ${used(sums.active, sums.objects)}`,
    ` Total Slabs / Caches / Size        : ${sums.slabs} / ${caches.length} / ${formatSize(sums.bytes)}`,
    ` Grace periods                      : ${count(perSecond.gracePeriods)}/s, ${gracePeriodText(view)}`,
    ` Points that no NMI hit             : ${view.missedPoints.length === 0 ? "none" : view.missedPoints.join(", ")}`,
    "",
    cells(CPU_HEAD),
    ...cpus.map((cpu, id) => cells(cpuCells(cpu, id))),
    "",
    `${cells(CACHE_HEAD)}  NAME`,
    ...caches.map((cache) => `${cells(cacheCells(cache))}  ${cache.name}`),
  ];
  return lines.slice(0, Math.max(height, 1)).map((line) => line.slice(0, Math.max(width, 1)));
}

/** The same in one line, for a log. */
export function viewLine(view: View): string {
  const { perSecond, cpus, caches } = view;
  const sums = sumsOf(caches);
  const share = (name: (typeof CONTEXT_NAMES)[number]): string =>
    `${name} ${percent(cpus.reduce((sum, { shares }) => sum + shares[name], 0) / cpus.length)}`;
  const deferred = cpus.reduce((sum, cpu) => sum + deferredOf(cpu).reduce((all, n) => all + n, 0), 0);
  return [
    `${seconds(view)} s: ${count(perSecond.ops)} operations/s`,
    `${count(perSecond.nmis)} NMIs/s`,
    `${count(perSecond.gracePeriods)} grace periods/s (${gracePeriodText(view)})`,
    CONTEXT_NAMES.map(share).join(" "),
    `objects ${used(sums.active, sums.objects)} in ${caches.length} caches`,
    `deferred ${deferred}`,
    `points not hit ${view.missedPoints.length}`,
  ].join(", ");
}

interface Sums {
  active: number;
  objects: number;
  slabs: number;
  bytes: number;
}
function sumsOf(caches: readonly CacheRow[]): Sums {
  const sums = { active: 0, objects: 0, slabs: 0, bytes: 0 };
  for (const cache of caches) {
    sums.active += cache.active_objs;
    sums.objects += cache.num_objs;
    sums.slabs += cache.num_slabs;
    sums.bytes += cache.num_slabs * cache.pagesperslab * PAGE_SIZE;
  }
  return sums;
}

type Cell = readonly [width: number, text: string];
const cells = (row: readonly Cell[]): string => row.map(([width, text]) => text.padStart(width)).join(" ");

const CPU_COLUMNS = ["objects", "by_rcu", "rcu_sheaves", "callbacks", "ops/s"];
const CPU_HEAD: readonly Cell[] = [
  [6, "CPU"],
  ...CONTEXT_NAMES.map((name): Cell => [8, name]),
  ...CPU_COLUMNS.map((name): Cell => [Math.max(name.length, 8), name]),
];
function cpuCells(cpu: CpuView, id: number): readonly Cell[] {
  const numbers = [...deferredOf(cpu), cpu.callbacks, cpu.opsPerSecond];
  const texts = [
    cpu.online ? String(id) : `${id} off`,
    ...CONTEXT_NAMES.map((name) => percent(cpu.shares[name])),
    ...numbers.map((number) => count(number)),
  ];
  return texts.map((text, i) => [CPU_HEAD[i][0], text]);
}
function deferredOf({ deferred }: CpuView): readonly number[] {
  return [deferred.objects, deferred.objectsByRcu, deferred.rcuSheaves];
}

const CACHE_HEAD: readonly Cell[] = [
  [7, "OBJS"],
  [7, "ACTIVE"],
  [4, "USE"],
  [8, "OBJ SIZE"],
  [6, "SLABS"],
  [8, "OBJ/SLAB"],
  [10, "CACHE SIZE"],
  [11, "SHEAVES"],
  [7, "RCU"],
  [9, "BARN"],
  [9, "ALLOCS/s"],
];
function cacheCells(cache: CacheRow): readonly Cell[] {
  const { active_objs, num_objs, num_slabs, pagesperslab } = cache;
  const texts = [
    String(num_objs),
    String(active_objs),
    percentOf(active_objs, num_objs),
    `${(cache.objsize / 1024).toFixed(2)}K`,
    String(num_slabs),
    String(cache.objperslab),
    `${(num_slabs * pagesperslab * PAGE_SIZE) / 1024}K`,
    cache.capacity === 0 ? "-" : `${cache.cached}/${cache.capacity}`,
    String(cache.rcuFree),
    cache.capacity === 0 ? "-" : `${cache.full}f ${cache.empty}e`,
    count(cache.allocationsPerSecond),
  ];
  return texts.map((text, i) => [CACHE_HEAD[i][0], text]);
}

const seconds = ({ elapsedMs }: View): number => Math.round(elapsedMs / 1000);
const count = (n: number): string => Math.round(n).toLocaleString("en-US");
const percent = (share: number): string => `${(share * 100).toFixed(1)}%`;
const percentOf = (part: number, all: number): string => (all === 0 ? "0%" : `${Math.round((part / all) * 100)}%`);
const used = (active: number, all: number): string => `${active} / ${all} (${percentOf(active, all)})`;
function gracePeriodText({ gracePeriodAge: age }: View): string {
  return age === undefined ? "none in progress" : `the present one for ${age} jiffies`;
}
