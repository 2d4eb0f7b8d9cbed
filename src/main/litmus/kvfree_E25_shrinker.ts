/**
 * E25: a shrinker runs the monitor itself, which has taken objects that are ready. A barrier on another CPU waits for them.
 *
 * The mechanism is our repair K-2: krcp->shrink_mutex. The kernel waits for the monitor's work item only.
 */
import { KB_K2 } from "../../shared/layout/globals.ts";
import { SLAB_NO_SHEAVES } from "../../shared/layout/slab_flags.ts";
import { __kvfree_rcu_barrier } from "../../shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import { shrink_kvfree_rcu } from "../../shared/linux/mm/kvfree_rcu/shrinker.ts";
import { result, resultOf, type Scenario } from "../explore/scenario.ts";
import { makeReady } from "./kit_krc.ts";
import { BNODE, isThere, LIST, OBJECTS, thing, withThings, type Way } from "./kit_objects.ts";
import type { Litmus } from "./litmus.ts";

const program = ({ free }: Way, kernel_behaviour: number): Omit<Scenario, "name"> => ({
  globals: { ...OBJECTS, kernel_behaviour },
  setup: withThings(1, SLAB_NO_SHEAVES, (cpu) => {
    free(cpu, thing(cpu, 0));
    makeReady(cpu);
  }),
  cpus: [
    [(cpu) => void shrink_kvfree_rcu(cpu)],
    [
      (cpu) => {
        __kvfree_rcu_barrier(cpu);
        result(cpu, 0, isThere(cpu, thing(cpu, 0)) ? 1 : 0);
      },
    ],
  ],
});

export default [BNODE, LIST].map((way): Litmus => ({
  title: `a shrinker frees what was left in a ${way.name}, while __kvfree_rcu_barrier() waits for it`,
  outcome: "still there when the barrier returns",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 2,
  scenario: { name: `E25-${way.name}`, ...program(way, 0) },
  vacuity: { name: `E25-${way.name}+no-op`, ...program(way, KB_K2) },
}));
