/** Prefilled sheaves: spec slub 2.12. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { HOOK_KFENCE, HOOK_MEMCG } from "../../../../../src/shared/layout/debug.ts";
import { KfenceState } from "../../../../../src/shared/layout/debug_kfence.ts";
import { MemcgState } from "../../../../../src/shared/layout/debug_memcg.ts";
import { __GFP_MEMALLOC, __GFP_ZERO, GFP_KERNEL, GFP_NOWAIT } from "../../../../../src/shared/layout/gfp.ts";
import { SheafPrefill, SlabSheaf } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_ACCOUNT, SLAB_RED_ZONE } from "../../../../../src/shared/layout/slab_flags.ts";
import { is_kfence_address, kfence_state } from "../../../../../src/shared/linux/mm/debug/kfence_pool.ts";
import { memcg_state } from "../../../../../src/shared/linux/mm/debug/objcg.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { ENOMEM, ERR_PTR } from "../../../../../src/shared/linux/mm/slub/barn.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { check_quiescent_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import {
  EINVAL,
  kmem_cache_alloc_from_sheaf,
  kmem_cache_prefill_sheaf,
  kmem_cache_refill_sheaf,
  kmem_cache_return_sheaf,
  kmem_cache_sheaf_size,
} from "../../../../../src/shared/linux/mm/slub/prefill.ts";
import { O_PREFILLED } from "../../../../../src/shared/mem/oracle.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { counted, exhaustPages, problems, setSheafState, sheafState, type SheafState } from "./sheaf_state.ts";

/** Slots of a sheaf when tiny; a barn then takes 2 full ones. */
const CAPACITY = 4;

type Sheaf = Ptr<"slab_sheaf">;

let m: TestMachine;
let cpu: Cpu;
let s: Ptr<"kmem_cache">;
const boot = (words = {}, flags = 0): void => {
  m = new TestMachine({ cpus: 1 }, { tiny: 1, ...words });
  [cpu] = m.cpus;
  s = kmem_cache_create(cpu, "test", 128, { flags });
};
beforeEach(() => boot());
afterEach(() => expect(problems(cpu, s)).toEqual([]));

const prefill = (size: number, gfp = GFP_KERNEL): Sheaf => kmem_cache_prefill_sheaf(cpu, s, gfp, size);
const refill = (sheaf: Sheaf, size: number, gfp = GFP_KERNEL): Sheaf =>
  kmem_cache_refill_sheaf(cpu, s, gfp, sheaf, size);
const give = (sheaf: Sheaf, gfp = GFP_KERNEL): void => kmem_cache_return_sheaf(cpu, s, gfp, sheaf);
const take = (sheaf: Sheaf, gfp = 0): Ptr<"object"> => kmem_cache_alloc_from_sheaf(cpu, s, gfp, sheaf);
const size = (sheaf: Sheaf): number => kmem_cache_sheaf_size(cpu, sheaf);
const words = (sheaf: Sheaf): number[] => {
  const at = embedded(sheaf, SlabSheaf.offset.prefill);
  return [cpu.mem.peek(at, SheafPrefill.offset.capacity), cpu.mem.peek(at, SheafPrefill.offset.pfmemalloc)];
};
/** Takes everything out, and frees it. */
const use_up = (sheaf: Sheaf): number => {
  let n = 0;
  for (let object = take(sheaf); object !== NULL; object = take(sheaf), n++) kmem_cache_free(cpu, s, object);
  return n;
};
const whole = (): string[] => check_quiescent_cache(cpu, s, 0, true);

