/**
 * Users of the less common kinds of allocation: objects that grow, caches of one's own for all sizes, partitions, emergency
 * reserves, caches by another name. lib/tests/slub_kunit.c; spec slub 1.8, 10.2, 11.1. Context: task, may sleep.
 */
import { no_memory } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { object_bug } from "../../shared/cpu/oracle.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { SLAB_PANIC } from "../../shared/layout/slab_flags.ts";
import { GrowingCpu, WorkloadCpu, WorkloadGlobals } from "../../shared/layout/workloads.ts";
import {
  kfree,
  kfree_rcu,
  kmalloc_token,
  kmem_buckets_alloc,
  kmem_buckets_create,
  kmem_buckets_destroy,
  kmem_cache_alloc,
  kmem_cache_create,
  kmem_cache_destroy,
  kmem_cache_free,
  krealloc,
  memalloc_noreclaim_restore,
  memalloc_noreclaim_save,
} from "../../shared/linux/api.ts";
import { embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { check_object, head_of, MIN_OBJECT, random_size, stamp_object } from "../../nmi/objects.ts";
import { check_ordinary } from "./reserves.ts";

const { workloads: WORKLOADS } = Globals.offset;
const { workloads: WORKLOADS_CPU } = PerCpu.offset;
const { buckets: BUCKETS } = WorkloadGlobals.offset;
const { growing: GROWING } = WorkloadCpu.offset;
const { object: OBJECT, bytes: BYTES, fill: FILL } = GrowingCpu.offset;
/** Bytes of an object of an alias, at most: as those of scenario prefill. */
const ALIAS_SIZE = 96;

type Obj = Ptr<"torture_object">;

const growing_of = (cpu: Cpu): Ptr<"growing_cpu"> => embedded(embedded(cpu.home, WORKLOADS_CPU), GROWING);

interface Growing {
  /** NULL: none. */
  readonly object: Ptr<"object">;
  readonly bytes: number;
  readonly fill: number;
}
/** Takes what this thread's task has: the words at cpu.home are its own, wherever it goes. */
function take_growing(cpu: Cpu): Growing {
  const { mem } = cpu;
  const at = growing_of(cpu);
  const growing = { object: mem.read(at, OBJECT), bytes: mem.read(at, BYTES), fill: mem.read(at, FILL) };
  mem.write(at, OBJECT, NULL);
  return growing.object === NULL ? { object: NULL, bytes: 0, fill: 0 } : growing;
}
/** This thread's task has it from now on. It has no other: take_growing() has been there. */
function keep_growing(cpu: Cpu, { object, bytes, fill }: Growing): void {
  const at = growing_of(cpu);
  cpu.mem.write(at, OBJECT, object);
  cpu.mem.write(at, BYTES, bytes);
  cpu.mem.write(at, FILL, fill);
}

/** The growing object of this thread's task gets another size. Its content must stay. */
export function grow(cpu: Cpu): void {
  const { mem } = cpu;
  const old = take_growing(cpu);
  const bytes = random_below(cpu, 8) === 0 ? 0 : random_size(cpu);
  const object = krealloc(cpu, old.object, bytes, GFP_KERNEL);
  if (bytes === 0) return; // It was freed.
  if (object === NULL) {
    keep_growing(cpu, old);
    return;
  }
  for (let i = 0; i < Math.min(old.bytes, bytes); i += 1 + random_below(cpu, 64)) {
    const byte = mem.load_byte(object + i);
    if (byte === old.fill) continue;
    object_bug(cpu, object, `byte ${i} of an object that was resized is ${byte}, not ${old.fill}`);
  }
  const fill = 1 + random_below(cpu, 255);
  mem.fill(object, bytes, fill);
  keep_growing(cpu, { object, bytes, fill });
}

/** kmalloc() from caches apart, and under PF_MEMALLOC. */
export function use_buckets(cpu: Cpu): void {
  const size = random_size(cpu);
  const reserves = random_below(cpu, 4) === 0;
  const flags = reserves ? memalloc_noreclaim_save(cpu) : 0;
  const set = cpu.mem.peek(embedded(cpu.globals, WORKLOADS), BUCKETS);
  const object = (random_below(cpu, 2) === 0
    ? kmem_buckets_alloc(cpu, set, size, GFP_KERNEL)
    : kmalloc_token(cpu, size, GFP_KERNEL, random_below(cpu, 64))) as Ptr as Obj;
  if (reserves) memalloc_noreclaim_restore(cpu, flags);
  if (object === NULL) return;
  if (!reserves) check_ordinary(cpu, object);
  stamp_object(cpu, object, size, 0);
  check_object(cpu, object, "owner");
  if (random_below(cpu, 2) === 0) kfree(cpu, object);
  else kfree_rcu(cpu, object, head_of(cpu, object));
}
/** A cache that may be the common one by another name: --config merge. */
export function use_alias(cpu: Cpu): void {
  const s = kmem_cache_create(cpu, "torture_alias", ALIAS_SIZE - random_below(cpu, 8));
  if (s === NULL) return;
  const object = kmem_cache_alloc(cpu, s, GFP_KERNEL) as Ptr as Obj;
  if (object !== NULL) {
    stamp_object(cpu, object, MIN_OBJECT, 0);
    check_object(cpu, object, "owner");
    kmem_cache_free(cpu, s, object);
  }
  kmem_cache_destroy(cpu, s);
}

/** @context Task, alone */
export function kmalloc_kinds_init(cpu: Cpu): void {
  // Why SLAB_PANIC: without it a set that is made in part is destroyed, which waits for CPUs that do not run yet.
  const buckets = kmem_buckets_create(cpu, "torture", { flags: SLAB_PANIC });
  if (buckets === NULL) no_memory(cpu, "a set of caches");
  cpu.mem.poke(embedded(cpu.globals, WORKLOADS), BUCKETS, buckets);
}
/** Gives back what this thread's task has. */
export function kmalloc_kinds_teardown(cpu: Cpu): void {
  kfree(cpu, take_growing(cpu).object);
}
/** @context Task, alone */
export function kmalloc_kinds_destroy(cpu: Cpu): void {
  kmem_buckets_destroy(cpu, cpu.mem.peek(embedded(cpu.globals, WORKLOADS), BUCKETS));
}
