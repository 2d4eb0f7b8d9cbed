/** The table of facilities: complete, free of contradictions, and what the dispatch runs. */
import { afterAll, describe, expect, test, vi } from "vitest";
import {
  FREE,
  hooks_enabled,
  POST_ALLOC,
  RCU_QUEUE,
  run_hooks,
} from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import * as facilities from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import {
  type Facility,
  PATH,
  path_allows_spin,
  type PathName,
  STEPS,
} from "../../../../../src/shared/linux/mm/debug/facility.ts";
import { HOOK_BITS } from "../../../../../src/shared/layout/debug.ts";
import { KfenceState } from "../../../../../src/shared/layout/debug_kfence.ts";
import { GFP_ATOMIC, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { kfence_state } from "../../../../../src/shared/linux/mm/debug/kfence_pool.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { sequentialMachine } from "../../../../machine.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const { FACILITIES } = facilities;
const { hooks: GLOBAL_HOOKS } = Globals.offset;
const PATHS = Object.keys(PATH) as PathName[];
const runs = ({ hooks }: Facility, path: PathName): boolean => hooks.some(({ paths }) => paths.includes(path));

test("every facility is there once, in the order of its bit", () => {
  expect(FACILITIES.map(({ name }) => name)).toEqual(Object.keys(HOOK_BITS));
});
describe.each(FACILITIES.map((facility) => [facility.name, facility] as const))("%s", (_, facility) => {
  test.each(PATHS)("%s: it runs, or it is said why not", (path) => {
    expect(facility.skipped[path] === undefined).toBe(runs(facility, path));
  });
  test("a hook that waits for a lock is on no nolock path", () => {
    const nolock = PATHS.filter((path) => !path_allows_spin(PATH[path]));
    expect(nolock).toEqual(["kmalloc_nolock", "kfree_nolock", "kfree_rcu_nolock"]);
    if (facility.spins === "always") expect(nolock.filter((path) => runs(facility, path))).toEqual([]);
  });
  test("what one side skips, the other puts up with", () => {
    const allocates = runs(facility, "kmalloc");
    for (const path of ["kmalloc_nolock", "kfree_nolock"] as const) {
      if (allocates && !runs(facility, path)) expect(facility.skipped[path]?.tolerated).toBeDefined();
    }
  });
  test("objects meet its free hook on every free, or only on those that may wait", () => {
    expect(runs(facility, "after_gp")).toBe(runs(facility, "kfree"));
  });
});

describe("each hook runs where the table says, and nowhere else", () => {
  const all = Object.values(HOOK_BITS).reduce((bits: number, bit) => bits | bit, 0);
  const m = new TestMachine({}, { hooks: all });
  const [cpu] = m.cpus;
  cpu.mem.poke(kfence_state(cpu), KfenceState.offset.sample, 1 << 30);
  type Seen = Partial<Record<PathName, Set<string>>>;
  let seen: Seen = {};
  for (const list of [
    FREE,
    POST_ALLOC,
    RCU_QUEUE,
    facilities.FREE_END,
    facilities.RCU_QUEUED,
    facilities.RCU_UNQUEUE,
  ]) {
    for (const hook of list) {
      const { run } = hook;
      vi.spyOn(hook, "run").mockImplementation((...args) => {
        const facility = FACILITIES.find(({ name }) => HOOK_BITS[name] === hook.bit);
        const path = PATHS.find((name) => PATH[name] === args[5]);
        if (facility === undefined || path === undefined) throw new Error(`path ${args[5]}`);
        (seen[path] ??= new Set()).add(facility.name);
        return run(...args);
      });
    }
  }
  afterAll(() => vi.restoreAllMocks());
  /** What runs on each path while `code` does. */
  const during = (code: () => void): Seen => {
    seen = {};
    code();
    return seen;
  };
  /** What the table says; kfence_alloc() is no hook that watches an object, and not seen here. */
  const table = (path: PathName): Seen => {
    const watches = ({ hooks }: Facility): boolean =>
      hooks.some(({ step, paths }) => step !== "kfence_alloc" && paths.includes(path));
    return { [path]: new Set(FACILITIES.filter(watches).map(({ name }) => name)) };
  };
  const { head } = Thing.offset;
  const thing = (): ThingPtr => kmalloc(cpu, Thing.size, GFP_ATOMIC) as Ptr as ThingPtr;
  const nolock = (): ThingPtr => kmalloc_nolock(cpu, Thing.size, 0, NUMA_NO_NODE) as Ptr as ThingPtr;
  const objects: ThingPtr[] = [];
  const keep = (object: ThingPtr): void => void objects.push(object);
  const take = (): ThingPtr => objects.pop() ?? NULL;

  test("allocations", () => {
    for (let i = 0; i < 4; i++) keep(thing()); // So that no sheaf, slab or vector has to be made in what follows.
    expect(during(() => keep(thing()))).toEqual(table("kmalloc"));
    expect(during(() => keep(nolock()))).toEqual(table("kmalloc_nolock"));
  });
  test("kfree_nolock()", () => {
    expect(during(() => kfree_nolock(cpu, take()))).toEqual(table("kfree_nolock"));
  });
  test("kfree()", () => {
    expect(during(() => kfree(cpu, take()))).toEqual(table("kfree"));
  });
  test("kfree_rcu_nolock() runs none at the call", () => {
    keep(nolock());
    kfree_rcu_nolock(cpu, nolock(), head); // There is an rcu_free sheaf now.
    expect(during(() => kfree_rcu_nolock(cpu, take(), head))).toEqual({});
  });
  test("kfree_rcu() of what finds no sheaf; a page behind it is freed by kfree_bulk()", () => {
    const s = kmem_cache_create(cpu, "apart", Thing.size, { flags: SLAB_NO_SHEAVES });
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL) as Ptr as ThingPtr;
    kvfree_rcu_barrier(cpu);
    expect(during(() => kfree_rcu(cpu, object, head)).kfree_rcu).toEqual(table("kfree_rcu").kfree_rcu);
    expect(during(() => kvfree_rcu_barrier(cpu)).kfree).toEqual(table("kfree").kfree);
  });
  test("after the grace period of a sheaf", () => {
    kfree_rcu(cpu, take(), head);
    expect(during(() => kvfree_rcu_barrier(cpu)).after_gp).toEqual(table("after_gp").after_gp);
  });
});

