/** The operations of llist, and what becomes of them when their compare-and-exchange is a load and a store. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { LlistHead, LlistNode } from "../../shared/layout/types.ts";
import { llist_add_batch, llist_del_all, llist_del_first } from "../../shared/linux/lib/llist.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";

const { first: FIRST } = LlistHead.offset;
const { next: NEXT } = LlistNode.offset;
type Node = Ptr<"llist_node">;
type Head = Ptr<"llist_head">;

export interface ListOperations {
  readonly add_batch: (cpu: Cpu, new_first: Node, new_last: Node, head: Head) => void;
  readonly del_all: (cpu: Cpu, head: Head) => Node;
  readonly del_first: (cpu: Cpu, head: Head) => Node;
}
export const atomicList: ListOperations = {
  add_batch: llist_add_batch,
  del_all: llist_del_all,
  del_first: llist_del_first,
};
export const tornList: ListOperations = {
  add_batch: (cpu, new_first, new_last, head) => {
    cpu.mem.init(new_last, NEXT, cpu.mem.read_once(head, FIRST));
    cpu.mem.write_once(head, FIRST, new_first);
  },
  del_all: (cpu, head) => {
    const first = cpu.mem.read_once(head, FIRST);
    cpu.mem.write_once(head, FIRST, NULL);
    return first;
  },
  del_first: (cpu, head) => {
    const first = cpu.mem.read_once(head, FIRST);
    if (first !== NULL) cpu.mem.write_once(head, FIRST, cpu.mem.read(first, NEXT));
    return first;
  },
};
