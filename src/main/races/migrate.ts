/**
 * A task is moved to another CPU while it has dropped the sheaf lock, and finds other sheaves when it takes it again; whoever
 * is on its old CPU from then on uses those. Spec slub 2.2, last point; 2.4 step 10, 2.8 step 9, 5.3.
 *
 * CPU 0's sheaves bring its operation to the window; CPU 1's are what it finds there, in each state that the code tells apart.
 */
import type { Operation, Scenario } from "../explore/scenario.ts";
import { CAPACITY, makeCache, makeThings, race, THINGS } from "./kit.ts";
import { accounted } from "./kit_account.ts";
import { allocate, free, freeRcu, slabFree } from "./kit_frees.ts";

/** Runs `operations` on CPU 1 while nothing else runs. */
const onOther =
  (operations: readonly Operation[]): Operation =>
  (cpu) => {
    cpu.become(1);
    for (const operation of operations) operation(cpu);
    cpu.become(0);
  };
/** Things from here on are those that CPU 1's sheaves are filled with. */
const OTHERS = 8;
/** Where there is no thing at first. */
const NOTHING = THINGS - 1;
const frees = (first: number, count: number): readonly Operation[] =>
  Array.from({ length: count }, (_, i) => free(first + i));

/** States of CPU 1's sheaves, and how they come about. */
const STATES: Record<string, readonly [what: string, operations: readonly Operation[]]> = {
  empty: ["an empty main sheaf", []],
  some: ["objects in main, and no spare sheaf", frees(OTHERS, 2)],
  full: ["a full main sheaf, and no spare one", frees(OTHERS, CAPACITY)],
  "full-spare": ["objects in main, and a full spare sheaf", frees(OTHERS, CAPACITY + 1)],
  "empty-spare": [
    "objects in main, and an empty spare sheaf",
    [...frees(OTHERS, CAPACITY + 1), allocate(OTHERS), allocate(OTHERS + 1)],
  ],
};
/** `own` brings CPU 0's operation to the window, `programs` are those of both CPUs. All things are in use at first but one. */
const migrates = (
  how: string,
  doing: string,
  own: readonly Operation[],
  programs: Scenario["cpus"],
): readonly Scenario[] =>
  Object.entries(STATES).map(([state, [what, operations]]) =>
    race({
      name: `migrate-${how}-${state}`,
      summary: `a task that ${doing} is moved to a CPU that has ${what}`,
      globals: { migrate: 1 },
      setup: (cpu) => {
        makeThings(cpu, makeCache(cpu), THINGS);
        slabFree(NOTHING)(cpu); // Its slab has room again, and main stays empty.
        for (const operation of [onOther(operations), ...own]) operation(cpu);
      },
      cpus: programs,
      check: accounted,
    }),
  );

/** Takes the empty spare sheaf of CPU 0 away: it fills up, and waits for a grace period. */
const spareIsGone: readonly Operation[] = Array.from({ length: CAPACITY }, (_, i) => freeRcu(i));

export default [
  ...migrates(
    "alloc",
    "refills main for an allocation",
    [],
    [
      [allocate(NOTHING), free(0)],
      [free(1), allocate(1)],
    ],
  ),
  ...migrates(
    "free",
    "makes room in main for a free",
    [...spareIsGone, ...frees(CAPACITY, CAPACITY)],
    [
      [free(NOTHING - 1), allocate(NOTHING)],
      [free(NOTHING - 2), allocate(NOTHING - 2)],
    ],
  ),
  ...migrates("kfree-rcu", "makes an rcu_free sheaf", spareIsGone, [
    [freeRcu(4), freeRcu(5)],
    [freeRcu(6), free(7)],
  ]),
];
