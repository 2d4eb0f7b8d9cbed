/**
 * Extension vectors: one slabobj_ext per object of a slab. mm/slub.c; spec rcu 3.5, slub 4.4, B14, B21, B22.
 *
 * A vector is allocated when the first object of the slab needs it, or with the slab (SLAB_ACCOUNT), and published by one
 * cmpxchg: cleared before, with all entries of the same size, so nobody sees a half-made one (slub B14). Of two who make
 * one at once the loser frees its own. It is freed with the slab, by kfree() or kfree_nolock() as the free may wait or not.
 *
 * Vectors come from buckets whose slabs have none. Otherwise the free of a slab frees a vector, which may free a slab,
 * whose vector ... (slub B21); KB_OBJ_EXT_RECURSION. Before 7.0 a vector from kmalloc_nolock() was marked, and could only
 * be freed by kfree_nolock(): KB_NOSPIN_ALLOC.
 *
 * Context: as the flags say. No lock held.
 */
import { bug, warn } from "../../../cpu/bug.ts";
import { has_bug } from "../../../cpu/bugs.ts";
import { bind_callback } from "../../../cpu/callback_table.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { oracle_allow_nolock } from "../../../cpu/oracle.ts";
import { BUG_STRIDE_LATE } from "../../../layout/bugs.ts";
import { CB } from "../../../layout/callbacks.ts";
import { CpuSlot } from "../../../layout/cpu.ts";
import { HOOK_MEMCG } from "../../../layout/debug.ts";
import {
  MEMCG_DATA_OBJEXTS,
  OBJEXTS_ALLOC_FAIL,
  OBJEXTS_FLAGS_MASK,
  OBJEXTS_NOSPIN_ALLOC,
  SlabobjExt,
} from "../../../layout/debug_memcg.ts";
import { __GFP_ZERO, GFP_NOWAIT } from "../../../layout/gfp.ts";
import { Globals, KB_ABORT_SINGLE, KB_NOSPIN_ALLOC } from "../../../layout/globals.ts";
import { KmemCache, Slab } from "../../../layout/slab.ts";
import {
  alloc_flags_allow_spinning,
  SLAB_ACCOUNT,
  SLAB_ALLOC_DEFAULT,
  SLAB_ALLOC_NEW_SLAB,
  SLAB_ALLOC_NO_OBJ_EXT,
  SLAB_ALLOC_NOLOCK,
  SLAB_NO_OBJ_EXT,
} from "../../../layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import { kmem_cache_debug } from "./debug_flags.ts";
import { __slab_free } from "./free.ts";
import { slab_free_hook } from "./hooks.ts";
import { kfree, kmalloc_flags } from "./kmalloc.ts";
import { kfree_nolock } from "./nolock.ts";
import { slab_nid, virt_to_slab } from "./slab.ts";
import { set_freepointer } from "./slab_word.ts";
import { stat, STAT } from "./stat.ts";

const { hooks: HOOKS, kernel_behaviour: KERNEL_BEHAVIOUR } = Globals.offset;
const { obj_exts: OBJ_EXTS, objects: OBJECTS, slab_cache: SLAB_CACHE } = Slab.offset;
const { flags: FLAGS } = KmemCache.offset;
const { objcg: EXT_OBJCG } = SlabobjExt.offset;
const { obj_exts_depth: EXTS_DEPTH, depth: CONTEXTS } = CpuSlot.offset;
/** Slabs whose free may be going on in one context: one, or a second for the vector of the first. */
const MAX_DEPTH = 2;

type Exts = Ptr<"slabobj_ext">;

function kernel_behaviour(cpu: Cpu, bit: number): boolean {
  return (cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & bit) !== 0;
}

