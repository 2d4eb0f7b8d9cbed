/**
 * KCSAN, as far as slab frees go: an object is freed while another CPU, or the code that was interrupted here, is just
 * accessing it. kernel/kcsan/core.c; spec rcu 3.1, slub 3.7.
 *
 * Whoever wants to be seen marks his access by kcsan_begin_scoped_access() and kcsan_end_scoped_access(). There is one
 * word a CPU; an interrupt that marks its own puts the interrupted one back. __kcsan_check_access() of a free looks at
 * all words. No false alarm: a mark is set only while the object is there by right, under rcu_read_lock() say, and a
 * free that is right comes after its end, which is before the unlock. Not all races are seen: marks are seen one a CPU.
 *
 * A check of frees alone, without locks. kfree_nolock() leaves it out with all others of its kind.
 */
import { warn } from "../../../cpu/bug.ts";
import { describe_context } from "../../../cpu/context.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { DebugGlobals, KcsanCpu, KcsanState } from "../../../layout/debug.ts";
import { Globals } from "../../../layout/globals.ts";
import { KmemCache } from "../../../layout/slab.ts";
import { SLAB_TYPESAFE_BY_RCU } from "../../../layout/slab_flags.ts";
import { embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import { type Facility, PATH } from "./facility.ts";
import { debug_state_alloc } from "./state.ts";

const { debug: DEBUG } = Globals.offset;
const { kcsan: KCSAN_STATE } = DebugGlobals.offset;
const { cpus: CPUS } = KcsanState.offset;
const { address: ADDRESS } = KcsanCpu.offset;
const { flags: FLAGS } = KmemCache.offset;

/** @context Task, at boot, alone */
function kcsan_init(cpu: Cpu): void {
  const state = debug_state_alloc(cpu, "kcsan", KcsanState.size) as Ptr<"kcsan_state">;
  cpu.mem.init(embedded(cpu.globals, DEBUG), KCSAN_STATE, state);
}
/** NULL: KCSAN is not on. */
function kcsan_cpu(cpu: Cpu, id: number): Ptr<"kcsan_cpu"> {
  const state = cpu.mem.peek(embedded(cpu.globals, DEBUG), KCSAN_STATE);
  return state === NULL ? NULL : embedded_at(state, CPUS, id, KcsanCpu.size);
}

/**
 * This CPU accesses an object from here on.
 * @kernel  kernel/kcsan/core.c
 * @returns what kcsan_end_scoped_access() takes.
 * @context Any
 */
export function kcsan_begin_scoped_access(cpu: Cpu, object: Ptr): Ptr {
  const own = kcsan_cpu(cpu, cpu.id);
  return own === NULL ? NULL : cpu.mem.xchg(own, ADDRESS, object as Ptr<"object">);
}
/** @kernel kernel/kcsan/core.c @param outer what the matching begin returned. @context that of the begin */
export function kcsan_end_scoped_access(cpu: Cpu, outer: Ptr): void {
  const own = kcsan_cpu(cpu, cpu.id);
  if (own !== NULL) cpu.mem.write_once(own, ADDRESS, outer as Ptr<"object">);
}

/** @kernel kernel/kcsan/core.c @context Any */
function __kcsan_check_access(
  cpu: Cpu,
  s: Ptr<"kmem_cache">,
  object: Ptr,
  bytes: number,
  _gfp: number,
  path: number,
): boolean {
  // Until its slab has gone through a grace period too, readers may look at an object of such a cache.
  if (path !== PATH.after_gp && cpu.mem.peek(s, FLAGS) & SLAB_TYPESAFE_BY_RCU) return true;
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const address = cpu.mem.read_once(kcsan_cpu(cpu, id), ADDRESS);
    if (address < object || address >= object + bytes) continue;
    const where = `0x${address.toString(16)}`;
    warn(cpu, `KCSAN: race: CPU ${id} accesses ${where}, which CPU ${cpu.id} frees (${describe_context(cpu)})`);
  }
  return true;
}

/** No access is marked while nothing runs. */
function check(cpu: Cpu): string[] {
  const problems: string[] = [];
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const address = cpu.mem.peek(kcsan_cpu(cpu, id), ADDRESS);
    if (address !== NULL) problems.push(`CPU ${id} has not ended its access to 0x${address.toString(16)}`);
  }
  return problems;
}

const NO_PARTNER = "a check of frees alone";
const LATER = { why: "readers may use the object until its grace period is over", tolerated: "checked after that" };

export const KCSAN: Facility = {
  name: "kcsan",
  summary: "frees of objects that somebody else is just accessing",
  locks: "none",
  spins: "never",
  hooks: [{ step: "__kcsan_check_access", paths: ["kfree", "after_gp"], run: __kcsan_check_access }],
  skipped: {
    kmalloc: { why: NO_PARTNER },
    kmalloc_nolock: { why: NO_PARTNER },
    kfree_nolock: { why: "left out, with all checks of frees alone", tolerated: "no other hook relies on it" },
    kfree_rcu: LATER,
    kfree_rcu_nolock: LATER,
  },
  init: kcsan_init,
  check,
};
