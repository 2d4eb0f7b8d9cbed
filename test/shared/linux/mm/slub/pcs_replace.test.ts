/** What happens when main is empty or full: the steps of spec slub 2.4 and 2.8, one state after the other. */
import { beforeEach, describe, expect, test } from "vitest";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { oracle_allow_nolock } from "../../../../../src/shared/cpu/oracle.ts";
import { GFP_KERNEL, GFP_NOWAIT } from "../../../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { NodeBarn } from "../../../../../src/shared/layout/slab.ts";
import {
  SLAB_ALLOC_DEFAULT,
  SLAB_ALLOC_NO_RECURSE,
  SLAB_ALLOC_NOLOCK,
  SLAB_NO_SHEAVES,
} from "../../../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { slab_post_alloc_hook } from "../../../../../src/shared/linux/mm/slub/hooks.ts";
import { kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { alloc_from_pcs, get_barn, this_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import {
  __pcs_install_empty_sheaf,
  __pcs_replace_empty_main,
  __pcs_replace_full_main,
} from "../../../../../src/shared/linux/mm/slub/pcs_replace.ts";
import { sheaf_bytes } from "../../../../../src/shared/linux/mm/slub/sheaf.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../../../../../src/shared/linux/sync/spinlock.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { alloc_for_nolock } from "../nolock_objects.ts";
import { counted, exhaustPages, problems, setSheafState, sheafState, withoutBarn } from "./sheaf_state.ts";

/** Slots of a sheaf of this cache when tiny; its barn takes 2 full ones and keeps 1 empty one. */
const CAPACITY = 4;
const ALWAYS = 0xffffffff | 0;

let m: TestMachine;
let cpu: Cpu;
let s: Ptr<"kmem_cache">;
let users: Ptr<"object">[];

beforeEach(() => {
  m = new TestMachine({ cpus: 2, bytes: 2 << 20 }, { tiny: 1 });
  [cpu] = m.cpus;
  s = kmem_cache_create(cpu, "test", 128);
  // Objects of the test's own, to free at the right moment.
  users = Array.from({ length: 12 }, () => alloc_for_nolock(cpu, s));
});

const alloc = (flags = SLAB_ALLOC_DEFAULT): Ptr<"object"> => {
  const object = alloc_from_pcs(cpu, s, flags & SLAB_ALLOC_NOLOCK ? 0 : GFP_KERNEL, flags, -1);
  if (object !== NULL) {
    slab_post_alloc_hook(cpu, s, 0, SLAB_ALLOC_DEFAULT, object);
    oracle_allow_nolock(cpu, object);
    users.push(object);
  }
  return object;
};
const take = (): Ptr<"object"> => users.pop() ?? NULL;
const nolockFree = (n: number): void => {
  for (let i = 0; i < n; i++) kfree_nolock(cpu, take());
};
const nolockAlloc = (n: number): void => {
  for (let i = 0; i < n; i++) expect(alloc(SLAB_ALLOC_NOLOCK)).not.toBe(NULL);
};
/** Runs `handler` in an NMI in a window in which the lock is dropped: the first in which main is as large as that. */
const inWindow = (handler: () => void, main?: number): void =>
  m.nmiAt(cpu, POINT.pcs_unlocked_window, () => {
    if (main === undefined || sheafState(cpu, s).main === main) handler();
    else inWindow(handler, main);
  });
/** Runs `action` while the other CPU holds the barn's lock. */
const withBarnLocked = (action: () => void): void => {
  const [, other] = m.cpus;
  const lock = embedded(get_barn(cpu, s), NodeBarn.offset.lock);
  const flags = spin_lock_irqsave(other, lock);
  action();
  spin_unlock_irqrestore(other, lock, flags);
};
const set = (main: number, spare: number | undefined, full: number, empty: number): void =>
  setSheafState(cpu, s, { main, spare, full, empty });
const expectState = (main: number, spare: number | undefined, full: number, empty: number): void => {
  expect(sheafState(cpu, s)).toEqual({ main, spare, full, empty });
  expect(problems(cpu, s)).toEqual([]);
};

describe("__pcs_replace_empty_main", () => {
  const change = (action: () => void): Record<string, number> => counted(cpu, s, action);

  test("1: a cache without sheaves goes to its slabs", () => {
    const none = kmem_cache_create(cpu, "none", 128, { flags: SLAB_NO_SHEAVES });
    const stats = counted(cpu, none, () => kmem_cache_alloc(cpu, none, GFP_KERNEL));
    expect(stats).toEqual({ ALLOC_SLOWPATH: 1, ALLOC_SLAB: 1 });
  });
  test("2: a spare with objects becomes main", () => {
    set(0, 3, 1, 0);
    expect(change(alloc)).toEqual({ ALLOC_FASTPATH: 1 });
    expectState(2, 0, 1, 0);
  });
  test("3: without a barn there is nothing to be had", () => {
    set(0, undefined, 0, 0);
    withoutBarn(cpu, s, () => expect(change(() => expect(alloc()).toBe(NULL))).toEqual({}));
    expectState(0, undefined, 0, 0);
  });
  test("4: a full sheaf of the barn for the empty main", () => {
    set(0, 0, 2, 0);
    expect(change(alloc)).toEqual({ ALLOC_FASTPATH: 1, BARN_GET: 1 });
    expectState(3, 0, 1, 1);
  });
  test("5, 10a: the empty spare is refilled, and the empty main takes its place", () => {
    set(0, 0, 0, 1);
    expect(change(alloc)).toMatchObject({ ALLOC_FASTPATH: 1, BARN_GET_FAIL: 1, SHEAF_REFILL: CAPACITY });
    expectState(3, 0, 0, 1);
  });
  test("5: without a spare an empty sheaf of the barn is refilled", () => {
    set(0, undefined, 0, 1);
    const stats = change(alloc);
    expect(stats).toMatchObject({ ALLOC_FASTPATH: 1, BARN_GET_FAIL: 1, SHEAF_REFILL: CAPACITY });
    expect(stats).not.toHaveProperty("SHEAF_ALLOC");
    expectState(3, 0, 0, 0);
  });
  test("6: nolock takes a full sheaf, but nothing that would have to be filled", () => {
    set(0, 0, 1, 1);
    expect(change(() => alloc(SLAB_ALLOC_NOLOCK))).toEqual({ ALLOC_FASTPATH: 1, BARN_GET: 1 });
    set(0, 0, 0, 1);
    expect(change(() => expect(alloc(SLAB_ALLOC_NOLOCK)).toBe(NULL))).toEqual({ BARN_GET_FAIL: 1 });
    expectState(0, 0, 0, 1);
  });
  test("6: nolock only tries the barn's lock", () => {
    set(0, undefined, 1, 0);
    withBarnLocked(() => {
      expect(change(() => expect(alloc(SLAB_ALLOC_NOLOCK)).toBe(NULL))).toEqual({ BARN_GET_FAIL: 1 });
    });
    expectState(0, undefined, 1, 0);
  });
  test("7: no empty sheaf anywhere: a new one", () => {
    set(0, undefined, 0, 0);
    expect(change(alloc)).toMatchObject({
      ALLOC_FASTPATH: 1,
      BARN_GET_FAIL: 1,
      SHEAF_ALLOC: 1,
      SHEAF_REFILL: CAPACITY,
    });
    expectState(3, 0, 0, 0);
  });
  test("7: an allocation that must not recurse gets none", () => {
    set(0, undefined, 0, 0);
    expect(change(() => expect(alloc(SLAB_ALLOC_NO_RECURSE)).toBe(NULL))).toEqual({ BARN_GET_FAIL: 1 });
    expectState(0, undefined, 0, 0);
  });
  test("8: what a failed refill has obtained goes back, and so does the sheaf", () => {
    set(0, 0, 0, 0);
    exhaustPages(cpu);
    m.set("spurious", ALWAYS); // Past the sheaves: all objects out of the slabs, and two back.
    for (let object = kmem_cache_alloc(cpu, s, GFP_NOWAIT); object !== NULL;) {
      users.push(object);
      object = kmem_cache_alloc(cpu, s, GFP_NOWAIT);
    }
    kmem_cache_free(cpu, s, take());
    kmem_cache_free(cpu, s, take());
    m.set("spurious", 0);
    const stats = change(() => expect(alloc()).toBe(NULL));
    expect(stats).toMatchObject({ BARN_GET_FAIL: 1, SHEAF_REFILL: 2, SHEAF_FLUSH: 2, SHEAF_FREE: 1 });
    expect(stats).not.toHaveProperty("FREE_SLOWPATH");
    expectState(0, undefined, 0, 0);
  });
  test("9: the lock cannot be had again: the full sheaf goes to the barn", () => {
    set(0, 0, 0, 0);
    inWindow(() => m.set("spurious", ALWAYS));
    expect(change(() => expect(alloc()).toBe(NULL))).toMatchObject({ BARN_PUT: 1, SHEAF_REFILL: CAPACITY });
    m.set("spurious", 0);
    expectState(0, undefined, 1, 0);
  });
  test("10a: main is empty, but somebody has installed a spare: main goes to the barn", () => {
    set(0, undefined, 0, 2);
    inWindow(() => {
      nolockFree(CAPACITY + 1); // Fills main, makes it the spare, starts another one.
      nolockAlloc(1);
    });
    expect(change(alloc)).not.toHaveProperty("BARN_PUT");
    expectState(3, CAPACITY, 0, 1);
  });
  test("10b: main has got objects, there is no spare: the full sheaf is the spare", () => {
    set(0, undefined, 0, 1);
    inWindow(() => nolockFree(1));
    alloc();
    expectState(0, CAPACITY, 0, 0);
  });
  test("10c: main has got objects, the spare is empty: the full sheaf for it", () => {
    set(0, undefined, 0, 2);
    inWindow(() => {
      nolockFree(CAPACITY + 1);
      nolockAlloc(2);
    });
    expect(change(alloc)).not.toHaveProperty("BARN_PUT");
    expectState(2, CAPACITY, 0, 1);
  });
  test("10d: main and spare have got objects: the full sheaf goes to the barn", () => {
    set(0, undefined, 0, 2);
    inWindow(() => nolockFree(CAPACITY + 1));
    expect(change(alloc)).toMatchObject({ BARN_PUT: 1 });
    expectState(0, CAPACITY, 1, 0);
  });
  test("asserts that the lock is held", () => {
    const pcs = this_cpu_sheaves(cpu, s);
    expect(() => __pcs_replace_empty_main(cpu, s, pcs, GFP_KERNEL, SLAB_ALLOC_DEFAULT)).toThrow(MachineBug);
  });
});

describe("__pcs_replace_full_main", () => {
  const free = (): void => kmem_cache_free(cpu, s, take());
  const change = (action = free): Record<string, number> => counted(cpu, s, action);

  test("1: a cache without sheaves frees to its slabs", () => {
    const none = kmem_cache_create(cpu, "none", 128, { flags: SLAB_NO_SHEAVES });
    const object = kmem_cache_alloc(cpu, none, GFP_KERNEL);
    expect(counted(cpu, none, () => kmem_cache_free(cpu, none, object))).toEqual({ FREE_SLOWPATH: 1 });
  });
  test("1: without a barn too", () => {
    set(CAPACITY, undefined, 0, 0);
    withoutBarn(cpu, s, () => expect(change()).toMatchObject({ FREE_SLOWPATH: 1 }));
    expectState(CAPACITY, undefined, 0, 0);
  });
  test("2: no spare: the full main becomes it, an empty sheaf of the barn becomes main", () => {
    set(CAPACITY, undefined, 0, 1);
    expect(change()).toEqual({ FREE_FASTPATH: 1 });
    expectState(1, CAPACITY, 0, 0);
  });
  test("2, 6, 9a: no spare and none in the barn: a new sheaf", () => {
    set(CAPACITY, undefined, 0, 0);
    expect(change()).toEqual({ FREE_FASTPATH: 1, SHEAF_ALLOC: 1 });
    expectState(1, CAPACITY, 0, 0);
  });
  test("3: a spare with room is swapped in", () => {
    set(CAPACITY, 2, 0, 1);
    expect(change()).toEqual({ FREE_FASTPATH: 1 });
    expectState(3, CAPACITY, 0, 1);
  });
  test("4: the full main for an empty sheaf of the barn", () => {
    set(CAPACITY, CAPACITY, 1, 1);
    expect(change()).toEqual({ FREE_FASTPATH: 1, BARN_PUT: 1 });
    expectState(1, CAPACITY, 2, 0);
  });
  test("4: the barn has enough full ones: the spare is flushed and becomes main", () => {
    set(CAPACITY, CAPACITY, 2, 1);
    expect(change()).toMatchObject({ FREE_FASTPATH: 1, BARN_PUT_FAIL: 1, SHEAF_FLUSH: CAPACITY });
    expectState(1, CAPACITY, 2, 1);
  });
  test("4, 6, 9d: the barn has no empty one: a new sheaf, and main goes to the barn", () => {
    set(CAPACITY, CAPACITY, 0, 0);
    expect(change()).toEqual({ FREE_FASTPATH: 1, SHEAF_ALLOC: 1, BARN_PUT: 1 });
    expectState(1, CAPACITY, 1, 0);
  });
  test("5: nolock swaps with a spare that has room, and with the barn, and does no more", () => {
    set(CAPACITY, 2, 0, 0);
    expect(change(() => nolockFree(1))).toEqual({ FREE_FASTPATH: 1 });
    set(CAPACITY, undefined, 0, 1);
    expect(change(() => nolockFree(1))).toEqual({ FREE_FASTPATH: 1 });
    set(CAPACITY, CAPACITY, 0, 1);
    expect(change(() => nolockFree(1))).toEqual({ FREE_FASTPATH: 1, BARN_PUT: 1 });
  });
  test.each([
    ["the barn is full", CAPACITY, 2, 1],
    ["the barn has no empty sheaf", CAPACITY, 0, 0],
    ["there is neither a spare nor an empty sheaf", undefined, 0, 0],
  ])("5: nolock gives up when %s", (_, spare, full, empty) => {
    set(CAPACITY, spare, full, empty);
    const object = users[users.length - 1];
    let before = "";
    m.nmi(cpu, () => {
      expect(change(() => nolockFree(1))).toEqual({});
      before = m.placeOf(object);
      expectState(CAPACITY, spare, full, empty);
    });
    expect(before).toBe("deferred");
  });
  test("5: nolock only tries the barn's lock", () => {
    for (const spare of [undefined, CAPACITY]) {
      set(CAPACITY, spare, 0, 1);
      withBarnLocked(() => m.nmi(cpu, () => expect(change(() => nolockFree(1))).toEqual({})));
      expectState(CAPACITY, spare, 0, 1);
    }
  });

  /** A kmalloc cache cannot give a sheaf any more. */
  const exhaustSheaves = (): void => {
    exhaustPages(cpu);
    while (kmalloc(cpu, sheaf_bytes(CAPACITY), GFP_NOWAIT) !== NULL);
  };

  test("7: no memory for a sheaf: main is flushed", () => {
    set(CAPACITY, CAPACITY, 0, 0);
    exhaustSheaves();
    expect(change()).toMatchObject({ FREE_FASTPATH: 1, BARN_PUT_FAIL: 1, SHEAF_FLUSH: CAPACITY });
    expectState(1, CAPACITY, 0, 0);
  });
  test("7: without a spare that is no failed put", () => {
    set(CAPACITY, undefined, 0, 0);
    exhaustSheaves();
    const stats = change();
    expect(stats).toMatchObject({ FREE_FASTPATH: 1, SHEAF_FLUSH: CAPACITY });
    expect(stats).not.toHaveProperty("BARN_PUT_FAIL");
    expectState(1, undefined, 0, 0);
  });
  test("7: nothing could be flushed", () => {
    set(CAPACITY, undefined, 0, 0);
    exhaustSheaves();
    inWindow(() => {
      m.set("spurious", ALWAYS);
      inWindow(() => m.set("spurious", 0)); // Too late: it has given up by then.
    });
    expect(change()).toMatchObject({ FREE_SLOWPATH: 1 });
    m.set("spurious", 0);
    expectState(CAPACITY, undefined, 0, 0);
  });
  test("8: after the flush the lock cannot be had", () => {
    set(CAPACITY, undefined, 0, 0);
    exhaustSheaves();
    inWindow(() => m.set("spurious", ALWAYS), 0);
    expect(change()).toMatchObject({ FREE_SLOWPATH: 1, SHEAF_FLUSH: CAPACITY });
    m.set("spurious", 0);
    expectState(0, undefined, 0, 0);
  });
  test("8: main is full again after the flush: all over again", () => {
    set(CAPACITY, undefined, 0, 0);
    exhaustSheaves();
    inWindow(() => nolockFree(CAPACITY), 0);
    expect(change()).toMatchObject({ FREE_FASTPATH: CAPACITY + 1, SHEAF_FLUSH: 2 * CAPACITY });
    expectState(1, undefined, 0, 0);
  });
  test("9: the lock cannot be had again: the empty sheaf goes to the barn", () => {
    set(CAPACITY, undefined, 0, 0);
    inWindow(() => m.set("spurious", ALWAYS));
    expect(change()).toMatchObject({ FREE_SLOWPATH: 1, SHEAF_ALLOC: 1 });
    m.set("spurious", 0);
    expectState(CAPACITY, undefined, 0, 1);
  });
  test("9a: a main that has room by now becomes the spare all the same", () => {
    set(CAPACITY, undefined, 0, 0);
    inWindow(() => nolockAlloc(1));
    expect(change()).toMatchObject({ FREE_FASTPATH: 1 });
    expectState(1, CAPACITY - 1, 0, 0);
  });
  test("9b: main has room by now: the empty sheaf goes to the barn", () => {
    set(CAPACITY, CAPACITY, 0, 0);
    inWindow(() => nolockAlloc(1));
    expect(change()).not.toHaveProperty("BARN_PUT");
    expectState(CAPACITY, CAPACITY, 0, 1);
  });
  test("9c: the spare has room by now: it becomes main", () => {
    set(CAPACITY, CAPACITY, 0, 0);
    inWindow(() => {
      nolockAlloc(CAPACITY + 1);
      nolockFree(1);
    });
    expect(change()).not.toHaveProperty("BARN_PUT");
    expectState(1, CAPACITY, 0, 1);
  });
  test("asserts that the lock is held", () => {
    const pcs = this_cpu_sheaves(cpu, s);
    expect(() => __pcs_replace_full_main(cpu, s, pcs, true)).toThrow(MachineBug);
    expect(() => __pcs_install_empty_sheaf(cpu, s, pcs, NULL, get_barn(cpu, s))).toThrow(MachineBug);
  });
});
