/** Barns: each operation of spec slub 2.9, its lock, its limits. */
import { beforeEach, describe, expect, test } from "vitest";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import {
  MAX_EMPTY_SHEAVES,
  MAX_FULL_SHEAVES,
  NodeBarn,
  SlabSheaf,
  TINY_MAX_FULL_SHEAVES,
} from "../../../../../src/shared/layout/slab.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import {
  barn_get_empty_sheaf,
  barn_get_full_or_empty_sheaf,
  barn_put_empty_sheaf,
  barn_put_full_sheaf,
  barn_replace_empty_sheaf,
  barn_replace_full_sheaf,
  barn_shrink,
  E2BIG,
  EBUSY,
  ENOMEM,
  ERR_PTR,
  IS_ERR,
  max_empty_sheaves,
  max_full_sheaves,
} from "../../../../../src/shared/linux/mm/slub/barn.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { get_barn } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { alloc_empty_sheaf } from "../../../../../src/shared/linux/mm/slub/sheaf.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../../../../../src/shared/linux/sync/spinlock.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { counted, makeSheaf, problems } from "./sheaf_state.ts";

const { nr_full: NR_FULL, nr_empty: NR_EMPTY, lock: LOCK } = NodeBarn.offset;

let m: TestMachine;
let cpu: Cpu;
let s: Ptr<"kmem_cache">;
let barn: Ptr<"node_barn">;

beforeEach(() => {
  m = new TestMachine({ cpus: 2, bytes: 2 << 20 }, { tiny: 1 });
  [cpu] = m.cpus;
  s = kmem_cache_create(cpu, "test", 128);
  barn = get_barn(cpu, s);
});
const empty = (): Ptr<"slab_sheaf"> => alloc_empty_sheaf(cpu, s, GFP_KERNEL, 0);
const full = (): Ptr<"slab_sheaf"> => makeSheaf(cpu, s, 4);
const counters = (): number[] => [cpu.mem.peek(barn, NR_FULL), cpu.mem.peek(barn, NR_EMPTY)];
/** Runs `action` while another CPU holds the lock. */
const locked = (action: () => void): void => {
  const flags = spin_lock_irqsave(m.cpus[1], embedded(barn, LOCK));
  action();
  spin_unlock_irqrestore(m.cpus[1], embedded(barn, LOCK), flags);
};

