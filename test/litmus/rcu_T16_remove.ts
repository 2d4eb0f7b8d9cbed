/** T16: unpublish, wait, poison. A reader that still has the old pointer never sees the poison. */
import { get, result, resultOf, set } from "../../src/main/explore/scenario.ts";
import { synchronize_rcu } from "../../src/shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../src/shared/linux/rcu/update.ts";
import { observed, type Litmus } from "./kit.ts";

const P = 0; // which of the words A, B is current
const A = 8;
const B = 9;
const POISON = 0x6b;

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: {
    name: "remove, synchronize_rcu, poison",
    setup: (cpu) => set(cpu, P, A),
    cpus: [
      [
        (cpu) => {
          set(cpu, P, B);
          synchronize_rcu(cpu);
          set(cpu, A, POISON);
        },
      ],
      [
        (cpu) => {
          rcu_read_lock(cpu);
          const r1 = get(cpu, get(cpu, P));
          rcu_read_unlock(cpu);
          result(cpu, 0, r1);
        },
      ],
    ],
    check: (cpu) => observed(resultOf(cpu, 0) === POISON, "r1=POISON"),
  },
};
export default litmus;
