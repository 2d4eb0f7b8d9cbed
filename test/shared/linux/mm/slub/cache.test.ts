/** Boot of the allocator, creation, shutdown and release of caches, shrinking: spec slub 1.1, 1.8, 2.14, 5.8. */
import { beforeEach, describe, expect, test } from "vitest";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import { bind_callback } from "../../../../../src/shared/cpu/callback_table.ts";
import { this_cpu_ptr, type Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { FIRST_FREE_CALLBACK } from "../../../../../src/shared/layout/callbacks.ts";
import {
  __GFP_COMP,
  __GFP_DMA,
  __GFP_DMA32,
  __GFP_RECLAIMABLE,
  __GFP_ZERO,
  GFP_KERNEL,
} from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { Page, PGTY_percpu } from "../../../../../src/shared/layout/page.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import {
  KMEM_CACHE_ALIVE,
  KmemCache,
  NR_KMALLOC_BUCKETS,
  NR_KMALLOC_TYPES,
  SlabGlobals,
  SlabSheaf,
  SlubCpu,
  SlubPercpuSheaves,
} from "../../../../../src/shared/layout/slab.ts";
import { STAT } from "../../../../../src/shared/layout/slab_stat.ts";
import {
  SLAB_CACHE_DMA,
  SLAB_CACHE_DMA32,
  SLAB_NO_SHEAVES,
  SLAB_PANIC,
  SLAB_RECLAIM_ACCOUNT,
  SLAB_RED_ZONE,
  SLAB_TYPESAFE_BY_RCU,
} from "../../../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { virt_to_head_page } from "../../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { barn_put_empty_sheaf, barn_put_full_sheaf } from "../../../../../src/shared/linux/mm/slub/barn.ts";
import { kmem_cache_create, slab_kmem_cache_release } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmem_cache_init } from "../../../../../src/shared/linux/mm/slub/init.ts";
import { cache_name } from "../../../../../src/shared/linux/mm/slub/cache_name.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { get_barn, per_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { caches_of } from "../../../../../src/shared/linux/mm/slub/check.ts";
import { check_quiescent_cache, take_census } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { cache_has_sheaves } from "../../../../../src/shared/linux/mm/slub/sheaf.ts";
import { kmem_cache_shrink, partial_slabs } from "../../../../../src/shared/linux/mm/slub/shrink.ts";
import { __kmem_cache_shutdown } from "../../../../../src/shared/linux/mm/slub/shutdown.ts";
import { kmalloc_cache } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { get_node, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { slab_word, word_inuse } from "../../../../../src/shared/linux/mm/slub/slab_word.ts";
import { stat_sum } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { list_count } from "../../../../../src/shared/linux/lib/list.ts";
import { cpus_read_lock, cpus_read_unlock } from "../../../../../src/shared/linux/sync/cpu_hotplug.ts";
import {
  element,
  embedded,
  embedded_at,
  NULL,
  type CallbackId,
  type Ptr,
} from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";
import { counted, exhaustPages, makeSheaf, problems, setSheafState, sheafState } from "./sheaf_state.ts";

const K = KmemCache.offset;
const G = SlabGlobals.offset;

type Cache = Ptr<"kmem_cache">;

let m: TestMachine;
let cpu: Cpu;
let globals: Ptr<"slab_globals">;
const boot = (shape = {}, words = {}): void => {
  m = new TestMachine({ cpus: 2, ...shape }, words);
  [cpu] = m.cpus;
  globals = embedded(cpu.globals, Globals.offset.slab);
};
beforeEach(() => boot());
const bootCache = (i: number): Cache => embedded_at(globals, G.boot_caches, i, KmemCache.size);
/** Objects of a cache that are allocated. */
const used = (s: Cache): number => {
  const { inuse, cached } = take_census(cpu, s);
  return inuse - cached.size;
};
const allKmalloc = (): Cache[] => {
  const caches = new Set<Cache>();
  for (let type = 0; type < NR_KMALLOC_TYPES; type++) {
    for (let bucket = 1; bucket < NR_KMALLOC_BUCKETS; bucket++) caches.add(kmalloc_cache(cpu, type, bucket));
  }
  return [...caches];
};

describe("boot", () => {
  test("the caches of caches have no sheaves, and share the sheaf that is never written", () => {
    expect([0, 1, 2].map((i) => cache_name(cpu, bootCache(i)))).toEqual(["kmem_cache_node", "kmem_cache", "percpu"]);
    const shared = embedded(globals, G.bootstrap_sheaf);
    for (const s of [0, 1, 2].map(bootCache)) {
      expect(cache_has_sheaves(cpu, s)).toBe(false);
      for (const id of [0, 1]) {
        expect(cpu.mem.peek(per_cpu_sheaves(cpu, s, id), SlubPercpuSheaves.offset.main)).toBe(shared);
      }
      kmem_cache_free(cpu, s, kmem_cache_alloc(cpu, s, GFP_KERNEL));
    }
    for (let i = 0; i < SlabSheaf.size; i += 4) expect(cpu.mem.load_word(shared + i)).toBe(0);
    const block = cpu.mem.peek(bootCache(0), K.cpu_sheaves);
    expect(cpu.mem.peek(virt_to_head_page(cpu, block), Page.offset.type)).toBe(PGTY_percpu);
  });
  test("every kmalloc cache has sheaves, and got them once", () => {
    const caches = allKmalloc();
    expect(caches).toHaveLength(39); // Three sets; the fourth aliases the first.
    for (const s of caches) {
      expect(cache_has_sheaves(cpu, s)).toBe(true);
      // Sheaves that were given twice would be lost.
      expect(check_quiescent_cache(cpu, s, used(s), true)).toEqual([]);
    }
  });
  test("all caches are on the list", () => {
    expect(list_count(cpu, embedded(globals, G.slab_caches))).toBe(42);
    expect(new Set(caches_of(cpu))).toEqual(new Set([...[0, 1, 2].map(bootCache), ...allKmalloc()]));
    expect(cpu.mem.peek(globals, G.nr_caches)).toBe(42);
    expect(() => kmem_cache_init(cpu)).toThrow(/twice/);
  });
  test.each([
    [{ cpus: 1, bytes: 1 << 20 }, { tiny: 1 }],
    [{ cpus: 16, bytes: 8 << 20 }, {}],
    [{ cpus: 4, nodes: 2 }, { tiny: 1 }],
    [{ cpus: 5, nodes: 4, bytes: 8 << 20 }, {}],
  ])("works with %o %o", (shape, words) => {
    boot(shape, words);
    kfree(cpu, kmalloc(cpu, 100, GFP_KERNEL));
    expect(problems(cpu, ...allKmalloc())).toEqual([]);
  });
});

describe("kmem_cache_create()", () => {
  test("makes a cache with sheaves, a barn and a node structure", () => {
    const s = kmem_cache_create(cpu, "thing", 100);
    expect(cache_name(cpu, s)).toBe("thing");
    expect(cpu.mem.peek(s, K.object_size)).toBe(100);
    expect(cpu.mem.peek(s, K.size)).toBe(104);
    expect(cpu.mem.peek(s, K.alive)).toBe(KMEM_CACHE_ALIVE);
    expect(cpu.mem.peek(s, K.refcount)).toBe(1);
    expect(get_barn(cpu, s)).not.toBe(NULL);
    expect(get_node(cpu, s, 0)).not.toBe(NULL);
    expect(stat_sum(cpu, s, STAT.SHEAF_ALLOC)).toBe(2);
    expect(per_cpu_sheaves(cpu, s, 1) - per_cpu_sheaves(cpu, s, 0)).toBe(128);
    expect(cpu.mem.peek(s, K.cpu_sheaves) % 64).toBe(0);
    expect(kmem_cache_create(cpu, "thing", 100)).not.toBe(s); // Nothing is merged.
  });
  test("keeps 24 characters of the name", () => {
    const s = kmem_cache_create(cpu, "a-name-of-thirty-characters-xx", 8);
    expect(cache_name({ mem: cpu.mem }, s)).toBe("a-name-of-thirty-charact");
  });
  test("takes alignment, capacity, constructor and free pointer offset", () => {
    let constructed = 0;
    bind_callback((FIRST_FREE_CALLBACK + 9) as CallbackId, (on, object) => {
      on.mem.store_word(object, 0x1234);
      constructed++;
    });
    const ctor = (FIRST_FREE_CALLBACK + 9) as CallbackId;
    const s = kmem_cache_create(cpu, "all", 40, { align: 128, sheaf_capacity: 100, ctor, freeptr_offset: 8 });
    expect([K.align, K.size, K.sheaf_capacity, K.offset].map((f) => cpu.mem.peek(s, f))).toEqual([128, 128, 100, 8]);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(object % 128).toBe(0);
    expect(cpu.mem.load_word(object)).toBe(0x1234);
    expect(constructed).toBeGreaterThanOrEqual(100);
  });
  test.each([
    ["outside the object", 40, { flags: SLAB_TYPESAFE_BY_RCU, freeptr_offset: 40 }],
    ["half outside", 44, { flags: SLAB_TYPESAFE_BY_RCU, freeptr_offset: 40 }],
    ["on no word", 64, { flags: SLAB_TYPESAFE_BY_RCU, freeptr_offset: 4 }],
    ["where nobody relies on the object's content", 64, { freeptr_offset: 8 }],
  ])("a free pointer %s is refused", (_, size, args) => {
    const caches = cpu.mem.peek(globals, G.nr_caches);
    expect(kmem_cache_create(cpu, "bad", size, args)).toBe(NULL);
    expect(cpu.mem.peek(globals, G.nr_caches)).toBe(caches);
  });
  test("a free pointer may lie in a typesafe object, which is no larger then", () => {
    const s = kmem_cache_create(cpu, "typesafe", 64, { flags: SLAB_TYPESAFE_BY_RCU, freeptr_offset: 16 });
    expect([K.size, K.offset].map((f) => cpu.mem.peek(s, f))).toEqual([64, 16]);
    const outside = kmem_cache_create(cpu, "outside", 64, { flags: SLAB_TYPESAFE_BY_RCU });
    expect([K.size, K.offset].map((f) => cpu.mem.peek(outside, f))).toEqual([72, 64]);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    cpu.mem.fill(object, 64, 0x33);
    kmem_cache_free(cpu, s, object);
    kmem_cache_shrink(cpu, s); // Out of the sheaf: now it has a link.
    for (const i of [0, 12, 24, 60]) expect(cpu.mem.load_word(object + i)).toBe(0x33333333);
  });
  test("a usercopy region is kept if it is one", () => {
    const region = (size: number, useroffset: number, usersize: number): number[] => {
      const s = kmem_cache_create(cpu, "user", size, { useroffset, usersize });
      return [cpu.mem.peek(s, K.useroffset), cpu.mem.peek(s, K.usersize)];
    };
    expect(region(64, 16, 48)).toEqual([16, 48]);
    expect(region(64, 0, 0)).toEqual([0, 0]);
    expect(() => region(64, 17, 48)).toThrow(/48 bytes from 17 on are not in an object of 64/);
    m.set("panic_on_warn", 0);
    expect(region(64, 8, 0)).toEqual([0, 0]);
  });
  test("flags of slabs go into allocflags", () => {
    const flags = (size: number, slab: number): number =>
      cpu.mem.peek(kmem_cache_create(cpu, "flags", size, { flags: slab }), K.allocflags);
    expect(flags(64, 0)).toBe(0);
    expect(flags(2048, SLAB_RECLAIM_ACCOUNT)).toBe(__GFP_COMP | __GFP_RECLAIMABLE);
    expect(flags(64, SLAB_CACHE_DMA)).toBe(__GFP_DMA);
    expect(flags(64, SLAB_CACHE_DMA32)).toBe(__GFP_DMA32);
  });
  test("objects are constructed once for as long as their slab lives", () => {
    const constructed = new Map<Ptr, number>();
    const ctor = (FIRST_FREE_CALLBACK + 9) as CallbackId;
    bind_callback(ctor, (_on, object) => void constructed.set(object, (constructed.get(object) ?? 0) + 1));
    const s = kmem_cache_create(cpu, "made", 64, { ctor });
    for (let round = 0; round < 3; round++) {
      const objects = Array.from({ length: 200 }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL));
      for (const object of objects) {
        cpu.mem.store_word(object + 60, 7);
        kmem_cache_free(cpu, s, object);
      }
    }
    expect(new Set(constructed.values())).toEqual(new Set([1]));
    const before = constructed.size;
    expect(kmem_cache_shrink(cpu, s)).toBe(0);
    kmem_cache_alloc(cpu, s, GFP_KERNEL);
    const total = [...constructed.values()].reduce((sum, n) => sum + n, 0);
    expect(total).toBeGreaterThan(before); // In a new slab, anew.
  });
  test("what is constructed is not asked to be zero", () => {
    const ctor = (FIRST_FREE_CALLBACK + 9) as CallbackId;
    bind_callback(ctor, () => undefined);
    const s = kmem_cache_create(cpu, "made", 64, { ctor });
    expect(() => kmem_cache_alloc(cpu, s, GFP_KERNEL | __GFP_ZERO)).toThrow(/has a constructor/);
  });
  test("a debug cache has no sheaves", () => {
    const s = kmem_cache_create(cpu, "debug", 64, { flags: SLAB_RED_ZONE });
    expect(cache_has_sheaves(cpu, s)).toBe(false);
    const stats = counted(cpu, s, () => kmem_cache_free(cpu, s, kmem_cache_alloc(cpu, s, GFP_KERNEL)));
    expect(stats).toMatchObject({ ALLOC_SLOWPATH: 1, FREE_SLOWPATH: 1 });
  });
  test("without memory: NULL, or a bug if that was asked for; nothing is left behind", () => {
    const names = list_count(cpu, embedded(globals, G.slab_caches));
    exhaustPages(cpu);
    const made: Cache[] = [];
    for (let i = 0; i < 1000; i++) {
      const s = kmem_cache_create(cpu, `cache-${i}`, 4096);
      if (s === NULL) break;
      made.push(s);
    }
    expect(made.length).toBeLessThan(1000);
    expect(list_count(cpu, embedded(globals, G.slab_caches))).toBe(names + made.length);
    const caches = [...allKmalloc(), ...[0, 1, 2].map(bootCache)];
    const before = caches.map(used);
    for (let i = 0; i < 20; i++) expect(kmem_cache_create(cpu, "more", 4096)).toBe(NULL);
    expect(caches.map(used)).toEqual(before);
    expect(() => kmem_cache_create(cpu, "must", 4096, { flags: SLAB_PANIC })).toThrow(/no memory/);
    expect(problems(cpu, ...caches)).toEqual([]);
  });
  test("memory that runs out half way is given back", () => {
    exhaustPages(cpu);
    const caches = [...allKmalloc(), ...[0, 1, 2].map(bootCache)];
    const before = caches.map(used);
    const stats = counted(cpu, bootCache(2), () => {
      expect(kmem_cache_create(cpu, "late", 64, { sheaf_capacity: 1000 })).toBe(NULL); // A sheaf takes two pages.
    });
    expect(stats).toMatchObject({ ALLOC_SLOWPATH: 1, FREE_SLOWPATH: 1 }); // It got as far as the per-CPU block.
    expect(caches.map(used)).toEqual(before);
  });
  test("is for tasks that may sleep, and sane sizes", () => {
    m.irq(cpu, () => expect(() => kmem_cache_create(cpu, "irq", 64)).toThrow(MachineBug));
    expect(() => kmem_cache_create(cpu, "zero", 0)).toThrow(/size 0/);
    expect(() => kmem_cache_create(cpu, "large", (1 << 22) + 1)).toThrow(/size/);
  });
});

