/** Names of what lies on the heap of a booted machine. */
import { beforeEach, describe, expect, test } from "vitest";
import { HeapSymbols } from "../../../src/main/report/heap_symbols.ts";
import { PAGE_SIZE } from "../../../src/shared/base/limits.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { DeferredPercpuWork, KfreeRcuCpu, KvfreeRcuBulkData } from "../../../src/shared/layout/kvfree_rcu.ts";
import { Page, PGTY_buddy } from "../../../src/shared/layout/page.ts";
import { PerCpu } from "../../../src/shared/layout/percpu.ts";
import {
  KmemCache,
  KmemCacheNode,
  KmemCachePerNode,
  NodeBarn,
  RandomSeq,
  Slab,
  SlabSheaf,
  SlubPercpuSheaves,
} from "../../../src/shared/layout/slab.ts";
import { ListHead } from "../../../src/shared/layout/types.ts";
import { kfree_rcu_mightsleep } from "../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_create } from "../../../src/shared/linux/mm/slub/cache.ts";
import { kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../src/shared/linux/mm/slub/kmalloc.ts";
import { virt_to_slab } from "../../../src/shared/linux/mm/slub/slab.ts";
import { element, embedded, embedded_at, NULL, offsetof, type Ptr } from "../../../src/shared/mem/struct.ts";
import { TestMachine, Thing } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

let cpu: Cpu;
let s: Ptr<"kmem_cache">;
let object: Ptr;
let symbols: HeapSymbols;

beforeEach(() => {
  const machine = new TestMachine({ cpus: 2 });
  [cpu] = machine.cpus;
  s = kmem_cache_create(cpu, "things", Thing.size, {});
  object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
  symbols = new HeapSymbols(cpu.map, cpu.mem);
});
const pcsOf = (id: number): Ptr<"slub_percpu_sheaves"> =>
  (cpu.mem.peek(s, KmemCache.offset.cpu_sheaves) + id * SlubPercpuSheaves.size) as Ptr<"slub_percpu_sheaves">;
const perNode = (): Ptr<"kmem_cache_per_node"> => embedded_at(s, KmemCache.offset.per_node, 0, KmemCachePerNode.size);
const name = (address: number): string => symbols.word(address).name;

describe("the parts of a cache", () => {
  test("its struct", () => {
    expect(name(s + offsetof(KmemCache.offset.sheaf_capacity))).toBe("things->sheaf_capacity");
    expect(symbols.pointer(s, "kmem_cache")).toBe("things");
  });
  test("its per-CPU sheaves", () => {
    expect(name(pcsOf(1) + offsetof(SlubPercpuSheaves.offset.rcu_free))).toBe("things.cpu1.rcu_free");
    expect(name(embedded(pcsOf(0), SlubPercpuSheaves.offset.lock))).toBe("things.cpu0.lock");
  });
  test("a sheaf, by its place", () => {
    const main = cpu.mem.peek(pcsOf(0), SlubPercpuSheaves.offset.main);
    expect(name(main + offsetof(SlabSheaf.offset.size))).toBe("things.cpu0.main->size");
    expect(name(main + offsetof(element(SlabSheaf.offset.objects, 2)))).toBe("things.cpu0.main->objects[2]");
    expect(symbols.pointer(main, "slab_sheaf")).toMatch(/^kmalloc-\d+#\d+$/);
  });
  test("a sheaf that has left its place", () => {
    const main = cpu.mem.peek(pcsOf(0), SlubPercpuSheaves.offset.main);
    name(main);
    cpu.mem.poke(pcsOf(0), SlubPercpuSheaves.offset.main, NULL);
    expect(name(main + offsetof(SlabSheaf.offset.size))).toMatch(/^sheaf\(kmalloc-\d+#\d+\)->size$/);
  });
  test("its node and its barn", () => {
    const node = cpu.mem.peek(perNode(), KmemCachePerNode.offset.node);
    const barn = cpu.mem.peek(perNode(), KmemCachePerNode.offset.barn);
    expect(name(embedded(node, KmemCacheNode.offset.list_lock))).toBe("things.node0.list_lock");
    expect(name(barn + offsetof(NodeBarn.offset.nr_full))).toBe("things.barn0.nr_full");
  });
});

test("the order of a cache's objects, where slabs are in random order", () => {
  [cpu] = new TestMachine({}, { shuffle: 1 }).cpus;
  s = kmem_cache_create(cpu, "things", Thing.size, {});
  symbols = new HeapSymbols(cpu.map, cpu.mem);
  const seq = cpu.mem.peek(s, KmemCache.offset.random_seq);
  expect(name(seq + offsetof(element(RandomSeq.offset.order, 2)))).toBe("things.random_seq.order[2]");
});

test("objects have numbers, and places inside them offsets", () => {
  expect(name(object)).toMatch(/^things#\d+$/);
  expect(name(object + 8)).toMatch(/^things#\d+\+8$/);
  expect(symbols.objects.get(object)).toBe(name(object));
  kmem_cache_free(cpu, s, object);
  expect(name(object)).toMatch(/^things#\d+$/);
});

test("a page of kfree_rcu() is named, and its words by their fields", () => {
  kfree_rcu_mightsleep(cpu, kmalloc(cpu, 5 * PAGE_SIZE, GFP_KERNEL));
  const bulk_head = embedded(embedded(cpu.section, PerCpu.offset.krc), KfreeRcuCpu.offset.bulk_head);
  const bnode = cpu.mem.peek(bulk_head, ListHead.offset.next);
  const { nr_records, records } = KvfreeRcuBulkData.offset;
  expect(name(bnode + offsetof(nr_records))).toMatch(/^bnode\(page \d+\)\.nr_records$/);
  expect(name(bnode + offsetof(element(records, 2)))).toMatch(/^bnode\(page \d+\)\.records\[2\]$/);
});

test("a slab is named after its page, and its word is taken apart", () => {
  const slab = virt_to_slab(cpu, object);
  const word = symbols.word(slab + offsetof(Slab.offset.counters));
  expect(word.name).toMatch(/^slab\(page \d+\)\.counters$/);
  expect(symbols.value(word, cpu.mem.peek(slab, Slab.offset.counters))).toMatch(
    /^\(freelist (?:NULL|#\d+), inuse \d+\)$/,
  );
});

test("pointers to variables are addresses of what their type names", () => {
  const dpw = embedded(cpu.section, PerCpu.offset.deferred_percpu_work);
  const node = embedded(dpw, DeferredPercpuWork.offset.work);
  expect(symbols.pointer(node, "irq_work")).toBe("&cpu0.deferred_percpu_work.work");
  expect(symbols.pointer(node, "llist_node")).toBe("&cpu0.deferred_percpu_work.work.node");
  expect(symbols.pointer(NULL, "irq_work")).toBe("NULL");
});

test("what is no address is a number, and a page without a slab a page", () => {
  expect(symbols.pointer(0x7fffff00, "irq_work")).toBe("0x7fffff00");
  const { map, mem } = cpu;
  const types = Array.from({ length: map.nrPages }, (_, i) =>
    mem.peek((map.memMap + i * Page.size) as Ptr<"page">, Page.offset.type),
  );
  const free = types.indexOf(PGTY_buddy);
  expect(name(map.pages + free * PAGE_SIZE + 12)).toBe(`page ${free}+12`);
});

test("an address of the vmalloc area is a page of that, and one behind it a number", () => {
  const { map } = cpu;
  expect(name(map.vmalloc + 2 * PAGE_SIZE + 12)).toBe("vmalloc page 2+12");
  expect(name(map.vmallocEnd)).toBe(`0x${map.vmallocEnd.toString(16)}`);
});
