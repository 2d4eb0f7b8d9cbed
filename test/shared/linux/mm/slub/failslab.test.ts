/** Allocations that fail (lowmem, failslab): which may, which may not, and that each way out of it is taken. */
import { describe, expect, test } from "vitest";
import {
  __GFP_HIGH,
  __GFP_NOFAIL,
  GFP_ATOMIC,
  GFP_KERNEL,
  NUMA_NO_NODE,
} from "../../../../../src/shared/layout/gfp.ts";
import { FaultInject } from "../../../../../src/shared/layout/fault_inject.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { KmemCache, SlabGlobals } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_FAILSLAB, SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { Kswapd } from "../../../../../src/shared/layout/vmscan.ts";
import {
  kfree,
  kfree_nolock,
  kfree_rcu_mightsleep,
  kmalloc,
  kmalloc_nolock,
  kmem_cache_alloc,
  kmem_cache_alloc_bulk,
  kmem_cache_create,
  kmem_cache_free,
} from "../../../../../src/shared/linux/api.ts";
import { arm_fault_injection } from "../../../../../src/shared/linux/lib/fault_inject.ts";
import { alloc_frozen_pages, nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { alloc_frozen_pages_nolock } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc_nolock.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { oo_objects, oo_order } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { embedded, embedded_at, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { take_account } from "../../../../../src/workers/quiescence.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { objectArray } from "../slab_machine.ts";
import { setSheafState } from "./sheaf_state.ts";

const ALWAYS = -1;
function machine(
  words: Partial<Record<keyof typeof Globals.offset & ("lowmem" | "failslab" | "failslab_marked" | "tiny"), number>>,
): TestMachine {
  const m = new TestMachine({}, words);
  arm_fault_injection(m.cpus[0]);
  return m;
}
const faults = (m: TestMachine, counter: keyof typeof FaultInject.offset): number =>
  m.cpus[0].mem.peek(embedded(m.cpus[0].section, PerCpu.offset.fault_inject), FaultInject.offset[counter]);

describe("failslab", () => {
  test("refuses objects, one at a time and in bulk, before anybody looks at a sheaf", () => {
    const m = new TestMachine({}, { failslab: ALWAYS });
    const [cpu] = m.cpus;
    const s = kmem_cache_create(cpu, "test", 64, {});
    arm_fault_injection(cpu);
    expect(kmalloc(cpu, 64, GFP_KERNEL)).toBe(NULL);
    expect(kmem_cache_alloc(cpu, s, GFP_ATOMIC)).toBe(NULL);
    const p = objectArray(cpu);
    expect(kmem_cache_alloc_bulk(cpu, s, GFP_KERNEL, 3, p)).toBe(false);
    expect(m.stat(s, "ALLOC_FASTPATH") + m.stat(s, "ALLOC_SLOWPATH")).toBe(0);
  });
  test("spares who may not fail, pages, and the nolock functions", () => {
    const m = machine({ failslab: ALWAYS });
    const [cpu] = m.cpus;
    expect(kmalloc(cpu, 64, GFP_KERNEL | __GFP_NOFAIL)).not.toBe(NULL);
    expect(kmalloc(cpu, 10_000, GFP_KERNEL)).not.toBe(NULL);
    const object = kmalloc_nolock(cpu, 64, 0, NUMA_NO_NODE);
    expect(object).not.toBe(NULL);
    kfree_nolock(cpu, object);
  });
  test("of marked caches only", () => {
    const m = machine({ failslab: ALWAYS, failslab_marked: 1 });
    const [cpu] = m.cpus;
    const s = kmem_cache_create(cpu, "test", 64, {});
    kmem_cache_free(cpu, s, kmem_cache_alloc(cpu, s, GFP_KERNEL));
    const { flags } = KmemCache.offset;
    cpu.mem.poke(s, flags, cpu.mem.peek(s, flags) | SLAB_FAILSLAB);
    expect(kmem_cache_alloc(cpu, s, GFP_KERNEL)).toBe(NULL);
    kfree(cpu, kmalloc(cpu, 64, GFP_KERNEL));
    expect(faults(m, "failslab")).toBe(1);
  });
  test("spares the cache of caches", () => {
    const [cpu] = machine({ failslab: ALWAYS }).cpus;
    const caches = cpu.mem.peek(embedded(cpu.globals, Globals.offset.slab), SlabGlobals.offset.kmem_cache);
    expect(kmem_cache_alloc(cpu, caches, GFP_KERNEL)).not.toBe(NULL);
  });
  test("is off until it is armed", () => {
    const [cpu] = new TestMachine({}, { failslab: ALWAYS }).cpus;
    kfree(cpu, kmalloc(cpu, 64, GFP_KERNEL));
  });
});

describe("lowmem", () => {
  test("there are no pages, but for who may not fail", () => {
    const [cpu] = machine({ lowmem: ALWAYS }).cpus;
    expect(alloc_frozen_pages(cpu, 0, NUMA_NO_NODE, GFP_KERNEL)).toBe(NULL);
    expect(alloc_frozen_pages_nolock(cpu, 0, NUMA_NO_NODE)).toBe(NULL);
    expect(alloc_frozen_pages(cpu, 0, NUMA_NO_NODE, GFP_KERNEL | __GFP_NOFAIL)).not.toBe(NULL);
  });
  test("a cache cannot be created, and nothing is left of it", () => {
    const m = machine({ lowmem: ALWAYS, tiny: 1 });
    const [cpu] = m.cpus;
    const before = take_account(cpu);
    let created: Ptr<"kmem_cache"> = NULL;
    for (let n = 0; n < 100 && (n === 0 || created !== NULL); n++) created = kmem_cache_create(cpu, "test", 64, {});
    expect(created).toBe(NULL); // At last there are no slabs for one more.
    expect(take_account(cpu).problems).toEqual([]);
    expect(before.problems).toEqual([]);
  });
  test("the preferred order fails, the smallest one does not: ORDER_FALLBACK", () => {
    const m = machine({ lowmem: 2 ** 31 });
    const [cpu] = m.cpus;
    const s = kmem_cache_create(cpu, "test", 2048, { flags: SLAB_NO_SHEAVES });
    const { oo, min } = KmemCache.offset;
    expect(oo_order(cpu.mem.peek(s, oo))).toBeGreaterThan(oo_order(cpu.mem.peek(s, min)));
    const most = oo_objects(cpu.mem.peek(s, oo));
    const objects = Array.from({ length: 20 * most }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL));
    expect(m.stat(s, "ORDER_FALLBACK")).toBeGreaterThan(0);
    expect(check_slab_cache(cpu, s)).toEqual([]);
    for (const object of objects) if (object !== NULL) kmem_cache_free(cpu, s, object);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });
  test("who may not fail gets a slab of the smallest order: the preferred one may", () => {
    const m = machine({ lowmem: ALWAYS });
    const [cpu] = m.cpus;
    m.set("fault_injection", 0);
    const s = kmem_cache_create(cpu, "test", 2048, { flags: SLAB_NO_SHEAVES });
    m.set("fault_injection", 1);
    expect(kmem_cache_alloc(cpu, s, GFP_KERNEL | __GFP_NOFAIL)).not.toBe(NULL);
    expect(m.stat(s, "ORDER_FALLBACK")).toBe(1);
  });
  test.each([
    ["who may wait for memory does not wake kswapd for the preferred order", GFP_KERNEL, 0],
    ["who may not wait does", GFP_ATOMIC & ~__GFP_HIGH, 1],
  ])("%s", (_, gfp, wakeups) => {
    const m = machine({});
    const [cpu] = m.cpus;
    const s = kmem_cache_create(cpu, "test", 2048, { flags: SLAB_NO_SHEAVES });
    const order = oo_order(cpu.mem.peek(s, KmemCache.offset.oo));
    m.set("min_free_pages", nr_free_pages(cpu) - (1 << order) + 1); // One page too few for it.
    expect(kmem_cache_alloc(cpu, s, gfp)).not.toBe(NULL);
    expect(m.stat(s, "ORDER_FALLBACK")).toBe(1);
    const kswapd = embedded_at(cpu.globals, Globals.offset.kswapd, 0, Kswapd.size);
    expect(cpu.mem.peek(kswapd, Kswapd.offset.wakeups)).toBe(wakeups);
  });
  test("a refill fails half-way: what it got goes back, and the one object that is asked for is found", () => {
    const m = machine({ lowmem: ALWAYS, tiny: 1 });
    const [cpu] = m.cpus;
    m.set("fault_injection", 0);
    const s = kmem_cache_create(cpu, "test", 64, {});
    const slab = oo_objects(cpu.mem.peek(s, KmemCache.offset.oo));
    const objects = Array.from({ length: slab - 2 }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL));
    setSheafState(cpu, s, { main: 0, full: 0, empty: 0 });
    m.set("fault_injection", 1);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(object).not.toBe(NULL);
    expect(faults(m, "sheaf_refills_short")).toBe(1);
    expect(check_slab_cache(cpu, s)).toEqual([]);
    for (const each of [object, ...objects]) kmem_cache_free(cpu, s, each);
  });
  test("kfree_rcu_mightsleep() without a page waits itself", () => {
    const m = new TestMachine({}, { lowmem: ALWAYS, tiny: 1 });
    const [cpu] = m.cpus;
    const baseline = take_account(cpu);
    const s = kmem_cache_create(cpu, "test", 64, { flags: SLAB_NO_SHEAVES });
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    arm_fault_injection(cpu);
    kfree_rcu_mightsleep(cpu, object);
    expect(m.count("kfree_rcu_synchronous")).toBe(1);
    expect(m.placeOf(object)).toBe("freelist");
    expect(baseline.problems).toEqual([]);
  });
});
