/**
 * A sheaf is taken out of this CPU's sheaves, used, and given back, while kfree_nolock() and kmalloc_nolock() of an NMI work
 * on the same sheaves, and another CPU on the barn. Spec slub 2.12. A bucket that nothing else uses, with two slots a sheaf.
 */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { SLAB_ALLOC_DEFAULT } from "../../shared/layout/slab_flags.ts";
import { barn_put_empty_sheaf } from "../../shared/linux/mm/slub/barn.ts";
import { kfree, kmalloc } from "../../shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../shared/linux/mm/slub/nolock.ts";
import { get_barn } from "../../shared/linux/mm/slub/pcs.ts";
import {
  kmem_cache_alloc_from_sheaf,
  kmem_cache_prefill_sheaf,
  kmem_cache_refill_sheaf,
  kmem_cache_return_sheaf,
} from "../../shared/linux/mm/slub/prefill.ts";
import { alloc_empty_sheaf } from "../../shared/linux/mm/slub/sheaf.ts";
import { kmem_cache_shrink } from "../../shared/linux/mm/slub/shrink.ts";
import { kmalloc_slab } from "../../shared/linux/mm/slub/size_class.ts";
import { NULL } from "../../shared/mem/struct.ts";
import type { Operation } from "../explore/scenario.ts";
import { cache, makeThings, put, race, take } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";

const SIZE = 1024;
/** Slots of a sheaf of that size, globals.tiny being 1. */
const CAPACITY = 2;
/** Things that the NMI frees, and that it and the tasks get. */
const NMI_FREES = [6, 7];
const NMI_GETS = 8;
const TASK_GETS = 9;

/** Takes a sheaf with `size` objects, uses one of them, and gives it back, after a refill or not. */
const prefill =
  (slot: number, size: number, refill = 0): Operation =>
  (cpu) => {
    const s = cache(cpu);
    let sheaf = kmem_cache_prefill_sheaf(cpu, s, GFP_KERNEL, size);
    if (sheaf === NULL) bug(cpu, "no memory for a sheaf");
    const thing = kmem_cache_alloc_from_sheaf(cpu, s, 0, sheaf);
    if (thing === NULL) bug(cpu, "a prefilled sheaf is empty");
    put(cpu, slot, thing);
    if (refill !== 0) sheaf = kmem_cache_refill_sheaf(cpu, s, GFP_KERNEL, sheaf, refill);
    kmem_cache_return_sheaf(cpu, s, GFP_KERNEL, sheaf);
  };
const nmi = (cpu: Cpu): void => {
  if (cpu.id !== 0) return;
  for (const i of NMI_FREES) kfree_nolock(cpu, take(cpu, i));
  put(cpu, NMI_GETS, kmalloc_nolock(cpu, SIZE, 0, NUMA_NO_NODE));
};
const free =
  (i: number): Operation =>
  (cpu) =>
    kfree(cpu, take(cpu, i));
const shrink: Operation = (cpu) => void kmem_cache_shrink(cpu, cache(cpu));

const common = { nmi, kernel: NO_GRACE_PERIODS, check: accounted };
/** All allocated: main and spare are empty, and the barn. */
const empty: Operation = (cpu) => {
  makeThings(cpu, kmalloc_slab(cpu, SIZE, 0), 0);
  for (let i = 0; i < 4 * CAPACITY; i++) put(cpu, i, kmalloc_nolock(cpu, SIZE, 0, NUMA_NO_NODE));
};
/** Main and spare are full, and the barn has an empty sheaf. */
const full: Operation = (cpu) => {
  empty(cpu);
  for (let i = 0; i < 2 * CAPACITY; i++) free(i)(cpu);
  const s = cache(cpu);
  const sheaf = alloc_empty_sheaf(cpu, s, GFP_KERNEL, SLAB_ALLOC_DEFAULT);
  if (sheaf !== NULL) barn_put_empty_sheaf(cpu, get_barn(cpu, s), sheaf);
};

export default [
  race({
    ...common,
    name: "prefill-nmi",
    summary: "a sheaf is prefilled, used and returned against nolock frees and an allocation in an NMI",
    setup: full,
    cpus: [[prefill(TASK_GETS, 1)]],
  }),
  race({
    ...common,
    name: "prefill-refill-nmi",
    summary: "the same with a refill that makes it larger than the cache's sheaves",
    setup: empty,
    cpus: [[prefill(TASK_GETS, CAPACITY, CAPACITY + 1)]],
  }),
  race({
    ...common,
    name: "prefill-barn",
    summary: "two CPUs prefill from one barn and return to it, against an NMI that frees and allocates",
    setup: full,
    cpus: [
      [prefill(TASK_GETS, 1), free(4)],
      [prefill(TASK_GETS + 1, CAPACITY), free(5)],
    ],
  }),
  race({
    ...common,
    name: "prefill-shrink",
    summary: "a prefilled sheaf is used and returned while the cache is shrunk from another CPU",
    setup: full,
    cpus: [[prefill(TASK_GETS, 1), (cpu) => put(cpu, TASK_GETS + 1, kmalloc(cpu, SIZE, GFP_KERNEL))], [shrink]],
  }),
];
