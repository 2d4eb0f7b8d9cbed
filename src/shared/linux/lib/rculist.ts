/**
 * Lists that RCU readers walk while others change them. include/linux/rculist.h.
 *
 *   who                     may run against
 *   a reader                anything: it meets every entry that is on the list all the time
 *   list_add_tail_rcu()     readers; not another change of the list: its lock is held
 *   list_del_rcu()          the same; the entry's memory is given back after a grace period
 *
 * Differs: a struct of its own, list_head_rcu, since `next` is an atomic field here and a plain one in list_head.
 */
import { bug } from "../../cpu/bug.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { ListHeadRcu } from "../../layout/types.ts";
import type { Ptr } from "../../mem/struct.ts";

const { next: NEXT, prev: PREV } = ListHeadRcu.offset;

type Entry = Ptr<"list_head_rcu">;

/** `prev` of an entry after list_del_rcu(); its `next` still leads readers back to the list. */
const LIST_POISON2 = 0x122 as Entry;

/** An empty list. @kernel include/linux/rculist.h @context Any; nobody else can see it */
export function INIT_LIST_HEAD_RCU(cpu: Cpu, list: Entry): void {
  cpu.mem.init(list, NEXT, list);
  cpu.mem.init(list, PREV, list);
}
/**
 * list_add_tail_rcu() - add at the end.
 * @kernel  include/linux/rculist.h
 * @context The list's lock held.
 * @pairs   list_next_rcu(): who finds the entry sees it whole.
 */
export function list_add_tail_rcu(cpu: Cpu, entry: Entry, head: Entry): void {
  const last = cpu.mem.read(head, PREV);
  cpu.mem.init(entry, NEXT, head);
  cpu.mem.init(entry, PREV, last);
  cpu.mem.write_once(last, NEXT, entry);
  cpu.mem.write(head, PREV, entry);
}
/**
 * list_del_rcu() - take an entry off its list. Readers may still stand on it: its `next` stays as it is.
 * @kernel  include/linux/rculist.h
 * @context The list's lock held.
 */
export function list_del_rcu(cpu: Cpu, entry: Entry): void {
  const next = cpu.mem.read_once(entry, NEXT);
  const prev = cpu.mem.read(entry, PREV);
  if (prev === LIST_POISON2) bug(cpu, `list_del_rcu: entry ${entry} was deleted before`);
  if (cpu.mem.read_once(prev, NEXT) !== entry || cpu.mem.read(next, PREV) !== entry) {
    bug(cpu, `list_del_rcu: the neighbours of entry ${entry} do not point at it`);
  }
  cpu.mem.write(next, PREV, prev);
  cpu.mem.write_once(prev, NEXT, next);
  cpu.mem.write(entry, PREV, LIST_POISON2);
}
/** The entry after `entry`; the head again after the last. @kernel include/linux/rculist.h @context A reader */
export function list_next_rcu(cpu: Cpu, entry: Entry): Entry {
  return cpu.mem.read_once(entry, NEXT);
}
