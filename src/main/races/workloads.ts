/**
 * The workloads of src/main/workloads, each made as small as it can be: one reader, one writer, and an NMI that reads, too.
 * Freed memory is poisoned, so that a reader notices at once. A name that ends in "gp" runs to the end of the grace
 * period; in the others none ends, since what they look for does not depend on it.
 */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { GFP_ATOMIC } from "../../shared/layout/gfp.ts";
import { KmemCache } from "../../shared/layout/slab.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { ListLruMemcg, VMAP_BBMAP_BITS, WorkloadObjcg } from "../../shared/layout/workloads.ts";
import { kfree_rcu, kmalloc, rcu_barrier } from "../../shared/linux/api.ts";
import { kmalloc_slab } from "../../shared/linux/mm/slub/size_class.ts";
import { type Inner, NULL } from "../../shared/mem/struct.ts";
import { KERNEL } from "../explore/kernel.ts";
import { get, type Operation, type Scenario, set } from "../explore/scenario.ts";
import {
  check_list_lru,
  list_lru_add_del,
  list_lru_init,
  memcg_list_lru_alloc,
  memcg_update_list_lru,
} from "../workloads/list_lru.ts";
import { maple_tree_init, mt_free_walk, mtree_load, mtree_replace, mtree_store } from "../workloads/maple_tree.ts";
import {
  get_obj_cgroup_from_memcg,
  memcg_replace_objcg,
  obj_cgroup_charge,
  obj_cgroup_init,
  obj_cgroup_put,
} from "../workloads/obj_cgroup.ts";
import {
  check_shrinker_info,
  expand_shrinker_info,
  set_shrinker_bit,
  shrink_slab_memcg,
  shrinker_info_init,
} from "../workloads/shrinker_info.ts";
import {
  purge_fragmented_blocks,
  vb_alloc,
  vb_free,
  vb_look_up,
  vb_walk,
  vmap_block_init,
} from "../workloads/vmap_block.ts";
import { FIRST_WORD, race } from "./kit.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";

const workload = (of: Scenario): Scenario => race({ ...of, globals: { poison_free: 1, ...of.globals } });
/** The next kfree_rcu() of this CPU fills its sheaf of objects of that size, and so asks for a grace period at once. */
function almostFillSheaf(cpu: Cpu, bytes: number): void {
  const capacity = cpu.mem.peek(kmalloc_slab(cpu, bytes, 0), KmemCache.offset.sheaf_capacity);
  for (let left = capacity - 1; left > 0; left--) kfree_rcu(cpu, kmalloc(cpu, bytes, GFP_ATOMIC), HEAD_AT_0);
}
const HEAD_AT_0 = 0 as Inner<"object", "kvfree_rcu_head">;
/** An NMI of one CPU only: that of the reader. */
const nmiOn =
  (id: number, nmi: Operation): Operation =>
  (cpu) => {
    if (cpu.id === id) nmi(cpu);
  };

const LISTS = 2;
const readList: Operation = (cpu) => list_lru_add_del(cpu, 0, 2);
const grow: Operation = (cpu) => void memcg_update_list_lru(cpu, LISTS);
const listLru = {
  setup: (cpu): void => {
    list_lru_init(cpu);
    memcg_update_list_lru(cpu, LISTS);
    memcg_list_lru_alloc(cpu, 0);
  },
  nmi: nmiOn(0, readList),
  check: check_list_lru,
} satisfies Partial<Scenario>;

const reference: Operation = (cpu) => {
  const objcg = get_obj_cgroup_from_memcg(cpu, 0);
  if (objcg === NULL) return;
  obj_cgroup_charge(cpu, objcg, 1);
  obj_cgroup_charge(cpu, objcg, -1);
  obj_cgroup_put(cpu, objcg);
};
const replace: Operation = (cpu) => void memcg_replace_objcg(cpu, 0);
const objCgroup = {
  setup: (cpu): void => {
    obj_cgroup_init(cpu);
    memcg_replace_objcg(cpu, 0);
  },
  nmi: nmiOn(0, reference),
} satisfies Partial<Scenario>;

const setBit: Operation = (cpu) => set_shrinker_bit(cpu, 0);
const shrink: Operation = (cpu) => shrink_slab_memcg(cpu, 0);
const expand: Operation = (cpu) => void expand_shrinker_info(cpu, 64);
const shrinkerInfo = {
  setup: (cpu): void => {
    shrinker_info_init(cpu);
    expand_shrinker_info(cpu, 32);
    set_shrinker_bit(cpu, 0);
  },
  check: check_shrinker_info,
} satisfies Partial<Scenario>;

/** Half of a block's pages, and the words that hold their addresses. */
const HALF = VMAP_BBMAP_BITS / 2;
const FIRST_HALF = FIRST_WORD;
const allocFree =
  (count: number): Operation =>
  (cpu) =>
    vb_free(cpu, vb_alloc(cpu, count, GFP_ATOMIC), count);
