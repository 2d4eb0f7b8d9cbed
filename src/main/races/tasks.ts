/**
 * Two tasks of one CPU on one sheaf: with preemption between any two steps (preempt-), and with PREEMPT_RT, where the
 * task that holds the sheaf lock can be preempted, so that the other finds it taken, and trylocks fail that cannot fail
 * elsewhere (rt-). Spec slub 2.2, 9. An NMI frees on top of whoever runs.
 */
import type { Scenario } from "../explore/scenario.ts";
import { makeCache, makeThings, race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { allocate, free, freeNolock, freeRcu, freeRcuNolock } from "./kit_frees.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";

/** Things there are at first. Their sheaf is empty then, and so is the barn. */
const COUNT = 8;
const GOT = 12;

const shapes: Readonly<Record<string, Pick<Scenario, "summary" | "cpus" | "tasks" | "nmi">>> = {
  "alloc-alloc": {
    summary: "two tasks of a CPU allocate from an empty sheaf",
    cpus: [[allocate(GOT)]],
    tasks: [{ cpu: 0, program: [allocate(GOT + 1)] }],
  },
  "free-free": {
    summary: "two tasks of a CPU free into a sheaf that gets full, and an NMI frees on top",
    cpus: [[free(0), free(1), free(2)]],
    tasks: [{ cpu: 0, program: [free(3), free(4), free(5)] }],
    nmi: freeNolock(6),
  },
  "alloc-free": {
    summary: "one task of a CPU frees what the other could allocate",
    cpus: [[free(0), allocate(GOT), free(1)]],
    tasks: [{ cpu: 0, program: [free(2), allocate(GOT + 1), freeNolock(3)] }],
  },
  "kfree-rcu": {
    summary: "two tasks of a CPU and an NMI fill its rcu_free sheaf",
    cpus: [[freeRcuNolock(0), freeRcuNolock(1)]],
    tasks: [{ cpu: 0, program: [freeRcu(2), freeRcuNolock(3)] }],
    nmi: freeRcuNolock(4),
  },
};

const of = (kind: "preempt" | "rt", name: string): Scenario =>
  race({
    name: `${kind}-${name}`,
    ...shapes[name],
    setup: (cpu) => makeThings(cpu, makeCache(cpu), COUNT),
    check: accounted,
    globals: { [kind]: 1 },
    kernel: NO_GRACE_PERIODS,
  });

export default Object.keys(shapes).flatMap((name) => [of("preempt", name), of("rt", name)]);
