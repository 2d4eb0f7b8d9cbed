/** What is shown of a machine while it runs: the difference of two looks, and what it holds just now. */
import { Globals } from "../../shared/layout/globals.ts";
import { DeferredPercpuWork } from "../../shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { RcuData, RcuSegcblist, RcuState } from "../../shared/layout/rcu.ts";
import { TortureCpu } from "../../shared/layout/torture.ts";
import { LlistHead, LlistNode } from "../../shared/layout/types.ts";
import { rcu_seq_state } from "../../shared/linux/rcu/rcu_seq.ts";
import { embedded, type Ptr } from "../../shared/mem/struct.ts";
import type { Machine } from "../machine.ts";
import { type Summary, summarise } from "../report/summary.ts";
import { missedPoints } from "../report/table.ts";
import { isAddress, type Seen } from "../slab/seen.ts";
import { type CacheView, cacheViews } from "./caches.ts";
import { ContextSampler, type Shares } from "./contexts.ts";

const { rcu_state: RCU_STATE, jiffies: JIFFIES, online: ONLINE } = Globals.offset;
const { gp_seq: GP_SEQ, gp_start: GP_START } = RcuState.offset;
const { deferred_percpu_work: DEFERRED, rcu_data: RCU_DATA, torture: TORTURE } = PerCpu.offset;
const { objects, objects_by_rcu, rcu_sheaves } = DeferredPercpuWork.offset;
const { cblist } = RcuData.offset;
const { len: LEN } = RcuSegcblist.offset;
const { ops: OPS } = TortureCpu.offset;
const { first: FIRST } = LlistHead.offset;
const { next: NEXT } = LlistNode.offset;

/** A longer list is not counted to its end; it may be changing, too. */
const LONGEST_LIST = 1000;

export interface CpuView {
  readonly online: boolean;
  readonly shares: Shares;
  readonly opsPerSecond: number;
  /** Lengths of deferred_percpu_work's lists. */
  readonly deferred: { readonly objects: number; readonly objectsByRcu: number; readonly rcuSheaves: number };
  readonly callbacks: number;
}
export interface CacheRow extends CacheView {
  readonly allocationsPerSecond: number;
}
export interface View {
  readonly elapsedMs: number;
  readonly perSecond: {
    readonly ops: number;
    readonly nmis: number;
    readonly irqs: number;
    readonly gracePeriods: number;
  };
  /** Jiffies that the present grace period has lasted; undefined: there is none. */
  readonly gracePeriodAge: number | undefined;
  readonly missedPoints: readonly string[];
  readonly cpus: readonly CpuView[];
  /** The largest first. */
  readonly caches: readonly CacheRow[];
}

/** What was seen last. */
interface Look {
  readonly ms: number;
  readonly summary: Pick<Summary, "ops" | "nmis" | "irqs" | "gracePeriods" | "points">;
  readonly ops: readonly number[];
  readonly allocations: ReadonlyMap<string, number>;
}
/** What a view is made from. */
export type Looked = Pick<Machine, "mem" | "map" | "control" | "oracle">;

export class Viewer {
  private readonly machine: Looked;
  private readonly contexts: ContextSampler;
  private last: Look | undefined;

  constructor(machine: Looked) {
    this.machine = machine;
    this.contexts = new ContextSampler(machine);
  }
  /** Looks what each CPU is doing; between two views as often as can be. */
  sample(): void {
    this.contexts.sample();
  }
  view(elapsedMs: number): View {
    const { mem, map, control, oracle } = this.machine;
    const caches = cacheViews(this.machine);
    const now: Look = {
      ms: elapsedMs,
      summary: summarise(mem, map, control, oracle),
      ops: Array.from({ length: map.shape.cpus }, (_, id) => mem.peek(embedded(map.section(id), TORTURE), OPS) >>> 0),
      allocations: new Map(caches.map((cache) => [keyOf(cache), cache.allocations])),
    };
    const { last } = this;
    this.last = now;
    const seconds = Math.max(now.ms - (last?.ms ?? 0), 1) / 1000;
    const rate = (total: number, before = 0): number => Math.max(total - before, 0) / seconds;
    const { summary } = now;
    const before = last?.summary;
    return {
      elapsedMs,
      perSecond: {
        ops: rate(summary.ops, before?.ops),
        nmis: rate(nmisOf(summary), before && nmisOf(before)),
        irqs: rate(summary.irqs, before?.irqs),
        gracePeriods: rate(summary.gracePeriods, before?.gracePeriods),
      },
      gracePeriodAge: gracePeriodAge(this.machine),
      missedPoints: missedPoints(summary),
      cpus: this.contexts.take().map((shares, id) => ({
        online: (mem.peek(map.globals, ONLINE) & (1 << id)) !== 0,
        shares,
        opsPerSecond: rate(now.ops[id], last?.ops[id]),
        ...waitingOn(this.machine, id),
      })),
      caches: caches
        .map((cache) => ({
          ...cache,
          allocationsPerSecond: rate(cache.allocations, last?.allocations.get(keyOf(cache))),
        }))
        .toSorted((a, b) => b.num_slabs * b.pagesperslab - a.num_slabs * a.pagesperslab || b.num_objs - a.num_objs),
    };
  }
}
/** Caches come and go, and have each other's names and addresses; one that has both is the same. */
function keyOf({ name, cache }: CacheView): string {
  return `${name}@${cache}`;
}
function nmisOf({ nmis }: Pick<Summary, "nmis">): number {
  return nmis.controller + nmis.local;
}

function gracePeriodAge({ mem, map }: Seen): number | undefined {
  const state = embedded(map.globals, RCU_STATE);
  if (rcu_seq_state(mem.peek(state, GP_SEQ)) === 0) return undefined;
  return Math.max((mem.peek(map.globals, JIFFIES) - mem.peek(state, GP_START)) | 0, 0);
}
function waitingOn(seen: Seen, id: number): Pick<CpuView, "deferred" | "callbacks"> {
  const { mem, map } = seen;
  const section = map.section(id);
  const dpw = embedded(section, DEFERRED);
  return {
    deferred: {
      objects: lengthOf(seen, embedded(dpw, objects)),
      objectsByRcu: lengthOf(seen, embedded(dpw, objects_by_rcu)),
      rcuSheaves: lengthOf(seen, embedded(dpw, rcu_sheaves)),
    },
    callbacks: Math.max(mem.peek(embedded(embedded(section, RCU_DATA), cblist), LEN), 0),
  };
}
/** Race: entries leave the list while it is walked, and are used for something else. */
function lengthOf(seen: Seen, head: Ptr<"llist_head">): number {
  let length = 0;
  let entry = seen.mem.peek(head, FIRST);
  while (length < LONGEST_LIST && entry !== 0 && isAddress(seen, entry)) {
    length++;
    entry = seen.mem.peek(entry, NEXT);
  }
  return length;
}
