/** A CPU without checks does to memory what one with checks does: it only leaves out checks, counts and traces. */
import { expect, test } from "vitest";
import { Random } from "../../../../../src/shared/base/random.ts";
import { preempt_count } from "../../../../../src/shared/cpu/context.ts";
import { __GFP_ZERO, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import {
  kfree,
  kfree_nolock,
  kfree_rcu,
  kmalloc,
  kmalloc_nolock,
  kmem_cache_alloc,
  kmem_cache_create,
  kmem_cache_destroy,
  kmem_cache_free,
  kvfree_rcu_barrier,
} from "../../../../../src/shared/linux/api.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { check_slabs } from "../../../../../src/shared/linux/mm/slub/check.ts";
import { STAT, stat_sum } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { SLAB_CONSISTENCY_CHECKS } from "../../../../../src/shared/layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const OPERATIONS = 3000;
const MOST_LIVE = 300;

/**
 * What a run of random operations hands out, and what is left of memory after it.
 * @param plain  nothing that waits for an interrupt, which comes where a checked CPU visits a point.
 */
function run(checked: boolean, plain: boolean): { addresses: number[]; free: number } {
  const machine = new TestMachine({ cpus: 2, bytes: 8 << 20 }, { tiny: 1 }, checked);
  const random = new Random(7);
  const [first] = machine.cpus;
  const s = kmem_cache_create(first, "things", Thing.size);
  const live: { object: Ptr; free: number }[] = [];
  const addresses: number[] = [];
  for (let i = 0; i < OPERATIONS; i++) {
    const cpu = machine.cpus[random.below(2)];
    if (live.length < MOST_LIVE && random.below(2) === 0) {
      const kind = random.below(plain ? 2 : 3);
      const gfp = random.below(4) === 0 ? GFP_KERNEL | __GFP_ZERO : GFP_KERNEL;
      const size = 8 + random.below(500);
      const object =
        kind === 0
          ? kmem_cache_alloc(cpu, s, gfp)
          : kind === 1
            ? kmalloc(cpu, size, gfp)
            : kmalloc_nolock(cpu, size, 0, NUMA_NO_NODE);
      addresses.push(object);
      if (object !== NULL) live.push({ object, free: kind });
    } else if (live.length > 0) {
      const [{ object, free }] = live.splice(random.below(live.length), 1);
      if (free === 1) kfree(cpu, object);
      else if (free === 2) kfree_nolock(cpu, object);
      else if (plain || random.below(2) === 0) kmem_cache_free(cpu, s, object);
      else kfree_rcu(cpu, object as ThingPtr, Thing.offset.head);
    }
    if (i % 100 === 0) machine.tick();
  }
  kvfree_rcu_barrier(first);
  check_slabs(first, s);
  expect(stat_sum(first, s, STAT.ALLOC_FASTPATH) > 0).toBe(checked);
  for (const { object, free } of live) {
    if (free === 0) kmem_cache_free(first, s, object);
    else if (free === 1) kfree(first, object);
    else kfree_nolock(first, object);
  }
  kmem_cache_destroy(first, s);
  for (const cpu of machine.cpus) expect(preempt_count(cpu)).toBe(0);
  return { addresses, free: nr_free_pages(first) };
}

test("the same addresses with checks and without", () => {
  expect(run(false, true)).toEqual(run(true, true));
});
test("nothing is lost without checks, whatever way objects come back", () => {
  expect(run(false, false).free).toBe(run(true, false).free);
});

test("a cache with consistency checks knows its own objects without checks of the CPU, too", () => {
  const machine = new TestMachine({ cpus: 1, bytes: 8 << 20 }, { panic_on_warn: 1 }, false);
  const [cpu] = machine.cpus;
  const s = kmem_cache_create(cpu, "checked things", Thing.size, { flags: SLAB_CONSISTENCY_CHECKS });
  const others = kmem_cache_create(cpu, "others", 3 * Thing.size);
  const [own, foreign] = [kmem_cache_alloc(cpu, s, GFP_KERNEL), kmem_cache_alloc(cpu, others, GFP_KERNEL)];
  expect(() => kmem_cache_free(cpu, s, foreign)).toThrow(/the object is not from that cache, but from others/);
  kmem_cache_free(cpu, s, own);
});
test("a machine that wants what only a checked CPU does, or several tasks per CPU, does not boot without checks", () => {
  for (const word of ["hooks", "poison_free", "spurious", "failslab", "preempt", "rt", "migrate"] as const) {
    expect(() => new TestMachine({}, { [word]: 1 }, false)).toThrow(/without checks/);
  }
});
