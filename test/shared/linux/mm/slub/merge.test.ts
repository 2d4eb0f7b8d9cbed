/** Caches that are alike are one: spec slub 1.1, 10.2. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { FIRST_FREE_CALLBACK } from "../../../../../src/shared/layout/callbacks.ts";
import { HOOK_MEMCG } from "../../../../../src/shared/layout/debug.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { KmemCache, MAX_ALIASES, SlabGlobals } from "../../../../../src/shared/layout/slab.ts";
import {
  SLAB_ACCOUNT,
  SLAB_CACHE_DMA,
  SLAB_CONSISTENCY_CHECKS,
  SLAB_HWCACHE_ALIGN,
  SLAB_NO_MERGE,
  SLAB_NOLEAKTRACE,
  SLAB_POISON,
  SLAB_RECLAIM_ACCOUNT,
  SLAB_RED_ZONE,
  SLAB_STORE_USER,
  SLAB_TRACE,
  SLAB_TYPESAFE_BY_RCU,
} from "../../../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kmem_cache_create, type KmemCacheArgs } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { cache_name, create_unique_id } from "../../../../../src/shared/linux/mm/slub/cache_name.ts";
import { kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { aliases_of, slab_unmergeable } from "../../../../../src/shared/linux/mm/slub/merge.ts";
import { kmalloc_slab } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { embedded, embedded_at, type CallbackId, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { problems } from "./sheaf_state.ts";

const K = KmemCache.offset;

type Cache = Ptr<"kmem_cache">;

let cpu: Cpu;
const boot = (words = {}): void => {
  [cpu] = new TestMachine({ cpus: 1 }, { slab_merge: 1, ...words }).cpus;
};
beforeEach(() => boot());
const make = (name: string, size: number, args: KmemCacheArgs = {}): Cache => kmem_cache_create(cpu, name, size, args);
/** A cache of its own, so that others can be merged with it and nothing else. */
const base = (args: KmemCacheArgs = {}): Cache => make("base", 200, { flags: SLAB_RECLAIM_ACCOUNT, ...args });
const refcount = (s: Cache): number => cpu.mem.peek(s, K.refcount) | 0;

