/** kfree_rcu_cpu, bulk pages: where a record goes, what cookie its page has, and how pages are freed. */
import { describe, expect, test } from "vitest";
import { PAGE_SIZE } from "../../../../../src/shared/base/limits.ts";
import { local_irq_restore, local_irq_save } from "../../../../../src/shared/cpu/context.ts";
import { GFP_KERNEL } from "../../../../../src/shared/layout/gfp.ts";
import {
  KfreeRcuCpu,
  KVFREE_BULK_MAX_ENTR,
  KvfreeRcuBulkData,
  TINY_BULK_MAX_ENTR,
} from "../../../../../src/shared/layout/kvfree_rcu.ts";
import { RcuGpOldstate } from "../../../../../src/shared/layout/rcu.ts";
import { kvfree_rcu_barrier } from "../../../../../src/shared/linux/mm/kvfree_rcu/barrier.ts";
import { bnodes_of } from "../../../../../src/shared/linux/mm/kvfree_rcu/check_krc.ts";
import { bulk_head_free_of } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_batch.ts";
import { kvfree_rcu_bulk } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc_bulk.ts";
import { bulk_head_of, bulk_max_entr, krwp_of } from "../../../../../src/shared/linux/mm/kvfree_rcu/krc.ts";
import {
  kfree_rcu,
  kfree_rcu_mightsleep,
  kvfree_rcu_mightsleep,
} from "../../../../../src/shared/linux/mm/kvfree_rcu/kvfree_rcu.ts";
import { nr_free_pages } from "../../../../../src/shared/linux/mm/page_alloc/page_alloc.ts";
import { kmalloc } from "../../../../../src/shared/linux/mm/slub/kmalloc.ts";
import { vmalloc } from "../../../../../src/shared/linux/mm/vmalloc.ts";
import { poll_state_synchronize_rcu_full } from "../../../../../src/shared/linux/rcu/poll.ts";
import { synchronize_rcu } from "../../../../../src/shared/linux/rcu/tree.ts";
import { rcu_read_lock, rcu_read_unlock } from "../../../../../src/shared/linux/rcu/update.ts";
import { element, embedded, offsetof } from "../../../../../src/shared/mem/struct.ts";
import { krcMachine, krcOf, monitor, records, setBulkMaxEntr } from "./krc_kit.ts";
import { TestMachine, Thing } from "./machine.ts";

const { head: HEAD } = Thing.offset;
const K = KfreeRcuCpu.offset;
const B = KvfreeRcuBulkData.offset;
const { norm: NORM } = RcuGpOldstate.offset;

test("a bnode is one page, and holds as many records as the kernel's", () => {
  expect(KVFREE_BULK_MAX_ENTR).toBe(507);
  expect(offsetof(element(B.records, KVFREE_BULK_MAX_ENTR))).toBe(PAGE_SIZE);
  expect([offsetof(B.records), offsetof(B.nr_records), B.gp_snap]).toEqual([40, 32, 16]);
  expect(bulk_max_entr(new TestMachine().cpus[0])).toBe(507);
  expect(bulk_max_entr(new TestMachine({}, { tiny: 1 }).cpus[0])).toBe(TINY_BULK_MAX_ENTR);
});

describe("records", () => {
  test("fill the first page, then a new one in front of it", () => {
    const { m, cpu, alloc } = krcMachine();
    setBulkMaxEntr(cpu, 3);
    const things = [1, 2, 3, 4, 5].map(alloc);
    for (const thing of things) kfree_rcu_mightsleep(cpu, thing);
    expect(records(cpu, bulk_head_of(krcOf(cpu), 0))).toEqual([things.slice(3), things.slice(0, 3)]);
    expect(cpu.mem.peek(krcOf(cpu), element(K.bulk_count, 0))).toBe(5);
    expect([m.count("krc_bulk"), m.count("bnodes_allocated")]).toEqual([5, 2]);
    expect(things.map((a) => m.placeOf(a))).toEqual(["krc", "krc", "krc", "krc", "krc"]);
  });

  test("of objects with a head use a page that is there, but do not allocate one", () => {
    const { m, cpu, alloc } = krcMachine();
    setBulkMaxEntr(cpu, 2);
    const [a, b, c, d] = [alloc(), alloc(), alloc(), alloc()];
    kfree_rcu(cpu, a, HEAD);
    expect(cpu.mem.peek(krcOf(cpu), K.head)).toBe(a + HEAD);
    kfree_rcu_mightsleep(cpu, b);
    kfree_rcu(cpu, c, HEAD);
    expect(records(cpu, bulk_head_of(krcOf(cpu), 0))).toEqual([[b, c]]);
    kfree_rcu(cpu, d, HEAD);
    expect(cpu.mem.peek(krcOf(cpu), K.head)).toBe(d + HEAD);
    expect(m.count("bnodes_allocated")).toBe(1);
    kvfree_rcu_barrier(cpu);
    expect([a, b, c, d].map((thing) => m.placeOf(thing))).toEqual(["freelist", "freelist", "freelist", "freelist"]);
  });

  test("of vmalloc areas have pages of their own, and are freed by vfree()", () => {
    const { m, cpu, alloc } = krcMachine();
    const area = vmalloc(cpu, 2 * PAGE_SIZE);
    const [thing, large] = [alloc(), kmalloc(cpu, 5 * PAGE_SIZE, GFP_KERNEL)];
    kvfree_rcu_mightsleep(cpu, area);
    kvfree_rcu_mightsleep(cpu, thing);
    kvfree_rcu_mightsleep(cpu, large);
    expect(records(cpu, bulk_head_of(krcOf(cpu), 0))).toEqual([[thing, large]]);
    expect(records(cpu, bulk_head_of(krcOf(cpu), 1))).toEqual([[area]]);
    expect(m.count("krc_vmalloc")).toBe(1);
    kvfree_rcu_barrier(cpu);
    expect([area, thing, large].map((object) => m.placeOf(object))).toEqual(["none", "freelist", "none"]);
  });

  test("are refused before kvfree_rcu_init(): then the list it is", () => {
    const { cpu, alloc } = krcMachine();
    cpu.mem.poke(krcOf(cpu), K.initialized, 0);
    const a = alloc();
    kfree_rcu(cpu, a, HEAD);
    expect(cpu.mem.peek(krcOf(cpu), K.head)).toBe(a + HEAD);
    expect(records(cpu, bulk_head_of(krcOf(cpu), 0))).toEqual([]);
  });
});

