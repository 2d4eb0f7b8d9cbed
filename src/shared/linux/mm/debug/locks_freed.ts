/**
 * debug_check_no_locks_freed(): memory is freed in which a lock is held. kernel/locking/lockdep.c; spec rcu 3.1, slub 3.7.
 *
 * A check of frees alone: no allocation prepares it, and it keeps no state, so it does not matter who allocated. It looks
 * at the locks of this CPU only, as the kernel looks at those of the current task.
 */
import { warn } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { debug_check_no_locks_freed, describe_holder } from "../../sync/lockdep.ts";
import type { Facility } from "./facility.ts";

function check_free(cpu: Cpu, _s: Ptr<"kmem_cache">, object: Ptr, bytes: number): boolean {
  const lock = debug_check_no_locks_freed(cpu, object, bytes);
  if (lock !== NULL) {
    const holder = describe_holder(cpu, lock);
    warn(cpu, `held lock freed: 0x${lock.toString(16)} in object 0x${object.toString(16)}, ${holder}`);
  }
  return true;
}

const NO_PARTNER = "a check of frees alone";
const GENTLE = { why: "left out, with all checks of frees alone", tolerated: "no other hook relies on it" };
const LATER = { why: "the memory is not freed yet", tolerated: "checked after the grace period" };

export const LOCKS_FREED: Facility = {
  name: "locks-freed",
  summary: "frees of memory in which this CPU holds a lock",
  locks: "none",
  spins: "never",
  hooks: [{ step: "debug_check_no_locks_freed", paths: ["kfree", "after_gp"], large: true, run: check_free }],
  skipped: {
    kmalloc: { why: NO_PARTNER },
    kmalloc_nolock: { why: NO_PARTNER },
    kfree_nolock: GENTLE,
    kfree_rcu: LATER,
    kfree_rcu_nolock: LATER,
  },
};
