/** init_on_free: whoever gets an object sees nothing of the one that was in its memory before, however that was freed. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { HOOK_INIT_ON_FREE, HOOK_KFENCE } from "../../../../../src/shared/layout/debug.ts";
import { KfenceState } from "../../../../../src/shared/layout/debug_kfence.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { KB_INIT_ON_FREE } from "../../../../../src/shared/layout/globals.ts";
import { is_kfence_address, kfence_state } from "../../../../../src/shared/linux/mm/debug/kfence_pool.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kfree, kmalloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { kmalloc_slab } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { local_trylock, local_unlock } from "../../../../../src/shared/linux/sync/local_lock.ts";
import { this_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const BYTES = Thing.size;
const { head: HEAD } = Thing.offset;
const { lock: LOCK } = SlubPercpuSheaves.offset;

interface Free {
  readonly name: string;
  readonly alloc: (cpu: Cpu) => Ptr;
  readonly free: (cpu: Cpu, object: Ptr) => void;
}
const by_kmalloc = (cpu: Cpu): Ptr => kmalloc(cpu, BYTES, GFP_KERNEL);
const by_kmalloc_nolock = (cpu: Cpu): Ptr => kmalloc_nolock(cpu, BYTES, 0, NUMA_NO_NODE);
/** Finds no sheaf, so the object waits for the irq_work and goes back to its slab. */
function kfree_nolock_deferred(cpu: Cpu, object: Ptr): void {
  const lock = embedded(this_cpu_sheaves(cpu, kmalloc_slab(cpu, BYTES, 0)), LOCK);
  local_trylock(cpu, lock);
  kfree_nolock(cpu, object);
  local_unlock(cpu, lock);
}
const NOLOCK: readonly Free[] = [
  { name: "kfree_nolock()", alloc: by_kmalloc_nolock, free: kfree_nolock },
  { name: "kfree_nolock(), deferred", alloc: by_kmalloc_nolock, free: kfree_nolock_deferred },
];
const OTHERS: readonly Free[] = [
  { name: "kfree()", alloc: by_kmalloc, free: kfree },
  { name: "kfree() of kmalloc_nolock()", alloc: by_kmalloc_nolock, free: kfree },
  {
    name: "kfree_rcu()",
    alloc: by_kmalloc,
    free: (cpu, object) => kfree_rcu(cpu, object as ThingPtr, HEAD),
  },
  {
    name: "kfree_rcu_nolock()",
    alloc: by_kmalloc_nolock,
    free: (cpu, object) => kfree_rcu_nolock(cpu, object as ThingPtr, HEAD),
  },
];

/** Is anything left in memory that was full, freed, and given out again? */
function stale({ alloc, free }: Free, words: ConstructorParameters<typeof TestMachine>[1]): boolean {
  const m = new TestMachine({}, words);
  const [cpu] = m.cpus;
  const object = alloc(cpu);
  cpu.mem.fill(object, BYTES, 0xee);
  free(cpu, object);
  kvfree_rcu_barrier(cpu);
  m.run(2);
  const seen: Ptr[] = [];
  for (let left = 200; left > 0 && !seen.includes(object); left--) seen.push(alloc(cpu));
  expect(seen).toContain(object);
  return Array.from({ length: BYTES / 4 }, (_, i) => cpu.mem.load_word(object + 4 * i)).some((word) => word !== 0);
}

describe.each([...NOLOCK, ...OTHERS])("$name", (way) => {
  test("clears", () => {
    expect(stale(way, { hooks: HOOK_INIT_ON_FREE })).toBe(false);
    expect(stale(way, { hooks: HOOK_INIT_ON_FREE, poison_free: 1 })).toBe(false);
  });
  test("does not unless asked to", () => {
    expect(stale(way, {})).toBe(true);
  });
});
describe("an object is clear that comes from", () => {
  const word_set = (cpu: Cpu, object: Ptr, bytes: number): boolean =>
    Array.from({ length: bytes / 4 }, (_, i) => cpu.mem.load_word(object + 4 * i)).some((word) => word !== 0);
  test("a slab whose pages were a large kmalloc", () => {
    const [cpu] = new TestMachine({}, { hooks: HOOK_INIT_ON_FREE }).cpus;
    const larges: Ptr[] = [];
    for (let large = kmalloc(cpu, 16_384, GFP_KERNEL); large !== NULL; large = kmalloc(cpu, 16_384, GFP_KERNEL)) {
      cpu.mem.fill(large, 16_384, 0xee);
      larges.push(large);
    }
    for (const large of larges) kfree(cpu, large);
    expect(word_set(cpu, kmalloc(cpu, 4096, GFP_KERNEL), 4096)).toBe(false);
  });
  test("the pool of KFENCE", () => {
    const [cpu] = new TestMachine({}, { hooks: HOOK_INIT_ON_FREE | HOOK_KFENCE }).cpus;
    cpu.mem.poke(kfence_state(cpu), KfenceState.offset.sample, 1);
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    expect(is_kfence_address(cpu, object)).toBe(true);
    expect(word_set(cpu, object, 64)).toBe(false);
  });
});
describe("as the kernel does it", () => {
  const words = { hooks: HOOK_INIT_ON_FREE, kernel_behaviour: KB_INIT_ON_FREE };
  test.each(NOLOCK)("$name does not clear (slub B23)", (way) => {
    expect(stale(way, words)).toBe(true);
  });
  test.each(OTHERS)("$name does", (way) => {
    expect(stale(way, words)).toBe(false);
  });
});
