/** Names and one-line summaries of the scenarios, for command lines and lists. What they do: registry.ts. */

export const SCENARIO_SUMMARIES = {
  nolock: "readers, kmalloc/kfree/kfree_rcu, cross-CPU frees, barriers, cache create/destroy, all at once (default)",
  kunit: "lib/tests/slub_kunit.c: rounds of 1000 16-byte objects, kfree or kfree_rcu, under the NMI triple",
  barriers: "rcu_barrier, kvfree_rcu_barrier, irq_work_sync and destroy against each other, checked per object",
  llist: "lock-less lists and irq_work alone: pushes from tasks and NMIs, drains from irq_work and tasks",
  rcu: "rcutorture: readers of ever-changing elements, ten grace periods per element, reader-age histogram",
  list_lru: "tables of lists by memory cgroup, replaced by kvfree_rcu under readers",
  obj_cgroup: "counted references looked up under RCU, put for the last time anywhere, NMIs included",
  shrinker_info: "bits set and served under RCU in arrays that grow",
  vmap_block: "per-CPU blocks of pages, found by walks and by address, freed when all pages are back",
  prefill: "prefilled sheaves, bulks, typesafe lookups, krealloc, buckets and aliases of one cache by all CPUs",
  maple_tree: "copy-on-write under readers of a tree; nodes freed by kfree_rcu or with their subtree by call_rcu",
} as const;
export type ScenarioName = keyof typeof SCENARIO_SUMMARIES;

export const SCENARIO_NAMES = Object.keys(SCENARIO_SUMMARIES) as readonly ScenarioName[];
/** Those whose objects have the short head, which is too short where kfree_rcu() is call_rcu(). */
export const NEED_BATCHING: readonly ScenarioName[] = ["list_lru", "obj_cgroup", "shrinker_info", "vmap_block"];
