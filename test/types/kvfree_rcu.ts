/**
 * Misuse of kfree_rcu() that must not compile. Each line below an "expect-error" is wrong; tsc fails when one is accepted.
 */
import type { Cpu } from "../../src/shared/cpu/cpu.ts";
import { KvfreeRcuHead, ListHead, RcuHead } from "../../src/shared/layout/types.ts";
import { kfree_rcu } from "../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { struct, u32, type Ptr } from "../../src/shared/mem/struct.ts";

const Thing = struct("thing", { value: u32, list: ListHead, head: KvfreeRcuHead, rcu: RcuHead });
const Other = struct("other", { head: KvfreeRcuHead });
const { value: VALUE, list: LIST, head: HEAD, rcu: RCU } = Thing.offset;

export function misuse(cpu: Cpu, thing: Ptr<"thing">): void {
  kfree_rcu(cpu, thing, HEAD);
  kfree_rcu(cpu, thing, RCU);
  kfree_rcu_nolock(cpu, thing, HEAD);
  kfree_rcu_nolock(cpu, thing, RCU);
  // @ts-expect-error there is no form without a head
  kfree_rcu(cpu, thing);
  // @ts-expect-error there is no form without a head: its slow path would sleep
  kfree_rcu_nolock(cpu, thing);
  // @ts-expect-error a scalar is no head
  kfree_rcu_nolock(cpu, thing, VALUE);
  // @ts-expect-error a list_head is no head
  kfree_rcu_nolock(cpu, thing, LIST);
  // @ts-expect-error the head of another struct
  kfree_rcu_nolock(cpu, thing, Other.offset.head);
  // @ts-expect-error a number is no head
  kfree_rcu_nolock(cpu, thing, 8);
}
