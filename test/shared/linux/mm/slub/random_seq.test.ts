/** New slabs in random order (shuffle): every object once, from a random start, small slabs included. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_ATOMIC, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { BatchedEntropy } from "../../../../../src/shared/layout/random.ts";
import { KmemCache, RandomSeq, Slab } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_ALLOC_DEFAULT, SLAB_FAILSLAB, SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import {
  kmalloc_nolock,
  kmem_cache_alloc,
  kmem_cache_create,
  kmem_cache_destroy,
} from "../../../../../src/shared/linux/api.ts";
import { arm_fault_injection } from "../../../../../src/shared/linux/lib/fault_inject.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { new_slab } from "../../../../../src/shared/linux/mm/slub/new_slab.ts";
import { next_slab_obj, slab_obj_at, slab_obj_iter } from "../../../../../src/shared/linux/mm/slub/random_seq.ts";
import { index_to_obj, oo_make, oo_objects, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { kmalloc_slab } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { element, embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { take_account } from "../../../../../src/workers/quiescence.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";

const { oo: OO, min: MIN, random_seq: RANDOM_SEQ } = KmemCache.offset;

function shuffled(): { m: TestMachine; cpu: Cpu; s: Ptr<"kmem_cache"> } {
  const m = new TestMachine({}, { shuffle: 1 });
  const [cpu] = m.cpus;
  return { m, cpu, s: kmem_cache_create(cpu, "test", 512, { flags: SLAB_NO_SHEAVES }) };
}
/** All objects of a new slab, in the order of its walk. */
function walk(cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">, allow_spin = true): Ptr<"object">[] {
  let position = slab_obj_iter(cpu, s, slab, allow_spin);
  return Array.from({ length: cpu.mem.peek(slab, Slab.offset.objects) }, () => {
    const object = slab_obj_at(cpu, s, slab, position);
    position = next_slab_obj(cpu, s, slab, position);
    return object;
  });
}
const slabOf = (cpu: Cpu, s: Ptr<"kmem_cache">): Ptr<"slab"> =>
  new_slab(cpu, s, GFP_ATOMIC, SLAB_ALLOC_DEFAULT, NUMA_NO_NODE);
const inOrder = (cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">): Ptr<"object">[] =>
  Array.from({ length: cpu.mem.peek(slab, Slab.offset.objects) }, (_, i) => index_to_obj(cpu, s, slab, i));

test("without the word: the order of addresses, and no permutation", () => {
  const [cpu] = new TestMachine().cpus;
  const s = kmem_cache_create(cpu, "test", 512, { flags: SLAB_NO_SHEAVES });
  expect(cpu.mem.peek(s, RANDOM_SEQ)).toBe(NULL);
  const slab = slabOf(cpu, s);
  expect(walk(cpu, s, slab)).toEqual(inOrder(cpu, s, slab));
});
describe("a walk", () => {
  test.each([
    ["spins", true],
    ["does not spin", false],
  ])("that %s: every object once, two slabs differently", (_, allow_spin) => {
    const { cpu, s } = shuffled();
    const orders = [slabOf(cpu, s), slabOf(cpu, s), slabOf(cpu, s)].map((slab) => {
      const objects = inOrder(cpu, s, slab);
      const walked = walk(cpu, s, slab, allow_spin);
      expect(new Set(walked)).toEqual(new Set(objects));
      return String(walked.map((object) => objects.indexOf(object)));
    });
    expect(new Set(orders).size).toBeGreaterThan(1);
    expect(orders).not.toContain(String(Array.from({ length: orders.length }, (__, i) => i)));
  });
  test("of a slab of the smallest order passes over numbers that it has not", () => {
    const { cpu, s } = shuffled();
    const few = 3;
    cpu.mem.poke(s, MIN, oo_make(0, few));
    const slab = slabOf(cpu, s);
    cpu.mem.poke(slab, Slab.offset.objects, few);
    for (let n = 0; n < 20; n++) expect(new Set(walk(cpu, s, slab))).toEqual(new Set(inOrder(cpu, s, slab)));
  });
});
test("the permutation has every number once, and is not the identity", () => {
  const { cpu, s } = shuffled();
  const seq = cpu.mem.peek(s, RANDOM_SEQ);
  const count = oo_objects(cpu.mem.peek(s, OO));
  const order = Array.from({ length: count }, (_, i) => cpu.mem.peek(seq, element(RandomSeq.offset.order, i)));
  expect(order.toSorted((a, b) => a - b)).toEqual(order.map((_, i) => i));
  expect(order).not.toEqual(order.map((_, i) => i));
});
test("caches from boot have one, too", () => {
  const { cpu } = shuffled();
  for (const size of [64, 1024]) {
    expect(cpu.mem.peek(kmalloc_slab(cpu, size, GFP_KERNEL), RANDOM_SEQ)).not.toBe(NULL);
  }
});
test("allocations follow the walk, and the slab is whole", () => {
  const { cpu, s } = shuffled();
  const first = kmem_cache_alloc(cpu, s, GFP_KERNEL);
  const slab = virt_to_slab(cpu, first);
  const count = cpu.mem.peek(slab, Slab.offset.objects);
  const objects = [first, ...Array.from({ length: count - 1 }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL))];
  expect(new Set(objects)).toEqual(new Set(inOrder(cpu, s, slab)));
  expect(objects).not.toEqual(inOrder(cpu, s, slab));
  expect(check_slab_cache(cpu, s)).toEqual([]);
});
test("an NMI that has hit get_random_u32() gets its slab all the same (slub B6)", () => {
  const { m, cpu } = shuffled();
  cpu.mem.poke(embedded(cpu.section, PerCpu.offset.batched_entropy), BatchedEntropy.offset.locked, 1);
  m.nmi(cpu, () => expect(kmalloc_nolock(cpu, 8192, 0, NUMA_NO_NODE)).not.toBe(NULL));
});
test("without memory for the permutation there is no cache, and nothing is left of it", () => {
  const m = new TestMachine({}, { shuffle: 1, failslab: -1, failslab_marked: 1 });
  const [cpu] = m.cpus;
  const create = (): Ptr<"kmem_cache"> => kmem_cache_create(cpu, "test", 512, { flags: SLAB_NO_SHEAVES });
  const s = create();
  const bucket = kmalloc_slab(cpu, oo_objects(cpu.mem.peek(s, OO)) * 4, GFP_KERNEL);
  kmem_cache_destroy(cpu, s);
  cpu.mem.poke(bucket, KmemCache.offset.flags, cpu.mem.peek(bucket, KmemCache.offset.flags) | SLAB_FAILSLAB);
  const before = take_account(cpu);
  arm_fault_injection(cpu);
  expect(create()).toBe(NULL);
  expect([...take_account(cpu).users]).toEqual([...before.users]);
});
test("a destroyed cache gives its permutation back", () => {
  const m = new TestMachine({}, { shuffle: 1 });
  const [cpu] = m.cpus;
  kmem_cache_destroy(cpu, kmem_cache_create(cpu, "test", 512, { flags: SLAB_NO_SHEAVES }));
  const before = take_account(cpu);
  kmem_cache_destroy(cpu, kmem_cache_create(cpu, "test", 512, { flags: SLAB_NO_SHEAVES }));
  expect([...take_account(cpu).users]).toEqual([...before.users]);
});
