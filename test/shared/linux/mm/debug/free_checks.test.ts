/** The checks of frees alone: a lock in freed memory, an access to it. */
import { describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { HOOK_KCSAN, HOOK_LOCKS_FREED } from "../../../../../src/shared/layout/debug.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { SLAB_TYPESAFE_BY_RCU } from "../../../../../src/shared/layout/slab_flags.ts";
import { debug_check } from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import { kcsan_begin_scoped_access, kcsan_end_scoped_access } from "../../../../../src/shared/linux/mm/debug/kcsan.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { LC } from "../../../../../src/shared/linux/sync/lockdep.ts";
import { spin_lock, spin_lock_init, spin_unlock } from "../../../../../src/shared/linux/sync/spinlock.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const machine = (hooks: number): readonly Cpu[] => new TestMachine({ cpus: 2 }, { hooks }).cpus;
const nolock = (cpu: Cpu, bytes = 64): Ptr => kmalloc_nolock(cpu, bytes, 0, NUMA_NO_NODE);

describe("debug_check_no_locks_freed", () => {
  const locked = (cpu: Cpu, object: Ptr, at: number): Ptr<"spinlock"> => {
    const lock = (object + at) as Ptr<"spinlock">;
    spin_lock_init(cpu, lock, LC.test);
    spin_lock(cpu, lock);
    return lock;
  };
  test.each([
    [64, 0],
    [64, 56],
    [20_000, 19_000],
  ])("kfree() of %i bytes with a held lock at +%i", (bytes, at) => {
    const [cpu] = machine(HOOK_LOCKS_FREED);
    const object = kmalloc(cpu, bytes, GFP_KERNEL);
    const lock = locked(cpu, object, at);
    expect(() => kfree(cpu, object)).toThrow(
      `held lock freed: 0x${lock.toString(16)} in object 0x${object.toString(16)}`,
    );
    spin_unlock(cpu, lock);
    kfree(cpu, object);
  });
  test("a lock in a neighbour is none of its business", () => {
    const [cpu] = machine(HOOK_LOCKS_FREED);
    const [a, b, c] = [0, 1, 2].map(() => kmalloc(cpu, 64, GFP_KERNEL)).toSorted((x, y) => x - y);
    expect([b - a, c - b]).toEqual([64, 64]);
    locked(cpu, b, 0);
    kfree(cpu, a);
    kfree(cpu, c);
  });
  test("kfree_nolock() does not look, and neither does kfree() with the facility off", () => {
    const [cpu] = machine(HOOK_LOCKS_FREED);
    const object = nolock(cpu);
    locked(cpu, object, 0);
    kfree_nolock(cpu, object);
    const [other] = machine(0);
    const second = kmalloc(other, 64, GFP_KERNEL);
    locked(other, second, 0);
    kfree(other, second);
  });
});

describe("__kcsan_check_access", () => {
  test("an object that another CPU accesses is freed", () => {
    const [cpu, other] = machine(HOOK_KCSAN);
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    const outer = kcsan_begin_scoped_access(other, (object + 56) as Ptr);
    expect(() => kfree(cpu, object)).toThrow(/KCSAN: race: CPU 1 accesses 0x[0-9a-f]+, which CPU 0 frees \(task/);
    kcsan_end_scoped_access(other, outer);
    kfree(cpu, object);
  });
  test("an interrupt puts back the access of what it has interrupted", () => {
    const [cpu, other] = machine(HOOK_KCSAN);
    const [a, b] = [kmalloc(cpu, 64, GFP_KERNEL), kmalloc(cpu, 64, GFP_KERNEL)];
    const task = kcsan_begin_scoped_access(cpu, a);
    const irq = kcsan_begin_scoped_access(cpu, b);
    kcsan_end_scoped_access(cpu, irq);
    kfree(other, b);
    expect(() => kfree(other, a)).toThrow(/KCSAN: race: CPU 0/);
    expect(debug_check(cpu, new Map())).toEqual([`kcsan: CPU 0 has not ended its access to 0x${a.toString(16)}`]);
    kcsan_end_scoped_access(cpu, task);
    expect(debug_check(cpu, new Map())).toEqual([]);
  });
  test("after a grace period that was too short for a reader", () => {
    const [cpu, other] = machine(HOOK_KCSAN);
    const object = kmalloc(cpu, 64, GFP_KERNEL) as Ptr as ThingPtr;
    kfree_rcu(cpu, object, Thing.offset.head);
    kcsan_begin_scoped_access(other, object); // Without rcu_read_lock().
    expect(() => kvfree_rcu_barrier(cpu)).toThrow(/KCSAN: race: CPU 1/);
  });
  test("readers may access objects of a typesafe cache", () => {
    const [cpu, other] = machine(HOOK_KCSAN);
    const s = kmem_cache_create(cpu, "typesafe", 64, { flags: SLAB_TYPESAFE_BY_RCU });
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    kcsan_begin_scoped_access(other, object);
    kmem_cache_free(cpu, s, object);
  });
  test("kfree_nolock() does not look; off, there is nothing to look at", () => {
    const [cpu, other] = machine(HOOK_KCSAN);
    const object = nolock(cpu);
    kcsan_begin_scoped_access(other, object);
    kfree_nolock(cpu, object);
    const [off] = machine(0);
    expect(kcsan_begin_scoped_access(off, object)).toBe(NULL);
    kcsan_end_scoped_access(off, object);
  });
});
