/** Bulk allocation and free: spec slub 2.5, 2.13, 3.5. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import { local_irq_disable, local_irq_enable } from "../../../../../src/shared/cpu/context.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { __GFP_ZERO, GFP_KERNEL, GFP_NOWAIT } from "../../../../../src/shared/layout/gfp.ts";
import { ObjectArray } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { HOOK_KFENCE } from "../../../../../src/shared/layout/debug.ts";
import { KfenceState } from "../../../../../src/shared/layout/debug_kfence.ts";
import {
  is_kfence_address,
  kfence_objects_of,
  kfence_state,
} from "../../../../../src/shared/linux/mm/debug/kfence_pool.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { alloc_from_pcs_bulk, kmem_cache_alloc_bulk } from "../../../../../src/shared/linux/mm/slub/bulk_alloc.ts";
import { kfree_bulk, kmem_cache_free_bulk, read_slots } from "../../../../../src/shared/linux/mm/slub/bulk_free.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import {
  kmalloc,
  kmem_cache_alloc,
  kmem_cache_alloc_node,
  kmem_cache_free,
} from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kmalloc_slab, ZERO_SIZE_PTR } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { element, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { counted, exhaustPages, problems, setSheafState, sheafState } from "./sheaf_state.ts";

const { slots: SLOTS } = ObjectArray.offset;
/** Slots of a sheaf when tiny. */
const CAPACITY = 4;

type Obj = Ptr<"object">;

let m: TestMachine;
let cpu: Cpu;
let s: Ptr<"kmem_cache">;
let p: Ptr<"object_array">;

beforeEach(() => {
  m = new TestMachine({ cpus: 2, bytes: 2 << 20 }, { tiny: 1 });
  [cpu] = m.cpus;
  s = kmem_cache_create(cpu, "test", 128);
  p = kmalloc(cpu, 512, GFP_KERNEL) as Ptr as Ptr<"object_array">;
});
afterEach(() => {
  expect(problems(cpu, s)).toEqual([]);
});
const put = (objects: readonly Obj[]): number => {
  for (const [i, object] of objects.entries()) cpu.mem.write(p, element(SLOTS, i), object);
  return objects.length;
};
const some = (n: number): Obj[] => Array.from({ length: n }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL));
const places = (objects: readonly Obj[]): string[] => [...new Set(objects.map((object) => m.placeOf(object)))];
const state = (main: number, spare: number | undefined, full: number, empty: number): void =>
  setSheafState(cpu, s, { main, spare, full, empty });