describe("is merged", () => {
  test("off: nothing", () => {
    boot({ slab_merge: 0 });
    expect(make("a", 200)).not.toBe(make("b", 200));
    expect(slab_unmergeable(cpu, make("c", 200))).toBe(true);
  });
  test("the same size, and a size that is less than a word smaller", () => {
    const s = base();
    const flags = SLAB_RECLAIM_ACCOUNT;
    expect(make("same", 200, { flags })).toBe(s);
    expect(make("odd", 193, { flags })).toBe(s);
    expect(refcount(s)).toBe(3);
    const smaller = make("smaller", 192, { flags });
    expect(smaller).not.toBe(s);
    expect(cache_name(cpu, smaller)).toBe("kmalloc-rcl-192");
    expect(make("larger", 201, { flags })).not.toBe(s);
    const other = make("other", 232, { flags });
    expect(make("a word smaller", 224, { flags })).not.toBe(other);
    expect(make("less than a word", 225, { flags })).toBe(other);
  });
  test("with kmalloc caches, but not those of memory cgroups' strangers", () => {
    expect(make("sixty-four", 64)).toBe(kmalloc_slab(cpu, 64, GFP_KERNEL));
    boot({ hooks: HOOK_MEMCG });
    expect(make("sixty-four", 64)).not.toBe(kmalloc_slab(cpu, 64, GFP_KERNEL));
  });
  test("objects grow to the longest alias", () => {
    const s = make("short", 195, { flags: SLAB_RECLAIM_ACCOUNT });
    expect([cpu.mem.peek(s, K.object_size), cpu.mem.peek(s, K.inuse)]).toEqual([195, 200]);
    expect(make("long", 199, { flags: SLAB_RECLAIM_ACCOUNT })).toBe(s);
    expect(cpu.mem.peek(s, K.object_size)).toBe(199);
    expect(make("short again", 196, { flags: SLAB_RECLAIM_ACCOUNT })).toBe(s);
    expect(cpu.mem.peek(s, K.object_size)).toBe(199);
  });
  test("slots must be aligned as asked for", () => {
    const s = base();
    const flags = SLAB_RECLAIM_ACCOUNT;
    expect(make("aligned", 200, { flags, align: 16 })).not.toBe(s);
    expect(make("line", 200, { flags: flags | SLAB_HWCACHE_ALIGN })).not.toBe(s);
    expect(make("word", 200, { flags, align: 8 })).toBe(s);
  });
  test.each([0, SLAB_ACCOUNT, SLAB_ACCOUNT | SLAB_RECLAIM_ACCOUNT, SLAB_CACHE_DMA | SLAB_RECLAIM_ACCOUNT])(
    "not with other accounting or memory: %i",
    (flags) => {
      expect(make("other", 200, { flags })).not.toBe(base());
    },
  );
  test.each([
    SLAB_RED_ZONE,
    SLAB_POISON,
    SLAB_STORE_USER,
    SLAB_TRACE,
    SLAB_TYPESAFE_BY_RCU,
    SLAB_NOLEAKTRACE,
    SLAB_NO_MERGE,
  ])("not with a flag such as %i, whichever of the two has it", (flag) => {
    const flags = SLAB_RECLAIM_ACCOUNT;
    const s = base();
    const other = make("other", 200, { flags: flags | flag });
    expect(other).not.toBe(s);
    boot();
    const flagged = base({ flags: flags | flag });
    expect(slab_unmergeable(cpu, flagged)).toBe(true);
    expect(make("plain", 200, { flags })).not.toBe(flagged);
  });
  test.each<[string, KmemCacheArgs]>([
    ["a constructor", { ctor: (FIRST_FREE_CALLBACK + 9) as CallbackId }],
    ["a usercopy region", { useroffset: 8, usersize: 16 }],
    ["a capacity of its own", { sheaf_capacity: 100 }],
  ])("not with %s, whichever of the two has it", (_, args) => {
    const flags = SLAB_RECLAIM_ACCOUNT;
    const special = base(args);
    expect(slab_unmergeable(cpu, special)).toBe(true);
    const plain = make("plain", 200, { flags });
    expect(plain).not.toBe(special);
    expect(make("special", 200, { flags, ...args })).not.toBe(plain);
  });
  test("not with the allocator's own caches", () => {
    const slab = embedded(cpu.globals, Globals.offset.slab);
    for (let i = 0; i < 3; i++) {
      const s = embedded_at(slab, SlabGlobals.offset.boot_caches, i, KmemCache.size);
      expect(slab_unmergeable(cpu, s)).toBe(true);
      const alike = make("alike", cpu.mem.peek(s, K.object_size), { flags: SLAB_HWCACHE_ALIGN });
      expect(alike).not.toBe(s);
    }
  });
});

describe("aliases", () => {
  test("the cache lives as long as one of them", () => {
    const s = base();
    make("alias", 200, { flags: SLAB_RECLAIM_ACCOUNT });
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
    expect(refcount(s)).toBe(1);
    kmem_cache_free(cpu, s, object);
    expect(problems(cpu, s)).toEqual([]);
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
    expect(() => kmem_cache_alloc(cpu, s, GFP_KERNEL)).toThrow(/no kmem_cache/);
  });
  test("have names, which go with the cache", () => {
    const s = base();
    const flags = SLAB_RECLAIM_ACCOUNT;
    for (const name of ["one", "two", "two"]) expect(make(name, 200, { flags })).toBe(s);
    expect(aliases_of(cpu, s)).toEqual(["one", "two"]);
    for (let left = 4; left > 0; left--) kmem_cache_destroy(cpu, s);
    expect(aliases_of(cpu, s)).toEqual([]);
  });
  test("of more than there is room for, some are forgotten", () => {
    const s = base();
    for (let i = 0; i < MAX_ALIASES + 2; i++) make(`alias-${i}`, 200, { flags: SLAB_RECLAIM_ACCOUNT });
    expect(aliases_of(cpu, s)).toHaveLength(MAX_ALIASES);
    expect(refcount(s)).toBe(MAX_ALIASES + 3);
  });
});

test("unique ids tell flags and size", () => {
  const id = (flags: number, size = 200): string => create_unique_id(cpu, make("x", size, { flags }));
  expect(id(SLAB_NO_MERGE)).toBe(":0000200");
  expect(id(SLAB_NO_MERGE | SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT)).toBe(":aA-0000200");
  expect(id(SLAB_NO_MERGE | SLAB_CACHE_DMA, 1000)).toBe(":d-0001000");
  expect(id(SLAB_CONSISTENCY_CHECKS)).toBe(":F-0000200");
});
