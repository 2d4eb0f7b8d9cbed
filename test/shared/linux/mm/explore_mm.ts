/**
 * What explored tests of this layer share: the search, a cache of things with its objects in scenario words, and the books
 * at the end. The whole kernel is booted, with the smallest capacities, and the oracle watches.
 */
import { Explorer, type Budget, type Exploration, type ExplorerOptions } from "../../../../src/main/explore/explore.ts";
import { get, type Operation, type Scenario, set } from "../../../../src/main/explore/scenario.ts";
import type { Cpu } from "../../../../src/shared/cpu/cpu.ts";
import { debug_check } from "../../../../src/shared/linux/mm/debug/facilities.ts";
import { kmem_cache_create } from "../../../../src/shared/linux/mm/slub/cache.ts";
import type { Ptr } from "../../../../src/shared/mem/struct.ts";
import { take_account } from "../../../../src/workers/quiescence.ts";
import { Thing, type ThingPtr } from "./kvfree_rcu/machine.ts";
import { alloc_for_nolock } from "./nolock_objects.ts";

/** Scenario words. Those in between are the test's own. */
const CACHE = 0;
const FIRST_OBJECT = 8;

type Explore = (scenario: Scenario, budget: Budget, options?: ExplorerOptions) => Exploration;

/** Searches scenarios that all have these globals, where they do not say otherwise. */
export const exploreMmWith =
  (always: Scenario["globals"]): Explore =>
  (scenario, budget, options) => {
    const globals = { tiny: 1, ...always, ...scenario.globals };
    return new Explorer({ steps: 400_000, oracle: true, ...scenario, globals }, options).explore(budget);
  };
export const exploreMm = exploreMmWith({});

export const cache = (cpu: Cpu): Ptr<"kmem_cache"> => get(cpu, CACHE) as Ptr<"kmem_cache">;
export const object = (cpu: Cpu, i: number): ThingPtr => get(cpu, FIRST_OBJECT + i) as ThingPtr;
/** A cache, and `n` objects of it, whose value is 1. Without `alloc`, the nolock functions may free them. */
export const withObjects =
  (n: number, flags = 0, alloc: (cpu: Cpu) => Ptr = (cpu) => alloc_for_nolock(cpu, cache(cpu))): Operation =>
  (cpu) => {
    set(cpu, CACHE, kmem_cache_create(cpu, "things", Thing.size, { flags }));
    for (let i = 0; i < n; i++) {
      const thing = alloc(cpu) as ThingPtr;
      cpu.mem.write(thing, Thing.offset.value, 1);
      set(cpu, FIRST_OBJECT + i, thing);
    }
  };

/** What is wrong in the machine's account, and in the books of every facility that is on. */
export const books = (cpu: Cpu): string | undefined => {
  const { problems, censuses } = take_account(cpu);
  return debug_check(cpu, censuses)[0] ?? problems[0];
};
