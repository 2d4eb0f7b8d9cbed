/** T22 and T23: how a CPU that enters or leaves idle is seen by another one. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { ct_idle_enter, ct_idle_exit } from "../../shared/cpu/context_tracking.ts";
import { this_cpu_ptr } from "../../shared/cpu/cpu.ts";
import { ContextTracking } from "../../shared/layout/cpu.ts";
import { PerCpu } from "../../shared/layout/percpu.ts";
import type { Operation } from "../explore/scenario.ts";

const { ct: CT } = PerCpu.offset;
const { state: STATE } = ContextTracking.offset;

/** The two transitions, as they are, or by a store that orders nothing. */
export interface Transitions {
  readonly enter: Operation;
  readonly exit: Operation;
}
export const ordered: Transitions = { enter: ct_idle_enter, exit: ct_idle_exit };
export const unordered: Transitions = { enter: countTransition, exit: countTransition };
function countTransition(cpu: Cpu): void {
  const ct = this_cpu_ptr(cpu, CT);
  cpu.mem.write_once(ct, STATE, cpu.mem.read_once(ct, STATE) + 1);
}
