/** Updaters that wait for readers themselves, in each of the ways there are: the removed object is freed afterwards. */
import { local_irq_restore, local_irq_save } from "../../shared/cpu/context.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { cond_resched } from "../../shared/cpu/sched.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { NR_READABLE, TortureCpu, TortureGlobals } from "../../shared/layout/torture.ts";
import {
  cond_synchronize_rcu,
  get_state_synchronize_rcu,
  poll_state_synchronize_rcu,
  start_poll_synchronize_rcu,
  synchronize_rcu,
  synchronize_rcu_expedited,
} from "../../shared/linux/api.ts";
import { element, embedded, NULL } from "../../shared/mem/struct.ts";
import { check_object, random_size } from "../../nmi/objects.ts";
import { alloc_stamped, free_stamped, replace_readable } from "../../nmi/ordinary.ts";
import { replace_readable_nolock } from "../../nmi/traffic.ts";

const { torture: TORTURE } = Globals.offset;
const { torture: TORTURE_CPU } = PerCpu.offset;
const { readable: READABLE } = TortureGlobals.offset;
const { synchronize_rcus: SYNCHRONIZE_RCUS } = TortureCpu.offset;

/** @context Task, may sleep */
export function update(cpu: Cpu): void {
  if (random_below(cpu, 3) === 0) replace_readable_nolock(cpu);
  else replace_readable(cpu, GFP_KERNEL);
}
/** The nolock update with IRQs off: a sheaf that it fills cannot go to call_rcu() at once (slub 5.3 step 6). */
export function update_with_irqs_off(cpu: Cpu): void {
  const flags = local_irq_save(cpu);
  for (let turns = 1 + random_below(cpu, 8); turns > 0; turns--) replace_readable_nolock(cpu);
  local_irq_restore(cpu, flags);
}
/** Unpublish, wait for a grace period, free. @context Task, may sleep */
export function update_and_wait(cpu: Cpu): void {
  const { mem } = cpu;
  const slot = element(READABLE, random_below(cpu, NR_READABLE));
  const object = alloc_stamped(cpu, random_size(cpu), GFP_KERNEL);
  const old = mem.xchg(embedded(cpu.globals, TORTURE), slot, object);
  if (old === NULL) return;
  wait_for_readers(cpu);
  mem.count(embedded(cpu.home, TORTURE_CPU), SYNCHRONIZE_RCUS, 1);
  check_object(cpu, old, "updater, after a grace period");
  free_stamped(cpu, old, false);
}
function wait_for_readers(cpu: Cpu): void {
  switch (random_below(cpu, 5)) {
    case 0:
      synchronize_rcu_expedited(cpu);
      break;
    case 1: {
      const cookie = get_state_synchronize_rcu(cpu);
      if (random_below(cpu, 2) === 0) cond_resched(cpu);
      cond_synchronize_rcu(cpu, cookie);
      break;
    }
    case 2: {
      const cookie = start_poll_synchronize_rcu(cpu);
      for (let turns = 64; turns > 0 && !poll_state_synchronize_rcu(cpu, cookie); turns--) cond_resched(cpu);
      cond_synchronize_rcu(cpu, cookie);
      break;
    }
    default:
      synchronize_rcu(cpu);
  }
}
