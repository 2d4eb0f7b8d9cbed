/** /proc/slabinfo, and the lists it is counted from, also while somebody changes them. */
import { beforeEach, describe, expect, test } from "vitest";
import { countFreeApprox, countInuse, countFree, nodesOf } from "../../../src/main/slab/partial.ts";
import { cachesOf, readCache } from "../../../src/main/slab/seen.ts";
import { slabinfo, slabinfoText, type SlabinfoLine } from "../../../src/main/slab/slabinfo.ts";
import type { Cpu } from "../../../src/shared/cpu/cpu.ts";
import { GFP_KERNEL } from "../../../src/shared/layout/gfp.ts";
import { KmemCache, KmemCacheNode, Slab } from "../../../src/shared/layout/slab.ts";
import { SLAB_NO_SHEAVES, SLAB_RED_ZONE } from "../../../src/shared/layout/slab_flags.ts";
import { ListHead } from "../../../src/shared/layout/types.ts";
import { kmem_cache_destroy } from "../../../src/shared/linux/mm/kvfree_rcu/destroy.ts";
import { kfree_rcu } from "../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { kmem_cache_create } from "../../../src/shared/linux/mm/slub/cache.ts";
import { cache_name } from "../../../src/shared/linux/mm/slub/cache_name.ts";
import { kmem_cache_alloc, kmem_cache_free } from "../../../src/shared/linux/mm/slub/kmalloc.ts";
import { virt_to_slab } from "../../../src/shared/linux/mm/slub/slab.ts";
import { embedded, type Ptr } from "../../../src/shared/mem/struct.ts";
import { TestMachine, Thing } from "../../shared/linux/mm/kvfree_rcu/machine.ts";

const { slab_list: SLAB_LIST } = Slab.offset;
const { partial: PARTIAL } = KmemCacheNode.offset;
const { next: NEXT, prev: PREV } = ListHead.offset;

type Cache = Ptr<"kmem_cache">;

let machine: TestMachine;
let cpu: Cpu;
beforeEach(() => {
  machine = new TestMachine({ cpus: 2 });
  [cpu] = machine.cpus;
});

const lineOf = (name: string): SlabinfoLine | undefined => slabinfo(cpu).find((line) => line.name === name);
const alloc = (s: Cache, n: number): Ptr<"object">[] =>
  Array.from({ length: n }, () => kmem_cache_alloc(cpu, s, GFP_KERNEL));
const free = (s: Cache, objects: readonly Ptr[]): void => objects.forEach((object) => kmem_cache_free(cpu, s, object));
const nodeOf = (s: Cache): Ptr<"kmem_cache_node"> => nodesOf(cpu, s)[0][1];
/** Objects of 1000 bytes in a slab. */
const PER_SLAB = 16;
/** `slabs` partial slabs, with `inuse` objects of each in use. */
function partialSlabs(slabs: number, inuse: number): Cache {
  const s = kmem_cache_create(cpu, "things", 1000, { flags: SLAB_NO_SHEAVES });
  const objects = alloc(s, slabs * PER_SLAB);
  free(
    s,
    objects.filter((_, i) => i % PER_SLAB >= inuse),
  );
  return s;
}

describe("the file", () => {
  test("two lines of head, then a line for each cache, newest first", () => {
    const s = kmem_cache_create(cpu, "things", 100, { flags: SLAB_NO_SHEAVES });
    alloc(s, 5);
    const lines = slabinfoText(slabinfo(cpu));
    expect(lines.slice(0, 3)).toEqual([
      "slabinfo - version: 2.1",
      "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>",
      "things                 5     39    104   39    1 : tunables    0    0    0 : slabdata      1      1      0",
    ]);
    expect(lines.at(-1)).toMatch(/^kmem_cache_node /);
    expect(lines).toHaveLength(2 + cachesOf(cpu).length);
  });
  test("long names and large numbers push their line apart", () => {
    const line = { name: "a-name-of-24-characters.", active_objs: 1234567, num_objs: 7654321, objsize: 8 };
    const [, , text] = slabinfoText([{ ...line, objperslab: 12345, pagesperslab: 1, active_slabs: 2, num_slabs: 2 }]);
    expect(text).toBe(
      "a-name-of-24-characters. 1234567 7654321      8 12345    1 : tunables    0    0    0 : slabdata      2      2      0",
    );
  });
});

describe("what is active", () => {
  test("objects in use; those that are free on a partial list are not", () => {
    const s = partialSlabs(6, 3);
    expect(lineOf("things")).toEqual({
      name: "things",
      active_objs: 18,
      num_objs: 96,
      objsize: 1000,
      objperslab: 16,
      pagesperslab: 4,
      active_slabs: 6,
      num_slabs: 6,
    });
    expect([countFree(cpu, s, nodeOf(s)), countInuse(cpu, s, nodeOf(s))]).toEqual([78, 18]);
  });
  test("objects in sheaves are active, and those that wait for a grace period", () => {
    const s = kmem_cache_create(cpu, "things", Thing.size);
    const [first, second, ...rest] = alloc(s, 64);
    free(s, [first]);
    kfree_rcu(cpu, second as Ptr as Ptr<"thing">, Thing.offset.rcu);
    expect(lineOf("things")?.active_objs).toBeGreaterThanOrEqual(64);
    free(s, rest);
    kmem_cache_destroy(cpu, s);
    expect(lineOf("things")).toBeUndefined();
  });
  test("objsize is with debugging data", () => {
    kmem_cache_create(cpu, "things", 64, { flags: SLAB_RED_ZONE | SLAB_NO_SHEAVES });
    expect(lineOf("things")?.objsize).toBeGreaterThan(64);
  });
  test("of both nodes", () => {
    machine = new TestMachine({ cpus: 2, nodes: 2 });
    const [a, b] = machine.cpus;
    const s = kmem_cache_create(a, "things", 1000, { flags: SLAB_NO_SHEAVES });
    kmem_cache_alloc(a, s, GFP_KERNEL);
    kmem_cache_alloc(b, s, GFP_KERNEL);
    expect(slabinfo(a)[0]).toMatchObject({ name: "things", active_objs: 2, num_objs: 32, num_slabs: 2 });
  });
});

