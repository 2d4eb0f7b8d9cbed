/**
 * Misuse of kfree_rcu() that must not compile. Each line below an "expect-error" is wrong; tsc fails when one is accepted.
 */
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { CB } from "../../src/shared/layout/callbacks.ts";
import { KvfreeRcuHead, ListHead, LlistNode, RcuHead, RcuPtr } from "../../src/shared/layout/types.ts";
import { kfree_rcu, kvfree_rcu } from "../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { call_rcu } from "../../src/shared/linux/rcu/tree.ts";
import { embedded, overlay, struct, u32, type Ptr } from "../../src/shared/mem/struct.ts";

const Thing = struct("thing", {
  value: u32,
  list: ListHead,
  node: LlistNode,
  head: KvfreeRcuHead,
  ptr: RcuPtr,
  rcu: RcuHead,
  over: overlay("rcu", KvfreeRcuHead),
});
const Other = struct("other", { head: KvfreeRcuHead, ptr: RcuPtr, rcu: RcuHead });
const { value: VALUE, list: LIST, node: NODE, head: HEAD, ptr: PTR, rcu: RCU, over: OVER } = Thing.offset;

export function misuse(cpu: Cpu, thing: Ptr<"thing">): void {
  for (const free of [kfree_rcu, kvfree_rcu, kfree_rcu_nolock]) {
    free(cpu, thing, HEAD);
    free(cpu, thing, PTR);
    free(cpu, thing, RCU);
    free(cpu, thing, OVER);
    // @ts-expect-error an argument is missing: what needs no head has a name of its own, kfree_rcu_mightsleep()
    free(cpu, thing);
    // @ts-expect-error a scalar is no head
    free(cpu, thing, VALUE);
    // @ts-expect-error a list_head is no head
    free(cpu, thing, LIST);
    // @ts-expect-error an llist_node is no head, though it has the size of one
    free(cpu, thing, NODE);
    // @ts-expect-error the head of another struct
    free(cpu, thing, Other.offset.head);
    // @ts-expect-error the same in its old form
    free(cpu, thing, Other.offset.ptr);
    // @ts-expect-error and with room for a callback
    free(cpu, thing, Other.offset.rcu);
    // @ts-expect-error a number is no head
    free(cpu, thing, 8);
  }
  call_rcu(cpu, embedded(thing, RCU), CB.wakeme_after_rcu);
  // @ts-expect-error call_rcu() also writes the function: behind a kvfree_rcu_head there is no room for it
  call_rcu(cpu, embedded(thing, HEAD), CB.wakeme_after_rcu);
  // @ts-expect-error nor behind an rcu_ptr
  call_rcu(cpu, embedded(thing, PTR), CB.wakeme_after_rcu);
  // @ts-expect-error where both lie, it wants to be given the large one
  call_rcu(cpu, embedded(thing, OVER), CB.wakeme_after_rcu);
}
