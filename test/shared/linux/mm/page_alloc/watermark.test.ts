/** Emergency reserves: spec slub 1.2, 2.7, 3.3, B12. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import {
  __GFP_HIGH,
  __GFP_MEMALLOC,
  __GFP_NOMEMALLOC,
  __GFP_THISNODE,
  GFP_ATOMIC,
  GFP_KERNEL,
  NUMA_NO_NODE,
} from "../../../../../src/shared/layout/gfp.ts";
import { Page, PG_pfmemalloc } from "../../../../../src/shared/layout/page.ts";
import { SL_pfmemalloc, Slab } from "../../../../../src/shared/layout/slab.ts";
import {
  alloc_frozen_pages,
  free_frozen_pages,
  nr_free_pages,
} from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { alloc_frozen_pages_nolock } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc_nolock.ts";
import {
  gfp_pfmemalloc_allowed,
  memalloc_noreclaim_restore,
  memalloc_noreclaim_save,
} from "../../../../../src/shared/linux/mm/page_alloc/watermark.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { check_quiescent_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { kfree, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { kmem_cache_shrink } from "../../../../../src/shared/linux/mm/slub/shrink.ts";
import { virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { stat_sum, STAT } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { exhaustPages } from "../slub/sheaf_state.ts";

const RESERVE = 8;
const PRIVILEGED = GFP_KERNEL | __GFP_MEMALLOC;

let m: TestMachine;
let cpu: Cpu;
const boot = (shape = {}): void => {
  m = new TestMachine({ cpus: 1, ...shape });
  [cpu] = m.cpus;
  m.set("min_free_pages", RESERVE);
};
beforeEach(() => boot());
const page = (gfp: number, order = 0): Ptr<"page"> => alloc_frozen_pages(cpu, order, NUMA_NO_NODE, gfp);
const marked = (head: Ptr<"page">): boolean => (cpu.mem.peek(head, Page.offset.flags) & PG_pfmemalloc) !== 0;

describe("pages", () => {
  test("ordinary allocations leave the reserve alone", () => {
    exhaustPages(cpu);
    expect(nr_free_pages(cpu)).toBe(RESERVE);
    expect(page(GFP_KERNEL)).toBe(NULL);
    expect(alloc_frozen_pages_nolock(cpu, 0, NUMA_NO_NODE)).toBe(NULL);
  });
  test("__GFP_HIGH may have half of it", () => {
    exhaustPages(cpu);
    while (page(GFP_ATOMIC) !== NULL);
    expect(nr_free_pages(cpu)).toBe(RESERVE / 2);
  });
  test("who may have it gets it last, and the page says so", () => {
    const ordinary = page(PRIVILEGED);
    expect(marked(ordinary)).toBe(false);
    exhaustPages(cpu);
    const reserved = page(PRIVILEGED);
    expect(marked(reserved)).toBe(true);
    free_frozen_pages(cpu, reserved, 0);
    m.set("min_free_pages", 0);
    const rest: Ptr<"page">[] = [];
    for (let head = page(GFP_KERNEL); head !== NULL; head = page(GFP_KERNEL)) rest.push(head);
    expect([rest.includes(reserved), rest.some(marked)]).toEqual([true, false]); // The same page, but no reserve now.
  });
  test("a node's own reserve is not taken as long as another node has memory", () => {
    boot({ nodes: 2, cpus: 2 });
    const only = (node: number): Ptr<"page"> => alloc_frozen_pages(cpu, 0, node, GFP_KERNEL | __GFP_THISNODE);
    while (only(0) !== NULL);
    const other = page(PRIVILEGED);
    expect([marked(other), cpu.mem.peek(other, Page.offset.node)]).toEqual([false, 1]);
    while (only(1) !== NULL);
    const own = page(PRIVILEGED);
    expect([marked(own), cpu.mem.peek(own, Page.offset.node)]).toEqual([true, 0]);
  });
});

describe("who may have it", () => {
  test("flags", () => {
    expect(gfp_pfmemalloc_allowed(cpu, GFP_KERNEL)).toBe(false);
    expect(gfp_pfmemalloc_allowed(cpu, __GFP_HIGH)).toBe(false);
    expect(gfp_pfmemalloc_allowed(cpu, PRIVILEGED)).toBe(true);
    expect(gfp_pfmemalloc_allowed(cpu, PRIVILEGED | __GFP_NOMEMALLOC)).toBe(false);
  });
  test("a task that says so, but none of its interrupts", () => {
    const outer = memalloc_noreclaim_save(cpu);
    const inner = memalloc_noreclaim_save(cpu);
    expect(gfp_pfmemalloc_allowed(cpu, GFP_KERNEL)).toBe(true);
    expect(gfp_pfmemalloc_allowed(cpu, GFP_KERNEL | __GFP_NOMEMALLOC)).toBe(false);
    const interrupted = (): void => expect(gfp_pfmemalloc_allowed(cpu, GFP_ATOMIC)).toBe(false);
    m.irq(cpu, interrupted);
    m.nmi(cpu, interrupted);
    memalloc_noreclaim_restore(cpu, inner);
    expect(gfp_pfmemalloc_allowed(cpu, GFP_KERNEL)).toBe(true);
    memalloc_noreclaim_restore(cpu, outer);
    expect(gfp_pfmemalloc_allowed(cpu, GFP_KERNEL)).toBe(false);
  });
});

describe("slabs from the reserve", () => {
  test.each([0, 1])("their objects are for the same few, and in no sheaf (tiny %i)", (tiny) => {
    m.set("tiny", tiny);
    const s = kmem_cache_create(cpu, "test", 512);
    exhaustPages(cpu);
    let users = 0;
    while (kmem_cache_alloc(cpu, s, GFP_KERNEL) !== NULL) users++;
    const object = kmem_cache_alloc(cpu, s, PRIVILEGED);
    const slab = virt_to_slab(cpu, object);
    expect(cpu.mem.peek(slab, Slab.offset.flags) & SL_pfmemalloc).toBe(SL_pfmemalloc);
    expect(kmem_cache_alloc(cpu, s, GFP_KERNEL)).toBe(NULL); // Though the slab is on the partial list.
    expect(kmem_cache_alloc(cpu, s, PRIVILEGED | __GFP_NOMEMALLOC)).toBe(NULL);
    const second = kmem_cache_alloc(cpu, s, PRIVILEGED);
    expect(virt_to_slab(cpu, second)).toBe(slab);
    for (const each of [object, second]) {
      kmem_cache_free(cpu, s, each);
      expect(m.placeOf(each)).toBe("freelist");
    }
    expect(kmem_cache_alloc(cpu, s, GFP_KERNEL)).toBe(NULL);
    expect(check_quiescent_cache(cpu, s, users, false)).toEqual([]);
    kmem_cache_shrink(cpu, s); // The slab goes, and with it what it was.
    expect(cpu.mem.peek(slab as Ptr as Ptr<"page">, Page.offset.type)).not.toBe(2);
  });
  test("nolock allocations never have them", () => {
    exhaustPages(cpu);
    const objects: Ptr[] = [];
    for (let object = kmalloc_nolock(cpu, 1000, 0, -1); object !== NULL; object = kmalloc_nolock(cpu, 1000, 0, -1)) {
      objects.push(object);
    }
    expect(nr_free_pages(cpu)).toBe(RESERVE);
    for (const object of objects) kfree(cpu, object);
  });
  test("a large slab is not worth the reserve: a small one will do", () => {
    const s = kmem_cache_create(cpu, "test", 1024); // Order 1 where it can.
    exhaustPages(cpu);
    while (kmem_cache_alloc(cpu, s, GFP_KERNEL) !== NULL);
    const before = stat_sum(cpu, s, STAT.ORDER_FALLBACK);
    const object = kmem_cache_alloc(cpu, s, PRIVILEGED);
    expect(cpu.mem.peek(virt_to_slab(cpu, object), Slab.offset.order)).toBe(0);
    expect(stat_sum(cpu, s, STAT.ORDER_FALLBACK)).toBe(before + 1);
  });
});