describe("kmem_cache_prefill_sheaf()", () => {
  test.each<[string, SheafState, number, number, SheafState, object]>([
    [
      "takes a full spare as it is",
      { main: 0, spare: 4, full: 0, empty: 0 },
      1,
      4,
      { main: 0, full: 0, empty: 0 },
      { SHEAF_PREFILL_FAST: 1 },
    ],
    [
      "takes a spare that is full enough, and does not fill it",
      { main: 0, spare: 3, full: 0, empty: 0 },
      3,
      3,
      { main: 0, full: 0, empty: 0 },
      { SHEAF_PREFILL_FAST: 1 },
    ],
    [
      "fills a spare that is not",
      { main: 0, spare: 2, full: 0, empty: 0 },
      3,
      4,
      { main: 0, full: 0, empty: 0 },
      { SHEAF_PREFILL_FAST: 1, SHEAF_REFILL: 2 },
    ],
    [
      "takes a full one of the barn",
      { main: 2, full: 1, empty: 1 },
      4,
      4,
      { main: 2, full: 0, empty: 1 },
      { SHEAF_PREFILL_SLOW: 1, BARN_GET: 1 },
    ],
    [
      "takes an empty one of the barn",
      { main: 2, full: 0, empty: 1 },
      1,
      4,
      { main: 2, full: 0, empty: 0 },
      { SHEAF_PREFILL_SLOW: 1, BARN_GET_FAIL: 1, SHEAF_REFILL: 4 },
    ],
    [
      "makes a new one",
      { main: 2, full: 0, empty: 0 },
      1,
      4,
      { main: 2, full: 0, empty: 0 },
      { SHEAF_PREFILL_SLOW: 1, BARN_GET_FAIL: 1, SHEAF_ALLOC: 1, SHEAF_REFILL: 4 },
    ],
  ])("%s", (_, state, asked, got, left, counts) => {
    setSheafState(cpu, s, state);
    let sheaf: Sheaf = NULL;
    const { ALLOC_SLAB: _slabs, ...stats } = counted(cpu, s, () => (sheaf = prefill(asked)));
    expect(stats).toEqual(counts);
    expect(size(sheaf)).toBe(got);
    expect(words(sheaf)).toEqual([CAPACITY, 0]);
    expect(sheafState(cpu, s)).toEqual({ spare: undefined, ...left });
    expect(use_up(sheaf)).toBe(got);
    give(sheaf);
    expect(whole()).toEqual([]);
  });
  test("nothing is NULL", () => {
    expect(counted(cpu, s, () => expect(prefill(0)).toBe(NULL))).toEqual({});
  });
  test("more than a sheaf holds comes in one of its own, which is not kept", () => {
    let sheaf: Sheaf = NULL;
    const stats = counted(cpu, s, () => (sheaf = prefill(10)));
    expect(stats).toMatchObject({ SHEAF_PREFILL_OVERSIZE: 1, SHEAF_ALLOC: 1, ALLOC_SLOWPATH: 10 });
    expect(stats).not.toHaveProperty("SHEAF_REFILL");
    expect([size(sheaf), ...words(sheaf)]).toEqual([10, 10, 0]);
    take(sheaf);
    const back = counted(cpu, s, () => give(sheaf));
    expect(back).toMatchObject({ SHEAF_FLUSH: 9, SHEAF_FREE: 1 });
    expect(back).not.toHaveProperty("SHEAF_RETURN_FAST");
    expect(check_quiescent_cache(cpu, s, 1, true)).toEqual([]);
  });
  test("works for a cache without sheaves", () => {
    s = kmem_cache_create(cpu, "debug", 64, { flags: SLAB_RED_ZONE });
    const sheaf = prefill(1);
    expect([size(sheaf), ...words(sheaf)]).toEqual([1, 1, 0]);
    expect(use_up(sheaf)).toBe(1);
    expect(size(refill(sheaf, 1))).toBe(1);
    give(sheaf);
    expect(whole()).toEqual([]);
  });
  test.each([3, 10])("without memory for %i it is NULL, and nothing is lost", (asked) => {
    exhaustPages(cpu);
    let got = 0;
    const sheaves: Sheaf[] = [];
    for (let sheaf = prefill(asked); sheaf !== NULL; sheaf = prefill(asked)) {
      sheaves.push(sheaf);
      got += size(sheaf);
    }
    expect(nr_free_pages(cpu)).toBe(0);
    expect(check_quiescent_cache(cpu, s, got, false)).toEqual([]);
    const alive = counted(cpu, s, () => expect(prefill(asked)).toBe(NULL));
    expect(alive["SHEAF_ALLOC"]).toBe(alive["SHEAF_FREE"]);
    for (const sheaf of sheaves) give(sheaf);
    expect(whole()).toEqual([]);
  });
  test("is for tasks", () => {
    m.irq(cpu, () => expect(() => prefill(1, GFP_NOWAIT)).toThrow(MachineBug));
    m.nmi(cpu, () => expect(() => prefill(1, GFP_NOWAIT)).toThrow(/NMI/));
  });
});