describe("a long list is sampled at both ends", () => {
  test("and scaled up; exactly what is there if all slabs are alike", () => {
    const s = partialSlabs(40, 1);
    for (const scan of [2, 7, 10, 39, 40, 100]) {
      expect(countFreeApprox(cpu, s, nodeOf(s), scan)).toBe(600);
    }
  });
  test("half from each end", () => {
    const s = partialSlabs(10, 1);
    const n = nodeOf(s);
    // The slab at the head has no object in use any more, so it has one free object more.
    const head = (cpu.mem.peek(embedded(n, PARTIAL), NEXT) - SLAB_LIST) as Ptr<"slab">;
    cpu.mem.poke(head, Slab.offset.counters, cpu.mem.peek(head, Slab.offset.counters) - 1);
    expect(countFreeApprox(cpu, s, n, 100)).toBe(151);
    expect(countFreeApprox(cpu, s, n, 4)).toBe(Math.floor((61 * 10) / 4));
    expect(countFreeApprox(cpu, s, n, 2)).toBe((31 * 10) / 2);
  });
  test("never more than there are", () => {
    const s = partialSlabs(10, 0);
    const n = nodeOf(s);
    cpu.mem.poke(n, KmemCacheNode.offset.nr_partial, 1000);
    expect(countFreeApprox(cpu, s, n, 4)).toBe(cpu.mem.peek(n, KmemCacheNode.offset.total_objects));
  });
});

describe("a list that is being changed", () => {
  test("a link that does not agree with its back link ends the walk, and no count is too high", () => {
    const s = partialSlabs(6, 1);
    const n = nodeOf(s);
    const third = [1, 2].reduce<Ptr<"list_head">>(
      (entry) => cpu.mem.peek(entry, NEXT),
      cpu.mem.peek(embedded(n, PARTIAL), NEXT),
    );
    cpu.mem.poke(third, PREV, embedded(n, PARTIAL));
    expect(countFree(cpu, s, n)).toBe(30);
  });
  test("a slab that goes round in circles, a link to nowhere, a page of another cache: no endless walk", () => {
    const s = partialSlabs(3, 1);
    const n = nodeOf(s);
    const first = cpu.mem.peek(embedded(n, PARTIAL), NEXT);
    const next = cpu.mem.peek(first, NEXT);
    for (const wrong of [first, 0x7ffffff0, 3, 0x100, n]) {
      cpu.mem.poke(first, NEXT, wrong as Ptr<"list_head">);
      expect(countFree(cpu, s, n)).toBe(15);
    }
    cpu.mem.poke(first, NEXT, next);
    const other = kmem_cache_create(cpu, "others", 1000, { flags: SLAB_NO_SHEAVES });
    const [object] = alloc(other, 1);
    const foreign = embedded(virt_to_slab(cpu, object), SLAB_LIST);
    const back = cpu.mem.peek(foreign, PREV);
    cpu.mem.poke(first, NEXT, foreign);
    cpu.mem.poke(foreign, PREV, first);
    expect(countFree(cpu, s, n)).toBe(15);
    cpu.mem.poke(foreign, PREV, back);
    cpu.mem.poke(first, NEXT, first);
    cpu.mem.poke(first, PREV, first);
    expect(countFree(cpu, s, n)).toBe(0);
  });
  test("the list of caches: up to the break, and all again once it is whole", () => {
    const all = cachesOf(cpu);
    const link = embedded(all[3], KmemCache.offset.list);
    const good = cpu.mem.peek(link, NEXT);
    cpu.mem.poke(link, NEXT, 0x100 as Ptr<"list_head">);
    expect(cachesOf(cpu)).toEqual(all.slice(0, 4));
    cpu.mem.poke(link, NEXT, good);
    const back = cpu.mem.peek(link, PREV);
    cpu.mem.poke(link, PREV, good);
    expect(cachesOf(cpu)).toEqual(all.slice(0, 3));
    cpu.mem.poke(link, PREV, back);
    expect(cachesOf(cpu)).toEqual(all);
  });
  test("a cache that goes away while it is read is not there", () => {
    const s = kmem_cache_create(cpu, "things", 64);
    expect(readCache(cpu, s, (each) => cache_name(cpu, each))).toBe("things");
    expect(readCache(cpu, s, () => kmem_cache_destroy(cpu, s))).toBeUndefined();
  });
});
