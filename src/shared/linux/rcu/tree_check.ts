/**
 * Walkers: what is wrong with RCU's data, as text. Spec rcu 4.13.
 *
 *   check_rcu_locked()     I-RCU-1, 2, 4, 5: hold at any moment outside the critical sections that change them; a node is
 *                          looked at if its lock is free, a callback list if its CPU has IRQs on
 *   check_rcu_quiescent()  I-RCU-14: nothing is left when all CPUs idle and a barrier has run
 *
 * The rest is asserted where it happens: I-RCU-3 and 4 in tree_gp.ts, 6 and 13 in tree_cb.ts and rcu_segcblist.ts, 7 by the
 * oracle, 9 in update.ts and context_tracking.ts, 10 in tree_barrier.ts, 11 in tree_stall.ts, 12 at each entry.
 *
 * Context: no CPU takes a step meanwhile: the machine is stopped, or the explorer stands between two steps. No steps.
 */
import { irqs_disabled } from "../../cpu/context.ts";
import { Cpu } from "../../cpu/cpu.ts";
import {
  RCU_CBLIST_NSEGS,
  RCU_NEXT_READY_TAIL,
  RCU_NEXT_TAIL,
  RCU_WAIT_TAIL,
  RcuCblist,
  RcuData,
  RcuNode,
  RcuSegcblist,
  RcuState,
} from "../../layout/rcu.ts";
import { IRQ_WORK_CLAIMED, IrqWork } from "../../layout/irq_work.ts";
import { ListHead, RcuHead, Spinlock } from "../../layout/types.ts";
import { element, embedded, NULL, offsetof, type Ptr } from "../../mem/struct.ts";
import { per_rcu_data, rcu_grpmask, rcu_node, rcu_num_nodes, rcu_parent, rcu_state } from "./rcu_node.ts";
import { rcu_seq_endval, rcu_seq_snap_value, rcu_seq_state, ULONG_CMP_GE, ULONG_CMP_LT } from "./rcu_seq.ts";

const {
  gp_seq: STATE_GP_SEQ,
  gp_flags: GP_FLAGS,
  gp_leader: GP_LEADER,
  gp_state: GP_STATE,
  gp_seq_polled: GP_SEQ_POLLED,
  barrier_sequence: BARRIER_SEQUENCE,
  expedited_sequence: EXPEDITED_SEQUENCE,
} = RcuState.offset;
const { lock: LOCK, gp_seq: GP_SEQ, qsmask: QSMASK, qsmaskinit: QSMASKINIT, expmask: EXPMASK } = RcuNode.offset;
const { blkd_tasks: BLKD_TASKS, gp_tasks: GP_TASKS, exp_tasks: EXP_TASKS } = RcuNode.offset;
const { cblist: CBLIST, rcl: RCL, cpu_no_qs_exp: CPU_NO_QS_EXP, rcu_iw: RCU_IW } = RcuData.offset;
const { head: HEAD, tails: TAILS, gp_seq: LABELS, seglen: SEGLEN, len: LEN } = RcuSegcblist.offset;
const { head: CB_HEAD } = RcuCblist.offset;
const { next: NEXT } = RcuHead.offset;
const { next: LIST_NEXT } = ListHead.offset;
const { val: VAL } = Spinlock.offset;
const { flags: IW_FLAGS } = IrqWork.offset;

/** @returns what breaks an invariant that holds at any moment. */
export function check_rcu_locked(cpu: Cpu): string[] {
  const problems: string[] = [];
  const { mem } = cpu;
  const gp_seq = mem.peek(rcu_state(cpu), STATE_GP_SEQ);
  if (rcu_seq_state(gp_seq) > 1) problems.push(`I-RCU-4: state of gp_seq ${gp_seq}`);
  for (let i = 0; i < rcu_num_nodes(cpu); i++) problems.push(...check_node(cpu, i, gp_seq));
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const other = new Cpu(mem, cpu.map, id, cpu.spinBound, cpu.oracle);
    if (!irqs_disabled(other)) problems.push(...check_cblist(cpu, id, gp_seq));
  }
  return problems;
}

