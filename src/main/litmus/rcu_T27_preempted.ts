/** T27: a reader that is preempted is waited for by its task, though its CPU is quiescent (blkd_tasks). */
import { cond_resched } from "../../shared/cpu/sched.ts";
import { PREEMPT_FORGETS_READERS } from "../../shared/layout/globals.ts";
import { synchronize_rcu } from "../../shared/linux/rcu/tree.ts";
import { synchronize_rcu_expedited } from "../../shared/linux/rcu/tree_exp.ts";
import { set, type Operation, type Scenario } from "../explore/scenario.ts";
import { reader, span, updater } from "./kit_grace_period.ts";
import type { Forbidden } from "./litmus.ts";

const OTHER = 2;
/**
 * What the CPU of the reader does in the middle of the section, if it is preempted. It passes through a quiescent
 * state.
 */
const other: Operation = (cpu) => {
  set(cpu, OTHER, 1);
  cond_resched(cpu);
};

/** T4 with a second task on the reader's CPU. */
function preempted(name: string, wait: Operation, preempt: number): Scenario {
  return {
    name,
    cpus: [[reader], [updater(wait)]],
    tasks: [{ cpu: 0, program: [other] }],
    globals: { preempt },
    oracle: true,
  };
}
function litmus(name: string, wait: Operation): Forbidden {
  return {
    title: "T4 with a reader that is preempted: its CPU passes through a quiescent state inside the section",
    ...span,
    bound: 1,
    verdict: "F",
    scenario: preempted(name, wait, 1),
    vacuity: preempted(`${name}+forgotten`, wait, PREEMPT_FORGETS_READERS),
    reported: /grace period/,
  };
}

export default [litmus("T27", synchronize_rcu), litmus("T28-T27", synchronize_rcu_expedited)];
