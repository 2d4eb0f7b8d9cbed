/**
 * many_caches: `caches` caches share `live` objects of one CPU; a random one is replaced by another of the same cache.
 * Metric bytes: memory that each object takes, the caches included.
 */
import type { Random } from "../../../src/shared/base/random.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { kmem_cache_alloc, kmem_cache_create, kmem_cache_free } from "../../../src/shared/linux/api.ts";
import { NULL, type Ptr } from "../../../src/shared/mem/struct.ts";
import type { SheafHeap } from "../../subjects/sheaf/heaps.ts";
import { type Activity, OPS, type Thread, type Workload } from "../workload.ts";

class ManyCaches implements Activity {
  private readonly cpu: Cpu;
  private readonly heap: SheafHeap;
  private readonly random: Random;
  private readonly caches: Int32Array;
  private readonly objects: Int32Array;
  private readonly usedBefore: number;
  private bytes = NaN;

  constructor({ heap, random, parameter }: Thread<SheafHeap>) {
    this.heap = heap;
    this.cpu = heap.cpu;
    this.random = random;
    this.usedBefore = heap.usedBytes();
    this.caches = Int32Array.from({ length: parameter("caches") }, (_, i) =>
      check(kmem_cache_create(heap.cpu, `bench-${i}`, parameter("size"))),
    );
    this.objects = Int32Array.from({ length: parameter("live") }, (_, i) => this.allocate(i));
  }
  private cacheOf(slot: number): Ptr<"kmem_cache"> {
    return this.caches[slot % this.caches.length] as Ptr<"kmem_cache">;
  }
  private allocate(slot: number): number {
    return check(kmem_cache_alloc(this.cpu, this.cacheOf(slot), GFP_KERNEL));
  }
  begin(): void {
    this.bytes = (this.heap.usedBytes() - this.usedBefore) / this.objects.length;
  }
  chunk(): number {
    const { cpu, random, objects } = this;
    for (let i = 0; i < OPS; i++) {
      const slot = random.below(objects.length);
      kmem_cache_free(cpu, this.cacheOf(slot), objects[slot] as Ptr);
      objects[slot] = this.allocate(slot);
    }
    return OPS;
  }
  finish(): void {
    for (let slot = 0; slot < this.objects.length; slot++) {
      kmem_cache_free(this.cpu, this.cacheOf(slot), this.objects[slot] as Ptr);
    }
  }
  metrics(): Readonly<Record<string, number>> {
    return { bytes: this.bytes };
  }
}
function check(pointer: number): number {
  if (pointer === NULL) throw new RangeError("out of memory");
  return pointer;
}

export const many_caches: Workload<SheafHeap> = { start: (thread) => new ManyCaches(thread) };