function check_node(cpu: Cpu, i: number, state_gp_seq: number): string[] {
  const { mem } = cpu;
  const rnp = rcu_node(cpu, i);
  if (mem.peek(embedded(rnp, LOCK), VAL) !== 0) return [];
  const problems: string[] = [];
  const qsmask = mem.peek(rnp, QSMASK);
  const gp_seq = mem.peek(rnp, GP_SEQ);
  if ((qsmask & ~mem.peek(rnp, QSMASKINIT)) !== 0) problems.push(`I-RCU-1: node ${i} waits for a CPU that is offline`);
  // Behind by the start of a grace period, or ahead by its end: nothing else.
  const ahead = (gp_seq - state_gp_seq) | 0;
  const cleaned = gp_seq === rcu_seq_endval(state_gp_seq) && rcu_seq_state(state_gp_seq) !== 0;
  if (ahead !== 0 && ahead !== -1 && !cleaned) {
    problems.push(`I-RCU-2: node ${i} shows grace period ${gp_seq}, rcu_state ${state_gp_seq}`);
  }
  const parent = rcu_parent(cpu, rnp);
  if (parent !== NULL && qsmask !== 0 && mem.peek(parent, GP_SEQ) === gp_seq) {
    if ((mem.peek(parent, QSMASK) & rcu_grpmask(cpu, rnp)) === 0) {
      problems.push(`I-RCU-1: node ${i} waits (${qsmask}), but its parent does not wait for it`);
    }
  }
  const list = embedded(rnp, BLKD_TASKS);
  const gp_tasks = mem.peek(rnp, GP_TASKS);
  if (gp_tasks !== NULL && rcu_seq_state(gp_seq) === 0)
    problems.push(`node ${i} waits for tasks outside a grace period`);
  for (const [what, first] of [
    ["gp_tasks", gp_tasks],
    ["exp_tasks", mem.peek(rnp, EXP_TASKS)],
  ] as const) {
    if (first !== NULL && !is_on_list(cpu, list, first)) problems.push(`node ${i}: ${what} is not on blkd_tasks`);
  }
  if (qsmask !== 0 && rcu_seq_state(gp_seq) === 0) problems.push(`node ${i} waits (${qsmask}) outside a grace period`);
  return problems;
}

function is_on_list(cpu: Cpu, head: Ptr<"list_head">, entry: Ptr<"list_head">): boolean {
  for (let each = cpu.mem.peek(head, LIST_NEXT); each !== head; each = cpu.mem.peek(each, LIST_NEXT)) {
    if (each === entry) return true;
  }
  return false;
}

/** I-RCU-5, of a list whose CPU is not in the middle of a change. */
function check_cblist(cpu: Cpu, id: number, state_gp_seq: number): string[] {
  const { mem } = cpu;
  const list = embedded(per_rcu_data(cpu, id), CBLIST);
  const problems: string[] = [];
  const bad = (what: string): number => problems.push(`I-RCU-5: callbacks of CPU ${id}: ${what}`);
  const len = mem.peek(list, LEN);
  let slot = (list + offsetof(HEAD)) as Ptr as Ptr<"rcu_head">;
  let total = 0;
  for (let segment = 0; segment < RCU_CBLIST_NSEGS; segment++) {
    const end = mem.peek(list, element(TAILS, segment));
    let n = 0;
    while (slot !== end && n <= len) {
      slot = mem.peek(slot, NEXT);
      if (slot === NULL) {
        bad(`the list ends before segment ${segment} does`);
        return problems;
      }
      n++;
    }
    if (n !== mem.peek(list, element(SEGLEN, segment))) bad(`segment ${segment} has ${n}, not seglen`);
    total += n;
  }
  if (mem.peek(slot, NEXT) !== NULL) bad("the list goes on behind its tail");
  if (total > len) bad(`${total} are linked, but only ${len} are counted`);
  const label = (segment: number): number => mem.peek(list, element(LABELS, segment));
  const used = (segment: number): boolean => mem.peek(list, element(SEGLEN, segment)) !== 0;
  if (used(RCU_NEXT_READY_TAIL) && !used(RCU_WAIT_TAIL)) bad("NEXT_READY is filled before WAIT");
  if (used(RCU_NEXT_READY_TAIL) && !ULONG_CMP_LT(label(RCU_WAIT_TAIL), label(RCU_NEXT_READY_TAIL))) {
    bad(`labels ${label(RCU_WAIT_TAIL)}, ${label(RCU_NEXT_READY_TAIL)} are out of order`);
  }
  for (let segment = RCU_WAIT_TAIL; segment < RCU_NEXT_TAIL; segment++) {
    if (used(segment) && !ULONG_CMP_GE(rcu_seq_snap_value(state_gp_seq), label(segment)))
      bad("a label is too far ahead");
  }
  return problems;
}

