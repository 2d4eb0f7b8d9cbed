/**
 * Callbacks: call_rcu(), and their invocation once their grace period is over. kernel/rcu/tree.c; spec rcu 4.5, 4.7.
 *
 * A callback runs once, in softirq, on the CPU that queued it, in the order of queueing, after a grace period that
 * began after call_rcu(). It may queue itself again, but not block.
 *
 * Who asks for the grace period: call_rcu_hurry() at once; a CPU that is about to sleep (rcu_note_context_switch); an
 * interrupt, in its softirq, since the CPU may be on its way to sleep; else the next tick. So a busy CPU collects.
 *
 * Back-pressure, at qhimark callbacks: more are invoked in one go, the grace period is asked for and pressed, and the
 * producer serves softirqs where it stands if an interrupt could do so too. A producer that may sleep can wait with
 * rcu_throttle().
 *
 * Differs: no lazy or offloaded callbacks.
 */
import { assert, bug, warn } from "../../cpu/bug.ts";
import { invoke } from "../../cpu/callback_table.ts";
import {
  describe_context,
  in_interrupt,
  in_nmi,
  local_irq_restore,
  local_irq_save,
  might_sleep,
  run_pending_softirqs,
} from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { oracle_grace_period_begin, oracle_grace_period_end } from "../../cpu/oracle.ts";
import { schedule } from "../../cpu/sched.ts";
import { EV_CALL_RCU, EV_RCU_CALLBACK, point, trace } from "../../cpu/trace.ts";
import { CB } from "../../layout/callbacks.ts";
import { POINT } from "../../layout/points.ts";
import { RCU_DONE_TAIL, RcuCblist, RcuData, RcuNode, RcuSegcblist, RcuState } from "../../layout/rcu.ts";
import { RcuHead } from "../../layout/types.ts";
import { element, embedded, NULL, type CallbackId, type Ptr } from "../../mem/struct.ts";
import { raise_softirq_irqoff, RCU_SOFTIRQ } from "../kernel/softirq.ts";
import { debug_rcu_head_queue, debug_rcu_head_unqueue } from "./debug_rcu_head.ts";
import { rcu_get_root, rcu_state, this_rcu_data } from "./rcu_node.ts";
import {
  rcu_segcblist_add_len,
  rcu_segcblist_empty,
  rcu_segcblist_enqueue,
  rcu_segcblist_extract_done_cbs,
  rcu_segcblist_first_pend_cb,
  rcu_segcblist_insert_done_cbs,
  rcu_segcblist_n_cbs,
  rcu_segcblist_ready_cbs,
} from "./rcu_segcblist.ts";
import { ULONG_CMP_GE } from "./rcu_seq.ts";
import { rcu_force_quiescent_state } from "./tree_fqs.ts";
import { note_gp_changes } from "./tree_qs.ts";
import { rcu_accelerate_cbs_unlocked, rcu_gp_in_progress } from "./tree_request.ts";
import { rcu_read_lock, rcu_read_unlock } from "./update.ts";

const { next: NEXT, func: FUNC } = RcuHead.offset;
const { head: CB_HEAD, len: CB_LEN } = RcuCblist.offset;
const { seglen: SEGLEN, gp_seq: CB_GP_SEQ } = RcuSegcblist.offset;
const { gp_seq: GP_SEQ } = RcuNode.offset;
const { qhimark: QHIMARK, qlowmark: QLOWMARK, blimit: STATE_BLIMIT, n_force_qs: N_FORCE_QS } = RcuState.offset;
const {
  cblist: CBLIST,
  rcl: RCL,
  blimit: BLIMIT,
  qlen_last_fqs_check: QLEN_LAST_FQS_CHECK,
  n_force_qs_snap: N_FORCE_QS_SNAP,
  n_cbs_queued: N_CBS_QUEUED,
  n_cbs_invoked: N_CBS_INVOKED,
  max_qlen: MAX_QLEN,
  n_throttled: N_THROTTLED,
} = RcuData.offset;

/** What blimit is lifted to under overload. */
export const DEFAULT_MAX_RCU_BLIMIT = 10000;
/** At least 1 / 2^7 of the callbacks that are ready are invoked in one go. */
const RCU_DIVISOR = 7;
/** rcu_throttle() lets a CPU have this many times qhimark callbacks. */
const THROTTLE = 2;

/**
 * call_rcu() - have `func(head)` called after a grace period.
 * @context Any but NMI: the list is protected by IRQs off alone. In readers, with raw locks held, with IRQs off too.
 */
