/**
 * Objects that somebody writes to who must not: each kind of guard notices, and repairs what it finds.
 *
 * Differs: Linux leaves the leaked cache of test_leak_destroy behind. Here it is released in the end, so that the machine
 * can be counted.
 *
 * @kernel lib/tests/slub_kunit.c
 */
import { HOOK_KASAN } from "../../shared/layout/debug.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { KmemCache, SlabGlobals } from "../../shared/layout/slab.ts";
import {
  SLAB_KMALLOC,
  SLAB_NO_MERGE,
  SLAB_POISON,
  SLAB_RED_ZONE,
  SLAB_STORE_USER,
} from "../../shared/layout/slab_flags.ts";
import { kmem_cache_alloc, kmem_cache_destroy, kmem_cache_free } from "../../shared/linux/api.ts";
import { kasan_cache_shutdown } from "../../shared/linux/mm/debug/kasan.ts";
import { slab_kmem_cache_release } from "../../shared/linux/mm/slub/cache.ts";
import { __kmalloc_cache } from "../../shared/linux/mm/slub/kmalloc.ts";
import { __kmem_cache_shutdown } from "../../shared/linux/mm/slub/shutdown.ts";
import { cpus_read_lock, cpus_read_unlock } from "../../shared/linux/sync/cpu_hotplug.ts";
import { mutex_lock, mutex_unlock } from "../../shared/linux/sync/mutex.ts";
import { embedded, type Ptr } from "../../shared/mem/struct.ts";
import { test_kmem_cache_create } from "./cache.ts";
import { expect_errors, reset_errors, validate_and_expect } from "./errors.ts";
import { KUNIT_ASSERT_NOT_NULL, KUNIT_EXPECT_EQ, kunit_skip, type KunitCase, type KunitTest } from "./test.ts";

const { hooks: HOOKS, slab: SLAB } = Globals.offset;
const { slab_mutex: SLAB_MUTEX } = SlabGlobals.offset;
const { offset: OFFSET } = KmemCache.offset;

const SIZE = 64;

type Cache = Ptr<"kmem_cache">;
type Obj = Ptr<"object">;

function alloc(test: KunitTest, s: Cache): Obj {
  return KUNIT_ASSERT_NOT_NULL(test, kmem_cache_alloc(test.cpu, s, GFP_KERNEL), "the object");
}
/** A cache, and an object of it that has been freed already. */
function freed_object(test: KunitTest, name: string, flags: number): readonly [Cache, Obj] {
  const s = test_kmem_cache_create(test, name, SIZE, flags);
  const p = alloc(test, s);
  kmem_cache_free(test.cpu, s, p);
  return [s, p];
}
function destroy(test: KunitTest, s: Cache): void {
  KUNIT_EXPECT_EQ(test, kmem_cache_destroy(test.cpu, s), 0, "kmem_cache_destroy()");
}

function test_clobber_zone(test: KunitTest): void {
  const s = test_kmem_cache_create(test, "TestSlub_RZ_alloc", SIZE, SLAB_RED_ZONE);
  const p = alloc(test, s);
  test.cpu.mem.store_byte(p + SIZE, 0x12);
  validate_and_expect(test, s, 2, "after a write behind the object");
  kmem_cache_free(test.cpu, s, p);
  destroy(test, s);
}

/** KASAN keeps freed objects, so they are on no freelist, and what is written to them breaks its own list. */
function skip_with_kasan(test: KunitTest): void {
  const { mem, globals } = test.cpu;
  if (mem.peek(globals, HOOKS) & HOOK_KASAN) kunit_skip(test, "not with KASAN");
}

function test_next_pointer(test: KunitTest): void {
  skip_with_kasan(test);
  const { mem } = test.cpu;
  const [s, p] = freed_object(test, "TestSlub_next_ptr_free", SLAB_POISON);
  const pointer = p + mem.read(s, OFFSET);
  const link = mem.load_word(pointer);
  // Not even the address of a slab is right any more: the chain is cut, the count corrected, the slab taken out of service.
  mem.store_byte(pointer, ~mem.load_byte(pointer) & 0xff);
  validate_and_expect(test, s, 3, "with a broken link");
  // The link is good again, but the count now says that nothing is free.
  mem.store_word(pointer, link);
  reset_errors(test);
  validate_and_expect(test, s, 2, "with the link repaired");
  reset_errors(test);
  validate_and_expect(test, s, 0, "after that repair");
  destroy(test, s);
}

/** A byte of a freed object, or behind it, is overwritten. */
const clobber = (name: string, flags: number, offset: number, byte: number) => (test: KunitTest) => {
  if (offset < SIZE) skip_with_kasan(test);
  const [s, p] = freed_object(test, name, flags);
  test.cpu.mem.store_byte(p + offset, byte);
  validate_and_expect(test, s, 2, "after a write to a free object");
  destroy(test, s);
};

function test_kmalloc_redzone_access(test: KunitTest): void {
  const { cpu } = test;
  const flags = SLAB_KMALLOC | SLAB_STORE_USER | SLAB_RED_ZONE;
  const s = test_kmem_cache_create(test, "TestSlub_RZ_kmalloc", 32, flags);
  const p = KUNIT_ASSERT_NOT_NULL(test, __kmalloc_cache(cpu, s, GFP_KERNEL, 18), "the object");
  for (const offset of [18, 19]) cpu.mem.store_byte(p + offset, 0xab);
  validate_and_expect(test, s, 2, "after writes behind what was asked for");
  kmem_cache_free(cpu, s, p);
  destroy(test, s);
}

function test_leak_destroy(test: KunitTest): void {
  const { cpu } = test;
  const s = test_kmem_cache_create(test, "TestSlub_leak_destroy", SIZE, SLAB_NO_MERGE);
  const p = alloc(test, s);
  kmem_cache_destroy(cpu, s);
  expect_errors(test, 2, "after the destruction of a cache in use");
  kmem_cache_free(cpu, s, p);
  const slab_mutex = embedded(embedded(cpu.globals, SLAB), SLAB_MUTEX);
  cpus_read_lock(cpu);
  mutex_lock(cpu, slab_mutex);
  kasan_cache_shutdown(cpu, s);
  KUNIT_EXPECT_EQ(test, __kmem_cache_shutdown(cpu, s), 0, "__kmem_cache_shutdown() without objects");
  mutex_unlock(cpu, slab_mutex);
  cpus_read_unlock(cpu);
  slab_kmem_cache_release(cpu, s);
}

export const corruption_cases: readonly KunitCase[] = [
  { name: "test_clobber_zone", run: test_clobber_zone },
  { name: "test_next_pointer", run: test_next_pointer },
  { name: "test_first_word", run: clobber("TestSlub_1th_word_free", SLAB_POISON, 0, 0x78) },
  { name: "test_clobber_50th_byte", run: clobber("TestSlub_50th_word_free", SLAB_POISON, 50, 0x9a) },
  { name: "test_clobber_redzone_free", run: clobber("TestSlub_RZ_free", SLAB_RED_ZONE, SIZE, 0xab) },
  { name: "test_kmalloc_redzone_access", run: test_kmalloc_redzone_access },
];
export const leak_cases: readonly KunitCase[] = [{ name: "test_leak_destroy", run: test_leak_destroy }];
