/**
 * Segmented callback lists: one FIFO per CPU, cut by the grace period that each callback waits for.
 * kernel/rcu/rcu_segcblist.c; spec rcu 4.4.
 *
 *   DONE | WAIT: gp_seq[1] | NEXT_READY: gp_seq[2] | NEXT: no grace period yet
 *
 * Only its own CPU touches a list, with IRQs off: there is no lock, which is why call_rcu() is illegal in NMI. `len` alone
 * is read by others: rcu_barrier() skips a CPU whose list is empty, so a callback counts from before it is linked until
 * after it has run, and the count changes by fully ordered operations.
 *
 * A tail is the address of a pointer: the list's `head`, or the `next` of a callback, which is the first field of
 * rcu_head. So both are written as the `next` of an rcu_head.
 */
import { assert } from "../../cpu/bug.ts";
import { irqs_disabled } from "../../cpu/context.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { point } from "../../cpu/trace.ts";
import { POINT } from "../../layout/points.ts";
import {
  RCU_CBLIST_NSEGS,
  RCU_DONE_TAIL,
  RCU_NEXT_READY_TAIL,
  RCU_NEXT_TAIL,
  RCU_WAIT_TAIL,
  RcuCblist,
  RcuSegcblist,
} from "../../layout/rcu.ts";
import { RcuHead } from "../../layout/types.ts";
import { NULL, element, offsetof, type Ptr } from "../../mem/struct.ts";
import { RCU_INITIAL_GP_SEQ, ULONG_CMP_GE, ULONG_CMP_LT } from "./rcu_seq.ts";

const { head: HEAD, tails: TAILS, gp_seq: GP_SEQ, seglen: SEGLEN, len: LEN } = RcuSegcblist.offset;
const { head: CB_HEAD, tail: CB_TAIL, len: CB_LEN } = RcuCblist.offset;
const { next: NEXT } = RcuHead.offset;

type List = Ptr<"rcu_segcblist">;

/** &list->head, as the pointer that a tail may name. */
function headSlot(list: List): Ptr<"rcu_head"> {
  return (list + offsetof(HEAD)) as Ptr as Ptr<"rcu_head">;
}
function tail(cpu: Cpu, list: List, segment: number): Ptr<"rcu_head"> {
  return cpu.mem.read(list, element(TAILS, segment));
}
function label(cpu: Cpu, list: List, segment: number): number {
  return cpu.mem.read(list, element(GP_SEQ, segment));
}
function add_seglen(cpu: Cpu, list: List, segment: number, n: number): void {
  cpu.mem.write(list, element(SEGLEN, segment), cpu.mem.read(list, element(SEGLEN, segment)) + n);
}
function move_seglen(cpu: Cpu, list: List, from: number, to: number): void {
  const n = cpu.mem.read(list, element(SEGLEN, from));
  if (n === 0 || from === to) return;
  cpu.mem.write(list, element(SEGLEN, from), 0);
  add_seglen(cpu, list, to, n);
}

/** rcu_segcblist_init(): an empty list. @context boot, or its CPU with IRQs off */
export function rcu_segcblist_init(cpu: Cpu, list: List): void {
  cpu.mem.write(list, HEAD, NULL);
  for (let i = 0; i < RCU_CBLIST_NSEGS; i++) {
    cpu.mem.write(list, element(TAILS, i), headSlot(list));
    cpu.mem.write(list, element(SEGLEN, i), 0);
    cpu.mem.write(list, element(GP_SEQ, i), RCU_INITIAL_GP_SEQ);
  }
  cpu.mem.write_once(list, LEN, 0);
}
/** All callbacks that have not finished. @context Any, any CPU */
export function rcu_segcblist_n_cbs(cpu: Cpu, list: List): number {
  return cpu.mem.read_once(list, LEN);
}
/** No callback is linked; some may still be running. @context its CPU */
export function rcu_segcblist_empty(cpu: Cpu, list: List): boolean {
  return cpu.mem.read(list, HEAD) === NULL;
}
/** Is nothing linked behind `segment`? @context its CPU */
export function rcu_segcblist_restempty(cpu: Cpu, list: List, segment: number): boolean {
  return tail(cpu, list, segment) === tail(cpu, list, RCU_NEXT_TAIL);
}
/** Are there callbacks to invoke? @context its CPU */
export function rcu_segcblist_ready_cbs(cpu: Cpu, list: List): boolean {
  return tail(cpu, list, RCU_DONE_TAIL) !== headSlot(list);
}
/** Are there callbacks that wait for a grace period, known or not? @context its CPU */
export function rcu_segcblist_pend_cbs(cpu: Cpu, list: List): boolean {
  return !rcu_segcblist_restempty(cpu, list, RCU_DONE_TAIL);
}
/** Are there callbacks without a grace period? @context its CPU */
export function rcu_segcblist_unassigned_cbs(cpu: Cpu, list: List): boolean {
  return !rcu_segcblist_restempty(cpu, list, RCU_NEXT_READY_TAIL);
}
/** The oldest callback that waits; NULL if none does. @context its CPU */
export function rcu_segcblist_first_pend_cb(cpu: Cpu, list: List): Ptr<"rcu_head"> {
  if (!rcu_segcblist_pend_cbs(cpu, list)) return NULL;
  return cpu.mem.read(tail(cpu, list, RCU_DONE_TAIL), NEXT);
}
/** rcu_segcblist_add_len(): fully ordered against what surrounds it. @context its CPU, IRQs off */
export function rcu_segcblist_add_len(cpu: Cpu, list: List, n: number): void {
  cpu.mem.fetch_add(list, LEN, n);
}

