/**
 * A sheaf is taken from and given to by a task, by kmalloc_nolock() and kfree_nolock() in an NMI of the same CPU, and its
 * slabs are freed to by a CPU of another node. Spec slub 2, 4. A bucket that nothing else uses, with two slots a sheaf.
 */
import type { Operation } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { kfreeThing, kmallocAs, makeOfBucket, nmiTraffic, SIZE_CAPACITY, TASK_GETS } from "./kit_kmalloc.ts";

const common = { nmi: nmiTraffic(0), nodes: 2, kernel: NO_GRACE_PERIODS, check: accounted };
/** All allocated: main and spare are empty, and the barn. */
const empty = makeOfBucket(4 * SIZE_CAPACITY);
/** Main and spare are full. */
const full: Operation = (cpu) => {
  empty(cpu);
  for (let i = 0; i < 2 * SIZE_CAPACITY; i++) kfreeThing(i)(cpu);
};

export default [
  race({
    ...common,
    name: "sheaf-alloc-nmi-free",
    summary: "kmalloc() from empty sheaves against kfree_nolock() and kmalloc_nolock() in an NMI, and remote frees",
    setup: empty,
    cpus: [
      [kmallocAs(TASK_GETS), kfreeThing(0)],
      [kfreeThing(1), kfreeThing(2)],
    ],
  }),
  race({
    ...common,
    name: "sheaf-free-nmi-alloc",
    summary: "kfree() into full sheaves against kfree_nolock() and kmalloc_nolock() in an NMI, and remote frees",
    setup: full,
    cpus: [[kfreeThing(4)], [kfreeThing(5)]],
  }),
];
