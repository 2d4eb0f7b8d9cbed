/** CPU 0's krc, in which set-up leaves objects: its monitor, and the cookies of what it holds. */
import { per_cpu_ptr, type Cpu } from "../../shared/cpu/cpu.ts";
import { KfreeRcuCpu, KvfreeRcuBulkData } from "../../shared/layout/kvfree_rcu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import { RcuGpOldstate, RcuNode, RcuState } from "../../shared/layout/rcu.ts";
import { DelayedWork } from "../../shared/layout/workqueue.ts";
import { list_first, type ListPtr } from "../../shared/linux/lib/list.ts";
import { kfree_rcu_monitor } from "../../shared/linux/mm/kvfree_rcu/krc_batch.ts";
import { bulk_head_of } from "../../shared/linux/mm/kvfree_rcu/krc.ts";
import { rcu_get_root, rcu_state } from "../../shared/linux/rcu/rcu_node.ts";
import { container_of, embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";

const { krc: KRC } = PerCpu.offset;
const { monitor_work: MONITOR_WORK, head_gp_snap: HEAD_GP_SNAP } = KfreeRcuCpu.offset;
const { work: WORK } = DelayedWork.offset;
const { list: LIST, gp_snap: GP_SNAP } = KvfreeRcuBulkData.offset;
const { norm: NORM } = RcuGpOldstate.offset;
const { gp_seq: GP_SEQ } = RcuNode.offset;
const { gp_seq_polled: GP_SEQ_POLLED } = RcuState.offset;

export const krc = (cpu: Cpu): Ptr<"kfree_rcu_cpu"> => per_cpu_ptr(cpu, KRC, 0);
/** The monitor, called as shrinkers call it. @context Task */
export function monitor(cpu: Cpu): void {
  kfree_rcu_monitor(cpu, embedded(embedded(krc(cpu), MONITOR_WORK), WORK));
}
/** The first bnode of a list, or NULL. */
export function firstBnode(cpu: Cpu, list: ListPtr): Ptr<"kvfree_rcu_bulk_data"> {
  const first = list_first(cpu, list);
  return first === NULL ? NULL : container_of(first, LIST);
}
const cookieOf = (bnode: Ptr<"kvfree_rcu_bulk_data">): Ptr<"rcu_gp_oldstate"> => embedded(bnode, GP_SNAP);
/** The cookie of a bnode, or half of it: the bnode is ready as soon as one half is over. */
export const getCookie = (cpu: Cpu, bnode: Ptr<"kvfree_rcu_bulk_data">): number => cpu.mem.read(cookieOf(bnode), NORM);
export const setCookie = (cpu: Cpu, bnode: Ptr<"kvfree_rcu_bulk_data">, cookie: number): void =>
  cpu.mem.write(cookieOf(bnode), NORM, cookie);

/** The cookies of what is pending: of slab objects in bnodes, and of the list. */
export interface Cookies {
  readonly bnode: number;
  readonly list: number;
}
export function getCookies(cpu: Cpu): Cookies {
  const bnode = firstBnode(cpu, bulk_head_of(krc(cpu), 0));
  return { bnode: bnode === NULL ? 0 : getCookie(cpu, bnode), list: cpu.mem.read(krc(cpu), HEAD_GP_SNAP) };
}
export function setCookies(cpu: Cpu, { bnode, list }: Cookies): void {
  const first = firstBnode(cpu, bulk_head_of(krc(cpu), 0));
  if (first !== NULL) setCookie(cpu, first, bnode);
  cpu.mem.write(krc(cpu), HEAD_GP_SNAP, list);
}
/** What is pending has been there for long: its grace period is over. @context Set-up */
export function makeReady(cpu: Cpu): void {
  const bnode = cpu.mem.peek(rcu_get_root(cpu), GP_SEQ);
  setCookies(cpu, { bnode, list: cpu.mem.peek(rcu_state(cpu), GP_SEQ_POLLED) });
}
