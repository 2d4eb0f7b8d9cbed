/** E18: inside one section no grace period can begin and end, so a cookie taken there is not done there. */
import { cond_resched } from "../../shared/cpu/sched.ts";
import { poll_state_synchronize_rcu_full } from "../../shared/linux/rcu/poll.ts";
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { result, resultOf, type Scenario } from "../explore/scenario.ts";
import { takeCookie, takeEarlyCookie, type TakeCookie } from "./kit_cookie.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const COOKIE = 32;
const program = (take: TakeCookie): Pick<Scenario, "cpus"> => ({
  cpus: [
    [synchronize_rcu],
    [
      cond_resched,
      (cpu) => {
        rcu_read_lock(cpu);
        take(cpu, at(cpu, COOKIE));
        for (let i = 0; i < 3; i++) if (poll_state_synchronize_rcu_full(cpu, at(cpu, COOKIE))) result(cpu, 0, 1);
        rcu_read_unlock(cpu);
      },
    ],
    [cond_resched],
  ],
});

const litmus: Litmus = {
  title: "a section takes a cookie and polls it while grace periods run",
  outcome: "true without a full grace period",
  verdict: "F",
  observed: (cpu) => resultOf(cpu, 0) === 1,
  bound: 1,
  scenario: { name: "E18", ...program(takeCookie) },
  vacuity: { name: "E18+no-op", ...program(takeEarlyCookie) },
};
export default litmus;