describe("kmem_cache_alloc_from_sheaf()", () => {
  test("takes what is there, and never asks the cache", () => {
    setSheafState(cpu, s, { main: 4, full: 0, empty: 0 });
    const sheaf = prefill(3);
    const stats = counted(cpu, s, () => {
      for (let left = size(sheaf); left > 0; left--) {
        expect(size(sheaf)).toBe(left);
        expect(m.placeOf(take(sheaf))).toBe("user");
      }
      expect(take(sheaf)).toBe(NULL);
    });
    expect(stats).toEqual({});
    give(sheaf);
    expect(check_quiescent_cache(cpu, s, 4, true)).toEqual([]);
  });
  test("an object in such a sheaf is nobody else's", () => {
    prefill(CAPACITY);
    const [held, ...others] = m.oracle.objectsIn(O_PREFILLED);
    expect(others).toHaveLength(CAPACITY - 1);
    expect(m.placeOf(held)).toBe("prefilled");
    expect(() => kmem_cache_free(cpu, s, held)).toThrow(/double free|wrong place/);
    boot();
  });
  test("zeroes", () => {
    const sheaf = prefill(1);
    const object = take(sheaf);
    cpu.mem.fill(object, 128, 0x77);
    kmem_cache_free(cpu, s, object);
    give(sheaf);
    setSheafState(cpu, s, { main: 0, spare: 4, full: 0, empty: 0 });
    const again = prefill(4);
    for (let left = 4; left > 0; left--) {
      const zeroed = take(again, __GFP_ZERO);
      for (let i = 0; i < 128; i += 4) expect(cpu.mem.load_word(zeroed + i)).toBe(0);
    }
    give(again);
  });
  test("is charged past the limit rather than refused", () => {
    boot({ hooks: HOOK_MEMCG }, SLAB_ACCOUNT);
    cpu.mem.poke(memcg_state(cpu), MemcgState.offset.max, 0);
    expect(kmem_cache_alloc(cpu, s, GFP_KERNEL)).toBe(NULL);
    const sheaf = prefill(2);
    const object = take(sheaf);
    expect(m.placeOf(object)).toBe("user");
    expect(cpu.mem.peek(memcg_state(cpu), MemcgState.offset.memory)).toBeGreaterThan(0);
    kmem_cache_free(cpu, s, object);
    give(sheaf);
  });
  test("may be one of KFENCE's: then the sheaf keeps its own", () => {
    boot({ hooks: HOOK_KFENCE });
    const sheaf = prefill(4);
    cpu.mem.poke(kfence_state(cpu), KfenceState.offset.sample, 1); // Each of them.
    const object = take(sheaf);
    expect([is_kfence_address(cpu, object), size(sheaf)]).toEqual([true, 4]);
    kmem_cache_free(cpu, s, object);
    give(sheaf);
  });
});

describe("kmem_cache_return_sheaf()", () => {
  test("becomes the spare, filled or not", () => {
    const sheaf = prefill(2);
    kmem_cache_free(cpu, s, take(sheaf));
    const stats = counted(cpu, s, () => give(sheaf));
    expect(stats).toEqual({ SHEAF_RETURN_FAST: 1 });
    expect(sheafState(cpu, s).spare).toBe(3);
    expect(whole()).toEqual([]);
  });
  test("is refilled for the barn", () => {
    const sheaf = prefill(2);
    kmem_cache_free(cpu, s, take(sheaf));
    setSheafState(cpu, s, { main: 0, spare: 0, full: 1, empty: 0 });
    const stats = counted(cpu, s, () => give(sheaf));
    expect(stats).toMatchObject({ SHEAF_RETURN_SLOW: 1, SHEAF_REFILL: 1, BARN_PUT: 1 });
    expect(sheafState(cpu, s)).toEqual({ main: 0, spare: 0, full: 2, empty: 0 });
    expect(whole()).toEqual([]);
  });
  test("goes to pieces when the barn has enough", () => {
    const sheaf = prefill(2);
    setSheafState(cpu, s, { main: 0, spare: 0, full: 2, empty: 0 });
    const stats = counted(cpu, s, () => give(sheaf));
    expect(stats).toMatchObject({ SHEAF_RETURN_SLOW: 1, SHEAF_FLUSH: 4, SHEAF_FREE: 1 });
    expect(sheafState(cpu, s)).toEqual({ main: 0, spare: 0, full: 2, empty: 0 });
    expect(whole()).toEqual([]);
  });
  test("goes to pieces when it cannot be refilled", () => {
    const sheaves = [prefill(2), prefill(2)];
    for (const sheaf of sheaves) for (let i = 0; i < 3; i++) take(sheaf);
    exhaustPages(cpu);
    let users = 6;
    while (kmem_cache_alloc(cpu, s, GFP_KERNEL) !== NULL) users++;
    give(sheaves[0]);
    const stats = counted(cpu, s, () => give(sheaves[1]));
    expect(stats).toMatchObject({ SHEAF_RETURN_SLOW: 1, SHEAF_FLUSH: 1, SHEAF_FREE: 1 });
    expect(sheafState(cpu, s)).toMatchObject({ spare: 1, full: 0 });
    expect(check_quiescent_cache(cpu, s, users, false)).toEqual([]);
  });
});

