/** T24: a reader right after idle, while the grace period looks at idle counters. */
import { ct_idle_enter, ct_idle_exit } from "../../shared/cpu/context_tracking.ts";
import { normal, reader, span, updater, type Shape } from "./kit_grace_period.ts";

export const shape: Shape = {
  id: "T24",
  title: "T4 with the reader between two idles",
  ...span,
  bound: 2,
  program: (wait) => ({
    cpus: [
      [
        (cpu) => {
          ct_idle_enter(cpu);
          ct_idle_exit(cpu);
          reader(cpu);
          ct_idle_enter(cpu);
          ct_idle_exit(cpu);
        },
      ],
      [updater(wait)],
    ],
  }),
};
export default normal(shape);
