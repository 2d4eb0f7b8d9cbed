/** The table at the end of a torture run. Every number says what it counts; rows with nothing to tell are left out. */
import type { Summary } from "./summary.ts";

type Row = readonly [what: string, numbers: string];

/** The table's lines. @param elapsedMs  for the rates. */
export function summaryTable(summary: Summary, elapsedMs: number): readonly string[] {
  const { nmis, raised, kfreeRcuNolock, kfreeRcu, bnodes, kmallocNolock, kfreeNolock, slab } = summary;
  const seconds = elapsedMs / 1000;
  const rate = (n: number): string => `${count(n)} (${count(n / seconds)}/s)`;
  const rows: Row[] = [
    ["operations", rate(summary.ops)],
    ["allocations", parts({ fast: slab.ALLOC_FASTPATH, slow: slab.ALLOC_SLOWPATH, "new slabs": slab.ALLOC_SLAB })],
    ["kmalloc_nolock", parts(kmallocNolock)],
    ["frees", parts({ sheaf: slab.FREE_FASTPATH, slab: slab.FREE_SLOWPATH })],
    ["kfree_nolock", parts(kfreeNolock)],
    ["kfree_rcu", `${count(kfreeRcu.calls)}: ${parts(kfreeRcuParts(summary))}`],
    [
      "  pages of pointers",
      parts({
        cached: bnodes.cached,
        allocated: bnodes.allocated,
        "too many": bnodes.refused,
        refills: bnodes.workerRuns,
      }),
    ],
    ["  shrinker runs", count(bnodes.shrinks)],
    [
      "kfree_rcu_nolock",
      `${count(kfreeRcuNolock.calls)}: ${parts({
        sheaf: kfreeRcuNolock.sheaf,
        objects_by_rcu: kfreeRcuNolock.objectsByRcu,
        "rcu_sheaves (full sheaves)": kfreeRcuNolock.rcuSheaves,
      })}`,
    ],
    ...rfcRows(summary),
    ["NMIs delivered", rate(nmis.controller + nmis.local)],
    ["  by source", `controller ${count(nmis.controller)} of ${count(raised.nmis)} raised, local ${count(nmis.local)}`],
    ["  hit", parts(summary.nmisByContext)],
    ["IRQs delivered", `${rate(summary.irqs)} of ${count(raised.irqs)} raised`],
    ["ticks, IPIs, IRQs hit", parts(summary.irqsByContext)],
    ["ticks", `${count(summary.ticks)} taken, ${count(raised.ticks)} jiffies`],
    ["grace periods", `${count(summary.gracePeriods)}, expedited ${count(summary.expeditedGracePeriods)}`],
    ["callbacks", count(summary.callbacks)],
    ["irq_work runs", count(summary.irqWorkRuns)],
    ["barriers", parts({ rcu: summary.rcuBarriers, kvfree_rcu: summary.kvfreeBarriers })],
    ["caches", `${count(summary.caches)} created and destroyed`],
    ["reader age", histogram(summary.readerAge)],
    ...faultRows(summary),
    ...(summary.migrations === 0 ? [] : [["migrations", count(summary.migrations)] as const]),
    ...hotplugRows(summary),
    ...(summary.slabReports === 0 ? [] : [["slub reports", count(summary.slabReports)] as const]),
    ...(summary.memoryShort === 0 ? [] : [["out of memory", `${count(summary.memoryShort)} kmalloc() calls`] as const]),
  ];
  const width = Math.max(...rows.map(([what]) => what.length));
  return [...rows.map(([what, numbers]) => `${what.padEnd(width)}  ${numbers}`), ...pointTable(summary)];
}

/** Where the objects went. */
function kfreeRcuParts({ kfreeRcu }: Summary): Readonly<Record<string, number>> {
  const { sheaf, krc, bulk, vmalloc, synchronous, callRcu } = kfreeRcu;
  if (callRcu > 0) return { call_rcu: callRcu, synchronous };
  return { sheaf, bulk: bulk - vmalloc, "bulk (vmalloc)": vmalloc, list: krc - bulk, synchronous };
}

function hotplugRows({ hotplug: { offlines, lostInterrupts } }: Summary): readonly Row[] {
  if (offlines === 0) return [];
  return [["CPUs offline", `${count(offlines)} times, ${count(lostInterrupts)} interrupts lost`]];
}
/** What was made to fail, and some of what that led to. */
function faultRows({ faults, slab }: Summary): readonly Row[] {
  const { pages, objects, shortRefills } = faults;
  if (pages + objects === 0) return [];
  return [
    ["made to fail", parts({ "allocations of pages": pages, objects })],
    ["  led to", parts({ "smaller slabs": slab.ORDER_FALLBACK, "sheaves filled in part": shortRefills })],
  ];
}

/** kfree_rcu_nolock() of February 2026: what found no sheaf, and how long it relied on the lazy irq_work alone. */
function rfcRows({ nolockRfc: rfc }: Summary): readonly Row[] {
  if (rfc.linked + rfc.trylock_failed === 0) return [];
  const { linked, trylock_failed, sheaf_kept } = rfc;
  const runs = parts({ armed: rfc.monitor_armed, needless: rfc.monitor_needless, "krc empty": rfc.monitor_empty });
  const mean = (rfc.waited_jiffies / Math.max(rfc.monitor_runs, 1)).toFixed(2);
  return [
    ["  onto krc->head", parts({ linked, "lock held": trylock_failed, "sheaf would be full": sheaf_kept })],
    ["  lazy irq_work", `${count(rfc.monitor_runs)}: ${runs}; queued without ticks ${count(rfc.monitor_raised)}`],
    ["    after a wait of", `${mean} jiffies on average, more than 1: ${count(rfc.monitor_late)}`],
    ["    had been stranded", `${count(rfc.stranded_objects)} objects`],
  ];
}

/** Named points: visits, and how many NMIs came exactly there. */
function pointTable({ points }: Summary): readonly string[] {
  const entries = Object.entries(points);
  const width = Math.max(...entries.map(([name]) => name.length));
  const cells = (numbers: readonly (number | string)[]): string =>
    numbers.map((n) => (typeof n === "string" ? n : count(n)).padStart(12)).join("");
  return [
    `${"points, NMIs that hit them".padEnd(width)}${cells(["visits", "controller", "local"])}`,
    ...entries.map(
      ([name, { visited, controller, local }]) => `${name.padEnd(width)}${cells([visited, controller, local])}`,
    ),
  ];
}

/** Points that were visited, but at which no NMI came. */
export function missedPoints({ points }: Pick<Summary, "points">): readonly string[] {
  return Object.entries(points)
    .filter(([, { visited, controller, local }]) => visited > 0 && controller + local === 0)
    .map(([name]) => name);
}

function parts(numbers: Readonly<Record<string, number>>): string {
  return Object.entries(numbers)
    .map(([what, n]) => `${what} ${count(n)}`)
    .join(", ");
}
/** "0: 1,234  1: 56  2+: 0" */
function histogram(ages: readonly number[]): string {
  return ages.map((n, age) => `${age}${age === ages.length - 1 ? "+" : ""}: ${count(n)}`).join("  ");
}
const count = (n: number): string => Math.round(n).toLocaleString("en-US");
