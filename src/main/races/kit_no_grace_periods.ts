/** A kernel with less RCU than the real one, for races in which grace periods only make executions long. */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { KERNEL, type Kernel } from "../explore/kernel.ts";

/**
 * call_rcu() only collects: no grace period is asked for, and none ends. They may take any time, so what happens here can
 * happen on the real kernel. But for one thing: a late irq_work_sync() ends without its grace period, which is for works
 * that are freed afterwards, so a work must outlive the race.
 */
export const NO_GRACE_PERIODS: Kernel = {
  ...KERNEL,
  bind: () => {
    KERNEL.bind();
    for (const name of [
      "synchronize_rcu",
      "rcu_core",
      "rcu_note_context_switch",
      "rcu_all_qs",
      "rcu_sched_clock_irq",
    ] as const) {
      bind_callback(CB[name], () => undefined);
    }
  },
};