export function call_rcu(cpu: Cpu, head: Ptr<"rcu_head">, func: CallbackId): void {
  __call_rcu_common(cpu, head, func, false);
}
/** call_rcu_hurry() - the same, and ask for the grace period at once: somebody waits. @context as call_rcu() */
export function call_rcu_hurry(cpu: Cpu, head: Ptr<"rcu_head">, func: CallbackId): void {
  __call_rcu_common(cpu, head, func, true);
}

function __call_rcu_common(cpu: Cpu, head: Ptr<"rcu_head">, func: CallbackId, hurry: boolean): void {
  const { mem } = cpu;
  if (in_nmi(cpu)) bug(cpu, `call_rcu from NMI (${describe_context(cpu)})`);
  if (!debug_rcu_head_queue(cpu, head)) {
    mem.write(head, FUNC, CB.rcu_leak_callback);
    return;
  }
  oracle_grace_period_begin(cpu, head);
  if ((head & 3) !== 0) warn(cpu, `call_rcu: misaligned rcu_head ${head}`);
  trace(cpu, EV_CALL_RCU, head, func);
  mem.write(head, FUNC, func);
  mem.write(head, NEXT, NULL);

  const flags = local_irq_save(cpu);
  const rdp = this_rcu_data(cpu);
  const cblist = embedded(rdp, CBLIST);
  rcu_segcblist_enqueue(cpu, cblist, head);
  const n = rcu_segcblist_n_cbs(cpu, cblist);
  mem.count(rdp, N_CBS_QUEUED, 1);
  if (n > mem.peek(rdp, MAX_QLEN)) mem.count(rdp, MAX_QLEN, n - mem.peek(rdp, MAX_QLEN));
  if (hurry) rcu_accelerate_cbs_unlocked(cpu, rdp);
  // An interrupt may have come after a CPU that goes idle last looked at its callbacks: its softirq has to.
  if (in_interrupt(cpu)) raise_softirq_irqoff(cpu, RCU_SOFTIRQ);
  const overload = flags === 0 && __call_rcu_core(cpu, rdp, head, n);
  local_irq_restore(cpu, flags);
  // Why allowed: IRQs are on, so an interrupt could come here and do the same on its way out.
  if (overload) run_pending_softirqs(cpu);
}

/** Too many callbacks? @returns true if this CPU should do something about it. IRQs off, but they were on. */
function __call_rcu_core(cpu: Cpu, rdp: Ptr<"rcu_data">, head: Ptr<"rcu_head">, n: number): boolean {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const qhimark = mem.peek(state, QHIMARK);
  if (n <= mem.read(rdp, QLEN_LAST_FQS_CHECK) + qhimark) return false;
  note_gp_changes(cpu, rdp, false);
  if (rcu_gp_in_progress(cpu)) {
    mem.write(rdp, BLIMIT, DEFAULT_MAX_RCU_BLIMIT);
    // Race: a count that is off only presses a grace period once too often or too seldom.
    const nobodyDid = mem.data_race_read(state, N_FORCE_QS) === mem.read(rdp, N_FORCE_QS_SNAP);
    if (nobodyDid && rcu_segcblist_first_pend_cb(cpu, embedded(rdp, CBLIST)) !== head) rcu_force_quiescent_state(cpu);
    mem.write(rdp, N_FORCE_QS_SNAP, mem.data_race_read(state, N_FORCE_QS));
    mem.write(rdp, QLEN_LAST_FQS_CHECK, n);
  } else {
    rcu_accelerate_cbs_unlocked(cpu, rdp);
  }
  raise_softirq_irqoff(cpu, RCU_SOFTIRQ);
  return true;
}

/**
 * rcu_throttle() - wait while this CPU has far too many callbacks: a producer's share in keeping the backlog bounded.
 *
 * Differs: not in the kernel, where memory pressure does it.
 *
 * @context Task, may sleep. A quiescent state.
 */
export function rcu_throttle(cpu: Cpu): void {
  might_sleep(cpu, "rcu_throttle");
  const rdp = this_rcu_data(cpu);
  const limit = THROTTLE * cpu.mem.peek(rcu_state(cpu), QHIMARK);
  if (rcu_segcblist_n_cbs(cpu, embedded(rdp, CBLIST)) <= limit) return;
  cpu.mem.count(rdp, N_THROTTLED, 1);
  while (rcu_segcblist_n_cbs(cpu, embedded(rdp, CBLIST)) > limit) schedule(cpu);
}

