/**
 * Readers of the heap, and how grace periods wait for them.
 *
 * A read section is the time in which a slot's `reader` word is odd. Threads enter and leave by one atomic addition; the
 * kernel's own readers have nothing to do with it, so kernel code may run as the slot's CPU, by whichever thread, while
 * its own thread reads.
 *
 *   bit 0          in a section
 *   READER_WANTED  a grace period waits for it: whoever leaves drives the grace period on
 *   the rest       how many sections have ended
 *
 * RCU sees all readers as one more CPU. It runs no code and is never idle, so RCU waits for its quiescent state in every
 * grace period; report_readers() reports one on its behalf, as is done for idle CPUs, when each slot was outside a
 * section at some time after the grace period began: it is so now, or its word has changed.
 *
 * Why that is enough. All looks at a word, and all its changes, are atomic read-modify-writes: they have one order, and
 * each sees what came before those that precede it. A section that began before our first look is waited for. One that
 * begins after it sees all that was done before the grace period began, so what was unlinked by then is not found. When
 * we see that a section has ended, all it read comes before what we do.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { RcuNode } from "../../shared/layout/rcu.ts";
import {
  lock_rcu_node,
  per_rcu_data,
  rcu_cpu_mask,
  rcu_mynode,
  unlock_rcu_node,
} from "../../shared/linux/rcu/rcu_node.ts";
import { rcu_report_qs_rnp } from "../../shared/linux/rcu/tree_qs.ts";
import type { Memory } from "../../shared/mem/memory.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import { HeapGlobals, type HeapMap, HeapSlot } from "./layout.ts";

const { reader: READER, reader_snap: READER_SNAP } = HeapSlot.offset;
const { snap_seq: SNAP_SEQ } = HeapGlobals.offset;
const { qsmask: QSMASK, gp_seq: GP_SEQ } = RcuNode.offset;

export const READER_INSIDE = 1;
export const READER_WANTED = 2;
const ENTER = 1;
/** From inside to outside, and one section more. */
const LEAVE = 3;

type Slot = Ptr<"heap_slot">;
type WordMemory = Pick<Memory, "fetch_add" | "fetch_or" | "fetch_and">;
/** What report_readers() needs to know of the heap's layout. */
export type ReaderMap = Pick<HeapMap, "slots" | "slot" | "globals" | "readersCpu">;

/** Enters a section. @context the slot's thread, outside sections. */
export function reader_enter(mem: WordMemory, slot: Slot): void {
  mem.fetch_add(slot, READER, ENTER);
}
/**
 * Leaves the section.
 * @returns true if a grace period waits for that: the caller has to drive it on, by report_readers().
 * @context the slot's thread, inside; or its reaper.
 * @pairs   is_holdout(): it marks a section that goes on, so this leaving sees the mark.
 */
export function reader_leave(mem: WordMemory, slot: Slot): boolean {
  if ((mem.fetch_add(slot, READER, LEAVE) & READER_WANTED) === 0) return false;
  mem.fetch_and(slot, READER, ~READER_WANTED);
  return true;
}

/**
 * report_readers() - if the grace period in progress waits for nothing but readers who have left, say so to RCU.
 * @context Task on any CPU, no rcu_node lock held. Called after every look at the grace-period engine.
 */
export function report_readers(cpu: Cpu, map: ReaderMap): void {
  const { mem } = cpu;
  const rdp = per_rcu_data(cpu, map.readersCpu);
  const leaf = rcu_mynode(cpu, rdp);
  const mask = rcu_cpu_mask(cpu, rdp);
  // Race: the bit is set by whoever begins a grace period, who comes by here afterwards.
  if ((mem.data_race_read(leaf, QSMASK) & mask) === 0) return;
  const flags = lock_rcu_node(cpu, leaf);
  const gp_seq = mem.read_once(leaf, GP_SEQ);
  const awaited = (mem.read(leaf, QSMASK) & mask) !== 0;
  if (awaited && all_have_passed(cpu, map, gp_seq)) rcu_report_qs_rnp(cpu, leaf, mask, gp_seq, flags);
  else unlock_rcu_node(cpu, leaf, flags);
}

/** The first look of a grace period takes the snapshots. The leaf's lock is held, and it shows that grace period. */
function all_have_passed(cpu: Cpu, map: ReaderMap, gp_seq: number): boolean {
  const { mem } = cpu;
  const first = mem.read(map.globals, SNAP_SEQ) !== gp_seq;
  if (first) mem.write(map.globals, SNAP_SEQ, gp_seq);
  let holdouts = 0;
  for (let i = 0; i < map.slots; i++) {
    const slot = map.slot(i);
    if (first) mem.write(slot, READER_SNAP, mem.fetch_or(slot, READER, 0) & ~READER_WANTED);
    if (is_holdout(mem, slot)) holdouts++;
  }
  return holdouts === 0;
}
/**
 * Is it still in the section of the snapshot? Then its thread will know, when it leaves, that somebody waits: the look and
 * the mark are one operation.
 */
export function is_holdout(mem: Pick<Memory, "read" | "fetch_or">, slot: Slot): boolean {
  const snap = mem.read(slot, READER_SNAP);
  if ((snap & READER_INSIDE) === 0) return false;
  return (mem.fetch_or(slot, READER, READER_WANTED) & ~READER_WANTED) === snap;
}
