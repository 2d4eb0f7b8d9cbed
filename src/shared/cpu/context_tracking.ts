/**
 * Is RCU watching this CPU? A CPU in idle is in an extended quiescent state (EQS): grace periods do not wait for it.
 * kernel/context_tracking.c; spec rcu 4.3. `state` counts transitions; bit 0 set means watching. Every transition is an
 * atomic add, so what the CPU did before it went idle is visible to whoever then sees it idle, and the other way round.
 *
 * Interrupts may hit between any two steps here. ct_nmi_enter() needs no lock against them: an interrupt leaves
 * `state` and `nmi_nesting` as it found them, so it makes no difference to the interrupted code whether one came.
 * nmi_nesting is 0 outside interrupts, 1 in an interrupt that came in idle, and grows by 2 for any other.
 */
import { ContextTracking } from "../layout/cpu.ts";
import { PerCpu } from "../layout/percpu.ts";
import { bug } from "./bug.ts";
import { per_cpu_ptr, this_cpu_ptr, type Cpu } from "./cpu.ts";

const { ct: CT } = PerCpu.offset;
const { state: STATE, nesting: NESTING, nmi_nesting: NMI_NESTING } = ContextTracking.offset;
/** In `state`: RCU watches this CPU. */
export const CT_RCU_WATCHING = 1;

/** Enters idle. @context Task, no reader. @pairs ct_rcu_watching_cpu(): sees all that this CPU did before. */
export function ct_idle_enter(cpu: Cpu): void {
  const ct = this_cpu_ptr(cpu, CT);
  cpu.mem.write(ct, NESTING, 0);
  const state = cpu.mem.fetch_add(ct, STATE, 1);
  if ((state & CT_RCU_WATCHING) === 0) bug(cpu, "idle entry, but RCU was not watching");
}
/** Leaves idle. @context Task */
export function ct_idle_exit(cpu: Cpu): void {
  const ct = this_cpu_ptr(cpu, CT);
  const state = cpu.mem.fetch_add(ct, STATE, 1);
  if ((state & CT_RCU_WATCHING) !== 0) bug(cpu, "idle exit, but RCU was watching");
  cpu.mem.write(ct, NESTING, 1);
}
/** Entry of an NMI or IRQ: from here on RCU watches. @context NMI, Hardirq */
export function ct_nmi_enter(cpu: Cpu): void {
  const ct = this_cpu_ptr(cpu, CT);
  let incby = 2;
  if ((cpu.mem.read_once(ct, STATE) & CT_RCU_WATCHING) === 0) {
    cpu.mem.fetch_add(ct, STATE, 1);
    incby = 1;
  }
  cpu.mem.write(ct, NMI_NESTING, cpu.mem.read(ct, NMI_NESTING) + incby);
}
/** Exit of an NMI or IRQ. @context NMI, Hardirq */
export function ct_nmi_exit(cpu: Cpu): void {
  const ct = this_cpu_ptr(cpu, CT);
  const nesting = cpu.mem.read(ct, NMI_NESTING);
  if (nesting <= 0) bug(cpu, `interrupt exit with nmi_nesting ${nesting}`);
  if (nesting !== 1) {
    cpu.mem.write(ct, NMI_NESTING, nesting - 2);
    return;
  }
  cpu.mem.write(ct, NMI_NESTING, 0); // Before the EQS: an NMI from here on must find nesting 0.
  cpu.mem.fetch_add(ct, STATE, 1);
}
/** rcu_is_watching(): may this CPU read under RCU now? @context Any */
export function rcu_is_watching(cpu: Cpu): boolean {
  return (cpu.mem.read_once(this_cpu_ptr(cpu, CT), STATE) & CT_RCU_WATCHING) !== 0;
}
/** Snapshot of CPU `id`'s counter for the grace period: odd means watching; a later change means it was idle between. */
export function ct_rcu_watching_cpu(cpu: Cpu, id: number): number {
  return cpu.mem.read_once(per_cpu_ptr(cpu, CT, id), STATE);
}
