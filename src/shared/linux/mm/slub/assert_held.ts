/** slab_lockdep_assert_held(): the assertion at which the kernel's own test hooks its kprobe. mm/slub.c; spec 11.1. */
import type { Cpu } from "../../../cpu/cpu.ts";
import { point } from "../../../cpu/trace.ts";
import { POINT } from "../../../layout/points.ts";
import type { Ptr } from "../../../mem/struct.ts";
import { lockdep_assert_held } from "../../sync/lockdep.ts";

/** A bug unless this CPU holds the sheaf lock or list_lock given; nolock code is injected here. @context Any */
export function slab_lockdep_assert_held(cpu: Cpu, lock: Ptr<"local_trylock"> | Ptr<"spinlock">): void {
  lockdep_assert_held(cpu, lock);
  point(cpu, POINT.slab_attach_kprobe_locked);
}
