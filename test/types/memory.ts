/**
 * Misuse of Memory that must not compile. Each line below an "expect-error" is wrong; tsc fails when one is accepted.
 */
import { IrqWork } from "../../src/shared/layout/irq_work.ts";
import { LlistHead, ListHead, Mutex } from "../../src/shared/layout/types.ts";
import type { Memory } from "../../src/shared/mem/memory.ts";
import { container_of, embedded, NULL, type Ptr } from "../../src/shared/mem/struct.ts";

const { flags: FLAGS, func: FUNC, node: NODE } = IrqWork.offset;
const { first: FIRST } = LlistHead.offset;
const { next: NEXT } = ListHead.offset;
const { waiters: WAITERS } = Mutex.offset;

export function misuse(mem: Memory, work: Ptr<"irq_work">, head: Ptr<"llist_head">, list: Ptr<"list_head">): void {
  mem.read_once(work, FLAGS);
  // @ts-expect-error FLAGS is atomic
  mem.read(work, FLAGS);
  // @ts-expect-error FUNC is plain
  mem.read_once(work, FUNC);
  // @ts-expect-error FLAGS belongs to irq_work
  mem.read_once(head, FLAGS);
  // @ts-expect-error NODE is an embedded struct, not a scalar
  mem.read(work, NODE);
  mem.write(list, NEXT, list);
  // @ts-expect-error NEXT points to a list_head
  mem.write(list, NEXT, work);
  mem.write(list, NEXT, NULL);
  // @ts-expect-error a number is no pointer
  mem.write(list, NEXT, 4096);
  // @ts-expect-error xchg needs an atomic field
  mem.xchg(list, NEXT, NULL);
  mem.cmpxchg(head, FIRST, NULL, embedded(work, NODE));
  // @ts-expect-error an irq_work is no llist_node; its node is
  mem.cmpxchg(head, FIRST, NULL, work);
  // @ts-expect-error WAITERS lies in a mutex
  embedded(work, WAITERS);
  const back: Ptr<"irq_work"> = container_of(embedded(work, NODE), NODE);
  // @ts-expect-error container_of gives an irq_work
  const wrong: Ptr<"mutex"> = container_of(embedded(work, NODE), NODE);
  void [back, wrong];
}
