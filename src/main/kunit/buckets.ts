/**
 * test_kmem_buckets_*: sets of kmalloc caches for one user. All but one run as with CONFIG_SLAB_BUCKETS, whatever the
 * machine has: only kmem_buckets_create() looks.
 *
 * @kernel lib/tests/slub_kunit.c
 */
import { __GFP_ACCOUNT, __GFP_NOFAIL, __GFP_RECLAIMABLE, GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { KmemCache, Slab, SlabGlobals } from "../../shared/layout/slab.ts";
import {
  kfree,
  kmalloc,
  kmem_buckets_alloc,
  kmem_buckets_create,
  kmem_buckets_destroy,
} from "../../shared/linux/api.ts";
import type { KmemBucketsArgs } from "../../shared/linux/mm/buckets.ts";
import { cache_name } from "../../shared/linux/mm/slub/cache_name.ts";
import { KMALLOC_CGROUP, KMALLOC_NORMAL, KMALLOC_SIZES } from "../../shared/linux/mm/slub/size_class.ts";
import { virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import { embedded, type Ptr } from "../../shared/mem/struct.ts";
import {
  KUNIT_ASSERT_NOT_NULL,
  KUNIT_EXPECT_EQ,
  KUNIT_EXPECT_NE,
  KUNIT_EXPECT_TRUE,
  type KunitCase,
  type KunitTest,
} from "./test.ts";

const { slab_buckets: SLAB_BUCKETS, slab: SLAB } = Globals.offset;
const { nr_caches: NR_CACHES } = SlabGlobals.offset;
const { object_size: OBJECT_SIZE, flags: FLAGS } = KmemCache.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;

type Buckets = Ptr<"kmem_buckets">;
type Cache = Ptr<"kmem_cache">;

const SIZES = KMALLOC_SIZES.slice(1);
/** A memory cgroup may be at its limit: what KASAN keeps is charged still. */
const ACCOUNTED = GFP_KERNEL | __GFP_ACCOUNT | __GFP_NOFAIL;

/** Runs `body` with a set, and destroys it. */
function with_set(test: KunitTest, name: string, args: KmemBucketsArgs, body: (set: Buckets) => void): void {
  const { cpu } = test;
  const before = cpu.mem.peek(cpu.globals, SLAB_BUCKETS);
  cpu.mem.poke(cpu.globals, SLAB_BUCKETS, 1);
  const created = kmem_buckets_create(cpu, name, args);
  cpu.mem.poke(cpu.globals, SLAB_BUCKETS, before); // Before the assertion, which may end the test.
  const set = KUNIT_ASSERT_NOT_NULL(test, created, "the set");
  body(set);
  kmem_buckets_destroy(cpu, set);
}
/** Runs `look` with an object of the set and its cache. */
function with_object(
  test: KunitTest,
  set: Buckets,
  size: number,
  gfp: number,
  look: (s: Cache, object: Ptr) => void,
): void {
  const { cpu } = test;
  const object = KUNIT_ASSERT_NOT_NULL(test, kmem_buckets_alloc(cpu, set, size, gfp), `an object of ${size} bytes`);
  look(cache_of(test, object), object);
  kfree(cpu, object);
}
function cache_of({ cpu }: KunitTest, object: Ptr): Cache {
  return cpu.mem.read(virt_to_slab(cpu, object), SLAB_CACHE);
}
function nr_caches({ cpu }: KunitTest): number {
  return cpu.mem.read_once(embedded(cpu.globals, SLAB), NR_CACHES);
}
/** The cache that kmalloc() takes. */
function kmalloc_cache_of(test: KunitTest, size: number, gfp: number): Cache {
  const object = KUNIT_ASSERT_NOT_NULL(test, kmalloc(test.cpu, size, gfp), "an object of kmalloc()");
  const s = cache_of(test, object);
  kfree(test.cpu, object);
  return s;
}

function isolation(test: KunitTest): void {
  with_set(test, "kunit_a", {}, (a) => {
    with_set(test, "kunit_b", {}, (b) => {
      with_object(test, a, 64, GFP_KERNEL, (of_a) => {
        with_object(test, b, 64, GFP_KERNEL, (of_b) => KUNIT_EXPECT_NE(test, of_a, of_b, "the cache of both sets"));
        KUNIT_EXPECT_NE(test, of_a, kmalloc_cache_of(test, 64, GFP_KERNEL), "the cache of the set and of kmalloc()");
      });
    });
  });
}
function sizes(test: KunitTest): void {
  with_set(test, "kunit", {}, (set) => {
    for (const size of SIZES) {
      with_object(test, set, size, GFP_KERNEL, (s) =>
        KUNIT_EXPECT_EQ(test, test.cpu.mem.read(s, OBJECT_SIZE), size, "the size of the cache's objects"),
      );
    }
  });
}
/** Objects of all sizes are aligned as `to` says. */
function expect_aligned(test: KunitTest, set: Buckets, gfp: number, to: (size: number) => number): void {
  for (const size of SIZES) {
    with_object(test, set, size, gfp, (_, object) =>
      KUNIT_EXPECT_EQ(test, object % to(size), 0, `what is left of an object of ${size} modulo ${to(size)}`),
    );
  }
}
/** As kmalloc()'s, up to a page. */
const natural = (size: number): number => Math.min(size & -size, 4096);

function alignment(test: KunitTest): void {
  with_set(test, "kunit", {}, (set) => expect_aligned(test, set, GFP_KERNEL, natural));
}
function explicit_alignment(test: KunitTest): void {
  with_set(test, "kunit", { align: 256 }, (set) => expect_aligned(test, set, GFP_KERNEL, () => 256));
}
/** Without CONFIG_SLAB_BUCKETS a set has no caches, and kmalloc() serves it. */
function disabled(test: KunitTest): void {
  const { cpu } = test;
  const before = cpu.mem.peek(cpu.globals, SLAB_BUCKETS);
  cpu.mem.poke(cpu.globals, SLAB_BUCKETS, 0);
  const caches = nr_caches(test);
  const set = kmem_buckets_create(cpu, "kunit");
  cpu.mem.poke(cpu.globals, SLAB_BUCKETS, before);
  KUNIT_EXPECT_EQ(test, nr_caches(test), caches, "the number of caches");
  with_object(test, set, 64, GFP_KERNEL, (s) =>
    KUNIT_EXPECT_EQ(test, s, kmalloc_cache_of(test, 64, GFP_KERNEL), "the cache of an object"),
  );
  kmem_buckets_destroy(cpu, set);
}
function destroy(test: KunitTest): void {
  const caches = nr_caches(test);
  with_set(test, "kunit", {}, (set) => {
    KUNIT_EXPECT_TRUE(test, nr_caches(test) > caches, "a set has caches");
    with_object(test, set, 100, GFP_KERNEL, () => undefined);
  });
  KUNIT_EXPECT_EQ(test, nr_caches(test), caches, "the number of caches after the set's end");
}
function type_fallback(test: KunitTest): void {
  with_set(test, "kunit", {}, (set) => {
    for (const gfp of [ACCOUNTED, GFP_KERNEL | __GFP_RECLAIMABLE]) {
      with_object(test, set, 64, gfp, (s) =>
        KUNIT_EXPECT_EQ(test, s, kmalloc_cache_of(test, 64, gfp), "the cache of a type that is not covered"),
      );
    }
  });
}
const COVERING: KmemBucketsArgs = { types: [KMALLOC_NORMAL, KMALLOC_CGROUP] };
function type_covered(test: KunitTest): void {
  with_set(test, "kunit", COVERING, (set) => {
    const gfp = ACCOUNTED;
    with_object(test, set, 64, gfp, (covered) => {
      KUNIT_EXPECT_NE(test, covered, kmalloc_cache_of(test, 64, gfp), "the cache of a type that is covered");
      with_object(test, set, 64, GFP_KERNEL, (normal) => {
        KUNIT_EXPECT_NE(test, covered, normal, "the cache of both types");
        const flags = [covered, normal].map((s) => test.cpu.mem.read(s, FLAGS));
        KUNIT_EXPECT_NE(test, flags[0], flags[1], "the flags of both types");
      });
      KUNIT_EXPECT_TRUE(test, cache_name(test.cpu, covered).startsWith("kunit-"), "the cache is named after the set");
    });
  });
}
function type_covered_alignment(test: KunitTest): void {
  with_set(test, "kunit", { ...COVERING, align: 128 }, (set) => {
    for (const gfp of [GFP_KERNEL, ACCOUNTED]) expect_aligned(test, set, gfp, () => 128);
  });
}

const TESTS = {
  isolation,
  sizes,
  alignment,
  explicit_alignment,
  disabled,
  destroy,
  type_fallback,
  type_covered,
  type_covered_alignment,
};
export const bucket_cases: readonly KunitCase[] = Object.entries(TESTS).map(([name, run]) => ({
  name: `test_kmem_buckets_${name}`,
  run,
}));
