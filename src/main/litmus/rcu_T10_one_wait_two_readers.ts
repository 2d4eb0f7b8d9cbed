/**
 * T10: one grace period and two sections in the cycle: allowed. P2 spans the start of the grace period, P1 its end, and
 * together they span all of it. P1's CPU has passed through a quiescent state before its section begins.
 */
import { cond_resched } from "../../shared/cpu/sched.ts";
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../shared/linux/rcu/update.ts";
import { get, result, set, type Operation } from "../explore/scenario.ts";
import { waitThenRead, X, Y } from "./kit_store_buffering.ts";
import { registers } from "./kit_words.ts";
import type { Litmus } from "./litmus.ts";

const Z = 2;
/** RL; R from -> r; W to=1; RU. */
const section =
  (from: number, r: number, to: number): Operation =>
  (cpu) => {
    rcu_read_lock(cpu);
    result(cpu, r, get(cpu, from));
    set(cpu, to, 1);
    rcu_read_unlock(cpu);
  };

const litmus: Litmus = {
  title: "a cycle of one grace period and two sections",
  outcome: "r0=0, r1=0 and r2=0",
  verdict: "A",
  observed: registers(0, 0, 0),
  bound: 2,
  scenario: {
    name: "T10",
    cpus: [[section(X, 2, Z)], [cond_resched, section(Z, 1, Y)], [waitThenRead(synchronize_rcu)]],
  },
};
export default litmus;
