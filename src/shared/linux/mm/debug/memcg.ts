/**
 * Memory cgroups, as slub sees them: an object with __GFP_ACCOUNT, or of a SLAB_ACCOUNT cache, is paid for, and the
 * extension vector of its slab (slub/obj_exts.ts) says by whom. mm/memcontrol.c; spec rcu 3.1, 3.5.
 *
 *   slab->obj_exts                set by
 *   0                             new_slab()
 *   OBJEXTS_ALLOC_FAIL            alloc_slab_obj_exts(): no memory, so the object is not accounted for; tried again
 *   vector | MEMCG_DATA_OBJEXTS   alloc_slab_obj_exts(), by cmpxchg, once; it lives as long as the slab
 *
 * An entry of a vector is written by the owner of its object only: by the hook that gives the object away, and the one
 * that gets it back. So the hooks take no lock but what charging needs, which may be done in NMI (objcg.ts, obj_stock.ts).
 *
 * The object is paid for until the free hooks run: after the grace period, if it was given to kfree_rcu().
 *
 * Differs: no hierarchy, no reclaim: a charge fails at the limit. Large kmallocs are not accounted for. KB_NOSPIN_ALLOC:
 * before 7.0 an object of kmalloc_nolock() could only be freed by kfree_nolock(); kfree() refuses it then.
 */
