/** T2: P0 writes x, waits a grace period, reads y; the reader reads x, then writes y. Both cannot read 0. */
import { get, result, resultOf, set } from "../../src/main/explore/scenario.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../src/shared/linux/rcu/update.ts";
import { synchronize_rcu } from "../../src/shared/linux/rcu/tree.ts";
import { observed, type Litmus } from "./kit.ts";

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: {
    name: "reader reads x, writes y; updater writes x, SR, reads y",
    cpus: [
      [
        (cpu) => {
          set(cpu, 0, 1);
          synchronize_rcu(cpu);
          result(cpu, 0, get(cpu, 1));
        },
      ],
      [
        (cpu) => {
          rcu_read_lock(cpu);
          const r1 = get(cpu, 0);
          set(cpu, 1, 1);
          rcu_read_unlock(cpu);
          result(cpu, 1, r1);
        },
      ],
    ],
    check: (cpu) => observed(resultOf(cpu, 0) === 0 && resultOf(cpu, 1) === 0, "r0=0 and r1=0"),
  },
};
export default litmus;
