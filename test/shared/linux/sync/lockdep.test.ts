import { beforeEach, describe, expect, test } from "vitest";
import { MachineBug } from "../../../../src/shared/base/verdict.ts";
import { local_irq_restore, local_irq_save } from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import {
  LC,
  LOCK_CLASSES,
  describe_held_locks,
  lock_acquire,
  lock_release,
  lockdep_assert_held,
  lockdep_check_may_sleep,
  lockdep_check_no_locks,
} from "../../../../src/shared/linux/sync/lockdep.ts";
import { local_lock, local_lock_init, local_unlock } from "../../../../src/shared/linux/sync/local_lock.ts";
import { spin_lock, spin_lock_init, spin_trylock, spin_unlock } from "../../../../src/shared/linux/sync/spinlock.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, inHardirq, inNmi, inSoftirq, room } from "../layer.ts";

let cpu: Cpu;
let flags: number;
beforeEach(() => {
  [cpu] = boot() as [Cpu];
  flags = local_irq_save(cpu); // The order is checked here, IRQ safety further down.
});
const lock = (i: number, cls: number): Ptr<"spinlock"> => {
  const l = room<"spinlock">(cpu, i);
  spin_lock_init(cpu, l, cls);
  return l;
};

test("the table is in order, and its numbers are unique", () => {
  for (const [i, c] of LOCK_CLASSES.slice(1).entries()) expect(c.order).toBeGreaterThan(LOCK_CLASSES[i]?.order ?? NaN);
  expect(new Set(LOCK_CLASSES.map((c) => c.name)).size).toBe(LOCK_CLASSES.length);
  expect(Object.keys(LC)).toEqual(LOCK_CLASSES.map((c) => c.name));
});

describe("order", () => {
  test("outer before inner is legal", () => {
    const leaf = lock(0, LC.rcu_node_leaf);
    const root = lock(1, LC.rcu_node_root);
    spin_lock(cpu, leaf);
    spin_lock(cpu, root);
    spin_unlock(cpu, leaf); // Hand over hand.
    spin_unlock(cpu, root);
    lockdep_check_no_locks(cpu, "end");
  });
  test("inner before outer is a bug that names both", () => {
    spin_lock(cpu, lock(0, LC.rcu_node_root));
    expect(() => spin_lock(cpu, lock(1, LC.rcu_node_leaf))).toThrow(/waits for rcu_node_leaf.*holds rcu_node_root/);
  });
  test("two locks of one class are a bug", () => {
    spin_lock(cpu, lock(0, LC.list_lock));
    expect(() => spin_lock(cpu, lock(1, LC.list_lock))).toThrow("lock order");
  });
  test("list_lock is not taken under a barn lock, nor the other way round", () => {
    const barn = lock(0, LC.barn);
    const list = lock(1, LC.list_lock);
    spin_lock(cpu, barn);
    expect(() => spin_lock(cpu, list)).toThrow("lock order");
    spin_unlock(cpu, barn);
  });
  test("a trylock is exempt, but counts for what follows", () => {
    const root = lock(0, LC.rcu_node_root);
    const leaf = lock(1, LC.rcu_node_leaf);
    spin_lock(cpu, root);
    expect(spin_trylock(cpu, leaf)).toBe(true);
    spin_unlock(cpu, root);
    expect(() => spin_lock(cpu, lock(2, LC.zone))).toThrow("lock order");
  });
  test("locks of an interrupted context do not count", () => {
    const inner = lock(0, LC.test_inner);
    const outer = lock(1, LC.zone);
    local_irq_restore(cpu, flags);
    spin_lock(cpu, inner);
    inHardirq(cpu, () => {
      spin_lock(cpu, outer);
      expect(describe_held_locks(cpu)).toMatch(/test_inner.*taken in task.*zone.*taken in hardirq/);
      spin_unlock(cpu, outer);
    });
    spin_unlock(cpu, inner);
  });
  test("a lock of no class is a bug", () => {
    expect(() => spin_lock(cpu, room<"spinlock">(cpu, 5))).toThrow("never initialised");
  });
});

