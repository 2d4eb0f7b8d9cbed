/**
 * A refill isolates the slab that it takes objects from, and gives back what its sheaf has no room for, while other CPUs
 * free into that slab, or allocate what has just been freed. Spec slub 3.5, 3.6.
 */
import type { Operation, Scenario } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { alloc, CAPACITY, makeCache, makeThings, put, race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { insideSheafLock, slabFree } from "./kit_frees.ts";

/** Objects of a slab: one sheaf of them in use, one for the refill, and two to be given back. */
const SLAB_OBJECTS = 2 * CAPACITY + 2;

const common = {
  setup: (cpu): void => makeThings(cpu, makeCache(cpu, 0, SLAB_OBJECTS), CAPACITY),
  kernel: NO_GRACE_PERIODS,
  check: accounted,
} satisfies Partial<Scenario>;
const refill: Operation = (cpu) => put(cpu, CAPACITY, alloc(cpu));
/** An allocation that cannot have a sheaf. */
const allocFromSlab: Operation = (cpu) => insideSheafLock(cpu, () => put(cpu, CAPACITY + 1, alloc(cpu)));

export default [
  race({
    ...common,
    name: "refill-remote-free-last",
    summary: "the refill of a sheaf from a slab against the free of the only object of that slab that is in use",
    setup: (cpu) => {
      common.setup(cpu);
      for (let i = 1; i < CAPACITY; i++) slabFree(i)(cpu);
    },
    cpus: [[refill], [slabFree(0)]],
  }),
  race({
    ...common,
    name: "refill-remote-free",
    summary: "the refill of a sheaf from a slab against two frees into that slab",
    cpus: [[refill], [slabFree(0)], [slabFree(1)]],
  }),
  race({
    ...common,
    name: "refill-remote-free-alloc",
    summary: "the refill of a sheaf from a slab against a free into it, and an allocation of what was freed",
    cpus: [[refill], [slabFree(0)], [allocFromSlab]],
    steps: 5_000, // Some 400 are enough; a broken list is walked for ever.
  }),
];
