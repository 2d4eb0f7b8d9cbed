/**
 * Readers that hold objects across random stretches. An object that was found under rcu_read_lock() must stay what it is
 * until the reader ends (rcu I-RCU-8), whatever protects the section: rcu_read_lock(), IRQs off, or both in turn.
 */
import {
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
  preemptible,
} from "../../shared/cpu/context.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { GFP_ATOMIC } from "../../shared/layout/gfp.ts";
import { Globals } from "../../shared/layout/globals.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { NR_READABLE, TortureCpu, TortureGlobals } from "../../shared/layout/torture.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/api.ts";
import { element, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { check_object, check_stamp, random_size } from "../../nmi/objects.ts";
import { alloc_stamped, free_stamped } from "../../nmi/ordinary.ts";
import { alloc_nolock, free_nolock } from "../../nmi/traffic.ts";

const { torture: TORTURE } = Globals.offset;
const { torture: TORTURE_CPU } = PerCpu.offset;
const { readable: READABLE } = TortureGlobals.offset;
const { readers: READERS } = TortureCpu.offset;

const MAX_FOUND = 4;
/** Turns of a stretch: powers of two up to this one, each equally likely. */
const MAX_STRETCH_POWER = 9;

interface Found {
  readonly object: Ptr<"torture_object">;
  readonly stamp: number;
}

/** A reader in task context. @context Task */
export function reader(cpu: Cpu): void {
  rcu_read_lock(cpu);
  const found = find_objects(cpu, 1 + random_below(cpu, MAX_FOUND));
  linger(cpu, found);
  if (random_below(cpu, 4) === 0) {
    rcu_read_lock(cpu); // The inner unlock ends nothing: rcu T21.
    linger(cpu, found);
    rcu_read_unlock(cpu);
    check_all(cpu, found, "reader, after a nested one");
  }
  end(cpu, found);
  rcu_read_unlock(cpu);
}

/** A reader whose section goes on, with IRQs or preemption off, after its rcu_read_unlock(): rcu T26. @context Task */
export function reader_by_irqs_off(cpu: Cpu): void {
  const irqs = random_below(cpu, 2) === 0;
  const flags = irqs ? local_irq_save(cpu) : 0;
  if (!irqs) preempt_disable(cpu);
  rcu_read_lock(cpu);
  const found = find_objects(cpu, 1 + random_below(cpu, MAX_FOUND));
  rcu_read_unlock(cpu);
  linger(cpu, found);
  end(cpu, found);
  if (irqs) local_irq_restore(cpu, flags);
  else preempt_enable(cpu);
}

function find_objects(cpu: Cpu, count: number): readonly Found[] {
  const torture = embedded(cpu.globals, TORTURE);
  const found: Found[] = [];
  for (let i = 0; i < count; i++) {
    const object = cpu.mem.read_once(torture, element(READABLE, random_below(cpu, NR_READABLE)));
    if (object !== NULL) found.push({ object, stamp: check_object(cpu, object, "reader") });
  }
  return found;
}

/** A stretch of time in which anything may happen to the objects but being freed. */
function linger(cpu: Cpu, found: readonly Found[]): void {
  for (let turns = random_below(cpu, 1 << random_below(cpu, MAX_STRETCH_POWER + 1)); turns > 0; turns--) {
    const one = found[random_below(cpu, found.length + 1)];
    if (one !== undefined) check_stamp(cpu, one.object, one.stamp, "reader");
    else if (random_below(cpu, 16) === 0) allocate_inside(cpu);
    else cpu.mem.relax();
  }
}
/** Readers allocate and free, too. With PREEMPT_RT those that are atomic may do so by the nolock functions alone. */
function allocate_inside(cpu: Cpu): void {
  if (cpu.rt && !preemptible(cpu)) {
    free_nolock(cpu, alloc_nolock(cpu, random_size(cpu), 0), random_below(cpu, 2) === 0);
    return;
  }
  const object = alloc_stamped(cpu, random_size(cpu), GFP_ATOMIC);
  if (object !== NULL) free_stamped(cpu, object, random_below(cpu, 2) === 0);
}

function check_all(cpu: Cpu, found: readonly Found[], holder: string): void {
  for (const { object, stamp } of found) check_stamp(cpu, object, stamp, holder);
}
function end(cpu: Cpu, found: readonly Found[]): void {
  check_all(cpu, found, "reader, at its end");
  cpu.mem.count(embedded(cpu.home, TORTURE_CPU), READERS, 1);
}
