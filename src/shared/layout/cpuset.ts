/** task_struct.mems_allowed of the task that a CPU runs. kernel/cgroup/cpuset.c. */
import { atomic32, struct } from "../mem/struct.ts";

export const Cpuset = struct("cpuset", {
  /** Odd while mems_allowed is written. */
  mems_allowed_seq: atomic32,
  /** Nodes, a mask; 0: all. */
  mems_allowed: atomic32,
});
