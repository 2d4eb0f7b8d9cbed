/** One object from the slabs: partial slab, new slab, nodes, and what happens when a lock may not be waited for. */
import { describe, expect, test } from "vitest";
import {
  __GFP_MEMALLOC,
  __GFP_NOMEMALLOC,
  __GFP_THISNODE,
  __GFP_ZERO,
  GFP_ATOMIC,
  NUMA_NO_NODE,
} from "../../../../../src/shared/layout/gfp.ts";
import { POINT } from "../../../../../src/shared/layout/points.ts";
import { KmemCache, KmemCacheNode, Slab, SL_partial, SL_pfmemalloc } from "../../../../../src/shared/layout/slab.ts";
import { SLAB_ALLOC_DEFAULT, SLAB_ALLOC_NOLOCK } from "../../../../../src/shared/layout/slab_flags.ts";
import { bind_callback } from "../../../../../src/shared/cpu/callback_table.ts";
import type { Cpu } from "../../../../../src/shared/cpu/cpu.ts";
import { check_page_allocator } from "../../../../../src/shared/linux/mm/page_alloc/check.ts";
import { alloc_frozen_pages, nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { check_slab_cache } from "../../../../../src/shared/linux/mm/slub/check_sheaves.ts";
import { __slab_free } from "../../../../../src/shared/linux/mm/slub/free.ts";
import { get_from_partial_node } from "../../../../../src/shared/linux/mm/slub/get_partial.ts";
import { lock_node, node_nr_partial, unlock_node } from "../../../../../src/shared/linux/mm/slub/partial.ts";
import { ___slab_alloc } from "../../../../../src/shared/linux/mm/slub/slab_alloc.ts";
import {
  get_node,
  oo_make,
  slab_address,
  slab_nid,
  virt_to_slab,
} from "../../../../../src/shared/linux/mm/slub/slab.ts";
import { slab_word, word_full, word_inuse } from "../../../../../src/shared/linux/mm/slub/slab_word.ts";
import { stat_report } from "../../../../../src/shared/linux/mm/slub/stat.ts";
import { O_FREELIST, O_TRANSIT } from "../../../../../src/shared/mem/oracle.ts";
import { NULL, type Ptr } from "../../../../../src/shared/mem/struct.ts";
import { CB_CTOR, SlabMachine } from "../slab_machine.ts";

type Cache = Ptr<"kmem_cache">;
const alloc = (cpu: Cpu, s: Cache, node = NUMA_NO_NODE, gfp = GFP_ATOMIC): Ptr<"object"> =>
  ___slab_alloc(cpu, s, gfp, node, SLAB_ALLOC_DEFAULT);
const alloc_nolock = (cpu: Cpu, s: Cache): Ptr<"object"> => ___slab_alloc(cpu, s, 0, NUMA_NO_NODE, SLAB_ALLOC_NOLOCK);
const free = (cpu: Cpu, s: Cache, object: Ptr): void =>
  __slab_free(cpu, s, virt_to_slab(cpu, object), object, object, 1);
const nr_partial = (cpu: Cpu, s: Cache, node = 0): number => node_nr_partial(cpu, get_node(cpu, s, node));
/** Four objects of 1 KiB in a page. */
const FOUR = { oo: oo_make(0, 4) };

test("the first object comes from a new slab, in address order; the others from its freelist, until it is full", () => {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache({}, FOUR);
  const objects = [alloc(cpu, s)];
  const slab = virt_to_slab(cpu, objects[0]);
  expect(word_inuse(slab_word(cpu, slab))).toBe(1);
  expect(cpu.mem.peek(slab, Slab.offset.flags) & SL_partial).toBe(SL_partial);
  expect(nr_partial(cpu, s)).toBe(1);
  expect(check_slab_cache(cpu, s)).toEqual([]);
  for (let i = 1; i < 4; i++) objects.push(alloc(cpu, s));
  expect(objects).toEqual([0, 1, 2, 3].map((i) => slab_address(cpu, slab) + i * 1024));
  expect([word_full(slab_word(cpu, slab)), cpu.mem.peek(slab, Slab.offset.flags), nr_partial(cpu, s)]).toEqual([
    true,
    0,
    0,
  ]);
  expect(check_slab_cache(cpu, s)).toEqual([]);
  expect(virt_to_slab(cpu, alloc(cpu, s))).not.toBe(slab);
  expect(stat_report(cpu, s)).toEqual({ ALLOC_SLOWPATH: 5, ALLOC_SLAB: 2 });
  expect(objects.map((object) => machine.oracle.place(object))).toEqual(objects.map(() => O_TRANSIT));
});

test("a slab of one object is never on the partial list", () => {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache({ object_size: 4096 }, { oo: oo_make(0, 1) });
  expect(alloc(cpu, s)).not.toBe(NULL);
  expect(nr_partial(cpu, s)).toBe(0);
  expect(check_slab_cache(cpu, s)).toEqual([]);
});

test("the constructor runs once for each object of a new slab", () => {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const constructed: Ptr[] = [];
  bind_callback(CB_CTOR, (_, object) => constructed.push(object));
  const s = machine.cache({ ctor: true });
  const object = alloc(cpu, s);
  expect(constructed.length).toBe(cpu.mem.peek(virt_to_slab(cpu, object), Slab.offset.objects));
  expect(new Set(constructed).size).toBe(constructed.length);
  const before = constructed.length;
  alloc(cpu, s);
  expect(constructed.length).toBe(before);
  expect(() => alloc(cpu, machine.cache({ ctor: true }), NUMA_NO_NODE, GFP_ATOMIC | __GFP_ZERO)).toThrow(/constructor/);
});

test("when the preferred order is not to be had, the smallest one will do", () => {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache(); // 16 objects in 4 pages, or 4 in one.
  while (alloc_frozen_pages(cpu, 1, 0) !== NULL);
  const object = alloc(cpu, s);
  const free_before = nr_free_pages(cpu);
  if (object === NULL) expect(free_before).toBe(0);
  else {
    expect(cpu.mem.peek(virt_to_slab(cpu, object), Slab.offset.objects)).toBe(4);
    expect(stat_report(cpu, s)).toMatchObject({ ORDER_FALLBACK: 1 });
  }
  while (alloc_frozen_pages(cpu, 0, 0) !== NULL);
  while (alloc(cpu, s) !== NULL);
  expect(alloc(cpu, s)).toBe(NULL);
  expect(check_slab_cache(cpu, s)).toEqual([]);
});

describe("nodes", () => {
  const twoNodes = (): { machine: SlabMachine; cpu: Cpu; s: Cache } => {
    const machine = new SlabMachine({ nodes: 2, bytes: 4 << 20 });
    return { machine, cpu: machine.cpus[0], s: machine.cache({}, { ...FOUR, min_partial: 0 }) };
  };
  const nodeOf = (cpu: Cpu, object: Ptr): number => slab_nid(cpu, virt_to_slab(cpu, object));

  test("without a wish the CPU's own; a preferred one if it has memory, else another", () => {
    const { machine, cpu, s } = twoNodes();
    cpu.mem.poke(s, KmemCache.offset.min_partial, 5);
    expect(nodeOf(cpu, alloc(cpu, s))).toBe(0);
    expect(nodeOf(cpu, alloc(machine.cpus[1], s))).toBe(1);
    expect(nodeOf(cpu, alloc(cpu, s, 1))).toBe(1);
    while (alloc_frozen_pages(cpu, 0, 1, __GFP_THISNODE) !== NULL);
    const rest = Array.from({ length: 4 }, () => nodeOf(cpu, alloc(cpu, s, 1)));
    expect(rest).toContain(0);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });
  test("__GFP_THISNODE: that one or none", () => {
    const { cpu, s } = twoNodes();
    while (alloc_frozen_pages(cpu, 0, 1, __GFP_THISNODE) !== NULL);
    expect(alloc(cpu, s, 1, GFP_ATOMIC | __GFP_THISNODE)).toBe(NULL);
  });
  test("partial slabs of another node are used before a new slab, if it has more than it needs", () => {
    const { machine, cpu, s } = twoNodes();
    const remote = alloc(machine.cpus[1], s);
    const local = alloc(cpu, s);
    expect(virt_to_slab(cpu, local)).toBe(virt_to_slab(cpu, remote));
    cpu.mem.poke(s, KmemCache.offset.remote_node_defrag_ratio, 0);
    expect(nodeOf(cpu, alloc(cpu, s))).toBe(0);
  });
  test("... and not if it has no more than min_partial", () => {
    const { machine, cpu, s } = twoNodes();
    cpu.mem.poke(s, KmemCache.offset.min_partial, 1);
    alloc(machine.cpus[1], s);
    expect(nodeOf(cpu, alloc(cpu, s))).toBe(0);
  });
});

describe("a slab from emergency reserves", () => {
  test("serves only those who may have reserves", () => {
    const machine = new SlabMachine();
    const [cpu] = machine.cpus;
    const s = machine.cache({}, FOUR);
    const reserve = virt_to_slab(cpu, alloc(cpu, s));
    cpu.mem.fetch_or(reserve, Slab.offset.flags, SL_pfmemalloc);
    const n = get_node(cpu, s, 0);
    expect(get_from_partial_node(cpu, s, n, GFP_ATOMIC, true)).toBe(NULL);
    expect(get_from_partial_node(cpu, s, n, GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOMEMALLOC, true)).toBe(NULL);
    expect(virt_to_slab(cpu, get_from_partial_node(cpu, s, n, GFP_ATOMIC | __GFP_MEMALLOC, true))).toBe(reserve);
    expect(virt_to_slab(cpu, alloc(cpu, s))).not.toBe(reserve);
  });
});

describe("SLAB_ALLOC_NOLOCK", () => {
  test("works in an NMI", () => {
    const machine = new SlabMachine();
    const [cpu] = machine.cpus;
    const s = machine.cache({}, FOUR);
    machine.nmi(cpu, () => {
      for (let i = 0; i < 6; i++) expect(alloc_nolock(cpu, s)).not.toBe(NULL);
    });
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });

  test("on top of list_lock: no partial slab, the new one is dropped uncounted, NULL, no retry", () => {
    const machine = new SlabMachine();
    const [cpu] = machine.cpus;
    const s = machine.cache({}, FOUR);
    free(cpu, s, alloc(cpu, s));
    const pages = nr_free_pages(cpu);
    let got: Ptr<"object"> | undefined;
    machine.nmiAt(cpu, POINT.list_lock_held, () => (got = alloc_nolock(cpu, s)));
    const n = get_node(cpu, s, 0);
    unlock_node(cpu, n, lock_node(cpu, n));
    expect(got).toBe(NULL);
    expect(nr_free_pages(cpu)).toBe(pages);
    expect(check_slab_cache(cpu, s)).toEqual([]); // nr_slabs too.
    expect(check_page_allocator(cpu)).toEqual([]);
    expect(stat_report(cpu, s)).toMatchObject({ ALLOC_SLOWPATH: 2, ALLOC_SLAB: 2 });
  });

  test("held elsewhere it is the same; a slab that is handed out whole needs no list_lock", () => {
    const machine = new SlabMachine();
    const [cpu, other] = machine.cpus;
    const s = machine.cache({}, FOUR);
    const whole = machine.cache({ object_size: 4096 }, { oo: oo_make(0, 1) });
    const locked = [s, whole].map((each) => get_node(cpu, each, 0));
    const flags = lock_node(other, locked[0]);
    expect(alloc_nolock(cpu, s)).toBe(NULL);
    unlock_node(other, locked[0], flags);
    const again = lock_node(other, locked[1]);
    expect(alloc_nolock(cpu, whole)).not.toBe(NULL);
    unlock_node(other, locked[1], again);
    expect(check_slab_cache(cpu, whole)).toEqual([]);
  });

  test("between the update that makes a slab full and its removal from the list an NMI gets nothing from it", () => {
    const machine = new SlabMachine();
    const [cpu] = machine.cpus;
    const s = machine.cache({}, { oo: oo_make(0, 2) });
    alloc(cpu, s);
    let got: Ptr<"object"> | undefined;
    machine.nmiAt(cpu, POINT.slab_attach_kprobe_locked, () => (got = alloc_nolock(cpu, s)));
    expect(alloc(cpu, s)).not.toBe(NULL); // The last one: remove_partial() asserts the lock.
    expect(got).toBe(NULL);
    expect(check_slab_cache(cpu, s)).toEqual([]);
  });
});

test("objects that are not allocated are on the freelist for the oracle", () => {
  const machine = new SlabMachine();
  const [cpu] = machine.cpus;
  const s = machine.cache({}, FOUR);
  const object = alloc(cpu, s);
  expect(machine.oracle.place((object + 1024) as Ptr)).toBe(O_FREELIST);
  expect(cpu.mem.peek(get_node(cpu, s, 0), KmemCacheNode.offset.nr_slabs)).toBe(1);
});
