/**
 * Races that show known bugs of debugging and accounting facilities around the allocator (layout/bugs.ts, docs/BUGS.md):
 * each is won, and lost with `--bug NAME`.
 *
 *   destroy-quarantine      on-cache (B7)
 *   memcg-vector-chain      obj-ext-recursion (B21)
 *   memcg-charge-fails-nmi  abort-single (B22)
 *   init-on-free-nolock     init-on-free (B23)
 *   memcg-offline-nmi       objcg-spin (B24)
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { HOOK_INIT_ON_FREE, HOOK_KASAN, HOOK_MEMCG } from "../../shared/layout/debug.ts";
import { KasanState } from "../../shared/layout/debug_kasan.ts";
import { MemcgState } from "../../shared/layout/debug_memcg.ts";
import { __GFP_ACCOUNT, GFP_ATOMIC, GFP_KERNEL_ACCOUNT, NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { KmemCache, Slab, SlubPercpuSheaves } from "../../shared/layout/slab.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { kasan_state } from "../../shared/linux/mm/debug/kasan_shadow.ts";
import { memcg_offline, slab_obj_exts } from "../../shared/linux/mm/debug/memcg.ts";
import { memcg_state } from "../../shared/linux/mm/debug/objcg.ts";
import { kmem_cache_destroy } from "../../shared/linux/mm/kvfree_rcu/destroy.ts";
import { kmem_cache_create } from "../../shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free, ksize } from "../../shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../shared/linux/mm/slub/nolock.ts";
import { this_cpu_sheaves } from "../../shared/linux/mm/slub/pcs.ts";
import { kmem_cache_shrink } from "../../shared/linux/mm/slub/shrink.ts";
import { virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { local_trylock, local_unlock } from "../../shared/linux/sync/local_lock.ts";
import { embedded, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { get, type Operation, set } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { alloc, cache, FIRST_THING, FIRST_WORD, makeCache, makeThings, put, race, take } from "./kit.ts";
import { freeNolock, freeRcu } from "./kit_frees.ts";
import { kfreeThing } from "./kit_kmalloc.ts";

const { size: SIZE, min_partial: MIN_PARTIAL, offset: FREE_POINTER } = KmemCache.offset;
const { lock: LOCK } = SlubPercpuSheaves.offset;
const { slab_cache: SLAB_CACHE } = Slab.offset;
const { memory: MEMORY, max: MAX } = MemcgState.offset;
const { percpu_size: PERCPU_SIZE, max_size: MAX_SIZE } = KasanState.offset;
const ACCOUNT = GFP_ATOMIC | __GFP_ACCOUNT;

const allocAndFree: Operation = (cpu) => kfree(cpu, kmalloc(cpu, 64, ACCOUNT));
/** Thing 0 and one of its own, by the nolock functions. */
const nolockTraffic: Operation = (cpu) => {
  freeNolock(0)(cpu);
  kfree_nolock(cpu, kmalloc_nolock(cpu, 64, __GFP_ACCOUNT, NUMA_NO_NODE));
};
const nobodyPays = (cpu: Cpu): string | undefined => {
  const pages = cpu.mem.peek(memcg_state(cpu), MEMORY);
  return pages === 0 ? undefined : `${pages} pages are charged, and no object is`;
};

/** Words: the caches whose slabs hold vectors of each other. */
const CHAIN = FIRST_WORD;
const CHAIN_LENGTH = 3;
/**
 * Thing 0 is alone in its slab. The slab of its vector gets a vector as well, if that cache's slabs may have any, and so on:
 * accounted objects are put there. Then nothing but vectors is left, no sheaf keeps any, and no empty slab is kept.
 */
