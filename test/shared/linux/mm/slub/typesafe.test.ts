/** SLAB_TYPESAFE_BY_RCU: an empty slab goes back to the page allocator after a grace period only. */
import { expect, test } from "vitest";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { KmemCache } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_NO_SHEAVES, SLAB_TYPESAFE_BY_RCU } from "../../../../../src/shared/layout/slab_flags.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { NULL } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";

test("a reader that began before the release still finds a slab; afterwards its pages are free", () => {
  const machine = new TestMachine({ cpus: 2 });
  const [cpu, reader] = machine.cpus;
  const s = kmem_cache_create(cpu, "typesafe", 1000, { flags: SLAB_TYPESAFE_BY_RCU | SLAB_NO_SHEAVES });
  cpu.mem.poke(s, KmemCache.offset.min_partial, 0);
  const pages = nr_free_pages(cpu);
  const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
  const used = pages - nr_free_pages(cpu);
  expect(used).toBeGreaterThan(0);

  rcu_read_lock(reader);
  kmem_cache_free(cpu, s, object);
  expect(check_slab_cache(cpu, s).join()).toMatch(/nr_slabs is 0, but there are 1/); // No longer counted, still there.
  machine.tick(20);
  expect(virt_to_slab(cpu, object)).not.toBe(NULL);
  expect(pages - nr_free_pages(cpu)).toBe(used);
  rcu_read_unlock(reader);

  machine.run(50);
  expect(virt_to_slab(cpu, object)).toBe(NULL);
  expect(nr_free_pages(cpu)).toBe(pages);
  expect(check_slab_cache(cpu, s)).toEqual([]);
  expect(check_page_allocator(cpu)).toEqual([]);
});
