/**
 * rcu_barrier(): wait until every callback queued before has run. kernel/rcu/tree.c; spec rcu 4.8.
 *
 * A callback is put behind those of each CPU that has any; the last of these callbacks to run ends the wait. Per CPU,
 * callbacks run in order, so those before it have returned. It is no grace period: with empty lists it returns at once.
 * It says nothing of what has not reached call_rcu() yet: objects in sheaves or on deferred lists, or posted by callbacks.
 *
 * The count starts at 2, for the caller: or CPU 0's callback could run, and take it to 0, before CPU 1's is in place.
 *
 * Lock order: barrier_mutex, then barrier_lock with IRQs off.
 */
import { assert, bug } from "../../cpu/bug.ts";
import { might_sleep } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { smp_call_function_single } from "../../cpu/smp.ts";
import { EV_RCU_BARRIER, trace } from "../../cpu/trace.ts";
import { CB } from "../../layout/callbacks.ts";
import { RcuData, RcuNode, RcuState } from "../../layout/rcu.ts";
import { RcuHead } from "../../layout/types.ts";
import { embedded, type Ptr } from "../../mem/struct.ts";
import { raise_softirq, RCU_SOFTIRQ } from "../kernel/softirq.ts";
import { schedule_timeout } from "../kernel/timer.ts";
import { complete, init_completion, wait_for_completion } from "../sync/completion.ts";
import { mutex_lock, mutex_unlock } from "../sync/mutex.ts";
import { raw_spin_lock_irqsave, raw_spin_unlock_irqrestore } from "../sync/spinlock.ts";
import { debug_rcu_head_queue, debug_rcu_head_unqueue } from "./debug_rcu_head.ts";
import { per_rcu_data, rcu_cpu_mask, rcu_mynode, rcu_rdp_cpu_online, rcu_state, this_rcu_data } from "./rcu_node.ts";
import { rcu_segcblist_entrain, rcu_segcblist_n_cbs } from "./rcu_segcblist.ts";
import { rcu_seq_ctr, rcu_seq_done, rcu_seq_end, rcu_seq_snap, rcu_seq_start, rcu_seq_state } from "./rcu_seq.ts";

const {
  barrier_mutex: BARRIER_MUTEX,
  barrier_lock: BARRIER_LOCK,
  barrier_sequence: BARRIER_SEQUENCE,
  barrier_cpu_count: BARRIER_CPU_COUNT,
  barrier_completion: BARRIER_COMPLETION,
  n_barriers: N_BARRIERS,
} = RcuState.offset;
const { cblist: CBLIST, barrier_head: BARRIER_HEAD, barrier_seq_snap: BARRIER_SEQ_SNAP } = RcuData.offset;
const { func: FUNC } = RcuHead.offset;
const { qsmaskinitnext: QSMASKINITNEXT } = RcuNode.offset;

/**
 * rcu_barrier()
 * @context Task, may sleep; not in a callback or work item. IRQs on: it calls other CPUs.
 */
export function rcu_barrier(cpu: Cpu): void {
  might_sleep(cpu, "rcu_barrier()");
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const s = rcu_seq_snap(cpu, state, BARRIER_SEQUENCE);
  trace(cpu, EV_RCU_BARRIER, s, 0);
  mutex_lock(cpu, embedded(state, BARRIER_MUTEX));
  if (rcu_seq_done(cpu, state, BARRIER_SEQUENCE, s)) {
    // Somebody else's began after our call, and is over.
    mutex_unlock(cpu, embedded(state, BARRIER_MUTEX));
    return;
  }
  const lock = embedded(state, BARRIER_LOCK);
  const flags = raw_spin_lock_irqsave(cpu, lock);
  rcu_seq_start(cpu, state, BARRIER_SEQUENCE);
  const gseq = mem.read_once(state, BARRIER_SEQUENCE);
  init_completion(cpu, embedded(state, BARRIER_COMPLETION));
  mem.write_once(state, BARRIER_CPU_COUNT, 2);
  raw_spin_unlock_irqrestore(cpu, lock, flags);

  for (let id = 0; id < cpu.map.shape.cpus; id++) entrain_on(cpu, id, gseq);

  if (mem.fetch_add(state, BARRIER_CPU_COUNT, -2) === 2) complete(cpu, embedded(state, BARRIER_COMPLETION));
  wait_for_completion(cpu, embedded(state, BARRIER_COMPLETION));

  rcu_seq_end(cpu, state, BARRIER_SEQUENCE);
  const idle = mem.read_once(state, BARRIER_SEQUENCE);
  for (let id = 0; id < cpu.map.shape.cpus; id++) mem.write_once(per_rcu_data(cpu, id), BARRIER_SEQ_SNAP, idle);
  mem.count(state, N_BARRIERS, 1);
  mutex_unlock(cpu, embedded(state, BARRIER_MUTEX));
}