/** Binds what mm/debug calls. Once per thread. */
export function bind_obj_exts(): void {
  const bind = (id: typeof CB.alloc_slab_obj_exts, alloc_flags: number): void =>
    bind_callback(id, (cpu, slab) => alloc_slab_obj_exts(cpu, slab, alloc_flags));
  bind(CB.alloc_slab_obj_exts, SLAB_ALLOC_DEFAULT);
  bind(CB.alloc_slab_obj_exts_nolock, SLAB_ALLOC_NOLOCK);
  bind_callback(CB.memcg_alloc_abort_single, memcg_alloc_abort_single);
  bind_callback(CB.memcg_alloc_abort_single_nolock, memcg_alloc_abort_single_nolock);
  bind_callback(CB.___cache_free, ___cache_free);
}

/** A new slab of a cache whose objects are all accounted for gets its vector at once. @kernel mm/slub.c, account_slab() */
export function account_slab(cpu: Cpu, s: Ptr<"kmem_cache">, slab: Ptr<"slab">, alloc_flags: number): void {
  if ((cpu.mem.peek(cpu.globals, HOOKS) & HOOK_MEMCG) === 0) return;
  if ((cpu.mem.read(s, FLAGS) & (SLAB_ACCOUNT | SLAB_NO_OBJ_EXT)) !== SLAB_ACCOUNT) return;
  alloc_slab_obj_exts(cpu, slab, (alloc_flags & SLAB_ALLOC_NOLOCK) | SLAB_ALLOC_NEW_SLAB);
}

/**
 * alloc_slab_obj_exts() - see to it that a slab has a vector. Afterwards it has one, or OBJEXTS_ALLOC_FAIL.
 *
 * Differs: never blocks; the kernel passes the gfp of the object.
 *
 * @kernel  mm/slub.c
 * @param   alloc_flags  SLAB_ALLOC_NEW_SLAB: nobody else sees the slab.
 * @context Any with SLAB_ALLOC_NOLOCK, else Hardirq. The slab stays: the caller has an object of it, or it is new.
 * @pairs   slab_obj_exts(): who sees the pointer sees a cleared vector. BUG_STRIDE_LATE: it may see it before.
 */
function alloc_slab_obj_exts(cpu: Cpu, slab: Ptr<"slab">, alloc_flags: number): void {
  const { mem } = cpu;
  const allow_spin = alloc_flags_allow_spinning(alloc_flags);
  const is_late = has_bug(cpu, BUG_STRIDE_LATE);
  const gfp = (allow_spin ? GFP_NOWAIT : 0) | (is_late ? 0 : __GFP_ZERO);
  const bytes = mem.read(slab, OBJECTS) * SlabobjExt.size;
  const flags = (alloc_flags & SLAB_ALLOC_NOLOCK) | SLAB_ALLOC_NO_OBJ_EXT;
  const vec = kmalloc_flags(cpu, bytes, gfp, flags, slab_nid(cpu, slab)) as Ptr as Exts;
  if (vec === NULL) {
    mem.cmpxchg(slab, OBJ_EXTS, NULL, OBJEXTS_ALLOC_FAIL as Exts);
    return;
  }
  const nospin = !allow_spin && kernel_behaviour(cpu, KB_NOSPIN_ALLOC) ? OBJEXTS_NOSPIN_ALLOC : 0;
  const ours = (vec | MEMCG_DATA_OBJEXTS | nospin) as Exts;
  if (alloc_flags & SLAB_ALLOC_NEW_SLAB) {
    mem.init(slab, OBJ_EXTS, ours);
    if (is_late) mem.fill(vec, bytes, 0);
    return;
  }
  for (let old = mem.read_once(slab, OBJ_EXTS); ;) {
    if ((old & ~OBJEXTS_FLAGS_MASK) !== NULL) break; // Somebody else's is there.
    const found = mem.cmpxchg(slab, OBJ_EXTS, old, ours);
    if (found === old) {
      if (is_late) mem.fill(vec, bytes, 0);
      return;
    }
    old = found;
  }
  free_vector(cpu, ours, allow_spin);
}

/**
 * free_slab_obj_exts() - a slab dies, and its vector with it. No object of it is charged any more.
 * @kernel  mm/slub.c
 * @context Any without allow_spin, else Hardirq. Nobody else sees the slab.
 */
