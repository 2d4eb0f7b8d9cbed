/** T4 with a section that looks many times, and ticks at any time: a tick in a reader is no quiescent state. */
import { get } from "../../src/main/explore/scenario.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../src/shared/linux/rcu/update.ts";
import { synchronize_rcu } from "../../src/shared/linux/rcu/tree.ts";
import type { Litmus } from "./kit.ts";
import { checkSpan, sawSpan, updater, X, Y } from "./kit_rcu.ts";

const litmus: Litmus = {
  result: "Never",
  bound: -1,
  random: 400,
  scenario: {
    name: "long reader, ticks",
    ticks: 4,
    cpus: [
      [updater(synchronize_rcu)],
      [
        (cpu) => {
          rcu_read_lock(cpu);
          const r0 = get(cpu, Y);
          for (let i = 0; i < 30; i++) sawSpan(cpu, r0, get(cpu, X));
          rcu_read_unlock(cpu);
        },
      ],
    ],
    check: checkSpan,
  },
};
export default litmus;
