/** The walkers: each kind of damage is seen, and nothing else. */
import { describe, expect, test } from "vitest";
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import {
  KmemCache,
  KmemCacheNode,
  KmemCachePerNode,
  NodeBarn,
  Slab,
  SL_locked,
  SL_partial,
  SLAB_FROZEN,
  SlabSheaf,
  SlubPercpuSheaves,
} from "../../../../../src/shared/layout/slab.ts";
import { SLAB_ALLOC_DEFAULT } from "../../../../../src/shared/layout/slab_flags.ts";
import { LocalTrylock, Spinlock } from "../../../../../src/shared/layout/types.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { INIT_LIST_HEAD, list_add } from "../../../../../src/shared/linux/lib/list.ts";
import { check_slabs, is_object_of_cache, slabs_of_cache } from "../../../../../src/shared/linux/mm/slub/check.ts";
import {
  check_quiescent_cache,
  check_slab_cache,
  take_census,
} from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import { get_node, index_to_obj, oo_make, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { set_freepointer } from "../../../../../src/shared/linux/mm/slub/slab_word.ts";
import { stat, STAT, stat_report, stat_sum } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { element, embedded, embedded_at, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { objectArray, SlabMachine } from "../slab_machine.ts";

type Cache = Ptr<"kmem_cache">;
interface Fixture {
  readonly machine: SlabMachine;
  readonly cpu: Cpu;
  readonly s: Cache;
  /** A slab of four with objects 0 and 1 in use, and a full one. */
  readonly partial: Ptr<"slab">;
  readonly full: Ptr<"slab">;
  readonly n: Ptr<"kmem_cache_node">;
}
function fixture(): Fixture {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache({}, { oo: oo_make(0, 4) });
  const objects = Array.from({ length: 6 }, () => ___slab_alloc(cpu, s, GFP_ATOMIC, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT));
  return {
    machine,
    cpu,
    s,
    full: virt_to_slab(cpu, objects[0]),
    partial: virt_to_slab(cpu, objects[5]),
    n: get_node(cpu, s, 0),
  };
}
const S = Slab.offset;

describe("slabs", () => {
  const damaged = (damage: (f: Fixture) => void): string => {
    const f = fixture();
    expect(check_slab_cache(f.cpu, f.s)).toEqual([]);
    damage(f);
    return check_slab_cache(f.cpu, f.s).join("\n");
  };
  const poke_word = (f: Fixture, change: (word: number) => number): void =>
    f.cpu.mem.poke(f.partial, S.counters, change(f.cpu.mem.peek(f.partial, S.counters)));

  test("inuse", () => {
    expect(damaged((f) => poke_word(f, (word) => word + 1))).toMatch(/inuse 3, but 2 of 4/);
  });
  test("a freelist that leaves the slab, is a ring, or is not aligned", () => {
    const link = (f: Fixture, to: Ptr): void => set_freepointer(f.cpu, f.s, index_to_obj(f.cpu, f.s, f.partial, 3), to);
    expect(damaged((f) => link(f, index_to_obj(f.cpu, f.s, f.full, 0)))).toMatch(/no object of it/);
    expect(damaged((f) => link(f, index_to_obj(f.cpu, f.s, f.partial, 2)))).toMatch(/ring at object 2/);
    expect(damaged((f) => link(f, (index_to_obj(f.cpu, f.s, f.partial, 1) + 8) as Ptr))).toMatch(/no object of it/);
  });
  test("frozen, slab_lock held", () => {
    expect(damaged((f) => poke_word(f, (word) => word | SLAB_FROZEN))).toMatch(/is frozen/);
    expect(damaged((f) => f.cpu.mem.poke(f.partial, S.flags, SL_partial | SL_locked))).toMatch(/slab_lock is held/);
  });
  test("SL_partial against the list", () => {
    expect(damaged((f) => f.cpu.mem.poke(f.partial, S.flags, 0))).toMatch(/SL_partial false, but is linked/);
    expect(damaged((f) => f.cpu.mem.poke(f.full, S.flags, SL_partial))).toMatch(/SL_partial true, but is not linked/);
  });
  test("a full slab on the list; one with free objects on none", () => {
    expect(
      damaged((f) => {
        list_add(f.cpu, embedded(f.full, S.slab_list), embedded(f.n, KmemCacheNode.offset.partial));
      }),
    ).toMatch(/full slab/);
    expect(
      damaged((f) => {
        INIT_LIST_HEAD(f.cpu, embedded(f.n, KmemCacheNode.offset.partial));
        f.cpu.mem.poke(f.partial, S.flags, 0);
        f.cpu.mem.poke(f.n, KmemCacheNode.offset.nr_partial, 0);
      }),
    ).toMatch(/not on the partial list/);
  });
  test.each(["nr_partial", "nr_slabs", "total_objects"] as const)("%s", (counter) => {
    expect(damaged((f) => f.cpu.mem.poke(f.n, KmemCacheNode.offset[counter], 77))).toMatch(`${counter} is 77`);
  });
  test("list_lock held", () => {
    const lock = KmemCacheNode.offset.list_lock;
    expect(damaged((f) => f.cpu.mem.poke(embedded(f.n, lock), Spinlock.offset.val, 1))).toMatch(/list_lock is held/);
  });
  test("a census counts", () => {
    const { cpu, s, full, partial } = fixture();
    expect(check_slabs(cpu, s)).toMatchObject({ problems: [], total_objects: 8, inuse: 6 });
    expect(slabs_of_cache(cpu, s)).toEqual(new Set([full, partial]));
    const object = index_to_obj(cpu, s, full, 1);
    expect([object, (object + 8) as Ptr, s as Ptr, 64 as Ptr].map((p) => is_object_of_cache(cpu, s, p))).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});

describe("sheaves", () => {
  /** Sheaves by hand: main of CPU 0 has two objects, a barn has one sheaf of each kind. */
  function withSheaves(): Fixture & { main: Ptr<"slab_sheaf">; barn: Ptr<"node_barn">; kept: Ptr<"slab_sheaf"> } {
    const f = fixture();
    const { cpu, s, full } = f;
    const { mem } = cpu;
    const page = objectArray(cpu) as number;
    const pcs = page as Ptr<"slub_percpu_sheaves">;
    const barn = (page + 512) as Ptr<"node_barn">;
    const sheaf = (i: number, objects: number[]): Ptr<"slab_sheaf"> => {
      const p = (page + 1024 + i * 128) as Ptr<"slab_sheaf">;
      mem.poke(p, SlabSheaf.offset.cache, s);
      mem.poke(p, SlabSheaf.offset.size, objects.length);
      for (const [slot, index] of objects.entries()) {
        mem.poke(p, element(SlabSheaf.offset.objects, slot), index_to_obj(cpu, s, full, index));
      }
      return p;
    };
    mem.poke(s, KmemCache.offset.sheaf_capacity, 4);
    mem.poke(s, KmemCache.offset.cpu_sheaves, pcs);
    for (let id = 0; id < 2; id++) {
      const own = (pcs + id * SlubPercpuSheaves.size) as Ptr<"slub_percpu_sheaves">;
      mem.poke(own, SlubPercpuSheaves.offset.main, sheaf(id, id === 0 ? [0, 1] : []));
    }
    INIT_LIST_HEAD(cpu, embedded(barn, NodeBarn.offset.sheaves_full));
    INIT_LIST_HEAD(cpu, embedded(barn, NodeBarn.offset.sheaves_empty));
    const kept = sheaf(2, [2]);
    list_add(cpu, embedded(kept, SlabSheaf.offset.barn_list), embedded(barn, NodeBarn.offset.sheaves_full));
    list_add(cpu, embedded(sheaf(3, []), SlabSheaf.offset.barn_list), embedded(barn, NodeBarn.offset.sheaves_empty));
    mem.poke(barn, NodeBarn.offset.nr_full, 1);
    mem.poke(barn, NodeBarn.offset.nr_empty, 1);
    mem.poke(embedded_at(s, KmemCache.offset.per_node, 0, KmemCachePerNode.size), KmemCachePerNode.offset.barn, barn);
    stat(cpu, s, STAT.SHEAF_ALLOC, 4);
    return { ...f, main: (page + 1024) as Ptr<"slab_sheaf">, barn, kept };
  }
  const damaged = (damage: (f: ReturnType<typeof withSheaves>) => void): string => {
    const f = withSheaves();
    expect(check_slab_cache(f.cpu, f.s)).toEqual([]);
    damage(f);
    return check_slab_cache(f.cpu, f.s).join("\n");
  };
  const pcs_of = (f: Fixture): Ptr<"slub_percpu_sheaves"> => f.cpu.mem.peek(f.s, KmemCache.offset.cpu_sheaves);
  const P = SlubPercpuSheaves.offset;

  test("a census, and what must add up at rest", () => {
    const { cpu, s } = withSheaves();
    const census = take_census(cpu, s);
    expect([census.sheaves.size, census.cached.size, census.inuse]).toEqual([4, 3, 6]);
    expect(check_quiescent_cache(cpu, s, 3, true)).toEqual([]);
    expect(check_quiescent_cache(cpu, s, 2, true)).toEqual(["6 objects in use, 3 of them in sheaves: 3 used, not 2"]);
    stat(cpu, s, STAT.SHEAF_FREE);
    expect(check_quiescent_cache(cpu, s, 3, true)).toEqual(["4 sheaves found, but 3 are alive"]);
    expect(check_quiescent_cache(cpu, s, 3, false)).toEqual([]);
  });
  test("the sheaf lock, main, spare, rcu_free", () => {
    expect(damaged((f) => f.cpu.mem.poke(embedded(pcs_of(f), P.lock), LocalTrylock.offset.acquired, 1))).toMatch(
      /lock is held/,
    );
    expect(damaged((f) => f.cpu.mem.poke(pcs_of(f), P.main, 0 as Ptr<"slab_sheaf">))).toMatch(/no main sheaf/);
    expect(damaged((f) => f.cpu.mem.poke(pcs_of(f), P.spare, f.main))).toMatch(/is somewhere else, too/);
    expect(
      damaged((f) => {
        f.cpu.mem.poke(f.kept, SlabSheaf.offset.size, 0);
        f.cpu.mem.poke(pcs_of(f), P.rcu_free, f.kept);
      }),
    ).toMatch(/rcu_free: 0 objects, not 1 to 3/);
    expect(damaged((f) => f.cpu.mem.poke(f.main, SlabSheaf.offset.size, 5))).toMatch(/5 objects, not 0 to 4/);
  });
  test("a barn's counters and contents", () => {
    expect(damaged((f) => f.cpu.mem.poke(f.barn, NodeBarn.offset.nr_full, 2))).toMatch(
      /full: counter is 2, but there are 1/,
    );
    expect(damaged((f) => f.cpu.mem.poke(f.barn, NodeBarn.offset.nr_empty, 0))).toMatch(/empty: counter is 0/);
    expect(damaged((f) => f.cpu.mem.poke(f.kept, SlabSheaf.offset.size, 0))).toMatch(/full: 0 objects, not 1 to 4/);
    expect(damaged((f) => f.cpu.mem.poke(f.kept, SlabSheaf.offset.cache, 64 as Cache))).toMatch(/of another cache/);
  });
  test("an object in two places", () => {
    const put = (f: ReturnType<typeof withSheaves>, object: Ptr): void =>
      f.cpu.mem.poke(f.kept, element(SlabSheaf.offset.objects, 0), object as Ptr<"object">);
    expect(damaged((f) => put(f, index_to_obj(f.cpu, f.s, f.full, 0)))).toMatch(/in two sheaves/);
    expect(damaged((f) => put(f, index_to_obj(f.cpu, f.s, f.partial, 3)))).toMatch(/on a freelist, too/);
    expect(damaged((f) => put(f, 4096 as Ptr))).toMatch(/no object of the cache/);
  });
});

test("statistics: per CPU, summed when read, reported by name", () => {
  const { machine, cpu, s } = fixture();
  stat(cpu, s, STAT.BARN_GET, 3);
  stat(machine.cpus[1], s, STAT.BARN_GET);
  expect(stat_sum(cpu, s, STAT.BARN_GET)).toBe(4);
  expect(stat_report(cpu, s)).toEqual({ ALLOC_SLOWPATH: 6, ALLOC_SLAB: 2, BARN_GET: 4 });
});