describe("kmem_cache_alloc_bulk()", () => {
  test("takes main, the spare, full sheaves of the barn, and the rest from slabs", () => {
    state(2, CAPACITY, 1, 0);
    const stats = counted(cpu, s, () => expect(kmem_cache_alloc_bulk(cpu, s, GFP_KERNEL, 13, p)).toBe(true));
    expect(stats).toMatchObject({ ALLOC_FASTPATH: 10, BARN_GET: 1, BARN_GET_FAIL: 1, ALLOC_SLOWPATH: 3 });
    expect(stats).not.toHaveProperty("SHEAF_REFILL"); // Slabs fill the array directly.
    const objects = read_slots(cpu, p, 13);
    expect(new Set(objects).size).toBe(13);
    expect(places(objects)).toEqual(["user"]);
    expect(sheafState(cpu, s)).toEqual({ main: 0, spare: 0, full: 0, empty: 1 });
  });
  test("zeroes if asked to", () => {
    const objects = some(5);
    for (const object of objects) cpu.mem.fill(object, 128, 0xff);
    for (const object of objects) kmem_cache_free(cpu, s, object);
    kmem_cache_alloc_bulk(cpu, s, GFP_KERNEL | __GFP_ZERO, 5, p);
    for (const object of read_slots(cpu, p, 5)) expect(cpu.mem.load_byte(object + 127)).toBe(0);
  });
  test("all or nothing", () => {
    state(3, undefined, 0, 0);
    exhaustPages(cpu);
    const free = nr_free_pages(cpu);
    expect(kmem_cache_alloc_bulk(cpu, s, GFP_NOWAIT, 60, p)).toBe(false);
    expect(places(read_slots(cpu, p, 3))).toEqual(["freelist"]);
    expect(nr_free_pages(cpu)).toBe(free);
  });
  test("one of them may be KFENCE's, at any place; without the others it goes back", () => {
    m = new TestMachine({ cpus: 1, bytes: 2 << 20 }, { tiny: 1, hooks: HOOK_KFENCE });
    [cpu] = m.cpus;
    s = kmem_cache_create(cpu, "test", 128);
    p = kmalloc(cpu, 2048, GFP_KERNEL) as Ptr as Ptr<"object_array">;
    cpu.mem.poke(kfence_state(cpu), KfenceState.offset.sample, 1); // Each time.
    const places_of_it = new Set<number>();
    for (let i = 0; i < 40; i++) {
      expect(kmem_cache_alloc_bulk(cpu, s, GFP_KERNEL, 3, p)).toBe(true);
      const objects = read_slots(cpu, p, 3);
      expect(places(objects)).toEqual(["user"]);
      const guarded = objects.filter((object) => is_kfence_address(cpu, object));
      expect([guarded.length, new Set(objects).size]).toEqual([1, 3]);
      places_of_it.add(objects.indexOf(guarded[0]));
      kmem_cache_free_bulk(cpu, s, 3, p);
    }
    expect(places_of_it).toEqual(new Set([0, 1, 2]));
    state(2, undefined, 0, 0);
    exhaustPages(cpu);
    const before = kfence_objects_of(cpu, s).length;
    expect(kmem_cache_alloc_bulk(cpu, s, GFP_NOWAIT, 200, p)).toBe(false);
    expect(kfence_objects_of(cpu, s)).toHaveLength(before);
  });
  test("a trylock that fails leaves it all to the slabs", () => {
    state(4, undefined, 0, 0);
    m.set("spurious", -1);
    expect(counted(cpu, s, () => expect(alloc_from_pcs_bulk(cpu, s, 3, p)).toBe(0))).toEqual({});
    expect(kmem_cache_alloc_bulk(cpu, s, GFP_KERNEL, 3, p)).toBe(true);
    m.set("spurious", 0);
    expect(sheafState(cpu, s).main).toBe(4);
  });
  test("wants IRQs on", () => {
    local_irq_disable(cpu);
    expect(() => kmem_cache_alloc_bulk(cpu, s, GFP_NOWAIT, 1, p)).toThrow(MachineBug);
    expect(() => kmem_cache_free_bulk(cpu, s, 0, p)).toThrow(MachineBug);
    expect(() => kfree_bulk(cpu, 0, p)).toThrow(MachineBug);
    local_irq_enable(cpu);
    expect(kmem_cache_alloc_bulk(cpu, s, GFP_NOWAIT, 0, p)).toBe(true);
  });
});

