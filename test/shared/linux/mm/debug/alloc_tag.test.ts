/** Allocation tags: what every path adds and takes away. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { HOOK_ALLOC_TAG } from "../../../../../src/shared/layout/debug.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { ALLOC_TAGGING, alloc_tag_counters } from "../../../../../src/shared/linux/mm/debug/alloc_tag.ts";
import { debug_check } from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { kmalloc_cache } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import type { Ptr } from "../../../../../src/shared/mem/struct.ts";
import { take_account } from "../../../../../src/workers/quiescence.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const machine = (): Cpu => new TestMachine({}, { hooks: HOOK_ALLOC_TAG }).cpus[0];
const { head: HEAD } = Thing.offset;
const balance = (cpu: Cpu): string[] => debug_check(cpu, take_account(cpu).censuses);
/** Objects and bytes of kmalloc-64. */
const used = (cpu: Cpu): { calls: number; bytes: number } => alloc_tag_counters(cpu, kmalloc_cache(cpu, 0, 6));

test("after boot all objects are counted", () => {
  const cpu = machine();
  expect(balance(cpu)).toEqual([]);
  expect([...take_account(cpu).users.keys()].some((s) => alloc_tag_counters(cpu, s).calls > 0)).toBe(true);
});

describe.each<[string, (cpu: Cpu) => Ptr]>([
  ["kmalloc", (cpu) => kmalloc(cpu, 64, GFP_KERNEL)],
  ["kmalloc_nolock", (cpu) => kmalloc_nolock(cpu, 64, 0, NUMA_NO_NODE)],
])("%s", (allocation, allocate) => {
  test.each<[string, (cpu: Cpu, object: ThingPtr) => void]>([
    ["kfree", kfree],
    ["kfree_nolock", kfree_nolock],
    ["kfree_rcu", (cpu, object) => kfree_rcu(cpu, object, HEAD)],
    ["kfree_rcu_nolock", (cpu, object) => kfree_rcu_nolock(cpu, object, HEAD)],
  ])("%s", (name, free) => {
    if (allocation === "kmalloc" && name.includes("nolock")) return; // Not supported.
    const cpu = machine();
    const before = used(cpu);
    const object = allocate(cpu) as ThingPtr;
    const held = { calls: before.calls + 1, bytes: before.bytes + 64 };
    expect(used(cpu)).toEqual(held);
    free(cpu, object);
    if (name.includes("rcu")) {
      expect(used(cpu)).toEqual(held);
      kvfree_rcu_barrier(cpu);
    }
    expect(used(cpu)).toEqual(before);
  });
});

test("an object whose free was not counted, and one whose allocation was not", () => {
  const cpu = machine();
  const s = kmem_cache_create(cpu, "miscounted", 64);
  const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
  const [alloc] = ALLOC_TAGGING.hooks;
  if (alloc.step === "kfence_alloc") throw new Error("not this one");
  alloc.run(cpu, s, object, 64, 0, 1);
  expect(balance(cpu)).toEqual([`alloc-tag: cache 0x${s.toString(16)}: 2 objects counted, 1 in use`]);
  kmem_cache_free(cpu, s, object);
  kmem_cache_destroy(cpu, s);
  expect(balance(cpu)).toEqual([`alloc-tag: 1 objects of cache 0x${s.toString(16)}, which is gone`]);
});