export function free_slab_obj_exts(cpu: Cpu, slab: Ptr<"slab">, allow_spin: boolean): void {
  const { mem } = cpu;
  const word = mem.read_once(slab, OBJ_EXTS);
  if (word === NULL) return;
  mem.write_once(slab, OBJ_EXTS, NULL);
  const vec = (word & ~OBJEXTS_FLAGS_MASK) as Exts;
  if (vec === NULL) return;
  check_vector(cpu, slab, vec);
  const depth = mem.peek(cpu.slot, EXTS_DEPTH);
  // Interrupts nest, too: each may be at one.
  if (depth >= MAX_DEPTH + mem.peek(cpu.slot, CONTEXTS)) {
    bug(cpu, "the slab of a vector has a vector itself, whose slab has one, and so on (slub B21)");
  }
  mem.poke(cpu.slot, EXTS_DEPTH, depth + 1);
  free_vector(cpu, word, allow_spin);
  mem.poke(cpu.slot, EXTS_DEPTH, depth);
}
/** Nobody pays for an object of a slab that goes. No steps: nobody else sees the vector. */
function check_vector(cpu: Cpu, slab: Ptr<"slab">, vec: Exts): void {
  const { mem } = cpu;
  if (mem.rebuilding) return; // It may be somebody else's memory by now.
  for (let i = 0; i < mem.peek(slab, OBJECTS); i++) {
    const objcg = mem.peek((vec + i * SlabobjExt.size) as Exts, EXT_OBJCG);
    if (objcg !== NULL) warn(cpu, `slab ${slab} is freed, but its object ${i} is charged to objcg ${objcg}`);
  }
}
function free_vector(cpu: Cpu, word: Exts, allow_spin: boolean): void {
  const vec = (word & ~OBJEXTS_FLAGS_MASK) as Exts;
  if (allow_spin && (word & OBJEXTS_NOSPIN_ALLOC) === 0) kfree(cpu, vec);
  else kfree_nolock(cpu, vec);
}

/** The vectors of slabs. Peeks only. @context Any, machine at rest */
export function obj_exts_vectors(cpu: Cpu, slabs: Iterable<Ptr<"slab">>): Exts[] {
  return [...slabs]
    .map((slab) => (cpu.mem.peek(slab, OBJ_EXTS) & ~OBJEXTS_FLAGS_MASK) as Exts)
    .filter((vec) => vec !== NULL);
}

/**
 * memcg_alloc_abort_single() - the charge has failed: free the object that was just allocated.
 * @kernel  mm/slub.c
 * @context Hardirq.
 */
function memcg_alloc_abort_single(cpu: Cpu, object: Ptr<"object">): void {
  const slab = virt_to_slab(cpu, object);
  const s = cpu.mem.read(slab, SLAB_CACHE);
  if (slab_free_hook(cpu, s, object, false)) __slab_free(cpu, s, slab, object, object, 1);
}
/**
 * The same where nothing may wait. Differs: the kernel does there what it does elsewhere, and spins on list_lock
 * (slub B22); KB_ABORT_SINGLE.
 * @context Any
 */
function memcg_alloc_abort_single_nolock(cpu: Cpu, object: Ptr<"object">): void {
  if (kernel_behaviour(cpu, KB_ABORT_SINGLE)) {
    memcg_alloc_abort_single(cpu, object);
    return;
  }
  oracle_allow_nolock(cpu, object);
  kfree_nolock(cpu, object);
}

/** An object comes back from KASAN's quarantine; its hooks have run. @kernel mm/slub.c @context Hardirq, never NMI */
function ___cache_free(cpu: Cpu, object: Ptr<"object">): void {
  const slab = virt_to_slab(cpu, object);
  const s = cpu.mem.read(slab, SLAB_CACHE);
  if (kmem_cache_debug(cpu, s)) set_freepointer(cpu, s, object, NULL); // The quarantine's link is no free pointer.
  __slab_free(cpu, s, slab, object, object, 1);
  stat(cpu, s, STAT.FREE_SLOWPATH, 1);
}