test("limits are the kernel's, and less when tiny", () => {
  expect(max_full_sheaves(cpu)).toBe(TINY_MAX_FULL_SHEAVES);
  m.set("tiny", 0);
  expect([max_full_sheaves(cpu), max_empty_sheaves(cpu)]).toEqual([MAX_FULL_SHEAVES, MAX_EMPTY_SHEAVES]);
  expect(MAX_FULL_SHEAVES).toBe(10);
});
test("both lists are stacks, without a limit for puts", () => {
  const empties = [empty(), empty(), empty(), empty()];
  for (const sheaf of empties) barn_put_empty_sheaf(cpu, barn, sheaf);
  const fulls = [full(), full(), full(), full()];
  for (const sheaf of fulls) barn_put_full_sheaf(cpu, barn, sheaf);
  expect(counters()).toEqual([4, 4]);
  expect(problems(cpu, s)).toEqual([]);
  expect(empties.map(() => barn_get_empty_sheaf(cpu, barn, true))).toEqual(empties.toReversed());
  expect(barn_get_empty_sheaf(cpu, barn, true)).toBe(NULL);
  expect(fulls.map(() => barn_get_full_or_empty_sheaf(cpu, barn))).toEqual(fulls.toReversed());
  expect(counters()).toEqual([0, 0]);
});
test("barn_get_full_or_empty_sheaf() prefers a full one", () => {
  const [a, b] = [empty(), full()];
  barn_put_empty_sheaf(cpu, barn, a);
  barn_put_full_sheaf(cpu, barn, b);
  expect(barn_get_full_or_empty_sheaf(cpu, barn)).toBe(b);
  expect(barn_get_full_or_empty_sheaf(cpu, barn)).toBe(a);
  expect(barn_get_full_or_empty_sheaf(cpu, barn)).toBe(NULL);
});
test("barn_replace_empty_sheaf() exchanges, whatever the limit on empties", () => {
  const mine = [empty(), empty()];
  const theirs = [full(), full()];
  expect(barn_replace_empty_sheaf(cpu, barn, mine[0], true)).toBe(NULL);
  expect(counters()).toEqual([0, 0]);
  for (const sheaf of theirs) barn_put_full_sheaf(cpu, barn, sheaf);
  expect(mine.map((sheaf) => barn_replace_empty_sheaf(cpu, barn, sheaf, true))).toEqual(theirs.toReversed());
  expect(counters()).toEqual([0, 2]);
});
describe("barn_replace_full_sheaf()", () => {
  test("exchanges", () => {
    const [mine, theirs] = [full(), empty()];
    barn_put_empty_sheaf(cpu, barn, theirs);
    const got = barn_replace_full_sheaf(cpu, barn, mine, true);
    expect(got).toBe(theirs);
    expect(IS_ERR(got)).toBe(false);
    expect(counters()).toEqual([1, 0]);
  });
  test("-E2BIG at the limit, even if there is no empty one", () => {
    for (let i = 0; i < TINY_MAX_FULL_SHEAVES; i++) barn_put_full_sheaf(cpu, barn, full());
    const got = barn_replace_full_sheaf(cpu, barn, full(), true);
    expect(got).toBe(ERR_PTR(E2BIG));
    expect(IS_ERR(got)).toBe(true);
  });
  test("-ENOMEM without an empty one", () => {
    expect(barn_replace_full_sheaf(cpu, barn, full(), true)).toBe(ERR_PTR(ENOMEM));
  });
  test("-EBUSY, not NULL, when it may not wait for the lock", () => {
    barn_put_empty_sheaf(cpu, barn, empty());
    const mine = full();
    locked(() => expect(barn_replace_full_sheaf(cpu, barn, mine, false)).toBe(ERR_PTR(EBUSY)));
    expect(IS_ERR(barn_replace_full_sheaf(cpu, barn, mine, false))).toBe(false);
  });
});
test("a lock that is held is not waited for without allow_spin", () => {
  const mine = empty();
  barn_put_empty_sheaf(cpu, barn, empty());
  barn_put_full_sheaf(cpu, barn, full());
  locked(() => {
    expect(barn_get_empty_sheaf(cpu, barn, false)).toBe(NULL);
    expect(barn_replace_empty_sheaf(cpu, barn, mine, false)).toBe(NULL);
  });
  expect(counters()).toEqual([1, 1]);
});
test("no lock is taken where there is nothing to gain", () => {
  const mine = [empty(), full()];
  locked(() => {
    expect(barn_get_empty_sheaf(cpu, barn, true)).toBe(NULL);
    expect(barn_get_full_or_empty_sheaf(cpu, barn)).toBe(NULL);
    expect(barn_replace_empty_sheaf(cpu, barn, mine[0], true)).toBe(NULL);
    expect(barn_replace_full_sheaf(cpu, barn, mine[1], true)).toBe(ERR_PTR(ENOMEM));
  });
});
test("barn_shrink() flushes full sheaves, and frees all", () => {
  const sheaves = [full(), full(), full(), empty(), empty()];
  for (const sheaf of sheaves.slice(0, 3)) barn_put_full_sheaf(cpu, barn, sheaf);
  for (const sheaf of sheaves.slice(3)) barn_put_empty_sheaf(cpu, barn, sheaf);
  const objects = sheaves.slice(0, 3).map((sheaf) => cpu.mem.peek(sheaf, SlabSheaf.offset.objects));
  expect(counted(cpu, s, () => barn_shrink(cpu, s, barn))).toMatchObject({ SHEAF_FLUSH: 12, SHEAF_FREE: 5 });
  expect(counters()).toEqual([0, 0]);
  expect(objects.map((object) => m.placeOf(object))).toEqual(["freelist", "freelist", "freelist"]);
  expect(problems(cpu, s)).toEqual([]);
  barn_shrink(cpu, s, barn);
});
