/**
 * kfree_rcu_cpu, what it waits with and what it waits in: batches that both wait, the time of the monitor, the page cache,
 * objects that the monitor frees while others allocate. Spec rcu 1.4 to 1.11. One page holds three records.
 *
 * Litmus tests E6 to E10, E20, E22, E23, E25 and E26 ask for its guarantees; these look at its books.
 */
import { bug } from "../../shared/cpu/bug.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "../../shared/cpu/cpu.ts";
import { cond_resched } from "../../shared/cpu/sched.ts";
import { KfreeRcuCpu } from "../../shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { TimerList } from "../../shared/layout/timer.ts";
import { DelayedWork } from "../../shared/layout/workqueue.ts";
import { jiffies, schedule_timeout } from "../../shared/linux/kernel/timer.ts";
import { work_pending } from "../../shared/linux/kernel/workqueue.ts";
import { kfree_rcu_mightsleep } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { krc_lock, krc_unlock, schedule_delayed_monitor_work } from "../../shared/linux/mm/kvfree_rcu/krc.ts";
import {
  flush_page_cache_work,
  nr_cached_bnodes,
  run_page_cache_worker,
} from "../../shared/linux/mm/kvfree_rcu/page_cache.ts";
import { shrink_kvfree_rcu } from "../../shared/linux/mm/kvfree_rcu/shrinker.ts";
import { embedded, type Ptr } from "../../shared/mem/struct.ts";
import type { Operation, Scenario } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { alloc, put, race, take, VALUE, withoutSheaves } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { freeRcu, monitorIsDue, pendingIsReady } from "./kit_frees.ts";

const { krc: KRC } = PerCpu.offset;
const { monitor_work: MONITOR_WORK, work_in_progress: WORK_IN_PROGRESS } = KfreeRcuCpu.offset;
const { work: WORK, timer: TIMER } = DelayedWork.offset;
const { expires: EXPIRES } = TimerList.offset;
const PAGES = 2;

const all =
  (...operations: readonly Operation[]): Operation =>
  (cpu) => {
    for (const operation of operations) operation(cpu);
  };
/** kfree_rcu_mightsleep(), which allocates a page if there is none. */
const freeToPage =
  (i: number): Operation =>
  (cpu) =>
    kfree_rcu_mightsleep(cpu, take(cpu, i));
const fillPage = all(freeToPage(0), freeToPage(1), freeToPage(2));
const monitorComes = all(monitorIsDue, cond_resched);
const shrink: Operation = (cpu) => void shrink_kvfree_rcu(cpu);
const common = { kernel: NO_GRACE_PERIODS, check: accounted } satisfies Partial<Scenario>;

/** With as many objects as fill a page the monitor comes with the next tick. */
function assertMonitorIsNear(cpu: Cpu): void {
  const monitor = embedded(this_cpu_ptr(cpu, KRC), MONITOR_WORK);
  const left = (cpu.mem.data_race_read(embedded(monitor, TIMER), EXPIRES) - jiffies(cpu)) | 0;
  if (work_pending(cpu, embedded(monitor, WORK)) && left > 1) bug(cpu, `the monitor comes in ${left} ticks only`);
}

const krc0 = (cpu: Cpu): Ptr<"kfree_rcu_cpu"> => per_cpu_ptr(cpu, KRC, 0);
/** Several turns: it is the hrtimer's interrupt that queues the work, and a sleep may end early. */
const waitForPageCache: Operation = (cpu) => {
  for (let turns = 8; turns > 0 && cpu.mem.read_once(krc0(cpu), WORK_IN_PROGRESS) !== 0; turns--) {
    schedule_timeout(cpu, 1);
    flush_page_cache_work(cpu);
  }
};
/** CPU 0's page cache is filled once more. */
const fillPageCache: Operation = (cpu) => {
  waitForPageCache(cpu);
  const krcp = krc0(cpu);
  const flags = krc_lock(cpu, krcp);
  run_page_cache_worker(cpu, krcp);
  krc_unlock(cpu, krcp, flags);
  waitForPageCache(cpu);
};
const pageCacheIsFull = (cpu: Cpu): string | undefined => {
  const pages = nr_cached_bnodes(cpu);
  return pages === PAGES ? undefined : `the page cache has ${pages} pages, not ${PAGES}`;
};

export default [
  race({
    ...common,
    name: "krc-batches-wait",
    summary: "kfree_rcu() and the monitor against a shrinker, while both batches wait for their grace periods",
    setup: withoutSheaves(3, all(freeRcu(0), monitorComes)),
    cpus: [[freeToPage(1), monitorComes, freeRcu(2), monitorComes], [shrink]],
  }),
  race({
    ...common,
    name: "krc-monitor-in-time",
    summary: "kfree_rcu() that makes much wait against somebody else who arms the monitor",
    setup: withoutSheaves(3, freeRcu(0)),
    cpus: [[freeRcu(1), freeRcu(2), assertMonitorIsNear], [(cpu) => schedule_delayed_monitor_work(cpu, krc0(cpu))]],
  }),
  race({
    ...common,
    name: "krc-lock-dropped",
    summary: "kfree_rcu_mightsleep() that needs another page against a shrinker that takes the full one",
    setup: withoutSheaves(4, fillPage),
    cpus: [[freeToPage(3)], [shrink]],
  }),
  race({
    ...common,
    name: "krc-monitor-alloc",
    summary: "the monitor that frees a list and a page against an allocation",
    globals: { poison_free: 1 },
    setup: withoutSheaves(4, all(freeRcu(0), freeRcu(1), freeToPage(2), freeToPage(3), pendingIsReady)),
    cpus: [
      [monitorComes],
      [
        (cpu) => {
          const thing = alloc(cpu);
          cpu.mem.write(thing, VALUE, 1);
          put(cpu, 0, thing);
        },
      ],
    ],
  }),
  race({
    ...common,
    name: "krc-page-cache",
    summary:
      "kfree_rcu() that takes a page and has the cache filled against a shrinker that drains it and frees a page",
    globals: { rcu_min_cached_objs: PAGES },
    setup: withoutSheaves(5, all(fillPage, pendingIsReady)),
    cpus: [[freeRcu(3), freeRcu(4)], [shrink]],
    // Twice: after a shrinker has looked, the first one is to be content with one page.
    final: all(fillPageCache, fillPageCache),
    check: (cpu) => accounted(cpu) ?? pageCacheIsFull(cpu),
  }),
];
