/**
 * A sheaf is taken out of this CPU's sheaves, used, and given back, while kfree_nolock() and kmalloc_nolock() of an NMI work
 * on the same sheaves, and another CPU on the barn. Spec slub 2.12. A bucket that nothing else uses, with two slots a sheaf.
 */
import { bug } from "../../shared/cpu/bug.ts";
import { GFP_KERNEL } from "../../shared/layout/gfp.ts";
import { kmalloc } from "../../shared/linux/mm/slub/kmalloc.ts";
import {
  kmem_cache_alloc_from_sheaf,
  kmem_cache_prefill_sheaf,
  kmem_cache_refill_sheaf,
  kmem_cache_return_sheaf,
} from "../../shared/linux/mm/slub/prefill.ts";
import { kmem_cache_shrink } from "../../shared/linux/mm/slub/shrink.ts";
import { NULL } from "../../shared/mem/struct.ts";
import type { Operation } from "../explore/scenario.ts";
import { cache, put, race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import {
  kfreeThing,
  kmallocNolockAs,
  makeOfBucket,
  nmiTraffic,
  SIZE,
  SIZE_CAPACITY,
  TASK_GETS,
} from "./kit_kmalloc.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { putEmptySheaf } from "./kit_sheaves.ts";

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
const shrink: Operation = (cpu) => void kmem_cache_shrink(cpu, cache(cpu));

const common = { nmi: nmiTraffic(0), kernel: NO_GRACE_PERIODS, check: accounted };
/** All allocated: main and spare are empty, and the barn. */
const empty: Operation = (cpu) => {
  makeOfBucket(0)(cpu);
  for (let i = 0; i < 4 * SIZE_CAPACITY; i++) kmallocNolockAs(i)(cpu);
};
/** Main and spare are full, and the barn has an empty sheaf. */
const full: Operation = (cpu) => {
  empty(cpu);
  for (let i = 0; i < 2 * SIZE_CAPACITY; i++) kfreeThing(i)(cpu);
  putEmptySheaf(cpu);
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
    cpus: [[prefill(TASK_GETS, SIZE_CAPACITY, SIZE_CAPACITY + 1)]],
  }),
  race({
    ...common,
    name: "prefill-barn",
    summary: "two CPUs prefill from one barn and return to it, against an NMI that frees and allocates",
    setup: full,
    cpus: [
      [prefill(TASK_GETS, 1), kfreeThing(4)],
      [prefill(TASK_GETS + 1, SIZE_CAPACITY), kfreeThing(5)],
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
