/** test_kmem_cache_create(): the caches of the tests, which slab_debug= and KFENCE leave alone. lib/tests/slub_kunit.c. */
import { KmemCache } from "../../shared/layout/slab.ts";
import { SLAB_NO_USER_FLAGS, SLAB_SKIP_KFENCE } from "../../shared/layout/slab_flags.ts";
import { kmem_cache_create } from "../../shared/linux/api.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { KUNIT_ASSERT_NOT_NULL, type KunitTest } from "./test.ts";

const { flags: FLAGS } = KmemCache.offset;

export function test_kmem_cache_create(test: KunitTest, name: string, size: number, flags: number): Ptr<"kmem_cache"> {
  const { cpu } = test;
  const created = kmem_cache_create(cpu, name, size, { flags: flags | SLAB_NO_USER_FLAGS });
  const s = KUNIT_ASSERT_NOT_NULL(test, created, "the cache");
  cpu.mem.write(s, FLAGS, cpu.mem.read(s, FLAGS) | SLAB_SKIP_KFENCE);
  return s;
}
