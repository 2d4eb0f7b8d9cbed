/** The checks of a machine at rest: silent when it is, and each thing that is left is named. */
import { describe, expect, test } from "vitest";
import { MachineBug } from "../../src/shared/base/verdict.ts";
import { local_bh_disable, local_irq_save, preempt_disable } from "../../src/shared/cpu/context.ts";
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { run_items } from "../../src/shared/cpu/sched.ts";
import { CB } from "../../src/shared/layout/callbacks.ts";
import { GFP_KERNEL } from "../../src/shared/layout/gfp.ts";
import { Globals } from "../../src/shared/layout/globals.ts";
import { PerCpu } from "../../src/shared/layout/percpu.ts";
import { TortureCpu, TortureGlobals } from "../../src/shared/layout/torture.ts";
import { RcuHead } from "../../src/shared/layout/types.ts";
import {
  call_rcu,
  init_irq_work,
  init_work,
  irq_work_queue,
  kfree,
  kfree_rcu,
  kmalloc,
  kmem_cache_create,
  LC,
  memalloc_noreclaim_save,
  queue_work_on,
  rcu_read_lock,
  spin_lock_init,
  start_poll_synchronize_rcu,
} from "../../src/shared/linux/api.ts";
import { nr_cached_bnodes } from "../../src/shared/linux/mm/kvfree_rcu/page_cache.ts";
import { kfree_rcu_shrink_count } from "../../src/shared/linux/mm/kvfree_rcu/shrinker.ts";
import { spin_lock } from "../../src/shared/linux/sync/spinlock.ts";
import { O_FREELIST, O_KRC, O_SHEAF, O_TRANSIT, O_USER } from "../../src/shared/mem/oracle.ts";
import { embedded, struct, type Ptr } from "../../src/shared/mem/struct.ts";
import { check_at_rest, wait_until_at_rest } from "../../src/workers/at_rest.ts";
import { check_places } from "../../src/workers/oracle_account.ts";
import { check_quiescence, take_account } from "../../src/workers/quiescence.ts";
import { TestMachine } from "../shared/linux/mm/kvfree_rcu/machine.ts";

const Thing = struct("thing", { rcu: RcuHead });
/** An object that finds no sheaf. */
function kfree_call_by_krc(cpu: Cpu): void {
  const object = kmalloc(cpu, 16 << 10, GFP_KERNEL) as Ptr as Ptr<"thing">;
  kfree_rcu(cpu, object, Thing.offset.rcu);
}

/** A machine that has worked and come to rest. */
function restingMachine(): { machine: TestMachine; cpu: Cpu; other: Cpu } {
  const machine = new TestMachine({ cpus: 2 });
  const [cpu, other] = machine.cpus;
  for (let i = 0; i < 200; i++) {
    const on = i % 2 === 0 ? cpu : other;
    const object = kmalloc(on, 64, GFP_KERNEL) as Ptr as Ptr<"thing">;
    if (i % 3 === 0) kfree_rcu(on, object, Thing.offset.rcu);
    else kfree(on, object);
  }
  return { machine, cpu, other };
}

test("a machine that gave everything back", () => {
  const machine = new TestMachine({ cpus: 2 });
  const baseline = take_account(machine.cpus[0]);
  const { cpus } = machine;
  for (let i = 0; i < 500; i++) {
    const cpu = cpus[i % 2];
    const object = kmalloc(cpu, 8 << (i % 9), GFP_KERNEL) as Ptr as Ptr<"thing">;
    if (i % 5 === 0 && i % 9 > 0) kfree_rcu(cpus[1 - (i % 2)], object, Thing.offset.rcu);
    else kfree(cpus[1 - (i % 2)], object);
  }
  check_quiescence(cpus[0], baseline);
  check_quiescence(cpus[1], baseline);
  expect(wait_until_at_rest(cpus[0])).toEqual([]);
});

test("pages that kfree_rcu() keeps are accounted for, and their worker is waited for", () => {
  const { cpus } = new TestMachine({ cpus: 2 }, { rcu_min_cached_objs: 2 });
  const baseline = take_account(cpus[0]);
  kfree_call_by_krc(cpus[0]);
  kfree_rcu_shrink_count(cpus[1]); // The worker of CPU 0 takes one page only, that of CPU 1 comes in 5 s.
  kfree_call_by_krc(cpus[1]);
  check_quiescence(cpus[0], baseline);
  expect(nr_cached_bnodes(cpus[0])).toBe(2);
});

