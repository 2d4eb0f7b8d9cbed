/** T9: T2 without the reader. Both may read 0: shows that T2 is not vacuous. */
import { get, result, resultOf, set } from "../../src/main/explore/scenario.ts";
import { synchronize_rcu } from "../../src/shared/linux/rcu/tree.ts";
import { cond_resched } from "../../src/shared/cpu/sched.ts";
import { observed, type Litmus } from "./kit.ts";

const litmus: Litmus = {
  result: "Sometimes",
  bound: 2,
  random: 1000,
  scenario: {
    name: "reads x, quiescent state, writes y; updater writes x, SR, reads y",
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
          const r1 = get(cpu, 0);
          for (let i = 0; i < 20; i++) cond_resched(cpu);
          set(cpu, 1, 1);
          result(cpu, 1, r1);
        },
      ],
    ],
    check: (cpu) => observed(resultOf(cpu, 0) === 0 && resultOf(cpu, 1) === 0, "r0=0 and r1=0"),
  },
};
export default litmus;
