/**
 * E20: kvfree_rcu_mightsleep(), and no memory to note the object down. It waits for the grace period itself: readers keep
 * what they have found, and the object is free when it returns.
 *
 * The mechanism of the first is the grace period, that of the second that it does not just note the object down.
 */
import { NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { kvfree_rcu_mightsleep } from "../../shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { alloc_frozen_pages } from "../../shared/linux/mm/page_alloc/page_alloc.ts";
import { kvfree } from "../../shared/linux/mm/util.ts";
import { NULL } from "../../shared/mem/struct.ts";
import { result, resultOf, type Operation, type Scenario } from "../explore/scenario.ts";
import { isThere, OBJECTS, reader, unpublish, withThings, type Way } from "./kit_objects.ts";
import type { Litmus } from "./litmus.ts";

const exhaustMemory: Operation = (cpu) => {
  while (alloc_frozen_pages(cpu, 0, NUMA_NO_NODE) !== NULL);
};
const program = (free: Way["free"], memory: Operation): Omit<Scenario, "name"> => ({
  globals: OBJECTS,
  setup: withThings(1, SLAB_NO_SHEAVES, memory),
  cpus: [
    [reader],
    [
      (cpu) => {
        const object = unpublish(cpu);
        free(cpu, object);
        if (isThere(cpu, object)) result(cpu, 1, 1);
      },
    ],
  ],
});
const scenario = program(kvfree_rcu_mightsleep, exhaustMemory);
const common = { verdict: "F", bound: 2 } as const;

const litmus: readonly Litmus[] = [
  {
    ...common,
    title: "kvfree_rcu_mightsleep() without memory, of what a reader is looking at",
    outcome: "the tag changes in the section",
    observed: (cpu) => resultOf(cpu, 0) === 1,
    scenario: { name: "E20", ...scenario },
    vacuity: { name: "E20+no-op", ...program(kvfree, exhaustMemory) },
  },
  {
    ...common,
    title: "kvfree_rcu_mightsleep() without memory has freed the object when it returns",
    outcome: "still there",
    observed: (cpu) => resultOf(cpu, 1) === 1,
    scenario: { name: "E20-returns", ...scenario },
    vacuity: { name: "E20-returns+no-op", ...program(kvfree_rcu_mightsleep, () => undefined) },
  },
];
export default litmus;
