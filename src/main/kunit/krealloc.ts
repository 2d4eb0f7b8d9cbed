/** test_krealloc_redzone_zeroing: what krealloc() with __GFP_ZERO clears, and where the red zone begins. lib/tests/slub_kunit.c. */
import { __GFP_ZERO, GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { SLAB_KMALLOC, SLAB_RED_ZONE, SLAB_STORE_USER } from "../../shared/layout/slab_flags.ts";
import { kfree, kmem_cache_destroy, krealloc } from "../../shared/linux/api.ts";
import { SLUB_RED_ACTIVE } from "../../shared/linux/mm/slub/debug_bytes.ts";
import { __kmalloc_cache } from "../../shared/linux/mm/slub/kmalloc.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { test_kmem_cache_create } from "./cache.ts";
import { validate_and_expect } from "./errors.ts";
import { KUNIT_ASSERT_NOT_NULL, KUNIT_EXPECT_EQ, type KunitCase, type KunitTest } from "./test.ts";

/** What the user has written. */
const USED = 0xff;

/** Bytes from `first` on, before `end`, are all `value`. */
function expect_bytes(test: KunitTest, p: Ptr, first: number, end: number, value: number): void {
  for (let i = first; i < end; i++) KUNIT_EXPECT_EQ(test, test.cpu.mem.load_byte(p + i), value, `byte ${i}`);
}

function test_krealloc_redzone_zeroing(test: KunitTest): void {
  const { cpu } = test;
  const gfp = GFP_KERNEL | __GFP_ZERO;
  const flags = SLAB_KMALLOC | SLAB_STORE_USER | SLAB_RED_ZONE;
  const s = test_kmem_cache_create(test, "TestSlub_krealloc", 64, flags);
  const grow = (p: Ptr<"object">, size: number): Ptr<"object"> =>
    KUNIT_ASSERT_NOT_NULL(test, krealloc(cpu, p, size, gfp), `the object of ${size} bytes`);
  let p = KUNIT_ASSERT_NOT_NULL(test, __kmalloc_cache(cpu, s, GFP_KERNEL, 48), "the object");
  cpu.mem.fill(p, 48, USED);

  p = grow(p, 40);
  expect_bytes(test, p, 40, 64, SLUB_RED_ACTIVE);
  // Within the same object.
  p = grow(p, 56);
  expect_bytes(test, p, 40, 56, 0);
  expect_bytes(test, p, 56, 64, SLUB_RED_ACTIVE);
  validate_and_expect(test, s, 0, "after growing and shrinking");
  cpu.mem.fill(p, 56, USED);
  // To a larger object.
  p = grow(p, 112);
  expect_bytes(test, p, 0, 56, USED);
  expect_bytes(test, p, 56, 112, 0);

  kfree(cpu, p);
  KUNIT_EXPECT_EQ(test, kmem_cache_destroy(cpu, s), 0, "kmem_cache_destroy()");
}

export const krealloc_cases: readonly KunitCase[] = [
  { name: "test_krealloc_redzone_zeroing", run: test_krealloc_redzone_zeroing },
];
