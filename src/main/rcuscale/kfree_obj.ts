/** The objects of rcuscale: where they come from, and where they go. */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { FIRST_FREE_CALLBACK } from "../../shared/layout/callbacks.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { KvfreeRcuHead, LlistNode, RcuHead } from "../../shared/layout/types.ts";
import {
  call_rcu,
  kfree,
  kfree_nolock,
  kfree_rcu,
  kfree_rcu_nolock,
  kmalloc,
  kmalloc_nolock,
  kmem_cache_alloc,
  kvfree_rcu_mightsleep,
} from "../../shared/linux/api.ts";
import { container_of, embedded, NULL, overlay, struct, type CallbackId, type Ptr } from "../../shared/mem/struct.ts";
import { fromNolock, type Method } from "./methods.ts";

/** struct kfree_obj: 8 bytes, and a head of either kind. */
const KfreeObj = struct("kfree_obj", {
  /** Links objects on their way to the CPU that frees them. */
  node: LlistNode,
  rh: RcuHead,
  head: overlay("rh", KvfreeRcuHead),
});
const { node: NODE, rh: RH, head: HEAD } = KfreeObj.offset;
export type KfreeObjPtr = Ptr<"kfree_obj">;

/** An object by its link, and the link of an object. */
export function obj_of(node: Ptr<"llist_node">): KfreeObjPtr {
  return container_of(node, NODE);
}
export function node_of(obj: KfreeObjPtr): Ptr<"llist_node"> {
  return embedded(obj, NODE);
}

const CB_KFREE = FIRST_FREE_CALLBACK as CallbackId;
const CB_KFREE_NOLOCK = (FIRST_FREE_CALLBACK + 1) as CallbackId;

/** Binds the RCU callbacks; on every thread. */
export function bind_kfree_obj(): void {
  bind_callback(CB_KFREE, (cpu, rh: Ptr<"rcu_head">) => kfree(cpu, container_of(rh, RH)));
  bind_callback(CB_KFREE_NOLOCK, (cpu, rh: Ptr<"rcu_head">) => kfree_nolock(cpu, container_of(rh, RH)));
}

/** @returns a function that allocates an object, or NULL. @param s  where from; NULL: kmalloc caches. */
export function allocator(method: Method, size: number, s: Ptr<"kmem_cache">): (cpu: Cpu) => KfreeObjPtr {
  if (fromNolock(method)) return (cpu) => kmalloc_nolock(cpu, size, 0, NUMA_NO_NODE) as Ptr as KfreeObjPtr;
  if (s !== NULL) return (cpu) => kmem_cache_alloc(cpu, s, GFP_KERNEL) as Ptr as KfreeObjPtr;
  return (cpu) => kmalloc(cpu, size, GFP_KERNEL) as Ptr as KfreeObjPtr;
}

/** How each way gives an object away. @context Task */
export const FREE: Readonly<Record<Method, (cpu: Cpu, obj: KfreeObjPtr) => void>> = {
  kfree,
  call_rcu: (cpu, obj) => call_rcu(cpu, embedded(obj, RH), CB_KFREE),
  call_rcu_nolock_free: (cpu, obj) => call_rcu(cpu, embedded(obj, RH), CB_KFREE_NOLOCK),
  kfree_rcu: (cpu, obj) => kfree_rcu(cpu, obj, HEAD),
  kfree_rcu_nolock: (cpu, obj) => kfree_rcu_nolock(cpu, obj, HEAD),
  kvfree_rcu_mightsleep,
};
