/** kmalloc_nolock() and kfree_nolock(): every step of spec slub 4.2, 4.3. */
import { beforeEach, describe, expect, test } from "vitest";
import { MachineBug } from "../../../../../src/shared/base/verdict.ts";
import { local_irq_disable, local_irq_enable } from "../../../../../src/shared/cpu/context.ts";
import { this_cpu_ptr, type Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import {
  __GFP_ACCOUNT,
  __GFP_NOMEMALLOC,
  __GFP_NOWARN,
  __GFP_ZERO,
  GFP_KERNEL,
  GFP_NOWAIT,
} from "../../../../../src/shared/layout/gfp.ts";
import { HOOK_INIT_ON_FREE } from "../../../../../src/shared/layout/debug.ts";
import { KB_INIT_ON_FREE } from "../../../../../src/shared/layout/globals.ts";
import { PerCpu } from "../../../../../src/shared/layout/percpu.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import {
  KmemCache,
  KmemCacheNode,
  SL_pfmemalloc,
  Slab,
  SlubCpu,
  SlubPercpuSheaves,
} from "../../../../../src/shared/layout/slab.ts";
import { __CMPXCHG_DOUBLE, SLAB_RED_ZONE } from "../../../../../src/shared/layout/slab_flags.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { kfree, kmalloc, kmem_cache_alloc, kmem_cache_free } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { this_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { kmem_cache_shrink } from "../../../../../src/shared/linux/mm/slub/shrink.ts";
import { kmalloc_slab, ZERO_SIZE_PTR } from "../../../../../src/shared/linux/mm/slub/size_class.ts";
import { get_node, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { local_lock, local_unlock } from "../../../../../src/shared/linux/sync/local_lock.ts";
import { spin_lock_irqsave, spin_unlock_irqrestore } from "../../../../../src/shared/linux/sync/spinlock.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { TestMachine } from "../kvfree_rcu/machine.ts";
import { counted, problems, setSheafState, sheafState } from "./sheaf_state.ts";

type Obj = Ptr<"object">;
const ANY = -1;

let m: TestMachine;
let cpu: Cpu;
const bucket = (size: number): Ptr<"kmem_cache"> => kmalloc_slab(cpu, size, 0);
const cacheOf = (object: Ptr): Ptr<"kmem_cache"> => cpu.mem.peek(virt_to_slab(cpu, object), Slab.offset.slab_cache);
const lockOf = (s: Ptr<"kmem_cache">): Ptr<"local_trylock"> =>
  embedded(this_cpu_sheaves(cpu, s), SlubPercpuSheaves.offset.lock);
const nodeLockOf = (s: Ptr<"kmem_cache">): Ptr<"spinlock"> =>
  embedded(get_node(cpu, s, 0), KmemCacheNode.offset.list_lock);
const paths = (): Record<string, number> => {
  const { kmalloc_nolock_ok, kmalloc_nolock_failed, kfree_nolock_sheaf, kfree_nolock_deferred } = SlubCpu.offset;
  const slub = this_cpu_ptr(cpu, PerCpu.offset.slub);
  return {
    ok: cpu.mem.peek(slub, kmalloc_nolock_ok),
    failed: cpu.mem.peek(slub, kmalloc_nolock_failed),
    sheaf: cpu.mem.peek(slub, kfree_nolock_sheaf),
    deferred: cpu.mem.peek(slub, kfree_nolock_deferred),
  };
};
const nothing = { main: 0, spare: undefined, full: 0, empty: 0 };

beforeEach(() => {
  m = new TestMachine({ cpus: 3, bytes: 2 << 20 }, { tiny: 1 });
  [cpu] = m.cpus;
});

describe("kmalloc_nolock()", () => {
  test("1: four flags are allowed, and no reclaim", () => {
    for (const gfp of [0, __GFP_ACCOUNT, __GFP_ZERO, __GFP_NOWARN | __GFP_NOMEMALLOC]) {
      expect(kmalloc_nolock(cpu, 64, gfp, ANY)).not.toBe(NULL);
    }
    expect(() => kmalloc_nolock(cpu, 64, GFP_NOWAIT, ANY)).toThrow(/gfp/);
    m.set("panic_on_warn", 0);
    expect(kmalloc_nolock(cpu, 64, GFP_NOWAIT, ANY)).not.toBe(NULL);
  });
  test("1: an accounted allocation comes from the accounted set", () => {
    m = new TestMachine();
    [cpu] = m.cpus;
    const object = kmalloc_nolock(cpu, 64, __GFP_ACCOUNT, ANY);
    expect(cacheOf(object)).toBe(kmalloc_slab(cpu, 64, __GFP_ACCOUNT));
    expect(cacheOf(object)).not.toBe(bucket(64));
  });
  test("2: 0 bytes", () => {
    expect(kmalloc_nolock(cpu, 0, 0, ANY)).toBe(ZERO_SIZE_PTR);
  });
  test("5: nothing above 8192 bytes", () => {
    expect(kmalloc_nolock(cpu, 8193, 0, ANY)).toBe(NULL);
    expect(kmalloc_nolock(cpu, 8192, 0, ANY)).not.toBe(NULL);
    expect(paths()).toMatchObject({ ok: 1, failed: 1 });
  });
  test("6: not from a cache whose slabs need slab_lock, unless it is a debug cache", () => {
    const { flags } = KmemCache.offset;
    const before = cpu.mem.peek(bucket(64), flags);
    cpu.mem.poke(bucket(64), flags, before & ~__CMPXCHG_DOUBLE);
    expect(kmalloc_nolock(cpu, 64, 0, ANY)).toBe(NULL);
    cpu.mem.poke(bucket(64), flags, (before & ~__CMPXCHG_DOUBLE) | SLAB_RED_ZONE);
    expect(kmalloc_nolock(cpu, 64, 0, ANY)).not.toBe(NULL);
    cpu.mem.poke(bucket(64), flags, before);
  });
  test("7: from the sheaf", () => {
    setSheafState(cpu, bucket(128), { ...nothing, main: 2 });
    m.nmi(cpu, () => {
      expect(counted(cpu, bucket(128), () => kmalloc_nolock(cpu, 128, 0, ANY))).toEqual({ ALLOC_FASTPATH: 1 });
    });
  });
  test("8: from a slab if the interrupted code holds the sheaf lock", () => {
    const s = bucket(128);
    setSheafState(cpu, s, { ...nothing, main: 2 });
    local_lock(cpu, lockOf(s));
    m.nmi(cpu, () => {
      const stats = counted(cpu, s, () => expect(cacheOf(kmalloc_nolock(cpu, 128, 0, ANY))).toBe(s));
      expect(stats).toMatchObject({ ALLOC_SLOWPATH: 1 });
    });
    local_unlock(cpu, lockOf(s));
    expect(sheafState(cpu, s).main).toBe(2);
  });
  test("8: a new slab if there is no other, without refilling the sheaf", () => {
    const s = bucket(512);
    setSheafState(cpu, s, nothing);
    m.nmi(cpu, () => {
      const stats = counted(cpu, s, () => expect(kmalloc_nolock(cpu, 512, 0, ANY)).not.toBe(NULL));
      expect(stats).toMatchObject({ BARN_GET_FAIL: 1, ALLOC_SLOWPATH: 1 });
      expect(stats).not.toHaveProperty("SHEAF_REFILL");
    });
    expect(sheafState(cpu, s)).toEqual(nothing);
  });
  test.each([
    ["this CPU", 0],
    ["another CPU", 1],
  ])("9: both locks of the bucket are held on %s: the next bucket", (_, holder) => {
    const [s, next] = [bucket(64), bucket(96)];
    setSheafState(cpu, s, nothing);
    setSheafState(cpu, next, { ...nothing, main: 2 });
    if (holder === 0) local_lock(cpu, lockOf(s));
    const flags = spin_lock_irqsave(m.cpus[holder], nodeLockOf(s));
    m.nmi(cpu, () => expect(cacheOf(kmalloc_nolock(cpu, 64, 0, ANY))).toBe(next));
    spin_unlock_irqrestore(m.cpus[holder], nodeLockOf(s), flags);
    if (holder === 0) local_unlock(cpu, lockOf(s));
    expect(problems(cpu, s, next)).toEqual([]);
  });
  test("9: once; then it is NULL", () => {
    const caches = [64, 96].map(bucket);
    for (const s of caches) setSheafState(cpu, s, nothing);
    setSheafState(cpu, bucket(128), { ...nothing, main: 2 });
    const flags = caches.map((s, i) => spin_lock_irqsave(m.cpus[i + 1], nodeLockOf(s)));
    m.nmi(cpu, () => expect(kmalloc_nolock(cpu, 64, 0, ANY)).toBe(NULL));
    for (const [i, s] of caches.entries()) spin_unlock_irqrestore(m.cpus[i + 1], nodeLockOf(s), flags[i]);
    expect(paths()).toMatchObject({ ok: 0, failed: 1 });
    expect(problems(cpu, ...caches)).toEqual([]);
  });
  test("9: there is no bucket above 8192", () => {
    setSheafState(cpu, bucket(8192), nothing);
    const flags = spin_lock_irqsave(m.cpus[1], nodeLockOf(bucket(8192)));
    expect(kmalloc_nolock(cpu, 8192, 0, ANY)).toBe(NULL);
    spin_unlock_irqrestore(m.cpus[1], nodeLockOf(bucket(8192)), flags);
  });
  test("10: zeroed if asked to", () => {
    const dirty = kmalloc(cpu, 128, GFP_KERNEL);
    cpu.mem.fill(dirty, 128, 0xff);
    kfree(cpu, dirty);
    const object = kmalloc_nolock(cpu, 100, __GFP_ZERO, ANY);
    expect(object).toBe(dirty);
    for (let i = 0; i < 128; i++) expect(cpu.mem.load_byte(object + i)).toBe(0);
  });
  test("what it gave may be freed by kfree()", () => {
    kfree(cpu, kmalloc_nolock(cpu, 64, 0, ANY));
    expect(problems(cpu, bucket(64))).toEqual([]);
  });
});

describe("kfree_nolock()", () => {
  const alloc = (): Obj => kmalloc_nolock(cpu, 128, 0, ANY);

  test("1: NULL and ZERO_SIZE_PTR are nothing", () => {
    kfree_nolock(cpu, NULL);
    kfree_nolock(cpu, ZERO_SIZE_PTR);
    expect(paths()).toMatchObject({ sheaf: 0, deferred: 0 });
  });
  test("1: a large kmalloc is reported and leaks", () => {
    const large = kmalloc(cpu, 10_000, GFP_KERNEL);
    expect(() => kfree_nolock(cpu, large)).toThrow(/no slab object/);
    m.set("panic_on_warn", 0);
    kfree_nolock(cpu, large);
    expect(m.placeOf(large)).toBe("user");
  });
  test("3: init_on_free clears, as kfree() does; the kernel does not", () => {
    m.set("hooks", HOOK_INIT_ON_FREE);
    const object = alloc();
    cpu.mem.fill(object, 128, 0xff);
    kfree_nolock(cpu, object);
    expect(cpu.mem.load_byte(object)).toBe(0);
    m.set("kernel_behaviour", KB_INIT_ON_FREE);
    expect(alloc()).toBe(object);
    cpu.mem.fill(object, 128, 0xff);
    kfree_nolock(cpu, object);
    expect(cpu.mem.load_byte(object)).toBe(0xff);
  });
  test("4: into the sheaf", () => {
    const objects = [alloc(), alloc()];
    const stats = counted(cpu, bucket(128), () =>
      m.nmi(cpu, () => {
        for (const object of objects) kfree_nolock(cpu, object);
      }),
    );
    expect(stats).toEqual({ FREE_FASTPATH: 2 });
    expect(paths()).toMatchObject({ sheaf: 2, deferred: 0 });
    expect(objects.map((object) => m.placeOf(object))).toEqual(["sheaf", "sheaf"]);
  });
  test("5: no sheaf with room: deferred, and freed by this CPU once IRQs are on", () => {
    const objects = Array.from({ length: 3 }, alloc);
    setSheafState(cpu, bucket(128), { main: 4, spare: 4, full: 0, empty: 0 });
    const places: string[] = [];
    const stats = counted(cpu, bucket(128), () => {
      local_irq_disable(cpu);
      for (const object of objects) kfree_nolock(cpu, object);
      places.push(...objects.map((object) => m.placeOf(object)));
      local_irq_enable(cpu);
    });
    expect(places).toEqual(["deferred", "deferred", "deferred"]);
    expect(stats).toMatchObject({ FREE_SLOWPATH: 3 });
    expect(objects.map((object) => m.placeOf(object))).toEqual(["freelist", "freelist", "freelist"]);
    expect(paths()).toMatchObject({ sheaf: 0, deferred: 3 });
    expect(problems(cpu, bucket(128))).toEqual([]);
  });
  test("4: what may not be kept in a sheaf is deferred", () => {
    const object = alloc();
    const slab = virt_to_slab(cpu, object);
    cpu.mem.poke(slab, Slab.offset.flags, cpu.mem.peek(slab, Slab.offset.flags) | SL_pfmemalloc);
    kfree_nolock(cpu, object);
    cpu.mem.poke(slab, Slab.offset.flags, cpu.mem.peek(slab, Slab.offset.flags) & ~SL_pfmemalloc);
    expect(paths()).toMatchObject({ sheaf: 0, deferred: 1 });
  });
  test("twice is caught", () => {
    const object = alloc();
    kfree_nolock(cpu, object);
    expect(() => kfree_nolock(cpu, object)).toThrow(MachineBug);
  });
});

/** Every point that ordinary calls visit, with the nolock triple in an NMI there. */
describe("anywhere", () => {
  const points = [
    POINT.local_trylock_acquired,
    POINT.local_unlock,
    POINT.slab_attach_kprobe_locked,
    POINT.barn_lock_held,
    POINT.list_lock_held,
    POINT.zone_lock_held,
    POINT.slab_read_before_cmpxchg,
    POINT.pcs_unlocked_window,
  ];
  test.each(points)("an NMI at point %i finds what it can, and breaks nothing", (point) => {
    const s = kmem_cache_create(cpu, "test", 128);
    const held: Obj[] = [];
    let nmis = 0;
    for (let round = 0; round < 30; round++) {
      m.nmiAt(cpu, point, () => {
        nmis++;
        const object = kmalloc_nolock(cpu, 64, 0, ANY);
        if (object !== NULL && nmis % 2 === 0) kfree_nolock(cpu, object);
        else if (object !== NULL) held.push(object);
        const mine = held.shift();
        if (mine !== undefined && nmis % 3 === 0) kfree_nolock(cpu, mine);
        else if (mine !== undefined) held.push(mine);
      });
      const objects = Array.from({ length: 40 }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL));
      const more = Array.from({ length: 40 }, () => kmalloc(cpu, 64, GFP_KERNEL));
      for (const object of objects) kmem_cache_free(cpu, s, object);
      for (const object of more) kfree(cpu, object);
      for (const cache of [s, bucket(64)]) kmem_cache_shrink(cpu, cache);
    }
    expect(nmis).toBeGreaterThan(10);
    for (const object of held) kfree(cpu, object);
    expect(problems(cpu, s, bucket(64))).toEqual([]);
  });
});
