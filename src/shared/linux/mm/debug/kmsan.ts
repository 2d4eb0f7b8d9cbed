/**
 * KMSAN: which words of memory have been written since their object was allocated? mm/kmsan/hooks.c; spec rcu 3.1.
 *
 * Symmetric, and without locks: one byte of shadow stands for 8 bytes of memory and only the owner of that memory writes
 * it, so the hooks run in any context. Shadow of an object of which a reader may still hold the address is left alone.
 *
 * Differs: in Linux the compiler reports every access. Here code that fills or reads objects says so itself, by
 * kmsan_unpoison_memory() and kmsan_check_memory(); all other accesses go unseen.
 */
import { warn } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { PAGE_SHIFT } from "../../../base/limits.ts";
import { DebugGlobals, KMSAN_BLOCK_SHIFT, KMSAN_SHADOW_SHIFT, KmsanState } from "../../../layout/debug.ts";
import { __GFP_ZERO } from "../../../layout/gfp.ts";
import { Globals } from "../../../layout/globals.ts";
import { KmemCache } from "../../../layout/slab.ts";
import { SLAB_POISON, SLAB_TYPESAFE_BY_RCU } from "../../../layout/slab_flags.ts";
import { element, embedded, NULL, type Ptr } from "../../../mem/struct.ts";
import type { Facility } from "./facility.ts";
import { debug_state_alloc } from "./state.ts";

const { debug: DEBUG } = Globals.offset;
const { kmsan: KMSAN_STATE } = DebugGlobals.offset;
const { blocks: BLOCKS } = KmsanState.offset;
const { flags: FLAGS, ctor: CTOR } = KmemCache.offset;

/** Values of a byte of shadow. */
const INITIALISED = 0;
const UNINITIALISED = 1;
const FREED = 2;
/** What 8 bytes of memory share. */
const GRANULE = 1 << KMSAN_SHADOW_SHIFT;

type Cache = Ptr<"kmem_cache">;

/** @context Task, at boot, alone */
function kmsan_init(cpu: Cpu): void {
  const state = debug_state_alloc(cpu, "kmsan", KmsanState.size) as Ptr<"kmsan_state">;
  const bytes = cpu.map.nrPages << PAGE_SHIFT;
  for (let block = 0; block << KMSAN_BLOCK_SHIFT < bytes; block++) {
    const left = Math.min(1 << KMSAN_BLOCK_SHIFT, bytes - (block << KMSAN_BLOCK_SHIFT));
    const shadow = debug_state_alloc(cpu, "kmsan", left >> KMSAN_SHADOW_SHIFT) as Ptr<"kmsan_shadow">;
    cpu.mem.init(state, element(BLOCKS, block), shadow);
  }
  cpu.mem.init(embedded(cpu.globals, DEBUG), KMSAN_STATE, state);
}

/** Address of the byte of shadow for this address. @context Any */
function shadow_of(cpu: Cpu, address: number): number {
  const state = cpu.mem.peek(embedded(cpu.globals, DEBUG), KMSAN_STATE);
  const offset = address - cpu.map.pages;
  const block = cpu.mem.peek(state, element(BLOCKS, offset >>> KMSAN_BLOCK_SHIFT));
  return block + ((offset & ((1 << KMSAN_BLOCK_SHIFT) - 1)) >>> KMSAN_SHADOW_SHIFT);
}
/** Why in pieces: blocks of shadow do not lie side by side. An object may run over from one to the next. */
function set_shadow(cpu: Cpu, address: Ptr, bytes: number, value: number): void {
  const end = address + bytes;
  for (let at: number = address; at < end;) {
    const block_end = cpu.map.pages + ((((at - cpu.map.pages) >>> KMSAN_BLOCK_SHIFT) + 1) << KMSAN_BLOCK_SHIFT);
    const stop = Math.min(end, block_end);
    cpu.mem.fill(shadow_of(cpu, at), Math.ceil((stop - at) / GRANULE), value);
    at = stop;
  }
}

/** The memory holds nothing yet. @kernel mm/kmsan/hooks.c @context Any; its owner */
export function kmsan_poison_memory(cpu: Cpu, address: Ptr, bytes: number): void {
  if (kmsan_on(cpu)) set_shadow(cpu, address, bytes, UNINITIALISED);
}
/** The memory has been written. @kernel mm/kmsan/hooks.c @context Any; its owner */
export function kmsan_unpoison_memory(cpu: Cpu, address: Ptr, bytes: number): void {
  if (kmsan_on(cpu)) set_shadow(cpu, address, bytes, INITIALISED);
}
/** The memory is about to be used: a warning if a word of it has not been written. @kernel mm/kmsan/hooks.c @context Any */
export function kmsan_check_memory(cpu: Cpu, address: Ptr, bytes: number): void {
  if (!kmsan_on(cpu)) return;
  for (let at: number = address & -GRANULE; at < address + bytes; at += GRANULE) {
    const value = cpu.mem.load_byte(shadow_of(cpu, at));
    if (value === INITIALISED) continue;
    const what = value === FREED ? "use-after-free" : "uninit-value";
    warn(cpu, `KMSAN: ${what} at 0x${at.toString(16)}, in the ${bytes} bytes at 0x${address.toString(16)}`);
    return;
  }
}
function kmsan_on(cpu: Cpu): boolean {
  return cpu.mem.peek(embedded(cpu.globals, DEBUG), KMSAN_STATE) !== NULL;
}

/** What a constructor has written, and what readers may still look at, is as it was. @kernel mm/kmsan/hooks.c */
function kmsan_slab_alloc(cpu: Cpu, s: Cache, object: Ptr, bytes: number, gfp: number): boolean {
  if (s !== NULL && (cpu.mem.peek(s, CTOR) !== 0 || cpu.mem.peek(s, FLAGS) & SLAB_TYPESAFE_BY_RCU)) return true;
  set_shadow(cpu, object, bytes, gfp & __GFP_ZERO ? INITIALISED : UNINITIALISED);
  return true;
}
/** @kernel mm/kmsan/hooks.c */
function kmsan_slab_free(cpu: Cpu, s: Cache, object: Ptr, bytes: number): boolean {
  const kept = SLAB_TYPESAFE_BY_RCU | SLAB_POISON;
  if (s !== NULL && (cpu.mem.peek(s, CTOR) !== 0 || cpu.mem.peek(s, FLAGS) & kept)) return true;
  set_shadow(cpu, object, bytes, FREED);
  return true;
}

export const KMSAN: Facility = {
  name: "kmsan",
  summary: "uses of memory that nobody has written since it was allocated",
  locks: "none",
  spins: "never",
  hooks: [
    { step: "kmsan_slab_alloc", paths: ["kmalloc", "kmalloc_nolock"], large: true, run: kmsan_slab_alloc },
    { step: "kmsan_slab_free", paths: ["kfree", "kfree_nolock", "after_gp"], large: true, run: kmsan_slab_free },
  ],
  skipped: {
    kfree_rcu: { why: "readers may use the object until its grace period is over", tolerated: "freed after that" },
    kfree_rcu_nolock: {
      why: "readers may use the object until its grace period is over",
      tolerated: "freed after that",
    },
  },
  init: kmsan_init,
};
