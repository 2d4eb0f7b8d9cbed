/** T9: T2 without a section: the outcome is allowed, so it is the section that forbids it in T2. */
import { cond_resched } from "../../shared/cpu/sched.ts";
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { get, result, set } from "../explore/scenario.ts";
import { waitThenRead, X, Y } from "./kit_store_buffering.ts";
import { registers } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const litmus: Litmus = {
  title: "T2 without a section: a quiescent state between the two accesses",
  outcome: "r0=0 and r1=0",
  verdict: "A",
  observed: registers(0, 0),
  bound: 2,
  scenario: {
    name: "T9",
    cpus: [
      [
        (cpu) => {
          result(cpu, 1, get(cpu, X));
          for (let i = 0; i < 4; i++) cond_resched(cpu);
          set(cpu, Y, 1);
        },
      ],
      [waitThenRead(synchronize_rcu)],
    ],
  },
};
export default litmus;