describe("run_hooks()", () => {
  const { cpus } = sequentialMachine();
  const [cpu] = cpus;
  const log: string[] = [];
  const hook = (name: string, bit: number, paths: number, more = {}): (typeof FREE)[number] => ({
    bit,
    paths,
    large: false,
    run: (_cpu, _s, object, bytes, gfp, path) => {
      log.push(`${name}(${object}, ${bytes}, ${gfp}, ${path})`);
      return true;
    },
    ...more,
  });
  const s = 64 as Ptr<"kmem_cache">;
  const run = (on: number, path: number, list: readonly (typeof FREE)[number][], cache = s): [boolean, string[]] => {
    log.length = 0;
    cpu.mem.poke(cpu.globals, GLOBAL_HOOKS, on);
    return [run_hooks(cpu, list, path, cache, 8 as Ptr, 24, 3), [...log]];
  };
  test("enabled ones of this path, in their order", () => {
    const list = [hook("a", 1, PATH.kfree), hook("b", 2, PATH.kfree | PATH.after_gp), hook("c", 1, PATH.after_gp)];
    expect(run(3, PATH.kfree, list)).toEqual([true, ["a(8, 24, 3, 4)", "b(8, 24, 3, 4)"]]);
    expect(run(1, PATH.kfree, list)).toEqual([true, ["a(8, 24, 3, 4)"]]);
    expect(run(3, PATH.after_gp, list)).toEqual([true, ["b(8, 24, 3, 64)", "c(8, 24, 3, 64)"]]);
    expect(run(0, PATH.kfree, list)).toEqual([true, []]);
    expect(hooks_enabled(cpu)).toBe(false);
  });
  test("the first that says stop is the last", () => {
    const list = [hook("a", 1, PATH.kfree), hook("no", 1, PATH.kfree, { run: () => false }), hook("b", 1, PATH.kfree)];
    expect(run(1, PATH.kfree, list)).toEqual([false, ["a(8, 24, 3, 4)"]]);
  });
  test("for a large kmalloc those that take such", () => {
    const list = [hook("a", 1, PATH.kfree), hook("b", 1, PATH.kfree, { large: true })];
    expect(run(1, PATH.kfree, list, NULL)).toEqual([true, ["b(8, 24, 3, 4)"]]);
  });
  test("its lists hold what the facilities declare, in the kernel's order", () => {
    const declared = (place: keyof typeof STEPS): number[] =>
      STEPS[place].flatMap((step) =>
        FACILITIES.filter(({ hooks }) => hooks.some((each) => each.step === step)).map(({ name }) => HOOK_BITS[name]),
      );
    const bits = (list: readonly { bit: number }[]): number[] => list.map(({ bit }) => bit);
    expect(bits(POST_ALLOC)).toEqual(declared("post_alloc"));
    expect(bits(FREE)).toEqual(declared("free"));
    expect(bits(facilities.FREE_END)).toEqual(declared("free_end"));
    expect(bits(RCU_QUEUE)).toEqual(declared("rcu_queue"));
    expect(bits(facilities.RCU_QUEUED)).toEqual(declared("rcu_queued"));
    expect(bits(facilities.RCU_UNQUEUE)).toEqual(declared("rcu_unqueue"));
  });
});
