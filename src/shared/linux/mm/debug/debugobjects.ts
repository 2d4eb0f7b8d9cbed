/**
 * Where debugobjects (lib/debugobjects.ts) is called for objects of kfree_rcu() and for freed memory. rcu_heads of
 * call_rcu() are in rcu/tree_cb.ts. mm/slub.c, mm/slab_common.c; spec rcu 3.3.
 *
 * Activation is at the call, for objects that do not go into a sheaf; so a second kfree_rcu() is noticed on krc's lists
 * only. The object stays where the first call put it: freeing it again would corrupt the heap.
 */
import type { Cpu } from "../../../cpu/cpu.ts";
import { DebugObj, DebugobjectsState } from "../../../layout/debug.ts";
import type { Ptr } from "../../../mem/struct.ts";
import { active_debug_objects, debug_check_no_obj_freed, debug_objects_mem_init } from "../../lib/debugobjects.ts";
import { debug_rcu_head_queue, debug_rcu_head_unqueue } from "../../rcu/debug_rcu_head.ts";
import type { Facility } from "./facility.ts";
import { debug_state_alloc, debug_state_capacity } from "./state.ts";

/** Of the machine's pages, for tracker objects. */
const SHARE = 1 / 32;

function init(cpu: Cpu): void {
  const count = debug_state_capacity(cpu, SHARE, DebugObj.size);
  const state = debug_state_alloc(cpu, "debugobjects", DebugobjectsState.size) as Ptr<"debugobjects_state">;
  debug_objects_mem_init(cpu, state, debug_state_alloc(cpu, "debugobjects", count * DebugObj.size), count);
}

/** kvfree_call_rcu(), step 3. */
function queue(cpu: Cpu, _s: Ptr<"kmem_cache">, object: Ptr): boolean {
  return debug_rcu_head_queue(cpu, object);
}
function unqueue(cpu: Cpu, _s: Ptr<"kmem_cache">, object: Ptr): boolean {
  debug_rcu_head_unqueue(cpu, object);
  return true;
}
function check_free(cpu: Cpu, _s: Ptr<"kmem_cache">, object: Ptr, bytes: number): boolean {
  debug_check_no_obj_freed(cpu, object, bytes);
  return true;
}

/** Nothing is queued. */
function check(cpu: Cpu): string[] {
  return active_debug_objects(cpu).map((object) => `0x${object.toString(16)} is queued`);
}

const NO_PARTNER = "objects become known when they are queued";
const SPINS = "bucket locks are waited for: the interrupted code may hold one";

export const DEBUGOBJECTS: Facility = {
  name: "debugobjects",
  summary: "heads and objects that are queued twice, or freed while they are queued",
  locks: "a raw spinlock for each bucket, one for the pool",
  spins: "always",
  hooks: [
    { step: "debug_check_no_obj_freed", paths: ["kfree", "after_gp"], large: true, run: check_free },
    { step: "debug_rcu_head_queue", paths: ["kfree_rcu"], run: queue },
    { step: "debug_rcu_head_unqueue", paths: ["kfree_rcu", "after_gp"], run: unqueue },
  ],
  skipped: {
    kmalloc: { why: NO_PARTNER },
    kmalloc_nolock: { why: NO_PARTNER },
    kfree_nolock: { why: SPINS, tolerated: "what stays known of the object is not active, and so in nobody's way" },
    kfree_rcu_nolock: { why: SPINS, tolerated: "the deferred list's handler calls kvfree_call_rcu(), which queues it" },
  },
  init,
  check,
};
