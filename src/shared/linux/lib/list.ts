/**
 * struct list_head: circular, doubly linked lists; an empty one points at itself. include/linux/list.h.
 *
 * All links are plain words: a list belongs to one owner, or to a lock that is held around every call. Only list_empty()
 * may be used as a probe without the lock, through list_empty_careless(). A deleted entry is poisoned, so that a second
 * list_del() or a walk through it by list_next() is noticed at once; list_del_init() leaves an empty list instead.
 *
 *   head.next  first entry        head.prev  last entry
 */
import { bug } from "../../cpu/bug.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { ListHead } from "../../layout/types.ts";
import { NULL, type Ptr } from "../../mem/struct.ts";

const { next: NEXT, prev: PREV } = ListHead.offset;

export type ListPtr = Ptr<"list_head">;

/** Links of an entry after list_del(): no address of the machine. */
export const LIST_POISON1 = 0x100 as ListPtr;
export const LIST_POISON2 = 0x122 as ListPtr;

/** An empty list, or an entry that is on none. @context Any; nobody else can see it */
export function INIT_LIST_HEAD(cpu: Cpu, list: ListPtr): void {
  cpu.mem.init(list, NEXT, list);
  cpu.mem.init(list, PREV, list);
}

function __list_add(cpu: Cpu, entry: ListPtr, prev: ListPtr, next: ListPtr): void {
  if (entry === prev || entry === next) bug(cpu, `list_add: entry ${entry} is on this list already`);
  cpu.mem.write(next, PREV, entry);
  cpu.mem.write(entry, NEXT, next);
  cpu.mem.write(entry, PREV, prev);
  cpu.mem.write(prev, NEXT, entry);
}
/** Adds at the front: a stack. @context Owner of the list */
export function list_add(cpu: Cpu, entry: ListPtr, head: ListPtr): void {
  __list_add(cpu, entry, head, cpu.mem.read(head, NEXT));
}
/** Adds at the end: a queue. @context Owner of the list */
export function list_add_tail(cpu: Cpu, entry: ListPtr, head: ListPtr): void {
  __list_add(cpu, entry, cpu.mem.read(head, PREV), head);
}

function __list_del(cpu: Cpu, prev: ListPtr, next: ListPtr): void {
  cpu.mem.write(next, PREV, prev);
  cpu.mem.write(prev, NEXT, next);
}
/** A bug unless both neighbours point back at the entry. */
function __list_del_entry(cpu: Cpu, entry: ListPtr): void {
  const next = cpu.mem.read(entry, NEXT);
  const prev = cpu.mem.read(entry, PREV);
  if (next === LIST_POISON1 || prev === LIST_POISON2) bug(cpu, `list_del: entry ${entry} was deleted before`);
  if (cpu.mem.read(prev, NEXT) !== entry || cpu.mem.read(next, PREV) !== entry) {
    bug(cpu, `list_del: the neighbours of entry ${entry} do not point at it`);
  }
  __list_del(cpu, prev, next);
}
/** Takes an entry off its list and poisons its links. @context Owner of the list */
export function list_del(cpu: Cpu, entry: ListPtr): void {
  __list_del_entry(cpu, entry);
  cpu.mem.write(entry, NEXT, LIST_POISON1);
  cpu.mem.write(entry, PREV, LIST_POISON2);
}
/** Takes an entry off its list and leaves it an empty list. @context Owner of the list */
export function list_del_init(cpu: Cpu, entry: ListPtr): void {
  __list_del_entry(cpu, entry);
  INIT_LIST_HEAD(cpu, entry);
}
/** Moves an entry to the front of another list. @context Owner of both lists */
export function list_move(cpu: Cpu, entry: ListPtr, head: ListPtr): void {
  __list_del_entry(cpu, entry);
  list_add(cpu, entry, head);
}
/** Moves an entry to the end of another list. @context Owner of both lists */
export function list_move_tail(cpu: Cpu, entry: ListPtr, head: ListPtr): void {
  __list_del_entry(cpu, entry);
  list_add_tail(cpu, entry, head);
}
/** Moves the chain first .. last of one list to the end of another. @context Owner of both lists */
export function list_bulk_move_tail(cpu: Cpu, head: ListPtr, first: ListPtr, last: ListPtr): void {
  const mem = cpu.mem;
  __list_del(cpu, mem.read(first, PREV), mem.read(last, NEXT));
  const tail = mem.read(head, PREV);
  mem.write(tail, NEXT, first);
  mem.write(first, PREV, tail);
  mem.write(last, NEXT, head);
  mem.write(head, PREV, last);
}

