/** T21: the inner unlock of a nested section ends nothing. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get } from "../explore/scenario.ts";
import { normal, sawSpan, span, updater, X, Y, type Shape } from "./kit_grace_period.ts";

export const shape: Shape = {
  id: "T21",
  title: "T4 with a nested section whose inner unlock lies between the reads",
  ...span,
  bound: 2,
  program: (wait) => ({
    cpus: [
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
      [updater(wait)],
    ],
  }),
};
export default normal(shape);