import { warn } from "../../../cpu/bug.ts";
import { invoke } from "../../../cpu/callback_table.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_move } from "../../../cpu/oracle.ts";
import { CB } from "../../../layout/callbacks.ts";
import { DebugGlobals } from "../../../layout/debug.ts";
import {
  CODETAG_KMALLOC,
  CODETAG_KMALLOC_NOLOCK,
  CODETAG_NONE,
  MemcgState,
  ObjCgroup,
  OBJEXTS_FLAGS_MASK,
  ObjStock,
  SlabobjExt,
} from "../../../layout/debug_memcg.ts";
import { __GFP_ACCOUNT, __GFP_NOFAIL } from "../../../layout/gfp.ts";
import { Globals, KB_NOSPIN_ALLOC } from "../../../layout/globals.ts";
import { KmemCache, Slab } from "../../../layout/slab.ts";
import { SLAB_ACCOUNT, SLAB_NO_OBJ_EXT } from "../../../layout/slab_flags.ts";
import { O_KEPT, O_KRC, O_RCU_SHEAF, O_USER } from "../../../mem/oracle.ts";
import { embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import { init_irq_work } from "../../kernel/irq_work.ts";
import { init_llist_head } from "../../lib/llist.ts";
import { LC } from "../../sync/lockdep.ts";
import { local_lock_init } from "../../sync/local_lock.ts";
import { mutex_init } from "../../sync/mutex.ts";
import { raw_spin_lock_init } from "../../sync/spinlock.ts";
import { page_address, virt_to_head_page } from "../page_alloc/zone.ts";
import { type Facility, PATH, path_allows_spin } from "./facility.ts";
import { is_kfence_address } from "./kfence_pool.ts";
import { drain_all_stock, obj_cgroup_charge, obj_cgroup_uncharge } from "./obj_stock.ts";
import { get_obj_cgroup, memcg_state, obj_cgroup_alloc, obj_cgroup_put, obj_stock } from "./objcg.ts";
import { debug_state_alloc } from "./state.ts";

const { debug: DEBUG, kernel_behaviour: KERNEL_BEHAVIOUR, tiny: TINY } = Globals.offset;
const { memcg: MEMCG_STATE } = DebugGlobals.offset;
const {
  memory: MEMORY,
  max: MAX,
  objcg: OBJCG,
  percpu_charge_mutex: PERCPU_CHARGE_MUTEX,
  objcg_lock: OBJCG_LOCK,
  nr_objcgs: NR_LIVE,
} = MemcgState.offset;
const { nr_charged_bytes: NR_CHARGED_BYTES, refcnt: REFCNT } = ObjCgroup.offset;
const { lock: STOCK_LOCK, released: RELEASED, release_work: RELEASE_WORK } = ObjStock.offset;
const { objcg: EXT_OBJCG, ref: EXT_REF } = SlabobjExt.offset;
const { obj_exts: OBJ_EXTS } = Slab.offset;
const { size: SIZE, flags: FLAGS } = KmemCache.offset;
/** The limit: one page in so many of the machine's; if tiny, little more than the stocks take. */
const LIMIT_FRACTION = 4;
/** sizeof(struct obj_cgroup *): an object also pays for its entry. */
const POINTER = 8;

type Cache = Ptr<"kmem_cache">;

/** @kernel mm/memcontrol.c @context Task, at boot, alone */
function memcg_init(cpu: Cpu): void {
  const { mem } = cpu;
  const state = debug_state_alloc(cpu, "memcg", MemcgState.size) as Ptr<"memcg_state">;
  mem.init(embedded(cpu.globals, DEBUG), MEMCG_STATE, state);
  const tiny = mem.peek(cpu.globals, TINY) !== 0;
  mem.init(state, MAX, tiny ? cpu.map.shape.cpus + 2 : Math.floor(cpu.map.nrPages / LIMIT_FRACTION));
  mutex_init(cpu, embedded(state, PERCPU_CHARGE_MUTEX), LC.percpu_charge_mutex);
  raw_spin_lock_init(cpu, embedded(state, OBJCG_LOCK), LC.objcg);
  for (let id = 0; id < cpu.map.shape.cpus; id++) {
    const stock = obj_stock(cpu, id);
    local_lock_init(cpu, embedded(stock, STOCK_LOCK), LC.obj_stock);
    init_llist_head(cpu, embedded(stock, RELEASED));
    init_irq_work(cpu, embedded(stock, RELEASE_WORK), CB.obj_cgroup_release_workfn);
  }
  mem.init(state, OBJCG, obj_cgroup_alloc(cpu));
}

/** The slab of an object. */
function slab_of(cpu: Cpu, object: Ptr): Ptr<"slab"> {
  return virt_to_head_page(cpu, object) as Ptr as Ptr<"slab">;
}
/** The vector of a slab. @kernel mm/slab.h @returns NULL: it has none. @context Any, while the slab stays */
export function slab_obj_exts(cpu: Cpu, slab: Ptr<"slab">): Ptr<"slabobj_ext"> {
  return (cpu.mem.read_once(slab, OBJ_EXTS) & ~OBJEXTS_FLAGS_MASK) as Ptr<"slabobj_ext">;
}
/** The entry of an object. */
function obj_ext(cpu: Cpu, s: Cache, slab: Ptr<"slab">, exts: Ptr<"slabobj_ext">, object: Ptr): Ptr<"slabobj_ext"> {
  if (is_kfence_address(cpu, object)) return exts; // The only object of its page, wherever it lies.
  const index = ((object - page_address(cpu, slab as Ptr as Ptr<"page">)) / cpu.mem.read(s, SIZE)) | 0;
  return (exts + index * SlabobjExt.size) as Ptr<"slabobj_ext">;
}
/** What an object costs. @kernel mm/memcontrol.c */
function obj_full_size(cpu: Cpu, s: Cache): number {
  return cpu.mem.read(s, SIZE) + POINTER;
}

/**
 * memcg_slab_post_alloc_hook() - charge an object.
 * @kernel  mm/slub.c, mm/memcontrol.c
 * @returns false: the limit is reached; the object has been freed.
 * @context Any on a nolock path, else Hardirq.
 */
function memcg_slab_post_alloc_hook(
  cpu: Cpu,
  s: Cache,
  object: Ptr,
  _bytes: number,
  gfp: number,
  path: number,
): boolean {
  const flags = cpu.mem.read(s, FLAGS);
  if ((gfp & __GFP_ACCOUNT) === 0 && (flags & SLAB_ACCOUNT) === 0) return true;
  if (flags & SLAB_NO_OBJ_EXT) return true;
  const allow_spin = path_allows_spin(path);
  const slab = slab_of(cpu, object);
  if (slab_obj_exts(cpu, slab) === NULL) {
    invoke(cpu, allow_spin ? CB.alloc_slab_obj_exts : CB.alloc_slab_obj_exts_nolock, slab);
  }
  const exts = slab_obj_exts(cpu, slab);
  if (exts === NULL) return true; // Not accounted for.
  const objcg = get_obj_cgroup(cpu);
  if (!obj_cgroup_charge(cpu, objcg, obj_full_size(cpu, s), allow_spin, (gfp & __GFP_NOFAIL) !== 0)) {
    obj_cgroup_put(cpu, objcg, allow_spin);
    invoke(cpu, allow_spin ? CB.memcg_alloc_abort_single : CB.memcg_alloc_abort_single_nolock, object);
    return false;
  }
  const ext = obj_ext(cpu, s, slab, exts, object);
  cpu.mem.write(ext, EXT_OBJCG, objcg); // With the reference.
  cpu.mem.write(ext, EXT_REF, path === PATH.kmalloc_nolock ? CODETAG_KMALLOC_NOLOCK : CODETAG_KMALLOC);
  return true;
}

/**
 * memcg_slab_free_hook() - an object is paid for no longer.
 * @kernel  mm/slub.c, mm/memcontrol.c
 * @returns false: KB_NOSPIN_ALLOC, and the object is for kfree_nolock() only. It leaks.
 * @context Any on a nolock path, else Hardirq.
 */
function memcg_slab_free_hook(cpu: Cpu, s: Cache, object: Ptr, _bytes: number, _gfp: number, path: number): boolean {
  const slab = slab_of(cpu, object);
  const exts = slab_obj_exts(cpu, slab);
  if (exts === NULL) return true;
  const ext = obj_ext(cpu, s, slab, exts, object);
  const objcg = cpu.mem.read(ext, EXT_OBJCG);
  if (objcg === NULL) return true;
  if (path !== PATH.kfree_nolock && refused(cpu, ext)) {
    warn(cpu, `kfree() of 0x${object.toString(16)}, which kmalloc_nolock() has allocated`);
    oracle_move(cpu, object, O_USER | O_RCU_SHEAF | O_KRC | O_KEPT, O_KEPT);
    return false;
  }
  const allow_spin = path_allows_spin(path);
  cpu.mem.write(ext, EXT_OBJCG, NULL);
  cpu.mem.write(ext, EXT_REF, CODETAG_NONE);
  obj_cgroup_uncharge(cpu, objcg, obj_full_size(cpu, s), allow_spin);
  obj_cgroup_put(cpu, objcg, allow_spin);
  return true;
}
function refused(cpu: Cpu, ext: Ptr<"slabobj_ext">): boolean {
  if ((cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_NOSPIN_ALLOC) === 0) return false;
  return cpu.mem.read(ext, EXT_REF) === CODETAG_KMALLOC_NOLOCK;
}

/**
 * memcg_offline() - the cgroup goes away, and another one pays from now on. Who has been charged before keeps the old
 * objcg alive.
 * @kernel  mm/memcontrol.c, memcg_offline_kmem()
 * @returns false: too many old ones are still alive, or nobody pays for anything.
 * @context Task, may sleep.
 */
export function memcg_offline(cpu: Cpu): boolean {
  if (memcg_state(cpu) === NULL) return false;
  const objcg = obj_cgroup_alloc(cpu);
  if (objcg === NULL) return false;
  const old = cpu.mem.xchg(memcg_state(cpu), OBJCG, objcg);
  obj_cgroup_put(cpu, old, true);
  drain_all_stock(cpu);
  return true;
}

/** No stock keeps anything, and whole pages that nobody uses are uncharged. */
function drain(cpu: Cpu): void {
  drain_all_stock(cpu);
  memcg_offline(cpu);
}
function check(cpu: Cpu): string[] {
  const { mem } = cpu;
  const state = memcg_state(cpu);
  const objcg = mem.peek(state, OBJCG);
  const problems: string[] = [];
  const expect = (what: string, found: number, right: number): void => {
    if (found !== right) problems.push(`${what}: ${found}, not ${right}`);
  };
  expect("pages charged", mem.peek(state, MEMORY), 0);
  expect("objcgs", mem.peek(state, NR_LIVE), 1);
  expect("references to the objcg", mem.peek(objcg, REFCNT), 1);
  expect("bytes left in the objcg", mem.peek(objcg, NR_CHARGED_BYTES), 0);
  return problems;
}

export const MEMCG: Facility = {
  name: "memcg",
  summary: "who pays for an object; may refuse an allocation",
  locks: "a stock's local_trylock, which is only tried; objcg_lock, raw, taken by an irq_work if need be",
  spins: "allowed",
  hooks: [
    { step: "memcg_slab_post_alloc_hook", paths: ["kmalloc", "kmalloc_nolock"], run: memcg_slab_post_alloc_hook },
    { step: "memcg_slab_free_hook", paths: ["kfree", "kfree_nolock", "after_gp"], run: memcg_slab_free_hook },
  ],
  skipped: {
    kfree_rcu: { why: "the object is paid for until its grace period is over", tolerated: "uncharged after that" },
    kfree_rcu_nolock: {
      why: "the object is paid for until its grace period is over",
      tolerated: "uncharged after that",
    },
  },
  init: memcg_init,
  drain,
  check,
};