describe("IRQ safety", () => {
  test("a class held with IRQs on must not be waited for in hardirq", () => {
    local_irq_restore(cpu, flags);
    const l = lock(0, LC.test);
    spin_lock(cpu, l);
    spin_unlock(cpu, l);
    expect(() => inHardirq(cpu, () => spin_lock(cpu, l))).toThrow(/test: hardirqs wait for it/);
  });
  test("nor the other way round, on whatever CPU", () => {
    const [, cpu1] = boot() as [Cpu, Cpu];
    const l = room<"spinlock">(cpu1, 0);
    spin_lock_init(cpu1, l, LC.test);
    inHardirq(cpu1, () => {
      spin_lock(cpu1, l);
      spin_unlock(cpu1, l);
    });
    expect(() => spin_lock(cpu1, l)).toThrow(/hardirqs wait for it/);
  });
  test("softirqs likewise", () => {
    local_irq_restore(cpu, flags);
    const l = lock(0, LC.test);
    spin_lock(cpu, l);
    spin_unlock(cpu, l);
    expect(() => inSoftirq(cpu, () => spin_lock(cpu, l))).toThrow(/softirqs wait for it/);
  });
  test("with IRQs off everywhere it is legal", () => {
    const l = lock(0, LC.test);
    spin_lock(cpu, l);
    spin_unlock(cpu, l);
    local_irq_restore(cpu, flags);
    inHardirq(cpu, () => {
      spin_lock(cpu, l);
      spin_unlock(cpu, l);
    });
  });
  test("a trylock in hardirq is legal", () => {
    local_irq_restore(cpu, flags);
    const l = lock(0, LC.test);
    spin_lock(cpu, l);
    inHardirq(cpu, () => expect(spin_trylock(cpu, l)).toBe(false));
    spin_unlock(cpu, l);
  });
});

describe("held locks", () => {
  test("lockdep_assert_held", () => {
    const l = lock(0, LC.test);
    expect(() => lockdep_assert_held(cpu, l)).toThrow("not held");
    spin_lock(cpu, l);
    lockdep_assert_held(cpu, l);
    spin_unlock(cpu, l);
    expect(() => lockdep_assert_held(cpu, l)).toThrow(MachineBug);
  });
  test("lockdep_assert_held of a local lock", () => {
    const l = room<"local_trylock">(cpu, 0);
    local_lock_init(cpu, l, LC.pcs);
    expect(() => lockdep_assert_held(cpu, l)).toThrow("not held");
    local_lock(cpu, l);
    lockdep_assert_held(cpu, l);
    local_unlock(cpu, l);
  });
  test("releasing what is not held is a bug", () => {
    expect(() => spin_unlock(cpu, lock(0, LC.test))).toThrow("does not hold");
  });
  test("a handler may not release what the interrupted code holds, nor keep a lock", () => {
    const l = lock(0, LC.test);
    const own = lock(1, LC.zone);
    spin_lock(cpu, l);
    expect(() => inNmi(cpu, () => spin_unlock(cpu, l))).toThrow(/releases test, taken in task/);
    const [fresh] = boot() as [Cpu];
    expect(() =>
      inNmi(fresh, (c) => {
        lock_acquire(c, own, LC.zone, true);
        lockdep_check_no_locks(c, "NMI returns");
      }),
    ).toThrow(/NMI returns: holds zone/);
  });
  test("the locks of the interrupted code do not count when a handler returns", () => {
    spin_lock(cpu, lock(0, LC.test));
    inNmi(cpu, () => lockdep_check_no_locks(cpu, "NMI returns"));
    expect(() => lockdep_check_no_locks(cpu, "task")).toThrow(MachineBug);
  });
  test("only sleeping locks may be held while sleeping", () => {
    lock_acquire(cpu, room(cpu, 0), LC.slab_mutex, false);
    lockdep_check_may_sleep(cpu, "sleep");
    lock_acquire(cpu, room(cpu, 1), LC.slab_lock, false);
    expect(() => lockdep_check_may_sleep(cpu, "sleep")).toThrow(/sleep in atomic context.*slab_lock/);
  });
  test("the stack of held locks is bounded", () => {
    const grow = (): void => {
      for (let i = 0; i < 100; i++) lock_acquire(cpu, room(cpu, i), LC.test, true);
    };
    expect(grow).toThrow("too many locks");
  });
  test("release in any order", () => {
    for (const i of [0, 1, 2]) lock_acquire(cpu, room(cpu, i), LC.test, true);
    lock_release(cpu, room(cpu, 1));
    lock_release(cpu, room(cpu, 0));
    expect(describe_held_locks(cpu)).toContain(String(room(cpu, 2)));
    lock_release(cpu, room(cpu, 2));
    expect(describe_held_locks(cpu)).toBe("no locks held");
  });
});
