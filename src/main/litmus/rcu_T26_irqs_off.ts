/** T26: an IRQ-off region that outlasts the unlock is still a reader (deferred quiescent state). */
import { local_irq_disable, local_irq_enable } from "../../shared/cpu/context.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get } from "../explore/scenario.ts";
import { normal, sawSpan, span, updater, X, Y, type Shape } from "./kit_grace_period.ts";

export const shape: Shape = {
  id: "T26",
  title: "T4 with the second read behind the unlock, IRQs off all the time",
  ...span,
  bound: 2,
  program: (wait) => ({
    cpus: [
      [
        (cpu) => {
          local_irq_disable(cpu);
          rcu_read_lock(cpu);
          const r0 = get(cpu, Y);
          rcu_read_unlock(cpu);
          const r1 = get(cpu, X);
          local_irq_enable(cpu);
          sawSpan(cpu, r0, r1);
        },
      ],
      [updater(wait)],
    ],
  }),
};
export default normal(shape);
