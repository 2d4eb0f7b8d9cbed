/** The shrinker of kfree_rcu(): counts, gives pages back, runs monitors; and barriers that meet it. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { KB_K2 } from "../../../../../src/shared/layout/globals.ts";
import { KfreeRcuCpu } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { Mutex } from "../../../../../src/shared/layout/types.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import { krc_count } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu, kfree_rcu_mightsleep } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { nr_cached_bnodes } from "../../../../../src/shared/linux/mm/kvfree_rcu/page_cache.ts";
import {
  kfree_rcu_shrink_count,
  kfree_rcu_shrink_scan,
  SHRINK_EMPTY,
  SHRINK_STOP,
  shrink_kvfree_rcu,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/shrinker.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { synchronize_rcu } from "../../../../../src/shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { mutex_trylock, mutex_unlock } from "../../../../../src/shared/linux/sync/mutex.ts";
import { embedded, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { krcMachine, krcOf } from "./krc_kit.ts";
import { Thing } from "./machine.ts";

const { head: HEAD } = Thing.offset;
const K = KfreeRcuCpu.offset;
const backoff = (cpu: Cpu): number => cpu.mem.peek(krcOf(cpu), K.backoff_page_cache_fill);
const mutex = (cpu: Cpu): Ptr<"mutex"> => embedded(krcOf(cpu), K.shrink_mutex);

describe("kfree_rcu_shrink_count", () => {
  test("counts objects and cached pages of all CPUs, and holds their page caches back", () => {
    const { m, alloc } = krcMachine(3, { rcu_min_cached_objs: 2 });
    const [cpu0, cpu1, cpu2] = m.cpus;
    kfree_rcu(cpu0, alloc(), HEAD);
    m.run(2); // Fills the cache of CPU 0.
    kfree_rcu_mightsleep(cpu1, alloc());
    kfree_rcu_mightsleep(cpu1, alloc());
    expect(kfree_rcu_shrink_count(cpu2)).toBe(1 + 2 + 2);
    expect(m.cpus.map(backoff)).toEqual([1, 1, 1]);
  });
  test("says so when there is nothing", () => {
    const { cpu } = krcMachine(2);
    expect(kfree_rcu_shrink_count(cpu)).toBe(SHRINK_EMPTY);
    expect(shrink_kvfree_rcu(cpu)).toBe(0);
  });
});

describe("kfree_rcu_shrink_scan", () => {
  test("gives cached pages back, and frees what is ready", () => {
    const { m, cpu, alloc } = krcMachine(1, { rcu_min_cached_objs: 3 });
    const [a] = [alloc(), alloc()];
    const free = nr_free_pages(cpu);
    kfree_rcu(cpu, a, HEAD);
    m.run(2);
    expect(nr_free_pages(cpu)).toBe(free - 3);
    synchronize_rcu(cpu);
    expect(kfree_rcu_shrink_scan(cpu, 100)).toBe(4);
    expect(m.placeOf(a)).toBe("freelist");
    expect([nr_free_pages(cpu), nr_cached_bnodes(cpu), m.count("krc_shrinks")]).toEqual([free, 0, 1]);
  });

  test("asks for the grace period of what is not ready", () => {
    const { m, cpu, alloc } = krcMachine();
    const a = alloc();
    rcu_read_lock(cpu);
    kfree_rcu(cpu, a, HEAD);
    expect(shrink_kvfree_rcu(cpu)).toBe(1);
    expect(m.placeOf(a)).toBe("krc");
    expect(check_deferred(cpu)).toContain("CPU 0: 1 in krc batch 0, work pending");
    rcu_read_unlock(cpu);
    m.run(40);
    expect(m.placeOf(a)).toBe("freelist");
  });

  test("stops when it has had enough, and says so when it found nothing", () => {
    const { m, alloc } = krcMachine(2);
    const [cpu0, cpu1] = m.cpus;
    kfree_rcu(cpu0, alloc(), HEAD);
    kfree_rcu(cpu1, alloc(), HEAD);
    expect(kfree_rcu_shrink_scan(cpu0, 1)).toBe(1);
    expect([krc_count(cpu0, krcOf(cpu0)), krc_count(cpu1, krcOf(cpu1))]).toEqual([0, 1]);
    expect(kfree_rcu_shrink_scan(cpu0, 1)).toBe(1);
    expect(kfree_rcu_shrink_scan(cpu0, 1)).toBe(SHRINK_STOP);
  });

  test("goes past a krc at which another shrinker or a barrier is; not so as the kernel does it", () => {
    const { m, alloc } = krcMachine(2);
    const [cpu0, cpu1] = m.cpus;
    const a = alloc();
    kfree_rcu(cpu0, a, HEAD);
    synchronize_rcu(cpu0);
    expect(mutex_trylock(cpu1, mutex(cpu0))).toBe(true);
    shrink_kvfree_rcu(cpu0);
    expect(m.placeOf(a)).toBe("krc");
    m.set("kernel_behaviour", KB_K2);
    shrink_kvfree_rcu(cpu0);
    expect(m.placeOf(a)).toBe("freelist");
    mutex_unlock(cpu1, mutex(cpu0));
    expect(cpu0.mem.peek(mutex(cpu0), Mutex.offset.owner)).toBe(0);
  });
});
