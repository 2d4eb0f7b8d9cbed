/**
 * Planted bugs that answer what the series' reviewers asked (docs/SERIES.md): what breaks if one part of it is left out,
 * or done as somebody proposed.
 */
import type { Mutant } from "./mutant.ts";

const KVFREE = "src/shared/linux/mm/kvfree_rcu";
const BARRIER = `${KVFREE}/barrier.ts`;
const KRC_BARRIER = `${KVFREE}/krc_barrier.ts`;
const DEFERRED_WORK = `${KVFREE}/deferred_work.ts`;

const WITHOUT_D_ON_CACHE = [
  {
    file: BARRIER,
    find: "  drain_deferred_before_flush(cpu);\n  if (cache_has_sheaves",
    replace: "  if (cache_has_sheaves",
  },
  {
    file: BARRIER,
    find: "  drain_deferred_after_flush(cpu);\n  // Until",
    replace: "  // Until",
  },
];

/**
 * A barrier on what one cache has in krc: it looks for the cache's objects, and neither queues nor waits where there are
 * none. @param batches  it looks into batches, too
 */
const naive = (batches: boolean): Mutant["edits"] => [
  {
    file: BARRIER,
    find: "  __kvfree_rcu_barrier(cpu);\n  oracle_barrier_end(cpu, s);",
    replace: "  __kvfree_rcu_barrier(cpu, s);\n  oracle_barrier_end(cpu, s);",
  },
  {
    file: KRC_BARRIER,
    find: "export function __kvfree_rcu_barrier(cpu: Cpu): void {",
    replace: `
import { FREE_N_CHANNELS, KvfreeRcuBulkData } from "../../../layout/kvfree_rcu.ts";
import { KvfreeRcuHead } from "../../../layout/types.ts";
import { Slab } from "../../../layout/slab.ts";
import { container_of, element, NULL } from "../../../mem/struct.ts";
import { list_next } from "../../lib/list.ts";
import { virt_to_slab } from "../slub/slab.ts";
import { bulk_head_of } from "./krc.ts";
import { bulk_head_free_of } from "./krc_batch.ts";

function holds(cpu, krcp, s) {
  const flags = krc_lock(cpu, krcp);
  let found = on_head(cpu, cpu.mem.read_once(krcp, KfreeRcuCpu.offset.head), s);
  for (let idx = 0; idx < FREE_N_CHANNELS; idx++) found ||= on_bnodes(cpu, bulk_head_of(krcp, idx), s);
  for (let i = 0; ${batches} && i < KFREE_N_BATCHES; i++) {
    const krwp = krwp_of(krcp, i);
    found ||= on_head(cpu, cpu.mem.read(krwp, KfreeRcuCpuWork.offset.head_free), s);
    for (let idx = 0; idx < FREE_N_CHANNELS; idx++) found ||= on_bnodes(cpu, bulk_head_free_of(krwp, idx), s);
  }
  krc_unlock(cpu, krcp, flags);
  return found;
}
function is_of(cpu, object, s) {
  const slab = virt_to_slab(cpu, object);
  return slab !== NULL && cpu.mem.read(slab, Slab.offset.slab_cache) === s;
}
function on_head(cpu, first, s) {
  for (let head = first; head !== NULL; head = cpu.mem.read(head, KvfreeRcuHead.offset.next)) {
    if (is_of(cpu, head, s)) return true;
  }
  return false;
}
function on_bnodes(cpu, list, s) {
  const { list: LIST, nr_records: NR_RECORDS, records: RECORDS } = KvfreeRcuBulkData.offset;
  for (let at = list_next(cpu, list); at !== list; at = list_next(cpu, at)) {
    const bnode = container_of(at, LIST);
    const nr_records = cpu.mem.read(bnode, NR_RECORDS);
    for (let i = 0; i < nr_records; i++) if (is_of(cpu, cpu.mem.read(bnode, element(RECORDS, i)), s)) return true;
  }
  return false;
}
export function __kvfree_rcu_barrier(cpu: Cpu, only = NULL): void {
  let skipped = 0;`,
  },
  {
    file: KRC_BARRIER,
    find: "    // One batch takes all",
    replace:
      "    if (only !== NULL && !holds(cpu, krcp, only)) {\n      skipped |= 1 << id;\n      continue;\n    }\n    // One batch takes all",
  },
  {
    file: KRC_BARRIER,
    find: "    // Why: a monitor that runs",
    replace: "    if (skipped & (1 << id)) continue;\n    // Why: a monitor that runs",
  },
];

