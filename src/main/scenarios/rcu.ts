/**
 * Scenario rcu: rcutorture. CPU 0 publishes one element after the other; an element that was replaced grows one year
 * older with each grace period and is used again after ten. A reader looks at the age of its element at the end of its
 * section: 0 is current, 1 was replaced meanwhile. 2 means that a grace period ended without waiting for this reader.
 *
 * @kernel kernel/rcu/rcutorture.c; spec rcu 6.1
 */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import { bug, no_memory } from "../../shared/cpu/bug.ts";
import { local_irq_restore, local_irq_save } from "../../shared/cpu/context.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { cond_resched, schedule } from "../../shared/cpu/sched.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import {
  RCU_TORTURE_ELEMENTS,
  RCU_TORTURE_PIPE_LEN,
  RcuTorture,
  TortureCpu,
  TortureGlobals,
} from "../../shared/layout/torture.ts";
import {
  call_rcu,
  cond_synchronize_rcu,
  get_state_synchronize_rcu,
  kfree,
  kmalloc,
  llist_add,
  llist_del_first,
  poll_state_synchronize_rcu,
  rcu_barrier,
  rcu_read_lock,
  rcu_read_unlock,
  start_poll_synchronize_rcu,
  synchronize_rcu,
  synchronize_rcu_expedited,
} from "../../shared/linux/api.ts";
import { container_of, element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import type { Scenario } from "./scenario.ts";

const { torture: TORTURE } = Globals.offset;
const { torture: TORTURE_CPU } = PerCpu.offset;
const { readers: READERS, reader_age: READER_AGE, synchronize_rcus: SYNCHRONIZE_RCUS } = TortureCpu.offset;
const {
  rcu_current: RCU_CURRENT,
  rcu_elements: RCU_ELEMENTS,
  rcu_removed: RCU_REMOVED,
  rcu_free: RCU_FREE,
  rcu_published: RCU_PUBLISHED,
} = TortureGlobals.offset;
const {
  rcu: RCU,
  free: FREE,
  pipe_count: PIPE_COUNT,
  mbtest: MBTEST,
  generation: GENERATION,
  removed: REMOVED,
} = RcuTorture.offset;

type Element = Ptr<"rcu_torture">;
/** Turns of a reader's delay: powers of two up to this one, each equally likely. */
const MAX_DELAY_POWER = 11;

/** One grace period more since the element was replaced. @returns true if it may be used again. */
function pipe_update_one(cpu: Cpu, old: Element): boolean {
  const age = cpu.mem.read_once(old, PIPE_COUNT) + 1;
  cpu.mem.write_once(old, PIPE_COUNT, age);
  if (age < RCU_TORTURE_PIPE_LEN) return false;
  cpu.mem.write_once(old, MBTEST, 0);
  return true;
}
/** @context Any but NMI */
function give_back(cpu: Cpu, old: Element): void {
  llist_add(cpu, embedded(old, FREE), embedded(embedded(cpu.globals, TORTURE), RCU_FREE));
}
/** @context Softirq */
function rcu_torture_cb(cpu: Cpu, head: Ptr<"rcu_head">): void {
  const old = container_of(head, RCU);
  if (pipe_update_one(cpu, old)) give_back(cpu, old);
  else call_rcu(cpu, head, CB.rcu_torture_cb);
}

/** CPU 0: replaces the element, then ages the old one in one of the ways there are. @context Task, may sleep */
function write(cpu: Cpu): void {
  const { mem } = cpu;
  const torture = embedded(cpu.globals, TORTURE);
  const node = llist_del_first(cpu, embedded(torture, RCU_FREE)); // The only consumer.
  if (node === NULL) {
    schedule(cpu); // All elements wait for grace periods.
    return;
  }
  const fresh = container_of(node, FREE);
  const number = mem.read(torture, RCU_PUBLISHED) + 1;
  mem.write(torture, RCU_PUBLISHED, number);
  mem.write_once(fresh, PIPE_COUNT, 0);
  mem.init(fresh, GENERATION, number);
  mem.write_once(fresh, MBTEST, 1);
  const old = mem.xchg(torture, RCU_CURRENT, fresh);
  if (old === NULL) return;
  pipe_update_one(cpu, old); // Replaced: age 1.
  if (random_below(cpu, 2) === 0) {
    call_rcu(cpu, embedded(old, RCU), CB.rcu_torture_cb);
    return;
  }
  mem.write(old, REMOVED, mem.read(torture, RCU_REMOVED));
  mem.write(torture, RCU_REMOVED, old);
  wait_for_readers(cpu);
  age_removed(cpu);
}
/** A grace period is over for all that were removed before it. */
function age_removed(cpu: Cpu): void {
  const { mem } = cpu;
  const torture = embedded(cpu.globals, TORTURE);
  let kept: Element = NULL;
  for (let old = mem.read(torture, RCU_REMOVED); old !== NULL;) {
    const next = mem.read(old, REMOVED);
    if (pipe_update_one(cpu, old)) {
      give_back(cpu, old);
    } else {
      mem.write(old, REMOVED, kept);
      kept = old;
    }
    old = next;
  }
  mem.write(torture, RCU_REMOVED, kept);
}

/** @context Task, may sleep */
function wait_for_readers(cpu: Cpu): void {
  cpu.mem.count(embedded(cpu.home, TORTURE_CPU), SYNCHRONIZE_RCUS, 1);
  switch (random_below(cpu, 4)) {
    case 0:
      synchronize_rcu_expedited(cpu);
      break;
    case 1: {
      const cookie = get_state_synchronize_rcu(cpu);
      cond_resched(cpu);
      cond_synchronize_rcu(cpu, cookie);
      break;
    }
    case 2: {
      const cookie = start_poll_synchronize_rcu(cpu);
      while (!poll_state_synchronize_rcu(cpu, cookie)) schedule(cpu);
      break;
    }
    default:
      synchronize_rcu(cpu);
  }
}

/** @context Any. In an NMI it must be short. */
function read(cpu: Cpu, delay: number): void {
  const { mem } = cpu;
  rcu_read_lock(cpu);
  const found = mem.read_once(embedded(cpu.globals, TORTURE), RCU_CURRENT);
  if (found === NULL) {
    rcu_read_unlock(cpu); // It is over, or has not begun.
    return;
  }
  if (mem.read_once(found, MBTEST) === 0)
    bug(cpu, `reader: element 0x${found.toString(16)} was not initialised, or is free`);
  const cookie = get_state_synchronize_rcu(cpu);
  for (let turns = delay; turns > 0; turns--) mem.relax();
  if (poll_state_synchronize_rcu(cpu, cookie)) bug(cpu, "reader: a grace period that began in it has ended in it");
  const age = mem.read_once(found, PIPE_COUNT); // At the very end of the section.
  rcu_read_unlock(cpu);
  const counters = embedded(cpu.home, TORTURE_CPU);
  mem.count(counters, READERS, 1);
  mem.count(counters, element(READER_AGE, Math.min(age, RCU_TORTURE_PIPE_LEN)), 1);
  if (age > 1)
    bug(cpu, `reader of age ${age}: grace periods since the removal of its element ended without waiting for it`);
}
function random_delay(cpu: Cpu): number {
  return random_below(cpu, 1 << random_below(cpu, MAX_DELAY_POWER + 1));
}

function operation(cpu: Cpu): void {
  const draw = random_below(cpu, 64);
  if (cpu.home_id === 0 && draw < 32) write(cpu);
  else if (draw === 32)
    wait_for_readers(cpu); // rcutorture's fake writers.
  else if (draw === 33) schedule(cpu);
  else if (draw < 40) read_with_irqs_off(cpu);
  else read(cpu, random_delay(cpu));
}
function read_with_irqs_off(cpu: Cpu): void {
  const flags = local_irq_save(cpu);
  read(cpu, random_delay(cpu));
  local_irq_restore(cpu, flags);
}

export const rcu: Scenario = {
  bind: () => bind_callback(CB.rcu_torture_cb, rcu_torture_cb),
  setup(cpu) {
    const torture = embedded(cpu.globals, TORTURE);
    const elements = kmalloc(cpu, RCU_TORTURE_ELEMENTS * RcuTorture.size, GFP_KERNEL) as Ptr as Element;
    if (elements === NULL) no_memory(cpu, "the elements of scenario rcu");
    cpu.mem.write(torture, RCU_ELEMENTS, elements);
    for (let i = 0; i < RCU_TORTURE_ELEMENTS; i++) {
      const each = (elements + i * RcuTorture.size) as Element;
      cpu.mem.write_once(each, MBTEST, 0);
      give_back(cpu, each);
    }
  },
  operation,
  nmi: (cpu) => read(cpu, random_below(cpu, 8)),
  irq: (cpu) => read(cpu, random_below(cpu, 32)),
  /** Each callback comes back until its element is old enough. */
  finish(cpu) {
    for (let turns = 0; turns <= RCU_TORTURE_PIPE_LEN; turns++) rcu_barrier(cpu);
    const torture = embedded(cpu.globals, TORTURE);
    cpu.mem.write_once(torture, RCU_CURRENT, NULL);
    kfree(cpu, cpu.mem.read(torture, RCU_ELEMENTS));
  },
};
