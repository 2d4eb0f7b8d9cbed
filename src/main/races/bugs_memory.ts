/**
 * Races that show known bugs with other nodes' memory, and with reserves (layout/bugs.ts, docs/BUGS.md): each is won, and lost
 * with `--bug NAME`.
 *
 *   pfmemalloc-free       pfmemalloc-sheaf (B12)
 *   refill-remote-locked  remote-spin (B13)
 *   bulk-free-remote      bulk-free-lost (B19)
 */
import { bug } from "../../shared/cpu/bug.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { __GFP_MEMALLOC, __GFP_NOMEMALLOC, GFP_KERNEL, GFP_NOWAIT } from "../../shared/layout/gfp.ts";
import { ObjectArray, SL_pfmemalloc, Slab } from "../../shared/layout/slab.ts";
import { kmem_cache_free_bulk } from "../../shared/linux/mm/slub/bulk_free.ts";
import { PCS_BATCH_MAX } from "../../shared/linux/mm/slub/flush.ts";
import { kmalloc, kmem_cache_alloc, kmem_cache_alloc_node } from "../../shared/linux/mm/slub/kmalloc.ts";
import { lock_node, unlock_node } from "../../shared/linux/mm/slub/partial.ts";
import { get_node, numa_node_id, virt_to_slab } from "../../shared/linux/mm/slub/slab.ts";
import { element, NULL, type Ptr } from "../../shared/mem/struct.ts";
import { get, type Operation, set } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { alloc, cache, FIRST_WORD, makeCache, makeThings, put, race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { free } from "./kit_frees.ts";

const { slots: SLOTS } = ObjectArray.offset;
/** A page for each slab of things, some of them for emergencies. */
const RESERVE = 8;

function isReserved(cpu: Cpu, thing: Ptr): boolean {
  return (cpu.mem.peek(virt_to_slab(cpu, thing), Slab.offset.flags) & SL_pfmemalloc) !== 0;
}
const exhaustCommonMemory: Operation = (cpu) => {
  while (kmalloc(cpu, 4096, GFP_KERNEL | __GFP_NOMEMALLOC) !== NULL);
};
const allocFromReserve: Operation = (cpu) => {
  const thing = kmem_cache_alloc(cpu, cache(cpu), GFP_NOWAIT | __GFP_MEMALLOC);
  if (thing === NULL || !isReserved(cpu, thing)) bug(cpu, "there is still memory, or not even a reserve");
  put(cpu, 0, thing);
};
const allocAsAnybody: Operation = (cpu) => {
  const thing = kmem_cache_alloc(cpu, cache(cpu), GFP_NOWAIT);
  if (thing !== NULL && isReserved(cpu, thing)) bug(cpu, "memory that was kept for emergencies goes to anybody");
  put(cpu, 1, thing);
};

/** Word: where the objects to be freed are noted down; as many remote ones as a batch has, and a local one before them. */
const LIST = FIRST_WORD;
const LIST_LENGTH = PCS_BATCH_MAX + 1;
const noteObjects: Operation = (cpu) => {
  makeThings(cpu, makeCache(cpu), 0);
  const list = kmalloc(cpu, 8 * LIST_LENGTH, GFP_KERNEL) as Ptr as Ptr<"object_array">;
  for (let i = 0; i < LIST_LENGTH; i++) {
    cpu.mem.write(list, element(SLOTS, i), kmem_cache_alloc_node(cpu, cache(cpu), GFP_KERNEL, i === 0 ? 1 : 0));
  }
  set(cpu, LIST, list);
};
const freeNoted: Operation = (cpu) =>
  kmem_cache_free_bulk(cpu, cache(cpu), LIST_LENGTH, get(cpu, LIST) as Ptr<"object_array">);

/** Objects of a slab; words: the lock is held, and the allocation has been made. */
const SLAB_OBJECTS = 10;
const HELD = FIRST_WORD;
const DONE = FIRST_WORD + 1;
const holdRemoteList: Operation = (cpu) => {
  const n = get_node(cpu, cache(cpu), numa_node_id(cpu));
  const flags = lock_node(cpu, n);
  set(cpu, HELD, 1);
  while (get(cpu, DONE) === 0) cpu.mem.relax();
  unlock_node(cpu, n, flags);
};

export default [
  race({
    name: "pfmemalloc-free",
    summary: "an object from emergency reserves is freed, and somebody allocates who may not have such",
    config: [`reserve=${RESERVE}`],
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu), 0);
      exhaustCommonMemory(cpu);
      allocFromReserve(cpu);
    },
    cpus: [[free(0), allocAsAnybody]],
    check: accounted,
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "refill-remote-locked",
    summary: "an allocation that could take objects of another node, whose list_lock is held until it is made",
    nodes: 2,
    setup: (cpu) => {
      makeThings(cpu, makeCache(cpu, 0, SLAB_OBJECTS), 0);
      put(cpu, 0, kmem_cache_alloc_node(cpu, cache(cpu), GFP_KERNEL, 1)); // The others are free.
    },
    cpus: [
      [
        (cpu) => {
          while (get(cpu, HELD) === 0) cpu.mem.relax();
          put(cpu, 1, alloc(cpu));
          set(cpu, DONE, 1);
        },
      ],
      [holdRemoteList],
    ],
    check: accounted,
    kernel: NO_GRACE_PERIODS,
  }),
  race({
    name: "bulk-free-remote",
    summary: "kmem_cache_free_bulk() of a local object and of a batch of objects of another node",
    nodes: 2,
    setup: noteObjects,
    cpus: [[], [freeNoted]],
    check: accounted,
    kernel: NO_GRACE_PERIODS,
  }),
];
