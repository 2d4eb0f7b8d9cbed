/** kmalloc_nolock() and kfree_nolock() with debugged caches: in an NMI on top of list_lock, and checks in there. Slub B2, B3. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { KmemCacheNode } from "../../../../../src/shared/layout/slab.ts";
import { __CMPXCHG_DOUBLE, DEBUG_DEFAULT_FLAGS } from "../../../../../src/shared/layout/slab_flags.ts";
import { deferred_work_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import { slab_reports } from "../../../../../src/shared/linux/mm/slub/debug_report.ts";
import { kfree, kmalloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { kmalloc_slab } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { get_node, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { peek_slot } from "../../../../../src/shared/linux/mm/slub/slot.ts";
import { read_track } from "../../../../../src/shared/linux/mm/slub/track.ts";
import { validate_slab_cache } from "../../../../../src/shared/linux/mm/slub/validate.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";

const SIZE = 100;
let m: TestMachine;
let cpu: Cpu;
let s: Ptr<"kmem_cache">;
beforeEach(() => {
  m = new TestMachine({ cpus: 2 }, { slab_debug: DEBUG_DEFAULT_FLAGS });
  [cpu] = m.cpus;
  s = kmalloc_slab(cpu, SIZE, 0);
});
const nolock = (size = SIZE): Ptr<"object"> => kmalloc_nolock(cpu, size, 0, NUMA_NO_NODE);
/** Everything that the allocator knows adds up, and no check found anything. */
const sound = (): void => {
  deferred_work_barrier(cpu);
  expect(check_slab_cache(cpu, s)).toEqual([]);
  expect(check_page_allocator(cpu)).toEqual([]);
  expect(validate_slab_cache(cpu, s)).toBeGreaterThanOrEqual(0);
  expect(slab_reports(cpu)).toBe(0);
};

test("a debugged cache has no compare-and-exchange, and yet kmalloc_nolock() has its objects", () => {
  const { flags, object_size } = peek_slot(cpu.mem, s);
  expect(flags & __CMPXCHG_DOUBLE).toBe(0);
  const object = nolock();
  expect(object).not.toBe(NULL);
  expect(object_size).toBe(128);
  // The red zone begins behind what was asked for.
  expect(cpu.mem.load_byte(object + SIZE)).toBe(0xcc);
  kfree(cpu, object);
  sound();
});
test("kfree_nolock() finds no sheaf and defers; the irq_work frees, and notes that it did", () => {
  const object = nolock();
  m.nmi(cpu, () => kfree_nolock(cpu, object));
  deferred_work_barrier(cpu);
  expect(m.placeOf(object)).toBe("freelist");
  expect(read_track(cpu, peek_slot(cpu.mem, s), object, 1)?.caller).toMatch(/free_objects .*deferred_work\.ts/);
  sound();
});
test("a byte written behind the object is found when the deferred free is done", () => {
  const object = nolock();
  cpu.mem.store_byte(object + SIZE, 1);
  m.nmi(cpu, () => kfree_nolock(cpu, object));
  expect(() => deferred_work_barrier(cpu)).toThrow(/WARNING: BUG kmalloc-128: Object corrupt/);
});

describe("in an NMI while list_lock of the cache is held", () => {
  const during = (act: () => void, inNmi: () => void): void => {
    let ran = false;
    m.nmiAt(cpu, POINT.list_lock_held, () => {
      ran = true;
      inNmi();
    });
    act();
    expect(ran).toBe(true);
  };
  test("an allocation takes the next bucket, with the size that was asked for", () => {
    const held = kmalloc(cpu, SIZE, GFP_KERNEL);
    let got = NULL as Ptr<"object">;
    during(
      () => kfree(cpu, held),
      () => {
        got = nolock();
      },
    );
    expect(got).not.toBe(NULL);
    const slab = virt_to_slab(cpu, got);
    expect(slab).not.toBe(NULL);
    expect(cpu.mem.load_byte(got + SIZE)).toBe(0xcc);
    expect(cpu.mem.load_byte(got + 191)).toBe(0xcc);
    kfree(cpu, got);
    sound();
  });
  test("a new slab that cannot be published goes, and was never counted", () => {
    const held = kmalloc(cpu, SIZE, GFP_KERNEL);
    const n = get_node(cpu, s, 0);
    const { nr_slabs } = KmemCacheNode.offset;
    const before = cpu.mem.peek(n, nr_slabs);
    // The partial list is tried first; it is busy, too.
    during(
      () => kfree(cpu, held),
      () => {
        const got = nolock();
        if (got !== NULL) kfree_nolock(cpu, got);
        expect(cpu.mem.peek(n, nr_slabs)).toBe(before);
      },
    );
    sound();
  });
  test("the largest bucket has no next one: NULL, after a bounded number of attempts", () => {
    s = kmalloc_slab(cpu, 8000, 0);
    const held = kmalloc(cpu, 8000, GFP_KERNEL);
    const got: Ptr[] = [];
    during(
      () => kfree(cpu, held),
      () => got.push(nolock(8000)),
    );
    expect(got).toEqual([NULL]);
    sound();
  });
  test("a free is deferred", () => {
    const [held, object] = [kmalloc(cpu, SIZE, GFP_KERNEL), nolock()];
    during(
      () => kfree(cpu, held),
      () => kfree_nolock(cpu, object),
    );
    sound();
    expect(m.placeOf(object)).toBe("freelist");
  });
});
