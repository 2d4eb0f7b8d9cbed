/** From an inner address to the start of the object: every offset that a head may have, of every kind of object. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { KVFREE_RCU_OFFSET_LIMIT } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { KmemCache } from "../../../../../src/shared/layout/slab.ts";
import {
  SLAB_HWCACHE_ALIGN,
  SLAB_POISON,
  SLAB_RED_ZONE,
  SLAB_STORE_USER,
} from "../../../../../src/shared/layout/slab_flags.ts";
import { kvmalloc_obj_start_addr } from "../../../../../src/shared/linux/mm/kvfree_rcu/object_start.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmalloc, kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { KMALLOC_MAX_CACHE_SIZE, KMALLOC_SIZES } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { oo_objects } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { vfree, vmalloc } from "../../../../../src/shared/linux/mm/vmalloc.ts";
import type { Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "./machine.ts";

let cpu: Cpu;
beforeEach(() => {
  [cpu] = new TestMachine({ bytes: 8 << 20 }).cpus;
});

/** Offsets of heads in objects of this size for which rounding gives something else; there should be none. */
function wrongOffsets(object: Ptr, bytes: number): number[] {
  const wrong: number[] = [];
  const end = Math.min(bytes, KVFREE_RCU_OFFSET_LIMIT);
  for (let offset = 0; offset < end; offset += 4) {
    if (kvmalloc_obj_start_addr(cpu, (object + offset) as Ptr) !== object) wrong.push(offset);
  }
  return wrong;
}
/** All objects of a slab, at least. */
function checkCache(s: Ptr<"kmem_cache">, bytes: number): void {
  const count = oo_objects(cpu.mem.peek(s, KmemCache.offset.oo)) + 1;
  for (let i = 0; i < count; i++) expect(wrongOffsets(kmem_cache_alloc(cpu, s, GFP_KERNEL), bytes)).toEqual([]);
}

describe("of a slab object", () => {
  test.each(KMALLOC_SIZES.filter((size) => size > 0))("from kmalloc(%i)", (size) => {
    const count = Math.ceil((2 * KMALLOC_MAX_CACHE_SIZE) / size) + 1;
    for (let i = 0; i < count; i++) expect(wrongOffsets(kmalloc(cpu, size, GFP_KERNEL), size)).toEqual([]);
  });
  test.each([8, 24, 40, 56, 72, 104, 120, 136, 200, 264, 328, 520, 696, 1000, 1544, 3072, 4104, 5000, 7000])(
    "of a cache of %i bytes",
    (size) => checkCache(kmem_cache_create(cpu, "odd", size), size),
  );
  test.each([
    ["aligned to cache lines", SLAB_HWCACHE_ALIGN, 72],
    ["with a red zone before it", SLAB_RED_ZONE, 72],
    ["with everything that debugging puts around it", SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER, 4096],
  ])("%s", (_, flags, size) => checkCache(kmem_cache_create(cpu, "debug", size, { flags }), size));
});

test.each([8193, 20_000, 100_000, 1_000_000])("of a large kmalloc of %i bytes, within its first page", (size) => {
  const object = kmalloc(cpu, size, GFP_KERNEL);
  expect(wrongOffsets(object, size)).toEqual([]);
});

test("of a block of vmalloc(), within its first page", () => {
  const blocks = [1, 4096, 4097, 50_000, 12].map((bytes) => vmalloc(cpu, bytes));
  vfree(cpu, blocks[2]);
  blocks[2] = vmalloc(cpu, 4097);
  for (const block of blocks) expect(wrongOffsets(block, KVFREE_RCU_OFFSET_LIMIT)).toEqual([]);
});

test("one page behind the start of what is no slab object it is not found: hence the limit", () => {
  for (const object of [kmalloc(cpu, 20_000, GFP_KERNEL), vmalloc(cpu, 20_000)]) {
    const head = (object + KVFREE_RCU_OFFSET_LIMIT) as Ptr;
    expect(kvmalloc_obj_start_addr(cpu, head)).toBe(head);
  }
});
