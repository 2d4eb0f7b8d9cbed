/** KMSAN: what a use of memory that nobody has written meets, on every path. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { HOOK_KMSAN } from "../../../../../src/shared/layout/debug.ts";
import { __GFP_ZERO, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { SLAB_POISON, SLAB_TYPESAFE_BY_RCU } from "../../../../../src/shared/layout/slab_flags.ts";
import {
  kmsan_check_memory,
  kmsan_poison_memory,
  kmsan_unpoison_memory,
} from "../../../../../src/shared/linux/mm/debug/kmsan.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import type { Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const machine = (hooks = HOOK_KMSAN): Cpu => new TestMachine({}, { hooks }).cpus[0];
const use =
  (cpu: Cpu, object: Ptr, bytes = 64) =>
  (): void =>
    kmsan_check_memory(cpu, object, bytes);
const { head: HEAD } = Thing.offset;

const ALLOCATIONS: [string, (cpu: Cpu, gfp: number) => Ptr][] = [
  ["kmalloc", (cpu, gfp) => kmalloc(cpu, 64, GFP_KERNEL | gfp)],
  ["large kmalloc", (cpu, gfp) => kmalloc(cpu, 20_000, GFP_KERNEL | gfp)],
  ["kmalloc_nolock", (cpu, gfp) => kmalloc_nolock(cpu, 64, gfp, NUMA_NO_NODE)],
];
describe.each(ALLOCATIONS)("%s()", (_, allocate) => {
  test("a word counts as written once somebody says so", () => {
    const cpu = machine();
    const object = allocate(cpu, 0);
    expect(use(cpu, object)).toThrow(/KMSAN: uninit-value at 0x/);
    kmsan_unpoison_memory(cpu, object, 32);
    use(cpu, object, 32)();
    expect(use(cpu, object, 33)).toThrow(`uninit-value at 0x${(object + 32).toString(16)}`);
    kmsan_unpoison_memory(cpu, (object + 32) as Ptr, 32);
    use(cpu, object)();
    kmsan_poison_memory(cpu, (object + 8) as Ptr, 8);
    use(cpu, object, 8)();
    expect(use(cpu, object)).toThrow(`uninit-value at 0x${(object + 8).toString(16)}`);
  });
  test("__GFP_ZERO writes all", () => {
    const cpu = machine();
    use(cpu, allocate(cpu, __GFP_ZERO))();
  });
});

const FREES: [string, (cpu: Cpu, object: ThingPtr) => void][] = [
  ["kfree", kfree],
  ["kfree_nolock", kfree_nolock],
  ["kfree_rcu", (cpu, object) => kfree_rcu(cpu, object, HEAD)],
  ["kfree_rcu_nolock", (cpu, object) => kfree_rcu_nolock(cpu, object, HEAD)],
];
describe.each(FREES)("%s()", (name, free) => {
  test("a use after the free, and after the grace period if there is one", () => {
    const cpu = machine();
    const object = kmalloc_nolock(cpu, 64, __GFP_ZERO, NUMA_NO_NODE) as Ptr as ThingPtr;
    free(cpu, object);
    if (name.includes("rcu")) {
      use(cpu, object)(); // Readers may.
      kvfree_rcu_barrier(cpu);
    }
    expect(use(cpu, object)).toThrow(/KMSAN: use-after-free at 0x/);
  });
});

test.each([
  ["readers may look at it", SLAB_TYPESAFE_BY_RCU],
  ["its poison is looked at", SLAB_POISON],
])("a freed object stays as it was: %s", (_, flags) => {
  const cpu = machine();
  const s = kmem_cache_create(cpu, "kept", 64, { flags });
  const object = kmem_cache_alloc(cpu, s, GFP_KERNEL | __GFP_ZERO);
  kmsan_unpoison_memory(cpu, object, 64);
  kmem_cache_free(cpu, s, object);
  use(cpu, object)();
});

test("shadow of two neighbours does not overlap, to the end of the last page", () => {
  const m = new TestMachine({ bytes: 40 << 20 }, { hooks: HOOK_KMSAN });
  const [cpu] = m.cpus;
  const start = cpu.map.pages as Ptr;
  const bytes = cpu.map.nrPages * 4096;
  const border = (start + (1 << 25)) as Ptr; // Where the second block of shadow begins.
  kmsan_unpoison_memory(cpu, start, bytes);
  use(cpu, start, bytes)();
  kmsan_poison_memory(cpu, (border - 8) as Ptr, 16);
  use(cpu, (border - 64) as Ptr, 56)();
  expect(use(cpu, (border - 8) as Ptr, 8)).toThrow(/uninit/);
  expect(use(cpu, border, 8)).toThrow(/uninit/);
  use(cpu, (border + 8) as Ptr, 64)();
});

test("off, nothing is looked at", () => {
  const cpu = machine(0);
  const object = kmalloc(cpu, 64, GFP_KERNEL);
  kmsan_poison_memory(cpu, object, 64);
  use(cpu, object)();
});
