import { describe, expect, test } from "vitest";
import { MachineBug } from "../../../../src/shared/base/verdict.ts";
import { irqs_disabled, local_irq_restore, local_irq_save, preempt_count } from "../../../../src/shared/cpu/context.ts";
import { per_cpu_ptr, type Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { CpuCounters, CpuPending, P_IRQ } from "../../../../src/shared/layout/cpu.ts";
import { Globals } from "../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../src/shared/layout/percpu.ts";
import { POINT } from "../../../../src/shared/layout/points.ts";
import { Spinlock } from "../../../../src/shared/layout/types.ts";
import { LC } from "../../../../src/shared/linux/sync/lockdep.ts";
import {
  assert_spin_locked,
  spin_is_locked,
  spin_lock,
  spin_lock_init,
  spin_lock_irq,
  spin_lock_irqsave,
  spin_trylock,
  spin_trylock_irqsave,
  spin_unlock,
  spin_unlock_irq,
  spin_unlock_irqrestore,
} from "../../../../src/shared/linux/sync/spinlock.ts";
import { element, type Ptr } from "../../../../src/shared/mem/struct.ts";
import { boot, exploreLayer, inHardirq, inNmi, inSoftirq, room } from "../layer.ts";

const { pending: PENDING } = PerCpu.offset;
const { val: VAL } = Spinlock.offset;
function fresh(cls: number = LC.test): { cpu: Cpu; other: Cpu; lock: Ptr<"spinlock"> } {
  const [cpu, other] = boot() as [Cpu, Cpu];
  const lock = room<"spinlock">(cpu, 0);
  spin_lock_init(cpu, lock, cls);
  return { cpu, other, lock };
}

test("val is the owner; a holder is not preemptible", () => {
  const { cpu, other, lock } = fresh();
  spin_lock(other, lock);
  expect(cpu.mem.read_once(lock, VAL)).toBe(other.id + 1);
  expect(spin_is_locked(cpu, lock)).toBe(true);
  expect(preempt_count(other)).toBe(1);
  assert_spin_locked(other, lock);
  expect(() => assert_spin_locked(cpu, lock)).toThrow(MachineBug);
  spin_unlock(other, lock);
  expect(spin_is_locked(cpu, lock)).toBe(false);
  expect(preempt_count(other)).toBe(0);
});

test("spin_trylock", () => {
  const { cpu, other, lock } = fresh();
  expect(spin_trylock(other, lock)).toBe(true);
  expect(spin_trylock(cpu, lock)).toBe(false);
  expect(preempt_count(cpu)).toBe(0);
  spin_unlock(other, lock);
  expect(spin_trylock(cpu, lock)).toBe(true);
});

test("IRQ variants save, restore and report", () => {
  const { cpu, other, lock } = fresh();
  const flags = spin_lock_irqsave(cpu, lock);
  expect(irqs_disabled(cpu)).toBe(true);
  expect(spin_trylock_irqsave(other, lock)).toBe(-1);
  expect(irqs_disabled(other)).toBe(false);
  spin_unlock_irqrestore(cpu, lock, flags);
  expect(irqs_disabled(cpu)).toBe(false);

  const outer = local_irq_save(cpu);
  const inner = spin_trylock_irqsave(cpu, lock);
  expect(inner).not.toBe(-1);
  spin_unlock_irqrestore(cpu, lock, inner);
  expect(irqs_disabled(cpu)).toBe(true);
  local_irq_restore(cpu, outer);

  spin_lock_irq(cpu, lock);
  expect(irqs_disabled(cpu)).toBe(true);
  spin_unlock_irq(cpu, lock);
  expect(irqs_disabled(cpu)).toBe(false);
  expect(preempt_count(cpu)).toBe(0);
});

describe("contexts", () => {
  test.each([
    ["softirq", inSoftirq],
    ["hardirq", inHardirq],
  ] as const)("spin_lock is legal in %s", (_, run) => {
    const { cpu, lock } = fresh();
    run(cpu, () => {
      spin_lock(cpu, lock);
      spin_unlock(cpu, lock);
    });
  });
  test("spin_lock in NMI is a bug, free or not", () => {
    const { cpu, lock } = fresh();
    expect(() => inNmi(cpu, () => spin_lock(cpu, lock))).toThrow(/spins in NMI: test .*task > nmi/);
  });
  test("spin_trylock in NMI is legal", () => {
    const { cpu, lock } = fresh();
    spin_lock(cpu, lock);
    inNmi(cpu, () => expect(spin_trylock(cpu, lock)).toBe(false));
    spin_unlock(cpu, lock);
    inNmi(cpu, () => {
      expect(spin_trylock(cpu, lock)).toBe(true);
      spin_unlock(cpu, lock);
    });
  });
  test("waiting for the interrupted code is a bug that names both contexts", () => {
    const { cpu, lock } = fresh();
    expect(spin_trylock(cpu, lock)).toBe(true);
    cpu.mem.poke(cpu.globals, element(Globals.offset.lockdep_usage, LC.test), 0); // Else the IRQ check is faster.
    const deadlock = (): void => inHardirq(cpu, () => spin_lock(cpu, lock));
    expect(deadlock).toThrow(/(self-deadlock: test .*taken in task context.*hardirq)/);
  });
  test("releasing somebody else's lock is a bug", () => {
    const { cpu, other, lock } = fresh();
    spin_lock(other, lock);
    expect(() => spin_unlock(cpu, lock)).toThrow("does not hold");
  });
});

test("trylocks fail for no reason as often as globals.spurious says", () => {
  const { cpu, lock } = fresh();
  cpu.mem.poke(cpu.globals, Globals.offset.spurious, 0x80000000 | 0);
  let obtained = 0;
  for (let i = 0; i < 400; i++) {
    if (!spin_trylock(cpu, lock)) continue;
    obtained++;
    spin_unlock(cpu, lock);
  }
  expect(obtained).toBeGreaterThan(120);
  expect(obtained).toBeLessThan(280);
  expect(preempt_count(cpu)).toBe(0);
});

test.each([
  ["test", "spin_lock_held"],
  ["barn", "barn_lock_held"],
  ["list_lock", "list_lock_held"],
  ["zone", "zone_lock_held"],
  ["krc", "krc_lock_held"],
] as const)("class %s visits point %s", (cls, name) => {
  const { cpu, lock } = fresh(LC[cls]);
  const visits = (): number => cpu.mem.peek(cpu.counters, element(CpuCounters.offset.points_visited, POINT[name]));
  spin_lock(cpu, lock);
  spin_unlock(cpu, lock);
  expect(spin_trylock(cpu, lock)).toBe(true);
  spin_unlock(cpu, lock);
  expect(visits()).toBe(2);
});

describe("interleaved", () => {
  const INSIDE = 10;
  const COUNT = 11;
  const section = (cpu: Cpu): void => {
    const inside = room(cpu, INSIDE);
    if (cpu.mem.load_word(inside) !== 0) throw new MachineBug(cpu.id, "two inside");
    cpu.mem.store_word(inside, cpu.id + 1);
    cpu.mem.store_word(room(cpu, COUNT), cpu.mem.load_word(room(cpu, COUNT)) + 1);
    cpu.mem.store_word(inside, 0);
  };
  const locked = (cpu: Cpu): void => {
    const lock = room<"spinlock">(cpu, 0);
    spin_lock(cpu, lock);
    section(cpu);
    spin_unlock(cpu, lock);
  };
  const lockedIrqsave = (cpu: Cpu): void => {
    const lock = room<"spinlock">(cpu, 0);
    const flags = spin_lock_irqsave(cpu, lock);
    section(cpu);
    spin_unlock_irqrestore(cpu, lock, flags);
  };
  const setup = (cpu: Cpu): void => {
    spin_lock_init(cpu, room(cpu, 0), LC.test);
    spin_lock_init(cpu, room(cpu, 1), LC.test_inner);
  };
  const sections =
    (n: number) =>
    (cpu: Cpu): string | undefined => {
      const count = cpu.mem.load_word(room(cpu, COUNT));
      return count === n ? undefined : `${count} sections, not ${n}`;
    };

  test("three CPUs exclude each other, and no parked waiter is forgotten", () => {
    const { failure, exhausted } = exploreLayer(
      { name: "three lockers", setup, cpus: [[locked, locked], [locked], [locked]], check: sections(4) },
      { bound: 2, exhaustive: 40_000 },
    );
    expect(failure).toBeUndefined();
    expect(exhausted).toBe(2);
  });
  test("a waiter whose interrupt parks for another lock wakes up for its own", () => {
    const inner = (cpu: Cpu): void => {
      const flags = spin_lock_irqsave(cpu, room(cpu, 1));
      cpu.mem.store_word(room(cpu, 12), cpu.id);
      spin_unlock_irqrestore(cpu, room(cpu, 1), flags);
    };
    const { failure, exhausted } = exploreLayer(
      {
        name: "nested park",
        setup: (cpu) => {
          setup(cpu);
          cpu.mem.poke(per_cpu_ptr(cpu, PENDING, 0), CpuPending.offset.bits, P_IRQ);
        },
        cpus: [[locked], [locked], [inner]],
        irq: inner,
        check: (cpu) => {
          for (let id = 0; id < 3; id++) {
            const waits_for = cpu.mem.read_once(per_cpu_ptr(cpu, PENDING, id), CpuPending.offset.waits_for);
            if (waits_for !== 0) return `CPU ${id} still waits for ${waits_for}`;
          }
          return sections(2)(cpu);
        },
      },
      { bound: 1, random: 200 },
    );
    expect(failure).toBeUndefined();
    expect(exhausted).toBe(1);
  });
  test("NMIs may try what the interrupted code holds or waits for", () => {
    const { failure } = exploreLayer({
      name: "trylock in NMI",
      setup,
      cpus: [[lockedIrqsave], [lockedIrqsave]],
      nmi: (cpu) => {
        const lock = room<"spinlock">(cpu, 0);
        if (!spin_trylock(cpu, lock)) return;
        section(cpu);
        cpu.mem.store_word(room(cpu, COUNT), cpu.mem.load_word(room(cpu, COUNT)) - 1);
        spin_unlock(cpu, lock);
      },
      nmis: 2,
      check: sections(2),
    });
    expect(failure).toBeUndefined();
  });
  test("an NMI that spins is found", () => {
    const { failure } = exploreLayer({
      name: "spin in NMI",
      setup,
      cpus: [[locked], [locked]],
      nmi: locked,
      nmis: 1,
    });
    expect(failure?.message).toContain("spins in NMI");
  });
  test("locks taken in two orders: a bug on the first CPU that does it, no deadlock needed", () => {
    const both =
      (first: number, second: number) =>
      (cpu: Cpu): void => {
        spin_lock(cpu, room(cpu, first));
        spin_lock(cpu, room(cpu, second));
        spin_unlock(cpu, room(cpu, second));
        spin_unlock(cpu, room(cpu, first));
      };
    const { failure } = exploreLayer({ name: "AB and BA", setup, cpus: [[both(0, 1)], [both(1, 0)]] });
    expect(failure?.message).toContain("lock order");
  });
});
