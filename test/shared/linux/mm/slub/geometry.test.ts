/** Sizes, offsets, orders and sheaf capacities, against the tables of the kernel. */
import { describe, expect, test } from "vitest";
import { KmemCache } from "../../../../../src/shared/layout/slab.ts";
import {
  __CMPXCHG_DOUBLE,
  __OBJECT_POISON,
  SLAB_CONSISTENCY_CHECKS,
  SLAB_HWCACHE_ALIGN,
  SLAB_KMALLOC,
  SLAB_NO_SHEAVES,
  SLAB_NOLEAKTRACE,
  SLAB_POISON,
  SLAB_RED_ZONE,
  SLAB_STORE_USER,
  SLAB_TRACE,
  SLAB_TYPESAFE_BY_RCU,
} from "../../../../../src/shared/layout/slab_flags.ts";
import {
  calculate_alignment,
  calculate_order,
  calculate_sizes,
  type CacheGeometry,
  type CacheRequest,
  init_cache_geometry,
} from "../../../../../src/shared/linux/mm/slub/geometry.ts";
import { oo_objects, oo_order } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { page_address } from "../../../../../src/shared/linux/mm/page_alloc/zone.ts";
import { alloc_frozen_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import type { Ptr } from "../../../../../src/shared/mem/struct.ts";
import { PageMachine } from "../page_machine.ts";

function geometry(request: Partial<CacheRequest>, nr_cpus = 4, tiny = false): CacheGeometry {
  const g = calculate_sizes({ object_size: 64, flags: 0, ...request }, nr_cpus, tiny);
  if (g === undefined) throw new RangeError("no such cache");
  return g;
}
const oo = (packed: number): string => `${oo_order(packed)}/${oo_objects(packed)}`;

/** size, sheaf capacity, min_partial, order/objects with 2, 4, 8, 16 CPUs, min. */
const KMALLOC: readonly (readonly [number, number, number, string, string, string, string, string])[] = [
  [8, 60, 5, "0/512", "0/512", "0/512", "0/512", "0/512"],
  [16, 60, 5, "0/256", "0/256", "0/256", "0/256", "0/256"],
  [32, 60, 5, "0/128", "0/128", "0/128", "0/128", "0/128"],
  [64, 60, 5, "0/64", "0/64", "0/64", "0/64", "0/64"],
  [96, 60, 5, "0/42", "0/42", "0/42", "0/42", "0/42"],
  [128, 60, 5, "0/32", "0/32", "0/32", "0/32", "0/32"],
  [192, 60, 5, "0/21", "0/21", "0/21", "1/42", "0/21"],
  [256, 28, 5, "0/16", "0/16", "1/32", "1/32", "0/16"],
  [512, 28, 5, "1/16", "1/16", "2/32", "2/32", "0/8"],
  [1024, 12, 5, "2/16", "2/16", "3/32", "3/32", "0/4"],
  [2048, 12, 5, "3/16", "3/16", "3/16", "3/16", "0/2"],
  [4096, 4, 6, "3/8", "3/8", "3/8", "3/8", "0/1"],
  [8192, 4, 6, "3/4", "3/4", "3/4", "3/4", "1/1"],
];
test.each(KMALLOC)(
  "kmalloc-%i: capacity, min_partial, order/objects, min",
  (size, capacity, min_partial, ...expected) => {
    const request = { object_size: size, flags: SLAB_KMALLOC };
    const all = [2, 4, 8, 16].map((cpus) => geometry(request, cpus));
    for (const g of all) expect(g).toMatchObject({ size, sheaf_capacity: capacity, min_partial, red_left_pad: 0 });
    expect([...all.map((g) => oo(g.oo)), oo(all[0].min)]).toEqual(expected);
  },
);

describe("debug layouts", () => {
  const ALL = SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER;
  test.each([
    [8, 16, 16, 8, 112],
    [64, 72, 72, 64, 256],
    [96, 104, 104, 32, 224],
    [192, 200, 200, 64, 384],
    [256, 264, 264, 256, 768],
  ])(
    "kmalloc-%i with all: inuse %i, offset %i, left pad %i, size %i",
    (object_size, inuse, offset, red_left_pad, size) => {
      const g = geometry({ object_size, flags: SLAB_KMALLOC | ALL });
      expect(g).toMatchObject({ inuse, offset, red_left_pad, size, sheaf_capacity: 0 });
      expect(g.flags & (__CMPXCHG_DOUBLE | __OBJECT_POISON)).toBe(__OBJECT_POISON);
    },
  );
  test("a red zone is never empty: an object that fills its words gets eight more bytes, another does not", () => {
    expect(geometry({ object_size: 64, flags: SLAB_RED_ZONE }).inuse).toBe(72);
    expect(geometry({ object_size: 60, flags: SLAB_RED_ZONE }).inuse).toBe(64);
  });
  test("left red zone: eight bytes rounded up to the alignment", () => {
    expect(geometry({ object_size: 24, flags: SLAB_RED_ZONE }).red_left_pad).toBe(8);
    expect(geometry({ object_size: 24, flags: SLAB_RED_ZONE, align: 32 })).toMatchObject({
      red_left_pad: 32,
      size: 96,
    });
  });
  test("STORE_USER: two tracks; for kmalloc also the size that was asked for", () => {
    expect(geometry({ object_size: 64, flags: SLAB_STORE_USER }).size).toBe(64 + 64);
    expect(geometry({ object_size: 64, flags: SLAB_STORE_USER | SLAB_KMALLOC }).size).toBe(192); // 136, aligned to 64
  });
  test("poison: the body only where nobody relies on its content", () => {
    const poisons = (request: Partial<CacheRequest>): boolean => (geometry(request).flags & __OBJECT_POISON) !== 0;
    expect(poisons({ flags: SLAB_POISON })).toBe(true);
    expect(poisons({ flags: SLAB_POISON, ctor: true })).toBe(false);
    expect(poisons({ flags: SLAB_POISON | SLAB_TYPESAFE_BY_RCU })).toBe(false);
    expect(poisons({})).toBe(false);
  });
  test.each([
    ["none", 0, true],
    ["red zone", SLAB_RED_ZONE, true],
    ["poison", SLAB_POISON, true],
    ["consistency checks", SLAB_CONSISTENCY_CHECKS, false],
    ["tracking", SLAB_STORE_USER, false],
    ["trace", SLAB_TRACE, false],
  ])("__CMPXCHG_DOUBLE with %s", (_, flags, expected) => {
    expect((geometry({ flags }).flags & __CMPXCHG_DOUBLE) !== 0).toBe(expected);
  });
});

describe("free pointer", () => {
  const at = (request: Partial<CacheRequest>): number[] => {
    const { offset, inuse, size } = geometry(request);
    return [offset, inuse, size];
  };
  test("in the middle of the object, on a multiple of 8", () => {
    expect(at({ object_size: 64 })).toEqual([32, 64, 64]);
    expect(at({ object_size: 40 })).toEqual([16, 40, 40]);
    expect(at({ object_size: 8 })).toEqual([0, 8, 8]);
    expect(at({ object_size: 4 })).toEqual([0, 8, 8]);
  });
  test("behind it where its bytes must survive the free", () => {
    expect(at({ object_size: 64, ctor: true })).toEqual([64, 64, 72]);
    expect(at({ object_size: 64, flags: SLAB_TYPESAFE_BY_RCU })).toEqual([64, 64, 72]);
    expect(at({ object_size: 64, flags: SLAB_POISON })).toEqual([64, 64, 72]);
  });
  test("where the user says, with a constructor or TYPESAFE_BY_RCU; poison wins", () => {
    expect(at({ object_size: 64, ctor: true, freeptr_offset: 8 })).toEqual([8, 64, 64]);
    expect(at({ object_size: 64, flags: SLAB_TYPESAFE_BY_RCU, freeptr_offset: 0 })).toEqual([0, 64, 64]);
    expect(at({ object_size: 64, ctor: true, flags: SLAB_POISON, freeptr_offset: 8 })[0]).toBe(64);
    expect(at({ object_size: 64, freeptr_offset: 8 })[0]).toBe(32);
  });
  test("with red zones outside only if the object is too small, or its true size is tracked", () => {
    expect(at({ object_size: 4, flags: SLAB_RED_ZONE })[0]).toBe(8);
    expect(at({ object_size: 64, flags: SLAB_RED_ZONE })[0]).toBe(32);
    expect(at({ object_size: 64, flags: SLAB_RED_ZONE | SLAB_STORE_USER })[0]).toBe(32);
    expect(at({ object_size: 64, flags: SLAB_RED_ZONE | SLAB_STORE_USER | SLAB_KMALLOC })[0]).toBe(72);
  });
});

describe("calculate_alignment", () => {
  test("at least 8, and what is asked for", () => {
    expect(calculate_alignment(0, 0, 100)).toBe(8);
    expect(calculate_alignment(0, 32, 100)).toBe(32);
  });
  test.each([
    [100, 64],
    [33, 64],
    [32, 32],
    [16, 16],
    [9, 16],
    [3, 8],
  ])("HWCACHE_ALIGN: %i bytes -> %i", (size, align) => {
    expect(calculate_alignment(SLAB_HWCACHE_ALIGN, 0, size)).toBe(align);
  });
  test.each([
    [8, 8],
    [96, 32],
    [128, 128],
    [192, 64],
    [4096, 4096],
  ])("kmalloc-%i -> %i", (size, align) => {
    expect(calculate_alignment(SLAB_KMALLOC, 0, size)).toBe(align);
  });
});

describe("calculate_order", () => {
  test("the smallest order with little waste", () => {
    expect(calculate_order(700, 4)).toBe(2); // 16 objects need 11200 bytes.
    expect(calculate_order(3000, 1)).toBe(3);
  });
  test("objects larger than the largest ordinary slab get the order that holds one", () => {
    expect(calculate_order(40_000, 4)).toBe(4);
    expect(calculate_order(4096 << 10, 4)).toBe(10);
    expect(calculate_order((4096 << 10) + 1, 4)).toBeUndefined();
  });
});

describe("sheaf capacity", () => {
  const capacity = (request: Partial<CacheRequest>, tiny = false): number => geometry(request, 4, tiny).sheaf_capacity;
  test("by size, in steps", () => {
    expect([255, 256, 1023, 1024, 4095, 4096].map((object_size) => capacity({ object_size }))).toEqual([
      28, 28, 12, 12, 4, 4,
    ]);
    expect(capacity({ object_size: 248 })).toBe(60);
  });
  test("none for debug caches, boot caches and kmemleak's own", () => {
    for (const flags of [SLAB_RED_ZONE, SLAB_POISON, SLAB_TRACE, SLAB_NO_SHEAVES, SLAB_NOLEAKTRACE]) {
      expect(capacity({ flags, sheaf_capacity: 32 })).toBe(0);
    }
  });
  test("the larger of it and what is asked for", () => {
    expect(capacity({ object_size: 64, sheaf_capacity: 32 })).toBe(60);
    expect(capacity({ object_size: 64, sheaf_capacity: 100 })).toBe(100);
  });
  test("tiny: 2 to 4", () => {
    expect([64, 256, 1024, 8192].map((object_size) => capacity({ object_size }, true))).toEqual([4, 3, 2, 2]);
  });
});

test("init_cache_geometry writes what was calculated", () => {
  const [cpu] = new PageMachine().cpus;
  const s = page_address(cpu, alloc_frozen_pages(cpu, 0, 0)) as Ptr<"kmem_cache">;
  const request: CacheRequest = { object_size: 200, flags: SLAB_HWCACHE_ALIGN | SLAB_RED_ZONE };
  expect(init_cache_geometry(cpu, s, request)).toBe(true);
  const expected = geometry(request, 2);
  for (const [field, value] of Object.entries(expected)) {
    expect([field, cpu.mem.peek(s, KmemCache.offset[field as keyof CacheGeometry])]).toEqual([field, value]);
  }
  expect(init_cache_geometry(cpu, s, { object_size: 5 << 20, flags: 0 })).toBe(false);
});
