/** The page cache of kfree_rcu_cpu: how it is filled, used, kept small, and left alone when memory is short. */
import { describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import { cond_resched } from "../../../../../src/shared/cpu/sched.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { KfreeRcuCpu } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { Hrtimer, HRTIMER_STATE_INACTIVE } from "../../../../../src/shared/layout/timer.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import { bulk_head_of, krc_lock, krc_unlock } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu, kfree_rcu_mightsleep } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import {
  alloc_bnode,
  drain_page_cache,
  flush_page_cache_work,
  get_cached_bnode,
  nr_cached_bnodes,
  put_cached_bnode,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/page_cache.ts";
import { kfree_rcu_shrink_count } from "../../../../../src/shared/linux/mm/kvfree_rcu/shrinker.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { comesIn, isPending, krcMachine, krcOf, records, setBulkMaxEntr, takeAllPages } from "./krc_kit.ts";
import { Thing } from "./machine.ts";

const { head: HEAD } = Thing.offset;
const K = KfreeRcuCpu.offset;

const cached = (cpu: Cpu): number => cpu.mem.peek(krcOf(cpu), K.nr_bkv_objs);
const inProgress = (cpu: Cpu): number => cpu.mem.peek(krcOf(cpu), K.work_in_progress);
const timerArmed = (cpu: Cpu): boolean =>
  cpu.mem.peek(embedded(krcOf(cpu), K.hrtimer), Hrtimer.offset.state) !== HRTIMER_STATE_INACTIVE;
/** A page for the cache, put there under the lock. */
function put(cpu: Cpu, bnode = alloc_bnode(cpu)): boolean {
  const flags = krc_lock(cpu, krcOf(cpu));
  const kept = put_cached_bnode(cpu, krcOf(cpu), bnode);
  krc_unlock(cpu, krcOf(cpu), flags);
  return kept;
}
function get(cpu: Cpu): Ptr<"kvfree_rcu_bulk_data"> {
  const flags = krc_lock(cpu, krcOf(cpu));
  const bnode = get_cached_bnode(cpu, krcOf(cpu));
  krc_unlock(cpu, krcOf(cpu), flags);
  return bnode;
}

describe("the cache", () => {
  test("keeps rcu_min_cached_objs pages, and gives them out again", () => {
    const { m, cpu } = krcMachine(1, { rcu_min_cached_objs: 2 });
    const pages = [alloc_bnode(cpu), alloc_bnode(cpu), alloc_bnode(cpu)];
    expect(pages.map((page) => put(cpu, page))).toEqual([true, true, false]);
    expect([cached(cpu), nr_cached_bnodes(cpu), m.count("bnodes_refused")]).toEqual([2, 2, 1]);
    expect(check_deferred(cpu)).toEqual([]);
    expect([get(cpu), get(cpu), get(cpu)]).toEqual([pages[1], pages[0], NULL]);
    expect([cached(cpu), m.count("bnodes_cached")]).toEqual([0, 2]);
  });

  test("of size 0 does not exist: no worker, no page kept, everything onto the list", () => {
    const { m, cpu, alloc } = krcMachine();
    kfree_rcu(cpu, alloc(), HEAD);
    m.run(20);
    expect([m.count("page_cache_runs"), inProgress(cpu), cached(cpu)]).toEqual([0, 0, 0]);
    expect(put(cpu)).toBe(false);
    expect(drain_page_cache(cpu, krcOf(cpu))).toBe(0);
  });

  test("is under the lock of its krc", () => {
    const { cpu } = krcMachine(1, { rcu_min_cached_objs: 2 });
    expect(() => put_cached_bnode(cpu, krcOf(cpu), alloc_bnode(cpu))).toThrow(/held/);
  });

  test("that counts a page which is not there stops the machine", () => {
    const { cpu } = krcMachine(1, { rcu_min_cached_objs: 2 });
    cpu.mem.poke(krcOf(cpu), K.nr_bkv_objs, 1);
    expect(check_deferred(cpu)).toEqual(["CPU 0: krc has 0 cached pages, but counts 1"]);
    expect(() => get(cpu)).toThrow(/is empty, but counts 1/);
  });

  test("is drained by drain_page_cache()", () => {
    const { cpu } = krcMachine(1, { rcu_min_cached_objs: 3 });
    const free = nr_free_pages(cpu);
    for (let i = 0; i < 3; i++) put(cpu);
    expect(nr_free_pages(cpu)).toBe(free - 3);
    expect(drain_page_cache(cpu, krcOf(cpu))).toBe(3);
    expect([nr_free_pages(cpu), cached(cpu)]).toEqual([free, 0]);
  });
});

describe("the worker", () => {
  test("is started by an object without a page: hrtimer, then work item; objects after it find pages", () => {
    const { m, cpu, alloc } = krcMachine(1, { rcu_min_cached_objs: 2 });
    const [a, b] = [alloc(), alloc()];
    const flags = local_irq_save(cpu);
    kfree_rcu(cpu, a, HEAD);
    expect([timerArmed(cpu), isPending(cpu, "page_cache_work"), inProgress(cpu)]).toEqual([true, false, 1]);
    local_irq_restore(cpu, flags); // The timer interrupt comes.
    expect([timerArmed(cpu), isPending(cpu, "page_cache_work"), inProgress(cpu)]).toEqual([false, true, 1]);
    cond_resched(cpu);
    expect([isPending(cpu, "page_cache_work"), inProgress(cpu), cached(cpu)]).toEqual([false, 0, 2]);
    kfree_rcu(cpu, b, HEAD);
    expect(cpu.mem.peek(krcOf(cpu), K.head)).toBe(a + HEAD);
    expect(records(cpu, bulk_head_of(krcOf(cpu), 0))).toEqual([[b]]);
    expect([m.count("page_cache_runs"), m.count("page_cache_filled"), m.count("bnodes_cached")]).toEqual([1, 2, 1]);
    kvfree_rcu_barrier(cpu);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["freelist", "freelist"]);
    expect(cached(cpu)).toBe(2); // The page of b has come back.
  });

  test("is one for each krc: a second start does nothing", () => {
    const { m, cpu, alloc } = krcMachine(1, { rcu_min_cached_objs: 2 });
    const [a, b] = [alloc(), alloc()];
    kfree_rcu(cpu, a, HEAD); // The timer interrupt has come, the work item not yet.
    const flags = local_irq_save(cpu);
    kfree_rcu(cpu, b, HEAD);
    expect([timerArmed(cpu), isPending(cpu, "page_cache_work"), inProgress(cpu)]).toEqual([false, true, 1]);
    local_irq_restore(cpu, flags);
    m.run(3);
    expect(m.count("page_cache_runs")).toBe(1);
  });

  test("waits 5 s once a shrinker has looked, and takes one page only", () => {
    const { m, cpu, alloc } = krcMachine(1, { rcu_min_cached_objs: 3 });
    kfree_rcu_shrink_count(cpu);
    kfree_rcu(cpu, alloc(), HEAD);
    expect([timerArmed(cpu), isPending(cpu, "page_cache_work")]).toEqual([false, true]);
    expect(comesIn(cpu, "page_cache_work")).toBe(500);
    expect(check_deferred(cpu)).toEqual(["CPU 0: 1 in krc, monitor pending"]);
    m.run(499);
    expect(m.count("page_cache_runs")).toBe(0);
    m.run(3);
    expect([m.count("page_cache_runs"), cached(cpu)]).toEqual([1, 1]);
    expect(cpu.mem.peek(krcOf(cpu), K.backoff_page_cache_fill)).toBe(0);
  });

  test("can be waited for, however long it would wait itself", () => {
    const { m, cpu, alloc } = krcMachine(1, { rcu_min_cached_objs: 3 });
    kfree_rcu_shrink_count(cpu);
    kfree_rcu(cpu, alloc(), HEAD);
    flush_page_cache_work(cpu);
    expect([m.count("page_cache_runs"), inProgress(cpu)]).toEqual([1, 0]);
  });

  test("gives up when there is no memory, and can be started again", () => {
    const { m, cpu, alloc } = krcMachine(1, { rcu_min_cached_objs: 2 });
    const [a, b] = [alloc(), alloc()];
    const giveBack = takeAllPages(cpu);
    kfree_rcu(cpu, a, HEAD);
    m.run(2);
    expect([m.count("page_cache_runs"), inProgress(cpu), cached(cpu)]).toEqual([1, 0, 0]);
    giveBack();
    kfree_rcu(cpu, b, HEAD);
    m.run(2);
    expect([m.count("page_cache_runs"), cached(cpu)]).toEqual([2, 2]);
  });

  test("that nobody will run is reported", () => {
    const { cpu } = krcMachine(1, { rcu_min_cached_objs: 2 });
    cpu.mem.poke(krcOf(cpu), K.work_in_progress, 1);
    expect(check_deferred(cpu)).toEqual(["CPU 0: krc page cache waits to be filled, stranded: no work is pending"]);
  });
});

test("a page that records were freed from goes to the cache, a surplus one to the allocator", () => {
  const { m, cpu, alloc } = krcMachine(1, { rcu_min_cached_objs: 1 });
  setBulkMaxEntr(cpu, 1);
  for (let i = 0; i < 3; i++) kfree_rcu_mightsleep(cpu, alloc());
  kvfree_rcu_barrier(cpu);
  expect([cached(cpu), m.count("bnodes_refused")]).toEqual([1, 2]);
});
