/**
 * Sheaves and barns under the explorer: what an NMI or another CPU does to them at any step. At the end of every
 * execution the cache is whole; the oracle watches every object.
 */
import { describe, expect, test } from "vitest";
import { Explorer, type Budget, type Exploration } from "../../../../../src/main/explore/explore.ts";
import { get, type Scenario, set } from "../../../../../src/main/explore/scenario.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { barn_replace_full_sheaf, ENOMEM, ERR_PTR, IS_ERR } from "../../../../../src/shared/linux/mm/slub/barn.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { check_quiescent_cache, check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { flush_all } from "../../../../../src/shared/linux/mm/slub/flush.ts";
import { kfree, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { get_barn } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { kmem_cache_shrink } from "../../../../../src/shared/linux/mm/slub/shrink.ts";
import { kmalloc_slab } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { makeSheaf, setSheafState, type SheafState } from "./sheaf_state.ts";

/** Slots of a sheaf when tiny; a barn then takes 2 full ones and keeps 1 empty one. */
const CAPACITY = 4;
const CACHE = 0;
/** Words OBJECT + i: objects that programs and NMIs free. */
const OBJECT = 1;
const OBJECTS = 8;
const SHEAF = 20;
/** What NMIs have allocated. */
const GOT = 30;
const NMIS = 40;

type Cache = Ptr<"kmem_cache">;
type Program = readonly ((cpu: Cpu) => void)[];
const cache = (cpu: Cpu): Cache => get(cpu, CACHE) as Cache;
const explore = (scenario: Scenario, budget: Budget): Exploration =>
  new Explorer({ globals: { tiny: 1 }, oracle: true, ...scenario }).explore(budget);

/** A cache with some objects allocated; its sheaves on CPU 0 are as asked for. */
const setup =
  (state: SheafState) =>
  (cpu: Cpu): void => {
    const s = kmem_cache_create(cpu, "test", 128);
    set(cpu, CACHE, s);
    for (let i = 0; i < OBJECTS; i++) set(cpu, OBJECT + i, alloc_for_nolock(cpu, s, GFP_ATOMIC));
    setSheafState(cpu, s, state);
  };
/** Nothing is wrong and nothing is lost, after `freed` frees by programs and what the NMI did. */
const whole =
  (freed: number) =>
  (cpu: Cpu): string | undefined => {
    const users = OBJECTS - freed - (get(cpu, NMIS) === 0 ? 0 : 2);
    return [
      ...check_quiescent_cache(cpu, cache(cpu), users, true),
      ...check_slab_cache(cpu, kmalloc_slab(cpu, 128, 0)),
    ][0];
  };

const alloc = (cpu: Cpu): Ptr => alloc_for_nolock(cpu, cache(cpu), GFP_ATOMIC);
const free = (i: number) => (cpu: Cpu) => kmem_cache_free(cpu, cache(cpu), get(cpu, OBJECT + i) as Ptr);
const alloc_free = (cpu: Cpu): void => kmem_cache_free(cpu, cache(cpu), alloc(cpu));

test("two CPUs give a full sheaf for the barn's only empty one: one gets it, the other an error and not NULL", () => {
  const outcomes = new Set<string>();
  const replace = (i: number) => (cpu: Cpu) => {
    const got = barn_replace_full_sheaf(cpu, get_barn(cpu, cache(cpu)), get(cpu, SHEAF + i) as Ptr<"slab_sheaf">, true);
    set(cpu, GOT + i, got);
  };
  const run = explore(
    {
      name: "replace, replace",
      cpus: [[replace(0)], [replace(1)]],
      setup: (cpu) => {
        setup({ main: 0, full: 0, empty: 1 })(cpu);
        for (const i of [0, 1]) set(cpu, SHEAF + i, makeSheaf(cpu, cache(cpu), CAPACITY));
      },
      check: (cpu) => {
        const got = [0, 1].map((i) => get(cpu, GOT + i) as Ptr<"slab_sheaf">);
        outcomes.add(got.map((sheaf) => (IS_ERR(sheaf) ? "error" : "sheaf")).join());
        if (got.includes(NULL)) return "NULL for a sheaf";
        return got.some((sheaf) => IS_ERR(sheaf) && sheaf !== ERR_PTR(ENOMEM)) ? "another error" : undefined;
      },
    },
    { bound: 2, random: 50 },
  );
  expect(run).toMatchObject({ failure: undefined, exhausted: 2 });
  expect(outcomes).toEqual(new Set(["sheaf,error", "error,sheaf"]));
});

/** An NMI that frees two objects and allocates one, wherever it hits. */
const nmi = (cpu: Cpu): void => {
  set(cpu, NMIS, 1);
  for (const i of [6, 7]) kfree_nolock(cpu, get(cpu, OBJECT + i) as Ptr);
  set(cpu, GOT, kmalloc_nolock(cpu, 128, 0, NUMA_NO_NODE));
};
const free_got = (cpu: Cpu): void => kfree(cpu, get(cpu, GOT) as Ptr);
const flush = (cpu: Cpu): void => flush_all(cpu, cache(cpu));
const shrink = (cpu: Cpu): void => void kmem_cache_shrink(cpu, cache(cpu));

describe("an NMI at any step", () => {
  test.each<[string, Program, SheafState, number]>([
    ["of a refill", [alloc_free], { main: 0, full: 0, empty: 0 }, 0],
    ["of an exchange of empty for full", [alloc_free], { main: 0, spare: 0, full: 1, empty: 0 }, 0],
    ["of a free that allocates a sheaf", [free(0)], { main: CAPACITY, full: 0, empty: 0 }, 1],
    ["of a free that puts a sheaf into the barn", [free(0)], { main: CAPACITY, spare: CAPACITY, full: 0, empty: 1 }, 1],
    ["of a free that finds the barn full", [free(0)], { main: CAPACITY, spare: CAPACITY, full: 2, empty: 0 }, 1],
    ["of a flush", [flush], { main: 3, spare: CAPACITY, full: 1, empty: 1 }, 0],
  ])("%s breaks nothing", (_, program, state, freed) => {
    const run = explore(
      { name: "nmi", cpus: [[...program, free_got]], setup: setup(state), nmi, nmis: 1, check: whole(freed) },
      { bound: 1, random: 20, exhaustive: 5_000 },
    );
    expect(run).toMatchObject({ failure: undefined, exhausted: 1 });
  });
});

describe("two CPUs and an NMI", () => {
  test.each<[string, Program[], SheafState, number]>([
    ["allocate from one barn", [[alloc_free], [alloc_free]], { main: 0, full: 1, empty: 0 }, 0],
    ["free into one barn", [[free(0), free(1)], [free(2)]], { main: CAPACITY, spare: CAPACITY, full: 1, empty: 1 }, 3],
    ["flush while the other frees", [[flush], [free(0), alloc_free]], { main: 2, full: 1, empty: 1 }, 1],
    ["shrink while the other allocates", [[shrink], [alloc_free, free(0)]], { main: 2, full: 2, empty: 1 }, 1],
  ])("%s", (_, programs, state, freed) => {
    const run = explore(
      { name: "two", cpus: programs, setup: setup(state), nmi, nmis: 1, final: free_got, check: whole(freed) },
      { bound: 0, random: 80, exhaustive: 2_000 },
    );
    expect(run.failure).toBeUndefined();
  });
});
