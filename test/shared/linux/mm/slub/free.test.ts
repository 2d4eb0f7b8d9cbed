/** __slab_free(): the decision table, lost races, contexts. */
import { describe, expect, test } from "vitest";
import { GFP_ATOMIC, NUMA_NO_NODE } from "../../../../../src/shared/layout/gfp.ts";
import { CpuCounters } from "../../../../../src/shared/layout/cpu.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { Slab, SL_partial } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_ALLOC_DEFAULT } from "../../../../../src/shared/layout/slab_flags.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { INIT_LIST_HEAD } from "../../../../../src/shared/linux/lib/list.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { __kmem_cache_free_bulk } from "../../../../../src/shared/linux/mm/slub/bulk_free.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { __slab_free } from "../../../../../src/shared/linux/mm/slub/free.ts";
import { get_partial_node_bulk } from "../../../../../src/shared/linux/mm/slub/get_partial.ts";
import { node_nr_partial } from "../../../../../src/shared/linux/mm/slub/partial.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import { get_node, oo_make, virt_to_slab } from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { slab_word, word_inuse } from "../../../../../src/shared/linux/mm/slub/slab_word.ts";
import { stat_report } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { O_FREELIST, O_NONE } from "../../../../../src/shared/mem/oracle.ts";
import { element, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { objectArray, partialSlabs, SlabMachine } from "../slab_machine.ts";

type Cache = Ptr<"kmem_cache">;
type Obj = Ptr<"object">;
const alloc = (cpu: Cpu, s: Cache): Obj => ___slab_alloc(cpu, s, GFP_ATOMIC, NUMA_NO_NODE, SLAB_ALLOC_DEFAULT);
const take = (cpu: Cpu, s: Cache, count: number): Obj[] => Array.from({ length: count }, () => alloc(cpu, s));
const free = (cpu: Cpu, s: Cache, object: Obj): void =>
  __slab_free(cpu, s, virt_to_slab(cpu, object), object, object, 1);
const list_locks = (cpu: Cpu): number =>
  cpu.mem.peek(cpu.counters, element(CpuCounters.offset.points_visited, POINT.list_lock_held));
/** Takes all partial slabs off the list, as a refiller does. */
function isolate(cpu: Cpu, s: Cache): void {
  const list = objectArray(cpu) as Ptr as Ptr<"list_head">;
  INIT_LIST_HEAD(cpu, list);
  expect(get_partial_node_bulk(cpu, get_node(cpu, s, 0), list, GFP_ATOMIC, 1000, 1000, true)).toBe(true);
}

interface Row {
  readonly name: string;
  /** Objects of the slab of four that are in use before, and how many of them are freed at once. */
  readonly inuse: number;
  readonly freed: number;
  readonly isolated?: true;
  /** Is nr_partial at least min_partial? Another partial slab keeps it at 1, or 2 with this one. */
  readonly enough: boolean;
  readonly is_linked: boolean;
  readonly discarded?: true;
  readonly locks: number;
  readonly stats: Record<string, number>;
}
const TABLE: readonly Row[] = [
  { name: "partial, stays partial, linked", inuse: 3, freed: 1, enough: false, is_linked: true, locks: 0, stats: {} },
  { name: "the same with enough", inuse: 3, freed: 1, enough: true, is_linked: true, locks: 0, stats: {} },
  {
    name: "the same, isolated",
    inuse: 3,
    freed: 1,
    isolated: true,
    enough: true,
    is_linked: false,
    locks: 0,
    stats: {},
  },
  {
    name: "partial, becomes empty, linked, few",
    inuse: 2,
    freed: 2,
    enough: false,
    is_linked: true,
    locks: 1,
    stats: {},
  },
  {
    name: "partial, becomes empty, linked, enough",
    inuse: 2,
    freed: 2,
    enough: true,
    is_linked: false,
    discarded: true,
    locks: 1,
    stats: { FREE_REMOVE_PARTIAL: 1, FREE_SLAB: 1 },
  },
  {
    name: "partial, becomes empty, isolated, few",
    inuse: 2,
    freed: 2,
    isolated: true,
    enough: false,
    is_linked: false,
    locks: 1,
    stats: {},
  },
  {
    name: "partial, becomes empty, isolated, enough",
    inuse: 2,
    freed: 2,
    isolated: true,
    enough: true,
    is_linked: false,
    locks: 1,
    stats: {},
  },
  {
    name: "full, becomes partial, few",
    inuse: 4,
    freed: 1,
    enough: false,
    is_linked: true,
    locks: 1,
    stats: { FREE_ADD_PARTIAL: 1 },
  },
  {
    name: "full, becomes partial, enough",
    inuse: 4,
    freed: 1,
    enough: true,
    is_linked: true,
    locks: 1,
    stats: { FREE_ADD_PARTIAL: 1 },
  },
  {
    name: "full, becomes empty, few",
    inuse: 4,
    freed: 4,
    enough: false,
    is_linked: true,
    locks: 1,
    stats: { FREE_ADD_PARTIAL: 1 },
  },
  {
    name: "full, becomes empty, enough",
    inuse: 4,
    freed: 4,
    enough: true,
    is_linked: false,
    discarded: true,
    locks: 1,
    stats: { FREE_SLAB: 1 },
  },
];

test.each(TABLE)("$name", ({ inuse, freed, isolated, enough, is_linked, discarded, locks, stats }) => {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache({}, { oo: oo_make(0, 4), min_partial: enough ? 1 : 5 });
  const objects = take(cpu, s, inuse);
  const slab = virt_to_slab(cpu, objects[0]);
  if (isolated !== undefined) isolate(cpu, s);
  // The neighbour: a partial slab. While ours is partial, too, an allocation would prefer ours.
  const rest = isolated === undefined && inuse < 4 ? take(cpu, s, 4 - inuse) : [];
  take(cpu, s, 1);
  for (const object of rest) free(cpu, s, object);
  const before = stat_report(cpu, s);
  const pages = nr_free_pages(cpu);
  const locked = list_locks(cpu);
  const gone = objects.slice(inuse - freed);

  __kmem_cache_free_bulk(cpu, s, [...gone]);

  expect(list_locks(cpu) - locked).toBe(locks);
  expect(partialSlabs(cpu, s).includes(slab)).toBe(is_linked);
  expect(nr_free_pages(cpu) - pages).toBe(discarded ? 1 : 0);
  const after = stat_report(cpu, s);
  const counted = Object.entries(after).map(([name, n]) => [name, n - (before[name] ?? 0)] as const);
  expect(Object.fromEntries(counted.filter(([, n]) => n !== 0))).toEqual(stats);
  expect(gone.map((object) => machine.oracle.place(object))).toEqual(gone.map(() => (discarded ? O_NONE : O_FREELIST)));
  expect(check_page_allocator(cpu)).toEqual([]);
  if (discarded) {
    expect(virt_to_slab(cpu, objects[0])).toBe(0);
  } else {
    expect(word_inuse(slab_word(cpu, slab))).toBe(inuse - freed);
    expect((cpu.mem.peek(slab, Slab.offset.flags) & SL_partial) !== 0).toBe(is_linked);
  }
  if (isolated === undefined) expect(check_slab_cache(cpu, s)).toEqual([]);
  if (stats["FREE_ADD_PARTIAL"] === 1) expect(partialSlabs(cpu, s).at(-1)).toBe(slab); // The tail.
  expect(node_nr_partial(cpu, get_node(cpu, s, 0))).toBe(partialSlabs(cpu, s).length);
});

test("the freelist is last in, first out, and a chain keeps its order", () => {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache({}, { oo: oo_make(0, 4) });
  const [a, b, c, d] = take(cpu, s, 4);
  free(cpu, s, b);
  free(cpu, s, d);
  expect([alloc(cpu, s), alloc(cpu, s)]).toEqual([d, b]);
  __kmem_cache_free_bulk(cpu, s, [a, c]);
  expect([alloc(cpu, s), alloc(cpu, s)]).toEqual([a, c]);
});

describe("somebody else is faster", () => {
  test("another free: the push is repeated on top of it", () => {
    const machine = new SlabMachine();
    const [cpu, other] = machine.cpus;
    const s = machine.cache({}, { oo: oo_make(0, 4) });
    const [a, b, c] = take(cpu, s, 3);
    machine.at(cpu, POINT.slab_read_before_cmpxchg, () => free(other, s, b));
    free(cpu, s, a);
    expect(stat_report(cpu, s)).toMatchObject({ CMPXCHG_DOUBLE_FAIL: 1 });
    expect(word_inuse(slab_word(cpu, virt_to_slab(cpu, c)))).toBe(1);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });
  test("the repeated push decides anew: what would have been lock-free makes the slab empty and discards it", () => {
    const machine = new SlabMachine();
    const [cpu, other] = machine.cpus;
    const s = machine.cache({}, { oo: oo_make(0, 4), min_partial: 1 });
    const [a, b] = take(cpu, s, 2);
    const locked = list_locks(cpu);
    machine.at(cpu, POINT.slab_read_before_cmpxchg, () => free(other, s, b));
    free(cpu, s, a);
    expect(list_locks(cpu) - locked).toBe(1);
    expect(stat_report(cpu, s)).toMatchObject({ CMPXCHG_DOUBLE_FAIL: 1, FREE_REMOVE_PARTIAL: 1, FREE_SLAB: 1 });
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });
});

test("every slab of a cache can go back", () => {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache({}, { oo: oo_make(0, 4), min_partial: 0 });
  const pages = nr_free_pages(cpu);
  const objects = take(cpu, s, 50);
  for (const object of objects.toSorted((x, y) => (x % 7) - (y % 7))) free(cpu, s, object);
  expect(nr_free_pages(cpu)).toBe(pages);
  expect(check_slab_cache(cpu, s)).toEqual([]);
});

describe("a bug", () => {
  const one = (): { machine: SlabMachine; cpu: Cpu; s: Cache; object: Obj } => {
    const machine = new SlabMachine();
    const [cpu] = machine.cpus;
    const s = machine.cache({}, { oo: oo_make(0, 4) });
    return { machine, cpu, s, object: alloc(cpu, s) };
  };
  test("a second free: the oracle", () => {
    const { cpu, s, object } = one();
    alloc(cpu, s);
    free(cpu, s, object);
    expect(() => free(cpu, s, object)).toThrow(/freelist/);
  });
  test("__slab_free() in NMI", () => {
    const { machine, cpu, s, object } = one();
    machine.nmi(cpu, () => expect(() => free(cpu, s, object)).toThrow(/__slab_free\(\) in task > nmi/));
  });
  test("legal: in hardirq, and with IRQs off", () => {
    const { machine, cpu, s, object } = one();
    machine.irq(cpu, () => free(cpu, s, object));
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });
});