describe("kmem_cache_shrink()", () => {
  test("gives everything back that nobody uses", () => {
    boot({ bytes: 2 << 20 }, { tiny: 1 });
    const s = kmem_cache_create(cpu, "test", 128);
    const free = nr_free_pages(cpu);
    for (const each of m.cpus) setSheafState(each, s, { main: 3, spare: 4, full: 2, empty: 1 });
    expect(nr_free_pages(cpu)).toBeLessThan(free);
    expect(kmem_cache_shrink(cpu, s)).toBe(0);
    expect(sheafState(cpu, s)).toEqual({ main: 0, spare: undefined, full: 0, empty: 0 });
    expect(problems(cpu, s)).toEqual([]);
    expect(counted(cpu, s, () => expect(kmem_cache_shrink(cpu, s)).toBe(0))).toEqual({});
  });
  test("keeps slabs that are in use, the fullest first", () => {
    const s = kmem_cache_create(cpu, "test", 512, { flags: SLAB_NO_SHEAVES }); // 16 objects in a slab.
    const objects = Array.from({ length: 64 }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL));
    // Leave 3, 9, 0 and 1 in the four slabs.
    const left = [3, 9, 0, 1];
    for (const [i, object] of objects.entries()) {
      if (i % 16 >= (left[Math.floor(i / 16)] ?? 0)) kmem_cache_free(cpu, s, object);
    }
    expect(kmem_cache_shrink(cpu, s)).toBe(1);
    const inuse = partial_slabs(cpu, get_node(cpu, s, 0)).map((slab) => word_inuse(slab_word(cpu, slab)));
    expect(inuse).toEqual([9, 3, 1]);
    expect(problems(cpu, s)).toEqual([]);
  });
  test("is for tasks that may sleep", () => {
    const s = kmem_cache_create(cpu, "test", 128);
    m.irq(cpu, () => expect(() => kmem_cache_shrink(cpu, s)).toThrow(MachineBug));
  });
});

