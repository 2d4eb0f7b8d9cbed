/** Many objects at once: isolation of partial slabs, the rest of a freelist, remote nodes, new slabs. */
import { describe, expect, test } from "vitest";
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { KmemCache, ObjectArray, Slab, SL_partial, SL_pfmemalloc } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_ALLOC_DEFAULT, SLAB_ALLOC_NOLOCK } from "../../../../../src/shared/layout/slab_flags.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { INIT_LIST_HEAD } from "../../../../../src/shared/linux/lib/list.ts";
import { alloc_frozen_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { __slab_free } from "../../../../../src/shared/linux/mm/slub/free.ts";
import { get_partial_node_bulk } from "../../../../../src/shared/linux/mm/slub/get_partial.ts";
import { lock_node, node_nr_partial, unlock_node } from "../../../../../src/shared/linux/mm/slub/partial.ts";
import {
  __kmem_cache_alloc_bulk,
  __refill_objects_node,
  __slab_try_return_freelist,
  refill_objects,
} from "../../../../../src/shared/linux/mm/slub/refill.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import { get_node, oo_make, slab_nid, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { slab_word, word_inuse } from "../../../../../src/shared/linux/mm/slub/slab_word.ts";
import { stat_report } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { O_TRANSIT } from "../../../../../src/shared/mem/oracle.ts";
import { element, NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { objectArray, partialSlabs, SlabMachine, slabsOn } from "../slab_machine.ts";

type Cache = Ptr<"kmem_cache">;
type Obj = Ptr<"object">;
const SLOTS = ObjectArray.offset.slots;
const alloc = (cpu: Cpu, s: Cache, node = NUMA_NO_NODE): Obj =>
  ___slab_alloc(cpu, s, GFP_ATOMIC, node, SLAB_ALLOC_DEFAULT);
const free = (cpu: Cpu, s: Cache, object: Obj): void =>
  __slab_free(cpu, s, virt_to_slab(cpu, object), object, object, 1);
const read = (cpu: Cpu, p: Ptr<"object_array">, count: number): Obj[] =>
  Array.from({ length: count }, (_, i) => cpu.mem.peek(p, element(SLOTS, i)));
const node0 = (cpu: Cpu, s: Cache): Ptr<"kmem_cache_node"> => get_node(cpu, s, 0);

/** A cache of four objects a slab, with partial slabs that have so many free ones, in this order on the list. */
function withPartial(...free_counts: number[]): {
  machine: SlabMachine;
  cpu: Cpu;
  other: Cpu;
  s: Cache;
  p: Ptr<"object_array">;
  used: Obj[][];
} {
  const machine = new SlabMachine();
  const [cpu, other] = machine.cpus;
  const s = machine.cache({}, { oo: oo_make(0, 4), min_partial: 10 });
  const slabs = free_counts.map(() => [0, 1, 2, 3].map(() => alloc(cpu, s)));
  for (const [i, objects] of slabs.entries())
    for (const object of objects.slice(4 - free_counts[i])) free(cpu, s, object);
  return {
    machine,
    cpu,
    other,
    s,
    p: objectArray(cpu),
    used: slabs.map((objects, i) => objects.slice(0, 4 - free_counts[i])),
  };
}

describe("get_partial_node_bulk", () => {
  const bulk = (free_counts: number[], min: number, max: number): number => {
    const { cpu, s, p } = withPartial(...free_counts);
    const list = p as Ptr as Ptr<"list_head">;
    INIT_LIST_HEAD(cpu, list);
    const before = partialSlabs(cpu, s);
    const some = get_partial_node_bulk(cpu, node0(cpu, s), list, GFP_ATOMIC, min, max, true);
    const taken = slabsOn(cpu, list);
    expect(some).toBe(taken.length > 0);
    expect([...taken, ...partialSlabs(cpu, s)]).toEqual(before); // From the head, in order.
    for (const slab of taken) expect(cpu.mem.peek(slab, Slab.offset.flags) & SL_partial).toBe(0);
    expect(node_nr_partial(cpu, node0(cpu, s))).toBe(before.length - taken.length);
    return taken.length;
  };
  test.each([
    [[], 4, 4, 0],
    [[2, 2, 2], 4, 4, 2], // exactly enough
    [[2, 2, 2], 3, 4, 2], // the second fits exactly
    [[2, 3, 1], 2, 4, 1], // enough, and the second would be too many
    [[1, 3, 3], 2, 3, 2], // not enough yet: too many does not matter
    [[1, 1], 8, 8, 2], // all there is
  ])("free %j, %i to %i wanted: takes %i slabs", (counts, min, max, expected) => {
    expect(bulk(counts, min, max)).toBe(expected);
  });

  test("a slab from reserves stays on the list, those around it are taken", () => {
    const { cpu, s, p } = withPartial(1, 1, 1);
    const list = p as Ptr as Ptr<"list_head">;
    const [first, reserve, last] = partialSlabs(cpu, s);
    cpu.mem.fetch_or(reserve, Slab.offset.flags, SL_pfmemalloc);
    get_partial_node_bulk(cpu, node0(cpu, s), list, GFP_ATOMIC, 3, 3, true);
    expect(slabsOn(cpu, list)).toEqual([first, last]);
    expect(partialSlabs(cpu, s)).toEqual([reserve]);
    expect(node_nr_partial(cpu, node0(cpu, s))).toBe(1);
  });

  test("without permission to spin and with the lock held: nothing", () => {
    const { cpu, other, s, p } = withPartial(2);
    const flags = lock_node(other, node0(cpu, s));
    expect(get_partial_node_bulk(cpu, node0(cpu, s), p as Ptr as Ptr<"list_head">, GFP_ATOMIC, 1, 1, false)).toBe(
      false,
    );
    unlock_node(other, node0(cpu, s), flags);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });
});

describe("__refill_objects_node", () => {
  const refill = (cpu: Cpu, s: Cache, p: Ptr<"object_array">, min: number, max: number): number =>
    __refill_objects_node(cpu, s, p, GFP_ATOMIC, min, max, node0(cpu, s), true);

  test("takes whole freelists", () => {
    const { machine, cpu, s, p } = withPartial(2, 2);
    expect(refill(cpu, s, p, 4, 4)).toBe(4);
    const objects = read(cpu, p, 4);
    expect(new Set(objects).size).toBe(4);
    for (const object of objects) expect(machine.oracle.place(object)).toBe(O_TRANSIT);
    expect(partialSlabs(cpu, s)).toEqual([]);
    expect(check_slab_cache(cpu, s)).toEqual([]);
    for (const object of objects) free(cpu, s, object);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });

  test("gives back what is too much: the slab goes to the tail", () => {
    const { machine, cpu, s, p } = withPartial(3, 1);
    const [first, second] = partialSlabs(cpu, s);
    expect(refill(cpu, s, p, 2, 2)).toBe(2);
    expect(partialSlabs(cpu, s)).toEqual([second, first]);
    expect(word_inuse(slab_word(cpu, first))).toBe(3);
    expect(check_slab_cache(cpu, s)).toEqual([]);
    const left = alloc(cpu, s);
    expect(virt_to_slab(cpu, left)).toBe(second);
    expect(machine.oracle.place(alloc(cpu, s))).toBe(O_TRANSIT);
  });

  test.each([1, 2])("a free into the slab before the rest is put back, %i left", (left) => {
    const { machine, cpu, other, s, p, used } = withPartial(1 + left);
    // At the first visit the word has been read and the freelist is still there: the update fails, then succeeds.
    machine.at(cpu, POINT.slab_read_before_cmpxchg, () => free(other, s, used[0][0]));
    expect(refill(cpu, s, p, 1, 1)).toBe(1);
    expect(stat_report(cpu, s)).toMatchObject({ CMPXCHG_DOUBLE_FAIL: 1 });
    expect(check_slab_cache(cpu, s)).toEqual([]);
    const [object] = read(cpu, p, 1);
    expect(object).toBe(used[0][0]); // The last one in.
  });

  test("slabs that are not needed after all go back", () => {
    const { machine, cpu, other, s, p, used } = withPartial(1, 1);
    const [first, second] = partialSlabs(cpu, s);
    // Two are isolated for 2 objects; frees give the first one enough for both.
    machine.at(cpu, POINT.slab_read_before_cmpxchg, () => free(other, s, used[0][0]));
    expect(refill(cpu, s, p, 2, 2)).toBe(2);
    expect(read(cpu, p, 2).map((object) => virt_to_slab(cpu, object))).toEqual([first, first]);
    expect(partialSlabs(cpu, s)).toEqual([second]);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });

  test("objects that nobody needs any more make an isolated slab empty: it stays partial", () => {
    const { machine, cpu, other, s, p, used } = withPartial(1, 3);
    const [, second] = partialSlabs(cpu, s);
    cpu.mem.poke(s, KmemCache.offset.min_partial, 0);
    machine.at(cpu, POINT.slab_read_before_cmpxchg, () => {
      free(other, s, used[1][0]); // Empties the second one, which is isolated: nothing happens to it.
      for (const object of used[0]) free(other, s, object);
    });
    expect(refill(cpu, s, p, 4, 4)).toBe(4);
    expect(partialSlabs(cpu, s)).toEqual([second]);
    expect(word_inuse(slab_word(cpu, second))).toBe(0);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });

  test("an IRQ that refills, too, has a list of its own", () => {
    const { machine, cpu, s, p } = withPartial(1, 1, 1, 1);
    const q = objectArray(cpu);
    machine.at(cpu, POINT.slab_read_before_cmpxchg, () =>
      machine.irq(cpu, () => expect(refill(cpu, s, q, 2, 2)).toBe(2)),
    );
    expect(refill(cpu, s, p, 2, 2)).toBe(2);
    const all = [...read(cpu, p, 2), ...read(cpu, q, 2)];
    expect(new Set(all).size).toBe(4);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });
});

describe("refill_objects", () => {
  test("partial slabs, then new ones; more than min is welcome up to max", () => {
    const { cpu, s, p } = withPartial(3);
    expect(refill_objects(cpu, s, p, GFP_ATOMIC, 9, 9)).toBe(9);
    expect(new Set(read(cpu, p, 9)).size).toBe(9);
    expect(stat_report(cpu, s)["ALLOC_SLAB"]).toBe(1 + 2);
    expect(check_slab_cache(cpu, s)).toEqual([]);
    expect(refill_objects(cpu, s, p, GFP_ATOMIC, 1, 4)).toBe(2); // What the last slab has left.
    expect(refill_objects(cpu, s, p, GFP_ATOMIC, 1, 4)).toBe(4); // A whole new one.
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });

  test("too little memory: what there is", () => {
    const { machine, cpu, s, p } = withPartial(3);
    while (alloc_frozen_pages(cpu, 0, 0) !== NULL);
    expect(refill_objects(cpu, s, p, GFP_ATOMIC, 5, 5)).toBe(3);
    for (const object of read(cpu, p, 3)) free(cpu, s, object);
    expect(__kmem_cache_alloc_bulk(cpu, s, GFP_ATOMIC, 5, p)).toBe(0); // All or nothing.
    expect(__kmem_cache_alloc_bulk(cpu, s, GFP_ATOMIC, 3, p)).toBe(3);
    expect(stat_report(cpu, s)["ALLOC_SLOWPATH"]).toBe(4 + 3);
    expect(read(cpu, p, 3).map((object) => machine.oracle.place(object))).toEqual([O_TRANSIT, O_TRANSIT, O_TRANSIT]);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });

  test("other nodes: only tried, and only if they have more than they need", () => {
    const machine = new SlabMachine({ nodes: 2, bytes: 4 << 20 });
    const [cpu, remote] = machine.cpus;
    const s = machine.cache({}, { oo: oo_make(0, 4), min_partial: 0 });
    const p = objectArray(cpu);
    alloc(remote, s);
    const n = get_node(cpu, s, 1);
    const flags = lock_node(remote, n);
    expect(refill_objects(cpu, s, p, GFP_ATOMIC, 1, 1)).toBe(1);
    expect(slab_nid(cpu, virt_to_slab(cpu, read(cpu, p, 1)[0]))).toBe(0);
    unlock_node(remote, n, flags);
    for (let i = 0; i < 3; i++) alloc(cpu, s, 0);
    expect(refill_objects(cpu, s, p, GFP_ATOMIC, 1, 1)).toBe(1);
    expect(slab_nid(cpu, virt_to_slab(cpu, read(cpu, p, 1)[0]))).toBe(1);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });

  test("__slab_try_return_freelist: not on top of what somebody has freed", () => {
    const { cpu, s, used } = withPartial(1);
    const [slab] = partialSlabs(cpu, s);
    const word = slab_word(cpu, slab);
    expect(__slab_try_return_freelist(cpu, s, node0(cpu, s), NULL, slab, used[0][0], 1)).toBe(false);
    expect(slab_word(cpu, slab)).toBe(word);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });

  test("in NMI it is a bug", () => {
    const { machine, cpu, s, p } = withPartial(1);
    machine.nmi(cpu, () => {
      expect(() => refill_objects(cpu, s, p, GFP_ATOMIC, 1, 1)).toThrow(/refill_objects\(\) in task > nmi/);
      expect(___slab_alloc(cpu, s, 0, NUMA_NO_NODE, SLAB_ALLOC_NOLOCK)).not.toBe(NULL);
    });
  });
});
