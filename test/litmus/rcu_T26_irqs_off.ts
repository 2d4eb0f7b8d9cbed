/** T26: an IRQ-off region that outlasts the unlock is still a reader (deferred quiescent state). */
import { get } from "../../src/main/explore/scenario.ts";
import { local_irq_disable, local_irq_enable } from "../../src/shared/cpu/context.ts";
import { synchronize_rcu } from "../../src/shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../src/shared/linux/rcu/update.ts";
import type { Litmus } from "./kit.ts";
import { checkSpan, sawSpan, updater, X, Y } from "./kit_rcu.ts";

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: {
    name: "IRQ-off region",
    cpus: [
      [updater(synchronize_rcu)],
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
    ],
    check: checkSpan,
  },
};
export default litmus;
