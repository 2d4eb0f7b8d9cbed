/**
 * Facilities under the explorer: two CPUs allocate and free, an NMI comes before any step, with facilities' locks held
 * too, and uses the nolock functions. Nobody spins on what his own CPU holds, and at the end the books are right.
 */
import { describe, expect, test } from "vitest";
import type { Budget, Exploration } from "../../../../../src/main/explore/explore.ts";
import { get, type Operation, type Scenario, set } from "../../../../../src/main/explore/scenario.ts";
import { per_cpu_ptr, type Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { CpuSlot } from "../../../../../src/shared/layout/cpu.ts";
import {
  HOOK_ALLOC_TAG,
  HOOK_DEBUGOBJECTS,
  HOOK_KCSAN,
  HOOK_KMEMLEAK,
  HOOK_KMSAN,
  HOOK_LOCKS_FREED,
} from "../../../../../src/shared/layout/debug.ts";
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { ALLOC_TAGGING, alloc_tag_counters } from "../../../../../src/shared/linux/mm/debug/alloc_tag.ts";
import { debug_check } from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import { PATH } from "../../../../../src/shared/linux/mm/debug/facility.ts";
import { kcsan_begin_scoped_access, kcsan_end_scoped_access } from "../../../../../src/shared/linux/mm/debug/kcsan.ts";
import { kmemleak_ignore } from "../../../../../src/shared/linux/mm/debug/kmemleak.ts";
import { deferred_work_barrier, kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kfree_rcu_nolock } from "../../../../../src/shared/linux/mm/kvfree_rcu/nolock.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { describe_held_locks } from "../../../../../src/shared/linux/sync/lockdep.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { element, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { take_account } from "../../../../../src/workers/quiescence.ts";
import { exploreMm } from "../explore_mm.ts";
import { Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const { head: HEAD, value: VALUE } = Thing.offset;
const { slot: SLOT } = PerCpu.offset;
const { warnings: WARNINGS } = CpuSlot.offset;
const { scenario: WORDS } = Globals.offset;
const ALL = HOOK_KMEMLEAK | HOOK_KMSAN | HOOK_ALLOC_TAG | HOOK_LOCKS_FREED | HOOK_DEBUGOBJECTS | HOOK_KCSAN;
/** Scenario words: an object for each kind of free; 1: an NMI came while a facility's lock was held. */
const NOLOCK = 1;
const NOLOCK_RCU = 2;
const ROOT = 3;
const FOUND_HELD = 20;

/** The object in this word, which is the caller's from now on. @returns NULL: somebody else has taken it. */
const take = (cpu: Cpu, word: number): ThingPtr => cpu.mem.xchg(cpu.globals, element(WORDS, word), 0) as ThingPtr;
const nolock = (cpu: Cpu): ThingPtr => kmalloc_nolock(cpu, Thing.size, 0, NUMA_NO_NODE) as Ptr as ThingPtr;
/** Does this CPU hold a lock of a facility? Its own slot says so, without a step. */
function note_held_locks(cpu: Cpu): void {
  if (/kmemleak|debug_/.test(describe_held_locks(cpu))) set(cpu, FOUND_HELD, 1);
}
const free_and_alloc: Operation = (cpu) => {
  note_held_locks(cpu);
  kfree_nolock(cpu, take(cpu, NOLOCK));
  set(cpu, NOLOCK, nolock(cpu));
};
const free_by_rcu: Operation = (cpu) => {
  note_held_locks(cpu);
  const object = take(cpu, NOLOCK_RCU);
  if (object !== NULL) kfree_rcu_nolock(cpu, object, HEAD);
};
/** The books of every facility that is on. */
const balanced = (cpu: Cpu): string | undefined => debug_check(cpu, take_account(cpu).censuses)[0];

const alloc_and_free: Operation = (cpu) => {
  const object = kmalloc(cpu, Thing.size, GFP_ATOMIC);
  if (object !== NULL) kfree(cpu, object);
};
const free_root: Operation = (cpu) => kfree_rcu(cpu, take(cpu, ROOT), HEAD);

describe.each([
  ["kmemleak", HOOK_KMEMLEAK, true],
  ["debugobjects", HOOK_DEBUGOBJECTS, true],
  ["kmsan", HOOK_KMSAN, false],
  ["alloc-tag", HOOK_ALLOC_TAG, false],
  ["the checks of frees alone", HOOK_LOCKS_FREED | HOOK_KCSAN, false],
  ["all together", ALL, true],
])("%s", (_, hooks, locks) => {
  const run = (scenario: Omit<Scenario, "name">, budget: Budget): { run: Exploration; found_held: boolean } => {
    let found_held = false;
    const full: Scenario = {
      name: "nmi",
      globals: { hooks },
      ...scenario,
      check: (cpu) => {
        found_held ||= get(cpu, FOUND_HELD) !== 0;
        return balanced(cpu);
      },
    };
    return { run: exploreMm(full, budget), found_held };
  };
  test("an NMI on every step of kmalloc() and kfree()", () => {
    const { run: result, found_held } = run(
      {
        setup: (cpu) => set(cpu, NOLOCK, nolock(cpu)),
        cpus: [[alloc_and_free], [alloc_and_free]],
        nmi: free_and_alloc,
        final: deferred_work_barrier,
      },
      { random: 5, bound: 0 },
    );
    expect(result.failure?.message).toBeUndefined();
    expect(result.exhausted).toBe(0);
    expect(found_held).toBe(locks);
  });
  test("an NMI somewhere in kfree_rcu(), and in what follows", () => {
    const { run: result } = run(
      {
        setup: (cpu) => {
          const s = kmem_cache_create(cpu, "things", Thing.size, { flags: SLAB_NO_SHEAVES });
          set(cpu, ROOT, kmem_cache_alloc(cpu, s, GFP_ATOMIC));
          set(cpu, NOLOCK_RCU, nolock(cpu));
        },
        cpus: [[free_root], [alloc_and_free]],
        nmi: free_by_rcu,
        final: (cpu) => {
          free_by_rcu(cpu); // What no NMI has freed: an NMI behind the barrier finds nothing to free.
          kvfree_rcu_barrier(cpu);
        },
      },
      { random: 10 },
    );
    expect(result.failure?.message).toBeUndefined();
  });
});

test("control: a hook that waits for its lock, called in NMI, is found out", () => {
  const run = exploreMm(
    {
      name: "control",
      globals: { hooks: HOOK_KMEMLEAK },
      setup: (cpu) => set(cpu, ROOT, kmalloc(cpu, Thing.size, GFP_ATOMIC)),
      cpus: [[alloc_and_free]],
      nmi: (cpu) => kmemleak_ignore(cpu, get(cpu, ROOT) as Ptr),
    },
    { bound: 0 },
  );
  expect(run.failure?.message).toContain("spins in NMI: kmemleak");
});

describe("kcsan: a reader accesses what an updater frees", () => {
  const reader: Operation = (cpu) => {
    rcu_read_lock(cpu);
    const object = get(cpu, ROOT) as ThingPtr;
    if (object !== NULL) {
      const outer = kcsan_begin_scoped_access(cpu, object);
      cpu.mem.read(object, VALUE);
      kcsan_end_scoped_access(cpu, outer);
    }
    rcu_read_unlock(cpu);
  };
  const scenario = (free: Operation): Scenario => ({
    name: "kcsan",
    globals: { hooks: HOOK_KCSAN },
    setup: (cpu) => set(cpu, ROOT, kmalloc(cpu, Thing.size, GFP_ATOMIC)),
    cpus: [[free], [reader]],
    final: kvfree_rcu_barrier,
    check: balanced,
  });
  test("at once: a race", () => {
    const run = exploreMm(
      scenario((cpu) => kfree(cpu, take(cpu, ROOT))),
      { bound: 1 },
    );
    expect(run.failure?.message).toContain("KCSAN: race: CPU 1 accesses");
  });
  test("after a grace period: none", () => {
    expect(exploreMm(scenario(free_root), { random: 20 }).failure).toBeUndefined();
  });
});

describe("debugobjects: two CPUs give the same object to kfree_rcu()", () => {
  const twice: Operation = (cpu) => kfree_rcu(cpu, get(cpu, ROOT) as ThingPtr, HEAD);
  const scenario: Scenario = {
    name: "twice",
    globals: { hooks: HOOK_DEBUGOBJECTS },
    setup: (cpu) => set(cpu, ROOT, kmalloc(cpu, 20_000, GFP_ATOMIC)),
    cpus: [[twice], [twice]],
  };
  test("the second is noticed, whichever it is", () => {
    for (let seed = 0; seed < 5; seed++) {
      const run = exploreMm(scenario, { seed, random: 1 });
      expect(run.failure?.message).toContain("ODEBUG: activate active");
    }
  });
  test("a machine that goes on after warnings frees it once", () => {
    const run = exploreMm(
      {
        ...scenario,
        globals: { ...scenario.globals, panic_on_warn: 0 },
        final: kvfree_rcu_barrier,
        check: (cpu) => {
          const warned = [0, 1].map((id) => cpu.mem.peek(per_cpu_ptr(cpu, SLOT, id), WARNINGS));
          return warned[0] + warned[1] === 1 ? balanced(cpu) : `${warned.join()} warnings`;
        },
      },
      { random: 20 },
    );
    expect(run.failure?.message).toBeUndefined();
  });
});

describe("alloc-tag: two caches get their tags at the same time", () => {
  const [count] = ALLOC_TAGGING.hooks;
  const run_hook = (cpu: Cpu, s: number): unknown =>
    count.step === "kfence_alloc" ? undefined : count.run(cpu, s as Ptr<"kmem_cache">, NULL, 64, 0, PATH.kmalloc);
  // Addresses whose search begins at the same slot, as for a table of 512.
  const slot = (s: number): number => (Math.imul(s >>> 6, 0x9e3779b1) >>> 16) & 511;
  const FIRST = 0x40000000;
  const collides = (n: number): number => {
    let s = FIRST;
    for (let found = 0; found < n; found += slot(s) === slot(FIRST) ? 1 : 0) s += 64;
    return s;
  };
  test.each([
    ["the same cache", [FIRST, FIRST, FIRST]],
    ["caches that meet in the table", [FIRST, collides(1), collides(2)]],
    ["one on both CPUs, and another in NMI", [FIRST, FIRST, collides(1)]],
  ])("%s", (name, [a, b, c]) => {
    const expected = new Map<number, number>();
    for (const s of [a, b, c]) expected.set(s, (expected.get(s) ?? 0) + 1);
    const run = exploreMm(
      {
        name: "tags",
        globals: { hooks: HOOK_ALLOC_TAG },
        cpus: [[(cpu) => run_hook(cpu, a)], [(cpu) => run_hook(cpu, b)]],
        nmi: (cpu) => {
          run_hook(cpu, c);
          set(cpu, FOUND_HELD, 1);
        },
        check: (cpu) => {
          for (const [s, calls] of expected) {
            const without_nmi = s === c && get(cpu, FOUND_HELD) === 0 ? 1 : 0;
            const counted = alloc_tag_counters(cpu, s as Ptr<"kmem_cache">).calls;
            if (counted !== calls - without_nmi) return `${name}: ${counted} counted, not ${calls - without_nmi}`;
          }
          return undefined;
        },
      },
      { random: 50, bound: 3 },
    );
    expect(run).toMatchObject({ failure: undefined, exhausted: 3 });
  });
});
