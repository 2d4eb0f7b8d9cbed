/** Where kmemleak is called, and where it is not. mm/slab.h, mm/slub.c; spec rcu 3.1. */
import type { Cpu } from "../../../cpu/cpu.ts";
import { KMEMLEAK_WHITE, KmemleakObject, KmemleakState } from "../../../layout/debug.ts";
import { KmemCache } from "../../../layout/slab.ts";
import { SLAB_NOLEAKTRACE } from "../../../layout/slab_flags.ts";
import { NULL, type Ptr } from "../../../mem/struct.ts";
import type { CachesAtRest, Facility } from "./facility.ts";
import { kmemleak_alloc, kmemleak_free, kmemleak_ignore, kmemleak_init, kmemleak_state } from "./kmemleak.ts";
import { kmemleak_objects, kmemleak_scan } from "./kmemleak_scan.ts";

const { flags: FLAGS } = KmemCache.offset;
const { pointer: POINTER } = KmemleakObject.offset;
const { enabled: ENABLED } = KmemleakState.offset;

function traced(cpu: Cpu, s: Ptr<"kmem_cache">): boolean {
  return s === NULL || (cpu.mem.peek(s, FLAGS) & SLAB_NOLEAKTRACE) === 0;
}
/** @kernel include/linux/kmemleak.h */
function kmemleak_alloc_recursive(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr, bytes: number): boolean {
  if (traced(cpu, s)) kmemleak_alloc(cpu, object, bytes, KMEMLEAK_WHITE);
  return true;
}
/** @kernel include/linux/kmemleak.h */
function kmemleak_free_recursive(cpu: Cpu, s: Ptr<"kmem_cache">, object: Ptr): boolean {
  if (traced(cpu, s)) kmemleak_free(cpu, object);
  return true;
}

/** kvfree_call_rcu(), step 7. */
function ignore(cpu: Cpu, _s: Ptr<"kmem_cache">, object: Ptr): boolean {
  kmemleak_ignore(cpu, object);
  return true;
}

/** Nobody has lost a block, and no block that is known has been freed. If it is switched off it has not seen the frees. */
function check(cpu: Cpu, caches: CachesAtRest): string[] {
  if (cpu.mem.peek(kmemleak_state(cpu), ENABLED) === 0) return [];
  const problems = kmemleak_scan(cpu, 0).map(
    ({ pointer, size }) => `nobody points to the ${size} bytes at 0x${pointer.toString(16)}`,
  );
  for (const record of kmemleak_objects(cpu, kmemleak_state(cpu))) {
    const pointer = cpu.mem.peek(record, POINTER);
    for (const { free, cached } of caches.values()) {
      if (free.has(pointer) || cached.has(pointer)) problems.push(`0x${pointer.toString(16)} is known, but free`);
    }
  }
  return problems;
}

const SPINS = "kmemleak_lock is waited for: the interrupted code may hold it";

export const KMEMLEAK: Facility = {
  name: "kmemleak",
  summary: "blocks that nobody points to any more",
  locks: "kmemleak_lock, one raw spinlock for everything",
  spins: "always",
  hooks: [
    { step: "kmemleak_alloc_recursive", paths: ["kmalloc"], large: true, run: kmemleak_alloc_recursive },
    { step: "kmemleak_free_recursive", paths: ["kfree", "after_gp"], large: true, run: kmemleak_free_recursive },
    { step: "kmemleak_ignore", paths: ["kfree_rcu"], run: ignore },
  ],
  skipped: {
    kmalloc_nolock: { why: SPINS, tolerated: "kfree() and kfree_rcu() say nothing when they meet an unknown block" },
    kfree_nolock: { why: SPINS, tolerated: "it frees objects of kmalloc_nolock() only, and those are unknown" },
    kfree_rcu_nolock: {
      why: SPINS,
      tolerated: "it is given objects of kmalloc_nolock() only, and those are unknown",
    },
  },
  init: kmemleak_init,
  check,
};
