/**
 * E17: T4 with polling in place of the wait. CPU 0 asks for a grace period, so that the cookie may be taken just when that
 * begins: it does not count. The reader's CPU may have passed its quiescent state before the section began.
 */
import { cond_resched } from "../../shared/cpu/sched.ts";
import { poll_state_synchronize_rcu_full } from "../../shared/linux/rcu/poll.ts";
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { set, type Scenario } from "../explore/scenario.ts";
import { takeCookie, takeEarlyCookie, type TakeCookie } from "./kit_cookie.ts";
import { reader, span, X, Y } from "./kit_grace_period.ts";
import { at } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const COOKIE = 32;
const program = (take: TakeCookie): Pick<Scenario, "cpus"> => ({
  cpus: [
    [synchronize_rcu],
    [cond_resched, reader],
    [
      (cpu) => {
        set(cpu, Y, 1);
        take(cpu, at(cpu, COOKIE));
        for (let i = 0; i < 3; i++) {
          if (poll_state_synchronize_rcu_full(cpu, at(cpu, COOKIE))) set(cpu, X, 1);
          cond_resched(cpu);
        }
      },
    ],
  ],
});

const litmus: Litmus = {
  title: "a cookie is taken while a grace period begins: polling is not true while a section from before goes on",
  ...span,
  verdict: "F",
  bound: 1,
  scenario: { name: "E17", ...program(takeCookie) },
  vacuity: { name: "E17+no-op", ...program(takeEarlyCookie) },
};
export default litmus;
