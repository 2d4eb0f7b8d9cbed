/**
 * Is nothing left to do anywhere? What CPUs, deferred mechanisms and RCU look like once every program has ended and
 * everything has been waited for: spec slub 14 item 11, rcu I-RCU-14.
 *
 * Peeks only. Other CPUs still take ticks, and what a tick does looks like work: who asks waits and asks again.
 */
import { per_cpu_ptr, type Cpu } from "../shared/cpu/cpu.ts";
import { schedule } from "../shared/cpu/sched.ts";
import { CallQueue, ContextTracking, CpuSlot, IrqStat, Task } from "../shared/layout/cpu.ts";
import { NR_IPIS } from "../shared/layout/callbacks.ts";
import { Globals } from "../shared/layout/globals.ts";
import { IrqWorkCpu } from "../shared/layout/irq_work.ts";
import { PerCpu } from "../shared/layout/percpu.ts";
import { RcuCblist, RcuData, RcuNode, RcuSegcblist, RcuState } from "../shared/layout/rcu.ts";
import { HrtimerCpuBase, TimerBase } from "../shared/layout/timer.ts";
import { ListHead, LlistHead, Mutex, Spinlock } from "../shared/layout/types.ts";
import { WorkerPool } from "../shared/layout/workqueue.ts";
import { element, embedded, embedded_at, type Ptr } from "../shared/mem/struct.ts";

const P = PerCpu.offset;
const T = Task.offset;
const R = RcuState.offset;
const N = RcuNode.offset;
/** The low bits of a sequence number: a grace period is in progress. */
const SEQ_STATE = 3;

/** Ticks after which what still looks like work is work. */
const PATIENCE = 50;

type Complain = (what: string, found: number) => void;

/** Waits until everything is at rest. @returns what still is not, after some time. @context Task, may sleep */
export function wait_until_at_rest(cpu: Cpu): string[] {
  let problems = check_at_rest(cpu);
  for (let left = PATIENCE; left > 0 && problems.length > 0; left--) {
    schedule(cpu);
    problems = check_at_rest(cpu);
  }
  return problems;
}

/** What is not at rest, in words; nothing if all is. @context Task on this CPU, the others at rest */
export function check_at_rest(cpu: Cpu): string[] {
  const problems: string[] = [];
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const complain: Complain = (what, found) => {
      if (found !== 0) problems.push(`CPU ${id}: ${what} is ${found}`);
    };
    check_counts(cpu, id, complain);
    check_queues(cpu, id, complain);
    check_rcu_data(cpu, id, complain);
  }
  check_rcu_state(cpu, (what, found) => {
    if (found !== 0) problems.push(`RCU: ${what} is ${found}`);
  });
  return problems;
}

/** Every disable has met its enable, every save its restore, and no lock is held. */
function check_counts(cpu: Cpu, id: number, complain: Complain): void {
  const { mem } = cpu;
  const slot = per_cpu_ptr(cpu, P.slot, id);
  const task = mem.peek(slot, CpuSlot.offset.current);
  complain("preempt_count", mem.peek(task, T.preempt_count));
  complain("bh_disabled", mem.peek(task, T.bh_disabled));
  complain("migration_disabled", mem.peek(task, T.migration_disabled));
  complain("rcu_read_lock_nesting", mem.peek(task, T.rcu_read_lock_nesting));
  complain("rcu_read_unlock_special", mem.peek(task, T.rcu_read_unlock_special));
  complain("task.flags", mem.peek(task, T.flags));
  complain("the number of locks held", mem.peek(slot, CpuSlot.offset.held_depth));
  complain("the depth of items", mem.peek(slot, CpuSlot.offset.items));
  const ct = per_cpu_ptr(cpu, P.ct, id);
  // 1 in a task; in idle 0; an interrupt adds to the other word.
  const { nesting, nmi_nesting } = ContextTracking.offset;
  complain("the nesting of context tracking", mem.peek(ct, nesting) >> 1);
  if (id === cpu.id) {
    complain("the nesting of interrupts", mem.peek(ct, nmi_nesting));
    complain("the IRQ flag", mem.peek(slot, CpuSlot.offset.irqs_off));
  }
}