describe("kmem_cache_free_bulk()", () => {
  test("fills main, swaps in the spare and an empty sheaf of the barn, the rest goes to slabs", () => {
    const objects = some(11);
    state(3, 2, 0, 1);
    const stats = counted(cpu, s, () => kmem_cache_free_bulk(cpu, s, put(objects), p));
    // 1 into main, 2 into the spare, 4 into a sheaf of the barn; the barn has no other, so 4 to slabs.
    expect(stats).toMatchObject({ FREE_FASTPATH: 7, BARN_PUT: 1, BARN_PUT_FAIL: 1, FREE_SLOWPATH: 4 });
    expect(places(objects.slice(0, 7))).toEqual(["sheaf"]);
    expect(places(objects.slice(7))).toEqual(["freelist"]);
    expect(sheafState(cpu, s)).toEqual({ main: CAPACITY, spare: CAPACITY, full: 1, empty: 0 });
  });
  test("without a spare it takes an empty sheaf of the barn, or none", () => {
    const objects = some(9);
    state(4, undefined, 0, 1);
    const stats = counted(cpu, s, () => kmem_cache_free_bulk(cpu, s, put(objects), p));
    expect(stats).toMatchObject({ FREE_FASTPATH: 4, FREE_SLOWPATH: 5, BARN_PUT_FAIL: 1 });
    state(4, undefined, 0, 0);
    const more = counted(cpu, s, () => kmem_cache_free_bulk(cpu, s, put(some(2)), p));
    expect(more).toMatchObject({ ALLOC_FASTPATH: 2, FREE_FASTPATH: 2 }); // Into the room that some() made.
    expect(counted(cpu, s, () => undefined)).toEqual({});
  });
  test("a trylock that fails leaves all to the slabs", () => {
    const objects = some(6);
    m.set("spurious", -1);
    const stats = counted(cpu, s, () => kmem_cache_free_bulk(cpu, s, put(objects), p));
    m.set("spurious", 0);
    expect(stats).toMatchObject({ FREE_SLOWPATH: 6 });
    expect(stats).not.toHaveProperty("FREE_FASTPATH");
  });
  test("objects of one slab are freed by one update", () => {
    const none = kmem_cache_create(cpu, "none", 128, { flags: SLAB_NO_SHEAVES });
    const objects = Array.from({ length: 32 }, () => kmem_cache_alloc(cpu, none, GFP_KERNEL)); // A slab of them.
    const other = kmem_cache_alloc(cpu, none, GFP_KERNEL);
    // The other slab's object last: taken alone. One in between: passed over.
    const mixed = [...objects.slice(0, 8), other, ...objects.slice(8, 16)];
    const stats = counted(cpu, none, () => kmem_cache_free_bulk(cpu, none, put(mixed), p));
    expect(stats).toEqual({ FREE_SLOWPATH: 17, FREE_ADD_PARTIAL: 1 });
    expect(places(mixed)).toEqual(["freelist"]);
    expect(problems(cpu, none)).toEqual([]);
  });
  test("an object of another cache is reported and leaks, the others are freed", () => {
    m.set("panic_on_warn", 0);
    const foreign = kmalloc(cpu, 64, GFP_KERNEL);
    const [a, b] = some(2);
    kmem_cache_free_bulk(cpu, s, put([a, foreign, b]), p);
    expect(places([a, b])).toEqual(["sheaf"]);
    expect(m.placeOf(foreign)).toBe("user");
    m.set("panic_on_warn", 1);
    expect(() => kmem_cache_free_bulk(cpu, s, put([foreign]), p)).toThrow(/not from that cache/);
  });
  test("twice is caught", () => {
    const [a] = some(1);
    expect(() => kmem_cache_free_bulk(cpu, s, put([a, a]), p)).toThrow(MachineBug);
  });
});
test("remote objects go to their slabs, local ones to the sheaves; none is lost", () => {
  m = new TestMachine({ cpus: 2, nodes: 2 });
  [cpu] = m.cpus;
  s = kmem_cache_create(cpu, "test", 128);
  p = kmalloc(cpu, 512, GFP_KERNEL) as Ptr as Ptr<"object_array">;
  const near = some(3);
  const far = Array.from({ length: 4 }, () => kmem_cache_alloc_node(cpu, s, GFP_KERNEL, 1));
  const stats = counted(cpu, s, () =>
    kmem_cache_free_bulk(cpu, s, put([far[0], near[0], far[1], far[2], near[1], near[2], far[3]]), p),
  );
  expect(stats).toMatchObject({ FREE_FASTPATH: 3, FREE_SLOWPATH: 4 });
  expect(places(near)).toEqual(["sheaf"]);
  expect(places(far)).toEqual(["freelist"]);
});

describe("kfree_bulk()", () => {
  test("takes objects of all sizes, past the sheaves", () => {
    const objects = [64, 64, 200, 64, 9000, 8].map((size) => kmalloc(cpu, size, GFP_KERNEL));
    const bucket = kmalloc_slab(cpu, 64, GFP_KERNEL);
    const stats = counted(cpu, bucket, () => kfree_bulk(cpu, put([...objects, NULL, ZERO_SIZE_PTR]), p));
    expect(stats).toMatchObject({ FREE_SLOWPATH: 3 });
    expect(stats).not.toHaveProperty("FREE_FASTPATH");
    expect(places(objects).toSorted()).toEqual(["freelist", "none"]);
  });
});