test("a leaked object is shown with its biography", () => {
  const { cpu, other } = restingMachine();
  const baseline = take_account(cpu);
  const leaked = kmalloc(other, 100, GFP_KERNEL);
  let message = "";
  try {
    check_quiescence(cpu, baseline);
  } catch (e) {
    expect(e).toBeInstanceOf(MachineBug);
    message = (e as MachineBug).message;
  }
  expect(message).toContain("cache kmalloc-128: 1 objects in use, 0 after boot");
  expect(message).toContain(`not given back: object 0x${leaked.toString(16)}: object `);
  expect(message).toMatch(/cache kmalloc-128, 128 bytes\n.*CPU 1 in task: .* -> /);
});
test("a cache that was not destroyed", () => {
  const { cpu } = restingMachine();
  const baseline = take_account(cpu);
  kmem_cache_create(cpu, "left", 64);
  expect(() => check_quiescence(cpu, baseline)).toThrow(/cache left was not destroyed/);
});

describe("check_at_rest()", () => {
  const torture = (cpu: Cpu): Ptr<"torture_cpu"> => embedded(cpu.section, PerCpu.offset.torture);
  test.each<[string, (cpu: Cpu) => void]>([
    ["preempt_count is 1", preempt_disable],
    ["bh_disabled is 1", local_bh_disable],
    ["rcu_read_lock_nesting is 1", rcu_read_lock],
    ["task.flags is 2048", (cpu) => void memalloc_noreclaim_save(cpu)],
    [
      "the number of locks held is 1",
      (cpu) => {
        const lock = embedded(embedded(cpu.globals, Globals.offset.torture), TortureGlobals.offset.list_lock);
        spin_lock_init(cpu, lock, LC.test);
        spin_lock(cpu, lock);
      },
    ],
    [
      "the worklist is 1",
      (cpu) => {
        const work = embedded(torture(cpu), TortureCpu.offset.work);
        init_work(cpu, work, CB.torture_work);
        queue_work_on(cpu, cpu.id, work);
      },
    ],
    ["the number of armed timers is 1", (cpu) => kfree_call_by_krc(cpu)],
    [
      "the number of RCU callbacks is 1",
      (cpu) => {
        const object = kmalloc(cpu, 64, GFP_KERNEL) as Ptr as Ptr<"thing">;
        call_rcu(cpu, embedded(object, Thing.offset.rcu), CB.torture_rcu_cb);
      },
    ],
  ])("%s", (problem, leave) => {
    const { cpu, other } = restingMachine();
    check_quiescence(cpu, take_account(cpu));
    expect(check_at_rest(cpu)).toEqual([]);
    leave(other);
    expect(check_at_rest(cpu)).toContain(`CPU 1: ${problem}`);
  });
  test("an irq_work that IRQs off keep from running", () => {
    const { cpu } = restingMachine();
    check_quiescence(cpu, take_account(cpu));
    const work = embedded(torture(cpu), TortureCpu.offset.irq_work);
    init_irq_work(cpu, work, CB.torture_irq_work);
    local_irq_save(cpu);
    irq_work_queue(cpu, work);
    const problems = check_at_rest(cpu).join();
    expect(problems).toMatch(/CPU 0: the IRQ flag is 1/);
    expect(problems).toMatch(/CPU 0: raised_list of irq_work is \d+/);
  });
  test("a grace period that is not over", () => {
    const { cpu } = restingMachine();
    check_quiescence(cpu, take_account(cpu));
    start_poll_synchronize_rcu(cpu);
    for (let turns = 0; turns < 100 && !check_at_rest(cpu).join().includes("the state in gp_seq is 1"); turns++)
      run_items(cpu);
    expect(check_at_rest(cpu).join()).toMatch(/RCU: the state in gp_seq is 1/);
    expect(wait_until_at_rest(cpu)).toEqual([]);
  });
});

describe("check_places()", () => {
  test("the oracle and the walkers disagree", () => {
    const { machine, cpu } = restingMachine();
    check_quiescence(cpu, take_account(cpu));
    const caches = take_account(cpu).censuses;
    expect(check_places(cpu, caches)).toEqual([]);
    const [free] = machine.oracle.objectsIn(O_FREELIST);
    machine.oracle.move(1, free, O_FREELIST, O_SHEAF, 0);
    const problems = check_places(cpu, caches).join("\n");
    expect(problems).toContain(`found in freelist, not so for the oracle: object 0x${free.toString(16)}: object `);
    expect(problems).toContain(`not found in sheaf, so for the oracle: object 0x${free.toString(16)}: object `);
    expect(problems).toContain("CPU 1 in task: freelist -> sheaf");
  });
  test.each([O_KRC, O_TRANSIT])("an object that is under way (%i)", (place) => {
    const { machine, cpu } = restingMachine();
    check_quiescence(cpu, take_account(cpu));
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    machine.oracle.move(0, object, O_USER, place, 0);
    expect(check_places(cpu, take_account(cpu).censuses).join()).toContain("still under way: object");
  });
});
