/** What a machine under the explorer boots: the whole kernel, or nothing but CPUs. */
import { bind_callback } from "../../shared/cpu/callback_table.ts";
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { CB } from "../../shared/layout/callbacks.ts";
import { bind_all, get_next_timer_interrupt, owes_items, start_kernel } from "../../shared/linux/init.ts";

export interface Kernel {
  /** Binds callbacks; on every thread. */
  bind(): void;
  /** Initialises memory, on CPU 0, alone. */
  boot(cpu: Cpu): void;
  /** Has the CPU anything to do between operations? Then its main task is worth a preemption. Absent: never. */
  owes?(cpu: Cpu): boolean;
  /** Jiffies at which the CPU's next timer expires, or undefined: for time jumps. */
  nextTimer(cpu: Cpu): number | undefined;
}

export const KERNEL: Kernel = {
  bind: bind_all,
  boot: start_kernel,
  nextTimer: get_next_timer_interrupt,
  owes: owes_items,
};

/** CPUs with interrupts and idle, and no kernel: for user code, and for tests of the explorer and of the CPU layer. */
export const BARE_KERNEL: Kernel = {
  bind: () => {
    bind_callback(CB.run_items, () => false);
    bind_callback(CB.rcu_note_context_switch, () => undefined);
    bind_callback(CB.rcu_note_preemption, () => undefined);
    bind_callback(CB.do_softirq, () => undefined);
    bind_callback(CB.tick, () => undefined);
    bind_callback(CB.irq_work_run, () => undefined);
    bind_callback(CB.hrtimer_interrupt, () => undefined);
  },
  boot: () => undefined,
  nextTimer: () => undefined,
};
