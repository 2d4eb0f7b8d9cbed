/** T28: T4 with synchronize_rcu_expedited(). */
import { synchronize_rcu_expedited } from "../../src/shared/linux/rcu/tree_exp.ts";
import type { Litmus } from "./kit.ts";
import { checkSpan, reader, updater } from "./kit_rcu.ts";

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: { name: "span, expedited", cpus: [[updater(synchronize_rcu_expedited)], [reader()]], check: checkSpan },
};
export default litmus;
