/** Cookies of polled grace periods: as they are, and one that counts the grace period in progress as a future one. */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { RcuGpOldstate, RcuState } from "../../shared/layout/rcu.ts";
import { get_state_synchronize_rcu_full } from "../../shared/linux/rcu/poll.ts";
import { rcu_state } from "../../shared/linux/rcu/rcu_node.ts";
import { rcu_seq_endval } from "../../shared/linux/rcu/rcu_seq.ts";
import type { Ptr } from "../../shared/mem/struct.ts";

const { norm: NORM } = RcuGpOldstate.offset;
const { gp_seq: GP_SEQ } = RcuState.offset;

export type TakeCookie = (cpu: Cpu, cookie: Ptr<"rcu_gp_oldstate">) => void;
export const takeCookie: TakeCookie = get_state_synchronize_rcu_full;
export const takeEarlyCookie: TakeCookie = (cpu, cookie) => {
  get_state_synchronize_rcu_full(cpu, cookie);
  cpu.mem.write(cookie, NORM, rcu_seq_endval(cpu.mem.read_once(rcu_state(cpu), GP_SEQ)));
};