const freeFirstHalf: Operation = (cpu) => vb_free(cpu, get(cpu, FIRST_HALF), HALF);
const vmapBlock = {
  setup: (cpu): void => {
    vmap_block_init(cpu);
    set(cpu, FIRST_HALF, vb_alloc(cpu, HALF, GFP_ATOMIC));
  },
  nmi: nmiOn(0, (cpu) => {
    vb_walk(cpu, 0);
    vb_look_up(cpu, get(cpu, FIRST_HALF), 1);
  }),
} satisfies Partial<Scenario>;

/** A root and its leaves. */
const HEIGHT = 2;
/** In the second leaf: what lies over the first pivots leads elsewhere. */
const INDEX = 5;
const load: Operation = (cpu) => void mtree_load(cpu, INDEX);
const store: Operation = (cpu) => void mtree_store(cpu, INDEX, HEIGHT);
const replaceTree: Operation = (cpu) => void mtree_replace(cpu, INDEX, 0, HEIGHT);
const withMapleCallback = (kernel: typeof KERNEL): typeof KERNEL => ({
  ...kernel,
  bind: () => {
    kernel.bind();
    bind_callback(CB.mt_free_walk, mt_free_walk);
  },
});
const mapleTree = {
  // Without sheaves kfree_rcu() links the node by its head at once.
  setup: (cpu: Cpu): void => maple_tree_init(cpu, HEIGHT, SLAB_NO_SHEAVES),
  nmi: nmiOn(0, load),
} satisfies Partial<Scenario>;

export default [
  workload({
    ...listLru,
    name: "list_lru-grow",
    summary: "list_lru: a table is replaced twice against a reader of the table and of a list in it",
    cpus: [[readList], [grow, grow]],
    kernel: NO_GRACE_PERIODS,
  }),
  workload({
    ...listLru,
    name: "list_lru-grow-gp",
    summary: "list_lru: a table is replaced, up to its free, against readers of it",
    setup: (cpu) => {
      listLru.setup(cpu);
      almostFillSheaf(cpu, ListLruMemcg.size + 8 * LISTS);
    },
    cpus: [[grow, rcu_barrier], [readList]],
    nmi: nmiOn(1, readList),
  }),
  workload({
    ...objCgroup,
    name: "obj_cgroup-last-put",
    summary: "obj_cgroup: two CPUs and an NMI take and put references while the memory cgroup gives up its own",
    cpus: [[reference], [replace, reference]],
    kernel: NO_GRACE_PERIODS,
  }),
  workload({
    ...objCgroup,
    name: "obj_cgroup-last-put-gp",
    summary: "obj_cgroup: the last put, up to the free, against readers who look at the count",
    setup: (cpu) => {
      objCgroup.setup(cpu);
      almostFillSheaf(cpu, WorkloadObjcg.size);
    },
    cpus: [[replace, rcu_barrier], [reference]],
    nmi: nmiOn(1, reference),
  }),
  workload({
    ...shrinkerInfo,
    name: "shrinker_info-bits",
    summary: "shrinker_info: a bit is set against shrinkers that serve it, on another CPU and in an NMI",
    cpus: [[setBit], [shrink]],
    nmi: shrink,
    kernel: NO_GRACE_PERIODS,
  }),
  workload({
    ...shrinkerInfo,
    name: "shrinker_info-expand",
    summary: "shrinker_info: a longer array is published against those who set and serve bits",
    cpus: [[setBit, shrink], [expand]],
    nmi: nmiOn(0, setBit),
    kernel: NO_GRACE_PERIODS,
  }),
  workload({
    ...vmapBlock,
    name: "vmap_block-last-page",
    summary: "vmap_block: two CPUs give the last pages of a block back, against walkers in an NMI",
    cpus: [[allocFree(HALF)], [freeFirstHalf]],
    kernel: NO_GRACE_PERIODS,
  }),
  workload({
    ...vmapBlock,
    name: "vmap_block-purge",
    summary: "vmap_block: a block is purged against a CPU that takes pages from it",
    cpus: [[allocFree(1)], [freeFirstHalf, (cpu) => purge_fragmented_blocks(cpu, 0)]],
    kernel: NO_GRACE_PERIODS,
  }),
  workload({
    ...mapleTree,
    name: "maple_tree-store",
    summary: "maple_tree: a leaf is replaced, which goes by kfree_rcu(), against walks",
    cpus: [[load], [store]],
    kernel: withMapleCallback(NO_GRACE_PERIODS),
  }),
  workload({
    ...mapleTree,
    name: "maple_tree-replace-gp",
    summary: "maple_tree: the tree is replaced, which goes by call_rcu(), up to its free, against walks",
    cpus: [[load], [replaceTree, rcu_barrier]],
    kernel: withMapleCallback(KERNEL),
  }),
];
