/** kmalloc size classes: the table of spec slub 1.8, size by size. */
import { describe, expect, test } from "vitest";
import {
  __GFP_ACCOUNT,
  __GFP_DMA,
  __GFP_RECLAIMABLE,
  GFP_KERNEL,
  GFP_KERNEL_ACCOUNT,
} from "../../../../../src/shared/layout/gfp.ts";
import { KmemCache } from "../../../../../src/shared/layout/slab.ts";
import { cache_name } from "../../../../../src/shared/linux/mm/slub/cache_name.ts";
import {
  KMALLOC_CGROUP,
  KMALLOC_DMA,
  KMALLOC_MAX_CACHE_SIZE,
  KMALLOC_NORMAL,
  KMALLOC_RECLAIM,
  KMALLOC_SIZES,
  kmalloc_cache,
  kmalloc_size_index,
  kmalloc_slab,
  kmalloc_type,
  ZERO_OR_NULL_PTR,
  ZERO_SIZE_PTR,
} from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";

test("every size gets the smallest bucket that holds it", () => {
  const sizes = KMALLOC_SIZES.slice(1).toSorted((a, b) => a - b);
  expect(sizes).toEqual([8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192]);
  for (let size = 1; size <= KMALLOC_MAX_CACHE_SIZE; size++) {
    expect(KMALLOC_SIZES[kmalloc_size_index(size)]).toBe(sizes.find((bucket) => bucket >= size));
  }
});
test("buckets have the kernel's numbers", () => {
  const numbers = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192].map(kmalloc_size_index);
  expect(numbers).toEqual([3, 4, 5, 6, 1, 7, 2, 8, 9, 10, 11, 12, 13]);
});
test("flags choose the type: DMA, then reclaimable, then accounted", () => {
  expect(kmalloc_type(GFP_KERNEL)).toBe(KMALLOC_NORMAL);
  expect(kmalloc_type(GFP_KERNEL_ACCOUNT)).toBe(KMALLOC_CGROUP);
  expect(kmalloc_type(GFP_KERNEL_ACCOUNT | __GFP_RECLAIMABLE)).toBe(KMALLOC_RECLAIM);
  expect(kmalloc_type(__GFP_ACCOUNT | __GFP_RECLAIMABLE | __GFP_DMA)).toBe(KMALLOC_DMA);
});
test("NULL and ZERO_SIZE_PTR are no objects", () => {
  expect(ZERO_OR_NULL_PTR(NULL)).toBe(true);
  expect(ZERO_OR_NULL_PTR(ZERO_SIZE_PTR)).toBe(true);
  expect(ZERO_OR_NULL_PTR((ZERO_SIZE_PTR + 1) as Ptr)).toBe(false);
});

describe("the table of caches", () => {
  test("has a set for each type; DMA aliases normal", () => {
    const [cpu] = new TestMachine().cpus;
    for (let bucket = 1; bucket < KMALLOC_SIZES.length; bucket++) {
      const of = (type: number): Ptr<"kmem_cache"> => kmalloc_cache(cpu, type, bucket);
      expect(of(KMALLOC_DMA)).toBe(of(KMALLOC_NORMAL));
      expect(new Set([KMALLOC_NORMAL, KMALLOC_RECLAIM, KMALLOC_CGROUP].map(of)).size).toBe(3);
      expect(cpu.mem.peek(of(KMALLOC_CGROUP), KmemCache.offset.object_size)).toBe(KMALLOC_SIZES[bucket]);
    }
    expect(cache_name(cpu, kmalloc_slab(cpu, 65, GFP_KERNEL))).toBe("kmalloc-96");
    expect(cache_name(cpu, kmalloc_slab(cpu, 4097, GFP_KERNEL_ACCOUNT))).toBe("kmalloc-cg-8k");
    expect(cache_name(cpu, kmalloc_slab(cpu, 1024, __GFP_RECLAIMABLE))).toBe("kmalloc-rcl-1k");
  });
  test("is one set for all types when tiny", () => {
    const [cpu] = new TestMachine({ bytes: 2 << 20 }, { tiny: 1 }).cpus;
    expect(kmalloc_slab(cpu, 64, GFP_KERNEL_ACCOUNT)).toBe(kmalloc_slab(cpu, 64, GFP_KERNEL));
  });
});