export const SERIES_MUTANTS: readonly Mutant[] = [
  {
    name: "no-D-on-cache",
    what: "kvfree_rcu_barrier_on_cache without deferred_work_barrier",
    edits: WITHOUT_D_ON_CACHE,
    explore: ["full-sheaf-barrier-dfdrk-late"],
    torture: ["--scenario", "barriers", "--irqwork", "late"],
    quick: true,
  },
  {
    name: "no-D-on-cache-no-sheaves",
    what: "the same, for a cache without sheaves, with a prompt irq_work",
    edits: WITHOUT_D_ON_CACHE,
    explore: ["barrier-no-sheaves"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "no-D-in-flush-all",
    what: "flush_all_rcu_sheaves without deferred_work_barrier",
    edits: [
      {
        file: BARRIER,
        find: "  drain_deferred_before_flush(cpu);\n  cpus_read_lock",
        replace: "  cpus_read_lock",
      },
      {
        file: BARRIER,
        find: "  drain_deferred_after_flush(cpu);\n  rcu_barrier",
        replace: "  rcu_barrier",
      },
    ],
    explore: ["barrier-all-deferred"],
    torture: ["--scenario", "barriers", "--irqwork", "late"],
    quick: false,
  },
  {
    name: "no-D-unbatched",
    what: "the barriers of a build without batching leave deferred_work_barrier out",
    edits: [
      { file: BARRIER, find: "  deferred_work_barrier(cpu);\n  rcu_barrier(cpu);", replace: "  rcu_barrier(cpu);" },
    ],
    explore: ["barrier-all-deferred", "--config", "unbatched"],
    torture: ["--scenario", "barriers", "--irqwork", "late", "--config", "unbatched"],
    quick: false,
  },
  {
    name: "R-before-F",
    what: "kvfree_rcu_barrier_on_cache waits for callbacks first, and flushes then",
    edits: [
      {
        file: BARRIER,
        find: "  drain_deferred_before_flush(cpu);\n  if (cache_has_sheaves",
        replace: "  drain_deferred_before_flush(cpu);\n  rcu_barrier(cpu);\n  if (cache_has_sheaves",
      },
      {
        file: BARRIER,
        find: "  if ((cpu.mem.peek(cpu.globals, KERNEL_BEHAVIOUR) & KB_ON_CACHE) === 0) rcu_barrier(cpu);\n",
        replace: "",
      },
    ],
    explore: ["barrier-remote-sheaf"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "naive-cache-barrier",
    what: "a barrier on one cache passes over each krc that has no object of it pending",
    edits: naive(false),
    explore: ["barrier-shared-krc"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "naive-cache-barrier-batches",
    what: "a barrier on one cache passes over each krc that has no object of it pending or in a batch",
    edits: naive(true),
    explore: ["barrier-shared-krc"],
    torture: ["--scenario", "barriers"],
    quick: false,
  },
  {
    name: "call-rcu-in-nmi-unchecked",
    what: "a nolock caller calls call_rcu() itself whatever IRQs are, and call_rcu() looks at no context",
    edits: [
      {
        file: `${KVFREE}/kfree_rcu_sheaf.ts`,
        find: "if (!allow_spin && irqs_disabled(cpu)) {",
        replace: "if (!allow_spin && irqs_disabled(cpu) && allow_spin) {",
      },
      {
        file: "src/shared/linux/rcu/tree_cb.ts",
        find: "  if (in_nmi(cpu)) bug(cpu, `call_rcu from NMI",
        replace: "  if (in_nmi(cpu) && cpu.id < 0) bug(cpu, `call_rcu from NMI",
      },
      {
        file: "src/shared/linux/rcu/tree_cb.ts",
        find: "  if (in_interrupt(cpu)) raise",
        replace: "  if (in_interrupt(cpu) && !in_nmi(cpu)) raise",
      },
    ],
    explore: ["nolock-on-call-rcu"],
    torture: ["--scenario", "nolock"],
    quick: false,
  },
  {
    name: "next-object-read-late",
    what: "deferred_percpu_work_fn reads the link of an object that kvfree_call_rcu() has linked elsewhere",
    edits: [
      {
        file: DEFERRED_WORK,
        find: "    const next = llist_next(cpu, node); // Before kvfree_call_rcu(), which links the head elsewhere.\n",
        replace: "",
      },
      {
        file: DEFERRED_WORK,
        find: "    kvfree_call_rcu(cpu, head, kvmalloc_obj_start_addr(cpu, head));\n    node = next;",
        replace:
          "    kvfree_call_rcu(cpu, head, kvmalloc_obj_start_addr(cpu, head));\n    node = llist_next(cpu, node);",
      },
    ],
    explore: ["barrier-no-sheaves"],
    torture: ["--scenario", "nolock"],
    quick: false,
  },
  {
    name: "next-sheaf-read-late",
    what: "deferred_percpu_work_fn reads the link of a sheaf whose rcu_head lies over it by then",
    edits: [
      {
        file: DEFERRED_WORK,
        find: "    const next = llist_next(cpu, node); // Before call_rcu(): rcu_head and llnode share their bytes.\n",
        replace: "",
      },
      {
        file: DEFERRED_WORK,
        find: "CB.rcu_free_sheaf);\n    node = next;",
        replace: "CB.rcu_free_sheaf);\n    node = llist_next(cpu, node);",
      },
    ],
    explore: ["two-barriers"],
    torture: ["--scenario", "nolock"],
    quick: false,
  },
];
