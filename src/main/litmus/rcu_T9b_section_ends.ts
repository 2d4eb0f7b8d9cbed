/** T9b: T2 with a section that ends before the second access: allowed. A section protects what is inside it, no more. */
import { cond_resched } from "../../shared/cpu/sched.ts";
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set } from "../explore/scenario.ts";
import { waitThenRead, X, Y } from "./kit_store_buffering.ts";
import { registers } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const litmus: Litmus = {
  title: "T2, but the section ends before y is written",
  outcome: "r0=0 and r1=0",
  verdict: "A",
  observed: registers(0, 0),
  bound: 2,
  scenario: {
    name: "T9b",
    cpus: [
      [
        (cpu) => {
          rcu_read_lock(cpu);
          result(cpu, 1, get(cpu, X));
          rcu_read_unlock(cpu);
          for (let i = 0; i < 4; i++) cond_resched(cpu);
          set(cpu, Y, 1);
        },
      ],
      [waitThenRead(synchronize_rcu)],
    ],
  },
};
export default litmus;
