/** Memory cgroups: charges, stocks, references, and the extension vectors of slabs. */
import { beforeEach, describe, expect, test } from "vitest";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { HOOK_KASAN, HOOK_KFENCE, HOOK_MEMCG } from "../../../../../src/shared/layout/debug.ts";
import {
  MEMCG_DATA_OBJEXTS,
  MemcgState,
  ObjCgroup,
  OBJEXTS_ALLOC_FAIL,
  OBJEXTS_NOSPIN_ALLOC,
  ObjStock,
  SlabobjExt,
} from "../../../../../src/shared/layout/debug_memcg.ts";
import { __GFP_ACCOUNT, GFP_KERNEL, GFP_KERNEL_ACCOUNT, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import {
  KB_ABORT_SINGLE,
  KB_NOSPIN_ALLOC,
  KB_OBJ_EXT_RECURSION,
  KB_OBJCG_SPIN,
} from "../../../../../src/shared/layout/globals.ts";
import { KmemCache, Slab, SlubPercpuSheaves } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_ACCOUNT, SLAB_NO_SHEAVES } from "../../../../../src/shared/layout/slab_flags.ts";
import { debug_check, debug_drain } from "../../../../../src/shared/linux/mm/debug/facilities.ts";
import { memcg_offline, slab_obj_exts } from "../../../../../src/shared/linux/mm/debug/memcg.ts";
import { memcg_state, obj_stock } from "../../../../../src/shared/linux/mm/debug/objcg.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { kmem_cache_destroy } from "../../../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kfree_rcu } from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { alloc_frozen_pages, free_frozen_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { kmem_cache_alloc_bulk } from "../../../../../src/shared/linux/mm/slub/bulk_alloc.ts";
import { kmem_cache_create } from "../../../../../src/shared/linux/mm/slub/cache.ts";
import { cache_name } from "../../../../../src/shared/linux/mm/slub/cache_name.ts";
import {
  kfree,
  kmalloc,
  kmem_cache_alloc,
  kmem_cache_free,
  ksize,
} from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { kfree_nolock, kmalloc_nolock } from "../../../../../src/shared/linux/mm/slub/nolock.ts";
import { this_cpu_sheaves } from "../../../../../src/shared/linux/mm/slub/pcs.ts";
import { kmem_cache_shrink } from "../../../../../src/shared/linux/mm/slub/shrink.ts";
import { virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { rcu_barrier } from "../../../../../src/shared/linux/rcu/tree_barrier.ts";
import { local_trylock, local_unlock } from "../../../../../src/shared/linux/sync/local_lock.ts";
import { embedded, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { check_quiescence, take_account } from "../../../../../src/workers/quiescence.ts";
import { TestMachine, Thing, type ThingPtr } from "../kvfree_rcu/machine.ts";

const { memory: MEMORY, max: MAX, objcg: OBJCG, nr_objcgs: NR_OBJCGS } = MemcgState.offset;
const { refcnt: REFCNT, nr_charged_bytes: NR_CHARGED_BYTES, in_use: IN_USE } = ObjCgroup.offset;
const { cached_objcg: CACHED, nr_bytes: NR_BYTES, lock: LOCK, nr_failed: NR_FAILED } = ObjStock.offset;
const { objcg: EXT_OBJCG } = SlabobjExt.offset;
const { obj_exts: OBJ_EXTS, objects: OBJECTS, slab_cache: SLAB_CACHE } = Slab.offset;
const { min_partial: MIN_PARTIAL } = KmemCache.offset;
const { lock: PCS_LOCK } = SlubPercpuSheaves.offset;
/** What an object of 64 bytes costs. */
const COST = 64 + 8;

let m: TestMachine;
let cpu: Cpu;
let other: Cpu;
function boot(words: ConstructorParameters<typeof TestMachine>[1] = {}): void {
  m = new TestMachine({ cpus: 2 }, { hooks: HOOK_MEMCG, ...words });
  [cpu, other] = m.cpus as [Cpu, Cpu];
}
beforeEach(() => boot());

const charged = (): number => cpu.mem.peek(memcg_state(cpu), MEMORY);
const limit = (pages: number): void => cpu.mem.poke(memcg_state(cpu), MAX, pages);
const objcg = (): Ptr<"obj_cgroup"> => cpu.mem.peek(memcg_state(cpu), OBJCG);
const references = (to = objcg()): number => cpu.mem.peek(to, REFCNT);
const stock = (on: Cpu): number => on.mem.peek(obj_stock(on, on.id), NR_BYTES);
const slabOf = (object: Ptr): Ptr<"slab"> => virt_to_slab(cpu, object);
const nameOf = (object: Ptr): string => cache_name(cpu, cpu.mem.peek(slabOf(object), SLAB_CACHE));
const problems = (): string[] => debug_check(cpu, take_account(cpu).censuses);
const accounted = (): Ptr<"object"> => kmalloc(cpu, 64, GFP_KERNEL_ACCOUNT);
const nolock = (): Ptr<"object"> => kmalloc_nolock(cpu, 64, __GFP_ACCOUNT, NUMA_NO_NODE);
/** Takes all pages that there are. @returns what gives them back. */
function exhaust(): () => void {
  const pages: Ptr<"page">[] = [];
  for (let page = alloc_frozen_pages(cpu, 0, 0); page !== NULL; page = alloc_frozen_pages(cpu, 0, 0)) pages.push(page);
  return () => {
    for (const page of pages) free_frozen_pages(cpu, page, 0);
  };
}

describe("a charge", () => {
  test("is for pages; the stock keeps what the object does not need", () => {
    const object = accounted();
    expect([charged(), stock(cpu), references()]).toEqual([1, PAGE_SIZE - COST, 3]); // The cgroup, the object, the stock.
    const more = accounted();
    expect([charged(), stock(cpu), references()]).toEqual([1, PAGE_SIZE - 2 * COST, 4]);
    kfree(cpu, object);
    kfree(cpu, more);
    expect([charged(), stock(cpu), references()]).toEqual([1, PAGE_SIZE, 2]);
    debug_drain(cpu);
    expect([charged(), stock(cpu), references()]).toEqual([0, 0, 1]);
    expect(problems()).toEqual([]);
  });
  test("is made for __GFP_ACCOUNT and for SLAB_ACCOUNT only", () => {
    kmalloc(cpu, 64, GFP_KERNEL);
    expect(charged()).toBe(0);
    kmem_cache_alloc(cpu, kmem_cache_create(cpu, "things", 64, { flags: SLAB_ACCOUNT }), GFP_KERNEL);
    expect(charged()).toBe(1);
  });
  test("is given back by whatever frees the object, after its grace period if need be", () => {
    const thing = accounted() as Ptr as ThingPtr;
    kfree_rcu(cpu, thing, Thing.offset.head);
    expect(references()).toBe(3);
    kvfree_rcu_barrier(cpu);
    expect(references()).toBe(2);
    const object = nolock();
    m.nmi(cpu, () => kfree_nolock(cpu, object));
    expect(references()).toBe(2);
    kfree(other, accounted());
    expect([references(), stock(other)]).toEqual([3, COST]);
    debug_drain(cpu);
    expect(problems()).toEqual([]);
  });
  test("of a stock that is busy goes past it", () => {
    const object = accounted();
    const lock = embedded(obj_stock(cpu, 0), LOCK);
    expect(local_trylock(cpu, lock)).toBe(true);
    const more = nolock();
    expect([charged(), stock(cpu), cpu.mem.peek(objcg(), NR_CHARGED_BYTES)]).toEqual([
      2,
      PAGE_SIZE - COST,
      PAGE_SIZE - COST,
    ]);
    local_unlock(cpu, lock);
    kfree(cpu, object);
    kfree_nolock(cpu, more);
    debug_drain(cpu);
    expect(problems()).toEqual([]);
  });
  test("that reaches the limit fails: the object is freed, and NULL returned", () => {
    limit(1);
    const objects: Ptr[] = [];
    for (let object = accounted(); object !== NULL; object = accounted()) objects.push(object);
    expect(objects).toHaveLength(Math.floor(PAGE_SIZE / COST));
    expect(nolock()).toBe(NULL);
    // Twice: kmalloc_nolock() does not try the next bucket for that.
    expect(cpu.mem.peek(obj_stock(cpu, 0), NR_FAILED)).toBe(2);
    for (const object of objects) kfree(cpu, object);
    debug_drain(cpu);
    expect(problems()).toEqual([]);
  });
  test("of many objects at once: all or none", () => {
    const s = kmem_cache_create(cpu, "things", 64, { flags: SLAB_ACCOUNT });
    const p = kmalloc(cpu, 1024, GFP_KERNEL) as Ptr as Ptr<"object_array">;
    limit(1);
    expect(kmem_cache_alloc_bulk(cpu, s, GFP_KERNEL, 100, p)).toBe(false);
    debug_drain(cpu);
    expect(problems()).toEqual([]);
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
  });
});

describe("an objcg that has been replaced", () => {
  test("lives until the last object that it pays for is freed", () => {
    const object = accounted();
    const old = objcg();
    expect(memcg_offline(cpu)).toBe(true);
    expect(objcg()).not.toBe(old);
    expect([references(old), charged()]).toEqual([1, 1]);
    kfree(cpu, object);
    memcg_offline(cpu); // Its stock held a reference.
    expect([references(old), charged()]).toEqual([0, 0]);
    expect(cpu.mem.peek(old, IN_USE)).toBe(1); // Until the grace period ends.
    rcu_barrier(cpu);
    expect(cpu.mem.peek(old, IN_USE)).toBe(0);
    expect(problems()).toEqual([]);
  });
  test("there is room for some, and no more", () => {
    const objects: Ptr[] = [];
    do objects.push(accounted());
    while (memcg_offline(cpu));
    expect(cpu.mem.peek(memcg_state(cpu), NR_OBJCGS)).toBe(8);
    for (const object of objects) kfree(cpu, object);
    debug_drain(cpu);
    rcu_barrier(cpu);
    debug_drain(cpu);
    expect(problems()).toEqual([]);
  });

  const lastPutInNmi = (behaviour: number): void => {
    boot({ kernel_behaviour: behaviour });
    const object = nolock();
    memcg_offline(cpu);
    const lock = embedded(obj_stock(cpu, 0), LOCK);
    expect(local_trylock(cpu, lock)).toBe(true); // So that the stock does not take a reference of its own.
    m.nmi(cpu, () => kfree_nolock(cpu, object));
    local_unlock(cpu, lock);
  };
  test("is released by an irq_work if its last reference is put in NMI (slub B24)", () => {
    lastPutInNmi(0);
    expect(cpu.mem.peek(memcg_state(cpu), NR_OBJCGS)).toBe(1);
    debug_drain(cpu);
    expect(problems()).toEqual([]);
  });
  test("as the kernel does it, the NMI spins", () => {
    expect(() => lastPutInNmi(KB_OBJCG_SPIN)).toThrow(/spins in NMI: objcg/);
  });

  const foreignStockInNmi = (behaviour: number): void => {
    boot({ kernel_behaviour: behaviour });
    const object = nolock();
    const p = kmalloc(cpu, 64, GFP_KERNEL_ACCOUNT);
    const old = objcg();
    expect(cpu.mem.peek(obj_stock(cpu, 0), CACHED)).toBe(old);
    expect(memcg_offline(other)).toBe(true);
    kfree(cpu, p); // Puts the old one's bytes, and a reference, into the stock again.
    kfree_nolock(cpu, object);
    expect([cpu.mem.peek(obj_stock(cpu, 0), CACHED), references(old)]).toEqual([old, 1]); // The stock's is the last one.
    m.nmi(cpu, () => kfree_nolock(cpu, nolock()));
  };
  test("is left in the stock of a CPU whose NMI needs another one (slub B24)", () => {
    foreignStockInNmi(0);
    debug_drain(cpu);
    expect(problems()).toEqual([]);
  });
  test("as the kernel does it, the NMI drains the stock, and spins", () => {
    expect(() => foreignStockInNmi(KB_OBJCG_SPIN)).toThrow(/spins in NMI: objcg/);
  });
});

describe("the vector of a slab", () => {
  test("has an entry per object, is made when one needs it, and goes with the slab", () => {
    const s = kmem_cache_create(cpu, "things", 64, { flags: SLAB_NO_SHEAVES });
    cpu.mem.poke(s, MIN_PARTIAL, 0);
    const plain = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(slab_obj_exts(cpu, slabOf(plain))).toBe(NULL);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL_ACCOUNT);
    expect(slabOf(object)).toBe(slabOf(plain));
    const exts = slab_obj_exts(cpu, slabOf(object));
    const payers = Array.from({ length: cpu.mem.peek(slabOf(object), OBJECTS) }, (_, i) =>
      cpu.mem.peek((exts + i * SlabobjExt.size) as Ptr<"slabobj_ext">, EXT_OBJCG),
    );
    expect(payers.map((payer) => payer === objcg())).toEqual(payers.map((_, i) => i === 1));
    expect(nameOf(exts)).toBe("kmalloc-no-objext-1k");
    kmem_cache_free(cpu, s, plain);
    kmem_cache_free(cpu, s, object);
    expect(m.placeOf(exts)).toBe("sheaf");
  });
  test("comes with the slab if all objects are accounted for, and goes with one that nobody sees", () => {
    const s = kmem_cache_create(cpu, "things", 64, { flags: SLAB_ACCOUNT });
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL);
    expect(cpu.mem.peek(slabOf(object), OBJ_EXTS) & MEMCG_DATA_OBJEXTS).toBe(MEMCG_DATA_OBJEXTS);
    kmem_cache_free(cpu, s, object);
    expect(kmem_cache_destroy(cpu, s)).toBe(0);
  });
  test("without memory for it the object is not accounted for, and the next one tries again", () => {
    const s = kmem_cache_create(cpu, "things", 64, { flags: SLAB_NO_SHEAVES });
    kmem_cache_alloc(cpu, s, GFP_KERNEL);
    const give_back = exhaust();
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL_ACCOUNT);
    expect([cpu.mem.peek(slabOf(object), OBJ_EXTS), charged()]).toEqual([OBJEXTS_ALLOC_FAIL, 0]);
    give_back();
    const next = kmem_cache_alloc(cpu, s, GFP_KERNEL_ACCOUNT);
    expect([slabOf(next), charged(), references()]).toEqual([slabOf(object), 1, 3]);
    kmem_cache_free(cpu, s, object); // Nobody pays for it.
    expect(references()).toBe(3);
  });
  test("before 7.0 one of kmalloc_nolock() was marked, and its objects were not for kfree()", () => {
    boot({ kernel_behaviour: KB_NOSPIN_ALLOC, tiny: 1 });
    const object = nolock();
    expect(cpu.mem.peek(slabOf(object), OBJ_EXTS) & OBJEXTS_NOSPIN_ALLOC).toBe(OBJEXTS_NOSPIN_ALLOC);
    const mixed = accounted(); // The same slab and vector, but another object.
    expect(slabOf(mixed)).toBe(slabOf(object));
    kfree(cpu, mixed);
    expect(() => kfree(cpu, object)).toThrow(/kfree\(\) of 0x.*, which kmalloc_nolock\(\) has allocated/);
    kfree_nolock(cpu, object);
    m.set("panic_on_warn", 0);
    const leaked = nolock();
    kfree(cpu, leaked);
    expect(m.placeOf(leaked)).toBe("kept");
    boot({ tiny: 1 });
    kfree(cpu, nolock());
  });
});

