/** T20: a reader that waits for readers waits for itself. The machine must say so, not hang. */
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import type { Litmus } from "./litmus.ts";

const litmus: Litmus = {
  title: "synchronize_rcu() inside a section is reported",
  outcome: "synchronize_rcu() in a reader",
  verdict: "detector",
  bound: -1,
  scenario: {
    name: "T20",
    cpus: [
      [
        (cpu) => {
          rcu_read_lock(cpu);
          synchronize_rcu(cpu);
          rcu_read_unlock(cpu);
        },
      ],
    ],
  },
};
export default litmus;