/**
 * Puts the barrier's callback behind those of CPU `id`. A CPU that is going can be called no more, but RCU counts it still,
 * and it may work on its list: then it is looked at again a tick later.
 */
function entrain_on(cpu: Cpu, id: number, gseq: number): void {
  while (!try_to_entrain_on(cpu, id, gseq)) schedule_timeout(cpu, 1);
}
function try_to_entrain_on(cpu: Cpu, id: number, gseq: number): boolean {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const rdp = per_rcu_data(cpu, id);
  if (mem.read_once(rdp, BARRIER_SEQ_SNAP) === gseq) return true; // It went offline, and whoever took its callbacks saw to it.
  const lock = embedded(state, BARRIER_LOCK);
  const flags = raw_spin_lock_irqsave(cpu, lock);
  const empty = rcu_segcblist_n_cbs(cpu, embedded(rdp, CBLIST)) === 0;
  const online = rcu_rdp_cpu_online(cpu, rdp);
  if (empty) mem.write_once(rdp, BARRIER_SEQ_SNAP, gseq);
  else if (!online) rcu_barrier_entrain(cpu, rdp);
  raw_spin_unlock_irqrestore(cpu, lock, flags);
  // Its list has no lock: only the CPU itself may append to it.
  if (!empty && online && smp_call_function_single(cpu, id, CB.ipi_rcu_barrier_handler, true) !== 0) return false;
  if (mem.read_once(rdp, BARRIER_SEQ_SNAP) !== gseq) bug(cpu, `rcu_barrier: CPU ${id} was not counted`);
  return true;
}
/** rcu_barrier_handler(): runs on a CPU that has callbacks. @context Hardirq */
export function rcu_barrier_handler(cpu: Cpu): void {
  const lock = embedded(rcu_state(cpu), BARRIER_LOCK);
  const flags = raw_spin_lock_irqsave(cpu, lock);
  rcu_barrier_entrain(cpu, this_rcu_data(cpu));
  raw_spin_unlock_irqrestore(cpu, lock, flags);
  raise_softirq(cpu, RCU_SOFTIRQ); // Somebody waits: ask for the grace period now, not at the next tick.
}
/**
 * rcu_barrier_entrain() - nothing happens unless a barrier is in progress that has not counted this CPU yet: a CPU that
 * goes offline is counted by whoever takes its callbacks.
 * @context IRQs off, barrier_lock held; on the CPU of rdp, or it is dead.
 */
export function rcu_barrier_entrain(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const gseq = mem.read_once(state, BARRIER_SEQUENCE);
  const lseq = mem.read_once(rdp, BARRIER_SEQ_SNAP);
  if (rcu_seq_state(gseq) === 0 || rcu_seq_state(lseq) !== 0 || rcu_seq_ctr(lseq) !== rcu_seq_ctr(gseq)) return;
  const own = rdp === this_rcu_data(cpu) || !is_counted(cpu, rdp);
  assert(cpu, own, "rcu_barrier_entrain() on the list of another CPU that is not dead");
  const head = embedded(rdp, BARRIER_HEAD);
  mem.write(head, FUNC, CB.rcu_barrier_callback);
  debug_rcu_head_queue(cpu, head);
  if (rcu_segcblist_entrain(cpu, embedded(rdp, CBLIST), head)) {
    // Before the callback can run: it runs on the CPU of rdp, whose IRQs are off.
    const count = mem.fetch_add(state, BARRIER_CPU_COUNT, 1);
    assert(cpu, count >= 2, "I-RCU-10: a CPU is counted after the barrier has ended");
  } else {
    debug_rcu_head_unqueue(cpu, head);
  }
  mem.write_once(rdp, BARRIER_SEQ_SNAP, gseq);
}
/** rcu_rdp_cpu_online() for an assertion: no step. */
function is_counted(cpu: Cpu, rdp: Ptr<"rcu_data">): boolean {
  return (cpu.mem.peek(rcu_mynode(cpu, rdp), QSMASKINITNEXT) & rcu_cpu_mask(cpu, rdp)) !== 0;
}
/** rcu_barrier_callback(): all callbacks of this CPU that the barrier waits for have run. @context Softirq */
export function rcu_barrier_callback(cpu: Cpu): void {
  const state = rcu_state(cpu);
  const count = cpu.mem.fetch_add(state, BARRIER_CPU_COUNT, -1);
  assert(cpu, count > 0, "I-RCU-10: the barrier's count falls below 0");
  if (count === 1) complete(cpu, embedded(state, BARRIER_COMPLETION));
}
