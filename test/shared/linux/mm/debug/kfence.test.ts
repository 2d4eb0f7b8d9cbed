/** KFENCE: where its objects come from and go to, what it notices, and what the others make of its objects. */
import { beforeEach, describe, expect, test } from "vitest";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import { bind_callback } from "../../../../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { FIRST_FREE_CALLBACK } from "../../../../../src/shared/layout/callbacks.ts";
import { HOOK_KASAN, HOOK_KFENCE } from "../../../../../src/shared/layout/debug.ts";
import { KfenceState } from "../../../../../src/shared/layout/debug_kfence.ts";
import { __GFP_THISNODE, __GFP_ZERO, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { SLAB_SKIP_KFENCE, SLAB_TYPESAFE_BY_RCU } from "../../../../../src/shared/layout/slab_flags.ts";
import { debug_check } from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import {
  is_kfence_address,
  kfence_object_start,
  kfence_objects_of,
  kfence_state,
} from "../../../../../src/shared/linux/mm/debug/kfence_pool.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kvmalloc_obj_start_addr } from "../../../../../src/shared/linux/mm/kvfree_rcu/object_start.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { check_quiescent_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import {
  kfree,
  kmalloc,
  kmem_cache_alloc,
  kmem_cache_free,
  ksize,
} from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import type { CallbackId, Ptr } from "../../../../../src/shared/mem/struct.ts";
import { check_quiescence, take_account } from "../../../../../src/workers/quiescence.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const { sample: SAMPLE, num_objects: NUM_OBJECTS, pool: POOL } = KfenceState.offset;
const CTOR = (FIRST_FREE_CALLBACK + 3) as CallbackId;

let m: TestMachine;
let cpu: Cpu;
let other: Cpu;
/** From now on one allocation in `n` comes from the pool. */
const sample = (n: number): void => cpu.mem.poke(kfence_state(cpu), SAMPLE, n);
beforeEach(() => {
  m = new TestMachine({ cpus: 2 }, { hooks: HOOK_KFENCE });
  [cpu, other] = m.cpus as [Cpu, Cpu];
  sample(1);
});
const things = (flags = 0): Ptr<"kmem_cache"> => kmem_cache_create(cpu, "things", Thing.size, { flags });
const problems = (): string[] => debug_check(cpu, take_account(cpu).censuses);

describe("an object of the pool", () => {
  test("lies at either end of a page of its own", () => {
    const offsets = new Set<number>();
    for (let i = 0; i < 40; i++) {
      const object = kmalloc(cpu, 90, GFP_KERNEL);
      expect(is_kfence_address(cpu, object)).toBe(true);
      expect(ksize(cpu, object)).toBe(96);
      expect(kfence_object_start(cpu, (object + 95) as Ptr)).toBe(object);
      expect(kvmalloc_obj_start_addr(cpu, (object + 8) as Ptr)).toBe(object);
      offsets.add(object & (PAGE_SIZE - 1));
      kfree(cpu, object);
    }
    expect(offsets).toEqual(new Set([0, PAGE_SIZE - 96]));
    expect(problems()).toEqual([]);
  });
  test("is cleared, and constructed, as asked for", () => {
    const zeroes = kmalloc(cpu, 64, GFP_KERNEL | __GFP_ZERO);
    expect([cpu.mem.load_word(zeroes), cpu.mem.load_word(zeroes + 60)]).toEqual([0, 0]);
    bind_callback(CTOR, (on, object) => on.mem.store_word(object, 77));
    const made = kmem_cache_alloc(cpu, kmem_cache_create(cpu, "made", 64, { ctor: CTOR }), GFP_KERNEL);
    expect([is_kfence_address(cpu, made), cpu.mem.load_word(made)]).toEqual([true, 77]);
  });
  test("may be freed on another CPU, and is then the last to be given out again", () => {
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    kfree(other, object);
    expect(m.placeOf(object)).toBe("none");
    for (let left = cpu.mem.peek(kfence_state(cpu), NUM_OBJECTS); left > 1; left--) {
      expect(kmalloc(cpu, 64, GFP_KERNEL) & -PAGE_SIZE).not.toBe(object & -PAGE_SIZE);
    }
    expect(kmalloc(cpu, 64, GFP_KERNEL) & -PAGE_SIZE).toBe(object & -PAGE_SIZE);
    expect(is_kfence_address(cpu, kmalloc(cpu, 64, GFP_KERNEL))).toBe(false); // None is left.
  });
  test("is a user's object in the account of its cache", () => {
    const s = things();
    const objects = [kmem_cache_alloc(cpu, s, GFP_KERNEL)];
    sample(1 << 30);
    objects.push(kmem_cache_alloc(cpu, s, GFP_KERNEL));
    expect(objects.map((object) => is_kfence_address(cpu, object))).toEqual([true, false]);
    expect(kfence_objects_of(cpu, s)).toEqual([objects[0]]);
    expect(check_quiescent_cache(cpu, s, 2, true)).toEqual([]);
    expect(check_page_allocator(cpu)).toEqual([]);
  });
  test.each([
    ["kmalloc_nolock()", () => kmalloc_nolock(cpu, 64, 0, NUMA_NO_NODE)],
    ["what does not fit a page", () => kmalloc(cpu, PAGE_SIZE + 1, GFP_KERNEL)],
    ["__GFP_THISNODE", () => kmalloc(cpu, 64, GFP_KERNEL | __GFP_THISNODE)],
    ["SLAB_SKIP_KFENCE", () => kmem_cache_alloc(cpu, things(SLAB_SKIP_KFENCE), GFP_KERNEL)],
  ])("is not for %s", (_, alloc) => {
    expect(is_kfence_address(cpu, alloc())).toBe(false);
  });
  test("one allocation in some is", () => {
    sample(8);
    let found = 0;
    for (let i = 0; i < 400; i++) {
      const object = kmalloc(cpu, 64, GFP_KERNEL);
      if (is_kfence_address(cpu, object)) found++;
      kfree(cpu, object);
    }
    expect(found).toBeGreaterThan(20);
    expect(found).toBeLessThan(120);
  });
});

describe("kfree_rcu()", () => {
  test.each([
    ["sheaf", 0],
    ["krc", 0x4000 /* SLAB_NO_SHEAVES */],
  ])("of an object of the pool, by way of a %s", (place, flags) => {
    const thing = kmem_cache_alloc(cpu, things(flags), GFP_KERNEL) as Ptr as ThingPtr;
    expect(is_kfence_address(cpu, thing)).toBe(true);
    kfree_rcu(cpu, thing, Thing.offset.head);
    expect(m.placeOf(thing)).toContain(place);
    kvfree_rcu_barrier(cpu);
    expect(m.placeOf(thing)).toBe("none");
    expect(problems()).toEqual([]);
  });
});

describe("it notices", () => {
  test("a second free", () => {
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    kfree(cpu, object);
    expect(() => kfree(cpu, object)).toThrow(/KFENCE: invalid free/);
    m.set("panic_on_warn", 0);
    kfree(cpu, object);
    expect(m.placeOf(object)).toBe("none");
  });
  test("a free of an address inside an object", () => {
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    expect(() => kfree(cpu, (object + 8) as Ptr)).toThrow(/KFENCE: invalid free/);
  });
  test.each([
    ["before", -1],
    ["behind", 64],
  ])("a byte that was written %s an object", (_, at) => {
    for (let i = 0; i < 8; i++) {
      const object = kmalloc(cpu, 64, GFP_KERNEL);
      const before = cpu.mem.load_byte(object + at);
      cpu.mem.store_byte(object + at, 1);
      expect(() => kfree(cpu, object)).toThrow(/KFENCE: memory corruption: written out of bounds/);
      cpu.mem.store_byte(object + at, before);
    }
  });
  test("a write after the free, when the page is used again", () => {
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    kfree(cpu, object);
    cpu.mem.store_byte(object + 17, 1);
    for (let left = cpu.mem.peek(kfence_state(cpu), NUM_OBJECTS); left > 1; left--) kmalloc(cpu, 64, GFP_KERNEL);
    expect(() => kmalloc(cpu, 64, GFP_KERNEL)).toThrow(/KFENCE: use-after-free: written to object/);
  });
  test("a write far away from any object, at rest", () => {
    expect(problems()).toEqual([]);
    cpu.mem.store_byte(cpu.mem.peek(kfence_state(cpu), POOL) + 2 * PAGE_SIZE + 1000, 1);
    expect(problems()).toEqual([expect.stringContaining("in a page between objects")]);
  });
});

describe("a cache that goes away", () => {
  test("takes its freed objects along: a late free finds no cache", () => {
    const s = things();
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    kmem_cache_free(cpu, s, object);
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
    expect(() => kfree(cpu, object)).toThrow(/no kmem_cache/);
  });
  test("is warned about if it leaves an object, which is never used again", () => {
    const s = things();
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(() => kmem_cache_destroy(cpu, s)).toThrow(/KFENCE: 1 objects remaining/);
    for (let i = 0; i < 2 * cpu.mem.peek(kfence_state(cpu), NUM_OBJECTS); i++) {
      expect(kmalloc(cpu, 64, GFP_KERNEL) & -PAGE_SIZE).not.toBe(object & -PAGE_SIZE);
    }
  });
  test("waits for the grace period of its typesafe objects", () => {
    const s = things(SLAB_TYPESAFE_BY_RCU);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    kmem_cache_free(cpu, s, object);
    expect(m.placeOf(object)).toBe("kept");
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
    expect(m.placeOf(object)).toBe("none");
  });
});

test("with KASAN: each takes its own objects, and the account closes", () => {
  m = new TestMachine({ cpus: 2 }, { hooks: HOOK_KFENCE | HOOK_KASAN });
  [cpu, other] = m.cpus as [Cpu, Cpu];
  sample(2);
  const baseline = take_account(cpu);
  for (let i = 0; i < 100; i++) kfree(m.cpus[i % 2], kmalloc(cpu, 8 << (i % 9), GFP_KERNEL));
  check_quiescence(cpu, baseline);
});
