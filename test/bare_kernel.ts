/** A kernel with nothing in it but CPUs: for tests of the explorer and of the CPU layer themselves. */
import type { Kernel } from "../src/main/explore/explore.ts";
import { bind_callback } from "../src/shared/cpu/callback_table.ts";
import { CB } from "../src/shared/layout/callbacks.ts";

export const BARE_KERNEL: Kernel = {
  bind: () => {
    bind_callback(CB.run_items, () => false);
    bind_callback(CB.rcu_note_context_switch, () => undefined);
    bind_callback(CB.do_softirq, () => undefined);
    bind_callback(CB.tick, () => undefined);
    bind_callback(CB.irq_work_run, () => undefined);
  },
  boot: () => undefined,
  nextTimer: () => undefined,
};
