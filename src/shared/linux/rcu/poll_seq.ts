/**
 * gp_seq_polled: one number that counts grace periods of both kinds, for cookies of one word. kernel/rcu/tree.c;
 * spec rcu 4.10.
 *
 * It starts with whichever grace period begins while it is idle, and ends with that one: each kind notes the number it
 * found when it began, and may end the number only if that is still what it is. So each of its steps lies inside one real
 * grace period that began and ended as it did.
 */
import type { Cpu } from "../../cpu/cpu.ts";
import { RcuState } from "../../layout/rcu.ts";
import type { Field } from "../../mem/struct.ts";
import { rcu_state } from "./rcu_node.ts";
import { rcu_seq_end, rcu_seq_start, rcu_seq_state } from "./rcu_seq.ts";

const { gp_seq_polled: GP_SEQ_POLLED, gp_seq_polled_snap: SNAP, gp_seq_polled_exp_snap: EXP_SNAP } = RcuState.offset;
type Snap = Field<"rcu_state", "plain", number>;

/** rcu_poll_gp_seq_start(): the grace period of `snap` has begun. @context the root's lock held */
export function rcu_poll_gp_seq_start(cpu: Cpu, snap: Snap): void {
  const state = rcu_state(cpu);
  if (rcu_seq_state(cpu.mem.read_once(state, GP_SEQ_POLLED)) === 0) rcu_seq_start(cpu, state, GP_SEQ_POLLED);
  cpu.mem.write(state, snap, cpu.mem.read_once(state, GP_SEQ_POLLED));
}
/** rcu_poll_gp_seq_end(): all readers that the grace period of `snap` waited for are gone. @context the root's lock held */
export function rcu_poll_gp_seq_end(cpu: Cpu, snap: Snap): void {
  const { mem } = cpu;
  const state = rcu_state(cpu);
  const noted = mem.read(state, snap); // In progress, so never 0.
  if (noted === 0 || noted !== mem.read_once(state, GP_SEQ_POLLED)) {
    mem.write(state, snap, 0);
    return;
  }
  rcu_seq_end(cpu, state, GP_SEQ_POLLED);
  mem.write(state, SNAP, 0);
  mem.write(state, EXP_SNAP, 0);
}
