/**
 * Random traffic through all of slub on one thread: several CPUs, two nodes, NMIs, trylocks that fail for no reason. The
 * caches are whole all the time, and at the end everything adds up.
 */
import { expect, test } from "vitest";
import { Random } from "../../../../../src/shared/base/random.ts";
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import { nr_free_pages, nr_trylock_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { check_quiescent_cache, check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { kfree, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { kmem_cache_shrink } from "../../../../../src/shared/linux/mm/slub/shrink.ts";
import { kmalloc_cache } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";

const POINTS = [
  POINT.list_lock_held,
  POINT.slab_read_before_cmpxchg,
  POINT.zone_lock_held,
  POINT.local_trylock_acquired,
];

test.each([
  [1, 0],
  [2, 0],
  [3, 0x20000000],
])("seed %i, spurious %i", (seed, spurious) => {
  const machine = new TestMachine({ cpus: 3, nodes: 2, bytes: 8 << 20 }, { spurious, tiny: 1 });
  const random = new Random(seed);
  const s = kmem_cache_create(machine.cpus[0], "churn", 700);
  const buckets = [5, 6, 8].map((bucket) => kmalloc_cache(machine.cpus[0], 0, bucket));
  const live: Ptr[] = [];
  const nolock: Ptr[] = [];
  const take = (from: Ptr[]): Ptr => from.splice(random.below(from.length), 1)[0];
  let over = false; // An NMI may still be aimed when the traffic has ended.
  const in_nmi = (cpu: Cpu): void => {
    if (over) return;
    const object = kmalloc_nolock(cpu, 32 << random.below(4), 0, NUMA_NO_NODE);
    if (object !== NULL) nolock.push(object);
    if (nolock.length > 10 || (nolock.length > 0 && random.chance(0.5))) kfree_nolock(cpu, take(nolock));
  };
  for (let i = 0; i < 4000; i++) {
    const cpu = machine.cpus[random.below(3)];
    if (random.chance(0.1)) machine.nmiAt(cpu, POINTS[random.below(POINTS.length)], () => in_nmi(cpu));
    const growing = live.length < 10 || (live.length < 200 && random.chance((i >> 8) & 1 ? 0.35 : 0.65));
    if (growing) {
      const object = kmem_cache_alloc(cpu, s, GFP_ATOMIC);
      if (object !== NULL) live.push(object);
    } else {
      kmem_cache_free(cpu, s, take(live));
    }
    if (i % 200 === 0) for (const each of [s, ...buckets]) expect(check_slab_cache(cpu, each)).toEqual([]);
  }
  const [cpu] = machine.cpus;
  over = true;
  for (const object of nolock) kfree(cpu, object);
  for (const object of live.splice(5)) kmem_cache_free(cpu, s, object);
  machine.run(5); // Deferred frees.
  kmem_cache_shrink(cpu, s);
  expect(check_quiescent_cache(cpu, s, 5, true)).toEqual([]);
  for (const each of buckets) expect(check_slab_cache(cpu, each)).toEqual([]);
  expect(check_page_allocator(cpu)).toEqual([]);
  expect(nr_free_pages(cpu) + nr_trylock_free_pages(cpu)).toBeGreaterThan(cpu.map.nrPages / 2);
});