describe("the end of a cache", () => {
  const shutdown = (s: Cache): number => {
    cpus_read_lock(cpu);
    const result = __kmem_cache_shutdown(cpu, s);
    cpus_read_unlock(cpu);
    return result;
  };

  test("shutdown empties sheaves of all CPUs, barns and slabs", () => {
    boot({ bytes: 2 << 20 }, { tiny: 1 });
    const s = kmem_cache_create(cpu, "test", 128);
    for (const each of m.cpus) setSheafState(each, s, { main: 3, spare: 4, full: 2, empty: 1 });
    expect(shutdown(s)).toBe(0);
    expect(problems(cpu, s)).toEqual([]);
  });
  test("shutdown waits for the grace period of what it finds in rcu_free", () => {
    boot({ cpus: 1 }); // Another CPU's work item would be waited for, and the grace period end meanwhile.
    const s = kmem_cache_create(cpu, "test", 128);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL) as Ptr as ThingPtr;
    kfree_rcu(cpu, object, Thing.offset.head);
    expect(m.placeOf(object)).toBe("rcu_sheaf");
    expect(shutdown(s)).toBe(0);
    expect(m.placeOf(object)).toBe("none");
  });
  test("shutdown wants cpus_read_lock()", () => {
    const s = kmem_cache_create(cpu, "test", 128);
    expect(() => __kmem_cache_shutdown(cpu, s)).toThrow(/not held/);
  });
  test("objects that remain are reported, also in a full slab, which is on no list", () => {
    const s = kmem_cache_create(cpu, "leaky", 128);
    kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(() => shutdown(s)).toThrow(/leaky: Objects remaining.*1 in slab/);
    boot();
    m.set("panic_on_warn", 0);
    const partial = kmem_cache_create(cpu, "leaky", 128);
    kmem_cache_alloc(cpu, partial, GFP_KERNEL);
    expect(shutdown(partial)).toBe(1);
    const full = kmem_cache_create(cpu, "full", 4096, { flags: SLAB_NO_SHEAVES });
    for (let i = 0; i < 8; i++) kmem_cache_alloc(cpu, full, GFP_KERNEL);
    expect(shutdown(full)).toBe(1);
  });
  test("release frees all there is, and keeps the statistics", () => {
    const caches = [...allKmalloc(), ...[0, 1, 2].map(bootCache)];
    const first = kmem_cache_create(cpu, "first", 128); // It takes sheaves of kmalloc caches that stay theirs.
    expect(kmem_cache_destroy(cpu, first)).toBe(0);
    const usedBefore = caches.map(used);
    const s = kmem_cache_create(cpu, "test", 128);
    kmem_cache_free(cpu, s, kmem_cache_alloc(cpu, s, GFP_KERNEL));
    expect(shutdown(s)).toBe(0);
    const before = cpu.mem.peek(
      this_cpu_ptr(cpu, PerCpu.offset.slub),
      element(SlubCpu.offset.retired, STAT.SHEAF_ALLOC),
    );
    slab_kmem_cache_release(cpu, s);
    const retired = (item: number): number =>
      cpu.mem.peek(this_cpu_ptr(cpu, PerCpu.offset.slub), element(SlubCpu.offset.retired, item));
    expect(retired(STAT.SHEAF_ALLOC) - before).toBe(3); // A main for each CPU, and what the allocation refilled.
    expect(retired(STAT.SHEAF_FREE)).toBe(retired(STAT.SHEAF_ALLOC));
    expect(retired(STAT.ALLOC_FASTPATH)).toBe(1);
    expect(caches.map(used)).toEqual(usedBefore);
    expect(problems(cpu, ...caches)).toEqual([]);
  });
  test("a barn that is not empty is reported at release", () => {
    const s = kmem_cache_create(cpu, "test", 128);
    barn_put_empty_sheaf(cpu, get_barn(cpu, s), makeSheaf(cpu, s, 0));
    expect(() => slab_kmem_cache_release(cpu, s)).toThrow(/0 full, 1 empty/);
    const other = kmem_cache_create(cpu, "other", 128);
    barn_put_full_sheaf(cpu, get_barn(cpu, other), makeSheaf(cpu, other, 60));
    expect(() => slab_kmem_cache_release(cpu, other)).toThrow(/1 full, 0 empty/);
  });
  test.each([0, 1])("a dead cache that is touched is noticed (poison %i)", (poison) => {
    m.set("poison_free", poison);
    const s = kmem_cache_create(cpu, "test", 128, { flags: SLAB_TYPESAFE_BY_RCU });
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
    expect(() => kmem_cache_alloc(cpu, s, GFP_KERNEL)).toThrow(/no kmem_cache/);
    expect(() => kmem_cache_shrink(cpu, s)).toThrow(/no kmem_cache/);
    expect(() => slab_kmem_cache_release(cpu, s)).toThrow(/no kmem_cache/);
  });
  test("an object whose cache is dead is noticed, whichever way it is freed", () => {
    const s = kmem_cache_create(cpu, "test", 128);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    cpu.mem.poke(s, K.alive, 0);
    expect(virt_to_slab(cpu, object)).not.toBe(NULL);
    for (const free of [kfree, kfree_nolock]) expect(() => free(cpu, object)).toThrow(/no kmem_cache/);
    expect(() => kmem_cache_free(cpu, s, object)).toThrow(/no kmem_cache/);
  });
  test("created and destroyed again and again, nothing is lost", () => {
    const once = (): void => {
      const s = kmem_cache_create(cpu, "loop", 200);
      for (const each of m.cpus) kmem_cache_free(each, s, kmem_cache_alloc(each, s, GFP_KERNEL));
      expect(kmem_cache_destroy(cpu, s)).toBe(0);
    };
    once();
    const free = nr_free_pages(cpu);
    for (let i = 0; i < 5; i++) once();
    expect(nr_free_pages(cpu)).toBe(free);
    expect(cpu.mem.peek(globals, G.nr_caches)).toBe(42);
  });
});
