/**
 * What lies under kfree_rcu() and around it: an hrtimer that two CPUs start, blocks of vmalloc() that an interrupt frees, the
 * extension vector that two CPUs make for one slab, a cache that leaves KASAN's quarantine. Spec rcu 1.5, 3.4, 3.5.
 */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { cond_resched } from "../../shared/cpu/sched.ts";
import { HOOK_KASAN, HOOK_MEMCG } from "../../shared/layout/debug.ts";
import { KasanState } from "../../shared/layout/debug_kasan.ts";
import { SlabobjExt } from "../../shared/layout/debug_memcg.ts";
import { __GFP_ACCOUNT, GFP_ATOMIC, GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { KmemCache, Slab } from "../../shared/layout/slab.ts";
import { hrtimer_setup, hrtimer_start } from "../../shared/linux/kernel/hrtimer.ts";
import {
  kasan_quarantine_reduce,
  kasan_quarantine_remove_cache,
} from "../../shared/linux/mm/debug/kasan_quarantine.ts";
import { kasan_state } from "../../shared/linux/mm/debug/kasan_shadow.ts";
import { slab_obj_exts } from "../../shared/linux/mm/debug/memcg.ts";
import { take_census } from "../../shared/linux/mm/slub/check_sheaves.ts";
import { kmem_cache_alloc } from "../../shared/linux/mm/slub/kmalloc.ts";
import { virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import { vfree, vmalloc, vmalloc_nr_pages } from "../../shared/linux/mm/vmalloc.ts";
import { NULL, type Ptr } from "../../shared/mem/struct.ts";
import { callbackId, get, type Operation, set } from "../explore/scenario.ts";
import { raiseIrq } from "../kit/interrupts.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { at, cache, FIRST_THING, FIRST_WORD, put, race, take, withoutSheaves } from "./kit.ts";
import { slabFree } from "./kit_frees.ts";

/** Words: the timer's function runs; what it has seen; the timer. */
const RUNNING = 0;
const WANTED = 1;
const SEEN = 4;
const TIMER = FIRST_WORD;
const STARTS = 3;
const start =
  (i: number): Operation =>
  (cpu) => {
    set(cpu, WANTED + i, 1);
    hrtimer_start(cpu, at(cpu, TIMER));
  };
const timerFunction: Operation = (cpu) => {
  if (get(cpu, RUNNING) !== 0) bug(cpu, "the timer's function runs on two CPUs at once");
  set(cpu, RUNNING, 1);
  for (let i = 0; i < STARTS; i++) if (get(cpu, WANTED + i) !== 0) set(cpu, SEEN + i, 1);
  set(cpu, RUNNING, 0);
};
const waitUntilAllSeen: Operation = (cpu) => {
  for (let i = 0; i < STARTS; i++) while (get(cpu, SEEN + i) === 0) cpu.mem.relax();
};

const makeBlock =
  (i: number): Operation =>
  (cpu) =>
    put(cpu, i, vmalloc(cpu, 64));
const freeBlock =
  (i: number): Operation =>
  (cpu) =>
    vfree(cpu, take(cpu, i));
/** What the interrupt has freed is given back by a work item. */
const waitUntilNoBlocks: Operation = (cpu) => {
  while (vmalloc_nr_pages(cpu) !== 0) {
    cpu.mem.relax();
    cond_resched(cpu);
  }
};

const allocAccounted =
  (i: number): Operation =>
  (cpu) =>
    put(cpu, i, kmem_cache_alloc(cpu, cache(cpu), GFP_ATOMIC | __GFP_ACCOUNT));
/** Entries that name who pays, in the vectors of the slabs of things 1 and 2: one slab, or two on two nodes. */
function paidFor(cpu: Cpu): number {
  const slabs = new Set([1, 2].map((i) => virt_to_slab(cpu, get(cpu, FIRST_THING + i) as Ptr)));
  return [...slabs].reduce((sum, slab) => sum + paidForIn(cpu, slab), 0);
}
function paidForIn(cpu: Cpu, slab: Ptr<"slab">): number {
  const exts = slab_obj_exts(cpu, slab);
  if (exts === NULL) return 0;
  let paid = 0;
  for (let i = 0; i < cpu.mem.peek(slab, Slab.offset.objects); i++) {
    if (cpu.mem.peek((exts + i * SlabobjExt.size) as Ptr<"slabobj_ext">, SlabobjExt.offset.objcg) !== NULL) paid++;
  }
  return paid;
}

const QUARANTINED = 4;
const removeCache: Operation = (cpu) => {
  kasan_quarantine_remove_cache(cpu, cache(cpu));
  const { inuse } = take_census(cpu, cache(cpu));
  if (inuse !== 0) bug(cpu, `${inuse} objects are still on their way from the quarantine`);
};

export default [
  race({
    name: "hrtimer-two-starts",
    summary: "hrtimer_start() of one timer on two CPUs: each is followed by a call, and the calls by each other",
    callbacks: [timerFunction],
    setup: (cpu) => hrtimer_setup(cpu, at(cpu, TIMER), callbackId(0)),
    cpus: [[start(0), start(1)], [start(2)]],
    final: waitUntilAllSeen,
    steps: 5_000, // Some 200 are enough; a broken list is walked for ever.
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "vfree-irq",
    summary: "vfree() in an interrupt at every step of vfree() and vmalloc()",
    setup: (cpu) => {
      makeBlock(0)(cpu);
      makeBlock(1)(cpu);
    },
    irq: freeBlock(0),
    cpus: [[freeBlock(1), makeBlock(2), freeBlock(2)], [(cpu) => raiseIrq(cpu, 0)]],
    final: waitUntilNoBlocks,
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "memcg-two-vectors",
    summary: "two CPUs allocate from a slab without extension vector: both objects are paid for",
    globals: { hooks: HOOK_MEMCG },
    setup: withoutSheaves(0, (cpu) => put(cpu, 0, kmem_cache_alloc(cpu, cache(cpu), GFP_KERNEL))), // Makes the slab.
    cpus: [[allocAccounted(1)], [allocAccounted(2)]],
    check: (cpu) => (paidFor(cpu) === 2 ? undefined : `${paidFor(cpu)} objects are paid for, not 2`),
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "kasan-remove-cache",
    summary: "a cache leaves KASAN's quarantine against an allocation that gives its objects back",
    globals: { hooks: HOOK_KASAN },
    setup: withoutSheaves(QUARANTINED, (cpu) => {
      // So that the queue of all holds them, and has to give some back.
      for (const limit of [KasanState.offset.percpu_size, KasanState.offset.max_size]) {
        cpu.mem.poke(kasan_state(cpu), limit, cpu.mem.peek(cache(cpu), KmemCache.offset.size));
      }
      for (let i = 0; i < QUARANTINED; i++) slabFree(i)(cpu);
    }),
    cpus: [[removeCache], [kasan_quarantine_reduce]],
  }),
];
