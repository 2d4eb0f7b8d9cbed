/** Which caches are debugged, by slab_debug= and by their flags; and what the rest of the allocator makes of it. */
import { describe, expect, test } from "vitest";
import { writeSlabDebug } from "../../../../../src/main/slab_debug.ts";
import { GFP_ATOMIC, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { HOOK_INIT_ON_FREE, HOOK_KASAN } from "../../../../../src/shared/layout/debug.ts";
import { Globals, SLAB_DEBUG_CACHES_BYTES } from "../../../../../src/shared/layout/globals.ts";
import { ObjectArray } from "../../../../../src/shared/layout/slab.ts";
import {
  DEBUG_DEFAULT_FLAGS,
  SLAB_CONSISTENCY_CHECKS as F,
  SLAB_DEBUG_FLAGS,
  SLAB_DEBUG_NO_HIGHER_ORDER,
  SLAB_ALLOC_DEFAULT,
  SLAB_KMALLOC,
  SLAB_NO_MERGE,
  SLAB_NO_USER_FLAGS,
  SLAB_NOLEAKTRACE,
  SLAB_RED_ZONE as Z,
  SLAB_STORE_USER as U,
} from "../../../../../src/shared/layout/slab_flags.ts";
import { debug_drain } from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import { kmem_cache_alloc_bulk } from "../../../../../src/shared/linux/mm/slub/bulk_alloc.ts";
import { kmem_cache_free_bulk } from "../../../../../src/shared/linux/mm/slub/bulk_free.ts";
import { kmem_cache_flags } from "../../../../../src/shared/linux/mm/slub/debug_flags.ts";
import { kfree, kmalloc, kmem_cache_free, ksize, kzalloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { cache_has_sheaves } from "../../../../../src/shared/linux/mm/slub/sheaf.ts";
import { oo_objects, oo_order, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import { kmalloc_slab } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { KmemCache } from "../../../../../src/shared/layout/slab.ts";
import { element, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { makeThings, cache, race } from "../../../../../src/main/races/kit.ts";
import { NO_GRACE_PERIODS } from "../../../../../src/main/races/kit_no_grace_periods.ts";
import { Explorer } from "../../../../../src/main/explore/explore.ts";
import type { Operation } from "../../../../../src/main/explore/scenario.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { __slab_free } from "../../../../../src/shared/linux/mm/slub/free.ts";
import { sequentialMachine } from "../../../../machine.ts";
import { DebugMachine } from "./debug_machine.ts";

const ALL = DEBUG_DEFAULT_FLAGS;

describe("slab_debug=", () => {
  const flagsOf = (caches: readonly string[], name: string, flags = 0, debug = ALL): number => {
    const [cpu] = sequentialMachine().cpus;
    writeSlabDebug(cpu.mem, cpu.globals, { flags: debug, caches });
    return kmem_cache_flags(cpu, flags, name);
  };
  test("without names is for all caches", () => {
    expect(flagsOf([], "anything", SLAB_KMALLOC)).toBe(SLAB_KMALLOC | ALL);
  });
  test.each([
    [["kmalloc-64"], "kmalloc-64", true],
    [["kmalloc-64"], "kmalloc-6", false],
    [["kmalloc-*"], "kmalloc-1k", true],
    [["kmalloc-*"], "kmalloc", false],
    [["*-64"], "kmalloc-cg-64", true],
    [["k*c-*4"], "kmalloc-64", true],
    [["k*c-*4"], "kmalloc-46", false],
    [["a*a"], "a", false],
    [["a*a"], "aa", true],
    [["*"], "things", true],
    [["dentry", "things"], "things", true],
    [["dentry", "inode*"], "things", false],
  ] as const)("%j and the cache %s: %s", (caches, name, expected) => {
    expect(flagsOf(caches, name)).toBe(expected ? ALL : 0);
  });
  test("leaves a cache alone that wants no flags of a user's", () => {
    expect(flagsOf([], "test", SLAB_NO_USER_FLAGS)).toBe(SLAB_NO_USER_FLAGS);
    expect(flagsOf(["test"], "test", SLAB_NO_USER_FLAGS | Z)).toBe(SLAB_NO_USER_FLAGS | Z);
  });
  test("tracks no users of a debugging facility's cache unless that is named", () => {
    expect(flagsOf([], "object", SLAB_NOLEAKTRACE)).toBe(SLAB_NOLEAKTRACE | (ALL & ~U));
    expect(flagsOf(["object"], "object", SLAB_NOLEAKTRACE)).toBe(SLAB_NOLEAKTRACE | ALL);
  });
  test("names that are too long, or no text, are refused", () => {
    const [cpu] = sequentialMachine().cpus;
    const write =
      (...caches: string[]) =>
      () =>
        writeSlabDebug(cpu.mem, cpu.globals, { flags: F, caches });
    expect(write("x".repeat(SLAB_DEBUG_CACHES_BYTES + 1))).toThrow(RangeError);
    expect(write("kmalloc 64")).toThrow(/printable ASCII/);
    expect(write("x".repeat(SLAB_DEBUG_CACHES_BYTES))).not.toThrow();
  });
  test("a machine boots with all of its caches debugged", () => {
    const m = new DebugMachine({}, { slab_debug: ALL });
    for (const size of [8, 64, 100, 1000, 8000]) {
      const s = kmalloc_slab(m.cpu, size, 0);
      expect(m.slot(s).flags & SLAB_DEBUG_FLAGS).toBe(ALL);
      expect(cache_has_sheaves(m.cpu, s)).toBe(false);
      kfree(m.cpu, kmalloc(m.cpu, size, GFP_KERNEL));
    }
    expect(m.log()).toBe("");
  });
  test("with O there is no metadata where slabs would need larger blocks for it", () => {
    const m = new DebugMachine({}, { slab_debug: ALL | SLAB_DEBUG_NO_HIGHER_ORDER });
    const flags = (size: number): number => m.slot(kmalloc_slab(m.cpu, size, 0)).flags & SLAB_DEBUG_FLAGS;
    expect(flags(64)).toBe(ALL);
    expect(flags(4096)).toBe(F);
    expect(m.slot(kmalloc_slab(m.cpu, 4096, 0)).size).toBe(4096);
  });
});

test("a machine that debugs nothing takes no step to find that out; the first debugged cache changes that", () => {
  const m = new DebugMachine();
  const enabled = (): number => m.cpu.mem.peek(m.cpu.globals, Globals.offset.slub_debug_enabled);
  m.cache(0);
  expect(enabled()).toBe(0);
  m.cache(F);
  expect(enabled()).toBe(1);
});

test("under the explorer too it may change in the midst of what others do, who are then executed again", () => {
  const create: Operation = (cpu) => void kmem_cache_create(cpu, "debugged", 64, { flags: F | Z });
  const allocate: Operation = (cpu) => {
    for (let i = 0; i < 3; i++) {
      const object = ___slab_alloc(cpu, cache(cpu), GFP_ATOMIC, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT);
      __slab_free(cpu, cache(cpu), virt_to_slab(cpu, object), object, object, 1);
    }
  };
  const explorer = new Explorer(
    race({
      name: "first-debugged-cache",
      summary: "the first debugged cache is created",
      kernel: NO_GRACE_PERIODS,
      setup: (cpu) => makeThings(cpu, kmem_cache_create(cpu, "plain", 64, { flags: SLAB_NO_MERGE }), 1),
      cpus: [[create], [allocate], [allocate]],
      check: () => undefined,
    }),
  );
  const run = explorer.explore({ random: 20, seed: 1 });
  expect(run.failure).toBe(undefined);
});

describe("kmalloc() with its size tracked", () => {
  const boot = (hooks = 0): DebugMachine => new DebugMachine({}, { slab_debug: ALL, hooks, poison_free: 1 });
  test("zeroes what was asked for, not the red zone behind it", () => {
    const m = boot();
    const object = kzalloc(m.cpu, 50, GFP_KERNEL);
    expect(m.bytes(object, object + 64)).toEqual([
      ...Array.from({ length: 50 }, () => 0),
      ...Array.from({ length: 14 }, () => 0xcc),
    ]);
    kfree(m.cpu, object);
    expect(m.log()).toBe("");
  });
  test("who asks for its real size may use all of it", () => {
    const m = boot();
    const object = kmalloc(m.cpu, 50, GFP_KERNEL);
    expect(ksize(m.cpu, object)).toBe(64);
    m.spoil(object + 63);
    kfree(m.cpu, object);
    expect(m.log()).toBe("");
  });
  test.each([0, HOOK_INIT_ON_FREE])("what else fills freed objects stays out of the way (hooks %i)", (hooks) => {
    const m = boot(hooks);
    const object = kmalloc(m.cpu, 50, GFP_KERNEL);
    kfree(m.cpu, object);
    expect(m.byte(object)).toBe(0x6b);
    const s = m.cache(Z | U | SLAB_KMALLOC | SLAB_NO_USER_FLAGS);
    const other = ___slab_alloc(m.cpu, s, GFP_KERNEL, -1, 0, 20);
    kmem_cache_free(m.cpu, s, other);
    expect(m.byte(other)).toBe(hooks === 0 ? 0x6b : 0);
    expect(m.log()).toBe("");
  });
});

test("objects that KASAN's quarantine has linked are free of its links when they come back", () => {
  const m = new DebugMachine({ bytes: 8 << 20 }, { slab_debug: ALL, hooks: HOOK_KASAN });
  const [cpu] = m.machine.cpus; // Grace periods are waited for, which the oracle watches.
  const objects = Array.from({ length: 3 }, () => kmalloc(cpu, 64, GFP_KERNEL));
  for (const object of objects) kfree(cpu, object);
  debug_drain(cpu);
  expect(m.log()).toBe("");
  expect(objects.map((object) => m.byte(object))).toEqual([0x6b, 0x6b, 0x6b]);
});

test("bulk allocation and bulk free go object by object", () => {
  const m = new DebugMachine();
  const s = m.cache(ALL);
  const p = kmalloc(m.cpu, 8 * 100, GFP_KERNEL) as Ptr as Ptr<"object_array">;
  expect(kmem_cache_alloc_bulk(m.cpu, s, GFP_KERNEL, 100, p)).toBe(true);
  const objects = Array.from({ length: 100 }, (_, i) => m.cpu.mem.read(p, element(ObjectArray.offset.slots, i)));
  for (const object of objects) expect(m.byte(object - 1)).toBe(0xcc);
  expect(m.problems(s)).toEqual([]);
  m.spoil(objects[7] - 1);
  kmem_cache_free_bulk(m.cpu, s, 100, p);
  expect(m.findings()[0]).toBe("Object corrupt");
  expect(m.findings().at(-1)).toBe("Object at ADDRESS not freed");
  expect(m.problems(s)).toEqual([]);
});

test("sizes of slots with everything on: spec slub 1.5", () => {
  const m = new DebugMachine({}, { slab_debug: ALL });
  const slot = (size: number): number[] => {
    const { inuse, offset, red_left_pad, size: bytes } = m.slot(kmalloc_slab(m.cpu, size, 0));
    return [inuse, offset, red_left_pad, bytes];
  };
  expect(slot(8)).toEqual([16, 16, 8, 112]);
  expect(slot(64)).toEqual([72, 72, 64, 256]);
  expect(slot(96)).toEqual([104, 104, 32, 224]);
  expect(slot(192)).toEqual([200, 200, 64, 384]);
  expect(slot(256)).toEqual([264, 264, 256, 768]);
  const oo = m.cpu.mem.peek(kmalloc_slab(m.cpu, 64, 0), KmemCache.offset.oo);
  expect(oo_objects(oo)).toBe(Math.floor((4096 << oo_order(oo)) / 256));
});
