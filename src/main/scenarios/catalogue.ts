/** Names and one-line summaries of the scenarios, for command lines and lists. What they do: registry.ts. */

export const SCENARIO_SUMMARIES = {
  nolock: "readers, kmalloc/kfree/kfree_rcu, cross-CPU frees, barriers, cache create/destroy, all at once (default)",
  kunit: "lib/tests/slub_kunit.c: rounds of 1000 16-byte objects, kfree or kfree_rcu, under the NMI triple",
  barriers: "rcu_barrier, kvfree_rcu_barrier, irq_work_sync and destroy against each other, checked per object",
  llist: "lock-less lists and irq_work alone: pushes from tasks and NMIs, drains from irq_work and tasks",
  rcu: "rcutorture: readers of ever-changing elements, ten grace periods per element, reader-age histogram",
} as const;
export type ScenarioName = keyof typeof SCENARIO_SUMMARIES;

export const SCENARIO_NAMES = Object.keys(SCENARIO_SUMMARIES) as readonly ScenarioName[];
