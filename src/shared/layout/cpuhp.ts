/** CPUs that come and go: what a CPU and whoever brings it down or up tell each other. kernel/cpu.c. */
import { aligned, atomic32, struct } from "../mem/struct.ts";
import { PercpuRwSemaphore, WaitQueue } from "./types.ts";

// cpuhp_cpu_state.state. Who may leave a state: "other", whoever holds cpu_add_remove; "itself", the CPU.
export const CPUHP_AP_ONLINE = 0; // other
/** It is asked to give up its task. */
export const CPUHP_AP_ASKED = 1; // itself; other, to withdraw
/** Its task stands outside all operations, and goes on when the CPU is online again. */
export const CPUHP_AP_PARKED = 2; // other
export const CPUHP_TEARDOWN_CPU = 3; // itself
/** Nothing runs there. */
export const CPUHP_AP_IDLE_DEAD = 4; // other
export const CPUHP_BRINGUP_CPU = 5; // itself

export const CpuhpCpuState = struct(
  "cpuhp_cpu_state",
  {
    state: atomic32,
    /** 1: its task will not come to a place where it could give itself up. */
    refuses: atomic32,
    /** The CPU itself, while it is parked. */
    waiters: WaitQueue,
  },
  { align: 64 },
);

export const CpuhpGlobals = struct("cpuhp_globals", {
  cpu_hotplug_lock: PercpuRwSemaphore,
  /** CPU + 1 of whoever is bringing a CPU down or up; 0: nobody. */
  cpu_add_remove: aligned(64, atomic32),
  /** cpu_hotplug_disable() calls in effect. */
  disabled: atomic32,
  /** Who waits for a CPU's next state, or for cpu_add_remove. */
  waiters: WaitQueue,
});
