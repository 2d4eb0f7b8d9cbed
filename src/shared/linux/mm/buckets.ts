/**
 * kmalloc() from caches apart, so that a use after free of one user's objects does not hit another's: sets of caches of
 * one's own (kmem_buckets), and copies of the ordinary ones, drawn by a token (partitions). mm/slab_common.c,
 * include/linux/slab.h; spec slub 1.8, 11.1.
 *
 *   asked for                                     served by
 *   a type that the set covers                    the set's cache for the size
 *   a type that it does not, or a large size      kmalloc()
 *   anything, from a set without slab_buckets     kmalloc()
 *
 * All of it is freed by kfree(), which finds the cache by the slab.
 *
 * Differs: a set lies in a kmalloc() object. It covers the types that are named; which ones the kernel's cover is not
 * known here.
 */
import { bug } from "../../cpu/bug.ts";
import { might_sleep } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { GFP_KERNEL } from "../../layout/gfp.ts";
import { Globals } from "../../layout/globals.ts";
import { KmemBuckets, NR_BUCKET_TYPES, NR_KMALLOC_BUCKETS } from "../../layout/slab.ts";
import { SLAB_ACCOUNT, SLAB_CACHE_DMA, SLAB_NO_MERGE, SLAB_RECLAIM_ACCOUNT } from "../../layout/slab_flags.ts";
import { element, NULL, type Ptr } from "../../mem/struct.ts";
import { kmem_cache_destroy } from "./kvfree_rcu/destroy.ts";
import { kmem_cache_create, type KmemCacheArgs } from "./slub/cache.ts";
import { __kmalloc_cache, kfree, kmalloc, kzalloc } from "./slub/kmalloc.ts";
import { size_name } from "./slub/kmalloc_caches.ts";
import {
  KMALLOC_MAX_CACHE_SIZE,
  KMALLOC_NORMAL,
  KMALLOC_SIZES,
  kmalloc_cache,
  kmalloc_size_index,
  kmalloc_token_type,
  kmalloc_type,
  ZERO_OR_NULL_PTR,
  ZERO_SIZE_PTR,
} from "./slub/size_class.ts";

const { slab_buckets: SLAB_BUCKETS } = Globals.offset;
const { caches: CACHES } = KmemBuckets.offset;

type Cache = Ptr<"kmem_cache">;
type Buckets = Ptr<"kmem_buckets">;
type Obj = Ptr<"object">;

/** What the caches of a type are called, and their flags; by type. */
const TYPES = [
  { infix: "", flags: 0 },
  { infix: "-rcl", flags: SLAB_RECLAIM_ACCOUNT },
  { infix: "-cg", flags: SLAB_ACCOUNT },
  { infix: "-dma", flags: SLAB_CACHE_DMA },
] as const;

/** What a set is asked to be. */
export interface KmemBucketsArgs extends Pick<KmemCacheArgs, "flags" | "align" | "ctor" | "useroffset" | "usersize"> {
  /** Types that it covers; default: KMALLOC_NORMAL. */
  readonly types?: readonly number[];
}

function cache_of(cpu: Cpu, buckets: Buckets, type: number, bucket: number): Cache {
  return cpu.mem.peek(buckets, element(CACHES, type * NR_KMALLOC_BUCKETS + bucket));
}

/**
 * kmem_buckets_create() - a set of caches, one for each size of kmalloc().
 * @kernel  mm/slab_common.c
 * @param   name  the caches are called name-64 and so on.
 * @returns NULL: no memory. ZERO_SIZE_PTR without globals.slab_buckets: a set of no caches.
 * @context Task, may sleep. Takes slab_mutex.
 */
export function kmem_buckets_create(cpu: Cpu, name: string, args: KmemBucketsArgs = {}): Buckets {
  might_sleep(cpu, "kmem_buckets_create");
  if (cpu.mem.peek(cpu.globals, SLAB_BUCKETS) === 0) return ZERO_SIZE_PTR as Ptr as Buckets;
  const buckets = kzalloc(cpu, KmemBuckets.size, GFP_KERNEL) as Ptr as Buckets;
  if (buckets === NULL) return NULL;
  for (const type of args.types ?? [KMALLOC_NORMAL]) {
    if (type >= NR_BUCKET_TYPES) bug(cpu, `kmem_buckets_create(${name}): a set cannot cover type ${type}`);
    if (create_type(cpu, buckets, name, type, args)) continue;
    kmem_buckets_destroy(cpu, buckets);
    return NULL;
  }
  return buckets;
}

