/** T21: the inner unlock of a nested section ends nothing. */
import { synchronize_rcu } from "../../src/shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../src/shared/linux/rcu/update.ts";
import { get } from "../../src/main/explore/scenario.ts";
import type { Litmus } from "./kit.ts";
import { checkSpan, sawSpan, updater, X, Y } from "./kit_rcu.ts";

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: {
    name: "nested section",
    cpus: [
      [updater(synchronize_rcu)],
      [
        (cpu) => {
          rcu_read_lock(cpu);
          rcu_read_lock(cpu);
          const r0 = get(cpu, Y);
          rcu_read_unlock(cpu);
          const r1 = get(cpu, X);
          rcu_read_unlock(cpu);
          sawSpan(cpu, r0, r1);
        },
      ],
    ],
    check: checkSpan,
  },
};
export default litmus;
