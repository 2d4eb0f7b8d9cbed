/** E6: rcu_barrier() does not wait for objects of kfree_rcu(): they wait for company before they ask for a grace period. */
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { freeThenWait, WAYS } from "./kit_objects.ts";
import { registers } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

export default WAYS.map((way): Litmus => ({
  title: `rcu_barrier() does not wait for what kfree_rcu() has left in a ${way.name}`,
  outcome: "still queued",
  verdict: "A",
  observed: registers(1),
  bound: 2,
  scenario: { name: `E6-${way.name}`, ...freeThenWait(way, rcu_barrier) },
}));
