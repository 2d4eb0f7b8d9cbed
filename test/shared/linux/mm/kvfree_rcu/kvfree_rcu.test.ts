/** kfree_rcu(): which head, which path, which contexts. */
import { describe, expect, test } from "vitest";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import {
  kfree_rcu,
  kfree_rcu_mightsleep,
  kvfree_rcu,
  kvfree_rcu_mightsleep,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmalloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { vmalloc, vmalloc_nr_pages } from "../../../../../src/shared/linux/mm/vmalloc.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import { NULL, type Inner, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { krcMachine, takeAllPages } from "./krc_kit.ts";
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

describe("kfree_rcu_mightsleep", () => {
  test("takes an object without a head, into a sheaf like any other", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const a = thing(m);
    kfree_rcu_mightsleep(cpu, a);
    kfree_rcu_mightsleep(cpu, NULL);
    expect(m.placeOf(a)).toBe("rcu_sheaf");
    expect([m.count("kfree_rcu"), m.count("kfree_rcu_mightsleep")]).toEqual([1, 1]);
    kvfree_rcu_barrier(cpu);
    expect(m.placeOf(a)).toBe("freelist");
  });

  test("notes down in a page what finds no sheaf, and what kvfree() frees", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const objects = [kmalloc(cpu, 5 * PAGE_SIZE, GFP_KERNEL), vmalloc(cpu, 100), vmalloc(cpu, 5 * PAGE_SIZE)];
    for (const object of objects) kvfree_rcu_mightsleep(cpu, object);
    expect(objects.map((object) => m.placeOf(object))).toEqual(["krc", "krc", "krc"]);
    expect([m.count("krc_bulk"), m.count("krc_vmalloc"), m.count("bnodes_allocated")]).toEqual([3, 2, 2]);
    kvfree_rcu_barrier(cpu);
    expect(objects.map((object) => m.placeOf(object))).toEqual(["none", "none", "none"]);
  });

  test("without memory waits for the grace period itself: the object is free when it returns (E20)", () => {
    const { m, cpu, alloc } = krcMachine(2);
    const a = alloc();
    const giveBack = takeAllPages(cpu);
    kfree_rcu_mightsleep(cpu, a);
    expect(m.placeOf(a)).toBe("freelist");
    expect([m.count("kfree_rcu_synchronous"), m.count("krc_bulk")]).toEqual([1, 0]);
    expect(check_deferred(cpu)).toEqual([]); // Nothing is pending, so no monitor is.
    giveBack();
  });

  test("without memory, but with a page in the cache, does not wait", () => {
    const { m, cpu, alloc } = krcMachine(1, { rcu_min_cached_objs: 1 });
    const [a, b] = [alloc(), alloc()];
    kfree_rcu(cpu, a, HEAD);
    m.run(2); // Fills the cache.
    const giveBack = takeAllPages(cpu);
    kfree_rcu_mightsleep(cpu, b);
    expect([m.placeOf(b), m.count("kfree_rcu_synchronous")]).toEqual(["krc", 0]);
    giveBack();
    kvfree_rcu_barrier(cpu);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["freelist", "freelist"]);
  });

  test("may sleep, so it is a bug in a reader, with IRQs off and in an interrupt", () => {
    const m = new TestMachine();
    const [cpu] = m.cpus;
    const a = thing(m);
    rcu_read_lock(cpu);
    expect(() => kfree_rcu_mightsleep(cpu, a)).toThrow(/kfree_rcu_mightsleep: sleeps in atomic context/);
    rcu_read_unlock(cpu);
    const flags = local_irq_save(cpu);
    expect(() => kfree_rcu_mightsleep(cpu, a)).toThrow(/atomic/);
    local_irq_restore(cpu, flags);
    expect(() => m.irq(cpu, () => kfree_rcu_mightsleep(cpu, a))).toThrow(/atomic/);
  });
});

test("kvfree_rcu is kfree_rcu: a vmalloc area with a head goes onto the list, and comes back whole", () => {
  const m = new TestMachine();
  const [cpu] = m.cpus;
  const area = vmalloc(cpu, 2 * PAGE_SIZE);
  const pages = vmalloc_nr_pages(cpu);
  kvfree_rcu(cpu, area, 4088 as Inner<"object", "kvfree_rcu_head">);
  expect([m.placeOf(area), m.count("krc_bulk")]).toEqual(["krc", 0]);
  kvfree_rcu_barrier(cpu);
  expect([m.placeOf(area), vmalloc_nr_pages(cpu)]).toEqual(["none", pages - 2]);
});

test("an object that would have to be noted down twice is found: krc is a place like any other", () => {
  const { cpu, alloc } = krcMachine();
  const a = alloc();
  kfree_rcu_mightsleep(cpu, a);
  expect(() => kfree_rcu(cpu, a, HEAD)).toThrow(/krc/);
});