/**
 * rcu_segcblist_enqueue() - append a callback to NEXT.
 * @context its CPU, IRQs off, not NMI: an NMI that appended too, between the two writes, would lose a callback.
 * @pairs   rcu_barrier(): it sees the count before it could miss the callback.
 */
export function rcu_segcblist_enqueue(cpu: Cpu, list: List, rhp: Ptr<"rcu_head">): void {
  assert(cpu, irqs_disabled(cpu), "rcu_segcblist_enqueue() with IRQs on");
  rcu_segcblist_add_len(cpu, list, 1);
  add_seglen(cpu, list, RCU_NEXT_TAIL, 1);
  cpu.mem.write(rhp, NEXT, NULL);
  cpu.mem.write(tail(cpu, list, RCU_NEXT_TAIL), NEXT, rhp);
  point(cpu, POINT.call_rcu_enqueue);
  cpu.mem.write(list, element(TAILS, RCU_NEXT_TAIL), rhp);
}
/**
 * rcu_segcblist_entrain() - append rcu_barrier()'s callback to the last segment that has any: behind every callback,
 * waiting for no more than they do.
 * @returns false if there are no callbacks to wait for.
 * @context its CPU, IRQs off
 */
export function rcu_segcblist_entrain(cpu: Cpu, list: List, rhp: Ptr<"rcu_head">): boolean {
  if (rcu_segcblist_n_cbs(cpu, list) === 0) return false;
  rcu_segcblist_add_len(cpu, list, 1);
  let last = RCU_NEXT_TAIL;
  // Nothing linked, but a count: callbacks are running. DONE is behind them, since they are put back before it.
  while (last > RCU_DONE_TAIL && tail(cpu, list, last) === tail(cpu, list, last - 1)) last--;
  cpu.mem.write(rhp, NEXT, NULL);
  cpu.mem.write(tail(cpu, list, last), NEXT, rhp);
  for (let i = last; i < RCU_CBLIST_NSEGS; i++) cpu.mem.write(list, element(TAILS, i), rhp);
  add_seglen(cpu, list, last, 1);
  return true;
}

/**
 * rcu_segcblist_advance() - grace period `seq` is over: what waited for it, or for an earlier one, is DONE.
 * @context its CPU, IRQs off
 */
export function rcu_segcblist_advance(cpu: Cpu, list: List, seq: number): void {
  if (!rcu_segcblist_pend_cbs(cpu, list)) return;
  let first = RCU_WAIT_TAIL; // The first segment that still waits.
  while (first < RCU_NEXT_TAIL && ULONG_CMP_GE(seq, label(cpu, list, first))) {
    if (tail(cpu, list, first) !== tail(cpu, list, first - 1)) {
      cpu.mem.write(list, element(GP_SEQ, RCU_DONE_TAIL), label(cpu, list, first)); // For rcu_do_batch()'s check.
    }
    move_seglen(cpu, list, first, RCU_DONE_TAIL);
    first++;
  }
  if (first === RCU_WAIT_TAIL) return;
  const done = tail(cpu, list, first - 1);
  for (let i = RCU_DONE_TAIL; i < first; i++) cpu.mem.write(list, element(TAILS, i), done);
  // What still waits moves into the freed places, label and all; what has no label stays in NEXT.
  let to = RCU_WAIT_TAIL;
  for (let from = first; from < RCU_NEXT_TAIL; from++, to++) {
    cpu.mem.write(list, element(GP_SEQ, to), label(cpu, list, from));
    cpu.mem.write(list, element(TAILS, to), tail(cpu, list, from));
    move_seglen(cpu, list, from, to);
  }
  const labelled = tail(cpu, list, to - 1);
  for (; to < RCU_NEXT_TAIL; to++) cpu.mem.write(list, element(TAILS, to), labelled);
}

/**
 * rcu_segcblist_accelerate() - give a grace period to those that have none, or an earlier one to those that can: `seq`,
 * a snapshot taken now, is good for every callback on the list.
 * @returns true if grace period `seq` has to be asked for.
 * @context its CPU, IRQs off
 */
