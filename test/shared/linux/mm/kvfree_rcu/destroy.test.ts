/** kmem_cache_destroy(): waits for what is on its way, then the cache must be empty. */
import { describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { IRQWORK_LATE, IRQWORK_PROMPT } from "../../../../../src/shared/layout/globals.ts";
import { CpuCounters } from "../../../../../src/shared/layout/cpu.ts";
import { KmemCache, SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_NO_SHEAVES, SLAB_TYPESAFE_BY_RCU } from "../../../../../src/shared/layout/slab_flags.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { per_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { local_lock, local_unlock } from "../../../../../src/shared/linux/sync/local_lock.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD } = Thing.offset;
type Cache = Ptr<"kmem_cache">;
const alloc = (cpu: Cpu, s: Cache): ThingPtr => alloc_for_nolock(cpu, s) as Ptr as ThingPtr;

describe("kmem_cache_destroy", () => {
  test.each([
    ["prompt", IRQWORK_PROMPT, 0],
    ["late", IRQWORK_LATE, 0],
    ["prompt, no sheaves", IRQWORK_PROMPT, SLAB_NO_SHEAVES],
    ["prompt, typesafe by RCU", IRQWORK_PROMPT, SLAB_TYPESAFE_BY_RCU],
  ])("right after frees of every kind, irq_work %s: nothing is left", (_, irqwork_mode, flags) => {
    const m = new TestMachine({ cpus: 2 }, { tiny: 1, irqwork_mode });
    const [cpu, cpu1] = m.cpus;
    kmem_cache_destroy(cpu, kmem_cache_create(cpu, "first", Thing.size, { flags })); // Slabs of other caches stay.
    const before = nr_free_pages(cpu);
    for (let round = 0; round < 3; round++) {
      const s = kmem_cache_create(cpu, "things", Thing.size, { flags });
      for (const on of [cpu, cpu1]) {
        const things = Array.from({ length: 70 }, () => alloc(on, s));
        for (const a of things.slice(0, 30)) kfree_rcu(on, a, HEAD);
        for (const a of things.slice(30, 40)) kfree_rcu_nolock(on, a, HEAD);
        const lock = embedded(per_cpu_sheaves(on, s, on.id), SlubPercpuSheaves.offset.lock);
        const irqs = local_irq_save(on);
        local_lock(on, lock);
        m.nmi(on, () => {
          for (const a of things.slice(40, 50)) kfree_rcu_nolock(on, a, HEAD);
          for (const a of things.slice(50, 60)) kfree_nolock(on, a);
        });
        local_unlock(on, lock);
        local_irq_restore(on, irqs);
        for (const a of things.slice(60)) kmem_cache_free(on, s, a);
      }
      expect(kmem_cache_destroy(cpu, s)).toBe(0);
      expect(cpu.mem.peek(s, KmemCache.offset.alive)).not.toBe(0x600dcace);
      expect(check_deferred(cpu)).toEqual([]);
    }
    expect(check_page_allocator(cpu)).toEqual([]);
    expect(nr_free_pages(cpu)).toBeGreaterThanOrEqual(before - 2);
  });

  test("of a cache with a live object warns, leaks it and says so", () => {
    const m = new TestMachine({}, { panic_on_warn: 0 });
    const [cpu] = m.cpus;
    const s = kmem_cache_create(cpu, "leaky", Thing.size);
    alloc(cpu, s);
    expect(kmem_cache_destroy(cpu, s)).toBe(-16);
    expect(cpu.mem.peek(cpu.counters, CpuCounters.offset.warnings)).toBeGreaterThanOrEqual(1);
    expect(cpu.mem.peek(s, KmemCache.offset.alive)).toBe(0x600dcace);
  });

  test("with panic_on_warn that warning stops the machine", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const s = kmem_cache_create(cpu, "leaky", Thing.size);
    alloc(cpu, s);
    expect(() => kmem_cache_destroy(cpu, s)).toThrow(/objects/i);
  });

  test("of a cache with another reference only drops one", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const s = kmem_cache_create(cpu, "shared", Thing.size);
    cpu.mem.write(s, KmemCache.offset.refcount, 2);
    const a = alloc(cpu, s);
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
    kmem_cache_free(cpu, s, a);
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
    expect(() => alloc(cpu, s)).toThrow(/destroyed/);
  });

  test("of NULL does nothing; in a reader or an interrupt it is a bug", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    expect(kmem_cache_destroy(cpu, NULL)).toBe(0);
    const s = kmem_cache_create(cpu, "things", Thing.size);
    rcu_read_lock(cpu);
    expect(() => kmem_cache_destroy(cpu, s)).toThrow(/atomic/);
    rcu_read_unlock(cpu);
    expect(() => m.irq(cpu, () => kmem_cache_destroy(cpu, s))).toThrow(/atomic/);
  });
});
