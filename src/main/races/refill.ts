/**
 * A refill isolates the slab that it takes objects from, and gives back what its sheaf has no room for, while other CPUs
 * free into that slab, or allocate what has just been freed. Spec slub 3.5, 3.6.
 */
import type { Scenario } from "../explore/scenario.ts";
import { NO_GRACE_PERIODS } from "./kit_no_grace_periods.ts";
import { CAPACITY, race } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { slabFree } from "./kit_frees.ts";
import { allocFromSlab, oneSlab, refill } from "./kit_sheaves.ts";

const common = {
  setup: oneSlab,
  kernel: NO_GRACE_PERIODS,
  check: accounted,
} satisfies Partial<Scenario>;

export default [
  race({
    ...common,
    name: "refill-remote-free-last",
    summary: "the refill of a sheaf from a slab against the free of the only object of that slab that is in use",
    setup: (cpu) => {
      oneSlab(cpu);
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
    cpus: [[refill], [slabFree(0)], [allocFromSlab(CAPACITY + 1)]],
    steps: 5_000, // Some 400 are enough; a broken list is walked for ever.
  }),
];