/** Nothing is queued. */
function check_queues(cpu: Cpu, id: number, complain: Complain): void {
  const { mem } = cpu;
  const irq_work = per_cpu_ptr(cpu, P.irq_work, id);
  const first = (list: Ptr<"llist_head">): number => mem.peek(list, LlistHead.offset.first);
  complain("raised_list of irq_work", first(embedded(irq_work, IrqWorkCpu.offset.raised_list)));
  complain("lazy_list of irq_work", first(embedded(irq_work, IrqWorkCpu.offset.lazy_list)));
  complain("softirq_pending", mem.peek(per_cpu_ptr(cpu, P.irq_stat, id), IrqStat.offset.softirq_pending));
  const pool = per_cpu_ptr(cpu, P.workers, id);
  const timers = per_cpu_ptr(cpu, P.timers, id);
  complain("the worklist", list_length(cpu, embedded(pool, WorkerPool.offset.worklist)));
  complain("the work that is run", mem.peek(pool, WorkerPool.offset.current));
  complain("the number of armed timers", list_length(cpu, embedded(timers, TimerBase.offset.timers)));
  complain("the timer that is run", mem.peek(timers, TimerBase.offset.running));
  const hrtimers = embedded(per_cpu_ptr(cpu, P.hrtimers, id), HrtimerCpuBase.offset.timers);
  complain("the number of armed hrtimers", list_length(cpu, hrtimers));
  const calls = per_cpu_ptr(cpu, P.calls, id);
  const { request, done } = CallQueue.offset;
  for (let ipi = 0; ipi < NR_IPIS; ipi++) {
    const left = mem.peek(calls, element(request, ipi)) - mem.peek(calls, element(done, ipi));
    complain(`the number of cross-CPU calls ${ipi} that wait`, left | 0);
  }
}
function list_length(cpu: Cpu, head: Ptr<"list_head">): number {
  let n = 0;
  const { next } = ListHead.offset;
  for (let entry = cpu.mem.peek(head, next); entry !== head && entry !== 0; entry = cpu.mem.peek(entry, next)) n++;
  return n;
}

/** No callbacks, and nobody waits for this CPU. */
function check_rcu_data(cpu: Cpu, id: number, complain: Complain): void {
  const { mem } = cpu;
  const rdp = per_cpu_ptr(cpu, P.rcu_data, id);
  const { cblist, rcl, core_needs_qs, cpu_no_qs_exp, rcu_iw_pending } = RcuData.offset;
  complain("the number of RCU callbacks", mem.peek(embedded(rdp, cblist), RcuSegcblist.offset.len));
  complain("the number of RCU callbacks being invoked", mem.peek(embedded(rdp, rcl), RcuCblist.offset.len));
  complain("core_needs_qs", mem.peek(rdp, core_needs_qs));
  complain("cpu_no_qs_exp", mem.peek(rdp, cpu_no_qs_exp));
  complain("rcu_iw_pending", mem.peek(rdp, rcu_iw_pending));
}

/** No grace period of either kind is in progress or asked for, no barrier counts. */
function check_rcu_state(cpu: Cpu, complain: Complain): void {
  const { mem } = cpu;
  const state = embedded(cpu.globals, Globals.offset.rcu_state);
  const gp_seq = mem.peek(state, R.gp_seq);
  complain("the state in gp_seq", gp_seq & SEQ_STATE);
  complain("the state in expedited_sequence", mem.peek(state, R.expedited_sequence) & SEQ_STATE);
  complain("the state in barrier_sequence", mem.peek(state, R.barrier_sequence) & SEQ_STATE);
  complain("gp_flags", mem.peek(state, R.gp_flags));
  complain("barrier_cpu_count", mem.peek(state, R.barrier_cpu_count));
  const { val } = Spinlock.offset;
  complain("barrier_lock", mem.peek(embedded(state, R.barrier_lock), val));
  complain("barrier_mutex", mem.peek(embedded(state, R.barrier_mutex), Mutex.offset.owner));
  complain("exp_mutex", mem.peek(embedded(state, R.exp_mutex), Mutex.offset.owner));
  for (let i = 0; i < mem.peek(state, R.num_nodes); i++) {
    const rnp = embedded_at(state, R.node, i, RcuNode.size);
    complain(`node ${i}'s qsmask`, mem.peek(rnp, N.qsmask));
    complain(`node ${i}'s expmask`, mem.peek(rnp, N.expmask));
    complain(`node ${i}'s lock`, mem.peek(embedded(rnp, N.lock), val));
    complain(`node ${i}'s lag behind gp_seq`, (gp_seq - mem.peek(rnp, N.gp_seq)) | 0);
  }
}
