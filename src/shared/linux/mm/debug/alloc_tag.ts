/**
 * Allocation tags (memory profiling): how much each cache has given out and not got back. lib/alloc_tag.c, mm/slub.c; spec
 * rcu 3.1.
 *
 * Symmetric: every path that allocates counts, every path that frees does, and nothing is waited for, so an NMI may be
 * anywhere in here. A tag is found by hashing its cache's address; the first user takes a free slot by a cmpxchg. Whoever
 * loses that race to another cache goes on to the next slot, to its own cache's NMI finds the tag made. Slots are not
 * given back: a cache created at the same address inherits one whose counts are 0, if the books were right.
 *
 * Differs: a tag stands for a cache instead of a line of code, so no object needs a reference to its tag, and there is
 * one counter for all CPUs. Large kmallocs are left to the page allocator's tags, which do not exist here.
 */
import { bug } from "../../../cpu/bug.ts";
import type { Cpu } from "../../../cpu/cpu.ts";
import { AllocTag, AllocTagState, DebugGlobals, NR_ALLOC_TAGS } from "../../../layout/debug.ts";
import { Globals } from "../../../layout/globals.ts";
import { embedded, embedded_at, NULL, type Ptr } from "../../../mem/struct.ts";
import type { CachesAtRest, Facility } from "./facility.ts";
import { debug_state_alloc } from "./state.ts";

const { debug: DEBUG } = Globals.offset;
const { alloc_tag: ALLOC_TAG } = DebugGlobals.offset;
const { tags: TAGS } = AllocTagState.offset;
const { cache: CACHE, calls: CALLS, bytes: BYTES } = AllocTag.offset;

type Cache = Ptr<"kmem_cache">;

/** @context Task, at boot, alone */
function alloc_tag_init(cpu: Cpu): void {
  const state = debug_state_alloc(cpu, "alloc-tag", AllocTagState.size) as Ptr<"alloc_tag_state">;
  cpu.mem.init(embedded(cpu.globals, DEBUG), ALLOC_TAG, state);
}
function tag_at(cpu: Cpu, i: number): Ptr<"alloc_tag"> {
  const state = cpu.mem.peek(embedded(cpu.globals, DEBUG), ALLOC_TAG);
  return embedded_at(state, TAGS, i & (NR_ALLOC_TAGS - 1), AllocTag.size);
}
/** The tag of a cache, made if there is none. @context Any */
function alloc_tag_of(cpu: Cpu, s: Cache): Ptr<"alloc_tag"> {
  const first = Math.imul(s >>> 6, 0x9e3779b1) >>> 16;
  for (let i = first; i < first + NR_ALLOC_TAGS; i++) {
    const tag = tag_at(cpu, i);
    let found = cpu.mem.read_once(tag, CACHE);
    if (found === NULL) found = cpu.mem.cmpxchg(tag, CACHE, NULL, s);
    if (found === s || found === NULL) return tag;
  }
  return bug(cpu, `more than ${NR_ALLOC_TAGS} allocation tags`);
}

/** @kernel mm/slub.c @context Any */
function alloc_tagging_slab_alloc_hook(cpu: Cpu, s: Cache, _object: Ptr, bytes: number): boolean {
  const tag = alloc_tag_of(cpu, s);
  cpu.mem.fetch_add(tag, CALLS, 1);
  cpu.mem.fetch_add(tag, BYTES, bytes);
  return true;
}
/** @kernel mm/slub.c @context Any */
function alloc_tagging_slab_free_hook(cpu: Cpu, s: Cache, _object: Ptr, bytes: number): boolean {
  const tag = alloc_tag_of(cpu, s);
  cpu.mem.fetch_add(tag, CALLS, -1);
  cpu.mem.fetch_add(tag, BYTES, -bytes);
  return true;
}

/** Objects and bytes that a cache has given out. @context Any */
export function alloc_tag_counters(cpu: Cpu, s: Cache): { readonly calls: number; readonly bytes: number } {
  let calls = 0;
  let bytes = 0;
  for (let i = 0; i < NR_ALLOC_TAGS; i++) {
    const tag = tag_at(cpu, i);
    if (cpu.mem.peek(tag, CACHE) !== s) continue;
    calls += cpu.mem.peek(tag, CALLS);
    bytes += cpu.mem.peek(tag, BYTES);
  }
  return { calls, bytes };
}

/** What has been counted is what is in use. */
function check(cpu: Cpu, caches: CachesAtRest): string[] {
  const problems: string[] = [];
  for (const [s, { inuse, cached }] of caches) {
    const { calls } = alloc_tag_counters(cpu, s);
    const users = inuse - cached.size;
    if (calls !== users) problems.push(`cache 0x${s.toString(16)}: ${calls} objects counted, ${users} in use`);
  }
  for (let i = 0; i < NR_ALLOC_TAGS; i++) {
    const tag = tag_at(cpu, i);
    const s = cpu.mem.peek(tag, CACHE);
    const calls = cpu.mem.peek(tag, CALLS);
    if (calls !== 0 && !caches.has(s)) problems.push(`${calls} objects of cache 0x${s.toString(16)}, which is gone`);
  }
  return problems;
}

export const ALLOC_TAGGING: Facility = {
  name: "alloc-tag",
  summary: "memory in use by cache",
  locks: "none",
  spins: "never",
  hooks: [
    {
      step: "alloc_tagging_slab_alloc_hook",
      paths: ["kmalloc", "kmalloc_nolock"],
      run: alloc_tagging_slab_alloc_hook,
    },
    {
      step: "alloc_tagging_slab_free_hook",
      paths: ["kfree", "kfree_nolock", "after_gp"],
      run: alloc_tagging_slab_free_hook,
    },
  ],
  skipped: {
    kfree_rcu: { why: "the object is in use until its grace period is over", tolerated: "counted after that" },
    kfree_rcu_nolock: { why: "the object is in use until its grace period is over", tolerated: "counted after that" },
  },
  init: alloc_tag_init,
  check,
};