describe("the cookie of a page", () => {
  test("is that of its newest record: an old one waits with a young one (E10)", () => {
    const { m, cpu, alloc } = krcMachine();
    const [a, b] = [alloc(), alloc()];
    kfree_rcu_mightsleep(cpu, a);
    const [bnode] = bnodes_of(cpu, bulk_head_of(krcOf(cpu), 0));
    const over = (): boolean => poll_state_synchronize_rcu_full(cpu, embedded(bnode, B.gp_snap));
    synchronize_rcu(cpu);
    expect(over()).toBe(true);
    rcu_read_lock(cpu); // Finds b.
    kfree_rcu(cpu, b, HEAD);
    expect(over()).toBe(false);
    monitor(cpu);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["krc", "krc"]);
    rcu_read_unlock(cpu);
    kvfree_rcu_barrier(cpu);
    expect([m.placeOf(a), m.placeOf(b)]).toEqual(["freelist", "freelist"]);
  });

  test("is not older than that of the page behind it, or the machine stops", () => {
    const { cpu, alloc } = krcMachine();
    setBulkMaxEntr(cpu, 1);
    kfree_rcu_mightsleep(cpu, alloc());
    const [first] = bnodes_of(cpu, bulk_head_of(krcOf(cpu), 0));
    const snap = embedded(first, B.gp_snap);
    cpu.mem.poke(snap, NORM, cpu.mem.peek(snap, NORM) + 100);
    expect(() => kfree_rcu_mightsleep(cpu, alloc())).toThrow(/older cookie than the one behind it/);
  });
});

describe("kvfree_rcu_bulk", () => {
  test("gives the page back to the allocator when there is no cache for it", () => {
    const { m, cpu, alloc } = krcMachine();
    const [a] = [alloc(), alloc()]; // The other one keeps the slab.
    const free = nr_free_pages(cpu);
    kfree_rcu_mightsleep(cpu, a);
    expect(nr_free_pages(cpu)).toBe(free - 1);
    kvfree_rcu_barrier(cpu);
    expect(nr_free_pages(cpu)).toBe(free);
    expect(m.count("bnodes_refused")).toBe(1);
  });

  test("before the grace period is over warns and leaks the objects, not the page", () => {
    const { m, cpu, alloc } = krcMachine();
    m.set("panic_on_warn", 0);
    const a = alloc();
    kfree_rcu_mightsleep(cpu, a);
    rcu_read_lock(cpu);
    monitor(cpu);
    const free = nr_free_pages(cpu);
    const [bnode] = bnodes_of(cpu, bulk_head_free_of(krwp_of(krcOf(cpu), 0), 0));
    expect(kvfree_rcu_bulk(cpu, krcOf(cpu), bnode, 0)).toBe(0);
    expect(m.placeOf(a)).toBe("krc");
    expect(nr_free_pages(cpu)).toBe(free + 1);
    rcu_read_unlock(cpu);
  });

  test("needs IRQs on, as kfree_bulk() does", () => {
    const { cpu, alloc } = krcMachine();
    kfree_rcu_mightsleep(cpu, alloc());
    synchronize_rcu(cpu);
    const flags = local_irq_save(cpu);
    expect(() => monitor(cpu)).toThrow(/kfree_bulk\(\) with IRQs off/);
    local_irq_restore(cpu, flags);
  });
});

test("a page of 507 records is freed in one go, and the monitor hurries", () => {
  const { m, cpu, alloc } = krcMachine();
  const things = Array.from({ length: KVFREE_BULK_MAX_ENTR + 1 }, alloc);
  for (const thing of things) kfree_rcu_mightsleep(cpu, thing);
  expect(records(cpu, bulk_head_of(krcOf(cpu), 0)).map((page) => page.length)).toEqual([1, 507]);
  m.run(40);
  expect(m.count("krc_polled") + m.count("krc_freed")).toBe(508);
  expect(things.filter((a) => m.placeOf(a) === "krc")).toEqual([]);
});
