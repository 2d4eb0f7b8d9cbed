/**
 * Objects of kmalloc_nolock() freed by each function that takes them, in a task, while an NMI at any step allocates and
 * frees by the nolock functions from the same bucket, and another CPU frees the same way. Spec slub 4.1, 4.4. A bucket that
 * nothing else uses, with two slots a sheaf.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import type { Ptr } from "../../shared/mem/struct.ts";
import {
  kfree,
  kfree_nolock,
  kfree_rcu,
  kfree_rcu_nolock,
  kmem_cache_free,
  kvfree_rcu_barrier,
} from "../../shared/linux/api.ts";
import { check_deferred } from "../../shared/linux/mm/kvfree_rcu/check.ts";
import { get, type Operation, type Scenario, set } from "../explore/scenario.ts";
import { cache, FIRST_WORD, HEAD, race, take, type ThingPtr } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { freeNolock, freeRcuNolock } from "./kit_frees.ts";
import { kmallocAs, kmallocNolockAs, makeOfBucket, NMI_GETS, TASK_GETS } from "./kit_kmalloc.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";

/** Objects to be freed: two by the task, one by the other CPU, two by the NMI. */
const OBJECTS = 5;
/** Word: the barrier has begun. */
const BARRIER = FIRST_WORD;

const FREES = {
  kfree,
  kmem_cache_free: (cpu: Cpu, object: Ptr) => kmem_cache_free(cpu, cache(cpu), object),
  kfree_rcu: (cpu: Cpu, object: ThingPtr) => kfree_rcu(cpu, object, HEAD),
  kfree_nolock,
  kfree_rcu_nolock: (cpu: Cpu, object: ThingPtr) => kfree_rcu_nolock(cpu, object, HEAD),
} as const;

const nmi: Operation = (cpu) => {
  if (cpu.id !== 0) return;
  kmallocNolockAs(NMI_GETS)(cpu);
  freeNolock(3)(cpu);
  freeRcuNolock(4)(cpu);
};
const freeBy =
  (name: keyof typeof FREES, i: number): Operation =>
  (cpu) =>
    FREES[name](cpu, take(cpu, i));
const common = {
  setup: (cpu): void => {
    makeOfBucket(0)(cpu);
    for (let i = 0; i < OBJECTS; i++) kmallocNolockAs(i)(cpu);
  },
  nmi,
  nodes: 2,
} satisfies Partial<Scenario>;

const interop = (name: keyof typeof FREES): Scenario =>
  race({
    ...common,
    name: `interop-${name}`,
    summary: `objects of kmalloc_nolock() freed by ${name}() on two CPUs, and by an NMI at every step`,
    cpus: [[freeBy(name, 0), freeBy(name, 1), kmallocAs(TASK_GETS)], [freeBy(name, 2)]],
    kernel: NO_GRACE_PERIODS,
    check: accounted,
  });

export default [
  ...(Object.keys(FREES) as (keyof typeof FREES)[]).map(interop),
  race({
    ...common,
    name: "interop-barrier",
    summary: "objects of kmalloc_nolock() freed by every function, then kvfree_rcu_barrier(): nothing waits any more",
    cpus: [[freeBy("kfree", 0), freeBy("kfree_rcu", 1)], [freeBy("kmem_cache_free", 2)]],
    nmi: (cpu) => {
      if (get(cpu, BARRIER) === 0) nmi(cpu);
    },
    final: (cpu) => {
      set(cpu, BARRIER, 1); // It does not wait for what comes after it has begun.
      kvfree_rcu_barrier(cpu);
    },
    check: (cpu) => accounted(cpu) ?? check_deferred(cpu)[0],
  }),
];
