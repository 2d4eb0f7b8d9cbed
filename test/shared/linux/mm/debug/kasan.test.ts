/** KASAN: what its shadow says, what it reports, and the way of a freed object through the quarantine. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import {
  DebugGlobals,
  HOOK_ALLOC_TAG,
  HOOK_KASAN,
  HOOK_KFENCE,
  HOOK_MEMCG,
} from "../../../../../src/shared/layout/debug.ts";
import {
  KASAN_SLAB_FREE,
  KASAN_SLAB_REDZONE,
  KasanState,
  QlistHead,
} from "../../../../../src/shared/layout/debug_kasan.ts";
import { GFP_ATOMIC, GFP_KERNEL, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { Globals } from "../../../../../src/shared/layout/globals.ts";
import { SLAB_ACCOUNT, SLAB_NO_SHEAVES, SLAB_TYPESAFE_BY_RCU } from "../../../../../src/shared/layout/slab_flags.ts";
import { debug_drain } from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import { kasan_check_range } from "../../../../../src/shared/linux/mm/debug/kasan.ts";
import { cpu_quarantine } from "../../../../../src/shared/linux/mm/debug/kasan_quarantine.ts";
import { kasan_shadow_byte, kasan_state } from "../../../../../src/shared/linux/mm/debug/kasan_shadow.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_shrink } from "../../../../../src/shared/linux/mm/slub/shrink.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import {
  kfree,
  kmalloc,
  kmem_cache_alloc,
  kmem_cache_alloc_for_nolock,
  kmem_cache_free,
} from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { check_quiescence, take_account } from "../../../../../src/workers/quiescence.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const { percpu_size: PERCPU_SIZE, max_size: MAX_SIZE, global_quarantine: GLOBAL } = KasanState.offset;
const { bytes: BYTES } = QlistHead.offset;

let m: TestMachine;
let cpu: Cpu;
let other: Cpu;
beforeEach(() => {
  m = new TestMachine({ cpus: 2 }, { hooks: HOOK_KASAN });
  [cpu, other] = m.cpus as [Cpu, Cpu];
});
const shadow = (object: Ptr, granules: number): number[] =>
  Array.from({ length: granules }, (_, i) => kasan_shadow_byte(cpu, object + 8 * i));
const queued = (on: Cpu): number => on.mem.peek(cpu_quarantine(kasan_state(on), on.id), BYTES);
const queuedByAll = (): number => cpu.mem.peek(embedded(kasan_state(cpu), GLOBAL), BYTES);
const sizes = (percpu: number, max: number): void => {
  cpu.mem.poke(kasan_state(cpu), PERCPU_SIZE, percpu);
  cpu.mem.poke(kasan_state(cpu), MAX_SIZE, max);
};

test("nothing is there unless it is on", () => {
  const off = new TestMachine();
  expect(off.cpus[0].mem.peek(embedded(off.cpus[0].globals, Globals.offset.debug), DebugGlobals.offset.kasan)).toBe(0);
  expect(kasan_check_range(off.cpus[0], off.cpus[0].map.pages as Ptr, 8, "test")).toBe(true);
});

describe("the shadow", () => {
  test("of an object of 44 bytes: its bytes, no others; none after the free", () => {
    const s = kmem_cache_create(cpu, "things", 44);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(shadow(object, 7)).toEqual([0, 0, 0, 0, 0, 4, KASAN_SLAB_REDZONE]);
    kmem_cache_free(cpu, s, object);
    expect(shadow(object, 7)).toEqual([...Array.from({ length: 6 }, () => KASAN_SLAB_FREE), KASAN_SLAB_REDZONE]);
  });
  test("of a typesafe object stays until its readers are gone (SLUB_RCU_DEBUG)", () => {
    const s = kmem_cache_create(cpu, "things", 64, { flags: SLAB_TYPESAFE_BY_RCU });
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    rcu_read_lock(other);
    kmem_cache_free(cpu, s, object);
    m.tick(20);
    expect([m.placeOf(object), queued(cpu)]).toEqual(["kept", 0]);
    expect(kasan_check_range(other, object, 64, "reader")).toBe(true);
    rcu_read_unlock(other);
    m.run(20);
    expect(shadow(object, 8)).toEqual(Array.from({ length: 8 }, () => KASAN_SLAB_FREE));
    expect(m.placeOf(object)).toBe("kept");
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
  });
  test("of a typesafe object: the other facilities hear of its free once", () => {
    m = new TestMachine({}, { hooks: HOOK_KASAN | HOOK_ALLOC_TAG | HOOK_MEMCG | HOOK_KFENCE });
    [cpu] = m.cpus as [Cpu];
    const baseline = take_account(cpu);
    const s = kmem_cache_create(cpu, "things", 64, { flags: SLAB_TYPESAFE_BY_RCU | SLAB_ACCOUNT });
    for (let i = 0; i < 100; i++) kmem_cache_free(cpu, s, kmem_cache_alloc(cpu, s, GFP_KERNEL));
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
    check_quiescence(cpu, baseline);
  });
  test("of a typesafe object is not touched by kfree_nolock()", () => {
    const s = kmem_cache_create(cpu, "things", 64, { flags: SLAB_TYPESAFE_BY_RCU });
    const object = kmem_cache_alloc_for_nolock(cpu, s, GFP_KERNEL);
    kfree_nolock(cpu, object);
    expect([m.placeOf(object), shadow(object, 1)]).toEqual(["sheaf", [0]]);
  });
  test("without memory for the callback a typesafe object is freed at once", () => {
    const s = kmem_cache_create(cpu, "things", 64, { flags: SLAB_TYPESAFE_BY_RCU | SLAB_NO_SHEAVES });
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    while (kmalloc(cpu, 24, GFP_ATOMIC) !== NULL);
    kmem_cache_free(cpu, s, object);
    expect(m.placeOf(object)).toBe("freelist");
  });
  test("an access beyond an object, or after its free, is reported", () => {
    const s = kmem_cache_create(cpu, "things", 44);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(kasan_check_range(cpu, object, 44, "test")).toBe(true);
    expect(() => kasan_check_range(cpu, object, 45, "test")).toThrow(/slab-out-of-bounds in test.*\n.*cache things/);
    kmem_cache_free(cpu, s, object);
    expect(() => kasan_check_range(cpu, (object + 8) as Ptr, 4, "test")).toThrow(/slab-use-after-free in test/);
  });
});

test("a large kmalloc may be used, whatever its pages were before", () => {
  const s = kmem_cache_create(cpu, "things", 512);
  const objects = Array.from({ length: 512 }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL));
  for (const object of objects) kmem_cache_free(cpu, s, object);
  kmem_cache_destroy(cpu, s);
  const pages = new Set<number>();
  for (let large = kmalloc(cpu, 16_384, GFP_ATOMIC); large !== NULL; large = kmalloc(cpu, 16_384, GFP_ATOMIC)) {
    pages.add(large >> 14);
    expect(kasan_check_range(cpu, large, 16_384, "test")).toBe(true);
  }
  expect(objects.some((object) => pages.has(object >> 14))).toBe(true);
});

describe("a bad free", () => {
  test("of an object that is in the quarantine, or on a freelist, is reported, and not done", () => {
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    kfree(cpu, object);
    expect(() => kfree(cpu, object)).toThrow(/KASAN: double-free/);
    debug_drain(cpu);
    expect(m.placeOf(object)).toBe("freelist");
    m.set("panic_on_warn", 0);
    kfree(other, object);
    expect(m.placeOf(object)).toBe("freelist");
  });
  test("by kfree_nolock() too", () => {
    const object = kmalloc_nolock(cpu, 64, 0, NUMA_NO_NODE);
    kfree_nolock(cpu, object);
    m.nmi(cpu, () => expect(() => kfree_nolock(cpu, object)).toThrow(/double-free/));
  });
  test("of an address inside an object", () => {
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    expect(() => kfree(cpu, (object + 8) as Ptr)).toThrow(/invalid-free/);
  });
  test("the report names who called kfree_rcu()", () => {
    const s = kmem_cache_create(cpu, "things", Thing.size, { flags: SLAB_NO_SHEAVES });
    const thing = kmem_cache_alloc(cpu, s, GFP_KERNEL) as Ptr as ThingPtr;
    kfree_rcu(other, thing, Thing.offset.head);
    kvfree_rcu_barrier(cpu);
    expect(m.placeOf(thing)).toBe("kept");
    expect(() => kmem_cache_free(cpu, s, thing)).toThrow(/double-free[^]*kfree_rcu\(\) on CPU 1 in task/);
  });
});

describe("the quarantine", () => {
  test("keeps an object that kfree() frees, and not one of kfree_nolock()", () => {
    const object = kmalloc(cpu, 64, GFP_KERNEL);
    kfree(cpu, object);
    expect(m.placeOf(object)).toBe("kept");
    const nolock = kmalloc_nolock(cpu, 64, 0, NUMA_NO_NODE);
    kfree_nolock(cpu, nolock);
    expect(m.placeOf(nolock)).toBe("sheaf");
  });
  test("of a CPU moves to that of all when it is too large; the oldest objects go back to their slabs first", () => {
    sizes(200, 256);
    const objects = Array.from({ length: 9 }, () => kmalloc(cpu, 64, GFP_KERNEL));
    const first = objects.slice(0, 4);
    for (const object of first) kfree(cpu, object);
    expect([queued(cpu), queuedByAll()]).toEqual([0, 256]);
    for (const object of objects.slice(4)) kfree(other, object);
    expect([queued(cpu), queued(other), queuedByAll()]).toEqual([0, 64, 512]);
    kmalloc(cpu, 8, GFP_ATOMIC); // May not block, so it leaves the quarantine alone.
    expect(queuedByAll()).toBe(512);
    kmalloc(cpu, 8, GFP_KERNEL);
    expect(queuedByAll()).toBe(256);
    expect(objects.map((object) => m.placeOf(object))).toEqual([
      ...first.map(() => "freelist"),
      ...objects.slice(4).map(() => "kept"),
    ]);
  });
  test("objects of rcu_free sheaves come in after their grace period, and leave the sheaf", () => {
    const s = kmem_cache_create(cpu, "things", Thing.size);
    const thing = kmem_cache_alloc(cpu, s, GFP_KERNEL) as Ptr as ThingPtr;
    kfree_rcu(cpu, thing, Thing.offset.head);
    expect([m.placeOf(thing), queued(cpu)]).toEqual(["rcu_sheaf", 0]);
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
    expect(m.placeOf(thing)).toBe("none");
  });
  test("gives the objects of a cache back when it shrinks", () => {
    const s = kmem_cache_create(cpu, "things", 64);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    kmem_cache_free(other, s, object);
    expect(m.placeOf(object)).toBe("kept");
    expect(kmem_cache_shrink(cpu, s)).toBe(0);
    expect(m.placeOf(object)).toBe("none");
  });
  test("gives all objects of a cache back when the cache goes, from all CPUs, and no others", () => {
    const s = kmem_cache_create(cpu, "things", 64);
    const mine = Array.from({ length: 5 }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL));
    const foreign = kmalloc(cpu, 64, GFP_KERNEL);
    sizes(100, 10_000);
    for (const [i, object] of mine.entries()) kmem_cache_free(m.cpus[i % 2], s, object);
    kfree(other, foreign);
    expect(queuedByAll()).toBeGreaterThan(0);
    expect(queued(other)).toBeGreaterThan(0);
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
    expect(m.placeOf(foreign)).toBe("kept");
    debug_drain(cpu);
    expect([queued(cpu), queued(other), queuedByAll(), m.placeOf(foreign)]).toEqual([0, 0, 0, "freelist"]);
  });
});
