/**
 * The account of a machine at rest: what was taken from the allocators has come back, and nothing waits anywhere. Spec
 * slub 14, "at quiescence"; rcu I-RCU-14.
 *
 * Compared with the state right after boot: per cache the objects in use, those apart that are sheaves or extension
 * vectors of slabs (how many there are depends on the past), and the pages by what they are used for.
 */
import { bug } from "../shared/cpu/bug.ts";
import type { Cpu } from "../shared/cpu/cpu.ts";
import { Page, PGTY_large_kmalloc, PGTY_percpu, PGTY_slab } from "../shared/layout/page.ts";
import { Slab } from "../shared/layout/slab.ts";
import { kmem_cache_shrink, kvfree_rcu_barrier, rcu_barrier } from "../shared/linux/api.ts";
import { debug_check, debug_drain } from "../shared/linux/mm/debug/facilities.ts";
import { check_deferred } from "../shared/linux/mm/kvfree_rcu/check.ts";
import { deferred_work_barrier } from "../shared/linux/mm/kvfree_rcu/barrier.ts";
import { flush_page_cache_work, nr_cached_bnodes } from "../shared/linux/mm/kvfree_rcu/page_cache.ts";
import { check_page_allocator } from "../shared/linux/mm/page_alloc/check.ts";
import { nr_free_pages, nr_trylock_free_pages } from "../shared/linux/mm/page_alloc/page_alloc.ts";
import { pfn_to_page, virt_to_head_page } from "../shared/linux/mm/page_alloc/zone.ts";
import { cache_name } from "../shared/linux/mm/slub/cache_name.ts";
import { vmalloc_nr_pages } from "../shared/linux/mm/vmalloc.ts";
import { caches_of } from "../shared/linux/mm/slub/check.ts";
import { type CacheCensus, take_census } from "../shared/linux/mm/slub/check_sheaves.ts";
import { obj_exts_vectors } from "../shared/linux/mm/slub/obj_exts.ts";
import type { Ptr } from "../shared/mem/struct.ts";
import { wait_until_at_rest } from "./at_rest.ts";
import { allocated_objects, check_places, describe_objects } from "./oracle_account.ts";

const { type: TYPE, order: ORDER } = Page.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;

type Cache = Ptr<"kmem_cache">;

/** What a machine uses. */
export interface Account {
  /** Objects with users, those of the allocator itself left out; by cache. */
  readonly users: ReadonlyMap<Cache, number>;
  /** Which they are, if an oracle watches; large kmallocs, too. */
  readonly objects: ReadonlySet<Ptr>;
  readonly censuses: ReadonlyMap<Cache, CacheCensus>;
  readonly largeKmallocPages: number;
  readonly vmallocPages: number;
  /** Free, in slabs, or kept by kfree_rcu(). */
  readonly managedPages: number;
  readonly problems: readonly string[];
}

/** Counts everything. Peeks only. @context Any, machine at rest or booting */
export function take_account(cpu: Cpu): Account {
  const { mem } = cpu;
  const problems = [...check_page_allocator(cpu), ...check_deferred(cpu)];
  const users = new Map<Cache, number>();
  const censuses = new Map<Cache, CacheCensus>();
  const own: Ptr[] = []; // Of the allocator itself: sheaves, extension vectors.
  for (const s of caches_of(cpu)) {
    const census = take_census(cpu, s);
    censuses.set(s, census);
    problems.push(...census.problems.map((problem) => `cache ${cache_name(cpu, s)}: ${problem}`));
    users.set(s, census.inuse - census.cached.size);
    own.push(...census.sheaves, ...obj_exts_vectors(cpu, census.slabs));
  }
  for (const object of own) {
    if (object < cpu.map.pages) continue; // The bootstrap sheaf.
    const s = mem.peek(virt_to_head_page(cpu, object) as Ptr as Ptr<"slab">, SLAB_CACHE);
    users.set(s, (users.get(s) ?? 0) - 1);
  }
  const objects = allocated_objects(cpu);
  for (const object of own) objects.delete(object);
  let largeKmallocPages = 0;
  let keptPages = 0;
  for (let pfn = 0; pfn < cpu.map.nrPages; pfn++) {
    const page = pfn_to_page(cpu, pfn);
    const type = mem.peek(page, TYPE);
    // The stack depot takes its pages with the first cache that keeps tracks, and keeps them.
    if (type === PGTY_slab || type === PGTY_percpu) keptPages += 1 << mem.peek(page, ORDER);
    if (type === PGTY_large_kmalloc) largeKmallocPages += 1 << mem.peek(page, ORDER);
  }
  return {
    users,
    objects,
    censuses,
    problems,
    largeKmallocPages,
    vmallocPages: vmalloc_nr_pages(cpu),
    managedPages: nr_free_pages(cpu) + nr_trylock_free_pages(cpu) + keptPages + nr_cached_bnodes(cpu),
  };
}

/** Drains everything that waits, then compares with the state after boot. @context Task, all other CPUs at rest */
export function check_quiescence(cpu: Cpu, baseline: Account): void {
  drain(cpu);
  const problems = wait_until_at_rest(cpu);
  const now = take_account(cpu);
  problems.push(...now.problems, ...check_places(cpu, now.censuses), ...debug_check(cpu, now.censuses));
  for (const [s, users] of now.users) {
    const before = baseline.users.get(s);
    if (before === undefined) problems.push(`cache ${cache_name(cpu, s)} was not destroyed`);
    else if (users !== before)
      problems.push(`cache ${cache_name(cpu, s)}: ${users} objects in use, ${before} after boot`);
  }
  for (const s of baseline.users.keys()) if (!now.users.has(s)) problems.push(`cache at 0x${s.toString(16)} is gone`);
  const leaked = [...now.objects].filter((object) => !baseline.objects.has(object));
  problems.push(...describe_objects(cpu, "not given back: object", leaked));
  compare(problems, "pages of large kmallocs", now.largeKmallocPages, baseline.largeKmallocPages);
  compare(problems, "pages of vmalloc()", now.vmallocPages, baseline.vmallocPages);
  compare(problems, "pages free, in slabs, or kept by kfree_rcu()", now.managedPages, baseline.managedPages);
  if (problems.length > 0) bug(cpu, `at quiescence: ${problems.join("\n  ")}`);
}

/** Twice: callbacks and work of the first round may have left something to the second. */
function drain(cpu: Cpu): void {
  for (let round = 0; round < 2; round++) {
    debug_drain(cpu);
    kvfree_rcu_barrier(cpu);
    deferred_work_barrier(cpu);
    rcu_barrier(cpu);
    for (const s of caches_of(cpu)) kmem_cache_shrink(cpu, s);
  }
  debug_drain(cpu); // Slabs that went have freed what belonged to them.
  kvfree_rcu_barrier(cpu);
  rcu_barrier(cpu);
  flush_page_cache_work(cpu);
}

function compare(problems: string[], what: string, now: number, before: number): void {
  if (now !== before) problems.push(`${what}: ${now}, ${before} after boot`);
}