export function rcu_segcblist_accelerate(cpu: Cpu, list: List, seq: number): boolean {
  if (!rcu_segcblist_pend_cbs(cpu, list)) return false;
  // The last segment that waits for less than `seq` stays as it is; all behind it can wait for `seq`.
  let keep = RCU_NEXT_READY_TAIL;
  while (keep > RCU_DONE_TAIL) {
    const empty = tail(cpu, list, keep) === tail(cpu, list, keep - 1);
    if (!empty && ULONG_CMP_LT(label(cpu, list, keep), seq)) break;
    keep--;
  }
  const into = keep + 1;
  // Both labels taken by earlier grace periods: the rest is labelled when one of these is over.
  if (into === RCU_NEXT_TAIL || rcu_segcblist_restempty(cpu, list, keep)) return false;
  for (let i = into + 1; i < RCU_CBLIST_NSEGS; i++) move_seglen(cpu, list, i, into);
  const last = tail(cpu, list, RCU_NEXT_TAIL);
  for (let i = into; i < RCU_NEXT_TAIL; i++) {
    cpu.mem.write(list, element(TAILS, i), last);
    cpu.mem.write(list, element(GP_SEQ, i), seq);
  }
  return true;
}

/**
 * rcu_segcblist_extract_done_cbs() - take the DONE segment. They still count in `len` until they have run.
 * @context its CPU, IRQs off
 */
export function rcu_segcblist_extract_done_cbs(cpu: Cpu, list: List, rclp: Ptr<"rcu_cblist">): void {
  const done = tail(cpu, list, RCU_DONE_TAIL);
  if (done === headSlot(list)) {
    cpu.mem.write(rclp, CB_HEAD, NULL);
    cpu.mem.write(rclp, CB_LEN, 0);
    return;
  }
  cpu.mem.write(rclp, CB_HEAD, cpu.mem.read(list, HEAD));
  cpu.mem.write(rclp, CB_TAIL, done);
  cpu.mem.write(rclp, CB_LEN, cpu.mem.read(list, element(SEGLEN, RCU_DONE_TAIL)));
  cpu.mem.write(list, HEAD, cpu.mem.read(done, NEXT));
  cpu.mem.write(done, NEXT, NULL);
  for (let i = 0; i < RCU_CBLIST_NSEGS; i++) {
    if (tail(cpu, list, i) === done) cpu.mem.write(list, element(TAILS, i), headSlot(list));
  }
  cpu.mem.write(list, element(SEGLEN, RCU_DONE_TAIL), 0);
}
/**
 * rcu_segcblist_insert_done_cbs() - give back those that were not invoked, in front: they are the oldest.
 * @context its CPU, IRQs off
 */
export function rcu_segcblist_insert_done_cbs(cpu: Cpu, list: List, rclp: Ptr<"rcu_cblist">): void {
  const first = cpu.mem.read(rclp, CB_HEAD);
  if (first === NULL) return;
  const last = cpu.mem.read(rclp, CB_TAIL);
  cpu.mem.write(last, NEXT, cpu.mem.read(list, HEAD));
  cpu.mem.write(list, HEAD, first);
  for (let i = 0; i < RCU_CBLIST_NSEGS; i++) {
    if (tail(cpu, list, i) === headSlot(list)) cpu.mem.write(list, element(TAILS, i), last);
  }
  add_seglen(cpu, list, RCU_DONE_TAIL, cpu.mem.read(rclp, CB_LEN));
  cpu.mem.write(rclp, CB_HEAD, NULL);
  cpu.mem.write(rclp, CB_LEN, 0);
}
/**
 * rcu_segcblist_merge() - all callbacks of `from`, a CPU that went offline, go behind those of `list`; they need a
 * grace period again unless they are DONE. `from` is empty afterwards.
 * @context IRQs off on the CPU of `list`; the other one is dead.
 */
export function rcu_segcblist_merge(cpu: Cpu, list: List, from: List): void {
  const n = rcu_segcblist_n_cbs(cpu, from);
  if (n === 0) return;
  const first = cpu.mem.read(from, HEAD);
  const done = tail(cpu, from, RCU_DONE_TAIL);
  const last = tail(cpu, from, RCU_NEXT_TAIL);
  const nrDone = cpu.mem.read(from, element(SEGLEN, RCU_DONE_TAIL));
  const newest = label(cpu, from, RCU_DONE_TAIL);
  if (ULONG_CMP_LT(label(cpu, list, RCU_DONE_TAIL), newest))
    cpu.mem.write(list, element(GP_SEQ, RCU_DONE_TAIL), newest);
  rcu_segcblist_add_len(cpu, list, n);
  rcu_segcblist_init(cpu, from);
  let pending = first;
  if (nrDone !== 0) {
    pending = cpu.mem.read(done, NEXT);
    const behind = tail(cpu, list, RCU_DONE_TAIL);
    cpu.mem.write(done, NEXT, cpu.mem.read(behind, NEXT));
    cpu.mem.write(behind, NEXT, first);
    for (let i = 0; i < RCU_CBLIST_NSEGS; i++) {
      if (tail(cpu, list, i) === behind) cpu.mem.write(list, element(TAILS, i), done);
    }
    add_seglen(cpu, list, RCU_DONE_TAIL, nrDone);
  }
  if (n !== nrDone) {
    cpu.mem.write(tail(cpu, list, RCU_NEXT_TAIL), NEXT, pending);
    cpu.mem.write(list, element(TAILS, RCU_NEXT_TAIL), last);
    add_seglen(cpu, list, RCU_NEXT_TAIL, n - nrDone);
  }
}