/** The caches of one type. Sizes that are no multiple of the alignment share the cache of the next one that is. */
function create_type(cpu: Cpu, buckets: Buckets, name: string, type: number, args: KmemBucketsArgs): boolean {
  const { align = 1 } = args;
  for (let bucket = 1; bucket < NR_KMALLOC_BUCKETS; bucket++) {
    const aligned = kmalloc_size_index(Math.ceil(KMALLOC_SIZES[bucket] / align) * align);
    let s = cache_of(cpu, buckets, type, aligned);
    if (s === NULL) s = create_bucket(cpu, `${name}${TYPES[type].infix}`, KMALLOC_SIZES[aligned], type, args);
    if (s === NULL) return false;
    for (const each of [bucket, aligned]) cpu.mem.init(buckets, element(CACHES, type * NR_KMALLOC_BUCKETS + each), s);
  }
  return true;
}
function create_bucket(cpu: Cpu, name: string, size: number, type: number, args: KmemBucketsArgs): Cache {
  const { flags = 0, align = 1, useroffset = 0, usersize = 0, ctor } = args;
  const exposed = useroffset < size ? Math.min(usersize, size - useroffset) : 0;
  return kmem_cache_create(cpu, `${name}-${size_name(size)}`, size, {
    flags: flags | TYPES[type].flags | SLAB_NO_MERGE,
    align: Math.max(align, size & -size), // As kmalloc() has it.
    useroffset: exposed === 0 ? 0 : useroffset,
    usersize: exposed,
    ...(ctor !== undefined && { ctor }),
  });
}

/**
 * kmem_buckets_alloc() - kmalloc() from a set.
 * @kernel  include/linux/slab.h
 * @returns NULL: no memory; ZERO_SIZE_PTR for size 0.
 * @context Hardirq, or Task if gfp may block.
 */
export function kmem_buckets_alloc(cpu: Cpu, buckets: Buckets, size: number, gfp: number): Obj {
  if (size === 0) return ZERO_SIZE_PTR;
  if (ZERO_OR_NULL_PTR(buckets) || size > KMALLOC_MAX_CACHE_SIZE) return kmalloc(cpu, size, gfp);
  const s = cache_of(cpu, buckets, kmalloc_type(gfp), kmalloc_size_index(size));
  return s === NULL ? kmalloc(cpu, size, gfp) : __kmalloc_cache(cpu, s, gfp, size);
}
/**
 * kmem_buckets_alloc_track_caller() - the same for a function that allocates for its caller. Who that is, tracks know
 * by the stack.
 * @kernel  include/linux/slab.h
 * @context as kmem_buckets_alloc()
 */
export function kmem_buckets_alloc_track_caller(cpu: Cpu, buckets: Buckets, size: number, gfp: number): Obj {
  return kmem_buckets_alloc(cpu, buckets, size, gfp);
}

/** Destroys a set. All objects have been given back. @kernel mm/slab_common.c @context Task, may sleep */
export function kmem_buckets_destroy(cpu: Cpu, buckets: Buckets): void {
  if (ZERO_OR_NULL_PTR(buckets)) return;
  const caches = new Set<Cache>();
  for (let i = 0; i < NR_BUCKET_TYPES * NR_KMALLOC_BUCKETS; i++) caches.add(cache_of(cpu, buckets, 0, i));
  for (const s of caches) kmem_cache_destroy(cpu, s);
  kfree(cpu, buckets);
}

/**
 * kmalloc_token() - kmalloc() from the partition that a token stands for: objects of different tokens mostly lie in
 * different caches. The token says what the object is, or who asks for it.
 * @kernel  include/linux/slab.h, the allocation token of kmalloc()
 * @returns NULL: no memory; ZERO_SIZE_PTR for size 0.
 * @context Hardirq, or Task if gfp may block.
 */
export function kmalloc_token(cpu: Cpu, size: number, gfp: number, token: number): Obj {
  if (size === 0 || size > KMALLOC_MAX_CACHE_SIZE) return kmalloc(cpu, size, gfp);
  const type = kmalloc_token_type(cpu, gfp, token);
  return __kmalloc_cache(cpu, kmalloc_cache(cpu, type, kmalloc_size_index(size)), gfp, size);
}
