/** kmalloc() from caches apart: spec slub 1.8, 11.1 (test_kmem_buckets_*). */
import { beforeEach, describe, expect, test } from "vitest";
import { PAGE_SIZE } from "../../../../src/shared/base/limits.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import {
  __GFP_ACCOUNT,
  __GFP_DMA,
  __GFP_RECLAIMABLE,
  __GFP_ZERO,
  GFP_KERNEL,
} from "../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { KmemCache, NR_KMALLOC_BUCKETS, NR_KMALLOC_TYPES, SlabGlobals } from "../../../../src/shared/layout/slab.ts";
import { Slab } from "../../../../src/shared/layout/slab.ts";
import { SLAB_RED_ZONE, SLAB_STORE_USER } from "../../../../src/shared/layout/slab_flags.ts";
import {
  kmalloc_token,
  kmem_buckets_alloc,
  kmem_buckets_alloc_track_caller,
  kmem_buckets_create,
  kmem_buckets_destroy,
  type KmemBucketsArgs,
} from "../../../../src/shared/linux/mm/buckets.ts";
import { cache_name } from "../../../../src/shared/linux/mm/slub/cache_name.ts";
import { check_quiescent_cache, take_census } from "../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { kfree, kmalloc } from "../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { user_size } from "../../../../src/shared/linux/mm/slub/orig_size.ts";
import {
  KMALLOC_CGROUP,
  KMALLOC_NORMAL,
  KMALLOC_RECLAIM,
  KMALLOC_SIZES,
  kmalloc_cache,
  ZERO_SIZE_PTR,
} from "../../../../src/shared/linux/mm/slub/size_class.ts";
import { virt_to_slab } from "../../../../src/shared/linux/mm/slub/slab.ts";
import { embedded, NULL, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { TestMachine } from "./kvfree_rcu/machine.ts";
import { exhaustPages } from "./slub/sheaf_state.ts";

let cpu: Cpu;
const boot = (words = {}): void => {
  [cpu] = new TestMachine({ cpus: 1, bytes: 16 << 20 }, { slab_buckets: 1, ...words }).cpus;
};
beforeEach(() => boot());
const cacheOf = (object: Ptr): string =>
  cache_name(cpu, cpu.mem.peek(virt_to_slab(cpu, object), Slab.offset.slab_cache));
const create = (args: KmemBucketsArgs = {}): Ptr<"kmem_buckets"> => kmem_buckets_create(cpu, "set", args);
const nrCaches = (): number => cpu.mem.peek(embedded(cpu.globals, Globals.offset.slab), SlabGlobals.offset.nr_caches);

describe("kmem_buckets", () => {
  test("isolation: objects lie in caches of the set, and kmalloc()'s do not", () => {
    const set = create();
    const other = kmem_buckets_create(cpu, "other");
    expect(cacheOf(kmem_buckets_alloc(cpu, set, 64, GFP_KERNEL))).toBe("set-64");
    expect(cacheOf(kmem_buckets_alloc_track_caller(cpu, set, 65, GFP_KERNEL))).toBe("set-96");
    expect(cacheOf(kmem_buckets_alloc(cpu, other, 64, GFP_KERNEL))).toBe("other-64");
    expect(cacheOf(kmalloc(cpu, 64, GFP_KERNEL))).toBe("kmalloc-64");
  });
  test("isolation holds also where caches are merged", () => {
    boot({ slab_merge: 1 });
    const [set, other] = [create(), kmem_buckets_create(cpu, "other")];
    expect(cacheOf(kmem_buckets_alloc(cpu, set, 64, GFP_KERNEL))).toBe("set-64");
    expect(cacheOf(kmem_buckets_alloc(cpu, other, 64, GFP_KERNEL))).toBe("other-64");
  });
  test("sizes: as kmalloc()'s; larger ones are kmalloc()'s own", () => {
    const set = create();
    for (const size of KMALLOC_SIZES.slice(1)) {
      const object = kmem_buckets_alloc(cpu, set, size, GFP_KERNEL | __GFP_ZERO);
      const s = cpu.mem.peek(virt_to_slab(cpu, object), Slab.offset.slab_cache);
      expect(cpu.mem.peek(s, KmemCache.offset.object_size)).toBe(size);
      kfree(cpu, object);
      expect(check_quiescent_cache(cpu, s, 0, true)).toEqual([]);
    }
    expect(kmem_buckets_alloc(cpu, set, 0, GFP_KERNEL)).toBe(ZERO_SIZE_PTR);
    expect(virt_to_slab(cpu, kmem_buckets_alloc(cpu, set, 8193, GFP_KERNEL))).toBe(NULL);
  });
  test("alignment: as kmalloc()'s", () => {
    const set = create();
    const guarded = create({ flags: SLAB_RED_ZONE }); // Red zones on both sides.
    for (const size of KMALLOC_SIZES.slice(1)) {
      const align = Math.min(size & -size, PAGE_SIZE); // Larger blocks are aligned to each other, not to 0.
      for (const each of [set, guarded]) {
        for (let i = 0; i < 5; i++) expect(kmem_buckets_alloc(cpu, each, size, GFP_KERNEL) % align).toBe(0);
      }
    }
  });
  test("explicit alignment: small sizes share a cache", () => {
    const set = create({ align: 256 });
    expect(cacheOf(kmem_buckets_alloc(cpu, set, 8, GFP_KERNEL))).toBe("set-256");
    expect(cacheOf(kmem_buckets_alloc(cpu, set, 192, GFP_KERNEL))).toBe("set-256");
    for (const size of KMALLOC_SIZES.slice(1)) {
      for (let i = 0; i < 5; i++) expect(kmem_buckets_alloc(cpu, set, size, GFP_KERNEL) % 256).toBe(0);
    }
  });
  test("disabled: a set of no caches, served by kmalloc()", () => {
    boot({ slab_buckets: 0 });
    const before = nrCaches();
    const set = create();
    expect(set).toBe(ZERO_SIZE_PTR);
    expect(nrCaches()).toBe(before);
    expect(cacheOf(kmem_buckets_alloc(cpu, set, 64, GFP_KERNEL))).toBe("kmalloc-64");
    kmem_buckets_destroy(cpu, set);
  });
  test("destroy: nothing is left", () => {
    const before = nrCaches();
    const used = (): number => {
      const { inuse, cached } = take_census(cpu, kmalloc_cache(cpu, KMALLOC_NORMAL, 9));
      return inuse - cached.size;
    };
    kmem_buckets_destroy(cpu, create({ align: 64, types: [KMALLOC_NORMAL, KMALLOC_CGROUP] })); // Sheaves that stay.
    const inUse = used();
    const set = create({ align: 64, types: [KMALLOC_NORMAL, KMALLOC_CGROUP] });
    kfree(cpu, kmem_buckets_alloc(cpu, set, 100, GFP_KERNEL));
    expect(nrCaches()).toBeGreaterThan(before + NR_KMALLOC_BUCKETS - 5);
    kmem_buckets_destroy(cpu, set);
    expect(nrCaches()).toBe(before);
    expect(used()).toBe(inUse);
  });
  test("type fallback: what a set does not cover is kmalloc()'s", () => {
    const set = create();
    expect(cacheOf(kmem_buckets_alloc(cpu, set, 64, GFP_KERNEL | __GFP_ACCOUNT))).toBe("kmalloc-cg-64");
    expect(cacheOf(kmem_buckets_alloc(cpu, set, 64, GFP_KERNEL | __GFP_RECLAIMABLE))).toBe("kmalloc-rcl-64");
    expect(cacheOf(kmem_buckets_alloc(cpu, set, 64, GFP_KERNEL | __GFP_DMA))).toBe("kmalloc-64");
  });
  test("type covered: what it does is its own, aligned as well", () => {
    const set = create({ align: 64, types: [KMALLOC_CGROUP, KMALLOC_RECLAIM] });
    for (const [gfp, name] of [
      [__GFP_ACCOUNT, "set-cg-128"],
      [__GFP_RECLAIMABLE, "set-rcl-128"],
    ] as const) {
      for (let i = 0; i < 3; i++) {
        const object = kmem_buckets_alloc(cpu, set, 96, GFP_KERNEL | gfp);
        expect([cacheOf(object), object % 64]).toEqual([name, 0]);
      }
    }
    expect(cacheOf(kmem_buckets_alloc(cpu, set, 64, GFP_KERNEL))).toBe("kmalloc-64");
  });
  test("the usercopy region is cut at the object's end", () => {
    const set = create({ useroffset: 32, usersize: 64 });
    const region = (size: number): number[] => {
      const s = cpu.mem.peek(virt_to_slab(cpu, kmem_buckets_alloc(cpu, set, size, GFP_KERNEL)), Slab.offset.slab_cache);
      return [cpu.mem.peek(s, KmemCache.offset.useroffset), cpu.mem.peek(s, KmemCache.offset.usersize)];
    };
    expect([32, 64, 128].map(region)).toEqual([
      [0, 0],
      [32, 32],
      [32, 64],
    ]);
  });
  test("without memory: NULL, and nothing is left behind", () => {
    exhaustPages(cpu);
    const before = nrCaches();
    const sets = [];
    for (let i = 0; i < 20; i++) {
      const set = create();
      if (set === NULL) break;
      sets.push(set);
    }
    expect(sets.length).toBeLessThan(20);
    for (const set of sets) kmem_buckets_destroy(cpu, set);
    expect(nrCaches()).toBe(before);
  });
});

describe("partitions", () => {
  test("a token always has the same one, tokens spread over all", () => {
    boot({ kmalloc_partitions: 3 });
    const names = new Set<string>();
    for (let token = 0; token < 100; token++) {
      const name = cacheOf(kmalloc_token(cpu, 64, GFP_KERNEL, token));
      expect(cacheOf(kmalloc_token(cpu, 64, GFP_KERNEL, token))).toBe(name);
      names.add(name);
    }
    expect([...names].toSorted()).toEqual(["kmalloc-64", ...["01", "02", "03"].map((n) => `kmalloc-part-${n}-64`)]);
    kfree(cpu, kmalloc_token(cpu, 64, GFP_KERNEL, 7));
  });
  test("other types have none, nor has a machine without", () => {
    boot({ kmalloc_partitions: 15 });
    for (let token = 0; token < 20; token++) {
      expect(cacheOf(kmalloc_token(cpu, 64, GFP_KERNEL | __GFP_ACCOUNT, token))).toBe("kmalloc-cg-64");
    }
    boot();
    for (let token = 0; token < 20; token++) {
      expect(cacheOf(kmalloc_token(cpu, 64, GFP_KERNEL, token))).toBe("kmalloc-64");
    }
    expect(kmalloc_token(cpu, 0, GFP_KERNEL, 1)).toBe(ZERO_SIZE_PTR);
  });
  test("debugged ones know the size that was asked for", () => {
    boot({ kmalloc_partitions: 3, slab_debug: SLAB_STORE_USER });
    for (let token = 0; token < 8; token++) {
      const object = kmalloc_token(cpu, 50, GFP_KERNEL, token);
      const s = cpu.mem.peek(virt_to_slab(cpu, object), Slab.offset.slab_cache);
      expect(user_size(cpu, s, object, 64)).toBe(50);
      kfree(cpu, object);
    }
  });
});

test.each([
  { kmalloc_partitions: 2, zone_dma: 1 },
  { kmalloc_partitions: 2, tiny: 1 },
])("every cache of %o has sheaves, and got them once (slub B20)", (words) => {
  boot(words);
  const caches = new Set<Ptr<"kmem_cache">>();
  for (let type = 0; type < NR_KMALLOC_TYPES + 2; type++) {
    for (let bucket = 1; bucket < NR_KMALLOC_BUCKETS; bucket++) caches.add(kmalloc_cache(cpu, type, bucket));
  }
  expect(caches.size).toBe((NR_KMALLOC_BUCKETS - 1) * ("tiny" in words ? 3 : 6));
  for (const s of caches) {
    const { inuse, cached } = take_census(cpu, s);
    expect(cpu.mem.peek(s, KmemCache.offset.sheaf_capacity)).toBeGreaterThan(0);
    expect(check_quiescent_cache(cpu, s, inuse - cached.size, true)).toEqual([]);
  }
});
test("DMA has caches of its own if there is such a zone", () => {
  boot({ zone_dma: 1 });
  const object = kmalloc(cpu, 100, GFP_KERNEL | __GFP_DMA);
  expect(cacheOf(object)).toBe("dma-kmalloc-128");
  const s = cpu.mem.peek(virt_to_slab(cpu, object), Slab.offset.slab_cache);
  expect(cpu.mem.peek(s, KmemCache.offset.allocflags) & __GFP_DMA).toBe(__GFP_DMA);
});
