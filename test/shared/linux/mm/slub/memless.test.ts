/** A node with CPUs and without memory, on kernels with and without CONFIG_HAVE_MEMORYLESS_NODES (spec slub 2.7, B1). */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { __GFP_THISNODE, GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import {
  kmalloc,
  kmem_cache_alloc,
  kmem_cache_create,
  kmem_cache_destroy,
  kmem_cache_free,
  kmem_cache_shrink,
} from "../../../../../src/shared/linux/api.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import { node_has_memory, numa_mem_id, numa_node_id } from "../../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { kmalloc_node } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { can_free_to_pcs, get_barn, get_node_barn } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { get_node, slab_nid, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { slabs_of_cache } from "../../../../../src/shared/linux/mm/slub/check.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { problems } from "./sheaf_state.ts";

/** CPU 0 on node 0, CPU 1 on node 1, which has no memory. */
function machine(no_memoryless = 0): { cpus: readonly Cpu[]; s: Ptr<"kmem_cache"> } {
  const { cpus } = new TestMachine({ cpus: 2, nodes: 2, memless: true }, { tiny: 1, no_memoryless });
  return { cpus, s: kmem_cache_create(cpus[0], "test", 128, {}) };
}

test("the last node has no pages, and no list of slabs; it has a barn", () => {
  const { cpus, s } = machine();
  const [cpu, other] = cpus;
  expect([0, 1].map((node) => node_has_memory(cpu, node))).toEqual([true, false]);
  expect(check_page_allocator(cpu)).toEqual([]);
  expect(get_node(cpu, s, 0)).not.toBe(NULL);
  expect(get_node(cpu, s, 1)).toBe(NULL);
  expect(get_barn(other, s)).toBe(get_node_barn(other, s, 1));
  expect(get_barn(other, s)).not.toBe(NULL);
});

describe.each([
  ["with CONFIG_HAVE_MEMORYLESS_NODES", 0],
  ["without it", 1],
])("%s", (_, no_memoryless) => {
  test("the nearest memory", () => {
    const [cpu, other] = machine(no_memoryless).cpus;
    expect([numa_node_id(cpu), numa_mem_id(cpu)]).toEqual([0, 0]);
    expect([numa_node_id(other), numa_mem_id(other)]).toEqual([1, no_memoryless === 1 ? 1 : 0]);
  });
  test("its CPU allocates from other nodes, and keeps what it frees", () => {
    const { cpus, s } = machine(no_memoryless);
    const [, other] = cpus;
    const objects = Array.from({ length: 40 }, () => kmem_cache_alloc(other, s, GFP_KERNEL));
    for (const object of objects) {
      const slab = virt_to_slab(other, object);
      expect(slab_nid(other, slab)).toBe(0);
      expect(can_free_to_pcs(other, slab)).toBe(true);
      kmem_cache_free(other, s, object);
    }
    expect(problems(other, s)).toEqual([]);
  });
  test("memory of that very node there is none, of that node if possible there is", () => {
    const [cpu] = machine(no_memoryless).cpus;
    expect(kmalloc_node(cpu, 64, GFP_KERNEL | __GFP_THISNODE, 1)).toBe(NULL);
    expect(kmalloc_node(cpu, 64, GFP_KERNEL, 1)).not.toBe(NULL);
    expect(kmalloc(cpu, 10_000, GFP_KERNEL)).not.toBe(NULL);
  });
  test("objects of another node in its barn go home before that node's slabs are looked at", () => {
    const { cpus, s } = machine(no_memoryless);
    const [cpu, other] = cpus;
    const fillBarn = (): void => {
      const objects = Array.from({ length: 40 }, () => kmem_cache_alloc(other, s, GFP_KERNEL));
      for (const object of objects) kmem_cache_free(other, s, object);
    };
    fillBarn();
    expect(kmem_cache_shrink(cpu, s)).toBe(0);
    expect(slabs_of_cache(cpu, s).size).toBe(0);
    fillBarn();
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
  });
});

test("a CPU of a node with memory refuses remote objects in any case", () => {
  const { cpus } = new TestMachine({ cpus: 3, nodes: 3, memless: true }, { no_memoryless: 1 });
  const s = kmem_cache_create(cpus[0], "test", 128, {});
  const slab = virt_to_slab(cpus[0], kmem_cache_alloc(cpus[0], s, GFP_KERNEL));
  expect(cpus.map((cpu) => can_free_to_pcs(cpu, slab))).toEqual([true, false, true]);
});
