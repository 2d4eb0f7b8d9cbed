/** E2: with all callback lists empty rcu_barrier() is no grace period: T4's outcome is allowed, and must be reached. */
import { rcu_barrier } from "../../src/shared/linux/rcu/tree_barrier.ts";
import type { Litmus } from "./kit.ts";
import { checkSpan, reader, updater } from "./kit_rcu.ts";

const litmus: Litmus = {
  result: "Sometimes",
  bound: 2,
  random: 500,
  scenario: { name: "span, rcu_barrier", cpus: [[updater(rcu_barrier)], [reader()]], check: checkSpan },
};
export default litmus;
