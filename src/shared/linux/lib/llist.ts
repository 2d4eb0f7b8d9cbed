/**
 * Lock-less, NULL-terminated, singly linked lists: many producers push, a consumer takes everything at once.
 * include/linux/llist.h, lib/llist.c.
 *
 * What may run at the same time, on any CPUs and in any contexts, NMIs that interrupt each of them included:
 *
 *               add     del_all  del_first
 *   add         yes     yes      yes
 *   del_all     yes     yes      lock
 *   del_first   yes     lock     lock
 *
 * yes: without a lock. lock: they exclude each other by a lock, or there is one consumer; otherwise a del_first() that
 * stands before its cmpxchg may find the head it has read back in place with another successor behind it (ABA).
 *
 * The order is last in, first out. A node's `next` is plain: it belongs to the producer until the cmpxchg, to the
 * consumer afterwards. A node must not be added twice: the list would lose nodes or bite its tail.
 */
import { bug } from "../../cpu/bug.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { point } from "../../cpu/trace.ts";
import { POINT } from "../../layout/points.ts";
import { LlistHead, LlistNode } from "../../layout/types.ts";
import { NULL, type Ptr } from "../../mem/struct.ts";

const { next: NEXT } = LlistNode.offset;
const { first: FIRST } = LlistHead.offset;

/** An empty list. @context Any; nobody else can see it */
export function init_llist_head(cpu: Cpu, head: Ptr<"llist_head">): void {
  cpu.mem.init(head, FIRST, NULL);
}

/**
 * llist_add_batch() - push the chain new_first .. new_last.
 *
 * @kernel  include/linux/llist.h
 * @returns true if the list was empty: then nobody else owes the consumer a wake-up.
 * @context Any, NMI included. Lock-free: a failed cmpxchg means that another push or a take-all succeeded.
 * @pairs   llist_del_all(), llist_del_first(): see every store that precedes our cmpxchg.
 */
export function llist_add_batch(
  cpu: Cpu,
  new_first: Ptr<"llist_node">,
  new_last: Ptr<"llist_node">,
  head: Ptr<"llist_head">,
): boolean {
  let first = cpu.mem.read_once(head, FIRST);
  for (;;) {
    if (first === new_first) bug(cpu, `llist_add: node ${new_first} is on list ${head} already`);
    cpu.mem.init(new_last, NEXT, first);
    point(cpu, POINT.llist_add_before_cmpxchg);
    const found = cpu.mem.cmpxchg(head, FIRST, first, new_first);
    if (found === first) return first === NULL;
    first = found; // What the cmpxchg found is what to try next: no second load.
  }
}
/** llist_add() - push one node. As llist_add_batch(). @context Any, NMI included. */
export function llist_add(cpu: Cpu, node: Ptr<"llist_node">, head: Ptr<"llist_head">): boolean {
  return llist_add_batch(cpu, node, node, head);
}

/**
 * llist_del_all() - take everything.
 *
 * @returns the newest node, linked to the others, or NULL.
 * @context Any, NMI included. Wait-free.
 * @pairs   llist_add_batch(): whose stores before the cmpxchg are seen through the nodes.
 */
export function llist_del_all(cpu: Cpu, head: Ptr<"llist_head">): Ptr<"llist_node"> {
  return cpu.mem.xchg(head, FIRST, NULL);
}

/**
 * llist_del_first() - take the newest node.
 *
 * @returns the node, or NULL.
 * @context One consumer at a time, see the table; an interrupt must not be a second one.
 */
export function llist_del_first(cpu: Cpu, head: Ptr<"llist_head">): Ptr<"llist_node"> {
  let first = cpu.mem.read_once(head, FIRST);
  while (first !== NULL) {
    const found = cpu.mem.cmpxchg(head, FIRST, first, cpu.mem.read(first, NEXT));
    if (found === first) break;
    first = found;
  }
  return first;
}

/**
 * llist_empty() - a probe. Race: true means that it was empty at the moment of the load; whoever adds a node afterwards
 * finds the list empty too, and so owes the wake-up.
 * @context Any
 */
export function llist_empty(cpu: Cpu, head: Ptr<"llist_head">): boolean {
  return cpu.mem.data_race_read(head, FIRST) === NULL;
}

/** The node behind `node` on a chain that the caller owns. Read it before the node may be freed or queued again. */
export function llist_next(cpu: Cpu, node: Ptr<"llist_node">): Ptr<"llist_node"> {
  return cpu.mem.read(node, NEXT);
}

/** Turns a chain that the caller owns around: oldest first. @returns its new first node. @context Any */
export function llist_reverse_order(cpu: Cpu, node: Ptr<"llist_node">): Ptr<"llist_node"> {
  let rest = node;
  let reversed: Ptr<"llist_node"> = NULL;
  while (rest !== NULL) {
    const next = cpu.mem.read(rest, NEXT);
    cpu.mem.write(rest, NEXT, reversed);
    reversed = rest;
    rest = next;
  }
  return reversed;
}
