/**
 * E26: an object joins a krc between the two passes of a barrier, and relies on the monitor, which the barrier cancels.
 *
 * The mechanism is our repair K-1: the barrier arms the monitor again. As the kernel does it, the object waits for the next
 * kfree_rcu() of that CPU, which may never come.
 */
import { KB_K1 } from "../../shared/layout/globals.ts";
import { check_deferred } from "../../shared/linux/mm/kvfree_rcu/check.ts";
import { __kvfree_rcu_barrier } from "../../shared/linux/mm/kvfree_rcu/krc_barrier.ts";
import type { Scenario } from "../explore/scenario.ts";
import { BNODE, LIST, OBJECTS, thing, withThings, type Way } from "./kit_objects.ts";
import type { Litmus } from "./litmus.ts";

const program = ({ flags, free }: Way, kernel_behaviour: number): Omit<Scenario, "name"> => ({
  globals: { ...OBJECTS, kernel_behaviour },
  setup: withThings(1, flags),
  cpus: [[__kvfree_rcu_barrier], [(cpu) => free(cpu, thing(cpu, 0))]],
});

export default [BNODE, LIST].map((way): Litmus => ({
  title: `kfree_rcu(), by ${way.name}, while a barrier on another CPU cancels monitors`,
  outcome: "the object waits, and nothing is pending that would free it",
  verdict: "F",
  observed: (cpu) => check_deferred(cpu).some((problem) => problem.includes("stranded")),
  bound: 2,
  scenario: { name: `E26-${way.name}`, ...program(way, 0) },
  vacuity: { name: `E26-${way.name}+no-op`, ...program(way, KB_K1) },
}));
