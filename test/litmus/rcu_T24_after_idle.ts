/** T24: a reader right after idle, while the grace period looks at idle counters. */
import { ct_idle_enter, ct_idle_exit } from "../../src/shared/cpu/context_tracking.ts";
import { synchronize_rcu } from "../../src/shared/linux/rcu/tree.ts";
import type { Litmus } from "./kit.ts";
import { checkSpan, reader, updater } from "./kit_rcu.ts";

const litmus: Litmus = {
  result: "Never",
  bound: 1,
  scenario: {
    name: "reader between two idles",
    cpus: [
      [updater(synchronize_rcu)],
      [
        (cpu) => {
          ct_idle_enter(cpu);
          ct_idle_exit(cpu);
          reader()(cpu);
          ct_idle_enter(cpu);
          ct_idle_exit(cpu);
        },
      ],
    ],
    check: checkSpan,
  },
};
export default litmus;