describe("a charge that fails in NMI (slub B22)", () => {
  const failInNmi = (behaviour: number): void => {
    boot({ kernel_behaviour: behaviour });
    kfree(cpu, nolock()); // The slab has its vector.
    debug_drain(cpu);
    limit(0);
    m.nmi(cpu, () => expect(nolock()).toBe(NULL));
  };
  test("frees the object as kfree_nolock() does", () => {
    failInNmi(0);
    expect(problems()).toEqual([]);
  });
  test("as the kernel does it, in a way that spins", () => {
    expect(() => failInNmi(KB_ABORT_SINGLE)).toThrow(/__slab_free\(\) in/);
  });
});

describe("the free of a slab whose vector lies in a slab with a vector (slub B21)", () => {
  /** The last object of a slab is freed. Before, accounted objects are put into the slabs of its vector, of that one's ... */
  const free_slab = (behaviour: number): number => {
    boot({ kernel_behaviour: behaviour, tiny: 1 }); // All kinds of kmalloc() share their slabs.
    const s = kmem_cache_create(cpu, "things", 16, { flags: SLAB_NO_SHEAVES });
    cpu.mem.poke(s, MIN_PARTIAL, 0);
    const object = kmem_cache_alloc(cpu, s, GFP_KERNEL_ACCOUNT);
    const caches: Ptr<"kmem_cache">[] = [];
    const others: Ptr[] = [];
    let exts = slab_obj_exts(cpu, slabOf(object));
    let length = 0;
    for (; exts !== NULL && length < 3; length++) {
      const slab = slabOf(exts);
      caches.push(cpu.mem.peek(slab, SLAB_CACHE));
      for (let tries = 0; tries < 40 && slab_obj_exts(cpu, slab) === NULL; tries++) {
        others.push(kmalloc(cpu, ksize(cpu, exts), GFP_KERNEL_ACCOUNT));
      }
      exts = slab_obj_exts(cpu, slab);
    }
    for (const other of others) kfree(cpu, other);
    for (const cache of caches) cpu.mem.poke(cache, MIN_PARTIAL, 0);
    for (const cache of caches) kmem_cache_shrink(cpu, cache); // No sheaf keeps a slab in use ...
    for (const cache of caches) local_trylock(cpu, embedded(this_cpu_sheaves(cpu, cache), PCS_LOCK)); // ... or a free.
    kmem_cache_free(cpu, s, object);
    return length;
  };
  test("cannot be: vectors come from buckets whose slabs have none", () => {
    expect(free_slab(0)).toBe(1);
  });
  test("as before 7.3 one free leads to the next", () => {
    expect(() => free_slab(KB_OBJ_EXT_RECURSION)).toThrow(/slub B21/);
  });
  test("before 7.3 a vector could even lie in its own slab, which was never empty again", () => {
    boot({ kernel_behaviour: KB_OBJ_EXT_RECURSION, tiny: 1 });
    const slab = slabOf(kmalloc(cpu, 256, GFP_KERNEL_ACCOUNT));
    expect(slabOf(slab_obj_exts(cpu, slab))).toBe(slab);
  });
});

test("traffic on two CPUs, with KASAN and KFENCE, closes its books", () => {
  boot({ hooks: HOOK_MEMCG | HOOK_KASAN | HOOK_KFENCE, tiny: 1 });
  limit(8);
  const baseline = take_account(cpu);
  const live: Ptr[] = [];
  for (let i = 0; i < 600; i++) {
    const on = m.cpus[i % 2];
    const size = 8 << (i % 8);
    const object =
      i % 3 === 0 ? kmalloc(on, size, GFP_KERNEL_ACCOUNT) : kmalloc_nolock(on, size, __GFP_ACCOUNT, NUMA_NO_NODE);
    if (object !== NULL) live.push(object);
    if (live.length > 60) kfree(m.cpus[(i >> 1) % 2], live.shift() as Ptr);
    if (i % 100 === 50) memcg_offline(on);
  }
  for (const object of live) kfree(cpu, object);
  check_quiescence(cpu, baseline);
});