/** @context Owner of the list */
export function list_empty(cpu: Cpu, head: ListPtr): boolean {
  return cpu.mem.read(head, NEXT) === head;
}
/**
 * list_empty() without the list's lock. Race: the answer is about some moment during the call; the caller either looks
 * again under the lock or is content with a list that was empty a moment ago.
 */
export function list_empty_careless(cpu: Cpu, head: ListPtr): boolean {
  return cpu.mem.data_race_read(head, NEXT) === head;
}
/** The entry after `entry`; the head again after the last. @context Owner of the list */
export function list_next(cpu: Cpu, entry: ListPtr): ListPtr {
  const next = cpu.mem.read(entry, NEXT);
  if (next === LIST_POISON1) bug(cpu, `a walk through a list has come to entry ${entry}, which was deleted`);
  return next;
}
/** The entry before `entry`; the head again before the first. @context Owner of the list */
export function list_prev(cpu: Cpu, entry: ListPtr): ListPtr {
  return cpu.mem.read(entry, PREV);
}
/** The first entry, or NULL. @context Owner of the list */
export function list_first(cpu: Cpu, head: ListPtr): ListPtr {
  const first = cpu.mem.read(head, NEXT);
  return first === head ? NULL : first;
}
/** The last entry, or NULL. @context Owner of the list */
export function list_last(cpu: Cpu, head: ListPtr): ListPtr {
  const last = cpu.mem.read(head, PREV);
  return last === head ? NULL : last;
}
/** Is `entry` the first of the list? @context Owner of the list */
export function list_is_first(cpu: Cpu, entry: ListPtr, head: ListPtr): boolean {
  return cpu.mem.read(head, NEXT) === entry;
}
/** Entries on the list; for checkers. A bug if the links do not lead back to the head. @context Owner of the list */
export function list_count(cpu: Cpu, head: ListPtr): number {
  let count = 0;
  let prev = head;
  for (let at = cpu.mem.read(head, NEXT); at !== head; at = cpu.mem.read(at, NEXT)) {
    if (cpu.mem.read(at, PREV) !== prev) bug(cpu, `list ${head}: entry ${at} does not point back at ${prev}`);
    prev = at;
    count++;
  }
  if (cpu.mem.read(head, PREV) !== prev) bug(cpu, `list ${head}: the head does not point back at ${prev}`);
  return count;
}

function __list_splice(cpu: Cpu, list: ListPtr, prev: ListPtr, next: ListPtr): void {
  const mem = cpu.mem;
  const first = mem.read(list, NEXT);
  const last = mem.read(list, PREV);
  mem.write(first, PREV, prev);
  mem.write(prev, NEXT, first);
  mem.write(last, NEXT, next);
  mem.write(next, PREV, last);
}
/** Puts all entries of `list` before those of `head`; `list` is undefined afterwards. @context Owner of both lists */
export function list_splice(cpu: Cpu, list: ListPtr, head: ListPtr): void {
  if (!list_empty(cpu, list)) __list_splice(cpu, list, head, cpu.mem.read(head, NEXT));
}
/** Puts all entries of `list` behind those of `head`; `list` is undefined afterwards. @context Owner of both lists */
export function list_splice_tail(cpu: Cpu, list: ListPtr, head: ListPtr): void {
  if (!list_empty(cpu, list)) __list_splice(cpu, list, cpu.mem.read(head, PREV), head);
}
/** list_splice(), and `list` is empty afterwards. @context Owner of both lists */
export function list_splice_init(cpu: Cpu, list: ListPtr, head: ListPtr): void {
  if (list_empty(cpu, list)) return;
  __list_splice(cpu, list, head, cpu.mem.read(head, NEXT));
  INIT_LIST_HEAD(cpu, list);
}
/** list_splice_tail(), and `list` is empty afterwards. @context Owner of both lists */
export function list_splice_tail_init(cpu: Cpu, list: ListPtr, head: ListPtr): void {
  if (list_empty(cpu, list)) return;
  __list_splice(cpu, list, cpu.mem.read(head, PREV), head);
  INIT_LIST_HEAD(cpu, list);
}
