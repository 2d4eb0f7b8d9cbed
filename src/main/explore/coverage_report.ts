/**
 * Coverage for people and for programs: what was reached how often, and what never was. Contexts in which a point cannot
 * be visited at all are left out; a CPU that idles stands at no point.
 */
import {
  CONTEXT_NAMES,
  CTX_HARDIRQ,
  CTX_IDLE,
  CTX_ITEM,
  CTX_NMI,
  CTX_SOFTIRQ,
  CTX_TASK,
  NR_CONTEXTS,
} from "../../shared/layout/cpu.ts";
import { POINT_NAMES, type PointName } from "../../shared/layout/points.ts";
import type { CoverageCounts, PairCounts } from "./coverage_counts.ts";

const WIDTH = 98;
const CONTEXTS = Array.from({ length: NR_CONTEXTS }, (_, kind) => kind).filter((kind) => kind !== CTX_IDLE);

/** Contexts that reach a point. One that is not listed can be visited in all of them. */
const NOT_NMI = [CTX_TASK, CTX_ITEM, CTX_SOFTIRQ, CTX_HARDIRQ];
const ONLY_IN: Partial<Record<PointName, readonly number[]>> = {
  irq_work_pending_cleared: [CTX_HARDIRQ],
  irq_work_func_done: [CTX_HARDIRQ],
  deferred_list_taken: [CTX_HARDIRQ],
  rcu_callback: [CTX_SOFTIRQ],
  call_rcu_enqueue: NOT_NMI,
  krc_lock_held: NOT_NMI,
};
/** Can the point be visited in this kind of context? */
export function canVisit(point: number, context: number): boolean {
  if (context === CTX_IDLE) return false;
  return ONLY_IN[POINT_NAMES[point] as PointName]?.includes(context) ?? true;
}

interface Missing {
  /** Points that were not visited in any context. */
  readonly points: readonly string[];
  /** Points that were visited, and the contexts in which they were not. */
  readonly contexts: Readonly<Record<string, readonly string[]>>;
  /** Points that were visited, and the contexts in which no interrupt was taken there. */
  readonly interrupts: Readonly<Record<string, readonly string[]>>;
}

/** What was never reached. */
export function neverReached(counts: CoverageCounts): Missing {
  const points: string[] = [];
  const contexts: Record<string, string[]> = {};
  const interrupts: Record<string, string[]> = {};
  const names = (kinds: readonly number[]): string[] => kinds.map((kind) => CONTEXT_NAMES[kind]);
  for (const [point, name] of POINT_NAMES.entries()) {
    if (point === 0) continue;
    const visited = CONTEXTS.filter((kind) => counts.visits.count(point, kind) > 0);
    if (visited.length === 0) {
      points.push(name);
      continue;
    }
    const unvisited = CONTEXTS.filter((kind) => canVisit(point, kind) && !visited.includes(kind));
    if (unvisited.length > 0) contexts[name] = names(unvisited);
    // Nothing interrupts an NMI.
    const calm = visited.filter(
      (kind) => kind !== CTX_NMI && counts.nmis.count(point, kind) + counts.irqs.count(point, kind) === 0,
    );
    if (calm.length > 0) interrupts[name] = names(calm);
  }
  return { points, contexts, interrupts };
}

/** For `--json`. Its keys are an interface: add to them, change none. */
export function coverageJson(counts: CoverageCounts): object {
  const { executions, pairs, lastNew, visits, nmis, irqs } = counts;
  return {
    executions,
    pairs,
    last_new: lastNew,
    points: [...visits].map(([point, context, times]) => ({
      point: POINT_NAMES[point],
      context: CONTEXT_NAMES[context],
      visits: times,
      nmis: nmis.count(point, context),
      irqs: irqs.count(point, context),
    })),
    interrupts: [...counts.interrupts].map(([interrupted, by, times]) => ({ interrupted, by, times })),
    phases: [...counts.phases].map(([phase, during, times]) => ({ phase, during, times })),
    never: neverReached(counts),
  };
}

/** For people: lines of less than 100 columns. */
export function coverageTable(counts: CoverageCounts): readonly string[] {
  const { executions, pairs, lastNew } = counts;
  const never = neverReached(counts);
  return [
    `coverage: ${count(pairs)} pairs in ${count(executions)} executions, the last new one in number ${count(lastNew)}`,
    ...pointTable(counts),
    ...section(
      "interrupted by",
      groups(counts.interrupts, ([interrupted, by]) => [by, interrupted]),
    ),
    ...section(
      "grace period in",
      groups(counts.phases, ([phase, during]) => [phase, during]),
    ),
    ...section("never reached", [
      ...(never.points.length === 0 ? [] : [["points", never.points] as const]),
      ...Object.entries(never.contexts).map(([point, contexts]) => [point, contexts] as const),
    ]),
    ...section("never interrupted", Object.entries(never.interrupts)),
  ];
}

/** One row a point: visits, and the NMIs and IRQs that were taken there. */
function pointTable({ visits, nmis, irqs }: CoverageCounts): readonly string[] {
  const points = [...new Set([...visits].map(([point]) => point))];
  if (points.length === 0) return [];
  const cell = (point: number, kind: number): string => {
    if (!canVisit(point, kind)) return "";
    const all = visits.count(point, kind);
    if (all === 0) return "-";
    return [all, nmis.count(point, kind), irqs.count(point, kind)].map(short).join("/");
  };
  const row = (name: string, cells: readonly string[]): string =>
    `${name.padEnd(26)}${cells.map((text) => text.padStart(14)).join("")}`.trimEnd();
  return [
    row(
      "visits/NMIs/IRQs at",
      CONTEXTS.map((kind) => CONTEXT_NAMES[kind]),
    ),
    ...points.map((point) =>
      row(
        `  ${POINT_NAMES[point]}`,
        CONTEXTS.map((kind) => cell(point, kind)),
      ),
    ),
  ];
}

type Group = readonly [name: string, members: readonly string[]];
/** The pairs under their first name, the most frequent member first. */
function groups(
  pairs: PairCounts,
  order: (pair: readonly [string, string, number]) => readonly [group: string, member: string],
): readonly Group[] {
  const members = new Map<string, [member: string, times: number][]>();
  for (const pair of pairs) {
    const [group, member] = order(pair);
    members.set(group, [...(members.get(group) ?? []), [member, pair[2]]]);
  }
  return [...members].map(([group, list]) => [
    group,
    list.toSorted((a, b) => b[1] - a[1]).map(([member, times]) => `${member} ${short(times)}`),
  ]);
}

/** "title", then "  name: member, member, ..." broken where a line is full. */
function section(title: string, all: readonly Group[]): readonly string[] {
  return all.length === 0 ? [] : [title, ...all.flatMap(([name, members]) => wrapped(`  ${name}:`, members))];
}
function wrapped(head: string, members: readonly string[]): readonly string[] {
  const lines: string[] = [];
  let line = head;
  for (const [i, member] of members.entries()) {
    const next = ` ${member}${i === members.length - 1 ? "" : ","}`;
    if (line.length + next.length > WIDTH) {
      lines.push(line);
      line = "   ";
    }
    line += next;
  }
  return [...lines, line];
}

const count = (n: number): string => n.toLocaleString("en-US");
/** At most four characters: 999, 12k, 3M. */
function short(n: number): string {
  if (n < 1000) return `${n}`;
  return n < 1e6 ? `${Math.floor(n / 1000)}k` : `${Math.floor(n / 1e6)}M`;
}
