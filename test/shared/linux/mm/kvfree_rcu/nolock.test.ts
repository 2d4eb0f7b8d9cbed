/** kfree_rcu_nolock(): the sheaf, or else the deferred list; legal everywhere. */
import { describe, expect, test } from "vitest";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmalloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { NULL, type Inner, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD, rcu: RCU } = Thing.offset;
const thing = (m: TestMachine, cpu = m.cpus[0]): ThingPtr =>
  kmalloc_nolock(cpu, Thing.size, 0, NUMA_NO_NODE) as Ptr as ThingPtr;

describe("kfree_rcu_nolock", () => {
  test("takes either kind of head; NULL, which kmalloc_nolock may have returned, is ignored", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const [a, b] = [thing(m), thing(m)];
    kfree_rcu_nolock(cpu, a, HEAD);
    kfree_rcu_nolock(cpu, b, RCU);
    kfree_rcu_nolock(cpu, NULL as ThingPtr, HEAD);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["rcu_sheaf", "rcu_sheaf"]);
    expect(m.count("kfree_rcu_nolock")).toBe(2);
    expect(m.count("kfree_rcu_nolock_sheaf")).toBe(2);
    kvfree_rcu_barrier(cpu);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["freelist", "freelist"]);
  });

  test("without a head is refused at run time too", () => {
    const m = new TestMachine();
    const a = thing(m);
    const absent = undefined as unknown as typeof HEAD;
    expect(() => kfree_rcu_nolock(m.cpus[0], a, absent)).toThrow(/kfree_rcu_nolock\(\): needs the offset of a head/);
    expect(() => kfree_rcu_nolock(m.cpus[0], a, 4096 as typeof HEAD)).toThrow(/below 4096/);
  });

  test("works in every context: task, IRQs off, hardirq, NMI", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const things = [thing(m), thing(m), thing(m), thing(m)];
    kfree_rcu_nolock(cpu, things[0], HEAD);
    const flags = local_irq_save(cpu);
    kfree_rcu_nolock(cpu, things[1], HEAD);
    local_irq_restore(cpu, flags);
    m.irq(cpu, () => kfree_rcu_nolock(cpu, things[2], HEAD));
    m.nmi(cpu, () => kfree_rcu_nolock(cpu, things[3], HEAD));
    kvfree_rcu_barrier(cpu);
    expect(things.map((a) => m.placeOf(a))).toEqual(["freelist", "freelist", "freelist", "freelist"]);
    expect(check_deferred(cpu)).toEqual([]);
  });

  test.each(["call_rcu_enqueue", "barn_lock_held", "local_trylock_acquired", "krc_lock_held"] as const)(
    "from an NMI at %s",
    (point) => {
      const m = new TestMachine({}, { tiny: 1 });
      const [cpu] = m.cpus;
      const others = Array.from({ length: 16 }, () => kmalloc(cpu, Thing.size, GFP_KERNEL) as Ptr as ThingPtr);
      const a = thing(m);
      let hit = false;
      m.nmiAt(cpu, POINT[point], () => {
        hit = true;
        kfree_rcu_nolock(cpu, a, HEAD);
      });
      for (const other of others) kfree_rcu(cpu, other, HEAD);
      m.run(20); // Full sheaves go to the barn.
      kfree_rcu(cpu, kmalloc(cpu, 5 * PAGE_SIZE, GFP_KERNEL), 0 as Inner<"object", "kvfree_rcu_head">);
      expect(hit).toBe(true);
      kvfree_rcu_barrier(cpu);
      expect(m.placeOf(a)).not.toMatch(/rcu|deferred|krc|user/);
      expect(check_deferred(cpu)).toEqual([]);
    },
  );

  test("defers objects of another node: they must not enter a local sheaf", () => {
    const m = new TestMachine({ cpus: 2, nodes: 2 });
    const [cpu0, cpu1] = m.cpus;
    const remote = thing(m, cpu1);
    const flags = local_irq_save(cpu0);
    kfree_rcu_nolock(cpu0, remote, HEAD);
    expect(m.placeOf(remote)).toBe("deferred_rcu");
    local_irq_restore(cpu0, flags);
    expect(m.placeOf(remote)).toBe("krc");
  });

  test("an object freed twice is found at the second free", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const a = thing(m);
    kfree_rcu_nolock(cpu, a, HEAD);
    expect(() => kfree_rcu_nolock(cpu, a, HEAD)).toThrow(/rcu_sheaf/);
  });
});