/** @returns what is left, or wrong, though nothing should be: all CPUs idle, no callbacks, a barrier has run. */
export function check_rcu_quiescent(cpu: Cpu): string[] {
  const { mem } = cpu;
  const problems = check_rcu_locked(cpu);
  const state = rcu_state(cpu);
  const bad = (what: string): number => problems.push(`I-RCU-14: ${what}`);
  if (mem.peek(state, GP_STATE) !== 0) bad(`the engine is in state ${mem.peek(state, GP_STATE)}`);
  if (mem.peek(state, GP_FLAGS) !== 0) bad(`gp_flags ${mem.peek(state, GP_FLAGS)}`);
  if (mem.peek(state, GP_LEADER) !== 0) bad(`CPU ${mem.peek(state, GP_LEADER) - 1} drives the engine`);
  for (const [name, number] of [
    ["gp_seq", STATE_GP_SEQ],
    ["gp_seq_polled", GP_SEQ_POLLED],
    ["barrier_sequence", BARRIER_SEQUENCE],
    ["expedited_sequence", EXPEDITED_SEQUENCE],
  ] as const) {
    if (rcu_seq_state(mem.peek(state, number)) !== 0) bad(`${name} ${mem.peek(state, number)} is in progress`);
  }
  for (let i = 0; i < rcu_num_nodes(cpu); i++) {
    const rnp = rcu_node(cpu, i);
    if (mem.peek(embedded(rnp, LOCK), VAL) !== 0) bad(`the lock of node ${i} is held`);
    if (mem.peek(rnp, QSMASK) !== 0) bad(`node ${i} waits for quiescent states`);
    if (mem.peek(rnp, EXPMASK) !== 0) bad(`node ${i} waits for expedited quiescent states`);
    const list = embedded(rnp, BLKD_TASKS);
    if (mem.peek(list, LIST_NEXT) !== list) bad(`node ${i} has readers that were preempted`);
    if (mem.peek(rnp, GP_SEQ) !== mem.peek(state, STATE_GP_SEQ)) bad(`node ${i} shows another grace period`);
  }
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const rdp = per_rcu_data(cpu, id);
    const len = mem.peek(embedded(rdp, CBLIST), LEN);
    if (len !== 0) bad(`CPU ${id} has ${len} callbacks`);
    if (mem.peek(embedded(rdp, RCL), CB_HEAD) !== NULL) bad(`CPU ${id} is invoking callbacks`);
    if (mem.peek(rdp, CPU_NO_QS_EXP) !== 0) bad(`CPU ${id} owes an expedited quiescent state`);
    if ((mem.peek(embedded(rdp, RCU_IW), IW_FLAGS) & IRQ_WORK_CLAIMED) !== 0) bad(`CPU ${id}: rcu_iw is queued`);
  }
  return problems;
}
