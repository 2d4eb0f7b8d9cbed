/** The place right after the sheaf lock was dropped by somebody who will take it again. mm/slub.c; spec slub 2.2. */
import type { Cpu } from "../../../cpu/cpu.ts";
import { migration_point } from "../../../cpu/migrate.ts";
import { point } from "../../../cpu/trace.ts";
import { POINT } from "../../../layout/points.ts";

/** Interrupts may change the sheaves here; and a task that may block or be preempted may be on another CPU afterwards. */
export function pcs_unlocked_window(cpu: Cpu): void {
  point(cpu, POINT.pcs_unlocked_window);
  if (cpu.migrates) migration_point(cpu, true);
}
