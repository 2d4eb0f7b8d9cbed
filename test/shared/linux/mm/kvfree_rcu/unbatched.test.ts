/** A machine without batching: one call_rcu() for each object. */
import { describe, expect, test } from "vitest";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { oracle_grace_period_begin } from "../../../../../src/shared/cpu/oracle.ts";
import { cond_resched } from "../../../../../src/shared/cpu/sched.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import {
  kvfree_rcu_barrier,
  kvfree_rcu_barrier_on_cache,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { defer_kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/deferred.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import {
  kfree_rcu,
  kfree_rcu_mightsleep,
  kvfree_rcu,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmalloc, kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { vmalloc } from "../../../../../src/shared/linux/mm/vmalloc.ts";
import { rcu_barrier, synchronize_rcu } from "../../../../../src/shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { type Inner, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const { rcu: RCU } = Thing.offset;
type AnyHead = Inner<"object", "kvfree_rcu_head">;

function setup(cpus = 1): { m: TestMachine; cpu: Cpu; alloc: () => ThingPtr } {
  const m = new TestMachine({ cpus }, { unbatched: 1 });
  const [cpu] = m.cpus;
  return { m, cpu, alloc: () => kmalloc(cpu, Thing.size, GFP_KERNEL) as Ptr as ThingPtr };
}
const GIVEN_BACK = /^(freelist|sheaf|none)$/;

describe("kfree_rcu", () => {
  test("is a call_rcu(): rcu_barrier() is all that it takes to wait for it", () => {
    const { m, cpu, alloc } = setup();
    const [a, b] = [alloc(), alloc()];
    kfree_rcu(cpu, a, RCU);
    kfree_rcu(cpu, b, RCU);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["krc", "krc"]);
    expect([m.count("kfree_rcu_call_rcu"), m.count("kfree_rcu_sheaf"), m.count("kfree_rcu_krc")]).toEqual([2, 0, 0]);
    rcu_barrier(cpu);
    for (const object of [a, b]) expect(m.placeOf(object)).toMatch(GIVEN_BACK);
  });

  test("waits for readers", () => {
    const { m, cpu, alloc } = setup(2);
    const [, cpu1] = m.cpus;
    const a = alloc();
    rcu_read_lock(cpu1);
    kfree_rcu(cpu, a, RCU);
    for (let i = 0; i < 40; i++) {
      m.tick();
      cond_resched(cpu);
    }
    expect(m.placeOf(a)).toBe("krc");
    rcu_read_unlock(cpu1);
    m.run(40);
    expect(m.placeOf(a)).toMatch(GIVEN_BACK);
  });

  test("finds the start of large kmallocs and vmalloc areas", () => {
    const { m, cpu } = setup();
    const objects = [kmalloc(cpu, 5 * PAGE_SIZE, GFP_KERNEL), vmalloc(cpu, 2 * PAGE_SIZE)];
    for (const object of objects) kvfree_rcu(cpu, object, 4080 as AnyHead);
    kvfree_rcu_barrier(cpu);
    expect(objects.map((object) => m.placeOf(object))).toEqual(["none", "none"]);
  });

  test.each([
    ["slab object", (cpu: Cpu) => kmalloc(cpu, 64, GFP_KERNEL), 48],
    ["page of vmalloc()", (cpu: Cpu) => vmalloc(cpu, 64), 4080],
  ] as const)("needs 16 bytes for the head in a %s", (_, alloc, last) => {
    const { cpu } = setup();
    kvfree_rcu(cpu, alloc(cpu), last as AnyHead);
    expect(() => kvfree_rcu(cpu, alloc(cpu), (last + 8) as AnyHead)).toThrow(/a head takes 16 bytes, .* do not fit/);
  });

  test("freed twice is found at the second free", () => {
    const { cpu, alloc } = setup();
    const a = alloc();
    kfree_rcu(cpu, a, RCU);
    expect(() => kfree_rcu(cpu, a, RCU)).toThrow(/krc/);
  });
});

test("kfree_rcu_mightsleep waits for the grace period itself", () => {
  const { m, cpu, alloc } = setup();
  const [a, area] = [alloc(), vmalloc(cpu, 100)];
  kfree_rcu_mightsleep(cpu, a);
  kfree_rcu_mightsleep(cpu, area);
  for (const object of [a, area]) expect(m.placeOf(object)).toMatch(GIVEN_BACK);
  expect(m.count("kfree_rcu_synchronous")).toBe(2);
});

describe("barriers", () => {
  test("wait for what was deferred, too", () => {
    const { m, cpu, alloc } = setup(2);
    const a = alloc();
    const flags = local_irq_save(cpu);
    oracle_grace_period_begin(cpu, a);
    m.nmi(cpu, () => defer_kfree_rcu(cpu, (a + RCU) as Ptr<"kvfree_rcu_head">, a));
    expect(m.placeOf(a)).toBe("deferred_rcu");
    local_irq_restore(cpu, flags);
    kvfree_rcu_barrier(m.cpus[1]);
    expect(m.placeOf(a)).toMatch(GIVEN_BACK);
    expect(m.count("deferred_work_barriers")).toBe(1);
  });

  test("of one cache, before it is destroyed", () => {
    const { m, cpu } = setup();
    const s = kmem_cache_create(cpu, "things", Thing.size);
    const things = [1, 2, 3].map(() => kmem_cache_alloc(cpu, s, GFP_KERNEL) as Ptr as ThingPtr);
    kfree_rcu(cpu, things[0], RCU);
    kvfree_rcu_barrier_on_cache(cpu, s);
    expect(m.placeOf(things[0])).toMatch(GIVEN_BACK);
    for (const a of things.slice(1)) kfree_rcu(cpu, a, RCU);
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
  });

  test("synchronize_rcu() does not: it runs no callbacks", () => {
    const { m, cpu, alloc } = setup(2);
    const a = alloc();
    kfree_rcu(cpu, a, RCU);
    synchronize_rcu(m.cpus[1]);
    kvfree_rcu_barrier(cpu);
    expect(m.placeOf(a)).toMatch(GIVEN_BACK);
  });
});
