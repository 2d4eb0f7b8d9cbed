/**
 * Barriers that are checked, not believed: each operation leaves something of its own to the machinery, calls the
 * barrier that promises to see it through, and looks whether it was (rcu 5.1: G-BAR, G-KVB, G-IRQW).
 */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import { bug } from "../../shared/cpu/bug.ts";
import { type Cpu, per_cpu_ptr } from "../../shared/cpu/cpu.ts";
import { random_below } from "../../shared/cpu/random.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { TortureCpu } from "../../shared/layout/torture.ts";
import {
  cpu_online,
  cpus_read_lock,
  cpus_read_unlock,
  hotplug_is_configured,
} from "../../shared/linux/sync/cpu_hotplug.ts";
import {
  flush_work,
  init_irq_work,
  init_work,
  irq_work_queue,
  irq_work_queue_on,
  irq_work_sync,
  queue_work_on,
  rcu_barrier,
} from "../../shared/linux/api.ts";
import { container_of, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { random_size } from "../../nmi/objects.ts";
import { alloc_stamped, call_rcu_free } from "../../nmi/ordinary.ts";

const { torture: TORTURE } = PerCpu.offset;
const {
  cbs_queued: CBS_QUEUED,
  cbs_invoked: CBS_INVOKED,
  irq_work_syncs: IRQ_WORK_SYNCS,
  irq_work: IRQ_WORK,
  irq_work_posted: IRQ_WORK_POSTED,
  irq_work_seen: IRQ_WORK_SEEN,
  work: WORK,
  work_posted: WORK_POSTED,
  work_seen: WORK_SEEN,
} = TortureCpu.offset;

/**
 * rcu_barrier(): every callback whose call_rcu() had returned, on any CPU, has been invoked. Callbacks of one CPU are
 * invoked in order and on that CPU, so two counts per CPU are enough. Where CPUs go offline others invoke what they leave,
 * and a task that migrates counts as the CPU that it began on: then only the sums of the counts say anything, and a missing one shows once no later ones are invoked meanwhile.
 *
 * @context Task, may sleep
 */
export function checked_rcu_barrier(cpu: Cpu): void {
  const { mem } = cpu;
  const { cpus } = cpu.map.shape;
  const object = alloc_stamped(cpu, random_size(cpu), GFP_KERNEL);
  if (object !== NULL) call_rcu_free(cpu, object);
  const queued: number[] = [];
  for (let id = 0; id < cpus; id++) {
    // Race: the CPU may be counting; an older count asks for less.
    queued.push(mem.data_race_read(per_cpu_ptr(cpu, TORTURE, id), CBS_QUEUED));
  }
  rcu_barrier(cpu);
  let all = 0;
  for (let id = 0; id < cpus; id++) {
    const invoked = mem.data_race_read(per_cpu_ptr(cpu, TORTURE, id), CBS_INVOKED);
    const missing = (queued[id] - invoked) | 0;
    all += missing;
    if (missing > 0 && !hotplug_is_configured(cpu) && !cpu.migrates) {
      bug(cpu, `rcu_barrier() returned before ${missing} callbacks of CPU ${id} were invoked`);
    }
  }
  if (all > 0) bug(cpu, `rcu_barrier() returned before ${all} callbacks were invoked`);
}

/** irq_work_sync(): what was published before the work was queued has been seen. @context Task, may sleep */
export function checked_irq_work_sync(cpu: Cpu): void {
  const { mem } = cpu;
  const id = random_below(cpu, 2) === 0 ? cpu.id : random_below(cpu, cpu.map.shape.cpus);
  const torture = per_cpu_ptr(cpu, TORTURE, id);
  const work = embedded(torture, IRQ_WORK);
  const number = (mem.fetch_add(torture, IRQ_WORK_POSTED, 1) + 1) | 0;
  cpus_read_lock(cpu); // An irq_work must not be queued on a CPU that is offline.
  if (id === cpu.id || !cpu_online(cpu, id)) irq_work_queue(cpu, work);
  else irq_work_queue_on(cpu, work, id);
  irq_work_sync(cpu, work);
  cpus_read_unlock(cpu);
  mem.count(embedded(cpu.home, TORTURE), IRQ_WORK_SYNCS, 1);
  const seen = mem.read_once(torture, IRQ_WORK_SEEN);
  if (((seen - number) | 0) < 0)
    bug(cpu, `irq_work_sync() returned, but CPU ${id}'s work saw only ${seen} of ${number}`);
}
/** Queues this CPU's work from anywhere, NMI included; nobody waits for it here. */
export function post_irq_work(cpu: Cpu): void {
  const torture = embedded(cpu.home, TORTURE);
  cpu.mem.fetch_add(torture, IRQ_WORK_POSTED, 1);
  irq_work_queue(cpu, embedded(torture, IRQ_WORK));
}
/** @context Hardirq */
function torture_irq_work(cpu: Cpu, work: Ptr<"irq_work">): void {
  see(cpu, container_of(work, IRQ_WORK), IRQ_WORK_POSTED, IRQ_WORK_SEEN);
}

/** flush_work(): the same for work items. @context Task, may sleep */
export function checked_flush_work(cpu: Cpu): void {
  const { mem } = cpu;
  const id = random_below(cpu, cpu.map.shape.cpus);
  const torture = per_cpu_ptr(cpu, TORTURE, id);
  const number = (mem.fetch_add(torture, WORK_POSTED, 1) + 1) | 0;
  const queued = queue_work_on(cpu, id, embedded(torture, WORK));
  flush_work(cpu, embedded(torture, WORK));
  // Race: it was pending for another CPU's sake, which may not have put it on a list yet; flush_work() misses that one.
  if (!queued) return;
  const seen = mem.read_once(torture, WORK_SEEN);
  if (((seen - number) | 0) < 0) bug(cpu, `flush_work() returned, but CPU ${id}'s work saw only ${seen} of ${number}`);
}
/** @context a non-blocking item */
function torture_work(cpu: Cpu, work: Ptr<"work_struct">): void {
  see(cpu, container_of(work, WORK), WORK_POSTED, WORK_SEEN);
}

/** Runs of one work do not overlap, so `seen` never falls back. */
function see(cpu: Cpu, torture: Ptr<"torture_cpu">, posted: typeof IRQ_WORK_POSTED, seen: typeof IRQ_WORK_SEEN): void {
  cpu.mem.write_once(torture, seen, cpu.mem.read_once(torture, posted));
}

export function bind_checked_barriers(): void {
  bind_callback(CB.torture_irq_work, torture_irq_work);
  bind_callback(CB.torture_work, torture_work);
}
/** @context Task, CPU 0, before the others run */
export function init_checked_barriers(cpu: Cpu): void {
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const torture = per_cpu_ptr(cpu, TORTURE, id);
    init_irq_work(cpu, embedded(torture, IRQ_WORK), CB.torture_irq_work);
    init_work(cpu, embedded(torture, WORK), CB.torture_work);
  }
}
