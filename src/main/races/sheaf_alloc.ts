/**
 * A sheaf is taken from and given to by a task, by kmalloc_nolock() and kfree_nolock() in an NMI of the same CPU, and its
 * slabs are freed to by a CPU of another node. Spec slub 2, 4. A bucket that nothing else uses, with two slots a sheaf.
 */
import type { Cpu } from "../../shared/cpu/cpu.ts";
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../shared/layout/gfp.ts";
import { kfree, kmalloc } from "../../shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../shared/linux/mm/slub/nolock.ts";
import { kmalloc_slab } from "../../shared/linux/mm/slub/size_class.ts";
import type { Operation } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { makeThings, put, race, take } from "./kit.ts";
import { accounted } from "./kit_account.ts";

const SIZE = 1024;
/** Slots of a sheaf of that size, globals.tiny being 1. */
const CAPACITY = 2;
/** Things that the NMI frees, and that it and the task get. More freed than got: else the sheaf were as before. */
const NMI_FREES = [6, 7];
const NMI_GETS = 8;
const TASK_GETS = 9;

const allocate =
  (i: number): Operation =>
  (cpu) =>
    put(cpu, i, kmalloc(cpu, SIZE, GFP_ATOMIC));
const free =
  (i: number): Operation =>
  (cpu) =>
    kfree(cpu, take(cpu, i));
const nmi = (cpu: Cpu): void => {
  if (cpu.id !== 0) return;
  for (const i of NMI_FREES) kfree_nolock(cpu, take(cpu, i));
  put(cpu, NMI_GETS, kmalloc_nolock(cpu, SIZE, 0, NUMA_NO_NODE));
};

const common = { nmi, nodes: 2, kernel: NO_GRACE_PERIODS, check: accounted };
/** All allocated: main and spare are empty, and the barn. */
const empty: Operation = (cpu) => makeThings(cpu, kmalloc_slab(cpu, SIZE, 0), 4 * CAPACITY);
/** Main and spare are full. */
const full: Operation = (cpu) => {
  empty(cpu);
  for (let i = 0; i < 2 * CAPACITY; i++) free(i)(cpu);
};

export default [
  race({
    ...common,
    name: "sheaf-alloc-nmi-free",
    summary: "kmalloc() from empty sheaves against kfree_nolock() and kmalloc_nolock() in an NMI, and remote frees",
    setup: empty,
    cpus: [
      [allocate(TASK_GETS), free(0)],
      [free(1), free(2)],
    ],
  }),
  race({
    ...common,
    name: "sheaf-free-nmi-alloc",
    summary: "kfree() into full sheaves against kfree_nolock() and kmalloc_nolock() in an NMI, and remote frees",
    setup: full,
    cpus: [[free(4)], [free(5)]],
  }),
];
