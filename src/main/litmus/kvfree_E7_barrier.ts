/** E7: E6 with kvfree_rcu_barrier(), which is the mechanism: without it this is E6. */
import { kvfree_rcu_barrier } from "../../shared/linux/mm/kvfree_rcu/barrier.ts";
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { freeThenWait, WAYS } from "./kit_objects.ts";
import { registers } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

export default WAYS.map((way): Litmus => ({
  title: `kvfree_rcu_barrier() waits for what kfree_rcu() has left in a ${way.name}`,
  outcome: "still queued",
  verdict: "F",
  observed: registers(1),
  bound: 1,
  random: 10,
  scenario: { name: `E7-${way.name}`, ...freeThenWait(way, kvfree_rcu_barrier) },
  vacuity: { name: `E7-${way.name}+no-op`, ...freeThenWait(way, rcu_barrier) },
}));
