import { expect, test } from "vitest";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { slub_cpu_dead } from "../../../../../src/shared/linux/mm/slub/cpu_dead.ts";
import { has_pcs_used } from "../../../../../src/shared/linux/mm/slub/flush.ts";
import { rcu_barrier } from "../../../../../src/shared/linux/rcu/tree_barrier.ts";
import type { Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { setSheafState } from "./sheaf_state.ts";

test("the sheaves of all caches are emptied on the dead CPU, and on no other", () => {
  const m = new TestMachine({ cpus: 3 });
  const [cpu, dead, other] = m.cpus;
  const caches = ["one", "two"].map((name) => kmem_cache_create(cpu, name, 128));
  for (const s of caches) for (const c of [dead, other]) setSheafState(c, s, { main: 5, spare: 60, full: 0, empty: 0 });
  const object = alloc_for_nolock(dead, caches[0]) as Ptr as ThingPtr;
  kfree_rcu(dead, object, Thing.offset.head);
  m.set("online", 0b101);
  slub_cpu_dead(cpu, dead.section);
  for (const s of caches) expect([1, 2].map((id) => has_pcs_used(cpu, s, id))).toEqual([false, true]);
  m.set("online", 0b111);
  rcu_barrier(cpu);
  expect(m.placeOf(object)).toBe("freelist");
});
test("a CPU that is online is none", () => {
  const m = new TestMachine({ cpus: 2 });
  kmem_cache_create(m.cpus[0], "one", 128);
  expect(() => slub_cpu_dead(m.cpus[0], m.cpus[1].section)).toThrow(/online/);
});
