/** The kernel's allocators as heaps, on one CPU each. */
import { PAGE_SIZE } from "../../../src/shared/base/limits.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { cond_resched } from "../../../src/shared/cpu/sched.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../src/shared/linux/api.ts";
import { nr_free_pages, nr_trylock_free_pages } from "../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import type { Ptr } from "../../../src/shared/mem/struct.ts";
import type { Heap } from "../../workloads/workload.ts";

// Why: what is imported is no constant to V8, and it is looked up and compared at each call.
const alloc: typeof kmem_cache_alloc = kmem_cache_alloc;
const alloc_bytes: typeof kmalloc = kmalloc;
const free: typeof kmem_cache_free = kmem_cache_free;
const free_any: typeof kfree = kfree;
const GFP: number = GFP_KERNEL;

export abstract class SheafHeap implements Heap {
  readonly cpu: Cpu;

  constructor(cpu: Cpu) {
    this.cpu = cpu;
  }
  abstract malloc(bytes: number): number;
  abstract free(object: number): void;
  load(address: number): number {
    return this.cpu.mem.load_word(address);
  }
  store(address: number, word: number): void {
    this.cpu.mem.store_word(address, word);
  }
  between(): void {
    cond_resched(this.cpu);
  }
  usedBytes(): number {
    const { cpu } = this;
    return (cpu.map.nrPages - nr_free_pages(cpu) - nr_trylock_free_pages(cpu)) * PAGE_SIZE;
  }
}

export class KmallocHeap extends SheafHeap {
  malloc(bytes: number): number {
    return alloc_bytes(this.cpu, bytes, GFP);
  }
  free(object: number): void {
    free_any(this.cpu, object as Ptr);
  }
}

/** All objects come from one cache: only for workloads with objects of one size. */
export class KmemCacheHeap extends SheafHeap {
  private readonly cache: Ptr<"kmem_cache">;

  constructor(cpu: Cpu, cache: Ptr<"kmem_cache">) {
    super(cpu);
    this.cache = cache;
  }
  malloc(_bytes: number): number {
    return alloc(this.cpu, this.cache, GFP);
  }
  free(object: number): void {
    free(this.cpu, this.cache, object as Ptr);
  }
}
