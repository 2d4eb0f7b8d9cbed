/** T4 with a long section and ticks at any time: too many schedules to exhaust, so random strategies only. */
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get } from "../explore/scenario.ts";
import { normal, sawSpan, span, updater, X, Y } from "./kit_grace_period.ts";

export default normal({
  id: "T4+ticks",
  title: "T4 with a long section, ticks at any time",
  ...span,
  bound: -1,
  random: 400,
  program: (wait) => ({
    ticks: 4,
    cpus: [
      [
        (cpu) => {
          rcu_read_lock(cpu);
          const r0 = get(cpu, Y);
          for (let i = 0; i < 30; i++) sawSpan(cpu, r0, get(cpu, X));
          rcu_read_unlock(cpu);
        },
      ],
      [updater(wait)],
    ],
  }),
});