describe("kmem_cache_refill_sheaf()", () => {
  test("there must be one", () => {
    expect(refill(NULL, 1)).toBe(ERR_PTR(EINVAL));
  });
  test("has enough: nothing happens", () => {
    const sheaf = prefill(2);
    kmem_cache_free(cpu, s, take(sheaf));
    expect(counted(cpu, s, () => expect(refill(sheaf, 3)).toBe(sheaf))).toEqual({});
    expect(size(sheaf)).toBe(3);
    give(sheaf);
  });
  test("is filled to the brim", () => {
    const sheaf = prefill(2);
    const objects = [take(sheaf), take(sheaf), take(sheaf)];
    expect(counted(cpu, s, () => expect(refill(sheaf, 2)).toBe(sheaf))).toMatchObject({ SHEAF_REFILL: 3 });
    expect(size(sheaf)).toBe(CAPACITY);
    for (const object of objects) kmem_cache_free(cpu, s, object);
    expect(use_up(sheaf)).toBe(CAPACITY);
    give(sheaf);
    expect(whole()).toEqual([]);
  });
  test("a large one is filled from slabs", () => {
    const sheaf = prefill(10);
    expect(use_up(sheaf)).toBe(10);
    expect(counted(cpu, s, () => expect(refill(sheaf, 6)).toBe(sheaf))).toMatchObject({ ALLOC_SLOWPATH: 10 });
    expect(size(sheaf)).toBe(10);
    give(sheaf);
    expect(whole()).toEqual([]);
  });
  test("another takes its place if it is too small", () => {
    const sheaf = prefill(2);
    const larger = refill(sheaf, 9);
    expect(larger).not.toBe(sheaf);
    expect([size(larger), ...words(larger)]).toEqual([9, 9, 0]);
    expect(sheafState(cpu, s).spare).toBe(CAPACITY); // The old one.
    give(larger);
    expect(whole()).toEqual([]);
  });
  test.each([4, 9])("without memory for %i the old one is kept", (asked) => {
    const sheaf = prefill(2);
    for (let i = 0; i < 3; i++) take(sheaf);
    exhaustPages(cpu);
    let users = 3;
    while (kmem_cache_alloc(cpu, s, GFP_KERNEL) !== NULL) users++;
    expect(refill(sheaf, asked)).toBe(ERR_PTR(ENOMEM));
    expect(size(sheaf)).toBe(1);
    expect(m.placeOf(take(sheaf))).toBe("user");
    give(sheaf);
    expect(check_quiescent_cache(cpu, s, users + 1, false)).toEqual([]);
  });
});

describe("emergency reserves (slub B12)", () => {
  const RESERVE = 8;
  /** Nothing is left but the reserve. */
  const exhausted = (): number => {
    m.set("min_free_pages", RESERVE);
    exhaustPages(cpu);
    let users = 0;
    while (kmem_cache_alloc(cpu, s, GFP_KERNEL) !== NULL) users++;
    return users;
  };
  test("a sheaf filled from them says so, and nothing of it reaches other users", () => {
    const sheaf = prefill(1, GFP_KERNEL | __GFP_MEMALLOC);
    expect(words(sheaf)).toEqual([CAPACITY, 0]); // There was other memory.
    use_up(sheaf);
    give(sheaf);
    const users = exhausted();
    expect(prefill(1)).toBe(NULL);
    const reserved = prefill(1, GFP_KERNEL | __GFP_MEMALLOC);
    expect(words(reserved)).toEqual([CAPACITY, 1]);
    const object = take(reserved);
    kmem_cache_free(cpu, s, object);
    expect(m.placeOf(object)).toBe("freelist"); // Not in a sheaf.
    const stats = counted(cpu, s, () => give(reserved));
    expect(stats).toMatchObject({ SHEAF_FLUSH: 3, SHEAF_FREE: 1 });
    expect(kmem_cache_alloc(cpu, s, GFP_KERNEL)).toBe(NULL);
    expect(check_quiescent_cache(cpu, s, users, false)).toEqual([]);
  });
  test("a sheaf that is returned is not filled from them for the barn", () => {
    const sheaf = prefill(1);
    for (let i = 0; i < 3; i++) take(sheaf);
    setSheafState(cpu, s, { main: 0, spare: 0, full: 0, empty: 0 });
    const users = 3 + exhausted();
    setSheafState(cpu, s, { main: 0, spare: 0, full: 0, empty: 0 });
    const stats = counted(cpu, s, () => give(sheaf, GFP_KERNEL | __GFP_MEMALLOC));
    expect(stats).toMatchObject({ SHEAF_RETURN_SLOW: 1, SHEAF_FLUSH: 1, SHEAF_FREE: 1 });
    expect(sheafState(cpu, s).full).toBe(0);
    expect(check_quiescent_cache(cpu, s, users, false)).toEqual([]);
  });
});
