/** kfree_rcu(): which head, which path, which contexts. */
import { describe, expect, test } from "vitest";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu, kvfree_call_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmalloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import { NULL, type Inner, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD, rcu: RCU } = Thing.offset;
const thing = (m: TestMachine, cpu = m.cpus[0]): ThingPtr => kmalloc(cpu, Thing.size, GFP_KERNEL) as Ptr as ThingPtr;

describe("kfree_rcu", () => {
  test("takes either kind of head, and the object comes back after the barrier", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const a = thing(m);
    const b = thing(m);
    kfree_rcu(cpu, a, HEAD);
    kfree_rcu(cpu, b, RCU);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["rcu_sheaf", "rcu_sheaf"]);
    kvfree_rcu_barrier(cpu);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["freelist", "freelist"]);
    expect(m.count("kfree_rcu")).toBe(2);
    expect(m.count("kfree_rcu_sheaf")).toBe(2);
    expect(m.count("kfree_rcu_krc")).toBe(0);
  });

  test("does nothing with NULL", () => {
    const m = new TestMachine();
    kfree_rcu(m.cpus[0], NULL as ThingPtr, HEAD);
    expect(m.count("kfree_rcu")).toBe(0);
  });

  test("refuses an offset from which the start could not be found, and the form without one", () => {
    const m = new TestMachine();
    const a = thing(m);
    const [cpu] = m.cpus;
    expect(() => kfree_rcu(cpu, a, PAGE_SIZE as typeof HEAD)).toThrow(/offset of a head .* below 4096, not 4096/);
    expect(() => kfree_rcu(cpu, a, undefined as unknown as typeof HEAD)).toThrow(/offset of a head .* not undefined/);
    expect(() => kfree_rcu(cpu, a, -8 as typeof HEAD)).toThrow(MachineBug);
    kfree_rcu(cpu, a, HEAD);
  });

  test("gives a large kmalloc, which is on no slab, to krc", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const large = kmalloc(cpu, 5 * PAGE_SIZE, GFP_KERNEL);
    const field = 4088 as Inner<"object", "kvfree_rcu_head">;
    kfree_rcu(cpu, large, field);
    expect(m.placeOf(large)).toBe("krc");
    kvfree_rcu_barrier(cpu);
    expect(m.placeOf(large)).toBe("none");
    expect(m.count("krc_freed")).toBe(1);
  });

  test("gives an object of another node to krc", () => {
    const m = new TestMachine({ cpus: 2, nodes: 2 });
    const [cpu0, cpu1] = m.cpus;
    const remote = thing(m, cpu1);
    kfree_rcu(cpu0, remote, HEAD);
    expect(m.placeOf(remote)).toBe("krc");
    kvfree_rcu_barrier(cpu0);
    expect(m.placeOf(remote)).toBe("freelist");
  });

  test("works in hardirq and with IRQs off, and leaves them off", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const [a, b] = [thing(m), thing(m)];
    m.irq(cpu, () => kfree_rcu(cpu, a, HEAD));
    const flags = local_irq_save(cpu);
    kfree_rcu(cpu, b, HEAD);
    local_irq_restore(cpu, flags);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["rcu_sheaf", "rcu_sheaf"]);
  });

  test("is a bug in NMI, and says which function is not", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const a = thing(m);
    expect(() => m.nmi(cpu, () => kfree_rcu(cpu, a, HEAD))).toThrow(/only kfree_rcu_nolock.*nmi/s);
  });

  test("an object freed twice is found at the second free", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const a = thing(m);
    kfree_rcu(cpu, a, HEAD);
    expect(() => kfree_rcu(cpu, a, HEAD)).toThrow(/rcu_sheaf/);
  });
});

test("kvfree_call_rcu without a head is a bug: there is no form that sleeps", () => {
  const m = new TestMachine();
  expect(() => kvfree_call_rcu(m.cpus[0], NULL, thing(m))).toThrow(/without a head/);
});
