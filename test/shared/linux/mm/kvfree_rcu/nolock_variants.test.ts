/** kfree_rcu_nolock() in its three forms (spec slub 13): what each does with an object, and that barriers cover all of it. */
import { describe, expect, test } from "vitest";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { oracle_allow_nolock } from "../../../../../src/shared/cpu/oracle.ts";
import { HOOK_DEBUGOBJECTS, HOOK_KMEMLEAK } from "../../../../../src/shared/layout/debug.ts";
import { NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { IRQWORK_LATE, VARIANT_MERGED, VARIANT_RFC, VARIANT_V3 } from "../../../../../src/shared/layout/globals.ts";
import { KFREE_DRAIN_JIFFIES } from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { NolockRfcCounters } from "../../../../../src/shared/layout/nolock_rfc.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { SlabSheaf, SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import { deferred_work_barrier, kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { check_deferred } from "../../../../../src/shared/linux/mm/kvfree_rcu/check.ts";
import { krc_lock, krc_unlock } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { per_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { vmalloc } from "../../../../../src/shared/linux/mm/vmalloc.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { isPending, krcOf } from "./krc_kit.ts";
import { TestMachine, Thing, type ThingPtr } from "./machine.ts";

const { head: HEAD, rcu: RCU } = Thing.offset;
const VARIANTS = [
  ["merged", VARIANT_MERGED],
  ["v3", VARIANT_V3],
  ["rfc", VARIANT_RFC],
] as const;
/** Slots of a sheaf, globals.tiny being 1. */
const CAPACITY = 4;

type Words = ConstructorParameters<typeof TestMachine>[1];
type Cache = Ptr<"kmem_cache">;
function machine(nolock_variant: number, words: Words = {}, cpus = 1): { m: TestMachine; cpu: Cpu; s: Cache } {
  const m = new TestMachine({ cpus }, { tiny: 1, nolock_variant, ...words });
  return { m, cpu: m.cpus[0], s: kmem_cache_create(m.cpus[0], "things", Thing.size) };
}
const things = (cpu: Cpu, s: Cache, n: number): readonly ThingPtr[] =>
  Array.from({ length: n }, () => alloc_for_nolock(cpu, s) as Ptr as ThingPtr);
const area = (cpu: Cpu): ThingPtr => {
  const object = vmalloc(cpu, Thing.size) as Ptr as ThingPtr;
  oracle_allow_nolock(cpu, object);
  return object;
};
/** As in an NMI that interrupts the holder of this CPU's krc lock. */
function insideKrcLock(m: TestMachine, cpu: Cpu, code: () => void): void {
  const flags = krc_lock(cpu, krcOf(cpu));
  m.nmi(cpu, code);
  krc_unlock(cpu, krcOf(cpu), flags);
}
const withIrqsOff = (cpu: Cpu, code: () => void): void => {
  const flags = local_irq_save(cpu);
  code();
  local_irq_restore(cpu, flags);
};
const places = (m: TestMachine, objects: readonly Ptr[]): readonly string[] => objects.map((each) => m.placeOf(each));
const rfcCount = (cpu: Cpu, name: keyof typeof NolockRfcCounters.offset): number =>
  cpu.mem.peek(embedded(cpu.section, PerCpu.offset.nolock_rfc_counters), NolockRfcCounters.offset[name]);

describe.each(VARIANTS)("%s", (_, variant) => {
  test("puts objects into the sheaf, from any context", () => {
    const { m, cpu, s } = machine(variant);
    const [a, b, c] = things(cpu, s, 3);
    kfree_rcu_nolock(cpu, a, HEAD);
    m.irq(cpu, () => kfree_rcu_nolock(cpu, b, RCU));
    m.nmi(cpu, () => kfree_rcu_nolock(cpu, c, HEAD));
    expect(places(m, [a, b, c])).toEqual(["rcu_sheaf", "rcu_sheaf", "rcu_sheaf"]);
    expect([m.count("kfree_rcu_nolock"), m.count("kfree_rcu_nolock_sheaf")]).toEqual([3, 3]);
  });
  test("defers everything in a machine without batching; then it is call_rcu()'s", () => {
    const { m, cpu, s } = machine(variant, { unbatched: 1 });
    const [a] = things(cpu, s, 1);
    m.nmi(cpu, () => {
      kfree_rcu_nolock(cpu, a, RCU);
      expect(m.placeOf(a)).toBe("deferred_rcu");
    });
    cpu.mem.poll(0);
    expect([m.placeOf(a), m.count("kfree_rcu_call_rcu")]).toEqual(["krc", 1]);
    kvfree_rcu_barrier(cpu);
    expect(m.placeOf(a)).toMatch(/freelist|sheaf/);
  });
  test.each([0, IRQWORK_LATE])("a barrier leaves nothing behind (irqwork mode %i)", (irqwork_mode) => {
    const { m, cpu, s } = machine(variant, { irqwork_mode }, 2);
    const objects = things(cpu, s, 3 * CAPACITY);
    for (const [i, object] of objects.entries()) {
      const free = (on: Cpu): void => kfree_rcu_nolock(on, object, HEAD);
      if (i % 3 === 0) m.nmi(m.cpus[i % 2], () => free(m.cpus[i % 2]));
      else if (i % 3 === 1) insideKrcLock(m, cpu, () => free(cpu));
      else free(m.cpus[1]);
    }
    kvfree_rcu_barrier(cpu);
    for (const place of places(m, objects)) expect(place).toMatch(/^(freelist|sheaf)$/);
    m.run(3);
    expect(check_deferred(cpu)).toEqual([]);
  });
});

describe.each(VARIANTS.filter(([name]) => name !== "rfc"))("%s", (_, variant) => {
  test("defers a sheaf that it fills with IRQs off, and passes it to call_rcu() with IRQs on", () => {
    const { m, cpu, s } = machine(variant);
    const objects = things(cpu, s, CAPACITY);
    withIrqsOff(cpu, () => {
      for (const thing of objects) kfree_rcu_nolock(cpu, thing, HEAD);
      expect([m.count("rcu_sheaves_deferred"), m.count("rcu_sheaves_called")]).toEqual([1, 0]);
    });
    for (const thing of things(cpu, s, CAPACITY)) kfree_rcu_nolock(cpu, thing, HEAD);
    expect([m.count("rcu_sheaves_deferred"), m.count("rcu_sheaves_called")]).toEqual([1, 1]);
  });
});

describe("objects for which there is no local sheaf", () => {
  test.each([
    ["merged", VARIANT_MERGED, "deferred_rcu"],
    ["v3", VARIANT_V3, "rcu_sheaf"], // and so memory of one node gets into the barn of another
    ["rfc", VARIANT_RFC, "krc"],
  ])("%s: of another node", (_, nolock_variant, place) => {
    const m = new TestMachine({ cpus: 2, nodes: 2 }, { nolock_variant });
    const [cpu0, cpu1] = m.cpus;
    const remote = kmalloc_nolock(cpu1, Thing.size, 0, NUMA_NO_NODE) as Ptr as ThingPtr;
    withIrqsOff(cpu0, () => {
      kfree_rcu_nolock(cpu0, remote, HEAD);
      expect(m.placeOf(remote)).toBe(place);
    });
  });
  test.each([
    ["merged", VARIANT_MERGED, "deferred_rcu"],
    ["rfc", VARIANT_RFC, "krc"],
  ])("%s: a vmalloc area", (_, variant, place) => {
    const { m, cpu } = machine(variant);
    const object = area(cpu);
    withIrqsOff(cpu, () => {
      kfree_rcu_nolock(cpu, object, HEAD);
      expect(m.placeOf(object)).toBe(place);
    });
    kvfree_rcu_barrier(cpu);
    expect(m.placeOf(object)).toBe("none");
  });
  test("v3: a vmalloc area draws a warning, and nothing but", () => {
    const { cpu } = machine(VARIANT_V3);
    const object = area(cpu);
    expect(() => kfree_rcu_nolock(cpu, object, HEAD)).toThrow(
      /WARNING: kfree_rcu_nolock\(\) of \d+, which is on no slab/,
    );
    const { m, cpu: tolerant } = machine(VARIANT_V3, { panic_on_warn: 0 });
    const other = area(tolerant);
    kfree_rcu_nolock(tolerant, other, HEAD);
    kvfree_rcu_barrier(tolerant);
    expect(m.placeOf(other)).toBe("none");
  });
});

describe("rfc", () => {
  const rcuFree = (cpu: Cpu, s: Cache): Ptr<"slab_sheaf"> =>
    cpu.mem.peek(per_cpu_sheaves(cpu, s, cpu.id), SlubPercpuSheaves.offset.rcu_free);

  test("never fills a sheaf: the last place is left to kfree_rcu(), which submits it", () => {
    const { m, cpu, s } = machine(VARIANT_RFC);
    const objects = things(cpu, s, CAPACITY + 1);
    for (const object of objects) kfree_rcu_nolock(cpu, object, HEAD);
    expect(places(m, objects)).toEqual(["rcu_sheaf", "rcu_sheaf", "rcu_sheaf", "krc", "krc"]);
    expect(cpu.mem.peek(rcuFree(cpu, s), SlabSheaf.offset.size)).toBe(CAPACITY - 1);
    expect([rfcCount(cpu, "sheaf_kept"), rfcCount(cpu, "linked")]).toEqual([2, 2]);
    const [last] = things(cpu, s, 1);
    kfree_rcu(cpu, last, HEAD);
    expect([rcuFree(cpu, s), m.placeOf(last), m.count("rcu_sheaves_called")]).toEqual([NULL, "rcu_sheaf", 1]);
  });
  /** Fills the sheaf as far as this variant does. @returns one more object. */
  function oneMore(cpu: Cpu, s: Cache): ThingPtr {
    for (const object of things(cpu, s, CAPACITY - 1)) kfree_rcu_nolock(cpu, object, HEAD);
    return things(cpu, s, 1)[0];
  }
  test("the monitor is armed by the next tick, not before", () => {
    const { m, cpu, s } = machine(VARIANT_RFC);
    const object = oneMore(cpu, s);
    m.nmi(cpu, () => kfree_rcu_nolock(cpu, object, HEAD));
    cpu.mem.poll(0);
    expect([m.placeOf(object), isPending(cpu, "monitor_work")]).toEqual(["krc", false]);
    expect(check_deferred(cpu)).toEqual(["CPU 0: 1 in krc, monitor pending"]); // It is on its way.
    m.tick();
    expect(isPending(cpu, "monitor_work")).toBe(true);
    expect([rfcCount(cpu, "monitor_armed"), rfcCount(cpu, "stranded_objects")]).toEqual([1, 1]);
    expect(rfcCount(cpu, "waited_jiffies")).toBe(1);
    m.run(KFREE_DRAIN_JIFFIES + 20); // The monitor, and a grace period.
    expect(m.placeOf(object)).toMatch(/freelist|sheaf/);
  });
  test("a monitor that is pending already makes the irq_work needless", () => {
    const { m, cpu, s } = machine(VARIANT_RFC);
    const object = oneMore(cpu, s);
    kfree_rcu_nolock(cpu, object, HEAD);
    m.tick();
    kfree_rcu_nolock(cpu, things(cpu, s, 1)[0], HEAD);
    m.tick();
    expect(
      ["monitor_runs", "monitor_armed", "monitor_needless"].map((name) => rfcCount(cpu, name as "linked")),
    ).toEqual([2, 1, 1]);
  });
  test("one that finds krc empty arms nothing", () => {
    const { m, cpu, s } = machine(VARIANT_RFC);
    kfree_rcu_nolock(cpu, oneMore(cpu, s), HEAD);
    const [other] = things(cpu, s, 1);
    kvfree_rcu_barrier(cpu);
    kfree_rcu_nolock(cpu, other, HEAD);
    expect(m.placeOf(other)).toBe("rcu_sheaf");
    m.run(2);
    expect([isPending(cpu, "monitor_work"), check_deferred(cpu)]).toEqual([false, []]);
  });
  test("if the krc lock is held, the irq_work frees", () => {
    const { m, cpu, s } = machine(VARIANT_RFC);
    const object = oneMore(cpu, s);
    insideKrcLock(m, cpu, () => {
      kfree_rcu_nolock(cpu, object, HEAD);
      expect(m.placeOf(object)).toBe("deferred_rcu");
      expect(check_deferred(cpu)).toContain("CPU 0: 1 on the deferred list of krc, work pending");
    });
    expect(m.placeOf(object)).toBe("rcu_sheaf"); // kvfree_call_rcu() fills the sheaf.
    expect([rfcCount(cpu, "trylock_failed"), m.count("deferred_objects_by_rcu")]).toEqual([1, 1]);
  });
  test.each([
    ["kmemleak", HOOK_KMEMLEAK],
    ["debugobjects", HOOK_DEBUGOBJECTS],
  ])("with %s everything is deferred", (_, hooks) => {
    const { m, cpu, s } = machine(VARIANT_RFC, { hooks });
    const [object] = things(cpu, s, 1);
    m.nmi(cpu, () => {
      kfree_rcu_nolock(cpu, object, HEAD);
      expect(m.placeOf(object)).toBe("deferred_rcu");
    });
  });
  test("deferred_work_barrier() waits for the lazy irq_work", () => {
    const { cpu, s } = machine(VARIANT_RFC);
    kfree_rcu_nolock(cpu, oneMore(cpu, s), HEAD);
    expect(isPending(cpu, "monitor_work")).toBe(false);
    deferred_work_barrier(cpu);
    expect(isPending(cpu, "monitor_work")).toBe(true);
  });
});
