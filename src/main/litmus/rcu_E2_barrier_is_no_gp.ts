/** E2: with all callback lists empty rcu_barrier() is no grace period: the outcome of T4 is allowed. */
import { rcu_barrier } from "../../shared/linux/rcu/tree_barrier.ts";
import { reader, span, updater } from "./kit_grace_period.ts";
import type { Litmus } from "./litmus.ts";

const litmus: Litmus = {
  title: "T4 with rcu_barrier() and no callbacks: it orders no readers",
  ...span,
  verdict: "A",
  bound: 2,
  scenario: { name: "E2", cpus: [[reader], [updater(rcu_barrier)]] },
};
export default litmus;
