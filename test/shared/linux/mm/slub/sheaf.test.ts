/** Sheaves: allocation without recursion, refill, flush (spec slub 2.10, 2.11). */
import { beforeEach, expect, test } from "vitest";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { __GFP_ACCOUNT, __GFP_DMA, __GFP_RECLAIMABLE, GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { Slab, SlabSheaf } from "../../../../../src/shared/layout/slab.ts";
import {
  SLAB_ALLOC_DEFAULT,
  SLAB_ALLOC_NO_RECURSE,
  SLAB_ALLOC_NOLOCK,
  SLAB_FREE_DEFAULT,
  SLAB_FREE_NOLOCK,
  to_alloc_flags,
} from "../../../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import {
  __alloc_empty_sheaf,
  __free_empty_sheaf,
  alloc_empty_sheaf,
  cache_has_sheaves,
  free_empty_sheaf,
  refill_sheaf,
  sheaf_bytes,
  sheaf_flush_unused,
} from "../../../../../src/shared/linux/mm/slub/sheaf.ts";
import { kmalloc_slab } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { element, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { counted, exhaustPages, makeSheaf, problems, setSheafState, sheafState } from "./sheaf_state.ts";

const { size: SIZE, cache: CACHE, objects: OBJECTS } = SlabSheaf.offset;

let m: TestMachine;
let cpu: Cpu;
let s: Ptr<"kmem_cache">;

beforeEach(() => {
  m = new TestMachine();
  [cpu] = m.cpus;
  s = kmem_cache_create(cpu, "test", 128);
});
const slabCache = (object: Ptr): Ptr<"kmem_cache"> => cpu.mem.peek(virt_to_slab(cpu, object), Slab.offset.slab_cache);

test("a sheaf is a zeroed kmalloc object that knows its cache", () => {
  const dirty = kmalloc(cpu, 512, GFP_KERNEL);
  cpu.mem.fill(dirty, 512, 0xff);
  kfree(cpu, dirty);
  let sheaf: Ptr<"slab_sheaf"> = NULL;
  const stats = counted(cpu, s, () => {
    sheaf = alloc_empty_sheaf(cpu, s, GFP_KERNEL, SLAB_ALLOC_DEFAULT);
  });
  expect(stats).toEqual({ SHEAF_ALLOC: 1 });
  expect(slabCache(sheaf)).toBe(kmalloc_slab(cpu, 512, GFP_KERNEL));
  expect(sheaf_bytes(60)).toBe(512);
  expect(cpu.mem.peek(sheaf, CACHE)).toBe(s);
  expect(cpu.mem.peek(sheaf, SIZE)).toBe(0);
  expect(counted(cpu, s, () => free_empty_sheaf(cpu, s, sheaf))).toEqual({ SHEAF_FREE: 1 });
});
test("flags about the user's object do not carry over", () => {
  for (const flag of [__GFP_ACCOUNT, __GFP_RECLAIMABLE, __GFP_DMA]) {
    const sheaf = alloc_empty_sheaf(cpu, s, GFP_KERNEL | flag, SLAB_ALLOC_DEFAULT);
    expect(slabCache(sheaf)).toBe(kmalloc_slab(cpu, 512, GFP_KERNEL));
  }
  const inner = __alloc_empty_sheaf(cpu, s, GFP_KERNEL | __GFP_ACCOUNT, SLAB_ALLOC_DEFAULT, 60);
  expect(slabCache(inner)).toBe(kmalloc_slab(cpu, 512, __GFP_ACCOUNT));
});
test("no sheaf on behalf of an allocation that must not recurse", () => {
  expect(alloc_empty_sheaf(cpu, s, GFP_KERNEL, SLAB_ALLOC_NO_RECURSE)).toBe(NULL);
});
test("a kmalloc cache's sheaf brings about no further sheaf, though it comes from the same cache", () => {
  m.set("tiny", 1); // Not for the geometry: that was fixed at boot.
  const own = kmalloc_slab(cpu, 256, GFP_KERNEL); // Capacity 28: 256 bytes.
  setSheafState(cpu, own, { main: 0, spare: undefined, full: 0, empty: 0 });
  const stats = counted(cpu, own, () => alloc_empty_sheaf(cpu, own, GFP_KERNEL, SLAB_ALLOC_DEFAULT));
  expect(stats).toMatchObject({ SHEAF_ALLOC: 1, ALLOC_SLOWPATH: 1, BARN_GET_FAIL: 1 });
  expect(stats).not.toHaveProperty("SHEAF_REFILL");
});
test("an ordinary cache's sheaf may bring about one of its bucket", () => {
  const bucket = kmalloc_slab(cpu, 512, GFP_KERNEL);
  setSheafState(cpu, bucket, { main: 0, spare: undefined, full: 0, empty: 0 });
  const stats = counted(cpu, bucket, () => alloc_empty_sheaf(cpu, s, GFP_KERNEL, SLAB_ALLOC_DEFAULT));
  expect(stats).toMatchObject({ SHEAF_ALLOC: 1, ALLOC_FASTPATH: 1, SHEAF_REFILL: 28 });
  expect(sheafState(cpu, bucket)).toEqual({ main: 27, spare: 0, full: 0, empty: 0 });
});
test("nolock flags go all the way down: legal in NMI", () => {
  expect(to_alloc_flags(SLAB_FREE_NOLOCK)).toBe(SLAB_ALLOC_NOLOCK);
  expect(to_alloc_flags(SLAB_FREE_DEFAULT)).toBe(SLAB_ALLOC_DEFAULT);
  m.nmi(cpu, () => {
    const sheaf = alloc_empty_sheaf(cpu, s, 0, to_alloc_flags(SLAB_FREE_NOLOCK));
    expect(sheaf).not.toBe(NULL);
    __free_empty_sheaf(cpu, s, sheaf, SLAB_FREE_NOLOCK);
    expect(() => alloc_empty_sheaf(cpu, s, 0, SLAB_ALLOC_DEFAULT)).toThrow(MachineBug);
  });
});
test("a sheaf with objects in it is not freed silently", () => {
  const sheaf = makeSheaf(cpu, s, 3);
  expect(() => __free_empty_sheaf(cpu, s, sheaf, SLAB_FREE_DEFAULT)).toThrow(/3 objects/);
});
test("refill_sheaf() fills to the capacity", () => {
  const sheaf = makeSheaf(cpu, s, 2);
  expect(counted(cpu, s, () => expect(refill_sheaf(cpu, s, sheaf, GFP_KERNEL)).toBe(true))).toMatchObject({
    SHEAF_REFILL: 58,
  });
  expect(cpu.mem.peek(sheaf, SIZE)).toBe(60);
  expect(counted(cpu, s, () => expect(refill_sheaf(cpu, s, sheaf, GFP_KERNEL)).toBe(true))).toEqual({});
  const objects = Array.from({ length: 60 }, (_, i) => cpu.mem.peek(sheaf, element(OBJECTS, i)));
  expect(new Set(objects).size).toBe(60);
  expect(objects.map((object) => m.placeOf(object))).toEqual(objects.map(() => "sheaf"));
});
test("a refill that fails keeps what it got in the sheaf", () => {
  const sheaf = makeSheaf(cpu, s, 0);
  exhaustPages(cpu);
  const got = counted(cpu, s, () => expect(refill_sheaf(cpu, s, sheaf, GFP_KERNEL)).toBe(false))["SHEAF_REFILL"] ?? 0;
  expect(got).toBeLessThan(60);
  expect(cpu.mem.peek(sheaf, SIZE)).toBe(got);
});
test("sheaf_flush_unused() brings all objects to their slabs", () => {
  const sheaf = makeSheaf(cpu, s, 60);
  const objects = Array.from({ length: 60 }, (_, i) => cpu.mem.peek(sheaf, element(OBJECTS, i)));
  const stats = counted(cpu, s, () => sheaf_flush_unused(cpu, s, sheaf));
  expect(stats).toMatchObject({ SHEAF_FLUSH: 60 });
  expect(stats).not.toHaveProperty("FREE_SLOWPATH"); // Not counted, spec slub 3.8.
  expect(cpu.mem.peek(sheaf, SIZE)).toBe(0);
  expect(new Set(objects.map((object) => m.placeOf(object)))).toEqual(new Set(["freelist"]));
  expect(problems(cpu, s)).toEqual([]);
  expect(counted(cpu, s, () => sheaf_flush_unused(cpu, s, sheaf))).toEqual({});
});
test("debug caches have no sheaves, others do", () => {
  expect(cache_has_sheaves(cpu, s)).toBe(true);
  const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
  kmem_cache_free(cpu, s, object);
});
