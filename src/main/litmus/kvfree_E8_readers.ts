/**
 * E8: a reader looks at the tag of what it has found, while another CPU takes that away, frees it by kfree_rcu() and waits.
 * Freed memory is poisoned. The mechanism is the grace period: without it the free is kmem_cache_free().
 */
import { kvfree_rcu_barrier_on_cache } from "../../shared/linux/mm/kvfree_rcu/barrier.ts";
import { kmem_cache_free } from "../../shared/linux/mm/slub/kmalloc.ts";
import { resultOf, type Scenario } from "../explore/scenario.ts";
import { BNODE, cache, CAPACITY, LIST, OBJECTS, reader, SHEAF, thing, unpublish, withThings } from "./kit_objects.ts";
import type { Way } from "./kit_objects.ts";
import type { Litmus } from "./litmus.ts";

/** @param before  so many other things are freed first: a sheaf that is full needs no flush. */
const program = (flags: number, before: number, free: Way["free"]): Omit<Scenario, "name"> => ({
  globals: OBJECTS,
  setup: withThings(before + 1, flags),
  cpus: [
    [reader],
    [
      (cpu) => {
        for (let i = 0; i < before; i++) free(cpu, thing(cpu, i));
        free(cpu, unpublish(cpu));
        kvfree_rcu_barrier_on_cache(cpu, cache(cpu));
      },
    ],
  ],
});
const litmus = ({ name, flags, free }: Way, bound: number, before = 0): Litmus => ({
  title: `kfree_rcu(), by ${name}, of what a reader is looking at`,
  outcome: "the tag changes in the section",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound,
  scenario: { name: `E8-${name}`, ...program(flags, before, free) },
  vacuity: {
    name: `E8-${name}+no-op`,
    ...program(flags, before, (cpu, object) => kmem_cache_free(cpu, cache(cpu), object)),
  },
});
export default [
  litmus(SHEAF, 1),
  litmus({ ...SHEAF, name: "full_sheaf" }, 1, CAPACITY - 1),
  litmus(BNODE, 2),
  litmus(LIST, 2),
];
