/**
 * Races that show known bugs of the slab allocator (layout/bugs.ts, docs/BUGS.md) where no other race does: each is won, and
 * lost with `--bug NAME`. The others of the kind: bugs_memory.ts (nodes, reserves), bugs_hooks.ts (debugging facilities),
 * bugs_irq_work.ts (irq_work, the scheduler, RCU), bugs_bpf.ts.
 *
 *   nolock-alloc-list-lock  nolock-retry (B3), deferred-slab-count (B2), page-check-locks (B27), up-trylock (B28)
 *   rt-nolock-alloc         rt-nolock-alloc (B4)
 *   destroy-other-cache     global-barrier (B8)
 *   irq-free-no-memory      blocking-flush (B10)
 *   refill-atomic           refill-blocking-only (B15)
 *   nolock-free-barn-lock   barn-null (B16)
 *   refill-trylock-fails    relock-leak (B18)
 *   kmalloc-sheaves-once    double-bootstrap (B20)
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { NR_KMALLOC_BUCKETS, SlabSheaf, SlubPercpuSheaves } from "../../shared/layout/slab.ts";
import { STAT } from "../../shared/layout/slab_stat.ts";
import { kmem_cache_destroy } from "../../shared/linux/mm/kvfree_rcu/destroy.ts";
import { kmem_cache_create } from "../../shared/linux/mm/slub/cache.ts";
import { take_census } from "../../shared/linux/mm/slub/check_sheaves.ts";
import { this_cpu_sheaves } from "../../shared/linux/mm/slub/pcs.ts";
import { kmalloc_cache, KMALLOC_NORMAL } from "../../shared/linux/mm/slub/size_class.ts";
import { stat_sum } from "../../shared/linux/mm/slub/stat.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import { probabilityWord } from "../settings.ts";
import { get, type Scenario, set } from "../explore/scenario.ts";
import { raiseIrq } from "../kit/interrupts.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { cache, CAPACITY, FIRST_WORD, makeCache, makeThings, race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { allocate, free, freeNolock, freeRcu } from "./kit_frees.ts";
import { kfreeThing, kmallocAs, kmallocNolockAs, makeOfBucket, SIZE, SIZE_CAPACITY } from "./kit_kmalloc.ts";
import { exhaustMemory, fillSheaves, putEmptySheaf } from "./kit_sheaves.ts";

const { main: MAIN, rcu_free: RCU_FREE } = SlubPercpuSheaves.offset;
const { size: SHEAF_SIZE } = SlabSheaf.offset;
const FIRST_GOT = 8;

/** Word: the cache to be destroyed. */
const DOOMED = FIRST_WORD;
/** The main sheaf of CPU 0, whose program has ended. */
function mainSize(cpu: Cpu): number {
  return cpu.mem.peek(cpu.mem.peek(this_cpu_sheaves(cpu, cache(cpu)), MAIN), SHEAF_SIZE);
}
/** Every sheaf that was made for a kmalloc cache and not freed is in it. */
function sheavesOfBuckets(cpu: Cpu): string | undefined {
  for (let bucket = 1; bucket < NR_KMALLOC_BUCKETS; bucket++) {
    const s = kmalloc_cache(cpu, KMALLOC_NORMAL, bucket);
    const alive = stat_sum(cpu, s, STAT.SHEAF_ALLOC) - stat_sum(cpu, s, STAT.SHEAF_FREE);
    const found = take_census(cpu, s).sheaves.size;
    if (alive !== found) return `bucket ${bucket}: ${alive} sheaves have been made, and ${found} are there`;
  }
  return undefined;
}

const nolockAlloc = {
  name: "nolock-alloc-list-lock",
  summary: "kmalloc_nolock() in an NMI at every step of a kmalloc() that refills a sheaf",
  setup: makeOfBucket(2 * SIZE_CAPACITY),
  cpus: [[kmallocAs(FIRST_GOT)]],
  nmi: kmallocNolockAs(FIRST_GOT + 1),
  check: accounted,
  steps: 5_000, // Some 300 are enough; who tries for ever takes them all.
  kernel: NO_GRACE_PERIODS,
} satisfies Scenario;

export default [
  race(nolockAlloc),
  race({
    ...nolockAlloc,
    name: "rt-nolock-alloc",
    summary: `PREEMPT_RT: ${nolockAlloc.summary}`,
    globals: { rt: 1 },
  }),
  race({
    name: "destroy-other-cache",
    summary: "kmem_cache_destroy() while an object of another cache waits in a sheaf, where it stays",
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu), 1);
      freeRcu(0)(cpu);
      set(cpu, DOOMED, kmem_cache_create(cpu, "doomed", SIZE));
    },
    cpus: [[(cpu) => void kmem_cache_destroy(cpu, get(cpu, DOOMED) as Ptr<"kmem_cache">)]],
    check: (cpu) =>
      cpu.mem.peek(this_cpu_sheaves(cpu, cache(cpu)), RCU_FREE) === NULL
        ? "the destruction of one cache has flushed another"
        : accounted(cpu),
  }),
  race({
    name: "irq-free-no-memory",
    summary: "a free in an interrupt, into full sheaves, without memory for another one",
    setup: (cpu) => {
      fillSheaves(cpu);
      exhaustMemory(cpu);
    },
    cpus: [[(cpu) => raiseIrq(cpu, 0)]],
    irq: free(2 * CAPACITY),
    check: accounted,
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "refill-atomic",
    summary: "an allocation that may not block, from empty sheaves: the next ones find objects there",
    setup: (cpu) => makeThings(cpu, makeCache(cpu), 0),
    cpus: [[allocate(0)]],
    check: (cpu) => {
      const size = mainSize(cpu);
      return size === CAPACITY - 1 ? accounted(cpu) : `the main sheaf has ${size} objects, not ${CAPACITY - 1}`;
    },
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "nolock-free-barn-lock",
    summary: "kfree_nolock() into full sheaves against another CPU at the barn",
    setup: (cpu) => {
      makeOfBucket(4 * SIZE_CAPACITY)(cpu);
      kmallocNolockAs(FIRST_GOT)(cpu);
      for (let i = 0; i < 2 * SIZE_CAPACITY; i++) kfreeThing(i)(cpu);
      putEmptySheaf(cpu);
    },
    cpus: [[freeNolock(FIRST_GOT)], [kmallocAs(FIRST_GOT + 1)]],
    check: accounted,
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "refill-trylock-fails",
    summary: "allocations that refill their sheaf, with trylocks that fail for no reason",
    globals: { spurious: probabilityWord(0.5) },
    setup: (cpu) => makeThings(cpu, makeCache(cpu), 0),
    cpus: [Array.from({ length: 12 }, (_, i) => allocate(i))],
    check: accounted,
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "kmalloc-sheaves-once",
    summary: "boot: kmalloc caches that several types share get one set of sheaves",
    cpus: [[kmallocAs(0)]],
    check: sheavesOfBuckets,
    kernel: NO_GRACE_PERIODS,
  }),
];