/**
 * rcu_do_batch() - invoke callbacks that are ready: blimit of them, more when there are many. The rest goes back, and the
 * softirq is raised again.
 * @context Softirq, IRQs on.
 */
export function rcu_do_batch(cpu: Cpu): void {
  const { mem } = cpu;
  const rdp = this_rcu_data(cpu);
  const cblist = embedded(rdp, CBLIST);
  const rcl = embedded(rdp, RCL);
  let flags = local_irq_save(cpu);
  const ready = mem.read(cblist, element(SEGLEN, RCU_DONE_TAIL));
  const limit = Math.max(mem.read(rdp, BLIMIT), ready >> RCU_DIVISOR);
  // I-RCU-6. The root is updated first, so it knows of every grace period that a leaf has told us about.
  assert(
    cpu,
    ready === 0 || callbacks_are_due(cpu, cblist),
    "I-RCU-6: callbacks are ready before their grace period has ended",
  );
  rcu_segcblist_extract_done_cbs(cpu, cblist, rcl);
  local_irq_restore(cpu, flags);

  let rhp = mem.read(rcl, CB_HEAD);
  let count = 0;
  if (cpu.rt) rcu_read_lock(cpu); // Softirqs are off while callbacks run, which with PREEMPT_RT makes them readers.
  while (rhp !== NULL && count < limit) {
    const next = mem.read(rhp, NEXT); // Before the callback: it frees the head, or queues it again.
    invoke_callback(cpu, rhp);
    count++;
    rhp = next;
  }
  if (cpu.rt) rcu_read_unlock(cpu);

  flags = local_irq_save(cpu);
  mem.write(rcl, CB_HEAD, rhp);
  mem.write(rcl, CB_LEN, mem.read(rcl, CB_LEN) - count);
  rcu_segcblist_insert_done_cbs(cpu, cblist, rcl);
  // After the callbacks have returned: rcu_barrier() must not see 0 while one runs.
  rcu_segcblist_add_len(cpu, cblist, -count);
  mem.count(rdp, N_CBS_INVOKED, count);
  relax_after_batch(cpu, rdp);
  if (rcu_segcblist_ready_cbs(cpu, cblist)) raise_softirq_irqoff(cpu, RCU_SOFTIRQ);
  local_irq_restore(cpu, flags);
}

/** The label of the newest callback that is DONE is not ahead of the root. */
function callbacks_are_due(cpu: Cpu, cblist: Ptr<"rcu_segcblist">): boolean {
  const label = cpu.mem.read(cblist, element(CB_GP_SEQ, RCU_DONE_TAIL));
  return ULONG_CMP_GE(cpu.mem.read_once(rcu_get_root(cpu), GP_SEQ), label);
}

function invoke_callback(cpu: Cpu, rhp: Ptr<"rcu_head">): void {
  const func = cpu.mem.read(rhp, FUNC);
  // rcu_barrier()'s own callback was promised its turn, not a grace period.
  if (func !== CB.rcu_barrier_callback) oracle_grace_period_end(cpu, rhp);
  trace(cpu, EV_RCU_CALLBACK, rhp, func);
  point(cpu, POINT.rcu_callback);
  debug_rcu_head_unqueue(cpu, rhp);
  cpu.mem.write(rhp, FUNC, 0 as CallbackId); // A second invocation would be a call through NULL.
  invoke(cpu, func, rhp);
}

/** Back to normal limits once the backlog has gone. IRQs off. */
function relax_after_batch(cpu: Cpu, rdp: Ptr<"rcu_data">): void {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const cblist = embedded(rdp, CBLIST);
  const left = rcu_segcblist_n_cbs(cpu, cblist);
  if (left <= mem.peek(state, QLOWMARK)) mem.write(rdp, BLIMIT, mem.peek(state, STATE_BLIMIT));
  const last = mem.read(rdp, QLEN_LAST_FQS_CHECK);
  if (left === 0 && last !== 0) {
    mem.write(rdp, QLEN_LAST_FQS_CHECK, 0);
    mem.write(rdp, N_FORCE_QS_SNAP, mem.data_race_read(state, N_FORCE_QS));
  } else if (left < last - mem.peek(state, QHIMARK)) {
    mem.write(rdp, QLEN_LAST_FQS_CHECK, left);
  }
  assert(cpu, (left === 0) === rcu_segcblist_empty(cpu, cblist), `I-RCU-5: ${left} callbacks, but the list differs`);
}