function chainVectors(cpu: Cpu): void {
  cpu.mem.poke(memcg_state(cpu), MAX, cpu.map.nrPages);
  makeThings(cpu, kmem_cache_create(cpu, "marks", 16, { flags: SLAB_NO_SHEAVES }), 0);
  cpu.mem.poke(cache(cpu), MIN_PARTIAL, 0);
  put(cpu, 0, kmem_cache_alloc(cpu, cache(cpu), GFP_KERNEL_ACCOUNT));
  const others: Ptr[] = [];
  let exts = slab_obj_exts(cpu, virt_to_slab(cpu, get(cpu, FIRST_THING) as Ptr));
  for (let length = 0; exts !== NULL && length < CHAIN_LENGTH; length++) {
    const slab = virt_to_slab(cpu, exts);
    set(cpu, CHAIN + length, cpu.mem.peek(slab, SLAB_CACHE));
    for (let tries = 0; tries < 40 && slab_obj_exts(cpu, slab) === NULL; tries++) {
      others.push(kmalloc(cpu, ksize(cpu, exts), GFP_KERNEL_ACCOUNT));
    }
    exts = slab_obj_exts(cpu, slab);
  }
  for (const other of others) kfree(cpu, other);
  for (const s of chain(cpu)) cpu.mem.poke(s, MIN_PARTIAL, 0);
  for (const s of chain(cpu)) kmem_cache_shrink(cpu, s);
}
function chain(cpu: Cpu): Ptr<"kmem_cache">[] {
  return Array.from({ length: CHAIN_LENGTH }, (_, i) => get(cpu, CHAIN + i) as Ptr<"kmem_cache">).filter(
    (s) => s !== NULL,
  );
}
/** Frees thing 0, and has no vector go into a sheaf: as in an interrupt that hit the holder of the sheaf locks. */
function freeChain(cpu: Cpu): void {
  const locks = [...new Set(chain(cpu))].map((s) => embedded(this_cpu_sheaves(cpu, s), LOCK));
  for (const lock of locks) local_trylock(cpu, lock);
  kmem_cache_free(cpu, cache(cpu), take(cpu, 0));
  for (const lock of locks) local_unlock(cpu, lock);
}

const PATTERN = 0x5c;
/** A thing that is filled, freed, and looked at by nobody but the check. */
const FILLED = FIRST_WORD;
const fill: Operation = (cpu) => {
  const thing = alloc(cpu);
  cpu.mem.fill(thing, cpu.mem.peek(cache(cpu), KmemCache.offset.object_size), PATTERN);
  put(cpu, 0, thing);
  set(cpu, FILLED, thing);
};
/** What is left of it, but for the link of the list that it is on. */
function stale(cpu: Cpu): string | undefined {
  const thing = get(cpu, FILLED) as Ptr;
  const link = cpu.mem.peek(cache(cpu), FREE_POINTER);
  for (let at = 0; at < cpu.mem.peek(cache(cpu), KmemCache.offset.object_size); at++) {
    if (at >= link && at < link + 8) continue;
    if (cpu.mem.load_byte(thing + at) === PATTERN) return `byte ${at} of a freed object is as its user left it`;
  }
  return undefined;
}

export default [
  race({
    name: "destroy-quarantine",
    summary: "kmem_cache_destroy() of a cache with an object in an rcu_free sheaf, KASAN's quarantine behind it",
    globals: { hooks: HOOK_KASAN },
    oracle: false, // It would notice that the barrier returns early.
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu), 2);
      for (const limit of [PERCPU_SIZE, MAX_SIZE]) {
        cpu.mem.poke(kasan_state(cpu), limit, cpu.mem.peek(cache(cpu), SIZE));
      }
      freeRcu(0)(cpu);
      kmem_cache_free(cpu, cache(cpu), take(cpu, 1));
    },
    cpus: [
      [(cpu) => void kmem_cache_destroy(cpu, cache(cpu))],
      [
        (cpu) => {
          rcu_read_lock(cpu);
          get(cpu, FIRST_WORD);
          rcu_read_unlock(cpu);
        },
      ],
    ],
    steps: 400_000,
  }),
  race({
    name: "memcg-vector-chain",
    summary: "the last object of a slab is freed, whose extension vector is the last object of another",
    globals: { hooks: HOOK_MEMCG },
    setup: chainVectors,
    cpus: [[freeChain], []],
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "memcg-charge-fails-nmi",
    summary: "charges that fail, in tasks and in an NMI at every step",
    globals: { hooks: HOOK_MEMCG },
    setup: (cpu) => cpu.mem.poke(memcg_state(cpu), MAX, 0),
    cpus: [[allocAndFree], [allocAndFree]],
    nmi: nolockTraffic,
    check: nobodyPays,
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "init-on-free-nolock",
    summary: "kfree_nolock() with init_on_free: nothing is left of what the user wrote",
    globals: { hooks: HOOK_INIT_ON_FREE },
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu), 0);
      fill(cpu);
    },
    cpus: [[freeNolock(0)]],
    check: stale,
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "memcg-offline-nmi",
    summary: "a cgroup goes offline while an NMI at every step frees objects that it pays for",
    globals: { hooks: HOOK_MEMCG },
    setup: (cpu) => put(cpu, 0, kmalloc_nolock(cpu, 64, __GFP_ACCOUNT, NUMA_NO_NODE)),
    cpus: [[(cpu) => void memcg_offline(cpu)], [allocAndFree, kfreeThing(0)]],
    nmi: nolockTraffic,
    kernel: NO_GRACE_PERIODS,
  }),
];
