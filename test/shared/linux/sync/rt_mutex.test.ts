/** Locks that sleep with PREEMPT_RT: they exclude tasks, lose no wake-up, and say where they may not be waited for. */
import { describe, expect, test } from "vitest";
import { get, result, resultOf, set, type Operation, type Scenario } from "../../../../src/main/explore/scenario.ts";
import {
  irqs_disabled,
  local_irq_disable,
  local_irq_enable,
  preempt_count,
} from "../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import {
  local_lock,
  local_lock_init,
  local_trylock,
  local_unlock,
} from "../../../../src/shared/linux/sync/local_lock.ts";
import { LC, LOCK_CLASSES } from "../../../../src/shared/linux/sync/lockdep.ts";
import {
  raw_spin_lock_irqsave,
  raw_spin_unlock_irqrestore,
  spin_lock,
  spin_lock_init,
  spin_lock_irqsave,
  spin_trylock,
  spin_unlock,
  spin_unlock_irqrestore,
} from "../../../../src/shared/linux/sync/spinlock.ts";
import { exploreLayer, room } from "../layer.ts";

const N = 0;
const lock = (cpu: Cpu): Ptr<"spinlock"> => room(cpu, 0);
const raw = (cpu: Cpu): Ptr<"spinlock"> => room(cpu, 1);
const local = (cpu: Cpu): Ptr<"local_trylock"> => room(cpu, 2 + cpu.id);
const setup: Operation = (cpu) => {
  spin_lock_init(cpu, lock(cpu), LC.barn);
  spin_lock_init(cpu, raw(cpu), LC.krc);
  for (let id = 0; id < cpu.map.shape.cpus; id++) local_lock_init(cpu, room(cpu, 2 + id), LC.pcs);
};
const increment: Operation = (cpu) => set(cpu, N, get(cpu, N) + 1);
const spinning: Operation = (cpu) => {
  spin_lock(cpu, lock(cpu));
  increment(cpu);
  spin_unlock(cpu, lock(cpu));
};
const total = (n: number) => (cpu: Cpu) => (get(cpu, N) === n ? undefined : `lost update: ${get(cpu, N)}`);
const rt = (scenario: Omit<Scenario, "name" | "setup">): Scenario => ({
  name: "rt-lock",
  globals: { rt: 1 },
  setup,
  ...scenario,
});

describe("a spinlock_t that sleeps", () => {
  const three = { cpus: [[spinning], [spinning]], tasks: [{ cpu: 0, program: [spinning] }], check: total(3) };
  test("excludes tasks of one CPU and of others, and wakes whoever waits", () => {
    const { failure, exhausted } = exploreLayer(rt(three), { random: 200, bound: 1 });
    expect([failure?.message, exhausted]).toEqual([undefined, 1]);
  });
  test("lets its holder be preempted: an interrupted increment without it is lost", () => {
    const { failure } = exploreLayer(rt({ ...three, cpus: [[increment], [spinning]] }), { random: 200 });
    expect(failure?.message).toContain("lost update");
  });
  test("leaves IRQs and preemption on; a raw one does not", () => {
    const program: Operation = (cpu) => {
      const flags = spin_lock_irqsave(cpu, lock(cpu));
      result(cpu, 0, irqs_disabled(cpu) ? 1 : 0);
      result(cpu, 1, preempt_count(cpu));
      spin_unlock_irqrestore(cpu, lock(cpu), flags);
      const irqs = raw_spin_lock_irqsave(cpu, raw(cpu));
      result(cpu, 2, irqs_disabled(cpu) ? 1 : 0);
      result(cpu, 3, preempt_count(cpu));
      raw_spin_unlock_irqrestore(cpu, raw(cpu), irqs);
    };
    const found: number[][] = [];
    const check = (cpu: Cpu): undefined => void found.push([0, 1, 2, 3].map((i) => resultOf(cpu, i)));
    exploreLayer(rt({ cpus: [[program]], check }), { random: 1 });
    exploreLayer({ ...rt({ cpus: [[program]], check }), globals: {} }, { random: 1 });
    expect(found[0]).toEqual([0, 0, 1, 1]);
    expect(found.at(-1)).toEqual([1, 1, 1, 1]);
  });
  test("is a bug where a task may not sleep", () => {
    const program: Operation = (cpu) => {
      local_irq_disable(cpu);
      spinning(cpu);
      local_irq_enable(cpu);
    };
    const { failure } = exploreLayer(rt({ cpus: [[program]] }), { random: 1 });
    expect(failure?.message).toContain("spin_lock(barn) sleeps on PREEMPT_RT, in atomic context");
  });
  test("may be tried with IRQs off, and in an NMI is a bug", () => {
    const tries: Operation = (cpu) => {
      if (spin_trylock(cpu, lock(cpu))) spin_unlock(cpu, lock(cpu));
    };
    const off: Operation = (cpu) => {
      local_irq_disable(cpu);
      tries(cpu);
      local_irq_enable(cpu);
    };
    expect(exploreLayer(rt({ cpus: [[off], [spinning]] }), { random: 50 }).failure).toBeUndefined();
    const { failure } = exploreLayer(rt({ cpus: [[increment]], nmi: tries }), { random: 20 });
    expect(failure?.message).toContain("spin_trylock(barn) of a sleeping lock (task > nmi");
  });
  test("is what the allocator's locks are; those of RCU, timers, workqueues and kfree_rcu() are raw", () => {
    const names = LOCK_CLASSES.filter(({ sleeps_on_rt }) => sleeps_on_rt).map(({ name }) => name);
    expect(names).toEqual(["barn", "list_lock", "object_map_lock", "vmap_area", "zone"]);
  });
});

describe("a local lock", () => {
  const held: Operation = (cpu) => {
    local_lock(cpu, local(cpu));
    increment(cpu);
    local_unlock(cpu, local(cpu));
  };
  const tried: Operation = (cpu) => {
    if (!local_trylock(cpu, local(cpu))) return result(cpu, 0, 1);
    increment(cpu);
    local_unlock(cpu, local(cpu));
    return undefined;
  };
  test("excludes the tasks of its CPU, one of which waits", () => {
    const two = rt({ cpus: [[held]], tasks: [{ cpu: 0, program: [held] }], check: total(2) });
    const { failure, exhausted } = exploreLayer(two, { random: 200, bound: 2 });
    expect([failure?.message, exhausted]).toEqual([undefined, 2]);
  });
  test("can be found taken by a task, which does not happen without PREEMPT_RT", () => {
    let failed = 0;
    const check = (cpu: Cpu): undefined => void (failed += resultOf(cpu, 0));
    const two = { cpus: [[held]], tasks: [{ cpu: 0, program: [tried] }], check };
    expect(exploreLayer(rt(two), { random: 100 }).failure).toBeUndefined();
    expect(failed).toBeGreaterThan(0);
    failed = 0;
    expect(exploreLayer({ ...rt(two), globals: { preempt: 1 } }, { random: 100 }).failure).toBeUndefined();
    expect(failed).toBe(0);
  });
  test("is never taken in an NMI or a hardirq, held or not", () => {
    const check = (cpu: Cpu): string | undefined => (get(cpu, N) === 1 ? undefined : "taken in an interrupt");
    const interrupted = rt({ cpus: [[increment]], nmi: tried, irq: tried, check });
    expect(exploreLayer(interrupted, { random: 50 }).failure).toBeUndefined();
    expect(exploreLayer({ ...interrupted, globals: {} }, { random: 50 }).failure?.message).toContain("interrupt");
  });
});
